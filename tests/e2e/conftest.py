"""Real browsers, and the real server process that they talk to."""

from __future__ import annotations

import configparser
import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from tests.e2e.page import ChatPage

ROOT = Path(__file__).parents[2]
SCREENSHOTS = ROOT / "build" / "screenshots"
PATIENCE = 15.0
"""Seconds after which a test gives up waiting for what must happen."""

ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1200,800",
    # The servers are on loopback: whatever proxy the machine has is not for them.
    "--no-proxy-server",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.e2e)


def find_program(name: str) -> str:
    """Return the path of a program; without it the test fails, unless it is to be skipped."""
    found = shutil.which(name)
    if found:
        return found
    if os.environ.get("SOCKJS_SKIP_E2E"):
        pytest.skip(f"{name} is not installed, and SOCKJS_SKIP_E2E is set")
    pytest.fail(
        f"{name} is not installed: `make programs` installs it on Debian. "
        "Set SOCKJS_SKIP_E2E=1 to leave the browser tests out.",
        pytrace=False,
    )


def start_browser(profile: Path) -> webdriver.Chrome:
    """Start Chromium with an empty profile."""
    options = webdriver.ChromeOptions()
    options.binary_location = find_program("chromium")
    for argument in (*ARGUMENTS, f"--user-data-dir={profile}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, Service(find_program("chromedriver")))
    driver.set_page_load_timeout(PATIENCE)
    return driver


@pytest.fixture(scope="session")
def drivers(tmp_path_factory) -> Iterator[list[webdriver.Chrome]]:
    """Two browsers that know nothing of each other; they serve all tests."""
    started: list[webdriver.Chrome] = []
    try:
        for name in ("ada", "grace"):
            started.append(start_browser(tmp_path_factory.mktemp(f"profile-{name}")))
        yield started
    finally:
        for driver in started:
            driver.quit()


class Server:
    """A ``pserve`` process with the settings of demo.ini, on a port of its own.

    Args:
        directory: for its ini file and its log.
        settings: of the application, in place of demo.ini's.
    """

    def __init__(self, directory: Path, settings: dict[str, str]) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        self._ini = directory / "chat.ini"
        self._log = directory / "chat.log"
        self._process: subprocess.Popen[bytes] | None = None
        ini = configparser.RawConfigParser()
        ini.read(ROOT / "demo.ini", encoding="utf-8")
        ini["app:main"].update(settings)
        ini["server:main"]["listen"] = f"127.0.0.1:{self.port}"
        with self._ini.open("w", encoding="utf-8") as file:
            ini.write(file)

    @property
    def url(self) -> str:
        """Where the chat is."""
        return f"http://127.0.0.1:{self.port}/chat"

    def start(self) -> None:
        """Start the process and wait until it answers."""
        pserve = Path(sys.executable).with_name("pserve")
        with self._log.open("ab") as log:
            self._process = subprocess.Popen([pserve, self._ini], stdout=log, stderr=log, cwd=ROOT)
        deadline = time.monotonic() + PATIENCE
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"pserve does not serve:\n{self.log()}", pytrace=False)
            time.sleep(0.05)

    def stop(self) -> None:
        """End the process as an operator would."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        try:
            status = self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise
        assert status == 0, self.log()

    def log(self) -> str:
        """Return what the process has written."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request("GET", "/chat/info")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()


Serve = Callable[..., Server]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Starts the chat: ``server = serve({"sockjs.transports": "xhr-polling"})``."""
    running: list[Server] = []

    def serve(settings: dict[str, str] | None = None) -> Server:
        server = Server(tmp_path, settings or {})
        running.append(server)
        server.start()
        return server

    yield serve
    for server in running:
        server.stop()
        assert "Traceback" not in server.log()


@pytest.fixture
def browsers(
    drivers: list[webdriver.Chrome], serve: Serve, request: pytest.FixtureRequest
) -> Iterator[list[ChatPage]]:
    """Two pages, each in a browser of its own, without any memory of earlier tests.

    When the test is over their pictures are kept, and an error in the console fails it. That is
    done while the servers (`serve`) still run.
    """
    owners = ("ada", "grace")
    pages = [
        ChatPage(driver, owner, PATIENCE) for driver, owner in zip(drivers, owners, strict=True)
    ]
    yield pages
    name = request.node.name.replace("/", "-")
    for page in pages:
        page.screenshot(SCREENSHOTS / f"{name}-{page.owner}.png")
    errors = [error for page in pages for error in page.errors()]
    for page in pages:
        page.reset()
    assert not errors
