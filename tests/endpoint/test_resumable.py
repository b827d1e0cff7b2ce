"""What is answered late, and WebSockets that are refused; the rest is in `tests.conformance`."""

from __future__ import annotations

from sockjs_bridge.endpoint.lateanswer import LateAnswer
from sockjs_bridge.endpoint.outcomes import Answer, Upgrade, Wait
from sockjs_bridge.resume.frames import Send
from sockjs_bridge.resume.link import Link
from sockjs_bridge.resume.link_states import LinkState
from sockjs_bridge.resume.transports import WEBSOCKET
from tests.resume.support import KEY, PLACE, Server
from tests.resume.test_session import started


def upgrade(server: Server, *, make: bool) -> Upgrade:
    link = Link(server.manager, PLACE, b"alice")
    made = server.make(admit=False) if make else None
    return Upgrade(link, WEBSOCKET, [], manager=server.manager, made=made)


def test_answer_that_is_there_before_anybody_waits_for_it() -> None:
    server = started(max_inbound=1)
    server.application.slow = True
    answer = Answer(200)
    late = LateAnswer(server.manager, server.session, answer)
    assert isinstance(late.outcome(Send(KEY, 1, ("a", "b"))), Wait)
    server.application.handle()
    assert server.application.got == ["a", "b"]
    calls: list[str] = []
    late.when_ready(lambda: calls.append("ready"))
    assert calls == ["ready"]
    assert answer.body == b'{"arrived":2,"received":1}'


def test_answer_is_given_once() -> None:
    """When its messages are taken, and not again when its time is over."""
    server = started(max_inbound=1)
    server.application.slow = True
    late = LateAnswer(server.manager, server.session, Answer(200))
    late.outcome(Send(KEY, 1, ("a", "b")))
    calls: list[str] = []
    late.when_ready(lambda: calls.append("ready"))
    server.application.handle()
    assert calls == ["ready"]
    server.clock.advance(5)
    assert calls == ["ready"]


def test_refused_websocket_takes_along_what_was_made_for_it() -> None:
    server = Server()
    refused = upgrade(server, make=True)
    assert refused.opening is server.session
    refused.abandon()
    assert len(server.manager) == 0
    assert refused.session.state is LinkState.OVER


def test_refused_websocket_leaves_what_somebody_else_has_asked_for() -> None:
    server = Server()
    refused = upgrade(server, make=True)
    poll = server.poll(new=True)
    refused.abandon()
    assert len(server.manager) == 1
    assert not poll.ended


def test_refused_websocket_of_a_session_that_is_there_leaves_it() -> None:
    server = started()
    refused = upgrade(server, make=False)
    assert refused.opening is None
    refused.abandon()
    assert len(server.manager) == 1
