"""What the processes of an application say to each other."""

from __future__ import annotations

import logging
import math

import pytest

from sockjs_bridge.core.signals import Signals
from tests.support import HandClock


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


def served(clock: HandClock) -> tuple[Signals, list[object]]:
    signals, heard = Signals(), list[object]()
    signals.on("greeting", heard.append)
    signals.start(clock)
    return signals, heard


def test_a_process_alone_hears_itself(clock: HandClock) -> None:
    signals, heard = served(clock)
    signals.say("greeting", {"to": ["all", 1, None]})
    assert heard == []
    clock.settle()
    assert heard == [{"to": ["all", 1, None]}]


def test_all_hear_what_is_carried(clock: HandClock) -> None:
    processes = [served(clock) for _ in range(3)]
    for signals, _ in processes:
        signals.carry_by(lambda text: [signals.hear(text) for signals, _ in processes])
    processes[1][0].say("greeting", "hello")
    clock.settle()
    assert [heard for _, heard in processes] == [["hello"]] * 3


def test_nobody_hears_where_nobody_is_served(clock: HandClock) -> None:
    signals, heard = Signals(), list[object]()
    signals.on("greeting", heard.append)
    signals.say("greeting", "hello")
    signals.start(clock)
    clock.settle()
    assert heard == []


@pytest.mark.parametrize("data", [object(), {1, 2}, b"bytes", math.nan])
def test_what_json_cannot_hold_is_refused(clock: HandClock, data: object) -> None:
    signals, heard = served(clock)
    with pytest.raises((TypeError, ValueError)):
        signals.say("greeting", data)
    clock.settle()
    assert heard == []


@pytest.mark.parametrize("text", ["", "nothing", "{}", '["greeting"]', "7"])
def test_what_is_no_signal_is_logged(
    clock: HandClock, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    signals, heard = served(clock)
    with caplog.at_level(logging.WARNING, "sockjs_bridge"):
        signals.hear(text)
    assert heard == []
    assert text in caplog.text
    signals.hear('["greeting", 1]')
    assert heard == [1]


def test_what_a_newer_release_says_is_passed_over(clock: HandClock) -> None:
    signals, heard = served(clock)
    signals.hear('["news", 1]')
    assert heard == []


def test_what_was_missed_is_told(clock: HandClock) -> None:
    signals, _ = served(clock)
    signals.missed()
    missed: list[bool] = []
    signals.on_missed(lambda: missed.append(True))
    signals.missed()
    assert missed == [True]
