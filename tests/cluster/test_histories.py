"""What checks histories finds what is wrong with them."""

from __future__ import annotations

import pytest

from tests.cluster.histories import Log, SharedHistory, WrongHistory, check_order

RIGHT = [
    ['p["K","m.1-0",[]]', 'p["K","m.1-1",["a","b"]]', 'a["x"]', 'p["K","m.1-2",[]]'],
    # Everything may come behind a gap that was told.
    [
        'p["K","m.1-0",[]]',
        'r{"missed":[["K","room"]]}',
        'p["K","m.2-7",[]]',
        'p["K","m.2-8",["c"]]',
    ],
    ['p["K","m.1-4",["e"]]', 'p["K","m.1-4",[]]'],
]
WRONG = [
    ['p["K","m.1-0",[]]', 'p["K","m.1-2",["b"]]'],
    ['p["K","m.1-1",["a"]]', 'p["K","m.1-1",["a"]]'],
    ['p["K","m.1-1",["a"]]', 'p["K","m.1-3",[]]'],
    ['p["K","m.1-1",["a"]]', 'p["K","m.2-1",["f"]]'],
    ['r{"missed":[["K","room"]]}', 'p["K","m.1-1",["a"]]', 'p["K","m.1-3",["c"]]'],
]


@pytest.mark.parametrize("lines", RIGHT)
def test_right(lines: list[str]) -> None:
    Log(SharedHistory()).lines(lines)


@pytest.mark.parametrize("lines", WRONG)
def test_wrong(lines: list[str]) -> None:
    with pytest.raises(WrongHistory):
        Log(SharedHistory()).lines(lines)


def test_what_is_not_for_a_client() -> None:
    history = SharedHistory()
    Log(history).line('p["K","m.1-1",["a","b","c","d"]]')
    log = Log(history)
    log.forbidden |= {"b", "c"}
    log.lines(['p["K","m.1-1",["a"]]', 'p["K","m.1-3",[]]', 'p["K","m.1-4",["d"]]'])
    with pytest.raises(WrongHistory):
        log.line('p["K","m.1-5",["b"]]')
    other = Log(history)
    other.forbidden |= {"b"}
    other.line('p["K","m.1-1",["a"]]')
    with pytest.raises(WrongHistory):
        other.line('p["K","m.1-3",[]]')


def test_two_messages_at_one_place() -> None:
    history = SharedHistory()
    Log(history).line('p["K","m.1-1",["a"]]')
    with pytest.raises(WrongHistory):
        Log(history).line('p["K","m.1-1",["b"]]')


def test_a_position_that_was_told_goes_on() -> None:
    Log(SharedHistory(), {"K": "m.1-4"}).line('p["K","m.1-5",["a"]]')
    with pytest.raises(WrongHistory):
        Log(SharedHistory(), {"K": "m.1-4"}).line('p["K","m.1-6",["a"]]')


def test_all_of_a_room_in_order() -> None:
    history = SharedHistory()
    Log(history).lines(['p["K","m.2-1",["c"]]'])
    Log(history).lines(['p["K","m.1-9",["a","b"]]', 'p["L","m.1-1",["x"]]'])
    assert history.texts("K") == ["a", "b", "c"]


@pytest.mark.parametrize("heard", [["b", "a"], ["a", "a"]])
def test_order_of_who_knows_no_places(heard: list[str]) -> None:
    check_order(["a", "c"], ["a", "b", "c"])
    with pytest.raises(WrongHistory):
        check_order(heard, ["a", "b", "c"])
