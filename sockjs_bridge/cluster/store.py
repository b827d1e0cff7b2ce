"""The contract of what the processes of a cluster share: rooms, presence, leases, homes.

Every method is called on the loop and returns at once. What it asks for comes by ``done``, on the
loop, later: the result, or the `StoreError` that came instead. A store calls back for everything
it was asked, in the order of the calls for one room, whether or not it can be reached.

Names are the application's own; the store puts its prefix in front of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar

from sockjs_bridge.cluster.engine import Bounds

T = TypeVar("T")


class StoreError(Exception):
    """The store cannot be reached, or refuses; the text is one sentence for the log."""


class Fenced(StoreError):
    """Another process has declared this one dead: its sessions are not its own any more."""


#: Seconds for which it is known at least that a process was declared dead.
FENCED_FOR = 3600.0

#: Hears of a result, or why there is none.
Done = Callable[[T | StoreError], object]


@dataclass(frozen=True, slots=True)
class Entry:
    """What is published to a room.

    Attributes:
        text: the message.
        origin: who published it, as ``NODE/NUMBER``; empty where that is no process of the cluster.
        excluded: the clients that do not get it, by what they call themselves (`Message.excluded`).
    """

    text: str
    origin: str = ""
    excluded: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Position:
    """Where a message of a room with history stands.

    Attributes:
        epoch: within one the numbers go up by one; another one has begun from nothing.
        number: of the message, from 1; 0 is where an epoch begins.
    """

    epoch: int
    number: int


@dataclass(frozen=True, slots=True)
class Since:
    """What a room has behind a position.

    Attributes:
        top: of the last message.
        entries: all messages behind the position, in order; None where not all are there any more,
            or the position is none of this room (a gap).
    """

    top: Position
    entries: list[tuple[Position, Entry]] | None


class Listener(Protocol):
    """Hears what the store says by itself; on the loop."""

    def heard(self, room: str, position: Position | None, entry: Entry) -> None:
        """A message was published to a room that was subscribed; None: no history is kept."""
        raise NotImplementedError

    def handled(self) -> None:
        """All that arrived in one read was handed over: what was heard may be sent on."""
        raise NotImplementedError

    def subscribed(self, room: str) -> None:
        """From here on all that is published to a room is heard."""
        raise NotImplementedError

    def told(self, text: str) -> None:
        """Another process has something to say (`Store.tell`)."""
        raise NotImplementedError

    def connected(self, *, same: bool) -> None:
        """The store can be reached, for the first time or again.

        Subscriptions that were lost are made anew; `subscribed` follows for these.

        Args:
            same: it is the store of before, which has lost nothing of its own accord.
        """
        raise NotImplementedError

    def lost(self, error: StoreError) -> None:
        """The store cannot be reached; it goes on trying."""
        raise NotImplementedError


class Store(Protocol):
    """What the processes of a cluster share."""

    @property
    def secret(self) -> bytes:
        """32 random bytes, the same in all processes of the cluster, once `start` has returned.

        What clients are told in one process and show in another is keyed by what is derived of it.
        """
        raise NotImplementedError

    async def start(self, node: str, listener: Listener) -> None:
        """Connects, and checks that the store can do what is asked of it.

        Args:
            node: the name of this process: ``[0-9a-z]{4,16}``.
            listener: hears what comes.

        Raises:
            StoreError: it cannot be used: the text says why, and what would help.
        """
        raise NotImplementedError

    async def stop(self) -> None:
        """Writes what waits, and lets go of the connections."""
        raise NotImplementedError

    # Rooms

    def publish(
        self, room: str, entry: Entry, bounds: Bounds | None, done: Done[Position | None]
    ) -> None:
        """Publishes a message; what is published in one tick goes in one pipeline.

        Args:
            room: its name; the empty one reaches all connections.
            entry: the message.
            bounds: how much is kept of the room; None keeps nothing.
            done: hears of its position, None where nothing is kept.
        """
        raise NotImplementedError

    def since(
        self, room: str, position: Position | None, bounds: Bounds, done: Done[Since]
    ) -> None:
        """Looks up what came behind a position; with None only the top is asked for.

        Where nothing is known of the room an epoch begins, so that whoever has heard nothing yet
        has a position, too: silence is no gap. A top is known for four times ``ttl``, and a minute
        at least, after it was published or asked for.

        Args:
            room: its name.
            position: of the last message that is known.
            bounds: of the room.
            done: hears of that.
        """
        raise NotImplementedError

    def tops(self, rooms: Mapping[str, Bounds], done: Done[Mapping[str, Position | None]]) -> None:
        """Looks up the last positions of rooms, in one pipeline; they are known longer then.

        Args:
            rooms: their names, and how much is kept of each.
            done: hears of them, None for a room of which nothing is known.
        """
        raise NotImplementedError

    def subscribe(self, rooms: Iterable[str]) -> None:
        """Has messages of rooms heard; `Listener.subscribed` says from when on."""
        raise NotImplementedError

    def unsubscribe(self, rooms: Iterable[str]) -> None:
        """Hears no more of rooms, but for what is on its way."""
        raise NotImplementedError

    # Presence

    def come(self, room: str, member: str, info: str, done: Done[bool]) -> None:
        """Notes a member of a room.

        Args:
            room: its name.
            member: ``NODE/SESSION``.
            info: what is told of it.
            done: hears whether it was not in before.
        """
        raise NotImplementedError

    def go(self, room: str, member: str, done: Done[bool]) -> None:
        """Forgets a member; ``done`` hears whether it was in."""
        raise NotImplementedError

    def present(self, room: str, done: Done[Mapping[str, str]]) -> None:
        """Lists the members of a room: what is told of each, of nodes that have a lease."""
        raise NotImplementedError

    def sweep(self, node: str, done: Done[list[tuple[str, str, str]]]) -> None:
        """Declares a node without a lease dead, and forgets all members that it had.

        It gets no lease any more (`Fenced`), in the same step: it may only have stood still, and
        others take it for dead from here on. A node that has a lease stays as it is. Only one of
        those who ask at the same time gets the members, so that they are told of once.

        Args:
            node: its name.
            done: hears who they were: room, member, info; of some only where it failed on the way.
        """
        raise NotImplementedError

    # Processes

    def lease(self, about: str, ttl: float, done: Done[None]) -> None:
        """Says that this process lives, for ``ttl`` seconds.

        Args:
            about: what others are to know: its address and counts.
            ttl: seconds.
            done: hears that it is noted; `Fenced` where this process was declared dead (`sweep`),
                until it calls `release`.
        """
        raise NotImplementedError

    def release(self, done: Done[None]) -> None:
        """Says that this process ends; it may begin anew with a lease, also where it was dead."""
        raise NotImplementedError

    def leases(self, done: Done[Mapping[str, str]]) -> None:
        """Lists the processes that live: what each said of itself."""
        raise NotImplementedError

    def tell(self, node: str | None, text: str, done: Done[int]) -> None:
        """Says something to one process, or to all (also to this one).

        Args:
            node: its name; None for all.
            text: what is said.
            done: hears how many have heard it.
        """
        raise NotImplementedError

    # Homes of sessions

    def claim(self, session: str, ttl: float, done: Done[str]) -> None:
        """Takes a session, unless another process has it that has a lease.

        Args:
            session: a hash of it.
            ttl: seconds after which that is forgotten.
            done: hears the name of the process that has it.
        """
        raise NotImplementedError

    def home(self, session: str, done: Done[str | None]) -> None:
        """Looks up which process has a session; None where none has."""
        raise NotImplementedError

    def keep(self, sessions: Iterable[str], ttl: float, done: Done[list[str]]) -> None:
        """Has it known for ``ttl`` seconds more that this process has sessions.

        Args:
            sessions: hashes of them.
            ttl: seconds.
            done: hears which of them another process has taken: it may have seen no lease of this
                one, or the store has forgotten who had them.
        """
        raise NotImplementedError

    def disclaim(self, sessions: Iterable[str], done: Done[None]) -> None:
        """Gives up sessions of this process."""
        raise NotImplementedError
