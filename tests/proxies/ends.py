"""A server and a client, by raw connections, for the tests of the middlebox between them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from tests.proxies.behaviour import Behaviour
from tests.proxies.http1 import Head, Incoming, Truncated, chunk
from tests.proxies.middlebox import Middlebox

FRAME = b'a["12"]\n'
BYE = b"bye"
"""After which the server ends a WebSocket's connection."""

TARGETS = {"websocket": "GET", "info": "GET", "xhr": "POST", "xhr_streaming": "POST"}


class Origin:
    """A server that answers by the last segment of the path.

    Attributes:
        heads: of the requests that came.
        pieces: of streams, as they are to leave; nothing ends one.
        heard: what came over WebSockets.
        gone: clients that have left before the end.
        url: where it is.
    """

    def __init__(self) -> None:
        self.heads: list[Head] = []
        self.pieces: asyncio.Queue[bytes] = asyncio.Queue()
        self.heard = b""
        self.gone = 0
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            incoming = Incoming(reader)
            head = await incoming.head()
            await incoming.request_body(head)
            self.heads.append(head)
            await self.answer(head, incoming, writer)
        except Truncated:
            self.gone += 1
        finally:
            writer.close()

    async def answer(self, head: Head, incoming: Incoming, writer: asyncio.StreamWriter) -> None:
        if head.action == "websocket":
            if not head.asks_for_upgrade:
                writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
                return
            upgrade = b"Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
            writer.write(b"HTTP/1.1 101 Switching Protocols\r\n" + upgrade)
            while data := await incoming.piece():
                self.heard += data
                writer.write(data)
                if data == BYE:
                    return
            self.gone += 1
        elif head.action == "xhr_streaming":
            await self.stream(head.first.endswith("1.1"), incoming, writer)
        else:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(FRAME) + FRAME)

    async def stream(self, chunked: bool, incoming: Incoming, writer: asyncio.StreamWriter) -> None:
        encoding = b"Transfer-Encoding: chunked\r\n" if chunked else b""
        writer.write(b"HTTP/1.1 200 OK\r\n" + encoding + b"\r\n")
        left = asyncio.ensure_future(incoming.end())
        while True:
            piece = asyncio.ensure_future(self.pieces.get())
            await asyncio.wait([left, piece], return_when=asyncio.FIRST_COMPLETED)
            if not piece.done():
                piece.cancel()
                raise Truncated
            writer.write(chunk(piece.result()) if chunked else piece.result())
            if not piece.result():
                left.cancel()
                return


@asynccontextmanager
async def running() -> AsyncIterator[Origin]:
    """Run a server."""
    origin = Origin()
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.create_task(origin.serve(reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    origin.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield origin
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Client:
    """A connection to a middlebox."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.incoming = Incoming(reader)

    async def ask(self, action: str, prefix: str = "/echo", **fields: str) -> None:
        """Make a request."""
        lines = {"Host": "a", **fields}
        if action == "websocket":
            lines |= {"Connection": "Upgrade", "Upgrade": "websocket"}
        head = Head(f"{TARGETS[action]} {prefix}/{action} HTTP/1.1", tuple(lines.items()))
        self.writer.write(head.encode())

    async def head(self) -> Head:
        return await self.incoming.head()

    async def body(self, head: Head) -> bytes:
        return b"".join([piece async for piece in self.incoming.response_body(head)])

    async def get(self, action: str, prefix: str = "/echo", **fields: str) -> tuple[str, bytes]:
        """Make a request, and return its answer's status and body."""
        await self.ask(action, prefix, **fields)
        head = await self.head()
        return head.status, await self.body(head)

    async def rest(self) -> bytes:
        """Return all that comes up to the end."""
        data = b""
        while piece := await self.incoming.piece():
            data += piece
        return data


@asynccontextmanager
async def through(box: Middlebox) -> AsyncIterator[Client]:
    """Open a connection to a middlebox that runs."""
    parts = urlsplit(box.url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        yield Client(reader, writer)
    finally:
        writer.close()


@asynccontextmanager
async def behind(origin: Origin, behaviour: Behaviour, **options: str):
    """Run a middlebox, and open a connection to it."""
    async with Middlebox(origin.url, behaviour, **options) as box, through(box) as client:
        yield box, client


async def switch(client: Client) -> None:
    """Have the connection become a WebSocket's."""
    await client.ask("websocket")
    assert (await client.head()).status == "101"


async def echo(client: Client, data: bytes) -> None:
    """Have bytes go there and back."""
    client.writer.write(data)
    assert await client.reader.readexactly(len(data)) == data
