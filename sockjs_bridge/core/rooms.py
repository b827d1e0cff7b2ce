"""Who is in which room."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

from sockjs_bridge.core.contracts import Member

M = TypeVar("M", bound=Member)

#: Seconds between the beginnings of two stays, at least: more than a microsecond today, of which a
#: float has four steps, so that they differ in whole ones too (`Presences`).
APART = 2e-6


class Stay(NamedTuple):
    """A session's stay in a room.

    Attributes:
        since: when it began, in seconds since 1970; no two of a process are in the
            same microsecond.
        info: what is told of it, a JSON object; empty where nothing is.
        announced: members are told of its beginning and its end.
    """

    since: float
    info: str = ""
    announced: bool = False


class Rooms(Generic[M]):
    """The rooms of one application: each exists as long as a session is in it.

    Every method may be called in any thread, and takes effect before it returns.

    Args:
        now: returns seconds since 1970.
    """

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._lock = threading.Lock()
        self._now = now
        self._latest = 0.0
        # In the order of joining; most stays are nothing but their beginning.
        self._members: dict[str, dict[M, float | Stay]] = {}
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
            members = self._members.setdefault(room, {})
            if session not in members:
                self._latest = members[session] = max(self._now(), self._latest + APART)
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

    def note(self, session: M, room: str, info: str, announced: bool) -> None:
        """Notes what is told of a session that is in a room.

        Args:
            session: the session; nothing happens where it is not in.
            room: the name of the room.
            info: a JSON object; empty leaves what was told before.
            announced: members are told; they are, too, where they were before.
        """
        with self._lock:
            members = self._members.get(room, {})
            if session in members:
                since, told, known = _stay(members[session])
                members[session] = Stay(since, info or told, announced or known)

    def stays(self, room: str) -> list[tuple[M, Stay]]:
        """Lists who is in a room, with what is known of it, in the order in which they joined."""
        with self._lock:
            members = list(self._members.get(room, {}).items())
        return [(session, _stay(known)) for session, known in members]

    def stay(self, session: M, room: str) -> Stay | None:
        """Returns what is known of a session in a room; None where it is not in."""
        with self._lock:
            known = self._members.get(room, {}).get(session)
        return None if known is None else _stay(known)

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


def _stay(known: float | Stay) -> Stay:
    return known if isinstance(known, Stay) else Stay(known)
