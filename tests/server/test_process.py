"""The life of a process that serves: what holds for pserve and for gunicorn's workers.

How it ends, `test_paste.py` and `tests/integration/test_gunicorn.py` show.
"""

from __future__ import annotations

import gc

import pytest

from sockjs_bridge.server import process

pytestmark = pytest.mark.usefixtures("collector")


@pytest.mark.parametrize(
    ("before", "full_gc_after", "after"),
    [
        (process.PYTHON_THRESHOLDS, 500, (*process.PYTHON_THRESHOLDS[:2], 500)),
        (process.PYTHON_THRESHOLDS, 0, process.PYTHON_THRESHOLDS),
        ((1000, 20, 20), 500, (1000, 20, 20)),
    ],
    ids=["by default", "not wanted", "thresholds of the application"],
)
def test_collections(before, full_gc_after, after):
    gc.set_threshold(*before)
    process.spare_collections(full_gc_after)
    assert gc.get_threshold() == after
    assert bool(gc.get_freeze_count()) is (before != after)


def test_collections_that_are_switched_off():
    """An application that collects by itself goes on to do so."""
    gc.disable()
    try:
        process.spare_collections(500)
    finally:
        gc.enable()
    assert gc.get_threshold() == process.PYTHON_THRESHOLDS
