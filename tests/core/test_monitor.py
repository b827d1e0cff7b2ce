"""`sockjs_bridge.core.monitor`: what is counted, and that nothing is called where nobody asks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from sockjs_bridge.core.hub import Capacity, Hub
from sockjs_bridge.core.manager import Manager
from sockjs_bridge.core.monitor import Monitor
from sockjs_bridge.core.session import Session
from sockjs_bridge.core.settings import Settings
from sockjs_bridge.core.transports import WEBSOCKET
from tests.support import BY_NAME, STREAM, HandClock, Recorder, RecordingHandler, make_hub

every_transport = pytest.mark.parametrize("name", sorted(BY_NAME))


class Counting(Monitor):
    """Adds up what it is told."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str | int, ...]] = Counter()

    def opened(self, transport: str) -> None:
        self.counts["opened", transport] += 1

    def ended(self, transport: str, code: int) -> None:
        self.counts["ended", transport, code] += 1

    def dropped(self, count: int) -> None:
        assert count
        self.counts["dropped",] += count

    def messages_in(self, transport: str, count: int, size: int) -> None:
        self.counts["in", transport] += count
        self.counts["bytes in", transport] += size

    def messages_out(self, transport: str, count: int, size: int) -> None:
        assert count
        self.counts["out", transport] += count
        self.counts["bytes out", transport] += size

    def broadcast(self, recipients: int) -> None:
        self.counts["broadcasts",] += 1
        self.counts["recipients",] += recipients


class Bench:
    """Open sessions of one kind, each with a receiver that is past `o`."""

    def __init__(self, count: int = 1, name: str = "websocket", **settings: int) -> None:
        self.monitor = Counting()
        self.clock = HandClock()
        self.hub = Hub(self.clock, Capacity(10), monitor=self.monitor)
        self.manager = Manager(Settings().override(settings), self.hub)
        self.transport = BY_NAME[name]
        self.sessions: list[Session] = []
        self.receivers: list[Recorder] = []
        for number in range(count):
            session = self.manager.create(str(number), self.transport)
            assert session.accept(RecordingHandler())
            self.sessions.append(session)
            self.receivers.append(Recorder(self.transport))
            session.attach(self.receivers[-1])
            if self.receivers[-1].ended:
                session.detach(self.receivers[-1], lost=False)
                self.receivers[-1] = Recorder(self.transport)
                session.attach(self.receivers[-1])
        self.clock.settle()

    @property
    def counts(self) -> dict[tuple[str | int, ...], int]:
        """What was counted since the last time."""
        counts, self.monitor.counts = self.monitor.counts, Counter()
        return dict(counts)


@every_transport
def test_the_life_of_a_session(name: str) -> None:
    bench = Bench(1, name)
    (session,), (receiver,) = bench.sessions, bench.receivers
    assert bench.counts == {("opened", name): 1}
    session.deliver(["a", "b"], 9)
    assert bench.counts == {("in", name): 2, ("bytes in", name): 9}
    before = len(b"".join(receiver.written))
    session.send("a")
    session.send("b")
    bench.clock.settle()
    size = len(b"".join(receiver.written)) - before
    assert bench.counts == {("out", name): 2, ("bytes out", name): size}
    session.close(3001, "bye")
    assert bench.counts == {("ended", name, 3001): 1}
    bench.clock.advance(200)
    bench.hub.finish()
    assert bench.counts == {}, "frames without messages, and the end after it, are not counted"


@pytest.mark.parametrize("end", ["refuse", "abandon", "close"])
def test_a_session_that_never_opened(end: str) -> None:
    bench = Bench(0)
    session = bench.manager.create("s", WEBSOCKET)
    getattr(session, end)(*(() if end == "abandon" else (4403, "Forbidden")))
    bench.clock.advance(200)
    assert bench.counts == {}


@every_transport
def test_broadcasts(name: str) -> None:
    """A message for many counts once, and once for each that it goes to; then as it leaves."""
    bench = Bench(3, name)
    assert bench.counts == {("opened", name): 3}
    bench.manager.broadcasts.send(bench.sessions, "all")
    bench.manager.broadcasts.send(bench.sessions, "but one", {bench.sessions[0]})
    assert bench.counts == {("broadcasts",): 2, ("recipients",): 5}
    sizes = [len(b"".join(receiver.written)) for receiver in bench.receivers]
    bench.clock.settle()
    size = sum(len(b"".join(receiver.written)) for receiver in bench.receivers) - sum(sizes)
    assert bench.counts == {("out", name): 5, ("bytes out", name): size}


def test_a_slow_consumer() -> None:
    """All that waited for it is thrown away."""
    bench = Bench(1, max_queue_size=100)
    assert bench.counts
    bench.receivers[0].open = False
    for _ in range(3):
        bench.sessions[0].send("x" * 40)
    assert bench.counts == {("dropped",): 3, ("ended", "websocket", 4008): 1}


@pytest.mark.parametrize(
    ("end", "code"),
    [
        (lambda session, receiver: session.revoke(4401, "out"), 4401),
        (lambda session, receiver: session.fail(), 4500),
        (lambda session, receiver: session.detach(receiver, lost=True), 1006),
    ],
)
def test_what_waits_is_lost(end: Callable[[Session, Recorder], None], code: int) -> None:
    """What it was sent alone, and what was under way to many."""
    bench = Bench(2)
    assert bench.counts
    session, receiver = bench.sessions[0], bench.receivers[0]
    receiver.open = False
    session.send("own")
    bench.manager.broadcasts.send(bench.sessions, "one")
    bench.manager.broadcasts.send(bench.sessions, "more")
    end(session, receiver)
    counts = bench.counts
    assert (counts["dropped",], counts["ended", "websocket", code]) == (3, 1)


@pytest.mark.parametrize("name", ["xhr-polling", "xhr-streaming"])
def test_what_waits_for_a_client_that_never_comes_back(name: str) -> None:
    bench = Bench(1, name, disconnect_delay=5)
    assert bench.counts
    session, receiver = bench.sessions[0], bench.receivers[0]
    receiver.end()
    session.detach(receiver, lost=False)
    session.send("own")
    bench.manager.broadcasts.send(bench.sessions, "one")
    bench.clock.settle()
    assert ("dropped",) not in bench.counts
    bench.clock.advance(10)
    assert bench.counts == {("dropped",): 2, ("ended", name, 1006): 1}


def test_what_waits_when_the_server_has_stopped() -> None:
    bench = Bench(1, "xhr-polling")
    session, receiver = bench.sessions[0], bench.receivers[0]
    receiver.open = False
    session.send("own")
    for _ in bench.hub.close(3000, "Go away!"):
        assert ("dropped",) not in bench.counts
    bench.hub.finish()
    assert bench.counts == {("dropped",): 1}


def test_nothing_waits() -> None:
    bench = Bench()
    bench.sessions[0].detach(bench.receivers[0], lost=True, code=1001)
    assert bench.counts == {("opened", "websocket"): 1, ("ended", "websocket", 1001): 1}


# Where nobody asks


def test_messages_that_nobody_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are the many: nothing is called for one of them."""
    called: list[tuple[object, ...]] = []
    for name in ("messages_in", "messages_out"):
        monkeypatch.setattr(Monitor, name, lambda *arguments: called.append(arguments))

    class Sessions(Monitor):
        opened_ones = 0

        def opened(self, transport: str) -> None:
            self.opened_ones += 1

    monitor = Sessions()
    manager = Manager(Settings(), make_hub(monitor=monitor))
    session, receiver = manager.create("s", STREAM), Recorder(STREAM)
    session.accept(RecordingHandler())
    session.attach(receiver)
    session.send("a")
    session.flush()
    session.deliver(["b"], 5)
    assert receiver.messages == ["a"]
    assert monitor.opened_ones == 1
    assert called == []


@pytest.mark.parametrize("method", ["messages_in", "messages_out"])
def test_one_of_both_is_counted(method: str) -> None:
    counting = type("Counting", (Monitor,), {method: lambda *arguments: None})()
    assert counting.traffic is counting
    assert Monitor().traffic is None


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("opened", ("websocket",)),
        ("ended", ("websocket", 1000)),
        ("refused", (403,)),
        ("handshake", (200, 0.01)),
        ("hook", ("on_open", 0.01)),
        ("dropped", (1,)),
        ("messages_in", ("websocket", 1, 10)),
        ("messages_out", ("websocket", 1, 10)),
        ("broadcast", (7,)),
        ("missed", (2,)),
        ("relayed", ("answered",)),
        ("engine", (0.002,)),
        ("unpublished", (3,)),
        ("degraded", (True,)),
    ],
)
def test_nothing_is_counted_by_default(method: str, arguments: tuple[object, ...]) -> None:
    monitor = Monitor()
    getattr(monitor, method)(*arguments)
    assert vars(monitor) == {}


def test_where_it_is_found() -> None:
    """Each endpoint's sessions, and what calls for them, have the monitor of their hub."""
    bench = Bench()
    assert bench.hub.monitor is bench.manager.monitor is bench.manager.traffic is bench.monitor
    assert Manager(Settings(), make_hub()).traffic is None
