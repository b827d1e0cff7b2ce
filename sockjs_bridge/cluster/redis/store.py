"""The store on Redis: what its methods come to in commands."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from sockjs_bridge.cluster.engine import Bounds
from sockjs_bridge.cluster.redis import scripts
from sockjs_bridge.cluster.redis.keys import (
    add_arguments,
    decode,
    encode,
    entry_of,
    payload,
    position_of,
)
from sockjs_bridge.cluster.redis.lifecycle import Lifecycle, command
from sockjs_bridge.cluster.redis.scripts import Script
from sockjs_bridge.cluster.store import Done, Entry, Listener, Position, Since, StoreError

#: Keys that one command names.
AT_ONCE = 500
#: Seconds between two renewals of a room's life.
RENEWED = 10.0
#: Rooms whose epochs are remembered.
REMEMBERED = 100_000


class RedisStore(Lifecycle):
    """Fulfils `Store`, on Redis 7.0 or later, or Valkey; see `Lifecycle` for its arguments."""

    async def start(self, node: str, listener: Listener) -> None:
        """Connects; see `Store.start`."""
        await super().start(node, listener)
        self._run_script(
            _nothing, self._bury, scripts.LEASES, [self._keys.nodes], self._keys.lease_prefix
        )

    def _bury(self, answer: list[bytes | None]) -> None:
        """Forgets the members of the dead where nobody lives who would tell of it."""
        if not any(answer[1::2]):
            for node in answer[::2]:
                self.sweep(decode(node or b""), _nothing)

    def _ask(self, done: Done[Any], convert: Callable[[Any], Any], *wanted: Any) -> None:
        """Has a command sent, and its answer converted."""
        self._commands.call(wanted, partial(_converted, done, convert))

    def _run_script(
        self,
        done: Done[Any],
        convert: Callable[[Any], Any],
        script: Script,
        keys: Iterable[bytes],
        *arguments: Any,
    ) -> None:
        self._ask(done, convert, *command(script, keys, *arguments))

    def _run_for_each(
        self,
        done: Done[Any],
        convert: Callable[[list[Any]], Any],
        script: Script,
        keys: list[bytes],
        *arguments: Any,
    ) -> None:
        """Has a script run for many keys, so many at once; its answers become one."""
        parts = [keys[at : at + AT_ONCE] for at in range(0, len(keys), AT_ONCE)] or [[]]
        found: list[Any] = []

        def gather(answer: Any) -> None:
            found.append(answer)
            if len(found) == len(parts):
                error = next((each for each in found if isinstance(each, StoreError)), None)
                _converted(done, convert, error or found)

        for part in parts:
            self._ask(gather, _same, *command(script, part, *arguments))

    # Rooms

    def publish(
        self, room: str, entry: Entry, bounds: Bounds | None, done: Done[Position | None]
    ) -> None:
        """Publishes a message; see `Store.publish`."""
        if bounds is None:
            message = b"- " + payload(entry)
            self._ask(done, _nothing, "PUBLISH", self._keys.channel(room), message)
            return
        now = asyncio.get_running_loop().time()
        epoch, renewed = self._epochs.get(room, (0, float("-inf")))
        renew = now - renewed >= min(RENEWED, bounds.ttl)
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
        where = position or Position(-1, 1)
        self._run_script(
            *(done, _since, scripts.SINCE, [self._keys.stream(room)]),
            *(where.epoch, where.number - 1, bounds.size, round(bounds.ttl * 1e6)),
        )

    def tops(self, rooms: Iterable[str], done: Done[Mapping[str, Position | None]]) -> None:
        """Looks up the last positions of rooms; see `Store.tops`."""
        names = [*rooms]

        def convert(answers: list[list[bytes]]) -> dict[str, Position | None]:
            ids = [id for answer in answers for id in answer]
            found = [position_of(id) if id else None for id in ids]
            return dict(zip(names, found, strict=True))

        self._run_for_each(done, convert, scripts.TOPS, [*map(self._keys.stream, names)])

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
        self._run_script(done, _mapping, scripts.PRESENT, keys, self._keys.lease_prefix)

    def sweep(self, node: str, done: Done[list[tuple[str, str, str]]]) -> None:
        """Forgets all members that a node without a lease had; see `Store.sweep`."""
        keys = [self._keys.node(node), self._keys.node_members(node), self._keys.nodes]
        swept: list[tuple[str, str, str]] = []

        def convert(answer: list[Any]) -> bool:
            rows = zip(answer[1::3], answer[2::3], answer[3::3], strict=True)
            for key, member, info in rows:
                swept.append((self._keys.room_of_members(key), decode(member), decode(info)))
            return bool(answer[0] == AT_ONCE)

        def more(answer: bool | StoreError) -> None:
            if answer is True:
                self._run_script(more, convert, scripts.SWEEP, keys, encode(node), AT_ONCE)
            elif isinstance(answer, StoreError) and not swept:
                done(answer)
            else:
                # Those that were found are known to nobody else any more.
                done(swept)

        self._run_script(more, convert, scripts.SWEEP, keys, encode(node), AT_ONCE)

    # Processes

    def lease(self, about: str, ttl: float, done: Done[None]) -> None:
        """Says that this process lives; see `Store.lease`."""

        def convert(answer: int) -> None:
            if not answer:
                self._emptied()

        keys = [self._keys.node(self._node), self._keys.nodes, self._keys.marker]
        self._run_script(
            *(done, convert, scripts.LEASE, keys),
            *(encode(about), milliseconds(ttl), encode(self._node)),
        )

    def release(self, done: Done[None]) -> None:
        """Says that this process ends; see `Store.release`."""
        self._ask(done, _nothing, "DEL", self._keys.node(self._node))

    def leases(self, done: Done[Mapping[str, str]]) -> None:
        """Lists the processes that live; see `Store.leases`."""
        self._run_script(
            done, _mapping, scripts.LEASES, [self._keys.nodes], self._keys.lease_prefix
        )

    def tell(self, node: str | None, text: str, done: Done[int]) -> None:
        """Says something to one process, or to all; see `Store.tell`."""
        channel = self._keys.all if node is None else self._keys.node(node)
        self._ask(done, int, "PUBLISH", channel, encode(text))

    # Homes of sessions

    def claim(self, session: str, ttl: float, done: Done[str]) -> None:
        """Takes a session, unless another process has it; see `Store.claim`."""
        arguments = encode(self._node), milliseconds(ttl), self._keys.lease_prefix
        self._run_script(done, decode, scripts.CLAIM, [self._keys.session(session)], *arguments)

    def home(self, session: str, done: Done[str | None]) -> None:
        """Looks up which process has a session; see `Store.home`."""
        self._ask(done, _text, "GET", self._keys.session(session))

    def keep(self, sessions: Iterable[str], ttl: float, done: Done[None]) -> None:
        """Has it known longer that this process has sessions; see `Store.keep`."""
        keys = [*map(self._keys.session, sessions)]
        node = encode(self._node)
        self._run_for_each(done, _nothing, scripts.KEEP, keys, node, milliseconds(ttl))

    def disclaim(self, sessions: Iterable[str], done: Done[None]) -> None:
        """Gives up sessions of this process; see `Store.disclaim`."""
        keys = [*map(self._keys.session, sessions)]
        self._run_for_each(done, _nothing, scripts.DISCLAIM, keys, encode(self._node))


def milliseconds(seconds: float) -> int:
    """Returns how Redis is told how long something lives: at least for one."""
    return max(1, round(seconds * 1000))


def _converted(done: Done[Any], convert: Callable[[Any], Any], answer: Any) -> None:
    if not isinstance(answer, StoreError):
        try:
            answer = convert(answer)
        except (ValueError, TypeError, IndexError) as error:
            answer = StoreError(f"the cluster's keys hold what is not ours: {error}")
    done(answer)


def _nothing(answer: Any) -> None:
    return None


def _same(answer: Any) -> Any:
    return answer


def _text(answer: bytes | None) -> str | None:
    return None if answer is None else decode(answer)


def _mapping(answer: list[bytes | None]) -> dict[str, str]:
    pairs = zip(answer[::2], answer[1::2], strict=True)
    return {decode(key or b""): decode(value) for key, value in pairs if value is not None}


def _since(answer: list[Any]) -> Since:
    top = position_of(answer[0]) if answer else None
    if len(answer) < 2:
        return Since(top, None)
    pairs = zip(answer[1][::2], answer[1][1::2], strict=True)
    return Since(top, [(position_of(id), entry_of(data)) for id, data in pairs])
