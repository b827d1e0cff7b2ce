"""Sending, back-pressure, acknowledgements and message ids."""

from __future__ import annotations

from functools import partial

from sockjs_bridge.core.monitor import Monitor
from sockjs_bridge.resume.arrivals import Upload
from sockjs_bridge.resume.frames import Send
from sockjs_bridge.resume.states import State
from tests.resume.support import KEY, OTHER_KEY, Server, answers
from tests.resume.test_session import started

CLIENT = "c" * 22


def test_answer_tells_what_arrived_and_what_was_handled() -> None:
    server = started()
    server.application.slow = True
    assert server.post(first=1, messages=["a", "b"]) == {"arrived": 2, "received": 0}
    server.application.handle()
    assert server.post() == {"arrived": 2, "received": 1}


def test_known_messages_are_dropped() -> None:
    server = started()
    server.post(first=1, messages=["a", "b"])
    assert server.post(first=1, messages=["a", "b", "c"]) == {"arrived": 3, "received": 3}
    assert server.application.got == ["a", "b", "c"]


def test_gap_ends_the_session() -> None:
    server = started()
    stream = server.stream()
    answer = server.post(first=2, messages=["b"])
    assert answer == {"arrived": 0, "received": 0, "closed": [3000, "Broken framing."]}
    assert answers(stream)[-1] == "c[3000,Broken framing.]"


def test_acknowledging_too_much_ends_the_session() -> None:
    server = started()
    assert server.post(received=1)["closed"] == [3000, "Broken framing."]


def test_unknown_session_and_wrong_key() -> None:
    server = Server()
    assert server.post() == 404
    server = started()
    assert server.post(key=OTHER_KEY, close=[1000, ""]) == 403
    assert not server.session.over


def test_full_session_answers_after_a_second_with_what_was_taken() -> None:
    server = started(max_inbound=2)
    server.application.slow = True
    begin = server.clock.now
    assert server.post(first=1, messages=list("abcde")) == {"arrived": 2, "received": 0}
    assert server.clock.now == begin + 1
    server.application.handle(2)
    assert server.application.got == ["a", "b"]
    assert server.post(first=3, messages=list("cde"))["arrived"] == 4


def test_two_copies_may_both_wait() -> None:
    server = started(max_inbound=1)
    server.application.slow = True
    calls: list[str] = []
    server.post(first=1, messages=["a"])
    for name in ("first", "second"):
        send = Send(KEY, 2, ("b", "c"))
        assert server.session.take_send(send, partial(calls.append, name)) is not None
    for _ in range(3):
        server.application.handle()
    assert server.application.got == ["a", "b", "c"]
    assert calls == ["first", "second"]


def test_what_waited_is_counted_when_it_is_taken() -> None:
    counts: list[tuple[int, int]] = []

    class Traffic(Monitor):
        def messages_in(self, transport: str, count: int, size: int) -> None:
            counts.append((count, size))

    server = started(max_inbound=1)
    server.manager.traffic = Traffic()
    server.application.slow = True
    send = Send(KEY, 1, ("a", "bc"))
    assert server.session.take_send(send, lambda: None) is not None
    assert counts == [(1, 3)]
    for _ in range(2):
        server.application.handle()
    assert counts == [(1, 3), (1, 0)]


def test_too_many_uploads_are_not_kept() -> None:
    server = started(max_inbound=1)
    server.application.slow = True
    server.post(first=1, messages=["a"])
    waiting = [server.session.take_send(Send(KEY, 2, ("b",)), lambda: None) for _ in range(9)]
    assert [one is not None for one in waiting] == [True] * 8 + [False]
    assert server.session.overrun


def test_who_waits_is_released_at_the_end() -> None:
    server = started(max_inbound=1)
    server.application.slow = True
    calls: list[int] = []
    server.session.take_send(Send(KEY, 1, ("a", "b")), lambda: calls.append(1))
    server.session.when_ready(lambda: calls.append(2))
    server.session.close(4000, "enough")
    assert sorted(calls) == [1, 2]
    assert server.application.got == ["a"]
    assert server.post()["arrived"] == 1


def test_busy_is_told_once_a_second() -> None:
    server = started(max_inbound=1)
    server.application.slow = True
    stream = server.stream()
    link_only = len(answers(stream))
    server.post(first=1, messages=["a", "b"])
    server.clock.advance(2.2)
    busy = [line for line in answers(stream)[link_only:] if line == {"at": 0, "busy": True}]
    assert len(busy) == 3
    server.application.handle()
    server.clock.advance(3)
    later = [line for line in answers(stream)[link_only:] if line == {"at": 0, "busy": True}]
    assert len(later) == len(busy)


def test_close_is_done_when_its_messages_are_handled() -> None:
    server = started()
    server.application.slow = True
    answer = server.post(first=1, messages=["a"], close=[1000, "bye"])
    assert answer == {"arrived": 1, "received": 0}
    server.application.handle()
    assert server.post() == {"arrived": 1, "received": 1, "closed": [1000, "bye"]}
    assert server.application.calls[-1] == ("closed", 1000, "bye")


def test_close_waits_for_messages_that_have_no_room() -> None:
    server = started(max_inbound=1)
    server.application.slow = True
    server.post(first=1, messages=["a", "b"], close=[1000, "bye"])
    server.application.handle()
    assert not server.session.over, "only a part was taken: the client sends the rest again"
    server.post(first=2, messages=["b"], close=[1000, "bye"])
    server.application.handle()
    assert server.session.over


def test_close_waits_for_messages_that_have_not_come() -> None:
    server = started()
    server.post(first=2, close=[1000, "bye"])
    assert not server.session.over
    server.post(first=1, messages=["a"])
    assert not server.session.over, "only another send that says so closes it"
    server.post(first=2, close=[1000, "bye"])
    assert server.session.over


def test_handled_late_is_told() -> None:
    server = started()
    server.application.slow = True
    stream = server.stream()
    server.post(first=1, messages=["a"])
    server.clock.advance(1)
    assert len(answers(stream)) == 1
    server.application.handle()
    server.clock.advance(0.11)
    assert answers(stream)[-1] == {"at": 0, "received": 1}


def test_messages_go_up_with_a_receive_request_before_its_welcome() -> None:
    server = started()
    server.application.on_message = lambda text: server.session.send("echo " + text)
    poll = server.poll(first=1, messages=["a"])
    assert answers(poll) == [{"from": 1, "received": 1}, ["echo a"]]


def test_message_ids_go_on_over_sessions() -> None:
    server = Server()
    server.poll(new=True, client=CLIENT, base=6, repeated=2)
    session = server.session
    assert session.message_id(1) == f"{CLIENT}-6"
    assert session.message_id(3) == f"{CLIENT}-8"
    assert [session.repeated(number) for number in (1, 2, 3)] == [True, True, False]


def test_no_id_without_a_client() -> None:
    assert started().session.message_id(1) is None


def test_later_requests_change_no_ids() -> None:
    server = Server()
    server.poll(new=True, client=CLIENT, base=6, repeated=2)
    server.poll(new=True, client="d" * 22, base=1)
    assert server.session.message_id(1) == f"{CLIENT}-6"


def test_positions_are_what_the_first_request_told() -> None:
    server = Server()
    server.poll(new=True, rooms={})
    assert server.session.positions == {}
    assert started().session.positions is None


def test_thread_that_waits_for_room_is_called() -> None:
    server = started(max_inbound=1)
    server.application.slow = True
    calls: list[int] = []
    server.session.when_ready(lambda: calls.append(1))
    assert calls == [1]
    server.post(first=1, messages=["a"])
    server.session.when_ready(lambda: calls.append(2))
    assert server.session.full
    assert server.session.awaited
    server.application.handle()
    assert calls == [1, 2]


def test_application_that_was_slow_once_is_asked_no_longer_than_until_it_has_handled() -> None:
    """It costs a third of an echo: of clients whose message is on its way there are many."""
    server = started()
    link, websocket = server.websocket()
    server.application.slow = True
    link.deliver(['["a"]'], 5)
    server.clock.advance(1)
    assert server.session.awaited
    server.application.handle()
    assert not server.session.awaited
    server.clock.advance(1)
    assert answers(websocket)[-1] == {"at": 0, "received": 1}
    assert not server.session.awaited


def test_gap_in_a_receive_request_ends_the_session() -> None:
    server = started()
    assert answers(server.poll(first=2, messages=["b"]))[-1] == "c[3000,Broken framing.]"
    assert server.session.close_code == 3000


def test_gap_of_a_websocket_that_was_replaced_meanwhile_ends_that_only() -> None:
    server = started(max_inbound=1)
    server.application.slow = True
    server.post(first=1, messages=["a"])
    assert server.session.take_send(Send(KEY, 2, ("b",)), lambda: None) is not None
    _, websocket = server.websocket(first=4, messages=["d"])
    server.poll()
    assert not websocket.ended
    server.application.handle()
    assert websocket.ended
    assert not server.session.over


def test_while_the_server_leaves_nothing_is_taken() -> None:
    server = started()
    link, websocket = server.websocket()
    server.send("unconfirmed")
    for _ in server.manager.drain(5):
        pass
    assert not link.deliver(['["a"]', '{"close":[1000,"bye"]}'], 28)
    server.clock.settle()
    assert server.application.got == []
    assert server.session.state is State.DRAINING
    assert not websocket.ended


class Traffic(Monitor):
    """Counts messages."""

    def __init__(self) -> None:
        self.up: list[tuple[str, int, int]] = []
        self.down: list[tuple[str, int]] = []

    def messages_in(self, transport: str, count: int, size: int) -> None:
        self.up.append((transport, count, size))

    def messages_out(self, transport: str, count: int, size: int) -> None:
        self.down.append((transport, count))


def test_messages_are_counted_both_ways() -> None:
    traffic = Traffic()
    server = Server(monitor=traffic)
    link, _ = server.websocket(new=True, first=1, messages=["first"])
    link.deliver(['["ab"]', '["c","d"]'], 16)
    server.send("down")
    server.send("down", "again")
    name = server.session.transport.name
    assert traffic.up == [(name, 1, 5), (name, 1, 2), (name, 2, 2)]
    assert traffic.down == [(name, 1), (name, 2)]


def test_half_of_the_queue_asks_for_an_acknowledgement_once() -> None:
    server = started(max_queue_size=1000)
    stream = server.stream()
    server.send("x" * 300)
    server.send("x" * 300)
    server.send("x" * 200)
    asked = [line for line in answers(stream) if isinstance(line, dict) and line.get("ack")]
    assert asked == [{"at": 2, "ack": True}]
    assert server.session.state is State.OPEN


def test_waiting_until_little_is_kept() -> None:
    server = started(max_queue_size=1000)
    calls: list[int] = []
    server.send("x" * 300)
    server.session.when_drained(lambda: calls.append(1))
    assert calls == []
    server.poll()
    server.poll(received=1)
    assert calls == [1]
    server.session.close(1000, "")
    server.session.when_drained(lambda: calls.append(2))
    assert calls == [1, 2]


def test_what_waits_on_both_ways() -> None:
    """For who looks from outside: what is not acknowledged, and what is not handled."""
    server = started(max_inbound=2)
    session = server.session
    assert (session.queued, session.unhandled) == ((0, 0), 0)
    server.send("one", "two")
    assert session.queued == (2, len('"one","two",'))
    server.application.slow = True
    server.post(first=1, messages=["a"])
    assert session.unhandled == 1
    session.take_upload(Upload(2, list("bcd"), lambda: None))
    assert session.unhandled >= 3, "what has no room yet waits too"
    while session.unhandled:
        server.application.handle()
        server.clock.settle()
    assert server.application.got == list("abcd")
    server.poll(received=2)
    assert (session.queued, session.unhandled) == ((0, 0), 0)
