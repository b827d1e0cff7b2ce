"""Another site's page in the visitor's browser, with the visitor's cookies (api.md, section 8).

What Chromium 156 was seen to do, which these tests rest on:

- A cookie with ``SameSite=Lax`` (the helper's default) goes along from another port and from
  another name of the same site, and never from another site.
- One with ``SameSite=None; Secure`` goes along from another site too, over plain HTTP where the
  server is on loopback, but only in a browser that allows third-party cookies; the default is to
  block them.
- ``Sec-Fetch-Site`` comes to loopback and over HTTPS, not over plain HTTP, and never with a
  WebSocket's handshake.
- The client's `eventsource` sends no cookies to another origin; its sends do.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from sockjs_bridge.endpoint.endpoint import Endpoint
from sockjs_bridge.testing import serve
from tests.e2e.chromium import ARGUMENTS, NO_PROXY
from tests.e2e.server import PATIENCE
from tests.endpoint.replies import Reply
from tests.integration.support import Journal, eventually
from tests.pkgs import members_app, other_site
from tests.pkgs.members_app import Members
from tests.proxies.programs import find_program

#: The id of the session that the application's own page has: a secret that leaked.
STOLEN = "stolen-session-id"

#: What is tried, and which of the endpoint's actions that must have led to.
ATTACKS = {
    "WebSocket": "websocket",
    "raw WebSocket": "raw-websocket",
    "WebSocket to the base": "raw-websocket",
    "info": "info",
    "fetch xhr": "xhr",
    "fetch xhr_streaming": "xhr_streaming",
    "fetch xhr, stolen": "xhr",
    "fetch xhr_streaming, stolen": "xhr_streaming",
    "fetch xhr_send, stolen": "xhr_send",
    "fetch without CORS, stolen": "xhr_send",
    "fetch without CORS and referrer, stolen": "xhr_send",
    "poll without CORS and referrer, stolen": "xhr",
    "EventSource": "eventsource",
    "EventSource, stolen": "eventsource",
    "script jsonp": "jsonp",
    "script jsonp, stolen": "jsonp",
    "frame htmlfile": "htmlfile",
    "frame htmlfile, stolen": "htmlfile",
    "frame iframe.html": "iframe",
    "form jsonp_send, stolen": "jsonp_send",
    "form xhr_send, stolen": "xhr_send",
    "form without referrer, stolen": "xhr_send",
    "silent frame htmlfile": "htmlfile",
    "silent frame eventsource": "eventsource",
    "silent script jsonp": "jsonp",
    "silent frame htmlfile, stolen": "htmlfile",
    "SockJS websocket": "websocket",
    "SockJS xhr-streaming": "xhr_streaming",
    "SockJS xhr-polling": "xhr",
    "SockJS eventsource": "eventsource",
    "SockJS jsonp-polling": "jsonp",
    "SockJS iframe-eventsource": "iframe",
    "SockJS iframe-htmlfile": "iframe",
    "SockJS iframe-xhr-polling": "iframe",
}
#: What sends no cookies to another origin: the client's own choice.
WITHOUT_COOKIES = {"SockJS eventsource"}
#: Whose client makes what, when the origin is allowed, and whom the application takes it for.
CROSS_ORIGIN = {
    "websocket": "ada",
    "xhr-streaming": "ada",
    "xhr-polling": "ada",
    "jsonp-polling": "ada",
    "iframe-eventsource": "ada",
    "iframe-htmlfile": "ada",
    "iframe-xhr-polling": "ada",
    "eventsource": "None",
}

LAX: dict[str, Any] = {}
NONE = {"samesite": "None", "secure": True}


class Place(NamedTuple):
    """Where the two sites are.

    Attributes:
        host: of the application.
        other: of the other site, on another port.
        ticket: settings of the application's cookie.
    """

    host: str
    other: str
    ticket: dict[str, Any]


ANOTHER_PORT = Place("127.0.0.1", "127.0.0.1", LAX)
ANOTHER_HOST = Place("127.0.0.1", "localhost", NONE)
ANOTHER_HOST_LAX = Place("127.0.0.1", "localhost", LAX)
# Names that a browser takes for no loopback.
PLAIN_HTTP = Place("app.club.test", "evil.club.test", LAX)

_numbers = itertools.count()


class Seen(NamedTuple):
    """A request as the endpoint saw it, and the status of its answer."""

    action: str
    status: int
    cookie: bool


@dataclass
class Watch:
    """What requests of each ``?tag=`` reached an endpoint."""

    requests: list[tuple[str | None, Seen]] = field(default_factory=list)

    def of(self, tag: str) -> list[Seen]:
        return [seen for known, seen in self.requests if known == tag]


@pytest.fixture(scope="module")
def watch() -> Iterator[Watch]:
    watch = Watch()
    handle = Endpoint.handle

    def watched(self, target, request, proof=None):
        outcome = handle(self, target, request, proof)
        tag = parse_qs(request.query).get("tag", [None])[0]
        cookie = "auth_tkt" in request.headers.get("Cookie", "")
        watch.requests.append((tag, Seen(target.action, Reply.of(outcome).status, cookie)))
        return outcome

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Endpoint, "handle", watched)
        yield watch


@pytest.fixture(scope="module")
def driver() -> Iterator[webdriver.Chrome]:
    """A browser that sends all cookies that it may send."""
    options = webdriver.ChromeOptions()
    options.binary_location = find_program("chromium")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        for argument in (
            *ARGUMENTS,
            *NO_PROXY,
            f"--user-data-dir={profile}",
            "--host-resolver-rules=MAP *.test 127.0.0.1",
        ):
            options.add_argument(argument)
        options.add_experimental_option(
            "prefs",
            {"profile.cookie_controls_mode": 0, "profile.block_third_party_cookies": False},
        )
        driver = webdriver.Chrome(options, Service(find_program("chromedriver")))
        driver.set_page_load_timeout(PATIENCE)
        driver.set_script_timeout(PATIENCE)
        yield driver
        driver.quit()


SIGN_IN = """
const done = arguments[0];
fetch("/sign-in", {
  method: "POST", body: new URLSearchParams({ name: "ada", password: "lovelace" }),
}).then((response) => done(response.status));
"""
CONNECT = """
const done = arguments[1];
window.heard = [];
window.sock = new SockJS("/club?tag=own", null, {
  transports: ["xhr-polling"], sessionId: () => arguments[0],
});
sock.onopen = () => done("open");
sock.onclose = (event) => { heard.push(`closed ${event.code}`); done("closed"); };
sock.onmessage = (event) => { heard.push(event.data); window.onheard?.(); };
"""
SAY = """
const done = arguments[1];
window.onheard = () => done(heard);
sock.send(arguments[0]);
if (sock.readyState !== SockJS.OPEN) done(heard);
"""
ATTACK = """
const done = arguments[3];
Promise.resolve(attacks[arguments[0]](arguments[1], arguments[2]))
  .then(done, (error) => done(`threw ${error}`));
"""
CLIENT = """
const done = arguments[2];
client(arguments[0], arguments[1]).then(done, (error) => done(`threw ${error}`));
"""


class Stage:
    """The application with a member's page, and the other site, in one browser.

    Attributes:
        url: of the application.
        other: of the other site.
    """

    def __init__(self, driver: webdriver.Chrome, members: Members, app, url: str, other: str):
        self.driver = driver
        self.members = members
        self.app = app
        self.url = url
        self.other = other
        self.said: list[str] = []
        driver.get(url)
        assert driver.execute_async_script(SIGN_IN) == 200
        assert driver.execute_async_script(CONNECT, STOLEN) == "open"
        self._own = driver.current_window_handle
        driver.switch_to.new_window("tab")
        self._other = driver.current_window_handle

    def attack(self, name: str) -> tuple[str, str]:
        """Have a fresh page of the other site try something; return its tag, and what it heard."""
        tag = f"attack{next(_numbers)}"
        self.driver.switch_to.window(self._other)
        self.driver.get(self.other)
        heard = self.driver.execute_async_script(ATTACK, name, f"{self.url}/club?tag={tag}", STOLEN)
        return tag, heard

    def heard_in_frame(self) -> str | None:
        """Return what a frame told the other site's page."""
        return self.driver.execute_script("return window.heard ?? null")

    def connect(self, endpoint: str, transport: str) -> str:
        """Have the client in the other site's page connect and say hello."""
        self.driver.switch_to.window(self._other)
        self.driver.get(self.other)
        heard: str = self.driver.execute_async_script(CLIENT, f"{self.url}/{endpoint}", transport)
        return heard

    def assert_own_page_works(self) -> None:
        """Say something in the application's own page, which has heard and said nothing else."""
        self.driver.switch_to.window(self._own)
        self.said.append(f"message {len(self.said)}")
        heard = self.driver.execute_async_script(SAY, self.said[-1])
        assert heard == [f"ada: {text}" for text in self.said]
        events = self.members.journal.events("own")
        assert events == [("open", "ada"), *(("message", text) for text in self.said)]

    @property
    def sessions(self) -> int:
        """How many sessions the application has."""
        return len(self.app.registry.sockjs.endpoints["club"].sessions)

    def leave(self) -> None:
        """Close both pages' connections, and forget the cookies."""
        self.driver.switch_to.window(self._other)
        self.driver.delete_all_cookies()
        self.driver.close()
        self.driver.switch_to.window(self._own)
        self.driver.delete_all_cookies()
        self.driver.get("about:blank")


def set_up(driver: webdriver.Chrome, place: Place, *, allowed: bool = False) -> Iterator[Stage]:
    members = Members(Journal())
    with serve(other_site.app) as other:
        other = f"http://{place.other}:{urlsplit(other).port}"
        settings = {"sockjs.allowed_origins": other} if allowed else {}
        app = members_app.main(members=members, ticket=place.ticket, **settings)
        with serve(app) as url:
            url = f"http://{place.host}:{urlsplit(url).port}"
            stage = Stage(driver, members, app, url, other)
            yield stage
            stage.leave()


@pytest.fixture(scope="module", params=[ANOTHER_PORT, ANOTHER_HOST], ids=["port", "host"])
def stage(driver, watch, request) -> Iterator[Stage]:
    """Nobody but the application's own pages may connect."""
    yield from set_up(driver, request.param)


@pytest.mark.turns("stage")
@pytest.mark.parametrize("attack", ATTACKS)
def test_nothing_opens(stage: Stage, watch: Watch, attack: str) -> None:
    """The request comes, with the visitor's cookies, and is refused; the own page goes on."""
    tag, heard = stage.attack(attack)
    eventually(lambda: watch.of(tag))
    assert not heard.startswith(("read", "loaded", "threw"))
    assert stage.heard_in_frame() is None
    for seen in watch.of(tag):
        assert seen.action == ATTACKS[attack]
        assert seen.status in (403, 404)
        assert seen.cookie is (attack not in WITHOUT_COOKIES)
    assert stage.members.journal.events(tag) == []
    stage.assert_own_page_works()
    assert stage.sessions == 1


def test_all_attacks_are_tried(stage: Stage) -> None:
    """The list here is the page's."""
    stage.attack("info")
    assert stage.driver.execute_script("return Object.keys(attacks)") == list(ATTACKS)


@pytest.fixture(scope="module")
def plain_stage(driver, watch) -> Iterator[Stage]:
    yield from set_up(driver, PLAIN_HTTP)


@pytest.mark.parametrize("attack", ["silent frame htmlfile", "silent frame eventsource"])
def test_over_plain_http_a_silent_frame_opens_and_reads_nothing(
    plain_stage: Stage, watch: Watch, attack: str
) -> None:
    """The README says so: no header tells a frame without referrer from the application's own.

    Its hooks are called in the visitor's name; the other site hears nothing, and says nothing.
    """
    tag, _ = plain_stage.attack(attack)
    eventually(lambda: plain_stage.members.journal.events(tag))
    assert plain_stage.members.journal.events(tag) == [("open", "ada")]
    assert [seen.status for seen in watch.of(tag)] == [200]
    assert plain_stage.heard_in_frame() is None
    plain_stage.assert_own_page_works()


@pytest.mark.parametrize(
    "attack",
    [
        "WebSocket",
        "fetch without CORS and referrer, stolen",
        "poll without CORS and referrer, stolen",
        "EventSource, stolen",
        "form without referrer, stolen",
        "silent script jsonp",
    ],
)
def test_over_plain_http_nothing_else_opens(plain_stage: Stage, watch: Watch, attack: str) -> None:
    """What sends something, or could be read, is told apart without Sec-Fetch-Site too."""
    tag, heard = plain_stage.attack(attack)
    eventually(lambda: watch.of(tag))
    assert not heard.startswith(("read", "loaded", "threw"))
    assert {seen.status for seen in watch.of(tag)} <= {403, 404}
    assert plain_stage.members.journal.events(tag) == []
    plain_stage.assert_own_page_works()


@pytest.fixture(scope="module", params=[ANOTHER_PORT, ANOTHER_HOST], ids=["port", "host"])
def allowed_stage(driver, watch, request) -> Iterator[Stage]:
    """The other site may connect."""
    yield from set_up(driver, request.param, allowed=True)


@pytest.mark.parametrize("transport", CROSS_ORIGIN)
def test_an_allowed_origin_connects(allowed_stage: Stage, transport: str) -> None:
    """Over each transport that the client has for other origins, as the visitor."""
    heard = allowed_stage.connect("square", transport)
    assert heard == f"read {transport} {CROSS_ORIGIN[transport]}: hello"
    allowed_stage.assert_own_page_works()


def test_a_permission_needs_cookies(allowed_stage: Stage) -> None:
    """The client's eventsource comes without them, and is refused as nobody."""
    assert allowed_stage.connect("club", "eventsource") == "closed 4403"
    assert allowed_stage.connect("club", "xhr-streaming") == "read xhr-streaming ada: hello"


@pytest.mark.parametrize("transport", ["websocket", "xhr-polling", "iframe-htmlfile"])
def test_lax_cookies_do_not_come_from_another_site(driver, transport: str) -> None:
    """An allowed origin of another site is nobody to the application, as its pages are."""
    for stage in set_up(driver, ANOTHER_HOST_LAX, allowed=True):
        assert stage.connect("square", transport) == f"read {transport} None: hello"
        stage.assert_own_page_works()
