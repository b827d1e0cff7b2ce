"""What is told at most every so often."""

from __future__ import annotations

import threading

import pytest

from pyramid_chat.coalescer import Coalescer
from tests.integration.support import eventually

PATIENCE = 40.0


def test_the_first_is_called_at_once_and_the_newest_later() -> None:
    """In between nothing; each key for itself."""
    coalescer = Coalescer(0.2)
    called: list[str] = []
    later = threading.Event()
    caller = []

    def last() -> None:
        caller.append(threading.current_thread().name)
        called.append("last")
        later.set()

    coalescer.call("a", lambda: called.append("first"))
    assert called == ["first"]
    for number in range(100):
        coalescer.call("a", lambda number=number: called.append(f"{number}"))
    coalescer.call("a", last)
    coalescer.call("b", lambda: called.append("b"))
    assert "b" in called
    assert later.wait(PATIENCE)
    # A slow machine may have come to one of the hundred.
    assert called[-1] == "last" and len(called) < 20
    assert caller == ["chat-coalescer"]


def test_a_call_that_fails_is_logged_and_the_next_is_made(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Its thread goes on."""
    coalescer = Coalescer(0.05)
    done = threading.Event()

    def fail() -> None:
        raise ValueError("x")

    coalescer.call("a", int)
    coalescer.call("b", int)
    coalescer.call("a", fail)
    coalescer.call("b", done.set)
    assert done.wait(PATIENCE)
    # Where the machine is slow, the other key's call is made at once.
    eventually(lambda: "could not be told" in caplog.text)


def test_keys_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here grows for ever, and the thread ends."""
    monkeypatch.setattr(Coalescer, "SWEEP_AT", 10)
    coalescer = Coalescer(0.0)
    for number in range(1000):
        coalescer.call(number, int)
    assert len(coalescer) <= 11


def test_what_is_first() -> None:
    """Whoever asks and hears so is the one."""
    coalescer = Coalescer(PATIENCE)
    assert [coalescer.first("a") for _ in range(3)] == [True, False, False]
    assert coalescer.first("b")
