"""A page's client behind what stands in between: nothing is lost, doubled or out of order.

`make proxies` has all ways, both browsers and the times; here each mechanism has one row.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.chromium import Chromium
from tests.proxies.trial import Place, available, place, run
from tests.proxies.ways import WAYS
from tests.selection import cases

LONGEST_SILENCE = 10.0
"""Seconds that pass at most between two numbers while they flow."""

CLIENT = available()[-1]
COUNT = 200 if CLIENT == "resumable" else 60

ROWS = (
    "page of another origin, Origin stripped",
    "Upgrade never answered",
    "responses held whole",
    "HTTP/1.0",
    "idle cut after 2 s",
    "all cut after 3000 bytes, RST",
    "six connections, path rewritten",
    *(
        (
            "frames dropped to the server",
            "frames dropped both ways after 2000 bytes",
            "streams cut after 3000 bytes, clean",
            "each fifth poll lost: before the head",
            "each fifth poll lost: mid-frame",
            "10 % reset, responses held whole",
            "each tenth request 502 or 504",
        )
        if CLIENT == "resumable"
        else ()
    ),
)
"""Ways through which each mechanism is needed; some lead only sessions that survive through."""


@pytest.fixture(scope="module")
def where() -> Iterator[Place]:
    with place() as where:
        yield where


@pytest.fixture
def browser(drivers: list[Chromium]) -> Iterator[Chromium]:
    """Ada's Chromium."""
    drivers[0].errors()
    yield drivers[0]
    drivers[0].reset()


#: Each of which differs from another row in when the same is done.
FULL_ONLY = {
    "streams cut after 3000 bytes, clean",
    "each fifth poll lost: before the head",
    "10 % reset, responses held whole",
}


@pytest.mark.parametrize("name", cases({name: name for name in ROWS}, FULL_ONLY & {*ROWS}))
def test_nothing_is_lost(browser: Chromium, where: Place, tmp_path: Path, name: str) -> None:
    """It comes back by itself, too: nobody helps the page."""
    way = WAYS[name]
    result = run(browser, where, way, CLIENT, tmp_path, count=COUNT, pace=0.01)
    assert (result.ended, result.lost, result.doubled, result.reordered) == ("", 0, 0, 0), result
    assert result.longest < LONGEST_SILENCE, result
    assert result.deeds or not way.deed, "the middlebox did nothing"
