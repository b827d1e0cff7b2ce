"""Who is looked for, and who has a place."""

from __future__ import annotations

import logging
import re

import pytest

from sockjs_bridge.core.hub import TooManySessions
from sockjs_bridge.resume.session import ResumableSession
from sockjs_bridge.resume.states import State
from tests.resume.support import OTHER_KEY, PLACE, Server, answers
from tests.resume.test_session import started


def test_known_while_it_lives_and_as_a_tombstone() -> None:
    server = Server()
    assert not server.manager.knows(PLACE)
    server.poll(new=True)
    assert server.manager.knows(PLACE)
    server.poll(now=True)
    server.clock.advance(61)
    assert len(server.manager) == 0
    assert server.manager.knows(PLACE)
    server.clock.advance(601)
    assert not server.manager.knows(PLACE)


def test_tombstone_is_told_to_its_user_only() -> None:
    server = started()
    server.clock.advance(61)
    assert answers(server.poll(fingerprint=b"mallory")) == [403]
    assert answers(server.poll(key=OTHER_KEY, new=True)) == [403]
    assert answers(server.poll()) == [{"lost": {"received": 0}}]


def test_tombstone_answers_a_send() -> None:
    server = started()
    server.post(first=1, messages=["a"])
    server.clock.advance(61)
    assert server.post() == {"arrived": 1, "received": 1, "lost": {"received": 1}}
    server = started()
    server.session.close(4001, "enough")
    server.clock.advance(61)
    assert server.post() == {"arrived": 0, "received": 0, "closed": [4001, "enough"]}


def test_new_that_names_another_incarnation_makes_no_second_session() -> None:
    """It would stand in the place of the first one, which nobody finds any more."""
    server = Server(places=1)
    server.poll(new=True)
    session = server.session
    assert answers(server.poll(new=True, incarnation="before-1")) == [{"lost": {}}]
    assert server.session is session
    session.finish()
    assert len(server.manager) == 0
    server.manager.create(PLACE)


def test_network_of_an_address_is_known_by_a_hash() -> None:
    manager = Server().manager
    assert manager.net("192.0.2.1") == manager.net("192.0.2.99") != manager.net("192.0.3.1")
    assert manager.net("2001:db8:1::1") == manager.net("2001:db8:1:2::2")
    assert manager.net("2001:db8:1::1") != manager.net("2001:db8:2::1")
    assert manager.net("192.0.2.1") != Server().manager.net("192.0.2.1"), "the key is its own"


def test_websocket_takes_a_place_until_it_has_said_hello() -> None:
    server = Server(places=1)
    assert server.manager.admit_link(PLACE)
    with pytest.raises(TooManySessions):
        server.manager.admit_link(PLACE)
    link, _ = server.connect()
    link.holds_place = True
    link.end()
    assert server.manager.admit_link(PLACE)


def test_websocket_of_a_session_stands_in_its_place() -> None:
    server = Server(places=1)
    server.poll(new=True)
    assert not server.manager.admit_link(PLACE)


def test_no_websocket_while_the_server_leaves() -> None:
    server = started()
    for _ in server.manager.drain(5):
        pass
    with pytest.raises(TooManySessions):
        server.manager.admit_link(PLACE)


def test_line_at_the_end_of_a_session(caplog: pytest.LogCaptureFixture) -> None:
    """As of a stock session, but without the reason, which may have stood in a body."""
    caplog.set_level(logging.INFO, "sockjs_bridge.session")
    server = started()
    server.post(first=1, messages=["a", "b"])
    server.session.close(4001, "secret")
    server.clock.advance(61)
    (line,) = caplog.messages
    pattern = r"\S+ xhr-polling ended after \d+\.\d s with 4001: "
    assert re.match(pattern + r"in 2 messages, \d+ bytes; out 0 messages, \d+ bytes$", line)


@pytest.mark.interpreted
def test_session_that_fails_when_it_is_drained(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The others are told nevertheless."""
    server = Server()
    failing, other = (server.make(("/chat", name)) for name in ("fails", "other"))
    drain = ResumableSession.drain

    def stumble(session: ResumableSession, until: float, spread: float) -> None:
        if session is failing:
            raise ZeroDivisionError
        drain(session, until, spread)

    monkeypatch.setattr(ResumableSession, "drain", stumble)
    for _ in server.manager.drain(10):
        pass
    assert (failing.state, other.state) == (State.GONE, State.DRAINING)
    assert "closing failed" in caplog.text
