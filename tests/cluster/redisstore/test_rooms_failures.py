"""Rooms of several processes over a real Redis that is cut off, killed and emptied.

What all clients have heard is one history: nothing missing, doubled or out of order without a word.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from sockjs_bridge.cluster.clusterrooms import ClusterRooms
from sockjs_bridge.cluster.engine import Bounds
from sockjs_bridge.cluster.redisstore import server
from sockjs_bridge.cluster.redisstore.store import RedisStore
from sockjs_bridge.cluster.urls import parse
from sockjs_bridge.server.loop import LoopClock
from tests.cluster.clusterserver import ClusterServer, Listening
from tests.cluster.histories import Log, SharedHistory
from tests.cluster.redisproxy import RedisProxy
from tests.cluster.redisserver import RedisServer
from tests.cluster.redisstore.support import fresh, raw
from tests.cluster.stores import SOON
from tests.cluster.support import Client, RoomServer

BOUNDS = Bounds(1000, 60)
ROOMS = ("room 1", "room 2", "room 3")


class TurningClock(LoopClock):
    """The loop's own time; what waits for it to settle waits elsewhere."""

    def settle(self) -> None:
        """The loop turns by itself."""


class RedisServing(ClusterServer):
    """A process whose rooms are in Redis."""

    def __init__(self, url: str, name: str, node: str) -> None:
        self.store: Any = RedisStore(parse(url), name)
        self.node = node
        clock: Any = TurningClock(asyncio.get_running_loop())
        RoomServer.__init__(self, clock, BOUNDS, response_max_age=86400)

    def make_history(self, make_engine: object) -> ClusterRooms:
        return ClusterRooms(self.store, self.node, self.everybody)


@asynccontextmanager
async def serving(*urls: str) -> AsyncIterator[list[RedisServing]]:
    """Start processes of one cluster."""
    name = fresh()
    async with AsyncExitStack() as stack:
        servers = []
        for number, url in enumerate(urls):
            made = RedisServing(url, name, f"node{number}")
            await made.store.start(made.node, Listening(made.history))
            stack.push_async_callback(made.store.stop)
            servers.append(made)
        yield servers


class Heard:
    """What the clients of all processes hear, checked as it comes."""

    def __init__(self, servers: list[RedisServing]) -> None:
        self.history = SharedHistory()
        self.clients: list[tuple[Client, Log]] = []
        for process in servers:
            client = process.client()
            for room in ROOMS:
                client.session.join(room)
            self.clients.append((client, Log(self.history)))

    def read(self) -> None:
        for client, log in self.clients:
            log.lines(client.read())

    async def until(self, condition: Callable[[Log], bool]) -> None:
        """Wait until something is so for each client."""
        async with asyncio.timeout(SOON):
            while True:
                self.read()
                if all(condition(log) for _, log in self.clients):
                    return
                await asyncio.sleep(0.01)


async def say(servers: list[RedisServing], first: int, count: int) -> None:
    """Send texts in turns, each to all rooms."""
    for number in range(first, first + count):
        for room in ROOMS:
            servers[number % len(servers)].broadcast(f"{room} {number}", room)
        await asyncio.sleep(0)


async def announce(servers: list[RedisServing], heard: Heard, text: str) -> None:
    """Send a text to all rooms until each client has heard it: Redis may be away for a while."""
    async with asyncio.timeout(SOON):
        for attempt in range(1000):
            for room in ROOMS:
                servers[0].broadcast(f"{text} {attempt}", room)
            await asyncio.sleep(0.05)
            heard.read()
            if all(_told(log, *len(ROOMS) * [text]) for _, log in heard.clients):
                return


async def reached(servers: list[RedisServing], yes: bool) -> None:
    """Wait until all processes but the first one reach Redis, or none."""
    async with asyncio.timeout(SOON):
        while any(each.store._connected is not yes for each in servers[1:]):
            await asyncio.sleep(0.001)


def _told(log: Log, *begins: str) -> bool:
    """Tell whether so many rooms have texts that begin so."""
    rooms = log.texts.values()
    return sum(any(text.startswith(begins) for text in texts) for texts in rooms) == len(begins)


async def test_nothing_is_lost_by_ten_cuts(
    shared: RedisServer, proxy: RedisProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of what was published from where nothing was cut; those behind the cuts hear all of it."""
    monkeypatch.setattr(server, "RETRY_AT_MOST", 0.1)
    async with serving(shared.url, proxy.url, proxy.url) as servers:
        heard = Heard(servers)
        await announce(servers, heard, "begin")
        for cut in range(10):
            proxy.cut()
            await say(servers[:1], 20 * cut, 20)
            await reached(servers, False)
            await reached(servers, True)
        # The last ones came while nobody listened, and nothing comes behind them.
        await heard.until(lambda log: _told(log, *(f"{room} 199" for room in ROOMS)))
        for _, log in heard.clients:
            assert log.missed == []
            for texts in log.texts.values():
                numbers = [int(text.split()[-1]) for text in texts if text.startswith("room")]
                assert numbers == [*range(200)]


async def test_a_redis_that_comes_back_empty_is_told(redis: RedisServer) -> None:
    async with serving(redis.url, redis.url) as servers:
        heard = Heard(servers)
        await announce(servers, heard, "begin")
        await say(servers, 0, 10)
        redis.kill()
        await say(servers, 10, 10)
        redis.start()
        await announce(servers, heard, "again")
        for _, log in heard.clients:
            assert len({*log.missed}) == len(ROOMS)
            assert all(log.missed.count(room) <= 2 for room in log.missed)


async def test_a_redis_that_drops_who_reads_too_slowly(redis: RedisServer) -> None:
    """Its limit for what waits for a subscriber; what was dropped is filled in."""
    async with serving(redis.url, redis.url) as servers:
        heard = Heard(servers)
        await announce(servers, heard, "begin")
        limit, long = "client-output-buffer-limit", "long " + 40_000 * "x"
        await raw(servers[0].store, "CONFIG", "SET", limit, "pubsub 1024 1024 60")
        servers[0].broadcast(long, "room 1")
        await reached(servers, False)
        await raw(servers[0].store, "CONFIG", "SET", limit, "pubsub 0 0 0")
        await announce(servers, heard, "end")
        for _, log in heard.clients:
            assert log.missed == []
            assert sum(long in texts for texts in log.texts.values()) == 1


async def test_a_redis_that_is_out_of_memory_for_a_while(
    redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Rooms with history fail and say so, those without go on; connections hold, nothing hangs."""
    async with serving(redis.url, redis.url) as servers:
        heard = Heard(servers)
        await announce(servers, heard, "begin")
        plain = servers[1].stranger("plain")
        await raw(servers[0].store, "CONFIG", "SET", "maxmemory", "1")
        refused: list[Exception | None] = []
        for room in ("room 1", "room new"):
            servers[0].client().session.join(room)
            for _ in range(20):
                servers[0].history.broadcast(room, "refused", (), refused.append)
        async with asyncio.timeout(SOON):
            while len(refused) < 40:
                await asyncio.sleep(0.01)
        assert all("is out of memory" in str(each) for each in refused)
        assert servers[0].broadcast("refused", "room 1") == 0
        async with asyncio.timeout(SOON):
            while "plain" not in plain.messages:
                servers[0].broadcast("plain", "plain")
                await asyncio.sleep(0.01)
        await raw(servers[0].store, "CONFIG", "SET", "maxmemory", "0")
        await announce(servers, heard, "end")
        for _, log in heard.clients:
            assert log.missed == []
            assert not any("refused" in text for texts in log.texts.values() for text in texts)
        lines = [line for line in caplog.messages if "were not published" in line]
        assert len(lines) <= 1 + SOON
        assert "is out of memory: raise its maxmemory" in lines[0]
