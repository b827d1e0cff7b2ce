"""The processes of a cluster: who lives, what each says of itself, and who has died.

Each process has a lease in the store (`lease`), and looks at all leases as often as it renews its
own. Whose lease is gone is declared dead (`Store.sweep`) by whoever sees it first. Where the store
was away, leases are gone that their owners are about to renew: so nobody is declared dead before
this process has seen the store for longer than a lease holds.
"""

from __future__ import annotations

import json
import math
import secrets
import string
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Protocol

from sockjs_bridge.cluster.lease import TICK, Ask, Lease, LeaseHolder
from sockjs_bridge.cluster.store import Store, StoreError
from sockjs_bridge.core.claim import Claim
from sockjs_bridge.core.contracts import Clock
from sockjs_bridge.core.signals import Signals

#: Of the lease: how often is looked after a node that may have died.
SUSPICION = 0.05
#: Of the lease: for how long a process has seen the store before it declares others dead. Before
#: that it says that it may (`Nodes.judges`), so that who does not reach the store knows in time.
CERTAINTY = 1.5
#: How many processes are remembered that were declared dead.
MAX_DEPARTED = 100
#: The kind of signals by which a process says that it has begun, or ends.
SIGNAL = "node"

_LETTERS = string.digits + string.ascii_lowercase


def make_name() -> str:
    """Makes the name of a process: ten of ``[0-9a-z]``, which no other one has."""
    return "".join(secrets.choice(_LETTERS) for _ in range(10))


@dataclass(frozen=True, slots=True)
class About:
    """What a process says of itself in its lease.

    Attributes:
        address: of its link.
        sessions: how many it has.
        leaving: it drains, and takes no new ones.
    """

    address: str = ""
    sessions: int = 0
    leaving: bool = False

    @property
    def text(self) -> str:
        """As the store keeps it."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def parse(cls, text: str) -> About:
        """Reads what the store has kept; what cannot be read is as if it were not said."""
        try:
            fields: dict[str, Any] = json.loads(text)
            return cls(
                str(fields["address"]), int(fields["sessions"]), fields.get("leaving") is True
            )
        except (ValueError, TypeError, KeyError, RecursionError):
            return cls()


#: What a dead process has left: room, member, what was told of it.
Left = list[tuple[str, str, str]]


class NodeListener(Protocol):
    """Hears of other processes; on the loop."""

    def came(self, node: str, about: About) -> None:
        """A process lives that was not known."""
        raise NotImplementedError

    def went(self, node: str) -> None:
        """A process has ended, or is dead to all."""
        raise NotImplementedError

    def swept(self, node: str, left: Left) -> None:
        """Members of rooms went with it; only one process hears of them."""
        raise NotImplementedError


class Nodes:
    """The processes of the cluster.

    Args:
        store: what keeps the leases.
        clock: of the loop.
        node: the name of this process.
        seconds: for which a lease holds.
        about: returns what others are to know of this process.
        signals: by which processes say that they came or went.
        listener: hears of the others.
        holder: hears what follows from the lease of this process.
        claim: of the resumable sessions.
        ask: asks another process whether it reaches the store (`lease.Ask`).

    Attributes:
        lease: of this process.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        node: str,
        seconds: float,
        about: Callable[[], About],
        signals: Signals,
        listener: NodeListener,
        holder: LeaseHolder,
        claim: Claim,
        ask: Ask | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._node = node
        self._seconds = seconds
        self._signals = signals
        self._listener = listener
        self._others: dict[str, About] = {}
        # Declared dead, the oldest first: they may be back when this process does not see the
        # store, and declare it dead in their turn.
        self._departed: dict[str, About] = {}
        # Missing at the last look; they are declared dead by then, where that may be.
        self._missing: set[str] = set()
        # Since when the store can be seen, and when it was last.
        self._since = math.inf
        self._saw = -math.inf
        self._looking = False
        self._looked = -math.inf
        # Those that may have died, and until when is looked after them.
        self._suspects: dict[str, float] = {}
        self._looking_after = False
        self._running = False
        self.lease = Lease(
            store, clock, seconds, lambda: about().text, holder, claim, self._names, ask
        )
        signals.on(SIGNAL, lambda node: self.look())

    def _names(self) -> list[str]:
        return [*self._others, *self._departed]

    @property
    def others(self) -> Mapping[str, About]:
        """The other processes that live, as far as is known."""
        return self._others

    def get(self, node: str) -> About | None:
        """Returns what another process says of itself, or said last; None where it is not known."""
        return self._others.get(node) or self._departed.get(node)

    @property
    def judges(self) -> bool:
        """Whether this process has seen the store for so long that others may be dead to it soon.

        It is what another one asks that does not reach the store (`lease.Ask`), and since when the
        store can be a witness of a death (`Cluster.died`): those that live have come back to it.
        """
        return self.lease.held and self._clock.time() >= self._since + self._seconds

    # Its life

    def begin(self) -> None:
        """Takes the lease, and looks for the others."""
        self._running = True
        self.lease.begin()
        self.look()
        self._signals.say(SIGNAL, self._node)
        self._tick_later()

    def end(self) -> None:
        """Gives the lease back."""
        self._running = False
        self._store.release(lambda result: None)
        self._signals.say(SIGNAL, self._node)

    def tell(self) -> None:
        """Lets the others know at once what this process says of itself."""
        self.lease.renew()
        self._signals.say(SIGNAL, self._node)

    def connected(self, *, same: bool) -> None:
        """Hears that the store can be reached; see `Listener.connected`."""
        self._since = math.inf
        if not same:
            self.lease.forgotten()
        if self._running:
            # It may be gone: others must not have to wait for the next tick.
            self.lease.renew()
            self.look()

    def _tick_later(self) -> None:
        self._clock.call_at(self._clock.time() + TICK * self._seconds, self._tick)

    def _tick(self) -> None:
        if not self._running:
            return
        before = self._clock.time()
        self.lease.tick()
        if before >= self._looked + 3 * TICK * self._seconds:
            self.look()
        self._tick_later()

    # The others

    def look(self) -> None:
        """Looks who lives; `NodeListener` hears what has changed."""
        if not self._looking:
            self._looking = True
            self._looked = self._clock.time()
            self._store.leases(self._seen)

    def _seen(self, leases: Mapping[str, str] | StoreError) -> None:
        self._looking = False
        now = self._clock.time()
        if isinstance(leases, StoreError) or not self.lease.held:
            # Who is in doubt itself takes nobody for dead.
            self._since = math.inf
            return
        # Who stood still has not seen it meanwhile.
        self._since = min(self._since, now) if now < self._saw + self._seconds else now
        self._saw = now
        for node, text in leases.items():
            about = About.parse(text)
            if node != self._node and self._others.get(node) != about:
                new = node not in self._others
                self._others[node] = about
                self._departed.pop(node, None)
                if new:
                    self._listener.came(node, about)
        missing = self._others.keys() - leases.keys()
        if now >= self._since + CERTAINTY * self._seconds:
            for node in missing & self._missing:
                # It was declared dead after the look before.
                about = self._others.pop(node)
                if not about.leaving:
                    # Who leaves does not come back.
                    self._departed[node] = about
                if len(self._departed) > MAX_DEPARTED:
                    del self._departed[next(iter(self._departed))]
                self._listener.went(node)
            self._missing = missing - self._missing
            for node in self._missing:
                self._sweep(node)
        self._look_after(leases)

    def _sweep(self, node: str) -> None:
        self._store.sweep(node, partial(self._swept, node))

    def _swept(self, node: str, left: Left | StoreError) -> None:
        if isinstance(left, StoreError):
            # Once more, after the next look.
            self._missing.discard(node)
            return
        if left:
            self._listener.swept(node, left)
            # Once more: it may have failed on the way.
            self._missing.discard(node)
        self.look()

    def suspect(self, node: str) -> None:
        """Looks often after a process that may have died: its link has ended."""
        if node in self._others and node not in self._suspects:
            self._suspects[node] = self._clock.time() + 2 * self._seconds
            self.look()

    def _look_after(self, leases: Mapping[str, str]) -> None:
        now = self._clock.time()
        self._suspects = {
            node: until
            for node, until in self._suspects.items()
            if node in self._others and now < until
        }
        if self._suspects and not self._looking_after:
            self._looking_after = True
            self._clock.call_at(now + SUSPICION * self._seconds, self._look_again)

    def _look_again(self) -> None:
        self._looking_after = False
        self.look()
