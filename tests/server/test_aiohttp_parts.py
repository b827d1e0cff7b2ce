"""The bound on a request's head, and the server where aiohttp lacks a part."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from contextlib import asynccontextmanager

import pytest

from sockjs_bridge.server import aiohttp_parts, runner
from sockjs_bridge.server.aiohttp_parts import MAX_FIELDS, PIECE
from tests.server.support import PATIENCE
from tests.server.test_runner import make_app, started
from tests.server.wire import Unplugged

LIMIT = 16384
OK, TOO_LARGE = b"HTTP/1.1 200 OK", b"HTTP/1.0 431 Request Header Fields Too Large"

PAGE = b"GET /page HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /page HTTP/1.1\r\nHost: x\r\n"
HANDSHAKE = (
    b"GET /echo/websocket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
)
SHAPES = {
    "target": (b"GET /page?", b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
    "cookie": (b"GET /page HTTP/1.1\r\nHost: x\r\nConnection: close\r\nCookie: ", b"\r\n\r\n"),
    "name": (b"GET /page HTTP/1.1\r\nHost: x\r\nConnection: close\r\n", b": 1\r\n\r\n"),
    "fields": (
        b"GET /page HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        + b"".join(b"X-%d: %b\r\n" % (number, b"v" * 1000) for number in range(10))
        + b"Last: ",
        b"\r\n\r\n",
    ),
    "old": (b"GET /page HTTP/1.0\r\nX: ", b"\r\n\r\n"),
}


@pytest.fixture
def quick(monkeypatch):
    """Have connections close soon behind a refusal: all was sent before."""
    monkeypatch.setattr(runner, "LINGER", 0.1)


def head(size, shape="cookie"):
    """Make a head of so many bytes; its connection closes behind it."""
    begin, end = SHAPES[shape]
    return begin + b"a" * (size - len(begin) - len(end)) + end


@asynccontextmanager
async def serving(**settings):
    async with started(make_app(), max_request_header_size=LIMIT, **settings) as (_, url):
        port = int(url.rpartition(":")[2])
        writers = []

        async def send(*parts):
            """Send parts one after another, each when the one before has left."""
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writers.append(writer)
            for part in parts:
                writer.write(part)
                await writer.drain()
            return reader

        yield send
        for writer in writers:
            writer.close()


async def answers(reader):
    """Return the status lines of all responses until the connection closes."""
    raw = await asyncio.wait_for(reader.read(), PATIENCE)
    return [b"HTTP/" + part.partition(b"\r\n")[0] for part in raw.split(b"HTTP/")[1:]]


async def answer(reader):
    """Return the status line of the next response."""
    return (await asyncio.wait_for(reader.readuntil(b"\r\n"), PATIENCE)).rstrip()


# The whole of a head


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("polls", ["false", "true"])
@pytest.mark.parametrize("shape", SHAPES)
async def test_a_head_is_bounded_as_a_whole(shape, polls):
    """RFC 6585, 5: 431; no single line has a bound of its own."""
    async with serving(access_log_polls=polls) as send:
        assert (await answer(await send(head(LIMIT, shape)))).endswith(b"200 OK")
        assert await answer(await send(head(LIMIT + 1, shape))) == TOO_LARGE


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("before", "count"),
    [
        (PAGE, 1),
        (PAGE * 3, 3),
        (POST + b"Content-Length: 5\r\n\r\nhello", 1),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 1),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\nh\r\n0\r\nX: y\r\n\r\n" + PAGE, 2),
        (b"\r\n\r\n", 0),
    ],
)
@pytest.mark.parametrize("together", [True, False])
async def test_behind_what_came_before(before, count, together):
    """Wherever it begins, a head has the same bound, and what came before it is answered."""
    for size, last in ((LIMIT - 4, OK), (LIMIT + 1, TOO_LARGE)):
        parts = [before + head(size)] if together else [before, head(size)]
        async with serving() as send:
            assert await answers(await send(*parts)) == [*[OK] * count, last]


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    "before",
    [b"", PAGE, POST + b"Content-Length: 5\r\n\r\nhello", PAGE * 100],
    ids=["first", "second", "behind a body", "behind many"],
)
async def test_a_head_that_never_ends_is_not_waited_for(before):
    """It is refused when it is too long, not when it is complete, which it never may be."""
    async with serving() as send:
        reader = await send(before + head(LIMIT + PIECE + 1)[:-4])
        assert (await answers(reader))[-1] == TOO_LARGE


@pytest.mark.usefixtures("quick")
async def test_a_head_in_drops():
    async with serving() as send:
        whole = head(LIMIT + 1)
        parts = [whole[start : start + 1000] for start in range(0, len(whole), 1000)]
        assert await answers(await send(*parts)) == [TOO_LARGE]


async def test_who_is_still_sending_hears_the_refusal():
    """The connection stays until the client may have read why; then it closes."""
    async with serving() as send:
        assert await answers(await send(*[head(LIMIT * 10)[:-4]] * 10)) == [TOO_LARGE]


@pytest.mark.usefixtures("quick")
async def test_blank_lines_are_no_way_around():
    async with serving() as send:
        assert await answers(await send(b"\r\n" * (LIMIT // 2))) == [TOO_LARGE]


@pytest.mark.usefixtures("quick")
async def test_fields_are_counted():
    fields = b"".join(b"X-%d: y\r\n" % number for number in range(MAX_FIELDS - 2))
    base = b"GET /page HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + fields
    async with serving() as send:
        assert await answers(await send(base + b"\r\n")) == [OK]
        assert await answers(await send(base + b"One: more\r\n\r\n")) == [TOO_LARGE]


async def test_a_handshake_is_a_request():
    async with serving() as send:
        cookie = b"Cookie: " + b"a" * (LIMIT - len(HANDSHAKE) - len(b"Cookie: \r\n\r\n"))
        reader = await send(HANDSHAKE + cookie + b"\r\n\r\n")
        assert await answer(reader) == b"HTTP/1.1 101 Switching Protocols"
        assert await answer(await send(HANDSHAKE + cookie + b"a\r\n\r\n")) == TOO_LARGE


# Bodies


@pytest.mark.parametrize(
    "endless",
    [
        b"0\r\n" + b"".join(b"X-%d: %b\r\n" % (number, b"v" * 1000) for number in range(40)),
        b"0\r\nX: " + b"v" * 40000,
        b"5;" + b"x" * 40000,
        b"0" * 40000,
    ],
    ids=["trailers", "trailer", "extension", "length"],
)
async def test_what_stands_around_a_body_is_bounded(endless):
    """Who reads the body learns of it at once: 400."""
    begin = POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
    async with serving() as send:
        assert (await answers(await send(begin + endless)))[0] == b"HTTP/1.1 400 Bad Request"


@pytest.mark.parametrize("rest", [b"zz\r\n", b"0" * 100000], ids=["broken", "endless"])
@pytest.mark.parametrize("begun", [b"", b'7\r\n["heh"]\r\n'])
@pytest.mark.parametrize("path", [b"/page/x", b"/talk/0/known/xhr_send"])
async def test_a_body_that_breaks_before_anybody_reads_it(path, begun, rest):
    """It is no empty one: the application must not be called."""
    head = b"POST " + path + b" HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with Unplugged() as server:
        await server.open()
        wire = server.connect()
        wire.feed(head)
        wire.feed(begun)
        wire.feed(rest)
        await server.quiet()
        assert wire.written.startswith(b"HTTP/1.1 400 ")
        assert wire.closed
        assert server.heard == []


async def test_bodies_are_not_bounded():
    size = 50 * LIMIT
    chunks = b"1\r\nx\r\n" * LIMIT + b"%x\r\n%b\r\n0\r\n\r\n" % (size, b"x" * size)
    body = b"Content-Length: %d\r\n\r\n%b" % (size, b"\r\n" * (size // 2))
    async with serving() as send:
        assert await answer(await send(POST + b"Transfer-Encoding: chunked\r\n\r\n" + chunks)) == OK
        assert await answer(await send(POST + body)) == OK


async def test_a_crowd_of_requests():
    """More than aiohttp reads ahead: it pauses, and goes on without another byte."""
    async with serving() as send:
        assert await answers(await send(PAGE * 1000 + head(200))) == [OK] * 1001


# Where aiohttp lacks a part


def run(code):
    """Run code in an interpreter of its own."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr


def test_parts_that_aiohttp_lacks_are_noted():
    said = run(
        "import aiohttp.web\n"
        "import aiohttp._websocket.helpers as helpers, aiohttp.web_protocol as protocol\n"
        "del helpers.websocket_mask, protocol._ErrInfo\n"
        "from sockjs_bridge.server import aiohttp_parts, runner\n"
        "print(aiohttp_parts.websocket_mask, aiohttp_parts.HEADS_LACK)\n"
    )
    assert said.startswith("None ")
    assert "_ErrInfo" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("module", ["fast", "openings", "aiohttp_parts", "reader"])
def test_a_module_of_ours_that_is_missing_is_an_error(module):
    """It is no part of aiohttp, without which the server could do."""
    name = f"sockjs_bridge.server.{module}"
    assert "ImportError" in run(
        f"import sys\nsys.modules[{name!r}] = None\nimport sockjs_bridge.server.runner\n"
    ).replace("ModuleNotFoundError", "ImportError")


async def test_without_what_bounds_heads(monkeypatch, server_log):
    """aiohttp's own limits hold, for each line."""
    monkeypatch.setattr(aiohttp_parts, "HEADS_LACK", ImportError("no such part"))
    async with serving() as send:
        assert await answers(await send(head(8000))) == [OK]
        assert await answers(await send(head(9000))) == [b"HTTP/1.0 400 Bad Request"]
    assert [line for line in server_log() if "max_request_header_size" in line]
