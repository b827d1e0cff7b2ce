"""What arrives for a session: on its way to the application, no faster than that takes it."""

from __future__ import annotations

from collections.abc import Callable

from sockjs_bridge.contracts import Handler

#: How many sends of one session may wait until its application takes messages again; a client
#: sends one after another, so that more are an attack on the memory.
WAITING_SENDS = 8


class Inbound:
    """The way of a session's messages to its application.

    Args:
        max_inbound: messages that may wait there.

    Attributes:
        messages_in: how many messages arrived.
        bytes_in: the bytes in which they arrived.
        awaited: somebody waits for `ready`; may be read in any thread.
    """

    __slots__ = ("_handler", "_max_inbound", "_ready", "awaited", "bytes_in", "messages_in")

    def __init__(self, max_inbound: int) -> None:
        self.messages_in = self.bytes_in = 0
        self._max_inbound = max_inbound
        self._handler: Handler | None = None
        self._ready: list[Callable[[], object]] | None = None
        self.awaited = False

    def deliver(self, messages: list[str], size: int) -> bool:
        """Hands messages to the application; drops them when the session is closing.

        Args:
            messages: in the order in which they were sent.
            size: the bytes in which they arrived.

        Returns:
            Whether the session is `full` now.
        """
        handler = self._handler
        if handler is None:
            return False
        self.messages_in += len(messages)
        self.bytes_in += size
        handler.received(messages)
        return self._handler is not None and handler.backlog() >= self._max_inbound

    @property
    def room(self) -> int:
        """How many messages make it `full`; 1 where it is."""
        backlog = 0 if self._handler is None else self._handler.backlog()
        return max(1, self._max_inbound - backlog)

    @property
    def full(self) -> bool:
        """Whether more messages wait for the application than ``max_inbound``."""
        return self._handler is not None and self._handler.backlog() >= self._max_inbound

    def when_ready(self, callback: Callable[[], object]) -> None:
        """Calls back once, when the session is not `full` any more or is over."""
        if self._ready is None:
            self._ready = []
        self._ready.append(callback)
        self.awaited = True
        # A thread that took a message just before saw nobody waiting.
        self.ready()

    def ready(self) -> None:
        """Says that messages were handled."""
        if self._ready and not self.full:
            callbacks, self._ready = self._ready, None
            self.awaited = False
            for callback in callbacks:
                callback()

    @property
    def crowded(self) -> bool:
        """Whether more sends wait for `ready` than a client that sends in turn can have."""
        return self._ready is not None and len(self._ready) >= WAITING_SENDS
