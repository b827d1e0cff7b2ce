"""Which rooms a process hears: those that somebody here is in, and a little longer."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sockjs_bridge.cluster.engine import Bounds
from sockjs_bridge.cluster.positions import RoomPosition
from sockjs_bridge.cluster.store import Store
from sockjs_bridge.core.contracts import Clock

#: Seconds that a room stays subscribed when the last one here has left it.
LINGER = 1.0
#: So many messages wait for a room to be live; what is published beyond does not.
MAX_HELD = 1000


class HeardRoom:
    """A room that is subscribed.

    Args:
        name: see `name`.
        bounds: see `bounds`.

    Attributes:
        name: of it.
        bounds: of its history, None where it has none.
        confirmed: what is published is heard.
        position: how far it is; None where it has no history.
        silent: nothing was heard of it since the last look.
    """

    __slots__ = ("_held", "bounds", "confirmed", "name", "position", "silent")

    def __init__(self, name: str, bounds: Bounds | None) -> None:
        self.name = name
        self.bounds = bounds
        self.confirmed = False
        self.position = None if bounds is None else RoomPosition()
        self.silent = False
        self._held: list[Callable[[], object]] = []

    @property
    def live(self) -> bool:
        """Whether it is subscribed, and how far it is is known."""
        return self.confirmed and (self.position is None or self.position.last is not None)

    def hold(self, publish: Callable[[], object]) -> bool:
        """Publishes when it is live; False where that is now, or too much waits already."""
        if self.live or len(self._held) >= MAX_HELD:
            return False
        self._held.append(publish)
        return True

    def release(self) -> None:
        """Publishes what waits."""
        held, self._held = self._held, []
        for publish in held:
            publish()


class Subscriptions:
    """The rooms that a process hears; used on the loop only.

    Args:
        store: where they are subscribed.
        clock: of the loop.
        bounds: tells how much is kept of a room, None where nothing is.
        occupied: tells whether somebody here is in a room.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        bounds: Callable[[str], Bounds | None],
        occupied: Callable[[str], bool],
    ) -> None:
        self._store = store
        self._clock = clock
        self._bounds = bounds
        self._occupied = occupied
        self._rooms: dict[str, HeardRoom] = {}
        # Each with when its subscription ends; the first one is the next.
        self._vacant: dict[str, float] = {}
        self._timer = False
        self._new: list[str] = []
        self._stopped = False

    def __iter__(self) -> Iterator[HeardRoom]:
        return iter([*self._rooms.values()])

    def get(self, name: str) -> HeardRoom | None:
        """Returns a room; None where it is not heard."""
        return self._rooms.get(name)

    def has(self, room: HeardRoom) -> bool:
        """Tells whether a room is heard still: another subscription has another object."""
        return self._rooms.get(room.name) is room

    def stop(self) -> None:
        """Changes nothing any more."""
        self._stopped = True

    def occupy(self, name: str) -> None:
        """Hears a room: somebody is in it."""
        self._vacant.pop(name, None)
        if name in self._rooms or self._stopped:
            return
        self._rooms[name] = HeardRoom(name, self._bounds(name))
        if not self._new:
            self._clock.call_soon(self._subscribe)
        self._new.append(name)

    def _subscribe(self) -> None:
        new, self._new = self._new, []
        self._store.subscribe(new)

    def vacate(self, name: str) -> None:
        """Hears a room a little longer: the last one has left it."""
        if name in self._rooms:
            self._vacant.pop(name, None)
            self._vacant[name] = self._clock.time() + LINGER
            self._end_later()

    def _end_later(self) -> None:
        if self._vacant and not self._timer:
            self._timer = True
            self._clock.call_at(next(iter(self._vacant.values())), self._end)

    def _end(self) -> None:
        self._timer = False
        now, ended = self._clock.time(), []
        for name, due in [*self._vacant.items()]:
            if due > now:
                break
            del self._vacant[name]
            if self._occupied(name):
                # The loop has yet to hear of it.
                continue
            if self._rooms[name].live:
                del self._rooms[name]
                ended.append(name)
            else:
                # Its confirmation must not be taken for that of a later subscription.
                self._vacant[name] = now + LINGER
        if ended and not self._stopped:
            self._store.unsubscribe(ended)
        self._end_later()
