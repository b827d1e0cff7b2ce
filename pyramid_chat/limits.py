"""What keeps one person from being too much for the others. Nothing here grows for ever."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager, suppress
from typing import Protocol

from sqlalchemy import ColumnElement, Double, cast, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert

from pyramid_chat.database import AWAY, Database
from pyramid_chat.models import Bucket

MESSAGES, ROOM_CHANGES = "messages", "room-changes"
"""The kinds of limits that administrators may change (`pyramid_chat.options`)."""


class Limit(Protocol):
    """How often something may happen for each key. May be used in any thread."""

    def take(self, key: Hashable) -> float:
        """Takes a token.

        Returns:
            0.0, or in how many seconds there is one, where there is none.
        """
        raise NotImplementedError

    def give_back(self, key: Hashable) -> None:
        """Puts a token back that was taken in vain."""
        raise NotImplementedError

    def change(self, per_minute: float, burst: int) -> None:
        """Lets it happen more or less often from now on; see `Limits.make`."""
        raise NotImplementedError


class Buckets:
    """Token buckets, one for each key, of this process alone; fulfils `Limit`.

    A key's bucket is full at first, so one that is full again is forgotten.

    Args:
        per_minute: tokens that come back.
        burst: tokens of a full bucket.
        clock: monotonic seconds.
    """

    def __init__(
        self, per_minute: float, burst: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate = per_minute / 60
        self._burst = burst
        self._clock = clock
        self._lock = threading.Lock()
        # The tokens of a key, and when they were counted.
        self._buckets: dict[Hashable, tuple[float, float]] = {}
        self._sweep_at = self._least_sweep = 1000

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, key: Hashable) -> float:
        """Takes a token; see `Limit.take`."""
        with self._lock:
            self._sweep()
            tokens = self._tokens(key)
            if tokens < 1:
                return max((1 - tokens) / self._rate, 0.001)
            self._buckets[key] = tokens - 1, self._clock()
            return 0.0

    def give_back(self, key: Hashable) -> None:
        """Puts a token back that was taken in vain."""
        with self._lock:
            self._buckets[key] = min(self._tokens(key) + 1, self._burst), self._clock()

    def change(self, per_minute: float, burst: int) -> None:
        """Counts otherwise from now on; see `Limit.change`."""
        with self._lock:
            self._buckets = {key: (self._tokens(key), self._clock()) for key in self._buckets}
            self._rate = per_minute / 60
            self._burst = burst

    def _tokens(self, key: Hashable) -> float:
        tokens, counted = self._buckets.get(key, (self._burst, 0.0))
        return min(self._burst, tokens + (self._clock() - counted) * self._rate)

    def _sweep(self) -> None:
        if len(self._buckets) < self._sweep_at:
            return
        for key in [key for key in self._buckets if self._tokens(key) >= self._burst]:
            del self._buckets[key]
        self._sweep_at = max(self._least_sweep, 2 * len(self._buckets))


class SharedBuckets:
    """Token buckets in a PostgreSQL database, the same for all processes; fulfils `Limit`.

    A bucket is one moment, that at which it is full again: to take a token moves it, and it may
    not be farther away than a whole bucket (the generic cell rate algorithm, ITU-T I.371).

    Args:
        database: that all processes have.
        kind: what the tokens are for.
        per_minute: tokens that come back.
        burst: tokens of a full bucket.
    """

    #: After so many tokens those who have full buckets are forgotten.
    SWEEP_EVERY = 1000

    def __init__(self, database: Database, kind: str, per_minute: float, burst: int) -> None:
        self._database = database
        self._kind = kind
        self._taken = 0
        self.change(per_minute, burst)

    def change(self, per_minute: float, burst: int) -> None:
        """Counts otherwise from now on; see `Limit.change`. Tokens in the database stay there."""
        # Seconds for which a token counts.
        self._token = 60 / per_minute
        self._slack = (burst - 1) * self._token

    def take(self, key: Hashable) -> float:
        """Takes a token; see `Limit.take`.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: the database does not answer.
        """
        # Not exact where two threads count: so much the sooner or later.
        self._taken += 1
        now = cast(func.extract("epoch", func.clock_timestamp()), Double)
        taken = insert(Bucket).values(kind=self._kind, key=repr(key), full_at=now + self._token)
        taken = taken.on_conflict_do_update(
            index_elements=[Bucket.kind, Bucket.key],
            set_={"full_at": func.greatest(Bucket.full_at, now) + self._token},
            where=Bucket.full_at <= now + self._slack,
        )
        with self._database.writing() as session, session.begin():
            if self._taken % self.SWEEP_EVERY == 0:
                session.execute(delete(Bucket).where(Bucket.full_at < now))
            if session.scalar(taken.returning(Bucket.full_at)) is not None:
                return 0.0
            wait = session.scalar(select(Bucket.full_at - self._slack - now).where(*self._of(key)))
        return max(wait or 0.0, 0.001)

    def give_back(self, key: Hashable) -> None:
        """Puts a token back; not where the database does not answer."""
        back = update(Bucket).where(*self._of(key)).values(full_at=Bucket.full_at - self._token)
        with suppress(*AWAY), self._database.writing() as session, session.begin():
            session.execute(back)

    def _of(self, key: Hashable) -> tuple[ColumnElement[bool], ...]:
        return Bucket.kind == self._kind, Bucket.key == repr(key)


class Limits:
    """Makes the limits of an application.

    Args:
        database: of the chat.
        shared: whether several processes count together.

    Attributes:
        shared: as given.
    """

    def __init__(self, database: Database, *, shared: bool) -> None:
        self._database = database
        self.shared = shared

    def make(self, kind: str, per_minute: float, burst: int) -> Limit:
        """Makes a limit.

        Args:
            kind: what its tokens are for.
            per_minute: tokens that come back.
            burst: tokens that there are at most.
        """
        if self.shared:
            return SharedBuckets(self._database, kind, per_minute, burst)
        return Buckets(per_minute, burst)


class Busy(Exception):
    """Somebody else held a lock for too long."""


class Locks:
    """Locks by name; one that nobody holds or waits for is forgotten.

    Args:
        timeout: seconds to wait for one.
    """

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._lock = threading.Lock()
        # With how many hold it or wait for it.
        self._locks: dict[Hashable, tuple[threading.Lock, int]] = {}

    def __len__(self) -> int:
        return len(self._locks)

    @contextmanager
    def hold(self, name: Hashable) -> Iterator[None]:
        """Holds a lock.

        Raises:
            Busy: it was not to be had in time.
        """
        with self._lock:
            lock, users = self._locks.get(name, (None, 0))
            lock = lock or threading.Lock()
            self._locks[name] = lock, users + 1
        try:
            if not lock.acquire(timeout=self._timeout):
                raise Busy(f"{name} was not to be had within {self._timeout} s")
            try:
                yield
            finally:
                lock.release()
        finally:
            with self._lock:
                _, users = self._locks[name]
                if users == 1:
                    del self._locks[name]
                else:
                    self._locks[name] = lock, users - 1


def seconds(wait: float) -> int:
    """Returns a time to wait as headers and people are told it."""
    return max(1, math.ceil(wait))
