"""The fourteen defects seen in other servers, each with a test that catches it.

Where another module already has the test for it, the docstring of the test here says what is added.
"""

from __future__ import annotations

import ast
import json
import time
from pathlib import Path

import pytest

import tests.conformance
from tests.conformance.conftest import STOPS, Launch
from tests.conformance.wire import (
    HTTP_TRANSPORTS,
    PATIENCE,
    POLLING,
    Client,
    WebSocketSession,
    eventually,
    new_tag,
    open_session,
    quoted,
    receive_messages,
)

ours = pytest.mark.ours
ALREADY_OPEN = quoted(2010, "Another connection still open")
SLOW = pytest.mark.parametrize("endpoint", ["/fast_disconnect", "/async_fast_disconnect"])


@pytest.mark.parametrize("name", POLLING)
@SLOW
def test_1_polling_sessions_expire(client: Client, endpoint: str, name: str) -> None:
    """1: each release of a receiver starts the expiry clock anew, and it does run out."""
    tag = new_tag()
    session = client.session(endpoint, name, f"tag={tag}").open()
    for number in range(3):
        session.run(["send", str(number)])
        assert session.receive() == f'a["{number}"]'
    events = client.events(tag, 5)
    assert [event for event, *_ in events] == ["open", *["message"] * 3, "close"]
    eventually(lambda: not session.exists())


@pytest.mark.parametrize("name", POLLING)
def test_2_a_rejected_poll_leaves_the_first_alone(client: Client, name: str) -> None:
    """2: the connection of the rejected poll may even break; the first one's session lives."""
    tag = new_tag()
    session = client.session("/echo", name, f"tag={tag}").open()
    first = session.wait()
    for _ in range(3):
        second = client.connect()
        assert session.finish(session.start(connection=second)) == ALREADY_OPEN
        second.reset()
    session.send("for the first")
    assert session.finish(first) == 'a["for the first"]'
    assert [event for event, *_ in client.events(tag, 2)] == ["open", "message"]


@pytest.mark.parametrize("name", POLLING)
@pytest.mark.parametrize("endpoint", ["/script", "/async_script"])
def test_3_close_between_two_polls(client: Client, endpoint: str, name: str) -> None:
    """3: close() between two polls drops no message and keeps its own code and reason."""
    session = client.session(endpoint, name).open()
    session.run(*[["send", str(number)] for number in range(20)], ["close", 4321, "my reason"])
    assert receive_messages(session, 20) == [str(number) for number in range(20)]
    for _ in range(2):
        assert session.receive() == quoted(4321, "my reason")


def test_4_websocket_sessions_are_unknown_to_http(client: Client) -> None:
    """4: who knows the session id of a WebSocket can neither send to it nor receive for it."""
    path = f"/echo/000/{new_tag()}"
    socket = client.websocket(f"{path}/websocket")
    assert socket.recv() == "o"
    for segment in ("xhr_send", "jsonp_send"):
        assert client.post(f"{path}/{segment}", '["hijack"]').status == 404
    assert client.post(f"{path}/xhr").body == b"o\n"
    assert client.post(f"{path}/xhr_send", '["own"]').status == 204
    assert client.post(f"{path}/xhr").body == b'a["own"]\n'
    socket.send('["mine"]')
    assert socket.recv() == 'a["mine"]'


@ours
def test_4_no_predictable_generator() -> None:
    """4: the server's modules do not use the module `random`, which can be foreseen."""
    package = Path(tests.conformance.__file__).parents[2] / "sockjs_bridge"
    modules = sorted(set(package.rglob("*.py")) - set((package / "client").rglob("*.py")))
    assert modules
    for module in modules:
        for node in ast.walk(ast.parse(module.read_text())):
            if isinstance(node, ast.Import):
                assert "random" not in {alias.name for alias in node.names}, module
            elif isinstance(node, ast.ImportFrom):
                assert node.module != "random", module


@ours
@pytest.mark.parametrize("name", POLLING)
def test_5_frames_stay_until_their_write_succeeded(client: Client, name: str) -> None:
    """5: frames for polls that break, again and again, all reach the polls that are repeated."""
    session = client.session("/script", name)
    assert session.first_frame(session.attach("0")) == "o"
    received: list[str] = []
    for number in range(1, 11):
        lost = session.wait(str(number))
        lost.reset()
        session.run(["send", str(number)])
        received += json.loads(session.first_frame(session.attach(str(number)))[1:])
    assert received == [str(number) for number in range(1, 11)]


@pytest.mark.parametrize("name", HTTP_TRANSPORTS)
@pytest.mark.parametrize("endpoint", ["/script", "/async_script", "/blocking_echo"])
def test_6_an_aborted_receiver_is_noticed(client: Client, endpoint: str, name: str) -> None:
    """6: the server notices the loss itself, long before the heartbeat of 25 s."""
    tag = new_tag()
    session = client.session(endpoint, name, f"tag={tag}").open()
    if session.stream is not None:
        session.abort()
    else:
        waiting = session.wait()
        waiting.close()
    assert [event for event, *_ in client.events(tag, 2)] == ["open", "close"]
    assert session.receive() != ALREADY_OPEN


@ours
@pytest.mark.parametrize("name", HTTP_TRANSPORTS)
def test_7_receivers_racing_through_an_open(client: Client, name: str) -> None:
    """7: while the handshake runs, a second receiver is turned away; one session is opened."""
    tag = new_tag()
    session = client.session("/slow_open", name, f"tag={tag}")
    first = session.start()
    assert client.events(tag, 1) == [["handshake"]]
    newcomers = [session.start() for _ in range(3)]
    for newcomer in newcomers:
        assert session.finish(newcomer) == ALREADY_OPEN
    client.release(tag)
    answer = first.response(session.transport.method)
    assert session.first_frame(answer) == "o"
    assert client.events(tag, 2) == [["handshake"], ["open"]]
    session.send("a")
    if session.transport.streaming:
        assert session.next_frame(answer) == 'a["a"]'
    else:
        assert session.receive() == 'a["a"]'


@pytest.mark.parametrize("endpoint", ["/fast_disconnect", "/async_fast_disconnect"])
def test_8_a_hanging_handler_stops_no_expiry(client: Client, endpoint: str) -> None:
    """8: handlers that hang do not keep other sessions from expiring, nor /info from answering."""
    hanging = [new_tag() for _ in range(3)]
    for tag in hanging:
        client.session(endpoint, query=f"tag={tag}").open().run(["hold"])
    try:
        tags = [new_tag() for _ in range(20)]
        for tag in tags:
            client.session(endpoint, query=f"tag={tag}").open()
        for tag in tags:
            assert client.events(tag, 2) != [["open"]]
        assert client.get(f"{endpoint}/info").status == 200
    finally:
        for tag in hanging:
            client.release(tag)


@ours
def test_9_sends_to_an_absent_poller_are_bounded(client: Client) -> None:
    """9: with the queue bounded, echoes to an absent poller end its session, not the memory."""
    tag = new_tag()
    session = client.session("/small_queue", query=f"tag={tag}").open()
    # In few requests: on a busy machine an absent poller is soon given up for other reasons.
    for _ in range(10):
        session.run(*[["send", "x" * 100]] * 20)
    # The hooks may lag behind the sends.
    eventually(lambda: "close" in [name for name, *_ in client.events(tag, 999, timeout=0)])
    assert client.events(tag, 999, timeout=0.1)[-1] == ["close", 4008, "Slow consumer"]
    size = 0
    while (frame := session.receive())[0] == "a":
        size += len(frame)
    assert size < 8192
    assert frame == quoted(4008, "Slow consumer")


@pytest.mark.parametrize("name", ["xhr", "jsonp"])
def test_9_one_frame_stays_near_the_response_limit(client: Client, name: str) -> None:
    """9: what waits for a poller comes complete and in order, however much it is."""
    session = client.session("/script", name).open()
    for start in range(0, 20, 5):
        session.run(*[["send", f"{number}:" + "x" * 9000] for number in range(start, start + 5)])
    received = receive_messages(session, 20)
    assert [int(message.split(":")[0]) for message in received] == list(range(20))


@ours
def test_9_frames_are_bounded_by_the_response_limit(client: Client) -> None:
    """9: a queue beyond ``response_limit`` is spread over several frames, whole messages each."""
    session = client.session("/echo").open()
    for number in range(20):
        session.send(f"{number}:" + "x" * 1000)
    received: list[str] = []
    while len(received) < 20:
        frame = session.receive()
        assert len(frame) <= 4096 + 1100
        received += json.loads(frame[1:])
    assert [int(message.split(":")[0]) for message in received] == list(range(20))


@ours
def test_10_a_slow_handler_keeps_the_heartbeat_going(client: Client) -> None:
    """10: pings go on while a handler hangs; see test_silent_and_busy_websockets for the 10 s."""
    tag = new_tag()
    session = WebSocketSession(client, "/fast_heartbeat", f"tag={tag}").open()
    session.run(["hold"], ["send", "done"])
    try:
        assert [session.receive() for _ in range(2)] == ["h", "h"]
        assert len(session.socket.pings) >= 3
    finally:
        client.release(tag)
    while (frame := session.receive()) == "h":
        pass
    assert frame == 'a["done"]'


@pytest.mark.parametrize("name", [*HTTP_TRANSPORTS, "websocket"])
@ours
@pytest.mark.parametrize("payload", ['{"a":"b"}', "[1]", '["a",{"b":"c"}]', "[true]", '[["a"]]'])
def test_11_only_strings_are_delivered(client: Client, name: str, payload: str) -> None:
    """11: no object's keys, no non-strings, no part of a message that is partly wrong."""
    tag = new_tag()
    session = open_session(client, "/echo", name, f"tag={tag}")
    if isinstance(session, WebSocketSession):
        session.socket.send(payload)
        assert client.events(tag, 2) == [["open"], ["close", 3000, "Broken framing."]]
    else:
        assert session.post(payload).status == 500
        session.send("end")
        assert session.receive() == 'a["end"]'
        assert client.events(tag, 2) == [["open"], ["message", "end"]]


def test_11_a_bare_string_is_one_message(client: Client) -> None:
    """11: ``"abc"`` is one message on a WebSocket, not three."""
    session = WebSocketSession(client, "/echo").open()
    session.socket.send('"abc"')
    session.send("end")
    assert receive_messages(session, 2) == ["abc", "end"]


@ours
@pytest.mark.parametrize("leap", [86400.0, -86400.0])
@pytest.mark.direct("the clock of this process leaps")
def test_12_the_wall_clock_does_not_matter(
    client: Client, monkeypatch: pytest.MonkeyPatch, leap: float
) -> None:
    """12: when the wall clock leaps, no session ends early and none stays for ever."""
    tag = new_tag()
    lasting = client.session("/echo").open()
    expiring = client.session("/fast_disconnect", query=f"tag={tag}").open()
    waiting = client.session("/echo", "xhr_streaming").open()
    wall_clock = time.time
    monkeypatch.setattr(time, "time", lambda: wall_clock() + leap)
    assert client.events(tag, 2)[1][0] == "close"
    eventually(lambda: not expiring.exists())
    lasting.send("a")
    assert lasting.receive() == 'a["a"]'
    waiting.send("b")
    assert waiting.receive() == 'a["b"]'


@ours
@pytest.mark.direct(STOPS)
def test_13_shutdown_waits_for_nobody(launch: Launch) -> None:
    """13: at shutdown every receiver gets its close frame, and the server is gone in seconds."""
    with launch(allowed_origins="*") as starting:
        client = Client(starting.url)
        polls = {name: client.session("/echo", name).open() for name in POLLING}
        waiting = {name: session.wait() for name, session in polls.items()}
        streams = [client.session("/echo", name).open() for name in ("xhr_streaming", "htmlfile")]
        socket = WebSocketSession(client, "/echo").open()
        raw = client.websocket("/echo/websocket")
        started = time.monotonic()
    assert time.monotonic() - started < PATIENCE
    for name, session in polls.items():
        assert session.finish(waiting[name]) == quoted(3000, "Go away!")
    for stream in streams:
        assert stream.stream is not None
        assert stream.next_frame(stream.stream) == quoted(3000, "Go away!")
        assert stream.next_frame(stream.stream) == ""
    assert socket.receive() == quoted(3000, "Go away!")
    closed = raw.closed()
    assert (closed.code, closed.reason) == (3000, "Go away!")
    client.close()


@pytest.mark.parametrize("segment", ["xhr", "xhr_streaming", "xhr_send", "jsonp_send"])
def test_14_get_creates_no_session(client: Client, segment: str) -> None:
    """14: GET on a POST-only URL is 405, makes no session, and tells the application nothing."""
    tag = new_tag()
    session = client.session("/echo", query=f"tag={tag}")
    assert client.get(session.url(segment)).status == 405
    assert not session.exists()
    assert client.events(tag, 1, timeout=0.1) == []


@ours
def test_14_no_message_before_open(client: Client) -> None:
    """14: a message sent during the handshake is refused, or delivered after ``open``."""
    tag = new_tag()
    session = client.session("/slow_open", query=f"tag={tag}")
    first = session.start()
    assert client.events(tag, 1) == [["handshake"]]
    early = client.connect()
    early.start_request("POST", session.url("xhr_send"), [], '["early"]')
    # Whether it is answered before the handshake is over or after it is the server's choice.
    early.is_quiet(0.1)
    client.release(tag)
    assert session.finish(first) == "o"
    delivered = early.response("POST").status == 204
    session.send("late")
    messages = [["message", "early"]] * delivered + [["message", "late"]]
    assert client.events(tag, 2 + len(messages)) == [["handshake"], ["open"], *messages]


@ours
@pytest.mark.parametrize("name", HTTP_TRANSPORTS)
def test_14_no_close_without_open(client: Client, name: str) -> None:
    """14: a receiver lost during the handshake leaves no close without its open."""
    tag = new_tag()
    session = client.session("/slow_open", name, f"tag={tag}")
    connection = session.start()
    assert client.events(tag, 1) == [["handshake"]]
    connection.reset()
    client.release(tag)
    events = client.events(tag, 2, timeout=0.5)
    if len(events) > 1:
        events = client.events(tag, 3)
    names = [event for event, *_ in events]
    assert names in (["handshake"], ["handshake", "open", "close"])
