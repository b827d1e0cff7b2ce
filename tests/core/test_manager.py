"""`sockjs_bridge.core.manager`: all sessions of an endpoint."""

from __future__ import annotations

import gc
import logging
from dataclasses import replace
from typing import Any

import pytest

from sockjs_bridge.core.broadcasts import Broadcasts
from sockjs_bridge.core.flusher import Flusher
from sockjs_bridge.core.hub import Capacity, Hub, TooManySessions
from sockjs_bridge.core.manager import Manager
from sockjs_bridge.core.session import Session
from sockjs_bridge.core.settings import Settings
from sockjs_bridge.core.states import State
from sockjs_bridge.core.transports import RAW_WEBSOCKET, WEBSOCKET, Transport
from tests.support import (
    BY_NAME,
    STREAM,
    XHR,
    HandClock,
    Recorder,
    RecordingHandler,
    make_manager,
    settle,
    weak_reference,
)


def close(manager: Manager, *arguments: Any) -> None:
    """Close all sessions, as the server does, but without a breath."""
    for _ in manager.close(*arguments):
        pass


def join(manager: Manager, transport: Transport, name: str = "", callback: str = "cb") -> Recorder:
    """Open a session and attach a receiver that is past `o`."""
    session = manager.create(name or f"session {len(manager)}", transport)
    session.accept(RecordingHandler())
    receiver = Recorder(transport, callback=callback)
    session.attach(receiver)
    if receiver.ended:
        session.detach(receiver, lost=False)
        receiver = Recorder(transport, callback=callback)
        session.attach(receiver)
    settle(manager)
    receiver.written.clear()
    return receiver


class Counted:
    """Counts the calls of a transport's functions."""

    def __init__(self, transport: Transport) -> None:
        self.encoded = self.packed = self.framed = 0
        self.transport = replace(transport, encode=self.encode, pack=self.pack, frame=self.frame)
        self._original = transport

    def encode(self, text: str) -> bytes:
        self.encoded += 1
        return self._original.encode(text)

    def pack(self, quoted: tuple[bytes, ...]) -> bytes:
        self.packed += 1
        return self._original.pack(quoted)

    def frame(self, text: bytes, callback: str) -> bytes:
        self.framed += 1
        return self._original.frame(text, callback)

    def forget(self) -> None:
        self.encoded = self.packed = self.framed = 0

    @property
    def counts(self) -> tuple[int, int, int]:
        return self.encoded, self.packed, self.framed


# Birth and look-up


def test_session_of_an_http_transport() -> None:
    manager = make_manager()
    assert manager.get("abc") is None
    session = manager.create("abc", XHR)
    assert manager.get("abc") is session
    assert list(manager) == [session]
    assert len(manager) == 1
    assert session.id == "abc"


@pytest.mark.parametrize("transport", [WEBSOCKET, RAW_WEBSOCKET])
def test_websocket_session_is_unknown_to_http(transport: Transport) -> None:
    """Defect 4: its id is no key to it, and it is drawn at random."""
    manager = make_manager()
    first, second = (manager.create("abc", transport) for _ in range(2))
    assert manager.get("abc") is None
    assert manager.get(first.id) is None
    assert len({"abc", first.id, second.id}) == 3
    assert len(first.id) >= 16
    assert len(manager) == 2


def test_session_id_is_used_by_websockets_and_http_at_once() -> None:
    """WebSocket: a session id may be used by several at once."""
    manager = make_manager()
    websocket = manager.create("abc", WEBSOCKET)
    polling = manager.create("abc", XHR)
    websocket.abandon()
    assert manager.get("abc") is polling


def test_forgotten_session_makes_room_for_a_new_one() -> None:
    """N: after its end the same id begins a fresh session."""
    clock = HandClock()
    manager = make_manager(clock)
    old = manager.create("abc", XHR)
    clock.advance(5.1)
    assert manager.get("abc") is None
    new = manager.create("abc", XHR)
    assert new is not old
    old.finish()
    assert manager.get("abc") is new


def test_forgotten_session_is_not_kept() -> None:
    """Neither by the wheel until its deadline, nor by anything else."""
    manager = make_manager()
    session = manager.create("abc", WEBSOCKET)
    session.accept(RecordingHandler())
    receiver = Recorder(WEBSOCKET)
    session.attach(receiver)
    settle(manager)
    session.detach(receiver, lost=True)
    settle(manager)
    kept = weak_reference(session)
    del session
    gc.collect()
    assert kept() is None


# Limits


def test_too_many_sessions() -> None:
    clock = HandClock()
    manager = make_manager(clock, limit=2)
    manager.create("a", XHR)
    manager.create("b", WEBSOCKET).accept(RecordingHandler())
    for transport in (XHR, WEBSOCKET):
        with pytest.raises(TooManySessions, match=r"Too many sessions\."):
            manager.create("c", transport)
    assert manager.get("c") is None
    assert len(manager) == 2
    clock.advance(5.1)
    assert len(manager) == 0
    for name in "ab":
        manager.create(name, XHR)
    with pytest.raises(TooManySessions):
        manager.create("c", XHR)


def test_capacity_is_shared() -> None:
    """`max_sessions` is of one process: the endpoints share it."""
    capacity = Capacity(1)
    clock = HandClock()
    first, second = (Manager(Settings(), Hub(clock, capacity)) for _ in range(2))
    session = first.create("a", WEBSOCKET)
    with pytest.raises(TooManySessions):
        second.create("a", XHR)
    session.abandon()
    second.create("a", XHR)


@pytest.mark.parametrize("transport", BY_NAME.values(), ids=BY_NAME)
def test_place_is_given_back_once(transport: Transport) -> None:
    """However often the end of a session is told."""
    clock = HandClock()
    manager = make_manager(clock, limit=1)
    for _ in range(3):
        session = manager.create("a", transport)
        session.accept(RecordingHandler())
        receiver = Recorder(transport)
        session.attach(receiver)
        session.detach(receiver, lost=True)
        session.detach(receiver, lost=True)
        session.close(1000, "")
        clock.advance(6)
        session.finish()
        session.abandon()
        assert session.state is State.CLOSED
    manager.create("a", transport)
    with pytest.raises(TooManySessions):
        manager.create("b", transport)


# Broadcast


def test_broadcast_reaches_every_session() -> None:
    manager = make_manager()
    receivers = [join(manager, transport) for transport in BY_NAME.values()]
    manager.broadcast("to all %41 </script>")
    settle(manager)
    assert [receiver.messages for receiver in receivers] == [["to all %41 </script>"]] * 7


def test_broadcast_passes_over_closed_sessions() -> None:
    manager = make_manager()
    receiver = join(manager, STREAM)
    manager.create("closing", XHR).close(1000, "")
    manager.broadcast("a")
    settle(manager)
    assert receiver.messages == ["a"]


@pytest.mark.parametrize("size", [2, 40])
def test_broadcast_encodes_once_and_frames_once(size: int) -> None:
    """Nothing is re-encoded per receiver, whatever their number; ONE callback, ONE write each."""
    counted = Counted(STREAM)
    clock = HandClock()
    manager = make_manager(clock)
    receivers = [join(manager, counted.transport) for _ in range(size)]
    counted.forget()
    soon, timers = clock.soon_calls, clock.timer_calls
    for text in "abc":
        manager.broadcast(text)
    assert clock.soon_calls == soon + 1
    settle(manager)
    assert counted.counts == (3, 1, 1)
    assert clock.timer_calls == timers
    assert clock.soon == []
    assert [receiver.frames for receiver in receivers] == [['a["a","b","c"]']] * size
    assert all(receiver.written[0] is receivers[0].written[0] for receiver in receivers)


def test_broadcast_to_a_crowd_leaves_others_their_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """So many sessions are written in one go; what is due meanwhile comes in between."""
    for kind in (Flusher, Broadcasts):
        monkeypatch.setattr(kind, "BATCH", 10)
    clock = HandClock()
    manager = make_manager(clock)
    receivers = [join(manager, STREAM) for _ in range(25)]
    manager.broadcast("a")
    reached = []
    for _ in range(3):
        clock.tick()
        reached.append(sum(bool(receiver.messages) for receiver in receivers))
        # Who has it already may get more, who has not gets both at once.
        manager.broadcast("b")
    assert reached == [10, 20, 25]
    settle(manager)
    assert [receiver.messages for receiver in receivers] == [["a", "b", "b", "b"]] * 25
    assert clock.soon == []


def test_close_tells_a_crowd_in_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server stops: the loop has its turn after each go, and nothing of a go is left for a
    tick that may not follow."""
    monkeypatch.setattr(Manager, "BATCH", 10)
    manager = make_manager()
    receivers = [join(manager, STREAM) for _ in range(25)]
    manager.broadcast("a")
    told = []
    for _ in manager.close():
        told.append(sum(receiver.ended for receiver in receivers))
        with pytest.raises(TooManySessions):
            manager.create("late", XHR)
    assert told == [10, 20, 25]
    assert all(receiver.frames == ['a["a"]', 'c[3000,"Go away!"]'] for receiver in receivers)


def test_session_that_fails_when_it_is_closed(caplog: pytest.LogCaptureFixture) -> None:
    """The others hear of the end nevertheless."""
    manager = make_manager()
    handler = RecordingHandler()
    handler.on_closed = lambda: 1 / 0
    manager.create("fails", XHR).accept(handler)
    receivers = [join(manager, STREAM) for _ in range(3)]
    close(manager)
    assert all(receiver.frames[-1] == 'c[3000,"Go away!"]' for receiver in receivers)
    assert "closing failed" in caplog.text
    assert len(manager) == 3


def test_one_session_keeps_no_frames_to_share() -> None:
    counted = Counted(WEBSOCKET)
    manager = make_manager()
    receiver = join(manager, counted.transport)
    counted.forget()
    manager.broadcast("a")
    settle(manager)
    assert counted.counts == (1, 1, 1)
    assert receiver.messages == ["a"]


def test_frames_are_shared_by_what_they_hold() -> None:
    """Who queued something else in the tick gets that."""
    counted = Counted(STREAM)
    manager = make_manager()
    receivers = [join(manager, counted.transport, str(number)) for number in range(4)]
    sessions = [manager.get(str(number)) for number in range(4)]
    counted.forget()
    manager.broadcast("all")
    for number in (1, 3):
        session = sessions[number]
        assert session is not None
        session.send("odd")
    settle(manager)
    assert [receiver.messages for receiver in receivers] == [["all"], ["all", "odd"]] * 2
    assert counted.packed == counted.framed == 2


def test_sharing_never_mixes_transports_or_callbacks() -> None:
    """Each receiver gets its own framing and its own callback, all in one tick."""
    manager = make_manager()
    receivers = [
        join(manager, transport, callback=callback)
        for callback in ("one", "two")
        for transport in BY_NAME.values()
    ]
    manager.broadcast("%<é")
    settle(manager)
    for receiver in receivers:
        transport = receiver.transport
        text = transport.pack([transport.encode("%<é")])
        assert receiver.written == [transport.frame(text, receiver.callback)]
        if transport.name == "jsonp-polling":
            assert receiver.written[0].startswith(b"/**/%b(" % receiver.callback.encode())
        assert receiver.messages == ["%<é"]


def test_message_of_a_raw_websocket_is_no_message_of_another() -> None:
    """Raw and framed WebSockets may queue the same bytes: they are not the same frame."""
    manager = make_manager()
    raw, framed = join(manager, RAW_WEBSOCKET), join(manager, WEBSOCKET)
    raw_session, framed_session = sorted(manager, key=lambda session: session.transport.name)
    assert raw_session.send('"a"')
    assert framed_session.send("a")
    settle(manager)
    assert (raw.messages, framed.messages) == (['"a"'], ["a"])


def test_shared_frames_last_one_tick() -> None:
    """The memory of a tick is gone with it."""
    counted = Counted(STREAM)
    manager = make_manager()
    for _ in range(2):
        join(manager, counted.transport)
    counted.forget()
    for _ in range(2):
        manager.broadcast("a")
        settle(manager)
    assert counted.counts == (2, 2, 2)


def test_session_that_sends_while_the_tick_ends() -> None:
    """What a flush leads to is written in the next tick, and not lost."""
    manager = make_manager()
    first, second = join(manager, STREAM, "first"), join(manager, STREAM, "second")
    answering = manager.get("second")
    assert answering is not None
    original = first.write

    def write(data: bytes) -> bool:
        answering.send("seen")
        return original(data)

    first.write = write  # type: ignore[method-assign]
    manager.broadcast("a")
    settle(manager)
    assert first.messages == ["a"]
    assert second.messages == ["a", "seen"]


@pytest.mark.parametrize("transport", [STREAM, WEBSOCKET])
def test_session_that_cannot_be_written(
    transport: Transport, caplog: pytest.LogCaptureFixture
) -> None:
    """It is closed with 4500 and forgotten; the others of the tick get what is theirs."""
    manager = make_manager()
    receivers = [join(manager, transport) for _ in range(3)]
    broken = manager.create("broken", transport)
    handler = RecordingHandler()
    broken.accept(handler)
    receiver = Recorder(transport)
    broken.attach(receiver)

    def write(data: bytes) -> bool:
        raise ZeroDivisionError

    receiver.write = write  # type: ignore[method-assign]
    manager.broadcast("a")
    settle(manager)
    manager.broadcast("b")
    settle(manager)
    assert [other.messages for other in receivers] == [["a", "b"]] * 3
    assert handler.calls == [("opened",), ("closed", 4500, "Internal Server Error")]
    assert receiver.aborted
    assert broken.state is State.CLOSED
    assert len(manager) == 3
    (record,) = caplog.records
    assert record.exc_info is not None


# Time


def test_deadlines_of_all_sessions_behind_one_timer() -> None:
    """Defect 8: no task, no timer per session, no sweep."""
    clock = HandClock()
    manager = make_manager(clock)
    for number in range(1000):
        manager.create(str(number), XHR)
    assert len(clock.timers) == 1
    clock.advance(5.1)
    assert len(manager) == 0
    assert clock.timers == []


def test_handler_that_closes_others_when_it_ends() -> None:
    """Defect 8: what one session's end leads to disturbs no other one."""
    clock = HandClock()
    manager = make_manager(clock)
    handler = RecordingHandler()
    handler.on_closed = lambda: close(manager)
    sessions: list[Session] = []
    for number in range(3):
        sessions.append(manager.create(str(number), XHR))
        sessions[-1].accept(handler if number == 1 else RecordingHandler())
    websocket = join(manager, WEBSOCKET)
    websocket.open = False
    clock.advance(30)
    assert len(manager) == 0
    assert websocket.aborted
    assert clock.timers == []


# Closing down


def test_close() -> None:
    """SIGTERM: every session is closed with `c[3000,"Go away!"]`, at once."""
    clock = HandClock()
    manager = make_manager(clock)
    receivers = [join(manager, transport) for transport in BY_NAME.values()]
    absent = manager.create("absent", XHR)
    handler = RecordingHandler()
    absent.accept(handler)
    manager.broadcast("last")
    close(manager)
    for receiver in receivers:
        assert receiver.messages == ["last"]
        if receiver.transport.streaming:
            assert receiver.ended
            if receiver.transport.control_frames:
                assert receiver.frames[-1] == 'c[3000,"Go away!"]'
    assert handler.calls == [("opened",), ("closed", 3000, "Go away!")]
    # Who is between two polls hears it when it comes back.
    assert not manager.told
    poll = Recorder(XHR)
    absent.attach(poll)
    assert poll.frames == ["o"]
    absent.detach(poll, lost=False)
    for expected in ('a["last"]', 'c[3000,"Go away!"]'):
        poll = Recorder(XHR)
        absent.attach(poll)
        assert poll.frames == [expected]
        absent.detach(poll, lost=False)
    settle(manager)
    assert manager.told
    clock.advance(6)
    assert len(manager) == 0
    assert clock.timers == []


def test_finish() -> None:
    """At the very end, who did not come back is forgotten, and who reads too slowly as well."""
    manager = make_manager()
    slow = join(manager, STREAM)
    slow.open = False
    absent = manager.create("absent", XHR)
    absent.accept(RecordingHandler())
    close(manager)
    manager.finish()
    assert len(manager) == 0
    assert slow.aborted


def test_close_with_a_code() -> None:
    manager = make_manager()
    receiver = join(manager, STREAM)
    close(manager, 1001, "elsewhere")
    assert receiver.frames == ['c[1001,"elsewhere"]']


def test_close_twice() -> None:
    manager = make_manager()
    receiver = join(manager, STREAM)
    close(manager)
    close(manager)
    assert receiver.frames == ['c[3000,"Go away!"]']


@pytest.mark.parametrize("transport", [XHR, WEBSOCKET])
def test_no_session_begins_after_close(transport: Transport) -> None:
    """Its request was under way; nobody would end what it begins."""
    manager = make_manager()
    close(manager)
    with pytest.raises(TooManySessions, match=r"The server stops\."):
        manager.create("a", transport)
    assert len(manager) == 0


# The log


def test_line_at_the_end_of_a_session(caplog: pytest.LogCaptureFixture) -> None:
    """Id, transport, duration, messages and bytes each way, close code."""
    caplog.set_level(logging.INFO, "sockjs_bridge.session")
    clock = HandClock()
    manager = make_manager(clock)
    session = manager.create("abc", STREAM)
    session.accept(RecordingHandler())
    receiver = Recorder(STREAM)
    session.attach(receiver)
    session.send("xy")
    session.deliver(["a", "b"], 9)
    clock.advance(2)
    session.detach(receiver, lost=False)
    session.close(3001, "b'ye")
    clock.advance(5.1)
    assert caplog.messages == [
        'abc xhr-streaming ended after 7.0 s with 3001 "b\'ye": in 2 messages, 9 bytes; '
        f"out 1 messages, {len(b''.join(receiver.written))} bytes"
    ]


def test_no_line_for_a_session_that_never_opened(caplog: pytest.LogCaptureFixture) -> None:
    """The refused handshake of a WebSocket has its line in the access log."""
    caplog.set_level(logging.INFO, "sockjs_bridge.session")
    make_manager().create("abc", WEBSOCKET).abandon()
    assert caplog.messages == []


# What other threads look at


def test_open_sessions() -> None:
    """Those whose handshake is over, and that are not closed: they hear a broadcast."""
    manager = make_manager()
    new, opened, closing, over = (manager.create(name, XHR) for name in ("n", "o", "c", "x"))
    for session in (opened, closing, over):
        session.accept(RecordingHandler())
    closing.close(1000, "")
    over.finish()
    over.close(1000, "")
    over.finish()
    assert manager.open_sessions == [opened]
    assert new.state is State.NEW


def test_rooms_of_its_own() -> None:
    """A manager that shares none has rooms all the same."""
    one, other = make_manager(), make_manager()
    assert one.rooms is not other.rooms
    assert one.create("s", XHR).join("lobby")
    assert (one.rooms.names(), other.rooms.names()) == (["lobby"], [])
