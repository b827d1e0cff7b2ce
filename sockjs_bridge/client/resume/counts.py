"""What a client counts: messages that wait until they are handled, and those that it has got."""

from __future__ import annotations

import json

#: What a message that waits takes beside its characters.
BESIDE = 64


def count_of(value: object) -> int:
    """Returns a count that the server told.

    Raises:
        ValueError: it is none; JSON has numbers that no arithmetic survives.
    """
    if type(value) is not int or value < 0:
        raise ValueError("no count")
    return value


class Counts:
    """The counts of one client over all its sessions.

    The numbers of messages are those of the present session, from 1. The id of a message, which
    outlives sessions, is ``client-number`` with the number that it has over all of them.

    Attributes:
        handled: how many messages the server has handled in this session: their promises are kept.
        arrived: how many need not be sent again over this session.
        received: how many messages the client has got in this session.
        acknowledged: how many of them it has said that it has.
        base: the number over all sessions of this session's first message.
        repeated: how many of this session's first messages may have been handled before.
        offered: the last message that was on its way in this session: it may have been handled.
        copied: the last one that was on its way with a request that may make a session: a late copy
            of it does so in another process.
        size: characters of the messages that wait, and what each takes beside them.
    """

    def __init__(self) -> None:
        # What waits, behind so many that are done with: whoever goes on in the middle of a long
        # queue must not walk there.
        self._out: list[str] = []
        self._done = 0
        self.size = 0
        self.handled = self.arrived = 0
        self.received = self.acknowledged = 0
        self.base = 1
        self.repeated = 0
        self.offered = self.copied = 0

    def add(self, text: str) -> int:
        """Has a message wait in its order.

        Returns:
            Its number over all sessions.
        """
        self._out.append(text)
        self.size += len(text) + BESIDE
        return self.base + self.last - 1

    @property
    def last(self) -> int:
        """The number of the last message that was sent."""
        return self.handled + len(self._out) - self._done

    @property
    def settled(self) -> int:
        """How many messages were handled over all sessions."""
        return self.base + self.handled - 1

    def confirm(self, handled: int) -> bool:
        """Hears how many messages were handled.

        Returns:
            False where the server tells more than it was sent: it is no server of ours.
        """
        if handled > self.last:
            return False
        count = max(0, handled - self.handled)
        self.size -= sum(map(len, self._out[self._done : self._done + count])) + BESIDE * count
        self._done += count
        self.handled += count
        if 2 * self._done >= len(self._out):
            del self._out[: self._done]
            self._done = 0
        self.arrived = max(self.arrived, handled)
        return True

    def after(self, number: int, limit: int) -> list[str]:
        """Returns messages that go up together.

        Args:
            number: of the first one.
            limit: bytes of JSON, unless it is one message.
        """
        found: list[str] = []
        size = 0
        for index in range(self._done + max(0, number - self.handled - 1), len(self._out)):
            text = self._out[index]
            size += len(json.dumps(text)) + 1
            if found and size > limit:
                break
            found.append(text)
        return found

    def begin_again(self, *, doubtful: bool) -> None:
        """Begins a new session with what was not confirmed.

        Args:
            doubtful: what was on its way may have been handled.
        """
        under_way = self.offered if doubtful else self.copied
        self.repeated = max(0, self.repeated - self.handled, under_way - self.handled)
        self.base += self.handled
        self.handled = self.arrived = self.offered = self.copied = 0
        self.received = self.acknowledged = 0
