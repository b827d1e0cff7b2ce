"""`sockjs_bridge.core.readiness`: several reasons, each for itself."""

from __future__ import annotations

from sockjs_bridge.core.readiness import Readiness


def test_ready_at_first() -> None:
    assert Readiness().reasons == ()


def test_each_reason_counts_once() -> None:
    """Who says it twice takes it back once; who never said it takes nothing back."""
    readiness = Readiness()
    readiness.block("draining")
    readiness.block("fenced")
    readiness.block("draining")
    assert readiness.reasons == ("draining", "fenced")
    readiness.unblock("draining")
    readiness.unblock("stopping")
    assert readiness.reasons == ("fenced",)
    readiness.unblock("fenced")
    assert readiness.reasons == ()
