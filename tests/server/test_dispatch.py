"""aiohttp's requests and WebSockets <-> endpoints, on both event loops.

What every transport does stands in `tests/conformance` and `tests/integration`; here is what
depends on when a peer goes, and what a proxy or a broken peer does.
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import struct
import threading
from contextlib import asynccontextmanager

import pytest
from aiohttp import ClientSession, WSMsgType, WSServerHandshakeError, web
from aiohttp.test_utils import make_mocked_request
from pyramid.config import Configurator
from pyramid.response import Response

from sockjs_bridge import WebSocketSession
from sockjs_bridge.server.activity import Activity
from sockjs_bridge.server.clusters import Clusters
from sockjs_bridge.server.connection import PeerConnection
from sockjs_bridge.server.dispatch import Dispatcher, _as_native, _as_text
from sockjs_bridge.server.loop import LoopClock
from sockjs_bridge.server.openings import Openings
from sockjs_bridge.server.options import ServerOptions
from sockjs_bridge.server.routing import Router
from sockjs_bridge.server.runner import Runner
from sockjs_bridge.server.site import Site
from sockjs_bridge.server.threads import ThreadPool
from sockjs_bridge.server.wsgi.host import WSGIHost
from tests.server.support import PATIENCE, Answer, until

ORIGIN = "https://app.example.com"


class Policy:
    """Believes the cookie."""

    def identity(self, request):
        return request.cookies.get("user")

    authenticated_userid = identity


class Lab:
    """An application whose handshakes and hooks wait at gates, on a running server."""

    def __init__(self, **settings):
        self.calls = []
        self.shaking = threading.Event()
        self.shake = threading.Event()
        self.shake.set()
        self.go_on = threading.Event()
        self.go_on.set()
        lab = self

        class Hooks(WebSocketSession):
            def on_open(self):
                lab.calls.append("open")

            def on_message(self, message):
                lab.go_on.wait(PATIENCE)
                lab.calls.append(message)
                if message == "close":
                    self.close(4001, "done")
                else:
                    self.send(message)

            def on_close(self):
                lab.calls.append(("close", self.close_code, self.close_reason))

        def factory(request):
            if request.websocket:
                lab.shaking.set()
                lab.shake.wait(PATIENCE)

        config = Configurator(
            settings={"sockjs.allowed_origins": ORIGIN, "sockjs.disconnect_delay": "2"}
            | {f"sockjs.{name}": value for name, value in settings.items()}
        )
        config.include("sockjs_bridge")
        config.set_security_policy(Policy())
        config.add_sockjs_route("lab", "/lab", factory=factory, session=Hooks)
        config.add_sockjs_route("nobody", "/nobody")
        config.add_websocket_view(Hooks, route_name="nobody", request_param="nobody asks so")
        config.add_route("page", "/page")
        config.add_view(lambda request: Response("page"), route_name="page")
        self.app = config.make_wsgi_app()
        self.port = 0
        self._writers = []

    @property
    def sessions(self):
        return list(self.app.registry.sockjs.endpoints["lab"].manager)

    async def connect(self):
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self._writers.append(writer)
        return reader, writer

    async def send(self, data):
        """Send bytes over a connection of their own."""
        reader, writer = await self.connect()
        writer.write(data)
        await writer.drain()
        return reader, writer

    async def ask(self, head, *headers, body=b""):
        """Make one request on a connection of its own, and return the answer."""
        lines = [head, "Host: x", "Connection: close", *headers, "", ""]
        reader, _ = await self.send("\r\n".join(lines).encode() + body)
        return Answer.parse(await asyncio.wait_for(reader.read(), PATIENCE))

    async def poll(self, query=""):
        """Begin a poll of session 1."""
        head = f"POST /lab/0/1/xhr{query} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
        return await self.send(head.encode())

    def close(self):
        self.shake.set()
        self.go_on.set()
        for writer in self._writers:
            writer.close()


@asynccontextmanager
async def serving(server=None, lab=None, **settings):
    lab = lab or Lab(**settings)
    options = ServerOptions.parse(
        {"listen": "127.0.0.1:0", "shutdown_timeout": "1", **(server or {})}
    )
    (sock,) = options.bind()
    lab.port = sock.getsockname()[1]
    lab.runner = runner = Runner(lab.app, options)
    await runner.start([sock])
    try:
        async with asyncio.timeout(PATIENCE * 2):
            yield lab
    finally:
        lab.close()
        await runner.stop()


def reset(writer):
    """Break a connection, as a failing network does."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


# Which requests are SockJS


@pytest.mark.parametrize(
    "target",
    ["/lab/info", "http://anywhere/lab/info", "/lab/info?a=b", "//lab/info", "/lab/info#a?b"],
)
async def test_request_target(target):
    """RFC 9112, 3.2.2: the absolute form is as good as the origin form."""
    async with serving() as lab:
        answer = await lab.ask(f"GET {target} HTTP/1.1")
        assert answer.status == 200
        assert json.loads(answer.body)["websocket"] is True


async def test_the_rest_is_the_applications():
    async with serving() as lab:
        assert (await lab.ask("GET /page HTTP/1.1")).body == b"page"
        assert (await lab.ask("GET /lab HTTP/1.1")).body == b"Welcome to SockJS!\n"
        assert (await lab.ask("GET /lab/other HTTP/1.1")).status == 404


async def test_endpoint_whose_place_cannot_be_told():
    """A filter gives its path in place of another one: its application's answer stands."""
    lab = Lab()
    app = lab.app

    def rewriting(environ, start_response):
        if environ["PATH_INFO"] == "/other":
            environ["PATH_INFO"] = "/lab/info"
        return app(environ, start_response)

    lab.app = rewriting
    async with serving(lab=lab):
        answer = await lab.ask("GET /other HTTP/1.1")
        assert (answer.status, answer.body) == (404, b"Not found")
        assert (await lab.ask("GET /lab/info HTTP/1.1")).status == 200


async def test_server_header():
    """Every answer names the server once, and no version."""
    async with serving() as lab:
        names = {
            (await lab.ask(f"GET {path} HTTP/1.1"))["Server"]
            for path in ("/lab/info", "/page", "/lab/0/1/xhr", "/lab/websocket")
        }
    assert len(names) == 1
    assert not any(character.isdigit() for character in names.pop())


async def test_raw_websocket_at_the_base():
    """Section 3 of api.md: new WebSocket("ws://host/chat") is the raw WebSocket too."""
    async with (
        serving() as lab,
        ClientSession() as http,
        http.ws_connect(f"http://127.0.0.1:{lab.port}/lab") as ws,
    ):
        await ws.send_str("hello")
        assert await ws.receive_str() == "hello"


async def test_send_is_answered_late():
    """Section 11, max_inbound: the answer waits until the slow hook takes messages again."""
    async with serving(max_inbound="1", disconnect_delay="5") as lab:
        reader, _ = await lab.poll()
        await reader.readuntil(b"o\n")
        lab.go_on.clear()

        def send():
            return lab.ask("POST /lab/0/1/xhr_send HTTP/1.1", "Content-Length: 5", body=b'["a"]')

        sends = [asyncio.create_task(send()) for _ in range(3)]
        (session,) = lab.sessions
        await until(lambda: session.full)
        await until(lambda: session.awaited)
        assert not all(task.done() for task in sends)
        lab.go_on.set()
        assert [(await task).status for task in sends] == [204] * 3
        await until(lambda: len(lab.calls) == 4)
        assert lab.calls == ["open", "a", "a", "a"]


async def test_nobody_takes_the_connection():
    """Without a view the handshake is 404: HTTP transports open and close at once."""
    async with serving() as lab:
        reader, writer = await lab.send(
            b"POST /nobody/0/1/xhr HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
        )
        await reader.readuntil(b"\r\n\r\no\n")
        writer.write(b"POST /nobody/0/1/xhr HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        assert await reader.readuntil(b'c[4404,"Not Found"]\n')
        answer = await lab.ask("GET /nobody/websocket HTTP/1.1")
        assert answer.status == 400
        async with ClientSession() as http:
            with pytest.raises(WSServerHandshakeError) as refused:
                await http.ws_connect(f"http://127.0.0.1:{lab.port}/nobody/websocket")
        assert refused.value.status == 404


@pytest.mark.parametrize(
    ("answer", "status", "level"), [("200 OK", 404, "WARNING"), (None, 500, "ERROR")]
)
async def test_filter_in_the_way_of_a_handshake(caplog, answer, status, level):
    """A filter that answers by itself, or fails: the client is told, the log names the route."""

    def filtered(environ, start_response):
        if answer is None:
            raise RuntimeError("oops")
        start_response(answer, [("Content-Length", "0")])
        return []

    lab = Lab()
    filtered.registry = lab.app.registry
    lab.app = filtered
    async with serving(lab=lab):
        async with ClientSession() as http:
            with pytest.raises(WSServerHandshakeError) as refused:
                await http.ws_connect(f"http://127.0.0.1:{lab.port}/lab/websocket")
        assert refused.value.status == status
    (record,) = [record for record in caplog.records if record.levelno > logging.INFO]
    assert record.levelname == level
    assert "'lab'" in record.getMessage()


# Requests that are refused


@pytest.mark.parametrize("wrapped", [False, True])
async def test_malformed_forwarding_header(wrapped):
    """A trusted proxy that sends nonsense gets 400, wherever the application is."""
    server = {"trusted_proxy": "127.0.0.1", "trusted_proxy_headers": "x-forwarded-proto"}
    lab = Lab()
    if wrapped:
        app = lab.app
        lab.app = lambda environ, start_response: app(environ, start_response)
    async with serving(server, lab) as lab:
        answer = await lab.ask("GET /lab/info HTTP/1.1", "X-Forwarded-Proto: gopher")
        assert answer.status == 400
        # An endpoint tells what is wrong, a page does not.
        assert wrapped or b"gopher" in answer.body


@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_too_large(framing):
    async with serving(max_message_size="8") as lab:
        header = "Content-Length: 9" if framing == "length" else "Transfer-Encoding: chunked"
        body = b"123456789" if framing == "length" else b"9\r\n123456789\r\n0\r\n\r\n"
        answer = await lab.ask("POST /lab/0/1/xhr_send HTTP/1.1", header, body=body)
        assert (answer.status, answer["Connection"]) == (413, "close")


async def test_too_slow():
    async with serving({"body_timeout": "0.1"}) as lab:
        reader, _ = await lab.send(
            b"POST /lab/0/1/xhr_send HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n1"
        )
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)
        assert head.startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("late", [False, True])
async def test_broken_chunks(late):
    """Broken chunks are refused at once, those that come after a while too."""
    head = (
        b"POST /lab/0/1/xhr_send HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
        b"Expect: 100-continue\r\n\r\n"
    )
    async with serving() as lab:
        reader, writer = await lab.send(head if late else head + b"zz\r\n")
        if late:
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            writer.write(b"zz\r\n")
        assert (await reader.readuntil(b"\r\n\r\n")).split(b" ")[1] == b"400"


@pytest.mark.parametrize("rest", [b"zz\r\n", b"0" * 50000], ids=["broken", "endless"])
async def test_broken_chunks_that_nobody_reads(rest, server_log):
    """What is wrong behind a request that was refused is its client's trouble, not the log's."""
    head = (
        b"POST /lab/0/1/xhr_send HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
        b"Content-Type: text/plain\r\n\r\n"
    )
    long = b"%x\r\n%b\r\n" % (70000, b"x" * 70000)
    async with serving() as lab:
        reader, writer = await lab.send(head + long)
        assert (await reader.readuntil(b"\r\n\r\n")).split(b" ")[1] == b"413"
        writer.write(rest)
        await asyncio.wait_for(reader.read(), PATIENCE)
        await until(lambda: not lab.runner._web.connections)
    assert server_log() == []


async def test_expect_100():
    """RFC 9110, 10.1.1: a client that waits for it is asked to go on."""
    async with serving() as lab:
        reader, writer = await lab.send(
            b"POST /lab/0/1/xhr HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n"
            b"Expect: 100-continue\r\n\r\n"
        )
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b" ")
        assert (await reader.readuntil(b"o\n")).startswith(b"HTTP/1.1 200 ")


async def test_upgrade_that_is_no_handshake():
    """RFC 6455, 4.2.1: without a key it is 400, and no session stays behind."""
    async with serving() as lab:
        for header in ("Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 8"):
            reader, _ = await lab.send(
                b"GET /lab/0/1/websocket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
                b"Connection: Upgrade\r\n" + header.encode() + b"\r\n\r\n"
            )
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 4")
        assert lab.sessions == []
        assert lab.calls == []


async def test_head_has_no_body():
    """RFC 9110, 9.3.2: nor a length where there is nothing that it could be of."""
    async with serving() as lab:
        reader, _ = await lab.send(
            b"HEAD /lab/0/a/xhr HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 405 ")
        assert b"Content-Length" not in head and b"Transfer-Encoding" not in head
        assert body == b""


# Peers that go


async def test_peer_that_goes_before_it_is_looked_at():
    """The connection was lost between two ticks: nothing is created for it."""
    lab = Lab()
    pool = ThreadPool(1, "test")
    clock = LoopClock(asyncio.get_running_loop())
    activity = Activity(clock, 75.0)
    host = WSGIHost(lab.app, pool, ServerOptions())
    site = Site(lab.app)
    openings = Openings(Router(site, host), host)
    handler = Dispatcher(site, host, activity, openings, Clusters(clock, 10.0))
    try:
        request = make_mocked_request("GET", "/lab/info")
        connection = request.protocol.connection = PeerConnection(asyncio.Protocol, activity)
        request.transport.get_extra_info = lambda name, default=None: ("127.0.0.1", 1)
        connection.connection_made(request.transport)
        connection.connection_lost(None)
        assert (await handler(request)).status == 499
    finally:
        pool.close()


async def test_peer_that_goes_while_it_is_asked_about():
    """Nothing follows from a request with other credentials whose peer does not wait."""
    async with serving(disconnect_delay="20") as lab:
        cookie = "Cookie: user=ada"
        assert (await lab.ask("POST /lab/0/1/xhr HTTP/1.1", cookie)).body == b"o\n"
        (session,) = lab.sessions
        lab.shaking.clear()
        lab.shake.clear()
        before = len(lab.runner._activity.connections)
        _, writer = await lab.send(
            b'POST /lab/0/1/xhr_send HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n["a"]'
        )
        assert await asyncio.to_thread(lab.shaking.wait, PATIENCE)
        reset(writer)
        await until(lambda: len(lab.runner._activity.connections) == before)
        lab.shake.set()
        await lab.runner._activity.finish()
        assert session.state.value == "open"
        assert lab.calls == ["open"]


@pytest.mark.parametrize("how", ["reset", "end"])
async def test_peer_that_goes_in_its_body(how):
    """Half a body delivers nothing; the session lives on."""
    async with serving(disconnect_delay="5") as lab:
        reader, _ = await lab.poll()
        assert (await reader.readuntil(b"o\n")).endswith(b"\r\n\r\no\n")
        reader, writer = await lab.send(
            b"POST /lab/0/1/xhr_send HTTP/1.1\r\nHost: x\r\nContent-Length: 90\r\n"
            b"Expect: 100-continue\r\n\r\n"
        )
        # It is reading by now.
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b'["a"]')
        await writer.drain()
        if how == "reset":
            reset(writer)
        else:
            writer.close()
        answer = await lab.ask(
            "POST /lab/0/1/xhr_send HTTP/1.1", "Content-Length: 5", body=b'["b"]'
        )
        assert answer.status == 204
        await until(lambda: "b" in lab.calls)
        assert lab.calls == ["open", "b"]


async def test_peer_that_goes_as_its_body_ends():
    """The last chunk, which is empty, and the end of the connection come in one tick."""
    async with serving(disconnect_delay="20") as lab:
        assert (await lab.ask("POST /lab/0/1/xhr HTTP/1.1")).body == b"o\n"
        await lab.send(
            b"POST /lab/0/1/xhr_send HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
            b'5\r\n["a"]\r\n'
        )
        await until(lambda: lab.runner._host.uploads.memory.total)
        (connection,) = (found for found in lab.runner._activity.connections if found.busy)
        connection.abort()
        connection.data_received(b"0\r\n\r\n")
        await lab.runner._activity.finish()
        assert connection.lost
        assert lab.calls == ["open"]


@pytest.mark.parametrize("path", ["xhr", "xhr_streaming"])
async def test_receiver_that_goes_in_the_handshake(path):
    """Who left before the session was open never opens it for the application."""
    async with serving() as lab:
        lab.shake.clear()
        _, writer = await lab.send(
            f"POST /lab/0/1/{path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".encode()
        )
        assert await asyncio.to_thread(lab.shaking.wait, PATIENCE)
        (session,) = lab.sessions
        reset(writer)
        await until(lambda: session.state.value == "closing")
        lab.shake.set()
        await until(lambda: lab.sessions == [])
        assert lab.calls == []


@pytest.mark.parametrize("path", ["0/1/websocket", "websocket"])
async def test_websocket_that_goes_in_the_handshake(path):
    """The application hears of the opening and of the end, in this order, or of neither."""
    async with serving() as lab:
        lab.shake.clear()
        _, writer = await lab.send(
            f"GET /lab/{path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
        )
        assert await asyncio.to_thread(lab.shaking.wait, PATIENCE)
        assert len(lab.sessions) == 1
        reset(writer)
        # The server has seen it when another connection, made later, is answered.
        assert (await lab.ask("GET /lab/info HTTP/1.1")).status == 200
        lab.shake.set()
        await until(lambda: lab.sessions == [])
        await until(lambda: lab.calls in ([], ["open", ("close", 1006, "")]))


async def test_repeat_in_the_handshake():
    """fallback.md: the browser's repeat of an opening request opens the same session, once."""
    async with serving() as lab:
        lab.shake.clear()
        _, writer = await lab.poll("?t=1")
        assert await asyncio.to_thread(lab.shaking.wait, PATIENCE)
        reset(writer)
        assert (await lab.ask("GET /lab/info HTTP/1.1")).status == 200
        reader, _ = await lab.poll("?t=1")
        lab.shake.set()
        assert (await reader.readuntil(b"o\n")).startswith(b"HTTP/1.1 200 ")
        await until(lambda: lab.calls == ["open"])


@pytest.mark.parametrize("path", ["xhr", "xhr_streaming"])
async def test_second_receiver(path):
    """sockjs-wire.md, Sessions: the newcomer gets 2010, after the prelude if it has one."""
    async with serving() as lab:
        head = f"POST /lab/0/1/{path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
        first, _ = await lab.poll()
        await first.readuntil(b"o\n")
        await lab.poll()
        (session,) = lab.sessions
        await until(lambda: session._receiver is not None)
        second, _ = await lab.send(head.encode())
        assert await second.readuntil(b'c[2010,"Another connection still open"]\n')


async def test_two_receivers_in_the_handshake():
    """Defect 7: two receivers race through the opening; the newcomer is turned away."""
    async with serving() as lab:
        lab.shake.clear()
        first, _ = await lab.poll("?t=1")
        assert await asyncio.to_thread(lab.shaking.wait, PATIENCE)
        second, _ = await lab.poll("?t=2")
        text = b'c[2010,"Another connection still open"]\n'
        assert (await second.readuntil(text)).endswith(text)
        lab.shake.set()
        assert (await first.readuntil(b"o\n")).startswith(b"HTTP/1.1 200 ")
        await until(lambda: lab.calls == ["open"])


async def test_connection_that_closes_as_it_is_answered(monkeypatch):
    """The loop tells of a connection's end a tick late; an answer in that tick is no error."""

    async def prepare(self, request):
        raise ConnectionResetError("Cannot write to closing transport")

    async with serving() as lab:
        monkeypatch.setattr(web.StreamResponse, "prepare", prepare)
        _, writer = await lab.send(
            b"POST /lab/0/1/xhr_streaming HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
        )
        await until(lambda: lab.calls)
        writer.close()
        await until(lambda: lab.sessions == [])
        await until(lambda: len(lab.calls) == 2)
    assert lab.calls[0] == "open"
    assert lab.calls[1][1] in (1002, 1006)


# WebSockets


@asynccontextmanager
async def websocket(lab, path="/lab/0/1/websocket", **options):
    url = f"http://127.0.0.1:{lab.port}{path}"
    async with ClientSession() as http, http.ws_connect(url, **options) as ws:
        if path != "/lab/websocket":
            assert await ws.receive_str() == "o"
        yield ws


@pytest.mark.parametrize(
    ("code", "reason", "heard"),
    [(1000, "", (1000, "")), (4002, "bye “é”", (4002, "bye “é”"))],
)
async def test_close_code_of_the_peer(code, reason, heard):
    """The application hears the peer's own code and reason."""
    async with serving() as lab:
        async with websocket(lab) as ws:
            await ws.close(code=code, message=reason.encode())
        await until(lambda: len(lab.calls) == 2)
        assert lab.calls[1] == ("close", *heard)


async def test_lost_websocket():
    """Without a close frame it is 1006."""
    async with serving() as lab:
        async with websocket(lab) as ws:
            ws._response.connection.transport.abort()
            await until(lambda: len(lab.calls) == 2)
        assert lab.calls == ["open", ("close", 1006, "")]


async def test_websocket_lost_while_reading_stopped():
    """A peer that goes while its messages wait for a slow hook is noticed at once."""
    async with serving(max_inbound="1") as lab:
        lab.go_on.clear()
        async with websocket(lab) as ws:
            for number in range(5):
                await ws.send_str(json.dumps([str(number)]))
            (session,) = lab.sessions
            await until(lambda: session.full)
            ws._response.connection.transport.abort()
            await until(lambda: lab.sessions == [])
            lab.go_on.set()
            await until(lambda: lab.calls[-1:] == [("close", 1006, "")])


@pytest.mark.parametrize("path", ["/lab/0/1/websocket", "/lab/websocket"])
async def test_bad_messages(path, caplog):
    """A binary message ends the session; on the framed WebSocket, so does broken JSON."""
    caplog.set_level(logging.INFO, "sockjs_bridge.server")
    async with serving() as lab:
        async with websocket(lab, path) as ws:
            if path == "/lab/websocket":
                await ws.send_bytes(b"a")
                message = await ws.receive()
                assert (message.type, message.data) == (WSMsgType.CLOSE, 3000)
            else:
                await ws.send_str("")
                await ws.send_str("[]")
                await ws.send_str("{")
                assert await ws.receive_str() == 'c[3000,"Broken framing."]'
        await until(lambda: lab.calls[-1:] == [("close", 3000, "Broken framing.")])


async def test_too_big_message():
    """RFC 6455, 7.4.1: 1009, for the peer and for the hooks."""
    async with serving(max_message_size="100") as lab:
        async with websocket(lab, "/lab/websocket") as ws:
            await ws.send_str("x" * 100)
            assert await ws.receive_str() == "x" * 100
            await ws.send_str("x" * 101)
            message = await ws.receive()
            assert (message.type, message.data) == (WSMsgType.CLOSE, 1009)
        await until(lambda: lab.calls[-1:] == [("close", 1009, "")])


async def test_bad_utf_8(caplog):
    """RFC 6455, 7.4.1: 1007, for the peer, for the hooks and in the log."""
    caplog.set_level(logging.INFO, "sockjs_bridge.server")
    async with serving() as lab:
        async with websocket(lab, "/lab/websocket") as ws:
            await ws._writer.send_frame(b"\xff", WSMsgType.TEXT)
            message = await ws.receive()
            assert (message.type, message.data) == (WSMsgType.CLOSE, 1007)
        await until(lambda: lab.calls[-1:] == [("close", 1007, "")])
    assert any("invalid UTF-8" in record.getMessage() for record in caplog.records)


async def test_bytes_in_are_bytes():
    """What is counted are bytes, not characters."""
    async with serving() as lab, websocket(lab, "/lab/websocket") as ws:
        await ws.send_str("“é”")
        await ws.receive_str()
        (session,) = lab.sessions
        assert session.bytes_in == len("“é”".encode())
        await ws.send_str("abc")
        await ws.receive_str()
        assert session.bytes_in == len("“é”".encode()) + 3


async def test_close_from_the_application():
    """The close frame of a raw WebSocket has the application's code and reason."""
    async with serving() as lab:
        async with websocket(lab, "/lab/websocket") as ws:
            await ws.send_str("close")
            message = await ws.receive()
            assert (message.type, message.data, message.extra) == (WSMsgType.CLOSE, 4001, "done")
        await until(lambda: lab.calls[-1:] == [("close", 4001, "done")])


# HTTP/1.0


async def test_http_10_stream():
    """sockjs-wire.md, HTTP: no chunks, no length, the end of the connection ends the stream."""
    async with serving(response_limit="1") as lab:
        reader, _ = await lab.send(b"POST /lab/0/1/xhr_streaming HTTP/1.0\r\n\r\n")
        answer = Answer.parse(await asyncio.wait_for(reader.read(), PATIENCE))
        assert answer.version == "HTTP/1.0"
        assert (answer["Transfer-Encoding"], answer["Content-Length"]) == (None, None)
        assert answer.body == b"h" * 2048 + b"\no\n"


@pytest.mark.parametrize("value", ["plain", "caf\xc3\xa9", "caf\xe9", "\xff"])
def test_native_strings(value):
    """PEP 3333: each character is a byte, and all of them come back as they were."""
    text = _as_text([("X-Name", value)])
    assert (text == [("X-Name", "café")]) == (value == "caf\xc3\xa9")
    assert _as_native(text) == [("X-Name", value)]
