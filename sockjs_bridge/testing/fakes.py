"""What stands in for the loop and for the client of a connection that has neither."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from typing import Any

from sockjs_bridge.core.contracts import Peer
from sockjs_bridge.core.transports import Transport

TRANSPORT = Transport(
    "websocket", "GET", streaming=True, websocket=True, frame=lambda text, callback: text
)


class DummyClock:
    """Fulfils `core.contracts.Clock`: time stands still, and the loop turns when asked to."""

    def __init__(self) -> None:
        self._calls: deque[Callable[[], object]] = deque()

    def time(self) -> float:
        """Returns the time at which it stands, in seconds."""
        return 0.0

    def call_soon(self, callback: Callable[[], object]) -> None:
        """Calls back at the next `turn`."""
        self._calls.append(callback)

    def call_at(self, when: float, callback: Callable[[], object]) -> None:
        """Never calls back: no time passes."""

    def call_from_thread(self, callback: Callable[..., object], *arguments: Any) -> None:
        """Calls back at once."""
        callback(*arguments)

    def turn(self) -> None:
        """Calls what waits."""
        while self._calls:
            self._calls.popleft()()


class DummyReceiver:
    """Fulfils `core.contracts.Receiver`: a client that keeps what it is sent.

    Attributes:
        messages: what it was sent.
        writable: it takes more.
    """

    callback = ""
    begun = True
    tag: str | None = None
    heard = 0.0

    def __init__(self) -> None:
        self.writable = True
        self.transport = TRANSPORT
        self.peer = Peer()
        self.messages: list[str] = []

    def write(self, data: bytes) -> bool:
        """Takes one frame's bytes."""
        if data[:1] == b"a":
            self.messages += json.loads(data[1:])
        return True

    def ping(self) -> None:
        """Is always alive."""

    def end(self) -> None:
        """Ends in good order."""

    def abort(self) -> None:
        """Is dropped."""
