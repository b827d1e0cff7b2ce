"""Several servers of one application in one process and on one loop, which share a store in memory.

Each is a node of its own: they know each other by links alone, as processes do.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from sockjs_bridge.client import connect
from sockjs_bridge.server.options import ServerOptions
from sockjs_bridge.server.runner import Runner
from tests.cluster.application import main
from tests.server.support import PATIENCE, Answer, until

_NAMES = itertools.count()


class Node:
    """A server, and its application.

    Attributes:
        app: the application.
        runner: the server.
        port: where it listens, on 127.0.0.1.
    """

    def __init__(self, app: Any) -> None:
        self.app = app
        self.options = ServerOptions.parse({"listen": "127.0.0.1:0", "shutdown_timeout": 1})
        self.runner = Runner(app, self.options)
        self.port = 0

    async def start(self) -> None:
        sockets: list[socket.socket] = self.options.bind()
        self.port = sockets[0].getsockname()[1]
        try:
            await self.runner.start(sockets)
        except SystemExit:
            for each in sockets:
                each.close()
            raise

    async def stop(self) -> None:
        await self.runner.stop()

    @property
    def cluster(self) -> Any:
        """What it knows of the others."""
        return self.app.registry.sockjs.endpoints.cluster

    @property
    def sessions(self) -> list[Any]:
        """Of all its endpoints."""
        return [
            each for endpoint in self.app.registry.sockjs.endpoints for each in endpoint.sessions
        ]

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def ask(
        self, method: str, target: str, body: bytes = b"", headers: tuple[str, ...] = ()
    ) -> Answer:
        """Make one request on a connection of its own."""
        reader, writer = await self.connect()
        try:
            writer.write(request(method, target, body, ("Connection: close", *headers)))
            raw = await asyncio.wait_for(reader.read(), PATIENCE)
        finally:
            writer.close()
        return Answer.parse(raw, method)


def request(method: str, target: str, body: bytes = b"", headers: tuple[str, ...] = ()) -> bytes:
    """Return a request as bytes."""
    lines = [f"{method} {target} HTTP/1.1", "Host: site.example", *headers]
    if body or method == "POST":
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


@asynccontextmanager
async def one_more(node: Node) -> AsyncIterator[Node]:
    """Start another server of a node's cluster; the node knows it."""
    name = node.app.registry.settings["sockjs.cluster_name"]
    async with nodes(1, **{"sockjs.cluster_name": name}) as (other,):
        await until(lambda: other.cluster.node in node.cluster._nodes.others)
        yield other


@asynccontextmanager
async def nodes(
    count: int, make: Callable[..., Any] = main, **settings: Any
) -> AsyncIterator[list[Node]]:
    """Start servers of one cluster; its name is its own."""
    own = {
        "sockjs.cluster": "memory://",
        "sockjs.cluster_name": f"test-{os.getpid()}-{next(_NAMES)}",
        **settings,
    }
    started: list[Node] = []
    try:
        for _ in range(count):
            node = Node(make(None, **own))
            await node.start()
            started.append(node)
        yield started
    finally:
        await asyncio.gather(*(node.stop() for node in started), return_exceptions=True)


class Client:
    """A client that keeps its connection, and whose requests are plain."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def ask_aiohttp(self, action: str, body: bytes = b"") -> tuple[int, bytes]:
        """Ask in a way that is left to aiohttp."""
        self.begin_odd(action, body)
        return await self.answer()

    def begin_odd(self, action: str, body: bytes = b"") -> None:
        self.writer.write(request("POST", f"/echo/000/abc/{action}", body, ("TE: trailers",)))

    async def ask(self, action: str, body: bytes = b"") -> tuple[int, bytes]:
        self.begin(action, body)
        return await self.answer()

    def begin(self, action: str, body: bytes = b"") -> None:
        self.writer.write(request("POST", f"/echo/000/abc/{action}", body))

    async def answer(self) -> tuple[int, bytes]:
        async with asyncio.timeout(PATIENCE):
            head = (await self.reader.readuntil(b"\r\n\r\n")).lower()
            _, found, rest = head.partition(b"content-length: ")
            size = int(rest.partition(b"\r\n")[0]) if found else 0
            return int(head[9:12]), await self.reader.readexactly(size)


@asynccontextmanager
async def resumable_elsewhere() -> AsyncIterator[tuple[Node, str]]:
    """Yield a process, and the path that requests of a session of another one have before them."""
    async with (
        nodes(2) as (home, front),
        connect(
            f"http://127.0.0.1:{home.port}/echo", resume=True, transport="xhr-polling"
        ) as first,
    ):
        core = first._core
        yield front, f"/echo/~r1{core.home}/{core.session}"


@asynccontextmanager
async def known_home(**settings: Any) -> AsyncIterator[tuple[Node, Node, Client]]:
    """Yields a home, a front that knows it, and a client of that."""
    async with nodes(2, **settings) as (home, front):
        await home.ask("POST", "/echo/000/abc/xhr")
        reader, writer = await front.connect()
        client = Client(reader, writer)
        try:
            assert await client.ask("xhr_send", b'["first"]') == (204, b"")
            yield home, front, client
        finally:
            writer.close()
