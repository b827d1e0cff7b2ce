"""So that a crowd does not hold up the loop: so many requests begin in a tick, others wait.

A session that opens, a page, and whatever else is aiohttp's take a hundred times what a poll takes.
When a process of a cluster has died, all of its clients ask the others at the same moment, and a
tick in which the loop began with all of them would last for as long as they take together.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from sockjs_bridge.core.contracts import Clock

#: Requests that begin in a tick. Each takes up to a millisecond, in this tick and the next ones.
BATCH: Final = 16


class Turns:
    """Has requests begin in the order of their coming; used on the loop.

    Args:
        clock: of the loop.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._left = BATCH
        self._waiting: deque[Callable[[], object]] = deque()

    def take(self, begin: Callable[[], object]) -> bool:
        """Asks whether a request may begin now.

        Args:
            begin: called when its turn comes, where it may not.
        """
        if not self._left:
            self._waiting.append(begin)
            return False
        if self._left == BATCH:
            self._clock.call_soon(self._tick)
        self._left -= 1
        return True

    def _tick(self) -> None:
        self._left = BATCH - min(BATCH, len(self._waiting))
        if self._left < BATCH:
            self._clock.call_soon(self._tick)
        for _ in range(BATCH - self._left):
            self._waiting.popleft()()
