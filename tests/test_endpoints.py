"""`sockjs_bridge.endpoints`: which endpoint a path is for, and who serves them."""

from __future__ import annotations

import ast
import gc
import importlib
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from sockjs_bridge.endpoint import Endpoint
from sockjs_bridge.endpoints import Endpoints, Handshake, Workers
from sockjs_bridge.manager import TooManySessions
from sockjs_bridge.protocol import Target
from sockjs_bridge.settings import Settings
from tests.core import STREAM, XHR, HandClock, Recorder, RecordingHandler


class BareWorkers(Workers):
    pass


def make(*paths: str, max_sessions: int = 10) -> Endpoints:
    endpoints = Endpoints(max_sessions)
    for path in paths:
        endpoints.add(Endpoint(f"at {path}", path.__eq__, Settings()))
    return endpoints


@pytest.fixture(autouse=True)
def nothing_left_unserved() -> Iterator[None]:
    """What other tests have left to the collector is not found here."""
    gc.collect()
    yield
    gc.collect()


# Look-up


def test_names() -> None:
    endpoints = make("/echo", "/chat")
    assert [endpoint.name for endpoint in endpoints] == ["at /echo", "at /chat"]
    assert "at /echo" in endpoints
    assert "at /nowhere" not in endpoints
    assert endpoints["at /chat"].name == "at /chat"
    with pytest.raises(KeyError):
        _ = endpoints["at /nowhere"]


@pytest.mark.parametrize(
    ("path", "name", "target"),
    [
        ("/chat", "at /chat", Target("/chat", "greeting")),
        ("/chat/", "at /chat", Target("/chat", "greeting")),
        ("/chat/info", "at /chat", Target("/chat", "info")),
        ("/chat/0/s/xhr", "at /chat", Target("/chat", "xhr", "s")),
        ("/%63hat/0/s/xhr", "at /chat", Target("/%63hat", "xhr", "s")),
        ("/caf%C3%A9/0/s%2F/xhr", "at /café", Target("/caf%C3%A9", "xhr", "s%2F")),
        ("/0/s/websocket", "at ", Target("", "websocket", "s")),
    ],
)
def test_find(path: str, name: str, target: Target) -> None:
    """The base is percent-decoded for the match, and stays as it stands in the URL."""
    found = make("/chat", "/café", "").find(path)
    assert found is not None
    assert (found[0].name, found[1]) == (name, target)


@pytest.mark.parametrize(
    "path",
    ["/nowhere", "/chat2/info", "/chat/0/s/nothing", "/chat//", "/%ff/info", "/\udcff/info", ""],
)
def test_find_nothing(path: str) -> None:
    assert make("/chat").find(path) is None


def test_longest_suffix_wins() -> None:
    """`/a/b/c/websocket` below `/a` is a session URL, below `/a/b/c` a raw WebSocket."""
    path = "/a/b/c/websocket"
    for paths, target in [
        (("/a",), Target("/a", "websocket", "c")),
        (("/a/b/c",), Target("/a/b/c", "raw-websocket")),
        (("/a/b/c", "/a"), Target("/a", "websocket", "c")),
    ]:
        found = make(*paths).find(path)
        assert found is not None
        assert found[1] == target


def test_first_that_matches_wins() -> None:
    """The order is that of the additions."""
    endpoints = Endpoints(10)
    for name in ("first", "second"):
        endpoints.add(Endpoint(name, lambda path: True, Settings()))
    found = endpoints.find("/x/info")
    assert found is not None
    assert found[0].name == "first"


# Serving


def test_not_served() -> None:
    endpoints = make("/chat")
    for attribute in ("clock", "workers"):
        with pytest.raises(RuntimeError, match="not served by sockjs_bridge"):
            getattr(endpoints, attribute)


def test_started() -> None:
    endpoints, clock, workers = make("/chat"), HandClock(), BareWorkers()
    endpoints.start(clock, workers)
    assert endpoints.clock is clock
    assert endpoints.workers is workers
    assert endpoints["at /chat"].manager.clock is clock


def test_added_while_it_is_served() -> None:
    endpoints, clock = make(), HandClock()
    endpoints.start(clock, BareWorkers())
    endpoints.add(Endpoint("late", bool, Settings()))
    assert endpoints["late"].manager.clock is clock


def test_sessions_of_all_endpoints_are_counted_together() -> None:
    """`max_sessions` is of one process."""
    endpoints = make("/a", "/b", max_sessions=2)
    endpoints.start(HandClock(), BareWorkers())
    for name in "ab":
        endpoints[f"at /{name}"].manager.create("s", XHR)
    with pytest.raises(TooManySessions):
        endpoints["at /a"].manager.create("t", XHR)


def test_close() -> None:
    endpoints = make("/a", "/b")
    endpoints.start(HandClock(), BareWorkers())
    receivers = []
    for endpoint in endpoints:
        session = endpoint.manager.create("s", STREAM)
        session.accept(RecordingHandler())
        receivers.append(Recorder(STREAM))
        session.attach(receivers[-1])
    endpoints.close(3000, "Go away!")
    assert [receiver.frames for receiver in receivers] == [["o", 'c[3000,"Go away!"]']] * 2


def test_handshake() -> None:
    endpoints = make("/chat")
    endpoints.start(HandClock(), BareWorkers())
    endpoint = endpoints["at /chat"]
    session = endpoint.manager.create("s", XHR)
    handshake = Handshake(endpoint, session)
    assert (handshake.endpoint, handshake.session, handshake.handler) == (endpoint, session, None)


# Whose endpoints


def application(endpoints: Any) -> Any:
    return SimpleNamespace(registry=SimpleNamespace(sockjs=SimpleNamespace(endpoints=endpoints)))


def test_of_an_application() -> None:
    """Its registry's, whatever else there is."""
    own, other = make("/own"), make("/other")
    assert Endpoints.of(application(own)) == [own]
    assert Endpoints.of(application(other)) == [other]


@pytest.mark.parametrize(
    "hidden", [object(), application(None), SimpleNamespace(registry=None), print]
)
def test_of_wrapped_applications(hidden: object) -> None:
    """Where a filter hides what is inside: those that no server serves yet."""
    first, second, served = make("/first"), make("/second"), make("/served")
    served.start(HandClock(), BareWorkers())
    found = Endpoints.of(hidden)
    assert first in found
    assert second in found
    assert served not in found


def test_unserved_endpoints_are_not_kept_alive() -> None:
    """An application that is gone leaves nothing to be found."""
    before = len(Endpoints.of(object()))
    endpoints = make()
    assert len(Endpoints.of(object())) == before + 1
    del endpoints
    gc.collect()
    assert len(Endpoints.of(object())) == before


@pytest.mark.parametrize(
    "call",
    [
        lambda: BareWorkers().submit(print),
        lambda: BareWorkers().start(print, "name"),
        lambda: BareWorkers().spawn(None),  # type: ignore[arg-type]
    ],
)
def test_contract_has_no_behaviour_of_its_own(call: Callable[[], object]) -> None:
    """An implementation that leaves something out says so."""
    with pytest.raises(NotImplementedError):
        call()


# The house


@pytest.mark.parametrize(
    "name",
    [
        *("protocol", "transports", "session", "contracts", "manager", "clock"),
        *("settings", "origins", "endpoint", "endpoints"),
    ],
)
def test_core_is_free_of_io(name: str) -> None:
    """architecture.md: the core imports no aiohttp, no Pyramid, no event loop."""
    module = importlib.import_module(f"sockjs_bridge.{name}")
    assert module.__file__ is not None
    with open(module.__file__) as source:
        tree = ast.parse(source.read())
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module or "")
    roots = {item.partition(".")[0] for item in imported}
    assert not roots & {"aiohttp", "pyramid", "asyncio", "uvloop", "socket", "threading", "webob"}
    assert not {item for item in imported if item.startswith("sockjs_bridge.server")}
    assert not {item for item in imported if item.startswith("sockjs_bridge.pyramid")}
