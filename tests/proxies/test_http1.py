"""Heads and bodies, in whatever pieces they come."""

from __future__ import annotations

import asyncio

import pytest

from tests.proxies.http1 import Head, Incoming, Truncated, chunk

HEAD = b"POST /a/xhr?t=1 HTTP/1.1\r\nHost: a\r\nX: 1\r\nx: 2\r\n\r\n"


def incoming(data: bytes, piece: int = 1) -> Incoming:
    """Return what comes in pieces of a size, and ends."""
    reader = asyncio.StreamReader(limit=1)
    read = reader.read

    async def pieces(size: int) -> bytes:
        return await read(piece)

    reader.read = pieces
    reader.feed_data(data)
    reader.feed_eof()
    return Incoming(reader)


async def body(source: Incoming, head: str) -> bytes:
    parsed = Head.parse(head.encode())
    return b"".join([piece async for piece in source.response_body(parsed)])


def test_a_head_comes_back_as_it_was() -> None:
    head = Head.parse(HEAD)
    assert head.encode() == HEAD
    assert (head.target, head.action, head.get("x")) == ("/a/xhr?t=1", "xhr", "1, 2")
    assert head.without(["x"]).adding("Y", "3").encode() == (
        b"POST /a/xhr?t=1 HTTP/1.1\r\nHost: a\r\nY: 3\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("head", "keeps_alive"),
    [
        ("GET / HTTP/1.1", True),
        ("GET / HTTP/1.1\r\nConnection: close", False),
        ("GET / HTTP/1.1\r\nConnection: keep-alive", True),
        ("GET / HTTP/1.0", False),
    ],
)
def test_who_keeps_a_connection_alive(head: str, keeps_alive: bool) -> None:
    assert Head.parse(head.encode()).keeps_alive is keeps_alive


@pytest.mark.parametrize(
    ("head", "asks"),
    [
        ("GET / HTTP/1.1\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket", True),
        ("GET / HTTP/1.1\r\nUpgrade: websocket", False),
        ("GET / HTTP/1.1\r\nConnection: Upgrade", False),
    ],
)
def test_who_asks_for_an_upgrade(head: str, asks: bool) -> None:
    assert Head.parse(head.encode()).asks_for_upgrade is asks


def test_what_concerns_one_hop_goes_no_further() -> None:
    lines = "Connection: x\r\nTransfer-Encoding: chunked\r\nUpgrade: y\r\nZ: 1"
    head = Head.parse(f"HTTP/1.1 200 OK\r\n{lines}".encode())
    assert head.for_next_hop().fields == (("Upgrade", "y"), ("Z", "1"))


@pytest.mark.parametrize("piece", [1, 7, 1000])
async def test_messages_follow_each_other(piece: int) -> None:
    """A request with its body, then another one."""
    first = b"POST /a HTTP/1.1\r\nContent-Length: 5\r\n\r\n12345"
    second = b"POST /b HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    source = incoming(first + second + chunk(b"abc") + chunk(b"de") + chunk(b"") + b"more", piece)
    for target, content in (("/a", b"12345"), ("/b", b"abcde")):
        head = await source.head()
        assert (head.target, await source.request_body(head)) == (target, content)
    with pytest.raises(Truncated):
        await source.head()


@pytest.mark.parametrize(
    ("head", "data", "content"),
    [
        ("HTTP/1.1 200 OK\r\nContent-Length: 3", b"abcd", b"abc"),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked",
            b"3;x=y\r\nabc\r\n0\r\nT: 1\r\n\r\nd",
            b"abc",
        ),
        ("HTTP/1.0 200 OK", b"abc", b"abc"),
        ("HTTP/1.1 204 No Content", b"abc", b""),
        ("HTTP/1.1 304 Not Modified\r\nContent-Length: 3", b"abc", b""),
    ],
)
async def test_how_the_body_of_a_response_is_framed(head: str, data: bytes, content: bytes) -> None:
    for piece in (1, 100):
        assert await body(incoming(data, piece), head) == content


@pytest.mark.parametrize(
    ("head", "data"),
    [
        ("HTTP/1.1 200 OK\r\nContent-Length: 4", b"abc"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked", b"3\r\nabc\r\n"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked", b"4\r\nabc"),
    ],
)
async def test_a_body_that_is_not_complete_is_noticed(head: str, data: bytes) -> None:
    with pytest.raises(Truncated):
        await body(incoming(data), head)


async def test_what_comes_before_the_end_is_kept() -> None:
    source = incoming(b"abc")
    await source.end()
    assert await source.piece() == b"abc"
    assert await source.piece() == b""
