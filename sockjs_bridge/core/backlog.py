"""Messages that wait for one client: how much they are, and who waits until they are fewer."""

from __future__ import annotations

from collections.abc import Callable


class Backlog:
    """What is bounded in bytes; used on the loop only.

    Args:
        max_size: bytes that may wait.

    Attributes:
        size: bytes that wait.
    """

    __slots__ = ("_drains", "_max_size", "size")

    def __init__(self, max_size: int) -> None:
        self._max_size = max_size
        self.size = 0
        self._drains: list[Callable[[], object]] | None = None

    @property
    def too_large(self) -> bool:
        """Whether more waits than may."""
        return self.size > self._max_size

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
