"""What is heard of Redis: the connection that messages come over, again and again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Any

from sockjs_bridge.cluster.redisstore.acquaintance import facts
from sockjs_bridge.cluster.redisstore.keys import Keys, published
from sockjs_bridge.cluster.redisstore.server import (
    FAILURES,
    SILENCE,
    AnyConnection,
    Backoff,
    Server,
    call,
    first_of,
    look,
)
from sockjs_bridge.cluster.store import Listener, StoreError

#: Channels that one command names.
AT_ONCE = 512
#: Seconds between two questions whether the server is there.
PING = 1.0

_LASTED = 2.0

logger = logging.getLogger("sockjs_bridge.cluster")


class Subscriptions:
    """The connection that is heard.

    Args:
        server: where Redis is.
        keys: of the cluster.
        node: the name of this process.
        listener: hears of messages.
        ready: set while commands can be sent.
        run: returns the run of the server that they go to, or went to last.
        opened: called when messages are heard, with the run of the server.
        closed: called when they are not any more, and with why; also for each attempt that failed.
    """

    def __init__(
        self,
        server: Server,
        keys: Keys,
        node: str,
        listener: Listener,
        ready: asyncio.Event,
        run: Callable[[], str],
        opened: Callable[[str], object],
        closed: Callable[[StoreError], object],
    ) -> None:
        self._server = server
        self._keys = keys
        self._own = (keys.all, keys.node(node))
        self._listener = listener
        self._ready = ready
        self._run = run
        self._opened = opened
        self._closed = closed
        self._loop = asyncio.get_running_loop()
        self._rooms: dict[bytes, str] = {}
        # What is to be sent, and how many confirmations are on their way.
        self._enter: dict[bytes, None] = {}
        self._leave: dict[bytes, None] = {}
        self._awaited: dict[bytes, int] = {}
        self._news = asyncio.Event()
        self._handling = False
        self._progress = 0.0
        self._complained = float("-inf")

    def subscribe(self, rooms: Iterable[str]) -> None:
        """Has messages of rooms heard; see `Store.subscribe`."""
        for room in rooms:
            channel = self._keys.channel(room)
            if channel not in self._rooms:
                self._rooms[channel] = room
                self._enter[channel] = None
        self._news.set()

    def unsubscribe(self, rooms: Iterable[str]) -> None:
        """Hears no more of rooms; see `Store.unsubscribe`."""
        for room in rooms:
            channel = self._keys.channel(room)
            if self._rooms.pop(channel, None) is not None:
                self._enter.pop(channel, None)
                self._leave[channel] = None
        self._news.set()

    # The life of a connection

    async def run(self) -> None:
        """Hears, over one connection after the other."""
        backoff = Backoff()
        while True:
            await self._ready.wait()
            began = self._loop.time()
            try:
                await self._connection(self._run())
            except FAILURES as error:
                self._closed(self._server.explain(error))
            if self._loop.time() - began > _LASTED:
                backoff.reset()
            await backoff.wait()

    async def _connection(self, run: str) -> None:
        connection = await self._server.connect()
        try:
            async with asyncio.timeout(SILENCE):
                await self._subscribe_own(connection, run)
            self._enter = dict.fromkeys(self._rooms)
            self._leave = {}
            self._awaited = {}
            self._progress = self._loop.time()
            self._opened(run)
            self._news.set()
            await first_of(self._read(connection), self._write(connection), self._watch(run))
        finally:
            await connection.disconnect(nowait=True)

    async def _subscribe_own(self, connection: AnyConnection, run: str) -> None:
        if facts(await call(connection, "INFO")).run != run:
            raise StoreError("commands go to another Redis than subscriptions")
        await call(connection, "SUBSCRIBE", *self._own)
        await connection.read_response()
        # Better it fails here, if it is not allowed, than later.
        await call(connection, "UNSUBSCRIBE", self._keys.probe)

    async def _write(self, connection: AnyConnection) -> None:
        while True:
            try:
                async with asyncio.timeout(PING):
                    await self._news.wait()
            except TimeoutError:
                await connection.send_command("PING", check_health=False)
            self._news.clear()
            while self._leave or self._enter:
                # Who left and came again is in both.
                name, channels = self._next()
                await connection.send_command(name, *channels, check_health=False)

    def _next(self) -> tuple[str, list[bytes]]:
        name, waiting = ("UNSUBSCRIBE", self._leave) if self._leave else ("SUBSCRIBE", self._enter)
        channels = [channel for channel, _ in zip(waiting, range(AT_ONCE), strict=False)]
        for channel in channels:
            del waiting[channel]
            if waiting is self._enter:
                self._awaited[channel] = self._awaited.get(channel, 0) + 1
        return name, channels

    async def _watch(self, run: str) -> None:
        """Ends when nothing came for too long, or commands go elsewhere."""
        while True:
            stood = await look(self._loop)
            self._progress += stood
            if self._loop.time() - self._progress > PING + SILENCE:
                raise TimeoutError
            if self._run() != run:
                raise StoreError("commands go to another Redis now")

    # What comes

    async def _read(self, connection: AnyConnection) -> None:
        while True:
            message = await connection.read_response()
            if not self._handling:
                # Called when all that has arrived is read: until then nothing else runs.
                self._handling = True
                self._loop.call_soon(self._handled)
            try:
                self._hear(message)
            except Exception:
                logger.exception("who listens to the store has failed")

    def _handled(self) -> None:
        self._handling = False
        self._progress = self._loop.time()
        self._listener.handled()

    def _hear(self, message: list[Any]) -> None:
        kind, channel = message[0], message[1]
        if kind == b"message":
            room = self._rooms.get(channel)
            if room is not None:
                try:
                    position, entry = published(message[2])
                except ValueError:
                    self._complain(channel)
                else:
                    self._listener.heard(room, position, entry)
            elif channel in self._own:
                self._listener.told(message[2].decode("utf-8", "replace"))
        elif kind == b"subscribe":
            self._confirm(channel)

    def _confirm(self, channel: bytes) -> None:
        awaited = self._awaited.pop(channel, 0) - 1
        if awaited > 0:
            # Left and entered again since: the server says so with the next one.
            self._awaited[channel] = awaited
        elif channel in self._rooms and channel not in self._enter:
            self._listener.subscribed(self._rooms[channel])

    def _complain(self, channel: bytes) -> None:
        now = self._loop.time()
        if now - self._complained > 1:
            self._complained = now
            logger.warning(
                "nothing of ours was published to %r: does something else use it?", channel
            )
