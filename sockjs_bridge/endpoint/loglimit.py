"""Keeps what strangers cause from filling the log, and the memory."""

from __future__ import annotations

from collections.abc import Hashable
from typing import ClassVar


class LogLimit:
    """Tells what to log: each thing once a minute, and no more than a hundred things in that time.

    Attributes:
        INTERVAL: seconds in which a thing is logged once.
        REMEMBERED: how many things are logged in that time.
    """

    INTERVAL: ClassVar[float] = 60.0
    REMEMBERED: ClassVar[int] = 100

    def __init__(self) -> None:
        # When each was logged; the first is the oldest.
        self._logged: dict[Hashable, float] = {}

    def __len__(self) -> int:
        return len(self._logged)

    def allows(self, thing: Hashable, now: float) -> bool:
        """Tells whether a thing is to be logged, and takes it that it is.

        Args:
            thing: what tells it from others.
            now: in seconds of a monotonic clock.
        """
        logged = self._logged
        while logged and now - next(iter(logged.values())) >= self.INTERVAL:
            del logged[next(iter(logged))]
        if thing in logged or len(logged) >= self.REMEMBERED:
            return False
        logged[thing] = now
        return True
