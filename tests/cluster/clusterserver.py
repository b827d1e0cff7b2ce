"""A cluster without sockets: processes on one broker, whose clock is wound by hand."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from sockjs_bridge.cluster.clusterrooms import ClusterRooms
from sockjs_bridge.cluster.engine import Bounds
from sockjs_bridge.cluster.memorybroker import MemoryBroker
from sockjs_bridge.cluster.memorystore import MemoryStore
from sockjs_bridge.core.contracts import Recipient
from tests.cluster.support import BOUNDS, RoomServer, ThreadClock
from tests.support import HandClock


def at_once(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    raise AssertionError("it waits")


class ClusterServer(RoomServer):
    """One process: rooms that begin with ``room`` have a history, the others none.

    Attributes:
        store: its connections to the broker.
    """

    history: ClusterRooms

    def __init__(
        self, broker: MemoryBroker, node: str, clock: HandClock, bounds: Bounds = BOUNDS
    ) -> None:
        self.store = MemoryStore(broker, clock)
        self.node = node
        super().__init__(clock, bounds, response_max_age=86400)
        at_once(self.store.start(node, Listening(self.history)))
        clock.settle()

    def make_history(self, make_engine: object) -> ClusterRooms:
        return ClusterRooms(self.store, self.node, self.everybody)

    def everybody(self) -> list[Recipient]:
        return [*self.stock.open_sessions, *self.resumable.open_sessions]


class Listening:
    """Hands on what is for rooms, as the assembly does."""

    def __init__(self, rooms: ClusterRooms) -> None:
        hub = rooms.hub
        self.heard, self.handled, self.subscribed = hub.heard, hub.handled, hub.subscribed
        self.connected, self.lost = hub.connected, hub.lost

    def told(self, text: str) -> None:
        raise AssertionError("nobody tells anything here")


class Cluster:
    """Some processes.

    Attributes:
        clock: of all of them.
        broker: what they share.
        servers: the processes.
    """

    def __init__(self, count: int = 3, bounds: Bounds = BOUNDS) -> None:
        self.clock = ThreadClock()
        self.broker = MemoryBroker()
        self.servers = [
            ClusterServer(self.broker, f"node{number}", self.clock, bounds)
            for number in range(count)
        ]
