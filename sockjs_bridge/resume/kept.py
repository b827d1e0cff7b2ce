"""What a session has sent and its client has not acknowledged: references, counted."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from sockjs_bridge.resume.lines import Item, Placed


class Portion(NamedTuple):
    """What leaves together.

    Attributes:
        items: messages, and positions among them.
        messages: how many messages there are.
        hints: how many positions.
    """

    items: list[Item]
    messages: int
    hints: int


class Kept:
    """The messages of one session from the first that its client may lack.

    What only tells a position in a room (a `Placed` without a text) is no message: it has no
    number, goes out in its place among those that have one, and comes again only where they do.

    Args:
        max_size: bytes that may be kept.

    Attributes:
        sent: how many messages the application has sent.
        acked: how many the client has acknowledged.
        size: the bytes that are kept.
    """

    __slots__ = (
        *("_drains", "_half_size", "_hinted", "_hints", "_items", "_max_size"),
        *("acked", "sent", "size"),
    )

    def __init__(self, max_size: int) -> None:
        self._max_size = max_size
        self._half_size = max_size // 2
        self._items: list[Item] = []
        self.sent = self.acked = 0
        self.size = 0
        self._drains: list[Callable[[], object]] | None = None
        # Positions, each with the number of the message before it; how many of them were written.
        self._hints: list[tuple[int, Item]] = []
        self._hinted = 0

    def append(self, item: Item) -> None:
        """Adds a message: the next number is its own."""
        if isinstance(item, Placed) and item.text is None:
            self._hints.append((self.sent, item))
            return
        self._items.append(item)
        self.sent += 1
        self.size += len(item) + 1

    def extend(self, messages: list[bytes], text: bytes) -> None:
        """Adds messages that are in one frame.

        Args:
            messages: the messages, quoted.
            text: of the frame, whose size tells theirs.
        """
        self._items += messages
        self.sent += len(messages)
        # Of `a[…]` all but two bytes are messages, and what is between them.
        self.size += len(text) - 2

    @property
    def too_large(self) -> bool:
        """Whether more is kept than may be."""
        return self.size > self._max_size

    @property
    def half(self) -> bool:
        """Whether so much is kept that the client is to acknowledge."""
        return self.size > self._half_size

    def clear(self) -> None:
        """Drops all messages: nobody gets them any more."""
        self._items.clear()
        self._hints.clear()
        self._hinted = 0
        self.size = 0

    @property
    def first(self) -> int:
        """The number of the first message that is kept."""
        return self.sent - len(self._items) + 1

    def __len__(self) -> int:
        return len(self._items)

    def acknowledge(self, received: int, written: int | None) -> None:
        """Drops what the client has.

        Args:
            received: how many messages it has.
            written: how many of them the attached receiver has got or is past; what it has yet to
                write goes out in full, since its client counts. None where none is attached.
        """
        self.acked = max(self.acked, received)
        count = self.acked if written is None else min(self.acked, written)
        done = count - self.first + 1
        if done > 0:
            dropped = self._items[:done]
            del self._items[:done]
            self.size -= sum(map(len, dropped)) + len(dropped)
            if self._drains and self.drained:
                self.release()

    @property
    def hinting(self) -> bool:
        """Whether a position waits that was not written yet."""
        return self._hinted < len(self._hints)

    def restart(self, number: int) -> None:
        """Hears that a receiver begins.

        Args:
            number: of the message that it gets first; positions before it were written.
        """
        written = self._hints[: self._hinted]
        self._hints[: self._hinted] = [hint for hint in written if hint[0] >= number]
        self._hinted = 0

    def after(self, number: int, max_size: int) -> Portion:
        """Returns messages from a number on, as many as leave together.

        Args:
            number: of the first one.
            max_size: their bytes, unless it is one message.
        """
        found: list[Item] = []
        size = 0
        hints = self._hints[self._hinted :]
        told = 0
        begin = number - self.first
        for last, item in enumerate(self._items[begin:] if begin >= 0 else (), number - 1):
            while told < len(hints) and hints[told][0] <= last:
                found.append(hints[told][1])
                told += 1
            size += len(item) + 1
            if len(found) > told and size > max_size:
                return Portion(found, len(found) - told, told)
            found.append(item)
        found += [hint for _, hint in hints[told:]]
        return Portion(found, len(found) - len(hints), len(hints))

    def wrote(self, portion: Portion) -> None:
        """Hears that what `after` returned was written."""
        self._hinted += portion.hints

    @property
    def drained(self) -> bool:
        """Whether little waits: at most a quarter of what may."""
        return self.size <= self._max_size // 4

    def when_drained(self, callback: Callable[[], object]) -> None:
        """Calls back once, when it is `drained`, or at `release`."""
        if self.drained:
            callback()
        elif self._drains is None:
            self._drains = [callback]
        else:
            self._drains.append(callback)

    def release(self) -> None:
        """Calls back all who wait: nobody needs to wait any more."""
        callbacks, self._drains = self._drains, None
        for callback in callbacks or ():
            callback()
