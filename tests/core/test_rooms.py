"""`core.rooms`: who is in which room, and one message for many (api.md, section 6)."""

from __future__ import annotations

import gc
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest

from sockjs_bridge.core.manager import Manager
from sockjs_bridge.core.rooms import Rooms
from sockjs_bridge.core.session import Session
from sockjs_bridge.core.transports import RAW_WEBSOCKET, WEBSOCKET, Transport
from tests.support import (
    BY_NAME,
    STREAM,
    XHR,
    Recorder,
    RecordingHandler,
    make_manager,
    settle,
    weak_reference,
)


class Party:
    """Sessions on one manager, each with a receiver that reads."""

    def __init__(self, **settings: int) -> None:
        self.manager: Manager = make_manager(limit=20_000, **settings)
        self.rooms: Rooms = self.manager.rooms
        self.receivers: dict[Session, Recorder] = {}

    def enter(self, transport: Transport = WEBSOCKET) -> Session:
        """Open a session whose receiver is past `o`."""
        session = self.manager.create(f"session {len(self.receivers)}", transport)
        session.accept(RecordingHandler())
        receiver = Recorder(transport)
        session.attach(receiver)
        if receiver.ended:
            session.detach(receiver, lost=False)
            receiver = Recorder(transport)
            session.attach(receiver)
        self.receivers[session] = receiver
        settle(self.manager)
        receiver.written.clear()
        return session

    def lose(self, session: Session) -> None:
        """Have its client's connection break."""
        receiver = self.receivers[session]
        receiver.aborted = True
        session.detach(receiver, lost=True)


@pytest.fixture
def party() -> Party:
    return Party()


# Who is in


def test_what_is_told_of_who_is_not_in(party: Party) -> None:
    """It may have left meanwhile, in another thread."""
    session = party.enter()
    party.rooms.note(session, "lobby", "{}", True)
    assert party.rooms.stays("lobby") == []
    party.rooms.join(session, "lobby")
    party.rooms.note(session, "other", "{}", True)
    [(_, stay)] = party.rooms.stays("lobby")
    assert (stay.info, stay.announced) == ("", False)


def test_join(party: Party) -> None:
    """Members are listed in the order in which they joined; a second join changes nothing."""
    one, two, three = party.enter(), party.enter(), party.enter()
    for session in (two, one, three, two):
        assert party.rooms.join(session, "lobby") is True
    assert party.rooms.join(one, "kitchen") is True
    assert party.rooms.members("lobby") == [two, one, three]
    assert party.rooms.members("kitchen") == [one]
    assert party.rooms.members("attic") == []
    assert party.rooms.of(one) == {"lobby", "kitchen"}
    assert party.rooms.names() == ["lobby", "kitchen"]


def test_leave(party: Party) -> None:
    """A room ends with its last member; who joins again is the last in the list."""
    one, two = party.enter(), party.enter()
    for session in (one, two):
        party.rooms.join(session, "lobby")
    party.rooms.join(one, "kitchen")
    assert party.rooms.leave(one, "lobby") is True
    assert party.rooms.leave(one, "lobby") is False
    assert party.rooms.leave(one, "attic") is False
    assert party.rooms.of(one) == {"kitchen"}
    party.rooms.join(one, "lobby")
    assert party.rooms.members("lobby") == [two, one]
    assert party.rooms.leave(one, "kitchen") is True
    assert party.rooms.names() == ["lobby"]
    party.rooms.leave(one, "lobby")
    party.rooms.leave(two, "lobby")
    assert party.rooms.names() == []
    assert party.rooms.leave(two, "lobby") is False


def test_lists_are_the_callers(party: Party) -> None:
    """What was returned does not change, and changes nothing."""
    session = party.enter()
    party.rooms.join(session, "lobby")
    members, names, rooms = (
        party.rooms.members("lobby"),
        party.rooms.names(),
        party.rooms.of(session),
    )
    members.clear()
    names.clear()
    party.rooms.join(session, "kitchen")
    assert rooms == {"lobby"}
    assert party.rooms.members("lobby") == [session]
    assert party.rooms.names() == ["lobby", "kitchen"]


def test_leave_all(party: Party) -> None:
    one, two = party.enter(), party.enter()
    for room in ("lobby", "kitchen"):
        party.rooms.join(one, room)
    party.rooms.join(two, "lobby")
    assert party.rooms.leave_all(one) == {"lobby", "kitchen"}
    assert party.rooms.of(one) == frozenset()
    assert party.rooms.names() == ["lobby"]
    assert party.rooms.members("lobby") == [two]
    assert party.rooms.leave_all(one) == frozenset()


def test_join_of_a_session_that_is_over(party: Party) -> None:
    session = party.enter()
    session.close(1000, "")
    assert party.rooms.join(session, "lobby") is False
    session.finish()
    assert party.rooms.join(session, "lobby") is False
    assert party.rooms.names() == []


def test_join_before_the_session_is_open(party: Party) -> None:
    """An application may put it into a room in the handshake; a refused one is in none."""
    session = party.manager.create("new", XHR)
    assert party.rooms.join(session, "lobby") is True
    session.refuse(4403, "Forbidden")
    assert party.rooms.names() == []


def test_nothing_is_kept_of_a_session(party: Party) -> None:
    session = party.enter()
    party.rooms.join(session, "lobby")
    session.close(1000, "")
    session.finish()
    kept = weak_reference(session)
    party.receivers.clear()
    del session
    settle(party.manager)
    gc.collect()
    assert kept() is None


# Broadcast


@pytest.mark.parametrize("transports", [(WEBSOCKET,), (XHR, STREAM, WEBSOCKET, RAW_WEBSOCKET)])
def test_one_encoding_for_each_kind(
    transports: tuple[Transport, ...],
) -> None:
    """Section 6: broadcast encodes the message once, whatever the number of receivers."""
    calls: Counter[object] = Counter()

    def counted(encode: Callable[[str], bytes]) -> Callable[[str], bytes]:
        def count(text: str) -> bytes:
            calls[encode] += 1
            return encode(text)

        return count

    # One for one: transports that encode alike do so by the same function.
    counters = {encode: counted(encode) for encode in {kind.encode for kind in transports}}
    party = Party()
    sessions = [
        party.enter(replace(kind, encode=counters[kind.encode]))
        for kind in transports
        for _ in range(10)
    ]
    party.manager.broadcasts.send(sessions, "a“b”")
    settle(party.manager)
    assert calls == dict.fromkeys(counters, 1)
    for session in sessions:
        receiver = party.receivers[session]
        receiver.transport = BY_NAME[session.transport.name]
        assert receiver.messages == ["a“b”"]


def test_nobody() -> None:
    Party().manager.broadcasts.send([], "nobody hears it")


class Broken(Recorder):
    """A receiver whose connection cannot be written to any more."""

    def write(self, data: bytes) -> bool:
        raise OSError("no route to host")


FATES = ("lives", "closed", "gone", "refuses", "raises", "overflows", "overflows and raises")


def test_ten_thousand_of_which_some_die(caplog: pytest.LogCaptureFixture) -> None:
    """Issue 3, "Bad input": whatever happens to some, each of the others gets it once."""
    caplog.set_level(logging.ERROR)
    party = Party(max_queue_size=1000)
    sessions = [party.enter() for _ in range(10_000)]
    fates = [FATES[number % len(FATES)] for number in range(len(sessions))]
    for session, fate in zip(sessions, fates, strict=True):
        party.rooms.join(session, "lobby")
        receiver = party.receivers[session]
        if "raises" in fate:
            session._receiver = party.receivers[session] = receiver = Broken(WEBSOCKET)
        if "overflows" in fate:
            # It fits; with the next message it does not.
            receiver.open = False
            session.send("x" * 990)
            receiver.open = "raises" in fate
    members = party.rooms.members("lobby")
    assert members == sessions

    for session, fate in zip(sessions, fates, strict=True):
        if fate == "closed":
            session.close(4001, "before")
        elif fate == "gone":
            party.lose(session)
        elif fate == "refuses":
            party.receivers[session].refuse = True
    # In the midst of it: the end of some takes others along, before or after their turn.
    victims = set()
    for number in range(FATES.index("overflows"), len(sessions), 10 * len(FATES)):
        handler = sessions[number]._handler
        assert isinstance(handler, RecordingHandler)
        victim = sessions[(number + 5000) % len(sessions) // len(FATES) * len(FATES)]
        handler.on_closed = partial(party.lose, victim)
        victims.add(victim)
    party.manager.broadcasts.send(members, "to whom it may concern")
    settle(party.manager)
    for session, fate in zip(sessions, fates, strict=True):
        if fate == "refuses":
            assert party.receivers[session].messages == []
            party.receivers[session].open = True
            session.flush()
    # Some had it before the end of others took them along.
    gone = [messages for lost in victims if (messages := party.receivers[lost].messages)]
    assert 0 < len(gone) < len(victims)
    assert {tuple(messages) for messages in gone} == {("to whom it may concern",)}
    heard = {
        session: party.receivers[session].messages
        for session in sessions
        if party.receivers[session].messages and session not in victims
    }
    assert list(heard) == [
        session
        for session, fate in zip(sessions, fates, strict=True)
        if fate in ("lives", "refuses") and session not in victims
    ]
    assert {tuple(messages) for messages in heard.values()} == {("to whom it may concern",)}
    assert len(victims) > 100
    # Those that live are still there, and nobody else is.
    assert party.rooms.members("lobby") == list(heard)
    assert {session.close_code for session in victims} == {1006}
    codes = Counter(
        (fate, session.close_code)
        for session, fate in zip(sessions, fates, strict=True)
        if session not in victims
    )
    assert {key for key in codes if key[1] is not None} == {
        ("closed", 4001),
        ("gone", 1006),
        ("raises", 4500),
        ("overflows", 4008),
        ("overflows and raises", 4500),
    }
    assert {record.exc_info[0] for record in caplog.records if record.exc_info} == {OSError}
