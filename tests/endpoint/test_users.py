"""The connections of a user are closed, here and in other processes."""

from __future__ import annotations

import json
import secrets

import pytest

from sockjs_bridge.core.signals import Signals
from sockjs_bridge.endpoint.users import KIND, Users
from tests.support import HandClock


class Session:
    """Fulfils `UserSession`."""

    def __init__(self, userid: str | None, *, broken: bool = False) -> None:
        self.id = "id"
        self.userid = userid
        self.broken = broken
        self.closed: list[tuple[int, str]] = []
        self.failed = False

    def close(self, code: int, reason: str) -> None:
        self.closed.append((code, reason))
        if self.broken:
            raise RuntimeError("its application stumbles")

    def fail(self) -> None:
        self.failed = True


def test_each_process_closes_its_own_once() -> None:
    clock, said = HandClock(), list[str]()
    processes = []
    for _ in range(2):
        signals, sessions = Signals(), [Session("ann"), Session("bob"), Session(None)]
        signals.start(clock)
        signals.carry_by(said.append)
        processes.append((signals, sessions, Users(signals, lambda of=sessions: of)))  # type: ignore[misc]
    (_, here, users), (_, there, _) = processes
    users.close("bob", 4003, "Bye")
    assert [session.closed for session in here] == [[], [(4003, "Bye")], []]
    assert [session.closed for session in there] == [[], [], []]
    clock.settle()
    (text,) = said
    for signals, _, _ in processes:
        signals.hear(text)
    for sessions in (here, there):
        assert [session.closed for session in sessions] == [[], [(4003, "Bye")], []]


def test_one_that_stumbles_keeps_no_other_from_its_end(caplog: pytest.LogCaptureFixture) -> None:
    signals = Signals()
    sessions = [Session("bob", broken=True), Session("bob")]
    users = Users(signals, lambda: sessions)
    users.close("bob", 1000, "")
    assert [session.failed for session in sessions] == [True, False]
    assert sessions[1].closed == [(1000, "")]
    assert "closing failed" in caplog.text


def test_what_another_process_says_is_heard() -> None:
    signals, session = Signals(), Session("bob")
    Users(signals, lambda: [session])
    signals.hear(json.dumps([KIND, ["another", "bob", 4000, "Out"]]))
    assert session.closed == [(4000, "Out")]


def test_processes_that_are_forked_from_one_hear_each_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What tells their signals apart is not drawn where an application is loaded."""

    def drawn(size: int) -> str:
        raise AssertionError("all of its forks would have the same")

    with monkeypatch.context() as patched:
        patched.setattr(secrets, "token_hex", drawn)
        signals, session = Signals(), Session("bob")
        users = Users(signals, lambda: [session])
    said: list[str] = []
    signals.start(clock := HandClock())
    signals.carry_by(said.append)
    users.close("bob", 4000, "Out")
    clock.settle()
    signals.hear(said[0])
    assert session.closed == [(4000, "Out")]
