"""A TCP proxy that resets reused keep-alive connections, as the middleboxes of the field do."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from collections import Counter
from types import TracebackType
from urllib.parse import urlsplit

STAGES = ("before", "during", "after")
"""When a connection is reset: before its request is passed on, while it waits for its answer, or
when it is answered and the answer swallowed."""

LONGEST_WAIT = 0.01
"""Seconds that a request waits at most for the reset of the second stage."""


class ResettingProxy:
    """Passes bytes on, and resets some connections, but none before its second request.

    A browser repeats a request that failed in this way, unseen by the page, over a new connection.

    Args:
        url: of the server behind it.
        seed: of the chances.
        rate: the chance that a request over a reused connection meets a reset.

    Attributes:
        resets: how many connections were reset, by the stage.
    """

    def __init__(self, url: str, seed: int = 0, rate: float = 0.0) -> None:
        parts = urlsplit(url)
        self._upstream = (parts.hostname, parts.port)
        self._chances = random.Random(seed)
        self._rate = rate
        self._links: dict[asyncio.Task[None], _Link] = {}
        self._server: asyncio.Server | None = None
        self.resets: Counter[str] = Counter()

    @property
    def url(self) -> str:
        """The URL under which the server is reached through it."""
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aenter__(self) -> ResettingProxy:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.vanish()
        if self._links:
            await asyncio.wait(self._links)

    def vanish(self) -> None:
        """Reset all connections, on both sides, and accept none any more."""
        assert self._server is not None
        self._server.close()
        for link in list(self._links.values()):
            link.reset()

    def choose(self) -> str | None:
        """Decide about one request of a reused connection."""
        return self._chances.choice(STAGES) if self._chances.random() < self._rate else None

    def wait(self) -> float:
        """Decide how long a request waits for its reset, in seconds."""
        return self._chances.uniform(0, LONGEST_WAIT)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there = await asyncio.open_connection(*self._upstream)
        except OSError:
            _reset(writer)
            return
        task = asyncio.current_task()
        assert task is not None
        link = self._links[task] = _Link(self, writer, there[1])
        try:
            await asyncio.gather(link.requests(reader), link.answers(there[0]))
        finally:
            del self._links[task]


class _Link:
    """One connection of a client, and the one to the server that goes with it."""

    def __init__(
        self, proxy: ResettingProxy, here: asyncio.StreamWriter, there: asyncio.StreamWriter
    ) -> None:
        self._proxy = proxy
        self._here = here
        self._there = there
        self._asking = False
        self._reused = False
        self._stage: str | None = None

    def reset(self) -> None:
        for writer in (self._here, self._there):
            _reset(writer)

    async def requests(self, reader: asyncio.StreamReader) -> None:
        while data := await _read(reader):
            if not self._asking:
                # Bytes that follow an answer: the next request.
                self._asking = True
                self._stage = self._proxy.choose() if self._reused else None
                self._reused = True
                if self._stage == "during":
                    wait = self._proxy.wait()
                    asyncio.get_running_loop().call_later(wait, self._count_and_reset)
            if self._stage == "before":
                self._count_and_reset()
            else:
                self._there.write(data)
        self._there.close()

    async def answers(self, reader: asyncio.StreamReader) -> None:
        while data := await _read(reader):
            self._asking = False
            if self._stage is not None:
                self._count_and_reset()
            else:
                self._here.write(data)
        self._here.close()

    def _count_and_reset(self) -> None:
        if self._stage is not None:
            self._proxy.resets[self._stage] += 1
            self._stage = None
            self.reset()


async def _read(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read(65536)
    except OSError:
        return b""


def _reset(writer: asyncio.StreamWriter) -> None:
    # Without lingering, a close is an RST (RFC 9293, 3.10.4).
    connection = writer.get_extra_info("socket")
    if not writer.transport.is_closing():
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
