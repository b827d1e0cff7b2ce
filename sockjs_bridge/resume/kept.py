"""What a session has sent and its client has not acknowledged: references, counted."""

from __future__ import annotations

from collections.abc import Callable

from sockjs_bridge.resume.lines import Item


class Kept:
    """The messages of one session from the first that its client may lack.

    Args:
        max_size: bytes that may be kept.

    Attributes:
        sent: how many messages the application has sent.
        acked: how many the client has acknowledged.
        size: the bytes that are kept.
    """

    __slots__ = ("_drains", "_items", "_max_size", "acked", "sent", "size")

    def __init__(self, max_size: int) -> None:
        self._max_size = max_size
        self._items: list[Item] = []
        self.sent = self.acked = 0
        self.size = 0
        self._drains: list[Callable[[], object]] | None = None

    def append(self, item: Item) -> None:
        """Adds a message: the next number is its own."""
        self._items.append(item)
        self.sent += 1
        self.size += len(item) + 1

    @property
    def too_large(self) -> bool:
        """Whether more is kept than may be."""
        return self.size > self._max_size

    @property
    def half(self) -> bool:
        """Whether so much is kept that the client is to acknowledge."""
        return self.size > self._max_size // 2

    def clear(self) -> None:
        """Drops all messages: nobody gets them any more."""
        self._items.clear()
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

    def after(self, number: int, max_size: int) -> list[Item]:
        """Returns messages from a number on, as many as leave together.

        Args:
            number: of the first one.
            max_size: their bytes, unless it is one message.
        """
        found: list[Item] = []
        size = 0
        for item in self._items[number - self.first :]:
            size += len(item) + 1
            if found and size > max_size:
                break
            found.append(item)
        return found

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
