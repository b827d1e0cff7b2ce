"""The store of a cluster whose processes are all in this one: for tests, and ``memory://``.

`MemoryBroker` stands for the server, `MemoryStore` for one process's connections to it. A test can
have connections cut, answers come late, and what is asked for refused. What was asked for is done
at once; what comes of it is told later, in order, as over a network: it is lost with the
connection.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from sockjs_bridge.cluster.engine import Bounds
from sockjs_bridge.cluster.memorybroker import MemoryBroker, node_of
from sockjs_bridge.cluster.store import (
    Done,
    Entry,
    Fenced,
    Listener,
    Position,
    Since,
    StoreError,
)
from sockjs_bridge.core.contracts import Clock


class MemoryStore:
    """Fulfils `Store`, for one process.

    Args:
        broker: what it shares with the others.
        clock: of all of them.

    Attributes:
        connected: what is asked for is done.
        node: the name of this process.
        delay: seconds until it is known what came of it, and until something is heard.
        refusal: what all that is asked for comes to, as at a Redis that is out of memory; or None.
    """

    def __init__(self, broker: MemoryBroker, clock: Clock) -> None:
        self.connected = False
        self.delay = 0.0
        self.refusal: StoreError | None = None
        self._broker = broker
        self._clock = clock
        self.node = ""
        self._listener: Listener | None = None
        self._run: int | None = None
        self._rooms: dict[str, None] = {}
        # What is on its way here, over each of two connections: results, and what is heard.
        self._results: deque[Callable[[StoreError | None], object]] = deque()
        self._heard: deque[Callable[[Listener], object]] = deque()
        self._due = 0.0
        self._connection = 0

    @property
    def secret(self) -> bytes:
        """Random, and the same in all processes; see `Store.secret`."""
        return self._broker.secret

    async def start(self, node: str, listener: Listener) -> None:
        """Connects; see `Store.start`."""
        if not self._broker.reachable:
            raise StoreError("the store in memory was told to fail")
        self.node, self._listener = node, listener
        self._broker.stores.append(self)
        self.recover()

    async def stop(self) -> None:
        """Lets go of the broker; see `Store.stop`."""
        self._listener = None
        if self in self._broker.stores:
            self._broker.stores.remove(self)
            self.fail(StoreError("the store was stopped"))

    # What a test has happen to its connections

    def fail(self, error: StoreError | None = None) -> None:
        """Loses the connections, with what is on its way."""
        if not self.connected:
            return
        error = error or StoreError("the connection to the store in memory was cut")
        self.connected = False
        self._connection += 1
        self._heard.clear()
        results, self._results = self._results, deque()
        for result in results:
            self._clock.call_soon(partial(result, error))
        self._later(lambda listener: listener.lost(error))

    def recover(self) -> None:
        """Connects again, where the broker can be reached."""
        if self.connected or not self._broker.reachable or self._listener is None:
            return
        same = self._run == self._broker.run
        self._run = self._broker.run
        self.connected = True
        self._later(lambda listener: listener.connected(same=same))
        self._subscribed(self._rooms)

    def _later(self, told: Callable[[Listener], object]) -> None:
        def tell() -> None:
            if self._listener is not None:
                told(self._listener)

        self._clock.call_soon(tell)

    # What comes here

    def _arrive(self, callback: Callable[[], object]) -> None:
        """Calls back when what is sent now is here, unless the connection is lost before."""
        connection = self._connection

        def arrive() -> None:
            if connection == self._connection:
                callback()

        self._due = max(self._due, self._clock.time() + self.delay)
        if self._due > self._clock.time():
            self._clock.call_at(self._due, arrive)
        else:
            self._clock.call_soon(arrive)

    def _answer(self, done: Done[Any], act: Callable[[float], Any]) -> None:
        """Does what was asked for, and has the result told."""
        if not self.connected:
            error = StoreError("the store in memory cannot be reached")
            self._clock.call_soon(partial(done, error))
            return
        result = act(self._clock.time()) if self.refusal is None else self.refusal

        def tell(error: StoreError | None) -> None:
            done(result if error is None else error)

        self._results.append(tell)
        self._arrive(lambda: self._results.popleft()(None))

    def _hear(self, tell: Callable[[Listener], object]) -> None:
        if not self._heard:
            self._arrive(self._read)
        self._heard.append(tell)

    def _read(self) -> None:
        heard, self._heard = self._heard, deque()
        listener = self._listener
        # Who stops loses what is on its way.
        assert listener is not None
        for tell in heard:
            tell(listener)
        listener.handled()

    # Rooms

    def publish(
        self, room: str, entry: Entry, bounds: Bounds | None, done: Done[Position | None]
    ) -> None:
        """Publishes a message; see `Store.publish`."""
        self._answer(done, partial(self._broker.publish, room, entry, bounds))

    def hear(self, room: str, position: Position | None, entry: Entry) -> None:
        """Has a message on its way here, if the room is subscribed."""
        if room in self._rooms:
            self._hear(lambda listener: listener.heard(room, position, entry))

    def since(
        self, room: str, position: Position | None, bounds: Bounds, done: Done[Since]
    ) -> None:
        """Looks up what came behind a position; see `Store.since`."""

        def act(now: float) -> Since:
            stream = self._broker.begun(room, bounds, now)
            if position is None:
                return Since(stream.top, None)
            return Since(stream.top, stream.since(position, bounds, now))

        self._answer(done, act)

    def tops(self, rooms: Mapping[str, Bounds], done: Done[Mapping[str, Position | None]]) -> None:
        """Looks up the last positions of rooms; see `Store.tops`."""
        asked = {**rooms}

        def act(now: float) -> dict[str, Position | None]:
            return {room: self._broker.top(room, bounds, now) for room, bounds in asked.items()}

        self._answer(done, act)

    def subscribe(self, rooms: Iterable[str]) -> None:
        """Has messages of rooms heard; see `Store.subscribe`."""
        new = [room for room in dict.fromkeys(rooms) if room not in self._rooms]
        self._rooms.update(dict.fromkeys(new))
        if self.connected:
            self._subscribed(new)

    def _subscribed(self, rooms: Iterable[str]) -> None:
        for room in rooms:
            self._hear(lambda listener, room=room: listener.subscribed(room))  # type: ignore[misc]

    def unsubscribe(self, rooms: Iterable[str]) -> None:
        """Hears no more of rooms; see `Store.unsubscribe`."""
        for room in rooms:
            self._rooms.pop(room, None)

    # Presence

    def come(self, room: str, member: str, info: str, done: Done[bool]) -> None:
        """Notes a member of a room; see `Store.come`."""

        def act(now: float) -> bool:
            members = self._broker.members.setdefault(room, {})
            new = member not in members
            members[member] = info
            return new

        self._answer(done, act)

    def go(self, room: str, member: str, done: Done[bool]) -> None:
        """Forgets a member; see `Store.go`."""
        self._answer(done, lambda now: self._broker.go(room, member) is not None)

    def present(self, room: str, done: Done[Mapping[str, str]]) -> None:
        """Lists the members of a room; see `Store.present`."""

        def act(now: float) -> dict[str, str]:
            living = self._broker.living(now)
            members = self._broker.members.get(room, {})
            return {who: info for who, info in members.items() if node_of(who) in living}

        self._answer(done, act)

    def sweep(self, node: str, done: Done[list[tuple[str, str, str]]]) -> None:
        """Forgets all members that a node without a lease had; see `Store.sweep`."""
        self._answer(done, partial(self._broker.sweep, node))

    # Processes

    def lease(self, about: str, ttl: float, done: Done[None]) -> None:
        """Says that this process lives; see `Store.lease`."""

        def act(now: float) -> Fenced | None:
            return self._broker.lease(self.node, about, now, now + ttl)

        self._answer(done, act)

    def release(self, done: Done[None]) -> None:
        """Says that this process ends; see `Store.release`."""
        self._answer(done, lambda now: self._broker.release(self.node))

    def leases(self, done: Done[Mapping[str, str]]) -> None:
        """Lists the processes that live; see `Store.leases`."""
        self._answer(done, self._broker.living)

    def tell(self, node: str | None, text: str, done: Done[int]) -> None:
        """Says something to one process, or to all; see `Store.tell`."""
        self._answer(done, lambda now: self._broker.tell(node, text))

    def hear_told(self, text: str) -> None:
        """Has what another process says on its way here."""
        self._hear(lambda listener: listener.told(text))

    # Homes of sessions

    def claim(self, session: str, ttl: float, done: Done[str]) -> None:
        """Takes a session, unless another process has it; see `Store.claim`."""

        def act(now: float) -> str:
            return self._broker.claim(session, self.node, now, now + ttl)

        self._answer(done, act)

    def home(self, session: str, done: Done[str | None]) -> None:
        """Looks up which process has a session; see `Store.home`."""
        self._answer(done, partial(self._broker.home, session))

    def keep(self, sessions: Iterable[str], ttl: float, done: Done[list[str]]) -> None:
        """Has it known longer that this process has sessions; see `Store.keep`."""
        kept = [*sessions]

        def act(now: float) -> list[str]:
            owners = [self._broker.home(session, now) or self.node for session in kept]
            for session, owner in zip(kept, owners, strict=True):
                if owner == self.node:
                    self._broker.homes[session] = (owner, now + ttl)
            return [each for each, owner in zip(kept, owners, strict=True) if owner != self.node]

        self._answer(done, act)

    def disclaim(self, sessions: Iterable[str], done: Done[None]) -> None:
        """Gives up sessions of this process; see `Store.disclaim`."""
        given_up = [*sessions]

        def act(now: float) -> None:
            for session in given_up:
                if self._broker.home(session, now) == self.node:
                    del self._broker.homes[session]

        self._answer(done, act)
