"""What a million connections take, of figures that are known."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import capacity, table
from tests.bench.test_table import measured, report


def measurements() -> table.Report:
    """A run where hearing takes 20 us, delivering 10, publishing 30, and relaying 40."""
    rows = [
        measured("ours-cluster", "cluster-fanout n1000", 10.02, front_us_per_msg=0.06),
        measured("ours-cluster", "cluster-fanout n2", 20, front_us_per_msg=30.0),
        measured("ours", "cluster-fanout n2", 7),
        measured("ours-cluster", "cluster-poll c100", 60, front_us_per_msg=40.0),
        measured("ours-cluster", "cluster-open c32", 500),
        measured("ours", "idle n5000", server_rss_kb=560, server_rss0_kb=48),
        {"server": "ours-cluster", "load": "cluster-open c32", "failed": "no time"},
    ]
    return {**report(*rows), "redis": {"publish": 10.0, "push": 0.25}}


def cells(text: str) -> dict[str, list[str]]:
    """The cells of each line, by its name."""
    lines = [line.split("  ", 1) for line in text.splitlines() if "  " in line]
    return {name: rest.split() for name, rest in lines}


def test_it_follows_from_what_was_measured() -> None:
    found = cells(capacity.text(measurements()))
    assert dict(list(found.items())[:7]) == {
        "to deliver a message to a WebSocket": ["10.0"],
        "to hear a message of Redis, whoever gets it": ["20.0"],
        "to take a message from a client, and to publish it": ["30.0"],
        "to relay a message of a client that polls": ["40.0"],
        "to open a session": ["500"],
        "Redis: to keep and publish a message": ["10.0"],
        "Redis: the same, for each process that hears it": ["0.25"],
    }
    # 100 anywhere are at 50 (1 - 0.98 ^ 100) = 43.4 processes.
    assert found["messages published in a second"] == ["10000", "500000"]
    assert found["processes that hear each"] == ["43.4", "2.0"]
    # 10000 (10 + 43.4 x 0.25) us, and 500000 (10 + 1.98 x 0.25) us.
    assert found["Redis: % of a core"] == ["21", "525"]
    # 200 x 30 + 200 x 43.4 x 20 + 20000 x 10 us; 10000 x 30 + 10000 x 1.98 x 20 + 20000 x 10 us.
    assert found["a process: % of a core"] == ["38", "90"]
    assert found["all processes: cores"] == ["19", "45"]
    # 20000 x 5.12 KiB; 1e6 / 500; 20000 x 500 us at 49 processes.
    assert found["memory of a process with 20000 sessions, MiB"] == ["100"]
    assert found["sessions that a core opens in a second"] == ["2000"]
    assert found["seconds until the others have opened those of one that has died"] == ["0.2"]


def test_what_was_not_measured_is_left_out() -> None:
    """What needs no measurement is there."""
    found = cells(capacity.text(report()))
    assert found["to open a session"] == ["-"]
    assert found["a process: % of a core"] == ["-", "-"]
    assert found["messages published in a second"] == ["10000", "500000"]


def test_resumable_sessions_are_counted_where_they_were_measured() -> None:
    run = measurements()
    run["measurements"].append(
        measured("ours", "r1-idle n5000", server_rss_kb=1072, server_rss0_kb=48)
    )
    assert capacity.Inputs.of(run).memory == pytest.approx(10.24)


def test_the_last_run_is_taken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not one of ``bench.killed``, which has a file there too."""
    monkeypatch.setattr(capacity, "BUILD", tmp_path)
    with pytest.raises(SystemExit, match="error: no report below"):
        capacity.main([])
    (tmp_path / "20261129-235959.json").write_text(json.dumps(report()))
    (tmp_path / "20261130-000000.json").write_text(json.dumps(measurements()))
    (tmp_path / "killed-20261130-000001.json").write_text("{}")
    capacity.main([])
    assert capsys.readouterr().out.rstrip("\n") == capacity.text(measurements())
    capacity.main([str(tmp_path / "20261129-235959.json")])
    assert capsys.readouterr().out.rstrip("\n") == capacity.text(report())


def test_the_docs_have_what_the_script_prints() -> None:
    """All of its lines, whether measured or not."""
    printed = (Path(__file__).parents[2] / "docs" / "capacity.txt").read_text()
    assert cells(printed).keys() == cells(capacity.text(measurements())).keys()
