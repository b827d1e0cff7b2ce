"""What the processes of a cluster share where all of them are in one: the server of `memorystore`.

A test can have it fail, and come back with nothing or without its tail.
"""

from __future__ import annotations

import secrets
import time
from collections import deque
from typing import Protocol

from sockjs_bridge.cluster.engine import Bounds
from sockjs_bridge.cluster.store import FENCED_FOR, Entry, Fenced, Position

#: A room's last position outlives its last message, as in Redis: so many times ``ttl``, and so many
#: seconds at least.
POSITION_LASTS = 4
POSITION_LASTS_AT_LEAST = 60.0


class _Connections(Protocol):
    """One process's connections to the broker."""

    connected: bool
    node: str

    def fail(self) -> None:
        """Loses the connections, with what is on its way."""
        raise NotImplementedError

    def recover(self) -> None:
        """Connects again, where the broker can be reached."""
        raise NotImplementedError

    def hear(self, room: str, position: Position | None, entry: Entry) -> None:
        """Has a message on its way there, if the room is subscribed."""
        raise NotImplementedError

    def hear_told(self, text: str) -> None:
        """Has what another process says on its way there."""
        raise NotImplementedError


class _Stream:
    """What is kept of one room: its last position, and the last messages with their times."""

    __slots__ = ("entries", "top", "until")

    def __init__(self, epoch: int) -> None:
        self.entries: deque[tuple[float, Position, Entry]] = deque()
        self.until = 0.0
        self.begin(epoch)

    def begin(self, epoch: int) -> None:
        self.top = Position(epoch, 0)
        self.entries.clear()

    def add(self, entry: Entry, bounds: Bounds, now: float) -> Position:
        self.top = Position(self.top.epoch, self.top.number + 1)
        self.entries.append((now, self.top, entry))
        self.touch(bounds, now)
        return self.top

    def touch(self, bounds: Bounds, now: float) -> None:
        self.until = now + max(POSITION_LASTS * bounds.ttl, POSITION_LASTS_AT_LEAST)

    def since(
        self, position: Position, bounds: Bounds, now: float
    ) -> list[tuple[Position, Entry]] | None:
        entries, count = self.entries, self.top.number - position.number
        while entries and (len(entries) > bounds.size or entries[0][0] + bounds.ttl <= now):
            entries.popleft()
        if position.epoch != self.top.epoch or not 0 <= count <= len(entries):
            return None
        return [(where, entry) for _, where, entry in entries][len(entries) - count :]

    def lose(self, tail: int) -> None:
        for _ in range(min(tail, len(self.entries))):
            _, lost, _ = self.entries.pop()
            self.top = Position(lost.epoch, lost.number - 1)


class MemoryBroker:
    """What the processes share.

    Attributes:
        secret: see `Store.secret`.
        run: changes when it comes back without what it had.
        floor: epochs of before it are over: a message that was lost may have been seen.
        reachable: nobody is connected otherwise.
        stores: those of all processes.
    """

    def __init__(self) -> None:
        self.secret = secrets.token_bytes(32)
        self.run = self.floor = 0
        self.reachable = True
        self.stores: list[_Connections] = []
        self._epoch = 0
        self._empty()

    def _empty(self) -> None:
        self.streams: dict[str, _Stream] = {}
        self.members: dict[str, dict[str, str]] = {}
        self.nodes: dict[str, tuple[str, float]] = {}
        self.homes: dict[str, tuple[str, float]] = {}
        # Until when it is known that a process was declared dead.
        self._dead: dict[str, float] = {}

    def epoch(self) -> int:
        """Returns an epoch that was never there, also before this process."""
        self._epoch = max(self._epoch + 1, time.time_ns() // 1000)
        return self._epoch

    def fail(self) -> None:
        """Cannot be reached any more, by anyone."""
        self.reachable = False
        for store in self.stores:
            store.fail()

    def recover(self) -> None:
        """Can be reached again."""
        self.reachable = True
        for store in self.stores:
            store.recover()

    def forget(self, tail: int | None = None) -> None:
        """Loses its data; whoever is connected loses the connection, and comes back at once.

        Args:
            tail: so many of the last messages of each room are lost, and nothing else; None: all.
        """
        connected = [store for store in self.stores if store.connected]
        for store in connected:
            store.fail()
        self.run += 1
        if tail is None:
            self._empty()
        for stream in self.streams.values():
            stream.lose(tail or 0)
        self.floor = self.epoch()
        if self.reachable:
            for store in connected:
                store.recover()

    def stream(self, room: str, now: float) -> _Stream | None:
        """Returns what is kept of a room."""
        stream = self.streams.get(room)
        if stream is not None and stream.until <= now:
            del self.streams[room]
            return None
        return stream

    def add(self, room: str, entry: Entry, bounds: Bounds, now: float) -> Position:
        """Keeps a message of a room."""
        stream = self.begun(room, bounds, now)
        if stream.top.epoch < self.floor:
            stream.begin(self.epoch())
        return stream.add(entry, bounds, now)

    def begun(self, room: str, bounds: Bounds, now: float) -> _Stream:
        """Returns what is kept of a room, from now on where nothing was."""
        stream = self.stream(room, now)
        if stream is None:
            stream = self.streams[room] = _Stream(self.epoch())
        stream.touch(bounds, now)
        return stream

    def go(self, room: str, member: str) -> str | None:
        """Forgets a member of a room; returns what was told of it, None where it was not in."""
        members = self.members.get(room, {})
        info = members.pop(member, None)
        if not members:
            self.members.pop(room, None)
        return info

    def home(self, session: str, now: float) -> str | None:
        """Returns who has a session."""
        node, until = self.homes.get(session, (None, 0.0))
        return node if until > now else None

    def claim(self, session: str, node: str, now: float, until: float) -> str:
        """Returns who has a session: the node that asks, if nobody had it who lives."""
        owner = self.home(session, now)
        if owner is None or not (owner == node or owner in self.living(now)):
            self.homes[session] = (owner := node, until)
        return owner

    def publish(
        self, room: str, entry: Entry, bounds: Bounds | None, now: float
    ) -> Position | None:
        """Has a message heard, and keeps it where bounds say so."""
        position = None if bounds is None else self.add(room, entry, bounds, now)
        for each in self.stores:
            if each.connected:
                each.hear(room, position, entry)
        return position

    def tell(self, node: str | None, text: str) -> int:
        """Says something to one process, or to all; returns how many hear it."""
        connected = (each for each in self.stores if each.connected)
        heard = [each for each in connected if node in (None, each.node)]
        for each in heard:
            each.hear_told(text)
        return len(heard)

    def top(self, room: str, bounds: Bounds, now: float) -> Position | None:
        """Returns the last position of a room."""
        stream = self.stream(room, now)
        if stream is None:
            return None
        stream.touch(bounds, now)
        return stream.top

    def lease(self, node: str, about: str, now: float, until: float) -> Fenced | None:
        """Notes that a process lives, unless it was declared dead."""
        if self._dead.get(node, 0.0) > now:
            return Fenced(f"{node} was declared dead")
        self.nodes[node] = (about, until)
        return None

    def release(self, node: str) -> None:
        """Notes that a process ends."""
        self.nodes.pop(node, None)
        self._dead.pop(node, None)

    def living(self, now: float) -> dict[str, str]:
        """Returns what the processes with a lease say of themselves."""
        return {node: about for node, (about, until) in self.nodes.items() if until > now}

    def sweep(self, node: str, now: float) -> list[tuple[str, str, str]]:
        """Declares a node without a lease dead; returns room, member, info of who was there."""
        if node in self.living(now):
            return []
        self._dead[node] = now + FENCED_FOR
        every = [(room, who) for room, members in self.members.items() for who in members]
        gone = [(room, who) for room, who in every if node_of(who) == node]
        return [(room, who, self.go(room, who) or "") for room, who in gone]


def node_of(member: str) -> str:
    """Returns the name of the process that a member is at."""
    return member.partition("/")[0]
