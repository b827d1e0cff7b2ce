"""The names of keys and channels, and how messages are written there.

A room's keys carry its partition as a hash tag, so that they stay together on one shard.
"""

from __future__ import annotations

import json
import re
from zlib import crc32

from sockjs_bridge.cluster.engine import Bounds
from sockjs_bridge.cluster.store import Entry, Position, StoreError

#: Of what stands below the prefix: processes of different formats do not share it.
FORMAT = "sockjs-bridge 1"

PARTITIONS = 64

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


def encode(text: str) -> bytes:
    """Returns any text as bytes, half a surrogate pair too: a browser may send one."""
    return text.encode("utf-8", "surrogatepass")


def decode(data: bytes) -> str:
    """Returns the text that was encoded.

    Raises:
        UnicodeDecodeError: it was not.
    """
    return data.decode("utf-8", "surrogatepass")


class Keys:
    """The keys and channels of one cluster.

    Args:
        name: of the cluster.

    Raises:
        StoreError: it is no such name.
    """

    def __init__(self, name: str) -> None:
        if not _NAME.fullmatch(name):
            raise StoreError(
                f"a cluster cannot be called {name!r}: allowed are 1 to 64 of A-Z a-z 0-9 _ . -"
            )
        self.prefix = f"sb:{name}:"
        self._prefix = self.prefix.encode()
        #: What the cluster is: format, application, floor of epochs, secret, rooms with history.
        self.marker = self._prefix + b"is"
        #: The processes that have, or had, a lease.
        self.nodes = self._prefix + b"nodes"
        #: The channel of what is told to all processes.
        self.all = self._prefix + b"all"
        self.probe = self._prefix + b"probe"
        self.lease_prefix = self._prefix + b"n:"

    def node(self, node: str) -> bytes:
        """Returns the key of a process's lease, and its channel."""
        return self.lease_prefix + encode(node)

    def node_members(self, node: str) -> bytes:
        """Returns the key of the members that a process has."""
        return self.node(node) + b":p"

    def dead(self, node: str) -> bytes:
        """Returns the key that says of a process that it was declared dead."""
        return self.node(node) + b":dead"

    def _room(self, room: str) -> bytes:
        name = encode(room)
        return self._prefix + b"{%d}:%s" % (crc32(name) % PARTITIONS, name)

    def channel(self, room: str) -> bytes:
        """Returns the channel of a room."""
        return self._room(room)

    def stream(self, room: str) -> bytes:
        """Returns the key of a room's history."""
        return self._room(room) + b":s"

    def members(self, room: str) -> bytes:
        """Returns the key of a room's members."""
        return self._room(room) + b":p"

    def room_of_members(self, key: bytes) -> str:
        """Returns the room whose members are at a key."""
        _, _, name = key[len(self._prefix) :].partition(b"}:")
        return decode(name.removesuffix(b":p"))

    def session(self, session: str) -> bytes:
        """Returns the key of a session's home."""
        name = encode(session)
        return self._prefix + b"{%d}:s:%s" % (crc32(name) % PARTITIONS, name)


def payload(entry: Entry) -> bytes:
    """Returns a message as it is kept: a line about it, and the text."""
    head = entry.origin
    if entry.excluded:
        head += " " + json.dumps(sorted(entry.excluded))
    return encode(f"{head}\n{entry.text}")


def entry_of(data: bytes) -> Entry:
    """Returns the message of a `payload`.

    Raises:
        ValueError: it is none.
    """
    head, line_end, text = decode(data).partition("\n")
    origin, _, names = head.partition(" ")
    if not line_end:
        raise ValueError("a message has no head")
    excluded = json.loads(names) if names else ()
    if not all(isinstance(name, str) for name in excluded):
        raise ValueError("who is excluded has no name")
    return Entry(text, origin, frozenset(excluded))


def position_of(id: bytes) -> Position:
    """Returns the position of an entry of a stream.

    Raises:
        ValueError: it is no id.
    """
    epoch, _, number = id.partition(b"-")
    return Position(int(epoch), int(number))


def published(data: bytes) -> tuple[Position | None, Entry]:
    """Reads what came over a room's channel.

    Raises:
        ValueError: it is nothing that this library publishes.
    """
    id, space, rest = data.partition(b" ")
    if not space:
        raise ValueError("a message has no position")
    return None if id == b"-" else position_of(id), entry_of(rest)


def life(bounds: Bounds) -> int:
    """Returns for how many milliseconds the last position of a room is known, and its messages."""
    return round(1000 * max(4 * bounds.ttl, 60))


def add_arguments(
    keys: Keys, room: str, entry: Entry, bounds: Bounds, *, epoch: int, floor: int, renew: bool
) -> tuple[bytes | int, ...]:
    """Returns the arguments of `scripts.ADD`, behind the stream's key."""
    known = epoch if epoch >= floor else 0
    return keys.channel(room), payload(entry), bounds.size, known, floor, life(bounds), int(renew)
