"""Who is to be told soon how many messages were handled, where nothing else tells it. No I/O.

That is asked for with nearly each message, and nearly always the answer to the message has told it
before it is due. Sessions are looked at in the order in which they asked, behind one timer; what
`sockjs_bridge.core.clock.DeadlineWheel` does for each deadline would cost more than the message.
"""

from __future__ import annotations

import logging
from collections import deque
from typing import ClassVar, Final

from sockjs_bridge.core.contracts import Clock
from sockjs_bridge.resume.contracts import Resident

logger = logging.getLogger("sockjs_bridge.session")

#: Seconds after which a client is told, at least ("Sending"); at most half of that more.
TELL_AFTER: Final = 0.05


class Telling:
    """The sessions of an endpoint whose clients are to be told; used on the loop only.

    Args:
        clock: the loop's.
    """

    #: How many sessions are called in one go, so that many cannot hold up the loop.
    BATCH: ClassVar[int] = 100

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        # Each with when it is due, the first one first.
        self._waiting: deque[tuple[float, Resident]] = deque()
        self._armed = False

    def add(self, session: Resident) -> None:
        """Has a session called soon, once."""
        due = self._clock.time() + TELL_AFTER
        self._waiting.append((due, session))
        if not self._armed:
            self._armed = True
            self._clock.call_at(due, self._turn)

    def _turn(self) -> None:
        now, waiting = self._clock.time(), self._waiting
        left = self.BATCH
        while waiting and waiting[0][0] <= now:
            if not left:
                self._clock.call_soon(self._turn)
                return
            left -= 1
            session = waiting.popleft()[1]
            try:
                session.tell()
            except Exception:
                # The others must not wait for ever because of this one.
                logger.exception("%s: telling failed", session.id)
                session.fail()
        self._armed = bool(waiting)
        if waiting:
            # Not for each by itself.
            self._clock.call_at(max(waiting[0][0], now + TELL_AFTER / 2), self._turn)
