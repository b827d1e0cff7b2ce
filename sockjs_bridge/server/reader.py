"""aiohttp's reader of HTTP requests, with what this server wants of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, cast

from aiohttp import web

from sockjs_bridge.server import aiohttp_parts
from sockjs_bridge.server.connection import PeerConnection


class RequestReader(web.RequestHandler):
    """aiohttp's protocol of a connection: it knows what that is, and bounds heads as a whole.

    It is one that a `PeerConnection` calls.

    Args:
        server: that it belongs to.
        max_head: bytes of a head; beyond: 431.
        **options: of `aiohttp.web.RequestHandler`.

    Attributes:
        connection: the one that calls it, also when that is over or another protocol's.
    """

    __slots__ = ("connection",)

    connection: PeerConnection

    def __init__(self, server: web.Server, max_head: int, **options: Any) -> None:
        bounded = aiohttp_parts.HEADS_LACK is None
        if bounded:
            # aiohttp's own must not be reached before: they hold for one line.
            limits = ("max_line_size", "max_field_size", "max_headers")
            options.update(dict.fromkeys(limits, max_head))
        super().__init__(server, **options)
        if bounded:
            aiohttp_parts.bound_heads(self, max_head)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        self.connection = cast(PeerConnection, cast(asyncio.Transport, transport).get_protocol())
        super().connection_made(transport)


def connection_of(request: web.BaseRequest) -> PeerConnection:
    """Returns what a request came over; that may be over, or another protocol's."""
    return cast(RequestReader, request.protocol).connection


class RequestServer(web.Server):
    """Makes the reader of each connection.

    Bodies arrive as they were sent: nothing is decompressed.

    Args:
        handler: answers requests; made on the loop.
        max_head: bytes of a request's head; beyond: 431.
        **options: of `aiohttp.web.RequestHandler`.
    """

    def __init__(self, handler: Any, *, max_head: int, **options: Any) -> None:
        super().__init__(handler)
        self._options = {"loop": asyncio.get_running_loop(), "auto_decompress": False, **options}
        self._max_head = max_head
        self._reader = self.maker(RequestReader)

    def maker(self, kind: type[RequestReader], **options: Any) -> Callable[[], RequestReader]:
        """Returns what makes readers.

        Args:
            kind: of them.
            **options: that differ from those of the others.
        """
        return partial(kind, self, self._max_head, **{**self._options, **options})

    def __call__(self) -> RequestReader:
        """Makes the protocol of a connection."""
        return self._reader()
