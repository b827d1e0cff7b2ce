"""What clients know rooms and positions by, in all processes of a cluster alike."""

from __future__ import annotations

import hashlib
import re

from sockjs_bridge.cluster.declared import REMEMBERED
from sockjs_bridge.cluster.store import Position, Store
from sockjs_bridge.core.frames import Place

_TOLD = re.compile(r"(?P<mark>[0-9a-f]{8})\.(?P<epoch>\d{1,20})-(?P<number>\d{1,16})", re.ASCII)


class Places:
    """Turns positions into places, and back.

    An epoch is told with the mark of the secret that keys of rooms are made with. So a position
    from before the cluster had that secret is known for one: it may be of any room.

    Args:
        store: whose secret it is; asked once that is started.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._keys: dict[str, str] = {}
        self._made_mark = ""

    def key(self, room: str) -> str:
        """Returns a keyed hash of a room's name."""
        key = self._keys.get(room)
        if key is None:
            if len(self._keys) >= REMEMBERED:
                self._keys.clear()
            key = self._keys[room] = self._hash(b"room", room, 12)
        return key

    @property
    def _mark(self) -> str:
        self._made_mark = self._made_mark or self._hash(b"mark", "", 4)
        return self._made_mark

    def _hash(self, purpose: bytes, text: str, size: int) -> str:
        data = text.encode("utf-8", "surrogatepass")
        secret = self._store.secret
        return hashlib.blake2b(data, digest_size=size, key=secret, person=purpose).hexdigest()

    def place(self, room: str, position: Position) -> Place:
        """Returns the place that clients are told."""
        return Place(self.key(room), f"{self._mark}.{position.epoch}", position.number)

    def position(self, told: str) -> Position | None:
        """Returns the position that a client has shown; None where it is none of this cluster."""
        match = _TOLD.fullmatch(told)
        if match is None or match["mark"] != self._mark:
            return None
        return Position(int(match["epoch"]), int(match["number"]))

    def foreign(self, told: str) -> bool:
        """Tells whether a position was made with another secret; see `Engine.foreign`."""
        match = _TOLD.fullmatch(told)
        return bool(told) and (match is None or match["mark"] != self._mark)
