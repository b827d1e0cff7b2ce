"""Rooms of a cluster on Redis, whose connections break: nothing is lost of what is kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from pyramid.config import Configurator

from sockjs_bridge import NotConfirmed
from sockjs_bridge.cluster.clusterrooms import ClusterRooms
from sockjs_bridge.cluster.engine import Bounds
from sockjs_bridge.cluster.redisstore.store import RedisStore
from sockjs_bridge.cluster.store import Entry, Position, StoreError
from sockjs_bridge.core.contracts import Recipient
from sockjs_bridge.server.loop import LoopClock, look_until
from tests.cluster.histories import Log, SharedHistory, check_order
from tests.cluster.redisproxy import RedisProxy
from tests.cluster.redisserver import RedisServer
from tests.cluster.redisstore.support import fresh, started
from tests.cluster.stores import SOON, Ear
from tests.cluster.support import RoomServer

BOUNDS = Bounds(1000, 600)


class RunningClock(LoopClock):
    """The loop's, where a test winds none by hand."""

    def settle(self) -> None:
        """What is to come comes by itself."""


class RoomEar(Ear):
    """Hands on what is for rooms, and counts."""

    rooms: ClusterRooms | None = None

    def heard(self, room: str, position: Position | None, entry: Entry) -> None:
        if self.rooms is not None:
            self.rooms.hub.heard(room, position, entry)

    def handled(self) -> None:
        if self.rooms is not None:
            self.rooms.hub.handled()

    def subscribed(self, room: str) -> None:
        super().subscribed(room)
        if self.rooms is not None:
            self.rooms.hub.subscribed(room)

    def connected(self, *, same: bool) -> None:
        super().connected(same=same)
        if self.rooms is not None:
            self.rooms.hub.connected(same=same)

    def lost(self, error: StoreError) -> None:
        super().lost(error)
        if self.rooms is not None:
            self.rooms.hub.lost(error)


class RedisRooms(RoomServer):
    """A process with rooms on a store that is started."""

    history: ClusterRooms

    def __init__(self, store: RedisStore, ear: RoomEar, node: str, name: str) -> None:
        self.store, self.node, self.name = store, node, name
        clock: Any = RunningClock(asyncio.get_running_loop())
        super().__init__(clock, BOUNDS, response_max_age=3600, response_limit=10**7)
        ear.rooms = self.history
        self.history.hub.connected(same=True)

    def make_history(self, make_engine: object) -> ClusterRooms:
        return ClusterRooms(self.store, self.node, self.everybody)

    def everybody(self) -> list[Recipient]:
        return [*self.stock.open_sessions, *self.resumable.open_sessions]


Serve = Callable[[str, str], Any]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Start processes of one cluster."""
    name = fresh()
    async with AsyncExitStack() as stack:

        async def start(url: str, node: str) -> tuple[RedisRooms, Ear]:
            ear = RoomEar()
            store, _ = await stack.enter_async_context(started(url, name, node, ear))
            server = RedisRooms(store, ear, node, name)
            stack.callback(server.history.hub.stop)
            return server, ear

        yield start


async def until(condition: Callable[[], object]) -> None:
    await look_until(condition, asyncio.get_running_loop().time() + SOON)
    assert condition()


async def test_cut_ten_times_nothing_is_lost(
    serve: Serve, shared: RedisServer, proxy: RedisProxy
) -> None:
    one, _ = await serve(shared.url, "node1")
    two, ear = await serve(proxy.url, "node2")
    client, stranger = two.client(join="room"), two.stranger("room")
    history = SharedHistory()
    log = Log(history)
    await until(lambda: client.session not in two.history._entrants.get("room", {}))
    sent = []
    for turn in range(10):
        for number in range(40):
            sent.append(f"{turn}.{number}")
            one.broadcast(sent[-1])
            if number == 20:
                proxy.cut()
            await asyncio.sleep(0)
        await ear.hears("connected", turn + 1)
    one.broadcast("last")
    await until(lambda: stranger.messages[-1:] == ["last"])
    log.lines(client.read())
    (texts,) = log.texts.values()
    assert texts == [*sent, "last"]
    assert log.missed == []
    check_order(stranger.messages, texts)
    assert stranger.messages == texts


async def test_a_client_goes_on_in_another_process(serve: Serve, shared: RedisServer) -> None:
    one, _ = await serve(shared.url, "node1")
    two, _ = await serve(shared.url, "node2")
    first = one.client(join="room")
    one.broadcast("a")
    await until(lambda: '"a"' in str(first.stream.frames))
    first.read()
    first.session.finish()
    confirmed: list[Exception | None] = []
    one.history.broadcast("room", "b", (), confirmed.append)
    await until(lambda: confirmed)
    again = two.client(first.positions)
    joined = again.session.join("room")
    assert (await joined).recovered is True
    two.broadcast("c")
    await until(lambda: '"c"' in str(again.stream.frames))
    assert again.texts == ["b", "c"]


async def test_a_page_that_another_server_serves(
    serve: Serve, shared: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Its broadcast reaches the connections of the processes that have some."""
    one, _ = await serve(shared.url, "node1")
    stranger = one.stranger("plain")
    await until(lambda: one.history.hub._rooms.get("plain").live)  # type: ignore[union-attr]

    def application(cluster_name: str) -> Any:
        settings = {"sockjs.cluster": shared.url, "sockjs.cluster_name": cluster_name}
        with Configurator(settings=settings) as config:
            config.include("sockjs_bridge")
        return config.registry.sockjs

    page, wrong = application(one.name), application("nobody")
    assert await asyncio.to_thread(page.broadcast, "a", "plain") == 0
    assert await asyncio.to_thread(page.broadcast, "b", confirm=True) == 0
    await until(lambda: stranger.messages == ["a", "b"])
    with pytest.raises(NotConfirmed):
        await asyncio.to_thread(wrong.broadcast, "c", "plain", confirm=True)
    for _ in range(2):
        assert await asyncio.to_thread(wrong.broadcast, "d", "plain") == 0
    assert len(caplog.records) == 1
    assert caplog.records[0].getMessage().startswith("a message was not published: ")


async def test_redis_comes_back_empty(
    serve: Serve, server: Callable[..., RedisServer], proxy: RedisProxy
) -> None:
    """The connections of one process are to another server from now on."""
    one, ear = await serve(proxy.url, "node1")
    client = one.client(join="room")
    one.broadcast("a")
    await until(lambda: '"a"' in str(client.stream.frames))
    proxy.port = server().port
    proxy.cut()
    await ear.hears("connected")
    await until(lambda: "missed" in str(client.stream.frames))
    one.broadcast("b")
    await until(lambda: '"b"' in str(client.stream.frames))
    log = Log(SharedHistory())
    log.lines(client.read())
    assert (len(log.missed), [*log.texts.values()]) == (1, [["a", "b"]])
