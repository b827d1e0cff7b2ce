"""How far a process is in a room: each message goes on once, in order, or a gap is told."""

from __future__ import annotations

import pytest

from sockjs_bridge.cluster.positions import MAX_WAITING, Heard, RoomPosition, Step
from sockjs_bridge.cluster.store import Entry, Position, Since


def at(number: int, epoch: int = 1) -> Position:
    return Position(epoch, number)


def message(number: int, epoch: int = 1) -> tuple[Position, Entry]:
    return at(number, epoch), Entry(f"{epoch}-{number}")


def begun(number: int = 0) -> RoomPosition:
    """Return a position that the store has told."""
    position = RoomPosition()
    assert position.answered(Since(at(number), None)) == Step(at(number), [], False)
    return position


def test_what_is_heard_before_the_first_answer_counts() -> None:
    position = RoomPosition()
    assert [position.heard(*message(number)) for number in (4, 5)] == [Heard.WAITS] * 2
    step = position.answered(Since(at(4), None))
    assert step == Step(at(3), [message(4), message(5)], False)
    assert (position.last, position.asking) == (at(5), False)


def test_what_is_heard_before_the_first_answer_may_be_newer() -> None:
    position = RoomPosition()
    position.heard(*message(5))
    assert position.answered(Since(at(4), None)) == Step(at(4), [message(5)], False)


def test_next_and_known() -> None:
    position = begun(6)
    assert position.heard(*message(7)) is Heard.NEXT
    assert position.heard(*message(7)) is Heard.KNOWN
    assert position.heard(*message(3)) is Heard.KNOWN
    assert position.last == at(7)


def test_a_hole_is_filled_in_order() -> None:
    position = begun(1)
    assert position.heard(*message(4)) is Heard.HOLE
    assert position.heard(*message(5)) is Heard.WAITS
    assert position.asking
    step = position.answered(Since(at(4), [message(2), message(3), message(4)]))
    assert step == Step(None, [message(number) for number in (2, 3, 4, 5)], False)
    assert position.last == at(5)


def test_a_hole_behind_a_hole() -> None:
    position = begun()
    position.heard(*message(2))
    assert position.heard(*message(4)) is Heard.WAITS
    assert position.answered(Since(at(2), [message(1), message(2)])) == Step(
        None, [message(1), message(2)], True
    )
    assert position.answered(Since(at(4), [message(3), message(4)])).messages == [
        message(3),
        message(4),
    ]


def test_a_hole_in_the_midst_of_what_waits() -> None:
    position = begun()
    for number in (2, 4, 5):
        position.heard(*message(number))
    step = position.answered(Since(at(2), [message(1), message(2)]))
    assert step == Step(None, [message(1), message(2)], True)
    step = position.answered(Since(at(4), [message(3), message(4)]))
    assert step == Step(None, [message(3), message(4), message(5)], False)


def test_a_gap_is_told_and_what_was_heard_goes_on() -> None:
    position = begun(1)
    position.heard(*message(8))
    position.heard(*message(9))
    assert position.answered(Since(at(8), None)) == Step(at(7), [message(8), message(9)], False)


def test_a_gap_where_all_is_missing() -> None:
    position = begun(1)
    assert position.looked(at(1), at(8))
    assert position.answered(Since(at(8), None)) == Step(at(8), [], False)


def test_another_epoch_is_a_gap() -> None:
    position = begun(7)
    assert position.heard(*message(1, epoch=2)) is Heard.HOLE
    assert position.answered(Since(at(1, 2), None)) == Step(at(0, 2), [message(1, 2)], False)
    # A straggler of the former one: the store is asked once, and knows it no more.
    assert position.heard(*message(8)) is Heard.HOLE
    assert position.answered(Since(at(1, 2), [])) == Step(None, [], False)
    assert position.last == at(1, 2)


def test_an_epoch_that_begins_while_the_store_is_asked() -> None:
    position = begun(7)
    position.heard(*message(9))
    position.heard(*message(1, epoch=2))
    step = position.answered(Since(at(9), [message(8), message(9)]))
    assert step == Step(None, [message(8), message(9)], True)
    assert position.answered(Since(at(1, 2), None)) == Step(at(0, 2), [message(1, 2)], False)


def test_more_than_may_wait_is_asked_for() -> None:
    position = begun()
    position.heard(*message(2))
    for number in range(3, MAX_WAITING + 4):
        position.heard(*message(number))
    step = position.answered(Since(at(2), [message(1), message(2)]))
    assert (len(step.messages), step.ask) == (MAX_WAITING + 1, True)
    rest = [message(MAX_WAITING + 2), message(MAX_WAITING + 3)]
    assert position.answered(Since(rest[-1][0], rest)) == Step(None, rest, False)


@pytest.mark.parametrize(
    ("before", "top", "ask"),
    [
        (at(5), at(7), False),
        # What was heard since it was asked is newer than its answer.
        (at(5), at(6), False),
        (at(5), at(5), False),
        # Nobody has heard the last one.
        (at(5), at(8), True),
        # The store has lost what was there when it was asked.
        (at(5), at(4), True),
        (at(5), None, True),
        (at(5), at(9, 2), True),
    ],
)
def test_a_look_at_the_top(before: Position, top: Position | None, ask: bool) -> None:
    position = begun(7)
    assert position.looked(before, top) is ask
    assert position.asking is ask
    assert not position.looked(before, top)


def test_what_a_client_asks_for_helps_all() -> None:
    position = begun(5)
    since = Since(at(7), [message(number) for number in (4, 5, 6, 7)])
    assert position.caught_up(at(3), at(5), since) == Step(None, [message(6), message(7)], False)
    assert position.last == at(7)
    assert position.heard(*message(7)) is Heard.KNOWN


@pytest.mark.parametrize(
    ("asked", "since"),
    [
        # The client was ahead of this process, or told nonsense.
        (at(6), Since(at(7), [message(7)])),
        (at(1), Since(at(7), None)),
        (at(1, 2), Since(at(1, 2), [])),
    ],
)
def test_what_a_client_asks_for_shows_a_hole(asked: Position, since: Since) -> None:
    position = begun(5)
    assert position.caught_up(asked, at(5), since) == Step(None, [], True)
    assert position.asking
    assert position.caught_up(asked, at(5), since) == Step(None, [], False)


def test_what_a_client_asks_for_is_known() -> None:
    position = begun(7)
    assert position.caught_up(at(6), at(7), Since(at(7), [message(7)])) == Step(None, [], False)
    assert not position.asking
