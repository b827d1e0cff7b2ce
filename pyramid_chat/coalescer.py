"""What may happen often and is told at most every second: then it is told how things are."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Hashable

logger = logging.getLogger("pyramid_chat")

EVERY = 1.0
"""Seconds in which something is told once."""


class Coalescer:
    """Calls for each key at once, and after that at most every so often. For any thread.

    What comes in between is called later, by a thread of its own, the newest alone: it has to tell
    how things are then.

    Args:
        every: seconds.
    """

    #: With so many keys those whose time is over are forgotten.
    SWEEP_AT = 1000

    def __init__(self, every: float = EVERY) -> None:
        self._every = every
        self._changed = threading.Condition()
        # When the last call of a key was, and the one that waits.
        self._keys: dict[Hashable, float] = {}
        self._waiting: dict[Hashable, Callable[[], None]] = {}
        self._thread: threading.Thread | None = None
        self._sweep_at = self.SWEEP_AT

    def __len__(self) -> int:
        return len(self._keys)

    def first(self, key: Hashable) -> bool:
        """Tells whether nothing was called for a key lately; if so, something is now."""
        with self._changed:
            now = time.monotonic()
            self._sweep(now)
            if key in self._waiting or now < self._keys.get(key, 0.0) + self._every:
                return False
            self._keys[key] = now
            return True

    def call(self, key: Hashable, function: Callable[[], None]) -> None:
        """Calls a function before it returns, or later, in another thread.

        Args:
            key: what it is about.
            function: it tells how things are.
        """
        if self.first(key):
            function()
            return
        with self._changed:
            self._waiting[key] = function
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._work, name="chat-coalescer", daemon=True
                )
                self._thread.start()

    def _sweep(self, now: float) -> None:
        if len(self._keys) < self._sweep_at:
            return
        for key in [key for key, last in self._keys.items() if now >= last + self._every]:
            if key not in self._waiting:
                del self._keys[key]
        self._sweep_at = max(self.SWEEP_AT, 2 * len(self._keys))

    def _work(self) -> None:
        while True:
            with self._changed:
                if not self._waiting:
                    self._thread = None
                    return
                # All wait equally long, so the first that waits is the first whose time comes.
                key = min(self._waiting, key=lambda key: self._keys.get(key, 0.0))
                left = self._keys.get(key, 0.0) + self._every - time.monotonic()
                if left > 0:
                    self._changed.wait(left)
                    continue
                function = self._waiting.pop(key)
                self._keys[key] = time.monotonic()
            try:
                function()
            except Exception:
                logger.exception("something could not be told")
