"""What many clients may hold of a process together, and who gives way where it is too much.

A bound that one client could fill would shut out all others. So nobody is refused for coming last:
who holds up the rest for longest, or holds most of it, makes room for who comes.
"""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from collections.abc import Mapping
from functools import lru_cache
from typing import Protocol

#: Seconds after which who did not move is the first to give way, whatever others hold.
STALLED = 5.0
# RFC 6177: the least that one site gets, and so what one client can choose its addresses from.
_SITE = 64


class Holder(Protocol):
    """Who holds a part of what is bounded."""

    @property
    def client(self) -> str:
        """Whom the part is counted for, see `client_of`."""
        raise NotImplementedError

    def idle(self) -> float:
        """Returns the seconds since it last moved: its client sent, or took, a byte."""
        raise NotImplementedError

    def give_way(self) -> None:
        """Ends it; called on the loop. It has nothing any more when that is called."""
        raise NotImplementedError


class Budget:
    """Bounds what is held by many, in whatever unit; used on the loop.

    Args:
        limit: of all together.
        most: what counts at the most of an amount that is held at once.

    Attributes:
        limit: as given.
        total: what is held now.
    """

    def __init__(self, limit: int, most: int | None = None) -> None:
        self.limit = limit
        self._most = limit + 1 if most is None else most
        self.total = 0
        self._parts: dict[Holder, int] = {}
        # What does not give way.
        self._kept: dict[Holder, int] = {}

    def hold(self, holder: Holder, amount: int) -> None:
        """Adds to what one holds; where it is too much, some give way, the one itself included."""
        amount = min(amount, self._most)
        self._parts[holder] = self._parts.get(holder, 0) + amount
        self.total += amount
        if self.total > self.limit:
            self._make_room()

    def _make_room(self) -> None:
        # Of one client a bit more goes than is needed: it may come often, and each time all are
        # looked at.
        enough = self.limit - self.limit // 16
        client = None
        for holder in leaving_order(self._parts):
            if self.total <= (enough if holder.client == client else self.limit):
                return
            client = holder.client
            self.total -= self._parts.pop(holder)
            holder.give_way()

    def release(self, holder: Holder, amount: int) -> None:
        """Takes off what was held at once; nothing happens where the holder gave way."""
        amount = min(amount, self._most)
        part = self._parts.get(holder)
        if part is None:
            return
        self.total -= amount
        if part > amount:
            self._parts[holder] = part - amount
        else:
            del self._parts[holder]

    def keep(self, holder: Holder) -> None:
        """Has what one holds count on, until `drop`, but never give way."""
        if part := self._parts.pop(holder, 0):
            self._kept[holder] = part

    def drop(self, holder: Holder) -> None:
        """Takes off all that one holds."""
        self.total -= self._parts.pop(holder, 0) + self._kept.pop(holder, 0)


def leaving_order(parts: Mapping[Holder, int]) -> list[Holder]:
    """Returns who gives way, one after the other.

    Those that have not moved for longer than `STALLED` are the first, the stillest before the
    others; then come those of the client that holds most. So one that floods a server makes room
    for itself, and not at the cost of others.

    Args:
        parts: what each holds.
    """
    idle = {holder: holder.idle() for holder in parts}
    held: defaultdict[str, int] = defaultdict(int)
    for holder, part in parts.items():
        held[holder.client] += part

    def rank(holder: Holder) -> tuple[bool, int, float]:
        still = idle[holder] > STALLED
        return still, 0 if still else held[holder.client], idle[holder]

    return sorted(parts, key=rank, reverse=True)


@lru_cache(1024)
def client_of(address: str) -> str:
    """Returns whom an address is counted for: of IPv6 the network of 64 bits, else the address.

    Args:
        address: as the server or a trusted proxy tells it; it may be none at all.
    """
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return address
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((int(found), _SITE), strict=False))
