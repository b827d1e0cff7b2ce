"""A WSGI application on aiohttp: what the application is given, and when it is not called.

Everything here goes over a real socket. Sections are those of PEP 3333.
"""

from __future__ import annotations

import asyncio
import io
import json
import re
import threading
from wsgiref.validate import validator

import pytest
from aiohttp import web

from sockjs_bridge.server.proxy import TrustedProxy
from sockjs_bridge.server.reader import connection_of
from sockjs_bridge.server.wsgi.body import send_continue
from sockjs_bridge.server.wsgi.environ import make_environ
from tests.server.support import PATIENCE, Answer, serving, until


def show(environ, start_response):
    """Answer with the environ, and with the body as latin-1."""
    shown = {key: value for key, value in environ.items() if isinstance(value, (str, bool, tuple))}
    shown["body"] = environ["wsgi.input"].read().decode("latin-1")
    body = json.dumps(shown).encode()
    start_response("200 OK", [("Content-Type", "application/json")])
    return [body]


async def environ_of(served, *args, **kwargs):
    answer = await served.ask(*args, **kwargs)
    assert answer.status == 200
    return json.loads(answer.body)


# The environ


async def test_environ():
    """environ Variables."""
    async with serving(show) as served:
        environ = await environ_of(served, "/a/b?c=d&e", headers=("Host: example.org:81",))
        host, port = served.address
    assert environ.pop("REMOTE_PORT").isdigit()
    assert environ == {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/a/b",
        "QUERY_STRING": "c=d&e",
        "REQUEST_URI": "/a/b?c=d&e",
        "SERVER_NAME": host,
        "SERVER_PORT": str(port),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_SOFTWARE": "sockjs-bridge",
        "REMOTE_ADDR": "127.0.0.1",
        "REMOTE_HOST": "127.0.0.1",
        "HTTP_HOST": "example.org:81",
        "HTTP_CONNECTION": "close",
        "wsgi.version": [1, 0],
        "wsgi.url_scheme": "http",
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
        "body": "",
    }


async def test_the_validator_of_the_standard_library_is_content():
    """wsgiref.validate checks environ, input and errors as PEP 3333 describes them."""

    def app(environ, start_response):
        environ["wsgi.errors"].write("")
        length = len(environ["wsgi.input"].read(1000))
        start_response("200 OK", [("Content-Type", "text/plain")])
        return iter([b"%d" % length])

    async with serving(validator(app)) as served:
        for target in ("/", "*", "//", "/%E4?%", "http://example.org"):
            answer = await served.ask(
                target,
                method="OPTIONS",
                headers=("Host: localhost", "Content-Length: 3", "Content-Type: text/plain"),
                body=b"abc",
            )
            assert (answer.status, answer.body) == (200, b"3")


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("/", "/", ""),
        ("//a//b/", "/a//b/", ""),
        ("///", "/", ""),
        ("/%2F/%2fother.example", "/other.example", ""),
        ("//other.example/x?//y", "/other.example/x", "//y"),
        ("/a#b?c", "/a", ""),
        ("/a?b#c?d", "/a", "b"),
        ("/a%2Fb%3Fc?d%20e?f", "/a/b?c", "d%20e?f"),
        ("/%C3%A9", "/\xc3\xa9", ""),
        ("/%FF%00", "/\xff\x00", ""),
        ("/a+b;c=1", "/a+b;c=1", ""),
        ("/%zz%", "/%zz%", ""),
        ("/../%2e%2e/x", "/../../x", ""),
        ("http://other.example/x%20y?z", "/x y", "z"),
        ("http://other.example", "/", ""),
        ("http://other.example?z", "/", "z"),
        ("http://other.example//x#y", "/x", ""),
    ],
)
async def test_path_info_holds_the_bytes_of_the_path(target, path, query):
    """Unicode Issues: the bytes, unquoted once, as latin-1; dots and slashes stay.

    But for slashes at the beginning: the path must not read as a host.
    """
    async with serving(show) as served:
        environ = await environ_of(served, target)
    assert (environ["PATH_INFO"], environ["QUERY_STRING"]) == (path, query)
    assert environ["REQUEST_URI"] == target


async def test_raw_bytes_in_the_target_never_crash():
    """RFC 3986 knows no bytes above 127; whether they pass or not is the parser's choice."""
    async with serving(show) as served:
        answer = await served.ask("/\xe9\xff?\xe9")
    assert answer.status in (200, 400)


@pytest.mark.parametrize(("method", "target"), [("OPTIONS", "*"), ("CONNECT", "other.example:443")])
async def test_a_target_without_a_path(method, target):
    """RFC 9112 section 3.3: the path is empty."""
    async with serving(show) as served:
        environ = await environ_of(served, target, method=method)
    assert (environ["PATH_INFO"], environ["REQUEST_METHOD"]) == ("", method)


async def test_an_absolute_target_overrules_host():
    """RFC 9112 section 3.2.2; user information is no part of the host."""
    async with serving(show) as served:
        environ = await environ_of(served, "http://me:pw@other.example:81/x")
    assert environ["HTTP_HOST"] == "other.example:81"


async def test_a_host_that_is_not_ascii():
    """Unicode Issues: its bytes as latin-1, once."""
    async with serving(show) as served:
        environ = await environ_of(served, headers=("Host: b\xc3\xbccher.example",))
    assert environ["HTTP_HOST"] == "b\xc3\xbccher.example"


async def test_header_names_with_an_underscore_are_dropped():
    """X_In and X-In are the same variable: a client could overwrite what a proxy has set."""
    headers = ("Host: localhost", "X-In: proxy", "X_In: client", "Content_Length: 7")
    async with serving(show) as served:
        environ = await environ_of(served, headers=headers)
    assert environ["HTTP_X_IN"] == "proxy"
    assert "CONTENT_LENGTH" not in environ
    assert "HTTP_CONTENT_LENGTH" not in environ


async def test_repeated_headers_are_joined():
    """RFC 9110 section 5.3, and RFC 6265 section 5.4 for cookies."""
    headers = ("Host: localhost", "X-A: 1", "Cookie: a=1", "x-a: 2", "cookie: b=2; c=3")
    async with serving(show) as served:
        environ = await environ_of(served, headers=headers)
    assert environ["HTTP_X_A"] == "1, 2"
    assert environ["HTTP_COOKIE"] == "a=1; b=2; c=3"


async def test_header_values_are_latin_1():
    """Unicode Issues: bytes of whatever encoding reach the application unharmed."""
    async with serving(show) as served:
        environ = await environ_of(served, headers=("Host: h\xe9", "X-A: \xff\xc3\xa9"))
    assert environ["HTTP_X_A"] == "\xff\xc3\xa9"
    assert environ["HTTP_HOST"] == "h\xe9"


async def test_http_1_0_without_a_host():
    async with serving(show) as served:
        environ = await environ_of(served, version="HTTP/1.0", headers=())
    assert "HTTP_HOST" not in environ
    assert environ["SERVER_PROTOCOL"] == "HTTP/1.0"


async def test_ipv6():
    """RFC 3875 section 4.1.14: brackets around the address of the server, not of the client."""
    async with serving(show, address="::1") as served:
        environ = await environ_of(served)
    assert environ["SERVER_NAME"] == "[::1]"
    assert environ["REMOTE_ADDR"] == "::1"


@pytest.mark.parametrize(("scheme", "port"), [("http", "80"), ("https", "443")])
async def test_unix_socket(tmp_path, scheme, port):
    """SERVER_NAME and SERVER_PORT can never be empty, and a Unix socket has neither."""
    async with serving(show, unix=str(tmp_path / "s"), url_scheme=scheme) as served:
        environ = await environ_of(served)
    assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == ("localhost", port)
    assert environ["REMOTE_ADDR"] == "unix"
    assert environ["wsgi.url_scheme"] == scheme
    assert "REMOTE_PORT" not in environ


async def test_who_has_left_has_its_address_all_the_same():
    """The addresses are those of the connection when it was made."""
    seen = []

    async def handle(host, request):
        await until(lambda: request.transport is None)
        seen.append(
            make_environ(request, host.client(request), connection_of(request).addresses, None)
        )
        return web.Response()

    async with serving(show, handler=handle) as served:
        _, writer = await served.connect()
        port = writer.get_extra_info("sockname")[1]
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await writer.drain()
        writer.close()
        await until(lambda: seen)
    (environ,) = seen
    assert (environ["REMOTE_ADDR"], environ["REMOTE_PORT"]) == ("127.0.0.1", str(port))
    assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == (
        "127.0.0.1",
        str(served.address[1]),
    )


FORWARDED = (
    "Host: inner",
    "X-Forwarded-For: 6.6.6.6",
    "X-Forwarded-For: 203.0.113.9:4711",
    "X-Forwarded-Proto: https",
    "X-Forwarded-Host: example.org",
    "Forwarded: for=6.6.6.6",
)
PROXY = TrustedProxy.from_settings(
    {
        "trusted_proxy": "127.0.0.1",
        "trusted_proxy_headers": "x-forwarded-for x-forwarded-proto x-forwarded-host",
    }
)


async def test_a_trusted_proxy():
    async with serving(show, proxy=PROXY) as served:
        environ = await environ_of(served, headers=FORWARDED)
    assert environ["REMOTE_ADDR"] == environ["REMOTE_HOST"] == "203.0.113.9"
    assert environ["REMOTE_PORT"] == "4711"
    assert environ["wsgi.url_scheme"] == "https"
    assert (environ["HTTP_HOST"], environ["SERVER_PORT"]) == ("example.org", "443")
    # WebOb's client_addr takes the first hop it finds here.
    assert environ["HTTP_X_FORWARDED_FOR"] == "203.0.113.9:4711"
    assert "HTTP_FORWARDED" not in environ


async def test_a_forwarded_host_overrules_an_absolute_target():
    async with serving(show, proxy=PROXY) as served:
        environ = await environ_of(served, "http://inner/x", headers=FORWARDED)
    assert environ["HTTP_HOST"] == "example.org"


async def test_by_default_no_proxy_is_trusted():
    async with serving(show) as served:
        environ = await environ_of(served, headers=FORWARDED)
    assert (environ["REMOTE_ADDR"], environ["HTTP_HOST"]) == ("127.0.0.1", "inner")
    assert not [key for key in environ if "FORWARDED" in key]


async def test_a_malformed_forwarding_header_is_400(server_log):
    async with serving(show, proxy=PROXY) as served:
        answer = await served.ask(headers=("Host: inner", "X-Forwarded-For: nonsense"))
    assert (answer.status, answer["Connection"]) == (400, "close")
    assert "nonsense" in server_log()[0]


# The body of the request


@pytest.mark.parametrize("size", [0, 1, 1000, 200_000])
@pytest.mark.parametrize("chunked", [False, True])
async def test_the_body_arrives_whole(size, chunked):
    """In memory or from disk; a chunked one has its true CONTENT_LENGTH."""
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    data, header = body, f"Content-Length: {size}"
    if chunked:
        parts = [body[at : at + 7000] for at in range(0, size, 7000)]
        data = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
        header = "Transfer-Encoding: chunked"
    async with serving(show, spool_size=50_000) as served:
        environ = await environ_of(
            served, method="PUT", headers=("Host: h", "Content-Type: a/b", header), body=data
        )
    assert environ["body"] == body.decode("latin-1")
    assert (environ["CONTENT_LENGTH"], environ["CONTENT_TYPE"]) == (str(size), "a/b")
    assert "HTTP_TRANSFER_ENCODING" not in environ


async def test_a_long_body_is_on_disk_and_closed_afterwards():
    inputs = []

    def app(environ, start_response):
        inputs.append(environ["wsgi.input"])
        return show(environ, start_response)

    async with serving(app, spool_size=10) as served:
        for size in (10, 11):
            headers = ("Host: h", f"Content-Length: {size}")
            await served.ask(method="POST", headers=headers, body=b"x" * size)
    short, long = inputs
    assert isinstance(short, io.BytesIO)
    assert not isinstance(long, io.BytesIO)
    assert short.closed
    assert long.closed


async def test_a_compressed_body_is_not_decompressed():
    async with serving(show) as served:
        environ = await environ_of(
            served,
            method="POST",
            headers=("Host: h", "Content-Encoding: gzip", "Content-Length: 8"),
            body=b"no gzip!",
        )
    assert environ["body"] == "no gzip!"
    assert environ["HTTP_CONTENT_ENCODING"] == "gzip"


async def test_no_thread_is_taken_before_the_body_is_there():
    """With one thread, a slow upload holds nobody up."""
    async with serving(show, threads=1) as served:
        reader, writer = await served.connect()
        writer.write(
            b"POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 2\r\n\r\na"
        )
        assert (await served.ask()).status == 200
        writer.write(b"b")
        answer = Answer.parse(await asyncio.wait_for(reader.read(), PATIENCE))
    assert json.loads(answer.body)["body"] == "ab"


@pytest.mark.parametrize(
    ("header", "body"),
    [("Content-Length: 11", b""), ("Transfer-Encoding: chunked", b"b\r\n01234567890\r\n")],
)
async def test_a_body_that_is_too_large_is_413(header, body):
    """By its Content-Length before a byte is read, by count when it comes in chunks."""
    async with serving(show, max_body_size=10) as served:
        answer = await served.ask(method="POST", headers=("Host: h", header), body=body)
    assert (answer.status, answer["Connection"]) == (413, "close")


async def test_a_body_that_does_not_come_is_408():
    """body_timeout counts from the last byte."""
    async with serving(show, body_timeout=0.1) as served:
        headers = ("Host: h", "Content-Length: 2")
        answer = await served.ask(method="POST", headers=headers, body=b"a", close=False)
    assert (answer.status, answer["Connection"]) == (408, "close")


async def test_a_body_that_ends_in_nonsense_does_not_reach_the_application():
    """The first chunk is in order, the second has no size.

    aiohttp's C parser stops without a word to who reads the body, so the time-out answers; its
    Python parser tells.
    """
    called = []
    async with serving(lambda *args: called.append(args), body_timeout=0.2) as served:
        reader, writer = await served.connect()
        writer.write(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
        await until(lambda: served.server.requests_count == 1)
        writer.write(b"zz\r\n")
        answer = Answer.parse(await asyncio.wait_for(reader.read(), PATIENCE))
    assert answer.status in (400, 408)
    assert answer["Connection"] == "close"
    assert not called


async def test_a_body_that_aiohttp_gives_up_is_400():
    """aiohttp's Python parser tells who reads the body what is wrong with it."""
    called = []

    async def handle(host, request):
        request.content.set_exception(web.RequestPayloadError("bad chunk"))
        return await host.serve(request)

    async with serving(lambda *args: called.append(args), handler=handle) as served:
        headers = ("Host: h", "Content-Length: 2")
        answer = await served.ask(method="POST", headers=headers, body=b"a")
    assert (answer.status, answer["Connection"]) == (400, "close")
    assert not called


@pytest.mark.parametrize("length", ["2", "11"])
async def test_expect_100_continue(length):
    """RFC 9110 section 10.1.1: go on, unless the answer is known without the body."""
    async with serving(show, max_body_size=10) as served:
        reader, writer = await served.connect()
        writer.write(
            b"POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nExpect: 100-Continue\r\n"
            b"Content-Length: %b\r\n\r\n" % length.encode()
        )
        first = await asyncio.wait_for(reader.readuntil(b"\r\n"), PATIENCE)
        if length == "11":
            assert first.split()[1] == b"413"
            return
        assert first + await reader.readuntil(b"\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"ab")
        answer = Answer.parse(await asyncio.wait_for(reader.read(), PATIENCE))
    assert json.loads(answer.body)["body"] == "ab"


async def test_an_error_after_100_continue_is_answered():
    """aiohttp must not take the 100 for the beginning of the response."""

    async def handle(host, request):
        await send_continue(request)
        raise ZeroDivisionError

    async with serving(show, handler=handle) as served:
        raw = await served.exchange(
            b"POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n"
        )
    assert re.match(rb"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 500 ", raw)


@pytest.mark.parametrize(
    ("version", "headers"),
    [
        ("HTTP/1.0", ("Expect: 100-continue", "Content-Length: 1")),
        ("HTTP/1.1", ("Host: h", "Expect: 100-continue", "Content-Length: 0")),
        ("HTTP/1.1", ("Host: h", "Expect: rain", "Content-Length: 1")),
    ],
)
async def test_no_100_continue(version, headers):
    """Not for HTTP/1.0, nor without a body, nor for what nobody defined."""
    async with serving(show) as served:
        answer = await served.ask(method="POST", version=version, headers=headers, body=b"a")
    assert answer.status in (200, 400)


@pytest.mark.parametrize("spool_size", [1, 100])
async def test_a_client_that_leaves_during_its_upload(server_log, spool_size):
    """The request is dropped: the application is not called, nothing is logged above INFO."""
    called = []
    served_requests = []

    async def handle(host, request):
        response = await host.serve(request)
        served_requests.append(response.status)
        return response

    async with serving(
        lambda *args: called.append(args), handler=handle, spool_size=spool_size
    ) as served:
        _, writer = await served.connect()
        writer.write(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc")
        await until(lambda: served.server.requests_count)
        writer.transport.abort()
        await until(lambda: served_requests)
    assert served_requests == [499]
    assert not called
    assert server_log() == []


async def test_a_client_that_left_before_it_was_served(server_log):
    called = []
    gate = asyncio.Event()

    async def handle(host, request):
        while request.transport is not None:
            await asyncio.sleep(0.005)
        response = await host.serve(request)
        gate.set()
        return response

    async with serving(lambda *args: called.append(args), handler=handle) as served:
        _, writer = await served.connect()
        writer.write(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        await until(lambda: served.server.requests_count)
        writer.transport.abort()
        await asyncio.wait_for(gate.wait(), PATIENCE)
    assert not called
    assert server_log() == []


# The pool, cancellation, call()


async def test_a_closed_pool_is_503(server_log):
    async with serving(show) as served:
        served.pool.close()
        answer = await served.ask()
    assert (answer.status, answer["Connection"]) == (503, "close")
    assert "closed" in server_log()[0]


@pytest.mark.parametrize("running", [True, False])
async def test_cancellation_at_shutdown(server_log, running):
    """A handler that is cancelled leaves the application to end by itself, or unrun."""
    entered, release = threading.Event(), threading.Event()
    ended = []
    tasks = []

    def app(environ, start_response):
        entered.set()
        release.wait(PATIENCE)
        start_response("200 OK", [])
        try:
            yield b"one"
            yield b"two"
        finally:
            ended.append(environ["PATH_INFO"])

    async def handle(host, request):
        tasks.append(asyncio.current_task())
        return await host.serve(request)

    # A file that nobody closes would fail the test as a ResourceWarning.
    async with serving(app, threads=1, handler=handle, spool_size=1) as served:
        _, writer = await served.connect()
        writer.write(b"GET /first HTTP/1.1\r\nHost: h\r\n\r\n")
        await until(entered.is_set)
        if not running:
            _, writer = await served.connect()
            writer.write(b"POST /second HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc")
            await until(lambda: served.pool.waiting)
        tasks[-1].cancel()
        await asyncio.wait(tasks[-1:])
        release.set()
        await until(lambda: not served.pool.busy)
    assert ended == ["/first"]
    assert not [line for line in server_log() if "jobs wait" not in line]


@pytest.mark.parametrize("reads", [True, False])
async def test_cancellation_in_the_middle_of_a_stream(server_log, reads):
    """The client must not take what it has for complete, and the thread waits for nobody."""
    closed = threading.Event()
    tasks = []

    def app(environ, start_response):
        start_response("200 OK", [])
        try:
            while True:
                yield b"x" * 65536
        finally:
            closed.set()

    async def handle(host, request):
        tasks.append(asyncio.current_task())
        return await host.serve(request)

    async with serving(app, handler=handle) as served:
        reader, writer = await served.connect()
        writer.write(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        await reader.readexactly(100)
        if not reads:
            writer.transport.pause_reading()
            connection = served.server.connections[0]
            await until(lambda: connection.writing_paused)
        tasks[0].cancel()
        await until(closed.is_set)
        last = b""
        while reads and (block := await asyncio.wait_for(reader.read(65536), PATIENCE)):
            last = (last + block)[-8:]
    assert not last.endswith(b"0\r\n\r\n")
    assert server_log() == []


async def test_call():
    """A handshake: the application runs to its end, its body is dropped, the head comes back."""
    closed = []

    def app(environ, start_response):
        start_response(
            "302 Found \xe9",
            [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("Connection", "close")],
        )
        try:
            yield b"body"
        finally:
            closed.append(threading.current_thread().name)

    async with serving(app) as served:
        result = await served.host.call({"REQUEST_METHOD": "GET", "PATH_INFO": "/"})
    assert result == (302, "Found \xe9", [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")])
    assert closed == ["test-1"]


def waits_for(gate: threading.Event):
    def app(environ, start_response):
        gate.wait(PATIENCE)
        start_response("200 OK", [])
        return []

    return app


async def test_a_crowd_of_calls_waits_beside_the_pool():
    """Two for each thread are in there at a time: threads with no end of work starve the loop."""
    gate = threading.Event()
    async with serving(waits_for(gate), threads=2) as served:
        calls = [
            asyncio.ensure_future(served.host.call({"REQUEST_METHOD": "GET"})) for _ in range(9)
        ]
        await until(lambda: served.pool.submitted == 4)
        # Who gives up leaves its turn to others, wherever it waits.
        calls[8].cancel()
        calls[3].cancel()
        await until(lambda: served.pool.submitted == 5)
        assert served.pool.waiting <= 3
        gate.set()
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert results.count((200, "OK", [])) == 7
        assert served.pool.submitted == 8


async def test_calls_that_wait_are_dropped_when_the_pool_closes():
    gate = threading.Event()
    async with serving(waits_for(gate), threads=1) as served:
        calls = [
            asyncio.ensure_future(served.host.call({"REQUEST_METHOD": "GET"})) for _ in range(4)
        ]
        await until(lambda: (served.pool.begun, served.pool.submitted) == (1, 2))
        served.pool.close()
        gate.set()
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert results[0] == (200, "OK", [])
        assert [type(each) for each in results[1:]] == [asyncio.CancelledError] * 3


async def test_call_ignores_lengths_and_takes_what_is_written():
    def app(environ, start_response):
        start_response("200 OK", [("Content-Length", "99")])(b"written")
        return []

    async with serving(app) as served:
        assert await served.host.call({"REQUEST_METHOD": "GET"}) == (200, "OK", [])


@pytest.mark.parametrize(
    ("app", "error"),
    [
        (lambda environ, start_response: 1 / 0, ZeroDivisionError),
        (lambda environ, start_response: [], AssertionError),
        (lambda environ, start_response: start_response("nonsense", []), ValueError),
    ],
)
async def test_call_raises_what_the_application_raises(app, error):
    async with serving(app) as served:
        with pytest.raises(error):
            await served.host.call({"REQUEST_METHOD": "GET"})


async def test_the_environ_of_a_handshake_has_an_empty_body():
    """Without a body: whatever length the request claims, there is nothing to read."""
    seen = {}

    async def handle(host, request):
        seen.update(
            make_environ(request, host.client(request), connection_of(request).addresses, None)
        )
        return await host.serve(request)

    async with serving(show, handler=handle) as served:
        await served.ask(method="POST", headers=("Host: h", "Content-Length: 2"), body=b"ab")
    assert seen["CONTENT_LENGTH"] == "0"
    assert seen["wsgi.input"].read() == b""
