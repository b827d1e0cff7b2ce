"""The core's clock on an asyncio event loop."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

#: Seconds between two looks at what no event tells of.
LOOK = 0.01

logger = logging.getLogger("sockjs_bridge.server")


class LoopClock:
    """Fulfils `sockjs_bridge.core.contracts.Clock`; made on the loop's thread.

    Args:
        loop: the running loop.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.time = loop.time
        self._calls: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self._scheduled = False
        self._own_thread = threading.get_ident()

    def call_soon(self, callback: Callable[[], object]) -> None:
        """Calls back at the end of the loop's present tick."""
        self._loop.call_soon(callback)

    def call_at(self, when: float, callback: Callable[[], object]) -> None:
        """Calls back at a time of the loop."""
        self._loop.call_at(when, callback)

    def call_from_thread(self, callback: Callable[..., object], *arguments: Any) -> None:
        """Calls back on the loop: at once when this is its thread, else as soon as it can.

        Threads share one queue and one wake-up of the loop, which costs a hundredth of waking it
        for each call. After the loop's end nothing happens.
        """
        if threading.get_ident() == self._own_thread:
            try:
                callback(*arguments)
            except Exception:
                logger.exception("a call on the loop failed")
            return
        self._calls.append((callback, arguments))
        if not self._scheduled:
            self._scheduled = True
            try:
                self._loop.call_soon_threadsafe(self._run_calls)
            except RuntimeError:
                self._calls.clear()
                self._scheduled = False

    def _run_calls(self) -> None:
        # Before the queue is read: a thread that appends from here on schedules again.
        self._scheduled = False
        for _ in range(len(self._calls)):
            callback, arguments = self._calls.popleft()
            try:
                callback(*arguments)
            except Exception:
                logger.exception("a call from a thread failed")


async def look_until(condition: Callable[[], object], end: float) -> None:
    """Waits until something holds that no event tells of.

    Args:
        condition: that.
        end: when it is not waited for any more, in seconds of the loop's time.
    """
    now = asyncio.get_running_loop().time
    while not condition() and now() < end:
        await asyncio.sleep(LOOK)
