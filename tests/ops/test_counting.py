"""`sockjs_bridge.ops.counting`: what happens is a sample, and strangers make no new ones."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from sockjs_bridge.core.monitor import Monitor
from sockjs_bridge.core.transports import WEBSOCKET
from sockjs_bridge.ops.counting import Counting, CountingResumption, code_label
from sockjs_bridge.ops.metrics import Metrics
from sockjs_bridge.resume.contracts import ResumeMonitor

# What is said, and the samples that this is, each by its name, labels and value.
SAID: dict[str, tuple[tuple[Any, ...], list[tuple[str, dict[str, str], float]]]] = {
    "opened": (("websocket",), [("sessions_opened_total", {"transport": "websocket"}, 1)]),
    "ended": (
        ("websocket", 4008),
        [("sessions_closed_total", {"transport": "websocket", "code": "4008"}, 1)],
    ),
    "refused": ((503,), [("refused_total", {"status": "503"}, 1)]),
    "handshake": (
        (403, 0.25),
        [
            ("openings_total", {"status": "403"}, 1),
            ("handshake_seconds_sum", {}, 0.25),
            ("handshake_seconds_count", {}, 1),
        ],
    ),
    "hook": (
        ("on_open", 0.25),
        [
            ("hook_seconds_sum", {"hook": "on_open"}, 0.25),
            ("hook_seconds_bucket", {"hook": "on_open", "le": "0.1"}, 0),
            ("hook_seconds_bucket", {"hook": "on_open", "le": "0.25"}, 1),
        ],
    ),
    "dropped": ((3,), [("messages_dropped_total", {}, 3)]),
    "messages_in": (
        ("xhr-polling", 2, 10),
        [
            ("messages_received_total", {"transport": "xhr-polling"}, 2),
            ("received_bytes_total", {"transport": "xhr-polling"}, 10),
        ],
    ),
    "messages_out": (
        ("xhr-polling", 3, 30),
        [
            ("messages_sent_total", {"transport": "xhr-polling"}, 3),
            ("sent_bytes_total", {"transport": "xhr-polling"}, 30),
        ],
    ),
    "broadcast": (
        (7,),
        [("broadcasts_total", {}, 1), ("broadcast_recipients_total", {}, 7)],
    ),
    "missed": ((2,), [("missed_total", {}, 2)]),
    "relayed": (("answered",), [("relays_total", {"outcome": "answered"}, 1)]),
    "engine": ((0.5,), [("engine_seconds_sum", {}, 0.5), ("engine_seconds_count", {}, 1)]),
    "unpublished": ((4,), [("unpublished_total", {}, 4)]),
    "degraded": ((True,), [("degraded", {}, 1)]),
}

#: Those of each message, which are added up at first.
MANY = ("broadcast", "messages_in", "messages_out")


class Bench:
    """What counts, and what it comes to."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.metrics = Metrics(self.registry)
        self.counting = Counting(self.metrics)

    def value(self, name: str, labels: dict[str, str]) -> float | None:
        return self.registry.get_sample_value(f"sockjs_{name}", labels)


@pytest.mark.parametrize("method", SAID)
def test_samples(method: str) -> None:
    arguments, samples = SAID[method]
    bench = Bench()
    for times in (1, 2):
        getattr(bench.counting, method)(*arguments)
        bench.counting.publish()
        for name, labels, value in samples:
            expected = value if method == "degraded" else times * value
            assert bench.value(name, labels) == expected, name


def test_all_that_can_be_said_is_counted() -> None:
    assert SAID.keys() == {name for name, value in vars(Monitor).items() if callable(value)}


@pytest.mark.parametrize("method", MANY)
def test_what_happens_with_each_message_waits_to_be_published(method: str) -> None:
    """And is published once."""
    arguments, samples = SAID[method]
    bench = Bench()
    getattr(bench.counting, method)(*arguments)
    assert not any(bench.value(name, labels) for name, labels, _ in samples)
    for _ in range(3):
        bench.counting.publish()
        assert [bench.value(name, labels) for name, labels, _ in samples] == [
            value for _, _, value in samples
        ]


def test_messages_are_counted() -> None:
    """Sessions ask this once, not for each message."""
    counting = Bench().counting
    assert counting.traffic is counting


def test_each_application_is_degraded_by_itself() -> None:
    """Whoever says it again changes nothing; whoever is not says nothing of others."""
    bench = Bench()
    other = Counting(bench.metrics)
    for counting, on, value in (
        *((bench.counting, True, 1), (bench.counting, True, 1), (other, True, 2)),
        *((bench.counting, False, 1), (bench.counting, False, 1), (other, False, 0)),
    ):
        counting.degraded(on)
        assert bench.value("degraded", {}) == value


@pytest.mark.parametrize(
    ("code", "label"),
    [
        *((1000, "1000"), (1006, "1006"), (2010, "2010"), (3000, "3000"), (4008, "4008")),
        *((3999, "3xxx"), (4999, "4xxx"), (1012, "other"), (0, "other"), (5000, "other")),
    ],
)
def test_codes(code: int, label: str) -> None:
    assert code_label(code) == label


def test_clients_make_no_time_series() -> None:
    """They choose their close codes."""
    bench = Bench()
    for code in range(6000):
        bench.counting.ended("websocket", code)
    (family,) = bench.metrics.sessions_closed.collect()
    closed = [sample for sample in family.samples if sample.name.endswith("_total")]
    assert len(closed) < 30
    assert sum(sample.value for sample in closed) == 6000


EVENTS = sorted(name for name, value in vars(ResumeMonitor).items() if callable(value))


@pytest.mark.parametrize("event", sorted({*EVENTS} - {"polled"}))
def test_resumptions(event: str) -> None:
    bench = Bench()
    getattr(CountingResumption(bench.metrics), event)(WEBSOCKET)
    labels = {"transport": "websocket", "event": event}
    assert bench.value("resumptions_total", labels) == 1


def test_polls_are_no_event() -> None:
    """The messages tell of them."""
    bench = Bench()
    CountingResumption(bench.metrics).polled()
    (family,) = bench.metrics.resumptions.collect()
    assert family.samples == []
