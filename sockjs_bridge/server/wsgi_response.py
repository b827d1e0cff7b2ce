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

from aiohttp import HttpVersion10, HttpVersion11, web
from aiohttp.abc import AbstractStreamWriter

from sockjs_bridge.server.wsgi_exchange import Head

logger = logging.getLogger("sockjs_bridge.server")

SERVER_NAME = "sockjs-bridge"
_BLOCK = 256 * 1024


class WSGIResponse(web.StreamResponse):
    """A response as the application made it.

    Args:
        request: What it answers.
        head: Status and headers.
        body: The whole body, or None for one that comes by `write`.
        send_timeout: Seconds in which a client must take the next 256 KiB.
    """

    def __init__(
        self, request: web.BaseRequest, head: Head, body: bytes | None, send_timeout: float
    ) -> None:
        super().__init__(status=head.status, reason=head.reason, headers=head.headers)
        self._request = request
        self._send_timeout = send_timeout
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
        self._sent = 0

    @classmethod
    def plain(
        cls, request: web.BaseRequest, status: int, text: str, send_timeout: float
    ) -> WSGIResponse:
        """Return an answer of the server's own, in plain text."""
        reason, _, _ = text.partition("\n")
        head = Head(status, reason, [("Content-Type", "text/plain; charset=UTF-8")], None)
        return cls(request, head, f"{text}\n".encode(), send_timeout)

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

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send a block of the body, and return when the next one may come.

        Raises:
            ConnectionError: The client is gone, or took nothing for ``send_timeout``.
        """
        start = 0
        view = memoryview(data)
        while start < len(view) or not self._head_sent:
            piece = view[start : start + _BLOCK] if self._has_body else view[:0]
            parts: list[bytes | memoryview] = []
            if not self._head_sent:
                parts.append(self._head())
                self._head_sent = True
            if self._framed and piece:
                parts += (b"%x\r\n" % len(piece), piece, b"\r\n")
            else:
                parts.append(piece)
            await self._put(b"".join(parts))
            self._sent += len(piece)
            start += _BLOCK

    async def write_eof(self, data: bytes = b"") -> None:
        """Complete the response.

        Raises:
            ConnectionError: As `write`.
        """
        await self.write(self._whole or data)
        if self._framed:
            await self._put(b"0\r\n\r\n")

    async def _put(self, data: bytes) -> None:
        writer = self._request.writer
        try:
            async with asyncio.timeout(self._send_timeout):
                await writer.write(data)
                await writer.drain()
        except TimeoutError:
            logger.info("a client took nothing for %g seconds", self._send_timeout)
            self.abort()
            raise ConnectionResetError("the client takes nothing") from None

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
