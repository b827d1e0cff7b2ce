"""What cannot be sent is told by what it is (api.md, section 3)."""

from __future__ import annotations

import pytest

from sockjs_bridge.pyramid.checks import checked_message


async def answer():
    """Is not awaited."""


@pytest.mark.parametrize(
    ("make", "advice"),
    [
        (answer, "not coroutine: an await is missing$"),
        (dict, r"not dict: json.dumps\(\) makes one of it$"),
        (list, r"not list: json.dumps\(\) makes one of it$"),
    ],
)
def test_advice(recwarn, make, advice):
    """Frequent mistakes are told by what they are."""
    with pytest.raises(TypeError, match=advice):
        checked_message(make())
    assert not recwarn.list


def test_checked_message():
    checked_message("text")
    with pytest.raises(TypeError):
        checked_message(None)
