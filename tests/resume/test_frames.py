"""The grammar: what is taken of clients, what is refused, and how lines look."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sockjs_bridge.core.frames import Place, placed
from sockjs_bridge.resume import frames, lines
from sockjs_bridge.resume.frames import FrameError, ReceiveRequest, Replaced, Send
from tests.resume.support import KEY, OTHER_KEY

LEAST = {"key": KEY, "request": 1, "received": 0}


def receive(*, stream: bool = False, **fields: Any) -> ReceiveRequest:
    body = {name: value for name, value in (LEAST | fields).items() if value is not ...}
    return frames.parse_receive(json.dumps(body).encode(), stream=stream)


def send(**fields: Any) -> Send:
    return frames.parse_send(json.dumps({"key": KEY, **fields}).encode())


def test_least_receive_request() -> None:
    assert receive() == ReceiveRequest(KEY, 1, 0)


def test_all_keys_of_a_receive_request() -> None:
    request = receive(
        request=2**53 - 1,
        received=17,
        new=True,
        first=6,
        messages=["a", "\ud800"],
        now=True,
        heartbeat=5.5,
        rooms={"K": "E-1"},
        client=OTHER_KEY,
        base=0,
        repeated=3,
        replaces={"session": KEY, "key": OTHER_KEY, "more": 1},
        incarnation="x-1",
        unknown={"passed": "over"},
    )
    assert request == ReceiveRequest(
        KEY,
        2**53 - 1,
        17,
        True,
        6,
        ("a", "\ud800"),
        True,
        None,
        5.5,
        {"K": "E-1"},
        OTHER_KEY,
        0,
        3,
        Replaced(KEY, OTHER_KEY),
        "x-1",
    )


@pytest.mark.parametrize(
    "fields",
    [
        *({"key": value} for value in (..., 1, "", "k" * 21, "k" * 23, "k" * 21 + "=", None)),
        *({"request": value} for value in (..., 0, -1, 1.0, True, "1", 2**53, None)),
        *({"received": value} for value in (..., -1, 0.0, False, "0", 2**53, 10**4000, None)),
        *({"new": value} for value in (1, "true", None)),
        *({"now": value} for value in (0, None)),
        *({"first": value} for value in (0, -1, True, "1", None)),
        *({"first": 1, "messages": value} for value in ("a", [1], {"a": 1}, None, [["a"]])),
        {"messages": ["a"]},
        {"first": 2**53 - 1, "messages": ["a", "b"]},
        *({"heartbeat": value} for value in (4.9, 26, True, "5", None, float("nan"))),
        *({"rooms": value} for value in ([], "x", {"a": 1}, None)),
        *({"client": value} for value in ("x", 1, None)),
        *({"base": value} for value in (-1, "1", None)),
        *({"repeated": value} for value in (-1, True, None)),
        *({"replaces": value} for value in ("x", {}, {"session": KEY}, {"key": KEY}, None)),
        *({"incarnation": value} for value in (1, None, [])),
    ],
)
def test_bad_receive_requests(fields: dict[str, Any]) -> None:
    with pytest.raises(FrameError):
        receive(**fields)


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"1", b'"x"', b"null", b"\xff", b"[" * 5000, b'{"a":' * 5000, b"{}"],
)
def test_what_is_no_request(body: bytes) -> None:
    for parse in (frames.parse_receive, frames.parse_send):
        with pytest.raises(FrameError):
            parse(body)


def test_probe_counts_for_a_stream_only() -> None:
    assert receive(probe=7).probe is None
    assert receive(probe=7, stream=True).probe == 7
    probe = receive(probe=7, stream=True, request=..., received=...)
    assert (probe.request, probe.received) == (0, 0)
    with pytest.raises(FrameError):
        receive(probe="7", stream=True)


def test_sends() -> None:
    assert send() == Send(KEY)
    assert send(first=6, messages=["a"], received=17, close=[3000, "bye"]) == Send(
        KEY, 6, ("a",), 17, (3000, "bye")
    )


@pytest.mark.parametrize(
    "close",
    [
        *([], [1000], [1000, 1], ["1000", ""], [True, ""], [1000.0, ""], [1001, ""], [2999, ""]),
        *([5000, ""], [1000, "\n"], [1000, "\x7f"], [1000, "ä" * 62], [1000, "", 1], None, {}),
    ],
)
def test_bad_closes(close: Any) -> None:
    with pytest.raises(FrameError):
        send(close=close)
    with pytest.raises(FrameError):
        frames.parse_frame(json.dumps({"close": close}))


def test_closes_within_the_bounds() -> None:
    for code in (1000, 3000, 4999):
        assert send(close=[code, "ä" * 61 + "x"]).close == (code, "ä" * 61 + "x")


def test_frames_of_a_websocket() -> None:
    assert frames.parse_frame("") == frames.NOTHING
    assert frames.parse_frame("[]") == frames.NOTHING
    assert frames.parse_frame('["a","b"]') == Send(messages=("a", "b"))
    assert frames.parse_frame('{"first":6,"messages":["a"]}') == Send(first=6, messages=("a",))
    assert frames.parse_frame('{"received":17,"x":1}') == Send(received=17)
    assert frames.parse_frame('{"ping":0}') == Send(ping=0)
    assert frames.parse_frame('{"close":[1000,""]}') == Send(close=(1000, ""))
    assert frames.parse_frame(json.dumps(LEAST)) == ReceiveRequest(KEY, 1, 0)


@pytest.mark.parametrize(
    "text",
    [
        *('"a"', "1", "null", "{}", '{"x":1}', "[1]", '{"messages":["a"]}', '{"ping":"1"}', "x"),
        *('{"ping":true}', '{"received":-1}', '{"first":0,"messages":[]}', '{"key":1}', "[" * 5000),
        '{"first":6}',
    ],
)
def test_bad_frames(text: str) -> None:
    with pytest.raises(FrameError):
        frames.parse_frame(text)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists) | st.text())
def test_whatever_comes_is_parsed_or_refused(value: Any) -> None:
    for text in (json.dumps(value), str(value)):
        with contextlib.suppress(FrameError):
            frames.parse_frame(text)


def test_lines() -> None:
    assert lines.welcome(17, 5) == b'r{"from":17,"received":5}'
    assert lines.welcome(1, 0, {"home": ""}) == b'r{"from":1,"received":0,"home":""}'
    assert lines.counts(20, 6) == b'r{"at":20,"received":6}'
    assert lines.counts(20, ack=True, busy=True) == b'r{"at":20,"ack":true,"busy":true}'
    assert lines.pong(1) == b'r{"pong":1}'
    assert lines.pong(1, 3) == b'r{"pong":1,"at":3}'
    assert lines.stale(57) == b'r{"stale":57}'
    assert lines.lost() == b'r{"lost":{}}'
    assert lines.lost(0) == b'r{"lost":{"received":0}}'
    assert lines.moved(2.5) == b'r{"moved":2.5}'
    assert lines.Missed("KEY", "notes").line == b'r{"missed":[["KEY","notes"]]}'
    missed = lines.Missed("KEY", "notes", Place("KEY", "E", 7))
    assert missed.line == b'r{"missed":[["KEY","notes","E-7"]]}'


def test_messages_share_a_line() -> None:
    assert lines.messages([]) == []
    assert lines.messages([b'"a"', b'"b"']) == [b'a["a","b"]']


def test_only_the_array_is_split() -> None:
    assert lines.messages([b'"aa"'] * 3, 12) == [b'a["aa","aa"]', b'a["aa"]']
    assert lines.messages([b'"' + b"x" * 99 + b'"', b'"a"'], 12) == [
        b'a["' + b"x" * 99 + b'"]',
        b'a["a"]',
    ]


@given(
    st.lists(st.text("abc", max_size=30).map(lambda text: json.dumps(text).encode())),
    st.integers(10, 50),
)
def test_lines_stay_within_their_size(quoted: list[bytes], size: int) -> None:
    made = lines.messages(quoted, size)
    assert [text for line in made for text in json.loads(line[1:])] == [
        json.loads(text) for text in quoted
    ]
    for line in made:
        assert len(line) <= size or len(json.loads(line[1:])) == 1


def test_positions() -> None:
    items: list[lines.Item] = [
        placed(b'"a"', Place("K", "E", 7)),
        placed(b'"b"', Place("K", "E", 8)),
        lines.At(Place("K", "E", 9)),
        placed(b'"c"', Place("K", "E", 10)),
        placed(b'"d"', Place("L", "E", 11)),
        b'"e"',
        lines.Missed("L", "notes"),
        placed(b'"f"', Place("L", "F", 12)),
    ]
    assert lines.messages(items, placed=True) == [
        b'p["K","E-7",["a","b"]]',
        b'p["K","E-9",[]]',
        b'p["K","E-10",["c"]]',
        b'p["L","E-11",["d"]]',
        b'a["e"]',
        b'r{"missed":[["L","notes"]]}',
        b'p["L","F-12",["f"]]',
    ]
    messages = [item for item in items if isinstance(item, bytes)]
    assert lines.messages(messages) == [b'a["a","b","c","d","e","f"]']


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from([1, 1, 1, 2]))), st.integers(40, 90)
)
def test_lines_of_positions_stay_within_their_size(steps: list[tuple[str, int]], size: int) -> None:
    items, number = list[lines.Item](), 0
    for text, step in steps:
        number += step
        items.append(placed(b'"' + text.encode() + b'"', Place("K", "E", number)))
    found = []
    for line in lines.messages(items, size, placed=True):
        room, position, texts = json.loads(line[1:])
        begin = int(position.partition("-")[2])
        found += [(begin + index, text) for index, text in enumerate(texts)]
        assert room == "K"
        assert len(line) <= size
    assert found == [(item.place.number, json.loads(item)) for item in items]
