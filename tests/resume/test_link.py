"""A WebSocket: hello, replaced, its numbers, and how it ends."""

from __future__ import annotations

import gc
import json
import weakref
from typing import Any

import pytest

from sockjs_bridge.core.credentials import Credentials
from sockjs_bridge.resume.arrivals import WAITING_UPLOADS
from sockjs_bridge.resume.frames import Send
from sockjs_bridge.resume.link import Link
from sockjs_bridge.resume.link_states import LinkState
from sockjs_bridge.resume.session import ResumableSession
from sockjs_bridge.resume.states import State
from tests.resume.support import KEY, OTHER_KEY, PLACE, LinkRecorder, Server, answers


def opened(**settings: Any) -> tuple[Server, Link, LinkRecorder]:
    server = Server(**settings)
    link, recorder = server.websocket(new=True)
    return server, link, recorder


def test_hello_and_welcome() -> None:
    server, link, recorder = opened()
    assert answers(recorder)[0]["from"] == 1
    assert answers(recorder)[0]["limit"] == 65536
    assert server.session.state is State.YOUNG
    server.say(link, {"received": 0})
    assert server.session.state is State.OPEN


def test_handshake_without_new_of_an_unknown_session_is_lost() -> None:
    server = Server()
    for new in (False, True):
        link, recorder = server.connect()
        server.say(link, server.hello(new=new))
        assert answers(recorder) == [{"lost": {}}]
        assert recorder.ended
    assert len(server.manager) == 0


def test_wrong_key() -> None:
    server, _, first = opened()
    link, recorder = server.connect()
    server.say(link, server.hello(key=OTHER_KEY))
    assert recorder.closed_with == (4403, "Forbidden")
    assert not first.ended


def test_key_is_set_by_a_hello_that_is_new() -> None:
    """Whoever reads the id of a handshake in a log does not get the session that it has made."""
    server = Server()
    server.make().accept(server.application)
    thief, recorder = server.connect()
    server.say(thief, server.hello(key=OTHER_KEY))
    assert answers(recorder) == [{"lost": {}}]
    assert server.post(key=OTHER_KEY, first=1, messages=["evil"]) == 404
    link, recorder = server.connect()
    server.say(link, server.hello(new=True))
    assert answers(recorder)[0]["from"] == 1


def test_numbers_go_on_after_the_welcome() -> None:
    server, link, _ = opened()
    server.say(link, ["a", "b"])
    server.say(link, ["c"])
    assert server.application.got == ["a", "b", "c"]


def test_numbers_count_from_what_was_handled() -> None:
    server, link, _ = opened()
    server.application.slow = True
    server.say(link, ["a", "b"])
    again, recorder = server.websocket()
    assert answers(recorder) == [{"from": 1, "received": 0}]
    server.say(again, ["a", "b", "c"])
    assert server.application.got == ["a", "b", "c"]


def test_numbered_messages_may_follow_the_hello_at_once() -> None:
    server = Server()
    session = server.make()
    link, recorder = server.connect()
    server.say(link, server.hello(new=True))
    server.say(link, {"first": 1, "messages": ["a"]})
    server.say(link, {"received": 0})
    assert recorder.written == []
    session.accept(server.application)
    server.clock.settle()
    assert answers(recorder)[0]["received"] == 1
    assert server.application.got == ["a"]


def test_first_says_the_number() -> None:
    server, link, _ = opened()
    server.say(link, ["a"])
    server.post(first=2, messages=["b", "c"])
    server.say(link, {"first": 4, "messages": ["d"]})
    server.say(link, ["e"])
    assert server.application.got == ["a", "b", "c", "d", "e"]


def test_messages_go_up_with_the_hello() -> None:
    server = Server()
    _, recorder = server.websocket(new=True, first=1, messages=["a"])
    assert answers(recorder)[0]["received"] == 1


def test_gap_is_the_end() -> None:
    server, link, recorder = opened()
    server.say(link, {"first": 2, "messages": ["b"]})
    assert answers(recorder)[-1] == "c[3000,Broken framing.]"
    assert server.application.calls[-1] == ("closed", 3000, "Broken framing.")


@pytest.mark.parametrize("frame", ["x", {"ping": True}, {}, "[1]", {"received": 1}])
def test_broken_frame_is_the_end(frame: object) -> None:
    server, link, recorder = opened()
    server.say(link, frame)
    assert answers(recorder)[-1] == "c[3000,Broken framing.]"
    assert recorder.ended


@pytest.mark.parametrize("frame", ["x", {"received": 0}, ["a"], {"close": [1000, ""]}, {"key": 1}])
def test_before_a_hello_only_the_link_ends(frame: object) -> None:
    server, _, first = opened()
    link, recorder = server.connect()
    server.say(link, frame)
    assert recorder.closed_with == (4400, "Bad Request")
    assert not first.ended
    assert server.application.got == []


def test_nothing_is_nothing() -> None:
    server, link, recorder = opened()
    other, silent = server.connect()
    for one in (link, other):
        one.text("")
        one.text("[]")
    assert not (recorder.ended or silent.ended)
    assert len(recorder.written) == 1


def test_pings() -> None:
    server, link, recorder = opened()
    server.send("a")
    server.say(link, {"ping": 7})
    assert answers(recorder)[-1] == {"pong": 7, "at": 1}
    other, early = server.connect()
    server.say(other, {"ping": 8})
    assert answers(early) == [{"pong": 8}]


def test_stale_hello_is_told_and_closed() -> None:
    server, _, _ = opened()
    server.websocket(request=57)
    _, recorder = server.websocket(request=56)
    assert answers(recorder) == [{"stale": 57}]
    assert recorder.ended


def test_replaced_websocket_may_say_hello_again() -> None:
    server, link, recorder = opened()
    poll = server.poll()
    assert link.state is LinkState.REPLACED
    assert len(answers(recorder)) == 1, "no stale: it goes back to the state before a hello"
    server.say(link, server.hello())
    assert link.state is LinkState.ATTACHED
    assert answers(poll)[-1]["stale"]
    server.send("a")
    assert answers(recorder)[-1] == ["a"]


def test_what_a_replaced_websocket_brings_is_taken() -> None:
    server, link, recorder = opened()
    server.send("a")
    server.poll()
    server.say(link, ["up"])
    server.say(link, {"received": 1})
    assert server.application.got == ["up"]
    assert answers(server.poll(now=True))[0] == {"from": 2, "received": 1}
    server.say(link, {"ping": 3})
    assert answers(recorder)[-1] == {"pong": 3}


@pytest.mark.parametrize(
    "frame", ["x", {"close": [1000, ""]}, {"received": 9}, {"first": 9, "messages": ["gap"]}]
)
def test_close_and_broken_frames_of_a_replaced_one_end_it_only(frame: object) -> None:
    server, link, recorder = opened()
    poll = server.poll()
    server.say(link, frame)
    assert recorder.ended
    assert not poll.ended
    assert not server.session.over


def test_hello_again_on_the_attached_one() -> None:
    """A hedge may have been on its way that never came."""
    server, link, recorder = opened()
    server.send("a")
    server.say(link, server.hello(received=1))
    assert answers(recorder)[-1] == {"from": 2, "received": 0}
    assert not recorder.ended


def test_close_when_all_is_handled() -> None:
    server, link, recorder = opened()
    server.application.slow = True
    server.say(link, ["a", "b"])
    server.say(link, {"close": [3001, "bye"]})
    assert not server.session.over
    server.application.handle(2)
    server.clock.settle()
    assert answers(recorder)[-1] == "c[3001,bye]"
    assert server.application.calls[-1] == ("closed", 3001, "bye")
    assert server.post()["closed"] == [3001, "bye"]


def test_no_hello_in_time() -> None:
    server, _, first = opened()
    first.heard = server.clock.now
    link, recorder = server.connect()
    server.clock.advance(10.1)
    assert recorder.closed_with == (3000, "No hello")
    assert link.state is LinkState.OVER
    assert not server.session.over


def test_replaced_one_has_to_say_hello_in_time() -> None:
    server, _, recorder = opened()
    server.poll()
    server.clock.advance(10.1)
    assert recorder.closed_with == (3000, "No hello")
    assert server.session.state is State.OPEN


def test_four_without_a_hello() -> None:
    server, _, recorder = opened()
    waiting = [server.connect()[1] for _ in range(5)]
    assert [one.ended for one in waiting] == [True, False, False, False, False]
    assert not recorder.ended


def test_no_pong() -> None:
    server, link, recorder = opened()
    server.say(link, {"received": 0})
    server.clock.advance(25.1)
    assert recorder.pings == 1
    assert answers(recorder)[-1] == "h"
    server.clock.advance(10.1)
    assert recorder.aborted
    assert server.session.state is State.SUSPENDED


def test_pong_keeps_it() -> None:
    server, link, recorder = opened()
    for _ in range(10):
        recorder.heard = server.clock.now
        server.clock.advance(8)
    assert not recorder.aborted
    assert link.state is LinkState.ATTACHED


def test_gone() -> None:
    server, link, _ = opened()
    server.say(link, {"received": 0})
    link.detach(link.receiver)
    assert server.session.state is State.SUSPENDED
    assert not server.session.links
    link.text('["late"]')
    assert server.application.got == []


def test_other_credentials_are_asked_about() -> None:
    server, _, _ = opened()
    asked: list[ResumableSession] = []
    link, recorder = server.connect(b"renewed")
    link.ask = lambda _, session: asked.append(session)
    server.say(link, server.hello())
    assert asked == [server.session]
    assert link.full
    server.say(link, ["held"])
    assert server.application.got == []
    link.proved(True)
    server.clock.settle()
    assert server.application.got == ["held"]
    assert answers(recorder)[0]["from"] == 1


def test_somebody_else() -> None:
    server, _, first = opened()
    link, recorder = server.connect(b"mallory")
    server.say(link, server.hello())
    assert recorder.closed_with == (4403, "Forbidden")
    link, recorder = server.connect(b"mallory")
    link.ask = lambda _, session: None
    server.say(link, server.hello())
    link.proved(False)
    assert recorder.closed_with == (4403, "Forbidden")
    assert not first.ended


def test_tombstone_over_a_websocket() -> None:
    server, link, _ = opened()
    server.say(link, ["a"])
    link.detach(link.receiver)
    server.clock.advance(61)
    _, recorder = server.websocket()
    assert answers(recorder) == [{"lost": {"received": 1}}]
    assert server.monitor.counts["tombstone"] == 1


def test_tombstone_is_told_to_its_user_alone() -> None:
    server, link, _ = opened()
    server.say(link, {"close": [1000, "bye"]})
    server.clock.advance(61)
    assert len(server.manager) == 0
    stranger, recorder = server.connect(b"mallory")
    server.say(stranger, server.hello())
    assert recorder.closed_with == (4403, "Forbidden")
    _, recorder = server.websocket()
    assert answers(recorder) == ["c[1000,bye]"]


def test_what_was_handled_goes_behind_messages() -> None:
    server, link, recorder = opened()
    server.say(link, ["up"])
    server.send("down")
    assert answers(recorder)[1:] == [["down"], {"at": 1, "received": 1}]


def test_another_incarnation_is_lost() -> None:
    server, _, _ = opened()
    _, recorder = server.websocket(incarnation="before-1")
    assert answers(recorder) == [{"lost": {}}]
    _, recorder = server.websocket(incarnation=server.session.incarnation)
    assert answers(recorder)[0]["from"] == 1


def test_credentials_of_the_handshake_count() -> None:
    server = Server()
    session = server.make()
    session.credentials = Credentials(b"other")
    link, recorder = server.connect()
    server.say(link, server.hello(new=True))
    assert recorder.closed_with == (4403, "Forbidden")
    assert server.manager.get(PLACE) is session


def test_link_without_a_hello_ends_when_the_server_leaves() -> None:
    server = Server()
    link, recorder = server.connect()
    for _ in server.manager.close(3000, "Go away!", 5.0):
        pass
    assert recorder.ended
    assert link.state is LinkState.OVER
    assert server.manager.told


def test_what_has_no_room_waits() -> None:
    server, link, _ = opened(max_inbound=2)
    server.application.slow = True
    frames = [f'["{number}"]' for number in range(20)]
    assert link.deliver(frames, 100)
    ready: list[bool] = []
    link.when_ready(lambda: ready.append(True))
    assert not ready
    server.application.handle(1)
    assert not ready
    for _ in range(18):
        server.application.handle(1)
        server.clock.settle()
    assert ready
    assert server.application.got == [f"{number}" for number in range(20)]


def test_what_has_no_room_is_dropped_with_its_link() -> None:
    server, link, recorder = opened(max_inbound=1)
    server.application.slow = True
    ready: list[bool] = []
    link.deliver(['["a"]', '["b"]', '["c"]'], 15)
    link.when_ready(lambda: ready.append(True))
    link.release()
    link.detach(recorder)
    assert ready
    assert not link.full
    assert (link.id, link.place, link.close_code, link.close_reason) == (PLACE[1], PLACE, None, "")


def test_no_text() -> None:
    server, link, recorder = opened()
    link.close(3000, "Broken framing.")
    link.flush()
    assert recorder.ended
    assert server.session.close_code == 3000


def test_usual_frames_are_taken_at_once() -> None:
    server = Server()
    link, _ = server.connect()
    session = server.make()
    session.accept(server.application)
    assert not link.deliver([json.dumps(server.hello(new=True))], 80)
    server.clock.settle()
    server.send("down")
    assert not link.deliver(['{"received":1}', '["1"]', '["2"]'], 24)
    assert session.state is State.OPEN
    assert server.application.got == ["1", "2"]


def test_first_messages_prove_that_the_welcome_came() -> None:
    server, link, _ = opened()
    assert server.session.state is State.YOUNG
    assert not link.deliver(['["1"]'], 5)
    assert server.session.state is State.OPEN


def test_acknowledging_what_was_never_sent_ends_the_session() -> None:
    server, link, _ = opened()
    link.deliver(['{"received":1}'], 14)
    assert server.session.close_code == 3000


def test_what_comes_while_the_application_is_asked_waits_in_order() -> None:
    server, _, _ = opened()
    link, _ = server.connect(b"renewed")
    link.ask = lambda _, session: None
    server.say(link, server.hello())
    ready: list[bool] = []
    for text in ("a", "b"):
        server.say(link, [text])
    link.when_ready(lambda: ready.append(True))
    assert not ready
    link.proved(True)
    assert ready
    assert server.application.got == ["a", "b"]
    link.proved(True)
    assert link.state is LinkState.ATTACHED, "it was told once"


def test_nothing_is_said_to_who_does_not_read() -> None:
    server, _, _ = opened()
    link, recorder = server.connect()
    recorder.open = False
    server.say(link, {"ping": 1})
    assert recorder.written == []
    assert not recorder.ended


def test_it_ends_once() -> None:
    server, _, _ = opened()
    link, recorder = server.connect()
    link.flush()
    link.fail()
    assert recorder.closed_with == (4500, "Internal Server Error")
    link.end()
    link.end_with(3000, "again")
    link.abandon()
    assert recorder.closed_with == (4500, "Internal Server Error")


def test_refused_handshake_leaves_nothing() -> None:
    server, _, _ = opened()
    link, recorder = server.connect()
    link.abandon()
    assert link.state is LinkState.OVER
    assert not recorder.ended, "there is no WebSocket that could end"


def test_what_has_no_room_waits_whole() -> None:
    """A frame that there is no room for is looked at again when there is."""
    server, link, _ = opened(max_inbound=2)
    server.application.slow = True
    assert link.deliver(['["1"]', '["2"]', '["3"]', '{"received":0}'], 30)
    assert server.application.got == ["1", "2"]
    assert link.deliver(['["4"]'], 5)
    link.when_ready(lambda: None)
    server.application.handle(2)
    assert server.application.got == ["1", "2", "3", "4"]


def test_broken_messages_among_others_end_the_session() -> None:
    server, link, _ = opened()
    assert not link.deliver(['["1"]', "[2]"], 10)
    assert server.application.got == ["1"]
    assert server.session.close_code == 3000


def test_nothing_in_an_array_is_no_message() -> None:
    server, link, _ = opened()
    assert not link.deliver(["[]", '["1"]'], 10)
    assert server.application.got == ["1"]


def test_messages_that_came_another_way_are_known() -> None:
    server, link, _ = opened()
    assert server.post(first=1, messages=["1"]) == {"arrived": 1, "received": 1}
    assert not link.deliver(['["1"]', '["2"]'], 10)
    assert server.application.got == ["1", "2"]


def test_links_that_came_and_went_while_nothing_is_taken_are_not_kept() -> None:
    server = Server(max_inbound=1)
    server.application.slow = True
    link, _ = server.websocket(new=True)
    server.say(link, ["a"])
    gone = []
    for _ in range(3):
        link, receiver = server.connect()
        server.say(link, server.hello())
        assert link.deliver(['["b"]'], 5)
        link.when_ready(lambda: None)
        link.when_ready(lambda: None)
        link.detach(receiver)
        gone.append(weakref.ref(receiver))
    del link, receiver
    gc.collect()
    assert [kept() for kept in gone] == [None] * 3


def test_messages_of_links_that_came_and_went_while_nothing_is_taken_do_not_wait() -> None:
    """However often it comes back meanwhile, the client is heard in the end."""
    server = Server(max_inbound=1)
    server.application.slow = True
    link, recorder = server.websocket(new=True, first=1, messages=["1"])
    for number in range(2, 20):
        link.detach(recorder)
        link, recorder = server.connect()
        texts = [f"{count}" for count in range(2, number + 1)]
        link.deliver([json.dumps(server.hello(first=2, messages=texts))], 100)
    assert link.deliver(['{"first":20,"messages":["20"]}'], 30)
    link.when_ready(lambda: None)
    for _ in range(20):
        server.application.handle()
        server.clock.settle()
    assert server.application.got == [f"{number}" for number in range(1, 21)]
    assert not recorder.ended


def test_hello_whose_messages_cannot_even_wait_ends_the_link_alone() -> None:
    server, link, recorder = opened(max_inbound=1)
    server.application.slow = True
    server.say(link, ["a"])
    for _ in range(WAITING_UPLOADS):
        server.session.take_send(Send(KEY, 2, ("b",)), lambda: None)
    again, other = server.connect()
    server.say(again, server.hello(first=2, messages=["b", "c"]))
    assert other.ended
    assert not (recorder.ended or other.written)
    assert server.session.live
    again, other = server.connect()
    server.say(again, server.hello())
    assert answers(other) == [{"from": 1, "received": 0}]
