"""The server under test: ours, or any other whose URL is in ``SOCKJS_TEST_URL``."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from importlib import import_module

import pytest

from tests.conformance.wire import Client
from tests.selection import folders

FOREIGN_URL = os.environ.get("SOCKJS_TEST_URL", "").rstrip("/")

Launch = Callable[..., AbstractContextManager[Client]]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "ours: behaviour beyond the protocol text, skipped for a foreign server"
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "conformance" in folders(item.path):
            item.add_marker(pytest.mark.conformance)
            if FOREIGN_URL and item.get_closest_marker("ours"):
                item.add_marker(pytest.mark.skip(reason="not required of a foreign server"))


@contextmanager
def launch_application(
    *, package: str = "conformance_app", shutdown_timeout: float = 2, **settings: str
) -> Iterator[Client]:
    """Start one of the test applications on a free port.

    Args:
        package: the application's, below ``tests.pkgs``.
        shutdown_timeout: seconds that the server's stop may take.
        settings: endpoint defaults without their ``sockjs.`` prefix.
    """
    from sockjs_bridge.testing import serve

    main = import_module(f"tests.pkgs.{package}").main
    app = main(**{f"sockjs.{name}": value for name, value in settings.items()})
    with serve(app, shutdown_timeout=shutdown_timeout) as url:
        client = Client(url.rstrip("/"))
        try:
            yield client
        finally:
            client.close()


@pytest.fixture(scope="session", params=["fast", "reference"])
def fast(request: pytest.FixtureRequest) -> str:
    """Whether the second skin is on, as the setting has it."""
    if FOREIGN_URL and request.param == "reference":
        pytest.skip("a foreign server has one skin")
    return str(request.param == "fast")


@pytest.fixture(scope="session")
def server(fast: str) -> Iterator[str]:
    """The URL of the server under test, where every origin is allowed."""
    if FOREIGN_URL:
        yield FOREIGN_URL
    else:
        # Nobody who makes a few requests between two polls is given up, however busy the machine.
        settings = {"allowed_origins": "*", "disconnect_delay": "20"}
        with launch_application(**settings, fast=fast) as client:
            yield client.url


@pytest.fixture
def client(server: str) -> Iterator[Client]:
    """Connections to the server under test."""
    client = Client(server)
    yield client
    client.close()


@pytest.fixture(scope="session")
def launch(fast: str) -> Launch:
    """Starts a further server with other settings: ``with launch(max_sessions="2") as client``."""
    return partial(launch_application, fast=fast)


@pytest.fixture(scope="session")
def launch_resumable(fast: str) -> Launch:
    """Starts a further server of sessions that survive, with other settings."""
    return partial(launch_application, package="resumable_app", fast=fast)


@pytest.fixture(scope="session")
def resumable_server(launch_resumable: Launch) -> Iterator[str]:
    """The URL of a server of sessions that survive."""
    with launch_resumable(allowed_origins="*", disconnect_delay="20") as client:
        yield client.url


@pytest.fixture
def resumable_client(resumable_server: str) -> Iterator[Client]:
    """Connections to that server."""
    client = Client(resumable_server)
    yield client
    client.close()
