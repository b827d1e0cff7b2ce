"""Servers without sockets: a test feeds the protocol of a connection, and sees what it writes."""

from __future__ import annotations

import asyncio
import base64
import struct
from collections.abc import Iterable, Mapping
from typing import Any

from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPForbidden
from pyramid.response import Response

from sockjs_bridge import WebSocketSession
from sockjs_bridge.core.session import Session
from sockjs_bridge.server.connection import PeerConnection
from sockjs_bridge.server.options import ServerOptions
from sockjs_bridge.server.runner import Runner

OPEN = b"POST /talk/0/known/xhr HTTP/1.1\r\nHost: here\r\n\r\n"
HANDSHAKE = (
    b"GET /talk/0/ws/websocket HTTP/1.1\r\nHost: here\r\n"
    b"Upgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + base64.b64encode(bytes(16)) + b"\r\n\r\n"
)


def frame(payload: bytes, opcode: int = 1, *, final: bool = True) -> bytes:
    """Make a client's WebSocket frame, masked with zeros (RFC 6455, 5.2)."""
    size = len(payload)
    length = bytes((0x80 | size,)) if size < 126 else b"\xfe" + struct.pack(">H", size)
    return bytes((final << 7 | opcode,)) + length + bytes(4) + payload


class Wire(asyncio.Transport):
    """A connection without a network, which keeps what the server writes."""

    protocol: asyncio.Protocol

    def __init__(self, protocol: PeerConnection) -> None:
        super().__init__({"peername": ("192.0.2.1", 5000), "sockname": ("192.0.2.2", 80)})
        self.protocol = protocol
        self.written = b""
        self.writes = 0
        self.closed = False
        self.finished = False
        self.reading = True
        protocol.connection_made(self)

    def get_protocol(self) -> asyncio.Protocol:
        return self.protocol

    def set_protocol(self, protocol: asyncio.Protocol) -> None:
        self.protocol = protocol

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.finished = True

    def write(self, data: Any) -> None:
        if not self.closed:
            self.written += data
            self.writes += 1

    def writelines(self, parts: Iterable[Any]) -> None:
        self.write(b"".join(parts))

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)

    abort = close

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def feed(self, data: bytes) -> None:
        if not self.closed:
            self.protocol.data_received(data)


class Talk(WebSocketSession):
    """Keeps what it is told; answers "echo …" to one, "all …" to all, and is slow after "wait"."""

    async def on_open(self) -> None:
        self.join("all")

    async def on_message(self, message: str) -> None:
        registry = self.request.registry
        registry.heard.append(message)
        if message.startswith("echo"):
            self.send(message)
        elif message.startswith("all"):
            self.request.sockjs.broadcast(message, room="all")
        elif message == "wait":
            await registry.gate.wait()


def application(**settings: str) -> Any:
    def page(request):
        body = request.environ["wsgi.input"].read()
        return Response(f"{request.method} {request.path_qs} {body!r}", charset="utf-8")

    def root(request):
        if "X-Refuse" in request.headers:
            raise HTTPForbidden

    with Configurator(settings=settings, root_factory=root) as config:
        config.include("sockjs_bridge")
        config.registry.heard = []
        config.registry.gate = asyncio.Event()
        config.add_sockjs_route("talk", "/talk", session=Talk)
        config.add_route("page", "/page/*rest")
        config.add_view(page, route_name="page")
        return config.make_wsgi_app()


class Unplugged:
    """A server without sockets.

    Args:
        settings: of the application.
        options: of the server.
    """

    def __init__(
        self, settings: Mapping[str, str] | None = None, options: Mapping[str, str] | None = None
    ) -> None:
        self.app = application(**(settings or {}))
        self.heard: list[str] = self.app.registry.heard
        self.gate: asyncio.Event = self.app.registry.gate
        listen = {"listen": "127.0.0.1:0", "shutdown_timeout": "0.1"}
        self.runner = Runner(self.app, ServerOptions.parse({**listen, **(options or {})}))

    async def __aenter__(self) -> Unplugged:
        await self.runner.start([])
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.runner.stop()

    @property
    def requests(self) -> int:
        """How many requests aiohttp has seen."""
        return self.runner._web.requests_count

    @property
    def sessions(self) -> list[Session]:
        """The open ones."""
        return self.app.registry.sockjs.endpoints["talk"].sessions

    async def open(self, session: str = "known", transport: str = "xhr") -> Wire:
        """Open a session over HTTP; returns the connection."""
        wire = self.connect()
        wire.feed(OPEN.replace(b"known", session.encode()).replace(b"xhr", transport.encode()))
        await self.quiet()
        assert b"o\n" in wire.written
        wire.written = b""
        return wire

    async def open_websocket(self) -> Wire:
        """Open a WebSocket."""
        wire = self.connect()
        wire.feed(HANDSHAKE)
        await self.quiet()
        assert wire.written.startswith(b"HTTP/1.1 101 "), wire.written
        assert wire.written.endswith(b"\x81\x01o")
        wire.written = b""
        return wire

    def connect(self) -> Wire:
        return Wire(self.runner.connection())

    async def quiet(self) -> None:
        """Wait until nothing goes on any more, but for requests whose rest is missing."""
        runner = self.runner
        pools = runner._pools
        for _ in range(10):
            await asyncio.sleep(0)
            # A thread that has nothing to do has told what became of its last job.
            while any(pool.busy or pool._idle < pool._threads for pool in pools):
                await asyncio.sleep(0.0005)
