"""What is kept, by its numbers; and the tombstones."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from hypothesis import example, given
from hypothesis import strategies as st

from sockjs_bridge.core.frames import Chunk, Place
from sockjs_bridge.resume.kept import Kept
from sockjs_bridge.resume.lines import At, Missed
from sockjs_bridge.resume.tombstones import LIFETIME, Tombstone, Tombstones
from tests.resume.support import PLACE, Server


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


class Plain:
    """The same without chunks: one reference for each message."""

    def __init__(self) -> None:
        self.sent = self.acked = 0
        self.messages: list[bytes] = []

    @property
    def first(self) -> int:
        return self.sent - len(self.messages) + 1

    @property
    def size(self) -> int:
        return sum(len(message) + 1 for message in self.messages)

    def make(self, sizes: Sequence[int]) -> list[bytes]:
        """Make messages that differ, and add them."""
        made = [b"%d" % (self.sent + index) + b"." * size for index, size in enumerate(sizes, 1)]
        self.messages += made
        self.sent += len(made)
        return made

    def acknowledge(self, received: int, written: int | None) -> None:
        self.acked = max(self.acked, received)
        until = self.acked if written is None else min(self.acked, written)
        del self.messages[: max(0, until + 1 - self.first)]

    def rest(self, number: int) -> list[bytes]:
        return self.messages[number - self.first :] if number >= self.first else []

    def after(self, number: int, max_size: int) -> list[bytes]:
        found: list[bytes] = []
        for message in self.rest(number):
            if found and sum(len(each) + 1 for each in [*found, message]) > max_size:
                break
            found.append(message)
        return found


SIZES = st.integers(0, 12)
PARTS = st.fractions(0, 1, max_denominator=20)
STEPS = st.one_of(
    st.tuples(st.just("append"), SIZES),
    st.tuples(st.just("extend"), st.lists(SIZES, min_size=1, max_size=6)),
    st.tuples(st.just("acknowledge"), PARTS, st.none() | PARTS),
    st.tuples(st.just("clear")),
)


@given(st.lists(STEPS, max_size=20), st.integers(1, 60))
@example([("extend", [1] * 4), ("append", 1), ("acknowledge", 0.5, None), ("append", 1)], 9)
@example([("append", 1), ("extend", [1] * 4), ("acknowledge", 0.5, None), ("append", 1)], 9)
def test_chunks_make_no_difference(steps: list[tuple[str, object]], max_size: int) -> None:
    kept, plain = Kept(1000), Plain()
    for name, *arguments in steps:
        match name, arguments:
            case "append", [int(size)]:
                kept.append(*plain.make([size]))
            case "extend", [list(sizes)]:
                kept.extend(Chunk(plain.make(sizes)))
            case "acknowledge", parts:
                received, written = (
                    None if part is None else int(part * plain.sent) for part in parts
                )
                kept.acknowledge(received, written)
                plain.acknowledge(received, written)
            case _:
                kept.clear()
                plain.messages.clear()
        assert (kept.sent, kept.acked, kept.first) == (plain.sent, plain.acked, plain.first)
        assert (kept.size, len(kept)) == (plain.size, len(plain.messages))
        for number in range(plain.sent + 3):
            assert [*kept.rest(number)] == plain.rest(number)
            portion = kept.after(number, max_size)
            assert portion.items == plain.after(number, max_size)
            assert portion.messages == len(portion.items)


def test_chunk_that_is_cut_stays_whole_for_others() -> None:
    chunk, kept, other = Chunk([b"1", b"2", b"3"]), Kept(100), Kept(100)
    for each in kept, other:
        each.extend(chunk)
    kept.acknowledge(2, None)
    assert kept.after(3, 100).items == [b"3"]
    assert other.after(1, 100).items == [b"1", b"2", b"3"]


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
    return Tombstone(Server().manager, PLACE, b"", None, 1000, "", 0, until, lost=False)


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
