"""The contract of what keeps the messages of rooms; each engine has to pass."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sockjs_bridge.cluster.engine import Bounds, Engine, Message
from sockjs_bridge.cluster.memory import MemoryEngine
from sockjs_bridge.core.frames import Place
from tests.cluster.support import added, position, since
from tests.support import HandClock


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture(params=[MemoryEngine])
def engine(request: pytest.FixtureRequest, clock: HandClock) -> Engine:
    make: Callable[[Callable[[], float]], Engine] = request.param
    return make(clock.time)


def test_numbers_go_up_by_one(engine: Engine) -> None:
    places = [added(engine, "room", text) for text in "abc"]
    assert {place.room for place in places} == {engine.key("room")}
    assert len({place.epoch for place in places}) == 1
    assert [place.number - places[0].number for place in places] == [0, 1, 2]


def test_all_since_a_position(engine: Engine) -> None:
    begin, _ = since(engine, "room", None)
    places = [added(engine, "room", text) for text in "abc"]
    assert since(engine, "room", position(begin)) == (places[-1], ["a", "b", "c"])
    assert since(engine, "room", position(places[1])) == (places[-1], ["c"])
    assert since(engine, "room", position(places[2])) == (places[-1], [])


def test_who_is_excluded_is_kept(engine: Engine) -> None:
    begin, _ = since(engine, "room", None)
    added(engine, "room", "a", "ann", "bob")
    found: list[Message] = []

    def done(place: Place, messages: list[Message] | None) -> None:
        found.extend(messages or [])

    engine.since("room", position(begin), Bounds(5, 60), done)
    assert [message.excluded for message in found] == [{"ann", "bob"}]


def test_all_or_nothing(engine: Engine) -> None:
    """What does not reach back is told, and none of it is given."""
    begin, _ = since(engine, "room", None)
    places = [added(engine, "room", text) for text in "abcdef"]
    assert since(engine, "room", position(begin)) == (places[-1], None)
    assert since(engine, "room", position(places[0])) == (places[-1], ["b", "c", "d", "e", "f"])


def test_messages_grow_old_one_by_one(engine: Engine, clock: HandClock) -> None:
    begin, _ = since(engine, "room", None)
    first = added(engine, "room", "a")
    clock.now += 40
    last = added(engine, "room", "b")
    clock.now += 19
    assert since(engine, "room", position(begin))[1] == ["a", "b"]
    clock.now += 1
    assert since(engine, "room", position(begin))[1] is None
    assert since(engine, "room", position(first))[1] == ["b"]
    clock.now += 40
    assert since(engine, "room", position(first))[1] is None
    assert since(engine, "room", position(last))[1] == []


@pytest.mark.parametrize(
    "wrong", ["", "-", "7", "E-1", "{epoch}", "{epoch}-", "{epoch}-x", "{epoch}-999", "{epoch}-٣"]
)
def test_position_that_is_none(engine: Engine, wrong: str) -> None:
    """Clients send what they like: what is not known is not known."""
    place = added(engine, "room", "a")
    assert since(engine, "room", wrong.format(epoch=place.epoch))[1] is None
    assert since(engine, "room", f"{position(place)}{'9' * 5000}")[1] is None


def test_rooms_are_apart(engine: Engine) -> None:
    begin, _ = since(engine, "other", None)
    added(engine, "room", "a")
    place = added(engine, "other", "b")
    assert since(engine, "other", position(begin)) == (place, ["b"])
    assert engine.key("room") != engine.key("other")


def test_key_tells_nothing_of_the_name(engine: Engine, clock: HandClock) -> None:
    """Another process has another secret; any name has a key."""
    assert engine.key("room") != type(engine)(clock.time).key("room")  # type: ignore[call-arg]
    assert engine.key("room\ud800") != engine.key("room")
    assert engine.key("room").isalnum()


def test_another_process_has_another_epoch(engine: Engine, clock: HandClock) -> None:
    place = added(engine, "room", "a")
    other: Engine = type(engine)(clock.time)  # type: ignore[call-arg]
    for text in "abc":
        added(other, "room", text)
    assert since(other, "room", position(place))[1] is None


def test_forgotten_room_is_never_taken_for_complete(engine: Engine, clock: HandClock) -> None:
    """However often it is forgotten, a position of before is known or told to be unknown."""
    kept, sent = [position(since(engine, "room", None)[0])], list[str]()

    def check() -> None:
        for place, known in enumerate(kept):
            assert since(engine, "room", known)[1] in (None, sent[place:])

    for turn in range(4):
        for number in range(turn + 1):
            added(engine, "other", "text")
            sent.append(f"{turn}.{number}")
            kept.append(position(added(engine, "room", sent[-1])))
        check()
        while (due := engine.expire(clock.now, lambda room: False)) is not None:
            clock.now = max(clock.now, due)
        check()
