"""How fast clients leave a process: no faster than others can open their sessions."""

from __future__ import annotations

import pytest

from sockjs_bridge.cluster.drain import OPENINGS, pace, spread


@pytest.mark.parametrize(
    ("sessions", "others", "seconds"),
    [(0, 3, 1.0), (700, 1, 1.0), (7000, 1, 10.0), (7000, 5, 2.0), (7000, 0, 10.0)],
)
def test_over_which_time_they_come_back(sessions: int, others: int, seconds: float) -> None:
    assert spread(sessions, others) == seconds


@pytest.mark.parametrize("others", [1, 2, 10])
@pytest.mark.parametrize("sessions", [1, 99, 1000, 20000])
def test_others_can_take_them_and_all_leave_in_time(sessions: int, others: int) -> None:
    seconds, pause = pace(sessions, others, 60.0, 100)
    assert seconds == 60.0
    goes = -(-sessions // 100)
    assert goes * pause < seconds
    assert 100 / pause <= OPENINGS * others * 1.001


def test_where_time_does_not_allow_that_all_leave_in_time() -> None:
    seconds, pause = pace(20000, 1, 8.0, 100)
    assert 200 * pause < seconds
    assert 200 * pause == pytest.approx(8.0, rel=0.01)
    assert pace(0, 1, 0.0, 100) == (0.0, 0.0)
