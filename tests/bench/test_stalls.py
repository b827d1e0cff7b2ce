"""What holds up our loop: the probe in the server, and what is asked of it; no time is checked."""

from __future__ import annotations

import gc
import shutil
import time
from pathlib import Path

import pytest

from bench import stalls
from bench.loads import Load
from bench.probe import Found, Probe
from bench.servers import BENCH, Installed, Lacking, compile_c, free_port, ours
from sockjs_bridge.endpoint.endpoints import Endpoints
from tests.bench.test_table import stall
from tests.support import HandClock


def found(**more: float) -> Found:
    looks: dict[str, float] = {
        **{"late_ms": 0, "own_ms": 0, "collection_ms": 0},
        **{"full_collections": 0, "rss_kb": 0, "sessions": 0, **more},
    }
    return looks  # type: ignore[return-value]


def test_the_worst_of_several_looks() -> None:
    """What could be counted is added up; memory and sessions are the last look's."""
    assert stalls.worst(
        [
            found(late_ms=9, own_ms=1, full_collections=1, rss_kb=300, sessions=7),
            found(late_ms=8, own_ms=2, collection_ms=3, full_collections=2, rss_kb=200),
        ]
    ) == found(late_ms=9, own_ms=2, collection_ms=3, full_collections=3, rss_kb=200)


def test_memory_is_compared_when_all_have_expired() -> None:
    opening = stall("opening 20000 to poll", rss_kb=900)
    waves = [opening, stall("expiring 20000", rss_kb=200), stall("expiring 20000", rss_kb=210)]
    assert stalls.memory_growth(waves) == pytest.approx(5)
    assert stalls.memory_growth(waves[:2]) is None


def test_the_probe_notes_the_longest_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    """And how much of it was this process's own; who reads begins anew."""
    clock, cpu = HandClock(), 0.0
    monkeypatch.setattr(time, "monotonic", clock.time)
    monkeypatch.setattr(time, "process_time", lambda: cpu)
    monkeypatch.setattr(time, "thread_time", clock.time)
    monkeypatch.setattr(gc, "callbacks", [])
    endpoints = Endpoints(1)
    monkeypatch.setattr(Endpoints, "clock", property(lambda _: clock))
    probe = Probe(endpoints)
    assert probe.read()["late_ms"] == 0
    clock.settle()
    for late, own in ((0.25, 0.03), (0.5, 0.02), (0.04, 0.04)):
        when, _, look = clock.timers.pop()
        clock.now = when + late
        cpu += own
        look()
    (collects,) = gc.callbacks
    for generation in (1, 2):
        collects("start", {"generation": generation})
        clock.now += 0.07
        collects("stop", {"generation": generation})
    read = probe.read()
    assert read["late_ms"] == pytest.approx(500)
    assert read["own_ms"] == pytest.approx(40)
    assert read["collection_ms"] == pytest.approx(70)
    assert read["full_collections"] == 1
    assert read["rss_kb"] > 1024
    assert {**probe.read(), "rss_kb": 0} == found()


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
def test_all_of_it_in_small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Sessions open and expire, messages go to all, and the probe tells of both."""
    ini = tmp_path / "ours.ini"
    text = (BENCH / "ours.ini").read_text()
    ini.write_text(text.replace("disconnect_delay = 20", "disconnect_delay = 0.5"))
    crowd = Installed(
        [ini if part == BENCH / "ours.ini" else part for part in ours("crowd").command], {}
    )
    monkeypatch.setattr(stalls, "FANOUT", Load.parse("ws-fanout n5"))
    for name, value in {
        "SUBSCRIBERS": 5,
        "POLLING": 50,
        "BROADCASTING": 0.1,
        "BUILD": tmp_path,
    }.items():
        monkeypatch.setattr(stalls, name, value)
    generator = compile_c(BENCH / "sockjs_load.c", tmp_path)
    rows = [*stalls.measure(ours(), crowd, generator, None)]
    assert [row["what"] for row in rows] == [
        "opening 5 WebSockets",
        "broadcasts to 5",
        *["opening 50 to poll", "expiring 50"] * 2,
    ]
    assert [row["sessions"] for row in rows[:2]] == [6, 6]
    assert [row["sessions"] for row in rows[3::2]] == [0, 0]
    assert all(row["late_ms"] > 0 for row in rows)


def test_a_server_that_is_no_more() -> None:
    with pytest.raises(Lacking, match="the probe does not answer"):
        stalls.probe(free_port())


def test_sessions_that_do_not_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stalls, "PATIENCE", 0)
    monkeypatch.setattr(stalls, "probe", lambda port: found(sessions=3))
    with pytest.raises(Lacking, match="after 0 s there are 3 sessions"):
        stalls._until(1, lambda sessions: sessions > 3)
