"""How sessions ended that are no more: told to their clients, ten minutes long."""

from __future__ import annotations

import hmac
from collections.abc import Hashable
from dataclasses import dataclass

from sockjs_bridge.core import protocol
from sockjs_bridge.core.credentials import Credentials
from sockjs_bridge.resume import lines

#: Seconds that the end of a session is known.
LIFETIME = 600.0


@dataclass(frozen=True, slots=True)
class Tombstone:
    """The end of a session.

    Attributes:
        proof: the SHA-256 of its client's key.
        credentials: whom it is told to beside; None: whoever has the key.
        code: the close code.
        reason: the reason that goes with it.
        received: how many messages of the client were handled.
        until: when it is forgotten, in seconds of the clock.
        lost: it was not closed, its client had been away for too long.
    """

    proof: bytes
    credentials: Credentials | None
    code: int
    reason: str
    received: int
    until: float
    lost: bool

    def proves(self, proof: bytes) -> bool:
        """Tells whether a key, of which this is the SHA-256, was the client's."""
        return hmac.compare_digest(self.proof, proof)

    @property
    def line(self) -> bytes:
        """What a receive request is answered with."""
        if self.lost:
            return lines.lost(self.received)
        return protocol.close_frame(self.code, self.reason)

    @property
    def answer(self) -> dict[str, object]:
        """What a send is answered with."""
        counts: dict[str, object] = {"arrived": self.received, "received": self.received}
        if self.lost:
            counts["lost"] = {"received": self.received}
        else:
            counts["closed"] = [self.code, self.reason]
        return counts


class Tombstones:
    """The tombstones of one process.

    Those of clients that proved nothing but one request are apart: a flood of such sessions drives
    out none but its like.
    """

    def __init__(self) -> None:
        # In the order in which they are forgotten.
        self._grown: dict[Hashable, Tombstone] = {}
        self._young: dict[Hashable, Tombstone] = {}

    def __len__(self) -> int:
        return len(self._grown) + len(self._young)

    def add(
        self, place: Hashable, tombstone: Tombstone, now: float, *, grown: bool, limit: int
    ) -> None:
        """Adds one; where there are too many, the oldest goes.

        Args:
            place: whose session it was: its manager, base URL and id.
            tombstone: the end.
            now: seconds of the clock.
            grown: its client had proved that it got the welcome.
            limit: how many there may be.
        """
        self.expire(now)
        self._young.pop(place, None)
        self._grown.pop(place, None)
        while len(self) >= limit and len(self):
            if not grown and not self._young:
                return
            others = self._young or self._grown
            del others[next(iter(others))]
        if limit:
            (self._grown if grown else self._young)[place] = tombstone

    def get(self, place: Hashable, now: float) -> Tombstone | None:
        """Returns how a session ended, None where nobody knows."""
        found = self._grown.get(place) or self._young.get(place)
        return found if found is not None and now < found.until else None

    def expire(self, now: float) -> None:
        """Forgets those whose time is over."""
        for known in (self._grown, self._young):
            while known:
                place = next(iter(known))
                if now < known[place].until:
                    break
                del known[place]
