"""Where others may have taken this process for dead, nothing of a session is served."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sockjs_bridge.core.contracts import Peer
from sockjs_bridge.core.protocol import Target
from sockjs_bridge.endpoint.outcomes import Answer
from sockjs_bridge.endpoint.request import Request
from sockjs_bridge.endpoint.resumable import ResumableUrls
from sockjs_bridge.resume.link_states import LinkState
from sockjs_bridge.resume.session import ResumableSession
from tests.resume.support import KEY, PLACE, Server, answers
from tests.resume.test_session import started


def doubted(server: Server) -> list[float]:
    """Have the process doubt from now on; return when it was asked."""
    asked: list[float] = []

    def doubt(now: float) -> bool:
        asked.append(now)
        return False

    server.hub.claim.until, server.hub.claim.doubt = server.clock.time(), doubt
    return asked


def sure(server: Server) -> None:
    server.hub.claim.until = server.clock.time() + 5


def broadcast(server: Server, text: str) -> None:
    server.hub.broadcasts.send([server.session], text)
    server.clock.settle()


@pytest.mark.parametrize("way", ["send", "broadcast", "close", "heartbeat", "drain"])
@pytest.mark.parametrize("transport", ["poll", "stream", "websocket"])
def test_nothing_is_written(transport: str, way: str) -> None:
    server = started()
    if transport == "websocket":
        _, recorder = server.websocket()
    else:
        recorder = getattr(server, transport)()
    before = [*recorder.written]
    doubted(server)
    session = server.session
    if way == "send":
        server.send("late")
    elif way == "broadcast":
        broadcast(server, "late")
    elif way == "close":
        session.close(4000, "late")
    elif way == "heartbeat":
        server.clock.advance(25.1)
    else:
        for _ in server.manager.drain(1.0):
            pass
        server.clock.advance(1.1)
    server.clock.settle()
    assert recorder.written == before
    assert not recorder.writable


def test_a_run_of_broadcasts_ends_there() -> None:
    """Shared frames, which cost nearly nothing, are none that slip through."""
    server = started()
    link, recorder = server.websocket()
    for number in range(3):
        broadcast(server, str(number))
    before = len(recorder.written)
    doubted(server)
    broadcast(server, "late")
    assert len(recorder.written) == before
    assert link.state is LinkState.OVER
    sure(server)
    poll = server.poll(received=3, now=True)
    assert answers(poll)[1:] == [["late"]]


def test_what_waited_comes_when_it_is_sure_again() -> None:
    server = started()
    poll = server.poll()
    doubted(server)
    server.send("kept")
    assert poll.aborted
    sure(server)
    assert answers(server.poll(now=True))[1:] == [["kept"]]
    assert server.application.calls == ["opened"]


@pytest.mark.parametrize("frame", [["m"], {"first": 1, "messages": ["m"]}])
def test_nothing_is_taken_over_a_websocket(frame: Any) -> None:
    server = started()
    link, recorder = server.websocket()
    doubted(server)
    assert not link.deliver([json.dumps(frame), json.dumps(["more"])], 10)
    assert server.application.got == []
    assert link.state is LinkState.OVER
    assert recorder.ended
    sure(server)
    # It is no gap: the client sends it again.
    assert server.post(first=1, messages=["m"]) == {"arrived": 1, "received": 1}
    assert server.application.got == ["m"]


def test_what_waits_for_room_is_not_taken_later() -> None:
    server = started(max_inbound=1)
    server.application.slow = True
    link, _ = server.websocket()
    link.deliver([json.dumps(["1", "2", "3"])], 10)
    assert server.application.got == ["1"]
    doubted(server)
    server.application.handle()
    server.clock.settle()
    assert server.application.got == ["1"]
    assert link.state is LinkState.OVER


def test_a_hello_is_not_answered() -> None:
    server = started()
    doubted(server)
    link, recorder = server.websocket()
    assert (recorder.written, link.state) == ([], LinkState.OVER)
    assert len(server.manager) == 1


@pytest.mark.parametrize(
    ("transport", "body"),
    [
        ("xhr", {"key": KEY, "request": 9, "received": 0, "new": True}),
        ("xhr_streaming", {"key": KEY, "request": 9, "received": 0}),
        ("xhr_send", {"key": KEY, "first": 1, "messages": ["m"]}),
        ("websocket", None),
    ],
)
def test_requests_are_refused_for_a_while(transport: str, body: Any) -> None:
    server = Server()
    urls = ResumableUrls(
        server.manager.settings,
        server.hub,
        {"xhr-polling", "xhr-streaming", "websocket"},
        lambda *_: True,
    )
    doubted(server)
    headers = {
        "Host": "h",
        **({"Upgrade": "websocket", "Connection": "Upgrade"} if body is None else {}),
    }
    request = Request("GET" if body is None else "POST", "new=", headers, "h", peer=Peer())
    request.body = json.dumps(body).encode()
    target = Target(PLACE[0], transport, session_id=PLACE[1])
    answer = urls.handle(target, request)
    assert isinstance(answer, Answer)
    assert answer.status == 503
    assert "Retry-After" in dict(answer.headers)
    assert len(urls.manager) == 0


def test_who_was_taken_for_dead_ends_its_sessions_and_their_clients_hear_it() -> None:
    server = started()
    stream = server.stream()
    server.post(first=1, messages=["m"])
    server.send("not acknowledged")
    before = [*stream.written]
    doubted(server)
    for _ in server.manager.lapse():
        pass
    server.clock.settle()
    assert server.application.calls == ["opened", ("closed", 3000, "Go away!")]
    assert stream.written == before
    assert stream.aborted
    assert len(server.manager) == 0
    sure(server)
    assert answers(server.poll()) == [{"lost": {"received": 1}}]
    assert server.post(first=2, messages=["n"]) == {
        "arrived": 1,
        "received": 1,
        "lost": {"received": 1},
    }
    # A new one begins as ever.
    server.application.calls.clear()
    assert server.manager.create(("/echo", "n" * 22)).new


def test_a_crowd_ends_in_goes() -> None:
    server = Server()
    ended: list[int] = []
    for number in range(250):
        session = server.make(("/echo", f"{number:022}"))
        assert isinstance(session, ResumableSession)
    for _ in server.manager.lapse():
        ended.append(len(server.manager))
    assert ended == [150, 50, 0]
