"""`sockjs_bridge.core.clock`: many deadlines behind one timer."""

from __future__ import annotations

import heapq
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sockjs_bridge.core.clock import DeadlineWheel
from sockjs_bridge.core.contracts import Clock, Timed
from tests.support import HandClock

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
    clock.advance(10)
    assert (len(late.called), len(early.called)) == (1, 1)


# A process that stood still


def stand_still(clock: HandClock, seconds: float) -> None:
    """Let time pass in which no timer fires; the one that is late does at the end."""
    clock.now += seconds
    clock.advance(0)


def test_standstill_is_not_counted(clock: HandClock, wheel: DeadlineWheel) -> None:
    """Who was due meanwhile has what he would have had, and some time until all was read."""
    alarms = [Alarm(clock, due) for due in (1.0, 3.0, 6.9, 7.5)]
    for alarm in alarms:
        wheel.update(alarm)
    clock.advance(0.9)
    stand_still(clock, 6.1)
    assert [alarm.called for alarm in alarms] == [[], [], [], []]
    clock.advance(0.9)
    # The last one fell behind it: that is called as always.
    assert [len(alarm.called) for alarm in alarms] == [0, 0, 0, 1]
    clock.advance(20)
    called = [alarm.called[0] for alarm in alarms[:3]]
    lasted = 7.0 - 1.0 + SLOT
    assert called == [
        pytest.approx(due + lasted + DeadlineWheel.GRACE, abs=2 * SLOT) for due in (1.0, 3.0, 6.9)
    ]
    assert clock.timers == []


def test_heard_of_after_a_standstill(clock: HandClock, wheel: DeadlineWheel) -> None:
    """Whose peer was there all the time is not called: what it sent is read first."""
    alarm = Alarm(clock, 5.0)
    wheel.update(alarm)
    clock.advance(1)
    stand_still(clock, 6)
    alarm.times[0] = clock.now + 5
    wheel.update(alarm)
    clock.advance(4.9)
    assert alarm.called == []


def test_deadline_that_moves_into_a_standstill(clock: HandClock, wheel: DeadlineWheel) -> None:
    """What is put off behind the slot that it has waits there, and on."""
    late, alarm = Alarm(clock, 1.0), Alarm(clock, 12.0)
    wheel.update(late)
    wheel.update(alarm)
    clock.advance(0.9)
    stand_still(clock, 10.1)
    slot = alarm.slot
    alarm.times[0] = 5.0
    wheel.update(alarm)
    assert alarm.slot == slot
    clock.advance(20)
    lasted = 11.0 - 1.0 + SLOT
    assert alarm.called == [pytest.approx(5.0 + lasted + DeadlineWheel.GRACE, abs=2 * SLOT)]


def test_short_standstill(clock: HandClock, wheel: DeadlineWheel) -> None:
    """What it gives beyond is no more than it took."""
    alarm = Alarm(clock, 1.0)
    wheel.update(alarm)
    clock.advance(0.99)
    stand_still(clock, 0.11)
    assert alarm.called == []
    clock.advance(0.3)
    assert len(alarm.called) == 1


def test_standstill_in_a_crowd(clock: HandClock, wheel: DeadlineWheel) -> None:
    """Those that were due before it and wait for their turn are called; the others are not."""
    crowd = [Alarm(clock, 1.0) for _ in range(DeadlineWheel.BATCH + 1)]
    meanwhile = Alarm(clock, 3.0)
    for alarm in (*crowd, meanwhile):
        wheel.update(alarm)
    clock.now = 1.0
    clock.timers.pop()[2]()
    assert len(crowd[-1].called) == 0
    clock.now = 5.0
    clock.tick()
    assert all(len(alarm.called) == 1 for alarm in crowd[:-1])
    assert meanwhile.called == []
    clock.advance(10)
    assert len(crowd[-1].called) == len(meanwhile.called) == 1


@pytest.mark.parametrize("late", [0.03, 0.2, 3.0])
def test_loop_that_is_always_late(clock: HandClock, wheel: DeadlineWheel, late: float) -> None:
    """Each deadline is put off once at the most, so that everything has its turn."""
    alarms = [Alarm(clock, 1.0 + number / 7) for number in range(50)]
    for alarm in alarms:
        wheel.update(alarm)
    while clock.timers:
        when, _, callback = heapq.heappop(clock.timers)
        clock.now = max(clock.now, when) + late
        callback()
        clock.settle()
        assert clock.now < 60
    for number, alarm in enumerate(alarms):
        (called,) = alarm.called
        assert called - (1.0 + number / 7) < 3 * late + min(late, DeadlineWheel.GRACE) + 4 * SLOT


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


@pytest.mark.interpreted
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


class Milliseconds(HandClock):
    """Counts whole milliseconds, as uvloop's does, and rounds to them."""

    def call_at(self, when: float, callback: Callable[[], object]) -> None:
        super().call_at(round(when * 1000) / 1000, callback)


def test_clock_of_whole_milliseconds() -> None:
    """A turn that comes on time finds its slot; it would come again and again otherwise."""
    clock = Milliseconds(0.0)
    wheel = DeadlineWheel(clock)
    alarms = [Alarm(clock, number / 20) for number in range(1, 2000)]
    for alarm in reversed(alarms):
        wheel.update(alarm)
    clock.timer_calls = 0
    clock.advance(101)
    assert all(len(alarm.called) == 1 for alarm in alarms)
    assert clock.timer_calls <= len(alarms)
