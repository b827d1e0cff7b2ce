"""What is kept, by its numbers; and the tombstones."""

from __future__ import annotations

from functools import partial

from sockjs_bridge.core.frames import Place
from sockjs_bridge.resume.kept import Kept
from sockjs_bridge.resume.lines import At, Missed
from sockjs_bridge.resume.tombstones import LIFETIME, Tombstone, Tombstones


def filled(count: int = 5) -> Kept:
    kept = Kept(100)
    for number in range(1, count + 1):
        kept.append(b"%d" % number)
    return kept


def test_what_is_acknowledged_is_dropped() -> None:
    kept = filled()
    kept.acknowledge(2, None)
    assert (kept.first, kept.sent, kept.acked, kept.size) == (3, 5, 2, 6)
    kept.acknowledge(1, None)
    assert (kept.first, kept.acked) == (3, 2)


def test_what_the_receiver_has_yet_to_write_stays() -> None:
    """Its client counts from the welcome, whatever another connection has brought meanwhile."""
    kept = filled()
    kept.acknowledge(4, 1)
    assert kept.acked == 4
    assert kept.after(2, 100).items == [b"2", b"3", b"4", b"5"]


def test_a_portion_holds_one_message_at_least() -> None:
    kept = filled()
    assert kept.after(2, 1).items == [b"2"]
    assert kept.after(2, 4).items == [b"2", b"3"]
    assert kept.after(6, 100).items == []


def test_references_and_no_copies() -> None:
    kept, message = Kept(100), b'"shared"'
    kept.append(message)
    assert kept.after(1, 100).items[0] is message


def test_positions_go_in_their_place_and_have_no_number() -> None:
    kept = Kept(1000)
    hint = At(Place("K", "E", 7))
    kept.append(b"1")
    kept.append(hint)
    kept.append(b"2")
    portion = kept.after(1, 100)
    assert portion.items == [b"1", hint, b"2"]
    assert (portion.messages, portion.notices, kept.sent) == (2, 1, 2)
    kept.wrote(portion)
    assert not kept.noticing
    assert kept.after(3, 100).items == []


def test_position_comes_again_until_a_message_behind_it_has_arrived() -> None:
    """What was written behind the last message that the client has may not have arrived."""
    kept = Kept(1000)
    hint = At(Place("K", "E", 7))
    kept.append(b"1")
    kept.append(hint)
    kept.wrote(kept.after(1, 100))
    kept.restart(1)
    assert kept.after(1, 100).items == [b"1", hint]
    kept.wrote(kept.after(1, 100))
    kept.acknowledge(1, None)
    kept.restart(2)
    assert not kept.has_news
    assert kept.after(2, 100).items == [hint]
    kept.append(b"2")
    kept.wrote(kept.after(2, 100))
    kept.acknowledge(2, None)
    kept.restart(3)
    assert kept.after(3, 100).items == []


def test_positions_at_one_place_are_one() -> None:
    """However often its own broadcasts pass a client over, it costs nothing."""
    kept = Kept(1000)
    last = At(Place("K", "E", 99))
    other = At(Place("L", "E", 1))
    missed = Missed("K", "notes")
    kept.append(b"1")
    kept.append(other)
    kept.append(At(Place("K", "E", 1)))
    kept.wrote(kept.after(1, 100))
    for number in range(2, 99):
        kept.append(At(Place("K", "E", number)))
    kept.append(missed)
    kept.append(last)
    assert kept.after(2, 100).items == [missed, last]
    kept.restart(1)
    assert kept.after(1, 100).items == [b"1", other, missed, last]


def test_position_alone_is_written() -> None:
    kept = Kept(1000)
    kept.append(At(Place("K", "E", 7)))
    assert kept.noticing
    assert kept.after(1, 100).messages == 0
    assert kept.after(1, 100).notices == 1
    kept.append(At(Place("L", "E", 8)))
    assert kept.after(1, 100).notices == 2


def test_who_waits_is_called_when_little_is_kept() -> None:
    kept, calls = Kept(8), list[int]()
    for _ in range(4):
        kept.append(b"x")
    kept.when_drained(lambda: calls.append(1))
    kept.acknowledge(2, None)
    assert calls == []
    kept.acknowledge(3, None)
    assert calls == [1]


def test_nobody_waits_where_little_is_kept() -> None:
    calls: list[str] = []
    kept = Kept(100)
    kept.when_drained(lambda: calls.append("at once"))
    kept.append(b'"' + b"x" * 50 + b'"')
    for name in ("first", "second"):
        kept.when_drained(partial(calls.append, name))
    assert calls == ["at once"]
    kept.release()
    kept.release()
    assert calls == ["at once", "first", "second"]


def grave(until: float = LIFETIME) -> Tombstone:
    return Tombstone(b"", None, 1000, "", 0, until, lost=False)


def test_tombstones_are_bounded_and_the_oldest_goes() -> None:
    tombstones = Tombstones()
    for name in "abc":
        tombstones.add(("", name), grave(), 0, grown=True, limit=2)
    assert len(tombstones) == 2
    assert tombstones.get(("", "a"), 0) is None
    assert tombstones.get(("", "c"), 0) is not None


def test_young_ones_drive_out_none_but_their_like() -> None:
    tombstones = Tombstones()
    tombstones.add(("", "old"), grave(), 0, grown=True, limit=3)
    for number in range(10):
        tombstones.add(("", str(number)), grave(), 0, grown=False, limit=3)
    assert tombstones.get(("", "old"), 0) is not None
    assert tombstones.get(("", "9"), 0) is not None
    assert len(tombstones) == 3
    for name in "abc":
        tombstones.add(("", name), grave(), 0, grown=True, limit=3)
    tombstones.add(("", "young"), grave(), 0, grown=False, limit=3)
    assert [tombstones.get(("", name), 0) is not None for name in ("a", "b", "c", "young")] == [
        *(True, True, True, False)
    ]


def test_tombstones_may_be_turned_off() -> None:
    tombstones = Tombstones()
    tombstones.add(("", "a"), grave(), 0, grown=True, limit=0)
    assert len(tombstones) == 0


def test_tombstones_are_forgotten() -> None:
    tombstones = Tombstones()
    tombstones.add(("", "a"), grave(10), 0, grown=True, limit=9)
    assert tombstones.get(("", "a"), 9.9) is not None
    assert tombstones.get(("", "a"), 10) is None
    tombstones.add(("", "b"), grave(20), 10, grown=True, limit=9)
    assert len(tombstones) == 1
