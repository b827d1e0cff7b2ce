"""Whose the sessions of this process are, once others may take it for dead."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

#: The end of what holds for ever.
NEVER: Final = math.inf


class Claim:
    """That the resumable sessions of a process are its own. Without a cluster that always holds.

    A process that stood still may find that others have told its clients that their sessions are
    lost. It must notice that before it serves one of them.

    Attributes:
        until: so long nobody can take this process for dead, in seconds of the clock.
        doubt: asked from then on, with the time; returns what `holds` does, and may fence the
            sessions before.
    """

    __slots__ = ("doubt", "until")

    def __init__(self) -> None:
        self.until = NEVER
        self.doubt: Callable[[float], bool] = lambda now: True

    def holds(self, now: float) -> bool:
        """Tells whether a session may be served.

        Args:
            now: seconds of the clock.
        """
        return now < self.until or self.doubt(now)
