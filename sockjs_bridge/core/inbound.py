"""What arrives for a session: on its way to the application, no faster than that takes it."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable

from sockjs_bridge.core.contracts import Handler
from sockjs_bridge.core.monitor import Monitor
from sockjs_bridge.core.states import States
from sockjs_bridge.core.transports import Transport

#: How many sends of one session may wait until its application takes messages again; a client
#: sends one after another, so that more are an attack on the memory.
WAITING_SENDS = 8


class Inbound(States):
    """The way of a session's messages to its application.

    Args:
        max_inbound: messages that may wait there.
        transport: the one that opens it.
        traffic: what counts the messages; None where nothing does.

    Attributes:
        transport: the last transport that received.
        messages_in: how many messages were handed on.
        bytes_in: the bytes in which messages arrived.
        awaited: somebody waits for `ready`; may be read in any thread.
    """

    __slots__ = (
        *("_handler", "_held", "_max_inbound", "_ready", "_traffic", "awaited", "bytes_in"),
        *("messages_in", "transport"),
    )

    def __init__(self, max_inbound: int, transport: Transport, traffic: Monitor | None) -> None:
        super().__init__()
        self.transport = transport
        self._traffic = traffic
        self.messages_in = self.bytes_in = 0
        self._max_inbound = max_inbound
        self._handler: Handler | None = None
        self._ready: list[Callable[[], object]] | None = None
        # What arrived and had no room there: one frame may hold thousands of messages.
        self._held: deque[str] | None = None
        self.awaited = False

    def deliver(self, messages: list[str], size: int) -> bool:
        """Hands messages to the application; drops them when the session is closing.

        Those that there is no room for wait here; who brought them is to bring no more then.

        Args:
            messages: in the order in which they were sent.
            size: the bytes in which they arrived.

        Returns:
            Whether the session is `full` now.
        """
        handler = self._handler
        if handler is None:
            return False
        self.bytes_in += size
        if self._traffic is not None:
            self._traffic.messages_in(self.transport.name, len(messages), size)
        room = self._max_inbound - handler.backlog()
        if self._held is None and len(messages) <= room:
            self.messages_in += len(messages)
            handler.received(messages)
            # Where there was more room than for these, there still is.
            return len(messages) == room and self.full
        if self._held is None:
            self._held = deque()
        self._held += messages
        self.awaited = True
        # A thread that took a message just before saw nobody waiting.
        self.ready()
        return self.full

    @property
    def full(self) -> bool:
        """Whether more messages wait for the application than ``max_inbound``."""
        handler = self._handler
        return handler is not None and (
            self._held is not None or handler.backlog() >= self._max_inbound
        )

    @property
    def unhandled(self) -> int:
        """How many messages wait for the application."""
        waiting = 0 if self._handler is None else self._handler.backlog()
        return waiting + len(self._held or ())

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
        if not self.awaited:
            return
        self._hand_on()
        if not self.full:
            callbacks, self._ready = self._ready, None
            self.awaited = False
            for callback in callbacks or ():
                callback()

    def release(self) -> None:
        """Says that no more will come: what is here is handed on, whatever waits already."""
        self._max_inbound = sys.maxsize
        self.ready()

    def _hand_on(self) -> None:
        """Hands on as much of the rest as there is room for."""
        handler, rest = self._handler, self._held
        if handler is None:
            self._held = None
        elif rest is not None:
            room = max(0, self._max_inbound - handler.backlog())
            messages = [rest.popleft() for _ in range(min(room, len(rest)))]
            if not rest:
                self._held = None
            if messages:
                self.messages_in += len(messages)
                handler.received(messages)

    @property
    def flooded(self) -> bool:
        """Whether more sends wait for `ready` than a client that sends in turn can have."""
        return self._ready is not None and len(self._ready) >= WAITING_SENDS
