"""How sessions ended that are no more: told to their clients, ten minutes long."""

from __future__ import annotations

import hmac
from collections.abc import Hashable
from dataclasses import dataclass
from itertools import chain

from sockjs_bridge.core import protocol
from sockjs_bridge.core.credentials import Credentials
from sockjs_bridge.resume import lines
from sockjs_bridge.resume.contracts import ResumeOwner
from sockjs_bridge.resume.session import ResumableSession, placeholder

#: Seconds that the end of a session is known.
LIFETIME = 600.0


@dataclass(frozen=True, slots=True)
class Tombstone:
    """The end of a session.

    Attributes:
        owner: where the session was.
        key: its place there: the base URL and the id.
        proof: the SHA-256 of its client's key.
        credentials: whom it is told to beside; None: whoever has the key.
        code: the close code.
        reason: the reason that goes with it.
        received: how many messages of the client were handled.
        until: when it is forgotten, in seconds of the clock.
        lost: it was not closed, its client had been away for too long.
    """

    owner: ResumeOwner
    key: tuple[str, str]
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

    def placeholder(self) -> ResumableSession:
        """Returns a session that is over, which the application sees in place of the former."""
        return placeholder(self.owner, self.key)

    def revoke(self, code: int, reason: str) -> None:
        """Does nothing: it is over, and its user is asked about each time."""

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
    out none but its like. So are those that other bounds hold for: applications that may have few,
    or none, drive out none of another one's.
    """

    def __init__(self) -> None:
        # By bound: those that are grown, and those that are young, in the order in which they are
        # forgotten.
        self._known: dict[int, tuple[dict[Hashable, Tombstone], dict[Hashable, Tombstone]]] = {}

    def __len__(self) -> int:
        return sum(len(grown) + len(young) for grown, young in self._known.values())

    def add(
        self, place: Hashable, tombstone: Tombstone, now: float, *, grown: bool, limit: int
    ) -> None:
        """Adds one; where there are too many, the oldest of the same bound goes.

        Args:
            place: whose session it was: its manager, base URL and id.
            tombstone: the end.
            now: seconds of the clock.
            grown: its client had proved that it got the welcome.
            limit: how many there may be in the process; always the same for a manager.
        """
        self.expire(now)
        old, young = self._known.setdefault(limit, ({}, {}))
        young.pop(place, None)
        old.pop(place, None)
        while len(self) >= limit:
            others = young or (old if grown else None)
            if not others:
                return
            del others[next(iter(others))]
        (old if grown else young)[place] = tombstone

    def get(self, place: Hashable, now: float) -> Tombstone | None:
        """Returns how a session ended, None where nobody knows."""
        for known in chain.from_iterable(self._known.values()):
            found = known.get(place)
            if found is not None and now < found.until:
                return found
        return None

    def expire(self, now: float) -> None:
        """Forgets those whose time is over."""
        for known in chain.from_iterable(self._known.values()):
            while known:
                place = next(iter(known))
                if now < known[place].until:
                    break
                del known[place]
