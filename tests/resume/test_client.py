"""The client's core: what it asks, what it makes of answers, when it tries which way."""

from __future__ import annotations

import itertools
import json
from itertools import pairwise
from typing import Any

import pytest

from sockjs_bridge.client.resume.core import ResumableClient
from sockjs_bridge.client.resume.counts import BESIDE, Counts
from sockjs_bridge.client.resume.links import Link, Post
from sockjs_bridge.client.resume.policy import (
    LEFT_OUT,
    MAX_LEFT_OUT,
    Attempt,
    Policy,
    Way,
)
from sockjs_bridge.client.resume.positions import Positions
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
        self.dropped: list[Post] = []
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

    def drop(self, post: Post) -> None:
        self.dropped.append(post)

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


def test_acknowledges_after_512_messages() -> None:
    world, link = over_websocket()
    world.answer(link, "a" + json.dumps(["x"] * 511))
    assert world.frames[1:] == []
    world.answer(link, 'a["x"]')
    assert world.frames[1:] == [{"received": 512}]


def test_acknowledges_after_64_kib_or_15_s_or_when_asked() -> None:
    world, link = over_websocket()
    world.answer(link, "a" + json.dumps(["x" * 66000]))
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


def test_asked_though_nothing_is_new_it_says_nothing() -> None:
    world = World((Way.STREAM,))
    stream = world.link(Way.STREAM)
    world.welcome(stream)
    world.answer(stream, {"at": 0, "ack": True})
    assert world.posts == []


def test_asked_again_over_a_websocket_it_acknowledges_what_is_new() -> None:
    world, link = over_websocket()
    world.answer(link, 'a["x"]', {"at": 1, "ack": True}, {"at": 1, "ack": True})
    assert world.frames[1:] == [{"received": 1}]
    world.answer(link, 'a["y"]', {"at": 2, "ack": True})
    assert world.frames[2:] == [{"received": 2}]


def test_what_was_acknowledged_another_way_is_acknowledged_when_asked() -> None:
    """Whether that arrived, nobody knows."""
    world = World((Way.WEBSOCKET, Way.POLL))
    world.advance(0.2)
    poll, websocket = world.link(Way.POLL), world.link(Way.WEBSOCKET)
    world.welcome(poll)
    world.client.connected(websocket)
    world.answer(websocket, {"pong": 1})
    world.answer(poll, 'a["x"]')
    world.client.send("a")
    assert world.posts[0].body["received"] == 1
    world.client.failed(world.posts[0])
    world.answer(websocket, {"from": 1, "received": 0}, 'a["x"]', {"at": 1, "ack": True})
    assert world.frames[-1] == {"received": 1}


def test_send_says_which_session_it_means() -> None:
    world = World((Way.STREAM,))
    stream = world.link(Way.STREAM)
    world.answer(stream, {"from": 1, "received": 0, **TERMS, "incarnation": "boot-7"})
    world.client.send("a")
    assert world.posts[0].body["incarnation"] == "boot-7"


def test_answer_that_comes_when_the_way_is_gone_counts() -> None:
    world = World((Way.STREAM,))
    stream = world.link(Way.STREAM)
    world.welcome(stream)
    world.client.send("a")
    world.client.ended(stream)
    world.client.answered(world.posts[0], 200, {"arrived": 1, "received": 1})
    assert world.told[-1] == ("handled", 1)


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


def test_close_over_http_goes_with_the_last_messages_only() -> None:
    """The server ends the session when it has handled those that came with the close."""
    world = over_poll()
    texts = ["a", "b" * 2000, "c" * 2000, "d"]
    for text in texts:
        world.client.send(text)
    world.client.close(3000, "bye")
    for count in (1, 2):
        world.client.answered(world.posts[-1], 200, {"arrived": count, "received": count})
    assert [post.body["messages"] for post in world.posts] == [texts[:1], texts[1:2], texts[2:]]
    assert ["close" in post.body for post in world.posts] == [False, False, True]


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


def test_stale_by_a_newer_request_of_its_own() -> None:
    """However often it replaces its own polls, nobody else has the session."""
    world = over_poll()
    for number in range(5):
        polls = [world.link(Way.POLL)]
        for _ in range(2):
            # An answer that decides nothing has it ask by a poll.
            world.client.send("a")
            world.client.answered(world.posts[-1], 404, {})
            polls.append(world.link(Way.POLL))
            world.advance(2)
        # Each was replaced by the next one; the answers come when all have been asked.
        for poll, newer in pairwise(polls):
            world.answer(poll, {"from": 1, "received": 0}, {"stale": newer.request})
            world.client.ended(poll, clean=True)
        world.answer(polls[-1], {"from": 1, "received": 2 * number + 2})
        world.client.ended(polls[-1], clean=True)
        world.advance(2)
        assert world.told[-1] == ("handled", 2 * number + 2)
    assert world.client.state is ClientState.OPEN
    assert not any(told[0] == "lost" for told in world.told)


def test_positions_are_remembered_and_told_in_a_new_session() -> None:
    world, link = over_websocket()
    world.answer(link, 'p["K","E-7",[]]', 'p["K","E-8",["a","b"]]', 'p["L","F-G-1",["c"]]')
    assert world.client.positions == {"K": "E-9", "L": "F-G-1"}
    assert world.client.counts.received == 3
    world.answer(link, {"lost": {}})
    world.client.connected(world.link(Way.WEBSOCKET))
    assert world.frames[-1]["rooms"] == {"K": "E-9", "L": "F-G-1"}


def test_missed_room_is_told_once_in_a_session() -> None:
    """The server repeats it until a message behind it is acknowledged."""
    world, link = over_websocket()
    world.answer(link, {"missed": [["K", "notes"]]})
    world.answer(link, {"missed": [["K", "notes"], ["L", "news"]]}, {"missed": [["L", "news"]]})
    # Another gap in the same session has another place.
    world.answer(link, {"missed": [["K", "notes", "E-7"]]}, {"missed": [["K", "notes", "E-7"]]})
    missed = [told for told in world.told if told[0] == "missed"]
    assert missed == [
        ("missed", [room]) for room in (("K", "notes"), ("L", "news"), ("K", "notes"))
    ]
    world.answer(link, {"lost": {}})
    again = world.link(Way.WEBSOCKET)
    world.client.connected(again)
    world.welcome(again)
    world.answer(again, {"missed": [["K", "notes"]]})
    assert world.told[-1] == ("missed", [("K", "notes")])


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


def test_no_room_for_positions() -> None:
    """An endpoint may take less than a request needs beside them."""
    positions = Positions()
    positions.hear("K", "E-1")
    positions.fit(0)
    assert positions == {}


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


# What never works, and what is slow


def test_refused_handshake_leaves_the_decision_to_the_poll() -> None:
    for status in (400, 401, 403, 404, 501):
        world = World()
        world.client.ended(world.link(Way.WEBSOCKET), status)
        assert world.told == []
        world.welcome(world.link(Way.POLL))
        assert world.told == ["opened"]


def test_refused_handshake_decides_where_there_is_no_other_way() -> None:
    world = World((Way.WEBSOCKET,))
    world.client.ended(world.link(Way.WEBSOCKET), 403)
    assert world.told == [("denied", 403), ("closed", 4403, "Denied")]
    world = World((Way.WEBSOCKET,))
    world.client.ended(world.link(Way.WEBSOCKET), 404)
    assert world.told == ["unsupported", ("closed", 4404, "Not supported")]


@pytest.mark.parametrize(("code", "denied"), [(4399, False), (4400, True), (4403, True)])
def test_close_by_the_pipeline_is_a_denial(code: int, denied: bool) -> None:
    world = World((Way.POLL,))
    world.answer(world.link(Way.POLL), f'c[{code},"Forbidden"]')
    told = [("denied", code - 4000)] if denied else []
    assert world.told == [*told, ("closed", code, "Forbidden")]


def test_late_denial_after_the_end() -> None:
    world = over_poll()
    world.client.send("a")
    world.answer(world.link(Way.POLL), 'c[4001,"enough"]')
    told = [*world.told]
    world.client.answered(world.posts[0], 403, {})
    assert world.told == told


def test_receive_request_that_is_too_large_ends_it() -> None:
    world = over_poll()
    world.client.ended(world.link(Way.POLL), 413)
    assert world.told[-1] == ("closed", 1009, "Message too big")


@pytest.mark.parametrize(("status", "code"), [(401, 4401), (400, 4400)])
def test_send_that_is_refused(status: int, code: int) -> None:
    world = over_poll()
    world.client.send("a")
    world.client.answered(world.posts[0], status, {})
    assert world.told[-1][:2] == ("closed", code)


@pytest.mark.parametrize(
    ("status", "answer"), [(503, {}), (200, {}), (200, {"arrived": 1, "received": "1"})]
)
def test_send_that_is_not_answered_goes_again(status: int, answer: dict[str, Any]) -> None:
    world = over_poll()
    world.client.send("a")
    world.client.answered(world.posts[0], status, answer)
    world.advance(1)
    assert [post.body["messages"] for post in world.posts] == [["a"], ["a"]]


def test_send_to_a_session_that_timed_out() -> None:
    world = over_poll()
    world.client.send("a")
    answer = {"arrived": 1, "received": 1, "lost": {"received": 1}}
    world.client.answered(world.posts[0], 200, answer)
    assert world.told[-2:] == [("handled", 1), ("lost", 1)]


def test_silent_send_goes_again_and_takes_the_silent_way_with_it() -> None:
    world = over_poll()
    world.client.send("a")
    poll = world.link(Way.POLL)
    world.advance(2.9)
    assert world.dropped == []
    world.advance(0.2)
    assert world.dropped == [world.posts[0]]
    assert poll in world.closed_links
    assert world.told[-1] == "suspended"
    assert world.link(Way.POLL).body["now"]
    world.welcome(world.link(Way.POLL))
    world.advance(1)
    assert world.posts[1].body["messages"] == ["a"]


def test_way_that_brings_something_outlives_a_silent_send() -> None:
    world = World((Way.STREAM,))
    stream = world.link(Way.STREAM)
    world.welcome(stream)
    world.client.send("a")
    world.advance(1)
    world.answer(stream, {"at": 0, "busy": True})
    world.advance(2.5)
    assert world.dropped == [world.posts[0]]
    assert not stream.over
    # A slow way up needs more time for the same.
    assert len(world.posts) == 2
    for _ in range(5):
        world.advance(1)
        world.answer(stream, {"at": 0, "busy": True})
    assert len(world.dropped) == 1
    world.advance(1)
    assert len(world.dropped) == 2


def test_send_under_way_while_a_websocket_takes_over() -> None:
    world = World()
    world.advance(0.2)
    websocket = world.link(Way.WEBSOCKET)
    world.welcome(world.link(Way.POLL))
    world.client.send("a")
    world.client.connected(websocket)
    world.answer(websocket, {"pong": 2}, {"from": 1, "received": 0})
    world.advance(2.4)
    world.answer(websocket, {"at": 0, "received": 1})
    world.advance(1)
    assert world.dropped == [world.posts[0]]
    assert not websocket.over


def test_server_is_asked_what_it_has_handled_over_a_poll() -> None:
    world = over_poll()
    world.client.send("a")
    world.client.answered(world.posts[0], 200, {"arrived": 1, "received": 0})
    world.advance(5)
    assert len(world.posts) == 1, "nobody waits for it"
    world.client.want_handled()
    assert world.posts[1].body == {"key": world.client.key, "received": 0}
    pauses = []
    for count in range(2, 9):
        assert len(world.posts) == count
        world.client.answered(world.posts[-1], 200, {"arrived": 1, "received": 0})
        due = world.client.deadline()
        assert due is not None
        pauses.append(round(due - world.now, 2))
        world.advance(due - world.now)
    assert pauses == [0.05, 0.1, 0.2, 0.4, 0.8, 1, 1]
    # What is sent meanwhile does not wait for that.
    world.client.answered(world.posts[-1], 200, {"arrived": 1, "received": 0})
    world.client.send("b")
    assert world.posts[-1].body["messages"] == ["b"]
    world.client.answered(world.posts[-1], 200, {"arrived": 2, "received": 1})
    count = len(world.posts)
    world.advance(5)
    assert len(world.posts) == count
    assert world.told[-1] == ("handled", 1)


def test_probe_that_is_held_is_no_proof() -> None:
    """What holds a response does so for the five seconds that the server keeps it open."""
    world = World((Way.STREAM, Way.POLL))
    world.welcome(world.link(Way.POLL))
    probe = world.link(Way.STREAM)
    world.advance(4.5)
    assert probe in world.closed_links
    world.answer(probe, {"pong": probe.body["probe"]})
    assert [link.way for link in world.opened if not link.over] == [Way.POLL]


def test_probe_that_is_refused_is_left_out() -> None:
    world = World((Way.STREAM, Way.POLL))
    world.welcome(world.link(Way.POLL))
    world.client.ended(world.link(Way.STREAM), 502)
    assert world.policy.better(Way.POLL, world.now) == []
    for _ in range(31):
        world.advance(10)
        poll = world.link(Way.POLL)
        world.answer(poll, {"from": 1, "received": 0}, "h")
        world.client.ended(poll, clean=True)
    assert [link.probe for link in world.opened if link.way is Way.STREAM] == [True, True]


def test_way_that_breaks_at_each_welcome_is_asked_less_and_less() -> None:
    world = World((Way.STREAM,))
    for _ in range(60):
        for link in [link for link in world.opened if not link.over]:
            world.welcome(link)
            world.client.ended(link)
        world.advance(1)
    assert 6 < len(world.opened) < 15


def test_way_that_breaks_with_something_is_asked_at_once() -> None:
    world = World((Way.STREAM,))
    for number in range(1, 20):
        link = world.link(Way.STREAM)
        world.answer(link, {"from": number, "received": 0, **TERMS}, 'a["x"]')
        world.client.ended(link)
    assert len(world.opened) == 20


def test_session_that_is_lost_again_and_again_begins_less_and_less() -> None:
    """Two servers that know nothing of each other, behind one address."""
    world = World((Way.POLL,))
    for _ in range(60):
        for link in [link for link in world.opened if not link.over]:
            world.answer(link, {"lost": {}})
        world.advance(1)
    assert 6 < len(world.opened) < 15


@pytest.mark.parametrize("end", [{"lost": {}}, {"moved": 0}])
def test_session_that_ends_behind_its_greeting_begins_less_and_less(end: Any) -> None:
    """What each of two servers says at its beginning brings nothing on."""
    world = World((Way.POLL,))
    for _ in range(60):
        for link in [link for link in world.opened if not link.over]:
            world.welcome(link)
            world.answer(link, 'a["hello"]', end)
        world.advance(0.1)
    assert 6 < len(world.opened) < 40


def test_send_that_brings_nothing_on_goes_again_less_and_less() -> None:
    """A server that leaves takes no messages, and says so at once."""
    world = over_poll()
    world.client.send("a")
    for _ in range(100):
        for post in world.posts[-1:]:
            world.client.answered(post, 200, {"arrived": 0, "received": 0})
        world.advance(0.1)
    assert 8 < len(world.posts) < 20
    world.advance(1)
    world.client.answered(world.posts[-1], 200, {"arrived": 1, "received": 1})
    count = len(world.posts)
    world.client.send("b")
    world.client.answered(world.posts[-1], 200, {"arrived": 1, "received": 1})
    world.advance(0.06)
    assert len(world.posts) == count + 2, "the pause begins anew"


def test_send_that_was_held_for_long_goes_again_at_once() -> None:
    """There was no room for a second: that is the server's own pause."""
    world = over_poll()
    world.client.send("a")
    world.now += 1
    world.client.answered(world.posts[-1], 200, {"arrived": 0, "received": 0})
    world.advance(0)
    assert [post.body["messages"] for post in world.posts] == [["a"], ["a"]]


def test_end_that_waits_for_the_application_is_asked_for_less_and_less() -> None:
    world = over_poll()
    world.client.send("a")
    world.client.answered(world.posts[-1], 200, {"arrived": 1, "received": 0})
    world.client.close()
    for _ in range(100):
        for post in world.posts[-1:]:
            world.client.answered(post, 200, {"arrived": 1, "received": 0})
        world.advance(0.1)
    assert 8 < len(world.posts) < 20
    assert world.posts[-1].body["close"] == [1000, ""]


def test_end_that_only_sends_are_told_of_is_asked_for_less_and_less() -> None:
    world = over_poll()
    world.client.want_handled()
    world.client.send("a")
    for _ in range(100):
        for post in world.posts[-1:]:
            answer = {"arrived": 0, "received": 0, "closed": [1000, "Bye"]}
            world.client.answered(post, 200, answer)
        for link in [link for link in world.opened if not link.over and link.body.get("now")]:
            world.answer(link, {"from": 1, "received": 0})
            world.client.ended(link, clean=True)
        world.advance(0.1)
    assert 8 < len(world.posts) < 20


@pytest.mark.parametrize("lost", [{}, {"received": 0}, {"received": 1e400}, {"received": "x"}, 5])
def test_send_hears_that_the_session_is_lost_whatever_else_is_said(lost: Any) -> None:
    world = over_poll()
    session = world.client.session
    world.client.send("a")
    answer = {"arrived": 0, "received": 0, "lost": lost}
    world.client.answered(world.posts[-1], 200, answer)
    assert world.client.session != session
    assert ("lost", 0) in world.told


NO_LINES = [
    *('c[1e999,"x"]', 'p["K",5,["x"]]', 'p["K","e-x",[]]', 'p["K","e-1",5]', "a[1]", "a{}", "z"),
    *('r{"from":0.5,"received":0}', 'r{"from":NaN,"received":0}', 'r{"from":-1,"received":0}'),
    *('r{"from":1,"received":0.5}', 'r{"from":1,"received":-1}', 'r{"from":1,"received":true}'),
    *('r{"received":0.0}', 'r{"lost":{"received":1e999}}', 'r{"moved":1e999}', 'r{"missed":5}'),
    *('r{"stale":1e999}', 'r{"stale":-1}', 'r{"from":1,"received":0,"limit":1e999}'),
    'r{"from":1,"received":0,"limit":4096,"heartbeat":%s}' % ("9" * 400),
]


@pytest.mark.parametrize("line", NO_LINES)
def test_line_that_is_none_ends_its_connection_alone(line: str) -> None:
    world = World((Way.STREAM,))
    link = world.link(Way.STREAM)
    world.answer(link, {"from": 1, "received": 0}, line)
    assert link.over and link in world.closed_links
    assert world.client.state is ClientState.SUSPENDED
    again = world.link(Way.STREAM)
    assert again.session == link.session
    world.answer(again, {"from": 1, "received": 0}, 'a["x"]')
    assert world.told[-1] == ["x"]


def test_limit_that_leaves_no_room_for_positions_forgets_them_all() -> None:
    world, link = over_websocket()
    world.answer(link, 'p["K","e-1",["x"]]')
    world.client.limit = 1024
    world.answer(link, {"lost": {}})
    world.client.connected(world.link(Way.WEBSOCKET))
    assert world.frames[-1]["rooms"] == {}


def test_session_that_lasted_begins_anew_at_once() -> None:
    world, link = over_websocket()
    world.advance(2.6)
    world.answer(link, {"pong": 1})
    world.advance(2.6)
    world.client.ended(link)
    world.client.connected(world.link(Way.WEBSOCKET))
    count = len(world.opened)
    world.answer(world.link(Way.WEBSOCKET), {"lost": {}})
    assert len(world.opened) == count + 1


@pytest.mark.parametrize("way", [Way.STREAM, Way.POLL])
def test_responses_that_end_empty_are_no_way(way: Way) -> None:
    """Something in between ends each one in good order, before anything is in it."""
    world = World((way,))
    world.welcome(world.link(way))
    world.client.ended(world.link(way), clean=True)
    for _ in range(300):
        for link in [link for link in world.opened if not link.over]:
            world.answer(link, {"from": 1, "received": 0})
            world.client.ended(link, clean=True)
        world.advance(0.2)
    assert "suspended" in world.told
    assert 6 < len(world.opened) < 40


def test_after_fruitless_tries_no_way_is_left_out() -> None:
    policy = Policy(tuple(Way), lambda: 0.5)
    policy.failed(Way.WEBSOCKET, 0)
    policy.failed(Way.STREAM, 0)
    assert [attempt.way for attempt in policy.plan(0)] == [Way.POLL]
    assert [attempt.way for attempt in policy.plan(0, all_ways=True)] == [Way.WEBSOCKET, Way.POLL]
    for _ in range(5):
        policy.broke(Way.POLL, 1, 1, 1)
    assert policy.plan(1)[0].way is Way.POLL, "there is none to fall back on"


def test_of_another_network_nothing_is_known() -> None:
    policy = Policy(tuple(Way), lambda: 0.5)
    policy.entered("a")
    policy.failed(Way.WEBSOCKET, 0)
    policy.worked(Way.POLL, 0)
    policy.entered("a")
    assert [attempt.way for attempt in policy.plan(0)] == [Way.POLL]
    policy.entered("b")
    assert [attempt.way for attempt in policy.plan(0)] == [Way.WEBSOCKET, Way.POLL]


def test_two_who_share_a_session_notice_it() -> None:
    """Each is welcomed in between: that proves nothing."""
    world = over_poll()
    for number in range(3):
        assert ("lost", 0) not in world.told
        poll = world.link(Way.POLL)
        world.answer(poll, {"from": 1, "received": 0}, {"stale": 50 + 10 * number})
        if not poll.over:
            world.client.ended(poll, clean=True)
        world.advance(1)
    assert ("lost", 0) in world.told


def test_close_while_it_moves_waits_for_what_is_left() -> None:
    world, link = over_websocket()
    world.client.send("a")
    world.answer(link, {"at": 0, "received": 0}, {"moved": 4})
    world.client.close(3000, "bye")
    assert world.told[-1] == "moved"
    world.advance(2.1)
    again = world.link(Way.WEBSOCKET)
    world.client.connected(again)
    assert world.frames[-1]["messages"] == ["a"]
    world.welcome(again, received=1)
    assert world.frames[-1] == {"close": [3000, "bye"]}
    world.answer(again, 'c[3000,"bye"]')
    assert world.told[-1] == ("closed", 3000, "bye")


def test_lost_while_it_closes() -> None:
    world, link = over_websocket()
    world.client.close(3000, "bye")
    world.answer(link, {"lost": {}})
    assert world.told[-1] == ("closed", 3000, "bye"), "nothing is left for another session"


def test_ping_is_sent_for_what_no_sign_came_of_not_before() -> None:
    world, link = over_websocket()
    link.next_ping = world.now + 20
    world.advance(10)
    world.client.send("a")
    world.advance(1.9)
    assert {"ping": 1} not in world.frames
    world.advance(0.2)
    assert world.frames[-1] == {"ping": 1}


def test_long_queue_is_not_walked() -> None:
    """Of what waits only the part is looked at that goes up."""
    counts = Counts()
    for number in range(100):
        counts.add(f"{number:03d}")
    assert counts.size == 100 * (3 + BESIDE)
    assert counts.confirm(40)
    assert counts.after(41, 20) == ["040", "041", "042"]
    assert counts.after(99, 1000) == ["098", "099"]
    assert counts.confirm(60)
    assert counts.confirm(30), "an older count tells nothing"
    assert counts.after(61, 1) == ["060"]
    assert (counts.handled, counts.last, counts.size) == (60, 100, 40 * (3 + BESIDE))
    assert not counts.confirm(101)
    counts.begin_again(doubtful=False)
    assert (counts.base, counts.last) == (61, 40)
    assert counts.after(1, 1) == ["060"]


def test_moved_without_a_welcome_leaves_doubts() -> None:
    world = World((Way.POLL,))
    world.client.send("a")
    world.client.ended(world.link(Way.POLL))
    assert world.link(Way.POLL).body["messages"] == ["a"]
    world.answer(world.link(Way.POLL), {"moved": 4})
    world.advance(3)
    assert world.link(Way.POLL).body["repeated"] == 1


def test_moved_doubts_what_a_late_copy_may_bring() -> None:
    """A request with ``new`` that was doubled on its way makes the session anew elsewhere.

    What went up otherwise reaches nobody there.
    """
    world = World((Way.POLL,))
    for text in "abc":
        world.client.send(text)
    poll = world.link(Way.POLL)
    world.client.ended(poll)
    poll = world.link(Way.POLL)
    assert poll.body["new"] and poll.body["messages"] == ["a", "b", "c"]
    world.welcome(poll, received=1)
    world.client.send("d")
    world.client.answered(world.posts[0], 200, {"arrived": 1, "received": 1})
    world.advance(1)
    assert world.posts[1].body["messages"] == ["b", "c", "d"]
    world.answer(poll, {"received": 1, "at": 0, "ack": True}, {"moved": 4})
    world.advance(3)
    again = world.link(Way.POLL).body
    assert (again["messages"], again["repeated"]) == (["b", "c", "d"], 2)


# Ways in each other's way


def test_way_that_is_proved_already_is_asked_again() -> None:
    world = World()
    world.advance(0.2)
    poll, websocket = world.link(Way.POLL), world.link(Way.WEBSOCKET)
    world.welcome(poll)
    world.client.connected(websocket)
    world.answer(websocket, {"pong": 2})
    assert world.frames[-1]["request"] == 2
    world.answer(poll, "nonsense")
    assert world.frames[-1]["request"] == 3, "at no cost, and before its answer came"
    assert [link.way for link in world.opened if not link.over] == [Way.WEBSOCKET, Way.STREAM]


def test_nonsense_over_a_replaced_way_is_nothing_to_the_newer_one() -> None:
    world, _ = over_both()
    poll = world.opened[1]
    world.answer(poll, {"pong": 9}, "nonsense")
    assert poll in world.closed_links
    assert world.client.state is ClientState.OPEN
    assert world.client.way is Way.WEBSOCKET


def over_both() -> tuple[World, Link]:
    """A WebSocket that has taken over; the poll before it still hangs."""
    world = World()
    world.advance(0.2)
    websocket = world.link(Way.WEBSOCKET)
    world.welcome(world.link(Way.POLL))
    world.client.connected(websocket)
    world.answer(websocket, {"pong": 2}, {"from": 1, "received": 0})
    return world, websocket


def test_probe_that_comes_too_late_opens_nothing() -> None:
    world, _ = over_both()
    probe = world.link(Way.STREAM)
    count = len(world.opened)
    world.answer(probe, {"pong": probe.body["probe"]})
    assert probe in world.closed_links
    assert len(world.opened) == count


def test_pongs_that_nobody_asked_for_are_answered_once() -> None:
    """A server that repeats them must not have all that waits go up each time."""
    world = World()
    world.advance(0.2)
    poll, websocket = world.link(Way.POLL), world.link(Way.WEBSOCKET)
    world.welcome(poll)
    world.client.connected(websocket)
    for _ in range(5):
        world.answer(websocket, {"pong": 2})
    assert [frame for frame in world.frames if "key" in frame] == world.frames[1:2]


def test_end_of_a_replaced_way_opens_no_other() -> None:
    world, websocket = over_both()
    count = len(world.opened)
    world.client.ended(world.opened[1], clean=True)
    assert len(world.opened) == count
    assert not websocket.over
    assert world.client.state is ClientState.OPEN


def test_hello_without_an_answer() -> None:
    world = World((Way.WEBSOCKET,))
    link = world.link(Way.WEBSOCKET)
    world.client.connected(link)
    assert world.frames[-1]["request"] == 1
    world.advance(9.9)
    assert link not in world.closed_links
    world.advance(0.2)
    assert link in world.closed_links


def test_late_welcome_of_an_older_request_changes_no_way() -> None:
    world, websocket = over_both()
    world.answer(world.opened[1], {"from": 1, "received": 0})
    assert world.client.way is Way.WEBSOCKET
    assert not websocket.over


def test_what_was_to_take_over_breaks() -> None:
    world = World()
    world.advance(0.2)
    poll, websocket = world.link(Way.POLL), world.link(Way.WEBSOCKET)
    world.welcome(poll)
    world.client.connected(websocket)
    world.answer(websocket, {"pong": 2})
    world.answer(poll, {"stale": 2})
    world.client.ended(poll, clean=True)
    world.client.ended(websocket)
    assert world.told[-1] == "suspended"
    assert world.link(Way.WEBSOCKET).request == 0


def test_poll_that_asks_takes_over_and_the_websocket_comes_back() -> None:
    world, websocket = over_both()
    world.client._ask_now()
    poll = world.link(Way.POLL)
    world.answer(poll, {"from": 1, "received": 0})
    assert world.client.way is Way.POLL
    assert list(world.frames[-1]) == ["ping"]
    # Meanwhile the poll breaks, and a second WebSocket is begun: the first one is back before.
    world.client.ended(poll)
    second = world.link(Way.WEBSOCKET)
    assert second is not websocket
    world.answer(websocket, {"pong": 3}, {"from": 1, "received": 0})
    assert world.client.way is Way.WEBSOCKET
    world.client.connected(second)
    world.answer(second, {"pong": 4}, {"from": 1, "received": 0})
    assert websocket in world.closed_links
    assert not second.over


def test_asking_that_fails_changes_nothing() -> None:
    world = World((Way.STREAM, Way.POLL))
    world.welcome(world.link(Way.POLL))
    probe = world.link(Way.STREAM)
    world.answer(probe, {"pong": probe.body["probe"]}, {"from": 1, "received": 0})
    stream = world.link(Way.STREAM)
    world.answer(stream, {"from": 1, "received": 0})
    world.client._ask_now()
    world.client.ended(world.link(Way.POLL), 500)
    assert world.client.way is Way.STREAM
    assert world.policy.plan(world.now)[-1].way is Way.POLL


def test_other_way_is_waited_for() -> None:
    world = World()
    world.advance(0.2)
    count = len(world.opened)
    world.client.ended(world.link(Way.POLL))
    assert len(world.opened) == count, "the WebSocket is under way"
    assert world.client.state is ClientState.CONNECTING


def test_handshake_that_is_done_too_late() -> None:
    world = World((Way.WEBSOCKET,))
    link = world.link(Way.WEBSOCKET)
    world.advance(10.1)
    assert link in world.closed_links
    world.client.connected(link)
    world.answer(link, "h")
    world.client.ended(link)
    assert world.frames == []


def test_silence_that_killed_is_told_the_server() -> None:
    world, _ = over_websocket()
    world.policy.heartbeat = 14
    world.client.ended(world.link(Way.WEBSOCKET))
    world.client.connected(world.link(Way.WEBSOCKET))
    assert world.frames[-1]["heartbeat"] == 14


@pytest.mark.parametrize(
    "told",
    [
        {"at": 0, "received": 1},
        {"moved": "x"},
        {"moved": -1},
        {"moved": float("inf")},
        {"moved": float("nan")},
        {"pong": 1, "moved": "x"},
    ],
)
def test_what_makes_no_sense_ends_the_link_only(told: dict[str, Any]) -> None:
    world, link = over_websocket()
    world.answer(link, told)
    assert link in world.closed_links
    assert world.client.state is ClientState.SUSPENDED


def test_half_of_a_line_makes_no_sense() -> None:
    world = World((Way.STREAM, Way.POLL))
    world.welcome(world.link(Way.POLL))
    probe = world.link(Way.STREAM)
    world.answer(probe, {"pong": probe.body["probe"], "lost": {"received": "x"}})
    assert world.closed_links == [probe]
    assert world.client.state is ClientState.OPEN


def test_break_while_it_closes() -> None:
    world, link = over_websocket()
    world.client.send("a")
    world.client.close(3000, "bye")
    world.client.ended(link)
    assert "suspended" not in world.told
    again = world.link(Way.WEBSOCKET)
    world.client.connected(again)
    world.answer(again, {"from": 1, "received": 1}, 'c[3000,"bye"]')
    assert world.frames[-1] == {"close": [3000, "bye"]}
    assert world.told[-1] == ("closed", 3000, "bye")


def test_too_early_nothing_is_due() -> None:
    world, link = over_websocket()
    world.answer(link, {"moved": 4})
    world.client.on_deadline(world.now + 1)
    assert world.client.state is ClientState.MOVING


def test_second_failure_of_the_same_send() -> None:
    world = over_poll()
    world.client.send("a")
    world.client.failed(world.posts[0])
    due = world.client.deadline()
    world.client.failed(world.posts[0])
    assert world.client.deadline() == due


def test_late_copy_of_a_first_request_makes_no_session_of_this_client() -> None:
    world = World()
    world.advance(0.2)
    websocket, poll = world.link(Way.WEBSOCKET), world.link(Way.POLL)
    world.client.connected(websocket)
    world.answer(websocket, {"from": 1, "received": 0, "incarnation": "a", **TERMS}, 'a["x"]')
    world.answer(poll, {"from": 1, "received": 0, "incarnation": "b", **TERMS})
    assert poll in world.closed_links
    world.client.ended(websocket)
    world.client.connected(world.link(Way.WEBSOCKET))
    assert world.frames[-1]["incarnation"] == "a"


def test_websocket_that_is_pinged_already_is_not_pinged_again() -> None:
    world, websocket = over_both()
    world.advance(2.6)
    pings = world.frames.count(world.frames[-1])
    world.client._ask_now()
    world.answer(world.link(Way.POLL), {"from": 1, "received": 0})
    assert world.client.way is Way.POLL
    assert list(world.frames[-1]) == ["ping"]
    assert world.frames.count(world.frames[-1]) == pings
    assert websocket.pinged_at is not None
