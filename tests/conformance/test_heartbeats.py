"""Heartbeats: ``h`` on HTTP receivers, pings on WebSockets (Protocol, sockjs-wire.md Sessions)."""

from __future__ import annotations

import pytest

from tests.conformance.rawclient import CLOSE, PING, PONG, TEXT, WebSocketClosed
from tests.conformance.wire import (
    HTTP_TRANSPORTS,
    POLLING,
    STREAMING,
    Client,
    WebSocketSession,
    new_tag,
    quoted,
)


@pytest.mark.parametrize("name", HTTP_TRANSPORTS)
def test_silence_is_broken_by_h(client: Client, name: str) -> None:
    """After ``heartbeat_delay`` of silence an HTTP receiver gets ``h``, again and again."""
    session = client.session("/fast_heartbeat", name).open()
    assert [session.receive() for _ in range(2)] == ["h"] * 2
    session.run(["send", "and on"])
    while (frame := session.receive()) == "h":
        pass
    assert frame == 'a["and on"]'


@pytest.mark.parametrize("name", POLLING)
def test_heartbeat_ends_a_poll(client: Client, name: str) -> None:
    """A poll ends after one frame, be it a heartbeat."""
    session = client.session("/fast_heartbeat", name).open()
    connection = client.connect()
    for _ in range(2):
        assert session.finish(session.start(connection=connection)) == "h"


@pytest.mark.parametrize("name", STREAMING)
def test_heartbeats_stay_in_one_stream(client: Client, name: str) -> None:
    """A heartbeat does not end a stream."""
    session = client.session("/fast_heartbeat", name)
    answer = session.attach()
    assert session.first_frame(answer) == "o"
    for _ in range(2):
        assert session.next_frame(answer) == "h"


@pytest.mark.ours
def test_websocket_gets_pings_and_every_second_time_h(client: Client) -> None:
    """A heartbeat is a ping; every second one is an ``h`` as well, which scripts can see."""
    socket = WebSocketSession(client, "/fast_heartbeat").open().socket
    seen = []
    for _ in range(6):
        frame = socket.frame()
        if frame.opcode == PING:
            socket.send_frame(PONG, frame.payload)
            seen.append("ping")
        else:
            assert (frame.opcode, frame.payload) == (TEXT, b"h")
            seen.append("h")
    assert seen == ["ping", "ping", "h", "ping", "ping", "h"]


@pytest.mark.ours
def test_silent_and_busy_websockets(client: Client) -> None:
    """10 s without any byte after a ping: 3000. Slow handlers and full queues are no silence.

    All of it in one test, because the ten seconds are not a setting.
    """
    silent = WebSocketSession(client, "/fast_heartbeat").open()
    silent_raw = client.websocket("/fast_heartbeat/websocket")
    talking = WebSocketSession(client, "/fast_heartbeat").open()
    slow_tag, full_tag = new_tag(), new_tag()
    slow = WebSocketSession(client, "/fast_heartbeat", f"tag={slow_tag}").open()
    slow.run(["hold"])
    full = WebSocketSession(client, "/small_inbound", f"tag={full_tag}").open()
    full.run(["hold"])
    # More than any buffer on the way takes, so that not even a pong is read any more.
    for number in range(50):
        full.run(["send", str(number)], ["ignored", "x" * 60_000])
    alive = [slow.socket, full.socket]
    closed: list[str] = []
    silent.socket.answers_pings = False
    while not closed:
        frame = silent.socket.frame()
        if frame.opcode == TEXT and frame.payload != b"h":
            closed.append(frame.payload.decode())
        # Any inbound byte counts: this one never answers a ping, but it says something.
        if frame.opcode == PING:
            talking.socket.send("")
        for socket in alive:
            _answer_pings(socket)
    assert closed == [quoted(3000, "No response from heartbeat")]
    assert silent.socket.frame().opcode == CLOSE

    silent_raw.answers_pings = False
    with pytest.raises(WebSocketClosed) as raw_closed:
        while True:
            silent_raw.recv()
    assert (raw_closed.value.code, raw_closed.value.reason) == (3000, "No response from heartbeat")

    talking.socket.answers_pings = False
    talking.run(["send", "alive"])
    assert _next_message(talking) == 'a["alive"]'
    client.release(slow_tag)
    client.release(full_tag)
    slow.run(["send", "alive"])
    assert _next_message(slow) == 'a["alive"]'
    full.run(["send", "alive"])
    received = ""
    while "alive" not in received:
        received += _next_message(full)
    assert received.count('"') == 2 * 51


def _answer_pings(socket: object) -> None:
    while not socket.connection.is_quiet(0.01):  # type: ignore[attr-defined]
        frame = socket.frame()  # type: ignore[attr-defined]
        assert frame.opcode == PING or frame.payload == b"h", frame
        if frame.opcode == PING:
            socket.send_frame(PONG, frame.payload)  # type: ignore[attr-defined]


def _next_message(session: WebSocketSession) -> str:
    while (frame := session.receive()) == "h":
        pass
    return frame
