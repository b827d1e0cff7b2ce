"""Rooms in a cluster: what each kind of client hears, wherever it is and whatever breaks."""

from __future__ import annotations

import json
import logging
import re
from typing import Any

import pytest

from sockjs_bridge.cluster import hub, places, subscriptions
from sockjs_bridge.cluster.engine import Bounds
from sockjs_bridge.cluster.store import Entry, StoreError
from sockjs_bridge.core.joined import Joined
from sockjs_bridge.core.monitor import Monitor
from tests.cluster.clusterserver import Cluster, ClusterServer
from tests.cluster.support import Client

#: What a line tells but its key and epoch, which are drawn anew.
PLACE = re.compile(r'"[0-9a-f]{24}"(?:,"[0-9a-f]{8}\.\d+-(\d+)")?')
GAP = re.compile(r',"[0-9a-f]{8}\.\d+-\d+"\]')


def told(client: Client) -> list[str]:
    """Read a client's lines, without what is drawn by chance."""
    lines = [PLACE.sub(lambda found: found[1] or "KEY", line) for line in client.read()]
    return [GAP.sub("]", line) for line in lines]


def messages(recorder: Any) -> list[str]:
    found: list[str] = recorder.messages
    return found


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


def test_all_processes_hear_in_one_order(cluster: Cluster) -> None:
    one, two, three = cluster.servers
    here, there, stranger = one.client(join="room"), two.client(join="room"), three.stranger("room")
    cluster.clock.settle()
    assert [
        server.broadcast(text) for server, text in zip(cluster.servers, "abc", strict=True)
    ] == [
        1,
        1,
        1,
    ]
    assert told(here) == told(there) == ["p[0,[]]", 'p[1,["a","b","c"]]']
    assert messages(stranger) == ["a", "b", "c"]
    assert here.positions == there.positions


@pytest.mark.parametrize("room", ["plain", ""])
def test_rooms_without_history(cluster: Cluster, room: str) -> None:
    """What is sent to all connections is such a one."""
    one, two, _ = cluster.servers
    here, there = one.client(join="plain"), two.stranger("plain")
    two.stranger("room")
    assert one.broadcast("a", room) == 1
    assert two.broadcast("b", room) == (2 if room == "" else 1)
    assert told(here) == ['a["a","b"]']
    assert messages(there) == ["a", "b"]


def test_who_has_just_joined_hears_what_it_sends(cluster: Cluster) -> None:
    """Its room is not subscribed yet: what is sent there waits."""
    one = cluster.servers[0]
    for room in ("room", "plain"):
        client = one.client()
        client.session.join(room)
        one.broadcast("hello", room)
        one.broadcast("all", room)
        assert client.texts == ["hello", "all"]


def test_only_so_much_waits_for_a_subscription(cluster: Cluster) -> None:
    one = cluster.servers[0]
    client = one.client()
    client.session.join("plain")
    texts = [str(number) for number in range(subscriptions.MAX_HELD + 5)]
    for text in texts:
        one.broadcast(text, "plain")
    # Those beyond were there before the room was heard.
    assert client.texts == texts[: subscriptions.MAX_HELD]


# Who is excluded


@pytest.mark.parametrize("room", ["room", "plain"])
def test_excluded_here(cluster: Cluster, room: str) -> None:
    one, two, _ = cluster.servers
    ann, bob, carol = one.client(join=room), one.client(join=room), two.client(join=room)
    cluster.clock.settle()
    assert one.broadcast("a", room, ann.session) == 1
    one.broadcast("b", room)
    assert [client.texts for client in (ann, bob, carol)] == [["b"], ["a", "b"], ["a", "b"]]
    assert one.history.hub._publisher.excluded(Entry("a", "node0/1")) == ()


def test_excluded_hears_of_the_place(cluster: Cluster) -> None:
    one = cluster.servers[0]
    ann = one.client(join="room")
    one.broadcast("a", "room", ann.session)
    one.broadcast("b")
    assert told(ann) == ["p[0,[]]", "p[1,[]]", 'p[2,["b"]]']


def test_all_are_excluded(cluster: Cluster) -> None:
    one, two, _ = cluster.servers
    ann, stranger = one.client(join="room"), one.stranger("room")
    there = two.client(join="room")
    cluster.clock.settle()
    assert one.history.broadcast("room", "a", {*one.rooms.members("room")}) == 0
    assert told(ann) == ["p[0,[]]", "p[1,[]]"]
    assert messages(stranger) == []
    assert told(there) == ["p[0,[]]", 'p[1,["a"]]']


def test_excluded_client_elsewhere_and_afterwards(cluster: Cluster) -> None:
    """It is known by what it calls itself: over all its sessions, in all processes."""
    one, two, _ = cluster.servers
    ann = one.client(join="room", name="a" * 22)
    ann.read()
    before = {**ann.positions}
    twin = two.client(join="room", name="a" * 22)
    cluster.clock.settle()
    one.broadcast("a", "room", ann.session)
    one.broadcast("b")
    assert told(twin) == ["p[0,[]]", "p[1,[]]", 'p[2,["b"]]']
    again = two.client(before, join="room", name="a" * 22)
    assert told(again) == ["p[1,[]]", 'p[2,["b"]]']


def test_exclusion_of_what_nobody_here_hears_is_forgotten(cluster: Cluster) -> None:
    one = cluster.servers[0]
    ann = one.client()
    one.broadcast("a", "room", ann.session)
    cluster.clock.settle()
    cluster.clock.advance(2 * hub.LOOK)
    publisher = one.history.hub._publisher
    assert (publisher._excluded, publisher._excluded_before) == ({}, {})


# What was missed


def test_a_client_goes_on_in_another_process(cluster: Cluster) -> None:
    one, two, _ = cluster.servers
    first = one.client(join="room")
    one.broadcast("a")
    assert first.texts == ["a"]
    first.session.finish()
    one.broadcast("b")
    again = two.client(first.positions, join="room")
    two.broadcast("c")
    assert told(again) == ['p[2,["b"]]', 'p[3,["c"]]']
    assert two.joined is not None
    assert two.joined.recovered is True
    assert two.joined == Joined(True)


def test_nothing_was_missed_and_nothing_is_asked(cluster: Cluster) -> None:
    one, two, _ = cluster.servers
    first, _ = one.client(join="room"), two.client(join="room")
    one.broadcast("a")
    first.read()
    two.store.fail()
    again = two.client(first.positions, join="room")
    assert told(again) == ["p[1,[]]"]
    assert two.joined is not None
    assert two.joined.recovered is True


def test_gap_is_told_to_who_comes_back(cluster: Cluster) -> None:
    one, two, _ = cluster.servers
    first = one.client(join="room")
    first.read()
    for number in range(6):
        one.broadcast(str(number))
    cluster.clock.settle()
    again = two.client(first.positions, join="room")
    two.broadcast("new")
    assert told(again) == ['r{"missed":[[KEY,"room"]]}', "p[6,[]]", 'p[7,["new"]]']
    assert two.joined is not None
    assert two.joined.recovered is False


@pytest.mark.parametrize("position", ["garbage", "E-7", "00000000.5-7"])
def test_position_of_no_cluster(cluster: Cluster, position: str) -> None:
    """It may be of any room: no gap is silent."""
    client = cluster.servers[0].client({"KEY": position}, join="room")
    assert told(client) == ['r{"missed":[[KEY,"room"]]}', "p[0,[]]"]


def test_who_tells_no_position_gets_what_is_new(cluster: Cluster) -> None:
    one, two, _ = cluster.servers
    one.broadcast("old")
    cluster.clock.settle()
    client = two.client(join="room")
    cluster.clock.settle()
    assert two.joined is not None
    assert two.joined.recovered is None
    one.broadcast("new")
    assert told(client) == ["p[1,[]]", 'p[2,["new"]]']


def test_silence_is_no_gap(cluster: Cluster) -> None:
    """However long nobody says anything in a room that somebody is in."""
    one, two, _ = cluster.servers
    client = one.client(join="room")
    cluster.clock.advance(3600)
    two.broadcast("a")
    assert told(client) == ["p[0,[]]", 'p[1,["a"]]']


def test_answers_that_come_late(cluster: Cluster) -> None:
    """What is heard while the store is asked comes behind what it says."""
    one, two, _ = cluster.servers
    first = one.client(join="room")
    first.read()
    one.broadcast("a")
    two.client(join="room")
    cluster.clock.settle()
    two.store.delay = 2
    again = two.client(first.positions, join="room")
    assert repr(two.joined) == "<Joined True recovered=?>"
    assert two.joined is not None
    one.broadcast("b")
    cluster.clock.settle()
    assert told(again) == []
    cluster.clock.advance(2)
    assert told(again) == ['p[1,["a"]]', 'p[2,["b"]]']
    assert repr(two.joined) == "<Joined True recovered=True>"


def test_joined_before_the_hello(cluster: Cluster) -> None:
    one, two, _ = cluster.servers
    first = one.client(join="room")
    one.broadcast("a")
    first.read()
    one.broadcast("b")
    early = Client(two)
    early.accept()
    assert early.session.join("room").recovered is None
    cluster.clock.settle()
    one.broadcast("c")
    cluster.clock.settle()
    early.hello(first.positions)
    one.broadcast("d")
    assert [text for line in told(early) for text in json.loads(line[1:])[1]] == list("bcd")
    assert two.history._entrants == {}


def test_joined_before_the_hello_with_all(cluster: Cluster) -> None:
    """What was gathered meanwhile it has from elsewhere."""
    one, two, _ = cluster.servers
    first = one.client(join="room")
    early = Client(two)
    early.accept()
    early.session.join("room")
    cluster.clock.settle()
    one.broadcast("a")
    first.read()
    early.hello(first.positions)
    assert told(early) == ["p[1,[]]"]


def test_never_said_hello(cluster: Cluster) -> None:
    one = cluster.servers[0]
    early = Client(one)
    early.accept()
    early.session.join("room")
    one.broadcast("a")
    cluster.clock.settle()
    early.session.finish()
    assert early.session.last_rooms == {"room"}
    assert one.history._entrants == {}


def test_joined_twice_and_left_meanwhile(cluster: Cluster) -> None:
    one, two, _ = cluster.servers
    first = one.client(join="room")
    first.read()
    one.broadcast("a")
    again = two.client(first.positions)
    two.store.delay = 1
    joined = again.session.join("room")
    assert again.session.join("room") is joined
    assert again.session.leave("room")
    assert not again.session.leave("room")
    assert joined.recovered is None
    cluster.clock.advance(3)
    assert told(again) == []
    assert not two.history._entrants


def test_who_is_over_enters_no_room(cluster: Cluster) -> None:
    one = cluster.servers[0]
    client = one.client()
    client.session.close(1000, "")
    for room in ("room", "plain"):
        assert not client.session.join(room)
    assert one.history._entrants == {}


# Which rooms are heard


def heard(server: ClusterServer) -> set[str]:
    return {*server.store._rooms}


def test_subscriptions_follow_rooms(cluster: Cluster) -> None:
    one = cluster.servers[0]
    ann, bob = one.client(join="room"), one.client(join="room")
    cluster.clock.settle()
    assert heard(one) == {"", "room"}
    ann.session.leave("room")
    cluster.clock.advance(2)
    bob.session.leave("room")
    cluster.clock.advance(subscriptions.LINGER - 0.1)
    assert heard(one) == {"", "room"}
    ann.session.join("room")
    cluster.clock.advance(1)
    assert heard(one) == {"", "room"}
    ann.session.finish()
    cluster.clock.advance(subscriptions.LINGER + 0.1)
    assert heard(one) == {""}


def test_rooms_of_one_tick_are_subscribed_at_once(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = cluster.servers[0]
    client, subscribed = one.client(), []
    monkeypatch.setattr(one.store, "subscribe", subscribed.append)
    for room in ("plain", "room"):
        client.session.join(room)
    cluster.clock.settle()
    assert subscribed == [["plain", "room"]]


def test_each_room_is_heard_a_little_longer(cluster: Cluster) -> None:
    one = cluster.servers[0]
    client = one.client()
    for room in ("plain", "other"):
        client.session.join(room)
    cluster.clock.settle()
    client.session.leave("plain")
    cluster.clock.advance(subscriptions.LINGER / 2)
    client.session.leave("other")
    cluster.clock.advance(subscriptions.LINGER / 2)
    assert heard(one) == {"", "other"}
    cluster.clock.advance(subscriptions.LINGER / 2)
    assert heard(one) == {""}


def test_what_is_not_confirmed_is_not_ended(cluster: Cluster) -> None:
    one = cluster.servers[0]
    one.store.delay = 3
    client = one.client(join="plain")
    client.session.leave("plain")
    cluster.clock.advance(2)
    assert heard(one) == {"", "plain"}
    cluster.clock.advance(4)
    assert heard(one) == {""}


def test_room_that_is_subscribed_again_after_its_end(cluster: Cluster) -> None:
    """After a cut the store confirms it once more, and that comes late."""
    one, two, _ = cluster.servers
    client = one.client(join="plain")
    cluster.clock.settle()
    one.store.fail()
    cluster.clock.settle()
    one.store.delay = subscriptions.LINGER + 1
    one.store.recover()
    client.session.leave("plain")
    cluster.clock.advance(subscriptions.LINGER + 2)
    assert heard(one) == {""}
    one.store.delay = 0
    client.session.join("plain")
    cluster.clock.settle()
    two.broadcast("a", "plain")
    assert client.texts == ["a"]


def test_rejoined_before_the_end_is_heard_of(cluster: Cluster) -> None:
    """A thread has it in the room already; the loop is about to hear of it."""
    one = cluster.servers[0]
    client = one.client(join="plain")
    client.session.leave("plain")
    cluster.clock.on_loop = False
    one.rooms.join(client.session, "plain")
    cluster.clock.now += 5
    cluster.clock.advance(0)
    assert heard(one) == {"", "plain"}


# What breaks


def test_what_was_published_while_the_connection_was_cut(cluster: Cluster) -> None:
    one, two, _ = cluster.servers
    client, stranger = two.client(join="room"), two.stranger("room")
    cluster.clock.settle()
    for turn in range(10):
        one.broadcast(f"{turn} before")
        cluster.clock.settle()
        two.store.fail()
        one.broadcast(f"{turn} while")
        cluster.clock.settle()
        two.store.recover()
        one.broadcast(f"{turn} after")
        cluster.clock.settle()
    sent = [f"{turn} {when}" for turn in range(10) for when in ("before", "while", "after")]
    assert client.texts == messages(stranger) == sent


def test_a_last_message_that_nobody_heard_is_found(cluster: Cluster) -> None:
    one, two, _ = cluster.servers
    client = two.client(join="room")
    cluster.clock.settle()
    cluster.clock.advance(hub.LOOK)
    two.store._rooms.clear()
    one.broadcast("unheard")
    cluster.clock.advance(hub.LOOK)
    assert client.texts == ["unheard"]


def test_a_look_that_the_store_refuses_is_made_again() -> None:
    cluster = Cluster(bounds=Bounds(5, 4 * hub.LOOK))
    one, two, _ = cluster.servers
    client = two.client(join="room")
    cluster.clock.settle()
    cluster.clock.advance(hub.LOOK)
    two.store._rooms.clear()
    one.broadcast("unheard")
    two.store.refusal = StoreError("out of memory")
    cluster.clock.advance(hub.LOOK)
    assert client.texts == []
    two.store.refusal = None
    cluster.clock.advance(hub.LOOK)
    assert client.texts == ["unheard"]


def test_a_gap_in_a_session_is_told(cluster: Cluster) -> None:
    one, two, _ = cluster.servers
    client, stranger = two.client(join="room"), two.stranger("room")
    old = Client(two)
    old.hello(None)
    old.accept()
    old.session.join("room")
    one.broadcast("a")
    cluster.clock.settle()
    two.store.fail()
    for number in range(6):
        one.broadcast(str(number))
    two.store.recover()
    one.broadcast("new")
    assert told(client) == [
        *("p[0,[]]", 'p[1,["a"]]', 'r{"missed":[[KEY,"room"]]}', "p[7,[]]", 'p[8,["new"]]'),
    ]
    assert messages(stranger) == old.texts == ["a", "new"]


def test_a_store_that_comes_back_empty(cluster: Cluster) -> None:
    one, two, _ = cluster.servers
    client, plain = two.client(join="room"), two.client(join="plain")
    one.broadcast("a")
    cluster.clock.settle()
    cluster.broker.forget()
    cluster.clock.settle()
    one.broadcast("b")
    one.broadcast("c", "plain")
    assert told(client) == [
        *("p[0,[]]", 'p[1,["a"]]', 'r{"missed":[[KEY,"room"]]}', "p[0,[]]", 'p[1,["b"]]'),
    ]
    assert told(plain) == ['a["c"]']


def test_a_store_that_has_lost_its_tail(cluster: Cluster) -> None:
    one, two, _ = cluster.servers
    client, stranger = two.client(join="room"), two.stranger("room")
    for text in "ab":
        one.broadcast(text)
    cluster.clock.settle()
    cluster.broker.forget(tail=1)
    cluster.clock.settle()
    one.broadcast("c")
    cluster.clock.settle()
    assert messages(stranger) == ["a", "b", "c"]
    lines = told(client)
    assert lines[:3] == ["p[0,[]]", 'p[1,["a","b"]]', 'r{"missed":[[KEY,"room"]]}']
    assert lines[-1] == 'p[1,["c"]]'


def test_entrants_are_told_of_a_gap(cluster: Cluster) -> None:
    """Whether their client has said hello, or waits for what it has missed."""
    one, two, _ = cluster.servers
    first = one.client(join="room")
    one.broadcast("a")
    first.read()
    one.broadcast("b")
    early = Client(two)
    early.accept()
    early.session.join("room")
    cluster.clock.settle()
    two.store.delay = 1
    again = two.client(first.positions, join="room")
    cluster.broker.forget()
    cluster.clock.advance(4)
    two.store.delay = 0
    early.hello({})
    one.broadcast("c")
    for client in (early, again):
        lines = told(client)
        assert lines[0] == 'r{"missed":[[KEY,"room"]]}'
        assert lines[-1].endswith('["c"]]')


def test_a_client_that_knows_more_than_its_process(cluster: Cluster) -> None:
    """The process is told of a gap that the client has not."""
    one, two, _ = cluster.servers
    stranger = one.stranger("room")
    cluster.clock.settle()
    one.store.fail()
    cluster.broker.forget()
    first = two.client(join="room")
    first.read()
    again = one.client(first.positions, join="room")
    two.broadcast("a")
    cluster.clock.settle()
    one.store.recover()
    two.broadcast("b")
    assert again.texts == ["a", "b"]
    assert messages(stranger) == ["b"]
    assert one.joined is not None
    assert one.joined.recovered is True


def test_what_cannot_be_published(cluster: Cluster, caplog: pytest.LogCaptureFixture) -> None:
    one = cluster.servers[0]
    one.client(join="plain")
    cluster.clock.settle()
    one.store.fail()
    results: list[Exception | None] = []
    with caplog.at_level(logging.ERROR, "sockjs_bridge.cluster"):
        assert one.broadcast("a", "plain") == 1
        for _ in range(3):
            one.history.broadcast("plain", "b", (), results.append)
        cluster.clock.settle()
        assert one.broadcast("c", "plain") == 0
        cluster.clock.advance(1)
        assert one.broadcast("d", "plain") == 0
        cluster.clock.settle()
    assert [str(result) for result in results] == ["the store in memory cannot be reached"] * 3
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == [
        "1 messages to rooms were not published",
        "5 messages to rooms were not published",
    ]
    one.store.recover()
    cluster.clock.settle()
    assert one.broadcast("e", "plain") == 1
    one.history.broadcast("plain", "f", (), results.append)
    cluster.clock.settle()
    assert results[3:] == [None]


class Timed(Monitor):
    """Remembers how long the store took."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def engine(self, seconds: float) -> None:
        self.seconds.append(seconds)


def test_how_long_the_store_takes_is_told_of_one_of_those_under_way(cluster: Cluster) -> None:
    one = cluster.servers[0]
    monitor = one.history.hub._publisher._monitor = Timed()
    one.store.delay = 0.25
    for _ in range(3):
        one.broadcast("a", "plain")
        one.broadcast("b", "plain")
        cluster.clock.advance(1)
    assert monitor.seconds == pytest.approx([0.25] * 3)
    one.store.refusal = StoreError("out of memory")
    one.broadcast("c", "plain")
    cluster.clock.advance(1)
    one.store.refusal = None
    one.broadcast("d", "plain")
    cluster.clock.advance(1)
    assert monitor.seconds == pytest.approx([0.25] * 4)


def test_what_waits_for_a_subscription_does_not_wait_for_the_store(cluster: Cluster) -> None:
    one = cluster.servers[0]
    one.store.delay = 1
    one.client(join="plain")
    results: list[Exception | None] = []
    one.history.broadcast("plain", "a", (), results.append)
    one.store.fail()
    cluster.clock.settle()
    assert [type(result) for result in results] == [StoreError]


def test_what_waits_for_a_position_does_not_wait_for_a_store_that_refuses(
    cluster: Cluster,
) -> None:
    """As at a Redis that is out of memory, where no epoch can begin."""
    one = cluster.servers[0]
    one.store.refusal = StoreError("out of memory")
    client = one.client(join="room")
    results: list[Exception | None] = []
    one.history.broadcast("room", "a", (), results.append)
    cluster.clock.advance(3)
    assert [str(result) for result in results] == ["out of memory"]
    assert one.broadcast("b", "room") == 0
    one.store.refusal = None
    cluster.clock.advance(3)
    one.broadcast("c", "room")
    assert client.texts[-1] == "c"


def test_rooms_that_are_joined_while_the_store_is_away(cluster: Cluster) -> None:
    one, two, _ = cluster.servers
    one.store.fail()
    client, plain = one.client(join="room"), one.client(join="plain")
    two.broadcast("before")
    cluster.clock.advance(5)
    one.store.recover()
    cluster.clock.settle()
    two.broadcast("a")
    two.broadcast("b", "plain")
    assert told(client) == ["p[1,[]]", 'p[2,["a"]]']
    assert told(plain) == ['a["b"]']


def test_answers_that_are_lost_are_asked_for_again(cluster: Cluster) -> None:
    """A room that is entered, and a client that comes back, while the connection is cut."""
    one, two, _ = cluster.servers
    first = one.client(join="room")
    first.read()
    one.broadcast("a")
    two.client(join="room 2")
    two.client(join="room")
    cluster.clock.settle()
    two.store.delay = 1
    again = two.client(first.positions, join="room")
    newcomer = two.client(join="room 3")
    cluster.clock.advance(0.5)
    two.store.fail()
    cluster.clock.advance(5)
    two.store.recover()
    cluster.clock.advance(5)
    one.broadcast("b")
    one.broadcast("c", "room 3")
    cluster.clock.advance(5)
    assert told(again) == ['p[1,["a"]]', 'p[2,["b"]]']
    assert told(newcomer) == ["p[0,[]]", 'p[1,["c"]]']


def test_a_store_that_errs_is_asked_again_in_a_while(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its connections stand, and an answer did not come in time."""
    one, two, _ = cluster.servers
    since, calls = one.store.since, []

    def slow(room: str, position: Any, bounds: Bounds, done: Any) -> None:
        calls.append(cluster.clock.now)
        if len(calls) < 3:
            cluster.clock.call_soon(lambda: done(StoreError("too slow")))
        else:
            since(room, position, bounds, done)

    monkeypatch.setattr(one.store, "since", slow)
    client, stranger = one.client(join="room"), one.stranger("room")
    # The room is heard already: what comes before the answer is not lost.
    two.broadcast("early")
    cluster.clock.advance(3 * hub.RETRY)
    two.broadcast("a")
    assert told(client) == ["p[0,[]]", 'p[1,["early"]]', 'p[2,["a"]]']
    assert messages(stranger) == ["early", "a"]
    assert calls == [1000.0, 1000.0 + hub.RETRY, 1000.0 + 2 * hub.RETRY]


def test_answers_for_who_has_left(cluster: Cluster) -> None:
    """The room is heard no more when they come."""
    one, two, _ = cluster.servers
    first = one.client(join="room")
    first.read()
    one.broadcast("a")
    kept = two.client(join="room")
    cluster.clock.settle()
    two.store.delay = 5
    again = two.client(first.positions, join="room")
    two.broadcast("hole")
    two.history.hub._look(two.history.hub._rooms)
    for client in (again, kept):
        client.session.leave("room")
    cluster.clock.advance(3)
    assert heard(two) == {""}
    cluster.clock.advance(5)
    assert told(again) == []
    assert told(kept)[0].startswith("p[1,")


def test_answer_for_who_has_left_a_room_that_others_are_in(cluster: Cluster) -> None:
    one, two, _ = cluster.servers
    first = one.client(join="room")
    first.read()
    one.broadcast("a")
    two.client(join="room")
    cluster.clock.settle()
    two.store.delay = 1
    again = two.client(first.positions, join="room")
    cluster.clock.settle()
    again.session.leave("room")
    cluster.clock.advance(2)
    assert told(again) == []
    assert two.joined is not None
    assert two.joined.recovered is None


@pytest.mark.parametrize("again", [False, True])
def test_errors_for_who_has_left(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, again: bool
) -> None:
    """Nothing is asked for them any more; whoever joins anew has another answer."""
    one, two, _ = cluster.servers
    first = one.client(join="room")
    first.read()
    one.broadcast("a")
    kept = two.client(join="room")
    cluster.clock.settle()
    asked = []

    def since(room: str, position: Any, bounds: Bounds, done: Any) -> None:
        asked.append(room)
        done(StoreError("too slow"))

    with monkeypatch.context() as context:
        context.setattr(two.store, "since", since)
        client = two.client(first.positions, join="room")
        for each in (client, kept):
            each.session.leave("room")
        cluster.clock.advance(1.5)
        assert asked == ["room", "room"]
        assert heard(two) == {""}
    if again:
        kept.session.join("room")
    cluster.clock.advance(5)
    one.broadcast("b")
    assert client.texts == []
    assert kept.texts == (["b"] if again else [])


class HeldAnswers:
    """Has what one process asks of rooms answered when the test says so."""

    def __init__(self, server: ClusterServer) -> None:
        self._server = server
        self._since = server.store.since
        self._asked: list[Any] = []
        server.store.since = lambda *asked: self._asked.append(asked)  # type: ignore[method-assign]

    def answer(self, error: StoreError | None = None) -> None:
        (room, position, bounds, done), *self._asked = self._asked
        if error is None:
            self._since(room, position, bounds, done)
        else:
            done(error)
        self._server.clock.settle()

    def publish(self, other: ClusterServer, *texts: str, lost: bool = False) -> None:
        """Publish in another process; what is lost does not come here."""
        if lost:
            self._server.store.hear = lambda *message: None  # type: ignore[method-assign]
        for text in texts:
            other.broadcast(text)
        self._server.clock.settle()
        if lost:
            del self._server.store.hear


def test_a_hole_in_what_comes_before_the_first_answer(cluster: Cluster) -> None:
    one, two, _ = cluster.servers
    answers = HeldAnswers(two)
    client, stranger = two.client(join="room"), two.stranger("room")
    answers.publish(one, "a")
    answers.publish(one, "b", lost=True)
    answers.publish(one, "c")
    answers.answer()
    assert told(client) == []
    answers.answer()
    assert told(client) == ["p[0,[]]", 'p[1,["a","b","c"]]']
    assert messages(stranger) == ["a", "b", "c"]


def test_a_gap_that_is_told_before_the_answer_holds(cluster: Cluster) -> None:
    one, two, _ = cluster.servers
    first = one.client(join="room")
    first.read()
    one.broadcast("a")
    two.client(join="room")
    cluster.clock.settle()
    answers = HeldAnswers(two)
    again = two.client(first.positions, join="room")
    cluster.clock.settle()
    last = two.history.hub.position("room")
    assert last is not None
    two.history.gap("room", last)
    answers.answer()
    assert told(again)[0] == 'r{"missed":[[KEY,"room"]]}'
    assert again.texts == []


@pytest.mark.parametrize("error", [None, StoreError("too slow")])
def test_a_hole_in_a_room_that_nobody_is_in_any_more(
    cluster: Cluster, error: StoreError | None
) -> None:
    one, two, _ = cluster.servers
    client = two.client(join="room")
    cluster.clock.settle()
    answers = HeldAnswers(two)
    answers.publish(one, "a", lost=True)
    answers.publish(one, "b")
    if error is not None:
        answers.answer(error)
    client.session.leave("room")
    cluster.clock.now += subscriptions.LINGER
    two.history.hub._rooms._end()
    assert heard(two) == {""}
    if error is None:
        answers.answer()
    cluster.clock.advance(5)
    assert told(client) == ["p[0,[]]"]
    assert answers._asked == []


def test_left_in_a_thread_before_the_loop_has_heard_of_it(cluster: Cluster) -> None:
    one = cluster.servers[0]
    client = one.client()
    cluster.clock.on_loop = False
    client.session.join("room")
    client.session.leave("room")
    cluster.clock.settle()
    assert heard(one) == {""}
    assert one.history._entrants == {}


def test_a_retry_that_is_due_while_the_store_is_away(cluster: Cluster) -> None:
    one, two, _ = cluster.servers
    since, errs = one.store.since, [True]

    def maybe(room: str, position: Any, bounds: Bounds, done: Any) -> None:
        if errs.pop():
            done(StoreError("too slow"))
        else:
            since(room, position, bounds, done)

    one.store.since = maybe  # type: ignore[method-assign]
    client = one.client(join="room")
    cluster.clock.settle()
    one.store.fail()
    cluster.clock.advance(2 * hub.RETRY)
    errs.append(False)
    one.store.recover()
    cluster.clock.settle()
    two.broadcast("a")
    assert client.texts == ["a"]


def test_keys_of_many_rooms(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "REMEMBERED", 3)
    one, two, _ = cluster.servers
    keys = [one.history._places.key(f"room {number}") for number in range(10)]
    assert len({*keys}) == 10
    assert keys == [two.history._places.key(f"room {number}") for number in range(10)]
    assert len(one.history._places._keys) <= 3


def test_nothing_is_asked_after_the_end(cluster: Cluster) -> None:
    one = cluster.servers[0]
    answers = HeldAnswers(one)
    one.client(join="room")
    cluster.clock.settle()
    one.history.hub.stop()
    answers.answer(StoreError("the store was stopped"))
    one.client(join="room 2")
    cluster.clock.advance(100)
    assert heard(one) == {"", "room"}
    assert answers._asked == []


def test_message_without_a_position_in_a_room_with_history(cluster: Cluster) -> None:
    """A script has published it, and knew of no history."""
    one, two, _ = cluster.servers
    client = one.client(join="room")
    cluster.clock.settle()
    two.store.publish("room", Entry("a"), None, lambda result: None)
    two.broadcast("b")
    assert told(client) == ["p[0,[]]", 'a["a"]', 'p[1,["b"]]']
