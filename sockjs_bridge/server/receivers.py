"""Connections as the loop sees them, and the receivers that sessions write to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from aiohttp import web

from sockjs_bridge import protocol
from sockjs_bridge.contracts import Peer
from sockjs_bridge.endpoint import Endpoint
from sockjs_bridge.replies import Reply
from sockjs_bridge.session import Session

if TYPE_CHECKING:
    from sockjs_bridge.server.fast_websocket import FastWebSocket

#: Seconds that the peer of a closed WebSocket has to answer the close frame.
CLOSE_TIMEOUT = 5.0

#: RFC 6455, 7.4.1: the close frame held no code.
NO_STATUS = 1005


class Connection(asyncio.Protocol):
    """The protocol of one connection: aiohttp's, seen from outside.

    It notes what aiohttp's handlers are not told: that bytes arrived, that the peer reads
    slowly, and, at once, that it is gone.

    Args:
        inner: aiohttp's protocol.
        now: the loop's time.
        open_ones: where it stands while it is open.

    Attributes:
        peer: the other end, as sessions know it.
        busy: a request is under way.
        heard: when the last byte arrived, in seconds of the loop's time.
        paused: more waits in the kernel and the transport than the peer should owe.
        lost: the peer is gone.
        half_closed: the peer sends no more, and takes the answer to what it has asked.
        request: aiohttp's, as long as it is being handled.
        answered: how many requests aiohttp has had handled.
        receiver: what is attached to a session at present.
    """

    __slots__ = (
        *(
            "_inner",
            "_now",
            "_open_ones",
            "answered",
            "busy",
            "half_closed",
            "heard",
            "lost",
            "paused",
        ),
        *("peer", "receiver", "request", "transport"),
    )

    def __init__(
        self, inner: asyncio.Protocol, now: Callable[[], float], open_ones: set[Connection]
    ) -> None:
        self._open_ones = open_ones
        self._inner = inner
        self._now = now
        self.peer = Peer()
        self.busy = False
        self.heard = 0.0
        self.paused = False
        self.lost = False
        self.half_closed = False
        self.answered = 0
        self.request: web.BaseRequest | None = None
        self.receiver: ConnectionReceiver | None = None
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        # uvloop's transports are none by their class.
        self.transport = cast(asyncio.Transport, transport)
        self._open_ones.add(self)
        self._inner.connection_made(transport)

    def abort(self) -> None:
        """Drops the connection."""
        if self.transport is not None:
            self.transport.abort()

    def upgrade(
        self, request: web.BaseRequest, endpoint: Endpoint, session: Session, reply: Reply
    ) -> FastWebSocket | None:
        """Makes a receiver that does without aiohttp from its `FastWebSocket.accept` on.

        Returns:
            None where the WebSocket is aiohttp's.
        """
        return None

    def data_received(self, data: bytes) -> None:
        """Called by the loop."""
        self.heard = self._now()
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        """Called by the loop: the peer sends no more.

        Browsers leave in that way too: a poll or a stream that waits for what may come is taken
        for gone. But a program may say so as soon as it has asked (``nc -N``): what is answered by
        itself still has its answer sent, and the connection closes behind that.
        """
        self.half_closed = self.receiver is None and self._has_asked()
        return self.half_closed

    def _has_asked(self) -> bool:
        """Tells whether aiohttp has a complete request, and is not through with it."""
        if self.request is not None:
            return self.request.content.is_eof()
        return self._pending > 0

    @property
    def _pending(self) -> int:
        # Without this attribute of aiohttp's, who asks and leaves at once has no answer.
        asked: int = getattr(self._inner, "_request_count", self.answered)
        return asked - self.answered

    @property
    def answers_last(self) -> bool:
        """Whether the request that is being handled is the last one that there can be."""
        return self.half_closed and self._pending == 1

    def pause_writing(self) -> None:
        """Called by the loop."""
        self.paused = True
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        """Called by the loop."""
        self.paused = False
        self._inner.resume_writing()
        if self.receiver is not None:
            self.receiver.session.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop."""
        self.lost = True
        self._open_ones.discard(self)
        self.peer.broken = self.busy or exc is not None
        if self.receiver is not None:
            self.receiver.connection_lost()
            self.receiver = None
        self._inner.connection_lost(exc)


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
        self.peer = connection.peer
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
        connection = self._connection
        return self._started and not (self.ended or connection.paused or connection.lost)

    def write(self, data: bytes) -> bool:
        """Takes one frame's bytes."""
        raise NotImplementedError

    def ping(self) -> None:
        """Pings the peer (WebSocket only)."""
        raise NotImplementedError

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


class FrameReceiver(ConnectionReceiver):
    """What the WebSockets have in common: each frame is a write."""

    __slots__ = ()

    def write(self, data: bytes) -> bool:
        """Takes one frame's bytes."""
        self._out.write(data)
        return True

    def ping(self) -> None:
        """Pings the peer."""
        if self._started and not self.ended:
            self._out.write(protocol.WEBSOCKET_PING)

    def _last_words(self) -> tuple[int, bytes]:
        """Returns the code and the reason of the close frame that ends the session."""
        code, reason = protocol.NORMAL[0], ""
        if not self.transport.control_frames:
            code, reason = self.session.close_code or code, self.session.close_reason
        # RFC 6455, 5.5: a control frame holds 125 bytes, two of them the code.
        return code, reason.encode("utf-8", "replace")[:123].decode("utf-8", "ignore").encode()


class WebSocketReceiver(FrameReceiver):
    """A WebSocket, raw or not.

    Frames go to the transport as they are: nothing compresses them, and aiohttp's own way would
    cost two switches of tasks for each.

    Attributes:
        closing: sends the close frame and waits for the peer's, once the session has ended.
    """

    def __init__(
        self,
        connection: Connection,
        session: Session,
        reply: Reply,
        websocket: web.WebSocketResponse,
    ) -> None:
        super().__init__(connection, session, reply)
        self._websocket = websocket
        self.closing: asyncio.Task[bool] | None = None
        self._wake = asyncio.Event()

    def end(self) -> None:
        """Closes the WebSocket in good order."""
        self.ended = True
        code, message = self._last_words()
        loop = asyncio.get_running_loop()
        self.closing = loop.create_task(self._websocket.close(code=code, message=message))

    async def until_ready(self) -> None:
        """Waits until the session takes messages again, or the peer is gone.

        What a peer sent before it left is still handed on: aiohttp holds only so much of it.
        """
        self.session.when_ready(self._wake.set)
        if not self._connection.lost:
            await self._wake.wait()
            self._wake.clear()

    def connection_lost(self) -> None:
        """Called when the peer is gone."""
        if self._started:
            # Who reads is told too, and knows what the peer's last frames said.
            self._wake.set()
        else:
            super().connection_lost()
