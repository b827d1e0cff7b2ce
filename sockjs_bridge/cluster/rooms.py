"""Who gets what of a room with history: live, and what was missed before.

Two kinds of sessions are in a room. Most know nothing of places, and get what is broadcast while
they are in. The others have said what they have of rooms (`ResumableSession.positions`), and count
on it that nothing of a room is missing between two places that they hear of.

A message gets its place on the loop, where it is sent, so that all hear a room's messages in the
order of their places. A broadcast may be called in another thread, and is on its way for a while
(`_Flight`); so is what `join` has found out (`_Entry`), which gathers what is sent meanwhile. Who
gets a message when it is there:

* who was in the room when `broadcast` was called; of these, who has an entry gets it at its turn;
* whose place was known gets it too, where it came later: it lacks nothing that has a higher place.

All others who count on places, and are in the room by then, hear of the place alone.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TypeGuard

from sockjs_bridge.cluster.engine import Bounds, Engine, Message
from sockjs_bridge.cluster.memory import MemoryEngine
from sockjs_bridge.core.broadcasts import Broadcasts
from sockjs_bridge.core.contracts import Clock, Recipient
from sockjs_bridge.core.frames import Place, Placed
from sockjs_bridge.core.joined import IN, REFUSED, Joined
from sockjs_bridge.core.rooms import Rooms
from sockjs_bridge.resume.lines import At, Item, Missed
from sockjs_bridge.resume.session import ResumableSession

#: How many names of rooms are remembered with what was found for them: each broadcast asks.
REMEMBERED = 10000


class _Entry:
    """A session that enters a room.

    Attributes:
        session: the session.
        place: of the last message before it.
        recovered: see `Joined.recovered`.
        items: what it gets at its turn, behind the place.
        decided: what its client has of the room is known.
        continues: its client has told its place, and all since is to follow.
    """

    __slots__ = ("continues", "decided", "items", "place", "recovered", "session")

    def __init__(self, session: ResumableSession) -> None:
        self.session = session
        self.place: Place | None = None
        self.recovered: bool | None = None
        self.items: list[Placed | At] = []
        self.decided = self.continues = False

    def found(self, position: str | None, place: Place, missed: list[Message] | None) -> None:
        """Hears what the engine has.

        Args:
            position: that was asked for.
            place: of the last message.
            missed: the messages since.
        """
        if missed is not None:
            size = sum(len(message.quoted) + 1 for message in missed)
            if size > self.session.max_catch_up:
                # It would be closed as a slow consumer, each time that it comes back.
                missed = None
        if missed is not None:
            gathered = [item for item in self.items if item.place.number > place.number]
            self.items = [*(self._item(message) for message in missed), *gathered]
            self.recovered = True
        elif position is not None:
            self.recovered = self.continues = False
        if missed is not None or self.place is None:
            self.place = place

    def _item(self, message: Message) -> Placed | At:
        return At(message.place) if self.session.client in message.excluded else message.quoted

    def told(self, name: str) -> Iterable[Item]:
        """Returns what the session gets at its turn.

        Args:
            name: of the room.
        """
        assert self.place is not None
        if self.session.positions is None:
            return [item for item in self.items if isinstance(item, Placed)]
        if self.recovered and self.items:
            return self.items
        missed = [Missed(self.place.room, name)] if self.recovered is False else []
        return [*missed, At(self.place), *self.items]


class _Flight:
    """A broadcast on its way to the loop.

    Attributes:
        sessions: who was in the room when it was called.
        late: the entries of those who have come since.
    """

    __slots__ = ("late", "sessions")

    def __init__(self, sessions: list[Recipient]) -> None:
        self.sessions = sessions
        self.late: list[_Entry] = []


class _Present:
    """What happens to a room at present.

    Attributes:
        entries: of those who enter it.
        flights: the broadcasts on their way.
    """

    __slots__ = ("entries", "flights")

    def __init__(self) -> None:
        self.entries: dict[Recipient, _Entry] = {}
        self.flights: list[_Flight] = []


class HistoryRooms:
    """The rooms with history of one application; fulfils `core.history.History`.

    Args:
        make_engine: makes what keeps the messages, of what returns seconds of the clock.
    """

    def __init__(self, make_engine: Callable[[Callable[[], float]], Engine] = MemoryEngine) -> None:
        self._make_engine = make_engine
        self._patterns: list[tuple[re.Pattern[str], Bounds]] = []
        self._found: dict[str, Bounds | None] = {}
        # Around what is below; the engine is called within it, and rooms are asked.
        self._lock = threading.Lock()
        self._present: dict[str, _Present] = {}
        self._tending = False

    def declare(self, pattern: str, bounds: Bounds) -> None:
        """Gives a history to rooms; where several patterns match a name, the first one holds.

        Args:
            pattern: of their names; ``*`` stands for any characters.
            bounds: how much is kept of each of them.
        """
        expression = ".*".join(map(re.escape, pattern.split("*")))
        self._patterns.append((re.compile(expression, re.DOTALL), bounds))
        self._found.clear()

    def start(self, clock: Clock, rooms: Rooms[Recipient], broadcasts: Broadcasts) -> None:
        """Begins, with nothing kept."""
        self._clock, self._rooms, self._broadcasts = clock, rooms, broadcasts
        self._engine = self._make_engine(clock.time)
        self._present.clear()
        self._tending = False

    def _bounds(self, room: str) -> Bounds | None:
        try:
            return self._found[room]
        except KeyError:
            found = next((bounds for each, bounds in self._patterns if each.fullmatch(room)), None)
        if len(self._found) >= REMEMBERED:
            self._found.clear()
        self._found[room] = found
        return found

    def keeps(self, room: str) -> bool:
        """Tells whether a room has a history."""
        return self._bounds(room) is not None

    # Who enters

    def join(self, session: Recipient, room: str) -> Joined:
        """Puts a session into a room; what it has missed of it follows."""
        bounds = self._bounds(room)
        if bounds is None or not _counts_on_places(session):
            return IN if self._rooms.join(session, room) else REFUSED
        with self._lock, self._at(room) as present:
            entry = present.entries.get(session)
            if entry is None and room not in self._rooms.of(session):
                # Before it is in: from then on it is sent to.
                entry = present.entries[session] = _Entry(session)
                self._decide(entry, room, bounds)
            if not self._rooms.join(session, room):
                present.entries.pop(session, None)
                return REFUSED
        if entry is None:
            return IN
        self._clock.call_from_thread(self._enter, session, room)
        return Joined(True, entry.recovered)

    def _decide(self, entry: _Entry, room: str, bounds: Bounds) -> None:
        """Finds out what a session lacks, once its client has said what it has."""
        session, position = entry.session, None
        if session.proof is not None:
            entry.decided = True
            if session.positions is not None:
                position = self._position(session.positions, room)
        entry.continues = position is not None
        self._engine.since(room, position, bounds, partial(entry.found, position))

    def _position(self, positions: dict[str, str], room: str) -> str | None:
        """Returns what a client has said that it has of a room; asked once."""
        key = self._engine.key(room)
        position = positions.get(key)
        if position is None:
            # Of any room, perhaps this one: a gap that is told in vain is better than a silent one.
            position = next(filter(self._engine.foreign, positions.values()), None)
        # What it has later, it has from this session.
        positions[key] = ""
        return position or None

    def introduced(self, session: Recipient) -> None:
        """Hears that a session's client has said what it has of rooms."""
        for room in self._rooms.of(session):
            self._enter(session, room)

    def _enter(self, session: Recipient, room: str) -> None:
        """Lets a session have what it has missed, on the loop."""
        bounds = self._bounds(room)
        with self._lock, self._at(room) as present:
            entry = present.entries.get(session)
            if bounds is None or entry is None or entry.session.proof is None:
                return
            if not entry.decided:
                self._decide(entry, room, bounds)
            del present.entries[session]
            for flight in present.flights:
                flight.late.append(entry)
        if entry.recovered is False:
            self._broadcasts.monitor.missed(1)
        self._tend()
        entry.session.queue(entry.told(room))

    def leave_all(self, session: Recipient) -> frozenset[str]:
        """Takes a session that is over out of all rooms."""
        rooms = self._rooms.leave_all(session)
        if isinstance(session, ResumableSession) and session.proof is None:
            # Nobody will introduce it any more.
            with self._lock:
                for room in [*self._present]:
                    with self._at(room) as present:
                        present.entries.pop(session, None)
        return rooms

    @contextmanager
    def _at(self, room: str) -> Iterator[_Present]:
        """Gives what happens to a room, and keeps it as long as something does."""
        present = self._present.get(room) or _Present()
        self._present[room] = present
        try:
            yield present
        finally:
            if not present.entries and not present.flights:
                del self._present[room]

    # What is sent

    def broadcast(self, room: str, text: str, exclude: Collection[object]) -> int:
        """Keeps a message, and sends it to all who are in a room."""
        with self._lock, self._at(room) as present:
            flight = _Flight(self._rooms.members(room))
            present.flights.append(flight)
        self._clock.call_from_thread(self._send, room, text, flight, exclude)
        return len(flight.sessions) - len(set(flight.sessions).intersection(exclude))

    def _send(self, room: str, text: str, flight: _Flight, exclude: Collection[object]) -> None:
        bounds = self._bounds(room)
        assert bounds is not None
        clients = (each.client for each in exclude if isinstance(each, ResumableSession))
        excluded = frozenset(client for client in clients if client is not None)
        kept = partial(self._kept, room, flight, exclude)
        self._engine.add(room, text, excluded, bounds, kept)
        self._tend()

    def _kept(
        self, room: str, flight: _Flight, exclude: Collection[object], message: Message
    ) -> None:
        """Sends a message that has its place."""
        sessions, place = flight.sessions, message.place
        passed_over: list[Recipient] = []
        with self._lock, self._at(room) as present:
            present.flights.remove(flight)
            if present.entries:
                self._gather(flight, present, message, exclude)
                sessions = [each for each in sessions if each not in present.entries]
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
        for session, entry in present.entries.items():
            if entry.place is not None and entry.place.number < message.place.number:
                entitled = (entry.continues or session in was_in) and session not in exclude
                entry.items.append(message.quoted if entitled else At(message.place))

    def _late(self, flight: _Flight, room: str) -> list[_Entry]:
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


def _counts_on_places(session: Recipient) -> TypeGuard[ResumableSession]:
    """Tells whether a session's client understands places, or has yet to say so."""
    return isinstance(session, ResumableSession) and (
        session.proof is None or session.positions is not None
    )
