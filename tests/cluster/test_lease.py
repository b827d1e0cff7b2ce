"""What a process may do that could not renew its lease, and what follows."""

from __future__ import annotations

from typing import Any

import pytest

from sockjs_bridge.cluster.leasestates import LeaseState
from sockjs_bridge.cluster.store import FENCED_FOR
from tests.cluster.nodes import LEASE, Cluster, Process


@pytest.fixture
async def cluster() -> Cluster:
    return Cluster()


async def three(cluster: Cluster, **options: Any) -> list[Process]:
    processes = [await cluster.start(f"node{number}", **options) for number in (1, 2, 3)]
    cluster.settle()
    return processes


async def test_as_long_as_it_is_renewed_sessions_are_served(cluster: Cluster) -> None:
    one, *others = await three(cluster)
    for _ in range(100):
        cluster.clock.advance(LEASE / 7)
        assert one.serves
        assert one.nodes.judges
    assert [process.events for process in (one, *others)] == [[], [], []]


async def test_nothing_of_a_process_that_stood_still_is_served_before_its_sessions_end(
    cluster: Cluster,
) -> None:
    """The first thing it does may be to serve one, before any timer."""
    one, other, third = await three(cluster)
    one.clock.stopped = True
    cluster.clock.advance(2 * LEASE)
    assert [e for p in (other, third) for e in p.taken()] == [("went", "node1")] * 2
    assert not one.serves
    assert one.taken() == ["fenced"]
    one.clock.go_on()
    cluster.clock.settle()
    assert one.taken() == ["lapsed", "free", "restored"]
    assert one.serves
    cluster.clock.advance(LEASE)
    assert ("came", "node1") in other.taken()


async def test_its_timers_notice_it_as_well(cluster: Cluster) -> None:
    one, *_ = await three(cluster)
    one.clock.stopped = True
    cluster.clock.advance(2 * LEASE)
    one.clock.go_on()
    cluster.clock.settle()
    assert one.taken() == ["fenced", "lapsed", "free", "restored"]


async def test_whose_sessions_end_slowly_serves_no_new_ones_meanwhile(cluster: Cluster) -> None:
    one, *_ = await three(cluster, slow=True)
    one.clock.stopped = True
    cluster.clock.advance(2 * LEASE)
    one.clock.go_on()
    cluster.clock.advance(2 * LEASE)
    assert one.taken() == ["fenced", "lapsed"]
    assert not one.serves
    one.ends.pop()()
    cluster.clock.settle()
    assert one.taken() == ["free", "restored"]
    assert one.serves


async def test_who_stood_still_alone_keeps_its_sessions(cluster: Cluster) -> None:
    """Nobody was there to take it for dead; the store says so."""
    one = await cluster.start("node1")
    cluster.settle()
    one.clock.stopped = True
    cluster.clock.advance(10 * LEASE)
    assert not one.serves
    one.clock.go_on()
    cluster.clock.settle()
    assert one.taken() == ["fenced", "free"]
    assert one.serves


async def test_who_stood_still_for_longer_than_the_dead_are_known_takes_itself_for_dead(
    cluster: Cluster,
) -> None:
    one, *_ = await three(cluster)
    one.clock.stopped = True
    cluster.clock.advance(FENCED_FOR + 2 * LEASE)
    one.clock.go_on()
    cluster.clock.settle()
    assert one.taken() == ["fenced", "lapsed", "free", "restored"]
    assert one.serves


async def test_a_short_stop_is_none(cluster: Cluster) -> None:
    one, *_ = await three(cluster)
    one.clock.stopped = True
    cluster.clock.advance(0.6 * LEASE)
    one.clock.go_on()
    assert one.serves
    cluster.clock.advance(LEASE)
    assert one.taken() == []


async def test_where_nobody_reaches_the_store_all_go_on(cluster: Cluster) -> None:
    processes = await three(cluster)
    cluster.broker.fail()
    for _ in range(30):
        cluster.clock.advance(LEASE / 5)
        assert all(process.serves for process in processes)
    assert [process.taken() for process in processes] == [["degraded"]] * 3
    cluster.broker.forget()
    cluster.broker.recover()
    cluster.clock.advance(3 * LEASE)
    assert [process.taken() for process in processes] == [["whole"]] * 3
    assert all(process.serves for process in processes)


async def test_who_comes_back_late_after_that_is_waited_for(cluster: Cluster) -> None:
    one, other, third = await three(cluster)
    cluster.broker.fail()
    cluster.clock.advance(4 * LEASE)
    cluster.broker.reachable = True
    other.store.recover()
    third.store.recover()
    cluster.clock.advance(0.7 * LEASE)
    one.store.recover()
    cluster.clock.advance(3 * LEASE)
    assert [process.taken() for process in (one, other, third)] == [["degraded", "whole"]] * 3


async def test_who_alone_does_not_reach_the_store_gives_its_sessions_up(cluster: Cluster) -> None:
    one, other, _ = await three(cluster)
    one.store.fail()
    cluster.clock.advance(0.25 * LEASE)
    assert one.serves
    cluster.clock.advance(0.55 * LEASE)
    assert one.taken() == ["fenced"]
    assert not one.serves
    cluster.clock.advance(0.6 * LEASE)
    assert one.taken() == ["lapsed"]
    assert not one.serves
    cluster.clock.advance(LEASE)
    assert ("went", "node1") in other.taken()
    one.store.recover()
    cluster.clock.advance(LEASE)
    assert one.taken() == ["free", "restored"]
    assert one.serves


async def test_who_reaches_nobody_goes_on_until_the_store_says_otherwise(cluster: Cluster) -> None:
    one, other, _ = await three(cluster)
    one.reached = set()
    one.store.fail()
    cluster.clock.advance(4 * LEASE)
    assert one.taken() == ["degraded"]
    assert one.serves
    assert ("went", "node1") in other.taken()
    one.store.recover()
    cluster.clock.advance(LEASE)
    assert one.taken() == ["whole", "fenced", "lapsed", "free", "restored"]


async def test_who_hears_later_that_others_reach_it_gives_up_then(cluster: Cluster) -> None:
    one, *_ = await three(cluster)
    one.reached = set()
    one.store.fail()
    cluster.clock.advance(2 * LEASE)
    one.reached = None
    cluster.clock.advance(LEASE)
    assert one.taken() == ["degraded", "whole", "fenced", "lapsed"]


async def test_who_was_dead_to_a_process_may_be_back_where_that_one_is_cut_off(
    cluster: Cluster,
) -> None:
    """The last one that reached the store asks those, too, that it has declared dead."""
    one, other, third = await three(cluster)
    one.store.fail()
    third.store.fail()
    cluster.clock.advance(3 * LEASE)
    assert {("went", "node1"), ("went", "node3")} <= {*other.taken()}
    other.store.fail()
    one.store.recover()
    while "node2" not in cluster.broker.declared_dead:
        cluster.clock.advance(LEASE / 20)
        assert not ("node2" in cluster.broker.declared_dead and other.serves)
    assert other.taken()[-2:] == ["fenced", "lapsed"]


async def test_who_stands_still_while_the_store_is_away_asks_it_first(cluster: Cluster) -> None:
    one, *_ = await three(cluster)
    cluster.broker.fail()
    cluster.clock.advance(2 * LEASE)
    assert one.taken() == ["degraded"]
    one.clock.stopped = True
    cluster.clock.advance(2 * LEASE)
    assert not one.serves
    assert one.taken() == ["whole", "fenced"]
    one.clock.go_on()
    # It may have been back meanwhile, for others: whoever else goes on, this one waits.
    cluster.clock.advance(2 * LEASE)
    assert one.taken() == []
    assert not one.serves
    cluster.broker.recover()
    cluster.clock.advance(LEASE)
    assert one.taken() == ["free"]
    assert one.serves


async def test_what_others_said_before_a_stop_counts_no_more(cluster: Cluster) -> None:
    """An answer from before is no reason to go on, nor to give up."""
    one, *_ = await three(cluster)
    one.store.fail()
    one.reached = set()
    while one.nodes.lease.state is not LeaseState.ASKING:
        cluster.clock.advance(0.1 * LEASE)
    one.clock.stopped = True
    cluster.clock.advance(2 * LEASE)
    one.clock.go_on()
    assert not one.serves
    cluster.clock.settle()
    assert one.nodes.lease.state is LeaseState.FENCED
    assert one.taken() == ["fenced"]


async def test_who_stood_still_and_finds_the_store_empty_gives_up(cluster: Cluster) -> None:
    """Whether it was declared dead is known to nobody any more."""
    one, *_ = await three(cluster)
    one.clock.stopped = True
    cluster.clock.advance(2 * LEASE)
    cluster.broker.forget()
    one.clock.go_on()
    cluster.clock.settle()
    assert one.taken() == ["fenced", "lapsed", "free", "restored"]


async def test_without_a_way_past_the_store_nobody_is_asked(cluster: Cluster) -> None:
    one, *_ = await three(cluster)
    one.nodes.lease._ask = None
    one.store.fail()
    cluster.clock.advance(LEASE)
    assert one.taken() == ["degraded"]


async def test_a_lease_is_not_taken_while_sessions_still_end(cluster: Cluster) -> None:
    """Not by an answer either that comes late."""
    one, *_ = await three(cluster, slow=True)
    one.store.fail()
    cluster.clock.advance(1.5 * LEASE)
    assert one.taken() == ["fenced", "lapsed"]
    one.nodes.lease._answered(cluster.clock.time(), None)
    assert one.taken() == []
    one.ends.pop()()
    one.store.recover()
    cluster.clock.advance(LEASE)
    assert one.taken() == ["free", "restored"]


async def test_others_are_asked_once_at_a_time(cluster: Cluster) -> None:
    one, *_ = await three(cluster)
    one.reached = set()
    asked, ask = [], one.nodes.lease._ask

    def count(node: str, done: Any) -> None:
        asked.append(node)
        assert ask is not None
        ask(node, done)

    one.nodes.lease._ask = count
    one.store.fail()
    while one.nodes.lease.state is not LeaseState.ASKING:
        cluster.clock.advance(0.1 * LEASE)
    one.nodes.lease._ask_others()
    assert sorted(asked) == ["node2", "node3"]


async def test_who_was_cut_off_alone_and_finds_the_store_empty_gives_up(cluster: Cluster) -> None:
    one, *_ = await three(cluster)
    one.store.fail()
    cluster.clock.advance(0.85 * LEASE)
    assert one.taken() == ["fenced"]
    cluster.broker.forget()
    one.store.recover()
    cluster.clock.settle()
    assert one.taken() == ["lapsed", "free", "restored"]
