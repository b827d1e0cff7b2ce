"""``~r1``, "Acknowledgements cost nearly nothing", and what bounds all else; ours only."""

from __future__ import annotations

import json

import pytest

from tests.conformance.conftest import PLACES, Launch
from tests.conformance.resumable import Resumable, texts, token, told
from tests.conformance.wire import Client, eventually

pytestmark = pytest.mark.ours

SLOW = 'c[4008,"Slow consumer"]'
LINE = 32768


@pytest.fixture
def client(resumable_client: Client) -> Client:
    return resumable_client


# Lines and responses


@pytest.mark.parametrize("way", ["xhr", "xhr_streaming", "websocket"])
def test_lines_have_at_most_32_kib(client: Client, way: str) -> None:
    """Only the array is split."""
    one = Resumable(client).open()
    sent = [f"{number:05}" + "x" * 995 for number in range(100)]
    one.deliver(1, *sent[:60])
    one.deliver(61, *sent[60:])
    lines = one.poll() if way == "xhr" else one.attach(way).until(sent[-1])
    assert texts(lines) == sent
    arrays = [line for line in lines if line[0] == "a"]
    assert max(map(len, arrays)) <= LINE
    assert len(arrays) == 4


@pytest.mark.parametrize("way", ["xhr", "xhr_streaming", "websocket"])
def test_one_message_is_never_split(client: Client, way: str) -> None:
    one = Resumable(client).open()
    message = "x" * 60000
    one.deliver(1, "a", message, "b")
    begun = one.poll() if way == "xhr" else one.attach(way).until('"b"')
    received = texts(begun)
    if way == "xhr" and len(received) < 3:
        received += texts(one.poll(received=len(received)))
    assert received == ["a", message, "b"]


def test_several_lines_to_a_poll_until_the_limit_of_a_response(client: Client) -> None:
    one = Resumable(client, "/limited").open()
    sent = [f"{number:03}" + "x" * 497 for number in range(20)]
    one.deliver(1, *sent)
    received: list[str] = []
    polls = 0
    while len(received) < 20:
        lines = one.poll(received=len(received))
        assert told(lines[0])["from"] == len(received) + 1
        assert sum(map(len, lines)) <= 4096 + 1024
        received += texts(lines)
        polls += 1
    assert received == sent
    assert polls <= 4


def test_stream_ends_at_a_line_by_its_limit(client: Client) -> None:
    """The next request follows at once."""
    one = Resumable(client, "/limited").open()
    sent = [f"{number:03}" + "x" * 497 for number in range(20)]
    one.send(1, *sent)
    received: list[str] = []
    while len(received) < 20:
        stream = one.stream(received=len(received))
        assert told(stream.line())["from"] == len(received) + 1
        size = 0
        for line in stream:
            received += texts([line])
            size += len(line)
            if len(received) == 20:
                break
        assert size <= 4096 + 1024
    assert received == sent


def test_stream_ends_at_a_line_by_its_age(client: Client) -> None:
    one = Resumable(client, "/aged").open()
    one.send(1, "a")
    lines = list(one.stream())
    assert texts(lines) == ["a"]
    assert lines[-1][0] != "c"
    assert told(one.poll(received=1, now=True)[0]) == {"from": 2, "received": 1}


# Acknowledgements


@pytest.mark.parametrize("way", ["xhr_streaming", "websocket"])
def test_acknowledgement_is_asked_for_when_half_of_the_queue_waits(
    client: Client, way: str
) -> None:
    """8 KiB may wait; what is acknowledged does not."""
    one = Resumable(client, "/queue").open()
    begun = one.attach(way)
    one.run(1, ["repeat", 3, 1000])
    lines = begun.until("xxx")
    one.run(2, ["repeat", 2, 1000])
    lines += begun.until('"ack":true')
    asked = told(lines[-1])
    assert asked["at"] == len(texts(lines)) == 5
    one.send(3, received=5)
    one.run(3, ["repeat", 5, 1000])
    lines = begun.until('"ack":true')
    assert told(lines[-1])["at"] == 10
    assert SLOW not in lines


@pytest.mark.parametrize("way", ["xhr", "xhr_streaming", "websocket"])
def test_beyond_the_queue_never_a_part_of_it(client: Client, way: str) -> None:
    """What was written and is not acknowledged counts."""
    one = Resumable(client, "/queue", tag=token()).open()
    one.run(1, ["repeat", 5, 1000])
    begun = None if way == "xhr" else one.attach(way)
    if begun is not None:
        begun.until("xxx")
    one.run(2, ["repeat", 5, 1000])
    assert client.events(one.tag, 4)[3] == ["close", 4008, "Slow consumer"]
    if begun is not None:
        assert begun.until("c[")[-1] == SLOW
    # It is told without anything of what waited.
    lines = one.poll()
    assert lines[-1] == SLOW
    assert texts(lines) == []


def test_with_acknowledgements_any_number_goes(client: Client) -> None:
    one = Resumable(client, "/queue").open()
    received = 0
    for number in range(1, 31):
        one.run(number, ["repeat", 2, 1000])
        received += len(texts(one.poll(received=received)))
    assert received >= 40
    assert told(one.poll(received=received, now=True)[0])["from"] == received + 1


# What suspended sessions keep


def keeping(client: Client, endpoint: str, size: int, text: str = "x") -> Resumable:
    """Opens a session that keeps a message while nobody receives."""
    one = Resumable(client, endpoint, tag=token()).grown()
    one.deliver(1, text * size)
    return one


def is_lost(one: Resumable) -> bool:
    return "lost" in told(one.poll(now=True)[0])


@pytest.mark.parametrize("endpoints", [("/echo", "/echo"), ("/echo", "/away")])
@pytest.mark.direct("max_suspended_bytes is of one process")
def test_oldest_suspended_go_first_over_all_of_the_process(
    launch_resumable: Launch, endpoints: tuple[str, str]
) -> None:
    """Whatever their endpoints."""
    with launch_resumable(max_suspended_bytes="10000") as client:
        oldest = keeping(client, endpoints[0], 4000)
        newer = keeping(client, endpoints[1], 4000)
        newest = keeping(client, endpoints[0], 4000)
        assert client.events(oldest.tag, 3)[2] == ["close", 3001, "Timed out"]
        assert oldest.poll(now=True) == ['r{"lost":{"received":1}}']
        assert [len(texts(one.poll())[0]) for one in (newer, newest)] == [4000, 4000]


@pytest.mark.direct("max_suspended_bytes is of one process")
def test_attached_sessions_do_not_count(launch_resumable: Launch) -> None:
    with launch_resumable(max_suspended_bytes="5000") as client:
        attached = Resumable(client).open()
        stream = attached.attach("xhr_streaming")
        attached.send(1, "x" * 4500)
        stream.until("xxx")
        other = keeping(client, "/echo", 4500)
        assert not is_lost(other)
        assert told(attached.poll(now=True)[0])["from"] == 1


@pytest.mark.direct("max_suspended_bytes is of one process")
def test_session_that_alone_keeps_too_much_ends(launch_resumable: Launch) -> None:
    with launch_resumable(max_suspended_bytes="1000") as client:
        one = Resumable(client, tag=token()).grown()
        one.deliver(1, json.dumps([]))
        one.send(2, "x" * 2000)
        assert client.events(one.tag, 4)[3] == ["close", 3001, "Timed out"]
        # The second one may have been at work still when it ended.
        assert told(one.poll(now=True)[0])["lost"]["received"] in (1, 2)


# Tombstones


def ended(client: Client, endpoint: str = "/lost", code: int = 4321) -> Resumable:
    """Makes a session that its application closes, and waits until only a tombstone is left."""
    one = Resumable(client, endpoint, tag=token())
    # What has nothing attached would have to be in time.
    one.websocket()
    one.run(1, ["close", code, "x"])
    client.events(one.tag, 3)
    # While it is there, its welcome precedes its end.
    eventually(lambda: one.poll(now=True) == [f'c[{code},"x"]'])
    return one


@pytest.mark.direct("max_tombstones is of one process")
def test_tombstones_are_bounded_over_all_of_the_process(launch_resumable: Launch) -> None:
    with launch_resumable(
        max_tombstones="2", resume_window="0.3", disconnect_delay="0.1"
    ) as client:
        ones = [ended(client, endpoint) for endpoint in ("/lost", "/echo", "/lost")]
        assert [one.poll()[0] for one in ones] == ['r{"lost":{}}', *['c[4321,"x"]'] * 2]


@pytest.mark.direct("max_tombstones is of one process")
def test_without_tombstones_nothing_is_known(launch_resumable: Launch) -> None:
    with launch_resumable(
        max_tombstones="0", resume_window="0.2", disconnect_delay="0.1"
    ) as client:
        one = Resumable(client, tag=token())
        attached = one.websocket()
        one.send(1, "a")
        attached.websocket.close()
        client.events(one.tag, 4)
        assert one.poll() == ['r{"lost":{}}']


@pytest.mark.direct("max_tombstones is of one process")
def test_a_flood_of_new_pushes_out_nobodys_tombstone(launch_resumable: Launch) -> None:
    with launch_resumable(max_tombstones="5") as client:
        one = ended(client)
        floods = [Resumable(client, "/lost", tag=token()) for _ in range(10)]
        for flood in floods:
            flood.poll(new=True, first=1, messages=["a"])
        for flood in floods:
            assert client.events(flood.tag, 3)[2] == ["close", 3001, "Timed out"]
        assert one.poll() == ['c[4321,"x"]']


# Places


@pytest.mark.direct(PLACES)
def test_sessions_are_bounded(launch_resumable: Launch) -> None:
    """Stock ones and those of ``~r1`` together, WebSockets of unknown sessions among them."""
    with launch_resumable(max_sessions="3") as client:
        one = Resumable(client).open()
        stock = client.session("/echo").open()
        waiting = Resumable(client).link()
        for endpoint in ("/echo", "/async"):
            link = Resumable(client, endpoint).handshake().handshake
            assert (link.status, link["Retry-After"]) == (503, "5")
        waiting.websocket.close()
        other = Resumable(client)
        eventually(lambda: other.post("xhr", other.fields(new=True)).status == 200)
        refused = Resumable(client)
        response = refused.post("xhr", refused.fields(new=True))
        assert (response.status, response["Retry-After"]) == (503, "5")
        assert told(one.poll(now=True)[0])["from"] == 1
        assert stock.exists()
        # Who has a session may always come back to it.
        assert "from" in one.hello(one.link())
        assert "from" in other.hello(other.link("new"))


@pytest.mark.direct(PLACES)
def test_handshakes_of_new_sessions_need_one_place_each(launch_resumable: Launch) -> None:
    with launch_resumable(max_sessions="2") as client:
        ones = [Resumable(client, endpoint) for endpoint in ("/echo", "/async")]
        links = [one.link("new") for one in ones]
        third = Resumable(client)
        assert third.handshake("new").handshake.status == 503
        assert third.handshake().handshake.status == 503
        for one, link in zip(ones, links, strict=True):
            assert one.hello(link, new=True)["from"] == 1


def test_fifth_link_without_a_hello_ends_the_oldest(client: Client) -> None:
    one = Resumable(client).open()
    links = [one.link() for _ in range(5)]
    assert links[0].closed()
    for link in links[1:]:
        link.say({"ping": 1})
        assert link.line() == 'r{"pong":1}'
    # A replaced one is among them.
    one.hello(links[1])
    one.hello(links[2])
    more = [one.link(), one.link()]
    assert links[3].closed()
    for link in (links[1], links[2], *more):
        link.say({"ping": 2})
        assert "pong" in link.until("pong")[-1]
    links[2].say(["a"])
    assert texts(links[2].until('"a"')) == ["a"]
    assert json.dumps("a") in one.poll()[1]
