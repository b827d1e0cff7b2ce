"""What distributes the connections of a test's clients over processes, one after the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.cluster.inprocess import Node


class _End(asyncio.Protocol):
    """One of two ends: what comes here is written there."""

    def __init__(self, open_ends: set[Any], other: _End | None = None) -> None:
        self.transport: Any = None
        self.other = other
        self._open_ends = open_ends

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self._open_ends.add(self)

    def data_received(self, data: bytes) -> None:
        assert self.other is not None
        self.other.transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._open_ends.discard(self)
        if self.other is not None and self.other.transport is not None:
            self.other.transport.close()


class _Client(_End):
    """A client's end: the other one is made when it connects."""

    def __init__(self, open_ends: set[Any], node: Node, tasks: set[asyncio.Task[None]]) -> None:
        super().__init__(open_ends)
        self._node = node
        self._tasks = tasks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.transport.pause_reading()
        task = asyncio.get_running_loop().create_task(self._connect())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        self.other = _End(self._open_ends, self)
        try:
            await loop.create_connection(lambda: self.other, "127.0.0.1", self._node.port)
        except OSError:
            self.transport.close()
            return
        if self.transport.is_closing():
            self.other.transport.close()
        else:
            self.transport.resume_reading()


@asynccontextmanager
async def in_turn(nodes: list[Node]) -> AsyncIterator[str]:
    """Listen, and hand each connection to the next server; the URL of that."""
    count = 0
    open_ends: set[_End] = set()
    tasks: set[asyncio.Task[None]] = set()

    def make() -> _Client:
        nonlocal count
        count += 1
        return _Client(open_ends, nodes[(count - 1) % len(nodes)], tasks)

    server = await asyncio.get_running_loop().create_server(make, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        while open_ends or tasks:
            for end in [*open_ends]:
                end.transport.abort()
            await asyncio.sleep(0)
