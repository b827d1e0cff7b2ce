"""As much of HTTP/1.1 (RFC 9112) as a middlebox needs: heads, bodies, and how they are framed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, replace
from typing import Self

_HEAD_END = b"\r\n\r\n"
#: Of a head, in bytes.
_LARGEST = 65536
#: What concerns one connection only (RFC 9110, 7.6.1), and the framing, which is made anew.
_OF_ONE_HOP = ("connection", "keep-alive", "proxy-connection", "te", "transfer-encoding")


class Truncated(Exception):
    """The connection ended before the message did."""


@dataclass(frozen=True)
class Head:
    """The head of a request or a response.

    Attributes:
        first: the request line or the status line.
        fields: names and values, as they came.
    """

    first: str
    fields: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Reads it, with or without the empty line at its end."""
        first, *lines = data.decode("latin-1").rstrip("\r\n").split("\r\n")
        pairs = (line.partition(":") for line in lines)
        return cls(first, tuple((name, value.strip()) for name, _, value in pairs))

    def encode(self) -> bytes:
        """Returns its bytes, with the empty line."""
        lines = [self.first, *(f"{name}: {value}" for name, value in self.fields)]
        return "\r\n".join(lines).encode("latin-1") + _HEAD_END

    def get(self, name: str) -> str:
        """Returns the values of a field, joined by commas; empty where there is none."""
        return ", ".join(value for key, value in self.fields if key.lower() == name)

    def without(self, names: Iterable[str]) -> Self:
        """Returns it without some fields, whose names are in lower case."""
        gone = {*names}
        kept = tuple(pair for pair in self.fields if pair[0].lower() not in gone)
        return replace(self, fields=kept)

    def adding(self, name: str, value: str) -> Self:
        """Returns it with one field more."""
        return replace(self, fields=(*self.fields, (name, value)))

    @property
    def target(self) -> str:
        """What a request asks for, the query included."""
        return self.first.split(" ")[1]

    @property
    def action(self) -> str:
        """The last segment of the path that is asked for."""
        return self.target.partition("?")[0].rpartition("/")[2]

    @property
    def status(self) -> str:
        """Of a response: three digits."""
        return self.first.split(" ")[1]

    @property
    def asks_for_upgrade(self) -> bool:
        """Whether another protocol is asked for, or agreed on."""
        return "upgrade" in self.get("connection").lower() and bool(self.get("upgrade"))

    @property
    def length(self) -> int | None:
        """The length of the body that the head announces, in bytes, if it does."""
        if self.get("transfer-encoding"):
            return None
        length = self.get("content-length")
        return int(length) if length else None

    @property
    def is_bodiless(self) -> bool:
        """Of a response: whether no body follows, whatever the head says (RFC 9112, 6.3)."""
        return self.status in ("204", "304") or self.status.startswith("1")

    @property
    def keeps_alive(self) -> bool:
        """Whether who sent it goes on with the connection (RFC 9112, 9.3)."""
        return self.first.endswith("HTTP/1.1") and "close" not in self.get("connection").lower()

    def for_next_hop(self) -> Self:
        """Returns it without what concerns one connection only, ``Upgrade`` excepted."""
        return self.without(_OF_ONE_HOP)


class Incoming:
    """What comes over a connection.

    Args:
        reader: of the connection.
        touched: called for each piece that comes.
    """

    def __init__(self, reader: asyncio.StreamReader, touched=lambda: None) -> None:
        self._reader = reader
        self._touched = touched
        self._data = b""

    async def _fill(self) -> bool:
        try:
            data = await self._reader.read(65536)
        except OSError:
            return False
        if data:
            self._touched()
        self._data += data
        return bool(data)

    async def end(self) -> None:
        """Waits until the peer has ended the connection; what comes before it is kept."""
        while await self._fill():
            pass

    async def piece(self) -> bytes:
        """Returns what is there, or comes next; nothing at the end."""
        if not self._data:
            await self._fill()
        data, self._data = self._data, b""
        return data

    async def _until(self, mark: bytes) -> bytes:
        while (at := self._data.find(mark)) < 0:
            if len(self._data) > _LARGEST or not await self._fill():
                raise Truncated
        at += len(mark)
        found, self._data = self._data[:at], self._data[at:]
        return found

    async def head(self) -> Head:
        """Returns the next head.

        Raises:
            Truncated: the connection ended before or in it.
        """
        return Head.parse(await self._until(_HEAD_END))

    async def request_body(self, head: Head) -> bytes:
        """Returns the whole body of a request.

        Raises:
            Truncated: the connection ended in it.
        """
        if head.get("transfer-encoding"):
            return b"".join([piece async for piece in self._chunks()])
        return b"".join([piece async for piece in self._counted(head.length or 0)])

    def response_body(self, head: Head) -> AsyncIterator[bytes]:
        """Yields the body of a response as it comes.

        Raises:
            Truncated: the connection ended in it.
        """
        if head.is_bodiless:
            return self._counted(0)
        if head.get("transfer-encoding"):
            return self._chunks()
        if head.length is not None:
            return self._counted(head.length)
        return self._to_the_end()

    async def _counted(self, left: int) -> AsyncIterator[bytes]:
        while left:
            data = await self.piece()
            if not data:
                raise Truncated
            self._data = data[left:]
            data = data[:left]
            left -= len(data)
            yield data

    async def _chunks(self) -> AsyncIterator[bytes]:
        while size := int((await self._until(b"\r\n")).partition(b";")[0], 16):
            async for data in self._counted(size):
                yield data
            await self._until(b"\r\n")
        # Trailers, or none.
        while await self._until(b"\r\n") != b"\r\n":
            pass

    async def _to_the_end(self) -> AsyncIterator[bytes]:
        while data := await self.piece():
            yield data


def chunk(data: bytes) -> bytes:
    """Returns a chunk (RFC 9112, 7.1); of nothing, the last one."""
    return b"%x\r\n%s\r\n" % (len(data), data)
