"""The contract of who hears the rooms of a cluster in one process."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from sockjs_bridge.cluster.store import Entry, Position


class Audience(Protocol):
    """Who hears rooms in this process; `ClusterHub` calls it, on the loop.

    `hear`, `gap` and `settled` may call sessions, and with that lead to the application.
    """

    def occupied(self, room: str) -> bool:
        """Tells whether somebody is in a room."""
        raise NotImplementedError

    def began(self, room: str, position: Position) -> None:
        """A room with history is heard; messages behind a position follow, then `settled`."""
        raise NotImplementedError

    def settled(self, room: str) -> None:
        """All that was asked of a room is there: it goes on from `ClusterHub.position`."""
        raise NotImplementedError

    def hear(
        self, room: str, position: Position | None, entry: Entry, exclude: Collection[object]
    ) -> None:
        """Takes a room's next message.

        Args:
            room: its name.
            position: of the message, None in a room without history.
            entry: the message.
            exclude: sessions that do not get it.
        """
        raise NotImplementedError

    def gap(self, room: str, position: Position) -> None:
        """Messages of a room are missing for good; it goes on behind a position."""
        raise NotImplementedError
