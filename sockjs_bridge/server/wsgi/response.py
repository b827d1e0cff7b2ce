"""A response of the WSGI application on its way through aiohttp.

aiohttp's own response classes encode headers as UTF-8, where PEP 3333 asks for latin-1, and
invent a Content-Type. So the head and the framing are written here, through the public writer.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from email.utils import formatdate
from typing import cast

from aiohttp import HttpVersion10, HttpVersion11, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import StreamWriter

from sockjs_bridge.server.accesslog import CLIENT
from sockjs_bridge.server.taking import Taking
from sockjs_bridge.server.wsgi.budget import Budget, client_of
from sockjs_bridge.server.wsgi.exchange import BLOCK, Head

logger = logging.getLogger("sockjs_bridge.server")

SERVER_NAME = "sockjs-bridge"

#: How often, within ``send_timeout``, it is looked whether a client takes anything.
LOOKS = 4


class WSGIResponse(web.StreamResponse):
    """A response as the application made it.

    What waits for its client is counted in a `Budget`; where others need the room, it may be
    broken off.

    Args:
        request: What it answers.
        head: Status and headers.
        body: The whole body, or None for one that comes by `write`.
        memory: Bounds what waits for the clients of all responses, in bytes.
        send_timeout: Seconds after which a client that takes nothing is cut off.
    """

    def __init__(
        self,
        request: web.BaseRequest,
        head: Head,
        body: bytes | None,
        memory: Budget,
        send_timeout: float,
    ) -> None:
        super().__init__(status=head.status, reason=head.reason, headers=head.headers)
        self._request = request
        self._memory = memory
        self._send_timeout = send_timeout
        self._taking: Taking | None = None
        self._look: asyncio.TimerHandle | None = None
        self._has_body = head.has_body(request.method)
        self._whole = body
        length = head.length
        if length is None and body is not None and (self._has_body or body):
            length = len(body)
        # RFC 9110 section 8.6: never with 204; with 304 only what the application says of
        # the representation.
        if head.status == 204 or (head.status == 304 and head.length is None):
            length = None
        self._framed = request.version >= HttpVersion11 and self._has_body and length is None
        self._delimited = self._framed or not self._has_body or length is not None
        self._persistent = request.keep_alive and self._delimited
        self._length = length
        self._head_sent = False
        self._aborted = False
        self._complete = False
        self._sent = 0

    @property
    def client(self) -> str:
        """Whom it is counted for."""
        known = self._request.get(CLIENT)
        return client_of(known.remote) if known is not None else ""

    @property
    def begun(self) -> bool:
        """Whether its head is on its way."""
        return self._head_sent

    @property
    def aborted(self) -> bool:
        """Whether it was broken off."""
        return self._aborted

    @property
    def waits(self) -> bool:
        """Whether it cannot be handed to the transport as a whole, and at once."""
        long = self._whole is not None and len(self._whole) > BLOCK
        return long or self._request.protocol.writing_paused

    @property
    def keep_alive(self) -> bool:
        """Whether the connection outlives the response."""
        return self._persistent

    @property
    def body_length(self) -> int:
        """How many bytes of the body were sent, without framing."""
        return self._sent

    def force_close(self) -> None:
        """Close the connection after this response."""
        self._persistent = False

    def abort(self) -> None:
        """Break the connection off, so that the client cannot take the response for complete."""
        self._aborted = True
        transport = self._request.transport
        if transport is None:
            return
        connection = transport.get_extra_info("socket")
        if not self._delimited and connection is not None:
            # Here the connection's end is the body's end; only a reset tells the difference.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter:
        """Do nothing: the head leaves with the first block of the body."""
        if self._aborted:
            raise ConnectionResetError("the response was broken off")
        return request.writer

    def idle(self) -> float:
        """Return the seconds for which its client took nothing of what waits for it."""
        return self._taking.idle() if self._taking is not None else 0.0

    def give_way(self) -> None:
        """Break it off, for others need what it holds."""
        logger.info("%s: broken off to make room, its client is slow", self._request.path)
        self.abort()

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send a block of the body, and return when the next one may come.

        Raises:
            ConnectionError: The client is gone, took nothing for ``send_timeout``, or gave way.
        """
        start = 0
        view = memoryview(data)
        while start < len(view) or not self._head_sent:
            piece = view[start : start + BLOCK] if self._has_body else view[:0]
            parts: list[bytes | memoryview] = []
            if not self._head_sent:
                parts.append(self._head())
                self._head_sent = True
            if self._framed and piece:
                parts += (b"%x\r\n" % len(piece), piece, b"\r\n")
            else:
                parts.append(piece)
            await self._put(b"".join(parts), len(view))
            self._sent += len(piece)
            start += BLOCK

    async def write_eof(self, data: bytes = b"") -> None:
        """Complete the response; a second call does nothing.

        Raises:
            ConnectionError: As `write`.
        """
        if self._complete:
            return
        await self.write(self._whole or data)
        if self._framed:
            await self._put(b"0\r\n\r\n", 0)
        self._complete = True
        # aiohttp has the response until the next one is there.
        self._whole = None

    async def _put(self, data: bytes, held: int) -> None:
        """Hand bytes to the transport, and return when more may follow.

        Args:
            data: The bytes.
            held: How many are in memory until then: of the whole that these are a part of.
        """
        if self._aborted:
            raise ConnectionResetError("the response was broken off")
        # aiohttp would wait for the client, for ever.
        await cast(StreamWriter, self._request.writer).write(data, drain=False)
        transport = self._request.transport
        if transport is None or not self._request.protocol.writing_paused:
            return
        self._taking = Taking(transport, asyncio.get_running_loop().time)
        self._memory.hold(self, held)
        self._look_later()
        try:
            await self._request.writer.drain()
        finally:
            if self._look is not None:
                self._look.cancel()
            self._taking = self._look = None
            self._memory.release(self, held)
        if self._aborted:
            raise ConnectionResetError("the response was broken off")

    def _look_later(self) -> None:
        loop = asyncio.get_running_loop()
        self._look = loop.call_later(self._send_timeout / LOOKS, self._look_again)

    def _look_again(self) -> None:
        self._look = None
        if self.idle() < self._send_timeout:
            self._look_later()
            return
        logger.info("a client took nothing for %g seconds", self._send_timeout)
        self.abort()

    def _head(self) -> bytes:
        version = min(self._request.version, HttpVersion11)
        lines = [f"HTTP/{version.major}.{version.minor} {self.status} {self.reason}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        if self._length is not None:
            lines.append(f"Content-Length: {self._length}")
        if self._framed:
            lines.append("Transfer-Encoding: chunked")
        if "Date" not in self.headers:
            lines.append(f"Date: {formatdate(usegmt=True)}")
        if "Server" not in self.headers:
            lines.append(f"Server: {SERVER_NAME}")
        if not self._persistent:
            lines.append("Connection: close")
        elif version == HttpVersion10:
            lines.append("Connection: keep-alive")
        return "\r\n".join([*lines, "", ""]).encode("latin-1")
