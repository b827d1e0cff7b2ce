"""Who may try a password, and who has to wait."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyramid_chat import limits, passwords
from pyramid_chat.database import Database
from pyramid_chat.limits import Buckets, Limits
from pyramid_chat.settings import Settings
from pyramid_chat.throttle import Throttle, network_of
from tests.support import HandClock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> HandClock:
    """The clock of the buckets."""
    clock = HandClock()

    def buckets(per_minute: float, burst: int) -> Buckets:
        return Buckets(per_minute, burst, clock.time)

    monkeypatch.setattr(limits, "Buckets", buckets)
    return clock


@pytest.fixture
def throttle(clock: HandClock, tmp_path: Path) -> Iterator[Throttle]:
    """That of one process."""
    database = Database(Settings.parse(tmp_path, {}).url, 1)
    yield Throttle(Limits(database, shared=False))
    database.engine.dispose()


def fail(throttle: Throttle, name: str, address: str, device: str | None = None) -> int:
    """Try wrong passwords until one has to wait; return how many were looked at."""
    for looked_at in range(1000):
        if throttle.attempt(name, address, device).wait:
            return looked_at
    raise AssertionError("nobody has to wait")


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("unix", "unix"),
        (None, ""),
    ],
)
def test_what_counts_as_one_address(address: str | None, network: str) -> None:
    """An IPv6 subscriber has 2 to the 64 of them."""
    assert network_of(address) == network


def test_a_network_is_one_address(throttle: Throttle) -> None:
    """Whoever has a /64 has ten guesses of a name, and a hundred of all names."""
    looked_at = [fail(throttle, "ada", f"2001:db8::{host:x}") for host in range(1, 5)]
    assert looked_at == [10, 0, 0, 0]
    assert fail(throttle, "ada", "2001:db8:0:1::1") == 10
    # Of all attempts, the one that had to wait included.
    assert sum(fail(throttle, f"n{n}", f"2001:db8::{n:x}") for n in range(20)) == 60 - 14 - 4


def test_a_name_that_is_guessed_everywhere_has_one_try_from_a_new_address(
    throttle: Throttle, clock: HandClock
) -> None:
    """So its owner comes in at the first try from wherever they are."""
    networks = [f"198.51.100.{n}" for n in range(200)]
    assert sum(fail(throttle, "ada", network) for network in networks) == 200 + 180
    owner = throttle.attempt("ada", "203.0.113.1", None)
    assert owner.wait == 0
    owner.take_back()
    again = throttle.attempt("ada", "203.0.113.1", None)
    assert again.wait == 0
    assert fail(throttle, "ada", "203.0.113.1") == 0
    # Elsewhere nobody notices.
    assert fail(throttle, "Grace", "203.0.113.1") == 10


def test_a_browser_that_signed_in_before_waits_for_nobody(throttle: Throttle) -> None:
    """Not even for guesses from its own address."""
    while not throttle.attempt("ada", "192.0.2.1", None).wait:
        pass
    while not throttle.addresses.take("192.0.2.1"):
        pass
    assert fail(throttle, "ada", "192.0.2.1", "a browser") == 10
    assert fail(throttle, "ada", "192.0.2.1", "another") == 10


def test_sign_ins_that_succeed_are_counted(throttle: Throttle, clock: HandClock) -> None:
    """By the address, whoever signs in; one that waits takes nothing."""
    for number in range(60):
        attempt = throttle.attempt(f"Eve {number % 12}", "192.0.2.1", None)
        assert attempt.wait == 0
        attempt.take_back()
    assert throttle.attempt("Eve", "192.0.2.1", None).wait == pytest.approx(2)
    assert throttle.attempt("Eve", "192.0.2.1", None).wait == pytest.approx(2)
    assert throttle.attempt("Eve", "192.0.2.2", None).wait == 0
    clock.now += 2
    assert throttle.attempt("Eve", "192.0.2.1", None).wait == 0


def test_browsers_cannot_be_made_to_have_more_tries(throttle: Throttle) -> None:
    """All of one person's count together, however often they were told to be known."""
    looked_at = sum(fail(throttle, "Eve", "192.0.2.1", f"{n}") for n in range(20))
    # Of sixty attempts; the eleventh of each of five browsers was one.
    assert looked_at == 55


def test_an_attempt_that_was_not_looked_at_takes_nothing(throttle: Throttle) -> None:
    """There was no room for its hash; it is no guess."""
    for _ in range(60):
        attempt = throttle.attempt("ada", "192.0.2.1", None)
        assert attempt.wait == 0
        attempt.take_back()


def test_hashes_wait_in_a_short_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who comes beyond is refused at once, and nobody's thread waits long."""
    gate, begun = threading.Event(), threading.Semaphore(0)
    done: list[bool] = []

    class Hasher:
        def hash(self, password: bytes) -> str:
            begun.release()
            gate.wait(40)
            return "a hash"

    monkeypatch.setattr(passwords, "_hasher", Hasher())
    monkeypatch.setattr(passwords, "_pool", pool := passwords.Pool())
    places = passwords.AT_ONCE + passwords.WAITING
    threads = [
        threading.Thread(target=lambda: done.append(passwords.hashed("x") == "a hash"))
        for _ in range(places)
    ]
    for thread in threads:
        thread.start()
    for _ in range(passwords.AT_ONCE):
        assert begun.acquire(timeout=40)
    while pool._threads._work_queue.qsize() < passwords.WAITING:
        threading.Event().wait(0.01)
    with pytest.raises(passwords.PoolFull):
        passwords.hashed("one more")
    assert not begun.acquire(blocking=False)
    gate.set()
    for thread in threads:
        thread.join(40)
    assert done == [True] * places
    assert passwords.hashed("now") == "a hash"
