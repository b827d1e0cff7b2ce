"""A stream that only proves its way."""

from __future__ import annotations

from sockjs_bridge.resume.probe import Probe
from sockjs_bridge.resume.transports import STREAM
from tests.support import HandClock, Recorder


def test_answered_as_soon_as_it_may_be() -> None:
    clock = HandClock()
    probe, recorder = Probe(clock, 7), Recorder(STREAM, open=False)
    probe.attach(recorder)
    assert recorder.frames == []
    recorder.open = True
    probe.flush()
    probe.flush()
    assert recorder.frames == ['r{"pong":7}']
    clock.advance(4.9)
    assert not recorder.ended
    clock.advance(0.2)
    assert recorder.ended


def test_gone_before() -> None:
    clock = HandClock()
    probe, recorder = Probe(clock, 7), Recorder(STREAM)
    probe.attach(recorder)
    probe.detach(recorder)
    clock.advance(6)
    assert not recorder.ended
