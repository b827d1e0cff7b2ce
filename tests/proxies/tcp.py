"""What the proxies of these tests share: connections that are passed on, byte by byte."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import urlsplit


class Link:
    """One connection of a client, and the one to the server that goes with it.

    Args:
        proxy: whose it is.
        here: leads to the client.
        there: leads to the server.
    """

    def __init__(
        self, proxy: Proxy, here: asyncio.StreamWriter, there: asyncio.StreamWriter
    ) -> None:
        self.proxy = proxy
        self.here = here
        self.there = there

    def request(self, data: bytes) -> None:
        """Take bytes from the client."""
        self.there.write(data)

    def answer(self, data: bytes) -> None:
        """Take bytes from the server."""
        self.here.write(data)

    def requested(self) -> None:
        """Take the end of what the client sends."""
        self.there.close()

    def answered(self) -> None:
        """Take the end of what the server sends."""
        self.here.close()

    def cut(self) -> None:
        """End both connections in order, after what was written."""
        self.here.close()
        self.there.close()

    def reset(self) -> None:
        """End both connections at once, by RST."""
        for writer in (self.here, self.there):
            reset(writer)


class Proxy:
    """Passes bytes on: each connection is one `Link`.

    Args:
        url: of the server behind it.

    Attributes:
        connections: how many it has passed on so far.
        links: those that are open.
        refuses: it resets whatever connects.
        counts: what else it did, by names that each proxy has its own.
    """

    link: type[Link] = Link

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._upstream = (parts.hostname, parts.port)
        self._tasks: set[asyncio.Task[None]] = set()
        self.links: set[Link] = set()
        self._server: asyncio.Server | None = None
        self.connections = 0
        self.refuses = False
        self.counts: Counter[str] = Counter()

    @property
    def url(self) -> str:
        """The URL under which the server is reached through it."""
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.vanish()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def lead_to(self, url: str) -> None:
        """Pass new connections on to another server."""
        parts = urlsplit(url)
        self._upstream = (parts.hostname, parts.port)

    def vanish(self) -> None:
        """Reset all connections, on both sides, and accept none any more."""
        assert self._server is not None
        self._server.close()
        for link in self.links:
            link.reset()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert self._server is not None
        if not self._server.is_serving():
            reset(writer)
            return
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(lambda task: self._served(task, writer))

    def _served(self, task: asyncio.Task[None], writer: asyncio.StreamWriter) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            # Before it began.
            reset(writer)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refuses:
            reset(writer)
            return
        try:
            there = await asyncio.open_connection(*self._upstream)
        except OSError:
            reset(writer)
            return
        link = self.link(self, writer, there[1])
        self.links.add(link)
        self.connections += 1
        assert self._server is not None
        if not self._server.is_serving():
            link.reset()
        try:
            await asyncio.gather(
                _pump(reader, link.request, link.requested),
                _pump(there[0], link.answer, link.answered),
            )
        finally:
            self.links.discard(link)


AnyProxy = TypeVar("AnyProxy", bound=Proxy)


@contextmanager
def in_thread(proxy: AnyProxy) -> Iterator[AnyProxy]:
    """Run a proxy on an event loop of its own, in a thread."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="proxy")
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(proxy.__aenter__(), loop).result()
        try:
            yield proxy
        finally:
            asyncio.run_coroutine_threadsafe(proxy.__aexit__(None, None, None), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _pump(
    reader: asyncio.StreamReader, take: Callable[[bytes], None], end: Callable[[], None]
) -> None:
    while data := await _read(reader):
        take(data)
    end()


async def _read(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read(65536)
    except OSError:
        return b""


def reset(writer: asyncio.StreamWriter) -> None:
    """End a connection at once, by RST."""
    # Without lingering, a close is an RST (RFC 9293, 3.10.4).
    connection = writer.get_extra_info("socket")
    if not writer.transport.is_closing():
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
