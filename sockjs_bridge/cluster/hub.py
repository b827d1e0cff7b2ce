"""What goes out to the rooms of a cluster, and what comes in: one hub per process.

A room's messages go through the store, whose order is the room's order in all processes. A room is
subscribed while somebody here is in it, and *live* once the store has confirmed that and, if it has
a history, has said how far it is. What is published here before that waits: whoever has just
joined hears it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial

from sockjs_bridge.cluster.audience import Audience
from sockjs_bridge.cluster.engine import Bounds
from sockjs_bridge.cluster.positions import Heard, RoomPosition, Step
from sockjs_bridge.cluster.publisher import Publisher
from sockjs_bridge.cluster.store import Done, Entry, Position, Since, Store, StoreError
from sockjs_bridge.cluster.subscriptions import HeardRoom, Subscriptions
from sockjs_bridge.core.contracts import Clock
from sockjs_bridge.core.history import EVERYBODY
from sockjs_bridge.core.monitor import Monitor

#: Seconds between two looks at where silent rooms are: what nobody heard may be the last message.
LOOK = 30.0
#: Seconds until the store is asked again for what it could not say.
RETRY = 1.0


class ClusterHub:
    """Takes rooms' messages to the store and from it; fulfils `Listener` as far as rooms go.

    Used on the loop only.

    Args:
        store: what the processes share.
        node: the name of this process.
        clock: of the loop.
        bounds: tells how much is kept of a room, None where nothing is.
        audience: who hears.
        monitor: what is counted.
    """

    def __init__(
        self,
        store: Store,
        node: str,
        clock: Clock,
        bounds: Callable[[str], Bounds | None],
        audience: Audience,
        monitor: Monitor,
    ) -> None:
        self._store = store
        self._clock = clock
        self._audience = audience
        self._publisher = Publisher(store, node, clock, bounds, monitor)
        self._rooms = Subscriptions(store, clock, bounds, audience.occupied)
        self._resubscribed: list[HeardRoom] = []
        self._reachable = self._stopped = False
        self._unanswered: list[Callable[[], object]] = []
        self._retrying = False

    def start(self) -> None:
        """Begins; the store is started next."""
        self.occupy(EVERYBODY)
        self._clock.call_at(self._clock.time() + LOOK, self._tend)

    def stop(self) -> None:
        """Asks for nothing any more."""
        self._stopped = True
        self._rooms.stop()

    def occupy(self, room: str) -> None:
        """Hears a room: somebody is in it."""
        self._rooms.occupy(room)

    def vacate(self, room: str) -> None:
        """Hears a room a little longer: the last one has left it."""
        self._rooms.vacate(room)

    # What goes out

    @property
    def failing(self) -> bool:
        """Whether what was published last could not be; in any thread."""
        return self._publisher.failing

    def publish(
        self,
        room: str,
        text: str,
        exclude: Collection[object],
        clients: frozenset[str],
        done: Done[Position | None],
    ) -> None:
        """Publishes a message, which is heard here as everywhere when it comes back.

        Args:
            room: its name.
            text: the message.
            exclude: sessions of this process that do not get it.
            clients: see `Entry.excluded`.
            done: hears of its position, None where nothing is kept.
        """
        publish = partial(self._publisher.publish, room, text, exclude, clients, done)
        here = self._rooms.get(room)
        if here is None or not self._reachable or not here.hold(publish):
            publish()

    # What comes in

    def subscribed(self, name: str) -> None:
        """Hears that a room is heard; see `Listener.subscribed`."""
        room = self._rooms.get(name)
        if room is None:
            return
        if room.confirmed:
            self._resubscribed.append(room)
            return
        room.confirmed = True
        if room.position is None:
            room.release()
        else:
            self._ask(room)

    def heard(self, name: str, position: Position | None, entry: Entry) -> None:
        """Takes what was published to a room; see `Listener.heard`."""
        room = self._rooms.get(name)
        if room is None:
            return
        if room.position is None or position is None:
            # Without a position it was published by who knows no history of this room.
            self._hear(room, None, entry)
            return
        room.silent = False
        heard = room.position.heard(position, entry)
        if heard is Heard.NEXT:
            self._hear(room, position, entry)
        elif heard is Heard.HOLE:
            self._ask(room)

    def _hear(self, room: HeardRoom, position: Position | None, entry: Entry) -> None:
        self._audience.hear(room.name, position, entry, self._publisher.excluded(entry))

    def handled(self) -> None:
        """Looks at the rooms that were subscribed anew; see `Listener.handled`."""
        if self._resubscribed:
            rooms, self._resubscribed = self._resubscribed, []
            self._look(rooms)

    def connected(self, *, same: bool) -> None:
        """Looks where all rooms are; see `Listener.connected`."""
        self._reachable = True
        self._publisher.failing = False
        self._retry()
        self._look(self._rooms)

    def lost(self, error: StoreError) -> None:
        """Lets nothing wait for the store; see `Listener.lost`."""
        self._reachable = False
        for room in self._rooms:
            room.release()

    # Where rooms are, and what is missing

    def position(self, name: str) -> Position | None:
        """Returns where a room with history goes on from; None while that is not known."""
        room = self._rooms.get(name)
        if room is None or room.position is None or room.position.asking:
            return None
        return room.position.last

    def since(self, name: str, position: Position, done: Callable[[Since], object]) -> None:
        """Looks up what came behind a position of a client, for as long as the room is heard.

        Args:
            name: of a room of which `position` is known.
            position: as the client has it.
            done: hears of that, at a time when all up to its top has been heard, or is asked for.
        """
        room = self._rooms.get(name)
        assert room is not None
        where, bounds = _history(room)
        before = where.last
        assert before is not None

        def found(since: Since | StoreError) -> None:
            if not self._rooms.has(room):
                return
            if isinstance(since, StoreError):
                self._later(partial(self._since_again, room, position, done))
                return
            self._take(room, where.caught_up(position, before, since))
            done(since)

        self._store.since(name, position, bounds, found)

    def _since_again(
        self, room: HeardRoom, position: Position, done: Callable[[Since], object]
    ) -> None:
        if self._rooms.has(room):
            self.since(room.name, position, done)

    def _ask(self, room: HeardRoom) -> None:
        """Asks what a room has behind what was heard last."""
        if self._rooms.has(room):
            where, bounds = _history(room)
            self._store.since(room.name, where.last, bounds, partial(self._answered, room))

    def _answered(self, room: HeardRoom, since: Since | StoreError) -> None:
        if not self._rooms.has(room):
            return
        if isinstance(since, StoreError):
            # What waits would wait for as long as the store refuses, and nobody would know.
            room.release()
            self._later(partial(self._ask, room))
            return
        where, _ = _history(room)
        first = where.last is None
        step = where.answered(since)
        if first:
            assert step.gap is not None
            self._audience.began(room.name, step.gap)
            step = step._replace(gap=None)
        self._take(room, step)
        if not where.asking:
            self._audience.settled(room.name)
        if first:
            room.release()

    def _take(self, room: HeardRoom, step: Step) -> None:
        if step.gap is not None:
            self._audience.gap(room.name, step.gap)
        for position, entry in step.messages:
            self._hear(room, position, entry)
        if step.ask:
            self._ask(room)

    def _look(self, rooms: Iterable[HeardRoom]) -> None:
        """Finds out whether the last message of each room was heard."""
        asked: dict[str, tuple[HeardRoom, Position]] = {}
        for room in rooms:
            where = self.position(room.name)
            if where is not None and self._rooms.has(room):
                asked[room.name] = room, where

        def looked(tops: Mapping[str, Position | None] | StoreError) -> None:
            if isinstance(tops, StoreError):
                # There is another look at the next connection, or later.
                return
            for name, (room, before) in asked.items():
                if self._rooms.has(room) and _history(room)[0].looked(before, tops.get(name)):
                    self._ask(room)

        if asked:
            bounds = {name: _history(room)[1] for name, (room, _) in asked.items()}
            self._store.tops(bounds, looked)

    def _tend(self) -> None:
        """Does from time to time what nothing else leads to."""
        if self._stopped:
            return
        self._publisher.forget_old()
        self._look([room for room in self._rooms if room.silent])
        for room in self._rooms:
            room.silent = True
        self._clock.call_at(self._clock.time() + LOOK, self._tend)

    def _later(self, ask: Callable[[], object]) -> None:
        """Has the store asked again: when it can be reached, or in a while."""
        if self._stopped:
            return
        self._unanswered.append(ask)
        if self._reachable and not self._retrying:
            self._retrying = True
            self._clock.call_at(self._clock.time() + RETRY, self._retry_in_time)

    def _retry_in_time(self) -> None:
        self._retrying = False
        if self._reachable:
            self._retry()

    def _retry(self) -> None:
        unanswered, self._unanswered = self._unanswered, []
        for ask in unanswered:
            ask()


def _history(room: HeardRoom) -> tuple[RoomPosition, Bounds]:
    """Returns where a room with history is, and how much is kept of it."""
    assert room.position is not None and room.bounds is not None
    return room.position, room.bounds
