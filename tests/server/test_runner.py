"""One process's server on both event loops: start and stop (issue 2, "The server")."""

from __future__ import annotations

import asyncio
import builtins
import io
import logging
import sys
import threading
from contextlib import asynccontextmanager

import pytest
import uvloop
from aiohttp import web
from aiohttp.http_exceptions import BadHttpMessage
from pyramid.config import Configurator
from pyramid.response import FileResponse, Response

from sockjs_bridge import WebSocketSession
from sockjs_bridge.client import ConnectionClosed, connect
from sockjs_bridge.server import runner as module
from sockjs_bridge.server import threads
from sockjs_bridge.server.options import ServerOptions
from sockjs_bridge.server.runner import Runner, new_event_loop
from tests.server.support import PATIENCE, Answer, until


class Echo(WebSocketSession):
    def on_message(self, message):
        self.send(message)


def make_app(page=lambda request: Response("page"), session=Echo):
    config = Configurator(settings={"sockjs.allowed_origins": "https://app.example.com"})
    config.include("sockjs_bridge")
    config.add_sockjs_route("echo", "/echo", session=session)
    config.add_route("page", "/page")
    config.add_view(page, route_name="page")
    return config.make_wsgi_app()


@asynccontextmanager
async def started(app, *, stops=False, **settings):
    """Start a runner; yield it with its URL or path; stop it, unless the test itself stops it."""
    options = ServerOptions.parse({"listen": "127.0.0.1:0", "shutdown_timeout": "5", **settings})
    sockets = options.bind()
    runner = Runner(app, options)
    await runner.start(sockets)
    name = sockets[0].getsockname()
    async with asyncio.timeout(PATIENCE):
        yield runner, name if isinstance(name, str) else f"http://127.0.0.1:{name[1]}"
    if not stops:
        await runner.stop()


async def ask(url, path, body=None):
    port = int(url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    line = f"GET {path}" if body is None else f"POST {path}"
    length = "" if body is None else f"Content-Length: {len(body)}\r\n"
    head = f"{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{length}\r\n"
    writer.write(head.encode() + (body or b""))
    raw = await asyncio.wait_for(reader.read(), PATIENCE)
    writer.close()
    return Answer.parse(raw)


# The loop


def test_uvloop_where_it_is_installed():
    loop = new_event_loop()
    try:
        assert isinstance(loop, uvloop.Loop)
    finally:
        loop.close()


@pytest.mark.parametrize("why", ["not installed", "Windows"])
def test_the_standard_loop_elsewhere(monkeypatch, why):
    if why == "Windows":
        monkeypatch.setattr(module.sys, "platform", "win32")
    else:
        real = builtins.__import__

        def refuse(name, *args, **kwargs):
            if name == "uvloop":
                raise ImportError(name)
            return real(name, *args, **kwargs)

        monkeypatch.setattr(builtins, "__import__", refuse)
        monkeypatch.delitem(sys.modules, "uvloop")
    loop = new_event_loop()
    try:
        assert not isinstance(loop, uvloop.Loop)
    finally:
        loop.close()


# Start


async def test_serves_pages_and_sockjs():
    async with started(make_app()) as (_, url):
        assert (await ask(url, "/page")).body == b"page"
        async with connect(f"{url}/echo") as connection:
            await connection.send("hello")
            assert await connection.recv() == "hello"


async def test_serves_a_bare_application():
    """An application without the bridge is served all the same."""

    def app(environ, start_response):
        start_response("200 OK", [("Content-Length", "2")])
        return [b"ok"]

    async with started(app) as (_, url):
        assert (await ask(url, "/anything/info")).body == b"ok"


async def test_unix_socket(tmp_path):
    async with started(make_app(), listen=f"unix:{tmp_path}/s") as (_, path):
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b"GET /echo/info HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert Answer.parse(await reader.read()).status == 200
        writer.close()


# Stop


@pytest.mark.parametrize(
    "transport", ["websocket", "raw-websocket", "xhr-streaming", "xhr-polling"]
)
async def test_every_client_is_told(transport):
    """c[3000,"Go away!"], and the hooks hear the same."""
    closed = []

    class Told(WebSocketSession):
        def on_close(self):
            closed.append((self.close_code, self.close_reason))

    app = make_app(session=Told)
    async with started(app, stops=True) as (runner, url):
        connection = await connect(f"{url}/echo", transport=transport)
        # Between two polls, nobody is there to be told.
        manager = app.registry.sockjs.endpoints["echo"].manager
        await until(lambda: all(session._receiver is not None for session in manager))
        stopping = asyncio.create_task(runner.stop())
        with pytest.raises(ConnectionClosed) as end:
            await connection.recv()
        assert (end.value.code, end.value.reason) == (3000, "Go away!")
        await connection.close()
        await stopping
        assert closed == [(3000, "Go away!")]
        with pytest.raises(OSError):
            await ask(url, "/page")


async def test_running_requests_are_finished():
    entered, release = threading.Event(), threading.Event()

    def page(request):
        entered.set()
        release.wait(PATIENCE)
        return Response("finished")

    async with started(make_app(page), stops=True) as (runner, url):
        asking = asyncio.create_task(ask(url, "/page"))
        await asyncio.to_thread(entered.wait, PATIENCE)
        stopping = asyncio.create_task(runner.stop())
        await asyncio.sleep(0)
        assert not stopping.done()
        release.set()
        assert (await asking).body == b"finished"
        await stopping


async def test_a_request_that_hangs_is_dropped():
    """After shutdown_timeout the rest is dropped."""
    entered, release = threading.Event(), threading.Event()

    def page(request):
        entered.set()
        release.wait(PATIENCE)
        return Response("late")

    try:
        async with started(make_app(page), stops=True, shutdown_timeout="0.1") as (runner, url):
            port = int(url.rpartition(":")[2])
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /page HTTP/1.1\r\nHost: x\r\n\r\n")
            await asyncio.to_thread(entered.wait, PATIENCE)
            await runner.stop()
            assert await reader.read() == b""
            writer.close()
    finally:
        release.set()


@pytest.mark.parametrize("kind", ["list", "blocks", "file"])
async def test_clients_that_read_nothing_do_not_prolong_the_end(kind, tmp_path):
    """shutdown_timeout holds, and what the application made is closed."""
    path = tmp_path / "file"
    path.write_bytes(bytes(20_000_000))
    closed = []

    class Blocks:
        def __iter__(self):
            while True:
                yield bytes(65536)

        def close(self):
            closed.append("blocks")

    class File(io.FileIO):
        def close(self):
            if not self.closed:
                closed.append("file")
            super().close()

    def app(environ, start_response):
        start_response("200 OK", [])
        if kind == "list":
            return [bytes(20_000_000)]
        return Blocks() if kind == "blocks" else environ["wsgi.file_wrapper"](File(path))

    async with started(app, stops=True, shutdown_timeout="0.5") as (runner, url):
        memory = runner._host._outflow.memory
        writers = []
        for number in range(1, 4):
            _, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
            writer.transport.pause_reading()
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            writers.append(writer)
            await until(lambda number=number: len(memory._parts) == number)
        # Not up to what aiohttp would take by itself, twice the time; nor for ever.
        await asyncio.wait_for(runner.stop(), PATIENCE)
        assert not runner._activity.connections
        assert memory.total == 0
        assert closed == ([] if kind == "list" else [kind] * 3)
        for writer in writers:
            writer.close()


async def test_a_system_that_gives_no_more_threads(tmp_path, monkeypatch):
    """Pages, files, uploads, handshakes and hooks go on, though none of them was there before."""
    path = tmp_path / "file"
    path.write_bytes(b"x" * 200_000)

    def page(request):
        if request.method == "POST":
            return Response(str(len(request.environ["wsgi.input"].read())))
        return FileResponse(path, request=request)

    def refuse(thread):
        raise RuntimeError("can't start new thread")

    async with started(make_app(page)) as (_, url):
        monkeypatch.setattr(threads, "start_thread", refuse)
        assert (await ask(url, "/page")).body == path.read_bytes()
        sent = b"y" * 200_000
        assert (await ask(url, "/page", sent)).body == b"200000"
        async with connect(f"{url}/echo", transport="xhr-polling") as ws:
            await ws.send("hello")
            assert await ws.recv() == "hello"


async def test_handshakes_do_not_wait_behind_pages():
    """All threads of pages are taken by what waits for something else."""
    entered, release = threading.Semaphore(0), threading.Event()

    def page(request):
        entered.release()
        release.wait(PATIENCE)
        return Response("late")

    async with started(make_app(page), threads="2") as (_, url):
        pages = [asyncio.create_task(ask(url, "/page")) for _ in range(5)]
        for _ in range(2):
            await asyncio.to_thread(entered.acquire)
        for transport in ("websocket", "xhr-streaming"):
            async with connect(f"{url}/echo", transport=transport) as connection:
                await connection.send("hello")
                assert await connection.recv() == "hello"
        release.set()
        assert [(await each).body for each in pages] == [b"late"] * 5


@pytest.mark.parametrize(
    ("own", "servers", "size", "status"),
    [
        (None, None, 101, 200),
        ("100", None, 100, 200),
        ("100", None, 101, 413),
        ("200", "100", 101, 413),
        ("100", "200", 101, 413),
    ],
)
async def test_an_application_bounds_bodies(own, servers, size, status):
    """Its own bound and the server's: the smaller one counts."""
    settings = {} if own is None else {"sockjs.max_body_size": own}
    config = Configurator(settings=settings)
    config.include("sockjs_bridge")
    config.add_route("page", "/page")
    config.add_view(lambda request: Response(str(len(request.body))), route_name="page")
    options = {} if servers is None else {"max_body_size": servers}
    async with started(config.make_wsgi_app(), **options) as (_, url):
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        head = f"POST /page HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {size}"
        writer.write(f"{head}\r\n\r\n".encode() + b"x" * size)
        assert Answer.parse(await reader.read()).status == status
        writer.close()


@pytest.mark.parametrize(
    ("path", "size", "status"),
    [
        ("/page", 101, 413),
        ("/uploads/7", 300, 200),
        ("/uploads/7?name=x", 301, 413),
        ("/uploads/7/", 101, 413),
        ("/small", 11, 413),
        ("/%75ploads/7", 101, 413),
    ],
)
async def test_an_application_bounds_bodies_by_paths(path, size, status):
    """Larger here, smaller there; of several that fit, the first."""
    config = Configurator(settings={"sockjs.max_body_size": "100"})
    config.include("sockjs_bridge")
    config.add_body_limit(r"/uploads/\d+", 300)
    config.add_body_limit("/uploads/.", 1)
    config.add_body_limit("/small", "10")
    config.add_route("page", "/*rest")
    config.add_view(lambda request: Response(str(len(request.body))), route_name="page")
    async with started(config.make_wsgi_app()) as (_, url):
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {size}"
        writer.write(f"{head}\r\n\r\n".encode() + b"x" * size)
        assert Answer.parse(await reader.read()).status == status
        writer.close()


async def test_an_application_has_threads_for_pages_that_wait():
    """A page that waits for nothing is answered beside more of them than there are threads."""
    entered, release = threading.Semaphore(0), threading.Event()

    def wait(request):
        entered.release()
        release.wait(PATIENCE)
        return Response("late")

    config = Configurator(settings={"sockjs.page_threads": "4"})
    config.include("sockjs_bridge")
    config.add_route("wait", "/wait")
    config.add_view(wait, route_name="wait")
    config.add_route("page", "/page")
    config.add_view(lambda request: Response("at once"), route_name="page")
    async with started(config.make_wsgi_app(), threads="1") as (runner, url):
        late = [asyncio.create_task(ask(url, "/wait")) for _ in range(3)]
        for _ in range(3):
            assert await asyncio.to_thread(entered.acquire, True, PATIENCE)
        assert (await asyncio.wait_for(ask(url, "/page"), PATIENCE)).body == b"at once"
        # No more than that.
        late.append(asyncio.create_task(ask(url, "/wait")))
        assert await asyncio.to_thread(entered.acquire, True, PATIENCE)
        last = [asyncio.create_task(ask(url, "/page")) for _ in range(5)]
        await until(lambda: runner._requests.waiting == 5)
        release.set()
        assert [(await each).body for each in last] == [b"at once"] * 5
        assert [(await each).body for each in late] == [b"late"] * 4
        assert runner._requests._started == 4


@pytest.mark.parametrize("fast", ["true", "false"])
async def test_bodies_of_sends_count_too(fast):
    """They are held as those of pages are; what there is no room for is 503."""
    config = Configurator(settings={"sockjs.fast": fast})
    config.include("sockjs_bridge")
    config.add_sockjs_route("echo", "/echo", session=Echo)
    async with started(config.make_wsgi_app(), max_body_memory="65536") as (runner, url):
        memory = runner._host.uploads.memory
        ends = []
        for _ in range(2):
            end = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
            head = b"POST /echo/0/a/xhr_send HTTP/1.1\r\nHost: x\r\nContent-Length: 50000\r\n\r\n"
            before = memory.total
            end[1].write(head + b"x" * 40_000)
            ends.append(end)
            if not before:
                await until(lambda: memory.total == 40_000)
        refused = Answer.parse(await asyncio.wait_for(ends[0][0].read(), PATIENCE))
        assert (refused.status, refused["Retry-After"]) == (503, "5")
        await until(lambda: memory.total == 40_000)
        for _, writer in ends:
            writer.transport.abort()
        await until(lambda: memory.total == 0)


async def test_sessions_end_with_a_line_in_the_log(caplog):
    """Each session's end is logged, a poller's that nobody polls for included."""
    caplog.set_level(logging.INFO, "sockjs_bridge.session")
    async with (
        started(make_app(), stops=True) as (runner, url),
        connect(f"{url}/echo", transport="xhr-polling"),
        connect(f"{url}/echo", transport="xhr-streaming"),
        connect(f"{url}/echo", transport="websocket"),
    ):
        await runner.stop()
    lines = [record.getMessage() for record in caplog.records]
    # A session of an earlier test may come to its end meanwhile.
    assert sum("3000 'Go away!'" in line for line in lines) == 3


# What aiohttp says


def test_log_of_aiohttp(caplog):
    """A malformed request is the client's error, one line; a bug is the server's, in full."""
    caplog.set_level(logging.DEBUG, "sockjs_bridge.server")
    log = module._AiohttpLog(module.logger, {})
    log.exception("Error from %s", "127.0.0.1", exc_info=BadHttpMessage("bad\nin detail"))
    log.exception("Unhandled", exc_info=web.RequestPayloadError("bad\nin detail"))
    log.exception("Unhandled", exc_info=asyncio.InvalidStateError("invalid state"))
    try:
        raise RuntimeError("oops")
    except RuntimeError as error:
        log.exception("Unhandled", exc_info=error)
    assert [record.levelname for record in caplog.records] == ["INFO", "INFO", "DEBUG", "ERROR"]
    assert "127.0.0.1" in caplog.records[0].getMessage()
    assert not any("\n" in record.getMessage() for record in caplog.records)
    assert caplog.records[3].exc_info[1].args == ("oops",)
