"""A small proxy before Redis, which delays, cuts, swallows, truncates and refuses."""

from __future__ import annotations

import asyncio


class RedisProxy:
    """Passes bytes on between clients and a server, until it is told otherwise; on one loop.

    Args:
        port: of the server, on loopback; it may be changed, for later connections.

    Attributes:
        port: see above.
        own_port: where clients connect to.
        delay: seconds that bytes of the server come late.
        swallows: bytes get lost, in both directions, and nobody is told (half-open).
        truncate: so many bytes of the server come yet over each connection, then its end.
        connections: how many clients have come.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.own_port = 0
        self.delay = 0.0
        self.swallows = False
        self.truncate: int | None = None
        self.connections = 0
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.own_port}"

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.own_port)
        self.own_port = self._server.sockets[0].getsockname()[1]

    async def refuse(self) -> None:
        """Take no more connections, and end those that are there."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.cut()

    def cut(self) -> None:
        """Reset the connections that are there."""
        for writer in [*self._writers]:
            writer.transport.abort()

    async def close(self) -> None:
        await self.refuse()
        for task in [*self._tasks]:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            writer.transport.abort()
            return
        pair = {writer, back}
        self._writers |= pair
        try:
            await asyncio.gather(self._up(reader, back), self._down(there, writer))
        except OSError:
            pass
        finally:
            self._writers -= pair
            for each in pair:
                each.transport.abort()

    async def _up(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            if not self.swallows:
                writer.write(data)
                await writer.drain()
        writer.transport.abort()

    async def _down(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        left = self.truncate
        while data := await reader.read(65536):
            if self.delay:
                await asyncio.sleep(self.delay)
            if self.swallows:
                continue
            if self.truncate is not None:
                left = self.truncate if left is None else left
                data = data[:left]
                left -= len(data)
            writer.write(data)
            await writer.drain()
            if left == 0:
                break
        writer.close()
