"""Who is in a room, in all processes, whatever happens to the store and to processes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sockjs_bridge.cluster.nodes import Left
from sockjs_bridge.cluster.presence import ClusterPresences
from sockjs_bridge.cluster.store import StoreError
from sockjs_bridge.core.rooms import Rooms
from tests.cluster.nodes import LEASE, Cluster, Process
from tests.core.test_presences import Member


class Site(Process):
    """A process with rooms."""

    def __init__(self, cluster: Cluster, name: str, *, slow: bool = False) -> None:
        super().__init__(cluster, name, slow=slow)
        self.rooms: Rooms[Any] = Rooms(self.clock.time)
        self.presences = ClusterPresences(self.rooms, self.signals, self.store, name)
        self.presences.start(self.clock)

    def connected(self, *, same: bool) -> None:
        super().connected(same=same)
        self.presences.connected()

    def lost(self, error: StoreError) -> None:
        self.presences.lost()

    def restored(self) -> None:
        super().restored()
        self.presences.restored()

    def swept(self, node: str, left: Left) -> None:
        self.presences.swept(node, left)

    def join(self, member: Any, room: str, info: Any = None, announce: bool = True) -> None:
        assert self.rooms.join(member, room)
        self.presences.entered(member, room, "" if info is None else json.dumps(info), announce)
        self.cluster.clock.settle()

    def leave(self, member: Any, room: str) -> None:
        assert self.rooms.leave(member, room)
        self.presences.left(member, (room,))
        self.cluster.clock.settle()

    def answer(self, room: str) -> Any:
        found: list[Any] = []
        self.presences.present(room, found.append)
        self.cluster.clock.settle()
        (answer,) = found
        return answer

    def present(self, room: str) -> list[str]:
        return sorted(who.userid for who in self.answer(room))


class Sites(Cluster):
    kind = Site


@pytest.fixture
async def sites() -> tuple[Site, Site, Sites]:
    cluster = Sites()
    one, other = await cluster.start("node1"), await cluster.start("node2")
    assert isinstance(one, Site)
    assert isinstance(other, Site)
    return one, other, cluster


async def test_all_see_all(sites: tuple[Site, Site, Sites]) -> None:
    one, other, cluster = sites
    ann, bob = Member("ann"), Member("bob")
    one.join(ann, "a", {"name": "Ann"})
    cluster.clock.advance(1)
    other.join(bob, "a")
    for site in (one, other):
        first, second = site.answer("a")
        assert (first.userid, first.info, second.userid) == ("ann", {"name": "Ann"}, "bob")
        assert second.since - first.since == pytest.approx(1)
    assert ann.heard == [("a", "bob", True)]
    one.join(ann, "a", {"name": "Anna"}, announce=False)
    assert other.answer("a")[0].info == {"name": "Anna"}
    one.leave(ann, "a")
    assert bob.heard == [("a", "ann", False)]
    assert one.present("a") == ["bob"]


async def test_who_is_not_announced_is_listed_and_not_heard_of(
    sites: tuple[Site, Site, Sites],
) -> None:
    one, other, _ = sites
    ann, bob = Member("ann"), Member("bob")
    one.join(ann, "a", announce=False)
    other.join(bob, "a", announce=False)
    assert one.present("a") == ["ann", "bob"]
    other.leave(bob, "a")
    assert one.present("a") == ["ann"]
    assert ann.heard == []


async def test_what_a_dead_process_leaves_is_told_once(sites: tuple[Site, Site, Sites]) -> None:
    one, other, cluster = sites
    third = await cluster.start("node3")
    assert isinstance(third, Site)
    ann, bob = Member("ann"), Member("bob")
    one.join(ann, "a")
    other.join(bob, "a")
    for number in range(250):
        third.join(Member(str(number)), "a", announce=number % 2 == 0)
    cluster.settle()
    ann.heard.clear()
    bob.heard.clear()
    third.kill()
    assert len(one.present("a")) == 252
    cluster.clock.advance(2 * LEASE)
    assert one.present("a") == ["ann", "bob"]
    expected = sorted(("a", str(number), False) for number in range(0, 250, 2))
    assert sorted(ann.heard) == expected
    assert sorted(bob.heard) == expected


async def test_what_the_store_has_forgotten_it_is_told_again(
    sites: tuple[Site, Site, Sites],
) -> None:
    one, other, cluster = sites
    one.join(Member("ann"), "a")
    other.join(Member("bob"), "a")
    cluster.broker.forget()
    cluster.clock.advance(LEASE)
    assert one.present("a") == ["ann", "bob"]


async def test_who_came_and_left_while_it_was_away(sites: tuple[Site, Site, Sites]) -> None:
    one, other, cluster = sites
    ann, bob, eve = Member("ann"), Member("bob"), Member("eve")
    other.join(eve, "a")
    one.join(ann, "a")
    cluster.settle()
    eve.heard.clear()
    one.store.fail()
    one.leave(ann, "a")
    one.join(bob, "a")
    assert isinstance(one.answer("a"), StoreError)
    assert other.present("a") == ["ann", "eve"]
    assert eve.heard == []
    one.store.recover()
    cluster.clock.settle()
    assert other.present("a") == ["bob", "eve"]
    assert sorted(eve.heard) == [("a", "ann", False), ("a", "bob", True)]


async def test_what_the_store_has_refused_it_is_told_again(
    sites: tuple[Site, Site, Sites],
) -> None:
    """Its connections hold: it was out of memory for a while."""
    one, other, cluster = sites
    ann, bob, eve = Member("ann"), Member("bob"), Member("eve")
    other.join(eve, "a")
    one.join(ann, "a")
    eve.heard.clear()
    one.store.refusal = StoreError("out of memory")
    one.join(bob, "a")
    one.join(bob, "a", {"name": "Bob"}, announce=False)
    gone = Member("gone")
    one.join(gone, "a")
    one.leave(gone, "a")
    one.leave(ann, "a")
    cluster.clock.advance(3)
    assert (other.present("a"), eve.heard) == (["ann", "eve"], [])
    one.store.refusal = None
    cluster.clock.advance(3)
    assert other.present("a") == ["bob", "eve"]
    assert sorted(eve.heard) == [("a", "ann", False), ("a", "bob", True)]
    assert [who.info for who in other.answer("a") if who.userid == "bob"] == [{"name": "Bob"}]


async def test_who_leaves_before_the_store_has_refused_them(
    sites: tuple[Site, Site, Sites],
) -> None:
    one, other, cluster = sites
    ann = Member("ann")
    one.store.refusal = StoreError("out of memory")
    one.rooms.join(ann, "a")
    one.presences.entered(ann, "a", "", announce=True)
    one.leave(ann, "a")
    one.store.refusal = None
    cluster.clock.advance(3)
    assert other.present("a") == []


async def test_who_leaves_while_the_store_is_told_what_it_has_refused(
    sites: tuple[Site, Site, Sites],
) -> None:
    one, other, cluster = sites
    members = [Member(f"{number:03d}") for number in range(2 * ClusterPresences.BATCH)]
    one.store.refusal = StoreError("out of memory")
    for member in members:
        one.join(member, "a")
    one.store.refusal = None
    one.presences.connected()
    # The first go.
    cluster.clock.tick()
    one.leave(members[-1], "a")
    assert other.present("a") == [member.userid for member in members[:-1]]


@pytest.mark.parametrize("refused", [False, True])
async def test_nothing_is_retried_while_it_is_away(
    sites: tuple[Site, Site, Sites], monkeypatch: pytest.MonkeyPatch, refused: bool
) -> None:
    one, _, cluster = sites
    if refused:
        one.store.refusal = StoreError("out of memory")
        one.join(Member("bob"), "a")
    one.store.fail()
    one.join(Member("ann"), "a")
    cluster.clock.advance(0)
    told: list[str] = []
    monkeypatch.setattr(one.store, "come", lambda room, *rest: told.append(room))
    cluster.clock.advance(5)
    assert told == []


async def test_who_was_taken_for_dead_and_is_not_has_its_members_back(
    sites: tuple[Site, Site, Sites],
) -> None:
    one, other, cluster = sites
    ann, bob = Member("ann"), Member("bob")
    one.join(ann, "a")
    other.join(bob, "a")
    cluster.settle()
    bob.heard.clear()
    one.clock.stopped = True
    cluster.clock.advance(2 * LEASE)
    assert bob.heard == [("a", "ann", False)]
    one.clock.go_on()
    cluster.clock.advance(LEASE)
    assert bob.heard == [("a", "ann", False), ("a", "ann", True)]
    assert other.present("a") == ["ann", "bob"]


async def test_what_nobody_could_have_noted_is_passed_over(
    sites: tuple[Site, Site, Sites],
) -> None:
    one, _, cluster = sites
    one.store.come("a", "node1/x", "{}", lambda new: None)
    one.presences.swept("node9", [("a", "node9/1", "nonsense")])
    cluster.clock.settle()
    assert one.answer("a") == []


async def test_who_leaves_while_it_is_away_is_remembered_up_to_a_bound(
    sites: tuple[Site, Site, Sites], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other, cluster = sites
    monkeypatch.setattr(ClusterPresences, "MAX_GONE", 2)
    members = [Member(str(number)) for number in range(4)]
    for member in members:
        one.join(member, "a")
    one.store.fail()
    for member in members:
        one.leave(member, "a")
    one.store.recover()
    cluster.clock.settle()
    assert other.present("a") == ["0", "1"]


async def test_who_leaves_while_the_store_is_told_again(sites: tuple[Site, Site, Sites]) -> None:
    one, other, cluster = sites
    bob = Member("bob")
    other.join(bob, "a")
    members = [Member(str(number)) for number in range(2 * ClusterPresences.BATCH)]
    for member in members:
        one.join(member, "a")
    cluster.settle()
    bob.heard.clear()
    # For two reasons at once.
    one.presences.restored()
    one.presences.connected()
    # The first go.
    cluster.clock.tick()
    one.leave(members[-1], "a")
    # The others are there as before: nobody hears of them.
    assert bob.heard == [("a", members[-1].userid, False)]
    assert len(other.present("a")) == len(members)


async def test_who_leaves_one_of_many_rooms_while_the_store_is_told_again(
    sites: tuple[Site, Site, Sites],
) -> None:
    one, other, cluster = sites
    ann = Member("ann")
    rooms = [str(number) for number in range(2 * ClusterPresences.BATCH)]
    for room in rooms:
        one.join(ann, room)
    one.presences.connected()
    # The first go.
    cluster.clock.tick()
    one.leave(ann, rooms[-1])
    assert [room for room in rooms if other.present(room)] == rooms[:-1]
