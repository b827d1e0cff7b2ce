"""How far a process is in a room with history: what comes next, what is missing, what waits.

Pure logic. Within an epoch the numbers go up by one: what is not the next one shows a hole, and
another epoch that something may be missing. The store is asked then for what came behind the last
position; what is heard meanwhile waits. All that goes on does so in the order of the numbers.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import NamedTuple

from sockjs_bridge.cluster.store import Entry, Position, Since

#: So many messages of a room wait at most: what is heard beyond is asked for.
MAX_WAITING = 1000

#: A message, and where it stands.
Stated = tuple[Position, Entry]


class Heard(Enum):
    """What a message that was heard turned out to be."""

    #: It is the next one, and goes on.
    NEXT = auto()
    #: It was there before.
    KNOWN = auto()
    #: It waits for what the store says.
    WAITS = auto()
    #: It waits, and the store is to be asked.
    HOLE = auto()


class Step(NamedTuple):
    """What an answer of the store leads to.

    Attributes:
        gap: something is missing for good: all goes on behind this position; None where nothing is.
        messages: that go on now.
        ask: the store is to be asked again.
    """

    gap: Position | None
    messages: list[Stated]
    ask: bool


class RoomPosition:
    """Where a process is in one room; at first it waits for the store to say where the room is.

    Attributes:
        last: position of the last message that went on; None before the first answer.
        asking: the store has been asked.
    """

    __slots__ = ("_overflowed", "_present", "_waiting", "asking", "last")

    def __init__(self) -> None:
        self.last: Position | None = None
        self.asking = True
        self._waiting: list[Stated] = []
        # So many of those wait since before the store was asked.
        self._present = 0
        self._overflowed = False

    def heard(self, position: Position, entry: Entry) -> Heard:
        """Takes a message that was heard.

        Args:
            position: where it stands.
            entry: the message.
        """
        if self.asking:
            self._wait(position, entry)
            return Heard.WAITS
        last = self.last
        assert last is not None
        if position.epoch == last.epoch:
            if position.number == last.number + 1:
                self.last = position
                return Heard.NEXT
            if position.number <= last.number:
                return Heard.KNOWN
        self._wait(position, entry)
        self._ask()
        return Heard.HOLE

    def _wait(self, position: Position, entry: Entry) -> None:
        if len(self._waiting) < MAX_WAITING:
            self._waiting.append((position, entry))
        else:
            self._overflowed = True

    def _ask(self) -> None:
        self.asking = True
        self._present = len(self._waiting)
        self._overflowed = False

    def answered(self, since: Since) -> Step:
        """Takes what the store has behind `last`; see `Step`."""
        waiting, self._waiting = self._waiting, []
        overflowed = self._overflowed
        # The store answered after it had published these: what it does not have is gone there.
        waiting = [
            each
            for index, each in enumerate(waiting)
            if index >= self._present or each[0].epoch == since.top.epoch
        ]
        self.asking = self._overflowed = False
        gap = None
        messages = since.entries
        if messages is None:
            messages = []
            gap = self.last = _before_first(waiting, since.top)
        else:
            self.last = since.top
        for index, (position, entry) in enumerate(waiting):
            heard = self.heard(position, entry)
            if heard is Heard.NEXT:
                messages.append((position, entry))
            elif heard is Heard.HOLE:
                for other in waiting[index + 1 :]:
                    self._wait(*other)
                self._present = len(self._waiting)
                break
        if overflowed and not self.asking:
            self._ask()
        return Step(gap, messages, self.asking)

    def looked(self, before: Position, top: Position | None) -> bool:
        """Takes where the store says that the room is.

        Args:
            before: what `last` was when it was asked.
            top: of the last message there; None where it knows nothing of the room.

        Returns:
            Whether the store is to be asked what came behind `last`.
        """
        last = self.last
        if self.asking or top == last:
            return False
        assert last is not None
        if (
            top is not None
            and top.epoch == last.epoch
            and (before.epoch != top.epoch or before.number <= top.number)
            and top.number <= last.number
        ):
            return False
        self._ask()
        return True

    def caught_up(self, position: Position, before: Position, since: Since) -> Step:
        """Takes what the store has behind a position that a client told, which may help here too.

        Args:
            position: the client's.
            before: what `last` was when it was asked.
            since: that.
        """
        last, top = self.last, since.top
        if self.asking or last is None:
            return Step(None, [], False)
        if (
            since.entries is not None
            and position.epoch == last.epoch == top.epoch
            and position.number <= last.number < top.number
        ):
            self.last = top
            new = [each for each in since.entries if each[0].number > last.number]
            return Step(None, new, False)
        return Step(None, [], self.looked(before, top))


def _before_first(waiting: list[Stated], top: Position) -> Position:
    """Returns behind which position all goes on where something is missing.

    Nothing that was heard is thrown away: its reader may know nothing of positions.
    """
    for position, _ in waiting:
        if position.epoch == top.epoch and position.number <= top.number:
            return Position(top.epoch, position.number - 1)
    return top
