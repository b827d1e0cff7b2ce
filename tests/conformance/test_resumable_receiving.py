"""``~r1``, "Receiving": polls, streams and hellos, and what they begin with; ours only."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.conformance.resumable import (
    BROKEN,
    Link,
    Resumable,
    Stream,
    lines_of,
    texts,
    token,
    told,
)
from tests.conformance.wire import Client

pytestmark = pytest.mark.ours

WAYS = ["xhr", "xhr_streaming", "websocket"]
RECEIVERS = WAYS[:2]


@pytest.fixture
def client(resumable_client: Client) -> Client:
    return resumable_client


@pytest.fixture
def one(client: Client) -> Resumable:
    return Resumable(client)


def begin(one: Resumable, way: str, **fields: Any) -> Link | Stream | list[str]:
    """Makes a receive request over any way; of a poll, its lines."""
    if way == "websocket":
        link = one.link()
        link.say(one.fields(**fields))
        return link
    return one.stream(**fields) if way == "xhr_streaming" else one.poll(**fields)


def first(one: Resumable, way: str, **fields: Any) -> str:
    """Makes a receive request, and returns the first line of its answer."""
    begun = begin(one, way, **fields)
    return begun[0] if isinstance(begun, list) else begun.line()


# Key


@pytest.mark.parametrize("way", WAYS)
def test_the_first_receive_request_sets_the_key_never_a_handshake(one: Resumable, way: str) -> None:
    one.link("new")
    assert told(first(one, way, new=True))["from"] == 1
    assert one.post("xhr", one.thief().fields()).status == 403


@pytest.mark.parametrize("way", RECEIVERS)
@pytest.mark.parametrize(
    "key", [None, "", "short", "k" * 21, "k" * 23, "k" * 21 + "=", "k" * 21 + "é", 5, True, []]
)
@pytest.mark.parametrize("opened", [True, False])
def test_missing_or_malformed_key_is_400(
    one: Resumable, way: str, key: object, opened: bool
) -> None:
    if opened:
        one.open()
    fields = {"request": 9, "received": 0} | ({} if key is None else {"key": key})
    assert one.post(way, fields).status == 400


@pytest.mark.parametrize("way", WAYS)
def test_wrong_key_leaves_the_session_untouched(one: Resumable, way: str) -> None:
    one.open().send(1, "a")
    thief = one.thief()
    if way == "websocket":
        link = thief.link()
        link.say(thief.fields(received=99))
        assert link.closed() == 4403
    else:
        assert thief.post(way, thief.fields(received=99)).status == 403
    assert texts(one.poll()) == ["a"]


# Request


@pytest.mark.parametrize("way", WAYS)
def test_lower_request_is_stale_and_changes_nothing(one: Resumable, way: str) -> None:
    one.open().send(1, "a")
    one.number = 57
    stream = one.stream(request=57)
    assert stream.until("a[")[-1] == 'a["a"]'
    begun = begin(one, way, request=56, received=1)
    line = begun[0] if isinstance(begun, list) else begun.line()
    assert line == 'r{"stale":57}'
    if isinstance(begun, Link):
        assert begun.closed()
    elif isinstance(begun, Stream):
        assert begun.line() == ""
    one.send(2, "b")
    assert stream.until("b")[-1].startswith('a["b"]')
    # Its acknowledgement does not count either.
    assert texts(one.poll(request=57)) == ["a", "b"]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("step", [0, 1, 40])
def test_the_same_request_again_or_a_higher_one_takes_over(
    one: Resumable, way: str, step: int
) -> None:
    one.open()
    stream = one.stream(request=3)
    assert "from" in told(stream.line())
    assert "from" in told(first(one, way, request=3 + step, now=True))
    assert stream.line() == json.dumps({"stale": 3 + step}).join(["r", ""]).replace(" ", "")
    assert stream.line() == ""


def test_a_held_poll_that_is_replaced_ends_with_stale(one: Resumable) -> None:
    one.open()
    held = one.held()
    number = one.number
    one.stream()
    assert lines_of(held.response("POST")) == [f'r{{"stale":{number + 1}}}']


# Received


@pytest.mark.parametrize("way", WAYS)
def test_received_is_the_acknowledgement(one: Resumable, way: str) -> None:
    one.open().deliver(1, "a", "b", "c")
    begun = begin(one, way, received=2)
    lines = begun if isinstance(begun, list) else begun.until('"c"')
    assert told(lines[0]) == {"from": 3, "received": 3}
    assert texts(lines) == ["c"]
    # What was acknowledged does not come again.
    assert told(first(one, "xhr", received=0, now=True))["from"] == 3


@pytest.mark.parametrize("way", WAYS)
def test_more_than_was_sent_is_the_end(one: Resumable, way: str) -> None:
    one.open().send(1, "a")
    assert first(one, way, received=2) == BROKEN
    assert one.poll()[-1] == BROKEN


@pytest.mark.parametrize("way", WAYS)
def test_what_was_not_acknowledged_comes_again(one: Resumable, way: str) -> None:
    one.open().deliver(1, "a", "b")
    assert texts(one.poll()) == ["a", "b"]
    begun = begin(one, way)
    assert texts(begun if isinstance(begun, list) else begun.until("b")) == ["a", "b"]


# New


@pytest.mark.parametrize("way", WAYS)
def test_without_new_an_unknown_session_is_lost(one: Resumable, way: str) -> None:
    begun = begin(one, way)
    line = begun[0] if isinstance(begun, list) else begun.line()
    assert line == 'r{"lost":{}}'
    if isinstance(begun, list):
        assert len(begun) == 1
    elif isinstance(begun, Stream):
        assert begun.line() == ""
    else:
        assert begun.closed()


@pytest.mark.parametrize("way", RECEIVERS)
def test_new_makes_the_session(one: Resumable, way: str) -> None:
    welcome = told(first(one, way, new=True))
    assert (welcome["from"], welcome["received"]) == (1, 0)
    assert welcome["window"] == 60
    assert welcome["heartbeat"] == 25
    assert isinstance(welcome["spread"], int | float)
    assert isinstance(welcome["net"], str)
    assert welcome["limit"] == 65536
    assert isinstance(welcome["home"], str)


@pytest.mark.parametrize("way", WAYS)
def test_new_again_is_told_the_terms_again(one: Resumable, way: str) -> None:
    one.open()
    assert told(first(one, way, new=True))["limit"] == 65536
    assert set(told(first(one, way, now=True))) == {"from", "received"}


def test_a_hello_with_new_after_a_handshake_without_makes_nothing(one: Resumable) -> None:
    """The application was not asked: only a handshake of ``websocket?new`` makes one."""
    assert one.hello(one.link(), new=True) == {"lost": {}}


def test_two_at_once_for_a_new_session_are_one(client: Client) -> None:
    """Another request for the same session waits for the outcome of the first."""
    one = Resumable(client, "/held", tag=token())
    poll = one.start("xhr", one.fields(new=True))
    assert client.events(one.tag, 1) == [["handshake"]]
    other = one.start("xhr", one.fields(new=True))
    third = one.start("xhr_streaming", one.fields(new=True))
    client.release(one.tag)
    assert "from" in told(Stream(third.response("POST")).line())
    for connection in (poll, other):
        assert lines_of(connection.response("POST"))[0].startswith("r{")
    assert one.send(1, "a")["arrived"] == 1
    events = client.events(one.tag, 3)
    assert [event[0] for event in events] == ["handshake", "open", "message"]


# Messages that go up with it


@pytest.mark.parametrize("way", [*RECEIVERS, "websocket"])
def test_messages_are_taken_before_the_welcome_is_written(one: Resumable, way: str) -> None:
    if way == "websocket":
        begun: Link | Stream | list[str] = one.link("new")
        assert isinstance(begun, Link)
        begun.say(one.fields(new=True, first=1, messages=["a", "b"]))
    else:
        begun = begin(one, way, new=True, first=1, messages=["a", "b"])
    one.until_handled(2)
    if isinstance(begun, list):
        begun += one.poll()
    else:
        begun = begun.until('"b"')
    assert texts(begun) == ["a", "b"]
    assert told(one.poll(received=2, now=True)[0]) == {"from": 3, "received": 2}


def test_messages_that_are_known_are_dropped(one: Resumable) -> None:
    one.open().deliver(1, "a", "b")
    one.poll(first=1, messages=["a", "b"])
    one.poll(first=2, messages=["b", "c"], received=2)
    assert texts(one.poll(received=2)) == ["c"]


def test_gap_in_what_goes_up_with_it(one: Resumable) -> None:
    one.open()
    assert one.poll(first=3, messages=["c"])[-1] == BROKEN


def test_first_without_messages_says_nothing(one: Resumable) -> None:
    one.open()
    assert told(one.poll(first=7, now=True)[0]) == {"from": 1, "received": 0}


@pytest.mark.parametrize("way", RECEIVERS)
def test_messages_need_first(one: Resumable, way: str) -> None:
    assert one.open().post(way, one.fields(messages=["a"])).status == 400


# Now, probe, heartbeat


def test_now_ends_at_once_with_what_waits(one: Resumable) -> None:
    one.open().deliver(1, "a")
    assert texts(one.poll()) == ["a"]
    assert one.poll(now=True) == ['r{"from":1,"received":1}', 'a["a"]']
    assert one.poll(received=1, now=True) == ['r{"from":2,"received":1}']
    assert one.poll(received=1, new=True)[0].startswith('r{"from":2,"received":1,')


def test_a_held_poll_leaves_with_a_welcome_composed_then(one: Resumable) -> None:
    """``received`` is that of the end, ``from`` that of the attach."""
    one.open()
    held = one.held()
    one.send(1, "a")
    response = held.response("POST")
    assert int(response["Content-Length"] or 0) == len(response.body)
    assert lines_of(response)[1] == 'a["a"]'
    assert told(lines_of(response)[0])["from"] == 1


def test_counts_alone_end_no_poll(one: Resumable) -> None:
    one.open()
    one.tag = token()
    held = one.held()
    # It is handled, and nothing comes of it.
    one.deliver(1, '[["join","room"]]')
    assert held.is_quiet(0.15)
    one.send(2, "a")
    assert lines_of(held.response("POST"))[1:] == ['a["a"]']


def test_probe_is_answered_and_not_attached(one: Resumable) -> None:
    one.open()
    stream = one.stream(request=5)
    assert "from" in told(stream.line())
    probe = one.stream(probe=12, request=None, received=None)
    assert probe.line() == 'r{"pong":12}'
    assert probe.response.connection.is_quiet(0.05)
    one.send(1, "a")
    assert stream.line() == 'a["a"]'
    # It used up no number.
    assert "from" in told(one.poll(request=5, now=True)[0])


@pytest.mark.parametrize("fields", [{}, {"request": 1, "received": 0}, {"new": True, "now": True}])
def test_probe_with_other_keys(one: Resumable, fields: dict[str, Any]) -> None:
    one.open()
    body = {"key": one.key, "probe": 0, **fields}
    assert Stream(one.post("xhr_streaming", body)).line() == 'r{"pong":0}'


def test_probe_of_an_unknown_session_and_with_a_wrong_key(one: Resumable) -> None:
    assert one.stream(probe=1).line() == 'r{"lost":{}}'
    one.open()
    assert one.thief().post("xhr_streaming", one.thief().fields(probe=1)).status == 403


@pytest.mark.parametrize("value", ["1", 1.0, -1, True, None, 2**53])
def test_probe_that_is_no_integer(one: Resumable, value: object) -> None:
    body = {"key": one.open().key, "request": 2, "received": 0, "probe": value}
    assert one.post("xhr_streaming", body).status == 400


def test_probe_is_passed_over_by_polls_and_websockets(one: Resumable) -> None:
    one.open()
    assert "from" in told(one.poll(probe=3, request=2, now=True)[0])
    assert "from" in one.hello(one.link(), probe=3, request=3)


@pytest.mark.parametrize("value", [5, 25, 5.0, 24.5])
def test_heartbeat_within_its_bounds(one: Resumable, value: float) -> None:
    one.open()
    assert "from" in told(one.poll(heartbeat=value, now=True)[0])


@pytest.mark.parametrize("value", [4, 4.999, 26, 0, -5, "5", True, [5], float("inf")])
@pytest.mark.parametrize("way", RECEIVERS)
def test_heartbeat_out_of_them_is_400(one: Resumable, way: str, value: object) -> None:
    assert one.open().post(way, one.fields(heartbeat=value)).status == 400


@pytest.mark.parametrize("way", WAYS[1:])
def test_heartbeats_of_the_endpoint_where_they_come_sooner(client: Client, way: str) -> None:
    one = Resumable(client, "/beating").open()
    begun = begin(one, way, heartbeat=25)
    assert not isinstance(begun, list)
    assert [begun.line(), begun.line()][1] == "h"


def test_a_heartbeat_ends_a_poll(client: Client) -> None:
    one = Resumable(client, "/beating").open()
    assert one.poll() == ['r{"from":1,"received":0}', "h"]


# Replaces


def test_replaces_ends_the_former_session(client: Client) -> None:
    former = Resumable(client, tag=token()).grown()
    one = Resumable(client)
    one.poll(new=True, replaces={"session": former.session, "key": former.key})
    assert client.events(former.tag, 2)[1] == ["close", 1000, "Replaced"]
    assert former.poll()[-1] == 'c[1000,"Replaced"]'


@pytest.mark.parametrize("wrong", ["key", "session", "itself", "without new"])
def test_replaces_that_is_passed_over(client: Client, wrong: str) -> None:
    former = Resumable(client).grown()
    one = Resumable(client)
    replaces = {"session": former.session, "key": former.key}
    if wrong == "itself":
        replaces = {"session": one.session, "key": one.key}
    elif wrong != "without new":
        replaces[wrong] = token()
    one.poll(new=True, replaces=replaces if wrong != "without new" else None)
    if wrong in ("itself", "without new"):
        one.poll(new=True if wrong == "itself" else None, now=True, replaces=replaces)
    assert one.send(1, "a")["arrived"] == 1
    assert told(former.poll(now=True)[0])["from"] == 1
    assert texts(one.poll()) == ["a"]


@pytest.mark.parametrize(
    "value", [5, [], {}, {"session": token()}, {"key": token()}, {"session": "x", "key": token()}]
)
def test_replaces_that_is_malformed_is_400(one: Resumable, value: object) -> None:
    assert one.post("xhr", one.fields(new=True, replaces=value)).status == 400
