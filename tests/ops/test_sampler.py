"""`sockjs_bridge.ops.sampler`: what is found, in goes, and what is left of it."""

from __future__ import annotations

from typing import Any, cast

import pytest
from prometheus_client import CollectorRegistry

from sockjs_bridge.core.contracts import Workers
from sockjs_bridge.core.settings import Settings
from sockjs_bridge.core.transports import WEBSOCKET
from sockjs_bridge.endpoint.endpoint import Endpoint
from sockjs_bridge.endpoint.endpoints import Endpoints
from sockjs_bridge.ops.exposition import count
from sockjs_bridge.ops.metrics import Metrics
from sockjs_bridge.ops.sampler import Sampler
from sockjs_bridge.resume.shared import Shared
from tests.support import STREAM, XHR, HandClock, Recorder, RecordingHandler


class Application:
    """A served one, whose metrics may be those of another one too."""

    def __init__(self, metrics: Metrics, clock: HandClock) -> None:
        self.endpoints = Endpoints(1000)
        self.endpoints.add(Endpoint("echo", "/echo".__eq__, Settings()))
        count(self.endpoints, metrics)
        self.endpoints.start(clock, cast(Workers, None), Shared())
        self.manager, self.resumable = self.endpoints["echo"].managers

    def open(self, name: str, transport: Any = XHR) -> Any:
        """Open a session that nobody receives."""
        session = self.manager.create(name, transport)
        session.accept(RecordingHandler())
        return session


class Bench:
    """One application, or several in a process."""

    def __init__(self) -> None:
        self.clock = HandClock()
        self.registry = CollectorRegistry()
        self.metrics = Metrics(self.registry)
        self.application = Application(self.metrics, self.clock)

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"sockjs_{name}", labels)

    def sessions(self, transport: str = "xhr-polling", state: str = "open") -> float | None:
        return self.value("sessions", transport=transport, state=state)

    def round(self) -> None:
        """Let the next round happen."""
        self.clock.advance(Sampler.ROUND + 2 * Sampler.EVERY)


def test_sessions_by_transport_and_state() -> None:
    """Those of both kinds."""
    bench = Bench()
    application = bench.application
    application.open("a")
    application.open("b").close(3000, "over")
    application.manager.create("c", STREAM)
    application.resumable.create(("/echo", "d"))
    bench.round()
    assert bench.sessions() == bench.sessions(state="closing") == 1
    assert bench.sessions("xhr-streaming", "new") == 1
    assert bench.sessions("xhr-polling", "new") == 1


def test_a_session_that_is_over_counts_no_more() -> None:
    bench = Bench()
    session = bench.application.open("a")
    bench.round()
    session.close(3000, "over")
    session.finish()
    bench.round()
    assert bench.sessions() == 0
    assert bench.sessions(state="closed") is None


def test_what_waits() -> None:
    """For the client, and for the application."""
    bench = Bench()
    handler, receiver = RecordingHandler(), Recorder(WEBSOCKET, open=False)
    session = bench.application.manager.create("a", WEBSOCKET)
    session.attach(receiver)
    session.accept(handler)
    session.send("one")
    session.send("two")
    session.deliver([str(number) for number in range(100)], 300)
    bench.round()
    assert bench.value("queued_messages") == 2
    assert bench.value("queued_bytes") == len('"one","two",')
    assert bench.value("unhandled_messages") == 100
    receiver.open = True
    session.flush()
    while session.unhandled:
        handler.inbox.clear()
        session.ready()
    bench.round()
    for name in ("queued_messages", "queued_bytes", "unhandled_messages"):
        assert bench.value(name) == 0, name


def test_a_crowd_is_looked_at_in_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is told before all were looked at; one that ends before its turn does not count."""
    monkeypatch.setattr(Sampler, "BATCH", 10)
    bench = Bench()
    sessions = [bench.application.open(str(number)) for number in range(25)]
    bench.clock.advance(Sampler.EVERY)
    for session in sessions:
        session.close(3000, "over")
        session.finish()
    bench.clock.advance(Sampler.EVERY)
    assert bench.sessions() is None
    bench.clock.advance(Sampler.EVERY)
    assert bench.sessions() == 10
    bench.round()
    assert bench.sessions() == 0


def test_rounds_are_no_more_often() -> None:
    bench = Bench()
    bench.clock.advance(Sampler.EVERY)
    bench.application.open("a")
    bench.clock.advance(Sampler.ROUND - Sampler.EVERY)
    assert bench.sessions() is None
    bench.clock.advance(2 * Sampler.EVERY)
    assert bench.sessions() == 1


def test_the_loop_is_late() -> None:
    bench = Bench()
    bench.clock.advance(10 * Sampler.EVERY)
    before = bench.value("loop_lag_seconds_count")
    assert before
    assert bench.value("loop_lag_seconds_bucket", le="0.005") == before
    # Something holds it up.
    bench.clock.now += 0.4 + Sampler.EVERY
    bench.clock.advance(0)
    assert bench.value("loop_lag_seconds_count") == before + 1
    assert bench.value("loop_lag_seconds_bucket", le="0.25") == before
    assert bench.value("loop_lag_seconds_bucket", le="0.5") == before + 1


def test_messages_are_published() -> None:
    bench = Bench()
    session = bench.application.open("a")
    session.deliver(["a", "b"], 9)
    assert not bench.value("messages_received_total", transport="xhr-polling")
    bench.clock.advance(Sampler.EVERY)
    assert bench.value("messages_received_total", transport="xhr-polling") == 2


def test_applications_of_a_process_add_up() -> None:
    """And each takes back its own at its end."""
    bench = Bench()
    other = Application(bench.metrics, bench.clock)
    for number, application in enumerate((bench.application, other, other)):
        application.open(str(number)).send("text")
    bench.round()
    assert bench.sessions() == bench.value("queued_messages") == 3
    other.endpoints.hub.finish()
    assert bench.sessions() == bench.value("queued_messages") == 1
    bench.round()
    assert bench.sessions() == 1


def test_the_end() -> None:
    """What was counted last is published, and nothing turns any more."""
    bench = Bench()
    bench.application.open("a").deliver(["a"], 1)
    bench.application.endpoints.monitor.degraded(True)
    bench.round()
    assert bench.value("degraded") == 1
    bench.application.open("b").deliver(["b"], 1)
    bench.application.endpoints.hub.finish()
    assert bench.sessions() == bench.value("degraded") == 0
    assert bench.value("messages_received_total", transport="xhr-polling") == 2
    turns = bench.value("loop_lag_seconds_count")
    bench.clock.advance(60)
    assert bench.value("loop_lag_seconds_count") == turns
    assert bench.clock.timers == []


def test_served_again() -> None:
    """By another server, with nothing of the one before."""
    bench = Bench()
    endpoints = bench.application.endpoints
    bench.application.open("a")
    bench.round()
    endpoints.hub.finish()
    endpoints.start(bench.clock, cast(Workers, None), Shared())
    bench.round()
    assert bench.sessions() == 0
    bench.application.manager = endpoints["echo"].managers[0]
    bench.application.open("b")
    bench.round()
    assert bench.sessions() == 1
