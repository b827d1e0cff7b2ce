"""Who is in a room, and that members hear of those who come and leave."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sockjs_bridge.core.presence import Presence
from sockjs_bridge.core.presences import KIND, Known, Presences
from sockjs_bridge.core.rooms import Rooms, Stay
from sockjs_bridge.core.signals import Signals
from tests.support import HandClock


class Member:
    """Fulfils what presence needs of a session."""

    def __init__(self, userid: str | None = None) -> None:
        self.userid = userid
        self.over = False
        self.connection = None
        self.heard: list[tuple[str, str | None, bool]] = []

    def presence_changed(self, room: str, presence: Presence, *, joined: bool) -> None:
        self.heard.append((room, presence.userid, joined))


class Application:
    """An application's rooms and who is in them, as the hub calls them."""

    def __init__(self) -> None:
        self.clock = HandClock()
        self.now = 1000.0
        self.rooms: Rooms[Any] = Rooms(lambda: self.now)
        self.signals = Signals()
        self.signals.start(self.clock)
        self.presences = Presences(self.rooms, self.signals, "node")
        self.presences.start(self.clock)

    def join(self, member: Any, room: str, info: Any = None, announce: bool = False) -> None:
        assert self.rooms.join(member, room)
        text = "" if info is None else json.dumps(info)
        self.presences.entered(member, room, text, announce)

    def leave(self, member: Any, room: str) -> None:
        assert self.rooms.leave(member, room)
        self.presences.left(member, (room,))

    def end(self, member: Any) -> None:
        member.over = True
        self.presences.left(member, self.rooms.leave_all(member))

    def present(self, room: str) -> list[Presence]:
        found: list[Any] = []
        self.presences.present(room, found.append)
        (answer,) = found
        assert isinstance(answer, list)
        return answer


def test_who_is_there() -> None:
    app = Application()
    ann, bob = Member("ann"), Member()
    app.join(ann, "a", {"name": "Ann"})
    app.now = 1007.5
    app.join(bob, "a")
    one, other = app.present("a")
    assert (one.userid, one.since, one.info) == ("ann", 1000.0, {"name": "Ann"})
    assert (other.userid, other.since, other.info) == (None, 1007.5, {})
    assert one.id != other.id
    assert one.id.startswith("node/")
    assert app.present("b") == []
    app.end(ann)
    assert app.present("a") == [other]


def test_who_joins_again_stays_as_long_and_may_have_more_to_tell() -> None:
    app, ann = Application(), Member()
    app.join(ann, "a", {"mood": "good"})
    (before,) = app.present("a")
    app.now += 5
    app.join(ann, "a")
    assert app.present("a") == [before]
    app.join(ann, "a", {"mood": "bad"})
    (after,) = app.present("a")
    assert (after.id, after.since, after.info) == (before.id, before.since, {"mood": "bad"})
    app.leave(ann, "a")
    app.join(ann, "a")
    (anew,) = app.present("a")
    assert anew.id != before.id
    assert anew.info == {}


def test_no_two_stays_are_one() -> None:
    """The clock stands still, and they come in one go."""
    app = Application()
    # A float has about four steps in a microsecond then.
    app.now = 1.8e9 + 0.3
    for _ in range(1000):
        app.join(Member(), "a")
    ids = [who.id for who in app.present("a")]
    assert len({*ids}) == 1000


def test_members_hear_of_who_is_announced() -> None:
    app = Application()
    ann, bob, eve = Member("ann"), Member("bob"), Member("eve")
    app.join(ann, "a")
    app.join(eve, "b")
    app.join(bob, "a", {"name": "Bob"}, announce=True)
    app.clock.settle()
    assert (ann.heard, bob.heard, eve.heard) == ([("a", "bob", True)], [], [])
    app.join(bob, "a", announce=True)
    app.clock.settle()
    assert len(ann.heard) == 1
    app.leave(bob, "a")
    app.clock.settle()
    assert ann.heard[1:] == [("a", "bob", False)]
    app.leave(ann, "a")
    app.clock.settle()
    assert bob.heard == []


def test_an_end_is_heard_as_well() -> None:
    app = Application()
    ann, bob = Member("ann"), Member("bob")
    for room in "ab":
        app.join(ann, room)
        app.join(bob, room, announce=True)
    app.clock.settle()
    app.end(bob)
    app.clock.settle()
    assert sorted(ann.heard[2:]) == [("a", "bob", False), ("b", "bob", False)]
    assert not app.presences._known


def test_who_is_announced_later_is_heard_of_then() -> None:
    app = Application()
    ann, bob = Member("ann"), Member("bob")
    app.join(ann, "a")
    app.join(bob, "a")
    app.clock.settle()
    assert ann.heard == []
    app.join(bob, "a", announce=True)
    app.clock.settle()
    assert ann.heard == [("a", "bob", True)]


def test_who_comes_and_goes_in_one_tick_is_not_heard_of() -> None:
    app = Application()
    ann, bob = Member("ann"), Member("bob")
    app.join(ann, "a")
    app.join(bob, "a", announce=True)
    app.leave(bob, "a")
    app.clock.settle()
    assert ann.heard == []


def test_who_leaves_and_comes_back_in_one_tick_is_another_stay() -> None:
    app = Application()
    ann, bob = Member("ann"), Member("bob")
    app.join(ann, "a")
    app.join(bob, "a", announce=True)
    app.clock.settle()
    app.leave(bob, "a")
    app.join(bob, "a", announce=True)
    app.clock.settle()
    assert ann.heard == [("a", "bob", True), ("a", "bob", False), ("a", "bob", True)]


@pytest.mark.interpreted
def test_who_leaves_in_a_thread_while_it_is_looked_leaves_all_the_same() -> None:
    class Hasty(Rooms[Any]):
        def stay(self, session: Any, room: str) -> Stay | None:
            stay = super().stay(session, room)
            if stay is not None and session is bob:
                app.leave(session, room)
            return stay

    app = Application()
    app.rooms = Hasty()
    app.presences = Presences(app.rooms, app.signals)
    app.presences.start(app.clock)
    ann, bob = Member("ann"), Member("bob")
    app.join(ann, "a")
    app.join(bob, "a", announce=True)
    app.clock.settle()
    assert ann.heard == [("a", "bob", True), ("a", "bob", False)]
    assert not app.presences._known


def test_a_crowd_hears_in_goes_and_in_order() -> None:
    app = Application()
    crowd = [Member() for _ in range(350)]
    for member in crowd:
        app.join(member, "a")
    bob = Member("bob")
    app.join(bob, "a", announce=True)
    app.clock.tick()
    app.leave(bob, "a")
    heard = []
    while app.clock.soon:
        app.clock.tick()
        heard.append(sum(len(member.heard) for member in crowd))
    assert max(after - before for before, after in itertools.pairwise(heard)) <= 100
    assert all(member.heard == [("a", "bob", True), ("a", "bob", False)] for member in crowd)


def test_without_a_server_nobody_hears() -> None:
    rooms: Rooms[Any] = Rooms()
    presences = Presences(rooms, Signals())
    ann = Member()
    rooms.join(ann, "a")
    presences.entered(ann, "a", "", announce=True)
    presences.left(ann, ("a",))
    assert ann.heard == []


@given(st.text() | st.binary() | st.none() | st.lists(st.integers()))
def test_what_is_no_presence_is_passed_over(text: Any) -> None:
    app, ann = Application(), Member()
    app.join(ann, "a")
    app.signals.hear(json.dumps([KIND, ["a", "x/1", str(text), True]]))
    app.clock.settle()
    assert ann.heard == []


def test_what_is_told_comes_back() -> None:
    known = Known(Presence("n/1", "ann", 1.5, {"ä": ["\ud800"]}), True)
    assert Known.parse("n/1", known.text) == known


def test_who_is_announced_already_and_has_more_to_tell_is_not_heard_of_again() -> None:
    app = Application()
    ann, bob = Member("ann"), Member("bob")
    app.join(ann, "a")
    app.join(bob, "a", announce=True)
    app.clock.settle()
    app.join(bob, "a", {"mood": "good"}, announce=True)
    app.clock.settle()
    assert ann.heard == [("a", "bob", True)]
    assert [who.info for who in app.present("a")] == [{}, {"mood": "good"}]


def test_who_is_announced_in_one_room_is_not_in_another() -> None:
    app = Application()
    ann, bob = Member("ann"), Member("bob")
    app.join(ann, "a")
    app.join(bob, "b", announce=True)
    app.join(bob, "a")
    app.clock.settle()
    # It is looked at from then on, in all its rooms.
    app.leave(bob, "a")
    app.join(bob, "a")
    app.clock.settle()
    app.leave(bob, "a")
    app.clock.settle()
    assert ann.heard == []
