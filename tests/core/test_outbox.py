"""`sockjs_bridge.core.outbox`: what waits for one client, and who waits until it is less."""

from __future__ import annotations

import pytest

from sockjs_bridge.core.outbox import Outbox
from tests.support import BY_NAME

every_transport = pytest.mark.parametrize("name", sorted(BY_NAME))


def filled(*messages: bytes, max_size: int = 1000, max_batch: int = 1000) -> Outbox:
    outbox = Outbox(max_size, max_batch)
    for message in messages:
        outbox.append(message)
    return outbox


# Messages


def test_empty() -> None:
    outbox = filled()
    assert not outbox.messages
    assert outbox.batch() == ()
    assert not outbox.too_large
    assert outbox.drained


def test_messages_leave_in_order() -> None:
    outbox = filled(b"a", b"b")
    assert outbox
    batch = outbox.batch()
    assert batch == (b"a", b"b")
    assert outbox.batch() == batch, "they wait until it is said that they have left"
    outbox.append(b"c")
    outbox.left(batch)
    assert outbox.batch() == (b"c",)
    outbox.left((b"c",))
    assert not outbox.messages


@pytest.mark.parametrize(
    ("messages", "max_batch", "count"),
    [
        # A message counts with the comma that follows it.
        ([b"aaaa", b"bbbb"], 10, 2),
        ([b"aaaa", b"bbbb"], 9, 1),
        ([b"aaaa", b"b", b"b", b"b"], 9, 3),
        ([b"aaaa", b"b", b"b", b"b"], 1, 1),
        ([b"a" * 100], 10, 1),
        ([b"a" * 100, b"b"], 10, 1),
        ([b"b", b"a" * 100], 10, 1),
        ([b"", b"", b""], 2, 2),
    ],
)
def test_size_of_a_batch(messages: list[bytes], max_batch: int, count: int) -> None:
    """As many as fit, but one at the least; all are had in the end."""
    outbox = filled(*messages, max_batch=max_batch)
    assert outbox.batch() == tuple(messages[:count])
    left: list[bytes] = []
    while batch := outbox.batch():
        left += batch
        outbox.left(batch)
    assert left == messages


def test_too_large() -> None:
    """max_size is what may wait; beyond is one byte more."""
    outbox = filled(b"a" * 4, max_size=9)
    assert not outbox.too_large
    outbox.append(b"b" * 3)
    assert not outbox.too_large
    outbox.append(b"")
    assert outbox.too_large
    outbox.left((b"a" * 4,))
    assert not outbox.too_large


def test_clear() -> None:
    outbox = filled(b"a" * 2000)
    assert outbox.too_large
    outbox.clear()
    assert not outbox.messages
    assert not outbox.too_large
    assert outbox.drained
    assert outbox.batch() == ()


# Who waits


def test_drained_at_a_quarter() -> None:
    """At most a quarter of what may wait: little enough for more, enough to keep it flowing."""
    outbox = filled(*[b"1234"] * 6, max_size=100)
    calls: list[str] = []
    outbox.when_drained(lambda: calls.append("one"))
    outbox.when_drained(lambda: calls.append("other"))
    assert (outbox.drained, calls) == (False, [])
    outbox.append(b"1234")
    outbox.left((b"1234",))
    assert (outbox.drained, calls) == (False, [])
    outbox.left((b"1234",))
    assert (outbox.drained, calls) == (True, ["one", "other"])
    outbox.left((b"1234",))
    assert calls == ["one", "other"], "once"


def test_drained_already() -> None:
    outbox = filled(b"1234", max_size=20)
    calls: list[str] = []
    outbox.when_drained(lambda: calls.append("one"))
    assert calls == ["one"]
    outbox.append(b"5678")
    outbox.left((b"1234",))
    assert calls == ["one"], "once"


def test_release() -> None:
    """At the end of the session nobody waits any more."""
    outbox = filled(b"a" * 100, max_size=100)
    calls: list[str] = []
    outbox.when_drained(lambda: calls.append("one"))
    outbox.clear()
    assert calls == []
    outbox.release()
    outbox.release()
    assert calls == ["one"]


def test_who_waits_may_wait_again() -> None:
    """A callback that asks once more, while it is called, is called in its turn."""
    outbox = filled(b"a" * 100, max_size=100)
    calls: list[str] = []

    def again() -> None:
        calls.append("again")
        outbox.append(b"b" * 100)
        outbox.when_drained(lambda: calls.append("and again"))

    outbox.when_drained(again)
    outbox.left((b"a" * 100,))
    assert calls == ["again"]
    outbox.left((b"b" * 100,))
    assert calls == ["again", "and again"]
