"""The life of a store on Redis: its two connections, and what is known of the server."""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
from collections.abc import Iterable
from typing import Any

from sockjs_bridge.cluster.engine import Bounds
from sockjs_bridge.cluster.redis import scripts
from sockjs_bridge.cluster.redis.commands import Commands
from sockjs_bridge.cluster.redis.keys import FORMAT, Keys
from sockjs_bridge.cluster.redis.scripts import Script
from sockjs_bridge.cluster.redis.server import (
    FAILURES,
    SILENCE,
    AnyConnection,
    Server,
    call,
    check,
    facts,
    first_of,
)
from sockjs_bridge.cluster.redis.subscriptions import Subscriptions
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
        self._history = [(pattern, each.size, each.ttl) for pattern, each in rooms]
        self._node = ""
        self._listener: Listener | None = None
        self._tasks: asyncio.Task[None] | None = None
        # The epochs that rooms have, and when their life was renewed last; all epochs of before
        # the floor are over.
        self._epochs: dict[str, tuple[int, float]] = {}
        self._floor = 0
        self._highest = 0
        # The runs of the server that commands go to, that is heard, and that was there last.
        self._run = self._heard_run = ""
        self._last_run: str | None = None
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
                    await self._probe(connection)
                except BaseException:
                    await connection.disconnect(nowait=True)
                    raise
                self._tasks = asyncio.create_task(self._live(connection))
                await self._started
        except FAILURES as error:
            await self.stop()
            raise self._server.explain(error) from None

    async def _live(self, connection: AnyConnection) -> None:
        await first_of(self._commands.run(connection), self._subscriptions.run())

    async def stop(self) -> None:
        """Writes what waits, and lets go of the connections; see `Store.stop`."""
        tasks, self._tasks, self._listener = self._tasks, None, None
        if tasks is not None:
            if self._ready.is_set():
                await self._commands.drain()
            tasks.cancel()
            await asyncio.gather(tasks, return_exceptions=True)
            self._commands.end()

    # Getting acquainted

    async def _greet(self, connection: AnyConnection) -> None:
        """Checks a server, and hears its floor of epochs."""
        found = facts(await call(connection, "INFO"))
        check(self._server.address, found)
        for script in scripts.ALL:
            await call(connection, "SCRIPT", "LOAD", script.text)
        same = found.run == self._last_run
        answer = await call(
            connection,
            *command(
                scripts.MEET,
                [self._keys.marker, self._keys.nodes],
                *(FORMAT, self._application, found.run, 0 if same else self._highest),
                *(self.secret, self._keys.lease_prefix),
                json.dumps(self._history) if self._history else "",
            ),
        )
        if answer[0] != b"ok":
            raise StoreError(whose(self._server.address, self._keys, answer))
        self._floor, self.secret = int(answer[1]), answer[2]
        self._run = found.run
        if not same:
            # A room's life is to be renewed there too.
            self._epochs.clear()

    async def _probe(self, connection: AnyConnection) -> None:
        """Tries out whether all is allowed that will be needed, and warns of what goes wrong."""
        async with asyncio.timeout(SILENCE):
            await call(connection, *command(scripts.PROBE, [self._keys.probe], self._keys.probe))
            policy = facts(await call(connection, "INFO")).evicts
        if policy:
            logger.warning(
                "Redis at %s drops keys when its memory is full (maxmemory-policy %s): members and "
                "histories of rooms may be lost; set it to noeviction",
                self._server.address,
                policy,
            )

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
            same, self._last_run = self._run == self._last_run, self._run
            self._listener.connected(same=same)
            if not self._started.done():
                self._started.set_result(None)
        else:
            self._listener.lost(error or StoreError("commands go to another Redis now"))

    def _emptied(self) -> None:
        """Somebody has emptied Redis, while it ran: it is another one now."""
        self._last_run = None
        self._commands.breaks(StoreError(f"Redis at {self._server.address} was emptied"))


def command(script: Script, keys: Iterable[bytes], *arguments: Any) -> tuple[Any, ...]:
    """Returns the command that runs a script which Redis has."""
    names = [*keys]
    return ("EVALSHA", script.sha, len(names), *names, *arguments)


def whose(address: Address, keys: Keys, answer: list[bytes]) -> str:
    """Returns the sentence on keys that belong to something else."""
    at, prefix = f"Redis at {address}", keys.prefix
    if answer[0] == b"foreign":
        return (
            f"{at} has keys of something else below {prefix} "
            f"({prefix}is is a {answer[1].decode()}): set another sockjs.cluster_name"
        )
    kind, name = (part.decode("utf-8", "replace") for part in answer[1:3])
    return (
        f"{at} has processes of another application below {prefix} (of {name or 'no name'}, "
        f"keys of {kind}): set another sockjs.cluster_name, or end those first"
    )
