"""The deadlines of many objects, behind one timer of the loop's."""

from __future__ import annotations

import heapq
import logging
from functools import partial
from typing import ClassVar

from sockjs_bridge.core.contracts import Clock, Timed

logger = logging.getLogger("sockjs_bridge.session")


class DeadlineWheel:
    """The deadlines of many objects behind one timer.

    Deadlines are kept in slots of `GRANULARITY` seconds, so setting and dropping one costs the
    same whatever their number, and an object is called at most that much late. A deadline that
    moves later is not touched: the object is looked at when its old slot comes, and put back.

    A turn that comes late shows that the process stood still: a hook blocked it, or it was stopped.
    What has arrived meanwhile is not read yet, and who waits for a peer must not take that for the
    peer's silence. So for what was due during a standstill the time stood still too; it is called
    as much later as that lasted, and once more that, up to `GRACE`. That is done once for each
    deadline: where a loop is late all the time, everything is called nevertheless.
    """

    #: Slots a second: the time of one is divided by this, not multiplied by `GRANULARITY`, whose
    #: rounding would put it behind a loop's clock that counts whole milliseconds (uvloop's).
    PER_SECOND: ClassVar[int] = 20
    #: Seconds.
    GRANULARITY: ClassVar[float] = 1 / PER_SECOND
    #: How many objects are called in one go, so that many cannot hold up the loop.
    BATCH: ClassVar[int] = 100
    #: Seconds by which a turn is late after a standstill.
    LATE: ClassVar[float] = GRANULARITY / 2
    #: Seconds in which all that arrived during a standstill is read.
    GRACE: ClassVar[float] = 1.0

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._slots: dict[int, dict[Timed, None]] = {}
        self._order: list[int] = []
        self._timer_at: int | None = None
        # When the next turn was to come, had nothing stood still.
        self._expected = 0.0
        # The last standstill: after when something became due in vain, and until when.
        self._stood_from = self._stood_until = clock.time()

    def update(self, timed: Timed, after: float = 0.0) -> None:
        """Sees to it that an object is called by its deadline.

        Args:
            timed: the object.
            after: the time that was served already, in seconds: what is still due then has to
                wait for the next slot.
        """
        due = timed.deadline()
        if due is None:
            self.drop(timed)
            return
        # Rounded up: nothing is called early.
        slot = int(-(-due * self.PER_SECOND // 1))
        if timed.slot is not None and timed.slot <= slot:
            return
        if self._stood_from < due <= self._stood_until:
            slot = int(-(-self._put_off(due) * self.PER_SECOND // 1))
        if after:
            slot = max(slot, int(after * self.PER_SECOND) + 1)
        if timed.slot is not None:
            if timed.slot <= slot:
                return
            self.drop(timed)
        timed.slot = slot
        if (waiting := self._slots.get(slot)) is not None:
            # A timer waits for that slot, or for one before it.
            waiting[timed] = None
            return
        self._slots[slot] = {timed: None}
        heapq.heappush(self._order, slot)
        self._arm()

    def drop(self, timed: Timed) -> None:
        """Forgets an object."""
        if timed.slot is not None:
            del self._slots[timed.slot][timed]
            timed.slot = None

    def _arm(self) -> None:
        if self._order and (self._timer_at is None or self._order[0] < self._timer_at):
            slot = self._timer_at = self._order[0]
            when = slot / self.PER_SECOND
            self._expected = max(when, self._clock.time())
            self._clock.call_at(when, partial(self._turn, slot))

    def _put_off(self, due: float) -> float:
        """Returns when a deadline counts: later if it fell into the last standstill."""
        if not self._stood_from < due <= self._stood_until:
            return due
        lasted = self._stood_until - self._stood_from
        return due + lasted + min(lasted, self.GRACE)

    def _turn(self, armed: int) -> None:
        if armed != self._timer_at:
            return
        self._timer_at = None
        now = self._clock.time()
        if now > self._expected + self.LATE:
            # What waits in a slot was due in the seconds before it.
            begin = self._expected - self.GRANULARITY
            self._stood_from, self._stood_until = max(begin, self._stood_until), now
        left = self.BATCH
        # The first slot anew each time: what is called may add one before it.
        while self._order and (slot := self._order[0]) / self.PER_SECOND <= now:
            waiting = self._slots[slot]
            if not waiting:
                del self._slots[heapq.heappop(self._order)]
                continue
            if not left:
                self._timer_at = slot
                self._expected = now
                self._clock.call_soon(partial(self._turn, slot))
                return
            left -= 1
            timed = next(iter(waiting))
            self.drop(timed)
            due = timed.deadline()
            if due is not None and self._put_off(due) <= now:
                try:
                    timed.on_deadline(now)
                except Exception:
                    # The others must not wait for ever because of this one.
                    logger.exception("%r: what was due failed", timed)
                    timed.fail()
            self.update(timed, now)
        self._arm()
