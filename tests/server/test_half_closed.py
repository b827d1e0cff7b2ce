"""Clients that say that they send no more, as soon as they have asked (`nc -N`)."""

from __future__ import annotations

import asyncio
import threading

import pytest
from pyramid.config import Configurator
from pyramid.response import Response

from sockjs_bridge import WebSocketSession
from tests.server.support import PATIENCE, until
from tests.server.test_runner import started
from tests.server.wire import HANDSHAKE, frame

SKINS = pytest.mark.parametrize("polls", ["false", "true"], ids=["fast", "aiohttp"])


class Slow(WebSocketSession):
    """Takes one message, and none behind it before it may go on."""

    gate = asyncio.Event()

    async def on_message(self, message):
        await self.request.registry.gate.wait()


@pytest.fixture
def app():
    config = Configurator()
    config.include("sockjs_bridge")
    config.registry.gate = asyncio.Event()
    config.registry.release = threading.Event()
    config.add_sockjs_route("talk", "/talk", session=Slow, max_inbound=1)

    def page(request):
        request.registry.release.wait(PATIENCE)
        return Response(f"{request.path} {request.body.decode()}")

    config.add_route("page", "/page*rest")
    config.add_view(page, route_name="page")
    return config.make_wsgi_app()


async def connected(url):
    return await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))


async def told(url, *pieces):
    """Send bytes and the end of them; returns all that comes until the server closes."""
    reader, writer = await connected(url)
    for piece in pieces:
        writer.write(piece)
    writer.write_eof()
    raw = await asyncio.wait_for(reader.read(), PATIENCE)
    writer.close()
    return raw


@SKINS
@pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/1.1"])
@pytest.mark.parametrize("quick", [True, False])
async def test_a_page(app, polls, version, quick):
    async with started(app, access_log_polls=polls) as (_, url):
        if quick:
            app.registry.release.set()
        asking = asyncio.create_task(told(url, f"GET /page {version}\r\nHost: x\r\n\r\n".encode()))
        if not quick:
            await asyncio.sleep(0.1)
            assert not asking.done()
            app.registry.release.set()
        assert (await asking).endswith(b"\r\n\r\n/page ")


@SKINS
async def test_a_form(app, polls):
    app.registry.release.set()
    async with started(app, access_log_polls=polls) as (_, url):
        head = b"POST /page HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n"
        assert (await told(url, head, b"abc")).endswith(b"\r\n\r\n/page abc")


@SKINS
async def test_several_requests_at_once_are_all_answered(app, polls):
    app.registry.release.set()
    async with started(app, access_log_polls=polls) as (_, url):
        pages = b"".join(b"GET /page/%d HTTP/1.1\r\nHost: x\r\n\r\n" % n for n in range(3))
        raw = await told(url, pages, b"GET /talk/info HTTP/1.1\r\nHost: x\r\n\r\n")
    assert [raw.count(b"/page/%d" % number) for number in range(3)] == [1, 1, 1]
    assert b'"entropy"' in raw


@SKINS
@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET /page HT",
        b"POST /page HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n",
        b"POST /page HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nab",
    ],
)
async def test_what_is_not_complete_has_no_answer(app, polls, sent):
    """And holds nothing any more."""
    app.registry.release.set()
    async with started(app, access_log_polls=polls) as (runner, url):
        assert await told(url, sent) == b""
        await until(lambda: not runner._activity.connections)
        assert runner._host.uploads.memory.total == 0


@SKINS
async def test_who_leaves_in_the_middle_of_a_body_is_gone_at_once(app, polls):
    """It is known by then that somebody waits for the rest."""
    async with started(app, access_log_polls=polls) as (runner, url):
        reader, writer = await connected(url)
        writer.write(b"POST /page HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nab")
        await until(lambda: runner._host.uploads.memory.total == 2)
        writer.write_eof()
        assert await asyncio.wait_for(reader.read(), PATIENCE / 2) == b""
        await until(lambda: runner._host.uploads.memory.total == 0)
        writer.close()


@SKINS
async def test_a_request_that_is_not_complete_behind_one_that_is(app, polls):
    app.registry.release.set()
    async with started(app, access_log_polls=polls) as (runner, url):
        page = b"GET /page HTTP/1.1\r\nHost: x\r\n\r\n"
        rest = b"POST /page HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nab"
        raw = await told(url, page, rest)
        assert raw.endswith(b"\r\n\r\n/page ")
        await until(lambda: not runner._activity.connections)


@SKINS
@pytest.mark.parametrize("early", [b"", frame(b'["early"]')], ids=["", "early"])
@pytest.mark.parametrize("path", [b"/talk/0/ws/websocket", b"/talk/websocket"])
async def test_a_handshake_begins_no_websocket(app, polls, early, path):
    """No frame can come: it would live until a ping had no answer."""
    async with started(app, access_log_polls=polls) as (runner, url):
        handshake = HANDSHAKE.replace(b"/talk/0/ws/websocket", path)
        assert await told(url, handshake + early) == b""
        await until(lambda: not runner._activity.connections and not runner._activity.count)
        assert len(app.registry.sockjs.endpoints["talk"].manager) == 0


def post(session, action, body=b""):
    head = f"POST /talk/0/{session}/{action} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}"
    return f"{head}\r\n\r\n".encode() + body


@SKINS
async def test_polls_that_need_not_wait_and_sends(app, polls):
    async with started(app, access_log_polls=polls) as (_, url):
        assert (await told(url, post("a", "xhr"))).endswith(b"\r\n\r\no\n")
        assert (await told(url, post("a", "xhr_send", b'["one"]'))).startswith(b"HTTP/1.1 204 ")
        (session,) = app.registry.sockjs.endpoints["talk"].sessions
        session.send("hello")
        assert (await told(url, post("a", "xhr"))).endswith(b'\r\n\r\na["hello"]\n')
        # The server would wait for what takes the message.
        app.registry.gate.set()


@SKINS
async def test_a_session_that_begins_with_a_stream(app, polls):
    """What it says at once arrives; more cannot."""
    async with started(app, access_log_polls=polls) as (runner, url):
        await told(url, post("a", "xhr_streaming"))
        await until(lambda: not runner._activity.connections and not runner._activity.count)


@SKINS
async def test_a_send_that_is_answered_late(app, polls):
    async with started(app, access_log_polls=polls) as (_, url):
        await told(url, post("a", "xhr"))
        await told(url, post("a", "xhr_send", b'["one"]'))
        sends = [
            asyncio.create_task(told(url, post("a", "xhr_send", b'["two","three"]')))
            for _ in range(2)
        ]
        await asyncio.sleep(0.1)
        app.registry.gate.set()
        for send in sends:
            assert (await send).startswith(b"HTTP/1.1 204 ")


@SKINS
@pytest.mark.parametrize("action", ["xhr", "xhr_streaming"])
@pytest.mark.parametrize("when", ["at once", "later"])
async def test_who_waits_is_taken_for_gone(app, polls, action, when):
    """Browsers leave in that way; another poll is welcome."""
    async with started(app, access_log_polls=polls) as (runner, url):
        await told(url, post("a", "xhr"))
        (session,) = app.registry.sockjs.endpoints["talk"].sessions
        if when == "at once":
            await told(url, post("a", action))
        else:
            reader, writer = await connected(url)
            writer.write(post("a", action))
            await until(lambda: session._receiver is not None)
            writer.write_eof()
            await asyncio.wait_for(reader.read(), PATIENCE)
            writer.close()
        await until(lambda: session._receiver is None and not runner._activity.connections)
