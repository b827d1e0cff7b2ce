"""The metrics: names, labels and units. Those of one process are made once, and summed by hosts."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram

#: Bounds in seconds: of what the application does, of the loop's delay, of an engine's answer.
_APPLICATION = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_LAG = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_ENGINE = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)


class Metrics:
    """The metrics of a process.

    Gauges are those of the processes that live: a dead one has no sessions.

    Args:
        registry: which shows them.
    """

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(name, text, labels, namespace="sockjs", registry=registry)

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(
                *(name, text, labels),
                namespace="sockjs",
                registry=registry,
                multiprocess_mode="livesum",
            )

        def histogram(name: str, text: str, buckets: Sequence[float], *labels: str) -> Histogram:
            return Histogram(
                *(name, text, labels), namespace="sockjs", registry=registry, buckets=buckets
            )

        # Sessions
        self.sessions = gauge("sessions", "Sessions that there are.", "transport", "state")
        self.sessions_opened = counter(
            "sessions_opened", "Sessions that the application has accepted.", "transport"
        )
        self.sessions_closed = counter(
            *("sessions_closed", "Sessions that had opened and are over."),
            *("transport", "code"),
        )
        self.openings = counter(
            "openings",
            "Openings that the application was asked about; below 300 it agreed.",
            "status",
        )
        self.refused = counter(
            "refused", "Requests that an endpoint refused without the application.", "status"
        )
        self.resumptions = counter(
            "resumptions", "How resumable sessions go on, or do not.", "transport", "event"
        )

        # The application's code
        self.handshake_seconds = histogram(
            "handshake_seconds", "From an opening to the application's answer.", _APPLICATION
        )
        self.hook_seconds = histogram(
            "hook_seconds", "What a hook of a session class takes.", _APPLICATION, "hook"
        )

        # Messages
        self.messages_received = counter(
            "messages_received", "Messages that clients have sent.", "transport"
        )
        self.received_bytes = counter(
            "received_bytes", "Bytes of the payloads of these messages.", "transport"
        )
        self.messages_sent = counter("messages_sent", "Messages that left.", "transport")
        self.sent_bytes = counter(
            "sent_bytes", "Bytes of the frames in which messages left.", "transport"
        )
        self.messages_dropped = counter(
            "messages_dropped", "Messages that no client gets: it is gone, or too slow."
        )
        self.broadcasts = counter("broadcasts", "Messages for many.")
        self.broadcast_recipients = counter(
            "broadcast_recipients", "Sessions that these were for, each message counted."
        )
        self.missed = counter(
            "missed", "How often clients were told that messages of a room are lost for them."
        )

        # What waits
        self.queued_messages = gauge("queued_messages", "Messages that wait for their clients.")
        self.queued_bytes = gauge("queued_bytes", "Bytes of these messages.")
        self.unhandled_messages = gauge(
            "unhandled_messages", "Messages that wait for the application."
        )
        self.loop_lag_seconds = histogram(
            "loop_lag_seconds", "By how much a timer of the event loop is late.", _LAG
        )

        # Many processes
        self.relays = counter(
            "relays", "Requests of sessions that live in another process.", "outcome"
        )
        self.engine_seconds = histogram(
            "engine_seconds", "From a call of the cluster's engine to its answer.", _ENGINE
        )
        self.unpublished = counter(
            "unpublished", "Messages for many that did not reach the cluster's engine."
        )
        self.degraded = gauge(
            "degraded", "Processes that go on by themselves, as they cannot reach the engine."
        )


@cache
def process_metrics() -> Metrics:
    """Returns the metrics of this process, which all its applications share."""
    return Metrics()
