"""What all sessions of an application share, and how many there may be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from typing import Protocol

from sockjs_bridge.core.broadcasts import Broadcasts
from sockjs_bridge.core.claim import Claim
from sockjs_bridge.core.clock import DeadlineWheel
from sockjs_bridge.core.contracts import Clock, Recipient
from sockjs_bridge.core.history import History
from sockjs_bridge.core.joined import IN, REFUSED, Joined
from sockjs_bridge.core.monitor import Monitor
from sockjs_bridge.core.presences import Presences
from sockjs_bridge.core.rooms import Rooms


class TooManySessions(Exception):
    """No session may begin: there are ``max_sessions``, or the server stops; the text says it."""


class Places:
    """The sessions of one process, all its applications together.

    Attributes:
        taken: how many there are.
    """

    __slots__ = ("taken",)

    def __init__(self) -> None:
        self.taken = 0


class Capacity:
    """Counts the sessions of one process against the ``max_sessions`` of an application.

    Args:
        limit: how many there may be.
        places: what the applications of the process share; None where there is one application.
    """

    def __init__(self, limit: int, places: Places | None = None) -> None:
        self._limit = limit
        self._places = Places() if places is None else places

    @property
    def taken(self) -> int:
        """How many there are."""
        return self._places.taken

    def take(self) -> None:
        """Takes a place.

        Raises:
            TooManySessions: none is left.
        """
        if self._places.taken >= self._limit:
            raise TooManySessions("Too many sessions.")
        self._places.taken += 1

    def give_back(self) -> None:
        """Frees a place."""
        self._places.taken -= 1


class Sessions(Protocol):
    """The sessions of one endpoint, as `Hub` ends them."""

    def close(self, code: int, reason: str, within: float = 0.0) -> Iterator[None]:
        """Closes all, some at each step; from the call on none begins any more.

        Args:
            code: that clients hear (RFC 6455, 7.4).
            reason: that goes with it.
            within: seconds in which those that survive their connections are drained.
        """
        raise NotImplementedError

    @property
    def told(self) -> bool:
        """Whether every client has heard that its session is over."""
        raise NotImplementedError

    def finish(self) -> None:
        """Forgets those that are left."""
        raise NotImplementedError


class Hub:
    """What all sessions of an application share; used on the loop only, except for the rooms.

    Args:
        clock: of the server's loop.
        capacity: how many sessions there may be.
        rooms: of the application, where they are there before it is served.
        monitor: what is counted; nothing by default.
        history: of rooms that are more than lists of sessions; None where none is.
        presences: who is in the rooms, for applications; None where nobody asks.

    Attributes:
        clock: as given.
        capacity: as given.
        rooms: of the application.
        monitor: as given.
        wheel: the deadlines of the sessions.
        broadcasts: takes messages to many of them.
        claim: whether resumable sessions may be served.
        spread: seconds over which clients come back when this process has ended.
    """

    def __init__(
        self,
        clock: Clock,
        capacity: Capacity,
        rooms: Rooms[Recipient] | None = None,
        monitor: Monitor | None = None,
        history: History | None = None,
        presences: Presences | None = None,
    ) -> None:
        self.clock = clock
        self.capacity = capacity
        self.rooms: Rooms[Recipient] = Rooms() if rooms is None else rooms
        self.monitor = Monitor() if monitor is None else monitor
        self.wheel = DeadlineWheel(clock)
        self.broadcasts = Broadcasts(clock, self.monitor)
        self.claim = Claim()
        self.spread = 5.0
        self._presences = presences
        self._history = history
        if history is not None:
            history.start(clock, self.rooms, self.broadcasts)
        self._endpoints: list[Sessions] = []
        self._at_end: list[Callable[[], object]] = []

    def add(self, sessions: Sessions) -> None:
        """Adds the sessions of an endpoint."""
        self._endpoints.append(sessions)

    def join(self, session: Recipient, room: str, info: str = "", announce: bool = False) -> Joined:
        """Puts a session into a room; in any thread."""
        if self._history is not None:
            joined = self._history.join(session, room)
        else:
            joined = IN if self.rooms.join(session, room) else REFUSED
        if joined and self._presences is not None:
            self._presences.entered(session, room, info, announce)
        return joined

    def leave(self, session: Recipient, room: str) -> bool:
        """Takes a session out of a room; False when it was not in. In any thread."""
        left = (self._history or self.rooms).leave(session, room)
        if left and self._presences is not None:
            self._presences.left(session, (room,))
        return left

    def introduced(self, session: Recipient) -> None:
        """Hears that a session's client has said what it has of rooms; see `History`."""
        if self._history is not None:
            self._history.introduced(session)

    def leave_rooms(self, session: Recipient) -> frozenset[str]:
        """Takes a session that is over out of all rooms, and returns which those were."""
        rooms = (self._history or self.rooms).leave_all(session)
        if rooms and self._presences is not None:
            self._presences.left(session, rooms)
        return rooms

    def close(self, code: int, reason: str, within: float = 0.0) -> Iterator[None]:
        """Closes all sessions of all endpoints; none begins any more.

        Args:
            code: that clients hear (RFC 6455, 7.4).
            reason: that goes with it.
            within: see `Sessions.close`.

        Returns:
            What closes some sessions at each step, so that many cannot hold up the loop.
        """
        # All at once: while one is closed, no session begins in another.
        return chain.from_iterable([each.close(code, reason, within) for each in self._endpoints])

    @property
    def told(self) -> bool:
        """Whether every client has heard that its session is over."""
        return all(each.told for each in self._endpoints)

    def when_finished(self, callback: Callable[[], object]) -> None:
        """Calls back when no session is left: the server has stopped."""
        self._at_end.append(callback)

    def finish(self) -> None:
        """Forgets the sessions that are left: the server has stopped."""
        for each in self._endpoints:
            each.finish()
        for callback in self._at_end:
            callback()
