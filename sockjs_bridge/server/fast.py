"""The second skin: polls and sends of open sessions are answered within ``data_received``.

For each request aiohttp makes a task, a request and a response, which costs several times what the
endpoint does, and long-polling consists of nothing else. What came whole, alone and plain, for an
open session, is answered here. All else goes to aiohttp as it came: it alone decides what is odd.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from email.utils import formatdate
from functools import lru_cache, partial
from http import HTTPStatus

from sockjs_bridge.core.contracts import Clock
from sockjs_bridge.core.session import Session
from sockjs_bridge.core.states import State
from sockjs_bridge.core.transports import RECEIVING, SENDING
from sockjs_bridge.endpoint.actions import Action
from sockjs_bridge.endpoint.outcomes import Reply, Request
from sockjs_bridge.server import aiohttp_parts
from sockjs_bridge.server.dispatch import Bridge
from sockjs_bridge.server.fast_opening import FastOpenings
from sockjs_bridge.server.flow import SOCKJS_PATIENCE
from sockjs_bridge.server.plain import MAX_FORMS, Forms, Incomplete, Known, PlainRequest
from sockjs_bridge.server.proxy import MalformedForwarded, TrustedProxy
from sockjs_bridge.server.receivers import NOBODY, Connection, ConnectionReceiver, Shared
from sockjs_bridge.server.site import Site
from sockjs_bridge.server.wsgi.response import SERVER_NAME

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
        url_scheme: ``http`` or ``https``, as the server is reached without a proxy.
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
        url_scheme: str,
        clock: Clock,
        keepalive_timeout: float,
    ) -> None:
        self.bridge = bridge
        self.openings = openings
        self.aiohttp = aiohttp
        self.clock = clock
        self.keepalive_timeout = keepalive_timeout
        self._site = site
        self._proxy = proxy
        self._url_scheme = url_scheme

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
            if request.form and self._site.lasting(action.base):
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
        reply = action.take(session, request.query, request.body, connection.flow)
        return None if reply.unproven is not None else reply

    def _action(self, request: PlainRequest, connection: Connection) -> Action | None:
        head = request.head
        if head is None or head.target.startswith("//") or "#" in head.target:
            return None
        host, scheme = head.headers["Host"], self._url_scheme
        if self._proxy.headers:
            try:
                client = self._proxy.apply(connection.addresses.peer, scheme, head.headers)
            except MalformedForwarded:
                return None
            host, scheme = client.host, client.scheme
        path = head.target.partition("?")[0]
        found = self._site.find(path, host.lower() if self._site.by_host else "")
        if found is None:
            return None
        endpoint, target = found
        if target.action not in _HOT or not endpoint.settings.fast:
            return None
        parts = Request(head.method, "", head.headers, host, scheme=scheme)
        return endpoint.action(target, parts)


class FastConnection(Connection):
    """A connection whose polls and sends are answered at once.

    aiohttp gets to know of it by the first request that is none of these, and forgets it when
    there is one again; so a request that is never completed, or that never comes, meets aiohttp's
    own limits. What this class does not understand to its end leaves the connection to aiohttp for
    good.

    Args:
        skin: what it needs to answer by itself.
        shared: by all connections of the server.
    """

    __slots__ = (
        *("_aligned", "_counted", "_due", "_forms", "_looks", "_partial", "_skin", "slot"),
    )

    transport: asyncio.Transport

    def __init__(self, skin: FastSkin, shared: Shared) -> None:
        super().__init__(NOBODY, shared)
        self.slot: int | None = None
        self._skin = skin
        # All that aiohttp got so far were whole requests.
        self._aligned = True
        # A request that is not complete, and when it is aiohttp's; or when the connection closes.
        self._partial = b""
        self._looks = 0
        self._due: float | None = None
        self._counted = False
        self._forms: Forms = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        super().connection_made(transport)
        self._wait_until(self._now() + self._skin.keepalive_timeout)

    def _take(self, data: bytes) -> None:
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
            idle = self._inner is NOBODY or aiohttp_parts.waits(self._inner)
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
            if self.flow.paused:
                self._inner.pause_writing()
        self._inner.data_received(data)

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
        self.hold_back()
        self.flow.patience = SOCKJS_PATIENCE
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
            self.flow.close()
        elif self._held:
            self._skin.clock.call_soon(self._go_on)
        else:
            self._held = None
            self._due = self._now() + self._skin.keepalive_timeout
            # The wheel looks at what it has early enough: nothing it was told is later.
            if self.slot is None:
                self.shared.wheel.update(self)

    # WebSockets

    def hand_over(self) -> bytes:
        """See `Connection.hand_over`."""
        self._due = None
        self.shared.wheel.drop(self)
        early = super().hand_over()
        self._uncount()
        return early

    def given_back(self) -> None:
        """See `Connection.given_back`."""
        self._aligned = not self._held
        super().given_back()

    def _uncount(self) -> None:
        if self._counted:
            self._counted = False
            self._skin.bridge.end()

    # The end

    def eof_received(self) -> bool | None:
        """Called by the loop: the peer sends no more."""
        self._give_up_waiting()
        if not self._counted:
            return super().eof_received()
        # A send may be answered late.
        self.half_closed = self.receiver is None
        return self.half_closed

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop."""
        self._due = None
        self.shared.wheel.drop(self)
        super().connection_lost(exc)
        self._uncount()

    # Deadlines

    def _wait_until(self, due: float) -> None:
        self._due = due
        self.shared.wheel.update(self)

    def deadline(self) -> float | None:
        """Returns when `on_deadline` wants to be called, in seconds of the clock."""
        return self._due

    def on_deadline(self, now: float) -> None:
        """Leaves what is not complete to aiohttp, or closes a connection that nobody uses."""
        self._due = None
        if self._partial and not self.half_closed:
            self._give_up_waiting()
        else:
            self.flow.close()

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
    # Native strings (PEP 3333, "Unicode Issues").
    return "\r\n".join(lines).encode("latin-1")


@lru_cache(maxsize=2)
def _date(now: int) -> bytes:
    return f"\r\nDate: {formatdate(now, usegmt=True)}\r\n\r\n".encode()
