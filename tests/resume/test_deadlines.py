"""What is due: heartbeats to who reads nothing, pings, the end of a drain."""

from __future__ import annotations

from sockjs_bridge.core.contracts import Peer
from sockjs_bridge.resume.states import State
from tests.resume.support import Server, answers
from tests.resume.test_session import started


class SlowReader(Peer):
    """Takes something all the time."""

    def taken(self, now: float) -> float:
        return now


def drain(server: Server, seconds: float) -> None:
    for _ in server.manager.drain(seconds):
        pass
    server.clock.settle()


def test_too_early_nothing_is_due() -> None:
    server = started()
    server.session.on_deadline(server.clock.now)
    assert server.session.state is State.SUSPENDED


def test_who_reads_nothing_is_dropped_and_the_session_goes_on() -> None:
    server = started(heartbeat_delay=5, response_max_age=12)
    stream = server.stream()
    stream.open = False
    server.clock.advance(11)
    assert not stream.aborted
    assert len(stream.written) == 1
    server.clock.advance(10)
    assert stream.aborted
    server.send("kept")
    assert answers(server.poll())[1:] == [["kept"]]


def test_ping_under_way_to_who_reads_slowly_is_not_missed() -> None:
    server = started()
    _, websocket = server.websocket()
    websocket.peer = SlowReader()
    server.clock.advance(25.1)
    assert websocket.pings == 1
    server.clock.advance(10.1)
    assert not websocket.aborted
    assert server.session.state is State.OPEN


def test_pings_that_come_sooner_than_a_pong_is_missed() -> None:
    server = started()
    _, websocket = server.websocket(heartbeat=5)
    server.clock.advance(10.2)
    assert websocket.pings == 2
    assert not websocket.aborted
    server.clock.advance(5)
    assert websocket.aborted, "the first of them had no answer"


def test_drain_that_nobody_hears_ends_with_its_time() -> None:
    server = started()
    session = server.session
    drain(server, 5)
    server.clock.advance(4.9)
    assert session.state is State.DRAINING
    server.clock.advance(0.2)
    assert session.state is State.GONE
    assert server.application.calls[-1] == ("closed", 3000, "Go away!")


def test_drain_ends_in_time_where_the_client_reads_nothing() -> None:
    server = started()
    session, stream = server.session, server.stream()
    server.send("unread")
    stream.open = False
    drain(server, 5)
    server.clock.advance(5.1)
    assert session.state is State.GONE
    assert stream.aborted
    assert len(stream.written) == 2
