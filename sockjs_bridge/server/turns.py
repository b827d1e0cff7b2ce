"""So that a crowd does not hold up the loop: so many requests begin in a tick, others wait.

When a process of a cluster has died, all of its clients ask the others at the same moment. A tick
in which the loop began with all of them would last for as long as they take together. A session
that opens, a page, and whatever else is aiohttp's take ten times what a poll takes: these wait,
and nobody's poll waits behind them.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import Final

from sockjs_bridge.core.contracts import Clock

logger = logging.getLogger("sockjs_bridge.server")

#: Requests that begin in a tick and are no poll and no send of an open session. Each takes up to a
#: millisecond, in this tick and the next ones.
BEGINNINGS: Final = 16


class Turns:
    """Lets so many have their turn in a tick at most, in the order of their coming; on the loop.

    Args:
        clock: of the loop.
        most: how many.
    """

    def __init__(self, clock: Clock, most: int) -> None:
        self._clock = clock
        self._most = self._left = most
        self._waiting: deque[Callable[[], object]] = deque()

    def take(self, begin: Callable[[], object]) -> bool:
        """Asks whether it is somebody's turn now.

        It costs the loop no callback, but for one in so many turns: those of several ticks are
        counted together, until there are as many as one may have.

        Args:
            begin: called when it is, where it is not yet.
        """
        if not self._left:
            self._waiting.append(begin)
            return False
        self._left -= 1
        if not self._left:
            self._clock.call_soon(self._tick)
        return True

    def _tick(self) -> None:
        some = min(self._most, len(self._waiting))
        self._left = self._most - some
        if not self._left:
            self._clock.call_soon(self._tick)
        for _ in range(some):
            begin = self._waiting.popleft()
            try:
                begin()
            except Exception:
                # The others must not wait for ever because of this one.
                logger.exception("a request could not begin")
