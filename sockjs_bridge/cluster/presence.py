"""Who is in which room, in all processes: each notes its own members in the store.

What the store is told follows from what is so (`Presences._look`), so that nothing has to come in
an order. What may have been lost with a connection is told again, and what the store has refused
as well, for it may have been short of memory; what a dead process has left is told of by the one
that sweeps it up.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from functools import partial

from sockjs_bridge.cluster.nodes import Left
from sockjs_bridge.cluster.store import Store, StoreError
from sockjs_bridge.core.contracts import Clock, Recipient
from sockjs_bridge.core.presence import Presence
from sockjs_bridge.core.presences import Known, Listed, Presences
from sockjs_bridge.core.rooms import Rooms
from sockjs_bridge.core.signals import Signals


class ClusterPresences(Presences):
    """Who is in the rooms of an application, in all its processes.

    Args:
        rooms: of the application, in this process.
        signals: by which processes tell each other who came and left.
        store: where members are noted.
        node: the name of this process.
    """

    thorough = True
    #: Of how many who left it is remembered that the store was not told: beyond, they stay listed
    #: until this process ends.
    MAX_GONE = 100000
    #: Seconds until the store is told again what it has refused.
    RETRY = 1.0

    def __init__(self, rooms: Rooms[Recipient], signals: Signals, store: Store, node: str) -> None:
        super().__init__(rooms, signals, node)
        self._store = store
        # Who came and who left while the store could not be told.
        self._refused: dict[tuple[str, str], Known] = {}
        self._gone: dict[tuple[str, str], Known] = {}
        self._reachable, self._retrying = True, False
        self._goes: deque[Iterator[object]] = deque()

    def start(self, clock: Clock) -> None:
        """Begins; see `Presences.start`."""
        super().start(clock)
        self._loop = clock

    def present(self, room: str, done: Listed) -> None:
        """Lists who is in a room; see `Presences.present`."""
        self._loop.call_from_thread(self._store.present, room, partial(_list, done))

    # What the store is told

    def _came(self, room: str, present: Known, before: Known | None) -> None:
        new = before is None or not before.announced
        self._note(room, present, announce=present.announced and new)

    def _note(self, room: str, known: Known, *, announce: bool = False) -> None:
        """Tells the store of a member, and others too: where it is new to it, or ``announce``."""
        key = room, known.presence.id
        self._gone.pop(key, None)
        self._refused.pop(key, None)

        def noted(new: bool | StoreError) -> None:
            if isinstance(new, StoreError):
                if key not in self._gone:
                    self._refused[key] = known
                    self._retry_later()
                return
            self._refused.pop(key, None)
            if known.announced and (new or announce):
                self._say(room, known, joined=True)

        self._store.come(*key, known.text, noted)

    def _went(self, room: str, known: Known) -> None:
        key = room, known.presence.id
        self._refused.pop(key, None)
        self._gone[key] = known
        if len(self._gone) > self.MAX_GONE:
            del self._gone[next(iter(self._gone))]

        def noted(was_in: bool | StoreError) -> None:
            if isinstance(was_in, StoreError):
                self._retry_later()
                return
            self._gone.pop(key, None)
            if was_in and known.announced:
                self._say(room, known, joined=False)

        self._store.go(*key, noted)

    def _retry_later(self) -> None:
        if self._reachable and not self._retrying:
            self._retrying = True
            self._loop.call_at(self._loop.time() + self.RETRY, self._retry)

    def _retry(self) -> None:
        self._retrying = False
        if self._reachable:
            self._in_goes(self._tell_refused())

    def _tell_refused(self) -> Iterator[object]:
        for key, known in list(self._refused.items()):
            if key in self._refused:
                self._note(key[0], known)
            yield None
        for key, known in list(self._gone.items()):
            self._went(key[0], known)
            yield None

    # What happens to the store, and to other processes

    def lost(self) -> None:
        """Hears that the store cannot be reached: nothing is retried until it can be."""
        self._reachable = False

    def connected(self) -> None:
        """Hears that the store can be reached: it may not know what it was told meanwhile."""
        self._reachable = True
        self.restored()

    def restored(self) -> None:
        """Hears that others may have swept up what this process had, and told so."""
        self._in_goes(self._tell_again())

    def swept(self, node: str, left: Left) -> None:
        """Hears what a dead process has left: of those that were announced others are told."""
        self._in_goes(self._tell_of(left))

    def _tell_again(self) -> Iterator[object]:
        yield from self._tell_refused()
        for session, rooms in list(self._known.items()):
            for room in list(rooms):
                here = self._known.get(session, {}).get(room)
                if here is not None:
                    self._note(room, here)
                yield None

    def _tell_of(self, left: Left) -> Iterator[object]:
        for room, member, text in left:
            known = Known.parse(member, text)
            if known is not None and known.announced:
                self._say(room, known, joined=False)
            yield None

    def _in_goes(self, steps: Iterator[object]) -> None:
        """Does many things, some in each tick, so that they cannot hold up the loop."""
        self._goes.append(steps)
        if len(self._goes) == 1:
            self._loop.call_soon(self._go)

    def _go(self) -> None:
        for _ in range(self.BATCH):
            if self._goes and next(self._goes[0], self) is self:
                self._goes.popleft()
        if self._goes:
            self._loop.call_soon(self._go)


def _list(done: Listed, members: Mapping[str, str] | StoreError) -> None:
    if isinstance(members, StoreError):
        done(members)
        return
    found = [Known.parse(member, text) for member, text in members.items()]
    present: list[Presence] = [known.presence for known in found if known is not None]
    done(sorted(present, key=lambda who: (who.since, who.id)))
