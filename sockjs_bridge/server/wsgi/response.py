"""A response of the WSGI application on its way through aiohttp."""

from __future__ import annotations

import logging

from aiohttp import HttpVersion11, web
from aiohttp.abc import AbstractStreamWriter

from sockjs_bridge.server import http1
from sockjs_bridge.server.accesslog import CLIENT
from sockjs_bridge.server.responses import OwnResponse
from sockjs_bridge.server.wsgi.budget import Budget, client_of
from sockjs_bridge.server.wsgi.exchange import BLOCK, Head

logger = logging.getLogger("sockjs_bridge.server")


class WSGIResponse(OwnResponse):
    """A response as the application made it.

    What waits for its client is counted in a `Budget`; where others need the room, it may be
    broken off.

    Args:
        request: what it answers.
        head: status and headers.
        body: the whole body, or None for one that comes by `write`.
        memory: bounds what waits for the clients of all responses, in bytes.
        send_timeout: seconds after which a client that takes nothing is cut off.

    Attributes:
        begun: its head is on its way.
        aborted: it was broken off.
    """

    def __init__(
        self,
        request: web.BaseRequest,
        head: Head,
        body: bytes | None,
        memory: Budget,
        send_timeout: float,
    ) -> None:
        has_body = head.has_body(request.method)
        length = head.length
        if length is None and body is not None and (has_body or body):
            length = len(body)
        # RFC 9110, 8.6: never with 204; with 304 only what the application says of
        # the representation.
        if head.status == 204 or (head.status == 304 and head.length is None):
            length = None
        framed = request.version >= HttpVersion11 and has_body and length is None
        self._delimited = framed or not has_body or length is not None
        super().__init__(request, head.status, head.reason, delimited=self._delimited)
        self._fields = head.headers
        self._memory = memory
        self._has_body = has_body
        self._whole = body
        self._framed = framed
        self._length = length
        self.begun = False
        self.aborted = False
        self._complete = False
        self._flow.patience = send_timeout

    @property
    def client(self) -> str:
        """Whom it is counted for."""
        known = self._request.get(CLIENT)
        return client_of(known.remote) if known is not None else ""

    @property
    def waits(self) -> bool:
        """Whether it cannot be handed to the transport as a whole, and at once."""
        long = self._whole is not None and len(self._whole) > BLOCK
        return long or self._flow.paused

    def abort(self) -> None:
        """Breaks the connection off, so that the client cannot take the response for complete."""
        self.aborted = True
        # Where the connection's end is the body's end, only a reset tells the difference.
        self._flow.abort(reset=not self._delimited)

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter:
        """Does nothing: the head leaves with the first block of the body."""
        if self.aborted:
            raise ConnectionResetError("the response was broken off")
        return await super().prepare(request)

    def idle(self) -> float:
        """Returns the seconds for which its client took nothing of what waits for it."""
        return self._flow.idle()

    def give_way(self) -> None:
        """Breaks it off, for others need what it holds."""
        logger.info("%s: broken off to make room, its client is slow", self._request.path)
        self.abort()

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """Sends a block of the body, and returns when the next one may come.

        Raises:
            ConnectionError: the client is gone, took nothing for ``send_timeout``, or gave way.
        """
        start = 0
        view = memoryview(data)
        while start < len(view) or not self.begun:
            piece = view[start : start + BLOCK] if self._has_body else view[:0]
            parts: list[bytes | memoryview] = []
            if not self.begun:
                known = self.status, self.reason, self._fields, self.dialect
                parts.append(http1.head(*known, length=self._length, chunked=self._framed))
                self.begun = True
            parts.append(http1.chunk(piece) if self._framed and piece else piece)
            await self._put(b"".join(parts), len(view))
            self.sent += len(piece)
            start += BLOCK

    async def write_eof(self, data: bytes = b"") -> None:
        """Completes the response; a second call does nothing.

        Raises:
            ConnectionError: as `write`.
        """
        if self._complete:
            return
        await self.write(self._whole or data)
        if self._framed:
            await self._put(http1.LAST_CHUNK, 0)
        self._complete = True
        # aiohttp has the response until the next one is there.
        self._whole = None

    async def _put(self, data: bytes, held: int) -> None:
        """Hands bytes to the transport, and returns when more may follow.

        Args:
            data: the bytes.
            held: how many are in memory until then: of the whole that these are a part of.
        """
        if self.aborted:
            raise ConnectionResetError("the response was broken off")
        self._write(data)
        if not self._flow.paused:
            return
        self._memory.hold(self, held)
        try:
            await self._flow.drain()
        finally:
            self._memory.release(self, held)
