"""What waits for one client: encoded messages, their size, and who waits until they are fewer."""

from __future__ import annotations

from collections.abc import Callable


class Outbox:
    """The messages of one session that have not left yet; used on the loop only.

    Args:
        max_size: bytes that may wait.
        max_batch: bytes of messages that leave in one frame, if there is more than one.

    Attributes:
        messages: what waits.
    """

    __slots__ = ("_drains", "_max_batch", "_max_size", "_size", "messages")

    def __init__(self, max_size: int, max_batch: int) -> None:
        self._max_size = max_size
        self._max_batch = max_batch
        # No deque: an empty one takes ten times the memory, and mostly all leaves at once.
        self.messages: list[bytes] = []
        self._size = 0
        self._drains: list[Callable[[], object]] | None = None

    def append(self, message: bytes) -> bool:
        """Adds a message; returns whether more waits now than may."""
        self.messages.append(message)
        self._size += len(message) + 1
        return self._size > self._max_size

    def clear(self) -> None:
        """Drops all messages."""
        self.messages.clear()
        self._size = 0

    @property
    def too_large(self) -> bool:
        """Whether more waits than may."""
        return self._size > self._max_size

    def batch(self) -> tuple[bytes, ...]:
        """Returns the messages that leave next, in one frame."""
        if self._size <= self._max_batch:
            return tuple(self.messages)
        count = size = 0
        for message in self.messages:
            if count and size + len(message) >= self._max_batch:
                break
            count += 1
            size += len(message) + 1
        return tuple(self.messages[:count])

    def left(self, batch: tuple[bytes, ...]) -> None:
        """Drops what `batch` returned: it has left."""
        if len(batch) == len(self.messages):
            self.messages.clear()
            self._size = 0
        else:
            del self.messages[: len(batch)]
            self._size -= sum(map(len, batch)) + len(batch)
        if self._drains and self.drained:
            self.release()

    @property
    def drained(self) -> bool:
        """Whether little waits: at most a quarter of what may."""
        return self._size <= self._max_size // 4

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
