"""Real browsers, and the real server process that they talk to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.chromium import Chromium
from tests.e2e.firefox import Firefox
from tests.e2e.page import ChatPage
from tests.e2e.server import PATIENCE, ROOT, Server
from tests.proxies.programs import find_program
from tests.selection import folders

SCREENSHOTS = ROOT / "build" / "screenshots"
OWNERS = ("Ada", "Grace")
FAILED = pytest.StashKey[bool]()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "e2e" in folders(item.path):
            item.add_marker(pytest.mark.e2e)
            # Browsers are slow where other tests run beside them.
            item.add_marker(pytest.mark.timeout(300))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call):
    report = yield
    if report.when == "call":
        item.stash[FAILED] = report.failed
    return report


@pytest.fixture(scope="session")
def drivers(tmp_path_factory) -> Iterator[list[Chromium]]:
    """Two browsers that know nothing of each other; they serve all tests."""
    started: list[Chromium] = []
    try:
        for name in OWNERS:
            started.append(Chromium(tmp_path_factory.mktemp(f"profile-{name}"), PATIENCE))
        yield started
    finally:
        for driver in started:
            driver.quit()


@pytest.fixture(scope="module", params=["chromium", "firefox"])
def browser(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Chromium | Firefox]:
    """One of the browsers; it serves all tests of a file."""
    profile = tmp_path_factory.mktemp(f"profile-{request.param}")
    driver: Chromium | Firefox
    if request.param == "chromium":
        driver = Chromium(profile, PATIENCE)
    else:
        driver = Firefox(find_program("firefox-esr"), profile, PATIENCE)
    yield driver
    driver.quit()


Serve = Callable[..., Server]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Starts the chat: ``server = serve({"sockjs.transports": "xhr-polling"})``."""
    running: list[Server] = []

    def serve(
        settings: dict[str, str] | None = None, options: dict[str, str] | None = None
    ) -> Server:
        server = Server(tmp_path, settings, options)
        running.append(server)
        server.start()
        return server

    yield serve
    for server in running:
        server.stop()
        assert "Traceback" not in server.log()


def watched(drivers: list[Chromium], request: pytest.FixtureRequest) -> Iterator[list[ChatPage]]:
    """Give a page in each browser to a test; an error or a warning in a console fails it.

    Where it fails, pictures of the pages are kept.
    """
    pages = [
        ChatPage(driver, owner, PATIENCE) for driver, owner in zip(drivers, OWNERS, strict=True)
    ]
    for driver in drivers:
        # What was asked for when the last test ended is no error of this one.
        driver.errors()
    yield pages
    if request.node.stash.get(FAILED, True):
        name = request.node.name.replace("/", "-")
        for page in pages:
            page.screenshot(SCREENSHOTS / f"failed-{name}-{page.owner}.png")
    errors = [error for page in pages for error in page.errors()]
    for driver in drivers:
        driver.reset()
    assert not errors


@pytest.fixture
def browsers(
    drivers: list[Chromium], serve: Serve, request: pytest.FixtureRequest
) -> Iterator[list[ChatPage]]:
    """Ada's page and Grace's, without any memory of earlier tests; the servers still run after."""
    yield from watched(drivers, request)
