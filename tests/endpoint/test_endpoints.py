"""`sockjs_bridge.endpoint.endpoints`: which endpoint a path is for, and who serves them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sockjs_bridge.core.contracts import Workers
from sockjs_bridge.core.hub import TooManySessions
from sockjs_bridge.core.protocol import Target
from sockjs_bridge.core.settings import Settings
from sockjs_bridge.endpoint.endpoint import Endpoint
from sockjs_bridge.endpoint.endpoints import Endpoints
from sockjs_bridge.endpoint.handshake import Handshake
from sockjs_bridge.resume.contracts import ResumeMonitor
from sockjs_bridge.resume.shared import Shared
from tests.support import STREAM, XHR, HandClock, Recorder, RecordingHandler, make_hub

pytestmark = pytest.mark.interpreted


class BareWorkers(Workers):
    pass


def make(*paths: str, max_sessions: int = 10) -> Endpoints:
    endpoints = Endpoints(max_sessions)
    for path in paths:
        endpoints.add(Endpoint(f"at {path}", path.__eq__, Settings()))
    return endpoints


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


class Counted:
    """Matches one path, and counts how often it was asked."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.asked = 0

    def __call__(self, path: str) -> bool:
        self.asked += 1
        return path == self.path


def test_paths_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of endpoints and those of pages alike; a flood of pages costs the endpoints nothing."""
    monkeypatch.setattr(Endpoints, "REMEMBERED", 5)
    endpoints, match = Endpoints(10), Counted("/chat")
    endpoints.add(Endpoint("chat", match, Settings()))
    for path, found in [("/chat", True), ("/page", False)]:
        for _ in range(3):
            assert (endpoints.match(path) is not None) is found
    assert match.asked == 2
    for number in range(100):
        assert endpoints.match(f"/pages/{number}") is None
        assert len(endpoints._missed) <= 5
    match.asked = 0
    assert endpoints.match("/chat") is not None
    assert match.asked == 0


def test_no_more_paths_of_a_pattern_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """One may match any number of them."""
    monkeypatch.setattr(Endpoints, "REMEMBERED", 5)
    endpoints = Endpoints(10)
    endpoints.add(Endpoint("chat", lambda base: base.startswith("/chat/"), Settings()))
    for number in range(20):
        assert endpoints.match(f"/chat/{number}") is not None
        assert len(endpoints._matched) <= 5


def test_endpoint_that_is_added_late() -> None:
    """It is found where there was none before."""
    endpoints = make("/chat")
    assert endpoints.match("/late") is None
    endpoints.add(Endpoint("late", "/late".__eq__, Settings()))
    assert endpoints.match("/late") is endpoints["late"]


# Serving


def test_not_served() -> None:
    endpoints = make("/chat")
    for attribute in ("clock", "readiness", "workers"):
        with pytest.raises(RuntimeError, match="not served by sockjs_bridge"):
            getattr(endpoints, attribute)


def test_started() -> None:
    endpoints, clock, workers = make("/chat"), HandClock(), BareWorkers()
    endpoints.start(clock, workers)
    assert endpoints.clock is clock
    assert endpoints.workers is workers
    assert endpoints["at /chat"].manager.clock is clock


def test_readiness_is_that_of_the_process() -> None:
    one, other, shared = make("/a"), make("/b"), Shared()
    for endpoints in (one, other):
        endpoints.start(HandClock(), BareWorkers(), shared)
    one.readiness.block("draining")
    assert other.readiness.reasons == shared.readiness.reasons == ("draining",)


def test_who_waits_for_the_start() -> None:
    """They hear of each one, when all is there."""
    endpoints, heard = make("/chat"), []
    endpoints.when_served(lambda hub: heard.append((hub, len(endpoints["at /chat"].managers))))
    assert heard == []
    for times in (1, 2):
        endpoints.start(HandClock(), BareWorkers())
        assert len(heard) == times
        assert heard[-1] == (endpoints.hub, 2)


def test_managers() -> None:
    """One for each kind of sessions that there may be."""
    endpoint = Endpoint("chat", "/chat".__eq__, Settings())
    assert endpoint.managers == []
    endpoint.start(make_hub())
    assert endpoint.managers[0] is endpoint.manager
    assert len(endpoint.managers) == 2
    stock = Endpoint("stock", "/stock".__eq__, Settings(resume_window=0))
    stock.start(make_hub())
    assert stock.managers == [stock.manager]


def test_what_counts_resumptions() -> None:
    """Also for an endpoint that comes later."""
    endpoints = make("/chat")
    resumption = endpoints.resumption = ResumeMonitor()
    endpoints.start(HandClock(), BareWorkers())
    endpoints.add(Endpoint("late", bool, Settings()))
    for endpoint in endpoints:
        assert endpoint.managers[1].resumption is resumption


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


def test_sessions_of_all_applications_are_counted_together() -> None:
    """Each refuses at its own limit."""
    first, second, shared = make("/a", max_sessions=3), make("/b", max_sessions=2), Shared()
    for endpoints in (first, second):
        endpoints.start(HandClock(), BareWorkers(), shared)
    (one,), (other,) = first, second
    sessions = [one.manager.create(str(number), XHR) for number in range(2)]
    with pytest.raises(TooManySessions):
        other.manager.create("s", XHR)
    one.manager.create("s", XHR)
    with pytest.raises(TooManySessions):
        one.manager.create("t", XHR)
    for session in sessions:
        session.fail()
    other.manager.create("s", XHR)


def test_close() -> None:
    """Some sessions at a step, and none begins in any endpoint from the first moment on."""
    endpoints = make("/a", "/b")
    endpoints.start(HandClock(), BareWorkers())
    receivers = []
    for endpoint in endpoints:
        session = endpoint.manager.create("s", STREAM)
        session.accept(RecordingHandler())
        receivers.append(Recorder(STREAM))
        session.attach(receivers[-1])
    closing = endpoints.hub.close(3000, "Go away!")
    for endpoint in endpoints:
        with pytest.raises(TooManySessions, match="stops"):
            endpoint.manager.create("late", STREAM)
    assert list(closing) == [None, None]
    assert [receiver.frames for receiver in receivers] == [["o", 'c[3000,"Go away!"]']] * 2


def test_handshake() -> None:
    endpoints = make("/chat")
    endpoints.start(HandClock(), BareWorkers())
    endpoint = endpoints["at /chat"]
    session = endpoint.manager.create("s", XHR)
    handshake = Handshake(endpoint, session)
    assert (handshake.endpoint, handshake.session, handshake.handler) == (endpoint, session, None)


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
