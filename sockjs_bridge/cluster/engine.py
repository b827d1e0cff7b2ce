"""The contract of what keeps the messages of rooms with history.

A place is an epoch and a number. Within an epoch the numbers of a room go up by one with each
message, and none is given twice. Whoever cannot promise that any longer (a process that begins, a
store that has lost its last messages) begins another epoch: nobody's place of before is known
then, and a gap is told where a wrong number would hide it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from sockjs_bridge.core import protocol
from sockjs_bridge.core.frames import Place, Placed, placed


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much of a room is kept.

    Attributes:
        size: messages.
        ttl: seconds that a message is kept.
    """

    size: int
    ttl: float


class Message:
    """A message of a room.

    Args:
        place: see `place`.
        text: see `text`.
        excluded: see `excluded`.

    Attributes:
        place: where it stands.
        text: the message.
        excluded: the clients that do not get it, by what they call themselves.
    """

    __slots__ = ("_quoted", "excluded", "place", "text")

    def __init__(self, place: Place, text: str, excluded: frozenset[str] = frozenset()) -> None:
        self.place = place
        self.text = text
        self.excluded = excluded
        self._quoted: Placed | None = None

    @property
    def quoted(self) -> Placed:
        """The message with its place, as all sessions that get it later keep it: made once."""
        if self._quoted is None:
            self._quoted = placed(protocol.quote(self.text), self.place)
        return self._quoted


#: Hears of a message that is kept now.
Kept = Callable[[Message], object]
#: Hears what came after a position: the place of the last message, and all messages after the
#: position; None in place of these where not all of them are there any more, or the position is
#: none of this room.
CaughtUp = Callable[[Place, list[Message] | None], object]


class Engine(Protocol):
    """Keeps the messages of rooms, in the order in which all hear them.

    `add` and `expire` are called on the loop, the others in any thread. What is asked for comes by
    a callback, before the method returns or later, on the loop then; what is added, in the order of
    its places. Nothing of the engine's is locked meanwhile.
    """

    def key(self, room: str) -> str:
        """Returns what clients know a room by: a keyed hash of its name."""
        raise NotImplementedError

    def foreign(self, position: str) -> bool:
        """Tells whether a position is of an engine whose keys of rooms are unknown here.

        Who has one may have it of any room.

        Args:
            position: anything that a client sent.
        """
        raise NotImplementedError

    def add(
        self, room: str, text: str, excluded: frozenset[str], bounds: Bounds, done: Kept
    ) -> None:
        """Keeps a message, and gives it its place, in one step.

        Args:
            room: its name.
            text: the message.
            excluded: see `Message.excluded`.
            bounds: of the room.
            done: called with what is kept now.
        """
        raise NotImplementedError

    def since(self, room: str, position: str | None, bounds: Bounds, done: CaughtUp) -> None:
        """Looks up what came after a position.

        Args:
            room: its name.
            position: epoch and number of the last message that is known, as ``EPOCH-7``; None
                where none is. It may be anything: clients send it.
            bounds: of the room.
            done: called with that.
        """
        raise NotImplementedError

    def expire(self, now: float, occupied: Callable[[str], bool]) -> float | None:
        """Forgets some of what nobody may ask for any more.

        Args:
            now: seconds of the clock.
            occupied: tells whether somebody is in a room.

        Returns:
            When it wants to be called again, in seconds of the clock; None where nothing is kept.
        """
        raise NotImplementedError
