"""History in memory: what it costs, and that it is returned."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sockjs_bridge.cluster.engine import Bounds
from sockjs_bridge.cluster.memory import NUMBER_LASTS, MemoryEngine
from tests.cluster.support import BOUNDS, added, position, since
from tests.support import HandClock


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def engine(clock: HandClock) -> MemoryEngine:
    return MemoryEngine(clock.time)


def nobody(room: str) -> bool:
    return False


def run(engine: MemoryEngine, clock: HandClock, seconds: float) -> None:
    """Let time pass, and what is too old be forgotten when that is due."""
    end = clock.now + seconds
    while (due := engine.expire(clock.now, nobody)) is not None and due <= end:
        clock.now = max(clock.now, due)
    clock.now = end


def test_nothing_is_due_where_nothing_is_kept(engine: MemoryEngine, clock: HandClock) -> None:
    assert engine.expire(clock.now, nobody) is None


def test_no_number_of_names_grows(engine: MemoryEngine, clock: HandClock) -> None:
    """Neither rooms that were sent to, nor such as were only asked for."""
    for number in range(2500):
        added(engine, f"room {number}", "text")
        since(engine, f"asked {number}", None)
    assert len(engine) == 5000
    run(engine, clock, BOUNDS.ttl * (NUMBER_LASTS + 1))
    assert len(engine) == 0
    assert engine.expire(clock.now, nobody) is None


@given(st.floats(0, 1e9), st.floats(0.05, 86400))
def test_what_is_due_is_done(now: float, ttl: float) -> None:
    """Whatever is lost in rounding: a timer that finds nothing to do would come again at once."""
    clock = HandClock(now)
    engine = MemoryEngine(clock.time)
    added(engine, "room", "text", bounds=Bounds(1, ttl))
    for _ in range(2):
        due = engine.expire(clock.now, nobody)
        assert due is not None and due > clock.now
        clock.now = due
    assert engine.expire(clock.now, nobody) is None


def test_many_are_forgotten_some_at_a_time(engine: MemoryEngine, clock: HandClock) -> None:
    for number in range(engine.BATCH + 1):
        since(engine, f"room {number}", None)
    clock.now += BOUNDS.ttl * NUMBER_LASTS
    assert engine.expire(clock.now, nobody) == clock.now
    assert len(engine) == 1


def test_messages_go_after_their_time_and_the_number_later(
    engine: MemoryEngine, clock: HandClock
) -> None:
    """A room that nobody is in keeps its history until ``ttl``."""
    begin, _ = since(engine, "room", None)
    place = added(engine, "room", "text")
    run(engine, clock, BOUNDS.ttl - 1)
    assert since(engine, "room", position(begin))[1] == ["text"]
    run(engine, clock, 2)
    assert since(engine, "room", position(begin))[1] is None
    assert since(engine, "room", position(place))[1] == []
    assert len(engine) == 1


def test_number_stays_while_somebody_is_in(engine: MemoryEngine, clock: HandClock) -> None:
    """Silence is no gap: whoever comes back into a room where nothing was said has missed none."""
    place = added(engine, "room", "text")
    for number in range(9):
        added(engine, "other", str(number))
    for _ in range(20):
        clock.now += BOUNDS.ttl
        engine.expire(clock.now, "room".__eq__)
    assert len(engine) == 1
    assert since(engine, "room", position(place))[1] == []


def test_use_puts_it_off(engine: MemoryEngine, clock: HandClock) -> None:
    begin, _ = since(engine, "room", None)
    for _ in range(3):
        added(engine, "room", "text")
        run(engine, clock, BOUNDS.ttl - 1)
    assert since(engine, "room", position(begin))[1] is None
    assert len(engine) == 1
    assert engine.expire(clock.now, nobody) == clock.now + 1


def test_each_bounds_have_their_time(engine: MemoryEngine, clock: HandClock) -> None:
    short = Bounds(1, 1)
    added(engine, "long", "text")
    added(engine, "short", "text", bounds=short)
    assert engine.expire(clock.now, nobody) == clock.now + 1
    run(engine, clock, 1 + NUMBER_LASTS)
    assert len(engine) == 1


def test_message_is_quoted_once(engine: MemoryEngine) -> None:
    begin, _ = since(engine, "room", None)
    added(engine, "room", "text")
    found = []
    for _ in range(2):
        engine.since("room", position(begin), BOUNDS, lambda place, missed: found.append(missed))
    first, second = (missed[0].quoted for missed in found if missed)
    assert first is second
    assert first == b'"text"'
