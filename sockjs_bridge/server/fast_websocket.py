"""The second skin's WebSockets: frames are handled within ``data_received``.

aiohttp lends its parser of frames. Its queue, the task that reads from that, and all that it keeps
for a request are left out: they cost more than a message does, and most of the memory of a silent
connection.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from aiohttp import WebSocketError, WSCloseCode, WSMsgType
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import WS_KEY

from sockjs_bridge import protocol
from sockjs_bridge.replies import Headers, Reply
from sockjs_bridge.server.aiohttp_parts import WebSocketDataQueue, WebSocketReader
from sockjs_bridge.server.receivers import (
    CLOSE_TIMEOUT,
    NO_STATUS,
    FrameReceiver,
)
from sockjs_bridge.server.wsgi_response import SERVER_NAME
from sockjs_bridge.session import Session

if TYPE_CHECKING:
    from sockjs_bridge.server.fast import FastConnection

logger = logging.getLogger("sockjs_bridge.server")

#: Looked up for each message, which an enumeration makes slow.
TEXT = WSMsgType.TEXT
#: How many messages are handed on in one go.
TOGETHER = 16
#: Bytes that may wait while the application is slow; aiohttp's own limit.
QUEUE = 2**16


def accept_key(headers: Mapping[str, str]) -> str | None:
    """Returns the ``Sec-WebSocket-Accept`` of a handshake (RFC 6455, 4.2.2).

    Args:
        headers: of the request.

    Returns:
        None where the version is not 13, or the key is none.
    """
    key = headers.get("Sec-WebSocket-Key", "")
    try:
        size = len(base64.b64decode(key))
    except (binascii.Error, ValueError):
        return None
    if size != 16 or headers.get("Sec-WebSocket-Version") != "13":
        return None
    return base64.b64encode(hashlib.sha1(key.encode() + WS_KEY).digest()).decode()


class _Frames(WebSocketDataQueue):
    """Where the parser puts what it has read: a queue only while the application is slow."""

    __slots__ = ("_begun", "_receiver")

    # What the parser looks at until there is a queue: nothing waits.
    _size = _limit = 0

    def __init__(self, receiver: FastWebSocket) -> None:
        # Most applications are never slow, and an empty queue takes a kilobyte.
        self._begun = False
        self._receiver = receiver

    def begin(self) -> None:
        """Makes it a queue."""
        if not self._begun:
            self._begun = True
            loop = asyncio.get_running_loop()
            super().__init__(cast(BaseProtocol, self._receiver), QUEUE, loop=loop)

    @property
    def empty(self) -> bool:
        """Whether nothing waits."""
        return not self._buffer

    def feed_data(self, data: Any, size: int) -> None:
        """Called by the parser."""
        receiver = self._receiver
        if receiver.draining:
            super().feed_data(data, size)
        elif data[0] is TEXT:
            if receiver.texts and receiver.enough:
                receiver.deliver()
                # It may be too much for the application now.
                self.feed_data(data, size)
            else:
                receiver.texts.append(data[1])
        else:
            receiver.take(data)

    def set_exception(self, exc: BaseException, exc_cause: BaseException | None = None) -> None:
        """Called by the parser, for all that was raised meanwhile."""
        self._receiver.broken(exc)


class FastWebSocket(FrameReceiver):
    """A WebSocket, raw or not, without aiohttp's `web.WebSocketResponse`.

    Args:
        connection: the one.
        session: that lives on it.
        reply: that asked for it.
        key: answers the client's.
        max_message_size: bytes of one message.

    Attributes:
        texts: messages that were read and not handed on yet.
        draining: what arrives waits, because the application is slow.
    """

    __slots__ = (
        "_drain",
        "_fast",
        "_frames",
        "_key",
        "_parser",
        "_reading_paused",
        "_ready",
        "_together",
        "draining",
        "texts",
    )

    def __init__(
        self,
        connection: FastConnection,
        session: Session,
        reply: Reply,
        key: str,
        max_message_size: int,
    ) -> None:
        super().__init__(connection, session, reply)
        self._fast = connection
        self._key = key
        self._frames = _Frames(self)
        # The parser refuses what reaches its limit.
        self._parser = WebSocketReader(self._frames, max_message_size + 1, False, True)
        self.texts: list[str] = []
        # How many are handed on at once; 0: nobody had to know yet.
        self._together = 0
        self.draining = False
        self._drain: asyncio.Task[None] | None = None
        self._ready: asyncio.Event | None = None
        # Where the queue looks for it.
        self._reading_paused = False

    def accept(self, headers: Headers) -> bool:
        """Answers the handshake, takes the connection from aiohttp, and begins.

        Args:
            headers: of the response, apart from those that RFC 6455 asks for.

        Returns:
            False where the peer is gone.
        """
        if self._connection.lost:
            return False
        lines = [
            "HTTP/1.1 101 Switching Protocols",
            "Upgrade: websocket",
            "Connection: upgrade",
            f"Sec-WebSocket-Accept: {self._key}",
            *(f"{name}: {value}" for name, value in headers),
            *(f"Server: {SERVER_NAME}", "", ""),
        ]
        self._out.write("\r\n".join(lines).encode("utf-8", "surrogateescape"))
        self._fast.taken_over(self)
        return True

    def give_back(self) -> None:
        """Leaves the connection to aiohttp: the handshake was refused."""
        self.session.detach(self, lost=self._connection.lost)
        self._connection.receiver = None
        self._fast.given_back()

    # What arrives

    def feed(self, data: bytes) -> None:
        """Takes what has arrived."""
        self._parser.feed_data(data)
        if self.texts:
            try:
                self.deliver()
            except Exception as error:
                # As the parser does with what is raised meanwhile.
                self.broken(error)

    @property
    def enough(self) -> bool:
        """Whether the messages that were read are to be handed on before there are more."""
        if not self._together:
            self._together = min(TOGETHER, self.session.room)
        return len(self.texts) >= self._together

    def take(self, message: tuple[WSMsgType, Any, str | None]) -> None:
        """Handles what a frame holds, or several that make a message."""
        kind, data, reason = message
        if self.texts:
            self.deliver()
        if kind is TEXT:
            self.texts.append(data)
            self.deliver()
        elif kind is WSMsgType.CLOSE:
            if not self.ended:
                self._say_close(data or protocol.NORMAL[0])
            # RFC 6455, 7.1.5: 1005 stands for a close frame without a code.
            self._leave(data or NO_STATUS, reason or "")
        elif self.ended:
            return
        elif kind is WSMsgType.PING:
            self._control(WSMsgType.PONG, data)
        elif kind is WSMsgType.BINARY:
            self.session.close(*protocol.BROKEN_FRAMING)

    def deliver(self) -> None:
        """Hands on the messages that were read."""
        texts, self.texts = self.texts, []
        self._together = 0
        if self.ended:
            return
        session, broken = self.session, False
        messages, size = [], 0
        for text in texts:
            if self.transport.control_frames:
                try:
                    messages += protocol.decode_websocket(text)
                except protocol.PayloadError as error:
                    logger.info("session %s: %s", session.id, error)
                    broken = True
                    break
            else:
                messages.append(text)
            size += len(text) if text.isascii() else len(text.encode())
        if messages and session.deliver(messages, size) and not self.draining:
            self.draining = True
            self._frames.begin()
            self._drain = asyncio.get_running_loop().create_task(self._hand_on())
        if broken:
            session.close(*protocol.BROKEN_FRAMING)

    async def _hand_on(self) -> None:
        """Hands on what waits as fast as the application takes it; of a lost connection at once."""
        ready = self._ready = asyncio.Event()
        while True:
            if self.session.full and not self._connection.lost:
                self.session.when_ready(ready.set)
                await ready.wait()
                ready.clear()
            elif self._frames.empty:
                break
            else:
                message = await self._frames.read()
                try:
                    self.take(message)
                except Exception as error:
                    self.broken(error)
        self.draining = False
        self._drain = self._ready = None
        if self._connection.lost:
            self._be_gone()

    def pause_reading(self) -> None:
        """Called by the queue: enough waits."""
        self._reading_paused = True
        self._out.pause_reading()

    def resume_reading(self) -> None:
        """Called by the queue."""
        self._reading_paused = False
        if not self._connection.lost:
            self._out.resume_reading()

    # The end

    def broken(self, error: BaseException) -> None:
        """Ends with a peer that broke the protocol."""
        if self.texts:
            self.deliver()
        code = int(WSCloseCode.INTERNAL_ERROR)
        if isinstance(error, WebSocketError):
            code = int(error.code)
            logger.info("session %s: %s", self.session.id, error)
        else:
            logger.error("session %s: a message failed", self.session.id, exc_info=error)
        if not self.ended:
            self._say_close(code)
        self._leave(code, "")

    def end(self) -> None:
        """Closes the WebSocket in good order."""
        self._say_close(*self._last_words())
        # The peer answers with a close frame of its own.
        asyncio.get_running_loop().call_later(CLOSE_TIMEOUT, self._out.close)

    def _say_close(self, code: int, reason: bytes = b"") -> None:
        self.ended = True
        self._control(WSMsgType.CLOSE, code.to_bytes(2) + reason)

    def _leave(self, code: int, reason: str) -> None:
        self.session.detach(self, lost=False, code=code, reason=reason)
        self._out.close()

    def connection_lost(self) -> None:
        """Called when the peer is gone."""
        if not self.draining:
            self._be_gone()
        elif self._ready is not None:
            # What it sent before that is still handed on.
            self._ready.set()

    def _be_gone(self) -> None:
        # They refer to this in turn: a cycle would wait for a collection of all garbage.
        del self._frames, self._parser
        super().connection_lost()

    def _control(self, kind: WSMsgType, payload: bytes) -> None:
        # What is handed on may be of a peer that has left.
        if not self._connection.lost:
            # RFC 6455, 5.5: final, at most 125 bytes.
            self._out.write(bytes((0x80 | kind, len(payload))) + payload)
