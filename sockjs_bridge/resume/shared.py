"""What the sessions of one process share, whatever their endpoints and applications."""

from __future__ import annotations

from sockjs_bridge.core.hub import Places
from sockjs_bridge.core.readiness import Readiness
from sockjs_bridge.resume.contracts import Resident
from sockjs_bridge.resume.tombstones import Tombstones


class Shared:
    """What counts over all of a process.

    Each application bounds it by its own settings: where there is more than it allows, its own
    sessions pay for that, none of another one's.

    Attributes:
        places: how many sessions there are.
        tombstones: of all endpoints.
        kept_bytes: what suspended sessions keep.
        readiness: whether the process is to get new clients.
    """

    def __init__(self) -> None:
        self.places = Places()
        self.tombstones = Tombstones()
        self.kept_bytes = 0
        self.readiness = Readiness()
        # By bound: those that keep something while nobody receives, the oldest first.
        self._suspended: dict[int, dict[Resident, int]] = {}

    def keeps(self, session: Resident, size: int | None, limit: int) -> None:
        """Counts what a suspended session keeps; the oldest go first where that is too much.

        Args:
            session: the session.
            size: bytes, None once it is not suspended. Who keeps nothing is no use to anybody
                by its end.
            limit: how many all may keep together; always the same for a session.
        """
        suspended = self._suspended.setdefault(limit, {})
        self.kept_bytes += (size or 0) - suspended.get(session, 0)
        if not size:
            suspended.pop(session, None)
            return
        suspended[session] = size
        while self.kept_bytes > limit and suspended:
            oldest = next(iter(suspended))
            self.kept_bytes -= suspended.pop(oldest)
            oldest.give_up()
