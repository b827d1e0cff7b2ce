"""`server.site`: where applications are mounted, and what strangers may do about it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from urllib.parse import quote, unquote

import pytest

from sockjs_bridge.core.hub import TooManySessions
from sockjs_bridge.core.protocol import Target
from sockjs_bridge.core.settings import Settings
from sockjs_bridge.core.states import State
from sockjs_bridge.endpoint.endpoint import Endpoint
from sockjs_bridge.endpoint.endpoints import Endpoints
from sockjs_bridge.endpoint.handshake import Inquiry
from sockjs_bridge.endpoint.outcomes import Answer
from sockjs_bridge.server.site import Mount, Site
from tests.endpoint.test_endpoints import BareWorkers, make
from tests.support import XHR, HandClock


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


#: Paths that a WSGI application reads as ``/chat/0/s/xhr``, or takes for it, and `find` does not.
STRANGE = [
    *("/chat%2F0%2Fs%2Fxhr", "/chat/0%2Fs/xhr", "/chat/0/s%2Fxhr", "/chat/0/s/%78hr"),
    *("/chat/0/s/xhr%2F", "/%63hat/0/s/xh%72", "/chat%2f0/s/xhr", "/chat/0/s/../xhr"),
    *("/chat/0/s%252Fx/xhr%20", "//chat/0/s/xhr;x", "/CHAT/0/s/xhr"),
]


@pytest.mark.parametrize("path", STRANGE)
@pytest.mark.parametrize("direct", [True, False])
def test_nothing_is_learned_of_a_strange_path(path: str, direct: bool) -> None:
    """A stranger's spelling shows no mount: it would make the look-up of all others dearer."""
    endpoints = make("/chat")
    here = site(application(endpoints) if direct else print)
    decoded = unquote(path)
    for inner in (decoded, "/chat/0/s/xhr"):
        assert not here.learn(path, inquiry(endpoints, "", inner))
    assert here.by_host is not direct
    assert here.find(path) is None
    assert not here._mounts


def test_application_at_the_root_needs_no_mount() -> None:
    endpoints = make("/chat")
    here = site(application(endpoints))
    assert here.learn("/chat/info", inquiry(endpoints, "", "/chat/info"))
    assert not here._mounts
    assert not here.by_host


@pytest.mark.parametrize("path", ["/%61pp/chat/0/s/xhr", "/app%2Fchat/0/s/xhr"])
def test_spellings_of_a_mount(path: str) -> None:
    """What `find` decodes may be encoded."""
    endpoints = make("/chat")
    here = site()
    assert here.learn(path, inquiry(endpoints, "/app", "/chat/0/s/xhr"))
    assert here.find(path) is not None
    assert here.find("/app/chat/0/s/xhr") is not None


def test_prefix_that_ends_within_a_segment() -> None:
    """A filter that cuts off anything: `find` looks for mounts at slashes only."""
    here = site()
    assert not here.learn("/app-chat/info", inquiry(make("-chat"), "/app", "-chat/info"))
    assert not here._mounts


def test_one_mount_for_each_application() -> None:
    """A filter may take the prefix from a header: who sends another one with each request neither
    fills the memory nor changes what others are told."""
    endpoints, here = make("/chat"), site()
    for number in range(3):
        script_name = f"/app{number}"
        assert here.learn("/chat/info", inquiry(endpoints, script_name, "/chat/info"))
    found = here.find("/chat/info")
    assert found is not None
    assert found[1].script_name == "/app0"
    assert sum(map(len, here._mounts.values())) == 1


def test_host_that_is_none() -> None:
    """It is not kept: a thousand of them would be megabytes."""
    here = site()
    asked = inquiry(make("/chat"), "", "/chat/info")
    assert not here.learn("/chat/info", asked, "x" * (Site.LONGEST_HOST + 1))
    assert here.learn("/chat/info", asked, "x" * Site.LONGEST_HOST)


def test_what_lasts() -> None:
    """Endpoints of the application at the root come first, whatever is learned later."""
    inner, outer = make("/chat"), make("/chat")
    here = site(application(outer))
    assert here.lasting("/chat")
    assert here.learn("/inner/chat/info", inquiry(inner, "/inner", "/chat/info"))
    assert here.lasting("/chat")
    assert not here.lasting("/inner/chat")
    assert not site().lasting("/chat")


def test_who_is_asked_for_outlives_a_flood(monkeypatch: pytest.MonkeyPatch) -> None:
    """Strangers that name any host push each other out."""
    monkeypatch.setattr(Site, "MOUNTS", 10)
    endpoints, here = make("/chat"), site()
    asked = inquiry(endpoints, "/app", "/chat/info")
    assert here.learn("/app/chat/info", asked, "ours.example")
    for number in range(100):
        assert here.learn("/app/chat/info", asked, f"{number}.example")
        assert here.find("/app/chat/0/s/xhr", "ours.example") is not None
    assert len(here._mounts) == 10


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


def test_applications_share_the_places_for_sessions() -> None:
    """`max_sessions` is of the process, whenever an application was found."""
    first, second = make("/one", max_sessions=1), make("/two", max_sessions=2)
    here = site(application(first))
    assert here.learn("/x/two/info", inquiry(second, "/x", "/two/info"))
    (one,), (two,) = first, second
    two.manager.create("s", XHR)
    with pytest.raises(TooManySessions):
        one.manager.create("s", XHR)
    two.manager.create("t", XHR)


def test_applications_share_what_speaks_against_new_clients() -> None:
    first, second = make("/one"), make("/two")
    here = site(application(first))
    assert here.learn("/x/two/info", inquiry(second, "/x", "/two/info"))
    here.readiness.block("draining")
    assert first.readiness.reasons == second.readiness.reasons == ("draining",)


def test_what_the_server_answers_itself() -> None:
    """Of an application that it calls directly: of another one it knows no paths."""
    first, second = make("/one"), make("/two")
    for endpoints in (first, second):
        endpoints.answers["/state"] = lambda: Answer(200)
    here = site(application(first))
    assert here.learn("/x/two/info", inquiry(second, "/x", "/two/info"))
    assert here.answer("/state") is first.answers["/state"]
    for path in ("/x/state", "/state/", "/st%61te", "/one"):
        assert here.answer(path) is None
    assert site().answer("/state") is None


def test_end_of_a_site() -> None:
    """Closing and finishing reach every application."""
    first, second = make("/one"), make("/two")
    here = site(application(first))
    here.learn("/two/info", inquiry(second, "", "/two/info"))
    sessions = []
    for endpoints in (first, second):
        (endpoint,) = endpoints
        sessions.append(endpoint.manager.create("s", XHR))
    assert list(here.close(3000, "Go away!")) == [None, None]
    # Of the end nobody is left out who begins late.
    assert not here.learn("/late/chat/info", inquiry(make("/chat"), "/late", "/chat/info"))
    assert [session.close_code for session in sessions] == [3000, 3000]
    assert not here.told
    here.finish()
    assert [session.state for session in sessions] == [State.CLOSED, State.CLOSED]
    assert here.told
