"""Who is in which room, as applications see it: who it is, since when, and what is told of them.

In one process that is what `Rooms` has. `Presences` is what others stand on: in a cluster each
process notes its members where all can see them.
"""

from __future__ import annotations

import json
import secrets
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from sockjs_bridge.core.contracts import Clock, Recipient
from sockjs_bridge.core.presence import Presence
from sockjs_bridge.core.rooms import Rooms, Stay
from sockjs_bridge.core.signals import Signals

#: The kind of signals by which processes tell that somebody came to a room, or left.
KIND = "presence"


#: Hears who is in a room, or why that is not known.
Listed = Callable[[list[Presence] | Exception], object]


class Presences:
    """Who is in the rooms of an application, in one process.

    `entered`, `left` and `present` may be called in any thread, what they lead to is on the loop.

    Args:
        rooms: of the application.
        signals: by which processes tell each other who came and left.
        node: the name of this process; by default a random one.
    """

    #: Whether each stay is looked at, not only those that are announced.
    thorough = False
    #: How many members of a room hear of somebody in one go, so that many cannot hold up the loop.
    BATCH: ClassVar[int] = 100

    def __init__(self, rooms: Rooms[Recipient], signals: Signals, node: str = "") -> None:
        self._rooms = rooms
        self._signals = signals
        self._node = node or secrets.token_hex(5)
        self._clock: Clock | None = None
        # What is known of a stay here, and elsewhere; changed on the loop.
        self._known: dict[Recipient, dict[str, Known]] = {}
        self._telling: deque[Iterator[object]] = deque()
        signals.on(KIND, self._hear)

    def start(self, clock: Clock) -> None:
        """Begins.

        Args:
            clock: of the server's loop.
        """
        self._clock = clock

    def entered(self, session: Recipient, room: str, info: str, announce: bool) -> None:
        """Hears that a session has entered a room, or is in it and has more to tell.

        Args:
            session: the session.
            room: the name of the room.
            info: what is told of it, a JSON object; empty where nothing new is.
            announce: members are told.
        """
        if info or announce:
            self._rooms.note(session, room, info, announce)
        if (announce or self.thorough) and self._clock is not None:
            self._clock.call_from_thread(self._look, session, room)

    def left(self, session: Recipient, rooms: Iterable[str]) -> None:
        """Hears that a session has left rooms."""
        if self._clock is not None and (self.thorough or session in self._known):
            for room in rooms:
                self._clock.call_from_thread(self._look, session, room)

    def present(self, room: str, done: Listed) -> None:
        """Lists who is in a room, in the order in which they came.

        Args:
            room: its name.
            done: called with that, in this thread or on the loop.
        """
        done([self._presence(session, stay) for session, stay in self._rooms.stays(room)])

    def _presence(self, session: Recipient, stay: Stay) -> Presence:
        info = json.loads(stay.info) if stay.info else {}
        return Presence(self._id(stay), session.userid, stay.since, info)

    def _id(self, stay: Stay) -> str:
        # No two stays of a process begin in the same microsecond.
        return f"{self._node}/{round(stay.since * 1e6):x}"

    # On the loop

    def _look(self, session: Recipient, room: str) -> None:
        """Looks whether a session is in a room: threads may have changed that several times."""
        # Before it is looked: who leaves meanwhile finds the session here (`left`).
        rooms = self._known.setdefault(session, {})
        stay = self._rooms.stay(session, room)
        known = rooms.get(room)
        if known is not None and (stay is None or known.presence.id != self._id(stay)):
            del rooms[room]
            self._went(room, known)
            known = None
        if stay is not None:
            present = Known(self._presence(session, stay), stay.announced)
            if present != known:
                rooms[room] = present
                self._came(room, present, known)
        if not rooms:
            del self._known[session]

    def _came(self, room: str, present: Known, before: Known | None) -> None:
        """Notes that somebody is in a room; ``before`` is what was known of them."""
        if present.announced and (before is None or not before.announced):
            self._say(room, present, joined=True)

    def _went(self, room: str, known: Known) -> None:
        if known.announced:
            self._say(room, known, joined=False)

    def _say(self, room: str, known: Known, *, joined: bool) -> None:
        self._signals.say(KIND, [room, known.presence.id, known.text, joined])

    def _hear(self, data: Any) -> None:
        """Hears that somebody came to a room, or left; in whatever process."""
        room, member, text, joined = data
        known = Known.parse(member, text)
        if known is not None:
            self._telling.append(self._tell(room, known.presence, joined=joined is True))
            if len(self._telling) == 1:
                self._go_on_soon()

    def _tell(self, room: str, presence: Presence, *, joined: bool) -> Iterator[object]:
        stays = self._rooms.stays(room)
        for begin in range(0, len(stays), self.BATCH):
            for session, stay in stays[begin : begin + self.BATCH]:
                if self._id(stay) != presence.id:
                    session.presence_changed(room, presence, joined=joined)
            yield None

    def _go_on_soon(self) -> None:
        assert self._clock is not None
        self._clock.call_soon(self._go_on)

    def _go_on(self) -> None:
        if next(self._telling[0], self) is self:
            self._telling.popleft()
        if self._telling:
            self._go_on_soon()


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a stay.

    Attributes:
        presence: of the member.
        announced: members hear of it.
    """

    presence: Presence
    announced: bool

    @property
    def text(self) -> str:
        """As processes tell each other."""
        who = self.presence
        return json.dumps([who.userid, who.since, who.info, self.announced], separators=(",", ":"))

    @classmethod
    def parse(cls, member: str, text: str) -> Known | None:
        """Reads what another process has told; None where it cannot be read."""
        try:
            userid, since, info, announced = json.loads(text)
            who = Presence(
                str(member), None if userid is None else str(userid), float(since), dict(info)
            )
        except (ValueError, TypeError, RecursionError):
            return None
        return cls(who, announced is True)
