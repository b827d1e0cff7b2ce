"""A trial's result, and its line in the table."""

from __future__ import annotations

import re

import pytest

from tests.proxies.table import COLUMNS, line, parser, row
from tests.proxies.trial import CLIENTS, Result, available, doubled, reordered, result_of
from tests.proxies.ways import WAYS

REPORT = {
    "transport": "websocket",
    "opened": 2,
    "connected": 40.0,
    "first": 60.0,
    "finished": 4000.0,
    "longest": 200.0,
    "silence": 0.0,
    "received": [1, 2, 3, 4],
    "ended": "",
}


@pytest.mark.parametrize(
    ("numbers", "twice", "late"),
    [
        ([], 0, 0),
        ([1, 2, 3], 0, 0),
        ([1, 3, 2], 0, 1),
        ([1, 2, 2, 3], 1, 0),
        ([1, 2, 3, 1, 2, 3], 3, 0),
        ([3, 1, 2], 0, 2),
    ],
)
def test_what_is_doubled_and_reordered(numbers: list[int], twice: int, late: int) -> None:
    """What comes again is doubled, and not reordered as well."""
    assert (doubled(numbers), reordered(numbers)) == (twice, late)


def test_a_trial_that_went_well() -> None:
    result = result_of(REPORT, [1, 2, 3, 4], 4, 1)
    assert result == Result("websocket", 2, 0.04, 0.06, 4.0, 0.2, 0, 0, 0, "", 1)


@pytest.mark.parametrize(
    ("heard", "received", "lost"),
    [
        ([1, 2, 4], [1, 2, 4], 2),
        ([1, 2, 3, 4], [1, 2, 4], 1),
        ([], [], 8),
        # What came back and was never there would be an error of the application's.
        ([1, 2], [1, 2, 3], 4),
    ],
)
def test_what_is_lost_counts_both_ways(heard: list[int], received: list[int], lost: int) -> None:
    report = {**REPORT, "received": received, "finished": None, "silence": 9000.0}
    result = result_of(report, heard, 4, 1)
    assert (result.lost, result.finished, result.longest) == (lost, None, 9.0)


def test_a_line_has_its_columns_below_the_head() -> None:
    text = row("nothing", result_of(REPORT, [1, 2, 3, 3, 4], 4, 1))
    cells = re.split(r" {2,}", text)
    assert cells == ["nothing", "websocket", *("0.04 s", "0.06 s", *"010", "0.20 s", "4.00 s", "2")]
    assert line(COLUMNS).index("all back") + len("all back") == text.index("4.00 s") + len("4.00 s")


def test_what_never_came_has_no_time() -> None:
    nothing = dict.fromkeys(["connected", "first", "finished"])
    report = {**REPORT, **nothing, "received": [], "transport": "", "ended": "2000 failed"}
    cells = re.split(r" {2,}", row("way", result_of(report, [], 4, 0)))
    assert cells == ["way", *"–––800––2", "2000 failed"]


def test_all_is_in_the_table_unless_some_is_asked_for() -> None:
    options = parser().parse_args([])
    assert options.clients.split(",") == available()
    assert {"stock"} <= {*available()} <= {*CLIENTS}
    assert all(options.ways in name for name in WAYS)


def test_each_way_does_something_or_changes_where_things_are() -> None:
    for name, way in WAYS.items():
        nothing = way.behaviour == type(way.behaviour)(round_trip=way.behaviour.round_trip)
        assert (
            bool(way.deed)
            or way.elsewhere
            or way.nginx is not None
            or nothing
            or (way.behaviour.connections)
        ), name
