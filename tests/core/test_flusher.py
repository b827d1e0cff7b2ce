"""`sockjs_bridge.core.flusher`: the end of a tick."""

from __future__ import annotations

import pytest

from sockjs_bridge.core.contracts import Recipient
from sockjs_bridge.core.flusher import Flusher
from sockjs_bridge.core.frames import Frames
from tests.support import XHR, HandClock

pytestmark = pytest.mark.interpreted


class Line(Recipient):
    """Notes when it is flushed, and with what others share.

    Attributes:
        flushed: what was shared, for each time.
        error: raised by `flush`.
    """

    transport = XHR
    connection = None
    slot = None

    def __init__(self, name: str) -> None:
        self.id = name
        self.dirty = self.over = self.failed = False
        self.flushed: list[Frames | None] = []
        self.error: Exception | None = None

    def flush(self, shared: Frames | None = None) -> None:
        self.flushed.append(shared)
        if shared is not None:
            shared.get(self.id, [b'"a"'], XHR, "")
        if self.error is not None:
            raise self.error

    def fail(self) -> None:
        self.failed = self.over = True


class Desk:
    def __init__(self) -> None:
        self.clock = HandClock()
        self.watched: list[Recipient] = []
        self.flusher = Flusher(self.clock, self.watched.append)

    def lines(self, count: int) -> list[Line]:
        lines = [Line(str(number)) for number in range(count)]
        for line in lines:
            self.flusher.add(line)
        return lines


def test_once_at_the_end_of_the_tick() -> None:
    """However often it was asked for; one callback for all."""
    desk = Desk()
    lines = desk.lines(3)
    for line in lines:
        desk.flusher.add(line)
    assert [len(line.flushed) for line in lines] == [0] * 3
    assert len(desk.clock.soon) == 1
    desk.clock.settle()
    assert [len(line.flushed) for line in lines] == [1] * 3
    assert desk.clock.soon == []
    desk.flusher.add(lines[0])
    desk.clock.settle()
    assert len(lines[0].flushed) == 2


def test_one_alone_shares_nothing() -> None:
    desk = Desk()
    (line,) = desk.lines(1)
    desk.clock.settle()
    assert line.flushed == [None]


def test_those_of_a_tick_share_frames() -> None:
    """And the memory of the tick is gone with it."""
    desk = Desk()
    one, other = desk.lines(2)
    desk.clock.settle()
    (shared,) = one.flushed
    assert shared is not None
    assert other.flushed == [shared]
    assert len(shared) == 2
    desk.lines(2)
    desk.clock.settle()
    assert desk.flusher._shared is None


def test_many_in_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop has its turn between them, and not too many frames are kept meanwhile."""
    monkeypatch.setattr(Flusher, "BATCH", 2)
    monkeypatch.setattr(Flusher, "SHARED", 3)
    desk = Desk()
    lines = desk.lines(5)
    for expected in (2, 4, 5):
        desk.clock.tick()
        assert sum(len(line.flushed) for line in lines) == expected
    first, second, third, fourth, last = (line.flushed[0] for line in lines)
    assert first is second is third is fourth is not None
    # Four are more than are kept; and the last one is alone.
    assert (len(first), last) == (4, None)
    assert desk.clock.soon == []


def test_drain() -> None:
    """All that waits is written before it returns; the tick's end has nothing left to do."""
    desk = Desk()
    lines = desk.lines(Flusher.BATCH + 1)
    desk.flusher.drain()
    assert all(len(line.flushed) == 1 for line in lines)
    desk.clock.settle()
    assert all(len(line.flushed) == 1 for line in lines)
    assert desk.clock.soon == []


def test_who_comes_while_others_are_written() -> None:
    desk = Desk()
    one, other = desk.lines(2)
    late = Line("late")
    one.flush = lambda shared=None: desk.flusher.add(late)  # type: ignore[method-assign]
    desk.clock.tick()
    assert (len(other.flushed), len(late.flushed)) == (1, 0)
    desk.clock.settle()
    assert len(late.flushed) == 1


def test_who_cannot_be_written_ends(caplog: pytest.LogCaptureFixture) -> None:
    """The others get what is theirs."""
    desk = Desk()
    lines = desk.lines(3)
    lines[1].error = OSError("no route to host")
    desk.clock.settle()
    assert [line.failed for line in lines] == [False, True, False]
    assert [len(line.flushed) for line in lines] == [1] * 3
    assert caplog.messages == ["1: writing failed"]


def test_who_is_over_has_another_deadline() -> None:
    desk = Desk()
    lines = desk.lines(3)
    lines[2].over = True
    desk.clock.settle()
    assert desk.watched == [lines[2]]


def test_now() -> None:
    """Out of turn; what waits for the end of the tick comes nevertheless."""
    desk = Desk()
    (line,) = desk.lines(1)
    desk.flusher.write(line)
    assert line.flushed == [None]
    desk.clock.settle()
    assert len(line.flushed) == 2
