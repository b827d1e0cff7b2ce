"""Sessions of ``~r1`` that are replaced, in whichever process they are."""

from __future__ import annotations

from sockjs_bridge.core.signals import Signals
from sockjs_bridge.endpoint.former import FormerSessions
from sockjs_bridge.resume.manager import ResumeManager
from sockjs_bridge.resume.session import digest
from tests.support import HandClock, make_endpoint

PLACE, KEY = ("/echo", "s" * 22), "k" * 22


def test_each_process_hears_of_it() -> None:
    """The one that has the session ends it, if the key is right; the key goes nowhere."""
    clock, said = HandClock(), list[str]()
    signals = [Signals(), Signals()]
    endpoints = [make_endpoint(clock), make_endpoint(clock, resume_window=0)]
    former = [
        FormerSessions(each, lambda endpoint=endpoint: [endpoint])  # type: ignore[misc]
        for each, endpoint in zip(signals, endpoints, strict=True)
    ]
    for each in signals:
        each.start(clock)
        each.carry_by(said.append)
    manager = endpoints[0].managers[1]
    assert isinstance(manager, ResumeManager)
    session = manager.create(PLACE)
    session.proof = digest(KEY)
    for key in ("w" * 22, KEY):
        assert session.close_code is None
        former[1].end(PLACE, digest(key))
        clock.settle()
        for each in signals:
            each.hear(said[-1])
    assert (session.close_code, session.close_reason) == (1000, "Replaced")
    assert KEY not in "".join(said)
