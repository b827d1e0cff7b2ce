"""A WSGI application on a real socket, and a client that sees every byte of the answer."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from aiohttp import web

from sockjs_bridge.server.accesslog import AccessLogger, EveryRequestLogger
from sockjs_bridge.server.activity import Activity
from sockjs_bridge.server.connection import PeerConnection
from sockjs_bridge.server.loop import LoopClock
from sockjs_bridge.server.options import ServerOptions
from sockjs_bridge.server.reader import RequestServer
from sockjs_bridge.server.threads import ThreadPool
from sockjs_bridge.server.wsgi.host import WSGIHost

PATIENCE = 40.0
"""Seconds after which a test that waits for an event has failed."""


@dataclass
class Answer:
    """An HTTP response, taken apart."""

    version: str
    status: int
    reason: str
    headers: list[tuple[str, str]]
    body: bytes
    complete: bool
    """Whether the framing says that the body is whole."""

    @classmethod
    def parse(cls, raw: bytes, method: str = "GET") -> Answer:
        head, _, rest = raw.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        version, status, reason = first.split(" ", 2)
        headers = [(name, value) for name, _, value in (line.partition(": ") for line in lines)]
        answer = cls(version, int(status), reason, headers, rest, True)
        if answer["Transfer-Encoding"] == "chunked":
            answer.body, answer.complete = _unchunked(rest)
        elif answer["Content-Length"] is not None and method != "HEAD":
            answer.complete = len(rest) == int(answer["Content-Length"])
        return answer

    def __getitem__(self, name: str) -> str | None:
        values = self.all(name)
        assert len(values) < 2, f"{name} is there {len(values)} times"
        return values[0] if values else None

    def all(self, name: str) -> list[str]:
        return [value for other, value in self.headers if other.lower() == name.lower()]


def _unchunked(raw: bytes) -> tuple[bytes, bool]:
    body = b""
    while True:
        size, found, raw = raw.partition(b"\r\n")
        if not found:
            return body, False
        length = int(size, 16)
        if not length:
            return body, raw == b"\r\n"
        body += raw[:length]
        if raw[length : length + 2] != b"\r\n":
            return body, False
        raw = raw[length + 2 :]


@dataclass
class Served:
    """An application being served."""

    host: WSGIHost
    pool: ThreadPool
    server: web.Server
    address: tuple[str, int] | str
    writers: list[asyncio.StreamWriter] = field(default_factory=list)
    sockets: list[socket.socket] = field(default_factory=list)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if isinstance(self.address, str):
            reader, writer = await asyncio.open_unix_connection(self.address)
        else:
            reader, writer = await asyncio.open_connection(*self.address)
        self.writers.append(writer)
        return reader, writer

    async def request(self, target: str = "/") -> socket.socket:
        """Make a request on a connection whose client reads nothing yet."""
        loop = asyncio.get_running_loop()
        client = socket.socket()
        self.sockets.append(client)
        # So that as little as possible of a response is with the two systems.
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.setblocking(False)
        await loop.sock_connect(client, self.address)
        await loop.sock_sendall(client, f"GET {target} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
        return client

    async def exchange(self, data: bytes) -> bytes:
        """Send bytes and return all that comes until the server closes."""
        reader, writer = await self.connect()
        writer.write(data)
        return await asyncio.wait_for(reader.read(), PATIENCE)

    async def ask(
        self,
        target: str = "/",
        *,
        method: str = "GET",
        version: str = "HTTP/1.1",
        headers: tuple[str, ...] = ("Host: localhost",),
        body: bytes = b"",
        close: bool = True,
    ) -> Answer:
        """Make one request on a connection of its own."""
        lines = [f"{method} {target} {version}", *headers]
        if close:
            lines.append("Connection: close")
        raw = await self.exchange("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
        return Answer.parse(raw, method)


class Connection(PeerConnection):
    """A connection whose peer has left when it sends no more: who answers is no `Dispatcher`."""

    __slots__ = ()

    def eof_received(self) -> None:
        super().eof_received()


@asynccontextmanager
async def serving(
    app: Callable[..., Any],
    *,
    threads: int = 4,
    max_lent: int = 0,
    unix: str | None = None,
    address: str = "127.0.0.1",
    polls: bool = False,
    handler: Callable[[WSGIHost, web.BaseRequest], Any] | None = None,
    spool_size: int = 65_536,
    **options: Any,
) -> AsyncIterator[Served]:
    """Serve an application on a free port of the loopback interface, or on a Unix socket."""
    pool = ThreadPool(threads, "test", max_lent=max_lent)
    host = WSGIHost(app, pool, ServerOptions(**options), spool_size=spool_size)

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        return await (handler(host, request) if handler else host.serve(request))

    server = RequestServer(
        handle,
        access_log=logging.getLogger("sockjs_bridge.access"),
        access_log_class=EveryRequestLogger if polls else AccessLogger,
        lingering_time=0.5,
        max_head=32768,
    )
    loop = asyncio.get_running_loop()
    activity = Activity(LoopClock(loop), 75.0)
    protocol = partial(Connection, server, activity)
    if unix is not None:
        listener = await loop.create_unix_server(protocol, unix)
        served = Served(host, pool, server, unix)
    else:
        listener = await loop.create_server(protocol, address, 0)
        served = Served(host, pool, server, listener.sockets[0].getsockname()[:2])
    try:
        yield served
    finally:
        listener.close()
        for end in (*served.writers, *served.sockets):
            end.close()
        await server.shutdown(2.0)
        pool.close()
        host.files.close()


async def until(condition: Callable[[], object]) -> None:
    """Wait until a condition holds that no event tells of."""
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.005)
