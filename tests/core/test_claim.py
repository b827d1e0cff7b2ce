"""Whose the sessions of a process are."""

from __future__ import annotations

from sockjs_bridge.core.claim import NEVER, Claim


def test_it_holds_until_it_is_doubted() -> None:
    claim, asked = Claim(), []
    assert claim.until == NEVER
    assert claim.holds(10**9)
    claim.until = 5.0

    def doubt(now: float) -> bool:
        asked.append(now)
        return now > 6

    claim.doubt = doubt
    assert [claim.holds(now) for now in (4.9, 5.0, 7.0)] == [True, False, True]
    assert asked == [5.0, 7.0]
