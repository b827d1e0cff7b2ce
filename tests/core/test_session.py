"""`sockjs_bridge.core.session`: one session, driven by calls and a clock that stands still."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import sockjs_bridge
from sockjs_bridge.core.contracts import Handler, Peer, Receiver, Recipient
from sockjs_bridge.core.credentials import Credentials
from sockjs_bridge.core.deadlines import Deadlines
from sockjs_bridge.core.frames import Frames
from sockjs_bridge.core.inbound import WAITING_SENDS
from sockjs_bridge.core.manager import Manager
from sockjs_bridge.core.repeats import SAME_TIME, SENDS, STREAM_MEMORY, WINDOW
from sockjs_bridge.core.rooms import Rooms
from sockjs_bridge.core.session import Session
from sockjs_bridge.core.settings import Settings
from sockjs_bridge.core.states import RECEPTIONS, TRANSITIONS, Contact, Event, Reception, State
from sockjs_bridge.core.transports import RAW_WEBSOCKET, WEBSOCKET, Transport
from tests.support import (
    BY_NAME,
    HTTP,
    POLLING,
    STREAM,
    STREAMING,
    XHR,
    HandClock,
    Recorder,
    RecordingHandler,
    make_hub,
    make_manager,
)

INTERRUPTED = 'c[1002,"Connection interrupted"]'
GO_AWAY = 'c[3000,"Go away!"]'
SLOW = 'c[4008,"Slow consumer"]'

every_http = pytest.mark.parametrize("name", HTTP)
every_poll = pytest.mark.parametrize("name", POLLING)
every_stream = pytest.mark.parametrize("name", STREAMING)
every_transport = pytest.mark.parametrize("name", sorted(BY_NAME))


class Bench:
    """A session on a manager of its own, with what the server does around it."""

    def __init__(
        self, transport: str | Transport = XHR, *, accept: bool = True, **settings: Any
    ) -> None:
        self.transport = BY_NAME[transport] if isinstance(transport, str) else transport
        self.clock = HandClock()
        self.manager: Manager = make_manager(self.clock, **settings)
        self.session: Session = self.manager.create("s", self.transport)
        self.handler = RecordingHandler()
        self.peer = Peer()
        if accept:
            assert self.session.accept(self.handler)
            self.clock.settle()

    def attach(self, tag: str | None = None, **arguments: Any) -> Recorder:
        """Attach a receiver over a new connection."""
        self.peer = arguments.setdefault("peer", Peer())
        transport = arguments.pop("transport", self.transport)
        receiver = Recorder(transport, tag=tag, **arguments)
        self.session.attach(receiver)
        return receiver

    def repeat(self, tag: str) -> list[str]:
        """Poll once more: the last connection broke, and the browser has seen nothing."""
        self.peer.broken = True
        return self.poll(tag)

    def poll(self, tag: str | None = None) -> list[str]:
        """Attach, end the tick, and detach: a stream's response ends by its age then."""
        receiver = self.attach(tag)
        self.clock.settle()
        if not receiver.ended:
            receiver.end()
        self.over(receiver)
        return receiver.frames

    def over(self, receiver: Recorder) -> None:
        """Do what the server does when it has sent a response."""
        if receiver.ended:
            self.session.detach(receiver, lost=False)

    def opened(self) -> Recorder:
        """Attach a receiver that is past `o`, and stays."""
        receiver = self.attach()
        if receiver.ended:
            self.over(receiver)
            receiver = self.attach()
        receiver.written.clear()
        return receiver

    def send(self, *messages: str) -> None:
        for message in messages:
            assert self.session.send(message)
        self.clock.settle()

    @property
    def forgotten(self) -> bool:
        return self.session.state is State.CLOSED and len(self.manager) == 0


# States


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("event", Event)
def test_transition(state: State, event: Event) -> None:
    """The table is all there is: what does not stand in it changes nothing."""
    bench = Bench(accept=False)
    session = bench.session
    session.state = state
    moved = session._enter(event) is not None
    assert moved is ((state, event) in TRANSITIONS)
    assert session.state is TRANSITIONS.get((state, event), state)


@pytest.mark.parametrize("reception", Reception)
@pytest.mark.parametrize("contact", Contact)
def test_contact(reception: Reception, contact: Contact) -> None:
    """What does not stand in the table cannot happen."""
    session = Bench(accept=False).session
    session.reception = reception
    if (reception, contact) in RECEPTIONS:
        session._contact(contact)
        assert session.reception is RECEPTIONS[reception, contact]
    else:
        with pytest.raises(KeyError):
            session._contact(contact)


def test_who_receives() -> None:
    """From one receiver to the next, and to the end."""
    bench = Bench(STREAM)
    seen = [bench.session.reception]

    def note() -> None:
        if bench.session.reception is not seen[-1]:
            seen.append(bench.session.reception)

    for lost in (False, True):
        receiver = bench.attach("1000001")
        note()
        bench.session.detach(receiver, lost=lost)
        note()
        if not lost:
            bench.session._repeats = None
    bench.repeat("1000001")
    bench.clock.settle()
    note()
    bench.session.close(1000, "")
    receiver = bench.attach("1000002")
    note()
    bench.session.detach(receiver, lost=True)
    note()
    assert bench.session.told
    assert [reception.value for reception in seen] == [
        *("absent", "attached", "absent", "attached", "lost", "absent", "telling", "told"),
    ]


def test_a_state_is_assigned_in_one_place() -> None:
    """By its table: in ``statemachine``, but for the server's connections and who receives."""
    package = Path(sockjs_bridge.__file__).parent
    places = []
    for path in package.rglob("*.py"):
        for function in ast.walk(ast.parse(path.read_text())):
            if not isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
                continue
            for node in ast.walk(function):
                if (
                    isinstance(node, ast.Attribute)
                    and node.attr in ("state", "reception")
                    and isinstance(node.ctx, ast.Store)
                ):
                    places.append((path.relative_to(package).as_posix(), function.name))
    assert sorted(places) == [
        *[("core/statemachine.py", each) for each in ("__init__", "_enter")],
        *[("core/states.py", each) for each in ("__init__", "_contact")],
        ("server/states.py", "__init__"),
        ("server/states.py", "move"),
    ]


def test_repr_names_the_session() -> None:
    bench = Bench()
    assert repr(bench.session) == "<Session s xhr-polling open>"


# The handshake


@every_http
def test_nothing_before_the_handshake(name: str) -> None:
    """NEW: a receiver gets nothing yet, and what the application sends waits."""
    bench = Bench(name, accept=False)
    receiver = bench.attach()
    assert bench.session.send("early")
    bench.clock.settle()
    assert receiver.written == []
    bench.session.accept(bench.handler)
    bench.clock.settle()
    assert receiver.frames[0] == "o"
    bench.over(receiver)
    frames = receiver.frames[1:] if receiver.transport.streaming else bench.poll()
    assert frames == ['a["early"]']


@every_http
def test_open_frame_once(name: str) -> None:
    """Sessions: `o` exactly once in a session's life."""
    bench = Bench(name)
    first = bench.attach()
    assert first.frames == ["o"]
    assert first.ended is not first.transport.streaming
    bench.session.detach(first, lost=False)
    for text in "ab":
        bench.session.send(text)
        receiver = bench.attach()
        assert receiver.frames == [f'a["{text}"]']
        bench.session.detach(receiver, lost=False)


def test_opened_before_anything_else() -> None:
    """The handler hears `opened` first, once; `send` works in it, and `o` goes before."""
    bench = Bench(STREAM, accept=False)
    bench.handler.on_open = lambda: bench.session.send("welcome")
    receiver = bench.attach()
    bench.session.deliver(["too early"], 9)
    assert bench.session.accept(bench.handler)
    bench.clock.settle()
    assert bench.handler.calls == [("opened",)]
    assert receiver.frames == ["o", 'a["welcome"]']
    assert bench.session.messages_in == 0


def test_accepted_twice() -> None:
    bench = Bench()
    other = RecordingHandler()
    assert not bench.session.accept(other)
    assert other.calls == []
    assert bench.poll() == ["o"]


def test_accepted_after_the_end() -> None:
    """A client that left during the handshake: the application never hears of it."""
    bench = Bench(accept=False)
    bench.session.detach(bench.attach(), lost=True)
    assert not bench.session.accept(bench.handler)
    assert bench.handler.calls == []
    assert bench.poll() == [INTERRUPTED]


def test_closed_while_it_opens() -> None:
    """The handler may close in `opened`: `opened`, then `closed`, and `o` before `c`."""
    bench = Bench(STREAM, accept=False)
    bench.handler.on_open = lambda: bench.session.close(4503, "Too many connections")
    receiver = bench.attach()
    bench.session.accept(bench.handler)
    bench.clock.settle()
    assert bench.handler.calls == [("opened",), ("closed", 4503, "Too many connections")]
    assert receiver.frames == ["o", 'c[4503,"Too many connections"]']


@every_http
def test_refused(name: str) -> None:
    """api.md 7: the session opens and closes at once, `c[4403,"Forbidden"]`."""
    bench = Bench(name, accept=False)
    receiver = bench.attach()
    bench.session.refuse(4403, "Forbidden")
    bench.clock.settle()
    frames = receiver.frames
    if not receiver.transport.streaming:
        bench.over(receiver)
        frames += bench.poll()
    assert frames == ["o", 'c[4403,"Forbidden"]']
    assert not bench.session.accept(bench.handler)
    assert bench.handler.calls == []


def test_refused_with_a_new_cookie() -> None:
    """The refusal is for whoever comes to hear it: a response may have set a cookie with it."""
    bench = Bench(XHR, accept=False)
    bench.session.credentials = Credentials(b"before")
    bench.session.refuse(4403, "Forbidden")
    assert bench.session.credentials is None


def test_refused_after_it_opened() -> None:
    bench = Bench()
    bench.session.refuse(4403, "Forbidden")
    assert bench.session.state is State.OPEN


def test_refused_client_reads_nothing() -> None:
    """What was broadcast during the handshake is not for a client that is then refused."""
    bench = Bench(STREAM, accept=False)
    receiver = bench.attach()
    bench.manager.broadcast("for members only")
    bench.session.refuse(4403, "Forbidden")
    bench.clock.settle()
    assert receiver.frames == ["o", 'c[4403,"Forbidden"]']


def test_closed_before_it_opened_reads_nothing() -> None:
    """The server goes down during a handshake: nobody has allowed the client to read."""
    bench = Bench(STREAM, accept=False)
    receiver = bench.attach()
    bench.manager.broadcast("for members only")
    bench.session.close(3000, "Go away!")
    bench.clock.settle()
    assert receiver.frames == ['c[3000,"Go away!"]']


def test_refused_raw_websocket_has_no_open_frame() -> None:
    bench = Bench(RAW_WEBSOCKET, accept=False)
    receiver = bench.attach()
    bench.session.refuse(4403, "Forbidden")
    bench.clock.settle()
    assert receiver.written == []
    assert receiver.ended


def test_abandoned() -> None:
    """A WebSocket whose handshake was refused was answered by HTTP: nothing is left."""
    bench = Bench(WEBSOCKET, accept=False)
    receiver = bench.attach(open=False)
    bench.session.abandon()
    assert bench.forgotten
    # Its connection holds the answer yet.
    assert not receiver.aborted
    bench.session.abandon()
    assert bench.forgotten


def test_abandoned_too_late() -> None:
    bench = Bench(WEBSOCKET)
    bench.session.abandon()
    assert bench.session.state is State.OPEN


def test_handshake_may_hang() -> None:
    """A receiver that waits for the handshake gets no heartbeat before `o`, and stays."""
    bench = Bench(STREAM, accept=False)
    receiver = bench.attach()
    bench.clock.advance(100)
    assert receiver.written == []
    assert not receiver.ended
    bench.session.accept(bench.handler)
    bench.clock.settle()
    assert receiver.frames == ["o"]


def test_handshake_of_a_websocket_may_hang() -> None:
    """It does not expire in it, and is not pinged before its upgrade is answered."""
    bench = Bench(WEBSOCKET, accept=False)
    receiver = bench.attach(open=False)
    bench.clock.advance(100)
    assert bench.session.state is State.NEW
    assert receiver.pings == 0
    bench.session.accept(bench.handler)
    receiver.open = True
    bench.session.flush()
    assert receiver.frames == ["o"]
    bench.clock.advance(10)
    assert bench.session.state is State.OPEN


def test_accepted_websocket_that_never_comes() -> None:
    """Its connection broke while it was upgraded: the session expires as any without receiver."""
    bench = Bench(WEBSOCKET)
    bench.clock.advance(5.1)
    assert bench.forgotten
    assert bench.handler.calls == [("opened",), ("closed", 1006, "Session timed out")]


def test_new_session_expires_without_a_receiver() -> None:
    bench = Bench(accept=False)
    bench.clock.advance(5.1)
    assert bench.forgotten
    assert bench.clock.timers == []


# Messages out


@every_transport
def test_one_write_for_a_tick(name: str) -> None:
    """All that is queued in a tick leaves in ONE write, however many messages there are."""
    bench = Bench(name)
    receiver = bench.opened()
    soon, timers = bench.clock.soon_calls, bench.clock.timer_calls
    for number in range(500):
        assert bench.session.send(str(number))
    assert receiver.written == []
    assert bench.clock.soon_calls == soon + 1
    bench.clock.settle()
    assert len(receiver.written) == 1
    assert receiver.messages == [str(number) for number in range(500)]
    # No timer, no callback is made per message, and none is left.
    assert bench.clock.timer_calls == timers
    assert bench.clock.soon == []
    assert bench.session.messages_out == 500


def test_one_flush_for_a_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A session stands in the manager's list of the tick once, however much it sends."""
    bench = Bench()
    flushed: list[object] = []
    monkeypatch.setattr(Session, "flush", lambda *call: flushed.append(call))
    bench.send(*"abc")
    assert len(flushed) == 1
    bench.send(*"abc")
    assert len(flushed) == 2


def test_nothing_scheduled_for_an_absent_client_but_the_flush() -> None:
    bench = Bench()
    soon, timers = bench.clock.soon_calls, bench.clock.timer_calls
    for _ in range(10):
        bench.send("a", "b", "c")
    assert bench.clock.soon_calls == soon + 10
    assert bench.clock.timer_calls == timers


@every_poll
def test_poll_ends_after_one_frame(name: str) -> None:
    bench = Bench(name)
    receiver = bench.opened()
    bench.send("a", "b")
    assert receiver.frames == ['a["a","b"]']
    assert receiver.ended
    bench.send("c")
    bench.over(receiver)
    assert bench.poll() == ['a["c"]']


@every_stream
def test_stream_goes_on(name: str) -> None:
    bench = Bench(name)
    receiver = bench.opened()
    bench.send("a", "b")
    bench.send("c")
    assert receiver.frames == ['a["a","b"]', 'a["c"]']
    assert not receiver.ended


@every_stream
def test_stream_ends_by_size(name: str) -> None:
    """It ends once at least `response_limit` bytes were sent, framing counted, frames whole."""
    bench = Bench(name, response_limit=200)
    receiver = bench.attach()
    sent = []
    while not receiver.ended:
        assert sum(map(len, receiver.written)) < 200
        sent.append("x" * 20)
        bench.send(sent[-1])
    assert sum(map(len, receiver.written)) >= 200
    assert receiver.messages == sent
    bench.session.detach(receiver, lost=False)
    bench.send("next")
    assert bench.attach().messages == ["next"]


@every_http
def test_frames_are_bounded(name: str) -> None:
    """Defect 9: what waited leaves in frames of about `response_limit` bytes, never split."""
    bench = Bench(name, response_limit=100)
    bench.poll()
    bench.send(*["x" * 30] * 20, "y" * 500, "z")
    received = []
    while len(received) < 22:
        receiver = bench.attach()
        frames = [frame for frame in receiver.frames if frame != "o"]
        assert frames
        for frame in frames:
            assert len(frame) <= 103 or json.loads(frame[1:]) == ["y" * 500]
        received += receiver.messages
        bench.over(receiver)
    assert received == ["x" * 30] * 20 + ["y" * 500, "z"]


@pytest.mark.parametrize("transport", [WEBSOCKET, RAW_WEBSOCKET])
def test_websocket_never_ends_by_size(transport: Transport) -> None:
    bench = Bench(transport, response_limit=10)
    receiver = bench.opened()
    bench.send(*["x" * 30] * 5)
    assert receiver.messages == ["x" * 30] * 5
    assert not receiver.ended


def test_numbers_of_a_session() -> None:
    """What the log line at a session's end tells."""
    bench = Bench(STREAM)
    receiver = bench.attach()
    bench.send("a", "b")
    bench.session.deliver(["x", "y", "z"], 13)
    session = bench.session
    assert (session.messages_out, session.bytes_out) == (2, sum(map(len, receiver.written)))
    assert (session.messages_in, session.bytes_in) == (3, 13)


# A peer that reads slowly


@every_transport
def test_slow_peer(name: str) -> None:
    """Nothing is written while the receiver is not writable; all of it in order afterwards."""
    bench = Bench(name)
    receiver = bench.opened()
    receiver.open = False
    bench.send("a")
    bench.send("b")
    assert receiver.written == []
    receiver.open = True
    bench.session.flush()
    assert receiver.messages == ["a", "b"]
    assert len(receiver.written) == 1


@every_transport
@pytest.mark.parametrize("stubborn", [True, False])
def test_refused_write_keeps_the_frame(name: str, stubborn: bool) -> None:
    """A frame leaves the queue when its write was accepted, not before (defect 5)."""
    bench = Bench(name)
    receiver = bench.opened()
    receiver.stubborn, receiver.refuse = stubborn, not stubborn
    bench.send("a")
    assert receiver.written == []
    assert not receiver.ended
    receiver.stubborn, receiver.open = False, True
    bench.session.flush()
    assert receiver.messages == ["a"]


@every_http
def test_refused_open_frame_is_kept(name: str) -> None:
    bench = Bench(name)
    receiver = Recorder(bench.transport)
    receiver.refuse = True
    bench.session.attach(receiver)
    assert receiver.written == []
    assert not receiver.ended
    receiver.open = True
    bench.session.flush()
    assert receiver.frames == ["o"]


@pytest.mark.parametrize("name", [name for name in sorted(BY_NAME) if name != "raw-websocket"])
def test_refused_close_frame_is_kept(name: str) -> None:
    """The response does not end without the close frame that its client waits for."""
    bench = Bench(name)
    receiver = bench.opened()
    receiver.refuse = True
    bench.session.close(3001, "bye")
    bench.clock.settle()
    assert not receiver.ended
    receiver.open = True
    bench.session.flush()
    assert receiver.frames == ['c[3001,"bye"]']
    assert receiver.ended


@every_http
def test_refused_heartbeat(name: str) -> None:
    """A heartbeat that was not accepted is tried again, and ends no response."""
    bench = Bench(name, heartbeat_delay=10, response_max_age=100)
    receiver = bench.opened()
    receiver.stubborn = True
    bench.clock.advance(10.1)
    assert not receiver.ended
    receiver.stubborn = False
    bench.clock.advance(0.1)
    assert receiver.frames == ["h"]


@every_transport
def test_slow_consumer(name: str) -> None:
    """`max_queue_size`: the session is closed with 4008, and what waited is dropped."""
    bench = Bench(name, max_queue_size=100)
    receiver = bench.opened()
    receiver.open = False
    while bench.session.send("0123456789"):
        pass
    assert bench.session.state is State.CLOSING
    assert bench.handler.calls[-1] == ("closed", 4008, "Slow consumer")
    receiver.open = True
    bench.session.flush()
    assert receiver.frames == ([SLOW] if receiver.transport.control_frames else [])
    assert receiver.ended


def test_slow_consumer_is_a_matter_of_bytes() -> None:
    """The queue holds exactly `max_queue_size` bytes, and is empty after a flush."""
    bench = Bench(max_queue_size=100)
    receiver = bench.opened()
    for _ in range(3):
        receiver.open = False
        # Two quotes and a comma go with each message.
        bench.send("x" * 47, "x" * 47)
        receiver.open = True
        bench.session.flush()
        assert receiver.messages == ["x" * 47] * 2
        bench.over(receiver)
        receiver = bench.attach()
    receiver.open = False
    assert bench.session.send("x" * 98) is False


@every_transport
def test_quick_client_of_a_quicker_sender(name: str) -> None:
    """A peer that reads is no slow consumer, however much is sent within a tick."""
    bench = Bench(name, max_queue_size=100, response_limit=1000)
    receiver = bench.opened()
    sent = [str(number) for number in range(50)]
    received: list[str] = []
    for text in sent:
        assert bench.session.send(text)
        if receiver.ended:
            received += receiver.messages
            bench.over(receiver)
            receiver = bench.attach()
    bench.clock.settle()
    assert received + receiver.messages == sent


def test_overflow_of_a_peer_that_cannot_be_written(caplog: pytest.LogCaptureFixture) -> None:
    """It ends that session; who sends to many goes on with the others."""

    class Broken(Recorder):
        def write(self, data: bytes) -> bool:
            raise OSError("no route to host")

    bench = Bench("websocket", max_queue_size=10)
    broken = Broken(WEBSOCKET, open=False)
    bench.session.attach(broken)
    broken.open = True
    assert bench.session.send("more than ten bytes") is False
    assert bench.handler.calls[-1] == ("closed", 4500, "Internal Server Error")
    assert bench.forgotten
    assert "writing failed" in caplog.text


@every_transport
def test_send_after_the_end(name: str) -> None:
    """api.md 2: `send` never raises because the peer is gone: it returns False."""
    bench = Bench(name)
    bench.session.close(1000, "")
    assert bench.session.send("late") is False


# Receivers


@every_http
def test_second_receiver(name: str) -> None:
    """The newcomer gets 2010; the first receiver stays untouched (defect 2)."""
    bench = Bench(name)
    first = bench.opened()
    second = bench.attach(tag="other")
    assert second.frames == ['c[2010,"Another connection still open"]']
    assert second.ended
    bench.session.detach(second, lost=False)
    assert not first.ended
    assert not first.aborted
    bench.send("a")
    assert first.messages == ["a"]


def test_second_receiver_during_the_handshake() -> None:
    """Defect 7: two receivers that race through an asynchronous open."""
    bench = Bench(STREAM, accept=False)
    first = bench.attach()
    second = bench.attach()
    assert second.frames == ['c[2010,"Another connection still open"]']
    bench.session.accept(bench.handler)
    bench.clock.settle()
    assert first.frames == ["o"]


def test_second_receiver_while_closing() -> None:
    bench = Bench(STREAM)
    first = bench.opened()
    first.open = False
    bench.session.close(3000, "bye")
    assert bench.attach().frames == ['c[2010,"Another connection still open"]']
    assert not first.ended


def test_receiver_that_is_not_attached_leaves() -> None:
    """The server may say so twice, and of the one that was turned away."""
    bench = Bench(STREAM)
    first = bench.opened()
    second = bench.attach()
    bench.session.detach(second, lost=True)
    assert bench.session.state is State.OPEN
    bench.send("a")
    assert first.messages == ["a"]


@pytest.mark.parametrize("name", ["xhr-polling", "jsonp-polling"])
def test_transport_may_change(name: str) -> None:
    """A session is not bound to the transport that opened it."""
    bench = Bench(name)
    bench.poll()
    bench.send("a")
    receiver = bench.attach(transport=STREAM)
    assert receiver.messages == ["a"]
    assert bench.session.transport is STREAM


def test_attached_after_the_end() -> None:
    """A receiver that comes too late gets the close frame."""
    bench = Bench()
    bench.poll()
    bench.clock.advance(6)
    assert bench.forgotten
    receiver = bench.attach()
    assert receiver.frames == ['c[1006,"Session timed out"]']
    bench.session.detach(receiver, lost=False)
    assert len(bench.manager) == 0
    assert bench.clock.timers == []


# Closing


@every_http
def test_queue_leaves_before_the_close_frame(name: str) -> None:
    """Defect 3: pending messages first, then the application's own code and reason."""
    bench = Bench(name)
    bench.poll()
    bench.session.send("last")
    bench.session.close(3999, "So long")
    frames = [frame for _ in range(3) for frame in bench.poll() if frame != "o"]
    assert frames[0] == 'a["last"]'
    assert set(frames[1:]) == {'c[3999,"So long"]'}
    assert len(frames) >= 3


@every_http
def test_close_frame_is_repeated_until_the_end(name: str) -> None:
    """It is repeated to every poll until the session times out."""
    bench = Bench(name)
    bench.poll()
    bench.session.close(3000, "bye")
    for _ in range(3):
        bench.clock.advance(4)
        assert bench.poll()[-1] == 'c[3000,"bye"]'
    bench.clock.advance(5.1)
    assert bench.forgotten


@every_transport
def test_closed_is_called_once(name: str) -> None:
    """The application hears it at once, with the first code."""
    bench = Bench(name)
    receiver = bench.opened()
    bench.session.close(3001, "first")
    assert bench.handler.calls[1:] == [("closed", 3001, "first")]
    bench.session.close(3002, "second")
    bench.clock.settle()
    bench.session.detach(receiver, lost=False)
    bench.clock.advance(20)
    assert bench.handler.calls[1:] == [("closed", 3001, "first")]
    assert (bench.session.close_code, bench.session.close_reason) == (3001, "first")
    assert bench.forgotten


def test_nothing_is_delivered_after_the_end() -> None:
    """Closing session: 204, dropped."""
    bench = Bench()
    bench.session.close(3000, "bye")
    bench.session.deliver(["late"], 8)
    assert bench.handler.calls[-1] == ("closed", 3000, "bye")
    assert bench.session.messages_in == 0


def test_raw_websocket_ends_without_a_close_frame() -> None:
    """Raw: no framing, no `o`; the code and reason are the WebSocket's own."""
    bench = Bench(RAW_WEBSOCKET)
    receiver = bench.attach()
    bench.session.send("a")
    bench.session.close(3000, "bye")
    bench.clock.settle()
    assert receiver.frames == ["a"]
    assert receiver.ended


@every_transport
def test_receiver_that_never_goes(name: str) -> None:
    """A closed session does not wait for a client that does not read, nor close in its turn."""
    bench = Bench(name)
    receiver = bench.opened()
    receiver.open = False
    # Past the deadline of its birth: the next one is far.
    bench.clock.advance(6)
    bench.session.send("a")
    bench.session.close(3000, "bye")
    bench.clock.advance(5.1)
    assert receiver.aborted
    assert bench.forgotten


def test_finished() -> None:
    """The server stops: a closed session without a receiver is forgotten at once."""
    bench = Bench()
    bench.session.close(3000, "Go away!")
    bench.session.finish()
    assert bench.forgotten


@pytest.mark.parametrize("transport", [WEBSOCKET, RAW_WEBSOCKET])
def test_websocket_is_gone(transport: Transport) -> None:
    """The session lives as long as its connection; the peer's code is the application's."""
    bench = Bench(transport)
    receiver = bench.opened()
    bench.session.send("unsent")
    bench.session.detach(receiver, lost=False, code=1001, reason="leaving")
    assert bench.handler.calls == [("opened",), ("closed", 1001, "leaving")]
    assert bench.forgotten
    bench.clock.settle()
    assert receiver.written == []


# A receiver whose connection is lost


@every_http
def test_lost_receiver(name: str) -> None:
    """Noticed at once: the application is told, and the next one gets 1002 and nothing else."""
    bench = Bench(name)
    receiver = bench.opened()
    bench.session.detach(receiver, lost=True)
    assert bench.handler.calls[-1] == ("closed", 1002, "Connection interrupted")
    assert not bench.session.send("too late")
    assert bench.poll() == [INTERRUPTED]
    assert bench.poll() == [INTERRUPTED]
    bench.clock.advance(5.1)
    assert bench.forgotten


@every_http
def test_lost_before_the_open_frame(name: str) -> None:
    bench = Bench(name)
    receiver = bench.attach(open=False)
    bench.session.send("a")
    bench.session.detach(receiver, lost=True)
    assert bench.poll() == [INTERRUPTED]


@every_http
def test_repeat_of_a_lost_request(name: str) -> None:
    """The same `t` within a second attaches again as if nothing had happened."""
    bench = Bench(name)
    bench.poll(tag="1")
    receiver = bench.attach(tag="2")
    bench.session.detach(receiver, lost=True)
    bench.send("kept")
    bench.clock.advance(WINDOW - 0.1)
    assert bench.attach(tag="2").messages == ["kept"]
    bench.clock.advance(4)
    assert bench.handler.calls == [("opened",)]


@every_http
def test_other_receiver_after_a_loss(name: str) -> None:
    """Any other `t` gets 1002, within the second as well."""
    bench = Bench(name)
    bench.poll(tag="1")
    bench.session.detach(bench.attach(tag="2"), lost=True)
    bench.session.send("lost with it")
    assert bench.poll(tag="3") == [INTERRUPTED]
    assert bench.handler.calls[-1] == ("closed", 1002, "Connection interrupted")


@every_http
@pytest.mark.parametrize("message", [[], ["written"]])
def test_loss_without_a_repeat(name: str, message: list[str]) -> None:
    """No repeat within a second: the session ends, and a late repeat gets 1002, nothing else."""
    bench = Bench(name)
    bench.poll(tag="1")
    receiver = bench.attach(tag="2")
    bench.send(*message)
    bench.session.detach(receiver, lost=True)
    bench.clock.advance(WINDOW + 0.1)
    assert bench.handler.calls[-1] == ("closed", 1002, "Connection interrupted")
    assert bench.poll(tag="2") == [INTERRUPTED]


def test_loss_while_closing() -> None:
    """The application closed it already, and knows its own code; the client has missed messages
    and hears that."""
    bench = Bench(STREAM)
    receiver = bench.opened()
    receiver.open = False
    bench.session.close(3000, "bye")
    bench.session.detach(receiver, lost=True)
    assert bench.poll() == [INTERRUPTED]
    assert bench.handler.calls == [("opened",), ("closed", 3000, "bye")]


@every_http
@pytest.mark.parametrize("tag", [None, "1"])
def test_loss_while_closing_leaves_no_gap(name: str, tag: str | None) -> None:
    """What was written is lost, so what waits behind it may not follow: only the close frame."""
    bench = Bench(name)
    receiver = bench.attach(tag=tag, open=False)
    receiver.open = True
    bench.session.flush()
    bench.session.send("behind")
    bench.session.close(3000, "bye")
    bench.session.detach(receiver, lost=True)
    assert bench.poll(tag="2") == [INTERRUPTED]


@every_http
def test_repeat_while_closing(name: str) -> None:
    """The browser's repeat gets what was lost, what waits behind it, and the close frame."""
    bench = Bench(name)
    receiver = bench.attach(tag="1")
    bench.session.send("behind")
    bench.session.close(3000, "bye")
    bench.session.detach(receiver, lost=True)
    frames = bench.poll(tag="1")
    if not bench.transport.streaming:
        frames += bench.poll(tag="2") + bench.poll(tag="3")
    assert frames == ["o", 'a["behind"]', 'c[3000,"bye"]']


def test_closed_while_a_repeat_is_waited_for() -> None:
    """Nobody repeats, so the client has missed messages; the application is told once."""
    bench = Bench(STREAM)
    bench.session.detach(bench.attach(tag="1"), lost=True)
    bench.session.close(3000, "bye")
    bench.clock.advance(WINDOW + 0.1)
    assert bench.poll() == [INTERRUPTED]
    assert bench.handler.calls == [("opened",), ("closed", 3000, "bye")]
    bench.clock.advance(5.1)
    assert bench.forgotten


def test_close_does_not_prolong_the_wait_for_a_repeat() -> None:
    """What was lost is not told a second later than without it."""
    bench = Bench(XHR)
    bench.session.detach(bench.attach(tag="1"), lost=True)
    bench.clock.advance(WINDOW - 0.1)
    bench.session.close(3000, "bye")
    bench.clock.advance(0.2)
    assert bench.poll(tag="1") == [INTERRUPTED]


# A browser's silent repeat


@every_poll
def test_repeated_poll(name: str) -> None:
    """A repeated poll gets the same response again, each of them, `o` and messages alike."""
    bench = Bench(name)
    assert bench.poll(tag="1") == ["o"]
    assert bench.repeat(tag="1") == ["o"]
    bench.send("a", "b")
    assert bench.poll(tag="2") == ['a["a","b"]']
    for _ in range(2):
        assert bench.repeat(tag="2") == ['a["a","b"]']
    bench.send("c")
    assert bench.poll(tag="3") == ['a["c"]']
    assert bench.session.messages_out == 3


@every_poll
def test_repeated_poll_that_got_a_heartbeat(name: str) -> None:
    bench = Bench(name, heartbeat_delay=10)
    bench.poll(tag="1")
    receiver = bench.attach(tag="2")
    bench.clock.advance(10)
    assert receiver.frames == ["h"]
    bench.over(receiver)
    assert bench.repeat(tag="2") == ["h"]


@every_stream
def test_repeated_stream(name: str) -> None:
    """A stream that broke at its start gets all that it got, and goes on."""
    bench = Bench(name)
    first = bench.attach(tag="1")
    bench.send("a")
    bench.send("b")
    bench.session.detach(first, lost=True)
    bench.session.send("c")
    second = bench.attach(tag="1")
    bench.clock.settle()
    assert second.frames == ["o", 'a["a"]', 'a["b"]', 'a["c"]']
    bench.send("d")
    third = bench.attach(tag="1")
    assert third.frames == second.frames
    assert third.messages == ["a", "b", "c", "d"]


@every_http
def test_repeat_before_the_loss_is_noticed(name: str) -> None:
    """The repeat takes the place of the receiver whose connection is dead."""
    bench = Bench(name)
    bench.poll(tag="1")
    dead = bench.attach(tag="2")
    dead.open = False
    bench.send("a")
    alive = bench.attach(tag="2")
    assert dead.aborted
    assert alive.messages == ["a"]
    bench.session.detach(dead, lost=True)
    assert bench.session.state is State.OPEN


@every_http
def test_repeat_during_the_handshake(name: str) -> None:
    bench = Bench(name, accept=False)
    dead = bench.attach(tag="1")
    bench.session.detach(dead, lost=True)
    alive = bench.attach(tag="1")
    bench.session.accept(bench.handler)
    bench.clock.settle()
    assert alive.frames == ["o"]


@every_poll
def test_only_the_last_response_is_repeated(name: str) -> None:
    bench = Bench(name)
    bench.poll(tag="1")
    bench.send("a")
    assert bench.poll(tag="2") == ['a["a"]']
    bench.send("b")
    assert bench.repeat(tag="1") == ['a["b"]']


@every_poll
def test_same_connection_is_no_repeat(name: str) -> None:
    """A browser repeats over a new connection; the same one holds a new poll."""
    bench = Bench(name)
    receiver = bench.attach(tag="1")
    bench.over(receiver)
    bench.send("a")
    receiver.peer.broken = True
    assert bench.attach(tag="1", peer=receiver.peer).frames == ['a["a"]']


#: Milliseconds as blurred clocks have them: in steps of 100 ms, and of a 60th of a second.
BLURRED = ["1700000000100", "1700000000150", "1700000000016", "1700000000033", "1700000000083"]


@every_poll
@pytest.mark.parametrize("tag", BLURRED)
def test_blurred_clock(name: str, tag: str) -> None:
    """Some browsers' clocks are coarse: two polls may carry the same `t`. Unless the connection of
    the first has broken, the second is a new one."""
    bench = Bench(name)
    assert bench.poll(tag) == ["o"]
    bench.send("a")
    assert bench.poll(tag) == ['a["a"]']
    assert bench.repeat(tag) == ['a["a"]']
    bench.send("b")
    assert bench.poll(tag) == ['a["b"]']


@every_poll
@pytest.mark.parametrize("tag", ["1700000000101", "1700000000017"])
def test_sharp_clock(name: str, tag: str) -> None:
    """Where the clock is sharp, and would show another time, the same `t` tells enough: a loss may
    be noticed late, or never."""
    bench = Bench(name)
    bench.poll("0")
    bench.send("a")
    for _ in range(2):
        assert bench.poll(tag) == ['a["a"]']
        bench.clock.advance(SAME_TIME + 0.01)


@every_poll
@pytest.mark.parametrize("tag", ["1", "x", "1.5"])
def test_number_of_a_request(name: str, tag: str) -> None:
    """What is no time was counted up: the same number is the same request."""
    bench = Bench(name)
    bench.poll("0")
    bench.send("a")
    for _ in range(2):
        assert bench.poll(tag) == ['a["a"]']


@pytest.mark.parametrize("tag", BLURRED)
def test_blurred_clock_of_a_send(tag: str) -> None:
    """The same words twice within a step of the clock are two messages."""
    repeats, first = Bench().session.repeats, Peer()
    assert not repeats.recognises_send(tag, first, b'["a"]')
    second = Peer()
    assert not repeats.recognises_send(tag, second, b'["a"]')
    second.broken = True
    assert repeats.recognises_send(tag, Peer(), b'["a"]')


@every_poll
def test_without_a_tag_there_is_no_repeat(name: str) -> None:
    bench = Bench(name)
    bench.poll()
    bench.send("a")
    assert bench.poll() == ['a["a"]']
    bench.send("b")
    assert bench.poll() == ['a["b"]']


def test_other_transport_is_no_repeat() -> None:
    bench = Bench(XHR)
    assert bench.poll(tag="1") == ["o"]
    bench.send("a")
    bench.peer.broken = True
    assert bench.attach(tag="1", transport=STREAM).frames == ['a["a"]']


def test_second_receiver_of_the_same_connection_and_tag() -> None:
    """No repeat, so another connection is still open."""
    bench = Bench(STREAM)
    peer = bench.attach(tag="1").peer
    assert bench.attach(tag="1", peer=peer).frames == ['c[2010,"Another connection still open"]']


@every_stream
def test_long_stream_needs_no_memory(name: str) -> None:
    """A browser repeats only what it has not begun to read: a longer stream is not kept."""
    bench = Bench(name)
    receiver = bench.attach(tag="1")
    bench.send("x" * STREAM_MEMORY)
    bench.send("y")
    assert bench.session.repeats.frames is None
    bench.session.detach(receiver, lost=True)
    assert bench.poll(tag="1") == [INTERRUPTED]


@every_stream
def test_stream_that_breaks_late(name: str) -> None:
    """The browser has begun to read it, and repeats nothing: whoever sends hears of the loss."""
    bench = Bench(name)
    receiver = bench.attach(tag="1")
    bench.send("a")
    bench.clock.advance(WINDOW + 0.1)
    bench.session.detach(receiver, lost=True)
    assert not bench.session.send("too late")
    assert bench.poll(tag="1") == [INTERRUPTED]


@every_stream
def test_stream_of_a_client_that_sends(name: str) -> None:
    """It has read `o`, so that a repeat of that request is none."""
    bench = Bench(name)
    receiver = bench.attach(tag="1")
    bench.clock.settle()
    assert not bench.session.repeats.recognises_send("2", Peer(), b'["a"]')
    bench.session.detach(receiver, lost=True)
    assert not bench.session.send("too late")


@every_poll
def test_long_poll_is_repeated(name: str) -> None:
    bench = Bench(name)
    bench.poll(tag="1")
    bench.send("x" * STREAM_MEMORY)
    for poll in (bench.poll, bench.repeat):
        assert poll(tag="2") == [f'a["{"x" * STREAM_MEMORY}"]']


@every_http
def test_repeat_of_a_closed_session(name: str) -> None:
    """Its response again, then the close frame: no receiver gets that twice."""
    bench = Bench(name)
    bench.poll(tag="1")
    bench.send("a")
    bench.session.close(3000, "bye")
    first = bench.poll(tag="2")
    assert first[0] == 'a["a"]'
    for _ in range(2):
        assert bench.repeat(tag="2") == first
    assert bench.poll(tag="3") == ['c[3000,"bye"]']
    assert bench.poll(tag="3") == ['c[3000,"bye"]']


# Sends


def test_repeated_send() -> None:
    """Same `t`, same body, another connection: a browser's repeat."""
    repeats = Bench().session.repeats
    assert not repeats.recognises_send("7", Peer(), b'["a"]')
    assert repeats.recognises_send("7", Peer(), b'["a"]')
    assert repeats.recognises_send("7", Peer(), b'["a"]')


@pytest.mark.parametrize(
    ("tag", "body", "same"),
    [("8", b'["a"]', False), ("7", b'["b"]', False), ("7", b'["a"]', True)],
)
def test_no_repeated_send(tag: str, body: bytes, same: bool) -> None:
    """Another `t`, another body, or the same connection: said twice."""
    repeats, first = Bench().session.repeats, Peer()
    assert not repeats.recognises_send("7", first, b'["a"]')
    first.broken = True
    assert not repeats.recognises_send(tag, first if same else Peer(), body)


def test_memory_of_sends_is_bounded() -> None:
    repeats, first = Bench().session.repeats, Peer()
    first.broken = True
    for number in range(SENDS + 1):
        assert not repeats.recognises_send(str(number), first, b"[]")
    assert repeats.recognises_send("1", Peer(), b"[]")
    assert not repeats.recognises_send("0", Peer(), b"[]")


def test_full_handler() -> None:
    """`max_inbound`: who reads waits until messages were handled, and is told once."""
    bench = Bench(max_inbound=2)
    session, handler = bench.session, bench.handler
    called: list[str] = []
    session.deliver(["a"], 1)
    assert not session.full
    session.deliver(["b"], 1)
    assert session.full
    session.when_ready(lambda: called.append("first"))
    session.when_ready(lambda: called.append("second"))
    assert session.awaited
    session.ready()
    assert called == []
    handler.inbox.pop()
    session.ready()
    assert called == ["first", "second"]
    assert not session.awaited
    session.ready()
    assert called == ["first", "second"]


def test_full_handler_of_a_session_that_ends() -> None:
    """Nobody waits for a session that is over."""
    bench = Bench(max_inbound=1)
    called: list[str] = []
    bench.session.deliver(["a"], 1)
    bench.session.when_ready(lambda: called.append("over"))
    bench.session.close(3000, "bye")
    assert called == ["over"]
    assert not bench.session.full
    bench.session.when_ready(lambda: called.append("at once"))
    assert called == ["over", "at once"]


def test_crowd_of_sends() -> None:
    """A client sends in turn; more sends than that may not wait."""
    bench = Bench(max_inbound=1)
    bench.session.deliver(["a"], 5)
    for _ in range(WAITING_SENDS):
        assert not bench.session.flooded
        bench.session.when_ready(lambda: None)
    assert bench.session.flooded


# Time


@every_http
def test_expires_without_a_receiver(name: str) -> None:
    """`disconnect_delay`: the application is told once; releasing the receiver restarts it
    (defect 1)."""
    bench = Bench(name)
    for _ in range(3):
        receiver = bench.attach()
        bench.clock.advance(20)
        bench.session.send("a")
        bench.clock.settle()
        bench.session.detach(receiver, lost=False)
        bench.clock.advance(4.9)
        assert bench.session.state is State.OPEN
    bench.clock.advance(0.2)
    assert bench.forgotten
    assert bench.handler.calls == [("opened",), ("closed", 1006, "Session timed out")]
    bench.clock.advance(100)
    assert bench.clock.timers == []


def test_sending_does_not_keep_a_session_alive() -> None:
    bench = Bench()
    for _ in range(6):
        bench.session.send("a")
        bench.clock.advance(1)
    assert bench.forgotten


@every_poll
def test_heartbeat_ends_a_poll(name: str) -> None:
    bench = Bench(name, heartbeat_delay=10)
    receiver = bench.opened()
    bench.clock.advance(9.9)
    assert receiver.frames == []
    bench.clock.advance(0.2)
    assert receiver.frames == ["h"]
    assert receiver.ended


@every_stream
def test_heartbeat_of_a_stream(name: str) -> None:
    """Only silence is filled: a frame puts the heartbeat off."""
    bench = Bench(name, heartbeat_delay=10, response_max_age=100)
    receiver = bench.opened()
    bench.clock.advance(6)
    bench.send("a")
    bench.clock.advance(9.9)
    assert receiver.frames == ['a["a"]']
    bench.clock.advance(10.2)
    assert receiver.frames == ['a["a"]', "h", "h"]


@every_http
def test_no_heartbeat_for_a_slow_peer(name: str) -> None:
    bench = Bench(name, heartbeat_delay=10, response_max_age=80)
    receiver = bench.opened()
    receiver.open = False
    bench.clock.advance(50)
    assert receiver.written == []
    assert not receiver.ended
    assert not receiver.aborted
    receiver.open = True
    bench.session.flush()
    bench.clock.advance(10.1)
    assert receiver.frames == ["h"]


@every_http
def test_peer_that_has_stopped_reading(name: str) -> None:
    """It has `response_max_age` to go on before its connection is dropped."""
    bench = Bench(name, heartbeat_delay=10, response_max_age=25)
    receiver = bench.opened()
    receiver.open = False
    bench.clock.advance(30)
    assert not receiver.aborted
    bench.clock.advance(10.1)
    assert receiver.aborted
    assert receiver.written == []


@every_http
def test_peer_that_comes_back(name: str) -> None:
    """A new receiver has all of its time."""
    bench = Bench(name, heartbeat_delay=10, response_max_age=25)
    bench.poll(tag="0")
    first = bench.attach(tag="1", open=False)
    bench.clock.advance(30)
    bench.session.detach(first, lost=False)
    second = bench.attach(tag="2", open=False)
    bench.clock.advance(30)
    assert not second.aborted
    assert bench.session.state is State.OPEN


@every_stream
def test_peer_that_reads_now_and_then(name: str) -> None:
    """Each frame that it takes gives it its time anew."""
    bench = Bench(name, heartbeat_delay=10, response_max_age=25)
    receiver = bench.opened()
    for _ in range(5):
        receiver.open = False
        bench.clock.advance(20.1)
        bench.send("a")
        receiver.open = True
        bench.session.flush()
    assert not receiver.aborted
    assert receiver.messages == ["a"] * 5


@every_stream
def test_stream_ends_by_age(name: str) -> None:
    """`response_max_age`: at a frame boundary; the client goes on and nothing is lost."""
    bench = Bench(name, response_max_age=20)
    receiver = bench.attach()
    for _ in range(19):
        bench.clock.advance(1)
        bench.send("a")
    assert not receiver.ended
    bench.clock.advance(1.1)
    assert receiver.ended
    bench.send("b")
    bench.session.detach(receiver, lost=False)
    following = bench.attach()
    assert receiver.messages + following.messages == ["a"] * 19 + ["b"]
    assert following.frames == ['a["b"]']


@every_stream
def test_ended_stream_is_not_ended_again(name: str) -> None:
    """The server may take a while to end a response."""
    bench = Bench(name, response_max_age=20)
    receiver = bench.opened()
    bench.clock.advance(120)
    assert receiver.ended
    assert bench.session.state is State.OPEN


@every_poll
def test_poll_has_no_age(name: str) -> None:
    bench = Bench(name, response_max_age=5, heartbeat_delay=25)
    receiver = bench.opened()
    bench.clock.advance(24)
    assert not receiver.ended


# WebSockets and time


def heard(bench: Bench, receiver: Recorder) -> None:
    receiver.heard = bench.clock.now


def test_ping_and_every_second_time_a_heartbeat() -> None:
    """A ping is invisible to the page's script, an `h` frame is not."""
    bench = Bench(WEBSOCKET, heartbeat_delay=25)
    receiver = bench.opened()
    for beat in range(1, 7):
        bench.clock.advance(25)
        heard(bench, receiver)
        assert receiver.pings == beat
        assert receiver.frames == ["h"] * (beat // 2)


def test_raw_websocket_is_pinged_only() -> None:
    """Raw: no heartbeat frames."""
    bench = Bench(RAW_WEBSOCKET, heartbeat_delay=25)
    receiver = bench.opened()
    for _ in range(4):
        bench.clock.advance(25)
        heard(bench, receiver)
    assert receiver.pings == 4
    assert receiver.written == []


def test_no_heartbeat_frame_for_a_slow_websocket() -> None:
    bench = Bench(WEBSOCKET, heartbeat_delay=25)
    receiver = bench.opened()
    receiver.open = False
    for _ in range(2):
        bench.clock.advance(25)
        heard(bench, receiver)
    assert receiver.pings == 2
    assert receiver.written == []


@pytest.mark.parametrize("transport", [WEBSOCKET, RAW_WEBSOCKET])
@pytest.mark.parametrize("delay", [25, 4])
def test_dead_websocket(transport: Transport, delay: float) -> None:
    """3000 "No response from heartbeat" after 10 s without any inbound byte."""
    bench = Bench(transport, heartbeat_delay=delay)
    receiver = bench.opened()
    bench.clock.advance(delay + Deadlines.PONG_TIMEOUT - 0.1)
    assert bench.session.state is State.OPEN
    bench.clock.advance(0.2)
    assert bench.handler.calls[-1] == ("closed", 3000, "No response from heartbeat")
    assert receiver.ended
    if transport is WEBSOCKET:
        assert receiver.frames[-1] == 'c[3000,"No response from heartbeat"]'
    bench.clock.advance(5.1)
    assert receiver.aborted
    assert bench.forgotten


def test_any_byte_is_a_sign_of_life() -> None:
    bench = Bench(WEBSOCKET, heartbeat_delay=25)
    receiver = bench.opened()
    for _ in range(40):
        bench.clock.advance(9)
        heard(bench, receiver)
    assert bench.session.state is State.OPEN
    assert receiver.pings > 10


class SlowPeer(Peer):
    """A peer that takes what is on its way until its clock says that it has stopped."""

    def __init__(self, clock: HandClock) -> None:
        super().__init__()
        self.clock = clock
        self.until = clock.now

    def taken(self, now: float) -> float:
        return min(now, self.until)

    def takes_for(self, seconds: float) -> None:
        self.until = self.clock.now + seconds


@every_http
def test_session_of_a_client_that_takes_its_last_response_slowly(name: str) -> None:
    """`disconnect_delay` counts from the last byte that was taken."""
    bench = Bench(name, disconnect_delay=5)
    peer = SlowPeer(bench.clock)
    receiver = bench.opened()
    bench.session.detach(receiver, lost=False)
    receiver = bench.attach(peer=peer)
    receiver.end()
    bench.over(receiver)
    peer.takes_for(12)
    bench.clock.advance(16.9)
    assert bench.session.state is State.OPEN
    bench.clock.advance(1.3)
    assert bench.handler.calls[-1] == ("closed", 1006, "Session timed out")
    assert bench.forgotten


@every_http
def test_session_whose_connection_serves_others_meanwhile(name: str) -> None:
    """Behind a proxy somebody else's response may follow: who takes that is not this client."""
    bench = Bench(name, disconnect_delay=5)
    bench.session.detach(bench.opened(), lost=False)
    receiver = bench.attach(peer=(peer := SlowPeer(bench.clock)))
    receiver.end()
    bench.over(receiver)
    peer.carried += 1
    peer.takes_for(100)
    bench.clock.advance(5.1)
    assert bench.forgotten


@pytest.mark.parametrize("transport", [WEBSOCKET, RAW_WEBSOCKET, STREAM])
def test_end_of_a_client_that_reads_slowly(transport: Transport) -> None:
    """What was sent before close() is left to it as long as it takes some of that."""
    bench = Bench(transport, disconnect_delay=5)
    peer = SlowPeer(bench.clock)
    receiver = bench.attach(peer=peer)
    receiver.open = False
    bench.send("a")
    bench.session.close(4321, "done")
    peer.takes_for(30)
    bench.clock.advance(34.9)
    assert not receiver.aborted
    receiver.open = True
    bench.session.flush()
    assert receiver.messages == ["a"]
    assert receiver.ended


@every_stream
def test_stream_of_a_client_that_reads_slowly(name: str) -> None:
    """Its connection is not dropped while it takes what was written long ago."""
    bench = Bench(name, heartbeat_delay=10, response_max_age=25)
    receiver = bench.attach(peer=(peer := SlowPeer(bench.clock)))
    receiver.open = False
    peer.takes_for(100)
    bench.clock.advance(120)
    assert not receiver.aborted
    bench.clock.advance(16)
    assert receiver.aborted


@pytest.mark.parametrize("transport", [WEBSOCKET, RAW_WEBSOCKET])
def test_websocket_of_a_client_that_reads_slowly(transport: Transport) -> None:
    """The ping is still on its way to it."""
    bench = Bench(transport, heartbeat_delay=25)
    bench.attach(peer=(peer := SlowPeer(bench.clock)))
    peer.takes_for(200)
    bench.clock.advance(200)
    assert bench.session.state is State.OPEN
    bench.clock.advance(25 + Deadlines.PONG_TIMEOUT + 10)
    assert bench.handler.calls[-1] == ("closed", 3000, "No response from heartbeat")


def test_rest_of_a_frame_is_handed_on_in_order() -> None:
    """`max_inbound` holds within one frame; what comes behind it keeps its place."""
    bench = Bench(WEBSOCKET, max_inbound=3)
    session, inbox = bench.session, bench.handler.inbox
    assert session.deliver(["1", "2", "3", "4", "5"], 9)
    assert (inbox, session.messages_in) == (["1", "2", "3"], 3)
    assert session.deliver(["6"], 1)
    assert session.awaited
    inbox.clear()
    session.ready()
    assert inbox == ["4", "5", "6"]
    assert session.full
    assert session.bytes_in == 10
    inbox.clear()
    session.ready()
    assert not session.full
    assert not session.awaited


@pytest.mark.parametrize("ends", ["released", "closed"])
def test_rest_of_a_frame_at_the_end(ends: str) -> None:
    """What has arrived is the application's, whoever ends the session."""
    bench = Bench(WEBSOCKET, max_inbound=1)
    bench.session.deliver(["1", "2", "3"], 3)
    if ends == "released":
        bench.session.release()
    else:
        bench.session.close(3000, "bye")
    assert bench.handler.inbox == ["1", "2", "3"]
    assert not bench.session.full


def test_slow_handler_is_no_dead_client() -> None:
    """Defect 10: where the application is slow, reading stopped on our side."""
    bench = Bench(WEBSOCKET, heartbeat_delay=25, max_inbound=1)
    bench.opened()
    bench.session.deliver(["a"], 5)
    bench.session.when_ready(lambda: None)
    bench.clock.advance(300)
    assert bench.session.state is State.OPEN
    bench.handler.inbox.clear()
    bench.session.ready()
    bench.clock.advance(25 + Deadlines.PONG_TIMEOUT + 1)
    assert bench.session.state is not State.OPEN


# Frames that are shared


def test_flush_makes_what_is_not_shared_yet() -> None:
    bench = Bench(STREAM)
    receiver = bench.opened()
    shared = Frames()
    bench.session.send("a")
    bench.session.flush(shared)
    assert shared._made == {("xhr-streaming", (b'"a"',)): (b'a["a"]', b'a["a"]\n')}
    bench.session.send("a")
    shared._made[("xhr-streaming", (b'"a"',))] = b"a[]", b"a[]\n"
    bench.session.flush(shared)
    assert receiver.written == [b'a["a"]\n', b"a[]\n"]


class BareReceiver(Receiver):
    pass


class BareHandler(Handler):
    pass


@pytest.mark.interpreted
@pytest.mark.parametrize(
    "call",
    [
        lambda: BareReceiver().heard,
        lambda: BareReceiver().writable,
        lambda: BareReceiver().write(b""),
        lambda: BareReceiver().ping(),
        lambda: BareReceiver().end(),
        lambda: BareReceiver().abort(),
        lambda: BareHandler().opened(),
        lambda: BareHandler().received([]),
        lambda: BareHandler().backlog(),
        lambda: BareHandler().closed(1000, ""),
    ],
)
def test_contract_has_no_behaviour_of_its_own(call: Callable[[], object]) -> None:
    """An implementation that leaves something out says so."""
    with pytest.raises(NotImplementedError):
        call()


@pytest.mark.parametrize("tag", [None, "7"])
@every_stream
def test_drop_after_the_close_frame_is_no_loss(name: str, tag: str | None) -> None:
    """A client that hears `c` drops its stream, as browsers do: the code stays what it was."""
    bench = Bench(name)
    receiver = bench.attach(tag)
    bench.session.close(3000, "Go away!")
    bench.clock.settle()
    assert receiver.frames[-1] == GO_AWAY
    bench.session.detach(receiver, lost=True)
    assert bench.poll("8")[-1] == GO_AWAY
    bench.clock.advance(6)
    assert bench.forgotten
    assert bench.session.close_code == 3000


# Rooms


def test_rooms_are_left_at_the_end() -> None:
    """Section 6: before the application is told, which may ask where the session was."""
    bench = Bench("websocket")
    receiver = bench.opened()
    seen: list[Any] = []

    def on_closed() -> None:
        session = bench.session
        seen.append((session.rooms, session.last_rooms, bench.manager.rooms.names()))
        seen.append(session.join("attic"))

    bench.handler.on_closed = on_closed
    for room in ("lobby", "kitchen"):
        assert bench.session.join(room)
    assert bench.session.last_rooms == frozenset()
    receiver.aborted = True
    bench.session.detach(receiver, lost=True)
    assert seen == [(frozenset(), {"lobby", "kitchen"}, []), False]
    assert bench.forgotten
    assert bench.session.last_rooms == {"lobby", "kitchen"}, "the end after it changes nothing"


@pytest.mark.parametrize("end", ["close", "fail", "expire", "refuse", "abandon"])
def test_rooms_are_left_at_any_end(end: str) -> None:
    bench = Bench(accept=end not in ("refuse", "abandon"))
    bench.session.join("lobby")
    if end == "expire":
        bench.clock.advance(6)
    else:
        arguments = (1000, "") if end in ("close", "refuse") else ()
        getattr(bench.session, end)(*arguments)
    assert bench.manager.rooms.names() == []
    assert bench.session.last_rooms == {"lobby"}


@pytest.mark.interpreted
def test_join_while_a_session_ends() -> None:
    """Another thread may join at any moment: who is over gets in no more."""
    joined: list[bool] = []

    class Slow(Rooms[Recipient]):
        def leave_all(self, session: Recipient) -> frozenset[str]:
            joined.append(self.join(session, "before"))
            left = super().leave_all(session)
            joined.append(self.join(session, "after"))
            return left

    manager = Manager(Settings(), make_hub(rooms=Slow()))
    session = manager.create("s", XHR)
    session.accept(RecordingHandler())
    session.close(1000, "")
    assert joined == [False, False]
    assert manager.rooms.names() == []


def test_rooms_are_the_managers() -> None:
    """Sessions of several endpoints meet in the rooms of their application."""
    rooms: Rooms[Recipient] = Rooms()
    managers = [Manager(Settings(), make_hub(rooms=rooms)) for _ in range(2)]
    sessions = [manager.create("s", XHR) for manager in managers]
    for session in sessions:
        session.join("lobby")
    assert rooms.members("lobby") == sessions
    assert managers[0].create("other", XHR).connection is None


def test_rooms_of_a_session() -> None:
    session = Bench().session
    assert (session.join("lobby"), session.join("kitchen")) == (True, True)
    assert (session.leave("lobby"), session.leave("lobby")) == (True, False)
    assert session.rooms == {"kitchen"}


def test_placeholder() -> None:
    """It looks like the session, and nothing that is done with it reaches that."""
    bench = Bench()
    session = bench.session.placeholder()
    assert (session.id, session.transport, session.base) == ("s", XHR, "")
    assert (session.over, session.reception) == (True, Reception.ABSENT)
    assert not session.send("not heard")
    assert not session.join("lobby")
    session.close(4001, "over")
    bench.clock.advance(1)
    assert (bench.session.state, bench.poll(), len(bench.manager)) == (State.OPEN, ["o"], 1)


# Who waits for a slow client


@every_transport
def test_when_drained(name: str) -> None:
    """It is called once, when the client has taken enough, however it takes it."""
    bench = Bench(name, max_queue_size=1000, response_limit=400)
    receivers = [bench.opened()]
    receivers[0].open = False
    taken: list[int] = []

    def note() -> None:
        taken.append(sum(len(receiver.messages) for receiver in receivers))

    bench.session.when_drained(note)
    assert taken == [0], "nothing waits"
    for _ in range(4):
        bench.send("x" * 200)
    bench.session.when_drained(note)
    bench.clock.settle()
    assert taken == [0]
    receivers[0].open = True
    bench.session.flush()
    while len(receivers) < 5:
        if not receivers[-1].ended:
            receivers[-1].end()
        bench.over(receivers[-1])
        if bench.transport.websocket:
            break
        receivers.append(Recorder(bench.transport))
        bench.session.attach(receivers[-1])
    # Of four messages of 200 bytes, three have left when a quarter of 1000 bytes waits.
    assert taken == [0, 3]


@every_transport
@pytest.mark.parametrize("end", ["close", "fail", "lost", "revoke", "overflow"])
def test_when_drained_at_the_end(name: str, end: str) -> None:
    """Nobody waits for a client that is gone; and who asks then is answered at once."""
    bench = Bench(name, max_queue_size=1000)
    receiver = bench.opened()
    receiver.open = False
    bench.send("x" * 800)
    calls: list[str] = []
    bench.session.when_drained(lambda: calls.append("over"))
    assert calls == []
    match end:
        case "close" | "revoke":
            getattr(bench.session, end)(4001, "over")
        case "lost":
            receiver.aborted = True
            bench.session.detach(receiver, lost=True)
        case "overflow":
            bench.session.send("x" * 800)
        case _:
            getattr(bench.session, end)()
    assert calls == ["over"]
    bench.session.when_drained(lambda: calls.append("again"))
    assert calls == ["over", "again"]


# A user who may not read any more


@every_transport
def test_revoke(name: str) -> None:
    """What was queued is dropped: its user may not read it any more."""
    bench = Bench(name)
    receiver = bench.opened()
    receiver.open = False
    bench.send("secret")
    bench.session.credentials = Credentials(b"")
    bench.session.revoke(4401, "Unauthorized")
    receiver.open = True
    bench.session.flush()
    assert bench.session.credentials is None, "whoever asks hears that it is over"
    expected = [] if name == "raw-websocket" else ['c[4401,"Unauthorized"]']
    assert receiver.frames == expected
    assert bench.handler.calls[-1] == ("closed", 4401, "Unauthorized")


@every_http
def test_revoke_before_the_open_frame(name: str) -> None:
    """The client has to hear `o` to believe in the end."""
    bench = Bench(name)
    bench.send("secret")
    bench.session.revoke(4401, "Unauthorized")
    heard = bench.poll() + ([] if BY_NAME[name].streaming else bench.poll())
    assert heard == ["o", 'c[4401,"Unauthorized"]']


@every_http
def test_revoke_forgets_what_may_be_repeated(name: str) -> None:
    """Neither is a response told again that was lost on its way, nor one that is being sent."""
    bench = Bench(name)
    bench.poll()
    bench.send("secret")
    assert 'a["secret"]' in bench.poll("1000001")
    bench.session.revoke(4401, "Unauthorized")
    assert bench.repeat("1000001") == ['c[4401,"Unauthorized"]']


def test_revoked_after_the_end() -> None:
    """The first end counts."""
    bench = Bench()
    bench.session.close(1000, "bye")
    bench.session.revoke(4401, "Unauthorized")
    assert bench.session.close_code == 1000


@every_http
def test_revoke_while_a_repeat_is_waited_for(name: str) -> None:
    """What was lost is not repeated to who signed out, and does not count as interrupted."""
    bench = Bench(name)
    bench.poll()
    bench.send("secret")
    receiver = bench.attach("1000001")
    bench.session.detach(receiver, lost=True)
    bench.session.revoke(4401, "Unauthorized")
    bench.clock.advance(WINDOW + 1)
    assert (bench.session.close_code, bench.poll()) == (4401, ['c[4401,"Unauthorized"]'])


def test_fail_whatever_the_application_does(caplog: pytest.LogCaptureFixture) -> None:
    """Who calls it has others to look after: the session is gone, and nothing comes out of it."""

    def stumble() -> None:
        raise OSError("the application's")

    bench = Bench("websocket")
    receiver = bench.opened()
    assert bench.session.join("room")
    bench.handler.on_closed = stumble
    bench.session.fail()
    assert bench.forgotten
    assert (receiver.aborted, bench.manager.rooms.names()) == (True, [])
    assert bench.handler.calls[-1] == ("closed", 4500, "Internal Server Error")
    assert caplog.messages == [f"{bench.session.id}: closing failed"]
