"""Rooms with history: what each kind of client gets, live and afterwards."""

from __future__ import annotations

import json
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from sockjs_bridge.cluster.declared import REMEMBERED
from sockjs_bridge.cluster.engine import Bounds, Message
from sockjs_bridge.cluster.entrants import Entrant
from sockjs_bridge.cluster.memory import MemoryEngine
from sockjs_bridge.cluster.rooms import HistoryRooms
from sockjs_bridge.core.hub import Capacity, Hub
from sockjs_bridge.core.joined import Joined
from sockjs_bridge.core.monitor import Monitor
from sockjs_bridge.resume import frames
from sockjs_bridge.resume.transports import POLL
from tests.cluster.support import BOUNDS, Client, RoomServer, ThreadClock
from tests.resume.support import KEY
from tests.support import HandClock, Recorder

#: What a line tells but its key and epoch, which are drawn anew.
PLACE = re.compile(r'"[0-9a-f]{24}"(?:,"[\w-]+-(\d+)")?')


def told(client: Client) -> list[str]:
    """Read a client's lines, without what is drawn by chance."""
    return [PLACE.sub(lambda found: f"{found[1] or 'KEY'}", line) for line in client.read()]


@pytest.fixture
def server() -> RoomServer:
    return RoomServer()


# Live


def test_places_for_who_understands_them(server: RoomServer) -> None:
    client, stranger = server.client(join="room"), server.stranger("room")
    old = Client(server)
    old.hello(None)
    old.accept()
    old.session.join("room")
    assert server.broadcast("a") == 3
    assert server.broadcast("b") == 3
    assert told(client) == ["p[0,[]]", 'p[1,["a","b"]]']
    assert stranger.frames[1:] == ['a["a","b"]']
    assert old.texts == ["a", "b"]
    assert old.positions == {}


def test_one_frame_for_all_of_a_kind(server: RoomServer) -> None:
    """The same bytes, made once: others keep references to one message."""
    clients = [server.client(join="room") for _ in range(2)]
    server.clock.settle()
    server.broadcast("a")
    server.clock.settle()
    first, second = (client.stream.written[-1] for client in clients)
    assert first is second
    kept = [client.session._kept.after(1, 99).items[0] for client in clients]
    assert kept[0] is kept[1]


def test_frame_is_shared_with_those_in_no_room(server: RoomServer) -> None:
    """One tick may bring both kinds to the same sessions."""
    client = server.client(join="room")
    assert told(client) == ["p[0,[]]"]
    server.broadcast("a")
    server.hub.broadcasts.send([client.session], "to all")
    server.broadcast("b")
    assert told(client) == ['p[1,["a"]]', 'a["to all"]', 'p[2,["b"]]']


def test_different_sessions_in_a_tick(server: RoomServer) -> None:
    """Where each session's own queue collects, the places go along."""
    one, two = server.client(join="room"), server.client(join="room 2")
    two.session.join("room")
    assert [told(one), told(two)] == [["p[0,[]]"], ["p[0,[]]", "p[0,[]]"]]
    server.broadcast("a", "room 2")
    server.broadcast("b", "room")
    server.broadcast("c", "room 2")
    assert told(one) == ['p[1,["b"]]']
    assert told(two) == ['p[1,["a"]]', 'p[1,["b"]]', 'p[2,["c"]]']


def test_large_broadcasts_are_split(server: RoomServer) -> None:
    client = server.client(join="room")
    for letter in "abc":
        server.broadcast(letter * 15000)
    assert [(line[:20], len(line) > 32768) for line in told(client)[1:]] == [
        ('p[1,["aaaaaaaaaaaaaa', False),
        ('p[3,["cccccccccccccc', False),
    ]


def test_more_than_a_response_takes(server: RoomServer) -> None:
    """They are kept, and go on in the next one."""
    client = server.client(join="room")
    client.read()
    for _ in range(3):
        server.broadcast("x" * 70000)
    assert [len(text) for text in client.texts] == [70000] * 2
    assert client.stream.ended
    assert client.session.sent == 3


def test_more_in_a_tick_than_a_response_takes() -> None:
    server = RoomServer(response_limit=1000)
    client = server.client(join="room")
    client.read()
    for letter in "ab":
        server.broadcast(letter * 600)
    assert client.texts == ["a" * 600, "b" * 600]


def test_room_without_history(server: RoomServer) -> None:
    client = server.client(join="plain")
    assert not server.history.carries("plain")
    assert server.joined == Joined(True)
    assert server.joined is not None
    assert server.joined.recovered is None
    assert told(client) == []
    server.hub.broadcasts.send(server.rooms.members("plain"), "a")
    assert told(client) == ['a["a"]']


def test_message_for_nobody_is_kept(server: RoomServer) -> None:
    first = server.client(join="room")
    first.read()
    first.session.leave("room")
    assert server.broadcast("a") == 0
    again = server.client(first.positions, join="room")
    assert again.texts == ["a"]


def test_it_is_kept_when_it_is_said_so(server: RoomServer) -> None:
    published: list[Exception | None] = []
    assert server.history.broadcast("room", "a", (), published.append) == 0
    assert published == [None]


# Who is excluded


def test_who_is_excluded_hears_of_the_place(server: RoomServer) -> None:
    ann, bob = server.client(join="room"), server.client(join="room")
    stranger = server.stranger("room")
    assert server.broadcast("a", "room", ann.session) == 2
    server.broadcast("b")
    assert told(ann) == ["p[0,[]]", "p[1,[]]", 'p[2,["b"]]']
    assert told(bob) == ["p[0,[]]", 'p[1,["a","b"]]']
    assert stranger.frames[1:] == ['a["a","b"]']


def test_all_are_excluded(server: RoomServer) -> None:
    ann = server.client(join="room")
    server.stranger("room")
    excluded = set(server.rooms.members("room"))
    assert server.history.broadcast("room", "a", excluded) == 0
    assert told(ann) == ["p[0,[]]", "p[1,[]]"]


def test_exclusion_is_kept(server: RoomServer) -> None:
    """A client that comes back in another session does not get its own messages either."""
    ann = server.client(join="room", name="a" * 22)
    ann.read()
    before = {**ann.positions}
    for text, excluded in (("1", [ann]), ("2", []), ("3", [ann]), ("4", [ann])):
        server.broadcast(text, "room", *(each.session for each in excluded))
    again = server.client(before, join="room", name="a" * 22)
    assert told(again) == ["p[1,[]]", 'p[2,["2"]]', "p[4,[]]"]
    assert again.session.sent == 1
    other = server.client(before, join="room", name="b" * 22)
    assert told(other) == ['p[1,["1","2","3","4"]]']


# What was missed


def test_what_was_missed_comes_before_what_is_new(server: RoomServer) -> None:
    first = server.client(join="room")
    server.broadcast("a")
    assert first.texts == ["a"]
    first.session.finish()
    server.broadcast("b")
    again = server.client(first.positions, join="room")
    server.broadcast("c")
    assert told(again) == ['p[2,["b"]]', 'p[3,["c"]]']
    assert server.joined is not None
    assert server.joined.recovered is True


def test_nothing_was_missed(server: RoomServer) -> None:
    first = server.client(join="room")
    server.broadcast("a")
    first.read()
    again = server.client(first.positions, join="room")
    assert told(again) == ["p[1,[]]"]
    assert server.joined is not None
    assert server.joined.recovered is True


def test_gap_is_told(server: RoomServer) -> None:
    first = server.client(join="room")
    first.read()
    first.session.finish()
    for number in range(6):
        server.broadcast(str(number))
    again = server.client(first.positions, join="room")
    server.broadcast("new")
    assert told(again) == ['r{"missed":[[KEY,"room"]]}', "p[6,[]]", 'p[7,["new"]]']
    assert server.joined is not None
    assert server.joined.recovered is False


class Missed(Monitor):
    """Counts who is told that something is missing."""

    clients = 0

    def missed(self, clients: int) -> None:
        self.clients += clients


def test_gaps_are_counted(server: RoomServer) -> None:
    """One for each client and room that is told of; none where nothing is missing."""
    monitor = server.hub.broadcasts.monitor = Missed()
    first = server.client(join="room")
    first.read()
    server.client(first.positions, join="room")
    assert monitor.clients == 0
    for number in range(6):
        server.broadcast(str(number))
    for clients in (1, 2):
        server.client(first.positions, join="room")
        assert monitor.clients == clients


def test_more_than_a_client_may_keep(server: RoomServer) -> None:
    """Whoever comes back to very much is told that it is missing, and not closed for it."""
    first = server.client(join="room")
    first.read()
    for _ in range(4):
        server.broadcast("x" * 150000)
    again = server.client(first.positions, join="room")
    assert told(again) == ['r{"missed":[[KEY,"room"]]}', "p[4,[]]"]
    assert server.joined is not None
    assert server.joined.recovered is False
    first.session.close(1000, "")
    server.broadcast("x" * 150000)
    third = server.client(again.positions, join="room")
    assert server.joined.recovered is True
    assert [len(text) for text in third.texts] == [150000]


def test_gap_is_told_until_it_has_arrived(server: RoomServer) -> None:
    """Whoever breaks off in the midst of it hears it again, though it is no message."""
    first = server.client(join="room")
    first.read()
    for number in range(6):
        server.broadcast(str(number))
    again = server.client(first.positions, join="room")
    again.read()
    again.session.detach(again.stream)
    poll = Recorder(POLL)
    request = {"key": KEY, "request": 9, "received": 0, "now": True}
    again.session.attach(frames.parse_receive(json.dumps(request).encode()), poll)
    assert [PLACE.sub("", line) for line in poll.frames[1:]] == [
        'r{"missed":[[,"room"]]}',
        "p[,[]]",
    ]


def test_position_of_another_process(server: RoomServer) -> None:
    first = server.client(join="room")
    first.read()
    other = RoomServer()
    key = other.history._engine.key("room")
    again = other.client({key: next(iter(first.positions.values()))}, join="room")
    assert told(again) == ['r{"missed":[[KEY,"room"]]}', "p[0,[]]"]


def test_key_of_another_process(server: RoomServer) -> None:
    """Its secret is gone with it, so that a position may be of any room: no gap is silent."""
    first = server.client(join="room")
    first.read()
    other = RoomServer()
    again = other.client({**first.positions, "KEY": "garbage"}, join="room")
    again.session.join("room 2")
    again.session.leave("room")
    assert again.session.join("room").recovered is None
    assert told(again) == [
        *('r{"missed":[[KEY,"room"]]}', 'r{"missed":[[KEY,"room 2"]]}'),
        # Of the room that it left and entered again, the later one alone.
        *("p[0,[]]", "p[0,[]]"),
    ]
    third = other.client({"KEY": "garbage"}, join="room")
    assert told(third) == ["p[0,[]]"]


def test_position_is_no_right(server: RoomServer) -> None:
    """Nothing of a room comes to who has not joined it."""
    first = server.client(join="room")
    first.read()
    server.broadcast("a")
    again = server.client(first.positions)
    assert told(again) == []
    again.session.join("room 2")
    assert told(again) == ["p[0,[]]"]
    again.session.join("room")
    assert told(again) == ['p[1,["a"]]']


def test_position_holds_once(server: RoomServer) -> None:
    """What a client has had in this session it does not get again."""
    first = server.client(join="room")
    first.read()
    server.broadcast("a")
    again = server.client(first.positions, join="room")
    assert again.session.join("room").recovered is None
    again.session.leave("room")
    assert again.session.join("room").recovered is None
    assert told(again) == ['p[1,["a"]]', "p[1,[]]"]


def test_who_is_over_enters_no_room(server: RoomServer) -> None:
    first = server.client(join="room")
    first.read()
    server.broadcast("a")
    again = server.client(first.positions)
    again.session.close(1000, "")
    for room in ("room", "plain"):
        assert not again.session.join(room)
    assert server.history._present == {}


# Before a client has said who it is


def test_joined_before_the_hello(server: RoomServer) -> None:
    """A handshake's code may join at once: what the client has is known with its hello."""
    first = server.client(join="room")
    server.broadcast("a")
    first.read()
    server.broadcast("b")
    early = Client(server)
    early.accept()
    joined = early.session.join("room")
    assert (bool(joined), joined.recovered) == (True, None)
    server.broadcast("c")
    early.hello(first.positions)
    server.broadcast("d")
    assert told(early) == ['p[2,["b","c"]]', 'p[4,["d"]]']
    assert server.history._present == {}


@pytest.mark.parametrize(
    ("rooms", "lines"),
    [
        (None, ['a["c"]', 'a["d"]']),
        ({}, ["p[2,[]]", 'p[3,["c"]]', 'p[4,["d"]]']),
        ({"KEY": "E-1"}, ['r{"missed":[[KEY,"room"]]}', "p[2,[]]", 'p[3,["c"]]', 'p[4,["d"]]']),
    ],
)
def test_joined_before_the_hello_without_a_position(
    server: RoomServer, rooms: dict[str, str] | None, lines: list[str]
) -> None:
    for text in "ab":
        server.broadcast(text)
    early = Client(server)
    early.accept()
    early.session.join("room")
    server.broadcast("c", "room")
    server.broadcast("not for it", "room 2", early.session)
    key = server.history._engine.key("room")
    early.hello(rooms and {key: rooms["KEY"]})
    server.broadcast("d")
    assert told(early) == lines


def test_excluded_before_the_hello(server: RoomServer) -> None:
    early = Client(server)
    early.accept()
    early.session.join("room")
    server.broadcast("a", "room", early.session)
    server.broadcast("b")
    early.hello(None)
    assert told(early) == ['a["b"]']


def test_never_said_hello(server: RoomServer) -> None:
    early = Client(server)
    early.accept()
    early.session.join("room")
    early.session.leave("room")
    early.session.join("plain")
    server.stranger("room")
    server.broadcast("a")
    assert server.history._present != {}
    early.session.finish()
    assert early.session.last_rooms == {"plain"}
    assert server.history._present == {}


# Threads: what is called in one is on its way to the loop


@contextmanager
def thread(server: RoomServer) -> Iterator[None]:
    """What is called here was called in a thread, and the loop has not heard of it yet."""
    assert isinstance(server.clock, ThreadClock)
    server.clock.on_loop = False
    try:
        yield
    finally:
        server.clock.on_loop = True


@pytest.fixture
def returned(server: RoomServer) -> Client:
    """A client that has a position, and missed one message."""
    first = server.client(join="room")
    first.read()
    server.broadcast("missed")
    return server.client(first.positions)


def test_broadcast_while_a_join_is_under_way(server: RoomServer, returned: Client) -> None:
    with thread(server):
        assert returned.session.join("room").recovered is True
    server.broadcast("live")
    server.broadcast("own", "room", returned.session)
    assert told(returned) == ['p[1,["missed","live"]]', "p[3,[]]"]


def test_join_while_a_broadcast_is_under_way(server: RoomServer, returned: Client) -> None:
    """It lacks no message that has a place behind what it knows."""
    with thread(server):
        server.broadcast("called before")
    returned.session.join("room")
    server.broadcast("live")
    assert sorted(returned.texts) == ["called before", "live", "missed"]
    assert server.history._present == {}


def test_join_behind_a_broadcast_of_the_same_thread(server: RoomServer, returned: Client) -> None:
    with thread(server):
        server.broadcast("before")
        returned.session.join("room")
        server.broadcast("behind")
    assert returned.texts == ["missed", "before", "behind"]


def test_what_was_missed_goes_before_what_came_meanwhile(server: RoomServer) -> None:
    """An engine's answer may be older than what has been sent since."""
    messages: list[Message] = []
    for text in ("missed", "live"):
        server.history._engine.add("room", text, frozenset(), BOUNDS, messages.append)
    entry = Entrant(server.client({}).session)
    entry.items = [messages[1].quoted]
    entry.found("E-0", messages[0].place, messages[:1])
    assert entry.items == [message.quoted for message in messages]


def test_who_left_meanwhile(server: RoomServer, returned: Client) -> None:
    with thread(server):
        server.broadcast("called before")
    returned.session.join("room")
    returned.session.leave("room")
    assert returned.texts == ["missed"]


def test_left_and_joined_while_it_is_under_way(server: RoomServer, returned: Client) -> None:
    with thread(server):
        assert returned.session.join("room").recovered is True
        returned.session.leave("room")
        assert returned.session.join("room").recovered is True
    assert returned.texts == ["missed"]


def test_fresh_client_gets_what_is_called_after_its_join(server: RoomServer) -> None:
    """As in a room without history: what the same thread sent before is not for it."""
    fresh = server.client()
    with thread(server):
        server.broadcast("before")
        assert fresh.session.join("room").recovered is None
        server.broadcast("behind")
    server.broadcast("live")
    assert sorted(fresh.texts) == ["behind", "live"]


def test_fresh_client_hears_of_all_places(server: RoomServer) -> None:
    """What is not for it is passed over, and no gap: later it is asked for by nobody."""
    fresh, early = server.client(), server.client()
    with thread(server):
        server.broadcast("before")
        early.session.join("room")
    assert told(early) == ["p[1,[]]"]
    with thread(server):
        server.broadcast("before")
    fresh.session.join("room")
    assert told(fresh) == ["p[2,[]]"]
    assert told(early) == ['p[2,["before"]]']
    again = server.client(fresh.positions, join="room")
    assert told(again) == ["p[2,[]]"]


def test_join_between_a_place_and_its_message() -> None:
    """A thread may ask what there is when a message has its place and is not sent yet."""
    joins: list[Client] = []

    class Between(MemoryEngine):
        def add(self, *arguments: Any) -> None:
            *before, done = arguments

            def later(message: Message) -> None:
                with thread(server):
                    for client in joins:
                        client.session.join("room")
                done(message)

            super().add(*before, later)

    server = RoomServer(make_engine=Between)
    first = server.client(join="room")
    first.read()
    joins += [server.client(first.positions), server.client()]
    server.broadcast("a")
    joined, joins = joins, []
    server.broadcast("b")
    assert [told(client) for client in joined] == [['p[1,["a","b"]]'], ["p[1,[]]", 'p[2,["b"]]']]


def test_over_while_a_join_is_under_way(server: RoomServer, returned: Client) -> None:
    with thread(server):
        returned.session.join("room")
    returned.session.finish()
    server.clock.settle()
    assert server.history._present == {}


@pytest.mark.parametrize("turn", range(3))
def test_pool_and_loop_at_the_same_time(turn: int) -> None:
    """Real threads join while the loop broadcasts: nothing is lost, doubled or reordered."""
    server = RoomServer(HandClock(), Bounds(100000, 60))
    first = server.client(join="room")
    first.read()
    for number in range(20):
        server.broadcast(f"before {number}")
        server.clock.settle()
    clients = [server.client(first.positions) for _ in range(20)]
    begun = threading.Barrier(21)

    def join_all() -> None:
        begun.wait()
        client = clients.pop()
        assert client.session.join("room").recovered
        joined.append(client)

    joined: list[Client] = []
    threads = [threading.Thread(target=join_all) for _ in range(20)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for each in threads:
            each.start()
        begun.wait()
        number = 20
        while any(each.is_alive() for each in threads):
            server.broadcast(f"before {number}")
            server.clock.settle()
            number += 1
    finally:
        sys.setswitchinterval(interval)
        for each in threads:
            each.join()
    server.broadcast("last")
    server.clock.settle()
    expected = [*(f"before {index}" for index in range(number)), "last"]
    assert len(joined) == 20
    for client in joined:
        assert client.texts == expected


# Declarations and time


def test_first_pattern_holds() -> None:
    history = HistoryRooms()
    history.declare("a*c", Bounds(1, 1))
    history.declare("*", Bounds(2, 2))
    assert history.bounds("abc") == history.bounds("ac") == Bounds(1, 1)
    assert history.bounds("ab\nc") == Bounds(1, 1)
    assert history.bounds("abcd") == Bounds(2, 2)


def test_pattern_is_plain_but_for_the_star() -> None:
    history = HistoryRooms()
    history.declare("room.[1]", Bounds(1, 1))
    assert history.carries("room.[1]")
    assert not history.carries("room.1")
    assert not history.carries("roomx[1]")
    assert not history.carries("room.[1]x")


def test_names_are_remembered_within_bounds() -> None:
    history = HistoryRooms()
    history.declare("room", Bounds(1, 1))
    for number in range(REMEMBERED + 2):
        assert not history.carries(str(number))
    assert history.carries("room")
    assert len(history._found) <= REMEMBERED


def test_rooms_are_forgotten_in_time(server: RoomServer) -> None:
    for number in range(50):
        server.broadcast("a", f"room {number}")
    engine = server.history._engine
    assert len(engine) == 50  # type: ignore[arg-type]
    server.clock.advance(60 * 6)
    assert len(engine) == 0  # type: ignore[arg-type]
    assert server.clock.timers == []
    server.broadcast("a")
    assert len(server.clock.timers) == 1


def test_served_again_begins_anew() -> None:
    """An application that is served again, in a test of its own, keeps nothing."""
    server = RoomServer()
    first = server.client(join="room")
    first.read()
    clock = ThreadClock()
    Hub(clock, Capacity(9), server.rooms, history=server.history)
    assert server.history._engine.key("room") not in first.positions
