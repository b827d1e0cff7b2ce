"""`sockjs_bridge.clock`: many deadlines behind one timer."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sockjs_bridge.clock import Clock, DeadlineWheel, Timed
from tests.core import HandClock

SLOT = DeadlineWheel.GRANULARITY


class Alarm:
    """Fulfils `Timed`: wants to be called at its times, one after another."""

    def __init__(self, clock: HandClock, *times: float) -> None:
        self.slot: int | None = None
        self.clock = clock
        self.times = list(times)
        self.called: list[float] = []
        self.failed = False
        self.then: Callable[[], object] = lambda: None

    def deadline(self) -> float | None:
        return self.times[0] if self.times else None

    def on_deadline(self, now: float) -> None:
        assert now == self.clock.now
        self.times.pop(0)
        self.called.append(now)
        self.then()

    def fail(self) -> None:
        self.failed = True
        self.times.clear()


@pytest.fixture
def clock() -> HandClock:
    return HandClock(0.0)


@pytest.fixture
def wheel(clock: HandClock) -> DeadlineWheel:
    return DeadlineWheel(clock)


def test_called_once_at_its_deadline(clock: HandClock, wheel: DeadlineWheel) -> None:
    """Never early, at most a slot late."""
    alarm = Alarm(clock, 1.01)
    wheel.update(alarm)
    clock.advance(1.0)
    assert alarm.called == []
    clock.advance(SLOT + 0.01)
    assert alarm.called == [pytest.approx(1.05)]
    clock.advance(10)
    assert len(alarm.called) == 1
    assert alarm.slot is None


def test_past_deadline_is_called_at_once(clock: HandClock, wheel: DeadlineWheel) -> None:
    clock.advance(5)
    alarm = Alarm(clock, 1.0)
    wheel.update(alarm)
    clock.advance(0)
    assert alarm.called == [5]


def test_one_timer_for_all(clock: HandClock, wheel: DeadlineWheel) -> None:
    """No timer per session: the same deadline of many costs one call of the clock."""
    alarms = [Alarm(clock, 1.0) for _ in range(50)]
    for alarm in alarms:
        wheel.update(alarm)
    assert clock.timer_calls == 1
    clock.advance(2)
    assert all(alarm.called for alarm in alarms)
    assert clock.timer_calls == 1


def test_moved_later_costs_nothing(clock: HandClock, wheel: DeadlineWheel) -> None:
    """A deadline that moves later stays where it is, until its old slot comes."""
    alarm = Alarm(clock, 1.0)
    wheel.update(alarm)
    for later in (2.0, 3.0, 4.0):
        alarm.times[0] = later
        wheel.update(alarm)
    assert clock.timer_calls == 1
    clock.advance(3.9)
    assert alarm.called == []
    clock.advance(0.2)
    assert alarm.called == [pytest.approx(4.0)]


def test_moved_earlier(clock: HandClock, wheel: DeadlineWheel) -> None:
    alarm = Alarm(clock, 4.0)
    wheel.update(alarm)
    alarm.times[0] = 1.0
    wheel.update(alarm)
    clock.advance(1.0)
    assert alarm.called == [1.0]
    clock.advance(10)
    assert alarm.called == [1.0]
    assert clock.timers == []


def test_no_deadline_is_forgotten(clock: HandClock, wheel: DeadlineWheel) -> None:
    alarm = Alarm(clock, 1.0)
    wheel.update(alarm)
    alarm.times.clear()
    wheel.update(alarm)
    assert alarm.slot is None
    clock.advance(2)
    assert alarm.called == []
    assert clock.timers == []


def test_dropped(clock: HandClock, wheel: DeadlineWheel) -> None:
    alarm = Alarm(clock, 1.0)
    wheel.update(alarm)
    wheel.drop(alarm)
    wheel.drop(alarm)
    clock.advance(2)
    assert alarm.called == []


def test_called_again(clock: HandClock, wheel: DeadlineWheel) -> None:
    """An object that still has a deadline is put back; what is due at once waits for a slot."""
    alarm = Alarm(clock, 1.0, 1.0, 1.0, 3.0)
    wheel.update(alarm)
    clock.advance(2)
    assert alarm.called == [pytest.approx(moment) for moment in (1.0, 1.0 + SLOT, 1.0 + 2 * SLOT)]
    clock.advance(2)
    assert alarm.called[3:] == [pytest.approx(3.0)]


def test_crowd_does_not_hold_up_the_loop(clock: HandClock, wheel: DeadlineWheel) -> None:
    """Defect 8: a crowd is called in batches; the loop has its turn between them."""
    alarms = [Alarm(clock, 1.0) for _ in range(2 * DeadlineWheel.BATCH + 1)]
    for alarm in alarms:
        wheel.update(alarm)
    clock.now = 1.0
    clock.timers.pop()[2]()
    for turn in range(3):
        called = sum(len(alarm.called) for alarm in alarms)
        assert called == min((turn + 1) * DeadlineWheel.BATCH, len(alarms))
        assert len(clock.soon) == (turn < 2)
        clock.tick()


def test_earlier_deadline_during_a_crowd(clock: HandClock, wheel: DeadlineWheel) -> None:
    """What becomes due between two batches is called, and the rest of the crowd too."""
    clock.now = 10.0
    alarms = [Alarm(clock, 10.0) for _ in range(DeadlineWheel.BATCH + 1)]
    for alarm in alarms:
        wheel.update(alarm)
    clock.timers.pop()[2]()
    early = Alarm(clock, 9.0)
    wheel.update(early)
    clock.settle()
    clock.advance(0)
    assert early.called == [10.0]
    assert all(len(alarm.called) == 1 for alarm in alarms)
    assert clock.timers == []


def test_past_deadline_set_from_within(clock: HandClock, wheel: DeadlineWheel) -> None:
    """One object's call may give another one a deadline in the past: both are kept in order."""
    first, second, third = Alarm(clock, 2.0), Alarm(clock), Alarm(clock, 2.0)

    def give() -> None:
        second.times.append(1.0)
        wheel.update(second)

    first.then = give
    wheel.update(first)
    wheel.update(third)
    clock.advance(2.0)
    clock.advance(0)
    assert (first.called, second.called, third.called) == ([2.0], [2.0], [2.0])
    wheel.drop(second)
    clock.advance(5)
    assert clock.timers == []


def test_one_that_fails(
    clock: HandClock, wheel: DeadlineWheel, caplog: pytest.LogCaptureFixture
) -> None:
    """Defect 8: it is ended and logged, and stops nothing for the others."""
    alarms = [Alarm(clock, 1.0, 2.0) for _ in range(3)]
    alarms[1].then = lambda: 1 / 0
    for alarm in alarms:
        wheel.update(alarm)
    clock.advance(3)
    assert [alarm.called for alarm in alarms] == [[1.0, 2.0], [1.0], [1.0, 2.0]]
    assert [alarm.failed for alarm in alarms] == [False, True, False]
    (record,) = caplog.records
    assert record.exc_info is not None
    assert clock.timers == []


def test_timer_that_fires_early_is_set_again(clock: HandClock, wheel: DeadlineWheel) -> None:
    """A loop's timers may fire a clock's resolution too early."""
    alarm = Alarm(clock, 1.0)
    wheel.update(alarm)
    clock.now = 0.9999
    clock.timers.pop()[2]()
    assert alarm.called == []
    clock.advance(1)
    assert alarm.called == [1.0]


def test_superseded_timer_does_nothing(clock: HandClock, wheel: DeadlineWheel) -> None:
    late, early = Alarm(clock, 2.0), Alarm(clock, 1.0)
    wheel.update(late)
    superseded = clock.timers.pop()[2]
    wheel.update(early)
    clock.now = 2.0
    superseded()
    assert (late.called, early.called) == ([], [])
    clock.advance(0)
    assert (late.called, early.called) == ([2.0], [2.0])


@given(
    st.lists(
        st.tuples(st.sampled_from("udna"), st.integers(0, 4), st.floats(-3, 3, width=16)),
        max_size=40,
    )
)
def test_any_sequence(steps: list[tuple[str, int, float]]) -> None:
    """Everything is called at most once for each deadline, and no later than a slot after it."""
    clock = HandClock(100.0)
    wheel = DeadlineWheel(clock)
    alarms = [Alarm(clock) for _ in range(5)]
    due: dict[int, float] = {}

    def check() -> None:
        for index, alarm in enumerate(alarms):
            if alarm.called:
                (called,) = alarm.called
                assert due.pop(index) <= called
                alarm.called.clear()
        for moment in due.values():
            assert clock.now <= moment + SLOT + 1e-6

    for kind, index, seconds in steps:
        alarm = alarms[index]
        if kind == "u":
            alarm.times = [clock.now + seconds]
            due[index] = max(alarm.times[0], clock.now - SLOT)
            wheel.update(alarm)
            due[index] = alarm.times[0] if seconds > 0 else clock.now
        elif kind == "d":
            wheel.drop(alarm)
            alarm.times = []
            due.pop(index, None)
        elif kind == "n":
            # It sets its neighbour's deadline when it is called.
            neighbour, after = alarms[(index + 1) % 5], seconds

            def give(
                neighbour: Alarm = neighbour, after: float = after, other: int = (index + 1) % 5
            ) -> None:
                if not neighbour.called:
                    neighbour.times = [clock.now + after]
                    due[other] = clock.now + max(after, 0.0)
                    wheel.update(neighbour)

            alarm.then = give
        else:
            clock.advance(abs(seconds))
            check()
    for alarm in alarms:
        alarm.then = lambda: None
    clock.advance(10)
    check()
    assert not due
    assert clock.timers == []


class BareClock(Clock):
    pass


class BareTimed(Timed):
    pass


@pytest.mark.parametrize(
    "call",
    [
        lambda: BareClock().time(),
        lambda: BareClock().call_soon(print),
        lambda: BareClock().call_at(1.0, print),
        lambda: BareClock().call_from_thread(print),
        lambda: BareTimed().deadline(),
        lambda: BareTimed().on_deadline(1.0),
        lambda: BareTimed().fail(),
    ],
)
def test_contract_has_no_behaviour_of_its_own(call: Callable[[], object]) -> None:
    """An implementation that leaves something out says so."""
    with pytest.raises(NotImplementedError):
        call()
