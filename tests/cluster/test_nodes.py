"""Who lives, who has died, and that one process sweeps up what a dead one leaves."""

from __future__ import annotations

from typing import Any

import pytest

from sockjs_bridge.cluster import nodes as nodes_module
from sockjs_bridge.cluster.nodes import SUSPICION, About, make_name
from tests.cluster.nodes import LEASE, Cluster, Process


@pytest.fixture
async def cluster() -> Cluster:
    return Cluster()


def come(process: Process, room: str, member: str) -> None:
    found: list[Any] = []
    process.store.come(room, f"{process.name}/{member}", f"{member}!", found.append)
    process.cluster.clock.settle()
    assert found == [True]


def test_names() -> None:
    names = {make_name() for _ in range(100)}
    assert len(names) == 100
    assert all(len(name) == 10 and name.isascii() and name.isalnum() for name in names)
    assert not any(name != name.lower() for name in names)


def test_what_a_process_says_of_itself() -> None:
    about = About("unix:/run/a", 7, leaving=True)
    assert About.parse(about.text) == about
    for text in ("", "[]", "{}", "null", '{"address":"a","sessions":[]}', "[" * 100000):
        assert About.parse(text) == About()


async def test_they_know_each_other_at_once(cluster: Cluster) -> None:
    one = await cluster.start("node1")
    assert one.taken() == []
    other = await cluster.start("node2")
    assert (one.taken(), other.taken()) == ([("came", "node2")], [("came", "node1")])
    assert one.nodes.others == {"node2": About("unix:node2")}
    assert other.nodes.get("node1") == About("unix:node1")
    assert other.nodes.get("node2") is None


async def test_what_they_say_is_known_soon(cluster: Cluster) -> None:
    one, other = await cluster.start("node1"), await cluster.start("node2")
    other.sessions = 12
    cluster.clock.advance(LEASE)
    assert one.nodes.others["node2"].sessions == 12
    assert one.taken() == [("came", "node2")]


async def test_who_ends_in_good_order_is_gone_at_once(cluster: Cluster) -> None:
    one, other = await cluster.start("node1"), await cluster.start("node2")
    cluster.settle()
    other.nodes.end()
    cluster.clock.settle()
    assert one.taken() == [("went", "node2")]
    assert one.nodes.others == {}
    cluster.clock.advance(3 * LEASE)
    assert (one.taken(), other.taken()) == ([], [])


async def test_only_so_many_dead_ones_are_remembered(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nodes_module, "MAX_DEPARTED", 1)
    one = await cluster.start("node1")
    for name in ("node2", "node3"):
        (await cluster.start(name)).kill()
        cluster.settle()
    assert not one.nodes.others
    assert (one.nodes.get("node2"), one.nodes.get("node3")) == (None, About("unix:node3"))


async def test_who_has_left_is_not_remembered(cluster: Cluster) -> None:
    """A site that is restarted now and then need not ask all that were there."""
    one, other = await cluster.start("node1"), await cluster.start("node2")
    other.leaving = True
    other.nodes.tell()
    cluster.settle()
    other.nodes.end()
    cluster.settle()
    assert not one.nodes.others
    assert one.nodes.get("node2") is None


async def test_one_sweeps_up_what_a_dead_one_leaves(cluster: Cluster) -> None:
    one, other, third = [await cluster.start(f"node{number}") for number in (1, 2, 3)]
    come(third, "a", "x")
    come(third, "b", "y")
    come(other, "a", "z")
    cluster.settle()
    third.kill()
    cluster.clock.advance(1.5 * LEASE)
    events = one.taken() + other.taken()
    left = [("a", "node3/x", "x!"), ("b", "node3/y", "y!")]
    assert sorted(map(str, events)) == sorted(
        map(str, [("swept", "node3", left), ("went", "node3"), ("went", "node3")])
    )
    assert cluster.broker.members == {"a": {"node2/z": "z!"}}


async def test_whose_link_has_ended_is_looked_after_more_often(cluster: Cluster) -> None:
    one, other = await cluster.start("node1"), await cluster.start("node2")
    cluster.settle()
    other.kill()
    one.nodes.suspect("node2")
    one.nodes.suspect("node2")
    one.nodes.suspect("nobody")
    cluster.clock.advance(1.06 * LEASE)
    assert one.taken() == [("went", "node2")]


async def test_who_is_looked_after_is_asked_for_no_more_often_by_what_others_say(
    cluster: Cluster,
) -> None:
    one, other = await cluster.start("node1"), await cluster.start("node2")
    cluster.settle()
    one.nodes.suspect("node2")
    for _ in range(20):
        cluster.clock.advance(SUSPICION * LEASE / 20)
        other.nodes.tell()
    timers = cluster.clock.timer_calls
    cluster.clock.advance(LEASE)
    # Two processes' ticks, and the looks after the one.
    assert cluster.clock.timer_calls - timers <= 22 + 1 / SUSPICION


async def test_a_suspicion_passes(cluster: Cluster) -> None:
    one, _ = await cluster.start("node1"), await cluster.start("node2")
    cluster.settle()
    one.nodes.suspect("node2")
    cluster.clock.advance(3 * LEASE)
    assert one.taken() == []
    timers = cluster.clock.timer_calls
    cluster.clock.advance(LEASE)
    # Two processes' ticks, and nothing else.
    assert cluster.clock.timer_calls - timers <= 22


async def test_nobody_is_taken_for_dead_by_who_has_just_come_back(cluster: Cluster) -> None:
    one, other = await cluster.start("node1"), await cluster.start("node2")
    cluster.settle()
    cluster.broker.fail()
    cluster.clock.advance(2 * LEASE)
    cluster.broker.forget()
    cluster.broker.reachable = True
    one.store.recover()
    cluster.clock.advance(0.9 * LEASE)
    assert one.nodes.others.keys() == {"node2"}
    other.store.recover()
    cluster.clock.advance(3 * LEASE)
    assert (one.taken(), other.taken()) == (["degraded", "whole"], ["degraded", "whole"])
    assert one.nodes.others.keys() == {"node2"}


async def test_who_never_comes_back_is_dead_in_the_end(cluster: Cluster) -> None:
    one, other = await cluster.start("node1"), await cluster.start("node2")
    cluster.settle()
    cluster.broker.fail()
    other.kill()
    cluster.clock.advance(2 * LEASE)
    cluster.broker.recover()
    cluster.clock.advance(2 * LEASE)
    assert one.taken() == ["degraded", "whole", ("went", "node2")]


async def test_a_sweep_that_fails_is_made_again(cluster: Cluster) -> None:
    one, other = await cluster.start("node1"), await cluster.start("node2")
    come(other, "a", "x")
    cluster.settle()
    other.kill()
    one.store.delay = 0.5
    sweep, failed = one.store.sweep, []

    def fail(node: str, done: Any) -> None:
        failed.append(node)
        one.store.sweep = sweep  # type: ignore[method-assign]
        one.store.fail()
        sweep(node, done)
        one.store.recover()

    one.store.sweep = fail  # type: ignore[method-assign]
    cluster.clock.advance(4 * LEASE)
    assert failed == ["node2"]
    assert one.taken() == [("swept", "node2", [("a", "node2/x", "x!")]), ("went", "node2")]


async def test_what_a_sweep_has_left_is_swept_up_too(cluster: Cluster) -> None:
    """As where the connection breaks while there is more (`RedisStore.sweep`)."""
    one, other = await cluster.start("node1"), await cluster.start("node2")
    come(other, "a", "x")
    come(other, "b", "y")
    cluster.settle()
    other.kill()
    sweep = one.store.sweep

    def a_part(node: str, done: Any) -> None:
        one.store.sweep = sweep  # type: ignore[method-assign]
        info = cluster.broker.go("a", "node2/x")
        one.clock.call_soon(lambda: done([("a", "node2/x", info)]))

    one.store.sweep = a_part  # type: ignore[method-assign]
    cluster.clock.advance(2 * LEASE)
    left = [("a", "node2/x", "x!"), ("b", "node2/y", "y!")]
    swept = [("swept", "node2", [each]) for each in left]
    assert one.taken() == [*swept, ("went", "node2")]


async def test_what_a_process_tells_is_known_at_once(cluster: Cluster) -> None:
    one, other = await cluster.start("node1"), await cluster.start("node2")
    other.sessions = 7
    other.nodes.tell()
    cluster.clock.settle()
    assert one.nodes.others["node2"].sessions == 7


async def test_who_has_not_begun_looks_for_nobody(cluster: Cluster) -> None:
    """The store is reached before the application is served."""
    await cluster.start("node1")
    early = cluster.kind(cluster, "node2")
    await early.store.start("node2", early)
    cluster.clock.settle()
    assert (early.taken(), early.nodes.others) == ([], {})
    early.nodes.begin()
    cluster.clock.settle()
    assert early.taken() == [("came", "node1")]
