"""Connections as the loop sees them, and the receivers that sessions write to."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Protocol, cast

from aiohttp import web

from sockjs_bridge.core.clock import DeadlineWheel
from sockjs_bridge.core.contracts import Clock, Peer
from sockjs_bridge.core.session import Session
from sockjs_bridge.endpoint.outcomes import Reply
from sockjs_bridge.server import aiohttp_parts
from sockjs_bridge.server.addresses import Addresses
from sockjs_bridge.server.flow import BEHIND, SOCKJS_PATIENCE, UNREAD, Flow
from sockjs_bridge.server.plain import MAX_HELD

#: In aiohttp's place as long as it has no part in a connection.
NOBODY = asyncio.Protocol()


class Activity(Protocol):
    """Counts the requests and WebSockets that a server's stop waits for."""

    def begin(self) -> None:
        """Notes one, until `end`."""
        raise NotImplementedError

    def end(self) -> None:
        """Notes that one is over."""
        raise NotImplementedError


class Open(Protocol):
    """An open connection, of whatever protocol."""

    def abort(self) -> None:
        """Drops the connection."""
        raise NotImplementedError


class Attached(Protocol):
    """What a connection carries for a session.

    Attributes:
        session: the one.
    """

    session: Session

    def connection_lost(self) -> None:
        """Called when the peer is gone."""
        raise NotImplementedError


@dataclass(slots=True)
class Shared:
    """What the connections of a server share.

    Attributes:
        clock: the loop's.
        wheel: their deadlines.
        open_ones: all of them.
        activity: what is being handled.
    """

    clock: Clock
    wheel: DeadlineWheel
    open_ones: set[Open]
    activity: Activity


class Connection(asyncio.Protocol):
    """The protocol of one connection: aiohttp's, seen from outside.

    It notes what aiohttp's handlers are not told: that bytes arrived, that the peer reads
    slowly, and, at once, that it is gone.

    Args:
        inner: aiohttp's protocol.
        shared: by all connections of the server.

    Attributes:
        shared: see above.
        addresses: of the two ends, also when the peer is gone.
        flow: what is written and read, and the peer as sessions know it.
        busy: a request is under way.
        heard: when the last byte arrived, in seconds of the loop's time.
        lost: the peer is gone.
        half_closed: the peer sends no more, and takes the answer to what it has asked.
        request: aiohttp's, as long as it is being handled.
        answered: how many requests aiohttp has had handled.
        receiver: what is attached to a session at present.
    """

    __slots__ = (
        *("_held", "_inner", "_now", "addresses", "answered", "busy", "flow", "half_closed"),
        *("heard", "lost", "receiver", "request", "shared", "transport"),
    )

    addresses: Addresses
    flow: Flow

    def __init__(self, inner: asyncio.Protocol, shared: Shared) -> None:
        self.shared = shared
        self._inner = inner
        self._now = shared.clock.time
        # What arrived behind a request that is not answered yet.
        self._held: bytearray | None = None
        self.busy = False
        self.heard = 0.0
        self.lost = False
        self.half_closed = False
        self.answered = 0
        self.request: web.BaseRequest | None = None
        self.receiver: Attached | None = None
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        # uvloop's transports are none by their class.
        self.transport = cast(asyncio.Transport, transport)
        self.addresses = Addresses.of(transport)
        self.flow = Flow(self.transport, self.shared.clock, self.shared.wheel)
        self.shared.open_ones.add(self)
        self._inner.connection_made(transport)

    def abort(self) -> None:
        """Drops the connection."""
        if self.transport is not None:
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        """Called by the loop."""
        self.heard = self._now()
        if self._held is not None:
            self._hold(data)
        else:
            self._take(data)
        if self.flow.paused:
            self.flow.hold(UNREAD)

    def _take(self, data: bytes) -> None:
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        """Called by the loop: the peer sends no more.

        Browsers leave in that way too: a poll or a stream that waits for what may come is taken
        for gone. But a program may say so as soon as it has asked (``nc -N``): what is answered by
        itself still has its answer sent, and the connection closes behind that.
        """
        self.flow.watch()
        self.half_closed = self.receiver is None and self._has_asked()
        return self.half_closed

    def _has_asked(self) -> bool:
        """Tells whether aiohttp has a complete request, and is not through with it."""
        if self.request is not None:
            return self.request.content.is_eof()
        return self._pending > 0

    @property
    def _pending(self) -> int:
        return aiohttp_parts.requests_read(self._inner, self.answered) - self.answered

    @property
    def answers_last(self) -> bool:
        """Whether the request that is being handled is the last one that there can be."""
        return self.half_closed and self._pending == 1

    def pause_writing(self) -> None:
        """Called by the loop."""
        self.flow.pause_writing()
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        """Called by the loop."""
        self.flow.resume_writing()
        self._inner.resume_writing()
        if self.receiver is not None:
            self.receiver.session.flush()
        self._read_on(UNREAD)

    def _read_on(self, why: int) -> None:
        self.flow.let_go(why, resume=not aiohttp_parts.reading_paused(self._inner))

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop."""
        self.lost = True
        self.shared.open_ones.discard(self)
        self.flow.broken = self.busy or exc is not None
        self.flow.ended = True
        self.flow.lost()
        if self.receiver is not None:
            self.receiver.connection_lost()
            self.receiver = None
        self._inner.connection_lost(exc)

    # What comes too early

    def hold_back(self) -> None:
        """Keeps what arrives from now on, until what is being handled is answered."""
        self._held = bytearray()

    def _hold(self, data: bytes) -> None:
        assert self._held is not None
        self._held += data
        if len(self._held) > MAX_HELD:
            self.flow.hold(BEHIND)

    def _go_on(self) -> None:
        held, self._held = self._held, None
        if held and not self.lost:
            self._read_on(BEHIND)
            self.data_received(bytes(held))

    # WebSockets

    def hand_over(self) -> bytes:
        """Leaves the connection to the protocol that was asked for.

        Returns:
            What arrived for that already.
        """
        early = aiohttp_parts.take_early(self._inner) + bytes(self._held or b"")
        self.receiver = None
        self.shared.open_ones.discard(self)
        if aiohttp_parts.reading_paused(self._inner):
            self.flow.hold(BEHIND)
        self._forget_aiohttp()
        self.flow.let_go(BEHIND)
        return early

    def given_back(self) -> None:
        """Says that the connection is still HTTP's: the handshake was refused."""
        self.receiver = None
        self._go_on()

    def _forget_aiohttp(self) -> None:
        if self._inner is not NOBODY:
            aiohttp, self._inner = self._inner, NOBODY
            aiohttp_parts.forget(aiohttp)


class ConnectionReceiver:
    """What the receivers have in common: they write to the connection's transport."""

    __slots__ = (
        *("_connection", "_out", "_started", "callback", "ended", "peer", "session", "tag"),
        "transport",
    )

    def __init__(self, connection: Connection, session: Session, reply: Reply) -> None:
        assert connection.transport is not None
        self.transport = reply.transport
        self.callback = reply.callback
        self.tag = reply.tag
        self.peer: Peer = connection.flow
        connection.flow.patience = SOCKJS_PATIENCE
        self.session = session
        self.ended = False
        self._started = False
        self._connection = connection
        self._out = connection.transport
        connection.receiver = self

    @property
    def heard(self) -> float:
        """When the last byte arrived from the peer."""
        return self._connection.heard

    @property
    def writable(self) -> bool:
        """Whether a frame would be accepted now."""
        return self._started and not (self.ended or self._connection.flow.paused)

    def write(self, data: bytes) -> bool:
        """Takes one frame's bytes."""
        raise NotImplementedError

    def ping(self) -> None:
        """Pings the peer (WebSocket only)."""

    def end(self) -> None:
        """Ends the response in good order."""
        raise NotImplementedError

    def start(self) -> None:
        """Says that the response's head was written: frames may follow."""
        self._started = True
        self.session.flush()

    def abort(self) -> None:
        """Drops the connection."""
        self._connection.abort()

    def connection_lost(self) -> None:
        """Called when the peer is gone."""
        self.session.detach(self, lost=True)


class HttpReceiver(ConnectionReceiver):
    """A poll or a stream.

    Attributes:
        finished: done when the response may end, or the peer is gone.
        body: what was written before the response's head: a poll's whole body.
    """

    def __init__(
        self, connection: Connection, session: Session, reply: Reply, *, chunked: bool
    ) -> None:
        super().__init__(connection, session, reply)
        self._chunked = chunked
        self.body = b""
        self.finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def write(self, data: bytes) -> bool:
        """Takes one frame's bytes."""
        if not (self._started and self.transport.streaming):
            self.body += data
        elif self._chunked:
            # A chunk of its own for each frame (RFC 9112, 7.1), in one write.
            self._out.write(b"%x\r\n%b\r\n" % (len(data), data))
        else:
            self._out.write(data)
        return True

    def end(self) -> None:
        """Ends the response in good order."""
        self.ended = True
        if not self.finished.done():
            self.finished.set_result(None)

    async def run(self) -> None:
        """Starts, and waits until the response may end, or the peer is gone.

        Raises:
            ConnectionError: the peer said already that it sends no more, and would have to wait.
        """
        self.start()
        if self._connection.half_closed and not self.ended:
            self.abort()
            raise ConnectionResetError("the peer is gone")
        await self.finished

    def complete(self) -> None:
        """Says that the whole response was handed to the transport."""
        self.session.detach(self, lost=self._connection.lost)

    def connection_lost(self) -> None:
        """Called when the peer is gone."""
        super().connection_lost()
        self.end()
