"""What a client counts: messages that wait until they are handled, and those that it has got."""

from __future__ import annotations

import json
from collections import deque
from itertools import islice


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
    """

    def __init__(self) -> None:
        self._out: deque[str] = deque()
        self.handled = self.arrived = 0
        self.received = self.acknowledged = 0
        self.base = 1
        self.repeated = 0
        self.offered = 0

    def add(self, text: str) -> int:
        """Has a message wait in its order.

        Returns:
            Its number over all sessions.
        """
        self._out.append(text)
        return self.base + self.last - 1

    @property
    def last(self) -> int:
        """The number of the last message that was sent."""
        return self.handled + len(self._out)

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
        while self.handled < handled:
            self._out.popleft()
            self.handled += 1
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
        for text in islice(self._out, max(0, number - self.handled - 1), None):
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
        left = max(0, self.repeated - self.handled)
        self.repeated = max(left, self.offered - self.handled) if doubtful else left
        self.base += self.handled
        self.handled = self.arrived = self.offered = 0
        self.received = self.acknowledged = 0
