"""What waits for one client: encoded messages, until they have left."""

from __future__ import annotations

from sockjs_bridge.core.backlog import Backlog


class Outbox(Backlog):
    """The messages of one session that have not left yet; used on the loop only.

    Args:
        max_size: bytes that may wait.
        max_batch: bytes of messages that leave in one frame, if there is more than one.

    Attributes:
        messages: what waits.
    """

    __slots__ = ("_max_batch", "messages")

    def __init__(self, max_size: int, max_batch: int) -> None:
        super().__init__(max_size)
        self._max_batch = max_batch
        # No deque: an empty one takes ten times the memory, and mostly all leaves at once.
        self.messages: list[bytes] = []

    def append(self, message: bytes) -> bool:
        """Adds a message; returns whether more waits now than may."""
        self.messages.append(message)
        self.size += len(message) + 1
        return self.size > self._max_size

    def clear(self) -> None:
        """Drops all messages."""
        self.messages.clear()
        self.size = 0

    def batch(self) -> tuple[bytes, ...]:
        """Returns the messages that leave next, in one frame."""
        if self.size <= self._max_batch:
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
            self.size = 0
        else:
            del self.messages[: len(batch)]
            self.size -= sum(map(len, batch)) + len(batch)
        if self._drains and self.drained:
            self.release()
