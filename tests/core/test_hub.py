"""`sockjs_bridge.core.hub`: what all sessions of an application share, until their end."""

from __future__ import annotations

import pytest

from sockjs_bridge.core.flusher import Flusher
from sockjs_bridge.core.hub import Capacity, Hub, Places, Sessions, TooManySessions
from sockjs_bridge.core.manager import Manager
from sockjs_bridge.core.monitor import Monitor
from sockjs_bridge.core.session import Session
from sockjs_bridge.core.settings import Settings
from tests.support import STREAM, XHR, HandClock, Recorder, RecordingHandler, make_hub


def opened(manager: Manager, name: str) -> tuple[Session, Recorder]:
    session, receiver = manager.create(name, STREAM), Recorder(STREAM)
    session.attach(receiver)
    session.accept(RecordingHandler())
    return session, receiver


def test_capacity() -> None:
    """Each application has a limit of its own for the sessions of the process."""
    places = Places()
    small, large = Capacity(1, places), Capacity(2, places)
    small.take()
    with pytest.raises(TooManySessions, match=r"Too many sessions\."):
        small.take()
    large.take()
    with pytest.raises(TooManySessions):
        large.take()
    assert places.taken == 2
    small.give_back()
    large.take()


def test_parts_of_its_own() -> None:
    """What it is not given, it makes: two have nothing in common."""
    clock = HandClock()
    one, other = Hub(clock, Capacity(1)), Hub(clock, Capacity(1))
    assert one.rooms is not other.rooms
    assert one.broadcasts is not other.broadcasts
    assert type(one.monitor) is Monitor


def test_endpoints_share_the_timer() -> None:
    clock = HandClock()
    hub = Hub(clock, Capacity(10))
    managers = [Manager(Settings(), hub) for _ in range(3)]
    receivers = []
    for manager in managers:
        _, receiver = opened(manager, "s")
        receivers.append(receiver)
    assert len(clock.timers) == 1
    clock.settle()
    assert [receiver.frames for receiver in receivers] == [["o"]] * 3


def test_no_endpoint_waits_for_the_many_of_another() -> None:
    """Each has its turn in every tick, however many messages wait."""
    clock = HandClock()
    hub = Hub(clock, Capacity(1000))
    large, small = [Manager(Settings(), hub) for _ in range(2)]
    many = [opened(large, str(number)) for number in range(3 * Flusher.BATCH)]
    session, receiver = opened(small, "s")
    clock.settle()
    for other, _ in many:
        other.send("one of many")
    session.send("alone")
    clock.tick()
    assert receiver.messages == ["alone"]
    assert sum(bool(one.messages) for _, one in many) == Flusher.BATCH
    clock.settle()
    assert all(one.messages for _, one in many)


def test_close() -> None:
    """Some at each step; from the call on none begins, in no endpoint."""
    hub = make_hub()
    managers = [Manager(Settings(), hub) for _ in range(2)]
    receivers = [opened(manager, "s")[1] for manager in managers]
    closing = hub.close(3000, "Go away!")
    for manager in managers:
        with pytest.raises(TooManySessions, match="stops"):
            manager.create("late", XHR)
    told = []
    for _ in closing:
        told.append([receiver.ended for receiver in receivers])
    assert told == [[True, False], [True, True]]
    assert [receiver.frames for receiver in receivers] == [["o", 'c[3000,"Go away!"]']] * 2
    assert hub.told


def test_told_and_finished() -> None:
    hub = make_hub()
    managers = [Manager(Settings(), hub) for _ in range(2)]
    for manager in managers:
        manager.create("absent", XHR).accept(RecordingHandler())
    list(hub.close(3000, "Go away!"))
    assert not hub.told
    hub.finish()
    assert [len(manager) for manager in managers] == [0, 0]
    assert hub.told


def test_who_waits_for_the_end() -> None:
    """Nobody is left by then."""
    hub = make_hub()
    manager = Manager(Settings(), hub)
    manager.create("absent", XHR).accept(RecordingHandler())
    left: list[int] = []
    hub.when_finished(lambda: left.append(len(manager)))
    list(hub.close(3000, "Go away!"))
    assert left == []
    hub.finish()
    assert left == [0]


class BareSessions(Sessions):
    pass


@pytest.mark.interpreted
def test_contract_has_no_behaviour_of_its_own() -> None:
    """An implementation that leaves something out says so."""
    bare = BareSessions()
    with pytest.raises(NotImplementedError):
        bare.close(1000, "")
    with pytest.raises(NotImplementedError):
        _ = bare.told
    with pytest.raises(NotImplementedError):
        bare.finish()
