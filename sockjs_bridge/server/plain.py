"""Requests of a form that every reader of HTTP understands in the same way."""

from __future__ import annotations

from functools import lru_cache

import httptools

#: Bytes of a head, and how many headers: with more, aiohttp's limits are asked.
MAX_HEAD = 8000
MAX_HEADERS = 64
#: Bytes that are held until the rest of a request comes, or behind one that is not answered yet.
MAX_HELD = 65536
_STARTS = (b"GET /", b"POST /")
# Control characters, tabs among them, and what is not ASCII are aiohttp's to judge.
_PLAIN = bytes(range(0x20, 0x7F)) + b"\r\n"
# What changes where a request ends, or what becomes of the connection.
_ODD = {"Expect", "Te", "Trailer", "Transfer-Encoding"}


class Incomplete(Exception):
    """The rest of a request has not arrived yet."""


class PlainRequest:
    """A request of a form that every reader of HTTP understands in the same way.

    Attributes:
        method: upper case.
        target: of the request line.
        headers: by name, written as usual.
        body: complete.
        upgrades: it asks for another protocol: what follows may be no HTTP.
    """

    __slots__ = ("_fields", "_url", "body", "headers", "method", "target", "upgrades")

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    def __init__(self) -> None:
        self._fields: list[tuple[bytes, bytes]] = []
        self._url = b""
        self.upgrades = False

    def on_url(self, url: bytes) -> None:
        """Called by the parser."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser."""
        self._fields.append((name, value))

    @classmethod
    def read(cls, data: bytes) -> PlainRequest | None:
        """Reads what has arrived since the end of the last request.

        Returns:
            None where that is anything but one plain request.

        Raises:
            Incomplete: it may become one.
        """
        if not data.startswith(_STARTS):
            return None
        end = data.find(b"\r\n\r\n") + 4
        if end < 4 and len(data) < MAX_HEAD and data.count(b"\n") == data.count(b"\r\n"):
            raise Incomplete
        if not 4 <= end <= MAX_HEAD:
            return None
        head = data[:end]
        lines = head.count(b"\r\n")
        if (
            head.translate(None, _PLAIN)
            or not head.count(b"\r") == head.count(b"\n") == lines <= MAX_HEADERS
            # A line that goes on the one before, and a value that ends with a blank.
            or b"\n " in head
            or b" \r" in head
        ):
            return None
        request = cls()
        parser = httptools.HttpRequestParser(request)
        try:
            parser.feed_data(head)
        except httptools.HttpParserUpgrade:
            request.upgrades = True
        except httptools.HttpParserError:
            return None
        fields = request._fields
        headers = {_usual(name): value.decode() for name, value in fields}
        length = headers.get("Content-Length", "0")
        if (
            len(headers) != len(fields)
            or "Host" not in headers
            or not _ODD.isdisjoint(headers)
            or (headers.get("Connection", "keep-alive").lower() != "keep-alive") > request.upgrades
            or parser.get_http_version() != "1.1"
            or not length.isdigit()
            or (request.upgrades and length != "0")
            or not len(data) <= end + int(length[:9]) <= MAX_HELD
        ):
            return None
        if end + int(length) > len(data):
            raise Incomplete
        request.method = parser.get_method().decode()
        request.target = request._url.decode()
        request.headers = headers
        request.body = data[end:]
        return request


@lru_cache(maxsize=256)
def _usual(name: bytes) -> str:
    return name.decode().title()
