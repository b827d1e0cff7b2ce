"""``~r1``, whose session it is: the key comes before the user; ours only."""

from __future__ import annotations

import json

import pytest

from tests.conformance.resumable import Resumable, lines_of, texts, token, told
from tests.conformance.wire import Client, eventually

pytestmark = pytest.mark.ours

ALICE = [("Authorization", "alice")]
MALLORY = [("Authorization", "mallory")]
SIGNED_OUT = 'c[4401,"Unauthorized"]'


@pytest.fixture
def client(resumable_client: Client) -> Client:
    return resumable_client


@pytest.fixture
def one(client: Client) -> Resumable:
    one = Resumable(client, "/members", tag=token())
    one.headers = ALICE
    return one.grown()


def untouched(one: Resumable) -> None:
    """The rightful client's session goes on."""
    one.headers = ALICE
    one.send(1, "fine")
    assert texts(one.stream().until('"fine"')) == ["fine"]


def test_same_headers_pass(one: Resumable) -> None:
    link = one.link()
    assert "from" in one.hello(link)
    untouched(one)


def test_changed_headers_of_the_same_user_pass(one: Resumable) -> None:
    """The application is asked."""
    one.headers = [*ALICE, ("Cookie", "session=renewed")]
    assert told(one.poll(now=True)[0])["from"] == 1
    assert one.send(1, "a")["arrived"] == 1
    link = one.link()
    assert "from" in one.hello(link)


def test_what_follows_a_hello_waits_until_the_application_has_said_who_that_is(
    one: Resumable,
) -> None:
    one.headers = [*ALICE, ("Cookie", "session=renewed")]
    link = one.link()
    link.say(one.fields())
    link.say({"first": 1, "messages": ["a"]})
    link.say(["b"])
    assert texts(link.until('"b"')) == ["a", "b"]


@pytest.mark.parametrize("way", ["xhr", "xhr_streaming", "xhr_send", "websocket", "probe"])
def test_somebody_else_is_403_and_looks_like_a_wrong_key(one: Resumable, way: str) -> None:
    one.headers = MALLORY
    thief = one.thief()
    thief.headers = ALICE
    if way == "websocket":
        codes = []
        for who in (one, thief):
            link = who.link()
            link.say(who.fields())
            closed = link.websocket.closed()
            codes.append((closed.code, closed.reason))
        assert codes[0] == codes[1]
        assert codes[0][0] == 4403
    elif way == "probe":
        for who in (one, thief):
            assert who.post("xhr_streaming", who.fields(probe=1)).status == 403
    else:
        answers = [who.post(way, who.fields(first=1, messages=["x"])) for who in (one, thief)]
        assert [answer.status for answer in answers] == [403, 403]
        assert answers[0].body == answers[1].body
    untouched(one)


@pytest.mark.parametrize("way", ["xhr", "xhr_streaming", "xhr_send", "websocket"])
def test_nobody_ends_it_with_4401(one: Resumable, way: str) -> None:
    """Who has the key and is signed out: nothing of what waits is told."""
    one.deliver(1, "secret")
    one.headers = []
    if way == "websocket":
        link = one.link()
        link.say(one.fields())
        lines = link.until("c[")
        assert link.closed()
    elif way == "xhr_send":
        assert one.send(1)["closed"] == [4401, "Unauthorized"]
        lines = one.poll()
    else:
        lines = lines_of(one.post(way, one.fields()))
    assert lines[-1] == SIGNED_OUT
    assert texts(lines) == []
    events = one.client.events(one.tag, 3)
    assert events[-1] == ["close", 4401, "Unauthorized"]


@pytest.mark.parametrize("headers", [[], MALLORY, [("Cookie", "a=b")]])
@pytest.mark.parametrize("query", ["", "new"])
def test_a_handshake_revokes_nothing(
    one: Resumable, headers: list[tuple[str, str]], query: str
) -> None:
    thief = one.thief()
    thief.headers = headers
    link = thief.link(query)
    link.say({"ping": 1})
    assert link.line() == 'r{"pong":1}'
    link.say(thief.fields(new=True))
    assert link.closed() == 4403
    untouched(one)


@pytest.mark.parametrize("way", ["xhr", "xhr_streaming", "xhr_send"])
def test_the_key_comes_before_the_user(one: Resumable, way: str) -> None:
    """Whoever knows an id from a log must not end a session by a request without a cookie."""
    thief = one.thief()
    body = thief.fields(first=1, messages=["evil"], close=[1000, ""], received=0, new=True)
    if way == "xhr_send":
        del body["request"], body["new"]
    assert thief.post(way, body).status == 403
    untouched(one)


@pytest.mark.parametrize("headers", [[], MALLORY])
@pytest.mark.parametrize("way", ["xhr", "xhr_streaming", "websocket"])
def test_nobody_else_brings_the_key(
    client: Client, way: str, headers: list[tuple[str, str]]
) -> None:
    """A handshake has made it, and who has read the id in a log is quicker than the owner."""
    one = Resumable(client, "/members", tag=token())
    one.headers = ALICE
    link = one.link("new")
    thief = one.thief()
    thief.headers = headers
    if way == "websocket":
        other = thief.link()
        other.say(thief.fields(new=True))
        assert other.closed() == 4403
    else:
        assert thief.post(way, thief.fields(new=True)).status == 403
    assert one.hello(link, new=True)["from"] == 1
    untouched(one)


def test_tombstone_is_told_to_the_right_user_only(client: Client) -> None:
    one = Resumable(client, "/former_members", tag=token())
    one.headers = ALICE
    one.websocket()
    one.run(1, ["close", 4321, "x"])
    client.events(one.tag, 3)
    # Until its window is over a welcome precedes it.
    eventually(lambda: one.poll(now=True) == ['c[4321,"x"]'])
    for headers in (MALLORY, []):
        one.headers = headers
        for transport in ("xhr", "xhr_streaming"):
            assert one.post(transport, one.fields(new=True)).status == 403
        assert one.post("xhr_send", {"key": one.key}).status == 403
    one.headers = ALICE
    assert one.poll() == ['c[4321,"x"]']


def test_tombstone_is_told_to_the_user_whose_cookie_was_renewed_meanwhile(client: Client) -> None:
    """The application is asked, as long as anything of the session is known."""
    one = Resumable(client, "/former_members", tag=token())
    one.headers = ALICE
    one.grown().run(1, ["close", 4321, "x"])
    eventually(lambda: one.poll(now=True) == ['c[4321,"x"]'])
    one.headers = [*ALICE, ("Cookie", "session=renewed")]
    assert one.poll(new=True) == ['c[4321,"x"]']
    one.headers = [*ALICE, ("Cookie", "session=renewed again")]
    assert one.send()["closed"] == [4321, "x"]
    one.headers = [*ALICE, ("Cookie", "session=renewed once more")]
    link = one.link()
    link.say(one.fields())
    assert link.line() == 'c[4321,"x"]'


@pytest.mark.parametrize("who", [ALICE, MALLORY])
def test_other_credentials_while_the_application_is_asked(
    client: Client, who: list[tuple[str, str]]
) -> None:
    """A cookie is renewed between the two requests with which a client begins."""
    one = Resumable(client, "/held", tag=token())
    one.headers = ALICE
    poll = one.start("xhr", one.fields(new=True))
    assert client.events(one.tag, 1) == [["handshake"]]
    one.headers = [*who, ("Cookie", "session=renewed")]
    other = one.start("xhr", one.fields(new=True, now=True))
    # By now the server has read that.
    client.events(one.tag, 1)
    client.release(one.tag)
    assert lines_of(poll.response("POST"))[0].startswith("r{")
    answer = other.response("POST")
    if who is ALICE:
        assert told(lines_of(answer)[0])["from"] == 1
    else:
        assert answer.status == 403


def test_stale_is_asked_after_the_user(one: Resumable) -> None:
    """Session known, key, user, stale, ``received``: in this order."""
    number = one.number
    one.headers = MALLORY
    assert one.post("xhr", one.fields(request=1, received=99)).status == 403
    one.headers = ALICE
    assert one.poll(request=1, received=99) == [
        json.dumps({"stale": number}).join(["r", ""]).replace(" ", "")
    ]
    assert one.post("xhr", {**one.thief().fields(request=1), "key": token()}).status == 403
