"""Token buckets and locks by name."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import func, select, update

from pyramid_chat import open_database
from pyramid_chat.database import Database
from pyramid_chat.limits import Buckets, Busy, Locks, SharedBuckets, seconds
from pyramid_chat.models import Bucket
from pyramid_chat.settings import Settings
from tests.pyramid_chat.postgresql import Cluster


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


def test_a_bucket_counts_otherwise_from_a_change_on() -> None:
    clock = Clock()
    buckets = Buckets(60, 3, clock)
    assert [buckets.take("a") for _ in range(3)] == [0.0] * 3
    clock.now += 0.5
    buckets.change(6, 1)
    # What came back by then counts.
    assert buckets.take("a") == pytest.approx(5)
    assert [buckets.take("b") > 0 for _ in range(2)] == [False, True]
    buckets.change(60, 5)
    assert buckets.take("a") == pytest.approx(0.5)
    clock.now += 3600
    assert [buckets.take("a") for _ in range(6)] == [0.0] * 5 + [pytest.approx(1)]


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


@pytest.fixture
def database(cluster: Cluster, tmp_path: Path) -> Iterator[Database]:
    """What several processes share."""
    url = cluster.url(cluster.create())
    database = open_database(Settings.parse(tmp_path, {"sqlalchemy.url": url}))
    yield database
    database.engine.dispose()


def pass_time(database: Database, seconds: float) -> None:
    """Have all buckets be as they are so many seconds later."""
    with database.writing() as session, session.begin():
        session.execute(update(Bucket).values(full_at=Bucket.full_at - seconds))


def test_a_shared_bucket_is_as_one_of_a_single_process(database: Database) -> None:
    one, other = (SharedBuckets(database, "messages", 1, 3) for _ in range(2))
    assert [one.take("a"), other.take("a"), one.take("a")] == [0.0] * 3
    assert 50 < other.take("a") <= 60
    assert one.take("b") == 0.0
    assert SharedBuckets(database, "requests", 1, 3).take("a") == 0.0
    pass_time(database, 60)
    assert one.take("a") == 0.0
    assert other.take("a") > 0
    pass_time(database, 3600)
    assert [other.take("a") > 0 for _ in range(4)] == [False, False, False, True]


def test_a_shared_token_comes_back_where_it_was_of_no_use(database: Database) -> None:
    buckets = SharedBuckets(database, "messages", 1, 2)
    buckets.take("a")
    for _ in range(5):
        buckets.give_back("a")
    assert [buckets.take("a") > 0 for _ in range(3)] == [False, False, True]


def test_a_shared_bucket_counts_otherwise_from_a_change_on(database: Database) -> None:
    buckets = SharedBuckets(database, "messages", 1, 2)
    assert [buckets.take("a") > 0 for _ in range(3)] == [False, False, True]
    buckets.change(1, 4)
    assert [buckets.take("a") > 0 for _ in range(3)] == [False, False, True]


def test_many_who_take_at_once_get_no_more_than_there_is(database: Database) -> None:
    buckets = [SharedBuckets(database, "messages", 1, 7) for _ in range(2)]
    with ThreadPoolExecutor(8) as pool:
        waits = list(pool.map(lambda number: buckets[number % 2].take("a"), range(40)))
    assert sum(not wait for wait in waits) == 7


def test_full_shared_buckets_are_forgotten(database: Database) -> None:
    buckets = SharedBuckets(database, "messages", 60, 2)
    buckets.SWEEP_EVERY = 5
    for key in range(4):
        buckets.take(key)
    pass_time(database, 10)
    buckets.take("a")
    with database.session() as session:
        assert session.scalar(select(func.count(Bucket.key))) == 1
