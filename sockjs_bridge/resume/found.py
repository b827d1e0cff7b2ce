"""What bounds the sessions of an endpoint, and what a look-up of one finds."""

from __future__ import annotations

from dataclasses import dataclass

from sockjs_bridge.core.settings import Settings
from sockjs_bridge.resume.session import ResumableSession
from sockjs_bridge.resume.tombstones import Tombstone


@dataclass(frozen=True, slots=True)
class Limits:
    """What the settings of the sub-protocol bound.

    Attributes:
        resume_window: seconds that a session waits for its client; 0 turns it all off.
        max_suspended_bytes: what suspended sessions keep, all together.
        max_tombstones: sessions that are over and whose end is known.
    """

    resume_window: float = 60.0
    max_suspended_bytes: int = 268435456
    max_tombstones: int = 100000

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        """Returns what an endpoint's settings say."""
        return cls(settings.resume_window, settings.max_suspended_bytes, settings.max_tombstones)


@dataclass(frozen=True, slots=True)
class Found:
    """What a receive request or a send means; one of these, or nothing: it is refused (403).

    Attributes:
        session: it is the client's.
        line: what answers it, and ends the response: the session is no more.
        tombstone: how the session ended, where that is known.
        make: the session may be made.
        unproven: the application is to be asked whether this is who opened it; a session that is
            over, too.
    """

    session: ResumableSession | None = None
    line: bytes | None = None
    tombstone: Tombstone | None = None
    make: bool = False
    unproven: ResumableSession | Tombstone | None = None


#: A wrong key, or somebody else: they look alike.
DENIED = Found()
