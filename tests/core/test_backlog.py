"""What is bounded in bytes, and who waits until it is less."""

from __future__ import annotations

from functools import partial

import pytest

from sockjs_bridge.core.backlog import Backlog


@pytest.mark.parametrize(
    ("size", "too_large", "drained"),
    [
        (0, False, True),
        (25, False, True),
        (26, False, False),
        (103, False, False),
        (104, True, False),
    ],
)
def test_sizes(size: int, too_large: bool, drained: bool) -> None:
    """Up to a quarter is little, in whole bytes; one byte beyond the bound is too much."""
    backlog = Backlog(103)
    backlog.size = size
    assert (backlog.too_large, backlog.drained) == (too_large, drained)


def test_who_waits_is_called_once_and_in_order() -> None:
    backlog, calls = Backlog(100), list[str]()
    backlog.when_drained(partial(calls.append, "at once"))
    backlog.size = 26
    for name in ("first", "second"):
        backlog.when_drained(partial(calls.append, name))
    assert calls == ["at once"]
    backlog.release()
    backlog.release()
    assert calls == ["at once", "first", "second"]
