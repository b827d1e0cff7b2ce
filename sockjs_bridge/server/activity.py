"""What the connections of a server share, and what its stop waits for."""

from __future__ import annotations

import asyncio
from typing import Protocol

from sockjs_bridge.core.clock import DeadlineWheel
from sockjs_bridge.core.contracts import Clock
from sockjs_bridge.server.flow import Flow
from sockjs_bridge.server.turns import BEGINNINGS, Turns


class Abortable(Protocol):
    """An open connection, of whatever protocol.

    Attributes:
        flow: its two directions.
    """

    flow: Flow

    def abort(self) -> None:
        """Drops the connection."""
        raise NotImplementedError


class Activity:
    """Counts the requests and WebSockets that a server's stop waits for; used on the loop.

    Args:
        clock: the loop's.
        keepalive_timeout: seconds that a connection stays open between two requests.

    Attributes:
        clock: as given.
        keepalive_timeout: as given.
        wheel: the deadlines of the connections.
        connections: all that are open.
        beginnings: the turns of what takes longer than a poll.
        count: how many requests are being handled, and WebSockets open.
        stopping: the requests that are being handled are the last ones of their connections.
    """

    def __init__(self, clock: Clock, keepalive_timeout: float) -> None:
        self.clock = clock
        self.keepalive_timeout = keepalive_timeout
        self.wheel = DeadlineWheel(clock)
        self.connections: set[Abortable] = set()
        self.beginnings = Turns(clock, BEGINNINGS)
        self.count = 0
        self.stopping = False
        self._idle = asyncio.Event()

    def begin(self) -> None:
        """Notes that a request is being handled or a WebSocket is open, until `end`."""
        self.count += 1

    def end(self) -> None:
        """Notes that it is over."""
        self.count -= 1
        if self.stopping and not self.count:
            self._idle.set()

    @property
    def unsent(self) -> bool:
        """Whether something that was written has not left this process, and would be lost."""
        return any(each.flow.unsent for each in self.connections)

    async def finish(self) -> None:
        """Waits until no request is being handled; those that come yet are the last of theirs.

        Responses may still be on their way out then.
        """
        self.stopping = True
        while self.count:
            self._idle.clear()
            await self._idle.wait()
