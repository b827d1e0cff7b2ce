"""`sockjs_bridge.core.deadlines`: what is due of one session, and when."""

from __future__ import annotations

import pytest

from sockjs_bridge.core.contracts import Peer
from sockjs_bridge.core.deadlines import CHECKS, PONG_TIMEOUT, Beat, Deadlines
from sockjs_bridge.core.repeats import WINDOW
from sockjs_bridge.core.settings import Settings
from sockjs_bridge.core.transports import WEBSOCKET
from tests.support import STREAM, XHR, Recorder

SETTINGS = Settings(heartbeat_delay=20.0, disconnect_delay=8.0, response_max_age=30.0)


class Reader(Peer):
    """Takes what is on its way to it when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.took = 0.0

    def taken(self, now: float) -> float:
        return self.took


def begun(now: float = 100.0) -> Deadlines:
    return Deadlines(SETTINGS, now)


# Nobody receives


def test_a_repeat_is_waited_for() -> None:
    deadlines = begun()
    deadlines.since = 150.0
    assert deadlines.repeat_due == 150.0 + WINDOW


def test_a_client_that_never_comes() -> None:
    """It is asked now and then, and not beyond the time that it has."""
    deadlines = begun()
    assert deadlines.client_due == 100.0 + 8.0 / CHECKS
    assert not deadlines.client_is_gone(102.0)
    assert deadlines.client_due == 102.0 + 8.0 / CHECKS
    assert not deadlines.client_is_gone(107.0)
    assert deadlines.client_due == 108.0
    assert deadlines.client_is_gone(108.0)


def test_a_client_that_still_reads() -> None:
    """What was written is on its way to it: its time begins when it has taken that."""
    deadlines, peer = begun(), Reader()
    peer.carried = 1
    deadlines.attached(Recorder(XHR, peer=peer), 100.0)
    peer.took = 107.0
    assert not deadlines.client_is_gone(108.0)
    assert not deadlines.client_is_gone(114.9)
    assert deadlines.client_is_gone(115.0)


def test_a_connection_that_has_carried_more_since() -> None:
    """What is taken of a later response says nothing: a proxy has one connection for many."""
    deadlines, peer = begun(), Reader()
    deadlines.attached(Recorder(XHR, peer=peer), 100.0)
    peer.carried += 1
    peer.took = 107.0
    assert deadlines.client_is_gone(108.0)


def test_what_was_written_last_counts() -> None:
    deadlines = begun()
    deadlines.wrote = 105.0
    assert not deadlines.client_is_gone(112.9)
    assert deadlines.client_is_gone(113.0)


# A receiver is attached


def test_a_poll_gets_a_heartbeat() -> None:
    deadlines, receiver = begun(), Recorder(XHR)
    deadlines.attached(receiver, 100.0)
    assert deadlines.receiver_due(receiver) == 120.0
    deadlines.wrote = 110.0
    assert deadlines.receiver_due(receiver) == 130.0


def test_a_stream_gets_old() -> None:
    deadlines, receiver = begun(), Recorder(STREAM)
    deadlines.attached(receiver, 100.0)
    deadlines.wrote = 119.0
    assert deadlines.receiver_due(receiver) == 130.0
    assert not deadlines.is_old(129.9)
    assert deadlines.is_old(130.0)


def test_a_response_begins_anew() -> None:
    deadlines = begun()
    deadlines.response_size, deadlines.stalled = 1000, 100.0
    deadlines.attached(Recorder(STREAM), 140.0)
    assert (deadlines.response_size, deadlines.stalled) == (0, None)
    assert (deadlines.since, deadlines.wrote) == (140.0, 140.0)


@pytest.mark.parametrize("transport", [XHR, STREAM, WEBSOCKET])
def test_put_off(transport) -> None:
    deadlines, receiver = begun(), Recorder(transport)
    deadlines.attached(receiver, 100.0)
    deadlines.put_off(120.0)
    assert deadlines.receiver_due(receiver) == 140.0


def test_a_reader_that_takes_nothing() -> None:
    """Its time begins when that is seen first, and again whenever it takes something."""
    deadlines, peer = begun(), Reader()
    assert not deadlines.reader_is_gone(peer, 120.0)
    assert (deadlines.stalled, deadlines.wrote, deadlines.since) == (120.0, 120.0, 120.0)
    peer.took = 130.0
    assert not deadlines.reader_is_gone(peer, 150.0)
    assert not deadlines.reader_is_gone(peer, 159.9)
    assert deadlines.reader_is_gone(peer, 160.0)


# WebSockets


class Socket:
    """A WebSocket that was attached at 100, asked what is due."""

    def __init__(self) -> None:
        self.peer = Reader()
        self.receiver = Recorder(WEBSOCKET, peer=self.peer)
        self.deadlines = begun()
        self.deadlines.attached(self.receiver, 100.0)

    def beat(self, now: float, *, awaited: bool = False) -> Beat:
        return self.deadlines.beat(self.receiver, now, awaited=awaited)

    @property
    def due(self) -> float:
        return self.deadlines.receiver_due(self.receiver)


def test_pings_and_what_a_script_can_see() -> None:
    socket = Socket()
    beats = []
    for now in (120.0, 140.0, 160.0, 180.0):
        assert socket.due == now
        assert socket.beat(now - 1) is Beat.NOTHING
        beats.append(socket.beat(now))
        socket.receiver.heard = now + 1
        assert socket.beat(now + 2) is Beat.NOTHING
    assert beats == [Beat.PING, Beat.HEARTBEAT] * 2


def test_no_answer() -> None:
    socket = Socket()
    socket.beat(120.0)
    assert socket.due == 120.0 + PONG_TIMEOUT
    assert socket.beat(129.9) is Beat.NOTHING
    assert socket.beat(130.0) is Beat.DEAD


def test_any_sign_of_life_is_an_answer() -> None:
    socket = Socket()
    socket.beat(120.0)
    socket.receiver.heard = 120.0
    assert socket.beat(130.0) is Beat.NOTHING
    assert socket.due == 140.0


def test_no_answer_can_come_where_nothing_is_read() -> None:
    """The application is slow: that is not the client's fault."""
    socket = Socket()
    socket.beat(120.0)
    assert socket.beat(130.0, awaited=True) is Beat.NOTHING
    assert socket.due == 140.0


def test_the_ping_is_on_its_way_yet() -> None:
    """The client takes something: it reads slowly."""
    socket = Socket()
    socket.beat(120.0)
    socket.peer.took = 121.0
    assert socket.beat(130.0) is Beat.NOTHING
    assert socket.beat(140.0) is Beat.HEARTBEAT
    assert socket.beat(150.0) is Beat.DEAD
