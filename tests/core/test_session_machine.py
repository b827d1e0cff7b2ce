"""Random lives of a session, watched by a model of a correct client and of an application.

What must hold in any of them: no message is lost, doubled or reordered unless a close frame said
so; `o` once; `closed` once, after `opened`; in the end nothing is kept.
"""

from __future__ import annotations

import gc
import itertools
import json
from functools import partial

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from sockjs_bridge.core.clock import DeadlineWheel
from sockjs_bridge.core.contracts import Peer
from sockjs_bridge.core.hub import Capacity, Hub
from sockjs_bridge.core.manager import Manager
from sockjs_bridge.core.repeats import WINDOW
from sockjs_bridge.core.session import Session
from sockjs_bridge.core.settings import Settings
from sockjs_bridge.core.states import Reception, State
from tests.support import BY_NAME, HandClock, Recorder, RecordingHandler, weak_reference

#: Codes of closes that drop what waited: the close frame says that messages are missing.
DROPPING = (1002, 1006, 4008)
INTERRUPTED = 'c[1002,"Connection interrupted"]'
SIZES = st.sampled_from([1, 1, 2, 10, 60, 250])
#: From within a slot of the wheel to beyond every deadline.
SECONDS = st.sampled_from([0.01, 0.3, 0.9, 1.1, 4.9, 5.2, 11.0, 26.0])


def told_the_end(request: Recorder) -> bool:
    """Whether a close frame was written to a receiver."""
    return any(frame.startswith("c[") for frame in request.frames)


class Life(RuleBasedStateMachine):
    """One session, its client, its application and the server in between.

    The network is the receiver: what it accepted is on its way, and is the client's when the
    client reads. A client reads in order. It repeats a request only while it has read nothing of
    the response, as browsers do; each request has a `t` of its own.
    """

    transport_name = ""

    def __init__(self) -> None:
        super().__init__()
        self.transport = BY_NAME[self.transport_name]
        self.clock = HandClock()
        limits = {"response_limit": 300, "max_queue_size": 1200, "max_inbound": 3}
        self.capacity = Capacity(1)
        self.manager = Manager(Settings().override(limits), Hub(self.clock, self.capacity))
        self.session: Session = self.manager.create("s", self.transport)
        self.handler = RecordingHandler()
        self.numbers = itertools.count()
        # The application's side.
        self.accepted = False
        self.closed_otherwise = False
        self.first_close: tuple[int | None, str] | None = None
        self.sent: list[str] = []
        self.delivered: list[str] = []
        self.waiting = 0
        self.woken = 0
        self.posted: tuple[str, Peer, bytes] | None = None
        # The client's side: the request under way, how many of its frames were read, its fate.
        self.request: Recorder | None = None
        self.read = 0
        self.attached = False
        self.asked_at = 0.0
        self.lost_at: float | None = None
        self.must_be_interrupted = False
        # What the client knows. Torn: it knows that something is missing.
        self.open = False
        self.got: list[str] = []
        self.closed_by: str | None = None
        self.torn = False

    @property
    def state(self) -> State:
        return self.session.state

    @property
    def alive(self) -> bool:
        return self.state is not State.CLOSED

    @property
    def websocket(self) -> bool:
        return self.transport.websocket

    @property
    def repeatable(self) -> bool:
        """Whether a browser might repeat the request: a stream it has soon begun to read."""
        if self.request is None or self.request.tag is None or self.read:
            return False
        return not self.transport.streaming or self.clock.now <= self.asked_at + WINDOW

    # The application

    @initialize(early=st.booleans())
    def begin(self, early: bool) -> None:
        """A poll or stream is attached before the handshake, a WebSocket after it."""
        if not self.websocket and early:
            self.connect(tagged=True, writable=True)

    @precondition(lambda self: self.state is State.NEW)
    @rule()
    def accept(self) -> None:
        self.accepted = self.session.accept(self.handler)
        assert self.accepted
        if self.websocket:
            self.connect(tagged=False, writable=True)

    @precondition(lambda self: self.state is State.NEW and not self.websocket)
    @rule()
    def refuse(self) -> None:
        self.closed_otherwise = True
        self.session.refuse(4403, "Forbidden")
        assert self.state is State.CLOSING

    @precondition(lambda self: self.state is State.NEW and self.websocket)
    @rule()
    def abandon(self) -> None:
        self.session.abandon()

    @rule(size=SIZES, count=st.integers(1, 3))
    def send(self, size: int, count: int) -> None:
        for _ in range(count):
            text = f"{next(self.numbers)}:".ljust(size, "%")
            before = self.state
            if self.session.send(text):
                self.sent.append(text)
            else:
                self.closed_otherwise |= self.session.close_code == 4008
                assert self.closed_otherwise or before in (State.CLOSING, State.CLOSED), (
                    "send refuses only when the session is over"
                )

    @precondition(lambda self: self.state in (State.OPEN, State.CLOSING))
    @rule(code=st.sampled_from([1000, 3000, 4999]))
    def close(self, code: int) -> None:
        self.closed_otherwise |= self.state is State.OPEN
        self.session.close(code, "by the application")
        assert self.state is State.CLOSING

    @precondition(lambda self: self.handler.inbox)
    @rule()
    def handle(self) -> None:
        self.handler.inbox.pop(0)
        self.session.ready()

    # The client's messages

    @rule(count=st.integers(0, 3), tagged=st.booleans())
    def post(self, count: int, tagged: bool) -> None:
        messages = [f"in {next(self.numbers)}" for _ in range(count)]
        tag, peer = str(next(self.numbers)), Peer()
        body = json.dumps(messages).encode()
        if self.open or not self.transport.control_frames:
            # Before that a client does not send.
            assert not self.session.repeats.recognises_send(tag, peer, body)
            self.posted = tag, peer, body
        if self.state is State.OPEN:
            self.delivered += messages
        self.session.deliver(messages, len(body))
        if self.session.full:
            self.waiting += 1
            self.session.when_ready(self.wake)

    def wake(self) -> None:
        self.woken += 1
        assert not self.session.full

    @precondition(lambda self: self.posted is not None)
    @rule()
    def repeat_post(self) -> None:
        assert self.posted is not None
        tag, peer, body = self.posted
        peer.broken = True
        assert self.session.repeats.recognises_send(tag, Peer(), body)

    # The client's requests, and what the network does to them

    def connect(self, *, tagged: bool, writable: bool, tag: str | None = None) -> None:
        if tag is None and tagged:
            tag = str(next(self.numbers))
        self.request = Recorder(self.transport, tag=tag, open=writable)
        self.request.heard = self.clock.now
        gone = partial(self.connection_lost, self.request)
        self.request.on_abort = partial(self.clock.call_soon, gone)
        self.read = 0
        self.attached = True
        self.lost_at = None
        self.asked_at = self.clock.now
        self.session.attach(self.request)

    @precondition(lambda self: self.request is None and self.alive and not self.websocket)
    @rule(tagged=st.booleans(), writable=st.booleans())
    def poll(self, tagged: bool, writable: bool) -> None:
        """The client asks for more."""
        expect, self.must_be_interrupted = self.must_be_interrupted, False
        self.connect(tagged=tagged, writable=True if expect else writable)
        if expect:
            assert self.request is not None
            # It may have been closed for another reason before it was interrupted.
            code, reason = self.session.close_code, self.session.close_reason
            assert code == 1002 or self.closed_otherwise
            assert self.request.frames == [f'c[{code},"{reason}"]']

    @precondition(lambda self: self.request is not None and self.attached and not self.websocket)
    @rule()
    def second_poll(self) -> None:
        """Somebody else's receiver is turned away, and changes nothing."""
        assert self.request is not None
        before = self.request.written[:]
        other = Recorder(self.transport, tag=str(next(self.numbers)))
        self.session.attach(other)
        assert other.frames == ['c[2010,"Another connection still open"]']
        assert other.ended
        self.session.detach(other, lost=True)
        assert (self.request.written, self.request.aborted) == (before, False)

    @precondition(lambda self: self.attached and self.request is not None and self.request.ended)
    @rule()
    def respond(self) -> None:
        """The server has sent the whole response."""
        assert self.request is not None
        self.session.detach(self.request, lost=False, code=1000)
        self.attached = False

    @precondition(lambda self: self.request is not None and self.lost_at is None)
    @rule()
    def take(self) -> None:
        """The client reads what has arrived; it asks again when the response is complete."""
        assert self.request is not None
        frames = self.request.frames
        self.consume(frames[self.read :])
        self.read = len(frames)
        if not self.attached and self.request.ended:
            self.request = None

    def connection_lost(self, request: Recorder) -> None:
        """The server is told of the end of a connection that was dropped."""
        request.peer.broken = True
        self.session.detach(request, lost=True)
        if request is self.request and self.attached:
            self.attached = False
            self.lost_at = self.clock.now

    @precondition(lambda self: self.attached and not self.websocket)
    @rule()
    def lose(self) -> None:
        """The server notices that the connection is gone."""
        assert self.request is not None
        before = self.state
        gone = self.request.tag is None or (not self.read and not self.repeatable)
        self.connection_lost(self.request)
        if before in (State.NEW, State.OPEN) and gone:
            assert self.session.close_code == 1002

    @precondition(lambda self: self.attached and self.websocket)
    @rule(code=st.sampled_from([1000, 1001, 1006]))
    def leave(self, code: int) -> None:
        """A WebSocket is over, by its peer or by the network."""
        assert self.request is not None
        self.session.detach(self.request, lost=code == 1006, code=code, reason="left")
        self.attached = False
        assert self.state is State.CLOSED

    @precondition(lambda self: self.lost_at is not None and self.request is not None)
    @rule(arrived=st.integers(0, 3))
    def give_up(self, arrived: int) -> None:
        """The page learns of the loss, after some of the response has arrived."""
        assert self.request is not None
        frames = self.request.frames
        self.consume(frames[self.read : self.read + arrived])
        # What was on its way is lost: nothing but a close frame may follow.
        self.must_be_interrupted = self.alive and not told_the_end(self.request)
        self.torn = True
        self.request = None
        self.lost_at = None

    @precondition(lambda self: self.alive and not self.websocket and self.repeatable)
    @rule(writable=st.booleans())
    def repeat(self, writable: bool) -> None:
        """The browser repeats the request, whatever the server knows of its connection."""
        dead = self.request
        assert dead is not None
        too_late = False
        if self.lost_at is not None:
            too_late = self.clock.now > self.lost_at + WINDOW + DeadlineWheel.GRANULARITY
            # Who was told the end may drop the connection: nothing is interrupted then.
            too_late = too_late and not told_the_end(dead)
            self.torn |= self.clock.now >= self.lost_at + WINDOW
            assert not too_late or self.state is State.CLOSING
        # A response that nobody takes may have been dropped before.
        aborted = dead.aborted or self.attached
        dead.peer.broken = True
        self.connect(tagged=True, writable=writable or too_late, tag=dead.tag)
        assert dead.aborted is aborted
        if too_late:
            assert self.request is not None
            code, reason = self.session.close_code, self.session.close_reason
            assert code == 1002 or self.closed_otherwise
            assert self.request.frames == [f'c[{code},"{reason}"]']

    # The connection

    @precondition(lambda self: self.attached)
    @rule()
    def pause(self) -> None:
        assert self.request is not None
        self.request.open = False

    @precondition(lambda self: self.attached)
    @rule()
    def refuse_a_write(self) -> None:
        assert self.request is not None
        self.request.refuse = True

    @precondition(lambda self: self.attached)
    @rule()
    def resume(self) -> None:
        assert self.request is not None
        self.request.open = True
        self.session.flush()

    @precondition(lambda self: self.attached)
    @rule()
    def hear(self) -> None:
        assert self.request is not None
        self.request.heard = self.clock.now

    # Time

    @rule()
    def tick(self) -> None:
        self.clock.tick()

    @rule(seconds=SECONDS)
    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)

    # What the client makes of it

    def consume(self, frames: list[str]) -> None:
        for frame in frames:
            if not self.transport.control_frames:
                self.take_messages([frame])
            elif self.closed_by is not None:
                # It was lost once, as far as the server knows.
                assert frame in (self.closed_by, INTERRUPTED), "only a close follows a close"
            elif frame == "o":
                assert not self.open, "a second open frame"
                self.open = True
            elif frame == "h":
                assert self.open
            elif frame[0] == "a":
                assert self.open, "a message before the open frame"
                messages = json.loads(frame[1:])
                assert messages
                self.take_messages(messages)
            else:
                self.take_close(frame)

    def take_messages(self, messages: list[str]) -> None:
        self.got += messages
        assert self.got == self.sent[: len(self.got)], "lost, doubled or reordered"

    def take_close(self, frame: str) -> None:
        self.closed_by = frame
        code, reason = json.loads(frame[1:])
        known = {(self.session.close_code, self.session.close_reason), self.first_close}
        assert (code, reason) in known
        if not self.torn and self.accepted and code not in DROPPING:
            assert self.open
            assert self.got == self.sent, "closed before all messages were written"

    # Always

    @invariant()
    def handler_is_called_in_order(self) -> None:
        names = [call[0] for call in self.handler.calls]
        assert names == [] or names[0] == "opened"
        assert names.count("opened") == self.accepted
        assert names.count("closed") <= 1
        assert "closed" not in names[:-1]
        received = [
            text for call in self.handler.calls if call[0] == "received" for text in call[1:]
        ]
        # What there is no room for waits until there is, or until the end.
        assert received == self.delivered[: len(received)]
        if self.state is State.OPEN:
            assert len(self.handler.inbox) <= 3
        if self.state is not State.OPEN or not self.session.full:
            assert received == self.delivered
        over = self.state in (State.CLOSING, State.CLOSED)
        assert names.count("closed") == (self.accepted and over)

    @invariant()
    def close_is_noted(self) -> None:
        if self.first_close is None and self.session.close_code is not None:
            self.first_close = self.session.close_code, self.session.close_reason

    @invariant()
    def who_waits_is_woken_once(self) -> None:
        if not self.session.full:
            assert self.woken == self.waiting
        assert self.woken <= self.waiting

    @invariant()
    def who_receives_is_attached(self) -> None:
        attached = self.session.reception in (Reception.ATTACHED, Reception.TELLING)
        assert attached is (self.session._receiver is not None)
        if self.session.reception in (Reception.TELLING, Reception.TOLD):
            assert self.session.over

    @invariant()
    def a_poll_has_one_frame(self) -> None:
        if self.request is not None and not self.transport.streaming:
            assert len(self.request.written) <= 1
            assert self.request.ended or not self.request.written

    @invariant()
    def forgotten_at_the_end(self) -> None:
        assert len(self.manager) == (1 if self.alive else 0)
        if not self.websocket:
            assert self.manager.get("s") is (self.session if self.alive else None)
        if self.alive and self.attached:
            assert self.request is not None
            assert not self.request.aborted

    @invariant()
    def memory_is_bounded(self) -> None:
        assert self.session._outbox.size == sum(
            len(item) + 1 for item in self.session._outbox.messages
        )
        assert self.session._outbox.size <= 1200

    # The end of a life

    def teardown(self) -> None:
        if self.state is State.NEW:
            # A refusal would drop what was sent.
            self.accept()
        self.drain()
        if self.state is State.OPEN:
            assert self.open or not self.transport.control_frames
            assert self.got == self.sent, "an open session has lost messages"
            self.close(3000)
            self.drain()
            if self.transport.control_frames:
                assert self.closed_by is not None
        self.expire()

    def drain(self) -> None:
        """Read on until nothing comes any more, over connections that work."""
        idle = 0
        while idle < 3 and self.alive and self.closed_by is None:
            self.clock.settle()
            before = len(self.got), self.open
            if self.request is None:
                if self.websocket:
                    return
                self.poll(tagged=True, writable=True)
                self.clock.settle()
            elif self.attached:
                self.request.refuse = False
                self.resume()
            elif self.lost_at is not None:
                if self.repeatable:
                    self.repeat(writable=True)
                else:
                    self.give_up(arrived=0)
                continue
            if self.request is not None:
                if self.attached and self.request.ended and not self.websocket:
                    self.respond()
                if self.lost_at is None:
                    self.take()
            idle = idle + 1 if before == (len(self.got), self.open) else 0

    def expire(self) -> None:
        """Nothing is kept once the client is gone for good."""
        if self.attached and self.request is not None:
            self.session.detach(self.request, lost=True)
        self.clock.advance(200)
        assert self.state is State.CLOSED
        assert len(self.manager) == 0
        assert self.clock.timers == []
        assert self.clock.soon == []
        self.capacity.take()
        assert self.woken == self.waiting
        self.handler_is_called_in_order()
        session = weak_reference(self.session)
        del self.session
        if session() is not None:
            gc.collect()
        assert session() is None, "something still holds a session that is over"


@pytest.mark.parametrize("name", sorted(BY_NAME))
@pytest.mark.timeout(300)
def test_lives_of_a_session(name: str) -> None:
    machine = type("Life", (Life,), {"transport_name": name})
    run_state_machine_as_test(
        machine,
        settings=settings(
            stateful_step_count=40,
            suppress_health_check=list(HealthCheck),
        ),
    )
