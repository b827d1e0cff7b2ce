"""The table of who has a connection, held against the code: it says all that happens, and no more.

Each pair of state and event that the table has is met by a scenario, on a server without sockets.
What the table lacks raises.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPForbidden
from pyramid.response import Response

from sockjs_bridge.server.options import ServerOptions
from sockjs_bridge.server.runner import Runner
from sockjs_bridge.server.states import TRANSITIONS, Event, Ownership, State
from sockjs_bridge.server.turns import BEGINNINGS
from tests.server.support import PATIENCE, until
from tests.server.wire import HANDSHAKE, Talk, Unplugged, Wire

POLL = b"POST /talk/0/known/xhr HTTP/1.1\r\nHost: here\r\n\r\n"
SEND = b"POST /talk/0/known/xhr_send HTTP/1.1\r\nHost: here\r\nContent-Length: %d\r\n\r\n%b"
PAGE = b"GET /page HTTP/1.1\r\nHost: here\r\n\r\n"
#: aiohttp takes it for a page, too.
ODD = b"GET /page HTTP/1.1\r\nHost:\there\r\n\r\n"
#: Of a version that is aiohttp's to read, whole and plain.
OLD_HANDSHAKE = HANDSHAKE.replace(b"Version: 13", b"Version: 8")

Pair = tuple[State, Event]
PAIRS = {(state, event) for state, events in TRANSITIONS.items() for event in events}


def send(text: bytes) -> bytes:
    body = b'["%b"]' % text
    return SEND % (len(body), body)


class Server(Unplugged):
    """A server whose application refuses handshakes on demand, and whose page waits on demand."""

    def __init__(self, **options: str) -> None:
        self.refuses = False
        self.open = threading.Event()
        self.open.set()
        with Configurator(settings={"sockjs.max_inbound": "2"}) as config:
            config.include("sockjs_bridge")
            config.set_root_factory(self.root)
            config.add_sockjs_route("talk", "/talk", session=Talk)
            config.add_route("page", "/page")
            config.add_view(lambda request: Response("page"), route_name="page")
            self.heard = config.registry.heard = []
            self.gate = config.registry.gate = asyncio.Event()
            self.app = config.make_wsgi_app()
        listen = {"listen": "127.0.0.1:0", "shutdown_timeout": "0.1"}
        self.runner = Runner(self.app, ServerOptions.parse({**listen, **options}))

    def root(self, request: Any) -> None:
        assert self.open.wait(PATIENCE)
        if self.refuses:
            raise HTTPForbidden

    async def lent(self, data: bytes = PAGE) -> Wire:
        """A connection that is aiohttp's, which has answered."""
        wire = self.connect()
        wire.feed(data)
        await self.quiet()
        return wire

    def busy(self) -> Wire:
        """A connection whose aiohttp has a page that waits."""
        self.open.clear()
        wire = self.connect()
        wire.feed(PAGE)
        return wire

    async def slow_send(self) -> Wire:
        """A connection with a send that waits for the application."""
        wire = await self.open_session()
        wire.feed(send(b"wait"))
        async with asyncio.timeout(PATIENCE):
            while wire.protocol.state is not State.ANSWERING:
                await self.quiet()
                wire.feed(send(b"more"))
        return wire

    async def open_session(self) -> Wire:
        opening = await super().open()
        opening.close()
        await self.quiet()
        return self.connect()


Scenario = Callable[[Server], Awaitable[object]]
SCENARIOS: dict[Pair, Scenario] = {}


def meets(*pairs: Pair) -> Callable[[Scenario], Scenario]:
    """Say what happens in a scenario."""

    def note(scenario: Scenario) -> Scenario:
        assert not SCENARIOS.keys() & {*pairs}
        SCENARIOS.update(dict.fromkeys(pairs, scenario))
        return scenario

    return note


# Nobody but this server


@meets((State.IDLE, Event.TAKEN), (State.ANSWERING, Event.ANSWERED))
async def a_send(server: Server) -> None:
    wire = await server.open_session()
    wire.feed(send(b"a"))


@meets((State.IDLE, Event.BEGUN), (State.PARTIAL, Event.BEGUN), (State.PARTIAL, Event.TAKEN))
async def a_send_in_pieces(server: Server) -> None:
    wire, data = await server.open_session(), send(b"a")
    for begin in range(0, len(data), 30):
        wire.feed(data[begin : begin + 30])


@meets((State.IDLE, Event.ENDED), (State.CLOSING, Event.LOST))
async def nothing_comes(server: Server) -> None:
    await until_lost(server.connect())


@meets((State.IDLE, Event.LOST))
async def a_peer_that_asks_nothing(server: Server) -> None:
    server.connect().close()


@meets((State.PARTIAL, Event.LOST))
async def a_peer_that_asks_half(server: Server) -> None:
    wire = server.connect()
    wire.feed(PAGE[:9])
    wire.close()


@meets((State.ANSWERING, Event.ANSWERED_AND_MORE), (State.CATCHING_UP, Event.READ_ON))
async def a_send_behind_a_poll(server: Server) -> None:
    await behind_a_poll(server, lambda wire: None)


@meets((State.CATCHING_UP, Event.LOST))
async def a_peer_that_is_gone_before_what_it_sent_is_read(server: Server) -> None:
    await behind_a_poll(server, drop)


async def behind_a_poll(server: Server, then: Callable[[Wire], object]) -> Wire:
    polls, sends = await server.open_session(), server.connect()
    polls.feed(POLL)
    polls.feed(send(b"a"))
    sends.feed(send(b"echo"))
    async with asyncio.timeout(PATIENCE):
        while polls.protocol.state is not State.CATCHING_UP:
            await asyncio.sleep(0)
    then(polls)
    return polls


@meets((State.ANSWERING, Event.LOST))
async def a_peer_that_waits_no_more(server: Server) -> None:
    wire = await server.open_session()
    wire.feed(POLL)
    wire.close()


@meets((State.ANSWERING, Event.ENDED))
async def a_peer_that_says_no_more(server: Server) -> None:
    wire = await server.slow_send()
    assert wire.protocol.eof_received()
    server.gate.set()
    await until_lost(wire)


@meets((State.ANSWERING, Event.ACCEPTED))
async def a_websocket(server: Server) -> None:
    await server.open_websocket()


# aiohttp too


@meets((State.ANSWERING, Event.PASSED))
async def a_page_that_cannot_be_answered_here_after_all(server: Server) -> None:
    """As a relayed request is whose home dies."""
    wire = server.connect()
    wire.protocol.begin()
    wire.feed(PAGE)
    wire.protocol.pass_on(PAGE)
    await until(lambda: wire.written.count(b"HTTP/1.1 200 ") == 2)
    assert server.runner._activity.count == 0


@meets((State.IDLE, Event.PASSED))
async def a_page(server: Server) -> None:
    await server.lent()


@meets((State.IDLE, Event.ODD))
async def an_odd_page(server: Server) -> None:
    await server.lent(ODD)


@meets((State.PARTIAL, Event.PASSED))
async def a_page_in_pieces(server: Server) -> None:
    wire = server.connect()
    wire.feed(PAGE[:9])
    wire.feed(PAGE[9:])


@meets((State.PARTIAL, Event.ODD))
async def the_rest_does_not_come(server: Server) -> None:
    wire = server.connect()
    wire.feed(PAGE[:9])
    await until(lambda: wire.protocol.state is State.AIOHTTP)


@meets((State.LENT, Event.TAKEN))
async def a_send_behind_a_page(server: Server) -> None:
    await server.open_session()
    wire = await server.lent()
    wire.feed(send(b"a"))


@meets((State.LENT, Event.PASSED))
async def a_page_behind_a_page(server: Server) -> None:
    wire = await server.lent()
    wire.feed(PAGE)


@meets((State.LENT, Event.ODD))
async def an_odd_page_behind_a_page(server: Server) -> None:
    wire = await server.lent()
    wire.feed(ODD)


@meets((State.LENT, Event.BEGUN))
async def a_piece_behind_a_page(server: Server) -> None:
    wire = await server.lent()
    wire.feed(PAGE[:9])


@meets((State.LENT, Event.LOST))
async def a_peer_that_asked_for_a_page(server: Server) -> None:
    wire = await server.lent()
    wire.close()


@meets((State.AIOHTTP, Event.LOST))
async def a_peer_that_asked_oddly(server: Server) -> None:
    wire = await server.lent(ODD)
    wire.close()


# aiohttp is answering


@meets((State.LENT, Event.EARLY), (State.DEFERRED, Event.EARLY), (State.DEFERRED, Event.PASSED))
async def a_poll_before_a_page_is_answered(server: Server) -> None:
    wire = server.busy()
    wire.feed(POLL)
    assert wire.protocol.state is State.DEFERRED
    await until(lambda: wire.protocol.state is State.LENT)


@meets((State.IDLE, Event.EARLY))
async def more_pages_than_begin_in_a_tick(server: Server) -> None:
    wires = [server.connect() for _ in range(BEGINNINGS + 2)]
    for wire in wires:
        wire.feed(PAGE)
    states = [wire.protocol.state for wire in wires]
    assert states == [State.LENT] * BEGINNINGS + [State.DEFERRED] * 2
    await until(lambda: all(b"page" in wire.written for wire in wires))


@meets((State.PARTIAL, Event.EARLY))
async def a_poll_in_pieces_before_a_page_is_answered(server: Server) -> None:
    wire = server.busy()
    wire.feed(POLL[:9])
    wire.feed(POLL[9:])


@meets((State.DEFERRED, Event.TAKEN))
async def a_send_as_soon_as_the_page_is_there(server: Server) -> None:
    await server.open_session()
    wire = server.busy()
    server.open.set()
    async with asyncio.timeout(PATIENCE):
        while not wire.written:
            await asyncio.sleep(0)
    wire.feed(send(b"a"))
    await until(lambda: server.heard == ["a"])


@meets((State.DEFERRED, Event.ODD))
async def more_behind_what_is_deferred(server: Server) -> None:
    wire = server.busy()
    wire.feed(POLL)
    wire.feed(PAGE)


@meets((State.DEFERRED, Event.LOST))
async def a_peer_whose_poll_is_deferred(server: Server) -> None:
    wire = server.busy()
    wire.feed(POLL)
    drop(wire)


# WebSockets that aiohttp has read


@meets((State.LENT, Event.ASKED), (State.HANDSHAKE, Event.ACCEPTED))
async def an_old_websocket(server: Server) -> None:
    wire = await server.lent(OLD_HANDSHAKE)
    assert wire.written.startswith(b"HTTP/1.1 101 ")


@meets((State.AIOHTTP, Event.ASKED))
async def an_odd_websocket(server: Server) -> None:
    await server.lent(OLD_HANDSHAKE.replace(b"Host: ", b"Host:\t"))


@meets((State.PARTIAL, Event.ASKED))
async def a_piece_behind_a_handshake(server: Server) -> None:
    wire = server.connect()
    wire.feed(OLD_HANDSHAKE)
    wire.feed(POLL[:9])


@meets((State.DEFERRED, Event.ASKED))
async def a_poll_behind_a_handshake(server: Server) -> None:
    wire = server.connect()
    wire.feed(OLD_HANDSHAKE)
    wire.feed(POLL)


@meets((State.HANDSHAKE, Event.REFUSED))
async def a_refused_websocket(server: Server) -> None:
    server.refuses = True
    wire = await server.lent(OLD_HANDSHAKE)
    assert wire.written.startswith(b"HTTP/1.1 403 ")


@meets((State.HANDSHAKE, Event.REFUSED_AND_MORE))
async def a_page_behind_a_refused_websocket(server: Server) -> None:
    wire = await shaking(server)
    wire.feed(PAGE)
    server.refuses = True
    server.open.set()
    await until(lambda: wire.written.count(b"HTTP/1.1 403 ") == 2)


@meets((State.HANDSHAKE, Event.LOST))
async def a_peer_that_does_not_await_the_handshake(server: Server) -> None:
    drop(await shaking(server))


async def shaking(server: Server) -> Wire:
    server.open.clear()
    wire = server.connect()
    wire.feed(OLD_HANDSHAKE)
    await until(lambda: wire.protocol.state is State.HANDSHAKE)
    return wire


def drop(wire: Wire) -> None:
    """Have the connection lost in this tick."""
    wire.closed = True
    wire.protocol.connection_lost(None)


async def until_lost(wire: Wire) -> None:
    connection = wire.protocol
    await until(lambda: connection.state is State.LOST)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> set[Pair]:
    """What happens to connections."""
    pairs: set[Pair] = set()
    move = Ownership.move

    def note(self: Ownership, event: Event) -> None:
        before = self.state
        move(self, event)
        pairs.add((before, event))

    monkeypatch.setattr(Ownership, "move", note)
    return pairs


@pytest.mark.parametrize("pair", sorted(PAIRS), ids=lambda pair: f"{pair[0].name}-{pair[1].name}")
async def test_what_the_table_has_happens(pair: Pair, seen: set[Pair]) -> None:
    short = pair in ((State.IDLE, Event.ENDED), (State.CLOSING, Event.LOST))
    async with Server(keepalive_timeout="0.1" if short else "75") as server:
        await SCENARIOS[pair](server)
        server.open.set()
        await server.quiet()
        assert pair in seen


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("event", Event)
def test_what_the_table_lacks_is_impossible(state: State, event: Event) -> None:
    owned = Ownership(state)
    if (state, event) in PAIRS:
        owned.move(event)
        assert owned.state is TRANSITIONS[state][event]
    else:
        with pytest.raises(RuntimeError, match=f"{event.name} is impossible in {state.name}"):
            owned.move(event)
        assert owned.state is state


def test_every_state_is_in_the_table() -> None:
    """It can be reached, and the connection can end from there."""
    assert TRANSITIONS.keys() == {*State}
    reached = {state for events in TRANSITIONS.values() for state in events.values()}
    assert reached == {*State}
    ends = {state for state, events in TRANSITIONS.items() if Event.LOST not in events}
    assert ends == {State.UPGRADED, State.LOST}


def test_every_pair_has_its_scenario() -> None:
    assert SCENARIOS.keys() == PAIRS


async def test_a_crowd_of_websockets_opens_by_turns() -> None:
    """Who is gone before its turn is asked nothing any more."""
    async with Server() as server:
        wires = [server.connect() for _ in range(3 * BEGINNINGS)]
        for number, wire in enumerate(wires):
            wire.feed(HANDSHAKE.replace(b"/ws/", b"/ws%d/" % number))
        assert [wire.protocol.state for wire in wires[BEGINNINGS:]] == [State.DEFERRED] * (
            2 * BEGINNINGS
        )
        *opened, gone = wires
        drop(gone)
        await until(lambda: all(wire.written.endswith(b"\x81\x01o") for wire in opened))
        assert not gone.written


async def test_what_came_before_the_end_is_answered() -> None:
    """A peer may say that it sends no more while what it has sent waits to be read."""
    async with Server() as server:
        wire = await behind_a_poll(server, lambda wire: wire.protocol.eof_received())
        await until_lost(wire)
        assert server.heard == ["echo", "a"]
        assert b"HTTP/1.1 204 " in wire.written


@pytest.mark.parametrize(
    "rest",
    [POLL, POLL[:9], b"PUT /page", HANDSHAKE, OLD_HANDSHAKE],
    ids=["a poll", "a piece", "an odd piece", "a websocket", "an old websocket"],
)
async def test_what_must_wait_behind_what_is_answered_ends_with_its_peer(rest: bytes) -> None:
    """Whether the peer says that it sends no more before that is read, or behind it."""
    async with Server() as server:
        wire = await server.slow_send()
        wire.feed(rest)
        assert wire.protocol.eof_received()
        server.gate.set()
        await until(lambda: b"HTTP/1.1 204 " in wire.written)
        await server.quiet()
        assert wire.closed
        assert server.runner._activity.count == 0
        assert b"HTTP/1.1 101 " not in wire.written


@pytest.mark.parametrize("polls", ["false", "true"], ids=["plain", "aiohttp"])
async def test_a_request_that_began_behind_a_refused_handshake(polls: str) -> None:
    """Where it ends is known to aiohttp alone: no header's value becomes a request."""
    async with Server(access_log_polls=polls) as server:
        await server.open_session()
        server.refuses = True
        begun = b"POST /page HTTP/1.1\r\nHost: here\r\nContent-Length: 0\r\nX-Y: "
        wire = await server.lent(OLD_HANDSHAKE + begun)
        assert wire.written.startswith(b"HTTP/1.1 403 ")
        wire.feed(send(b"hidden"))
        await server.quiet()
        assert server.heard == []
        assert b"HTTP/1.1 204 " not in wire.written
