"""Who is told soon: in order, behind one timer, once."""

from __future__ import annotations

from collections.abc import Callable

from sockjs_bridge.resume.telling import TELL_AFTER, Telling
from tests.support import HandClock


class Asker:
    """A session, as far as it is told."""

    def __init__(self, name: str, calls: list[str], tells: Callable[[], None] | None = None):
        self.id = name
        self.calls = calls
        self.tells = tells

    def tell(self) -> None:
        self.calls.append(self.id)
        if self.tells is not None:
            self.tells()

    def fail(self) -> None:
        self.calls.append(f"{self.id} failed")


def test_nobody_is_told_early_or_much_later() -> None:
    clock, calls = HandClock(), []
    telling = Telling(clock)
    telling.add(Asker("a", calls))
    clock.advance(TELL_AFTER / 5)
    telling.add(Asker("b", calls))
    clock.advance(TELL_AFTER * 0.7)
    assert calls == []
    clock.advance(TELL_AFTER / 5)
    assert calls == ["a"]
    clock.advance(TELL_AFTER / 2)
    assert calls == ["a", "b"]
    clock.advance(10)
    assert calls == ["a", "b"]


def test_one_timer_for_many() -> None:
    clock, calls = HandClock(), []
    telling = Telling(clock)
    for number in range(50):
        telling.add(Asker(str(number), calls))
        clock.advance(TELL_AFTER / 100)
    clock.advance(1)
    assert len(calls) == 50
    assert clock.timer_calls <= 3


def test_many_do_not_hold_up_the_loop() -> None:
    clock, calls = HandClock(), []
    telling = Telling(clock)
    for number in range(Telling.BATCH + 1):
        telling.add(Asker(str(number), calls))
    soon: list[int] = []
    first = Asker("first", calls, lambda: clock.call_soon(lambda: soon.append(len(calls))))
    telling._waiting[0] = telling._waiting[0][0], first
    clock.advance(TELL_AFTER)
    assert soon == [Telling.BATCH]
    assert len(calls) == Telling.BATCH + 1


def test_who_asks_while_being_told_is_told_again() -> None:
    clock, calls = HandClock(), []
    telling = Telling(clock)
    again = Asker("again", calls)
    telling.add(Asker("once", calls, lambda: telling.add(again)))
    clock.advance(TELL_AFTER)
    assert calls == ["once"]
    clock.advance(TELL_AFTER)
    assert calls == ["once", "again"]


def test_one_that_fails_ends_alone() -> None:
    def broken() -> None:
        raise ValueError("broken")

    clock, calls = HandClock(), []
    telling = Telling(clock)
    telling.add(Asker("a", calls, broken))
    telling.add(Asker("b", calls))
    clock.advance(TELL_AFTER)
    assert calls == ["a", "a failed", "b"]
