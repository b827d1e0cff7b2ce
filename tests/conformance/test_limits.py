"""The limits of api.md section 11, and bad input: its sender is told, nobody else notices."""

from __future__ import annotations

import json
import re
import threading

import pytest

from tests.conformance.conftest import PLACES, Launch
from tests.conformance.rawclient import CONTINUATION, TEXT
from tests.conformance.wire import (
    FORM,
    HTTP_TRANSPORTS,
    Client,
    WebSocketSession,
    new_tag,
    open_session,
    quoted,
    receive_messages,
)

SLOW_CONSUMER = quoted(4008, "Slow consumer")
ALL = [*HTTP_TRANSPORTS, "websocket"]
ours = pytest.mark.ours


@ours
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_body_beyond_max_message_size(client: Client, framing: str) -> None:
    """A body beyond 1024 bytes is 413, whether it was announced or not; the session lives on."""
    session = client.session("/small_messages").open()
    body = json.dumps(["x" * 1021]).encode()
    assert len(body) == 1025
    if framing == "length":
        answer = session.post(body)
    else:
        connection = client.connect()
        headers = [("Transfer-Encoding", "chunked")]
        connection.start_request("POST", session.url("xhr_send"), headers)
        connection.send(b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))
        answer = connection.response("POST")
    assert answer.status == 413
    assert answer["Access-Control-Allow-Origin"] == "*"
    assert session.post(json.dumps(["x" * 1020])).status == 204
    assert session.receive() == f'a["{"x" * 1020}"]'


@ours
def test_announced_body_is_not_awaited(client: Client) -> None:
    """A huge Content-Length is refused before the body has come."""
    session = client.session("/small_messages").open()
    headers = [("Content-Length", str(10**12))]
    assert client.request("POST", session.url("xhr_send"), headers).status == 413
    session.send("on")
    assert session.receive() == 'a["on"]'


@ours
def test_form_beyond_max_message_size(client: Client) -> None:
    """jsonp_send has the same limit."""
    session = client.session("/small_messages", "jsonp").open()
    answer = client.post(session.url("jsonp_send"), "d=%5B%22" + "x" * 1100 + "%22%5D", [FORM])
    assert answer.status == 413
    session.send("on")
    assert session.receive() == 'a["on"]'


@ours
@pytest.mark.parametrize("fragmented", [False, True])
@pytest.mark.parametrize("path", ["/000/0/websocket", "/websocket"])
def test_message_beyond_max_message_size(client: Client, path: str, fragmented: bool) -> None:
    """A WebSocket message beyond the limit, in one frame or several, is closed with 1009."""
    tag = new_tag()
    socket = client.websocket(f"/small_messages{path}?tag={tag}")
    raw = path == "/websocket"
    if not raw:
        assert socket.recv() == "o"
    fits = "x" * 1024 if raw else json.dumps(["x" * 1020])
    assert len(fits) == 1024
    socket.send(fits)
    assert "x" * 1020 in socket.recv()
    if fragmented:
        socket.send_frame(TEXT, b'"' + b"x" * 600, fin=False)
        socket.send_frame(CONTINUATION, b"x" * 600 + b'"')
    else:
        socket.send('"' + "x" * 1100 + '"')
    assert socket.closed().code == 1009
    events = client.events(tag, 3)
    assert [event[:2] for event in events[2:]] == [["close", 1009]]


@ours
@pytest.mark.parametrize("name", ["xhr", "jsonp"])
def test_queue_of_an_absent_poller(client: Client, name: str) -> None:
    """Beyond ``max_queue_size`` bytes for an absent poller the session is closed with 4008."""
    tag = new_tag()
    session = client.session("/small_queue", name, f"tag={tag}").open()
    session.run(["repeat", 100, 100])
    waiting = 0
    while (frame := session.receive()) != SLOW_CONSUMER:
        assert frame[0] == "a"
        waiting += len(frame)
    assert waiting <= 4096 + 256
    assert client.events(tag, 3)[2:] == [["close", 4008, "Slow consumer"]]


@ours
@pytest.mark.parametrize("name", ["xhr", "jsonp"])
def test_queue_within_the_limit(client: Client, name: str) -> None:
    """What stays within the limit is kept and delivered whole."""
    session = client.session("/small_queue", name).open()
    for _ in range(3):
        session.run(["repeat", 30, 100])
        assert receive_messages(session, 30) == ["x" * 100] * 30


@ours
@pytest.mark.parametrize("name", ["xhr_streaming", "eventsource", "htmlfile", "websocket"])
def test_queue_of_a_reader_that_stopped(client: Client, name: str) -> None:
    """Where a client stops reading, its queue is bounded as well, and only it is closed."""
    tag = new_tag()
    sender = client.session("/small_queue", name if name != "websocket" else "xhr", f"tag={tag}")
    other = open_session(client, "/small_queue", name)
    if name == "websocket":
        stuck = WebSocketSession(client, "/small_queue", f"tag={tag}").open()
        run = stuck.run
    else:
        sender.open()
        run = sender.run
    count = 2
    # Kernel buffers take some megabytes before anything waits in the server itself.
    for _ in range(200):
        run(["repeat", 40, 100_000])
        events = client.events(tag, count, timeout=1)
        if events[-1][0] == "close":
            break
        count += 1
    assert client.events(tag, count + 1, timeout=2)[-1] == ["close", 4008, "Slow consumer"]
    other.run(["send", "undisturbed"])
    assert other.receive() == 'a["undisturbed"]'


@ours
@pytest.mark.direct(PLACES)
def test_max_sessions(launch: Launch) -> None:
    """Beyond ``max_sessions`` a new one is 503 with Retry-After; the others go on."""
    with launch(allowed_origins="*", max_sessions="3") as client:
        sessions = [client.session("/echo").open() for _ in range(2)]
        socket = WebSocketSession(client, "/echo").open()
        for name in HTTP_TRANSPORTS:
            answer = client.session("/script", name).attach()
            assert answer.status == 503, name
            assert int(answer["Retry-After"] or "") > 0
            assert answer["Access-Control-Allow-Origin"] == "*"
        for path in ("/echo/000/0/websocket", "/echo/websocket"):
            handshake = client.websocket(path).handshake
            assert handshake.status == 503
            assert int(handshake["Retry-After"] or "") > 0
        for session in sessions:
            session.send("still here")
            assert session.receive() == 'a["still here"]'
        assert client.get("/echo/info").status == 200
        socket.send("last")
        assert socket.receive() == 'a["last"]'


@ours
@pytest.mark.direct(PLACES)
def test_a_place_is_given_back(launch: Launch) -> None:
    """When a session ends, or was never opened, another one may come."""
    with launch(allowed_origins="*", max_sessions="1") as client:
        for _ in range(3):
            assert client.get("/echo/000/0/jsonp?c=*").status == 500
            assert client.websocket("/forbidden/websocket").handshake.status == 403
            tag = new_tag()
            session = WebSocketSession(client, "/echo", f"tag={tag}").open()
            session.send("a")
            assert session.receive() == 'a["a"]'
            session.socket.close()
            assert client.events(tag, 3)[-1][0] == "close"


@ours
@pytest.mark.parametrize("name", ["xhr", "jsonp"])
def test_max_inbound_answers_late(client: Client, name: str) -> None:
    """Beyond ``max_inbound`` messages for a slow handler a send is answered late; none is lost."""
    tag = new_tag()
    session = client.session("/small_inbound", name, f"tag={tag}").open()
    session.run(["hold"])
    late = []
    for number in range(8):
        connection = client.connect()
        payload = json.dumps([json.dumps([["send", str(number)]])])
        if name == "jsonp":
            target, headers = session.url("jsonp_send"), [("Content-Type", "text/plain")]
        else:
            target, headers = session.url("xhr_send"), []
        connection.start_request("POST", target, headers, payload)
        late.append(connection)
        if not connection.is_quiet(0.15):
            assert connection.response("POST").status in (200, 204)
            late.pop()
            continue
        break
    assert len(late) == 1
    client.release(tag)
    assert late[0].response("POST").status in (200, 204)
    expected = [str(value) for value in range(number + 1)]
    assert receive_messages(session, len(expected)) == expected


@ours
def test_max_inbound_stops_reading(client: Client) -> None:
    """On a WebSocket reading stops; when the handler goes on, everything comes, in order."""
    tag = new_tag()
    session = WebSocketSession(client, "/small_inbound", f"tag={tag}").open()
    session.run(["hold"])
    sent: list[str] = []

    def send_more_than_buffers_take() -> None:
        for number in range(700):
            session.run(["send", str(number)], ["ignored", "x" * 60_000])
            sent.append(str(number))

    session.socket.connection.socket.settimeout(20)
    sender = threading.Thread(target=send_more_than_buffers_take)
    sender.start()
    count = -1
    while count < len(sent):
        count = len(sent)
        sender.join(0.3)
    stopped = sender.is_alive()
    client.release(tag)
    assert receive_messages(session, 700) == [str(number) for number in range(700)]
    sender.join()
    assert stopped


@pytest.mark.parametrize(
    "garbage",
    [
        b"\0\xff\0\xff\r\n\r\n",
        b"GET /echo/info HTTP/1.1\r\nHost: x\r\nX-Long: " + b"x" * 200_000 + b"\r\n\r\n",
        b"GET /echo/info HTTP/1.1\r\n" + b"X-Many: x\r\n" * 20_000 + b"\r\n",
        b"POST /echo/000/1/xhr HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"POST /echo/000/1/xhr HTTP/1.1\r\nHost: x\r\nContent-Length: 1e3\r\n\r\n",
        b"POST /echo/0/1/xhr_send HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz",
        b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
)
def test_absurd_requests(client: Client, garbage: bytes) -> None:
    """Broken and oversized requests are refused with 4xx or cut off; others go on."""
    session = client.session("/echo").open()
    connection = client.connect()
    try:
        connection.send(garbage)
        connection.socket.shutdown(1)
    except OSError:
        pass
    answer = connection.receive()
    assert answer == b"" or re.match(rb"HTTP/1\.[01] 4\d\d ", answer), answer[:80]
    session.send("undisturbed")
    assert session.receive() == 'a["undisturbed"]'


def test_slow_body(client: Client) -> None:
    """A send whose body comes byte by byte holds up nobody, and is delivered when complete."""
    session = client.session("/echo").open()
    connection = client.connect()
    connection.start_request("POST", session.url("xhr_send"), [("Content-Length", "8")])
    for byte in b'["slow"':
        connection.send(bytes([byte]))
        session.send("quick")
        assert session.receive() == 'a["quick"]'
    connection.send(b"]")
    assert connection.response("POST").status == 204
    assert session.receive() == 'a["slow"]'


def test_incomplete_body(client: Client) -> None:
    """A send that is cut off midway delivers nothing and leaves the session alone."""
    session = client.session("/echo").open()
    connection = client.connect()
    connection.start_request("POST", session.url("xhr_send"), [("Content-Length", "80")])
    connection.send(b'["cut off"]')
    connection.reset()
    session.send("whole")
    assert session.receive() == 'a["whole"]'
