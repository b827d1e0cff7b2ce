"""What entering a room came to."""

from __future__ import annotations

import pytest

from sockjs_bridge.core.joined import IN, REFUSED, Joined


def test_true_where_it_joined() -> None:
    assert IN
    assert not REFUSED


@pytest.mark.parametrize("recovered", [True, False, None])
def test_equals_what_was_returned_before(recovered: bool | None) -> None:
    joined = Joined(True, recovered)
    assert joined == True  # noqa: E712
    assert joined != False  # noqa: E712
    assert joined == IN
    assert joined != REFUSED
    assert joined != 1
    assert hash(joined) == hash(True)
    assert joined.recovered is recovered
    assert repr(joined) == f"<Joined True recovered={recovered}>"


def test_may_be_awaited() -> None:
    joined = Joined(True, True)

    async def ask() -> bool | None:
        return (await joined).recovered

    with pytest.raises(StopIteration) as done:
        ask().send(None)
    assert done.value.value is True
