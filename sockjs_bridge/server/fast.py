"""The second skin: polls and sends of open sessions are answered within ``data_received``.

For each request aiohttp makes a task, a request and a response, which costs several times what the
endpoint does, and long-polling consists of nothing else. A request that came whole, alone and in
the plainest of forms, for a session that is open, is answered here. Everything else goes to aiohttp
as it came: nothing but aiohttp decides what is odd, what is an error, and where a request ends.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from email.utils import formatdate
from functools import lru_cache, partial
from http import HTTPStatus

from aiohttp import web

from sockjs_bridge.actions import Action
from sockjs_bridge.clock import Clock, DeadlineWheel
from sockjs_bridge.endpoint import Endpoint
from sockjs_bridge.endpoints import Site
from sockjs_bridge.replies import Reply, Request
from sockjs_bridge.server.aiohttp import Bridge
from sockjs_bridge.server.fast_opening import FastOpenings
from sockjs_bridge.server.fast_websocket import FastWebSocket, accept_key
from sockjs_bridge.server.plain import MAX_FORMS, MAX_HELD, Forms, Incomplete, Known, PlainRequest
from sockjs_bridge.server.proxy import MalformedForwarded, TrustedProxy
from sockjs_bridge.server.receivers import Connection, ConnectionReceiver
from sockjs_bridge.server.wsgi import address_of
from sockjs_bridge.server.wsgi_response import SERVER_NAME
from sockjs_bridge.session import Session, State
from sockjs_bridge.transports import RECEIVING, SENDING

#: Seconds that the rest of a request may take: browsers send head and body one after the other.
HOLD = 0.25

#: How many ticks of the loop aiohttp has, after the last byte of a response, to say that it waits
#: for the next request: a quick client's next poll is there before.
LOOKS = 3

_HOT = {*RECEIVING, *SENDING}


class FastSkin:
    """What the connections of a server need to answer by themselves.

    Args:
        site: where the endpoints are.
        bridge: answers everything else.
        openings: open WebSockets.
        aiohttp: makes aiohttp's protocol of a connection.
        proxy: what a reverse proxy may tell of its clients.
        clock: the loop's.
        keepalive_timeout: seconds that a connection stays open between two requests.
    """

    def __init__(
        self,
        site: Site,
        bridge: Bridge,
        openings: FastOpenings,
        aiohttp: Callable[[], asyncio.Protocol],
        proxy: TrustedProxy,
        clock: Clock,
        keepalive_timeout: float,
    ) -> None:
        self.bridge = bridge
        self.openings = openings
        self.aiohttp = aiohttp
        self.clock = clock
        self.wheel = DeadlineWheel(clock)
        self.keepalive_timeout = keepalive_timeout
        self._site = site
        self._proxy = proxy

    def handle(self, request: PlainRequest, forms: Forms, connection: Connection) -> Reply | None:
        """Has the endpoint answer a request.

        Args:
            request: the one.
            forms: of the requests on the connection; a poll's or send's is added.
            connection: over which it came.

        Returns:
            None where it is no poll or send of an open session, or where the application is to
            be asked who makes it.
        """
        if self.bridge.stopping:
            return None
        action = request.action
        if action is None:
            action = self._action(request, connection)
            if action is None:
                return None
            # Behind other WSGI code another request may show that the path means something else.
            if request.form and not self._site.by_host:
                if len(forms) >= MAX_FORMS:
                    forms.clear()
                forms[request.form] = Known(len(request.body), action)
        session = action.session
        if (
            session is None
            or session.state is State.NEW
            or len(request.body) > action.manager.settings.max_message_size
        ):
            return None
        reply = action.take(session, request.query, request.body, connection.peer)
        return None if reply.unproven is not None else reply

    def _action(self, request: PlainRequest, connection: Connection) -> Action | None:
        head = request.head
        if head is None or head.target.startswith("//") or "#" in head.target:
            return None
        host = head.headers["Host"]
        if self._proxy.headers:
            try:
                host = self._proxy.apply(address_of(connection.transport), "", head.headers).host
            except MalformedForwarded:
                return None
        path = head.target.partition("?")[0]
        found = self._site.find(path, host.lower() if self._site.by_host else "")
        if found is None:
            return None
        endpoint, target = found
        if target.action not in _HOT or not endpoint.settings.fast:
            return None
        return endpoint.action(target, Request(head.method, "", head.headers, host))


#: In aiohttp's place as long as it has no part in a connection.
NOBODY = asyncio.Protocol()


class FastConnection(Connection):
    """A connection whose polls and sends are answered at once.

    aiohttp gets to know of it by the first request that is none of these, and forgets it when
    there is one again; so a request that is never completed, or that never comes, meets aiohttp's
    own limits. What this class does not understand to its end leaves the connection to aiohttp for
    good.

    Args:
        skin: what it shares with the others.
        open_ones: where it stands while it is open.
    """

    __slots__ = (
        *("_aligned", "_counted", "_due", "_forms", "_held", "_looks", "_partial", "_skin"),
        *("_websocket", "slot"),
    )

    transport: asyncio.Transport

    def __init__(self, skin: FastSkin, open_ones: set[Connection]) -> None:
        super().__init__(NOBODY, skin.clock.time, open_ones)
        self.slot: int | None = None
        self._skin = skin
        # All that aiohttp got so far were whole requests.
        self._aligned = True
        # A request that is not complete, and when it is aiohttp's; or when the connection closes.
        self._partial = b""
        self._looks = 0
        self._due: float | None = None
        # What arrived behind a request that is not answered yet.
        self._held: bytearray | None = None
        self._websocket: FastWebSocket | None = None
        self._counted = False
        self._forms: Forms = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        super().connection_made(transport)
        self._wait_until(self._now() + self._skin.keepalive_timeout)

    def data_received(self, data: bytes) -> None:
        """Called by the loop."""
        self.heard = self._now()
        if self._websocket is not None:
            self._websocket.feed(data)
            return
        if self._held is not None:
            self._hold(data)
            return
        if self._aligned:
            begun = self._partial
            whole = begun + data if begun else data
            try:
                request = PlainRequest.read(whole, self._forms)
            except Incomplete:
                if not begun:
                    self._wait_until(self.heard + HOLD)
                self._partial = whole
                return
            idle = self._inner is NOBODY or self._aiohttp_waits()
            if request is not None and not idle and self._looks < LOOKS:
                self._looks += 1
                self._partial = whole
                self._skin.clock.call_soon(self._look_again)
                return
            self._partial = b""
            self._looks = 0
            self._aligned = request is not None
            if request is not None and idle and self._answer(request):
                return
            if begun:
                # As it came: what is wrong behind a request does not take that one along.
                self._ask_aiohttp(begun)
        self._ask_aiohttp(data)

    def _look_again(self) -> None:
        begun, self._partial = self._partial, b""
        if begun and not self.lost:
            self.data_received(begun)

    def _ask_aiohttp(self, data: bytes) -> None:
        self._due = None
        if self._inner is NOBODY:
            self._inner = self._skin.aiohttp()
            self.answered = 0
            self._inner.connection_made(self.transport)
        self._inner.data_received(data)

    def _aiohttp_waits(self) -> bool:
        """Tells whether aiohttp is answering nothing."""
        # The only sign that aiohttp gives of having said everything. Without this attribute every
        # connection that aiohttp knows of is left to it.
        waiter = getattr(self._inner, "_waiter", None)
        return waiter is not None and not waiter.done()

    def _forget_aiohttp(self) -> None:
        if self._inner is not NOBODY:
            aiohttp, self._inner = self._inner, NOBODY
            # It would close it.
            aiohttp.transport = None  # type: ignore[attr-defined]
            aiohttp.connection_lost(None)

    def _answer(self, request: PlainRequest) -> bool:
        skin = self._skin
        if request.head is not None and request.head.upgrades:
            if skin.bridge.stopping or not skin.openings.begin(request.head, self):
                return False
            self._begin()
            return True
        reply = skin.handle(request, self._forms, self)
        if reply is None:
            return False
        self._begin()
        if reply.session is not None:
            FastReceiver(self, reply.session, reply).open()
        elif reply.busy is not None:
            reply.busy.when_ready(partial(self.respond, reply))
        else:
            self.respond(reply)
        return True

    def _begin(self) -> None:
        """Notes that a request is being handled here."""
        if self._inner is not NOBODY:
            self._forget_aiohttp()
        self._due = None
        self._held = bytearray()
        self.busy = self._counted = True
        self._skin.bridge.begin()

    def respond(self, reply: Reply) -> None:
        """Answers the request that is being handled."""
        if not self.lost:
            self.transport.write(head(reply, len(reply.body)) + reply.body)
            self.finished()

    def finished(self) -> None:
        """Says that the response was handed to the transport."""
        self.busy = self._counted = False
        self._skin.bridge.end()
        if self._skin.bridge.stopping or (self.half_closed and not self._held):
            self.transport.close()
        elif self._held:
            self._skin.clock.call_soon(self._go_on)
        else:
            self._held = None
            self._due = self._now() + self._skin.keepalive_timeout
            # The wheel looks at what it has early enough: nothing it was told is later.
            if self.slot is None:
                self._skin.wheel.update(self)

    def _go_on(self) -> None:
        held, self._held = self._held, None
        if held and not self.lost:
            if len(held) > MAX_HELD:
                self.transport.resume_reading()
            self.data_received(bytes(held))

    def _hold(self, data: bytes) -> None:
        assert self._held is not None
        self._held += data
        if len(self._held) - len(data) <= MAX_HELD < len(self._held):
            self.transport.pause_reading()

    # WebSockets

    def upgrade(
        self, request: web.BaseRequest, endpoint: Endpoint, session: Session, reply: Reply
    ) -> FastWebSocket | None:
        """Makes a receiver that does without aiohttp from its `FastWebSocket.accept` on.

        Returns:
            None where the WebSocket is aiohttp's: that is also who refuses odd handshakes.
        """
        key = accept_key(request.headers)
        # What follows the handshake too soon, aiohttp has already.
        if key is None or not (endpoint.settings.fast and self._aligned):
            return None
        self._held = bytearray()
        return FastWebSocket(self, session, reply, key, endpoint.settings.max_message_size)

    def taken_over(self, websocket: FastWebSocket) -> None:
        """Says that all that arrives is for a WebSocket: aiohttp may forget the connection."""
        if not self._counted:
            # Until then aiohttp's request was.
            self._counted = True
            self._skin.bridge.begin()
        self._websocket = websocket
        self._forget_aiohttp()
        websocket.start()
        self._go_on()

    def given_back(self) -> None:
        """Says that the connection is still aiohttp's: the handshake was refused."""
        self._aligned = not self._held
        self._go_on()

    # The end

    def eof_received(self) -> bool | None:
        """Called by the loop: the peer sends no more."""
        self._give_up_waiting()
        if not self._counted:
            return super().eof_received()
        # A send may be answered late.
        self.half_closed = self.receiver is None and self._websocket is None
        return self.half_closed

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop."""
        self._due = None
        self._skin.wheel.drop(self)
        super().connection_lost(exc)
        self._websocket = None
        if self._counted:
            self._counted = False
            self._skin.bridge.end()

    # Deadlines

    def _wait_until(self, due: float) -> None:
        self._due = due
        self._skin.wheel.update(self)

    def deadline(self) -> float | None:
        """Returns when `on_deadline` wants to be called, in seconds of the clock."""
        return self._due

    def on_deadline(self, now: float) -> None:
        """Leaves what is not complete to aiohttp, or closes a connection that nobody uses."""
        self._due = None
        if self._partial and not self.half_closed:
            self._give_up_waiting()
        else:
            self.transport.close()

    def fail(self) -> None:
        """Drops the connection: what was due raised an exception."""
        self.abort()

    def _give_up_waiting(self) -> None:
        begun, self._partial = self._partial, b""
        if begun:
            self._aligned = False
            self._ask_aiohttp(begun)


class FastReceiver(ConnectionReceiver):
    """A poll or a stream, written to the transport at once."""

    __slots__ = ("_body", "_fast", "_reply")

    def __init__(self, connection: FastConnection, session: Session, reply: Reply) -> None:
        super().__init__(connection, session, reply)
        self._fast = connection
        self._reply = reply
        self._body = b""

    def open(self) -> None:
        """Begins the response, and attaches to the session."""
        if self.transport.streaming:
            prelude = self.transport.prelude(self.callback)
            self._out.write(head(self._reply, None) + _chunk(prelude))
        self._started = True
        self.session.attach(self)

    def write(self, data: bytes) -> bool:
        """Takes one frame's bytes."""
        if self.transport.streaming:
            self._out.write(_chunk(data))
        else:
            self._body += data
        return True

    def end(self) -> None:
        """Ends the response in good order."""
        if self.ended:
            return
        self.ended = True
        if self.transport.streaming:
            self._out.write(b"0\r\n\r\n")
        else:
            self._out.write(head(self._reply, len(self._body)) + self._body)
        self._fast.receiver = None
        self.session.detach(self, lost=False)
        self._fast.finished()

    def connection_lost(self) -> None:
        """Called when the peer is gone."""
        self.ended = True
        super().connection_lost()


def _chunk(data: bytes) -> bytes:
    # RFC 9112, 7.1.
    return b"%x\r\n%b\r\n" % (len(data), data)


def head(reply: Reply, length: int | None) -> bytes:
    """Returns the head of a response as aiohttp would write it.

    Args:
        reply: what to answer.
        length: bytes of the body; None: it comes in chunks.
    """
    return _fields(reply.status, tuple(reply.headers), length) + _date(int(time.time()))


@lru_cache(maxsize=256)
def _fields(status: int, headers: tuple[tuple[str, str], ...], length: int | None) -> bytes:
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"]
    lines += [f"{name}: {value}" for name, value in headers]
    lines.append(f"Server: {SERVER_NAME}")
    if length is None:
        lines.append("Transfer-Encoding: chunked")
    elif status != 204:
        lines.append(f"Content-Length: {length}")
    return "\r\n".join(lines).encode()


@lru_cache(maxsize=2)
def _date(now: int) -> bytes:
    return f"\r\nDate: {formatdate(now, usegmt=True)}\r\n\r\n".encode()
