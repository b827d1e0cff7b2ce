"""The circuit breaker, by a clock in hand."""

from __future__ import annotations

from pyramid_chat.breaker import CircuitBreaker
from tests.support import HandClock


def test_one_at_a_time_tries_until_there_is_an_answer() -> None:
    """All others are refused."""
    clock = HandClock()
    breaker = CircuitBreaker(3, lambda: clock.now)
    assert [breaker.refuses() for _ in range(3)] == [False] * 3
    breaker.no_answer()
    assert [breaker.refuses() for _ in range(3)] == [False, True, True]
    # Those who were let through before.
    breaker.no_answer()
    assert breaker.refuses()
    clock.now += 3
    assert [breaker.refuses() for _ in range(3)] == [False, True, True]
    breaker.answered()
    assert [breaker.refuses() for _ in range(3)] == [False] * 3
