"""Sessions that open: WebSockets whose handshakes aiohttp has no part in, above all."""

from __future__ import annotations

import asyncio
import gc
import logging
import re
import threading
from typing import Any

import pytest
from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPForbidden, HTTPNotModified

from sockjs_bridge import WebSocketSession
from sockjs_bridge.core.monitor import Monitor
from sockjs_bridge.core.states import State
from sockjs_bridge.endpoint.endpoint import Endpoint
from sockjs_bridge.server.openings import accept_key
from sockjs_bridge.server.options import ServerOptions
from sockjs_bridge.server.plain import Head
from sockjs_bridge.server.runner import Runner
from tests.server.support import PATIENCE, until
from tests.server.wire import HANDSHAKE, Unplugged, Wire, frame
from tests.support import weak_reference

INFO = b"GET /talk/info HTTP/1.1\r\nHost: here\r\n\r\n"
OPENED = b"\x81\x01o"
HTTP_OPENING = b"POST /talk/a/0/s/xhr HTTP/1.1\r\nHost: here\r\n\r\n"

both_readers = pytest.mark.parametrize("fast", [True, False])


class Guard:
    """The root factory: what a handshake meets before its view."""

    def __init__(self) -> None:
        self.environs: list[dict[str, Any]] = []
        self.sessions: list[Any] = []
        self.refuses = False
        self.not_modified = False
        self.says = "yes"
        self.entered = threading.Event()
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, request):
        self.environs.append(dict(request.environ))
        handshake = request.environ.get("sockjs_bridge.handshake")
        self.sessions.append(handshake and handshake.session)
        self.entered.set()
        assert self.gate.wait(PATIENCE)
        request.response.headers["X-App"] = self.says
        if self.not_modified:
            raise HTTPNotModified()
        if self.refuses:
            raise HTTPForbidden(headers={"X-Why": "no"})
        return self


class Echo(WebSocketSession):
    async def on_message(self, message: str) -> None:
        self.send(message)


class Server(Unplugged):
    def __init__(self, *, fast: bool = True, **options: str) -> None:
        self.guard = Guard()
        with Configurator(settings={"sockjs.fast": str(fast).lower()}) as config:
            config.include("sockjs_bridge")
            config.set_root_factory(self.guard)
            config.add_sockjs_route("talk", "/talk/*rest", session=Echo)
            self.app = config.make_wsgi_app()
        listen = {"listen": "127.0.0.1:0", "shutdown_timeout": "0.1"}
        self.runner = Runner(self.app, ServerOptions.parse({**listen, **options}))


def handshake(path: str = "/talk/a/0/ws/websocket", *fields: str) -> bytes:
    lines = "".join(f"{field}\r\n" for field in fields)
    asked = HANDSHAKE.replace(b"/talk/0/ws/websocket", path.encode())
    return asked[:-2] + lines.encode() + b"\r\n"


both_kinds = pytest.mark.parametrize("asked", [handshake(), HTTP_OPENING], ids=["websocket", "xhr"])


async def ask(server: Server, data: bytes) -> Wire:
    wire = server.connect()
    wire.feed(data)
    await server.quiet()
    return wire


@pytest.mark.parametrize("path", ["/talk/a/0/ws/websocket", "/talk/a/websocket", "/talk/a"])
async def test_aiohttp_has_no_part_in_it(path):
    async with Server() as server:
        wire = await ask(server, handshake(path))
        assert wire.written.startswith(b"HTTP/1.1 101 ")
        assert b"\r\nX-App: yes\r\n" in wire.written
        wire.written = b""
        raw = "/0/" not in path
        wire.feed(frame(b"hi" if raw else b'["hi"]'))
        await server.quiet()
        assert wire.written == (b"\x81\x02hi" if raw else b'\x81\x07a["hi"]')
        assert server.requests == 0


@both_readers
async def test_a_304_has_no_body(fast):
    """RFC 9110, 15.4.5: what came behind it would be taken for the next response."""
    async with Server(fast=fast) as server:
        server.guard.not_modified = True
        wire = await ask(server, handshake())
        assert wire.written.startswith(b"HTTP/1.1 304 ")
        assert wire.written.endswith(b"\r\n\r\n")
        wire.written = b""
        wire.feed(INFO.replace(b"/talk/", b"/talk/a/"))
        await server.quiet()
        assert wire.written.startswith(b"HTTP/1.1 200 ")


NATIVE = [("caf\xe9", b"caf\xe9"), ("caf\xc3\xa9", b"caf\xc3\xa9")]


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize(("says", "written"), NATIVE)
async def test_headers_of_the_application_are_native_strings(fast, says, written):
    """PEP 3333, "Unicode Issues": what it means as UTF-8 is not encoded twice."""
    async with Server(fast=fast) as server:
        server.guard.says = says
        wire = await ask(server, handshake("/talk/a/websocket", "Cookie: JSESSIONID=x"))
        assert b"\r\nX-App: " + written + b"\r\n" in wire.written


async def test_headers_of_a_session_over_http_are_not_encoded_twice():
    async with Server() as server:
        server.guard.says = "caf\xc3\xa9"
        wire = await ask(server, b"POST /talk/a/0/s/xhr HTTP/1.1\r\nHost: here\r\n\r\n")
        assert wire.written.endswith(b"o\n")
        assert b"\r\nX-App: caf\xc3\xa9\r\n" in wire.written


@pytest.mark.parametrize("fast", [True, False])
async def test_a_header_that_is_no_native_string(fast, caplog):
    async with Server(fast=fast) as server:
        server.guard.says = "\u20ac"
        wire = await ask(server, handshake())
        assert wire.written.startswith(b"HTTP/1.1 500 ")
        assert "cannot be the value of the header X-App" in caplog.text


@pytest.mark.parametrize("version", [b"7", b"8", b"13"])
async def test_versions_of_the_same_wire(version):
    async with Server(fast=False) as server:
        wire = await ask(server, handshake().replace(b"Version: 13", b"Version: " + version))
        assert wire.written.endswith(OPENED)


@pytest.mark.parametrize(
    "odd",
    [
        handshake().replace(b"Version: 13", b"Version: 8"),
        handshake().replace(b"Key: AAAA", b"Key: A"),
        handshake().replace(b"GET", b"POST"),
        handshake().replace(b"Connection: Upgrade", b"Connection: keep-alive"),
        handshake("/talk/a/0/ws/xhr"),
        handshake("//talk/a/0/ws/websocket"),
        handshake("/elsewhere/0/ws/websocket"),
        handshake("/talk/a/0/ws/websocket", "Origin: http://there"),
    ],
)
async def test_what_is_odd_is_aiohttps(odd):
    async with Server() as server:
        wire = await ask(server, odd)
        assert wire.written.startswith(b"HTTP/1.1 ")
        assert server.requests == 1
        # None that was begun and left.
        opened = wire.written.startswith(b"HTTP/1.1 101 ")
        assert len(server.app.registry.sockjs.endpoints["talk"].manager) == opened


BROWSER = (
    *("User-Agent: Mozilla/5.0 (X11)", "Accept: */*", "Origin: http://here", "Cookie: a=b; c=d"),
    *("X_Forged: 1", "X-Forwarded-For: 9.9.9.9", "X-Forwarded-Proto: https", "Pragma: no-cache"),
)


@pytest.mark.parametrize(
    "options", [{}, {"trusted_proxy": "192.0.2.1", "trusted_proxy_headers": "x-forwarded-for"}]
)
@pytest.mark.parametrize("transport", ["websocket", "xhr_streaming"])
async def test_the_application_sees_the_environ_that_it_sees_of_aiohttp(options, transport):
    environs = []
    path = f"/talk/%C3%A4%2Fb/0/ws/{transport}?x=%20y&t=1"
    asked = handshake(path, *BROWSER)
    if transport != "websocket":
        fields = "".join(f"{field}\r\n" for field in (*BROWSER, "Content-Length: 4"))
        asked = f"POST {path} HTTP/1.1\r\nHost: here\r\n{fields}\r\nbody".encode()
    for fast in (True, False):
        async with Server(fast=fast, **options) as server:
            await ask(server, asked)
            assert server.requests == (0 if fast else 1)
            (environ,) = server.guard.environs
        for key in ("wsgi.input", "sockjs_bridge.handshake"):
            del environ[key]
        environs.append({key: value for key, value in environ.items() if "bfg" not in key})
    assert environs[0] == environs[1]
    assert environs[0]["HTTP_COOKIE"] == "a=b; c=d"


async def test_a_malformed_header_of_a_proxy():
    async with Server(trusted_proxy="*", trusted_proxy_headers="x-forwarded-proto") as server:
        wire = await ask(server, handshake("/talk/a/websocket", "X-Forwarded-Proto: gopher"))
        assert wire.written.startswith(b"HTTP/1.1 400 ")
        assert server.requests == 1


@pytest.mark.parametrize("behind", [b"", INFO])
async def test_a_connection_goes_on_after_a_refusal(behind):
    async with Server() as server:
        server.guard.refuses = True
        wire = await ask(server, handshake())
        head, _, body = wire.written.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 403 Forbidden\r\n")
        assert b"\r\nX-Why: no\r\n" in head
        assert body == b"Forbidden"
        assert server.guard.sessions[0].state is State.CLOSED
        wire.written = b""
        server.guard.refuses = False
        wire.feed(behind or handshake())
        await server.quiet()
        assert wire.written.startswith(b"HTTP/1.1 200 " if behind else b"HTTP/1.1 101 ")


async def test_what_comes_too_soon_waits():
    async with Server() as server:
        server.guard.gate.clear()
        wire = server.connect()
        wire.feed(handshake())
        wire.feed(frame(b'["soon"]'))
        server.guard.gate.set()
        await server.quiet()
        assert wire.written.endswith(OPENED + b'\x81\x09a["soon"]')


async def test_a_keepalive_connection_that_aiohttp_knows():
    async with Server() as server:
        wire = await ask(server, INFO)
        wire.feed(handshake())
        await server.quiet()
        assert wire.written.endswith(OPENED)
        assert server.requests == 1


@both_readers
@both_kinds
async def test_a_client_that_leaves_during_the_handshake(fast, asked):
    async with Server(fast=fast) as server:
        server.guard.gate.clear()
        wire = server.connect()
        wire.feed(asked)
        await until(server.guard.entered.is_set)
        wire.close()
        await asyncio.sleep(0)
        server.guard.gate.set()
        await server.quiet()
        assert wire.written == b""
        (session,) = server.guard.sessions
        if asked is not HTTP_OPENING:
            assert session.state is State.CLOSED
        # Over HTTP it may come back for a while.
        assert session._receiver is None
        assert server.runner._activity.count == 0


async def test_a_client_whose_session_survives_leaves_during_the_handshake():
    """The application lets it in, and nobody has the key: nothing is left of it."""
    async with Server() as server:
        server.guard.gate.clear()
        wire = server.connect()
        wire.feed(handshake(f"/talk/a/~r1/{'s' * 22}/websocket?new"))
        await until(server.guard.entered.is_set)
        wire.close()
        await asyncio.sleep(0)
        server.guard.gate.set()
        await server.quiet()
        assert wire.written == b""
        (session,) = server.guard.sessions
        assert session.over
        assert session.connection is None
        assert server.runner._activity.count == 0


@both_readers
@both_kinds
async def test_a_session_that_ends_during_the_handshake_leaves_no_cycle(fast, asked):
    """The application makes a connection of it afterwards: nobody would ever let go of that."""
    async with Server(fast=fast) as server:
        guard = server.guard
        guard.gate.clear()
        wire = server.connect()
        wire.feed(asked)
        await until(guard.entered.is_set)
        gc.collect()
        gc.disable()
        try:
            wire.close()
            await asyncio.sleep(0)
            guard.sessions[0].finish()
            assert guard.sessions[0].state is State.CLOSED
            gone = weak_reference(guard.sessions[0])
            guard.sessions.clear()
            guard.environs.clear()
            guard.gate.set()
            await server.quiet()
            del wire
            await until(lambda: gone() is None)
        finally:
            gc.enable()


@pytest.mark.parametrize("refuses", [False, True])
@pytest.mark.parametrize("fast", [True, False])
async def test_who_asks_again_during_the_handshake(fast, refuses):
    """The application is asked once, and both have its answer."""
    async with Server(fast=fast) as server:
        server.guard.gate.clear()
        server.guard.refuses = refuses
        asked = HTTP_OPENING.replace(b"/xhr ", b"/xhr?t=1690000000123 ")
        first, again = server.connect(), server.connect()
        first.feed(asked)
        await until(server.guard.entered.is_set)
        (session,) = server.guard.sessions
        first.close()
        await until(lambda: session._receiver is None)
        again.feed(asked)
        await until(lambda: session._receiver is not None)
        server.guard.gate.set()
        await server.quiet()
        assert first.written == b""
        assert again.written.endswith(b"\r\n\r\no\n")
        assert len(server.guard.environs) == 1


@both_kinds
async def test_a_handshake_that_is_slower_than_keepalive(asked):
    async with Server(keepalive_timeout="0.05") as server:
        server.guard.gate.clear()
        wire = server.connect()
        wire.feed(asked)
        await asyncio.sleep(0.3)
        assert not wire.closed
        server.guard.gate.set()
        await server.quiet()
        assert wire.written.endswith((OPENED, b"\r\n\r\no\n"))


@both_readers
@both_kinds
async def test_the_server_stops_during_a_handshake(fast, asked):
    async with Server(fast=fast, shutdown_timeout="2") as server:
        server.guard.gate.clear()
        wire = server.connect()
        wire.feed(asked)
        await until(server.guard.entered.is_set)
        stopping = asyncio.create_task(server.runner.stop())
        await asyncio.sleep(0.1)
        assert not stopping.done()
        server.guard.gate.set()
        await stopping
        assert b" 101 " not in wire.written
        assert not wire.written.endswith(b"o\n")
        assert wire.closed


@pytest.mark.parametrize("transport", ["xhr", "xhr_streaming", "eventsource?c=x"])
async def test_aiohttp_has_no_part_in_sessions_over_http(transport):
    method = b"GET" if "event" in transport else b"POST"
    asked = HTTP_OPENING.replace(b"/xhr", f"/{transport}".encode()).replace(b"POST", method)
    async with Server() as server:
        wire = await ask(server, asked)
        assert wire.written.startswith(b"HTTP/1.1 200 ")
        assert b"\r\nX-App: yes\r\n" in wire.written
        assert b"o" in wire.written.rpartition(b"\r\n\r\n")[2] + wire.written[-12:]
        assert server.requests == 0


async def test_a_session_over_http_that_is_refused():
    async with Server() as server:
        server.guard.refuses = True
        wire = await ask(server, HTTP_OPENING)
        assert wire.written.startswith(b"HTTP/1.1 200 ")
        assert b"\r\nX-Why: no\r\n" in wire.written
        assert wire.written.endswith(b"\r\n\r\no\n")
        wire.feed(HTTP_OPENING)
        await server.quiet()
        assert wire.written.endswith(b'c[4403,"Forbidden"]\n')
        server.guard.refuses = False
        wire.feed(HTTP_OPENING.replace(b"/s/", b"/other/"))
        await server.quiet()
        assert wire.written.endswith(b"\r\n\r\no\n")
        assert server.requests == 0


async def test_an_error_of_our_own_over_http(monkeypatch, caplog):
    async with Server() as server:
        monkeypatch.setattr("sockjs_bridge.server.openings.make_environ", None)
        wire = await ask(server, HTTP_OPENING)
        assert wire.written == b""
        assert wire.closed
        assert "the session could not open" in caplog.text
        assert server.runner._activity.count == 0


async def test_an_error_of_our_own(monkeypatch, caplog):
    async with Server() as server:
        monkeypatch.setattr("sockjs_bridge.server.openings.make_environ", None)
        wire = await ask(server, handshake())
        assert wire.written.startswith(b"HTTP/1.1 500 ")
        assert "the handshake failed" in caplog.text


@pytest.mark.parametrize("refuses", [False, True])
async def test_the_access_log_has_the_line_that_aiohttp_has(caplog, refuses):
    caplog.set_level(logging.INFO, "sockjs_bridge.access")
    lines = []
    for fast in (True, False):
        caplog.clear()
        async with Server(fast=fast) as server:
            server.guard.refuses = refuses
            await ask(server, handshake("/talk/a/0/ws/websocket?x", *BROWSER))
        (line,) = [
            record.getMessage() for record in caplog.records if record.name.endswith("access")
        ]
        lines.append(re.sub(r"\[.*?\]", "[]", line))
    assert lines[0] == lines[1]
    assert f'websocket?x HTTP/1.1" {403 if refuses else 101} ' in lines[0]


async def test_what_a_silent_session_keeps_of_its_handshake():
    """What is promised, and no more: there may be many of them."""
    async with Server() as server:
        for path in ("/talk/a/0/ws/websocket", "/talk/b/0/ws/websocket"):
            await ask(server, handshake(path, *BROWSER))
        first, second = (
            session.connection.request
            for session in server.app.registry.sockjs.endpoints["talk"].sessions
        )
        assert {first.matchdict["rest"], second.matchdict["rest"]} == {("a",), ("b",)}
        assert first.context is server.guard
        assert first.identity is None
        assert first.headers["User-Agent"] == "Mozilla/5.0 (X11)"
        assert not vars(first).keys() & {"response", "finished_callbacks", "response_callbacks"}
        assert first.response is first.response
        assert {*map(id, first.environ)} >= {*map(id, second.environ)}
        alike = {key for key in first.environ if first.environ[key] is second.environ[key]}
        assert alike >= {"HTTP_USER_AGENT", "HTTP_HOST", "HTTP_UPGRADE", "SERVER_PROTOCOL"}
        # A cookie is in no memory but its session's.
        assert "HTTP_COOKIE" not in alike
        assert dict(first.cookies) == {"a": "b", "c": "d"}


class Counting(Monitor):
    """Counts handshakes and refusals by their status."""

    def __init__(self) -> None:
        self.handshakes: list[int] = []
        self.refusals: list[int] = []

    def handshake(self, status: int, seconds: float) -> None:
        assert 0 < seconds < PATIENCE
        self.handshakes.append(status)

    def refused(self, status: int) -> None:
        self.refusals.append(status)


def count(server: Server) -> Counting:
    """Have a server's handshakes and refusals counted."""
    counting = Counting()
    server.app.registry.sockjs.endpoints["talk"].manager.monitor = counting
    return counting


@both_readers
@both_kinds
@pytest.mark.parametrize("refuses", [False, True])
async def test_each_handshake_is_counted_once(fast, asked, refuses):
    async with Server(fast=fast) as server:
        counting = count(server)
        server.guard.refuses = refuses
        await ask(server, asked)
        assert counting.handshakes == [403 if refuses else 200]
        assert counting.refusals == []


@both_readers
@pytest.mark.parametrize(
    ("asked", "status"),
    [
        (handshake("/talk/a/0/ws/websocket", "Origin: http://there"), 403),
        (handshake().replace(b"Key: AAAA", b"Key: A"), 400),
        (handshake().replace(b"Version: 13", b"Version: 14"), 400),
        (HTTP_OPENING.replace(b"/xhr", b"/xhr_send"), 404),
        (HTTP_OPENING.replace(b"POST", b"PUT"), 405),
        (HTTP_OPENING.replace(b"\r\n\r\n", b"\r\nContent-Length: 999999\r\n\r\n"), 413),
    ],
)
async def test_each_refusal_is_counted_once(fast, asked, status):
    """Those of the endpoint: whom the application refuses, it has asked about."""
    async with Server(fast=fast) as server:
        counting = count(server)
        wire = await ask(server, asked)
        assert wire.written.startswith(b"HTTP/1.1 %d " % status)
        assert counting.refusals == [status]
        assert counting.handshakes == []


@both_readers
@pytest.mark.parametrize(
    ("body", "answer"),
    [(b'{"key":"' + b"k" * 22 + b'","request":1,"received":0}', b'{"lost"'), (b"{", b" 400 ")],
)
async def test_what_opens_nothing_is_handled_once(fast, body, answer, monkeypatch):
    """Else it would be counted twice."""
    asked = b"POST /talk/a/~r1/%s/xhr HTTP/1.1\r\nHost: here\r\nContent-Length: %d\r\n\r\n%s"
    calls = []
    handle = Endpoint.handle
    monkeypatch.setattr(Endpoint, "handle", lambda *these: calls.append(these) or handle(*these))
    async with Server(fast=fast) as server:
        wire = await ask(server, asked % (b"s" * 22, len(body), body))
        assert answer in wire.written
        assert len(calls) == 1
        assert server.requests == (0 if fast else 1)
        assert server.runner._activity.count == 0


@both_readers
async def test_a_refused_send_of_an_open_session_is_counted(fast):
    async with Server(fast=fast) as server:
        wire = await ask(server, HTTP_OPENING)
        counting = count(server)
        wire.feed(b"POST /talk/a/0/s/xhr_send HTTP/1.1\r\nHost: here\r\nContent-Length: 1\r\n\r\n{")
        await server.quiet()
        assert b"HTTP/1.1 500 " in wire.written
        assert counting.refusals == [500]
        assert server.requests == (0 if fast else 2)


@pytest.mark.parametrize(
    ("key", "version"),
    [("a", "13"), ("é", "13"), ("YQ==", "13"), ("A" * 22 + "==", "12"), ("", "13")],
)
def test_what_is_no_key(key: str, version: str) -> None:
    """RFC 6455, 4.2.1: 16 bytes, in base64, of a version that is spoken."""
    head = Head()
    head.headers = {"Sec-WebSocket-Key": key, "Sec-WebSocket-Version": version}
    assert accept_key(head) is None
    # The example of RFC 6455, 1.3.
    known = "dGhlIHNhbXBsZSBub25jZQ=="
    head.headers = {"Sec-WebSocket-Key": known, "Sec-WebSocket-Version": "13"}
    assert accept_key(head) == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
