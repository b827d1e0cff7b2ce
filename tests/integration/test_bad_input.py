"""Bad input over real sockets (issue 2, "Bad input"): its sender is told, nobody else notices.

`tests/conformance/test_limits.py` has the limits of the wire; here are the server's own, what the
log says, and at which level.
"""

from __future__ import annotations

import json
import logging
import queue
import re
import socket
import struct
import threading

import pytest

from sockjs_bridge.testing import serve
from tests.conformance.rawclient import BINARY, CONTINUATION, PING, TEXT, WebSocketClosed
from tests.conformance.wire import Client, new_tag
from tests.integration.support import eventually
from tests.pkgs import conformance_app

pytestmark = pytest.mark.integration


@pytest.fixture
def caplog(caplog):
    caplog.set_level(logging.DEBUG, "sockjs_bridge")
    return caplog


@pytest.fixture
def launch():
    """Serves the conformance application, and closes the clients at the end."""
    clients = []
    servers = []

    def start(server=None, **settings):
        settings = {f"sockjs.{name}": value for name, value in settings.items()}
        app = conformance_app.main(**{"sockjs.allowed_origins": "*", **settings})
        context = serve(app, **(server or {}))
        servers.append(context)
        clients.append(Client(context.__enter__()))
        return clients[-1]

    yield start
    for client in clients:
        client.close()
    for context in servers:
        context.__exit__(None, None, None)


class Others:
    """Two sessions that must not notice anything."""

    def __init__(self, client):
        self.client = client
        self.polling = client.session("/echo").open()
        self.websocket = client.websocket(f"/echo/000/{new_tag()}/websocket")
        assert self.websocket.recv() == "o"

    def are_undisturbed(self):
        self.polling.send("undisturbed")
        assert self.polling.receive() == 'a["undisturbed"]'
        self.websocket.send('["undisturbed"]')
        assert self.websocket.recv() == 'a["undisturbed"]'
        assert self.client.get("/echo/info").status == 200


def levels(caplog, above=logging.DEBUG):
    """Return level and text of what was logged above a level, but for access and session ends."""
    return [
        (record.levelname, record.getMessage())
        for record in caplog.records
        if record.levelno > above
        and record.name not in ("sockjs_bridge.access", "sockjs_bridge.session")
    ]


def assert_no_errors(caplog):
    """What a client does wrong is no error of the server's."""
    assert levels(caplog, logging.INFO) == []


HOST = b"Host: x\r\n"
SEND = b"POST /echo/000/1/xhr_send HTTP/1.1\r\n" + HOST
ABSURD = {
    "too many headers": b"GET /echo/info HTTP/1.1\r\n" + HOST + b"X-A: b\r\n" * 50_000 + b"\r\n",
    "a long header": b"GET /echo/info HTTP/1.1\r\n" + HOST + b"X-A: " + b"a" * 33_000 + b"\r\n\r\n",
    "a long name": b"GET /echo/info HTTP/1.1\r\n" + HOST + b"X" * 33_000 + b": a\r\n\r\n",
    "a long target": b"GET /" + b"a" * 33_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
    "NUL in a value": b"GET /echo/info HTTP/1.1\r\n" + HOST + b"X-A: a\0b\r\n\r\n",
    "NUL in a name": b"GET /echo/info HTTP/1.1\r\n" + HOST + b"X\0A: ab\r\n\r\n",
    "a bare CR": b"GET /echo/info HTTP/1.1\r\n" + HOST + b"X-A: a\rX-B: b\r\n\r\n",
    "a folded header": b"GET /echo/info HTTP/1.1\r\n" + HOST + b"X-A: a\r\n b\r\n\r\n",
    "a blank before the colon": b"GET /echo/info HTTP/1.1\r\n" + HOST + b"X-A : a\r\n\r\n",
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a version of letters": b"GET / HTTP/x.y\r\n" + HOST + b"\r\n",
    # RFC 9112, 6.3: two lengths, or a length and chunks, are how requests are smuggled.
    "two lengths": SEND + b'Content-Length: 5\r\nContent-Length: 6\r\n\r\n["a"]X',
    "length and chunks": SEND + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a list of lengths": SEND + b'Content-Length: 5, 5\r\n\r\n["a"]',
    "a signed length": SEND + b'Content-Length: +5\r\n\r\n["a"]',
    "a negative length": SEND + b'Content-Length: -5\r\n\r\n["a"]',
    "a length of letters": SEND + b'Content-Length: 0x5\r\n\r\n["a"]',
    "an unknown coding": SEND + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunked twice": SEND + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "chunked not last": SEND + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("name", ABSURD)
def test_absurd_request(launch, caplog, name):
    """It is answered 400 and the connection ends, so that nothing behind it is a request."""
    client = launch()
    others = Others(client)
    connection = client.connect()
    smuggled = b"GET /events?tag=smuggled&count=0&timeout=0 HTTP/1.1\r\nHost: x\r\n\r\n"
    try:
        connection.send(ABSURD[name] + smuggled)
        connection.socket.shutdown(socket.SHUT_WR)
    except OSError:
        pass
    answer = connection.read_to_end()
    assert answer.startswith(b"HTTP/1.") or answer == b""
    assert re.findall(rb"HTTP/1\.[01] (\d)", answer) in ([b"4"], [])
    others.are_undisturbed()
    assert_no_errors(caplog)


@pytest.mark.parametrize(
    "chunks",
    [
        b'zz\r\n["a"]\r\n0\r\n\r\n',
        b'-5\r\n["a"]\r\n0\r\n\r\n',
        b'5\r\n["a"]XX0\r\n\r\n',
        b"ffffffffffffffffff\r\n",
    ],
)
@pytest.mark.parametrize("path", ["xhr_send", "page"])
def test_bad_chunks(launch, caplog, chunks, path):
    """Broken chunks (RFC 9112, 7.1): nothing is delivered, and the connection ends."""
    client = launch()
    others = Others(client)
    target = others.polling.url("xhr_send") if path == "xhr_send" else "/events?x"
    connection = client.connect()
    connection.start_request("POST", target, [("Transfer-Encoding", "chunked")])
    connection.send(chunks)
    connection.socket.shutdown(socket.SHUT_WR)
    answer = connection.read_to_end()
    assert re.findall(rb"HTTP/1\.1 (\d)", answer) in ([b"4"], [])
    others.are_undisturbed()
    assert_no_errors(caplog)


# Slowness


@pytest.mark.parametrize(
    ("target", "length"),
    [("/echo/000/1/xhr_send", 10), ("/echo/000/1/xhr", 10), ("/elsewhere", 10)],
)
@pytest.mark.parametrize("begun", [b"", b"["])
def test_slow_body(launch, caplog, target, length, begun):
    """A body of which no byte comes for body_timeout is answered 408, as the last answer."""
    client = launch(server={"body_timeout": 1})
    others = Others(client)
    connection = client.connect()
    connection.start_request("POST", target, [("Content-Length", str(length))])
    connection.send(begun)
    response = connection.response("POST")
    assert response.status == 408
    assert response["Connection"] == "close"
    assert b"imeout" in response.body
    others.are_undisturbed()
    assert_no_errors(caplog)
    if "echo" in target:
        assert ("INFO", f"POST {target}: 408") in levels(caplog)


@pytest.mark.parametrize("begun", [b"", b"GET /echo/info HT", b"GET /echo/info HTTP/1.1\r\nX-A: b"])
def test_slow_head(launch, caplog, begun):
    """Without a complete head, a connection is closed after keepalive_timeout."""
    client = launch(server={"keepalive_timeout": 1})
    others = Others(client)
    connection = client.connect()
    connection.send(begun)
    assert connection.ended()
    others.are_undisturbed()
    assert_no_errors(caplog)


def test_slow_second_head(launch):
    """The same for a connection that was kept alive."""
    client = launch(server={"keepalive_timeout": 1})
    connection = client.connect()
    assert connection.request("GET", "/echo/info").body
    connection.send(b"GET /echo/in")
    assert connection.ended()


def test_open_receivers_are_not_slow(launch):
    """keepalive_timeout is no bound for a poll, a stream or a WebSocket that waits."""
    client = launch(server={"keepalive_timeout": 1, "body_timeout": 1})
    stream = client.session("/echo", "xhr_streaming").open()
    polling = client.session("/echo").open()
    poll = polling.start()
    websocket = client.websocket(f"/echo/000/{new_tag()}/websocket")
    assert websocket.recv() == "o"
    idle = client.connect()
    assert idle.ended()
    stream.send("a")
    assert stream.receive() == 'a["a"]'
    polling.send("b")
    assert polling.finish(poll) == 'a["b"]'
    websocket.send('["c"]')
    assert websocket.recv() == 'a["c"]'


# Half-open connections


@pytest.mark.parametrize("path", ["000/{tag}/websocket", "websocket"])
def test_half_open_websocket(launch, caplog, monkeypatch, path):
    """sockjs-wire.md: 3000 "No response from heartbeat" without any inbound byte after a ping."""
    monkeypatch.setattr("sockjs_bridge.core.deadlines.PONG_TIMEOUT", 1.0)
    # The peer does not answer the close frame either.
    monkeypatch.setattr("sockjs_bridge.server.websocket.CLOSE_TIMEOUT", 0.1)
    client = launch(heartbeat_delay="0.1")
    living = Living(client)
    tag = new_tag()
    vanished = client.websocket(f"/script/{path.format(tag=tag)}?tag={tag}")
    vanished.answers_pings = False
    messages = []
    with pytest.raises(WebSocketClosed) as closed:
        while True:
            messages.append(vanished.recv())
    assert vanished.pings
    if path == "websocket":
        assert messages == []
        assert (closed.value.code, closed.value.reason) == (3000, "No response from heartbeat")
    else:
        assert messages[-1] == 'c[3000,"No response from heartbeat"]'
        assert closed.value.code == 1000
    assert client.events(tag, 2) == [["open"], ["close", 3000, "No response from heartbeat"]]
    eventually(lambda: ended(caplog, 3000))
    living.answers()
    assert_no_errors(caplog)


class Living:
    """A WebSocket whose peer answers pings, in a thread of its own."""

    def __init__(self, client):
        self.websocket = client.websocket(f"/echo/000/{new_tag()}/websocket")
        self.heard = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        try:
            while True:
                if (message := self.websocket.recv()) not in ("o", "h"):
                    self.heard.put(message)
        except (WebSocketClosed, OSError) as error:
            self.heard.put(error)

    def answers(self):
        self.websocket.send('["alive"]')
        assert self.heard.get(timeout=10) == 'a["alive"]'


def ended(caplog, code):
    """Return the session-end lines with a close code."""
    return [
        record.getMessage()
        for record in caplog.records
        if record.name == "sockjs_bridge.session" and f" with {code} " in record.getMessage()
    ]


def test_any_byte_is_a_sign_of_life(launch, monkeypatch):
    """A WebSocket that answers no ping but sends something else lives."""
    monkeypatch.setattr("sockjs_bridge.core.deadlines.PONG_TIMEOUT", 1.0)
    client = launch(heartbeat_delay="0.1")
    websocket = client.websocket(f"/echo/000/{new_tag()}/websocket")
    websocket.answers_pings = False
    assert websocket.recv() == "o"
    while len(websocket.pings) < 15:
        websocket.send('["alive"]')
        while (frame := websocket.recv()) == "h":
            pass
        assert frame == 'a["alive"]'


# WebSocket frames


@pytest.mark.parametrize("path", ["000/{tag}/websocket", "websocket"])
@pytest.mark.parametrize(
    ("frames", "code"),
    [
        # RFC 6455, 7.4.1.
        ([(TEXT, b"\xff\xfe", True)], 1007),
        ([(TEXT, b"x" * 70_000, True)], 1009),
        ([(TEXT, b"x" * 40_000, False), (CONTINUATION, b"x" * 40_000, True)], 1009),
        ([(CONTINUATION, b"x", True)], 1002),
        ([(0x3, b"x", True)], 1002),
        ([(PING, b"x" * 126, True)], 1002),
    ],
)
def test_bad_frames(launch, caplog, path, frames, code):
    """The WebSocket is closed with RFC 6455's code; the session's hooks and the log have it."""
    client = launch()
    others = Others(client)
    tag = new_tag()
    websocket = client.websocket(f"/script/{path.format(tag=tag)}?tag={tag}")
    if path != "websocket":
        assert websocket.recv() == "o"
    for opcode, payload, fin in frames:
        websocket.send_frame(opcode, payload, fin)
    assert websocket.closed().code == code
    assert client.events(tag, 2)[1][:2] == ["close", code]
    eventually(lambda: ended(caplog, code))
    others.are_undisturbed()
    assert_no_errors(caplog)


@pytest.mark.parametrize("path", ["000/{tag}/websocket", "websocket"])
def test_announced_size_is_not_allocated(launch, caplog, path):
    """A frame that announces 2^62 bytes is refused by its head."""
    client = launch()
    others = Others(client)
    websocket = client.websocket(f"/echo/{path.format(tag=new_tag())}")
    websocket.connection.send(b"\x81\xff" + struct.pack("!Q", 2**62) + b"mask" + b"x" * 100)
    with pytest.raises(WebSocketClosed) as closed:
        while websocket.recv() == "o":
            pass
    assert closed.value.code == 1009
    others.are_undisturbed()
    assert_no_errors(caplog)


@pytest.mark.parametrize("payload", ['["a"', "{}", "[1]", '["a", null]', "1", "null", "[" * 20_000])
def test_broken_framing(launch, caplog, payload):
    """sockjs-wire.md, WebSocket: c[3000,"Broken framing."], and a line at INFO."""
    client = launch()
    others = Others(client)
    tag = new_tag()
    websocket = client.websocket(f"/script/000/{tag}/websocket?tag={tag}")
    assert websocket.recv() == "o"
    websocket.send(payload)
    assert websocket.recv() == 'c[3000,"Broken framing."]'
    assert client.events(tag, 2) == [["open"], ["close", 3000, "Broken framing."]]
    others.are_undisturbed()
    assert_no_errors(caplog)
    assert any(level == "INFO" and "session" in text for level, text in levels(caplog))


def test_binary_frame(launch, caplog):
    """SockJS is text; a binary message ends the session."""
    client = launch()
    others = Others(client)
    websocket = client.websocket(f"/echo/000/{new_tag()}/websocket")
    assert websocket.recv() == "o"
    websocket.send_frame(BINARY, b'["a"]')
    assert websocket.recv() == 'c[3000,"Broken framing."]'
    others.are_undisturbed()
    assert_no_errors(caplog)


# Bodies


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", b"Payload expected."),
        (b"{}", b"Payload expected."),
        (b'["a", 1]', b"Payload expected."),
        (b'["a"', b"Broken JSON encoding."),
        (b'["\xff"]', b"Broken JSON encoding."),
        (b"[" * 20_000, b"Broken JSON encoding."),
    ],
)
def test_bad_payload(launch, caplog, body, said):
    """sockjs-wire.md, sending transports: 500 with a word, and the session lives on."""
    client = launch()
    others = Others(client)
    answer = client.post(others.polling.url("xhr_send"), body)
    assert (answer.status, answer.body) == (500, said)
    others.are_undisturbed()
    assert_no_errors(caplog)


def test_oversized_body_is_logged(launch, caplog):
    """413, one line at INFO, and the session lives on."""
    client = launch(max_message_size="1024")
    others = Others(client)
    target = others.polling.url("xhr_send")
    assert client.post(target, json.dumps(["x" * 2000])).status == 413
    others.are_undisturbed()
    assert_no_errors(caplog)
    assert ("INFO", f"POST {target}: 413") in levels(caplog)


@pytest.mark.parametrize("method", ["PUT", "DELETE", "BREW", "CONNECT", "TRACE"])
@pytest.mark.parametrize("path", ["/echo/info", "/echo/000/1/xhr", "/echo/000/1/xhr_send"])
def test_unknown_method(launch, caplog, method, path):
    """sockjs-wire.md, URLs: 405 with Allow; no session is made."""
    client = launch()
    others = Others(client)
    answer = client.request(method, path)
    assert answer.status in (405, 400)
    if answer.status == 405:
        assert "OPTIONS" in answer["Allow"]
        assert (answer["Content-Type"], answer.body) == (None, b"")
    assert client.post("/echo/000/1/xhr_send", '["a"]').status == 404
    others.are_undisturbed()
    assert_no_errors(caplog)


def test_too_many_sessions(launch, caplog):
    """More sessions than allowed: 503, while those that are there go on."""
    client = launch(max_sessions="2")
    others = Others(client)
    for _ in range(3):
        assert client.session("/echo").attach().status == 503
    others.are_undisturbed()
    assert [level for level, _ in levels(caplog, logging.INFO)] in ([], ["WARNING"])
