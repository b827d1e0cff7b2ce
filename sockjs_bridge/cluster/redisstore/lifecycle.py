"""The life of a store on Redis: its two connections, and what is known of the server."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Iterable
from functools import partial

from sockjs_bridge.cluster.engine import Bounds
from sockjs_bridge.cluster.redisstore import scripts
from sockjs_bridge.cluster.redisstore.acquaintance import (
    check_server,
    meeting,
    met,
    noted_rooms,
    probe,
)
from sockjs_bridge.cluster.redisstore.commands import Commands
from sockjs_bridge.cluster.redisstore.keys import Keys
from sockjs_bridge.cluster.redisstore.server import (
    FAILURES,
    AnyConnection,
    Server,
    call,
    first_of,
)
from sockjs_bridge.cluster.redisstore.subscriptions import Subscriptions
from sockjs_bridge.cluster.store import Listener, StoreError
from sockjs_bridge.cluster.urls import Address

#: Seconds until both connections of a process that starts are there.
START = 10.0

logger = logging.getLogger("sockjs_bridge.cluster")


class Lifecycle:
    """What `RedisStore` stands on.

    Args:
        address: where Redis is.
        name: of the cluster.
        application: what others of this name have to be too, if they say; empty: anything.
        rooms: the patterns of rooms with history, and how much is kept of them: for scripts, which
            know of none.

    Raises:
        StoreError: the cluster cannot be called so.
    """

    def __init__(
        self,
        address: Address,
        name: str,
        application: str = "",
        rooms: Iterable[tuple[str, Bounds]] = (),
    ) -> None:
        self.secret = secrets.token_bytes(32)
        self._keys = Keys(name)
        self._server = Server(address)
        self._application = application
        self._rooms = noted_rooms(rooms)
        self._node = ""
        self._listener: Listener | None = None
        self._tasks: asyncio.Task[None] | None = None
        # The epochs that rooms have, and when their life was renewed last; all epochs of before
        # the floor are over.
        self._epochs: dict[str, tuple[int, float]] = {}
        self._floor = 0
        self._highest = 0
        # The runs of the servers that commands go to, and that is heard.
        self._run = self._heard_run = ""
        # The lineage of the first, and of the one that was there last.
        self._lineage = ""
        self._last_lineage: str | None = None
        self._connected = False

    async def start(self, node: str, listener: Listener) -> None:
        """Connects; see `Store.start`."""
        self._node, self._listener = node, listener
        self._ready = asyncio.Event()
        self._commands = Commands(self._server, self._greet, self._open, self._close)
        self._subscriptions = Subscriptions(
            *(self._server, self._keys, node, listener, self._ready),
            *(lambda: self._run, self._heard_open, self._heard_close),
        )
        self._started: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(START):
                connection = await self._commands.open()
                try:
                    await probe(self._server.address, self._keys, connection)
                except BaseException:
                    await connection.disconnect(nowait=True)
                    raise
                self._tasks = asyncio.create_task(self._live(connection))
                await self._started
        except FAILURES as error:
            await self.stop()
            raise self._server.explain(error) from None

    async def _live(self, connection: AnyConnection) -> None:
        try:
            await first_of(self._commands.run(connection), self._subscriptions.run())
        except Exception:
            # Nobody may wait for answers that never come.
            logger.exception("the connections to Redis have failed")
            self._commands.end()
            self._close(StoreError("the connections to Redis have failed: see the log"))

    async def stop(self) -> None:
        """Writes what waits, and lets go of the connections; see `Store.stop`."""
        tasks, self._tasks, self._listener = self._tasks, None, None
        if tasks is not None:
            if self._ready.is_set():
                await self._commands.drain()
            tasks.cancel()
            await asyncio.gather(tasks, return_exceptions=True)
            self._commands.end()

    async def _greet(self, connection: AnyConnection) -> None:
        """Checks a server, and hears its floor of epochs."""
        found = await check_server(self._server.address, connection)
        for script in scripts.ALL:
            await call(connection, "SCRIPT", "LOAD", script.text)
        same = found.lineage == self._last_lineage
        command = meeting(
            *(self._keys, self._application, found.lineage),
            highest=0 if same else self._highest,
            secret=self.secret,
            rooms=self._rooms,
        )
        answer = await call(connection, *command)
        self._floor, self.secret = met(self._server.address, self._keys, answer)
        self._run, self._lineage = found.run, found.lineage
        if not same:
            # A room's life is to be renewed there too.
            self._epochs.clear()

    # Connections come and go

    def _open(self) -> None:
        self._ready.set()
        self._judge()

    def _close(self, error: StoreError) -> None:
        self._ready.clear()
        self._judge(error)

    def _heard_open(self, run: str) -> None:
        self._heard_run = run
        self._judge()

    def _heard_close(self, error: StoreError) -> None:
        self._heard_run = ""
        self._judge(error)

    def _judge(self, error: StoreError | None = None) -> None:
        """Tells whether the store can be reached, where that changed."""
        connected = self._ready.is_set() and self._run == self._heard_run
        if error is not None and not self._started.done():
            self._started.set_exception(error)
        if connected == self._connected or self._listener is None:
            return
        self._connected = connected
        if connected:
            same, self._last_lineage = self._lineage == self._last_lineage, self._lineage
            self._tell(partial(self._listener.connected, same=same))
            if not self._started.done():
                self._started.set_result(None)
        else:
            why = error or StoreError("commands go to another Redis now")
            self._tell(partial(self._listener.lost, why))

    @staticmethod
    def _tell(call: Callable[[], object]) -> None:
        try:
            call()
        except Exception:
            logger.exception("who listens to the store has failed")

    def _emptied(self) -> None:
        """Somebody has emptied Redis, while it ran: it is another one now."""
        self._last_lineage = None
        self._commands.breaks(StoreError(f"Redis at {self._server.address} was emptied"))
