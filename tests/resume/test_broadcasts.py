"""Broadcasts to stock sessions and resumable ones together, and who is in which room."""

from __future__ import annotations

import pytest

from sockjs_bridge.core.frames import Batch
from sockjs_bridge.core.manager import Manager
from sockjs_bridge.core.transports import RECEIVING, WEBSOCKET
from sockjs_bridge.resume.states import State
from tests.resume.support import LinkRecorder, Server, answers
from tests.resume.test_session import started
from tests.support import Recorder, RecordingHandler


def stock(server: Server, receiver: Recorder) -> object:
    manager = Manager(server.manager.settings, server.hub)
    session = manager.create("stock", receiver.transport)
    session.accept(RecordingHandler())
    session.attach(receiver)
    server.clock.settle()
    return session


@pytest.mark.parametrize("kind", ["stream", "websocket"])
def test_one_frame_for_stock_and_resumable_sessions_together(kind: str) -> None:
    server = started()
    if kind == "stream":
        ours, theirs = server.stream(), Recorder(RECEIVING["xhr_streaming"])
    else:
        ours, theirs = server.websocket()[1], Recorder(WEBSOCKET)
    other = stock(server, theirs)
    server.hub.broadcasts.send([server.session, other], "to all")
    server.clock.settle()
    assert answers(ours)[-1] == ["to all"]
    assert ours.written[-1] is theirs.written[-1]


def test_broadcast_counts_and_is_kept() -> None:
    server = started()
    stream = server.stream()
    server.hub.broadcasts.send([server.session], "a")
    server.clock.settle()
    assert server.session.sent == 1
    server.session.detach(stream)
    server.hub.broadcasts.send([server.session], "b")
    server.clock.settle()
    assert answers(server.poll(received=1)) == [{"from": 2, "received": 0}, ["b"]]
    assert answers(server.poll(received=0, now=True))[0] == {"from": 2, "received": 0}


def test_all_who_keep_it_keep_the_same() -> None:
    server = started()
    first = server.session
    second = server.make(("/echo", "t" * 22))
    second.accept(type(server.application)())
    server.hub.broadcasts.send([first, second], "kept")
    server.clock.settle()
    assert first._kept.after(1, 99).items[0] is second._kept.after(1, 99).items[0]


def test_what_left_in_one_frame_is_one_reference() -> None:
    batch = Batch()
    for text in "abc":
        batch.add(text)
    kept = []
    for server in started(), started():
        stream = server.stream()
        server.session.take(batch, server.clock.time())
        assert answers(stream)[-1] == ["a", "b", "c"]
        kept.append(server.session._kept)
    first, second = kept
    assert len(first) == len(second) == 3
    assert [piece is other for piece, other in zip(first.pieces, second.pieces, strict=True)] == [
        True
    ]


def test_order_of_what_is_sent_to_one_and_to_many() -> None:
    server = started()
    stream = server.stream()
    session = server.session
    session.send("1")
    server.hub.broadcasts.send([session], "2")
    session.send("3")
    server.hub.broadcasts.send([session], "4")
    server.clock.settle()
    got = [text for line in answers(stream) if isinstance(line, list) for text in line]
    assert got == ["1", "2", "3", "4"]


def test_broadcast_that_has_to_be_split() -> None:
    server = started()
    stream = server.stream()
    for letter in "abcd":
        server.hub.broadcasts.send([server.session], letter * 15000)
    server.clock.settle()
    assert [len(line) for line in answers(stream) if isinstance(line, list)] == [2, 2]
    assert server.session.sent == 4


def test_broadcast_overflows() -> None:
    server = started(max_queue_size=1000)
    stream = server.stream()
    for _ in range(2):
        server.hub.broadcasts.send([server.session], "x" * 600)
        server.clock.settle()
    assert answers(stream)[-1] == "c[4008,Slow consumer]"
    assert server.session.state is State.ENDED


def test_suspended_session_stays_in_its_rooms() -> None:
    server = started()
    session = server.session
    assert session.join("room")
    server.clock.advance(30)
    assert session.suspended
    assert session.rooms == frozenset({"room"})
    server.hub.broadcasts.send(server.hub.rooms.members("room"), "a")
    server.clock.settle()
    assert answers(server.poll())[1] == ["a"]
    assert session.leave("room")
    assert session.join("other")
    session.close(1000, "")
    assert session.last_rooms == frozenset({"other"})
    assert not session.join("room")


def test_websocket_that_is_ahead() -> None:
    server = started()
    link, recorder = server.websocket()
    assert isinstance(recorder, LinkRecorder)
    server.hub.broadcasts.send([server.session], "a")
    server.say(link, {"ping": 1})
    assert answers(recorder)[-2:] == [{"pong": 1, "at": 0}, ["a"]]
