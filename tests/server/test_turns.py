"""So many have their turn in a tick, the others in their order."""

from __future__ import annotations

import pytest

from sockjs_bridge.server.turns import Turns
from tests.support import HandClock

BATCH = 6


def test_few_begin_at_once() -> None:
    """The loop is called back once in so many turns."""
    clock = HandClock()
    turns = Turns(clock, BATCH)
    for _ in range(3):
        for left in reversed(range(BATCH)):
            assert turns.take(nobody)
            assert bool(clock.soon) == (not left)
        clock.settle()
    assert clock.soon_calls == 3


def test_a_crowd_begins_in_goes() -> None:
    """In its order; who comes later waits behind it."""
    clock = HandClock()
    turns = Turns(clock, BATCH)
    begun: list[int] = []
    crowd = range(2 * BATCH + BATCH // 2)
    now = [turns.take(lambda number=number: begun.append(number)) for number in crowd]
    assert now == [True] * BATCH + [False] * (len(crowd) - BATCH)
    assert not begun
    clock.tick()
    assert begun == [*crowd[BATCH : 2 * BATCH]]
    assert not turns.take(lambda: begun.append(-1))
    clock.tick()
    assert begun == [*crowd[BATCH:], -1]
    # What that tick has left.
    assert all(turns.take(nobody) for _ in range(BATCH - BATCH // 2 - 1))
    assert not turns.take(lambda: begun.append(-2))
    clock.settle()
    assert begun[-1] == -2


def test_who_fails_holds_up_nobody(caplog: pytest.LogCaptureFixture) -> None:
    clock = HandClock()
    turns = Turns(clock, BATCH)
    begun: list[int] = []

    def fail() -> None:
        raise RuntimeError("broken")

    for _ in range(BATCH):
        turns.take(nobody)
    turns.take(fail)
    turns.take(lambda: begun.append(1))
    clock.settle()
    assert begun == [1]
    assert "RuntimeError: broken" in caplog.text


def test_who_begins_may_ask_again() -> None:
    """It has its turn behind all others."""
    clock = HandClock()
    turns = Turns(clock, BATCH)
    begun: list[str] = []

    def begin() -> None:
        begun.append("first")
        turns.take(lambda: begun.append("again"))

    for _ in range(BATCH):
        turns.take(nobody)
    turns.take(begin)
    for _ in range(BATCH - 1):
        turns.take(lambda: begun.append("other"))
    clock.settle()
    assert begun == ["first", *["other"] * (BATCH - 1), "again"]


def nobody() -> None:
    raise AssertionError("its turn was at once")
