"""`sockjs_bridge.core.repeats`: what tells a browser's repeat from a new request of the same time.

How a session uses it is tested in `test_session`.
"""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sockjs_bridge.core.contracts import Peer
from sockjs_bridge.core.repeats import SAME_TIME, WINDOW, RepeatMemory
from sockjs_bridge.core.session import Session
from tests.support import STREAM, XHR, HandClock, Recorder, RecordingHandler, make_manager

TIME = "1700000000007"


class Desk:
    """A memory, and a clock that is wound by hand."""

    def __init__(self) -> None:
        self.clock = HandClock()
        self.memory = RepeatMemory(self.clock.time)
        self.stream = False

    def ask(self, tag: str, peer: Peer | None = None, callback: str = "cb") -> Peer:
        """Let a new request arrive, and be answered."""
        receiver = self.receiver(tag, peer, callback)
        assert not self.memory.recognises(receiver, unfinished=False)
        self.memory.begin(receiver)
        self.memory.wrote(b'a["a"]')
        return receiver.peer

    def receiver(self, tag: str, peer: Peer | None = None, callback: str = "cb") -> Recorder:
        transport = STREAM if self.stream else XHR
        receiver = Recorder(transport, tag=tag, peer=peer, callback=callback)
        receiver.peer.carried += 1
        return receiver

    def repeats(self, tag: str, callback: str = "cb") -> bool:
        """Tell whether a request over a new connection would be taken for a repeat."""
        receiver = self.receiver(tag, callback=callback)
        return self.memory.recognises(receiver, unfinished=False)

    def send(self, tag: str, peer: Peer | None = None, body: bytes = b'["a"]') -> bool:
        """Tell whether a send is taken for a repeat."""
        peer = peer or Peer()
        peer.carried += 1
        return self.memory.recognises_send(tag, peer, b"t=" + tag.encode(), body)


@pytest.mark.parametrize("ended", [True, False])
def test_same_millisecond(ended: bool) -> None:
    """Two polls of a quick client, over connections of their own, whether the first is kept."""
    desk = Desk()
    desk.ask(TIME).ended = ended
    assert not desk.repeats(TIME)
    desk.clock.advance(SAME_TIME)
    assert not desk.repeats(TIME)
    desk.clock.advance(0.01)
    assert desk.repeats(TIME)


@pytest.mark.parametrize("ended", [True, False])
def test_equal_sends_of_the_same_millisecond(ended: bool) -> None:
    desk = Desk()
    first = Peer()
    assert not desk.send(TIME, first)
    first.ended = ended
    assert not desk.send(TIME)
    desk.clock.advance(SAME_TIME + 0.01)
    assert desk.send(TIME)


def test_time_is_counted_from_the_last_request_that_showed_it() -> None:
    """A send in between says that the client's clock had not moved on."""
    desk = Desk()
    desk.ask(TIME).ended = True
    desk.clock.advance(SAME_TIME)
    assert not desk.send(TIME)
    desk.clock.advance(SAME_TIME)
    assert not desk.repeats(TIME)
    desk.clock.advance(0.01)
    assert desk.repeats(TIME)


def test_kept_connection_that_ends_with_its_response() -> None:
    """Who keeps connections has lost this one with its response: the browser repeats at once."""
    desk = Desk()
    peer = desk.ask("1700000000001")
    desk.ask(TIME, peer).ended = True
    assert desk.repeats(TIME)
    peer = Peer()
    assert not desk.send("1700000000008", peer)
    assert not desk.send("1700000000009", peer)
    peer.ended = True
    assert desk.send("1700000000009")


def test_connection_that_went_on() -> None:
    """What was used again had brought its response to who is at its other end."""
    desk = Desk()
    peer = desk.ask("1700000000001")
    desk.ask(TIME, peer)
    assert not desk.send("1700000000008", peer)
    peer.ended = True
    assert not desk.repeats(TIME)


@pytest.mark.parametrize("tag", [TIME, "1", "1700000000100"])
def test_connection_that_broke(tag: str) -> None:
    """Whatever the clock says."""
    desk = Desk()
    desk.ask(tag).broken = True
    assert desk.repeats(tag)


def test_another_callback() -> None:
    """The client makes one up for each request, where the application's `t` is in all of them."""
    desk = Desk()
    desk.ask("token", callback="one").broken = True
    assert not desk.repeats("token", callback="two")


@pytest.mark.parametrize("ended", [True, False])
def test_number(ended: bool) -> None:
    """Where its connection is gone, in good order, nothing says that the response was lost."""
    desk = Desk()
    desk.ask("1").ended = ended
    assert desk.repeats("1") is not ended


def test_number_that_all_requests_have() -> None:
    """It is the application's own, and the client has none: no request is taken for another one."""
    desk = Desk()
    desk.ask("token")
    assert not desk.send("token")
    assert not desk.send("token")
    assert not desk.repeats("token")


def test_number_beside_a_clock() -> None:
    """Who numbers polls by a clock does not count sends."""
    desk = Desk()
    desk.ask(TIME)
    assert not desk.send("token")
    assert not desk.send("token")


def test_streams_that_ended_in_good_order() -> None:
    """Each has the application's own `t`, or has run for a while: no browser repeats it."""
    desk = Desk()
    desk.stream = True
    for tag in ("token", "token", TIME, TIME):
        desk.ask(tag)
        desk.clock.advance(WINDOW + 1)


class Web:
    """A client that polls a session, over a network that takes its time and loses responses.

    Args:
        kept: the client, or a proxy, keeps its connection as long as it works.
    """

    def __init__(self, kept: bool) -> None:
        self.kept = kept
        self.clock = HandClock()
        self.session: Session = make_manager(self.clock).create("s", XHR)
        self.handler = RecordingHandler()
        self.session.accept(self.handler)
        self.clock.settle()
        self.peer = Peer()
        self.sent: list[str] = []
        self.got: list[str] = []
        self.excused: set[str] = set()
        self.words = map(str, itertools.count())

    def stamp(self) -> str:
        return str(1700000000007 + int(self.clock.now * 1000))

    def receive(self, tag: str, delay: float, hold: float) -> Recorder:
        """Have a request arrive and be answered."""
        self.clock.advance(delay)
        if not self.kept or self.peer.ended:
            self.peer = Peer()
        self.peer.carried += 1
        receiver = Recorder(tag=tag, peer=self.peer)
        self.session.attach(receiver)
        self.clock.settle()
        if not receiver.ended:
            self.clock.advance(hold)
            self.say()
        self.session.detach(receiver, lost=False)
        return receiver

    def say(self) -> None:
        """Have the application send a word."""
        word = next(self.words)
        assert self.session.send(word)
        self.sent.append(word)
        self.clock.settle()

    def poll(self, delay: float, hold: float, fate: str, failure: float) -> None:
        """Poll once; the browser repeats what was lost."""
        tag = self.stamp()
        begin = self.clock.now + delay
        receiver = self.receive(tag, delay, hold)
        if fate == "taken":
            self.peer.ended |= not self.kept
        else:
            reused = self.peer.carried > 1
            self.peer.broken = fate == "broken"
            self.peer.ended = True
            lost = receiver.messages
            self.clock.advance(failure)
            if not self.peer.broken and not reused and self.clock.now <= begin + SAME_TIME + 1e-6:
                self.excused.update(lost)
            receiver = self.receive(tag, 0.0, hold)
        self.got += receiver.messages


#: Delay, seconds until there is something to say, fate, seconds until the browser knows.
Poll = tuple[float, float, str, float]
POLLS = st.tuples(
    st.sampled_from([0.0, 0.0004, 0.003, SAME_TIME - 0.002]),
    st.sampled_from([0.0, 0.0, 0.01, 0.06, 0.4]),
    st.sampled_from(["taken", "taken", "broken", "lost"]),
    st.sampled_from([0.0, 0.002, 0.03, 0.2]),
)


@settings(deadline=None)
@given(st.booleans(), st.lists(st.tuples(POLLS, st.integers(0, 2)), max_size=30))
def test_nothing_comes_twice(kept: bool, steps: list[tuple[Poll, int]]) -> None:
    """Whatever the network does, what was taken is not told again, and what is lost was lost in
    the time that tells nothing, unseen."""
    web = Web(kept)
    web.receive(web.stamp(), 0.0, 0.0)
    web.clock.advance(1)
    web.peer.ended = not kept
    for poll, more in steps:
        for _ in range(more):
            web.say()
        web.poll(*poll)
    web.clock.advance(1)
    if web.session._outbox.messages:
        web.poll(0.0, 0.0, "taken", 0.0)
    assert web.got == [word for word in web.sent if word in web.got]
    assert set(web.sent) - set(web.got) <= web.excused
