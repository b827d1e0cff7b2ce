"""Who gets what of a room whose messages go through the store of a cluster.

All rooms do, with a history or without, and what is sent to all connections as well. A message is
for who is in the room when it comes back from the store: its order there is the order in which all
hear it. Of a room with history, who counts on places (`counts_on_places`) is an `Entrant` until it
is known what it lacks, and gathers what is heard meanwhile.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable
from functools import partial

from sockjs_bridge.cluster.declared import DeclaredRooms
from sockjs_bridge.cluster.engine import Bounds, Message
from sockjs_bridge.cluster.entrants import clients_of, counts_on_places
from sockjs_bridge.cluster.hub import ClusterHub
from sockjs_bridge.cluster.joining import ClusterEntrant, Joining
from sockjs_bridge.cluster.places import Places
from sockjs_bridge.cluster.store import Entry, Position, Since, Store, StoreError
from sockjs_bridge.core.broadcasts import Broadcasts
from sockjs_bridge.core.contracts import Clock, Recipient
from sockjs_bridge.core.history import EVERYBODY, Published
from sockjs_bridge.core.joined import IN, REFUSED, Joined
from sockjs_bridge.core.monitor import Monitor
from sockjs_bridge.core.rooms import Rooms
from sockjs_bridge.resume.lines import At, Missed
from sockjs_bridge.resume.session import ResumableSession


class ClusterRooms(DeclaredRooms):
    """All rooms of one application in a cluster; fulfils `core.history.History` and `Audience`.

    Args:
        store: what the processes share.
        node: the name of this process.
        everybody: lists all open sessions of the application; in any thread.
        monitor: what is counted.

    Attributes:
        hub: what hears the store; there after `start`.
    """

    hub: ClusterHub

    def __init__(
        self,
        store: Store,
        node: str,
        everybody: Callable[[], list[Recipient]],
        monitor: Monitor | None = None,
    ) -> None:
        super().__init__()
        self._store = store
        self._node = node
        self._everybody = everybody
        self._monitor = monitor or Monitor()
        # Around who enters, by rooms; rooms are asked within it.
        self._lock = threading.Lock()
        self._entrants: dict[str, dict[Recipient, ClusterEntrant]] = {}
        self._places = Places(store)

    def start(self, clock: Clock, rooms: Rooms[Recipient], broadcasts: Broadcasts) -> None:
        """Begins; the store is started next."""
        self._clock, self._rooms, self._broadcasts = clock, rooms, broadcasts
        self.hub = ClusterHub(self._store, self._node, clock, self.bounds, self, self._monitor)
        self.hub.start()

    def bounds(self, room: str) -> Bounds | None:
        """Returns how much is kept of a room, None where it has no history."""
        return None if room == EVERYBODY else super().bounds(room)

    def carries(self, room: str) -> bool:
        """Tells that all that is sent goes through the store."""
        return True

    # Who enters, and leaves

    def join(self, session: Recipient, room: str) -> Joined:
        """Puts a session into a room; what it has missed of it follows.

        It hears what is published from the room's subscription on: at once where somebody of this
        process is in the room, else when the store has confirmed it.
        """
        entrant: ClusterEntrant | None = None
        with self._lock:
            if room in self._rooms.of(session):
                entrant = self._entrants.get(room, {}).get(session)
                return IN if entrant is None or entrant.joining is None else entrant.joining
            if counts_on_places(session) and self.bounds(room) is not None:
                # Before it is in: from then on it is sent to.
                entrant = ClusterEntrant(session)
                self._entrants.setdefault(room, {})[session] = entrant
                if session.positions:
                    entrant.joining = Joining()
            if not self._rooms.join(session, room):
                self._drop(session, room)
                return REFUSED
        self._clock.call_from_thread(self._enter, session, room)
        if entrant is None or entrant.joining is None:
            return IN
        return entrant.joining

    def introduced(self, session: Recipient) -> None:
        """Hears that a session's client has said what it has of rooms."""
        for room in self._rooms.of(session):
            self._enter(session, room)

    def _enter(self, session: Recipient, room: str) -> None:
        """Has a room heard that a session is in, and lets the session have what it has missed."""
        if room not in self._rooms.of(session):
            return
        self.hub.occupy(room)
        entrant = self._entrants.get(room, {}).get(session)
        if entrant is not None:
            self._go_on(entrant, room)

    def settled(self, room: str) -> None:
        """Lets those have their turn who wait for it; see `Audience.settled`."""
        for entrant in [*self._entrants.get(room, {}).values()]:
            self._go_on(entrant, room)

    def _go_on(self, entrant: ClusterEntrant, room: str) -> None:
        """Does what can be done for who enters a room."""
        last = self.hub.position(room)
        if last is None or not self._enters(entrant, room):
            return
        if entrant.place is None:
            # From here on it gathers.
            entrant.place = self._places.place(room, last)
        if entrant.session.proof is None:
            return
        if not entrant.decided:
            entrant.decided = True
            text = entrant.position(self._places.key(room), self._places.foreign)
            if text is not None and entrant.recovered is None:
                position = self._places.position(text)
                if position is None:
                    entrant.recovered = False
                elif position == last:
                    entrant.found(text, self._places.place(room, last), [])
                else:
                    entrant.continues = True
                    self.hub.since(room, position, partial(self._caught_up, entrant, room, text))
        if not entrant.continues:
            self._finish(entrant, room)

    def _caught_up(self, entrant: ClusterEntrant, room: str, text: str, since: Since) -> None:
        """Hears what a client has missed."""
        if entrant.continues:
            entrant.continues = False
            missed = None
            if since.entries is not None:
                missed = [self._message(room, *each) for each in since.entries]
            entrant.found(text, self._places.place(room, since.top), missed)
        self._go_on(entrant, room)

    def _enters(self, entrant: ClusterEntrant, room: str) -> bool:
        return self._entrants.get(room, {}).get(entrant.session) is entrant

    def _finish(self, entrant: ClusterEntrant, room: str) -> None:
        with self._lock:
            self._drop(entrant.session, room)
        if entrant.recovered is False:
            self._monitor.missed(1)
        entrant.session.queue(entrant.told(room))

    def _drop(self, session: Recipient, room: str) -> None:
        """Forgets that a session enters a room; under the lock."""
        entrants = self._entrants.get(room, {})
        entrant = entrants.pop(session, None)
        if not entrants:
            self._entrants.pop(room, None)
        if entrant is not None:
            entrant.over()

    def leave(self, session: Recipient, room: str) -> bool:
        """Takes a session out of a room."""
        left = self._rooms.leave(session, room)
        if left:
            self._left(session, [room])
        return left

    def leave_all(self, session: Recipient) -> frozenset[str]:
        """Takes a session that is over out of all rooms."""
        rooms = self._rooms.leave_all(session)
        if rooms:
            self._left(session, rooms)
        return rooms

    def _left(self, session: Recipient, rooms: Iterable[str]) -> None:
        with self._lock:
            for room in rooms:
                self._drop(session, room)
        self._clock.call_from_thread(self._vacate, [*rooms])

    def _vacate(self, rooms: list[str]) -> None:
        for room in rooms:
            self.hub.vacate(room)

    def occupied(self, room: str) -> bool:
        """Tells whether somebody of this process is in a room; see `Audience.occupied`."""
        return room == EVERYBODY or self._rooms.occupied(room)

    # What is sent

    def broadcast(
        self,
        room: str,
        text: str,
        exclude: Collection[object],
        published: Published | None = None,
    ) -> int:
        """Sends a message to all who are in a room, in all processes.

        Returns:
            To how many of this process it goes, if they are there still when it comes back; 0 where
            it cannot be published.
        """
        sessions = self._sessions(room)
        self._clock.call_from_thread(self._publish, room, text, exclude, published)
        if self.hub.failing:
            return 0
        return len(sessions) - (len({*exclude}.intersection(sessions)) if exclude else 0)

    def _sessions(self, room: str) -> list[Recipient]:
        return self._everybody() if room == EVERYBODY else self._rooms.members(room)

    def _publish(
        self, room: str, text: str, exclude: Collection[object], published: Published | None
    ) -> None:
        def done(result: Position | StoreError | None) -> None:
            if published is not None:
                published(result if isinstance(result, StoreError) else None)

        self.hub.publish(room, text, exclude, clients_of(exclude), done)

    # What comes back

    def hear(
        self, room: str, position: Position | None, entry: Entry, exclude: Collection[object]
    ) -> None:
        """Sends a message on to who is in a room here; see `Audience.hear`."""
        sessions = self._sessions(room)
        left_out = self._left_out(sessions, entry, exclude)
        place = None
        if position is not None:
            place = self._places.place(room, position)
            entrants = self._entrants.get(room)
            if entrants:
                message = self._message(room, position, entry)
                for session, entrant in [*entrants.items()]:
                    entrant.gather(message, session not in left_out)
                sessions = [session for session in sessions if session not in entrants]
                left_out.intersection_update(sessions)
        if len(left_out) < len(sessions):
            self._broadcasts.send(sessions, entry.text, left_out, place)
        if place is not None:
            for session in left_out:
                if counts_on_places(session):
                    session.queue([At(place)])

    @staticmethod
    def _left_out(
        sessions: list[Recipient], entry: Entry, exclude: Collection[object]
    ) -> set[Recipient]:
        left_out = set(sessions).intersection(exclude) if exclude else set()
        if entry.excluded:
            left_out |= {
                each
                for each in sessions
                if isinstance(each, ResumableSession) and each.client in entry.excluded
            }
        return left_out

    def _message(self, room: str, position: Position, entry: Entry) -> Message:
        return Message(self._places.place(room, position), entry.text, entry.excluded)

    def began(self, room: str, position: Position) -> None:
        """Has those who enter gather what is heard from now on; see `Audience.began`."""
        for entrant in [*self._entrants.get(room, {}).values()]:
            entrant.place = self._places.place(room, position)

    def gap(self, room: str, position: Position) -> None:
        """Tells those of a gap who count on places; see `Audience.gap`."""
        place = self._places.place(room, position)
        entrants = self._entrants.get(room, {})
        for entrant in [*entrants.values()]:
            entrant.missed(place, room)
        told = 0
        for session in self._rooms.members(room):
            if session not in entrants and counts_on_places(session):
                told += 1
                session.queue([Missed(place.room, room, place), At(place)])
        if told:
            self._monitor.missed(told)
