"""What a session has sent and its client has not acknowledged: references, counted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
        half_size: where more is kept, the client is to acknowledge.
        hinting: a position waits that was not written yet.
    """

    __slots__ = (
        *("_drains", "_hinted", "_hints", "_items", "_max_size"),
        *("acked", "half_size", "hinting", "sent", "size"),
    )

    def __init__(self, max_size: int) -> None:
        self._max_size = max_size
        self.half_size = max_size // 2
        self._items: list[Item] = []
        self.sent = self.acked = 0
        self.size = 0
        self._drains: list[Callable[[], object]] | None = None
        # Positions, each with the number of the message before it; how many of them were written.
        self._hints: list[tuple[int, Item]] | None = None
        self._hinted = 0
        self.hinting = False

    def append(self, item: Item) -> None:
        """Adds a message: the next number is its own."""
        if type(item) is not bytes and isinstance(item, Placed) and item.text is None:
            if self._hints is None:
                self._hints = []
            self._hints.append((self.sent, item))
            self.hinting = True
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

    def clear(self) -> None:
        """Drops all messages: nobody gets them any more."""
        self._items.clear()
        self._hints = None
        self._hinted = 0
        self.hinting = False
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
        if received > self.acked:
            self.acked = received
        count = self.acked if written is None or written > self.acked else written
        items = self._items
        done = count - self.sent + len(items)
        if done > 0:
            if done == len(items):
                items.clear()
                self.size = 0
            else:
                self.size -= sum(map(len, items[:done])) + done
                del items[:done]
            if self._drains and self.drained:
                self.release()

    def restart(self, number: int) -> None:
        """Hears that a receiver begins.

        Args:
            number: of the message that it gets first; positions before it were written.
        """
        if self._hints:
            written = self._hints[: self._hinted]
            self._hints[: self._hinted] = [hint for hint in written if hint[0] >= number]
        self._hinted = 0
        self.hinting = bool(self._hints)

    def rest(self, number: int) -> Sequence[Item]:
        """Returns all messages from a number on; none where a position may be among them.

        Args:
            number: of the first one.
        """
        count = self.sent + 1 - number
        return self._items[-count:] if 0 < count <= len(self._items) and not self._hints else ()

    def after(self, number: int, max_size: int) -> Portion:
        """Returns messages from a number on, as many as leave together.

        Args:
            number: of the first one.
            max_size: their bytes, unless it is one message.
        """
        found: list[Item] = []
        size = 0
        hints = self._hints[self._hinted :] if self._hints else []
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
        self.hinting = self._hinted < len(self._hints or ())

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
