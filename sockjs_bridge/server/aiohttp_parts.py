"""What the server uses of aiohttp and asyncio that is not public, and what happens without it.

A release of either may move or rename any of it. The server starts all the same then:

- `RequestHandler._parser` and `_ErrInfo`: where aiohttp's parser of requests can be replaced by
  `BoundedParser`, and how that one has an error answered. Without them aiohttp's own limits hold:
  8190 bytes for one line of a head, beyond: 400 (`HEADS_LACK`).
- `aiohttp._websocket.helpers.websocket_mask`: see `unmasked`.
- All else is looked for where it is used, by a function that says what happens without it.

Plain requests stop being answered past aiohttp (`sockjs_bridge.server.fast`) by the absence of
`RequestHandler._waiter` alone, and on those connections alone that aiohttp knows: see `waits`. That
a module of this package cannot be imported is an error.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Any

from aiohttp import StreamReader, web
from aiohttp.http import RawRequestMessage
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong
from aiohttp.streams import EMPTY_PAYLOAD

websocket_mask: Callable[[bytes, bytearray], None] | None
try:
    from aiohttp._websocket.helpers import websocket_mask
except ImportError:
    websocket_mask = None

HEADS_LACK: ImportError | None = None
try:
    from aiohttp.web_protocol import _ErrInfo

    if not hasattr(web.RequestHandler, "_parser"):  # pragma: no cover - no aiohttp of today
        raise ImportError("aiohttp.web.RequestHandler has no _parser")
except ImportError as error:
    HEADS_LACK = error

#: How many header fields a request may have.
MAX_FIELDS = 128
#: Bytes that the parser is fed at once. Where a head begins in the midst of them, so many of it
#: are not counted while it arrives.
PIECE = 8192
#: What of a request line is neither method nor target: blanks, version, end of line.
_LINE = len("  HTTP/1.1\r\n")
#: What of a header's line is neither name nor value.
_FIELD = len(": \r\n")

# What the parser makes of a request, or of an error, and the body that belongs to it.
_Parsed = tuple[Any, StreamReader]


class HeadTooLarge(HttpProcessingError):
    """A request's head, or what stands around its body, has too many bytes or fields.

    Args:
        limit: bytes that it may have.
    """

    def __init__(self, limit: int) -> None:
        text = f"More than max_request_header_size = {limit} bytes, or {MAX_FIELDS} fields."
        super().__init__(code=431, message=text)


class BoundedParser:
    """aiohttp's parser of requests, with a bound on the whole of a head in place of each line.

    The parser keeps what it has read of a head, and does not say how much that is. So it is fed in
    pieces, and what is counted are the bytes since it had anything to show for them: a head, or a
    part of a body. That bounds all that it keeps: heads, wherever they begin, and trailers.

    Args:
        parser: aiohttp's; its own limits are no lower than the bound.
        protocol: that the parser belongs to.
        limit: bytes of a head.
    """

    __slots__ = ("_fruitless", "_last", "_limit", "_parser", "_protocol", "_refused")

    def __init__(self, parser: Any, protocol: web.RequestHandler, limit: int) -> None:
        self._parser = parser
        self._protocol = protocol
        self._limit = limit
        self._fruitless = 0
        # The body of the last request: empty, complete, or what is being read.
        self._last: StreamReader = EMPTY_PAYLOAD
        self._refused = False

    def feed_data(self, data: bytes) -> tuple[Sequence[_Parsed], bool, bytes]:
        """Reads what has arrived.

        Args:
            data: that; empty where the parser had paused and is to go on.

        Returns:
            The requests that begin in it, whether what follows is no HTTP, and that.
        """
        found: list[_Parsed] = []
        position = 0
        while not self._refused:
            end = position + min(PIECE, self._limit - self._fruitless)
            before = self._last.total_bytes, self._last.is_eof()
            try:
                parsed, upgraded, tail = self._parser.feed_data(data[position:end])
            except HttpProcessingError as error:
                too_long = isinstance(error, LineTooLong)
                self._refuse(found, HeadTooLarge(self._limit) if too_long else error)
                break
            self._take(found, parsed)
            if upgraded and not self._refused:
                return found, True, tail + data[end:]
            if parsed or before != (self._last.total_bytes, self._last.is_eof()):
                self._fruitless = 0
            else:
                self._fruitless += len(data[position:end])
            if self._fruitless == self._limit:
                self._refuse(found, HeadTooLarge(self._limit))
            position = end
            if position >= len(data):
                break
        return found, False, b""

    def _take(self, found: list[_Parsed], parsed: Sequence[_Parsed]) -> None:
        for message, body in parsed:
            # One that began behind another request was counted in part only.
            if _size(message) > self._limit or len(message.raw_headers) > MAX_FIELDS:
                self._refuse(found, HeadTooLarge(self._limit))
                return
            found.append((message, body))
            self._last = body

    def _refuse(self, found: list[_Parsed], error: HttpProcessingError) -> None:
        """Reads nothing more of the connection; has the error answered behind what was found."""
        self._refused = True
        if not self._last.is_eof():
            # Who reads the body answers: its request was handed on. To who did not look yet, a body
            # that was ended here would be an empty one.
            self._last.set_exception(web.RequestPayloadError(error.message))
        elif isinstance(error, HeadTooLarge):
            # A body that never ends has aiohttp wait until the client has read the answer: who is
            # still sending when the connection closes would hear of a reset only.
            rest = StreamReader(self._protocol, 2**16, loop=asyncio.get_running_loop())
            found.append((_ErrInfo(error.code, error, error.message), rest))
        else:
            found.append((_ErrInfo(400, error, error.message), EMPTY_PAYLOAD))

    def __getattr__(self, name: str) -> Any:
        # What aiohttp does with its parser beside.
        return getattr(self._parser, name)


def _size(message: RawRequestMessage) -> int:
    """Returns the bytes of a head, written with one blank behind each colon."""
    line = len(message.method) + len(message.path.encode(errors="surrogateescape")) + _LINE
    fields = sum(len(name) + len(value) + _FIELD for name, value in message.raw_headers)
    return line + fields + len("\r\n")


def bound_heads(handler: web.RequestHandler, limit: int) -> None:
    """Has aiohttp's protocol of a connection refuse heads of more than so many bytes (431)."""
    parser = BoundedParser(handler._parser, handler, limit)
    handler._parser = parser  # type: ignore[assignment]


def unmasked(payload: bytes, mask: bytes) -> bytes | bytearray:
    """Returns what a client's frame holds (RFC 6455, 5.3).

    Without aiohttp's C, a long message takes fifty times as long.

    Args:
        payload: as it arrived.
        mask: four bytes.
    """
    if websocket_mask is not None:
        data = bytearray(payload)
        websocket_mask(mask, data)
        return data
    size = len(payload)
    key = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload) ^ int.from_bytes(key)).to_bytes(size)


def waits(inner: asyncio.Protocol) -> bool:
    """Tells whether aiohttp's protocol of a connection is answering nothing.

    The only sign that it gives of having said everything. Without it, every connection that
    aiohttp knows of is left to it.
    """
    waiter = getattr(inner, "_waiter", None)
    return waiter is not None and not waiter.done()


def requests_read(inner: asyncio.Protocol, answered: int) -> int:
    """Returns how many requests aiohttp's protocol of a connection has read so far.

    Without this, who asks and half-closes the connection at once has no answer.

    Args:
        inner: the protocol.
        answered: how many it has had handled; at least these were read.
    """
    return int(getattr(inner, "_request_count", answered))


def reading_paused(inner: asyncio.Protocol) -> bool:
    """Tells whether aiohttp's protocol has paused the transport for reasons of its own.

    Without this, a peer that reads slowly while it sends a body makes aiohttp hold more of that.
    """
    return bool(getattr(inner, "_reading_paused", False) or getattr(inner, "_buffer_paused", False))


def take_early(inner: asyncio.Protocol) -> bytes:
    """Takes what arrived behind a request that asked for another protocol.

    RFC 6455 forbids clients to send before they have read the answer. Without this it is lost.
    """
    early: bytes = getattr(inner, "_message_tail", b"")
    if early:
        inner._message_tail = b""  # type: ignore[attr-defined]
    return early


def forget(inner: asyncio.Protocol) -> None:
    """Has aiohttp's protocol forget a connection that goes on without it."""
    # It would close it.
    inner.transport = None  # type: ignore[attr-defined]
    inner.connection_lost(None)


def forget_task(task: asyncio.Task[Any]) -> None:
    """Has asyncio wait no more for a task that does not end, and say nothing at its end.

    Without this, such a task holds the end of the process.
    """
    getattr(asyncio, "_unregister_task", lambda task: None)(task)
    # asyncio would log at the task's end what the caller has said.
    with contextlib.suppress(AttributeError):
        task._log_destroy_pending = False  # type: ignore[attr-defined]
