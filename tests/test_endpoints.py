"""`sockjs_bridge.endpoints`: which endpoint a path is for, and who serves them."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import pytest

from sockjs_bridge.endpoint import Endpoint
from sockjs_bridge.endpoints import Endpoints, Handshake, Inquiry, Mount, Site, Workers
from sockjs_bridge.manager import TooManySessions
from sockjs_bridge.protocol import Target
from sockjs_bridge.session import State
from sockjs_bridge.settings import Settings
from tests.core import STREAM, XHR, HandClock, Recorder, RecordingHandler


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


# Where applications are mounted


def application(endpoints: Any) -> Any:
    return SimpleNamespace(registry=SimpleNamespace(sockjs=SimpleNamespace(endpoints=endpoints)))


def site(app: object = print) -> Site:
    site = Site(app)
    site.start(HandClock(), BareWorkers())
    return site


def inquiry(endpoints: Endpoints, script_name: str, path_info: str) -> Inquiry:
    found = Inquiry()
    found.found = endpoints, script_name, path_info
    return found


def test_application_at_the_root() -> None:
    """What the server calls directly needs no first request to be found."""
    endpoints = make("/chat")
    here = site(application(endpoints))
    found = here.find("/chat/info")
    assert found == (endpoints["at /chat"], Target("/chat", "info"))
    assert here.find("/prefix/chat/info") is None
    assert endpoints.clock is not None


@pytest.mark.parametrize(
    "hidden", [object(), application(None), SimpleNamespace(registry=None), print]
)
def test_hidden_application(hidden: object) -> None:
    """What other WSGI code hides is found when it says so, and only there."""
    endpoints = make("/chat")
    here = site(hidden)
    assert here.find("/prefix/chat/info") is None
    assert here.learn("/prefix/chat/info", inquiry(endpoints, "/prefix", "/chat/info"))
    found = here.find("/prefix/chat/0/s/xhr")
    target = Target("/prefix/chat", "xhr", "s", script_name="/prefix")
    assert found == (endpoints["at /chat"], target)
    for elsewhere in ("/chat/info", "/other/chat/info", "/prefix/prefix/chat/info", "/prefixchat"):
        assert here.find(elsewhere) is None
    assert endpoints.clock is not None
    assert here.learn("/prefix/chat/info", inquiry(endpoints, "/prefix", "/chat/info"))
    assert here.find("/prefix/chat/0/s/xhr") == found


def test_mount_that_is_the_endpoint() -> None:
    """A route of the empty path, mounted: the endpoint is the mount itself."""
    endpoints = Endpoints(10)
    endpoints.add(Endpoint("root", lambda base: base in ("", "/"), Settings()))
    here = site()
    assert here.learn("/live/info", inquiry(endpoints, "/live", "/info"))
    found = here.find("/live/0/s/xhr")
    assert found is not None
    assert found[1].base == "/live"


def test_stripped_prefix() -> None:
    """A proxy in front cut the prefix off, and a filter tells the application of it."""
    endpoints = make("/chat")
    here = site()
    assert here.learn("/chat/info", inquiry(endpoints, "/app", "/chat/info"))
    found = here.find("/chat/info")
    assert found is not None
    assert found[1] == Target("/chat", "info", script_name="/app")


def test_non_ascii_mount() -> None:
    endpoints = make("/chät")
    here = site()
    native = "/chät/info".encode().decode("latin-1")
    assert here.learn(quote("/küche/chät/info"), inquiry(endpoints, "/k\xc3\xbcche", native))
    found = here.find(quote("/küche/chät/info"))
    assert found is not None
    assert found[1].script_name == "/küche"


def test_longest_mount_first() -> None:
    """As a composite chooses: /a/b goes to who is mounted there, not to who is at /a."""
    outer, inner = make("/b/chat"), make("/chat")
    here = site()
    assert here.learn("/a/b/chat/info", inquiry(outer, "/a", "/b/chat/info"))
    assert here.learn("/a/b/chat/info", inquiry(inner, "/a/b", "/chat/info"))
    found = here.find("/a/b/chat/info")
    assert found is not None
    assert found[0] is inner["at /chat"]


def test_two_applications_at_one_place() -> None:
    """A cascade: each has its own endpoints."""
    first, second = make("/one"), make("/two")
    here = site()
    assert here.learn("/one/info", inquiry(first, "", "/one/info"))
    assert here.learn("/two/info", inquiry(second, "", "/two/info"))
    assert [here.find(path) is not None for path in ("/one/info", "/two/info")] == [True, True]


def test_two_hosts() -> None:
    """A composite may choose by the host: what is known of one says nothing of another."""
    first, second = make("/chat"), make("/chat")
    here = site()
    assert here.learn("/chat/info", inquiry(first, "", "/chat/info"), "one.example")
    assert here.find("/chat/info", "two.example") is None
    assert here.learn("/chat/info", inquiry(second, "", "/chat/info"), "two.example")
    for host, endpoints in (("one.example", first), ("two.example", second)):
        found = here.find("/chat/info", host)
        assert found is not None
        assert found[0] is endpoints["at /chat"]


@pytest.mark.parametrize(
    ("path", "script_name", "path_info"),
    [
        ("/other/info", "", "/chat/info"),
        ("/%ff/chat/info", "/\xff", "/chat/info"),
        ("/x/chat/info", "/\xff", "/chat/info"),
        ("/chat/info", "", "/\xff/chat/info"),
    ],
)
def test_path_that_tells_nothing(path: str, script_name: str, path_info: str) -> None:
    """A filter rewrote the path, or it is no UTF-8."""
    here = site()
    assert not here.learn(path, inquiry(make("/chat"), script_name, path_info))
    assert here.find(path) is None


def test_nothing_is_learned_of_a_page() -> None:
    assert not site().learn("/chat/info", Inquiry())


def test_memory_of_mounts_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any prefix, any host: those that nobody asks for are forgotten, and found again."""
    monkeypatch.setattr(Site, "MOUNTS", 2)
    endpoints = make("/chat")
    here = site()
    for prefix in ("/a", "/b", "/c"):
        assert here.learn(f"{prefix}/chat/info", inquiry(endpoints, prefix, "/chat/info"))
        assert here.find("/a/chat/info") is not None
    assert here.find("/b/chat/info") is None
    assert here.find("/c/chat/info") is not None
    assert here.learn("/b/chat/info", inquiry(endpoints, "/b", "/chat/info"))
    assert here.find("/a/chat/info") is None


def test_path_of_slashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A long path is cut where a mount may end, not at each of its slashes."""
    here, asked = site(), []

    class Mounts(dict[tuple[str, str], list[Mount]]):
        def get(self, key: Any, default: Any = None) -> Any:
            asked.append(key)
            return super().get(key, default)

    monkeypatch.setattr(here, "_mounts", Mounts())
    endpoints = make("/chat")
    assert here.learn("/a/b/chat/info", inquiry(endpoints, "/a/b", "/chat/info"))
    assert here.find("/a/b/chat/info") is not None
    asked.clear()
    assert here.find("/" * 8000) is None
    assert len(asked) < 20


def test_end_of_a_site() -> None:
    """Closing and finishing reach every application."""
    first, second = make("/one"), make("/two")
    here = site(application(first))
    here.learn("/two/info", inquiry(second, "", "/two/info"))
    sessions = []
    for endpoints in (first, second):
        (endpoint,) = endpoints
        sessions.append(endpoint.manager.create("s", XHR))
    here.close(3000, "Go away!")
    assert [session.close_code for session in sessions] == [3000, 3000]
    assert not here.told
    here.finish()
    assert [session.state for session in sessions] == [State.CLOSED, State.CLOSED]
    assert here.told


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
        *("settings", "origins", "endpoint", "endpoints", "actions", "replies"),
        *("broadcasts", "credentials", "inbound", "outbox", "repeats", "rooms"),
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
    if name == "rooms":
        # Its lock: rooms are entered and left in any thread.
        roots.remove("threading")
    assert not roots & {"aiohttp", "pyramid", "asyncio", "uvloop", "socket", "threading", "webob"}
    assert not {item for item in imported if item.startswith("sockjs_bridge.server")}
    assert not {item for item in imported if item.startswith("sockjs_bridge.pyramid")}
