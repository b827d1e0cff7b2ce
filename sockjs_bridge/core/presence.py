"""One who is in a room, as applications see it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Presence:
    """One who is in a room.

    Attributes:
        id: of this stay in the room; no other one has it, of whatever connection.
        userid: the ``authenticated_userid`` of the handshake, as text; None if nobody is signed in.
        since: when the connection joined the room, in seconds since 1970 (UTC).
        info: what was given to ``join(room, info=...)``; else it is empty.
    """

    id: str
    userid: str | None
    since: float
    info: dict[str, Any]
