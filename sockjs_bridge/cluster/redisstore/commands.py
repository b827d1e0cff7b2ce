"""What is asked of Redis: over one connection, all that came up in a tick in one write.

What was written when the connection broke is not repeated: nobody knows whether it was done. What
waits then is written to the next one, if that is there in time.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Any

from sockjs_bridge.cluster.redis import exceptions
from sockjs_bridge.cluster.redisstore.server import (
    FAILURES,
    LOOK,
    SILENCE,
    AnyConnection,
    Backoff,
    Server,
    first_of,
    look,
)
from sockjs_bridge.cluster.store import Done, StoreError

#: Bytes that may wait.
MAX_WAITING = 64 * 1024 * 1024
#: Seconds that something may wait.
MAX_WAIT = 5.0
#: Bytes that are put into one write.
MAX_WRITE = 1024 * 1024
#: Seconds in which what waits is written when all ends.
LAST = 2.0

#: A connection that lasted for so many seconds was a good one.
_LASTED = 2.0

logger = logging.getLogger("sockjs_bridge.cluster")


class _Call:
    """A command, who hears of its answer, and since when it waits."""

    __slots__ = ("command", "done", "since", "size")

    def __init__(self, command: tuple[Any, ...], done: Done[Any], since: float) -> None:
        self.command = command
        self.done = done
        self.since = since
        self.size = sum(len(part) for part in command if isinstance(part, bytes))

    def answer(self, result: Any) -> None:
        try:
            self.done(result)
        except Exception:
            logger.exception("who asked the store has failed at its answer")


class Commands:
    """The connection that commands go over, again and again.

    Args:
        server: where Redis is.
        greet: makes the acquaintance of a server over a connection that nobody uses yet.
        opened: called when commands can be sent.
        closed: called when they cannot any more, and with why; also for each attempt that failed.
    """

    def __init__(
        self,
        server: Server,
        greet: Callable[[AnyConnection], Awaitable[None]],
        opened: Callable[[], object],
        closed: Callable[[StoreError], object],
    ) -> None:
        self._server = server
        self._greet = greet
        self._opened = opened
        self._closed = closed
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[_Call] = deque()
        self._size = 0
        self._written: deque[_Call] = deque()
        self._news = asyncio.Event()
        self._broken: StoreError | None = None
        self._progress = 0.0
        # Why there is no connection, and since when; why nothing is taken any more.
        self._lost: StoreError | None = None
        self._since = 0.0
        self._refused: StoreError | None = None

    def call(self, command: tuple[Any, ...], done: Done[Any]) -> None:
        """Has a command sent.

        Args:
            command: its name and arguments.
            done: called on the loop, later, with the answer or a `StoreError`.
        """
        call = _Call(command, done, self._loop.time())
        refused = self._refused
        if refused is None and self._size + call.size > MAX_WAITING:
            refused = StoreError("too much waits for Redis: it does not keep up")
        if refused is not None:
            self._loop.call_soon(call.answer, refused)
            return
        self._waiting.append(call)
        self._size += call.size
        self._news.set()

    def breaks(self, error: StoreError) -> None:
        """Has the connection given up for another one, from within an answer."""
        self._broken = error

    # The life of a connection

    async def open(self) -> AnyConnection:
        """Returns a connection over which commands can be sent."""
        connection = await self._server.connect()
        try:
            async with asyncio.timeout(SILENCE):
                await self._greet(connection)
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        return connection

    async def run(self, connection: AnyConnection | None) -> None:
        """Sends what is asked for, over one connection after the other.

        Args:
            connection: the first one.
        """
        await first_of(self._connections(connection), self._tend())

    async def _connections(self, connection: AnyConnection | None) -> None:
        backoff = Backoff()
        while True:
            try:
                connection = connection or await self.open()
                await self._serve(connection, backoff)
            except FAILURES as error:
                self._lose(self._server.explain(error))
            finally:
                if connection is not None:
                    await connection.disconnect(nowait=True)
                    connection = None
            await backoff.wait()

    async def _serve(self, connection: AnyConnection, backoff: Backoff) -> None:
        began = self._progress = self._loop.time()
        self._broken = self._lost = self._refused = None
        self._opened()
        try:
            await first_of(self._read(connection), self._write(connection), self._watch())
        finally:
            if self._loop.time() - began > _LASTED:
                backoff.reset()

    async def _write(self, connection: AnyConnection) -> None:
        while True:
            while self._waiting:
                if not self._written:
                    self._progress = self._loop.time()
                calls = [*self._take()]
                self._written += calls
                packed = connection.pack_commands(call.command for call in calls)
                await connection.send_packed_command(packed, check_health=False)
            self._news.clear()
            await self._news.wait()

    def _take(self) -> Iterable[_Call]:
        size = 0
        while self._waiting and size < MAX_WRITE:
            call = self._waiting.popleft()
            self._size -= call.size
            size += call.size
            yield call

    async def _read(self, connection: AnyConnection) -> None:
        while True:
            result: Any
            try:
                result = await connection.read_response()
            except (exceptions.NoScriptError, exceptions.ReadOnlyError):
                # Another connection loads the scripts, or leads to another server.
                raise
            except exceptions.ResponseError as error:
                result = self._server.explain(error)
            self._progress = self._loop.time()
            self._written.popleft().answer(result)
            if self._broken is not None:
                raise self._broken

    async def _watch(self) -> None:
        """Ends when nothing was answered for too long."""
        while True:
            stood = await look(self._loop)
            self._progress += stood
            if self._written and self._loop.time() - self._progress > SILENCE:
                raise TimeoutError

    # Without a connection

    def _lose(self, error: StoreError) -> None:
        written, self._written = self._written, deque()
        if self._lost is None:
            self._since = self._loop.time()
        self._lost = error
        self._closed(error)
        for call in written:
            call.answer(error)

    async def _tend(self) -> None:
        """Gives up what has waited for too long."""
        while True:
            await asyncio.sleep(LOOK)
            if self._lost is not None:
                before = self._loop.time() - MAX_WAIT
                if self._since < before:
                    self._refused = self._lost
                while self._waiting and (self._refused or self._waiting[0].since < before):
                    self._drop(self._lost)

    def _drop(self, error: StoreError) -> None:
        call = self._waiting.popleft()
        self._size -= call.size
        call.answer(error)

    # The end

    async def drain(self) -> None:
        """Waits until all that waits has its answer, if that does not take too long."""
        answered = asyncio.Event()
        self.call(("PING",), lambda result: answered.set())
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST):
                await answered.wait()

    def end(self) -> None:
        """Takes no more, once nothing runs: what waits is told so."""
        error = self._refused = StoreError("the store was stopped")
        for call in self._written:
            call.answer(error)
        self._written.clear()
        while self._waiting:
            self._drop(error)
