"""The store on Redis: what its methods come to in commands."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from sockjs_bridge.cluster.engine import Bounds
from sockjs_bridge.cluster.redisstore import scripts
from sockjs_bridge.cluster.redisstore.asking import (
    AT_ONCE,
    Asking,
    mapping,
    milliseconds,
    nothing,
    optional_text,
)
from sockjs_bridge.cluster.redisstore.keys import (
    add_arguments,
    decode,
    encode,
    entry_of,
    life,
    payload,
    position_of,
)
from sockjs_bridge.cluster.store import (
    FENCED_FOR,
    Done,
    Entry,
    Fenced,
    Listener,
    Position,
    Since,
    StoreError,
)

#: Seconds between two renewals of a room's life.
RENEWED = 10.0
#: Seconds after which members of processes that died are forgotten, where nobody lived to do it.
BURIED = 60.0
#: Rooms whose epochs are remembered.
REMEMBERED = 100_000


class RedisStore(Asking):
    """Fulfils `Store`, on Redis 7.0 or later, or Valkey; see `Lifecycle` for its arguments."""

    async def start(self, node: str, listener: Listener) -> None:
        """Connects; see `Store.start`."""
        await super().start(node, listener)
        self._look_for_dead(self._remember_dead)

    def _look_for_dead(self, hear: Callable[[list[str]], None]) -> None:
        def convert(answer: list[bytes | None]) -> None:
            pairs = zip(answer[::2], answer[1::2], strict=True)
            hear([decode(node or b"") for node, about in pairs if about is None])

        keys = [self._keys.nodes]
        self._run_script(nothing, convert, scripts.LEASES, keys, self._keys.lease_prefix)

    def _remember_dead(self, dead: list[str]) -> None:
        """Looks again at the dead, if any: whoever still lives has had the time to sweep them."""

        def bury(still: list[str]) -> None:
            for node in {*dead}.intersection(still):
                self.sweep(node, nothing)

        if dead:
            asyncio.get_running_loop().call_later(BURIED, self._look_for_dead, bury)

    # Rooms

    def publish(
        self, room: str, entry: Entry, bounds: Bounds | None, done: Done[Position | None]
    ) -> None:
        """Publishes a message; see `Store.publish`."""
        if bounds is None:
            message = b"- " + payload(entry)
            self._ask(done, nothing, "PUBLISH", self._keys.channel(room), message)
            return
        now = asyncio.get_running_loop().time()
        epoch, renewed = self._epochs.get(room, (0, float("-inf")))
        renew = now - renewed >= RENEWED
        if renew:
            renewed = now
        arguments = add_arguments(
            self._keys, room, entry, bounds, epoch=epoch, floor=self._floor, renew=renew
        )
        added = partial(self._added, room, renewed, self._floor)
        self._run_script(done, added, scripts.ADD, [self._keys.stream(room)], *arguments)

    def _added(self, room: str, renewed: float, floor: int, answer: bytes) -> Position:
        position = position_of(answer)
        self._highest = max(self._highest, position.epoch)
        if floor == self._floor:
            self._epochs.pop(room, None)
            self._epochs[room] = (position.epoch, renewed)
            if len(self._epochs) > REMEMBERED:
                del self._epochs[next(iter(self._epochs))]
        return position

    def since(
        self, room: str, position: Position | None, bounds: Bounds, done: Done[Since]
    ) -> None:
        """Looks up what came behind a position; see `Store.since`."""
        # No epoch is -1.
        where = position or Position(-1, 0)
        self._run_script(
            *(done, _since, scripts.SINCE, [self._keys.stream(room)]),
            *(where.epoch, where.number, bounds.size, round(bounds.ttl * 1e6)),
            *(life(bounds), self._floor),
        )

    def tops(self, rooms: Mapping[str, Bounds], done: Done[Mapping[str, Position | None]]) -> None:
        """Looks up the last positions of rooms; see `Store.tops`."""
        names = [*rooms]

        def convert(answers: list[list[bytes]]) -> dict[str, Position | None]:
            ids = [id for answer in answers for id in answer]
            found = [position_of(id) if id else None for id in ids]
            return dict(zip(names, found, strict=True))

        lives = [*map(life, rooms.values())]
        self._run_for_each(done, convert, scripts.TOPS, map(self._keys.stream, names), lives)

    def subscribe(self, rooms: Iterable[str]) -> None:
        """Has messages of rooms heard; see `Store.subscribe`."""
        self._subscriptions.subscribe(rooms)

    def unsubscribe(self, rooms: Iterable[str]) -> None:
        """Hears no more of rooms; see `Store.unsubscribe`."""
        self._subscriptions.unsubscribe(rooms)

    # Presence

    def _member_keys(self, room: str, member: str) -> list[bytes]:
        node, _, _ = member.partition("/")
        return [self._keys.members(room), self._keys.node_members(node)]

    def come(self, room: str, member: str, info: str, done: Done[bool]) -> None:
        """Notes a member of a room; see `Store.come`."""
        keys = self._member_keys(room, member)
        self._run_script(done, bool, scripts.COME, keys, encode(member), encode(info))

    def go(self, room: str, member: str, done: Done[bool]) -> None:
        """Forgets a member; see `Store.go`."""
        keys = self._member_keys(room, member)
        self._run_script(done, bool, scripts.GO, keys, encode(member))

    def present(self, room: str, done: Done[Mapping[str, str]]) -> None:
        """Lists the members of a room; see `Store.present`."""
        keys = [self._keys.members(room)]
        self._run_script(done, mapping, scripts.PRESENT, keys, self._keys.lease_prefix)

    def sweep(self, node: str, done: Done[list[tuple[str, str, str]]]) -> None:
        """Forgets all members that a node without a lease had; see `Store.sweep`."""
        keys = [self._keys.node(node), self._keys.node_members(node)]
        keys += [self._keys.nodes, self._keys.dead(node)]
        arguments = (encode(node), AT_ONCE, milliseconds(FENCED_FOR))
        swept: list[tuple[str, str, str]] = []

        def convert(answer: list[Any]) -> bool:
            rows = zip(answer[1::3], answer[2::3], answer[3::3], strict=True)
            for key, member, info in rows:
                swept.append((self._keys.room_of_members(key), decode(member), decode(info)))
            return bool(answer[0] == AT_ONCE)

        def more(answer: bool | StoreError) -> None:
            if answer is True:
                self._run_script(more, convert, scripts.SWEEP, keys, *arguments)
            elif isinstance(answer, StoreError) and not swept:
                done(answer)
            else:
                # Those that were found are known to nobody else any more.
                done(swept)

        self._run_script(more, convert, scripts.SWEEP, keys, *arguments)

    # Processes

    def lease(self, about: str, ttl: float, done: Done[None]) -> None:
        """Says that this process lives; see `Store.lease`."""

        def convert(answer: int) -> Fenced | None:
            if answer == 0:
                self._emptied()
            return Fenced("another process has declared this one dead") if answer < 0 else None

        self._run_script(
            *(done, convert, scripts.LEASE, [*self._own_keys(), self._keys.marker]),
            *(encode(self._node), encode(about), milliseconds(ttl)),
        )

    def _own_keys(self) -> list[bytes]:
        return [self._keys.node(self._node), self._keys.nodes, self._keys.dead(self._node)]

    def release(self, done: Done[None]) -> None:
        """Says that this process ends; see `Store.release`."""
        keys = [*self._own_keys(), self._keys.node_members(self._node)]
        self._run_script(done, nothing, scripts.RELEASE, keys, encode(self._node))

    def leases(self, done: Done[Mapping[str, str]]) -> None:
        """Lists the processes that live; see `Store.leases`."""
        self._run_script(done, mapping, scripts.LEASES, [self._keys.nodes], self._keys.lease_prefix)

    def tell(self, node: str | None, text: str, done: Done[int]) -> None:
        """Says something to one process, or to all; see `Store.tell`."""
        channel = self._keys.all if node is None else self._keys.node(node)
        self._ask(done, int, "PUBLISH", channel, encode(text))

    # Homes of sessions

    def claim(self, session: str, ttl: float, done: Done[str]) -> None:
        """Takes a session, unless another process has it; see `Store.claim`."""
        self._run_script(
            *(done, decode, scripts.CLAIM, [self._keys.session(session)]),
            *(encode(self._node), milliseconds(ttl), self._keys.lease_prefix),
        )

    def home(self, session: str, done: Done[str | None]) -> None:
        """Looks up which process has a session; see `Store.home`."""
        self._ask(done, optional_text, "GET", self._keys.session(session))

    def keep(self, sessions: Iterable[str], ttl: float, done: Done[list[str]]) -> None:
        """Has it known longer that this process has sessions; see `Store.keep`."""
        kept = [*sessions]

        def convert(answers: list[list[int]]) -> list[str]:
            taken = [flag for answer in answers for flag in answer]
            return [session for session, flag in zip(kept, taken, strict=True) if flag]

        keys, node = map(self._keys.session, kept), encode(self._node)
        self._run_for_each(done, convert, scripts.KEEP, keys, (), node, milliseconds(ttl))

    def disclaim(self, sessions: Iterable[str], done: Done[None]) -> None:
        """Gives up sessions of this process; see `Store.disclaim`."""
        keys = map(self._keys.session, sessions)
        self._run_for_each(done, nothing, scripts.DISCLAIM, keys, (), encode(self._node))


def _since(answer: list[Any]) -> Since:
    top = position_of(answer[0])
    if len(answer) == 1:
        return Since(top, None)
    pairs = zip(answer[1][::2], answer[1][1::2], strict=True)
    return Since(top, [(position_of(id), entry_of(data)) for id, data in pairs])
