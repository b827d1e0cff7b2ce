"""Which rooms have a history, as the application has declared them."""

from __future__ import annotations

import re

from sockjs_bridge.cluster.engine import Bounds

#: How many names of rooms are remembered with what was found for them: each broadcast asks.
REMEMBERED = 10000


class DeclaredRooms:
    """The patterns of rooms with history of one application; in any thread.

    Attributes:
        declared: what is kept of rooms, by the patterns of their names.
    """

    def __init__(self) -> None:
        self.declared: dict[str, Bounds] = {}
        self._patterns: list[tuple[re.Pattern[str], Bounds]] = []
        self._found: dict[str, Bounds | None] = {}

    def declare(self, pattern: str, bounds: Bounds) -> None:
        """Gives a history to rooms; where several patterns match a name, the first one holds.

        Args:
            pattern: of their names; ``*`` stands for any characters.
            bounds: how much is kept of each of them.
        """
        self.declared[pattern] = bounds
        expression = ".*".join(map(re.escape, pattern.split("*")))
        self._patterns.append((re.compile(expression, re.DOTALL), bounds))
        self._found.clear()

    def bounds(self, room: str) -> Bounds | None:
        """Returns how much is kept of a room, None where it has no history."""
        try:
            return self._found[room]
        except KeyError:
            found = next((bounds for each, bounds in self._patterns if each.fullmatch(room)), None)
        if len(self._found) >= REMEMBERED:
            self._found.clear()
        self._found[room] = found
        return found
