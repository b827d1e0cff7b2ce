"""What this process publishes to rooms, and who of its own does not get it."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Collection

from sockjs_bridge.cluster.engine import Bounds
from sockjs_bridge.cluster.store import Done, Entry, Position, Store, StoreError
from sockjs_bridge.core.contracts import Clock
from sockjs_bridge.core.monitor import Monitor

logger = logging.getLogger("sockjs_bridge.cluster")

#: Seconds between two lines in the log about messages that were not published.
QUIET = 1.0


class Publisher:
    """Publishes messages, and knows them again when they come back; used on the loop only.

    Args:
        store: where to.
        node: the name of this process.
        clock: of the loop.
        bounds: tells how much is kept of a room, None where nothing is.
        monitor: what is counted.

    Attributes:
        failing: what was published last could not be.
    """

    def __init__(
        self,
        store: Store,
        node: str,
        clock: Clock,
        bounds: Callable[[str], Bounds | None],
        monitor: Monitor,
    ) -> None:
        self._store = store
        self._node = node
        self._clock = clock
        self._bounds = bounds
        self._monitor = monitor
        self._numbers = itertools.count(1)
        # By what is told with the message. Two generations: it comes back soon or never.
        self._excluded: dict[str, Collection[object]] = {}
        self._excluded_before: dict[str, Collection[object]] = {}
        self.failing = self._timing = False
        self._failed = 0
        self._logged: float | None = None

    def publish(
        self,
        room: str,
        text: str,
        exclude: Collection[object],
        clients: frozenset[str],
        done: Done[Position | None],
    ) -> None:
        """Publishes a message; see `ClusterHub.publish`."""
        entry = Entry(text, f"{self._node}/{next(self._numbers)}", clients)
        # Of those under way one is timed: they go together, and counting takes locks.
        began = None if self._timing else self._clock.time()
        self._timing = True
        if exclude:
            self._excluded[entry.origin] = exclude

        def published(result: Position | StoreError | None) -> None:
            if began is not None:
                self._timing = False
            if isinstance(result, StoreError):
                self._fail(result)
            else:
                self.failing = False
                if began is not None:
                    self._monitor.engine(self._clock.time() - began)
            done(result)

        self._store.publish(room, entry, self._bounds(room), published)

    def _fail(self, error: StoreError) -> None:
        self.failing = True
        self._monitor.unpublished(1)
        self._failed += 1
        now = self._clock.time()
        if self._logged is None or now - self._logged >= QUIET:
            logger.error("%d messages to rooms were not published: %s", self._failed, error)
            self._logged, self._failed = now, 0

    def excluded(self, entry: Entry) -> Collection[object]:
        """Returns the sessions of this process that a message which comes back is not for."""
        if not self._excluded and not self._excluded_before:
            return ()
        return self._excluded.pop(entry.origin, ()) or self._excluded_before.pop(entry.origin, ())

    def forget_old(self) -> None:
        """Forgets about messages that have not come back since the last call."""
        self._excluded_before, self._excluded = self._excluded, {}
