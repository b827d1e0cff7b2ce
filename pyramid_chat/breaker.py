"""A circuit breaker: of a database that stands, only one at a time finds out that it still does."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class CircuitBreaker:
    """Refuses at once what would wait in vain. May be used in any thread.

    Closed, it lets everybody through. Somebody who got no answer opens it: then it refuses all but
    one who tries, and another one each ``patience`` seconds, until an answer comes.

    Args:
        patience: seconds that a trial may take.
        clock: monotonic seconds.
    """

    def __init__(self, patience: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._patience = patience
        self._clock = clock
        self._lock = threading.Lock()
        # When the next one may try; None while it is closed.
        self._next_trial: float | None = None

    def refuses(self) -> bool:
        """Tells whether the caller is to give up; who is let through says what came of it."""
        with self._lock:
            if self._next_trial is None:
                return False
            now = self._clock()
            if now < self._next_trial:
                return True
            self._next_trial = now + self._patience
            return False

    def no_answer(self) -> None:
        """Opens it. A trial that is under way goes on."""
        with self._lock:
            if self._next_trial is None:
                self._next_trial = self._clock()

    def answered(self) -> None:
        """Closes it."""
        if self._next_trial is not None:
            with self._lock:
                self._next_trial = None
