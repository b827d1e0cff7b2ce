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


Driver = Chromium | Firefox


@pytest.fixture(scope="session")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Driver]]:
    """Starts browsers, by the names of who has them; each then serves all tests of a worker."""
    known: dict[str, Driver] = {}

    def started(owner: str) -> Driver:
        if owner not in known:
            profile = tmp_path_factory.mktemp(f"profile-{owner}")
            if owner == "firefox":
                known[owner] = Firefox(find_program("firefox-esr"), profile, PATIENCE)
            else:
                known[owner] = Chromium(profile, PATIENCE)
        return known[owner]

    try:
        yield started
    finally:
        for driver in known.values():
            driver.quit()


@pytest.fixture(scope="session")
def drivers(started: Callable[[str], Driver]) -> list[Driver]:
    """Two Chromiums that know nothing of each other."""
    return [started(owner) for owner in OWNERS]


@pytest.fixture(scope="module", params=["chromium", "firefox"])
def browser(request: pytest.FixtureRequest, started: Callable[[str], Driver]) -> Iterator[Driver]:
    """One of the browsers; it forgets what was before a file, and not what a test left behind."""
    driver = started(OWNERS[0] if request.param == "chromium" else "firefox")
    driver.errors()
    yield driver
    driver.reset()


@pytest.fixture
def firefox(started: Callable[[str], Driver]) -> Iterator[Firefox]:
    """A Firefox without any memory of earlier tests."""
    driver = started("firefox")
    assert isinstance(driver, Firefox)
    driver.errors()
    yield driver
    driver.reset()


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
