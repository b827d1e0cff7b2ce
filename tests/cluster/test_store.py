"""The contract of what the processes of a cluster share; each store has to pass."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from itertools import chain
from typing import Any

import pytest

from sockjs_bridge.cluster.engine import Bounds
from sockjs_bridge.cluster.memorybroker import MemoryBroker
from sockjs_bridge.cluster.memorystore import MemoryStore
from sockjs_bridge.cluster.redisstore.store import RedisStore
from sockjs_bridge.cluster.store import Entry, Fenced, Position, Since, Store
from sockjs_bridge.cluster.urls import parse
from sockjs_bridge.server.loop import LoopClock
from tests.cluster.redisserver import PROGRAMS, RedisServer
from tests.cluster.stores import BOUNDS, Ear, ask, publish

Make = Callable[[str], Awaitable[tuple[Any, Ear]]]


@pytest.fixture(scope="session", params=["memory", *PROGRAMS])
def kind(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str | RedisServer]:
    if request.param == "memory":
        yield "memory"
        return
    server = RedisServer(tmp_path_factory.mktemp("redis"), request.param)
    server.start()
    yield server
    server.end()


NAMES = itertools.count()


@pytest.fixture
async def make(kind: str | RedisServer) -> AsyncIterator[Make]:
    """Start stores of processes of one cluster."""
    broker, name = MemoryBroker(), f"test{next(NAMES)}"
    stores: list[Store] = []

    async def started(node: str) -> tuple[Store, Ear]:
        store: Store
        if isinstance(kind, RedisServer):
            store = RedisStore(parse(kind.url), name)
        else:
            store = MemoryStore(broker, LoopClock(asyncio.get_running_loop()))
        stores.append(store)
        ear = Ear()
        await store.start(node, ear)
        await ear.hears("connected")
        ear.forget()
        return store, ear

    yield started
    for store in stores:
        await store.stop()


async def test_the_secret_is_the_same_in_all_processes(make: Make) -> None:
    one, _ = await make("node1")
    other, _ = await make("node2")
    assert one.secret == other.secret
    assert len(one.secret) == 32


async def test_a_subscription_hears_what_is_published_from_its_confirmation_on(make: Make) -> None:
    one, _ = await make("node1")
    other, ear = await make("node2")
    other.subscribe(["a", "", "a"])
    await ear.hears("subscribed", 2)
    entry = Entry("text", "node1/7", frozenset({"client", "other"}))
    position = await ask(one.publish, "a", entry, BOUNDS)
    assert await ask(one.publish, "", Entry("to all"), None) is None
    await publish(one, "b", "nobody hears that")
    await ear.hears("heard", 2)
    await ear.until(lambda: ear.events[-1] == ("handled",))
    assert sorted(ear.of("subscribed")) == [("",), ("a",)]
    assert ear.of("heard") == [("a", position, entry), ("", None, Entry("to all"))]


async def test_positions_are_consecutive(make: Make) -> None:
    one, _ = await make("node1")
    other, _ = await make("node2")
    first = await publish(one, "a", "1")
    second = await publish(other, "a", "2")
    assert (first.number, second) == (1, Position(first.epoch, 2))
    assert (await publish(one, "b", "1")).number == 1
    assert await ask(one.tops, dict.fromkeys(["a", "none"], BOUNDS)) == {"a": second, "none": None}


async def test_since(make: Make) -> None:
    store, _ = await make("node1")
    epoch = (await publish(store, "a", "1", "2", "3")).epoch
    top, second = Position(epoch, 3), Position(epoch, 2)

    async def since(*position: int) -> Since:
        answer = await ask(store.since, "a", Position(*position), BOUNDS)
        assert isinstance(answer, Since)
        return answer

    entries = [(second, Entry("2", "n/1")), (top, Entry("3", "n/1"))]
    assert await since(epoch, 1) == Since(top, entries)
    assert await since(epoch, 3) == Since(top, [])
    assert await since(epoch, 4) == Since(top, None)
    assert await since(epoch - 1, 1) == Since(top, None)
    assert await since(epoch + 1, 0) == Since(top, None)
    assert await ask(store.since, "a", None, BOUNDS) == Since(top, None)


async def test_an_epoch_begins_where_one_asks(make: Make) -> None:
    """Whoever has heard nothing yet has a position as well."""
    store, _ = await make("node1")
    begin = await ask(store.since, "a", None, BOUNDS)
    assert begin == Since(Position(begin.top.epoch, 0), None)
    assert await ask(store.since, "a", begin.top, BOUNDS) == Since(begin.top, [])
    assert await publish(store, "a", "1") == Position(begin.top.epoch, 1)
    found = await ask(store.since, "a", begin.top, BOUNDS)
    assert [entry.text for _, entry in found.entries] == ["1"]


async def test_no_more_than_the_size_is_found(make: Make) -> None:
    store, _ = await make("node1")
    top = await publish(store, "a", *map(str, range(8)))
    found = await ask(store.since, "a", Position(top.epoch, 3), BOUNDS)
    assert [entry.text for _, entry in found.entries] == ["3", "4", "5", "6", "7"]
    assert await ask(store.since, "a", Position(top.epoch, 2), BOUNDS) == Since(top, None)


async def test_what_is_too_old_is_a_gap(make: Make) -> None:
    store, _ = await make("node1")
    bounds = Bounds(5, 0.5)
    top = await publish(store, "a", "1", bounds=bounds)
    before = Position(top.epoch, 0)
    while (await ask(store.since, "a", before, bounds)).entries is not None:
        await asyncio.sleep(0.05)
    assert await ask(store.since, "a", top, bounds) == Since(top, [])


async def test_who_unsubscribed_hears_nothing(make: Make) -> None:
    store, ear = await make("node1")
    store.subscribe(["a", "b"])
    await ear.hears("subscribed", 2)
    store.unsubscribe(["a", "never"])
    await publish(store, "a", "1")
    await publish(store, "b", "2")
    await ear.hears("heard")
    assert [room for room, _, _ in ear.of("heard")] == ["b"]
    store.subscribe(["a"])
    await ear.hears("subscribed", 3)
    await publish(store, "a", "3")
    assert [entry.text for _, _, entry in await ear.hears("heard", 2)] == ["2", "3"]


async def test_presence(make: Make) -> None:
    one, _ = await make("node1")
    other, _ = await make("node2")
    for store in (one, other):
        await ask(store.lease, "here", 60)
    assert await ask(one.come, "a", "node1/s", "Ann")
    assert not await ask(one.come, "a", "node1/s", "Anna")
    assert await ask(other.come, "a", "node2/s", "Bob")
    assert await ask(one.present, "a") == {"node1/s": "Anna", "node2/s": "Bob"}
    assert await ask(one.present, "b") == {}
    await ask(other.release)
    assert await ask(one.present, "a") == {"node1/s": "Anna"}
    assert await ask(one.go, "a", "node1/s")
    assert not await ask(one.go, "a", "node1/s")
    assert await ask(one.present, "a") == {}


async def test_the_dead_are_swept_once(make: Make) -> None:
    one, _ = await make("node1")
    other, _ = await make("node2")
    dead, _ = await make("node3")
    await ask(dead.lease, "here", 60)
    await ask(one.come, "a", "node1/s", "stays")
    for number in range(3):
        await ask(dead.come, "a", f"node3/{number}", str(number))
        await ask(dead.come, "b", f"node3/{number}", "")
    await ask(dead.go, "b", "node3/1")
    assert await ask(one.sweep, "node3") == []
    await ask(dead.release)
    found = await asyncio.gather(*(ask(store.sweep, "node3") for store in (one, other)))
    rows = sorted(chain.from_iterable(found))
    assert rows == [
        *(("a", f"node3/{number}", str(number)) for number in range(3)),
        *(("b", f"node3/{number}", "") for number in (0, 2)),
    ]
    assert [] in found
    await ask(one.lease, "here", 60)
    assert await ask(one.present, "a") == {"node1/s": "stays"}


async def test_who_was_declared_dead_gets_no_lease_before_it_begins_anew(make: Make) -> None:
    one, _ = await make("node1")
    stalled, _ = await make("node2")
    await ask(stalled.lease, "here", 60)
    await ask(one.sweep, "node2")
    await ask(stalled.lease, "it had one", 60)
    await ask(stalled.release)
    await ask(one.sweep, "node2")
    for _ in range(2):
        with pytest.raises(Fenced):
            await ask(stalled.lease, "back", 60)
    assert await ask(one.leases) == {}
    await ask(stalled.release)
    await ask(stalled.lease, "anew", 60)
    assert await ask(one.leases) == {"node2": "anew"}


async def test_leases(make: Make) -> None:
    one, _ = await make("node1")
    other, _ = await make("node2")
    assert await ask(one.leases) == {}
    await ask(one.lease, "first", 60)
    await ask(one.lease, "second", 60)
    await ask(other.lease, "short", 0.2)
    while "node2" in (await ask(one.leases)):
        await asyncio.sleep(0.02)
    assert await ask(other.leases) == {"node1": "second"}
    await ask(one.release)
    assert await ask(other.leases) == {}


async def test_processes_tell_each_other(make: Make) -> None:
    one, ear = await make("node1")
    _, other_ear = await make("node2")
    assert await ask(one.tell, None, "to all") == 2
    assert await ask(one.tell, "node2", "to one") == 1
    assert await ask(one.tell, "node9", "to none") == 0
    assert await other_ear.hears("told", 2) == [("to all",), ("to one",)]
    assert await ear.hears("told") == [("to all",)]


async def test_homes(make: Make) -> None:
    one, _ = await make("node1")
    other, _ = await make("node2")
    for store in (one, other):
        await ask(store.lease, "here", 60)
    assert await ask(one.home, "s") is None
    claims = await asyncio.gather(*(ask(store.claim, "s", 60) for store in (one, other)))
    assert claims[0] == claims[1] == await ask(other.home, "s")
    winner, loser = (one, other) if claims[0] == "node1" else (other, one)
    assert await ask(winner.claim, "s", 60) == claims[0]
    await ask(loser.disclaim, ["s"])
    assert await ask(loser.keep, ["free", "s", "free too"], 0.01) == ["s"]
    assert await ask(one.home, "s") == claims[0]
    await ask(winner.disclaim, ["s", "none"])
    assert await ask(one.home, "s") is None
    assert await ask(other.keep, ["s"], 60) == []
    assert await ask(one.home, "s") == "node2"
    await ask(other.keep, ["s"], 0.1)
    while await ask(one.home, "s"):
        await asyncio.sleep(0.02)
    assert await ask(one.claim, "s", 60) == "node1"


async def test_what_a_dead_process_had_is_free(make: Make) -> None:
    one, _ = await make("node1")
    dead, _ = await make("node2")
    await ask(dead.lease, "here", 60)
    assert await ask(dead.claim, "s", 60) == "node2"
    assert await ask(one.claim, "s", 60) == "node2"
    await ask(dead.release)
    assert await ask(one.home, "s") == "node2"
    assert await ask(one.claim, "s", 60) == "node1"


async def test_many_at_once(make: Make) -> None:
    store, ear = await make("node1")
    rooms = [f"room {number}" for number in range(1100)]
    assert await ask(store.tops, {}) == {}
    await publish(store, rooms[-1], "1")
    found = await ask(store.tops, dict.fromkeys(rooms, BOUNDS))
    assert [*found] == rooms
    assert [room for room in rooms if found[room]] == rooms[-1:]
    await ask(store.lease, "here", 60)
    await ask(store.keep, rooms, 60)
    assert await ask(store.home, rooms[700]) == "node1"
    await ask(store.disclaim, rooms)
    assert await ask(store.home, rooms[1099]) is None
    for room in rooms:
        await ask(store.come, room, "node1/s", "")
    await ask(store.release)
    assert sorted(room for room, _, _ in await ask(store.sweep, "node1")) == sorted(rooms)
    assert ear.of("lost") == []


async def test_any_text_goes_through(make: Make) -> None:
    store, ear = await make("node1")
    room, text = "a:{room}\n '\ud800'", "€ \x00\r\n \ud83d - 1 \U0001f600"
    store.subscribe([room])
    await ear.hears("subscribed")
    entry = Entry(text, "node1/1", frozenset({"é b", "c,d"}))
    top = await ask(store.publish, room, entry, BOUNDS)
    assert await ear.hears("heard") == [(room, top, entry)]
    since = await ask(store.since, room, Position(top.epoch, 0), BOUNDS)
    assert since.entries == [(top, entry)]
