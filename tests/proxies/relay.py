"""What a middlebox makes of responses and of WebSockets on their way."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import NoReturn, Protocol

from tests.proxies.behaviour import Behaviour
from tests.proxies.http1 import Head, chunk


class Client(Protocol):
    """The connection of a client, as what goes over it sees it."""

    behaviour: Behaviour

    def send(self, data: bytes) -> None:
        """Sends bytes."""

    def count(self, name: str, much: int = 1) -> None:
        """Counts what was done."""

    def cut(self) -> NoReturn:
        """Ends what goes on, as the behaviour says."""


class End(Exception):
    """What goes on is ended by the middlebox: see `ENDS`."""


class Delayed:
    """Makes calls, in their order, each after the same time."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._waiting: deque[Callable[[], object]] = deque()

    def __call__(self, function: Callable[..., object], *arguments: object) -> None:
        if not self._seconds:
            function(*arguments)
            return
        self._waiting.append(partial(function, *arguments))
        asyncio.get_running_loop().call_later(self._seconds, lambda: self._waiting.popleft()())

    async def done(self) -> None:
        """Waits until all that was asked for so far is done."""
        past = asyncio.Event()
        self(past.set)
        await past.wait()


class Response:
    """One response on its way to the client."""

    def __init__(self, client: Client, head: Head, keeps_alive: bool) -> None:
        self._client = client
        self._head = head
        self._behaviour = client.behaviour
        self._left = self._behaviour.cut.after_bytes
        self._held = b""
        self._length: int | None = None
        self._keeps_alive = keeps_alive
        self.begun = False

    def begin(self, length: int | None) -> None:
        """Sends the head.

        Args:
            length: of the body, in bytes, where it is known.
        """
        head = self._head.for_next_hop().without(["content-length"])
        if self._behaviour.http_1_0:
            head = replace(head, first=f"HTTP/1.0 {head.first.partition(' ')[2]}")
        cut = self._behaviour.cut
        if length is not None and length > cut.after_bytes and cut.end == "clean":
            length = int(cut.after_bytes)
        if length is not None:
            if head.status != "204":
                head = head.adding("Content-Length", str(length))
        elif self._keeps_alive:
            head = head.adding("Transfer-Encoding", "chunked")
        if not self._keeps_alive:
            head = head.adding("Connection", "close")
        self._length = length
        self.begun = True
        self._client.send(head.encode())

    def write(self, data: bytes) -> None:
        """Sends a piece of the body, or holds it."""
        self._held += data
        if len(self._held) > self._behaviour.hold:
            self._flush()
        else:
            self._client.count("held")

    def _flush(self) -> None:
        if not self.begun:
            self.begin(None)
        data, self._held = self._held, b""
        passed = data if len(data) <= self._left else data[: int(self._left)]
        self._left -= len(data)
        if passed:
            self._client.send(chunk(passed) if self.is_chunked else passed)
        if self._left < 0:
            self._client.cut()

    @property
    def is_chunked(self) -> bool:
        """Whether its end is told by a last chunk."""
        return self.begun and self._length is None and self._keeps_alive

    def finish(self) -> bool:
        """Ends it; tells whether the connection can go on."""
        if not self.begun:
            self.begin(len(self._held))
        self._flush()
        return self.end()

    def end(self) -> bool:
        """Ends it as far as it has come; tells whether the connection can go on."""
        if self.is_chunked:
            self._client.send(chunk(b""))
        return self._keeps_alive


class Dropping:
    """One direction of a WebSocket, whose pieces may be dropped.

    Args:
        client: whose connection it is.
        direction: of `DIRECTIONS`, but both.
    """

    def __init__(self, client: Client, direction: str) -> None:
        drop = client.behaviour.drop
        self._drop = drop if drop and drop.direction in (direction, "both") else None
        self._client = client
        self._passed = 0
        self._began = asyncio.get_running_loop().time()
        self.dropping = False

    def drops(self, data: bytes) -> bool:
        """Tells whether a piece is dropped, and with it all that follow."""
        if self._drop is None:
            return False
        self._passed += len(data)
        age = asyncio.get_running_loop().time() - self._began
        if self._passed > self._drop.after_bytes and age >= self._drop.after_seconds:
            self.dropping = True
        self._client.count("dropped", self.dropping)
        return self.dropping
