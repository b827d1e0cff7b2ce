"""The life of a session, row by row, and what receivers are answered with."""

from __future__ import annotations

import pytest

from sockjs_bridge.core.frames import Place, placed
from sockjs_bridge.core.presence import Presence
from sockjs_bridge.resume.frames import ReceiveRequest, Replaced
from sockjs_bridge.resume.manager import Limits
from sockjs_bridge.resume.session import digest
from sockjs_bridge.resume.shared import Shared
from sockjs_bridge.resume.states import State
from sockjs_bridge.resume.transports import POLL, STREAM
from tests.resume.support import KEY, OTHER_KEY, PLACE, Server, answers
from tests.support import Recorder

TERMS = {
    "window": 60.0,
    "heartbeat": 25.0,
    "spread": 5.0,
    "net": "net",
    "limit": 65536,
    "home": "",
}


def started(**settings: object) -> Server:
    """A server whose client has had its welcome, and has proved it."""
    server = Server(**settings)
    server.poll(new=True)
    server.poll(now=True)
    return server


# A new session


def test_first_welcome_tells_the_terms() -> None:
    server = Server()
    poll = server.poll(new=True)
    incarnation = server.session.incarnation
    assert answers(poll) == [{"from": 1, "received": 0, **TERMS, "incarnation": incarnation}]
    assert poll.ended
    assert server.application.calls == ["opened"]


def test_stream_stays_open_after_its_welcome() -> None:
    server = Server()
    stream = server.stream(new=True)
    server.send("a", "b")
    server.send("c")
    assert answers(stream)[1:] == [["a", "b"], ["c"]]
    assert not stream.ended


def test_nothing_is_written_before_the_application_let_it_in() -> None:
    server = Server()
    stream = server.stream(new=True, admit=False)
    assert stream.written == []
    server.session.accept(server.application)
    server.clock.settle()
    assert answers(stream)[0]["from"] == 1


def test_refused_gets_no_welcome() -> None:
    server = Server()
    poll = server.poll(new=True, admit=False)
    server.session.refuse(4403, "Forbidden")
    server.clock.settle()
    assert answers(poll) == ["c[4403,Forbidden]"]
    assert server.application.calls == []


def test_handshake_alone_opens_nothing_for_the_application() -> None:
    server = Server()
    server.make().accept(server.application)
    server.clock.settle()
    assert server.session.state is State.ADMITTED
    assert server.application.calls == []
    poll = server.poll(new=True)
    assert server.application.calls == ["opened"]
    assert answers(poll)[0]["from"] == 1


def test_handshake_without_hello_is_forgotten() -> None:
    server = Server()
    server.make().accept(server.application)
    server.clock.advance(11)
    assert len(server.manager) == 0
    assert server.application.calls == []


def test_young_session_is_forgotten_after_the_disconnect_delay() -> None:
    server = Server()
    server.poll(new=True)
    server.clock.advance(4.9)
    assert len(server.manager) == 1
    server.clock.advance(0.2)
    assert len(server.manager) == 0
    assert server.application.calls == ["opened", ("closed", 3001, "Timed out")]
    assert len(server.manager.shared.tombstones) == 0
    assert answers(server.poll()) == [{"lost": {}}]


def test_young_session_that_brought_messages_has_a_tombstone() -> None:
    """A copy of its only request must not have the messages handled once more."""
    server = Server()
    server.poll(new=True, request=1, first=1, messages=["a"])
    server.clock.advance(6)
    assert len(server.manager) == 0
    assert answers(server.poll(new=True, request=1, first=1, messages=["a"])) == [
        {"lost": {"received": 1}}
    ]
    assert server.application.got == ["a"]


def test_second_request_makes_it_grown() -> None:
    server = started()
    server.clock.advance(30)
    assert server.session.state is State.AWAY


def test_unknown_session_without_new_is_lost() -> None:
    assert answers(Server().poll()) == [{"lost": {}}]


# Receiving


def test_held_poll_leaves_with_its_welcome_in_one_write() -> None:
    server = started()
    poll = server.poll(received=0)
    assert poll.written == []
    server.send("a")
    assert len(poll.written) == 1
    assert answers(poll) == [{"from": 1, "received": 0}, ["a"]]
    assert poll.ended


def test_poll_with_now_ends_at_once() -> None:
    server = started()
    assert answers(server.poll(now=True)) == [{"from": 1, "received": 0}]


def test_what_is_not_acknowledged_comes_again() -> None:
    server = started()
    server.send("a", "b", "c")
    assert answers(server.poll()) == [{"from": 1, "received": 0}, ["a", "b", "c"]]
    assert answers(server.poll(received=1)) == [{"from": 2, "received": 0}, ["b", "c"]]
    assert answers(server.poll(received=3, now=True)) == [{"from": 4, "received": 0}]


def test_counts_never_go_back() -> None:
    server = started()
    server.send("a", "b")
    server.poll(received=0)
    server.poll(received=2, now=True)
    assert answers(server.poll(received=1, now=True)) == [{"from": 3, "received": 0}]


def test_acknowledging_what_was_never_sent_is_the_end() -> None:
    server = started()
    stream = server.stream()
    assert answers(server.poll(received=1)) == ["c[3000,Broken framing.]"]
    assert answers(stream)[-1] == "c[3000,Broken framing.]"
    assert server.session.state is State.ENDED


def test_stale_request_changes_nothing() -> None:
    server = started()
    stream = server.stream(request=9)
    stale = server.poll(request=8, received=0)
    assert answers(stale) == [{"stale": 9}]
    server.send("a")
    assert answers(stream)[-1] == ["a"]
    assert server.monitor.counts["stale"] == 1


def test_the_same_request_takes_over() -> None:
    server = started()
    first = server.poll(request=9)
    second = server.poll(request=9)
    assert answers(first) == [{"stale": 9}]
    server.send("a")
    assert answers(second) == [{"from": 1, "received": 0}, ["a"]]


def test_newer_request_ends_the_older_with_stale() -> None:
    server = started()
    stream = server.stream(request=57)
    server.poll(request=58)
    assert answers(stream)[-1] == {"stale": 58}
    assert stream.ended
    assert server.monitor.counts["replaced"] == 1


def test_who_cannot_be_told_that_it_is_replaced_is_dropped() -> None:
    server = started()
    stream = server.stream()
    stream.open = False
    server.poll()
    assert stream.aborted


def test_who_is_replaced_before_its_response_has_begun_is_told() -> None:
    """The application has let the session in, and the loop has not heard of it yet."""
    server = Server()
    poll = server.poll(new=True, admit=False)
    poll.begun = False
    server.session.accept(server.application)
    server.poll(request=1000, new=True)
    assert answers(poll) == [{"stale": 1000}]
    assert poll.ended
    assert not poll.aborted


def test_lines_are_split_at_32_kib() -> None:
    server = started()
    texts = ["x" * 10000] * 8
    server.send(*texts)
    poll = server.poll()
    assert [len(line) for line in answers(poll)[1:]] == [3, 3, 2]
    assert all(len(line) <= 32768 for line in poll.frames)


def test_poll_ends_at_the_response_limit() -> None:
    server = started(response_limit=1000)
    server.send(*["x" * 400] * 5)
    assert [len(line) for line in answers(server.poll())[1:]] == [2]
    assert answers(server.poll(received=2))[0]["from"] == 3


def test_stream_ends_at_the_response_limit_and_nothing_is_lost() -> None:
    server = started(response_limit=1000)
    stream = server.stream()
    server.send(*["x" * 400] * 5)
    assert stream.ended
    got = sum(len(line) for line in answers(stream)[1:])
    assert 0 < got < 5
    assert answers(server.poll(received=got))[0]["from"] == got + 1


def test_stream_ends_by_its_age() -> None:
    server = started()
    stream = server.stream()
    server.clock.advance(25.2)
    assert stream.ended
    assert server.session.state is State.SUSPENDED


def test_heartbeats_of_a_stream_and_of_a_poll() -> None:
    server = started(heartbeat_delay=10)
    stream = server.stream()
    server.clock.advance(10.1)
    assert answers(stream)[-1] == "h"
    poll = server.poll()
    server.clock.advance(10.1)
    assert answers(poll) == [{"from": 1, "received": 0}, "h"]
    assert poll.ended


def test_client_may_ask_for_shorter_silence() -> None:
    server = started()
    stream = server.stream(heartbeat=5)
    server.clock.advance(5.1)
    assert answers(stream)[-1] == "h"


def test_handled_is_told_after_50_ms_where_nothing_leaves() -> None:
    server = started()
    stream = server.stream()
    server.post(first=1, messages=["a"])
    assert len(answers(stream)) == 1
    server.clock.advance(0.11)
    assert answers(stream)[1:] == [{"at": 0, "received": 1}]


def test_handled_goes_with_the_messages_of_a_write() -> None:
    server = started()
    server.application.on_message = lambda text: server.session.send(text)
    stream = server.stream()
    server.post(first=1, messages=["a"])
    assert answers(stream)[1:] == [["a"], {"at": 1, "received": 1}]
    assert len(stream.written) == 2


def test_nothing_is_told_alone_over_a_poll() -> None:
    server = started()
    poll = server.poll()
    server.post(first=1, messages=["a"])
    server.clock.advance(5)
    assert poll.written == []


def test_what_the_receiver_refuses_is_not_counted_as_written() -> None:
    server = started()
    stream = server.stream()
    stream.refuse = True
    server.send("a")
    assert len(stream.written) == 1
    stream.open = True
    server.session.flush()
    assert answers(stream)[1:] == [["a"]]


def test_what_a_websocket_refuses_is_not_counted_as_written() -> None:
    server = started()
    _, websocket = server.websocket()
    websocket.refuse = True
    server.send("a")
    assert len(websocket.written) == 1
    websocket.refuse, websocket.open = False, True
    server.session.flush()
    assert answers(websocket)[1:] == [["a"]]


def test_a_websocket_gets_places_in_rooms_too() -> None:
    server = Server()
    _, websocket = server.websocket(new=True, rooms={})
    server.session.send_encoded(placed(b'"a"', Place("K", "E", 7)))
    server.clock.settle()
    assert websocket.frames[1:] == ['p["K","E-7",["a"]]']


def test_lines_of_a_websocket_are_not_longer_than_they_may_be() -> None:
    server = started(response_limit=8)
    _, websocket = server.websocket()
    server.send("abc", "def")
    assert answers(websocket)[1:] == [["abc"], ["def"]]


# Suspended


def test_suspended_and_resumed() -> None:
    server = started()
    stream = server.stream()
    server.session.detach(stream, lost=True)
    assert server.session.state is State.SUSPENDED
    assert server.application.calls == ["opened"]
    server.send("a")
    server.clock.advance(5.1)
    assert server.session.suspended
    assert server.application.calls[-1] == "suspended"
    server.send("b")
    assert answers(server.poll()) == [{"from": 1, "received": 0}, ["a", "b"]]
    assert server.application.calls[-1] == "resumed"
    assert server.session.state is State.SUSPENDED
    assert server.monitor.counts["resumed"] == 1


def test_not_told_of_a_short_absence() -> None:
    server = started()
    server.clock.advance(4)
    server.poll()
    assert server.application.calls == ["opened"]


def test_the_window_passes() -> None:
    server = started()
    server.post(first=1, messages=["a"])
    server.clock.advance(60.2)
    assert server.application.calls == ["opened", "suspended", ("closed", 3001, "Timed out")]
    assert len(server.manager) == 0
    assert answers(server.poll()) == [{"lost": {"received": 1}}]
    assert answers(server.poll(new=True)) == [{"lost": {"received": 1}}]
    assert answers(server.poll(key=OTHER_KEY)) == [403]


def test_a_send_begins_the_window_anew() -> None:
    server = started()
    server.clock.advance(50)
    assert server.application.calls[-1] == "suspended"
    server.post(first=1, messages=["a"])
    assert server.application.calls[-1] == "resumed"
    server.clock.advance(50)
    assert len(server.manager) == 1
    server.clock.advance(10.1)
    assert len(server.manager) == 0


def test_short_window() -> None:
    server = Server(Limits(resume_window=2))
    server.poll(new=True)
    server.poll(now=True)
    server.clock.advance(2.1)
    assert server.application.calls == ["opened", ("closed", 3001, "Timed out")]


# The end


def test_messages_then_close_to_each_request() -> None:
    server = started()
    server.send("a")
    server.session.close(4001, "done")
    for _ in range(2):
        assert answers(server.poll()) == [{"from": 1, "received": 0}, ["a"], "c[4001,done]"]
    assert server.session.send("b") is False
    server.clock.advance(60.1)
    assert len(server.manager) == 0
    assert answers(server.poll()) == ["c[4001,done]"]
    assert server.post() == {"arrived": 0, "received": 0, "closed": [4001, "done"]}
    server.clock.advance(601)
    assert answers(server.poll()) == [{"lost": {}}]
    assert server.post() == 404


def test_close_reaches_what_is_attached() -> None:
    server = started()
    stream = server.stream()
    server.session.send("a")
    server.session.close(1000, "bye")
    server.clock.settle()
    assert answers(stream)[1:] == [["a"], "c[1000,bye]"]
    assert stream.ended


def test_application_may_close_with_the_code_of_a_time_out() -> None:
    server = started()
    server.session.close(3001, "mine")
    assert server.post() == {"arrived": 0, "received": 0, "closed": [3001, "mine"]}
    server.clock.advance(61)
    assert answers(server.poll()) == ["c[3001,mine]"]


def test_too_much_is_kept() -> None:
    server = started(max_queue_size=1000)
    server.send(*["x" * 300] * 3)
    assert server.session.state is State.SUSPENDED
    assert server.session.send("x" * 300) is False
    assert answers(server.poll()) == [{"from": 1, "received": 0}, "c[4008,Slow consumer]"]


def test_what_was_written_counts_until_it_is_acknowledged() -> None:
    server = started(max_queue_size=1000)
    stream = server.stream()
    server.send("x" * 300, "x" * 300)
    assert answers(stream)[-1] == {"at": 2, "ack": True}
    server.send("x" * 300, "x" * 300)
    assert answers(stream)[-1] == "c[4008,Slow consumer]"


def test_acknowledged_in_time() -> None:
    server = started(max_queue_size=1000)
    stream = server.stream()
    for number in range(1, 9):
        server.send("x" * 300)
        server.post(received=number)
    assert sum(len(line) for line in answers(stream) if isinstance(line, list)) == 8
    assert server.session.state is State.OPEN


def test_failure_ends_at_once() -> None:
    server = started()
    server.send("a")
    server.session.fail()
    assert answers(server.poll()) == ["c[4500,Internal Server Error]"]


def test_revoked_user_reads_nothing_more() -> None:
    server = started()
    server.send("a")
    server.session.revoke(4401, "Unauthorized")
    assert answers(server.poll(fingerprint=b"nobody")) == [
        {"from": 1, "received": 0},
        "c[4401,Unauthorized]",
    ]


def test_wrong_key_and_wrong_user_look_alike_and_touch_nothing() -> None:
    server = started()
    stream = server.stream()
    assert answers(server.poll(key=OTHER_KEY)) == [403]
    assert server.post(key=OTHER_KEY, first=1, messages=["evil"]) == 403
    assert (
        server.look(b'{"key":"%s","request":99,"received":0}' % KEY.encode(), b"mallory").unproven
        is server.session
    )
    server.send("a")
    assert answers(stream)[-1] == ["a"]
    assert server.application.got == []


def test_wrong_keys_are_logged_once_a_second(caplog: pytest.LogCaptureFixture) -> None:
    server = started()
    for _ in range(100):
        server.poll(key=OTHER_KEY)
    assert [record.message for record in caplog.records] == ["1 requests with a wrong key"]
    server.clock.advance(1)
    server.poll(key=OTHER_KEY)
    assert caplog.records[-1].message == "100 requests with a wrong key"
    assert KEY not in caplog.text
    assert OTHER_KEY not in caplog.text


def replace_former(server: Server, former: str, key: str) -> None:
    """Have a new session come that replaces one; its first requests come three times."""
    session = server.manager.create(("/echo", f"new{next(server.numbers)}"))
    for number in range(1, 4):
        replaced = Replaced(former, key)
        request = ReceiveRequest("n" * 22, number, 0, new=True, replaces=replaced)
        session.attach(request, Recorder(POLL))


def test_replaces_a_former_session() -> None:
    server = started()
    former = server.session
    replace_former(server, PLACE[1], OTHER_KEY)
    assert former.close_code is None
    replace_former(server, PLACE[1], KEY)
    assert (former.close_code, former.close_reason) == (1000, "Replaced")


def test_replaces_what_is_elsewhere() -> None:
    """Others hear of it once, but not its key; nobody need be asked of what is here."""
    server = started()
    heard: list[tuple[tuple[str, str], bytes]] = []
    server.manager.end_elsewhere = lambda *said: heard.append(said)
    replace_former(server, PLACE[1], OTHER_KEY)
    assert not heard
    replace_former(server, "e" * 22, KEY)
    assert heard == [(("/echo", "e" * 22), digest(KEY))]
    server.manager.end_former(*heard[0])
    server.manager.end_former(PLACE, digest(OTHER_KEY))
    assert server.session.close_code is None
    server.manager.end_former(PLACE, digest(KEY))
    assert server.session.close_code == 1000


def test_replaces_of_itself_or_of_a_known_session_is_passed_over() -> None:
    server = Server()
    itself = {"session": PLACE[1], "key": KEY}
    server.poll(new=True, replaces=itself)
    former = server.manager.create(("/echo", "f" * 22))
    former.proof = digest(OTHER_KEY)
    server.poll(new=True, replaces={"session": "f" * 22, "key": OTHER_KEY})
    assert server.session.close_code is former.close_code is None


def test_end_is_told_with_what_is_left_for_the_window() -> None:
    server = started()
    server.post()
    server.send("a")
    server.session.close(4000, "bye")
    server.clock.advance(59)
    assert answers(server.poll())[1:] == [["a"], "c[4000,bye]"]
    server.clock.advance(2)
    assert len(server.manager) == 0


def test_what_a_session_keeps_counts_while_nobody_receives() -> None:
    server = started()
    stream = server.stream()
    server.session.detach(stream, lost=True)
    server.send("a")
    assert server.manager.shared.kept_bytes == 4
    server.stream()
    assert server.manager.shared.kept_bytes == 0


def test_oldest_suspended_go_first_where_too_much_is_kept() -> None:
    server = Server(Limits(max_suspended_bytes=1000))
    sessions = []
    for letter in "abc":
        place = ("/echo", letter * 22)
        session = server.make(place)
        session.proof = b""
        session.accept(type(server.application)())
        session.heard()
        session.send("x" * 400)
        sessions.append(session)
    assert [session.state for session in sessions] == [
        State.GONE,
        State.SUSPENDED,
        State.SUSPENDED,
    ]
    assert server.manager.shared.kept_bytes == 2 * 403


def test_who_keeps_nothing_is_spared_where_too_much_is_kept() -> None:
    """Their ends would give nothing back."""
    server = Server(Limits(max_suspended_bytes=1000))
    sessions = []
    for letter in "abcd":
        session = server.make(("/echo", letter * 22))
        receiver = Recorder(STREAM)
        session.attach(ReceiveRequest(KEY, 1, 0, new=True), receiver)
        session.accept(type(server.application)())
        session.heard()
        session.detach(receiver)
        sessions.append(session)
    silent, first, second, third = sessions
    for session in (first, second, third):
        session.send("x" * 400)
    assert silent.state is State.SUSPENDED
    assert [first.state, second.state, third.state] == [
        State.GONE,
        State.SUSPENDED,
        State.SUSPENDED,
    ]
    silent.send("x" * 400)
    assert second.state is State.GONE, "the oldest that keeps something"
    assert server.manager.shared.kept_bytes == 2 * 403


def test_what_a_closed_session_keeps_counts_while_nobody_receives() -> None:
    """Else clients that close what they never receive could have any number of bytes kept.

    It goes as if ``resume_window`` had passed: that it was closed is final.
    """
    server = started(limits=Limits(max_suspended_bytes=1000))
    server.send("x" * 400)
    server.session.close(4001, "enough")
    shared = server.manager.shared
    assert shared.kept_bytes == 403
    stream = server.stream(writable=False)
    assert shared.kept_bytes == 0
    server.session.detach(stream)
    assert shared.kept_bytes == 403
    other = server.make(("/echo", "o" * 22))
    other.attach(ReceiveRequest(KEY, 1, 0, new=True), receiver := Recorder(STREAM))
    other.accept(type(server.application)())
    other.heard()
    other.detach(receiver)
    other.send("x" * 700)
    assert shared.kept_bytes == 703
    assert other.live
    assert answers(server.poll(now=True)) == ["c[4001,enough]"]
    other.close(4001, "enough")
    other.finish()
    assert shared.kept_bytes == 0


def test_bounds_of_another_application_end_nothing_of_this_one() -> None:
    """One that may keep nothing, and know no ends, pays for that itself."""
    shared = Shared()
    ours = started(shared=shared)
    theirs = started(limits=Limits(max_suspended_bytes=0, max_tombstones=0), shared=shared)
    ours.session.close(4001, "enough")
    ours.session.finish()
    other = ours.make(("/echo", "o" * 22))
    other.attach(ReceiveRequest(KEY, 1, 0, new=True), receiver := Recorder(STREAM))
    other.accept(type(ours.application)())
    other.heard()
    other.detach(receiver)
    other.send("ours")
    theirs.send("theirs")
    assert theirs.manager.get(PLACE) is None
    assert answers(theirs.poll(now=True)) == [{"lost": {}}]
    assert other.state is State.SUSPENDED
    assert answers(ours.poll(now=True)) == ["c[4001,enough]"]
    assert shared.kept_bytes == len('"ours"') + 1


def test_who_comes_back_is_not_ended_for_what_others_keep() -> None:
    """What another application keeps may be too much for this one already."""
    shared = Shared()
    ours = started(limits=Limits(max_suspended_bytes=10), shared=shared)
    theirs = started(shared=shared)
    ours.send("ours")
    theirs.send("x" * 100)
    assert answers(ours.stream()) == [{"from": 1, "received": 0}, ["ours"]]
    assert ours.session.live


# Drain


def drain(server: Server, seconds: float = 10) -> None:
    for _ in server.manager.drain(seconds):
        pass
    server.clock.settle()


@pytest.mark.parametrize("transport", [POLL, STREAM])
def test_drain_moves_who_has_all(transport: object) -> None:
    server = started()
    receiver = server.poll() if transport is POLL else server.stream()
    drain(server)
    assert answers(receiver)[-1] == {"moved": 5.0}
    assert receiver.ended
    assert len(server.manager) == 0
    assert server.application.calls[-1] == ("closed", 3000, "Go away!")


def test_drain_waits_for_acknowledgements() -> None:
    server = started()
    stream = server.stream()
    server.send("a")
    drain(server)
    assert answers(stream)[1:] == [["a"], {"at": 1, "received": 0, "ack": True}]
    server.post(received=1)
    assert answers(stream)[-1] == {"moved": 5.0}


def test_drain_waits_for_the_hooks_and_takes_no_more() -> None:
    server = started()
    server.application.slow = True
    stream = server.stream()
    server.post(first=1, messages=["a"])
    drain(server)
    assert server.post(first=2, messages=["b"])["arrived"] == 1
    server.application.handle()
    server.clock.settle()
    assert answers(stream)[-2:] == [{"at": 0, "received": 1}, {"moved": 5.0}]
    assert server.application.got == ["a"]


def test_drain_ends_when_the_time_is_over() -> None:
    server = started()
    stream = server.stream()
    server.send("a")
    drain(server)
    server.clock.advance(10.1)
    assert answers(stream)[-1] == {"moved": 5.0}
    assert len(server.manager) == 0


def test_drain_denies_no_doubt() -> None:
    server = started()
    server.application.slow = True
    stream = server.stream()
    server.post(first=1, messages=["a"])
    drain(server)
    server.clock.advance(10.1)
    assert answers(stream)[-1] == {"lost": {"received": 0}}


def test_nothing_begins_while_the_server_leaves() -> None:
    server = Server()
    drain(server)
    with pytest.raises(Exception, match="The server stops"):
        server.manager.create(PLACE)


def test_client_that_is_away_hears_that_it_moves_when_it_comes() -> None:
    server = started()
    drain(server)
    assert answers(server.poll()) == [{"from": 1, "received": 0}, {"moved": 5.0}]


def test_over_before_the_application_let_it_in() -> None:
    server = Server()
    poll = server.poll(new=True, admit=False)
    session = server.session
    assert session.new
    assert not session.live
    session.close(4001, "enough")
    assert not session.accept(server.application)
    server.clock.settle()
    assert answers(poll) == ["c[4001,enough]"]
    assert server.application.calls == []


def test_what_comes_after_the_end_changes_nothing() -> None:
    server = started()
    session = server.session
    assert session.live
    session.refuse(4403, "Forbidden")
    session.abandon()
    assert session.state is State.SUSPENDED, "it is open"
    session.close(4001, "enough")
    session.close(4002, "again")
    session.drain(server.clock.now, 5)
    assert session.state is State.ENDED
    session.finish()
    session.finish()
    assert server.application.calls[1:] == [("closed", 4001, "enough")]
    assert server.capacity._places.taken == 0


def test_refused_handshake_forgets_the_session() -> None:
    server = Server()
    session = server.make()
    session.abandon()
    assert session.state is State.GONE
    assert len(server.manager) == 0


def test_links_end_with_their_session() -> None:
    server = started()
    _, replaced = server.websocket()
    server.poll()
    server.session.finish()
    assert replaced.ended


def test_placeholder_is_over() -> None:
    server = started()
    session = server.session
    stand_in = session.placeholder()
    assert (stand_in.key, stand_in.over, stand_in.live) == (session.key, True, False)
    assert not stand_in.accept(server.application)
    assert not stand_in.send("a")
    assert server.session is session
    assert "suspended" in repr(session)
    assert "gone" in repr(stand_in)


def test_request_that_came_before_the_welcome_proves_nothing() -> None:
    server = Server()
    stream = server.stream(new=True, writable=False)
    server.poll(new=True, writable=False)
    assert stream.written == []
    assert server.session.state is State.YOUNG
    server.poll(new=True)
    server.poll()
    assert server.session.state is State.OPEN


def test_nothing_is_left_behind() -> None:
    server = started()
    stream = server.stream()
    server.send("a")
    server.manager.finish()
    assert stream.aborted
    assert len(server.manager) == 0
    server.clock.advance(100)
    assert server.clock.timers == []
    for _ in range(1000):
        server.capacity.take()


def test_who_is_over_hears_of_nobody() -> None:
    server = started()
    heard: list[str] = []
    server.application.presence_changed = (  # type: ignore[attr-defined]
        lambda room, presence, *, joined: heard.append(room)
    )
    who, session = Presence("node/1", "bob", 1000.0, {}), server.session
    session.presence_changed("a", who, joined=True)
    session.finish()
    session.presence_changed("b", who, joined=True)
    assert heard == ["a"]
