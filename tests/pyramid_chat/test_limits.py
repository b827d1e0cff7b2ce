"""Token buckets and locks by name."""

from __future__ import annotations

import threading

import pytest

from pyramid_chat.limits import Buckets, Busy, Locks, seconds


class Clock:
    """A clock that the test holds."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_bucket_gives_a_burst_and_then_its_rate() -> None:
    clock = Clock()
    buckets = Buckets(60, 3, clock)
    assert [buckets.take("a") for _ in range(3)] == [0.0] * 3
    assert buckets.take("a") == pytest.approx(1)
    assert buckets.take("b") == 0.0
    clock.now += 0.25
    assert buckets.take("a") == pytest.approx(0.75)
    clock.now += 0.75
    assert buckets.take("a") == 0.0
    assert buckets.take("a") > 0
    clock.now += 3600
    assert [buckets.take("a") for _ in range(4)] == [0.0] * 3 + [pytest.approx(1)]


def test_a_token_comes_back_where_it_was_of_no_use() -> None:
    buckets = Buckets(60, 2, Clock())
    buckets.take("a")
    for _ in range(5):
        buckets.give_back("a")
    assert [buckets.take("a") > 0 for _ in range(3)] == [False, False, True]


def test_full_buckets_are_forgotten() -> None:
    clock = Clock()
    buckets = Buckets(60, 2, clock)
    for key in range(100000):
        buckets.take(key)
        clock.now += 0.01
    # In a second, which a bucket takes to be full again, a hundred are begun.
    assert len(buckets) <= 1000


def test_one_at_a_time_holds_a_lock_and_others_do_not_wait_for_ever() -> None:
    locks = Locks(0.05)
    entered, done = threading.Event(), threading.Event()

    def holder() -> None:
        with locks.hold("a"):
            entered.set()
            done.wait(10)

    thread = threading.Thread(target=holder)
    thread.start()
    entered.wait(10)
    with pytest.raises(Busy, match="a was not to be had"), locks.hold("a"):
        raise AssertionError
    with locks.hold("b"):
        assert len(locks) == 2
    done.set()
    thread.join()
    with locks.hold("a"):
        pass
    assert len(locks) == 0


def test_a_lock_is_released_by_an_error() -> None:
    locks = Locks(0.05)
    with pytest.raises(ZeroDivisionError), locks.hold("a"):
        raise ZeroDivisionError
    with locks.hold("a"):
        assert len(locks) == 1


def test_many_threads_and_one_lock() -> None:
    locks = Locks(10)
    count = 0

    def work() -> None:
        nonlocal count
        for _ in range(200):
            with locks.hold("a"):
                before = count
                count = before + 1

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (count, len(locks)) == (1600, 0)


@pytest.mark.parametrize(("wait", "told"), [(0.001, 1), (1, 1), (1.2, 2)])
def test_people_are_told_whole_seconds(wait: float, told: int) -> None:
    assert seconds(wait) == told
