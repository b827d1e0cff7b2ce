"""Who is in which room."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

from sockjs_bridge.core.contracts import Member

M = TypeVar("M", bound=Member)


class Rooms(Generic[M]):
    """The rooms of one application: each exists as long as a session is in it.

    Every method may be called in any thread, and takes effect before it returns.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # In the order of joining.
        self._members: dict[str, dict[M, None]] = {}
        self._rooms: dict[M, set[str]] = {}

    def join(self, session: M, room: str) -> bool:
        """Puts a session into a room; it may be in already.

        Returns:
            False when the session is over.
        """
        with self._lock:
            # Under the lock: a session that ends meanwhile is taken out after this.
            if session.over:
                return False
            self._members.setdefault(room, {})[session] = None
            self._rooms.setdefault(session, set()).add(room)
            return True

    def leave(self, session: M, room: str) -> bool:
        """Takes a session out of a room.

        Returns:
            False when it was not in.
        """
        with self._lock:
            rooms = self._rooms.get(session, set())
            if room not in rooms:
                return False
            rooms.discard(room)
            if not rooms:
                del self._rooms[session]
            self._drop(session, room)
            return True

    def leave_all(self, session: M) -> frozenset[str]:
        """Takes a session out of all rooms, and returns which those were."""
        with self._lock:
            rooms = self._rooms.pop(session, set())
            for room in rooms:
                self._drop(session, room)
            return frozenset(rooms)

    def members(self, room: str) -> list[M]:
        """Lists the sessions in a room, in the order in which they joined."""
        with self._lock:
            return list(self._members.get(room, ()))

    def occupied(self, room: str) -> bool:
        """Tells whether a session is in a room."""
        with self._lock:
            return room in self._members

    def of(self, session: M) -> frozenset[str]:
        """Returns the rooms that a session is in."""
        with self._lock:
            return frozenset(self._rooms.get(session, ()))

    def names(self) -> list[str]:
        """Lists the rooms."""
        with self._lock:
            return list(self._members)

    def _drop(self, session: M, room: str) -> None:
        members = self._members[room]
        del members[session]
        if not members:
            del self._members[room]
