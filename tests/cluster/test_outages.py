"""`sockjs_bridge.cluster.outages`: a store that comes and goes does not fill the log."""

from __future__ import annotations

import pytest

from sockjs_bridge.cluster.outages import QUIET, Outages
from sockjs_bridge.cluster.store import StoreError
from tests.support import HandClock

LOST = "what the processes share cannot be reached: "
AGAIN = "what the processes share can be reached again"


def test_each_outage_is_told(caplog: pytest.LogCaptureFixture) -> None:
    clock = HandClock()
    outages = Outages(clock)
    outages.over()
    for why in ("one", "two"):
        outages.lost(StoreError(why))
        clock.advance(2 * QUIET)
        outages.over()
        clock.advance(2 * QUIET)
    assert caplog.messages == [f"{LOST}one", AGAIN, f"{LOST}two", AGAIN]


@pytest.mark.parametrize("away", [True, False])
def test_one_that_flaps_is_told_once_a_second_and_how_it_is_at_last(
    caplog: pytest.LogCaptureFixture, away: bool
) -> None:
    clock = HandClock()
    outages = Outages(clock)
    for _ in range(100):
        outages.lost(StoreError("cut"))
        clock.advance(QUIET / 20)
        outages.over()
        clock.advance(QUIET / 20)
    assert len(caplog.messages) <= 100 / 10 + 1
    if away:
        outages.lost(StoreError("at last"))
    clock.advance(3 * QUIET)
    assert caplog.messages[-1] == (f"{LOST}at last" if away else AGAIN)
