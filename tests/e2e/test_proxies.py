"""Two people behind each proxy: everything arrives, once and in order, and how soon is told."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.e2e.chromium import Chromium
from tests.e2e.conftest import OWNERS, SCREENSHOTS, Serve, watched
from tests.e2e.conversation import LONG, assert_complete, converse
from tests.e2e.page import ChatPage
from tests.e2e.report import row
from tests.e2e.server import PATIENCE, PLENTY, Server
from tests.proxies.behaviour import ACTIONS, Behaviour, Cut, Drop
from tests.proxies.middlebox import Middlebox
from tests.proxies.programs import HAProxy, Nginx, Squid
from tests.proxies.tcp import Proxy, in_thread
from tests.selection import FULL, cases

TRUSTED = {
    "trusted_proxy": "127.0.0.1",
    "trusted_proxy_headers": "x-forwarded-for x-forwarded-proto",
}

NO_WEBSOCKET = r"WebSocket connection to '\S+' failed"
LOST = rf"{NO_WEBSOCKET}|net::ERR_"

Reach = Callable[[Path, str], AbstractContextManager[str]]


@contextmanager
def directly(folder: Path, url: str) -> Iterator[str]:
    yield url


def nginx(site: str) -> Reach:
    @contextmanager
    def reach(folder: Path, url: str) -> Iterator[str]:
        with Nginx(folder, url, site) as proxy:
            yield proxy.url

    return reach


@contextmanager
def haproxy(folder: Path, url: str) -> Iterator[str]:
    with HAProxy(folder, url, 8) as proxy:
        yield proxy.url


def middlebox(behaviour: Behaviour, deed: str) -> Reach:
    """Put one between, which must have done something by a name at the end; not to the pages."""

    @contextmanager
    def reach(folder: Path, url: str) -> Iterator[str]:
        with in_thread(Middlebox(url, behaviour, CHAT)) as box:
            yield box.url
            assert box.counts[deed], deed

    return reach


@dataclass(frozen=True)
class Way:
    """What stands between the browsers and the server.

    Attributes:
        reach: puts it there, and gives the URL under which the chat is then reached.
        transports: one of which both must have at the end.
        errors: that the console shows.
        options: of the server.
        steady: the first connection lasts.
        count: of messages that each says; more where it goes by the bytes.
    """

    reach: Reach
    transports: tuple[str, ...]
    errors: str = ""
    options: dict[str, str] = field(default_factory=dict)
    steady: bool = True
    count: int = 10


CHAT = "/chat"
HELD = Behaviour(upgrade="swallowed", hold=math.inf)
STREAMING = ("xhr-streaming",)
BUSY = Behaviour(upgrade="swallowed", busy=5)
FALLBACKS = ("xhr-streaming", "eventsource", "xhr-polling")
ANY = ("websocket", *FALLBACKS)
WAYS = {
    "direct": Way(directly, ("websocket",)),
    "nginx, WebSocket": Way(nginx("nginx-websocket.conf"), ("websocket",), options=TRUSTED),
    "nginx, default buffering": Way(
        nginx("nginx-plain.conf"), STREAMING, NO_WEBSOCKET, options=TRUSTED
    ),
    "upgrade swallowed": Way(
        middlebox(Behaviour(upgrade="swallowed"), "upgrades"), STREAMING, NO_WEBSOCKET
    ),
    "upgrade never answered": Way(
        middlebox(Behaviour(upgrade="unanswered"), "upgrades"), STREAMING, NO_WEBSOCKET
    ),
    "responses held": Way(middlebox(HELD, "held"), ("xhr-polling",), NO_WEBSOCKET),
    "HTTP 1.0": Way(middlebox(Behaviour(http_1_0=True), "old"), STREAMING, NO_WEBSOCKET),
    "cut after 16 KiB": Way(
        middlebox(Behaviour(cut=Cut(after_bytes=16384)), "cuts"),
        ANY,
        LOST,
        steady=False,
        count=40,
    ),
    "frames to the page dropped": Way(
        middlebox(Behaviour(drop=Drop()), "dropped"), FALLBACKS, LOST, steady=False
    ),
    "frames to the page dropped after 8 KiB": Way(
        middlebox(Behaviour(drop=Drop(after_bytes=8192)), "dropped"),
        ANY,
        LOST,
        steady=False,
        count=40,
    ),
    "frames to the server dropped": Way(
        middlebox(Behaviour(drop=Drop("to the server")), "dropped"),
        FALLBACKS,
        LOST,
        steady=False,
    ),
}


def travel(
    name: str, way: Way, pages: list[ChatPage], server: Server, url: str, record
) -> tuple[ChatPage, ChatPage]:
    """Have both come, say their first words as soon as they can, see each other, and talk."""
    ada, grace = pages
    room = server.room("Lobby")
    history = [text for _, _, text in server.messages(room)]
    for page in pages:
        if way.errors:
            page.expect_errors(way.errors)
        page.measure(f"{page.owner} is here")
        page.open(f"{url}/rooms/{room}")
    for page in pages:
        page.until(lambda page=page: "delivered" in page.times(), "its first message", LONG)
        page.watch()
    first = ada.times(), ada.transport
    grace.until_said("Ada is here")
    ada.until_said("Grace is here")
    for page, other in ((ada, grace), (grace, ada)):
        page.until_said(*history, patience=LONG)
        see(page, other, server.user(other.owner))
    converse(pages, server, room, way.count)
    for page in pages:
        page.until(lambda page=page: page.transport in way.transports, f"{way.transports}", LONG)
        if way.steady:
            assert page.losses == 0
    record(*row(name, first[1], first[0]))
    return ada, grace


def see(page: ChatPage, other: ChatPage, user: int) -> None:
    """Check that a page shows that the other person is here, and that they are typing."""
    page.until(lambda: page.online(user), f"that {other.owner} is here", LONG)
    other.focus("#text")

    def is_typing() -> bool:
        # What is lost with a connection is not told again; who types goes on typing.
        other.driver.press(".")
        return other.owner in page.text("#typing")

    page.until(is_typing, f"that {other.owner} is typing", LONG)
    other.write("#text", "")


#: What test_transports.py, test_middleboxes.py and the others here meet, too.
FULL_ONLY = {
    "direct",
    "upgrade swallowed",
    "responses held",
    "HTTP 1.0",
    "frames to the page dropped",
    "frames to the page dropped after 8 KiB",
}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("way", cases(WAYS, FULL_ONLY))
def test_behind(
    browsers: list[ChatPage], serve: Serve, tmp_path: Path, record_property, request, way: Way
) -> None:
    """Both see what the database has, and talk over what this proxy leaves of HTTP."""
    name = request.node.callspec.id
    server = serve(PLENTY, way.options)
    with way.reach(tmp_path, server.url) as url:
        travel(name, way, browsers, server, url, record_property)
        for page in browsers:
            page.driver.get("about:blank")


def open_and_connect(page: ChatPage, url: str, proxy: Proxy) -> Callable[[], set[str]]:
    """Open the chat, which must connect at its first attempt.

    Returns:
        Says what it has asked for since.
    """
    before = Counter(proxy.counts)
    page.open(url)
    page.until_connected()
    # No more can be said of it exactly: the client's deadlines go by the clock, so a machine that
    # stands still for seconds may lose what was found, and has it again before this looks.
    assert page.states()[:2] == ["connecting", "open"]

    def asked() -> set[str]:
        return {name.removeprefix("requests of ") for name in proxy.counts - before} & ACTIONS

    return asked


@pytest.mark.timeout(300)
def test_loads_behind_a_proxy_that_holds_responses(browsers: list[ChatPage], serve: Serve) -> None:
    """Each connects at once; of what never ends one is tried, and nothing that is refused."""
    server = serve(PLENTY)
    page = browsers[0]
    page.expect_errors(NO_WEBSOCKET)
    page.note_states()
    expected = {"websocket", "xhr_streaming", "xhr"}
    with in_thread(Middlebox(server.url, HELD, CHAT)) as proxy:
        url = f"{proxy.url}/rooms/{server.room('Lobby')}"
        for _ in range(10 if FULL else 3):
            tried = open_and_connect(page, url, proxy)
            # What is better is looked for once it is connected.
            page.until(lambda tried=tried: tried() >= expected, f"{expected}")
            # What is sent comes over the connection that was found.
            assert tried() - {"xhr_send"} == expected
            assert page.transport == "xhr-polling"
            page.driver.get("about:blank")


@pytest.mark.timeout(300)
def test_a_server_that_is_busy_for_a_while(browsers: list[ChatPage], serve: Serve) -> None:
    """Its /info was quick, and then nothing is answered: what is tried last is waited for."""
    server = serve(PLENTY)
    page = browsers[0]
    page.expect_errors(NO_WEBSOCKET)
    page.note_states()
    with in_thread(Middlebox(server.url, BUSY, CHAT)) as proxy:
        open_and_connect(page, f"{proxy.url}/rooms/{server.room('Lobby')}", proxy)
        assert proxy.counts["busy"]
        page.driver.get("about:blank")


@pytest.mark.timeout(300)
def test_behind_haproxy_that_cuts_after_8_s(
    browsers: list[ChatPage], serve: Serve, tmp_path: Path, record_property
) -> None:
    """The heartbeat keeps the connection, so that both can talk after a long silence."""
    way = Way(haproxy, ("websocket",), options=TRUSTED)
    server = serve(PLENTY, way.options)
    with haproxy(tmp_path, server.url) as url:
        ada, grace = travel("HAProxy, 8 s idle", way, browsers, server, url, record_property)
        # Idleness itself: longer than the proxy allows, without anybody touching anything.
        silence(ada, 10)
        ada.say("still there?")
        grace.until_said("still there?")
        grace.say("yes")
        ada.until_said("yes")
        assert_complete(browsers, server, server.room("Lobby"))
        for page in browsers:
            assert page.losses == 0
            page.driver.get("about:blank")


def silence(page: ChatPage, seconds: int) -> None:
    """Let time pass in a page."""
    page.chromium.set_script_timeout(seconds + PATIENCE)
    page.chromium.execute_async_script("setTimeout(arguments[1], 1000 * arguments[0])", seconds)


@pytest.mark.timeout(300)
def test_behind_a_proxy_that_cuts_sooner_than_the_heartbeat_comes(
    browsers: list[ChatPage], serve: Serve
) -> None:
    """Idle connections are lost again and again, and what is said arrives all the same.

    The page's own pings come too late as well.
    """
    server = serve({**PLENTY, "sockjs.heartbeat_delay": "25"})
    room = server.room("Lobby")
    with in_thread(Middlebox(server.url, Behaviour(idle=2), CHAT)) as proxy:
        for page in browsers:
            page.expect_errors(LOST)
            page.open(f"{proxy.url}/rooms/{room}")
            page.until_connected()
        ada, grace = browsers
        for number in range(3):
            cuts = proxy.counts["cuts"]
            ada.until(lambda cuts=cuts: proxy.counts["cuts"] >= cuts + 2, "that it is cut")
            ada.say(f"Ada {number}")
            grace.say(f"Grace {number}")
            for page in browsers:
                page.until_said(f"Ada {number}", f"Grace {number}")
        for page in browsers:
            page.until(lambda page=page: all(m["number"] for m in page.messages()), "confirmed")
        assert_complete(browsers, server, room)
        for page in browsers:
            page.driver.get("about:blank")


@pytest.fixture
def squid(tmp_path: Path) -> Iterator[Squid]:
    """Squid with Debian's rules."""
    with Squid(tmp_path) as proxy:
        yield proxy


@pytest.fixture
def pages_behind_squid(
    squid: Squid, serve: Serve, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[list[ChatPage]]:
    """Browsers that reach everything by Squid only, loopback too."""
    network = (f"--proxy-server={squid.url}", "--proxy-bypass-list=<-loopback>")
    drivers: list[Chromium] = []
    try:
        for owner in OWNERS:
            drivers.append(Chromium(tmp_path / f"profile-{owner}", PATIENCE, network))
        yield from watched(drivers, request)
    finally:
        for driver in drivers:
            driver.quit()


@pytest.mark.timeout(300)
def test_behind_squid(
    pages_behind_squid: list[ChatPage], squid: Squid, serve: Serve, record_property
) -> None:
    """As a forward proxy that refuses tunnels to other ports than 443."""
    way = Way(directly, STREAMING, rf"{NO_WEBSOCKET}|ERR_TUNNEL_CONNECTION_FAILED")
    server = serve(PLENTY)
    name = "Squid, CONNECT to 443 only"
    travel(name, way, pages_behind_squid, server, server.url, record_property)
    assert f"CONNECT 127.0.0.1:{server.port}" in squid.log()
    assert "TCP_DENIED/403" in squid.log()
    pages_behind_squid[0].screenshot(SCREENSHOTS / "behind-squid.png")
