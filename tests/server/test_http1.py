"""Heads and chunks, byte by byte (RFC 9112)."""

from __future__ import annotations

import re

import pytest

from sockjs_bridge.server import http1
from sockjs_bridge.server.http1 import Dialect

DATE = rb"Date: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT"


def lines(head: bytes) -> list[bytes]:
    """Take a head apart; its date is seen to be one, and left out."""
    assert head.endswith(b"\r\n\r\n")
    *fields, date = head[:-4].split(b"\r\n")
    assert re.fullmatch(DATE, date)
    return fields


@pytest.mark.parametrize("data", [b"x" * 17, memoryview(b"x" * 17)])
def test_chunk(data: bytes) -> None:
    assert http1.chunk(data) == b"11\r\n" + b"x" * 17 + b"\r\n"


@pytest.mark.parametrize(
    ("dialect", "length", "ends"),
    [
        (Dialect(), 3, [b"Content-Length: 3"]),
        (Dialect(), None, [b"Transfer-Encoding: chunked"]),
        (Dialect("1.1", False), 0, [b"Content-Length: 0", b"Connection: close"]),
        (Dialect("1.0", True), 3, [b"Content-Length: 3", b"Connection: keep-alive"]),
        (Dialect("1.0", False), None, [b"Connection: close"]),
    ],
)
def test_how_the_body_ends(dialect: Dialect, length: int | None, ends: list[bytes]) -> None:
    first, server, *rest = lines(http1.known_head(200, [], length, dialect))
    assert first == b"HTTP/%b 200 OK" % dialect.version.encode()
    assert server == b"Server: sockjs-bridge"
    assert rest == ends


@pytest.mark.parametrize("status", [204, 304])
def test_no_length_where_there_is_no_body(status: int) -> None:
    """RFC 9110, 8.6."""
    fields = lines(http1.known_head(status, [], 0))
    assert fields[1:] == [b"Server: sockjs-bridge"]


def test_a_status_without_a_phrase() -> None:
    assert lines(http1.known_head(499, [], 0))[0] == b"HTTP/1.1 499 Refused"


@pytest.mark.parametrize("name", ["Set-Cookie", "set-cookie"])
def test_cookies_are_not_kept(name: str) -> None:
    http1.known_head(200, [("X-App", "a"), (name, "session=secret")], None)
    assert "secret" not in repr(http1._known)


def test_few_kinds_of_heads_are_kept() -> None:
    for length in range(3 * http1.MAX_KNOWN):
        known = http1.known_head(200, [], length)
        assert lines(known) == lines(http1.known_head(200, [], length))
        assert b"Content-Length: %d\r\n" % length in known
        assert len(http1._known) <= http1.MAX_KNOWN


def test_native_strings() -> None:
    """PEP 3333: what the application means as UTF-8 is not encoded twice."""
    fields = lines(http1.head(200, "caf\xe9", [("X-App", "caf\xc3\xa9")], length=1))
    assert fields[:2] == [b"HTTP/1.1 200 caf\xe9", b"X-App: caf\xc3\xa9"]


def test_what_the_application_says_itself() -> None:
    headers = [("server", "mine"), ("date", "today")]
    assert http1.head(200, "OK", headers) == (
        b"HTTP/1.1 200 OK\r\nserver: mine\r\ndate: today\r\n\r\n"
    )


def test_switching_protocols() -> None:
    assert http1.switching_protocols("key=", [("X-App", "caf\xe9")]) == (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
        b"Sec-WebSocket-Accept: key=\r\nX-App: caf\xe9\r\nServer: sockjs-bridge\r\n\r\n"
    )
