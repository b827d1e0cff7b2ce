"""What the second skin does must not differ from what aiohttp does with the same bytes.

Streams of requests, well-formed and odd, in pieces of any size, are fed to three servers: with the
second skin, with it switched off by ``sockjs.fast``, and without its connections at all. They must
answer the same, and take the same messages: nobody can hide a request from one that another sees.
"""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sockjs_bridge.server.ending import end_tasks
from tests.server.wire import HANDSHAKE, OPEN, Unplugged

SKINS = {
    "fast": ({}, {}),
    "switched off": ({"sockjs.fast": "false"}, {}),
    "aiohttp alone": ({}, {"access_log_polls": "true"}),
}


async def play(
    server: Unplugged, known: bytes, pieces: Sequence[bytes]
) -> tuple[list[str], list[Any], bool]:
    """Feed a stream; returns what its session heard, the responses, and whether it ended."""
    server.heard.clear()
    opening = server.connect()
    opening.feed(OPEN.replace(b"known", known))
    await server.quiet()
    assert opening.written.endswith(b"o\n")
    wire = server.connect()
    for piece in pieces:
        wire.feed(piece)
        await server.quiet()
    if not wire.closed:
        if not wire.protocol.eof_received():
            # As a loop does it.
            wire.close()
        await server.quiet()
    result = [*server.heard], wire.written, wire.closed
    for each in (opening, wire):
        each.close()
    await server.quiet()
    heard, written, closed = result
    return heard, [normal(each) for each in re.split(rb"(?=HTTP/\d\.\d )", written)], closed


class Stage:
    """The three servers, on a loop of their own."""

    def __init__(self) -> None:
        self._numbers = itertools.count()
        self._loop = asyncio.new_event_loop()
        self._skins = {name: Unplugged(*SKINS[name]) for name in SKINS}
        for skin in self._skins.values():
            self._loop.run_until_complete(skin.runner.start([]))

    def close(self) -> None:
        for skin in self._skins.values():
            self._loop.run_until_complete(skin.runner.stop())
        # Those that linger until a client has read why it was refused.
        self._loop.run_until_complete(end_tasks())
        self._loop.close()

    def compare(self, *pieces: bytes) -> None:
        """Assert that all do the same with a stream."""
        # Each stream has a session of its own, whose id is as long.
        known = f"k{next(self._numbers):04x}".encode()
        named = [piece.replace(b"known", known) for piece in pieces]
        results = {
            name: self._loop.run_until_complete(play(skin, known, named))
            for name, skin in self._skins.items()
        }
        expected = results.pop("aiohttp alone")
        for name, result in results.items():
            assert result == expected, name


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    stage = Stage()
    yield stage
    stage.close()


def normal(response: bytes) -> object:
    """Return a response without times and chance; how fields follow one another says nothing."""
    head, _, body = response.partition(b"\r\n\r\n")
    first, *fields = head.split(b"\r\n")
    left_out = [b"Date", b"Expires"]
    if b"entropy" in body or first.startswith(b"HTTP/1.0 400 "):
        # What aiohttp says of a malformed request shows what it had of it at that moment.
        body = re.sub(rb"\d|\n.*", b"", body, flags=re.DOTALL)
        left_out.append(b"Content-Length")
    return first, sorted(each for each in fields if not each.startswith(tuple(left_out))), body


def request(
    target: str = "/talk/0/known/xhr_send",
    body: bytes = b'["hello"]',
    *fields: str,
    method: str = "POST",
    version: str = "HTTP/1.1",
    length: str | None = None,
    host: str | None = "Host: here",
    end: str = "\r\n",
) -> bytes:
    lines = [f"{method} {target} {version}", *([host] if host else []), *fields]
    if length is None and body:
        lines.append(f"Content-Length: {len(body)}")
    elif length:
        lines.append(length)
    return end.join([*lines, "", ""]).encode("utf-8", "surrogateescape") + body


CHUNKED = b'3\r\n["c\r\n3;x=y\r\nh"]\r\n0\r\n\r\n'
REFUSED = HANDSHAKE.replace(b"\r\nUpgrade", b"\r\nX-Refuse: 1\r\nUpgrade")
ODD = {
    "plain": request(),
    "with a time": request("/talk/0/known/xhr_send?t=1700000000007"),
    "as a browser": request(
        *("/talk/0/known/xhr_send?t=1", b'["b"]', "Connection: keep-alive", "Accept: */*"),
        *("Origin: http://here", "Content-Type: text/plain", "User-Agent: Mozilla/5.0 (X11)"),
    ),
    "unknown session": request("/talk/0/unknown/xhr_send"),
    "no messages": request(body=b""),
    "bad JSON": request(body=b"[1,"),
    "not UTF-8": request(body=b'["\xff"]'),
    "another origin": request(*("/talk/0/known/xhr_send", b'["x"]', "Origin: http://there")),
    "too large": request(body=b'["' + b"x" * 65536 + b'"]'),
    "wrong method": request(method="PUT"),
    "preflight": request(body=b"", method="OPTIONS"),
    "a poll by GET": request("/talk/0/known/xhr", b"", method="GET"),
    "an opening": request("/talk/0/new/xhr", b""),
    "info": request("/talk/info", b"", method="GET", length=""),
    "greeting": request("/talk", b"", method="GET"),
    "a page": request("/page/x?y=z", b"form=1"),
    "a long page": request("/page/x", b"z" * 70_000),
    "no page": request("/nowhere", b"", method="GET"),
    "escaped": request("/t%61lk/0/known/xhr_send"),
    "a slash more": request("/talk/0/known/xhr_send/"),
    "two slashes": request("//talk/0/known/xhr_send"),
    "absolute form": request("http://here/talk/0/known/xhr_send"),
    "authority form": request("here:80", b"", method="CONNECT"),
    "a fragment": request("/talk/0/known/xhr_send#x"),
    "asterisk": request("*", b"", method="OPTIONS"),
    "HTTP/1.0": request(version="HTTP/1.0"),
    "HTTP/1.0, kept alive": request(
        *("/talk/0/known/xhr_send", b'["x"]', "Connection: keep-alive"), version="HTTP/1.0"
    ),
    "HTTP/2.0": request(version="HTTP/2.0"),
    "lower case": request(method="post"),
    "a blank more": request(version=" HTTP/1.1"),
    "closes": request(*("/talk/0/known/xhr_send", b'["x"]', "Connection: close")),
    "closes, in capitals": request(*("/talk/0/known/xhr_send", b'["x"]', "Connection: Close")),
    "options of a connection": request(
        *("/talk/0/known/xhr_send", b'["x"]', "Connection: keep-alive, x-y")
    ),
    "upgrades": request(
        *("/talk/0/known/xhr_send", b'["x"]', "Connection: Upgrade", "Upgrade: websocket")
    ),
    "a refused websocket": REFUSED,
    "a refused websocket of old": REFUSED.replace(b"Version: 13", b"Version: 8"),
    "a refused websocket, oddly": REFUSED.replace(b"Host: ", b"Host:\t"),
    "chunks": request(body=CHUNKED, length="Transfer-Encoding: chunked"),
    "chunks and a length": request(
        *("/talk/0/known/xhr_send", CHUNKED, "Transfer-Encoding: chunked"),
        length="Content-Length: 3",
    ),
    "a length and chunks": request(
        *("/talk/0/known/xhr_send", CHUNKED, "Content-Length: 3"),
        length="Transfer-Encoding: chunked",
    ),
    "chunks in capitals": request(body=CHUNKED, length="TRANSFER-ENCODING: CHUNKED"),
    "chunks of something": request(body=CHUNKED, length="Transfer-Encoding: xchunked"),
    "chunks of nothing": request(body=CHUNKED, length="Transfer-Encoding: identity"),
    "bad chunks": request(body=b"zz\r\n", length="Transfer-Encoding: chunked"),
    "two lengths": request(
        *("/talk/0/known/xhr_send", b'["x"]', "Content-Length: 5"), length="Content-Length: 5"
    ),
    "two different lengths": request(
        *("/talk/0/known/xhr_send", b'["x"]', "Content-Length: 3"), length="Content-Length: 5"
    ),
    "lengths in a list": request(body=b'["x"]', length="Content-Length: 5, 5"),
    "a length with a sign": request(body=b'["x"]', length="Content-Length: +5"),
    "a negative length": request(body=b'["x"]', length="Content-Length: -5"),
    "a hexadecimal length": request(body=b'["x"]', length="Content-Length: 0x5"),
    "a length with an underscore": request(body=b'["x"]', length="Content-Length: 0_5"),
    "a length with zeros": request(body=b'["x"]', length="Content-Length: 0005"),
    "a length of other digits": request(body=b'["x"]', length="Content-Length: \u0665"),
    "an endless length": request(body=b'["x"]', length="Content-Length: 99999999999999999999"),
    "a length that is short": request(body=b'["x"]', length="Content-Length: 3"),
    "a length with blanks": request(body=b'["x"]', length="Content-Length:    5   "),
    "a length after a tab": request(body=b'["x"]', length="Content-Length:\t5"),
    "a length before a blank": request(body=b'["x"]', length="Content-Length : 5"),
    "a length in small letters": request(body=b'["x"]', length="content-length: 5"),
    "an underscore": request(body=b'["x"]', length="Content_Length: 5"),
    "expects": request(*("/talk/0/known/xhr_send", b'["x"]', "Expect: 100-continue")),
    "expects more": request(*("/talk/0/known/xhr_send", b'["x"]', "Expect: 200-ok")),
    "a trailer": request(*("/talk/0/known/xhr_send", b'["x"]', "Trailer: X-Y", "TE: trailers")),
    "no host": request(host=None),
    "two hosts": request(*("/talk/0/known/xhr_send", b'["x"]', "Host: there")),
    "an empty host": request(host="Host:"),
    "folded": request(*("/talk/0/known/xhr_send", b'["x"]', "X-Y: a", " b: c")),
    "folded by a tab": request(*("/talk/0/known/xhr_send", b'["x"]', "X-Y: a", "\tb: c")),
    "no colon": request(*("/talk/0/known/xhr_send", b'["x"]', "X-Y")),
    "no name": request(*("/talk/0/known/xhr_send", b'["x"]', ": y")),
    "a blank in a name": request(*("/talk/0/known/xhr_send", b'["x"]', "X Y: z")),
    "an odd name": request(*("/talk/0/known/xhr_send", b'["x"]', "X(Y): z")),
    "a NUL": request(*("/talk/0/known/xhr_send", b'["x"]', "X-Y: a\0b")),
    "a carriage return": request(*("/talk/0/known/xhr_send", b'["x"]', "X-Y: a\rb")),
    "a line feed": request(*("/talk/0/known/xhr_send", b'["x"]', "X-Y: a\nX-Z: b")),
    "a control character": request(*("/talk/0/known/xhr_send", b'["x"]', "X-Y: a\x01b")),
    "not ASCII": request(*("/talk/0/known/xhr_send", b'["x"]', "Cookie: k=\u00fc")),
    "not even UTF-8": request(*("/talk/0/known/xhr_send", b'["x"]', "Cookie: k=\udcff")),
    "a target that is not ASCII": request("/talk/0/kn\u00f6wn/xhr_send"),
    "line feeds only": request(end="\n"),
    "an empty line before": b"\r\n" + request(),
    "an empty line behind": request() + b"\r\n",
    "a blank before": b" " + request(),
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(50),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "many fields": request("/talk/0/known/xhr_send", b'["x"]', *(f"X-{n}: {n}" for n in range(90))),
    "too many fields": request(
        "/talk/0/known/xhr_send", b'["x"]', *(f"X-{n}: {n}" for n in range(300))
    ),
    "a long field": request("/talk/0/known/xhr_send", b'["x"]', f"X-Y: {'z' * 8100}"),
    "a field that is too long": request("/talk/0/known/xhr_send", b'["x"]', f"X-Y: {'z' * 9000}"),
    "a long target": request(f"/talk/0/known/xhr_send?{'z' * 8000}"),
    "a target that is too long": request(f"/talk/0/known/xhr_send?{'z' * 9000}"),
}


#: A quick run, which asks for few examples, leaves places out.
STEP = max(1, 50 // settings.default.max_examples)


@pytest.mark.parametrize("name", ODD)
def test_alone_and_between_others(stage: Stage, name: str) -> None:
    before, after = request(body=b'["before"]'), request(body=b'["after"]')
    stage.compare(ODD[name])
    stage.compare(before, ODD[name], after)
    stage.compare(before + ODD[name] + after)


@pytest.mark.parametrize(
    "name", ["as a browser", "chunks", "a page", "unknown session", "upgrades"]
)
def test_every_split(stage: Stage, name: str) -> None:
    data = ODD[name]
    for cut in range(1, len(data), STEP):
        stage.compare(data[:cut], data[cut:], request(body=b'["after"]'))


def test_every_split_of_a_known_form(stage: Stage) -> None:
    """Requests that differ in nothing but query and body are read anew only once."""
    first = request("/talk/0/known/xhr_send?t=1", b'["1"]')
    again = request("/talk/0/known/xhr_send?t=22", b'["2"]')
    for cut in range(1, len(again), STEP):
        stage.compare(first, again[:cut], again[cut:], request(body=b'["after"]'))


@pytest.mark.parametrize(
    "target", ["xhr_send?t=1&x", "xhr_send?", "xhr_send?t=%31", "xhr_send/?t=1", "xhr_send?t=a?b"]
)
def test_behind_a_known_form(stage: Stage, target: str) -> None:
    first = request(body=b'["1"]')
    stage.compare(first, request(f"/talk/0/known/{target}", b'["2"]'))
    stage.compare(first, first + request(f"/talk/0/known/{target}", b'["2"]'))
    stage.compare(first, request(f"/talk/0/known/{target}", b'["2"]') + b"x", first)


def test_no_known_form_after_all(stage: Stage) -> None:
    """What is a path's end in one request may not be a header's beginning in another."""
    first = request(body=b'["1"]')
    again = first.replace(b" HTTP/1.1\r\nHost", b"Host HTTP/1.1\r\n")
    assert again != first
    stage.compare(first, again)


def test_wrong_behind_one_in_pieces(stage: Stage) -> None:
    """What is wrong does not take along what came before it."""
    data = request()
    for cut in (20, len(data) - 9, len(data) - 1):
        stage.compare(data[:cut], data[cut:] + request(host=None))


@pytest.mark.parametrize("version", [b"13", b"8"])
def test_what_begins_behind_a_refused_websocket(stage: Stage, version: bytes) -> None:
    """What is a header's value for one is no request for another."""
    refused = REFUSED.replace(b"Version: 13", b"Version: " + version)
    data = b"POST /page/x HTTP/1.1\r\nHost: here\r\nContent-Length: 0\r\nX-Y: " + request()
    for cut in (1, 20, data.index(b"X-Y: ") + 5, len(data) - 9):
        stage.compare(refused + data[:cut], data[cut:])
        stage.compare(refused, data[:cut], data[cut:])


PATCHES = (b"", b"\r", b"\n", b"\r\n", b" ", b"\t", b":", b"\0", b"\xff", b"0", b",")


@st.composite
def streams(draw: st.DrawFn) -> list[bytes]:
    """Requests behind one another, cut anywhere; some bytes may be others than they were."""
    data = bytearray(
        b"".join(ODD[name] for name in draw(st.lists(st.sampled_from([*ODD]), max_size=5)))
    )
    for _ in range(draw(st.integers(0, 2))):
        if data:
            place = draw(st.integers(0, min(len(data), 600) - 1))
            data[place : place + draw(st.integers(0, 2))] = draw(st.sampled_from(PATCHES))
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=4)))
    return [bytes(data[a:b]) for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]


@settings(max_examples=3 * settings.default.max_examples, suppress_health_check=list(HealthCheck))
@given(streams())
def test_any_stream(stage: Stage, pieces: list[bytes]) -> None:
    stage.compare(*pieces)
