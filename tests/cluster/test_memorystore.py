"""The store in memory fails as it is told to: in the tests of all that stands on it."""

from __future__ import annotations

from typing import Any

import pytest

from sockjs_bridge.cluster.engine import Bounds
from sockjs_bridge.cluster.memorybroker import MemoryBroker
from sockjs_bridge.cluster.memorystore import MemoryStore
from sockjs_bridge.cluster.store import Entry, Position, Since, StoreError
from tests.cluster.stores import BOUNDS, Ear
from tests.support import HandClock

NOBODY = Position(0, 0)


class Cluster:
    def __init__(self) -> None:
        self.clock = HandClock()
        self.broker = MemoryBroker()

    async def start(self, node: str) -> tuple[MemoryStore, Ear]:
        store, ear = MemoryStore(self.broker, self.clock), Ear()
        await store.start(node, ear)
        self.clock.settle()
        ear.forget()
        return store, ear

    def ask(self, method: Any, *arguments: Any) -> Any:
        found: list[Any] = []
        method(*arguments, found.append)
        assert found == []
        self.clock.settle()
        (answer,) = found
        return answer

    def publish(self, store: MemoryStore, *texts: str, bounds: Bounds = BOUNDS) -> Position:
        position = NOBODY
        for text in texts:
            position = self.ask(store.publish, "a", Entry(text), bounds)
        return position


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


async def test_who_is_cut_off_hears_nothing_and_comes_back(cluster: Cluster) -> None:
    one, ear = await cluster.start("node1")
    other, _ = await cluster.start("node2")
    one.subscribe(["a"])
    cluster.clock.settle()
    ear.forget()
    one.fail()
    one.fail()
    assert isinstance(cluster.ask(one.leases), StoreError)
    top = cluster.publish(other, "1", "2")
    one.subscribe(["b"])
    assert [kind for kind, *_ in ear.events] == ["lost"]
    one.recover()
    one.recover()
    cluster.clock.settle()
    assert ear.events[1:] == [("connected", True), *(("subscribed", x) for x in "ab"), ("handled",)]
    assert cluster.ask(one.tops, {"a": BOUNDS}) == {"a": top}


async def test_what_is_on_its_way_is_lost_with_the_connection(cluster: Cluster) -> None:
    store, ear = await cluster.start("node1")
    store.subscribe(["a"])
    cluster.clock.settle()
    found: list[Any] = []
    store.publish("a", Entry("1"), BOUNDS, found.append)
    store.fail()
    cluster.clock.settle()
    assert isinstance(found[0], StoreError)
    assert ear.of("heard") == []
    store.recover()
    cluster.clock.settle()
    # It was done, and nobody knows.
    assert cluster.ask(store.tops, {"a": BOUNDS})["a"].number == 1


async def test_answers_come_late_and_in_order(cluster: Cluster) -> None:
    store, ear = await cluster.start("node1")
    store.subscribe(["a"])
    cluster.clock.settle()
    found: list[Any] = []
    store.delay = 2.0
    store.publish("a", Entry("1"), BOUNDS, lambda answer: found.append(answer.number))
    store.delay = 0.0
    store.publish("a", Entry("2"), BOUNDS, lambda answer: found.append(answer.number))
    cluster.clock.advance(1.9)
    assert (found, ear.of("heard")) == ([], [])
    cluster.clock.advance(0.2)
    assert found == [1, 2]
    assert [position.number for _, position, _ in ear.of("heard")] == [1, 2]


async def test_a_broker_that_is_empty_begins_other_epochs(cluster: Cluster) -> None:
    store, ear = await cluster.start("node1")
    before = cluster.publish(store, "1", "2")
    cluster.broker.forget()
    cluster.clock.settle()
    assert [kind for kind, *_ in ear.events] == ["lost", "connected"]
    assert ear.of("connected") == [(False,)]
    assert cluster.ask(store.tops, {"a": BOUNDS}) == {"a": None}
    began = cluster.ask(store.since, "a", before, BOUNDS)
    assert (began.top.number, began.entries) == (0, None)
    after = cluster.publish(store, "3")
    assert (after.epoch > before.epoch, after.number) == (True, 1)


async def test_a_tail_that_is_lost_breaks_the_epoch(cluster: Cluster) -> None:
    store, _ = await cluster.start("node1")
    before = cluster.publish(store, "1", "2", "3")
    cluster.broker.forget(tail=2)
    assert cluster.ask(store.tops, {"a": BOUNDS}) == {"a": Position(before.epoch, 1)}
    after = cluster.publish(store, "4")
    assert (after.epoch > before.epoch, after.number) == (True, 1)
    assert cluster.ask(store.since, "a", before, BOUNDS) == Since(after, None)


async def test_a_broker_that_fails_is_lost_to_all(cluster: Cluster) -> None:
    ears = [(await cluster.start(f"node{number}"))[1] for number in range(2)]
    cluster.broker.fail()
    with pytest.raises(StoreError):
        await MemoryStore(cluster.broker, cluster.clock).start("node3", Ear())
    cluster.broker.forget()
    cluster.clock.settle()
    assert [kind for ear in ears for kind, *_ in ear.events] == ["lost", "lost"]
    cluster.broker.recover()
    cluster.clock.settle()
    assert [ear.of("connected") for ear in ears] == [[(False,)], [(False,)]]


@pytest.mark.parametrize(("ttl", "lasts"), [(20, 80), (1, 60)])
async def test_a_rooms_last_position_outlives_its_messages(
    cluster: Cluster, ttl: float, lasts: float
) -> None:
    store, _ = await cluster.start("node1")
    bounds = Bounds(5, ttl)
    top = cluster.publish(store, "1", bounds=bounds)
    cluster.clock.advance(lasts - 1)
    assert cluster.ask(store.tops, {"a": bounds}) == {"a": top}
    cluster.clock.advance(lasts - 1)
    assert cluster.publish(store, "2", bounds=bounds) == Position(top.epoch, 2)
    cluster.clock.advance(lasts + 1)
    assert cluster.ask(store.tops, {"a": bounds}) == {"a": None}


async def test_who_stops_gets_answers_still(cluster: Cluster) -> None:
    store, ear = await cluster.start("node1")
    found: list[Any] = []
    store.leases(found.append)
    await store.stop()
    await store.stop()
    cluster.clock.settle()
    assert [type(answer) for answer in found] == [StoreError]
    assert ear.events == []
