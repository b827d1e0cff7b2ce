"""Peers that leave in the middle of something, and servers that do."""

from __future__ import annotations

import json
import logging
import struct
import threading
from collections.abc import Iterator

import pytest

from tests.conformance.conftest import STOPS, Launch
from tests.conformance.rawclient import CLOSE, TEXT, Connection, WebSocket, encode_frame
from tests.conformance.wire import (
    Client,
    WebSocketSession,
    eventually,
    new_tag,
    open_session,
    quoted,
)

pytestmark = pytest.mark.ours


@pytest.fixture
def no_errors(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fails the test if a server of this process has logged an error: who leaves is none."""
    with caplog.at_level(logging.INFO):
        yield
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def accepts(client: Client) -> bool:
    """Tells whether the server takes new connections."""
    try:
        Connection(client.url).close()
    except OSError:
        return False
    return True


@pytest.mark.usefixtures("no_errors")
@pytest.mark.parametrize("raw", [False, True])
def test_what_a_websocket_sent_before_it_left(client: Client, raw: bool) -> None:
    """All that arrived before the close frame is delivered, and its code is the client's own.

    The handler is slower than the network: `max_inbound` messages wait when the peer is gone.
    """
    tag = new_tag()
    path = "/websocket" if raw else f"/000/{new_tag()}/websocket"
    socket = client.websocket(f"/echo{path}?tag={tag}")
    if not raw:
        assert socket.recv() == "o"
    texts = [str(number) if raw else json.dumps([str(number)]) for number in range(300)]
    data = b"".join(encode_frame(TEXT, text.encode()) for text in texts)
    socket.connection.send(data + encode_frame(CLOSE, struct.pack("!H", 4001) + b"bye"))
    socket.connection.close()
    events = client.events(tag, 302)
    assert events[0] == ["open"]
    assert events[1:-1] == [["message", str(number)] for number in range(300)]
    assert events[-1] == ["close", 4001, "bye"]


@pytest.mark.usefixtures("no_errors")
@pytest.mark.parametrize("reset", [False, True])
def test_upload_that_breaks_off(client: Client, reset: bool) -> None:
    """Half a send is no message, and the session goes on."""
    session = client.session("/echo").open()
    connection = client.connect()
    connection.send(
        f"POST {session.url('xhr_send')} HTTP/1.1\r\nHost: {connection.host}\r\n"
        'Content-Length: 1000\r\n\r\n["half'.encode()
    )
    assert connection.is_quiet(0.1)
    if reset:
        connection.reset()
    else:
        connection.close()
    session.send("whole")
    assert session.receive() == 'a["whole"]'


@pytest.mark.direct("nginx itself answers 100", "nginx")
def test_expectation_of_a_body_that_is_too_large(client: Client) -> None:
    """RFC 9110, 10.1.1: who waits for 100 Continue is spared the sending of what is refused."""
    session = client.session("/small_messages").open()
    connection = client.connect()
    connection.send(
        f"POST {session.url('xhr_send')} HTTP/1.1\r\nHost: {connection.host}\r\n"
        "Content-Length: 2000\r\nExpect: 100-continue\r\n\r\n".encode()
    )
    assert connection.response("POST").status == 413


@pytest.mark.direct(STOPS)
def test_stop_in_the_middle_of_a_handshake(launch: Launch) -> None:
    """A client whose handshake the stop of the server overtakes may come again: 503."""
    tag = new_tag()
    answers: list[int] = []

    def open_websocket() -> None:
        target = f"/slow_open/000/{tag}/websocket?tag={tag}"
        connection = Connection(client.url)
        answers.append(WebSocket(connection, target).handshake.status)
        connection.close()

    def release_when_it_stops() -> None:
        eventually(lambda: not accepts(client))
        kept.request("GET", f"/release?tag={tag}")
        kept.close()

    with launch() as client:
        # The client's own connections are closed before the server stops.
        kept = Connection(client.url)
        threads = [threading.Thread(target=open_websocket)]
        threads[0].start()
        assert client.events(tag, 1) == [["handshake"]]
        threads.append(threading.Thread(target=release_when_it_stops))
        threads[1].start()
    for thread in threads:
        thread.join(5)
    assert answers == [503]


@pytest.mark.direct(STOPS)
def test_stop_between_two_polls(launch: Launch) -> None:
    """A client that is between two polls when the server stops hears it at its next one."""
    frames: list[str] = []

    def poll_when_it_stops() -> None:
        eventually(lambda: not accepts(client))
        frames.append(session.finish(session.start("2", kept)))
        kept.close()

    # A tenth of the time is for such clients.
    with launch(shutdown_timeout=100) as client:
        kept = Connection(client.url)
        session = client.session("/echo")
        assert session.finish(session.start("1", kept)) == "o"
        polling = threading.Thread(target=poll_when_it_stops)
        polling.start()
    polling.join(5)
    assert frames == [quoted(3000, "Go away!")]


@pytest.mark.usefixtures("no_errors")
def test_websocket_that_leaves_in_the_handshake(client: Client) -> None:
    """A client that leaves while the application decides never opens."""
    tag = new_tag()
    connection = client.connect()
    connection.start_request(
        "GET",
        f"/slow_open/000/{tag}/websocket?tag={tag}",
        [
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA=="),
        ],
    )
    assert client.events(tag, 1) == [["handshake"]]
    connection.reset()
    client.release(tag)
    # A session of its own under the same tag: what it hears comes after what the first heard.
    second = WebSocketSession(client, "/slow_open", f"tag={tag}").open()
    second.send("here")
    assert client.events(tag, 4) == [["handshake"], ["handshake"], ["open"], ["message", "here"]]


@pytest.mark.parametrize("name", ["websocket", "xhr_streaming"])
def test_burst_for_a_quick_client(client: Client, name: str) -> None:
    """More than `max_queue_size` in one go is no reason to call a client slow that reads."""
    session = open_session(client, "/small_queue", name)
    session.run(["repeat", 100, 1000])
    received = ""
    while received.count("x") < 100_000:
        frame = session.receive()
        assert frame.startswith("a"), frame
        received += frame


def test_session_of_another_base_url(client: Client) -> None:
    """What the application allowed below one base URL is not open below another."""
    session = client.session("/rooms/a").open()
    other = client.session("/rooms/b")
    other.id = session.id
    assert other.post('["x"]').status == 404
    assert other.receive() == "o"
    session.send("mine")
    assert session.receive() == 'a["mine"]'


@pytest.mark.direct("nginx asks for it over HTTP/1.1", "nginx")
def test_websocket_over_http_1_0(client: Client) -> None:
    """RFC 6455, 4.1: the handshake is HTTP/1.1 or higher."""
    answer = client.connect().request(
        "GET",
        f"/echo/000/{new_tag()}/websocket",
        [
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA=="),
        ],
        version="1.0",
    )
    assert (answer.status, answer["Sec-WebSocket-Version"]) == (400, "13")
