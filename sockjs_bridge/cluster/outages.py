"""What the log says of a store that comes and goes: once a second at most, and how it ends."""

from __future__ import annotations

import logging
from typing import Final

from sockjs_bridge.cluster.store import StoreError
from sockjs_bridge.core.contracts import Clock

logger = logging.getLogger("sockjs_bridge.cluster")

#: Seconds between two lines.
QUIET: Final = 1.0


class Outages:
    """Logs that the store cannot be reached, and that it can be again.

    Args:
        clock: of the loop.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        # Why it cannot be reached, and what the log says.
        self._error: StoreError | None = None
        self._logged: StoreError | None = None
        self._quiet = False

    def lost(self, error: StoreError) -> None:
        """The store cannot be reached."""
        self._changed(error)

    def over(self) -> None:
        """It can be reached."""
        self._changed(None)

    def _changed(self, error: StoreError | None) -> None:
        self._error = error
        if not self._quiet:
            self._log()

    def _log(self) -> None:
        self._quiet = False
        if (self._error is None) is (self._logged is None):
            return
        self._logged = self._error
        if self._error is None:
            logger.warning("what the processes share can be reached again")
        else:
            logger.warning("what the processes share cannot be reached: %s", self._error)
        self._quiet = True
        self._clock.call_at(self._clock.time() + QUIET, self._log)
