"""What keeps one person from being too much for the others. Nothing here grows for ever."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager


class Buckets:
    """Token buckets, one for each key. May be used in any thread.

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
        """Takes a token.

        Returns:
            0.0, or in how many seconds there is one, where there is none.
        """
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

    def _tokens(self, key: Hashable) -> float:
        tokens, counted = self._buckets.get(key, (self._burst, 0.0))
        return min(self._burst, tokens + (self._clock() - counted) * self._rate)

    def _sweep(self) -> None:
        if len(self._buckets) < self._sweep_at:
            return
        for key in [key for key in self._buckets if self._tokens(key) >= self._burst]:
            del self._buckets[key]
        self._sweep_at = max(self._least_sweep, 2 * len(self._buckets))


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
