"""The end of a tick: all that was queued in it is written, each session's in one go. No I/O."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import ClassVar

from sockjs_bridge.core.contracts import Clock, Recipient
from sockjs_bridge.core.frames import Frames

logger = logging.getLogger("sockjs_bridge.session")


class Flusher:
    """Writes what sessions have queued, when the tick of the loop ends.

    Args:
        clock: the loop's.
        watch: called for a session that was written to and is over: its deadline is another now.
    """

    #: How many sessions are written in one go, so that many cannot hold up the loop.
    BATCH: ClassVar[int] = 100
    #: How many frames are kept for those of a tick that are written later.
    SHARED: ClassVar[int] = 1000

    def __init__(self, clock: Clock, watch: Callable[[Recipient], object]) -> None:
        self._clock = clock
        self._watch = watch
        self._dirty: deque[Recipient] = deque()
        self._scheduled = False
        # Kept for those of this tick that are written later.
        self._shared: Frames | None = None

    def add(self, session: Recipient) -> None:
        """Has a session written at the end of the loop's tick, among many some ticks later."""
        if not session.dirty:
            session.dirty = True
            self._dirty.append(session)
            if not self._scheduled:
                self._schedule()

    def drain(self) -> None:
        """Writes all that waits, now."""
        while self._dirty:
            self._flush()

    def write(self, session: Recipient, shared: Frames | None = None) -> None:
        """Writes what waits in a session; ends it where that fails.

        Args:
            session: the one.
            shared: see `Recipient.flush`.
        """
        try:
            session.flush(shared)
        except Exception:
            # The others must not wait for ever because of this one.
            logger.exception("%s: writing failed", session.id)
            session.fail()

    def _schedule(self) -> None:
        self._scheduled = True
        self._clock.call_soon(self._flush)

    def _flush(self) -> None:
        self._scheduled = False
        dirty, shared = self._dirty, self._shared
        # One session alone has nobody to share its frames with.
        if shared is None and len(dirty) > 1:
            shared = Frames()
        for _ in range(min(self.BATCH, len(dirty))):
            session = dirty.popleft()
            session.dirty = False
            self.write(session, shared)
            if session.over:
                self._watch(session)
        if dirty and not self._scheduled:
            self._schedule()
        kept = dirty and shared is not None and len(shared) <= self.SHARED
        self._shared = shared if kept else None
