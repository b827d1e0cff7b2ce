"""``~r1``, "The life of a session", row by row; ours only."""

from __future__ import annotations

import threading
import time

import pytest

from tests.conformance.resumable import Link, Resumable, Stream, lines_of, texts, token, told
from tests.conformance.wire import Client, eventually
from tests.pkgs.resumable_app import WINDOW

pytestmark = pytest.mark.ours

WAYS = ["xhr", "xhr_streaming", "websocket"]
LOST = 'r{"lost":{}}'


@pytest.fixture
def client(resumable_client: Client) -> Client:
    return resumable_client


@pytest.fixture
def one(client: Client) -> Resumable:
    return Resumable(client, tag=token())


def names(one: Resumable, count: int) -> list[str]:
    """Waits for so many events, and returns the names of all that the application saw."""
    return [event[0] for event in one.client.events(one.tag, count)]


# Birth


def test_application_opens_when_a_receive_request_brought_the_key(one: Resumable) -> None:
    link = one.link("new")
    link.say({"ping": 1})
    assert link.line() == 'r{"pong":1}'
    assert one.client.get(f"/events?tag={one.tag}&count=1&timeout=0").text == "[]"
    one.hello(link, new=True)
    assert names(one, 1) == ["open"]


def test_poll_with_new_beside_the_handshake(one: Resumable) -> None:
    """A hedge: both are the same session, and the application is asked once."""
    link = one.link("new")
    assert told(one.poll(new=True)[0])["from"] == 1
    assert one.hello(link) == {"from": 1, "received": 0}
    link.say(["a"])
    assert texts(link.until('"a"')) == ["a"]
    assert names(one, 2) == ["open", "message"]


def test_another_handshake_waits_for_the_outcome(client: Client) -> None:
    one = Resumable(client, "/held", tag=token())
    poll = one.start("xhr", one.fields(new=True))
    assert names(one, 1) == ["handshake"]
    opened: list[Link] = []
    thread = threading.Thread(target=lambda: opened.append(one.link("new")))
    thread.start()
    client.release(one.tag)
    thread.join()
    assert lines_of(poll.response("POST"))[0].startswith('r{"from":1,')
    assert one.hello(opened[0])["from"] == 1
    assert names(one, 2) == ["handshake", "open"]


# Young


@pytest.mark.parametrize("made", ["xhr", "xhr_streaming", "websocket", "handshake"])
def test_young_is_forgotten_after_the_disconnect_delay(client: Client, made: str) -> None:
    """One POST must not hold a place for a minute: the window is 30 s here."""
    one = Resumable(client, "/young", tag=token())
    if made == "xhr":
        one.poll(new=True)
    elif made == "xhr_streaming":
        stream = one.stream(new=True)
        stream.line()
        stream.response.connection.close()
    else:
        link = one.link("new")
        if made == "websocket":
            one.hello(link, new=True)
        link.websocket.close()
    if made == "handshake":
        eventually(lambda: told(one.poll(now=True)[0]) == {"lost": {}})
    else:
        assert names(one, 2) == ["open", "close"]
        assert one.poll() == [LOST]


@pytest.mark.parametrize("way", ["request", "frame", "send"])
def test_anything_from_the_client_after_the_welcome_makes_it_grow(client: Client, way: str) -> None:
    one = Resumable(client, "/growing", tag=token())
    if way == "frame":
        link = one.link("new")
        one.hello(link, new=True)
        link.say({"ping": 1})
        link.until("pong")
        link.websocket.close()
    else:
        one.open()
        if way == "send":
            one.send(1)
        else:
            one.poll(now=True)
    assert names(one, 2) == ["open", "suspend"]
    assert told(one.poll(now=True)[0])["from"] == 1


# Attached


@pytest.mark.parametrize("way", ["xhr_streaming", "websocket"])
@pytest.mark.parametrize("end", ["close", "reset"])
def test_receiver_that_breaks_interrupts_nothing(one: Resumable, way: str, end: str) -> None:
    one.open()
    begun = one.attach(way)
    one.run(1, ["join", one.tag])
    begun.until('"received":1')
    connection = (
        begun.response.connection if isinstance(begun, Stream) else begun.websocket.connection
    )
    connection.close() if end == "close" else connection.reset()
    # It stays in its rooms, and what is sent is kept.
    other = Resumable(one.client).open()
    other.run(1, ["broadcast", "for all", one.tag])
    other.send(2, "x")
    assert texts(other.poll()) == ["x"]
    one.send(2, "own")
    stream = one.stream()
    assert texts(stream.until('"own"')) == ["for all", "own"]
    assert "close" not in names(one, 3)


@pytest.mark.parametrize("way", ["xhr", "xhr_streaming"])
def test_newer_request_has_it_and_the_older_ends_with_stale(one: Resumable, way: str) -> None:
    one.open()
    older = one.start(way, one.fields())
    if way == "xhr":
        one.until_newest()
    else:
        begun = Stream(older.response("POST"))
        assert "from" in told(begun.line())
    newer = one.stream()
    assert "from" in told(newer.line())
    last = f'r{{"stale":{one.number}}}'
    if way == "xhr":
        assert lines_of(older.response("POST")) == [last]
    else:
        assert list(begun) == [last]
    one.send(1, "a")
    assert newer.line() == 'a["a"]'


def test_replaced_websocket_may_say_hello_again(one: Resumable) -> None:
    link = one.websocket()
    stream = one.attach("xhr_streaming")
    assert isinstance(stream, Stream)
    # Its messages and its acknowledgements are still taken.
    link.say(["a"])
    assert stream.until('"a"')[-1] == 'a["a"]'
    link.say({"received": 1})
    link.say({"ping": 3})
    assert link.line() == 'r{"pong":3}'
    one.until_handled(1)
    assert one.hello(link)["from"] == 2
    assert list(stream)[-1] == f'r{{"stale":{one.number}}}'
    link.say(["b"])
    assert texts(link.until('"b"')) == ["b"]


@pytest.mark.parametrize(
    "frame", ['{"close":[1000,""]}', "x", '{"received":99}', '{"first":9,"messages":["x"]}', "[1]"]
)
def test_close_and_broken_frames_of_a_replaced_websocket_end_only_it(
    one: Resumable, frame: str
) -> None:
    link = one.websocket()
    stream = one.attach("xhr_streaming")
    link.say(frame)
    assert link.closed()
    one.send(1, "a")
    assert stream.until('"a"')[-1] == 'a["a"]'


def test_websocket_takes_over_from_a_websocket(one: Resumable) -> None:
    first = one.websocket()
    second = one.link()
    assert one.hello(second)["from"] == 1
    first.say(["a"])
    assert texts(second.until('"a"')) == ["a"]
    assert one.hello(first)["from"] == 1
    assert texts(first.until('"a"')) == ["a"]


def test_stale_hello_ends_its_link_and_nothing_else(one: Resumable) -> None:
    one.open()
    stream = one.attach("xhr_streaming")
    link = one.link()
    assert one.hello(link, request=1) == {"stale": one.number}
    assert link.closed()
    one.send(1, "a")
    assert stream.until('"a"')[-1] == 'a["a"]'


def test_hello_again_over_the_link_that_is_attached(one: Resumable) -> None:
    link = one.websocket()
    link.say(["a"])
    assert texts(link.until('"received":1')) == ["a"]
    assert one.hello(link) == {"from": 1, "received": 1}
    assert texts(link.until('"a"')) == ["a"]
    link.say(["b"])
    assert texts(link.until('"b"')) == ["b"]


# Suspended


@pytest.mark.parametrize("way", [*WAYS, "xhr_send"])
def test_suspended_and_resumed_are_told_to_the_application(client: Client, way: str) -> None:
    one = Resumable(client, "/away", tag=token()).grown()
    assert names(one, 2) == ["open", "suspend"]
    if way == "xhr_send":
        one.send(1)
    elif way == "xhr":
        one.poll(now=True)
    else:
        one.attach(way)
    assert names(one, 3)[:3] == ["open", "suspend", "resume"]
    if way in ("xhr", "xhr_send"):
        # Once for each time.
        assert names(one, 4) == ["open", "suspend", "resume", "suspend"]


def test_back_before_the_disconnect_delay_is_told_nobody(one: Resumable) -> None:
    one.grown()
    one.poll(now=True)
    one.send(1, "a")
    assert names(one, 2) == ["open", "message"]


@pytest.mark.parametrize("way", WAYS)
def test_window_passes(client: Client, way: str) -> None:
    """Closed with 3001, ``on_close``; then it is lost, which tells what was handled."""
    one = Resumable(client, "/lost", tag=token())
    attached = one.websocket()
    one.deliver(1, "a", "b")
    attached.websocket.close()
    eventually(lambda: ["close", 3001, "Timed out"] in client.events(one.tag, 5, timeout=0))
    names = [event[0] for event in client.events(one.tag, 5, timeout=0)]
    # Where the machine comes to it late, it is closed at once.
    assert [name for name in names if name != "suspend"] == ["open", "message", "message", "close"]
    if way == "websocket":
        link = one.link()
        assert one.hello(link) == {"lost": {"received": 2}}
        assert link.closed()
    else:
        assert lines_of(one.post(way, one.fields())) == ['r{"lost":{"received":2}}']
    assert lines_of(one.post(way if way != "websocket" else "xhr", one.fields(new=True))) == [
        'r{"lost":{"received":2}}'
    ]
    answer = one.send(3, "c")
    assert answer["lost"] == {"received": 2}
    assert answer["received"] == 2
    assert "closed" not in answer


def test_each_request_begins_the_window_anew(client: Client) -> None:
    one = Resumable(client, "/again", tag=token()).grown()
    begun, number = time.monotonic(), 0
    # For longer than the window is.
    while time.monotonic() < begun + 1.5 * WINDOW:
        number += 1
        one.send(number, f"{number}")
        client.events(one.tag, number + 1)
        assert told(one.poll(now=True)[0])["from"] == 1
        time.sleep(WINDOW / 20)
    stream = one.attach("xhr_streaming")
    assert len(texts(stream.until(f'"{number}"'))) == number


# Closed


@pytest.mark.parametrize("way", WAYS)
def test_messages_then_the_end_to_each_request(one: Resumable, way: str) -> None:
    one.open()
    one.run(1, ["send", "a"], ["send", "b"], ["close", 4321, "as asked"])
    names(one, 3)
    for _ in range(2):
        if way == "websocket":
            link = one.link()
            one.hello(link)
            lines = link.until("c[")
            assert link.closed()
        else:
            lines = lines_of(one.post(way, one.fields()))
        assert texts(lines) == ["a", "b"]
        assert lines[-1] == 'c[4321,"as asked"]'
    answer = one.send(2, "x", received=2)
    assert (answer["arrived"], answer["closed"]) == (1, [4321, "as asked"])
    assert lines_of(one.post("xhr", one.fields(received=2)))[-1] == 'c[4321,"as asked"]'


@pytest.mark.parametrize("way", ["xhr_streaming", "websocket"])
def test_end_reaches_who_is_attached(one: Resumable, way: str) -> None:
    one.open()
    begun = one.attach(way)
    one.run(1, ["send", "a"], ["close", 4000, "x"])
    lines = begun.until("c[")
    assert texts(lines) == ["a"]
    assert lines[-1] == 'c[4000,"x"]'
    if isinstance(begun, Link):
        assert begun.closed()
    else:
        assert begun.line() == ""


def test_end_reaches_a_held_poll(one: Resumable) -> None:
    one.open()
    held = one.held()
    one.run(1, ["close", 4000, "x"])
    lines = lines_of(held.response("POST"))
    assert lines[0].startswith('r{"from":1,')
    assert lines[-1] == 'c[4000,"x"]'


# Over


@pytest.mark.parametrize("way", [*WAYS, "new"])
def test_tombstone_tells_how_it_was_closed(client: Client, way: str) -> None:
    one = Resumable(client, "/lost", tag=token())
    one.websocket()
    one.run(1, ["send", "a"], ["close", 4321, "x"])
    names(one, 3)
    # What was not fetched within the window is gone.
    eventually(lambda: one.poll(now=True) == ['c[4321,"x"]'])
    if way == "websocket":
        link = one.link("new")
        link.say(one.fields(new=True))
        assert link.line() == 'c[4321,"x"]'
        assert link.closed()
    elif way == "new":
        assert one.poll(new=True) == ['c[4321,"x"]']
    else:
        assert lines_of(one.post(way, one.fields())) == ['c[4321,"x"]']
    answer = one.send(1, "a")
    assert (answer["arrived"], answer["received"], answer["closed"]) == (1, 1, [4321, "x"])


@pytest.mark.parametrize("way", WAYS)
def test_tombstone_and_a_wrong_key(client: Client, way: str) -> None:
    one = Resumable(client, "/lost", tag=token())
    one.websocket()
    one.run(1, ["close", 4321, "x"])
    names(one, 3)
    eventually(lambda: one.poll(now=True) == ['c[4321,"x"]'])
    thief = one.thief()
    for new in (None, True):
        if way == "websocket":
            link = thief.link("new" if new else "")
            link.say(thief.fields(new=new))
            assert link.closed() == 4403
        else:
            assert thief.post(way, thief.fields(new=new)).status == 403
    assert thief.post("xhr_send", {"key": thief.key}).status == 403
