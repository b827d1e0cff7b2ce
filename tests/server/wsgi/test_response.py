"""A WSGI application on aiohttp: what becomes of its response.

Everything here goes over a real socket. Sections are those of PEP 3333.
"""

from __future__ import annotations

import asyncio
import io
import re
import sys
import threading

import pytest

from tests.server.support import PATIENCE, Answer, serving, until

PLAIN = [("Content-Type", "text/plain")]


class Blocks:
    """An iterable of blocks that notes its end, and fails where a block is an exception."""

    def __init__(self, *blocks):
        self.blocks = blocks
        self.closed_in = None
        self.taken = 0

    def __iter__(self):
        for block in self.blocks:
            self.taken += 1
            if isinstance(block, Exception):
                raise block
            yield block

    def close(self):
        assert self.closed_in is None
        self.closed_in = threading.current_thread().name


class ClosedList(list):
    closed_in = None

    def close(self):
        self.closed_in = threading.current_thread().name


LIST_OR_BLOCKS = pytest.mark.parametrize(
    "make", [list, lambda blocks: Blocks(*blocks)], ids=["list", "blocks"]
)


def responding(iterable, status="200 OK", headers=PLAIN):
    def app(environ, start_response):
        start_response(status, list(headers))
        return iterable

    return app


# Framing


@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/1.0"])
@pytest.mark.parametrize("kind", [list, tuple, ClosedList])
@pytest.mark.parametrize("blocks", [[], [b""], [b"one"], [b"one", b"", b"two"]])
async def test_a_list_has_a_length(version, kind, blocks):
    """Handling the Content-Length Header: the whole body is known, so its length is sent."""
    iterable = kind(blocks)
    async with serving(responding(iterable)) as served:
        answer = await served.ask(version=version)
    body = b"".join(blocks)
    assert (answer.version, answer.status, answer.reason) == (version, 200, "OK")
    assert answer.body == body
    assert answer["Content-Length"] == str(len(body))
    assert answer["Transfer-Encoding"] is None
    if kind is ClosedList:
        assert iterable.closed_in == "test-1"


async def test_an_iterable_is_sent_in_chunks():
    """Buffering and Streaming: one chunk for each block, empty blocks send nothing."""
    blocks = Blocks(b"", b"one", b"", b"two")
    async with serving(responding(blocks)) as served:
        raw = await served.exchange(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
    assert raw.endswith(b"\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")
    assert Answer.parse(raw)["Transfer-Encoding"] == "chunked"
    assert Answer.parse(raw)["Content-Length"] is None
    assert blocks.closed_in == "test-1"


async def test_http_1_0_knows_no_chunks():
    """The connection's end is the body's end, even if the client asked to keep it."""
    async with serving(responding(Blocks(b"one", b"two"))) as served:
        raw = await served.exchange(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    answer = Answer.parse(raw)
    assert answer.body == b"onetwo"
    assert answer["Transfer-Encoding"] is None
    assert answer["Connection"] == "close"


async def test_http_1_0_keep_alive():
    async with serving(responding([b"one"])) as served:
        reader, writer = await served.connect()
        for _ in range(2):
            writer.write(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            raw = await asyncio.wait_for(reader.readuntil(b"one"), PATIENCE)
            assert Answer.parse(raw)["Connection"] == "keep-alive"


@LIST_OR_BLOCKS
async def test_http_1_1_keeps_the_connection(make):
    """Two requests sent at once are answered one after the other on one connection."""

    def app(environ, start_response):
        start_response("200 OK", PLAIN)
        return make([environ["PATH_INFO"].encode()])

    async with serving(app) as served:
        raw = await served.exchange(
            b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n"
            b"GET /b HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
        )
    _, first, second = raw.split(b"HTTP/1.1 200 OK")
    assert b"/a" in first
    assert b"/b" in second


async def test_a_block_arrives_before_the_next_is_made():
    """Buffering and Streaming: a block is on its way before the application is asked again."""
    goon = threading.Event()

    def app(environ, start_response):
        start_response("200 OK", PLAIN)
        yield b"one"
        assert goon.wait(PATIENCE)
        yield b"two"

    async with serving(app) as served:
        reader, writer = await served.connect()
        writer.write(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        await asyncio.wait_for(reader.readuntil(b"one\r\n"), PATIENCE)
        goon.set()
        await asyncio.wait_for(reader.readuntil(b"two\r\n0\r\n\r\n"), PATIENCE)


@LIST_OR_BLOCKS
async def test_the_applications_length_is_kept(make):
    async with serving(
        responding(make([b"12", b"345"]), headers=[("content-length", "5")])
    ) as served:
        answer = await served.ask()
    assert (answer["Content-Length"], answer["Transfer-Encoding"]) == ("5", None)
    assert answer.body == b"12345"


@LIST_OR_BLOCKS
async def test_a_body_that_is_too_long_is_cut(make, server_log):
    """And the client's next request on the connection is answered in its place."""
    made = []

    def app(environ, start_response):
        start_response("200 OK", [("Content-Length", "5")])
        made.append(make([b"12", b"34567", b"8"]))
        return made[-1]

    async with serving(app) as served:
        reader, writer = await served.connect()
        writer.write(b"GET /cut HTTP/1.1\r\nHost: h\r\n\r\n")
        await asyncio.wait_for(reader.readuntil(b"12345"), PATIENCE)
        writer.write(b"GET /cut HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        raw = await asyncio.wait_for(reader.read(), PATIENCE)
    assert raw.startswith(b"HTTP/1.1 200 OK\r\n")
    assert raw.endswith(b"\r\n\r\n12345")
    assert re.fullmatch(r".*WARNING GET '/cut': the body is longer .* 5 bytes", server_log()[0])
    if make is not list:
        assert all(blocks.closed_in and blocks.taken == 2 for blocks in made)


async def test_what_write_sends_too_much_is_cut(server_log):
    def app(environ, start_response):
        write = start_response("200 OK", [("Content-Length", "3")])
        write(b"123")
        write(b"4")
        write(b"5")
        return []

    async with serving(app) as served:
        answer = await served.ask()
    assert answer.body == b"123"
    assert len(server_log()) == 1


@pytest.mark.parametrize(
    ("blocks", "headers"),
    [
        ((b"1", b"23"), [("Content-Length", "5")]),
        ((b"1", ZeroDivisionError()), [("Content-Length", "5")]),
        ((b"1", ZeroDivisionError()), []),
    ],
    ids=["short", "error", "error-in-chunks"],
)
async def test_a_response_that_breaks_off_aborts_the_connection(blocks, headers, server_log):
    """Never a clean end: the client can tell that something is missing."""
    iterable = Blocks(*blocks)
    async with serving(responding(iterable, headers=headers)) as served:
        answer = await served.ask(close=False)
    assert answer.status == 200
    assert answer.body.startswith(b"1")
    assert not answer.complete
    assert iterable.closed_in
    assert "ERROR GET '/' failed" in server_log()[0]


async def test_without_length_or_chunks_a_reset_tells_the_client():
    """HTTP/1.0: an orderly end of the connection would be the end of the body."""
    seen = threading.Event()

    def app(environ, start_response):
        start_response("200 OK", PLAIN)
        yield b"one"
        assert seen.wait(PATIENCE)
        raise ZeroDivisionError

    async with serving(app) as served:
        reader, writer = await served.connect()
        writer.write(b"GET / HTTP/1.0\r\n\r\n")
        await asyncio.wait_for(reader.readuntil(b"one"), PATIENCE)
        seen.set()
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.read(), PATIENCE)


@LIST_OR_BLOCKS
async def test_what_is_known_to_be_short_before_it_is_sent_is_500(make, server_log):
    """Nothing left the server yet, so the client can be told in order."""
    blocks = make([b"123"] if make is list else [])
    async with serving(responding(blocks, headers=[("Content-Length", "5")])) as served:
        answer = await served.ask()
    assert answer.status == 500
    assert "ERROR" in server_log()[0]


@pytest.mark.parametrize(
    ("method", "status"),
    [
        ("HEAD", "200 OK"),
        ("HEAD", "204 No Content"),
        ("GET", "204 No Content"),
        ("GET", "304 Not Modified"),
    ],
)
@LIST_OR_BLOCKS
async def test_responses_without_a_body(method, status, make):
    """RFC 9110 section 6.4.1; what follows on the connection is the next response."""
    made = []

    def app(environ, start_response):
        start_response(status, PLAIN)
        made.append(make([b"one", b"two"]))
        return made[-1]

    request = f"{method} / HTTP/1.1\r\nHost: h\r\n".encode()
    async with serving(app) as served:
        raw = await served.exchange(request + b"\r\n" + request + b"Connection: close\r\n\r\n")
    empty, *answers = raw.split(b"HTTP/1.1 ")
    assert (empty, len(answers)) == (b"", 2)
    for part in answers:
        assert part.endswith(b"\r\n\r\n")
        answer = Answer.parse(b"HTTP/1.1 " + part, "HEAD")
        assert answer["Transfer-Encoding"] is None
        assert answer["Content-Length"] == ("6" if status == "200 OK" and make is list else None)
    if make is not list:
        # The first block may be what calls start_response; the rest is nobody's business.
        assert all(blocks.closed_in and blocks.taken == 1 for blocks in made)


@pytest.mark.parametrize(
    ("method", "status", "sent"),
    [
        ("HEAD", "200 OK", "5"),
        ("HEAD", "304 Not Modified", "5"),
        ("GET", "304 Not Modified", "5"),
        ("GET", "204 No Content", None),
    ],
)
async def test_the_length_of_what_is_not_sent(method, status, sent):
    """RFC 9110 section 8.6: HEAD and 304 may tell the length, 204 must not."""
    async with serving(responding([], status, [("Content-Length", "5")])) as served:
        answer = await served.ask(method=method)
    assert answer["Content-Length"] == sent


# The head


async def test_headers_are_sent_as_given():
    """The order, repeated ones, and latin-1 byte for byte."""
    headers = [
        ("X-B", "\xe9\xff"),
        ("Set-Cookie", "a=1"),
        ("X-A", ""),
        ("Set-Cookie", "b=2"),
    ]
    async with serving(responding([b"x"], "299 Sch\xf6n", headers)) as served:
        raw = await served.exchange(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
    assert raw.startswith(
        b"HTTP/1.1 299 Sch\xf6n\r\nX-B: \xe9\xff\r\nSet-Cookie: a=1\r\nX-A: \r\nSet-Cookie: b=2\r\n"
    )


async def test_what_the_server_adds():
    """Date (RFC 9110 section 6.6.1) and Server; no Content-Type is invented."""
    async with serving(responding([b"x"], headers=[])) as served:
        answer = await served.ask()
    assert sorted(name for name, _ in answer.headers) == [
        "Connection",
        "Content-Length",
        "Date",
        "Server",
    ]
    assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", answer["Date"])
    assert answer["Server"] == "sockjs-bridge"


async def test_the_applications_date_and_server_stay():
    headers = [("date", "today"), ("server", "mine")]
    async with serving(responding([b"x"], headers=headers)) as served:
        answer = await served.ask()
    assert (answer["Date"], answer["Server"]) == ("today", "mine")


@pytest.mark.parametrize(
    "header",
    [("Connection", "close"), ("Transfer-Encoding", "chunked"), ("keep-alive", "timeout=5")],
)
async def test_hop_by_hop_headers_are_dropped(header, server_log):
    """Other HTTP Features: applications must not send them, they belong to the server."""
    async with serving(responding([b"x"], headers=[header])) as served:
        reader, writer = await served.connect()
        writer.write(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        raw = await asyncio.wait_for(reader.readuntil(b"\r\n\r\nx"), PATIENCE)
    assert Answer.parse(raw)[header[0]] is None
    assert "hop-by-hop" in server_log()[0]


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        ("200", None),
        ("OK", []),
        ("99 Low", []),
        ("101 Switching Protocols", []),
        ("1000 High", []),
        ("200 OK\r\nX: y", []),
        ("200 \u20ac", []),
        ("200 OK", [("X", "a\r\nSet-Cookie: b=c")]),
        ("200 OK", [("X", "a\n")]),
        ("200 OK", [("X", "\x00")]),
        ("200 OK", [("X", "\u20ac")]),
        ("200 OK", [("X\r\nY", "a")]),
        ("200 OK", [("", "a")]),
        ("200 OK", [("X:", "a")]),
        ("200 OK", [("X", 1)]),
        ("200 OK", [("X", b"a")]),
        ("200 OK", [("Content-Length", "-1")]),
        ("200 OK", [("Content-Length", "five")]),
        ("200 OK", [("Content-Length", "5"), ("content-length", "6")]),
        (200, []),
    ],
)
async def test_a_head_that_cannot_be_sent_is_500(status, headers, server_log):
    """The start_response() Callable: above all, nothing that splits a response."""
    async with serving(responding([b"12345"], status, headers or [])) as served:
        answer = await served.ask()
    if headers is None:
        assert (answer.status, answer.reason) == (200, "")
        return
    assert (answer.status, answer.body) == (500, b"Internal Server Error\n")
    assert answer["Content-Type"] == "text/plain; charset=UTF-8"
    assert answer["Set-Cookie"] is None
    assert "ERROR GET '/' failed" in server_log()[0]


# start_response and write


def never_started(environ, start_response):
    return [b"x"]


def never_started_blocks(environ, start_response):
    return iter([b"x"])


def never_started_nothing(environ, start_response):
    return iter([])


def started_twice(environ, start_response):
    start_response("200 OK", PLAIN)
    start_response("200 OK", PLAIN)
    return [b"x"]


def failing(environ, start_response):
    raise ZeroDivisionError


def failing_late(environ, start_response):
    start_response("200 OK", PLAIN)
    raise ZeroDivisionError


def failing_at_first(environ, start_response):
    start_response("200 OK", PLAIN)
    return Blocks(ZeroDivisionError())


def text(environ, start_response):
    start_response("200 OK", PLAIN)
    return ["text"]


def text_blocks(environ, start_response):
    start_response("200 OK", PLAIN)
    return iter(["text"])


def nothing(environ, start_response):
    start_response("200 OK", PLAIN)


def leaving(environ, start_response):
    sys.exit(1)


@pytest.mark.parametrize(
    "app",
    [
        never_started,
        never_started_blocks,
        never_started_nothing,
        started_twice,
        failing,
        failing_late,
        failing_at_first,
        text,
        text_blocks,
        nothing,
        leaving,
    ],
)
async def test_an_error_before_the_head_is_500(app, server_log, caplog):
    """It is logged with its traceback, and the connection and the server go on."""
    async with serving(app, threads=1) as served:
        for _ in range(2):
            answer = await served.ask()
            assert (answer.status, answer.body) == (500, b"Internal Server Error\n")
    assert len(server_log()) == 2
    assert "Traceback" in caplog.text


async def test_start_response_within_the_iterable():
    """A generator runs only when it is asked for its first block."""

    def app(environ, start_response):
        start_response("201 Created", PLAIN)
        yield b"x"

    async with serving(app) as served:
        assert (await served.ask()).status == 201
        assert (await served.ask(method="HEAD")).status == 201


async def test_exc_info_replaces_a_head_that_was_not_sent():
    """Error Handling."""

    def app(environ, start_response):
        start_response("200 OK", [("X-A", "1")])
        try:
            raise ZeroDivisionError
        except ZeroDivisionError:
            start_response("502 Oops", [("X-B", "2")], sys.exc_info())
        return [b"oops"]

    async with serving(app) as served:
        answer = await served.ask()
    assert (answer.status, answer.reason, answer.body) == (502, "Oops", b"oops")
    assert (answer["X-A"], answer["X-B"]) == (None, "2")


async def test_exc_info_is_raised_when_the_head_was_sent(caplog):
    """Error Handling: the application learns that it is too late."""

    def app(environ, start_response):
        start_response("200 OK", PLAIN)
        yield b"one"
        try:
            raise ZeroDivisionError("the original one")
        except ZeroDivisionError:
            start_response("500 Oops", [], sys.exc_info())
        yield b"two"

    async with serving(app) as served:
        answer = await served.ask()
    assert (answer.status, answer.body, answer.complete) == (200, b"one", False)
    assert "the original one" in caplog.text


async def test_write():
    """The write() Callable: what it takes is sent at once, before the iterable's blocks."""

    def app(environ, start_response):
        write = start_response("200 OK", PLAIN)
        write(b"one")
        write(b"")
        return [b"two", b"three"]

    async with serving(app) as served:
        answer = await served.ask()
    assert (answer.body, answer["Transfer-Encoding"]) == (b"onetwothree", "chunked")


# wsgi.file_wrapper


def wrapping(file, headers=PLAIN, written=b""):
    def app(environ, start_response):
        write = start_response("200 OK", list(headers))
        if written:
            write(written)
        return environ["wsgi.file_wrapper"](file)

    return app


@pytest.mark.parametrize(
    ("position", "headers", "body"),
    [
        (0, [], b"0123456789"),
        (4, [], b"456789"),
        (10, [], b""),
        (20, [], b""),
        (4, [("Content-Length", "3")], b"456"),
        (4, [("Content-Length", "99")], b"456789"),
    ],
)
async def test_a_file_has_a_length(position, headers, body):
    """Optional Platform-Specific File Handling: from where the file stands to its end."""
    file = io.BytesIO(b"0123456789")
    file.seek(position)
    async with serving(wrapping(file, headers)) as served:
        answer = await served.ask()
    assert (answer.status, answer.body, answer.complete) == (200, body, True)
    assert answer["Content-Length"] == str(len(body))
    assert file.closed


class Unseekable(io.BytesIO):
    def seek(self, *args):
        raise io.UnsupportedOperation


class Readable:
    """All that PEP 3333 asks of a file."""

    def __init__(self, data):
        self.read = io.BytesIO(data).read


@pytest.mark.parametrize("kind", [Unseekable, Readable])
async def test_a_file_that_cannot_tell_its_length(kind):
    async with serving(wrapping(kind(b"0123456789"))) as served:
        answer = await served.ask()
    assert (answer.body, answer["Transfer-Encoding"]) == (b"0123456789", "chunked")


async def test_a_file_behind_what_was_written():
    """The head is on its way already."""
    async with serving(wrapping(io.BytesIO(b"file"), written=b"written ")) as served:
        answer = await served.ask()
    assert (answer.body, answer["Transfer-Encoding"]) == (b"written file", "chunked")


async def test_a_file_without_a_head_is_500(server_log):
    app = lambda environ, start_response: environ["wsgi.file_wrapper"](io.BytesIO())  # noqa: E731
    async with serving(app) as served:
        assert (await served.ask()).status == 500
    assert "failed" in server_log()[0]


async def test_close_that_fails_is_only_logged(server_log):
    class Failing(Blocks):
        def close(self):
            raise ZeroDivisionError

    async with serving(responding(Failing(b"x"))) as served:
        answer = await served.ask()
    assert (answer.status, answer.body, answer.complete) == (200, b"x", True)
    assert len(server_log()) == 1
    assert "close()" in server_log()[0]


# Clients that are slow, or gone


def endless(state):
    def app(environ, start_response):
        start_response("200 OK", PLAIN)
        try:
            while True:
                state["blocks"] = state.get("blocks", 0) + 1
                yield b"x" * 65536
        finally:
            state["closed"] = threading.current_thread().name

    return app


async def test_a_slow_client_holds_the_application_back():
    """A thread waits for the loop, so what is not read is neither made nor kept in memory."""
    state = {}

    def app(environ, start_response):
        if environ["PATH_INFO"] == "/endless":
            return endless(state)(environ, start_response)
        return responding([b"x"])(environ, start_response)

    async with serving(app) as served:
        _, writer = await served.connect()
        writer.transport.pause_reading()
        writer.write(b"GET /endless HTTP/1.1\r\nHost: h\r\n\r\n")
        await until(lambda: served.server.connections)
        connection = served.server.connections[0]
        await until(lambda: connection.writing_paused)
        # Time enough for a thread that does not wait to fill the memory.
        for _ in range(50):
            assert (await served.ask()).status == 200
        assert connection.transport.get_write_buffer_size() < 4 * 65536
        assert not state.get("closed")
        writer.transport.abort()
        await until(lambda: "closed" in state)
    assert state["closed"].startswith("test-")


async def test_a_client_that_leaves_releases_the_thread(server_log):
    """The iterable is closed in its thread, and nothing is logged above INFO."""
    state = {}
    async with serving(endless(state), threads=1) as served:
        reader, writer = await served.connect()
        writer.write(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        await asyncio.wait_for(reader.readexactly(100_000), PATIENCE)
        writer.transport.abort()
        await until(lambda: "closed" in state)
        assert await served.pool.run(int) == 0
    assert server_log() == []


@LIST_OR_BLOCKS
async def test_a_client_that_leaves_while_the_application_runs(make, server_log):
    """The application comes to its end as if nobody had left."""
    entered, release = threading.Event(), threading.Event()
    done = []
    iterable = make([b"x"] * 3)

    def app(environ, start_response):
        start_response("200 OK", PLAIN)
        entered.set()
        release.wait(PATIENCE)
        done.append(True)
        return iterable

    async with serving(app) as served:
        _, writer = await served.connect()
        writer.write(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        await until(entered.is_set)
        connection = served.server.connections[0]
        writer.transport.abort()
        await until(lambda: connection.transport is None)
        release.set()
        await until(lambda: not served.pool.busy)
    assert done
    assert server_log() == []
    if isinstance(iterable, Blocks):
        assert iterable.closed_in


@LIST_OR_BLOCKS
async def test_a_client_that_takes_nothing_is_cut_off(make, server_log, caplog):
    """send_timeout: neither a thread nor the memory of a response is held for ever."""
    async with serving(responding(make([b"x" * 50_000_000])), send_timeout=0.2) as served:
        _, writer = await served.connect()
        writer.transport.pause_reading()
        writer.write(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        await until(lambda: "took nothing" in caplog.text)
        await until(lambda: not served.server.connections)
        await until(lambda: not served.pool.busy)
    assert server_log() == []


@LIST_OR_BLOCKS
async def test_a_large_body_arrives_whole(make):
    """Larger than what is handed to the transport at once."""
    data = bytes(range(256)) * 4096 * 3
    async with serving(responding(make([data]))) as served:
        answer = await served.ask()
    assert answer.complete
    assert answer.body == data


async def test_a_loop_that_has_ended_releases_the_thread():
    """A stuck application that comes back after the server's end finds nobody."""
    closed = threading.Event()
    entered, release = threading.Event(), threading.Event()

    def app(environ, start_response):
        start_response("200 OK", PLAIN)
        entered.set()
        assert release.wait(PATIENCE)
        try:
            yield b"x"
        finally:
            closed.set()

    def server():
        async def main():
            async with serving(app) as served:
                _, writer = await served.connect()
                writer.write(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
                await until(entered.is_set)
                served.server.connections[0]._task_handler.cancel()

        asyncio.run(main())

    thread = threading.Thread(target=server)
    thread.start()
    await asyncio.to_thread(thread.join, PATIENCE)
    assert not thread.is_alive()
    release.set()
    assert await asyncio.to_thread(closed.wait, PATIENCE)
