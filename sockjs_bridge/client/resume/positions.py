"""What a client has of rooms with history: told to the server where a new session begins."""

from __future__ import annotations

import json


class Positions(dict[str, str]):
    """The last position of each room, by the room's key; what was heard last is last."""

    def hear(self, room: str, position: str) -> None:
        """Notes how far a room is.

        Args:
            room: its key.
            position: epoch and number.
        """
        self.pop(room, None)
        self[room] = position

    def fit(self, size: int) -> int:
        """Forgets the oldest until the rest may go with a request.

        A server that is another process than the one before has other keys for the same rooms, so
        that some of those that are kept are of no use any more.

        Args:
            size: bytes of JSON.

        Returns:
            How many bytes they are.
        """
        while (taken := len(json.dumps(self))) > size and self:
            del self[next(iter(self))]
        return taken
