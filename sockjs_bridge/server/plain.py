"""Requests of a form that every reader of HTTP understands in the same way."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import ClassVar, NamedTuple

import httptools

from sockjs_bridge.endpoint.actions import Action
from sockjs_bridge.endpoint.resumable import ResumableAction

#: Bytes of a head, and how many headers: with more, aiohttp's limits are asked.
MAX_HEAD = 8000
MAX_HEADERS = 64
#: Bytes that are held until the rest of a request comes, or behind one that is not answered yet.
MAX_HELD = 65536
#: How many forms of requests are remembered for a connection: a browser's polls and sends.
MAX_FORMS = 4
_STARTS = (b"GET /", b"POST /")
# Request lines without anything that could be read in two ways.
_LINE = re.compile(rb"((?:GET|POST) /[\w./~%-]*)(?:\?([\w.~%&=-]*))? HTTP/1\.1\r\n")
# Control characters, tabs among them, and what is not ASCII are aiohttp's to judge.
_PLAIN = bytes(range(0x20, 0x7F)) + b"\r\n"
# What changes where a request ends, or what becomes of the connection.
_ODD = {"Expect", "Te", "Trailer", "Transfer-Encoding"}


class Incomplete(Exception):
    """The rest of a request has not arrived yet."""


class Known(NamedTuple):
    """What is remembered of a form of requests.

    Attributes:
        length: bytes of the body.
        action: what such requests ask for.
    """

    length: int
    action: Action | ResumableAction


#: By the form itself: method, path and headers as they arrived.
Forms = dict[bytes, Known]


class Head:
    """The head of a request, as the parser reads it; fulfils `RequestHead`.

    Attributes:
        method: upper case.
        raw_path: the target of the request line.
        headers: by name, written as usual.
        raw_headers: the headers in bytes.
        upgrades: it asks for another protocol: what follows may be no HTTP.
        url: the target in bytes.
    """

    __slots__ = ("headers", "method", "raw_headers", "raw_path", "upgrades", "url")

    #: No other is plain.
    version: ClassVar[tuple[int, int]] = (1, 1)

    method: str
    raw_path: str
    headers: dict[str, str]

    def __init__(self) -> None:
        self.raw_headers: list[tuple[bytes, bytes]] = []
        self.url = b""
        self.upgrades = False

    def on_url(self, url: bytes) -> None:
        """Called by the parser."""
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser."""
        self.raw_headers.append((name, value))


@dataclass(slots=True)
class PlainRequest:
    """A request of a form that every reader of HTTP understands in the same way.

    Attributes:
        form: all of it but query and body.
        query: as it stands in the request line.
        body: complete.
        head: what the parser has read; None where the form was known.
        action: what the form was remembered for.
        whole: all of it.
    """

    form: bytes = field(repr=False)
    query: str = field(repr=False)
    body: bytes = field(repr=False)
    head: Head | None = field(default=None, repr=False)
    action: Action | ResumableAction | None = None
    whole: bytes = field(default=b"", repr=False)

    @classmethod
    def read(cls, data: bytes, forms: Forms) -> PlainRequest | None:
        """Reads what has arrived since the end of the last request.

        Args:
            data: that.
            forms: those that are known of requests on this connection.

        Returns:
            None where that is anything but one plain request.

        Raises:
            Incomplete: it may become one.
        """
        # Requests that differ in nothing but query and body were read once: the parser, the names
        # of headers and what they say took half of the time of a poll.
        line = _LINE.match(data)
        form = b""
        # The line's own end may begin the head's.
        if line is not None and (end := data.find(b"\r\n\r\n", line.end() - 2) + 4) > 3:
            # No path has a blank: what is of the path, and what of the headers, is plain.
            form = line[1] + b" " + data[line.end() : end]
            known = forms.get(form)
            if known is not None and end <= MAX_HEAD:
                rest = len(data) - end - known.length
                if rest < 0:
                    raise Incomplete
                query = line[2].decode() if line[2] else ""
                if rest:
                    return None
                return cls(form, query, data[end:], None, known.action, data)
        return cls._parse(data, form)

    @classmethod
    def _parse(cls, data: bytes, form: bytes) -> PlainRequest | None:
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
        read = Head()
        parser = httptools.HttpRequestParser(read)
        try:
            parser.feed_data(head)
        except httptools.HttpParserUpgrade:
            read.upgrades = True
        except httptools.HttpParserError:
            return None
        fields = read.raw_headers
        headers = {_usual(name): value.decode() for name, value in fields}
        length = headers.get("Content-Length", "0")
        if (
            len(headers) != len(fields)
            or "Host" not in headers
            or not _ODD.isdisjoint(headers)
            or (headers.get("Connection", "keep-alive").lower() != "keep-alive") > read.upgrades
            or parser.get_http_version() != "1.1"
            or not length.isdigit()
            or (read.upgrades and length != "0")
            or not len(data) <= end + int(length[:9]) <= MAX_HELD
        ):
            return None
        if end + int(length) > len(data):
            raise Incomplete
        read.method = parser.get_method().decode()
        read.raw_path = read.url.decode()
        read.headers = headers
        return cls(form, read.raw_path.partition("?")[2], data[end:], read, None, data)


@lru_cache(maxsize=256)
def _usual(name: bytes) -> str:
    # As the RFCs write them, by which they are looked up.
    return name.decode().title().replace("Websocket", "WebSocket")
