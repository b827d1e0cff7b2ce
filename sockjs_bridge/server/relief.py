"""Threads that come where jobs wait too long for one."""

from __future__ import annotations

import asyncio

from sockjs_bridge.server.threads import ThreadPool


class Relief:
    """Has a pool grow, up to its ``max_size``, while jobs wait; used on the loop.

    Args:
        pool: the pool.
    """

    #: Seconds that a job may wait for a thread.
    PATIENCE = 0.1

    def __init__(self, pool: ThreadPool) -> None:
        self._pool = pool
        self._watching = False

    def watch(self) -> None:
        """Looks after the jobs that wait; to be called when one was submitted."""
        if self._pool.waiting and not self._watching:
            self._watching = True
            self._look_again()

    def _look_again(self) -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(self.PATIENCE, self._relieve, self._pool.submitted)

    def _relieve(self, submitted: int) -> None:
        """Has the pool grow by what was there at the last look and did not begin yet."""
        self._pool.relieve(submitted - self._pool.begun)
        self._watching = self._pool.waiting > 0
        if self._watching:
            self._look_again()
