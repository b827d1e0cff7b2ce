"""One process's server on both event loops: start and stop (issue 2, "The server")."""

from __future__ import annotations

import asyncio
import builtins
import logging
import sys
import threading
from contextlib import asynccontextmanager

import pytest
import uvloop
from aiohttp import web
from aiohttp.http_exceptions import BadHttpMessage
from pyramid.config import Configurator
from pyramid.response import Response

from sockjs_bridge import WebSocketSession
from sockjs_bridge.client import ConnectionClosed, connect
from sockjs_bridge.server import runner as module
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


async def ask(url, path):
    port = int(url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
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
