"""Messages for many: in their place among what is sent to each, and in as few writes as before."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sockjs_bridge.core import protocol
from sockjs_bridge.core.broadcasts import Broadcasts
from sockjs_bridge.core.frames import Batch
from sockjs_bridge.core.session import Session
from sockjs_bridge.core.states import State
from tests.support import BY_NAME, HandClock, Recorder, RecordingHandler, make_manager

every_transport = pytest.mark.parametrize("name", BY_NAME)


class Bench:
    """Some open sessions of one kind, each with a receiver that is past `o`."""

    def __init__(self, count: int, name: str = "xhr-streaming", **settings: int) -> None:
        self.clock = HandClock()
        self.manager = make_manager(self.clock, **settings)
        self.transport = BY_NAME[name]
        self.sessions: list[Session] = []
        self.receivers: list[Recorder] = []
        for number in range(count):
            session = self.manager.create(f"s{number}", self.transport)
            session.accept(RecordingHandler())
            self.sessions.append(session)
            self.receivers.append(Recorder(self.transport))
            self.poll(number)
            self.poll(number)
        self.clock.settle()
        for receiver in self.receivers:
            receiver.written.clear()

    def poll(self, number: int) -> None:
        """Ask for more, unless that is under way."""
        session, receiver = self.sessions[number], self.receivers[number]
        if receiver.ended:
            session.detach(receiver, lost=False)
            receiver = self.receivers[number] = Recorder(self.transport)
        if session._receiver is None:
            session.attach(receiver)

    def send(self, text: str, *numbers: int) -> None:
        """Broadcast to some of them, or to all."""
        sessions = [self.sessions[number] for number in numbers] if numbers else self.sessions
        self.manager.broadcasts.send(sessions, text)

    @property
    def heard(self) -> list[list[str]]:
        """What each has read by now; the answers of polls are complete."""
        heard = []
        for number, receiver in enumerate(self.receivers):
            messages = receiver.messages
            while receiver.ended and not self.sessions[number].over:
                self.poll(number)
                receiver = self.receivers[number]
                messages += receiver.messages
            heard.append(messages)
        return heard


@every_transport
def test_one_write_for_all_of_a_tick(name: str) -> None:
    bench = Bench(3, name)
    before = [session.bytes_out for session in bench.sessions]
    for text in "abc":
        bench.send(text)
    bench.clock.settle()
    for session, receiver, size in zip(bench.sessions, bench.receivers, before, strict=True):
        assert (session.messages_out, session.bytes_out) == (3, size + len(receiver.written[0]))
    assert [len(receiver.written) for receiver in bench.receivers] == [1] * 3
    assert bench.heard == [["a", "b", "c"]] * 3


def test_encoded_once_for_whoever_got_it_early() -> None:
    bench = Bench(3)
    encoded: list[str] = []
    original = bench.transport.encode

    def encode(text: str) -> bytes:
        encoded.append(text)
        return original(text)

    for session, receiver in zip(bench.sessions, bench.receivers, strict=True):
        session.transport = receiver.transport = replace(bench.transport, encode=encode)
    bench.send("a")
    for session in bench.sessions[:2]:
        bench.manager.broadcasts.settle(session)
    bench.send("b")
    bench.clock.settle()
    assert encoded == ["a", "b"]


@every_transport
def test_in_the_order_of_the_calls(name: str) -> None:
    """What is sent to one alone neither overtakes a broadcast nor is overtaken."""
    bench = Bench(3, name)
    bench.send("a")
    bench.sessions[1].send("only one")
    bench.send("b")
    bench.send("c", 1, 2)
    bench.sessions[2].send("only two")
    bench.send("d", 0, 1)
    bench.clock.settle()
    assert bench.heard == [
        ["a", "b", "d"],
        ["a", "only one", "b", "c", "d"],
        ["a", "b", "c", "only two"],
    ]


@every_transport
def test_a_crowd_that_is_half_written(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each gets everything once, whatever is sent to whom meanwhile."""
    monkeypatch.setattr(Broadcasts, "BATCH", 2)
    bench = Bench(6, name)
    bench.send("a")
    bench.clock.tick()
    assert [bool(receiver.written) for receiver in bench.receivers] == [True] * 2 + [False] * 4
    bench.sessions[0].send("has it")
    bench.sessions[5].send("has it not yet")
    bench.send("b")
    bench.clock.settle()
    assert bench.heard == [
        ["a", "has it", "b"],
        *[["a", "b"]] * 4,
        ["a", "has it not yet", "b"],
    ]


@every_transport
@pytest.mark.parametrize("end", ["revoke", "fail", "lost"])
def test_who_may_not_read_it_any_more(name: str, end: str) -> None:
    """An end that drops what is queued drops what is under way too; the others get it."""
    bench = Bench(3, name)
    session, receiver = bench.sessions[1], bench.receivers[1]
    bench.send("a")
    match end:
        case "revoke":
            session.revoke(4401, "out")
        case "fail":
            session.fail()
        case "lost":
            receiver.aborted = True
            session.detach(receiver, lost=True)
    bench.clock.settle()
    assert receiver.messages == []
    assert session._outbox.messages == []
    assert bench.heard[::2] == [["a"]] * 2


@every_transport
def test_close_comes_behind_it(name: str) -> None:
    bench = Bench(2, name)
    bench.send("a")
    bench.sessions[0].close(4001, "over")
    bench.clock.settle()
    assert bench.receivers[0].messages == ["a"]
    assert bench.heard[1] == ["a"]


@every_transport
def test_who_waits_until_it_has_left(name: str) -> None:
    """What is under way to a client counts as waiting for it."""
    bench = Bench(2, name, max_queue_size=100)
    for receiver in bench.receivers:
        receiver.open = False
    bench.send("x" * 40)
    drained: list[int] = []
    bench.sessions[0].when_drained(lambda: drained.append(1))
    assert drained == []
    bench.clock.settle()
    assert drained == []
    bench.receivers[0].open = True
    bench.sessions[0].flush()
    assert drained == [1]


@every_transport
def test_all_but_some(name: str) -> None:
    """Who is left out gets the rest, in its place; the others still get one frame."""
    bench = Bench(4, name)
    broadcasts = bench.manager.broadcasts
    stranger = Bench(1, name).sessions[0]
    for number, text in enumerate("abc"):
        broadcasts.send(bench.sessions[:], text, {bench.sessions[number], stranger})
    bench.sessions[1].send("only one")
    bench.clock.settle()
    assert [len(receiver.written) for receiver in bench.receivers] == [1] * 4
    assert bench.heard == [["b", "c"], ["a", "c", "only one"], ["a", "b"], ["a", "b", "c"]]


def test_all_but_some_of_a_crowd_that_is_half_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest gets it all in one frame, who was ahead gets what is new."""
    monkeypatch.setattr(Broadcasts, "BATCH", 2)
    bench = Bench(6)
    bench.send("a")
    bench.clock.tick()
    bench.manager.broadcasts.send(bench.sessions[:], "b", {bench.sessions[0], bench.sessions[5]})
    bench.send("c")
    bench.clock.settle()
    assert [receiver.frames for receiver in bench.receivers] == [
        ['a["a"]', 'a["c"]'],
        ['a["a"]', 'a["b","c"]'],
        *[['a["a","b","c"]']] * 3,
        ['a["a","c"]'],
    ]


def test_several_rooms_in_one_tick() -> None:
    """Who is in both gets one frame, whatever the order."""
    bench = Bench(3)
    for _ in range(2):
        bench.send("left", 0, 1)
        bench.send("right", 1, 2)
        bench.manager.broadcasts.send(bench.sessions[:], "but one", {bench.sessions[0]})
    bench.clock.settle()
    assert [receiver.frames for receiver in bench.receivers] == [
        ['a["left","left"]'],
        ['a["left","right","but one","left","right","but one"]'],
        ['a["right","but one","right","but one"]'],
    ]


@pytest.mark.parametrize("raises", [False, True])
def test_a_send_whose_broadcast_was_too_much(raises: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The session is over: what comes behind is not for it, and its sender is told so."""
    bench = Bench(2, max_queue_size=100)
    session, receiver = bench.sessions[0], bench.receivers[0]
    receiver.open = raises

    def fail(data: bytes) -> bool:
        raise OSError("no route to host")

    if raises:
        monkeypatch.setattr(receiver, "write", fail)
    bench.send("x" * 200)
    assert not session.send("direct")
    assert session._outbox.messages == []
    receiver.open = True
    session.flush()
    bench.clock.settle()
    assert receiver.messages == []
    assert bench.heard[1] == ["x" * 200]


def test_callbacks_of_clients_are_not_kept() -> None:
    """Each has one of its own: a frame for each would wait until all are written."""
    bench = Bench(50, "jsonp-polling")
    for number, receiver in enumerate(bench.receivers):
        receiver.callback = f"_jp.{number}"
    bench.send("a")
    fan_out = bench.manager.broadcasts.fan_out
    assert fan_out is not None
    bench.clock.tick()
    assert len(fan_out.batch) == 1
    assert [receiver.written for receiver in bench.receivers] == [
        [b'/**/_jp.%d("a[\\"a\\"]");\r\n' % number] for number in range(50)
    ]


@pytest.mark.parametrize("said", ["to the same", "to others", "to one", "goodbye"])
def test_an_end_that_leads_to_more(said: str) -> None:
    """The application hears of a slow client's end while others are served, and says something."""
    bench = Bench(4, max_queue_size=100)
    bench.receivers[1].open = False
    handler = bench.sessions[1]._handler
    assert isinstance(handler, RecordingHandler)
    handler.on_closed = {
        "to the same": lambda: bench.send("left"),
        "to others": lambda: bench.send("left", 0, 2, 3),
        "to one": lambda: bench.sessions[3].send("left"),
        "goodbye": lambda: bench.sessions[3].close(4001, "over"),
    }[said]
    bench.send("a")
    bench.sessions[1].send("own")
    bench.sessions[2].send("own")
    bench.send("x" * 200)
    bench.send("last", 0, 2)
    bench.clock.settle()
    heard = [receiver.messages for receiver in bench.receivers]
    for number, messages in enumerate(heard):
        if number != 1:
            order = [text for text in messages if text not in ("left", "own")]
            assert order[:2] == ["a", "x" * 200]
            assert order[2:] == (["last"] if number in (0, 2) else [])
            assert messages.count("left") == (
                {"to one": number == 3, "goodbye": False}.get(said, True)
            )


def test_no_larger_frame_than_others() -> None:
    """``response_limit`` holds for what leaves in one frame, unless it is one message."""
    bench = Bench(2, "websocket", response_limit=4096)
    for number in range(5):
        bench.send(f"{number}" * 1500)
    bench.clock.settle()
    for receiver in bench.receivers:
        assert len(receiver.messages) == 5
        assert max(map(len, receiver.written)) < 4096
    bench.send("x" * 9000)
    bench.clock.settle()
    assert [receiver.messages[-1] for receiver in bench.receivers] == ["x" * 9000] * 2


def test_much_does_not_wait_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is too much for a client that does not read is told by its own queue."""
    monkeypatch.setattr(Batch, "MAX_SIZE", 100)
    bench = Bench(2, max_queue_size=300)
    bench.receivers[0].open = False
    for _ in range(8):
        bench.send("x" * 50)
    assert bench.sessions[0].close_code == protocol.SLOW_CONSUMER[0]
    bench.clock.settle()
    assert bench.heard[1] == ["x" * 50] * 8


def test_a_response_that_is_full_ends() -> None:
    bench = Bench(2, response_limit=4096)
    bench.send("x" * 5000)
    bench.clock.settle()
    assert all(receiver.ended for receiver in bench.receivers)
    assert bench.heard == [["x" * 5000]] * 2


def test_a_poll_can_be_repeated() -> None:
    """A browser that lost the answer gets the same again."""
    bench = Bench(1, "xhr-polling")
    session, receiver = bench.sessions[0], bench.receivers[0]
    session.detach(receiver, lost=False)
    receiver = Recorder(bench.transport, tag="t1")
    session.attach(receiver)
    bench.send("a")
    bench.clock.settle()
    receiver.aborted = True
    session.detach(receiver, lost=True)
    again = Recorder(bench.transport, tag="t1")
    session.attach(again)
    assert receiver.written == again.written != []


def test_a_crowd_whose_rest_is_settled_from_within(monkeypatch: pytest.MonkeyPatch) -> None:
    """The application hears of an end in the midst of it, and sends to all in turn."""
    bench = Bench(4)

    def fail(data: bytes) -> bool:
        raise OSError("no route to host")

    monkeypatch.setattr(bench.receivers[1], "write", fail)
    handler = bench.sessions[1]._handler
    assert isinstance(handler, RecordingHandler)
    handler.on_closed = lambda: bench.send("one has left", 0, 2, 3)
    bench.send("a")
    bench.clock.settle()
    assert bench.sessions[1].state is State.CLOSED
    assert [bench.receivers[number].messages for number in (0, 2, 3)] == (
        [["a", "one has left"]] * 3
    )
    assert bench.manager.broadcasts.fan_out is None
    assert bench.clock.soon == []


def test_of_two_applications() -> None:
    """Endpoints of one application share what is under way; others do not know of it."""
    here, there = Bench(1), Bench(1)
    here.send("here")
    there.send("there")
    here.clock.settle()
    assert here.heard == [["here"]]
    assert there.receivers[0].messages == []
    there.clock.settle()
    assert there.heard == [["there"]]
