"""What holds up the loop of our server: a timer in its process that notes how late it is called."""

from __future__ import annotations

import gc
import os
import time
from pathlib import Path
from typing import TypedDict

from sockjs_bridge.core.contracts import Clock
from sockjs_bridge.endpoint.endpoints import Endpoints


class Found(TypedDict):
    """What was found since the last time, for the page ``/probe``.

    Attributes:
        late_ms: the greatest delay of the timer.
        own_ms: the same, counting only the CPU time that this process had meanwhile: what other
            programs took is left out, what threads of ours took is not.
        collection_ms: the longest run of the garbage collector, in CPU time.
        full_collections: how often that looked at everything.
        rss_kb: the memory of the process.
        sessions: how many there are.
    """

    late_ms: float
    own_ms: float
    collection_ms: float
    full_collections: int
    rss_kb: int
    sessions: int


class Probe:
    """Runs from the first time that it is read: other measurements do without it.

    Args:
        endpoints: of the application.
    """

    #: Seconds between two calls of the timer.
    INTERVAL = 0.001

    def __init__(self, endpoints: Endpoints) -> None:
        self._endpoints = endpoints
        self._clock: Clock | None = None
        self._due = self._cpu = self._collecting = 0.0
        self._late = self._own = self._longest = 0.0
        self._full = 0

    def read(self) -> Found:
        """Returns what was found, and begins anew. Called in a thread of the application."""
        if self._clock is None:
            self._clock = self._endpoints.clock
            self._clock.call_from_thread(self._wait)
            gc.callbacks.append(self._collects)
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        found = Found(
            late_ms=self._late * 1000,
            own_ms=self._own * 1000,
            collection_ms=self._longest * 1000,
            full_collections=self._full,
            rss_kb=pages * os.sysconf("SC_PAGE_SIZE") // 1024,
            sessions=sum(len(endpoint.all_sessions) for endpoint in self._endpoints),
        )
        self._late = self._own = self._longest = 0.0
        self._full = 0
        return found

    def _wait(self) -> None:
        assert self._clock is not None
        self._due = self._clock.time() + self.INTERVAL
        self._cpu = time.process_time()
        self._clock.call_at(self._due, self._look)

    def _look(self) -> None:
        # The loop's time is that of its tick's beginning.
        late = time.monotonic() - self._due
        self._late = max(self._late, late)
        self._own = max(self._own, min(late, time.process_time() - self._cpu))
        self._wait()

    def _collects(self, phase: str, info: dict[str, int]) -> None:
        now = time.thread_time()
        if phase == "start":
            self._collecting = now
        else:
            self._longest = max(self._longest, now - self._collecting)
            self._full += info["generation"] == 2
