"""What is counted as it happens; what happens with each message is added up here at first."""

from __future__ import annotations

from collections import defaultdict
from typing import Final

from prometheus_client import Counter

from sockjs_bridge.core.monitor import Monitor
from sockjs_bridge.core.transports import Transport
from sockjs_bridge.ops.metrics import Metrics
from sockjs_bridge.resume.contracts import ResumeMonitor

#: The close codes that are counted each by itself. A WebSocket's client may close with any, and
#: each would be a time series: an application's own are counted together, and so is the rest.
CODES: Final = frozenset(
    {
        *(1000, 1001, 1002, 1003, 1005, 1006, 1007, 1008, 1009, 1010, 1011, 2010),
        *(3000, 3001, 4008, 4401, 4403, 4404, 4500, 4503),
    }
)


def code_label(code: int) -> str:
    """Returns what a close code is counted as: itself, ``3xxx``, ``4xxx`` or ``other``."""
    if code in CODES:
        return str(code)
    return f"{code // 1000}xxx" if 3000 <= code <= 4999 else "other"


class _Sums:
    """Messages and bytes by transport, until they are published.

    Args:
        messages: the metric of how many there were.
        size: the metric of their bytes.
    """

    def __init__(self, messages: Counter, size: Counter) -> None:
        self._messages = messages
        self._size = size
        self.sums: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])

    def publish(self) -> None:
        """Adds them to the metrics."""
        sums = list(self.sums.items())
        self.sums.clear()
        for transport, (count, size) in sums:
            self._messages.labels(transport).inc(count)
            self._size.labels(transport).inc(size)


class Counting(Monitor):
    """Counts for Prometheus.

    Its counters take locks, and write to files where there are several processes. What happens with
    each message is therefore added up in integers, which `publish` hands over.

    Args:
        metrics: of the process.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._in = _Sums(metrics.messages_received, metrics.received_bytes)
        self._out = _Sums(metrics.messages_sent, metrics.sent_bytes)
        self._broadcasts = self._recipients = 0
        self._degraded = False

    def publish(self) -> None:
        """Hands over what was added up; called on the loop."""
        self._in.publish()
        self._out.publish()
        self._metrics.broadcasts.inc(self._broadcasts)
        self._metrics.broadcast_recipients.inc(self._recipients)
        self._broadcasts = self._recipients = 0

    def messages_in(self, transport: str, count: int, size: int) -> None:
        """Counts messages that arrived."""
        sums = self._in.sums[transport]
        sums[0] += count
        sums[1] += size

    def messages_out(self, transport: str, count: int, size: int) -> None:
        """Counts messages that left."""
        sums = self._out.sums[transport]
        sums[0] += count
        sums[1] += size

    def broadcast(self, recipients: int) -> None:
        """Counts a message for many."""
        self._broadcasts += 1
        self._recipients += recipients

    def opened(self, transport: str) -> None:
        """Counts a session that opened."""
        self._metrics.sessions_opened.labels(transport).inc()

    def ended(self, transport: str, code: int) -> None:
        """Counts a session that is over."""
        self._metrics.sessions_closed.labels(transport, code_label(code)).inc()

    def refused(self, status: int) -> None:
        """Counts a request that was refused."""
        self._metrics.refused.labels(status).inc()

    def handshake(self, status: int, seconds: float) -> None:
        """Counts an opening that the application has decided on."""
        self._metrics.openings.labels(status).inc()
        self._metrics.handshake_seconds.observe(seconds)

    def hook(self, name: str, seconds: float) -> None:
        """Counts a hook that has run; in any thread."""
        self._metrics.hook_seconds.labels(name).observe(seconds)

    def dropped(self, count: int) -> None:
        """Counts messages that were thrown away."""
        self._metrics.messages_dropped.inc(count)

    def missed(self, clients: int) -> None:
        """Counts clients that are told of missing messages."""
        self._metrics.missed.inc(clients)

    def relayed(self, outcome: str) -> None:
        """Counts a request that was handed on."""
        self._metrics.relays.labels(outcome).inc()

    def engine(self, seconds: float) -> None:
        """Counts an answer of the engine."""
        self._metrics.engine_seconds.observe(seconds)

    def unpublished(self, count: int) -> None:
        """Counts messages that did not reach the engine."""
        self._metrics.unpublished.inc(count)

    def degraded(self, on: bool) -> None:
        """Notes whether the engine cannot be reached; the same once more changes nothing."""
        # Others of this process may be degraded too.
        self._metrics.degraded.inc(on - self._degraded)
        self._degraded = on


class CountingResumption(ResumeMonitor):
    """Counts how resumable sessions go on; but for polls, which the messages tell of.

    Args:
        metrics: of the process.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._count = metrics.resumptions

    def resumed(self, transport: Transport) -> None:
        """Counts a suspended session that is received again."""
        self._count.labels(transport.name, "resumed").inc()

    def replaced(self, transport: Transport) -> None:
        """Counts a newer request that took over."""
        self._count.labels(transport.name, "replaced").inc()

    def stale(self, transport: Transport) -> None:
        """Counts a request that came late."""
        self._count.labels(transport.name, "stale").inc()

    def lost(self, transport: Transport) -> None:
        """Counts a client that was told that its session is no more."""
        self._count.labels(transport.name, "lost").inc()

    def moved(self, transport: Transport) -> None:
        """Counts a client that was told to go to another process."""
        self._count.labels(transport.name, "moved").inc()

    def tombstone(self, transport: Transport) -> None:
        """Counts a client that was told how its session had ended."""
        self._count.labels(transport.name, "tombstone").inc()
