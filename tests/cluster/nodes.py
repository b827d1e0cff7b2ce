"""What the tests of leases and nodes hold: processes on one store, any of which can stand still."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from sockjs_bridge.cluster.memorybroker import MemoryBroker
from sockjs_bridge.cluster.memorystore import MemoryStore
from sockjs_bridge.cluster.nodes import About, Left, Nodes
from sockjs_bridge.cluster.store import Entry, Position, StoreError
from sockjs_bridge.core.claim import Claim
from sockjs_bridge.core.signals import Signals
from tests.support import HandClock

#: Seconds that a lease holds.
LEASE = 5.0


class ProcessClock:
    """Fulfils `Clock` for one process, which can be stopped and go on, as by a signal.

    Args:
        clock: that all share.

    Attributes:
        stopped: nothing of this process runs.
    """

    def __init__(self, clock: HandClock) -> None:
        self._clock = clock
        self.stopped = False
        self._held: list[Callable[[], object]] = []

    def time(self) -> float:
        return self._clock.time()

    def _run(self, callback: Callable[[], object]) -> None:
        if self.stopped:
            self._held.append(callback)
        else:
            callback()

    def call_soon(self, callback: Callable[[], object]) -> None:
        self._clock.call_soon(partial(self._run, callback))

    def call_at(self, when: float, callback: Callable[[], object]) -> None:
        self._clock.call_at(when, partial(self._run, callback))

    def call_from_thread(self, callback: Callable[..., object], *arguments: Any) -> None:
        self._run(partial(callback, *arguments))

    def go_on(self) -> None:
        """Goes on: what should have happened meanwhile happens now, before anything else."""
        self.stopped = False
        held, self._held = self._held, []
        self._clock.soon[:0] = held


class Process:
    """A process of a cluster: fulfils `Listener`, `NodeListener` and `LeaseHolder`.

    Attributes:
        events: what it heard, in order.
        ends: what `lapsed` was given, where sessions take their time to end.
        leaving: see `About`.
        reached: the names of processes that answer it past the store.
    """

    def __init__(self, cluster: Cluster, name: str, *, slow: bool = False) -> None:
        self.cluster = cluster
        self.name = name
        self.clock = ProcessClock(cluster.clock)
        self.store = MemoryStore(cluster.broker, self.clock)
        self.signals = Signals()
        self.signals.start(self.clock)
        self.signals.carry_by(lambda text: self.store.tell(None, text, lambda result: None))
        self.claim = Claim()
        self.events: list[Any] = []
        self.ends: list[Callable[[], object]] = []
        self.sessions = 0
        self.leaving = False
        self.reached: set[str] | None = None
        self._slow = slow
        self.nodes = Nodes(
            *(self.store, self.clock, name, LEASE, self.about, self.signals, self, self),
            self.claim,
            self.ask,
        )

    def about(self) -> About:
        return About(f"unix:{self.name}", self.sessions, leaving=self.leaving)

    def ask(self, node: str, done: Callable[[bool | None], object]) -> None:
        other = self.cluster.processes[node]
        if other.clock.stopped or (self.reached is not None and node not in self.reached):
            # Nothing comes back.
            return
        answer = other.nodes.judges
        self.clock.call_soon(lambda: done(answer))

    # What it hears

    def heard(self, room: str, position: Position | None, entry: Entry) -> None:
        raise AssertionError(room)

    def handled(self) -> None:
        """Nothing is read in goes."""

    def subscribed(self, room: str) -> None:
        raise AssertionError(room)

    def told(self, text: str) -> None:
        self.signals.hear(text)

    def connected(self, *, same: bool) -> None:
        self.nodes.connected(same=same)

    def lost(self, error: StoreError) -> None:
        """It goes on."""

    def came(self, node: str, about: About) -> None:
        self.events.append(("came", node))

    def went(self, node: str) -> None:
        self.events.append(("went", node))

    def swept(self, node: str, left: Left) -> None:
        self.events.append(("swept", node, sorted(left)))

    def fenced(self, *, fenced: bool) -> None:
        self.events.append("fenced" if fenced else "free")

    def lapsed(self, done: Callable[[], object]) -> None:
        self.events.append("lapsed")
        self.ends.append(done)
        if not self._slow:
            done()

    def restored(self) -> None:
        self.events.append("restored")
        self.cluster.broker.declared_dead.discard(self.name)

    def degraded(self, *, degraded: bool) -> None:
        self.events.append("degraded" if degraded else "whole")

    # What it is asked

    @property
    def serves(self) -> bool:
        """Whether a resumable session would be served now."""
        return self.claim.holds(self.clock.time())

    def taken(self) -> list[Any]:
        """What it heard since this was asked last."""
        events, self.events = self.events, []
        return events

    def kill(self) -> None:
        """It is gone for good, without a word."""
        self.clock.stopped = True


class Broker(MemoryBroker):
    """Remembers who was declared dead, whatever it forgets.

    Attributes:
        declared_dead: by name; who knows of it itself is none of them any more.
    """

    def __init__(self) -> None:
        super().__init__()
        self.declared_dead: set[str] = set()

    def sweep(self, node: str, now: float) -> list[tuple[str, str, str]]:
        if node not in self.living(now):
            self.declared_dead.add(node)
        return super().sweep(node, now)


class Cluster:
    """Processes on one store."""

    #: What `start` makes.
    kind = Process

    def __init__(self) -> None:
        self.clock = HandClock()
        self.broker = Broker()
        self.processes: dict[str, Process] = {}

    async def start(self, name: str, *, slow: bool = False) -> Process:
        process = self.processes[name] = self.kind(self, name, slow=slow)
        await process.store.start(name, process)
        process.nodes.begin()
        self.clock.settle()
        return process

    def settle(self) -> None:
        """Let pass what it takes until all is noted everywhere."""
        self.clock.advance(LEASE * 2)
        for process in self.processes.values():
            process.taken()
