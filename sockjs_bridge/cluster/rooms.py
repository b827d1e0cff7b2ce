"""Who gets what of a room with history: live, and what was missed before.

Two kinds of sessions are in a room. Most know nothing of places, and get what is broadcast while
they are in. The others have said what they have of rooms (`ResumableSession.positions`), and count
on it that nothing of a room is missing between two places that they hear of.

A message gets its place on the loop, where it is sent, so that all hear a room's messages in the
order of their places. A broadcast may be called in another thread, and is on its way for a while
(`_Flight`); so is what `join` has found out (`Entrant`), which gathers what is sent meanwhile. Who
gets a message when it is there:

* who was in the room when `broadcast` was called; of these, an `Entrant` gets it at its turn;
* whose place was known gets it too, where it came later: it lacks nothing that has a higher place.

All others who count on places, and are in the room by then, hear of the place alone.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import partial

from sockjs_bridge.cluster.declared import DeclaredRooms
from sockjs_bridge.cluster.engine import Bounds, Engine, Message
from sockjs_bridge.cluster.entrants import Entrant, clients_of, counts_on_places
from sockjs_bridge.cluster.memory import MemoryEngine
from sockjs_bridge.core.broadcasts import Broadcasts
from sockjs_bridge.core.contracts import Clock, Recipient
from sockjs_bridge.core.history import EVERYBODY, Published
from sockjs_bridge.core.joined import IN, REFUSED, Joined
from sockjs_bridge.core.rooms import Rooms
from sockjs_bridge.resume.lines import At
from sockjs_bridge.resume.session import ResumableSession


class _Flight:
    """A broadcast on its way to the loop.

    Attributes:
        sessions: who was in the room when it was called.
        late: the entrants of those who have come since.
    """

    __slots__ = ("late", "sessions")

    def __init__(self, sessions: list[Recipient]) -> None:
        self.sessions = sessions
        self.late: list[Entrant] = []


class _Present:
    """What happens to a room at present.

    Attributes:
        entrants: of those who enter it.
        flights: the broadcasts on their way.
    """

    __slots__ = ("entrants", "flights")

    def __init__(self) -> None:
        self.entrants: dict[Recipient, Entrant] = {}
        self.flights: list[_Flight] = []


class HistoryRooms(DeclaredRooms):
    """The rooms with history of one application; fulfils `core.history.History`.

    Args:
        make_engine: makes what keeps the messages, of what returns seconds of the clock.
    """

    def __init__(self, make_engine: Callable[[Callable[[], float]], Engine] = MemoryEngine) -> None:
        super().__init__()
        self._make_engine = make_engine
        # Around what is below; the engine is called within it, and rooms are asked.
        self._lock = threading.Lock()
        self._present: dict[str, _Present] = {}
        self._tending = False

    def start(self, clock: Clock, rooms: Rooms[Recipient], broadcasts: Broadcasts) -> None:
        """Begins, with nothing kept."""
        self._clock, self._rooms, self._broadcasts = clock, rooms, broadcasts
        self._engine = self._make_engine(clock.time)
        self._present.clear()
        self._tending = False

    def carries(self, room: str) -> bool:
        """Tells whether a room has a history."""
        return room != EVERYBODY and self.bounds(room) is not None

    # Who enters

    def join(self, session: Recipient, room: str) -> Joined:
        """Puts a session into a room; what it has missed of it follows."""
        bounds = self.bounds(room)
        if bounds is None or not counts_on_places(session):
            return IN if self._rooms.join(session, room) else REFUSED
        with self._lock, self._at(room) as present:
            entrant = present.entrants.get(session)
            if entrant is None and room not in self._rooms.of(session):
                # Before it is in: from then on it is sent to.
                entrant = present.entrants[session] = Entrant(session)
                self._decide(entrant, room, bounds)
            if not self._rooms.join(session, room):
                present.entrants.pop(session, None)
                return REFUSED
        if entrant is None:
            return IN
        self._clock.call_from_thread(self._enter, session, room)
        return Joined(True, entrant.recovered)

    def _decide(self, entrant: Entrant, room: str, bounds: Bounds) -> None:
        """Finds out what a session lacks, once its client has said what it has."""
        session, position = entrant.session, None
        if session.proof is not None:
            entrant.decided = True
            position = entrant.position(self._engine.key(room), self._engine.foreign)
        entrant.continues = position is not None
        self._engine.since(room, position, bounds, partial(entrant.found, position))

    def introduced(self, session: Recipient) -> None:
        """Hears that a session's client has said what it has of rooms."""
        for room in self._rooms.of(session):
            self._enter(session, room)

    def _enter(self, session: Recipient, room: str) -> None:
        """Lets a session have what it has missed, on the loop."""
        bounds = self.bounds(room)
        with self._lock, self._at(room) as present:
            entrant = present.entrants.get(session)
            if bounds is None or entrant is None or entrant.session.proof is None:
                return
            if not entrant.decided:
                self._decide(entrant, room, bounds)
            del present.entrants[session]
            for flight in present.flights:
                flight.late.append(entrant)
        if entrant.recovered is False:
            self._broadcasts.monitor.missed(1)
        self._tend()
        entrant.session.queue(entrant.told(room))

    def leave(self, session: Recipient, room: str) -> bool:
        """Takes a session out of a room."""
        return self._rooms.leave(session, room)

    def leave_all(self, session: Recipient) -> frozenset[str]:
        """Takes a session that is over out of all rooms."""
        rooms = self._rooms.leave_all(session)
        if isinstance(session, ResumableSession) and session.proof is None:
            # Nobody will introduce it any more.
            with self._lock:
                for room in [*self._present]:
                    with self._at(room) as present:
                        present.entrants.pop(session, None)
        return rooms

    @contextmanager
    def _at(self, room: str) -> Iterator[_Present]:
        """Gives what happens to a room, and keeps it as long as something does."""
        present = self._present.get(room) or _Present()
        self._present[room] = present
        try:
            yield present
        finally:
            if not present.entrants and not present.flights:
                del self._present[room]

    # What is sent

    def broadcast(
        self,
        room: str,
        text: str,
        exclude: Collection[object],
        published: Published | None = None,
    ) -> int:
        """Keeps a message, and sends it to all who are in a room."""
        with self._lock, self._at(room) as present:
            flight = _Flight(self._rooms.members(room))
            present.flights.append(flight)
        self._clock.call_from_thread(self._send, room, text, flight, exclude, published)
        return len(flight.sessions) - len(set(flight.sessions).intersection(exclude))

    def _send(
        self,
        room: str,
        text: str,
        flight: _Flight,
        exclude: Collection[object],
        published: Published | None,
    ) -> None:
        bounds = self.bounds(room)
        assert bounds is not None
        kept = partial(self._kept, room, flight, exclude, published)
        self._engine.add(room, text, clients_of(exclude), bounds, kept)
        self._tend()

    def _kept(
        self,
        room: str,
        flight: _Flight,
        exclude: Collection[object],
        published: Published | None,
        message: Message,
    ) -> None:
        """Sends a message that has its place."""
        if published is not None:
            published(None)
        sessions, place = flight.sessions, message.place
        passed_over: list[Recipient] = []
        with self._lock, self._at(room) as present:
            present.flights.remove(flight)
            if present.entrants:
                self._gather(flight, present, message, exclude)
                sessions = [each for each in sessions if each not in present.entrants]
            if flight.late:
                late = self._late(flight, room)
                sessions = [*sessions, *(each.session for each in late if each.continues)]
                passed_over += [each.session for each in late if not each.continues]
        left_out = set(sessions).intersection(exclude) if exclude else frozenset[Recipient]()
        if len(left_out) < len(sessions):
            self._broadcasts.send(sessions, message.text, left_out, place)
        for session in (*left_out, *passed_over):
            if isinstance(session, ResumableSession) and session.positions is not None:
                session.queue([At(place)])

    @staticmethod
    def _gather(
        flight: _Flight, present: _Present, message: Message, exclude: Collection[object]
    ) -> None:
        """Keeps a message for those who wait for their turn, or that it passes them over."""
        was_in = {*flight.sessions}
        for session, entrant in present.entrants.items():
            entitled = (entrant.continues or session in was_in) and session not in exclude
            entrant.gather(message, entitled)

    def _late(self, flight: _Flight, room: str) -> list[Entrant]:
        """Lists who has come while a message was on its way, and is there."""
        there = {*self._rooms.members(room)}.difference(flight.sessions)
        return [each for each in flight.late if each.session in there]

    # What nobody may ask for any more

    def _tend(self) -> None:
        """Has what is too old forgotten, from time to time."""
        if not self._tending:
            self._tending = True
            self._expire()

    def _expire(self) -> None:
        due = self._engine.expire(self._clock.time(), self._rooms.occupied)
        self._tending = due is not None
        if due is not None:
            self._clock.call_at(due, self._expire)
