"""WebSockets, raw or not: the protocol of a connection from the 101 on.

All ways of opening end here. Frames are handled within ``data_received``; of the HTTP that led
here nothing is kept.
"""

from __future__ import annotations

import asyncio
import enum
import logging
from functools import partial
from typing import Any

from sockjs_bridge.core import protocol
from sockjs_bridge.core.contracts import Peer
from sockjs_bridge.core.session import Session
from sockjs_bridge.endpoint.outcomes import Headers, Upgrading
from sockjs_bridge.resume.link import Link
from sockjs_bridge.server import framing
from sockjs_bridge.server.connection import PeerConnection
from sockjs_bridge.server.flow import BEHIND, UNREAD
from sockjs_bridge.server.framing import BrokenFrame, FrameReader, control_frame, read_close
from sockjs_bridge.server.http1 import switching_protocols

logger = logging.getLogger("sockjs_bridge.server")

#: Seconds that the peer of a closed WebSocket has to answer the close frame, once it has taken it.
CLOSE_TIMEOUT = 5.0
#: How many texts are handed on in one go.
TOGETHER = 16
#: Bytes that may wait while the application is slow.
QUEUE = 2**16


class Phase(enum.Enum):
    """Where a WebSocket stands."""

    #: The application is asked; another protocol has the connection.
    HANDSHAKE = "handshake"
    OPEN = "open"
    #: The close frame was sent, the peer's is awaited.
    CLOSING = "closing"
    #: Nothing that arrives matters any more.
    LEFT = "left"
    #: The connection is over.
    LOST = "lost"


# By name: to look a member up in its enumeration takes as long as the rest of a comparison.
HANDSHAKE, OPEN, CLOSING, LEFT, LOST = Phase

_READING = (OPEN, CLOSING)


class WebSocketConnection(asyncio.Protocol):
    """A WebSocket: made for a handshake, the protocol of its connection from `accept` on.

    Args:
        connection: over which the handshake came.
        attach: what asked for it; the session lives on it.
        key: answers the client's.
        max_message_size: bytes of one message.

    Attributes:
        flow: the two directions of the connection.
        transport: how frames become bytes.
        session: the one, or the link of ``~r1``; gone when the connection is.
        heard: when the last byte arrived, in seconds of the loop's time.
        peer: the other end.
    """

    __slots__ = (
        *("_activity", "_behind", "_http", "_key", "_now", "_phase", "_pong", "_reader"),
        *("flow", "heard", "peer", "session", "transport"),
    )

    #: Of an HTTP receiver.
    callback = ""
    tag: str | None = None
    begun = True

    __deletable__ = ("session",)

    def __init__(
        self, connection: PeerConnection, attach: Upgrading, key: str, max_message_size: int
    ) -> None:
        self.transport = attach.transport
        self.session: Session | Link = attach.session
        self.heard = connection.heard
        self.peer: Peer = connection.flow
        self.flow = connection.flow
        self._http: PeerConnection | None = connection
        self._activity = connection.activity
        self._now = connection.activity.clock.time
        self._key = key
        self._phase = HANDSHAKE
        self._reader = FrameReader(max_message_size)
        # What arrived while the application is slow; None while it is not.
        self._behind: bytearray | None = None
        # Answers the last ping of a peer that reads nothing at present.
        self._pong: bytes | None = None
        connection.receiver = self

    # The handshake

    @property
    def gone(self) -> bool:
        """Whether the peer left before it was answered."""
        return self._http is None and self._phase is LOST

    def accept(self, headers: Headers) -> None:
        """Answers the handshake, takes the connection over, and begins.

        Args:
            headers: of the response, apart from those that RFC 6455 asks for.
        """
        http, self._http = self._http, None
        assert http is not None
        # With the first frame, which says that the session is open.
        self.flow.gather()
        self.flow.write(switching_protocols(self._key, headers))
        self._activity.begin()
        self._activity.connections.add(self)
        self.flow.take_over(self)
        early = http.hand_over()
        self._phase = OPEN
        try:
            self.session.flush()
        finally:
            self.flow.release()
        if early:
            self.data_received(early)

    def give_back(self) -> None:
        """Leaves the connection to HTTP, unless the handshake was accepted or the peer is gone."""
        http, self._http = self._http, None
        if http is not None:
            self._phase = LOST
            self.session.detach(self, lost=http.lost)
            http.given_back()

    # What the loop calls

    def data_received(self, data: bytes) -> None:
        """Called by the loop."""
        self.heard = self._now()
        behind = self._behind
        if behind is not None:
            behind += data
        elif self._phase in _READING:
            self._go_on(data)
        if self._behind is not None:
            self._bound()
        if self.flow.paused:
            self.flow.hold(UNREAD)

    def eof_received(self) -> bool | None:
        """Called by the loop."""
        self.flow.watch()
        return None

    def pause_writing(self) -> None:
        """Called by the loop."""
        self.flow.pause_writing()

    def resume_writing(self) -> None:
        """Called by the loop."""
        self.flow.resume_writing()
        if self._pong is not None:
            pong, self._pong = self._pong, None
            self.flow.write(pong)
        if self._phase is OPEN:
            self.session.flush()
        self.flow.let_go(UNREAD)

    def connection_lost(self, exc: Exception | None = None) -> None:
        """Called by the loop; by the connection that the handshake came over, before that."""
        session = self.session
        if self._http is None:
            self._activity.connections.discard(self)
            self.flow.lost()
            self._activity.end()
        self._http = None
        if self._behind is not None or not self._reader.empty:
            # What it sent before that is still handed on.
            session.release()
            behind, self._behind = self._behind, None
            self._go_on(bytes(behind or b""))
        self._phase = LOST
        session.detach(self, lost=True)
        # What refers to this refers to that: a cycle would wait for a collection of all garbage.
        del self.session

    def abort(self) -> None:
        """Drops the connection."""
        self.flow.abort()

    # What arrives

    def _go_on(self, data: bytes = b"") -> None:
        """Handles what has arrived, as far as the application takes it."""
        reader = self._reader
        try:
            if (text := reader.alone(data)) is not None:
                self._take_texts([text])
                return
            reader.feed(data)
            while not reader.empty and self._behind is None and self._phase in _READING:
                # What arrived together is handed on together.
                texts = reader.texts(TOGETHER)
                if not texts:
                    frame = reader.next()
                    if frame is None:
                        break
                    if frame[0] != framing.TEXT:
                        self._take(*frame)
                        continue
                    texts = [frame[1]]
                self._take_texts(texts)
        except BrokenFrame as error:
            logger.info("session %s: %s", self.session.id, error)
            self._fail(error.code)
        except Exception:
            logger.exception("session %s: a message failed", self.session.id)
            self._fail(framing.INTERNAL_ERROR)

    def _bound(self) -> None:
        """Stops reading while too much waits for the application."""
        if self._behind is not None and self._reader.unread + len(self._behind) > QUEUE:
            self.flow.hold(BEHIND)
        else:
            self.flow.let_go(BEHIND)

    def _take(self, kind: int, payload: Any) -> None:
        if kind == framing.CLOSE:
            self._peer_closes(*read_close(payload))
        elif self._phase is not OPEN:
            # Its session has ended.
            return
        elif kind == framing.BINARY:
            self._close_broken("a binary message")
        elif kind == framing.PING:
            pong = control_frame(framing.PONG, payload)
            if self.flow.paused:
                # RFC 6455, 5.5.3: the last one need be answered.
                self._pong = pong
            else:
                self.flow.write(pong)

    def _take_texts(self, texts: list[str]) -> None:
        """Hands messages to the application, and waits for it where that is too much for it."""
        messages: list[str] = []
        size, decode, broken = 0, self.transport.decode, ""
        try:
            for text in texts:
                messages += decode(text)
                size += len(text) if text.isascii() else len(text.encode())
        except protocol.PayloadError as error:
            broken = str(error)
        if messages and self.session.deliver(messages, size):
            self._behind = bytearray()
            self.session.when_ready(self._ready)
        if broken:
            self._close_broken(broken)

    def _close_broken(self, why: str) -> None:
        """Ends the session with a peer whose messages are none, behind those that were."""
        logger.info("session %s: %s", self.session.id, why)
        if self._behind is None:
            self.session.close(*protocol.BROKEN_FRAMING)
        else:
            self.session.when_ready(partial(self.session.close, *protocol.BROKEN_FRAMING))

    def _ready(self) -> None:
        """Called when the application takes messages again."""
        behind, self._behind = self._behind, None
        if behind:
            self._reader.feed(bytes(behind))
        self._activity.clock.call_soon(self._catch_up)

    def _catch_up(self) -> None:
        self._go_on()
        self._bound()

    # What its session does

    @property
    def writable(self) -> bool:
        """Whether a frame would be accepted now."""
        return self._phase is OPEN and not self.flow.paused

    def write(self, data: bytes) -> bool:
        """Takes one frame's bytes."""
        self.flow.write(data)
        return True

    def ping(self) -> None:
        """Pings the peer."""
        if self._phase is OPEN:
            self.flow.write(protocol.WEBSOCKET_PING)

    def end(self) -> None:
        """Closes the WebSocket in good order."""
        code, reason = protocol.NORMAL[0], ""
        if not self.transport.control_frames:
            code, reason = self.session.close_code or code, self.session.close_reason
        self.end_with(code, reason)

    def end_with(self, code: int, reason: str) -> None:
        """Closes the WebSocket with a code of its own."""
        # RFC 6455, 5.5: a control frame holds 125 bytes, two of them the code.
        cut = reason.encode("utf-8", "replace")[:123].decode("utf-8", "ignore")
        self._say_close(code, cut.encode())
        # Until the peer's close frame comes it is read from, and may read.
        self.flow.leave(CLOSE_TIMEOUT)

    # The end

    def _say_close(self, code: int, reason: bytes = b"") -> None:
        if self._phase is OPEN:
            self._phase = CLOSING
            # Nothing follows a close frame (RFC 6455, 5.5.1).
            self._pong = None
            self.flow.write(control_frame(framing.CLOSE, code.to_bytes(2) + reason))

    def _peer_closes(self, code: int, reason: str) -> None:
        self._say_close(protocol.NORMAL[0] if code == framing.NO_STATUS else code)
        self._phase = LEFT
        self.session.detach(self, lost=False, code=code, reason=reason)
        self.flow.close()

    def _fail(self, code: int) -> None:
        """Ends with a peer that broke the protocol."""
        self._say_close(code)
        self._phase = LEFT
        self.session.detach(self, lost=False, code=code)
        self.flow.leave(CLOSE_TIMEOUT, last=True)
