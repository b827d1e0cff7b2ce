"""The server under test: ours, or any other whose URL is in ``SOCKJS_TEST_URL``.

Ours is reached in several ways, and every case runs over each: one process with either reader of
requests, and three processes of a cluster, behind HAProxy and behind nginx, which give each request
to the next one. Unless `FULL`, a case is behind one of the two by turns. One of sessions that
survive has one of the readers by turns, too: they differ in requests, and not in sessions. A case
that cannot be behind a balancer is marked ``direct``, with the reason.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from importlib import import_module

import pytest

from tests.cluster.processes import BALANCERS
from tests.conformance.balanced import Balanced
from tests.conformance.wire import Client
from tests.selection import FULL, beside_turns, folders

FOREIGN_URL = os.environ.get("SOCKJS_TEST_URL", "").rstrip("/")

#: How the server is reached: one process, by the fast reader of requests alone or not at all, or
#: several, by a balancer.
ONE_PROCESS = ["fast", "reference"]
DEPLOYMENTS = ["foreign"] if FOREIGN_URL else [*ONE_PROCESS, *BALANCERS]

# Why cases are marked ``direct``.
STOPS = "one process stops: tests/cluster/test_processes.py has one of several"
PLACES = "max_sessions is of one process"
LOG = "the log of this process is read"

Launch = Callable[..., AbstractContextManager[Client]]


def pytest_configure(config: pytest.Config) -> None:
    for marker in (
        "ours: behaviour beyond the protocol text, skipped for a foreign server",
        "direct(reason, *balancers): skipped behind these balancers, by default behind all",
    ):
        config.addinivalue_line("markers", marker)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    balanced: dict[str, list[pytest.Item]] = {}
    alone: dict[str, list[pytest.Item]] = {}
    for item in items:
        if "conformance" in folders(item.path):
            item.add_marker(pytest.mark.conformance)
            if FOREIGN_URL and item.get_closest_marker("ours"):
                item.add_marker(pytest.mark.skip(reason="not required of a foreign server"))
            deployment = getattr(item, "callspec", None) and item.callspec.params.get("deployment")
            if deployment not in BALANCERS:
                if "resumable" in item.path.name and deployment in ONE_PROCESS:
                    key = item.nodeid.replace(str(deployment), "", 1)
                    alone.setdefault(key, []).append(item)
                continue
            reasons = {}
            for marker in item.iter_markers("direct"):
                reason, *balancers = marker.args
                reasons |= dict.fromkeys(balancers or BALANCERS, reason)
            if deployment in reasons:
                item.add_marker(pytest.mark.skip(reason=reasons[deployment]))
            elif not reasons:
                balanced.setdefault(item.nodeid.replace(deployment, "", 1), []).append(item)
    if not FULL:
        left_out = {*beside_turns(balanced.values()), *beside_turns(alone.values())}
        config.hook.pytest_deselected(items=list(left_out))
        items[:] = [item for item in items if item not in left_out]


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


@pytest.fixture(scope="session", params=DEPLOYMENTS)
def deployment(request: pytest.FixtureRequest) -> str:
    """How the server under test is reached."""
    return str(request.param)


@pytest.fixture(scope="session")
def balanced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Balanced]:
    """What stands behind balancers; it is kept while other deployments have their turns."""
    with ExitStack() as stack:
        yield Balanced(tmp_path_factory.mktemp("balanced"), stack)


@contextmanager
def serve_for_all(package: str, deployment: str, balanced: Balanced) -> Iterator[str]:
    """Serve one of the test applications to every origin; the URL of that."""
    if deployment in BALANCERS:
        yield balanced.url(package, deployment)
    else:
        # Nobody who makes a few requests between two polls is given up, however busy the machine.
        settings = {"allowed_origins": "*", "disconnect_delay": "20"}
        fast = str(deployment == "fast")
        with launch_application(package=package, fast=fast, **settings) as client:
            yield client.url


@pytest.fixture(scope="session")
def server(deployment: str, balanced: Balanced) -> Iterator[str]:
    """The URL of the server under test, where every origin is allowed."""
    if FOREIGN_URL:
        yield FOREIGN_URL
    else:
        with serve_for_all("conformance_app", deployment, balanced) as url:
            yield url


@pytest.fixture
def client(server: str) -> Iterator[Client]:
    """Connections to the server under test."""
    client = Client(server)
    yield client
    client.close()


@pytest.fixture(scope="session")
def launch(deployment: str) -> Launch:
    """Starts a further server with other settings: ``with launch(max_sessions="2") as client``.

    Of one process, which no balancer is before.
    """
    return partial(launch_application, fast=str(deployment == "fast"))


@pytest.fixture(scope="session")
def launch_resumable(launch: Launch) -> Launch:
    """Starts a further server of sessions that survive, with other settings."""
    return partial(launch, package="resumable_app")


@pytest.fixture(scope="session")
def resumable_server(deployment: str, balanced: Balanced) -> Iterator[str]:
    """The URL of a server of sessions that survive."""
    with serve_for_all("resumable_app", deployment, balanced) as url:
        yield url


@pytest.fixture
def resumable_client(resumable_server: str) -> Iterator[Client]:
    """Connections to that server."""
    client = Client(resumable_server)
    yield client
    client.close()
