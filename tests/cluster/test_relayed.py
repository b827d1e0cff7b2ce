"""The home's end of a relayed client's connection, as its protocol and the front see it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from sockjs_bridge.cluster.linkframes import Kind
from sockjs_bridge.cluster.links import Links
from sockjs_bridge.cluster.streams import WINDOW, Stream
from sockjs_bridge.server.addresses import Addresses
from sockjs_bridge.server.relayed import RelayedTransport
from tests.cluster.test_links import SECRET, End
from tests.server.support import until

pytestmark = pytest.mark.server


class Heard(asyncio.Protocol):
    """Remembers what the transport says.

    Attributes:
        stays: it has something to say when the client half-closes.
    """

    def __init__(self) -> None:
        self.events: list[object] = []
        self.stays = False

    def data_received(self, data: bytes) -> None:
        self.events.append(data)

    def eof_received(self) -> bool:
        self.events.append("eof")
        return self.stays

    def pause_writing(self) -> None:
        self.events.append("pause")

    def resume_writing(self) -> None:
        self.events.append("resume")

    def connection_lost(self, exc: Exception | None) -> None:
        self.events.append(("lost", exc is not None))


@asynccontextmanager
async def relayed() -> AsyncIterator[tuple[End, RelayedTransport, Heard]]:
    """Yields the front's end, and the home's with its protocol."""
    made: list[RelayedTransport] = []
    heard = Heard()

    def accept(stream: Stream, addresses: tuple[str, ...]) -> RelayedTransport:
        transport = RelayedTransport(stream, Addresses(*addresses))
        transport.set_protocol(heard)
        made.append(transport)
        return transport

    one, other = Links("listens1", SECRET, "test"), Links("dials1", SECRET, "test")
    try:
        link = await other.link("listens1", await one.listen("127.0.0.1:0", accept))
        front = link.open(("192.0.2.1", "1", "192.0.2.2", "2"), End)
        await until(lambda: made)
        yield front, made[0], heard
    finally:
        one.close()
        other.close()
        await until(lambda: heard.events[-1:] in ([("lost", True)], [("lost", False)]))


async def test_it_is_a_transport() -> None:
    async with relayed() as (front, home, heard):
        assert home.get_protocol() is heard
        assert home.get_extra_info("peername") == ("192.0.2.1", 0)
        # Whoever has no more to write closes.
        assert not home.can_write_eof()
        front.stream.write(b"question")
        await until(lambda: heard.events)
        home.writelines([b"an", memoryview(b"swer")])
        await until(lambda: front.heard == b"answer")
        assert heard.events == [b"question"]


@pytest.mark.parametrize("broken", [False, True])
async def test_home_that_ends_it(broken: bool) -> None:
    """Nothing is written or heard behind that; the front knows how it ended."""
    async with relayed() as (front, home, heard):
        for _ in range(2):
            home.abort() if broken else home.close()
        assert home.is_closing()
        home.write(b"late")
        home.received(b"late")
        home.said(Kind.EOF, b"")
        home.said(Kind.LEAVE, b"")
        await until(lambda: front.ends)
        assert (front.heard, front.ends, heard.events) == (b"", [broken], [("lost", False)])


async def test_both_ends_at_once() -> None:
    """Its protocol hears once that it is over."""
    async with relayed() as (front, home, heard):
        front.stream.close(broken=True)
        await until(lambda: heard.events)
        home.close()
        home.writable()
        await asyncio.sleep(0)
        assert heard.events == [("lost", True)]


@pytest.mark.parametrize("stays", [False, True])
async def test_client_that_half_closes(stays: bool) -> None:
    async with relayed() as (front, home, heard):
        heard.stays = stays
        front.stream.say(Kind.EOF)
        await until(lambda: heard.events[:1] == ["eof"])
        assert home.is_closing() is not stays
        if stays:
            home.write(b"last words")
            home.close()
        await until(lambda: front.ends)
        assert front.heard == (b"last words" if stays else b"")


async def comes_meanwhile(front: End, home: RelayedTransport) -> None:
    """Stop reading; two texts and the client's end come."""
    home.pause_reading()
    for text in (b"1", b"2"):
        front.stream.write(text)
    front.stream.say(Kind.EOF)
    await until(lambda: home._eof)


async def test_what_is_not_read_waits_in_order() -> None:
    """Also the client's end, and not forever what it takes no more of."""
    async with relayed() as (front, home, heard):
        await comes_meanwhile(front, home)
        assert heard.events == [] and not home.is_reading()
        for _ in range(2):
            home.resume_reading()
        # It comes behind what waits.
        home.received(b"3")
        await until(lambda: len(heard.events) > 3)
        assert heard.events[:4] == [b"1", b"2", b"3", "eof"]


async def test_reading_that_stops_again() -> None:
    async with relayed() as (front, home, heard):
        await comes_meanwhile(front, home)
        home.resume_reading()
        home.pause_reading()
        await asyncio.sleep(0)
        assert heard.events == []
        home.resume_reading()
        await until(lambda: len(heard.events) > 2)
        assert heard.events[:3] == [b"1", b"2", "eof"]


async def test_client_that_takes_nothing() -> None:
    async with relayed() as (front, home, heard):
        front.takes = False
        home.write(b"x" * WINDOW)
        assert (heard.events, home.get_write_buffer_size()) == ([], 0)
        for _ in range(2):
            home.write(b"y")
        assert (heard.events, home.get_write_buffer_size()) == (["pause"], WINDOW + 2)
        await until(lambda: len(front.heard) == WINDOW + 2)
        front.stream.took(1, soon=True)
        front.stream.took(WINDOW, soon=True)
        await until(lambda: len(heard.events) == 2)
        assert (heard.events, home.get_write_buffer_size()) == (["pause", "resume"], 0)
