"""Runs of broadcasts: what they come to is counted later, and nobody sees a difference."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sockjs_bridge.core.frames import Batch, Chunk, Place
from sockjs_bridge.core.monitor import Monitor
from sockjs_bridge.resume import lines
from sockjs_bridge.resume.link import Link
from sockjs_bridge.resume.run import LONGEST, admits
from sockjs_bridge.resume.transports import WEBSOCKET
from tests.resume.support import LinkRecorder, Server, answers
from tests.resume.test_session import started

#: A batch of a few short messages may be in a run.
MAX_QUEUE_SIZE = 10000
LIMIT = 4096


class Dropped(Monitor):
    """Counts what is thrown away."""

    messages = 0

    def dropped(self, count: int) -> None:
        self.messages += count


class Client:
    """A WebSocket that gets broadcasts."""

    def __init__(self, **settings: object) -> None:
        settings = {"max_queue_size": MAX_QUEUE_SIZE, "response_limit": LIMIT} | settings
        self.server: Server = started(**settings)
        self.session = self.server.session
        self.link: Link
        self.link, self.socket = self.server.websocket()
        # Something has come after the welcome: the session is young no more.
        self.server.say(self.link, {"received": 0})

    def take(self, *texts: str, place: Place | None = None) -> None:
        """Have the session take broadcasts that others of its endpoint have taken before."""
        batch = Batch()
        for text in texts:
            batch.add(text, place)
        package = lines.package(batch, WEBSOCKET, LIMIT, placed=False)
        if package is not None:
            admits(batch, package, self.server.manager)
        self.session.take(batch, self.server.clock.time())

    @property
    def in_run(self) -> bool:
        return self.session._run is not None

    @property
    def got(self) -> list[str]:
        return [text for line in answers(self.socket) if isinstance(line, list) for text in line]


def test_traffic_is_counted_at_once() -> None:
    counts: list[tuple[str, int, int]] = []

    class Traffic(Monitor):
        def messages_out(self, transport: str, count: int, size: int) -> None:
            counts.append((transport, count, size))

    client = Client()
    client.take("begins it")
    client.server.manager.traffic = Traffic()
    client.take("a", "b")
    assert client.in_run
    assert counts == [("websocket", 2, len(client.socket.written[-1]))]


def test_a_run_is_counted_when_it_ends() -> None:
    client = Client()
    before = client.session.bytes_out
    texts = [str(number) for number in range(5)]
    for text in texts:
        client.take(text)
    assert client.in_run
    assert client.got == texts
    assert client.session.sent == client.session.messages_out == 5
    assert client.session.bytes_out == before + sum(map(len, client.socket.written[-5:]))
    assert not client.in_run


def test_what_a_batch_of_a_run_is_kept_as() -> None:
    client = Client()
    client.take("first")
    client.take("a", "b")
    pieces = client.session._kept.pieces
    assert [type(piece) for piece in pieces] == [Chunk, Chunk]
    assert pieces[-1].messages == (b'"a"', b'"b"')


def test_runs_are_short() -> None:
    """What is not counted yet must not be much."""
    client = Client()
    seen = []
    for number in range(3 * LONGEST):
        client.take(str(number))
        seen.append(len(client.session._kept.pieces) - client.session._kept.sent)
    assert max(seen) == LONGEST - 1
    assert client.got == [str(number) for number in range(3 * LONGEST)]


@pytest.mark.parametrize("text", ["x" * MAX_QUEUE_SIZE, "x" * (MAX_QUEUE_SIZE // LONGEST)])
def test_no_run_of_large_messages(text: str) -> None:
    client = Client(response_limit=2 * MAX_QUEUE_SIZE)
    client.take("small")
    assert client.in_run
    client.take(text)
    assert not client.in_run


def test_client_is_asked_in_a_run_before_too_much_is_kept() -> None:
    client = Client()
    sent = 0
    while "r" not in {frame[0] for frame in client.socket.frames[1:]}:
        client.take("x" * 60)
        client.server.clock.settle()
        sent += 1
    assert answers(client.socket)[-1] == {"at": sent, "ack": True}
    assert client.session._kept.size < MAX_QUEUE_SIZE * 3 / 4


def test_batch_with_places_ends_a_run() -> None:
    client = Client()
    client.take("a")
    client.take("b", place=Place("K", "E", 1))
    assert not client.in_run
    assert client.got == ["a", "b"]


def test_closed_session_gets_no_more_of_a_run() -> None:
    client = Client()
    client.take("a")
    client.session.close(3000, "enough")
    client.take("b")
    client.server.clock.settle()
    assert client.got == ["a"]
    assert answers(client.socket)[-1] == "c[3000,enough]"


def test_receiver_that_takes_nothing_ends_a_run() -> None:
    client = Client()
    client.take("a")
    client.socket.open = False
    client.take("b")
    assert not client.in_run
    client.socket.open = True
    client.link.flush()
    assert client.got == ["a", "b"]


def test_who_waits_until_little_is_kept_waits_for_a_run_too() -> None:
    client, called = Client(), []
    client.server.send("x" * 1000)
    for _ in range(LONGEST - 2):
        client.take("x" * 60)
    client.session.when_drained(lambda: called.append(True))
    assert not called
    client.server.say(client.link, {"received": LONGEST - 1})
    assert called


def test_receiver_that_goes_in_a_run_leaves_what_it_got() -> None:
    client = Client()
    client.socket.open = False
    client.server.send("0")
    # It has that by another way, which this WebSocket is still to write.
    client.server.post(received=1)
    client.socket.open = True
    client.link.flush()
    for text in "abc":
        client.take(text)
    client.link.detach(client.socket)
    assert client.session.sent == 4
    assert answers(client.server.poll(received=1))[1] == ["a", "b", "c"]


def test_what_is_dropped_in_a_run_is_counted() -> None:
    dropped = Dropped()
    client = Client(monitor=dropped)
    for _ in range(3):
        client.take("a")
    client.session.revoke(4401, "Unauthorized")
    assert dropped.messages == 3


def test_reader_that_takes_again_in_a_run_has_stalled_no_more() -> None:
    client = Client()
    client.take("a")
    client.take("b")
    client.socket.open = False
    client.server.clock.advance(30)
    assert client.session._stalled is not None
    client.socket.open = True
    client.take("c")
    assert client.session._stalled is None


STEPS = st.one_of(
    *[st.tuples(st.just("take"), st.integers(1, 3), st.sampled_from([1, 9, 200]))] * 3,
    st.tuples(st.just("send")),
    st.tuples(st.just("acknowledge"), st.fractions(0, 1, max_denominator=4)),
    st.tuples(st.just("message")),
    st.tuples(st.just("ping")),
    st.tuples(st.just("stall")),
    st.tuples(st.just("go on")),
    st.tuples(st.just("come back"), st.fractions(0, 1, max_denominator=4)),
    st.tuples(st.just("wait"), st.sampled_from([0.1, 30])),
    st.tuples(st.just("close")),
    st.tuples(st.just("drain")),
)


def follow(steps: list[tuple[object, ...]], *, runs: bool) -> list[object]:
    """Return all that a client sees, and what was counted."""
    client, count, seen = Client(resume_window=0.0), 0, []
    sockets: list[LinkRecorder] = [client.socket]
    server, session = client.server, client.session
    for step in steps:
        match step:
            case "take", int(many), int(size):
                client.take(*(f"{count + each}".ljust(size) for each in range(many)))
                count += many
            case ("send",):
                session.send(f"{count}")
                count += 1
            case "acknowledge", part:
                server.say(client.link, {"received": int(part * count)})
            case ("message",):
                client.link.deliver(['["up"]'], 6)
            case ("ping",):
                server.say(client.link, {"ping": 1})
            case ("stall",):
                client.socket.open = False
            case ("go on",):
                client.socket.open = True
                client.link.flush()
            case "come back", part:
                client.link.detach(client.socket)
                received = int(part * count)
                client.link, client.socket = server.websocket(received=received)
                sockets.append(client.socket)
            case "wait", seconds:
                server.clock.advance(seconds)
            case ("close",):
                session.close(3000, "enough")
            case _:
                session.drain(server.clock.time() + 5, 1.0)
        if not runs:
            # Whoever asks for this ends the run.
            assert session.sent <= count
        seen.append([[*socket.written] for socket in sockets])
    return [seen, session.sent, session.messages_out, session.bytes_out, session._kept.size]


@given(st.lists(STEPS, max_size=60))
@example([("take", 1, 1)] * (LONGEST + 3) + [("acknowledge", 1), ("take", 2, 1), ("send",)])
@example([("take", 1, 1)] * 3 + [("come back", 0.5), ("take", 1, 1), ("take", 1, 1), ("send",)])
@example([("take", 1, 1)] * 3 + [("ping",)])
@example([("take", 1, 1)] * 3 + [("message",), ("wait", 0.1)])
@example([("take", 1, 1)] * 3 + [("stall",), ("wait", 30), ("go on",), ("take", 1, 9)])
def test_runs_make_no_difference(steps: list[tuple[object, ...]]) -> None:
    assert follow(steps, runs=True) == follow(steps, runs=False)
