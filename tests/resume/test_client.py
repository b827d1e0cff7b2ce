"""The client's core: what it asks, what it makes of answers, when it tries which way."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest

from sockjs_bridge.client.resume.core import ResumableClient
from sockjs_bridge.client.resume.links import Link, Post
from sockjs_bridge.client.resume.policy import (
    LEFT_OUT,
    MAX_LEFT_OUT,
    Attempt,
    Policy,
    Way,
)
from sockjs_bridge.client.resume.states import ClientState

TERMS = {"window": 60, "heartbeat": 25, "spread": 5, "net": "", "limit": 4096, "home": ""}


class World:
    """Fulfils `Network` and hears the client; time is wound by hand."""

    def __init__(self, ways: tuple[Way, ...] = tuple(Way)) -> None:
        self.now = 1000.0
        self.opened: list[Link] = []
        self.written: list[tuple[Link, Any]] = []
        self.closed_links: list[Link] = []
        self.posts: list[Post] = []
        self.told: list[Any] = []
        tokens = itertools.count()
        self.policy = Policy(ways, lambda: 0.5)
        self.client = ResumableClient(
            self, Ears(self.told), lambda: self.now, lambda: f"{next(tokens):022d}", self.policy
        )
        self.client.start()

    def open(self, link: Link) -> None:
        self.opened.append(link)

    def write(self, link: Link, frame: object) -> None:
        self.written.append((link, json.loads(json.dumps(frame))))

    def close(self, link: Link) -> None:
        self.closed_links.append(link)

    def post(self, post: Post) -> None:
        self.posts.append(post)

    def advance(self, seconds: float) -> None:
        end = self.now + seconds
        while (due := self.client.deadline()) is not None and due <= end:
            self.now = max(self.now, due)
            self.client.on_deadline(self.now)
        self.now = end

    def link(self, way: Way) -> Link:
        """The newest connection of a way that is not over."""
        return [link for link in self.opened if link.way is way and not link.over][-1]

    def answer(self, link: Link, *told: Any) -> None:
        for line in told:
            text = line if isinstance(line, str) else "r" + json.dumps(line)
            self.client.line(link, text)

    def welcome(self, link: Link, number: int = 1, received: int = 0) -> None:
        self.answer(link, {"from": number, "received": received, **TERMS})

    @property
    def frames(self) -> list[Any]:
        return [frame for _, frame in self.written]


class Ears:
    """Fulfils `Listener`: notes what is told."""

    def __init__(self, told: list[Any]) -> None:
        self.told = told

    def received(self, messages: list[str]) -> None:
        self.told.append(messages)

    def handled(self, number: int) -> None:
        self.told.append(("handled", number))

    def opened(self) -> None:
        self.told.append("opened")

    def suspended(self) -> None:
        self.told.append("suspended")

    def resumed(self) -> None:
        self.told.append("resumed")

    def lost(self, number: int) -> None:
        self.told.append(("lost", number))

    def moved(self) -> None:
        self.told.append("moved")

    def missed(self, rooms: list[tuple[str, str]]) -> None:
        self.told.append(("missed", rooms))

    def denied(self, status: int) -> None:
        self.told.append(("denied", status))

    def unsupported(self) -> None:
        self.told.append("unsupported")

    def closed(self, code: int, reason: str) -> None:
        self.told.append(("closed", code, reason))


def over_websocket() -> tuple[World, Link]:
    world = World((Way.WEBSOCKET,))
    link = world.link(Way.WEBSOCKET)
    world.client.connected(link)
    world.welcome(link)
    return world, link


def over_poll() -> World:
    world = World((Way.POLL,))
    poll = world.link(Way.POLL)
    world.welcome(poll)
    world.client.ended(poll, clean=True)
    return world


# The ways


def test_websocket_first_and_a_poll_150_ms_later() -> None:
    world = World()
    assert [link.way for link in world.opened] == [Way.WEBSOCKET]
    assert world.opened[0].new
    world.advance(0.14)
    assert len(world.opened) == 1
    world.advance(0.02)
    assert [link.way for link in world.opened] == [Way.WEBSOCKET, Way.POLL]
    assert world.opened[1].body["new"]


def test_poll_at_once_where_the_websocket_fails_fast() -> None:
    world = World()
    world.client.ended(world.link(Way.WEBSOCKET))
    assert world.opened[-1].way is Way.POLL


def test_no_hedge_after_a_welcome() -> None:
    world = World()
    link = world.link(Way.WEBSOCKET)
    world.client.connected(link)
    world.welcome(link)
    world.advance(1)
    assert [one.way for one in world.opened] == [Way.WEBSOCKET]
    assert world.told == ["opened"]


def test_polling_is_the_way_in_not_the_way_to_stay() -> None:
    world = World()
    world.advance(0.2)
    poll, websocket = world.link(Way.POLL), world.link(Way.WEBSOCKET)
    world.welcome(poll)
    stream = world.link(Way.STREAM)
    assert stream.body["probe"]
    world.client.connected(websocket)
    assert world.frames == [{"ping": 2}], "it is proved before it takes over"
    world.answer(websocket, {"pong": 2})
    assert world.frames[-1]["request"] == 2
    world.answer(websocket, {"from": 1, "received": 0})
    assert world.client.state is ClientState.OPEN
    world.client.send("a")
    assert world.frames[-1] == ["a"]


def test_stream_takes_over_when_its_probe_was_answered() -> None:
    world = World((Way.STREAM, Way.POLL))
    world.welcome(world.link(Way.POLL))
    probe = world.link(Way.STREAM)
    world.answer(probe, {"pong": probe.body["probe"]})
    assert probe in world.closed_links
    assert world.link(Way.STREAM).body["request"] == 2


def test_known_way_first() -> None:
    policy = Policy(tuple(Way), lambda: 0.5)
    policy.worked(Way.POLL, 0)
    policy.round_trip = 0.2
    assert policy.plan(1) == [Attempt(Way.POLL, 1), Attempt(Way.WEBSOCKET, 1.5)]
    policy.round_trip = 5
    assert policy.plan(1)[1].at == 1.8
    policy.round_trip = 0.001
    assert policy.plan(1)[1].at == 1.15
    assert policy.plan(1801)[0].way is Way.WEBSOCKET


def test_left_out_twice_as_long_each_time() -> None:
    policy = Policy(tuple(Way), lambda: 0.5)
    now, pauses = 0.0, []
    for _ in range(6):
        policy.failed(Way.WEBSOCKET, now)
        assert Way.WEBSOCKET not in policy.better(Way.POLL, now)
        at = policy.next_look(Way.POLL, now)
        assert at is not None
        pauses.append(at - now)
        now = at
    assert pauses == [LEFT_OUT, 600, 1200, 2400, MAX_LEFT_OUT, MAX_LEFT_OUT]
    assert Way.WEBSOCKET in policy.better(Way.POLL, now)


def test_twice_broken_on_probation_is_left_out() -> None:
    policy = Policy(tuple(Way), lambda: 0.5)
    policy.broke(Way.WEBSOCKET, 10, 5, 1)
    assert policy.plan(10)[0].way is Way.WEBSOCKET
    policy.broke(Way.WEBSOCKET, 20, 5, 1)
    assert [attempt.way for attempt in policy.plan(20)] == [Way.POLL]
    policy.broke(Way.POLL, 1000, 100, 1)
    assert policy.plan(1000)[0].way is Way.WEBSOCKET


def test_silence_that_kills_is_kept_below() -> None:
    policy = Policy(tuple(Way), lambda: 0.5)
    policy.broke(Way.WEBSOCKET, 100, 99, 20)
    assert policy.heartbeat is None
    policy.broke(Way.WEBSOCKET, 200, 99, 20)
    assert policy.heartbeat == 14
    assert policy.ping_every(100) == 14


def test_pauses_grow_with_jitter() -> None:
    policy = Policy(tuple(Way), lambda: 0.5)
    assert [policy.pause() for _ in range(8)] == [0.25, 0.5, 1, 2, 4, 8, 15, 15]
    policy.worked(Way.POLL, 0)
    assert policy.pause() == 0.25


def test_silent_websocket_is_left_and_the_session_goes_on() -> None:
    world, link = over_websocket()
    world.advance(2.6)
    assert world.frames[-1] == {"ping": 1}
    world.advance(2.1)
    assert link in world.closed_links
    assert world.told[-1] == "suspended"
    world.client.connected(world.link(Way.WEBSOCKET))
    assert world.frames[-1]["received"] == 0
    assert "new" not in world.frames[-1]
    world.answer(world.link(Way.WEBSOCKET), {"from": 1, "received": 0})
    assert world.told[-1] == "resumed"


def test_any_frame_is_a_sign_of_life() -> None:
    world, link = over_websocket()
    for _ in range(5):
        world.advance(2)
        world.answer(link, {"at": 0, "busy": True})
    assert not link.over


def test_after_probation_it_is_pinged_less() -> None:
    world, link = over_websocket()

    def live(seconds: float) -> int:
        before = len(world.frames)
        for _ in range(int(seconds)):
            world.advance(1)
            if world.frames and link.pinged_at is not None:
                world.answer(link, {"pong": world.frames[-1]["ping"], "at": 0})
        return len(world.frames) - before

    assert live(60) > 15
    live(20)
    assert live(60) == 3


def test_what_is_sent_is_asked_about_when_no_sign_comes() -> None:
    world, link = over_websocket()
    link.next_ping = world.now + 20
    world.client.send("a")
    world.advance(2.1)
    assert world.frames[-1] == {"ping": 1}


# Sending


def test_what_was_sent_before_goes_with_the_first_request() -> None:
    world = World((Way.POLL,))
    assert "messages" not in world.opened[0].body
    world = World((Way.WEBSOCKET,))
    world.client.send("a")
    link = world.link(Way.WEBSOCKET)
    world.client.connected(link)
    assert world.frames[0]["first"] == 1
    assert world.frames[0]["messages"] == ["a"]
    world.welcome(link)
    world.client.send("b")
    assert world.frames[-1] == {"first": 2, "messages": ["b"]}
    world.client.send("c")
    assert world.frames[-1] == ["c"]


def test_one_post_at_a_time_and_the_same_again_after_a_failure() -> None:
    world = over_poll()
    world.client.send("a")
    world.client.send("b")
    assert [post.body["messages"] for post in world.posts] == [["a"]]
    world.client.failed(world.posts[0])
    world.advance(1)
    assert world.posts[1].body["first"] == 1
    assert world.posts[1].body["messages"] == ["a", "b"]
    world.client.answered(world.posts[1], 200, {"arrived": 1, "received": 0})
    assert world.posts[2].body["messages"] == ["b"]
    world.client.answered(world.posts[2], 200, {"arrived": 2, "received": 1})
    assert len(world.posts) == 3
    assert world.told[-1] == ("handled", 1)


def test_late_answer_to_a_failed_post_is_passed_over() -> None:
    world = over_poll()
    world.client.send("a")
    world.client.failed(world.posts[0])
    world.client.answered(world.posts[0], 200, {"arrived": 1, "received": 1})
    assert world.client.counts.arrived == 0


def test_batches_are_cut_to_the_limit() -> None:
    world = over_poll()
    world.client.send("x")
    for _ in range(4):
        world.client.send("y" * 1500)
    world.client.answered(world.posts[0], 200, {"arrived": 1, "received": 1})
    assert len(world.posts[1].body["messages"]) == 2
    with pytest.raises(ValueError, match="more than 3072 bytes"):
        world.client.send("z" * 4000)


def test_acknowledges_after_64_messages() -> None:
    world, link = over_websocket()
    world.answer(link, "a" + json.dumps(["x"] * 63))
    assert world.frames[1:] == []
    world.answer(link, 'a["x"]')
    assert world.frames[1:] == [{"received": 64}]


def test_acknowledges_after_32_kib_or_15_s_or_when_asked() -> None:
    world, link = over_websocket()
    world.answer(link, "a" + json.dumps(["x" * 33000]))
    assert world.frames[-1] == {"received": 1}
    world.answer(link, 'a["y"]', {"at": 2, "ack": True})
    assert world.frames[-1] == {"received": 2}
    world.answer(link, 'a["z"]')
    for _ in range(16):
        world.advance(1)
        world.answer(link, "h")
    assert {"received": 3} in world.frames


def test_asked_over_http_it_acknowledges_by_a_post() -> None:
    world = World((Way.STREAM,))
    stream = world.link(Way.STREAM)
    world.welcome(stream)
    world.answer(stream, 'a["y"]', {"at": 1, "ack": True})
    assert world.posts[-1].body["received"] == 1
    assert "messages" not in world.posts[-1].body


def test_close_goes_after_the_messages() -> None:
    world, link = over_websocket()
    world.client.send("a")
    world.client.close(1000, "bye")
    assert world.frames[-2:] == [["a"], {"close": [1000, "bye"]}]
    with pytest.raises(ConnectionError):
        world.client.send("b")
    world.answer(link, 'c[1000,"bye"]')
    assert world.told[-1] == ("closed", 1000, "bye")


def test_close_over_http() -> None:
    world = over_poll()
    world.client.send("a")
    world.client.close(3000, "bye")
    world.client.answered(world.posts[0], 200, {"arrived": 1, "received": 1})
    assert world.posts[1].body["close"] == [3000, "bye"]
    world.client.answered(
        world.posts[1], 200, {"arrived": 1, "received": 1, "closed": [3000, "bye"]}
    )
    assert world.client.state is ClientState.CLOSING, "what was sent before comes first"
    poll = world.link(Way.POLL)
    assert poll.body["now"]
    world.answer(poll, {"from": 1, "received": 1}, 'a["last"]', 'c[3000,"bye"]')
    assert world.told[-2] == ["last"]
    assert world.told[-1] == ("closed", 3000, "bye")


# What comes down


def test_takes_what_is_next_and_drops_what_it_has() -> None:
    world = over_poll()
    poll = world.link(Way.POLL)
    world.answer(poll, {"from": 1, "received": 0}, 'a["a","b"]')
    world.client.ended(poll, clean=True)
    assert world.link(Way.POLL).body["received"] == 2
    world.answer(world.link(Way.POLL), {"from": 2, "received": 0}, 'a["b","c"]')
    assert [told for told in world.told if isinstance(told, list)] == [["a", "b"], ["c"]]


def test_hole_is_a_loss() -> None:
    world = over_poll()
    world.answer(world.link(Way.POLL), {"from": 2, "received": 0})
    assert world.told[-1] == ("lost", 0)


def test_who_counts_otherwise_is_left_and_asked_again() -> None:
    world, link = over_websocket()
    world.answer(link, 'a["a"]', {"at": 2, "received": 0})
    assert link in world.closed_links
    assert world.client.state is ClientState.SUSPENDED
    assert world.client.counts.received == 1


@pytest.mark.parametrize(
    "line",
    [
        "x",
        "a",
        "a[1]",
        'a"abc"',
        "r",
        "r[1]",
        'r{"lost":1}',
        'r{"from":"1"}',
        'p["K"]',
        "c[]",
        "a[" * 5000,
    ],
)
def test_what_is_no_line_ends_the_link_only(line: str) -> None:
    world, link = over_websocket()
    world.answer(link, line)
    assert link in world.closed_links
    assert world.client.state is ClientState.SUSPENDED


def test_poll_ends_cleanly_and_the_next_follows_at_once() -> None:
    world = over_poll()
    assert "now" not in world.link(Way.POLL).body
    world.welcome(world.link(Way.POLL))
    world.client.ended(world.link(Way.POLL), clean=True)
    assert world.link(Way.POLL).body["request"] == 3
    assert "suspended" not in world.told


def test_broken_poll_is_asked_again_with_now() -> None:
    world = over_poll()
    world.client.ended(world.link(Way.POLL))
    assert world.told[-1] == "suspended"
    assert world.link(Way.POLL).body["now"]
    world.answer(world.link(Way.POLL), {"from": 1, "received": 0})
    assert world.told[-1] == "resumed"


def test_lost_begins_anew_with_ids_and_repetitions() -> None:
    world, link = over_websocket()
    for text in "abc":
        world.client.send(text)
    world.answer(link, {"at": 0, "received": 1})
    former = world.client.session
    world.answer(link, {"lost": {"received": 2}})
    assert world.told[-2:] == [("handled", 2), ("lost", 2)]
    assert world.client.session != former
    again = world.link(Way.WEBSOCKET)
    world.client.connected(again)
    hello = world.frames[-1]
    assert hello["new"]
    assert (hello["base"], hello["repeated"], hello["messages"]) == (3, 1, ["c"])
    assert hello["request"] == 1


def test_moved_waits_a_random_part_and_doubts_nothing() -> None:
    world, link = over_websocket()
    world.client.send("a")
    world.answer(link, {"at": 0, "received": 0, "ack": True}, {"moved": 4})
    assert world.told[-1] == "moved"
    world.client.send("b")
    count = len(world.opened)
    world.advance(1.9)
    assert len(world.opened) == count
    world.advance(0.2)
    world.client.connected(world.link(Way.WEBSOCKET))
    assert world.frames[-1]["repeated"] == 0
    assert world.frames[-1]["messages"] == ["a", "b"]


def test_close_while_it_moves() -> None:
    world, link = over_websocket()
    world.answer(link, {"moved": 4})
    world.client.close()
    assert world.told[-1] == ("closed", 1000, "")
    assert world.client.deadline() is None


def test_stale_by_itself_and_by_somebody_else() -> None:
    world = over_poll()
    for number in range(3):
        assert not any(isinstance(told, tuple) and told[0] == "lost" for told in world.told)
        poll = world.link(Way.POLL)
        world.answer(poll, {"stale": 50 + 10 * number})
        if not poll.over:
            world.client.ended(poll, clean=True)
        world.advance(1)
    assert ("lost", 0) in world.told


def test_positions_are_remembered_and_told_in_a_new_session() -> None:
    world, link = over_websocket()
    world.answer(link, 'p["K","E-7",[]]', 'p["K","E-8",["a","b"]]', 'p["L","F-G-1",["c"]]')
    assert world.client.positions == {"K": "E-9", "L": "F-G-1"}
    assert world.client.counts.received == 3
    world.answer(link, {"missed": [["K", "notes"]]})
    assert world.told[-1] == ("missed", [("K", "notes")])
    world.answer(link, {"lost": {}})
    world.client.connected(world.link(Way.WEBSOCKET))
    assert world.frames[-1]["rooms"] == {"K": "E-9", "L": "F-G-1"}


def test_position_that_comes_late_is_none() -> None:
    """A way that was replaced may still bring what another one has brought before."""
    world, link = over_websocket()
    world.answer(link, 'p["K","E-1",["a"]]', 'p["K","E-2",["b","c"]]', 'p["K","E-9",[]]')
    link.number = 1
    world.answer(link, 'p["K","E-0",[]]', 'p["K","E-1",["a"]]', 'p["K","E-2",["b"]]')
    assert world.client.positions == {"K": "E-9"}
    world.answer(link, 'p["K","E-3",["c"]]', 'p["K","E-10",["d"]]')
    assert world.client.positions == {"K": "E-10"}


def test_positions_are_bounded_and_leave_room_for_messages() -> None:
    """Those that were heard of first are dropped; what does not fit beside them goes behind."""
    world, link = over_websocket()
    for number in range(2000):
        world.answer(link, f'p["room {number}","E-1",[]]')
    world.answer(link, 'p["room 0","E-2",[]]')
    world.client.send("x" * 3000)
    world.answer(link, {"lost": {}})
    world.client.connected(world.link(Way.WEBSOCKET))
    hello = world.frames[-1]
    assert len(json.dumps(hello)) < world.client.limit
    assert hello["rooms"]["room 0"] == "E-2"
    assert "room 1999" in hello["rooms"]
    assert "room 1" not in hello["rooms"]
    assert "messages" not in hello
    world.answer(world.link(Way.WEBSOCKET), {"from": 1, "received": 0})
    assert world.frames[-1] == ["x" * 3000]


@pytest.mark.parametrize("waits", [False, True])
def test_closed_while_it_moves(waits: bool) -> None:
    """What was sent before is handed over first, in the next session."""
    world, link = over_websocket()
    if waits:
        world.client.send("last")
    world.answer(link, {"moved": 5})
    world.client.close(1000, "bye")
    if not waits:
        assert world.told[-1] == ("closed", 1000, "bye")
        return
    world.advance(6)
    link = world.link(Way.WEBSOCKET)
    world.client.connected(link)
    assert world.frames[-1]["messages"] == ["last"]
    world.answer(link, {"from": 1, "received": 1})
    assert world.frames[-1] == {"close": [1000, "bye"]}
    world.answer(link, 'c[1000,"bye"]')
    assert world.told[-1] == ("closed", 1000, "bye")


# Answers that end it


@pytest.mark.parametrize("status", [401, 403])
def test_denied(status: int) -> None:
    world = over_poll()
    world.client.ended(world.link(Way.POLL), status)
    assert world.told[-2:] == [("denied", status), ("closed", 4000 + status, "Denied")]


def test_denied_by_a_close_frame() -> None:
    world, link = over_websocket()
    world.client.ended(link, 4403)
    assert ("denied", 403) in world.told


@pytest.mark.parametrize("status", [404, 405, 501])
def test_no_r1_here(status: int) -> None:
    world = World((Way.POLL,))
    world.client.ended(world.link(Way.POLL), status)
    assert world.told[0] == "unsupported"


def test_older_server() -> None:
    world = World((Way.POLL,))
    world.answer(world.link(Way.POLL), "o")
    assert world.told[0] == "unsupported"


def test_fault_of_ours() -> None:
    world = over_poll()
    world.client.ended(world.link(Way.POLL), 400)
    assert world.told[-1] == ("closed", 4400, "Bad Request")


def test_send_of_an_unknown_session_says_nothing() -> None:
    world = over_poll()
    world.client.send("a")
    world.client.answered(world.posts[0], 404, {})
    assert world.link(Way.POLL).body["now"]
    assert world.client.state is ClientState.OPEN
    world.answer(world.link(Way.POLL), {"lost": {}})
    assert world.told[-1] == ("lost", 0)


def test_too_large_all_the_same() -> None:
    world = over_poll()
    world.client.send("a")
    world.client.answered(world.posts[0], 413, {})
    assert world.told[-1][:2] == ("closed", 1009)


def test_server_error_is_waited_for() -> None:
    world = World((Way.POLL,))
    world.client.ended(world.link(Way.POLL), 503)
    assert world.client.state is ClientState.CONNECTING
    world.advance(0)
    assert len(world.opened) == 2
    world.client.ended(world.opened[1], 503, after=7)
    world.advance(6.9)
    assert len(world.opened) == 2
    world.advance(0.2)
    assert len(world.opened) == 3


def test_close_is_final() -> None:
    world, link = over_websocket()
    world.answer(link, 'c[4001,"enough"]')
    assert world.told[-1] == ("closed", 4001, "enough")
    assert world.client.state is ClientState.CLOSED
    assert world.client.deadline() is None
    count = len(world.opened)
    world.client.ended(link)
    world.client.close()
    assert len(world.opened) == count
