"""``~r1``, "Sending": what goes up, over HTTP and over WebSockets; ours only."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.conformance.rawclient import BINARY
from tests.conformance.resumable import (
    BROKEN,
    Resumable,
    lines_of,
    texts,
    token,
    told,
)
from tests.conformance.wire import Client, eventually

pytestmark = pytest.mark.ours

ENDED = [3000, "Broken framing."]


@pytest.fixture
def client(resumable_client: Client) -> Client:
    return resumable_client


@pytest.fixture
def one(client: Client) -> Resumable:
    return Resumable(client)


def handled(one: Resumable) -> int:
    """Returns how many messages the server says that it has handled."""
    return int(one.send(1)["received"])


def hold(one: Resumable, first: int = 1) -> None:
    """Keeps the application from handling what follows."""
    assert one.run(first, ["hold"])["arrived"] == first
    one.client.events(one.tag, first + 1)


# Over HTTP


def test_answer_tells_what_has_arrived_and_what_was_handled(one: Resumable) -> None:
    one.open()
    answer = one.send(1, "a", "b")
    assert answer["arrived"] == 2
    assert set(answer) == {"arrived", "received"}
    eventually(lambda: handled(one) == 2)
    assert texts(one.poll()) == ["a", "b"]


def test_each_but_the_key_is_optional(one: Resumable) -> None:
    one.open().deliver(1, "a")
    assert texts(one.poll()) == ["a"]
    for fields in ({}, {"received": 1}, {"first": 5}, {"first": 2, "messages": []}):
        response = one.post("xhr_send", {"key": one.key, **fields})
        assert json.loads(response.body) == {"arrived": 1, "received": 1}
    assert told(one.poll(now=True)[0])["from"] == 2


def test_the_same_again_is_dropped(one: Resumable) -> None:
    one.open()
    for _ in range(3):
        assert one.send(1, "a", "b")["arrived"] == 2
    assert one.send(2, "b", "c")["arrived"] == 3
    eventually(lambda: handled(one) == 3)
    assert texts(one.poll()) == ["a", "b", "c"]


def test_two_copies_that_wait_for_room_are_taken_once(client: Client) -> None:
    one = Resumable(client, "/slow", tag=token()).open()
    hold(one)
    assert one.send(2, "a", "b")["arrived"] >= 2
    body = {"key": one.key, "first": 2, "messages": ["a", "b", "c", "d"]}
    copies = [one.start("xhr_send", body) for _ in range(3)]
    answers = [json.loads(copy.response("POST").body) for copy in copies]
    assert all(answer["arrived"] < 5 for answer in answers)
    copies = [one.start("xhr_send", body) for _ in range(3)]
    client.release(one.tag)
    answers = [json.loads(copy.response("POST").body) for copy in copies]
    assert all(3 <= answer["arrived"] <= 5 for answer in answers)
    # A second may be over before the application has made room.
    taken = one.send(2, "a", "b", "c", "d")["arrived"]
    while taken < 5:
        taken = one.send(taken + 1, *"abcd"[taken - 1 :])["arrived"]
    stream = one.stream()
    assert texts(stream.until('"d"')) == ["a", "b", "c", "d"]


def test_answer_after_one_second_tells_what_was_taken(client: Client) -> None:
    """The client goes on from there."""
    one = Resumable(client, "/slow", tag=token()).open()
    hold(one)
    many = [f"{number}" for number in range(10)]
    answer = one.send(2, *many)
    taken = answer["arrived"]
    assert 1 <= taken < 11
    assert answer["received"] == 0
    client.release(one.tag)
    assert one.send(taken + 1, *many[taken - 1 :])["arrived"] == 11
    assert texts(one.stream().until('"9"')) == many


def test_more_sends_at_once_than_an_honest_client_has_are_refused(client: Client) -> None:
    one = Resumable(client, "/slow", tag=token()).open()
    hold(one)
    body = {"key": one.key, "first": 2, "messages": ["a", "b", "c", "d"]}
    sends = [one.start("xhr_send", body) for _ in range(12)]
    answers = [send.response("POST") for send in sends]
    assert {answer.status for answer in answers} == {200, 503}
    client.release(one.tag)
    assert one.send(2, *"abcd")["arrived"] == 5


@pytest.mark.parametrize("opened", [True, False])
def test_unknown_session_is_404_and_wrong_key_403(one: Resumable, opened: bool) -> None:
    if opened:
        one.open()
    response = one.post("xhr_send", {"key": token(), "first": 1, "messages": ["a"]})
    assert response.status == (403 if opened else 404)


def test_session_that_a_handshake_has_made_is_unknown_to_a_send(one: Resumable) -> None:
    one.link("new")
    assert one.post("xhr_send", {"key": one.key, "first": 1, "messages": ["a"]}).status == 404


def test_gap_ends_the_session_which_receiver_and_answer_tell(one: Resumable) -> None:
    one.open()
    stream = one.stream()
    assert one.send(2, "b")["closed"] == ENDED
    assert stream.until("c[")[-1] == BROKEN
    assert stream.line() == ""
    answer = one.send(1, "a")
    assert (answer["arrived"], answer["closed"]) == (0, ENDED)


def test_received_beyond_what_was_sent_ends_the_session(one: Resumable) -> None:
    one.open()
    assert one.send(1, received=1)["closed"] == ENDED
    assert one.poll()[-1] == BROKEN


def test_send_acknowledges(one: Resumable) -> None:
    one.open().deliver(1, "a", "b")
    assert texts(one.poll()) == ["a", "b"]
    one.send(3, received=1)
    assert one.poll(now=True)[0] == 'r{"from":2,"received":2}'


# Close


@pytest.mark.parametrize("way", ["xhr_send", "websocket"])
@pytest.mark.parametrize("code", [1000, 3000, 4999])
def test_client_closes(client: Client, way: str, code: int) -> None:
    one = Resumable(client, tag=token())
    reason = "bye ✓ " + "x" * (123 - len("bye ✓ ".encode()))
    if way == "websocket":
        link = one.websocket()
        link.say({"close": [code, reason]})
        assert json.loads(link.until("c[")[-1][1:]) == [code, reason]
        assert link.closed()
    else:
        one.open()
        assert one.send(1, "a", close=[code, reason])["arrived"] == 1
    assert client.events(one.tag, 2 + (way == "xhr_send"))[-1] == ["close", code, reason]
    assert json.loads(one.poll()[-1][1:]) == [code, reason]
    assert one.send(1, "a")["closed"] == [code, reason]


@pytest.mark.parametrize("way", ["xhr_send", "websocket"])
def test_close_is_done_when_all_messages_are_handled(client: Client, way: str) -> None:
    one = Resumable(client, tag=token())
    link = one.websocket()
    hold(one)
    if way == "xhr_send":
        assert one.send(2, "a", close=[4000, "x"]) == {"arrived": 2, "received": 0}
    else:
        link.say({"first": 2, "messages": ["a"], "close": [4000, "x"]})
        link.say({"ping": 7})
        link.until("pong")
    assert len(client.events(one.tag, 2)) == 2
    client.release(one.tag)
    assert [event[0] for event in client.events(one.tag, 4)][2:] == ["message", "close"]
    lines = link.until("c[")
    assert (texts(lines), lines[-1]) == (["a"], 'c[4000,"x"]')


@pytest.mark.parametrize(
    "value",
    [
        *([code, ""] for code in (0, 999, 1001, 1006, 2999, 5000, 1e3, True, "1000", -1)),
        *([1000, reason] for reason in ("x" * 124, "é" * 62, "a\nb", "\x00", "\x7f", 5, None)),
        [],
        [1000],
        [1000, "", ""],
        {},
        1000,
        None,
    ],
)
def test_close_that_is_none(one: Resumable, value: object) -> None:
    one.open()
    assert one.post("xhr_send", {"key": one.key, "close": value}).status == 400
    link = one.link()
    one.hello(link)
    link.say({"close": value})
    assert link.line() == BROKEN


# Over a WebSocket


def test_array_goes_on_with_the_next_number(one: Resumable) -> None:
    one.open().deliver(1, "a")
    assert texts(one.poll()) == ["a"]
    link = one.link()
    assert one.hello(link, received=1)["received"] == 1
    link.say(["b"])
    link.say(["c", "d"])
    assert texts(link.until('"d"')) == ["b", "c", "d"]


def test_array_counts_from_the_welcome_what_is_known_is_dropped(client: Client) -> None:
    """What has arrived beyond what the welcome tells as handled."""
    one = Resumable(client, tag=token()).open()
    hold(one)
    one.send(2, "a", "b")
    link = one.link()
    assert one.hello(link)["received"] == 0
    link.say([json.dumps([["hold"]]), "a", "b", "c"])
    client.release(one.tag)
    assert texts(link.until('"c"')) == ["a", "b", "c"]


def test_numbered_messages_may_follow_the_hello_without_waiting(one: Resumable) -> None:
    one.open().send(1, "a")
    link = one.link()
    link.say(one.fields())
    link.say({"first": 1, "messages": ["a", "b"]})
    link.say({"first": 3, "messages": ["c"]})
    assert texts(link.until('"c"')) == ["a", "b", "c"]


def test_number_is_needed_when_another_way_got_some_through(one: Resumable) -> None:
    link = one.websocket()
    link.say(["a"])
    assert texts(link.until('"a"')) == ["a"]
    one.send(2, "b")
    link.say({"first": 3, "messages": ["c"]})
    # From here on it goes on from there.
    link.say(["d"])
    assert texts(link.until('"d"')) == ["b", "c", "d"]


def test_gap_over_a_websocket(one: Resumable) -> None:
    link = one.websocket()
    link.say({"first": 2, "messages": ["b"]})
    assert link.line() == BROKEN
    assert link.closed()
    assert one.send(1, "a")["closed"] == ENDED


def test_acknowledgement_over_a_websocket(one: Resumable) -> None:
    link = one.websocket()
    link.say(["a", "b", "c"])
    assert texts(link.until('"c"')) == ["a", "b", "c"]
    link.say({"received": 2})
    link.say({"ping": 1})
    link.until("pong")
    assert told(one.poll(now=True)[0])["from"] == 3


def test_pong_tells_the_count_so_far(one: Resumable) -> None:
    link = one.link("new")
    link.say({"ping": 1})
    assert link.line() == 'r{"pong":1}'
    one.hello(link, new=True)
    link.say({"ping": 2})
    assert link.line() == 'r{"pong":2,"at":0}'
    link.say(["a"])
    assert texts(link.until('"a"')) == ["a"]
    link.say({"ping": 0, "received": 1})
    assert link.until("pong")[-1] == 'r{"pong":0,"at":1}'


def test_pong_before_a_hello_of_an_unknown_session(one: Resumable) -> None:
    link = one.link()
    link.say({"ping": 5})
    assert link.line() == 'r{"pong":5}'


@pytest.mark.parametrize("frame", ["", "[]"])
def test_nothing_is_nothing(one: Resumable, frame: str) -> None:
    link = one.link("new")
    link.say(frame)
    assert one.hello(link, new=True)["from"] == 1
    link.say(frame)
    link.say(["a"])
    assert texts(link.until('"a"')) == ["a"]


BAD_FRAMES = [
    *("x", "{", "5", "null", "true", '"a"', "{}", "[1]", '["a",1]', '[["a"]]', "[null]"),
    *('{"messages":["a"]}', '{"first":0,"messages":["a"]}', '{"first":1,"messages":"a"}'),
    *('{"first":1.0,"messages":["a"]}', '{"first":true,"messages":["a"]}'),
    *('{"received":-1}', '{"received":"1"}', '{"received":true}', '{"received":1.0}'),
    *('{"received":9007199254740992}', '{"received":99}', '{"received":null}'),
    *('{"ping":"1"}', '{"ping":1.5}', '{"ping":true}', '{"ping":null}', '{"ping":[]}'),
    *("[" * 5000, '{"a":' * 5000, '["a"]x', "a[]", "\ufeff[]", "[NaN]"),
]


@pytest.mark.parametrize("frame", BAD_FRAMES, ids=lambda frame: frame[:40])
def test_anything_else_is_broken_framing_after_the_hello(one: Resumable, frame: str) -> None:
    link = one.websocket()
    link.say(frame)
    assert link.line() == BROKEN
    assert link.closed()
    assert one.poll()[-1] == BROKEN


@pytest.mark.parametrize(
    "frame", [*BAD_FRAMES, '["a"]', '{"close":[1000,""]}', '{"first":1,"messages":["a"]}']
)
def test_anything_else_ends_only_the_link_before_the_hello(one: Resumable, frame: str) -> None:
    one.open()
    link = one.link()
    link.say(frame)
    assert link.closed()
    assert one.send(1, "a")["arrived"] == 1
    assert texts(one.poll()) == ["a"]


@pytest.mark.parametrize("said", [True, False])
def test_binary_frame(one: Resumable, said: bool) -> None:
    one.open()
    link = one.link()
    if said:
        one.hello(link)
    link.websocket.send_frame(BINARY, b"x")
    if said:
        assert link.line() == BROKEN
    assert link.closed()
    assert ("closed" in one.send(1, "a")) is said


@pytest.mark.parametrize("frame", ['{"received":0,"x":1}', '{"ping":1,"y":{}}'])
def test_unknown_keys_are_passed_over(one: Resumable, frame: str) -> None:
    link = one.websocket()
    link.say(frame)
    link.say(["a"])
    assert texts(link.until('"a"')) == ["a"]


# What the server says of what came


@pytest.mark.parametrize("way", ["xhr_streaming", "websocket"])
def test_received_goes_after_the_messages_of_a_write_or_alone(client: Client, way: str) -> None:
    one = Resumable(client).open()
    begun: Any = one.stream() if way == "xhr_streaming" else one.link()
    if way == "websocket":
        one.hello(begun)
    else:
        assert "from" in told(begun.line())
    one.run(1, ["join", "room"])
    # Nothing leaves with it: alone, after 50 ms.
    assert begun.line() == 'r{"at":0,"received":1}'
    one.send(2, "a")
    assert begun.line() == 'a["a"]'
    assert begun.line() == 'r{"at":1,"received":2}'


@pytest.mark.parametrize("way", ["xhr_streaming", "websocket"])
def test_busy_is_said_while_the_server_does_not_read(client: Client, way: str) -> None:
    one = Resumable(client, "/slow", tag=token()).open()
    begun: Any = one.stream() if way == "xhr_streaming" else one.link()
    if way == "websocket":
        one.hello(begun)
        begun.say([json.dumps([["hold"]]), *"abcdef"])
    else:
        assert one.run(1, ["hold"])["arrived"] == 1
        client.events(one.tag, 2)
        one.start("xhr_send", {"key": one.key, "first": 2, "messages": list("abcdef")})
    line = told(begun.until("busy")[-1])
    assert line["busy"] is True
    assert line["at"] == 0
    client.release(one.tag)
    if way == "xhr_streaming":
        one.send(2, *"abcdef")
    assert texts(begun.until('"f"')) == list("abcdef")


def test_nothing_is_lost_of_what_a_websocket_sends_without_room(client: Client) -> None:
    one = Resumable(client, "/slow", tag=token())
    link = one.websocket()
    link.say([json.dumps([["hold"]])])
    many = [f"{number}" for number in range(300)]
    for text in many:
        link.say([text])
    lines = link.until("busy")
    client.release(one.tag)
    while len(texts(lines)) < len(many):
        lines.append(link.line())
    assert texts(lines) == many


# Too large


def test_413_ends_nothing(client: Client) -> None:
    one = Resumable(client, "/small").open()
    for transport in ("xhr_send", "xhr", "xhr_streaming"):
        body = one.fields(first=1, messages=["x" * 3000])
        assert one.post(transport, body).status == 413
    assert one.send(1, "a")["arrived"] == 1
    assert lines_of(one.post("xhr", one.fields()))[1] == 'a["a"]'


def test_frame_that_is_too_large_ends_the_link_and_not_the_session(client: Client) -> None:
    one = Resumable(client, "/small")
    link = one.websocket()
    link.say(["x" * 3000])
    assert link.closed() == 1009
    assert one.send(1, "a")["arrived"] == 1
