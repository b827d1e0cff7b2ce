"""What an HTTP/1 response is written with: heads and chunks (RFC 9112).

Nothing else writes them. aiohttp writes its own answers alone: those to what it cannot read, and
those that nobody is left to read.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from email.utils import formatdate
from functools import lru_cache
from typing import Final, NamedTuple

from sockjs_bridge.endpoint.outcomes import Headers, phrase

SERVER_NAME: Final = "sockjs-bridge"

#: Has a client go on with its body (RFC 9110, 15.2.1).
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
#: Ends a body that came in chunks (RFC 9112, 7.1).
LAST_CHUNK: Final = b"0\r\n\r\n"

#: How many kinds of heads are remembered.
MAX_KNOWN: Final = 256


class Dialect(NamedTuple):
    """The HTTP that a client speaks.

    Attributes:
        version: ``1.0`` or ``1.1``.
        persistent: the connection outlives the response (RFC 9112, 9.3).
    """

    version: str = "1.1"
    persistent: bool = True

    @property
    def chunks(self) -> bool:
        """Whether it knows chunks; without them, a body of unknown length ends the connection."""
        return self.version != "1.0"


HTTP11: Final = Dialect()

_SWITCHING = (
    f"HTTP/1.1 101 {phrase(101)}\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
    "Sec-WebSocket-Accept: "
)

_known: dict[tuple[int, tuple[tuple[str, str], ...], int | None, Dialect], bytes] = {}


def chunk(data: bytes | memoryview) -> bytes:
    """Returns a chunk (RFC 9112, 7.1); one without data would end the body."""
    return b"".join((b"%x\r\n" % len(data), data, b"\r\n"))


def head(
    status: int,
    reason: str,
    headers: Iterable[tuple[str, str]],
    dialect: Dialect = HTTP11,
    *,
    length: int | None = None,
    chunked: bool = False,
) -> bytes:
    """Returns the head of a response.

    Args:
        status: of it.
        reason: of it.
        headers: native strings (PEP 3333, "Unicode Issues"). ``Server`` and ``Date`` are added
            where they are missing.
        dialect: the client's.
        length: bytes of the body; None where the head does not tell.
        chunked: the body comes in chunks.
    """
    headers = list(headers)
    fields = _fields(status, reason, headers, dialect, length, chunked=chunked)
    dated = any(name.lower() == "date" for name, _ in headers)
    return fields + (b"\r\n\r\n" if dated else _date(int(time.time())))


def known_head(
    status: int, headers: Headers, length: int | None, dialect: Dialect = HTTP11
) -> bytes:
    """Returns the head of a response of which there are few kinds, again and again.

    Args:
        status: of the response.
        headers: as for `head`, without ``Date``.
        length: bytes of the body; None: it comes in chunks, or the connection's end is its end.
        dialect: the client's.
    """
    kind = status, tuple(headers), length, dialect
    fields = _known.get(kind)
    if fields is None:
        chunked = length is None and dialect.chunks
        # RFC 9110, 8.6: 204 has no length, and with 304 it would be the representation's.
        length = None if status in (204, 304) else length
        fields = _fields(status, phrase(status), headers, dialect, length, chunked=chunked)
        # What says who is signed in does not outlive its response here.
        if not any(name.lower() == "set-cookie" for name, _ in headers):
            if len(_known) >= MAX_KNOWN:
                _known.clear()
            _known[kind] = fields
    return fields + _date(int(time.time()))


def switching_protocols(accept: str, headers: Headers) -> bytes:
    """Returns the answer to a WebSocket's handshake (RFC 6455, 4.2.2).

    Args:
        accept: answers the client's key.
        headers: native strings, apart from ``Server`` and those that the RFC asks for.
    """
    fields = "".join([f"{name}: {value}\r\n" for name, value in headers])
    return f"{_SWITCHING}{accept}\r\n{fields}Server: {SERVER_NAME}\r\n\r\n".encode("latin-1")


def _fields(
    status: int,
    reason: str,
    headers: Iterable[tuple[str, str]],
    dialect: Dialect,
    length: int | None,
    *,
    chunked: bool,
) -> bytes:
    lines = [f"HTTP/{dialect.version} {status} {reason}"]
    named = False
    for name, value in headers:
        named = named or name.lower() == "server"
        lines.append(f"{name}: {value}")
    if not named:
        lines.append(f"Server: {SERVER_NAME}")
    if length is not None:
        lines.append(f"Content-Length: {length}")
    if chunked:
        lines.append("Transfer-Encoding: chunked")
    if not dialect.persistent:
        lines.append("Connection: close")
    elif dialect.version == "1.0":
        lines.append("Connection: keep-alive")
    return "\r\n".join(lines).encode("latin-1")


@lru_cache(maxsize=2)
def _date(now: int) -> bytes:
    return f"\r\nDate: {formatdate(now, usegmt=True)}\r\n\r\n".encode()
