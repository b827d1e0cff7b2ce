"""What is looked at from time to time: sessions, what waits, and whether the loop is late."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import islice

from prometheus_client import Gauge

from sockjs_bridge.core.basemanager import Managed
from sockjs_bridge.core.contracts import Clock
from sockjs_bridge.endpoint.endpoints import Endpoints
from sockjs_bridge.ops.counting import Counting
from sockjs_bridge.ops.metrics import Metrics

# The last states: such a session is forgotten, and only this list still has it.
_FORGOTTEN = frozenset({"closed", "gone"})


class Sampler:
    """Looks at the sessions of an application as long as it is served; used on the loop only.

    Args:
        clock: of the loop.
        endpoints: of the application.
        counting: what is to be published.
        metrics: of the process.
    """

    #: Seconds between two turns: a loop that is held up for longer is surely noticed.
    EVERY = 0.1
    #: How many sessions are looked at in a turn, so that many cannot hold up the loop.
    BATCH = 200
    #: Seconds between two rounds, in which each session is looked at.
    ROUND = 1.0

    def __init__(
        self, clock: Clock, endpoints: Endpoints, counting: Counting, metrics: Metrics
    ) -> None:
        self._clock = clock
        self._endpoints = endpoints
        self._counting = counting
        self._metrics = metrics
        self._due = self._round_due = 0.0
        self._finished = False
        # Those that the round has still to look at; None between two rounds.
        self._rest: Iterator[Managed] | None = None
        # What the round has found so far, and what each gauge has of this application: those of a
        # process add to the same gauges.
        self._sessions: Counter[tuple[str, str]] = Counter()
        self._messages = self._bytes = self._unhandled = 0
        self._shares: dict[Gauge, float] = {}

    def start(self) -> None:
        """Begins."""
        self._arm(self._clock.time())

    def finish(self) -> None:
        """Ends: no session is left, and nothing waits."""
        self._finished = True
        self._counting.degraded(False)
        self._counting.publish()
        for gauge in list(self._shares):
            self._set(gauge, 0)

    def _arm(self, now: float) -> None:
        self._due = now + self.EVERY
        self._clock.call_at(self._due, self._turn)

    def _turn(self) -> None:
        if self._finished:
            return
        now, due = self._clock.time(), self._due
        # First: whatever goes wrong below, it goes on.
        self._arm(now)
        self._metrics.loop_lag_seconds.observe(max(0.0, now - due))
        self._counting.publish()
        if self._rest is None and now >= self._round_due:
            self._begin()
        if self._rest is not None:
            sessions = list(islice(self._rest, self.BATCH))
            for session in sessions:
                self._look(session)
            if len(sessions) < self.BATCH:
                self._publish()
                self._rest, self._round_due = None, now + self.ROUND

    def _begin(self) -> None:
        """Begins a round."""
        managers = [manager for endpoint in self._endpoints for manager in endpoint.managers]
        self._rest = iter([session for manager in managers for session in manager])
        self._sessions.clear()
        self._messages = self._bytes = self._unhandled = 0

    def _look(self, session: Managed) -> None:
        state = session.state.value
        if state in _FORGOTTEN:
            return
        self._sessions[session.transport.name, state] += 1
        messages, size = session.queued
        self._messages += messages
        self._bytes += size
        self._unhandled += session.unhandled

    def _publish(self) -> None:
        """Tells what the round has found."""
        metrics = self._metrics
        found: dict[Gauge, float] = {
            metrics.sessions.labels(*key): count for key, count in self._sessions.items()
        }
        found[metrics.queued_messages] = self._messages
        found[metrics.queued_bytes] = self._bytes
        found[metrics.unhandled_messages] = self._unhandled
        for gauge in self._shares.keys() | found.keys():
            self._set(gauge, found.get(gauge, 0))

    def _set(self, gauge: Gauge, value: float) -> None:
        gauge.inc(value - self._shares.get(gauge, 0))
        self._shares[gauge] = value
