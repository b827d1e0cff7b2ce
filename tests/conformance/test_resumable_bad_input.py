"""``~r1``, "Bad input": its sender is told, and nothing is kept, logged or done; ours only."""

from __future__ import annotations

import json
import logging
from itertools import pairwise
from typing import Any

import pytest

from tests.conformance.conftest import LOG, PLACES, Launch
from tests.conformance.resumable import BROKEN, Resumable, lines_of, texts, token, told
from tests.conformance.wire import Client, eventually

pytestmark = pytest.mark.ours

RECEIVERS = ["xhr", "xhr_streaming"]
POSTED = [*RECEIVERS, "xhr_send"]


@pytest.fixture
def client(resumable_client: Client) -> Client:
    return resumable_client


@pytest.fixture
def one(client: Client) -> Resumable:
    return Resumable(client).open()


def untouched(one: Resumable) -> None:
    """The rightful client's session goes on."""
    one.send(1, "fine")
    assert texts(one.poll()) == ["fine"]


# Bodies


@pytest.mark.parametrize("transport", POSTED)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"x",
        b"null",
        b"5",
        b"[]",
        b'["a"]',
        b'"a"',
        b"{",
        b"{}",
        b"{}x",
        b"{'key':1}",
        b"[" * 5000,
        b"[" * 5000 + b"]" * 5000,
        b'{"key":' * 5000,
        b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}",
        b"\xff\xfe{}",
        b'{"key":"\xff"}',
        "{}".encode("utf-16"),
        b"\x00" * 100,
        b"9" * 5000,
    ],
    ids=lambda body: repr(body[:12]),
)
def test_bodies_that_are_none(one: Resumable, transport: str, body: bytes) -> None:
    assert one.post(transport, body).status == 400
    untouched(one)


@pytest.mark.parametrize("transport", POSTED)
def test_body_with_a_byte_order_mark_is_none(one: Resumable, transport: str) -> None:
    """RFC 8259, 8.1: none is sent, and it may be refused."""
    body = b"\xef\xbb\xbf" + json.dumps(one.fields()).encode()
    assert one.post(transport, body).status == 400
    untouched(one)


@pytest.mark.parametrize("transport", POSTED)
def test_no_body_at_all(one: Resumable, transport: str) -> None:
    assert one.client.post(one.url(transport), None).status == 400
    untouched(one)


@pytest.mark.parametrize("transport", POSTED)
def test_body_in_chunks(one: Resumable, transport: str) -> None:
    body = json.dumps(one.fields(now=True)).encode()
    connection = one.client.connect()
    connection.start_request("POST", one.url(transport), [("Transfer-Encoding", "chunked")])
    for part in (body[:10], body[10:], b""):
        connection.send(b"%x\r\n%s\r\n" % (len(part), part))
    assert connection.response("POST").status == 200


def test_of_a_key_that_comes_twice_the_last_counts(one: Resumable) -> None:
    body = f'{{"key":"{token()}","key":"{one.key}","request":9,"received":7,"received":0,'
    assert lines_of(one.post("xhr", body + '"now":true}')) == ['r{"from":1,"received":0}']


@pytest.mark.parametrize("transport", RECEIVERS)
@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(
            (name, value)
            for name in ("request", "received")
            for value in (1.0, "1", True, None, -1, [], {}, 2**53, 10**400, 0.5)
        ),
        ("request", 0),
        *(("first", value) for value in (0, -1, 1.0, "1", True, None, 2**53)),
        *(("messages", value) for value in ("a", {}, None, [1], ["a", None], [["a"]], 5)),
        *((name, value) for name in ("new", "now") for value in (1, 0, "true", None, [])),
        *(("client", value) for value in ("x", 5, None, "c" * 21, "c" * 23, "c" * 21 + "+")),
        *(("base", value) for value in (-1, 1.0, "1", True, None, 2**53)),
        *(("repeated", value) for value in (-1, 1.0, "1", True, None, 2**53)),
        *(("rooms", value) for value in ("x", [], 5, None, True, {"a": 5}, {"a": None})),
    ],
)
def test_wrong_types_are_400(one: Resumable, transport: str, name: str, value: object) -> None:
    body = {"key": one.key, "request": 9, "received": 0, "first": 1, "messages": ["a"]}
    text = json.dumps({**body, "new": True, name: value})
    assert one.post(transport, text).status == 400
    untouched(one)


@pytest.mark.parametrize("transport", RECEIVERS)
@pytest.mark.parametrize("missing", ["key", "request", "received", "first"])
def test_missing_keys_are_400(one: Resumable, transport: str, missing: str) -> None:
    body = {"key": one.key, "request": 9, "received": 0, "first": 1, "messages": ["a"]}
    del body[missing]
    assert one.post(transport, body).status == 400
    untouched(one)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("first", value) for value in (0, -1, 1.0, "1", True, None, 2**53)),
        *(("messages", value) for value in ("a", {}, None, [1], ["a", None], [["a"]], 5)),
        *(("received", value) for value in (1.0, "1", True, None, -1, [], 2**53, 10**400)),
        ("key", None),
        ("key", "short"),
    ],
)
def test_wrong_types_in_a_send_are_400(one: Resumable, name: str, value: object) -> None:
    body = {"key": one.key, "first": 1, "messages": ["a"], "received": 0, name: value}
    assert one.post("xhr_send", body).status == 400
    untouched(one)


@pytest.mark.parametrize("huge", [2**53 - 1, 2**31])
def test_huge_numbers_within_what_there_may_be(client: Client, huge: int) -> None:
    one = Resumable(client).open()
    assert told(one.poll(request=huge, now=True)[0])["from"] == 1
    assert one.poll(request=huge, received=huge) == [BROKEN]
    other = Resumable(client).open()
    assert other.send(huge - 5, "a")["closed"] == [3000, "Broken framing."]


def test_numbers_of_messages_do_not_go_beyond_what_there_may_be(one: Resumable) -> None:
    body = {"key": one.key, "first": 2**53 - 1, "messages": ["a", "b"]}
    assert one.post("xhr_send", body).status == 400
    untouched(one)


@pytest.mark.parametrize("transport", POSTED)
def test_unknown_keys_are_passed_over(one: Resumable, transport: str) -> None:
    body = one.fields(now=True, x=1, Key="y", **{"": None, "__proto__": {"a": [[[]]]}})
    assert one.post(transport, body).status == 200


@pytest.mark.parametrize(
    "text", ["", "\x00", "\u2028", "\ud800", "\udc00x", "\U0001f600", "</script>", '"', "\\", "é"]
)
def test_any_text_is_a_message(one: Resumable, text: str) -> None:
    one.send(1, text)
    assert texts(one.poll()) == [text]


@pytest.mark.parametrize("transport", POSTED)
def test_bodies_of_the_size_that_may_be(one: Resumable, transport: str) -> None:
    limit = 65536
    for size, status in ((limit, 200), (limit + 1, 413)):
        body = json.dumps(one.fields(now=True, pad=""))
        body = body.replace('"pad": ""', f'"pad": "{"x" * (size - len(body))}"')
        assert len(body) == size
        assert one.post(transport, body).status == status
    untouched(one)


@pytest.mark.parametrize(
    "hello",
    [
        {"request": 0},
        {"received": -1},
        {"received": True},
        {"key": "short"},
        {"heartbeat": 4},
        {"messages": ["a"]},
        {"rooms": []},
    ],
)
def test_bad_hello_ends_only_its_link(one: Resumable, hello: dict[str, Any]) -> None:
    link = one.link()
    link.say({"key": one.key, "request": 9, "received": 0, **hello})
    assert link.closed()
    untouched(one)


def test_bad_hello_over_the_link_that_is_attached_ends_the_session(client: Client) -> None:
    """It comes with the key's proof: over the handshake's link that said a good one before."""
    one = Resumable(client)
    link = one.websocket()
    link.say({"key": one.key, "request": 0, "received": 0})
    assert link.line() == BROKEN


# Who knows the id alone


def test_reads_injects_and_ends_nothing(one: Resumable) -> None:
    one.send(1, "secret")
    thief = one.thief()
    for transport in RECEIVERS:
        answer = thief.post(transport, thief.fields(new=True, first=2, messages=["evil"]))
        assert (answer.status, answer.text) == (403, "Forbidden")
    body = {"key": thief.key, "first": 2, "messages": ["evil"], "close": [1000, ""], "received": 9}
    assert thief.post("xhr_send", body).status == 403
    for query in ("", "new"):
        link = thief.link(query)
        link.say(thief.fields(new=True))
        link.say({"first": 2, "messages": ["evil"], "close": [1000, ""]})
        assert link.closed() == 4403
    assert texts(one.poll()) == ["secret"]
    assert one.send(2, "fine")["arrived"] == 2


@pytest.mark.direct(LOG)
def test_wrong_keys_log_a_line_a_second_at_most(
    launch_resumable: Launch, caplog: pytest.LogCaptureFixture
) -> None:
    with launch_resumable() as client:
        one = Resumable(client).grown()
        thief = one.thief()
        connection = client.connect()
        caplog.clear()
        for _ in range(1000):
            thief.start("xhr", thief.fields(), connection)
            response = connection.response("POST")
            assert (response.status, response.body) == (403, b"Forbidden")
        untouched(one)
    times = [record.created for record in caplog.records if "wrong key" in record.getMessage()]
    assert times
    assert all(later - sooner > 0.9 for sooner, later in pairwise(times))


@pytest.mark.direct(PLACES)
def test_flood_of_new_holds_no_place_for_longer_than_the_disconnect_delay(
    launch_resumable: Launch,
) -> None:
    with launch_resumable(max_sessions="20") as client:
        for _ in range(20):
            Resumable(client, "/young").poll(new=True)
        one = Resumable(client, "/young", tag=token())
        while (answer := one.post("xhr", one.fields(new=True))).status == 503:
            # They end by themselves, and nobody waits for their window of 30 s.
            assert answer.body
        assert answer.status == 200


# What is written down


@pytest.mark.direct(LOG)
def test_keys_and_bodies_are_in_no_log(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        one = Resumable(client).grown()
        body = "in no log " + token()
        one.send(1, body)
        one.run(2, ["fail"])
        link = one.link()
        one.hello(link)
        link.say([body])
        link.say("x" + body)
        thief = one.thief()
        thief.post("xhr", thief.fields(first=1, messages=[body]))
        one.post("xhr", json.dumps(one.fields(x=body)) + "x")
        one.post("xhr_send", {"key": one.key, "close": body})
        other = Resumable(client, "/members")
        other.poll(new=True, first=1, messages=[body])
        eventually(lambda: "the script asked for it" in caplog.text)
    for secret in (one.key, thief.key, other.key, body):
        assert secret not in caplog.text


@pytest.mark.parametrize("way", ["xhr", "websocket"])
def test_application_sees_a_handshake_without_a_body(client: Client, way: str) -> None:
    """So that no debug page or exception report can show the key."""
    one = Resumable(client, tag=token())
    if way == "xhr":
        one.poll(new=True, first=1, messages=['[["environ"]]'])
    else:
        link = one.link("new")
        one.hello(link, new=True, first=1, messages=['[["environ"]]'])
    events = client.events(one.tag, 3)
    method, length, body, shown = events[2][1:]
    assert (method, length or "0", body) == ("GET", "0", "")
    assert one.key not in shown


@pytest.mark.direct(LOG)
def test_reason_of_a_client_is_in_no_log(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        one = Resumable(client, "/lost")
        one.websocket()
        reason = "in no log " + token()
        one.send(1, close=[4000, reason])
        eventually(lambda: f"{one.session} websocket ended" in caplog.text)
    assert reason not in caplog.text


def test_key_in_a_url_is_none(one: Resumable) -> None:
    """It stands in bodies only."""
    target = f"{one.url('xhr')}?key={one.key}"
    assert one.client.post(target, '{"request":2,"received":0}').status == 400
