"""/websocket below a session URL (WebsocketHttpErrors, WebsocketHybi10)."""

from __future__ import annotations

import struct

import pytest

from tests.conformance.rawclient import (
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    WebSocketClosed,
    encode_frame,
)
from tests.conformance.wire import Client, WebSocketSession, new_tag, quoted

KEY = ("Sec-WebSocket-Key", "x3JJHMbDL1EzLkh9GBhXDw==")


def websocket_path(endpoint: str = "/echo") -> str:
    return f"{endpoint}/000/{new_tag()}/websocket"


@pytest.mark.parametrize("endpoint", ["/echo", "/blocking_echo"])
def test_transport(client: Client, endpoint: str) -> None:
    """WebsocketHybi10: open, an array of strings, the echo."""
    session = WebSocketSession(client, endpoint).open()
    session.send("a")
    assert session.receive() == 'a["a"]'


@pytest.mark.parametrize("headers", [[], [("Upgrade", "WebSocket"), ("Connection", "close")]])
def test_no_upgrade(client: Client, headers: list[tuple[str, str]]) -> None:
    """WebsocketHttpErrors: 400 without an upgrade, and with ``Connection: close``."""
    assert client.get(websocket_path(), headers).status == 400


@pytest.mark.parametrize(
    "headers",
    [
        [],
        pytest.param(
            [("Upgrade", "WebSocket"), ("Connection", "Upgrade")],
            marks=pytest.mark.direct("HAProxy itself answers 400", "haproxy"),
        ),
    ],
)
def test_post(client: Client, headers: list[tuple[str, str]]) -> None:
    """WebsocketHttpErrors: a WebSocket is requested with GET only."""
    answer = client.request("POST", websocket_path(), headers)
    assert answer.status == 405
    assert answer["Content-Type"] is None
    assert answer["Allow"]
    assert answer.body == b""


@pytest.mark.parametrize("connection", ["Upgrade", "keep-alive, Upgrade"])
@pytest.mark.parametrize(
    "version",
    [pytest.param("7", marks=pytest.mark.ours), pytest.param("8", marks=pytest.mark.ours), "13"],
)
def test_handshake_headers(client: Client, version: str, connection: str) -> None:
    """WebsocketHybi10: versions 7, 8 and 13, the accept key, and Firefox 6's Connection header.

    The reference has given up versions 7 and 8 since the text was published.
    """
    answer = client.get(
        websocket_path(),
        [
            ("Upgrade", "websocket"),
            ("Connection", connection),
            ("Sec-WebSocket-Version", version),
            ("Sec-WebSocket-Origin", "http://asd"),
            KEY,
        ],
    )
    assert answer.status == 101
    assert answer["Sec-WebSocket-Accept"] == "HSmrc0sMlYUkAGmm5OPpG2HaGWk="
    assert (answer["Connection"] or "").lower() == "upgrade"
    assert (answer["Upgrade"] or "").lower() == "websocket"
    assert answer["Content-Length"] is None
    assert answer["Transfer-Encoding"] is None


@pytest.mark.parametrize("path", ["/000/0/websocket", "/websocket"])
def test_disabled(client: Client, path: str) -> None:
    """A disabled transport is 404, the raw one too."""
    assert client.websocket("/disabled_websocket_echo" + path).handshake.status == 404
    assert client.get("/disabled_websocket_echo" + path).status == 404


@pytest.mark.parametrize("endpoint", ["/close", "/blocking_close"])
def test_close(client: Client, endpoint: str) -> None:
    """WebsocketHybi10: the close frame of SockJS as text, then one of WebSocket with code 1000."""
    session = WebSocketSession(client, endpoint).open()
    assert session.receive() == 'c[3000,"Go away!"]'
    assert session.socket.closed().code == 1000


@pytest.mark.parametrize("ignored", ["", "[]"])
def test_nothing_is_ignored(client: Client, ignored: str) -> None:
    """WebsocketHybi10: the empty text and ``[]`` deliver nothing."""
    session = WebSocketSession(client, "/echo").open()
    session.socket.send(ignored)
    session.send("a")
    assert session.receive() == 'a["a"]'


@pytest.mark.parametrize("text", ['"abc"', ' "abc"', '["abc"]', ' [ "abc" ] '])
def test_array_or_bare_string(client: Client, text: str) -> None:
    """An array of strings and one bare JSON string are both messages."""
    session = WebSocketSession(client, "/echo").open()
    session.socket.send(text)
    assert session.receive() == 'a["abc"]'


def test_messages_keep_their_order(client: Client) -> None:
    """Many messages come back complete and in order."""
    session = WebSocketSession(client, "/echo").open()
    sent = [str(number) for number in range(300)]
    for start in range(0, len(sent), 3):
        session.send(*sent[start : start + 3])
    received: list[str] = []
    while len(received) < len(sent):
        frame = session.receive()
        received += frame[3:-2].split('","')
    assert received == sent


@pytest.mark.parametrize("text", ['["a', "[", "abc", "{"])
def test_broken_json(client: Client, text: str) -> None:
    """WebsocketHybi10: broken JSON ends the connection.

    The reference closes without a ``c`` frame, with 3000 as the WebSocket's own code.
    """
    session = WebSocketSession(client, "/echo").open()
    session.socket.send(text)
    frames: list[str] = []
    with pytest.raises(WebSocketClosed):
        while True:
            frames.append(session.receive())
    assert frames in ([], [quoted(3000, "Broken framing.")])


@pytest.mark.ours
@pytest.mark.parametrize(
    "text", ['["a', "abc", "1", "null", "true", '{"a":"b"}', "[1]", '["a",1]', '[["a"]]', "[null]"]
)
@pytest.mark.parametrize("endpoint", ["/echo", "/blocking_echo"])
def test_broken_framing(client: Client, endpoint: str, text: str) -> None:
    """What is no string ends the session with 3000 and nothing of it is delivered."""
    tag = new_tag()
    session = WebSocketSession(client, endpoint, f"tag={tag}").open()
    session.socket.send(text)
    assert session.receive() == quoted(3000, "Broken framing.")
    assert session.socket.closed().code == 1000
    assert client.events(tag, 2) == [["open"], ["close", 3000, "Broken framing."]]


@pytest.mark.ours
def test_nothing_is_delivered_after_broken_framing(client: Client) -> None:
    """What follows the broken message in the same packet is not delivered either."""
    tag = new_tag()
    session = WebSocketSession(client, "/echo", f"tag={tag}").open()
    frames = [encode_frame(TEXT, text) for text in (b'["good"]', b"[1]", b'["late"]')]
    session.socket.connection.send(b"".join(frames))
    expected = [["open"], ["message", "good"], ["close", 3000, "Broken framing."]]
    assert client.events(tag, 3) == expected
    assert client.events(tag, 4, timeout=0.1) == expected


@pytest.mark.parametrize("path", ["/echo/000/{id}/websocket", "/echo/websocket"])
@pytest.mark.parametrize("payload", [b'["\xff"]', b'["\xed\xa0\x80"]', b'["\xc3'])
def test_bad_utf8(client: Client, path: str, payload: bytes) -> None:
    """RFC 6455, 8.1: text that is not UTF-8 is answered with close code 1007."""
    socket = client.websocket(path.format(id=new_tag()))
    if "{id}" in path:
        assert socket.recv() == "o"
    socket.send_frame(TEXT, payload)
    assert socket.closed().code == 1007


def test_session_id_may_be_shared(client: Client) -> None:
    """WebsocketHybi10: two WebSockets with one session id are two sessions."""
    path = websocket_path()
    first, second = client.websocket(path), client.websocket(path)
    assert first.recv() == second.recv() == "o"
    first.send('["a"]')
    second.send('["b"]')
    assert first.recv() == 'a["a"]'
    assert second.recv() == 'a["b"]'
    first.close()
    second.send('["c"]')
    assert second.recv() == 'a["c"]'
    again = client.websocket(path)
    assert again.recv() == "o"
    again.send('["d"]')
    assert again.recv() == 'a["d"]'


def test_session_ends_with_its_connection(client: Client) -> None:
    """A session lives as long as its WebSocket: the application is told at once."""
    for end in ("close", "reset"):
        tag = new_tag()
        session = WebSocketSession(client, "/echo", f"tag={tag}").open()
        assert client.events(tag, 1) == [["open"]]
        if end == "close":
            session.socket.close()
        else:
            session.socket.connection.reset()
        assert [name for name, *_ in client.events(tag, 2)] == ["open", "close"], end


@pytest.mark.ours
def test_code_and_reason_of_the_peer(client: Client) -> None:
    """The application hears the code and reason of the client's close frame, which is answered."""
    tag = new_tag()
    session = WebSocketSession(client, "/echo", f"tag={tag}").open()
    session.socket.send_frame(CLOSE, struct.pack("!H", 3999) + b"bye")
    assert session.socket.closed().code in (1000, 3999)
    assert client.events(tag, 2)[1:] == [["close", 3999, "bye"]]


def test_fragments_and_pings(client: Client) -> None:
    """RFC 6455, 5.4 and 5.5.2: fragments are one message, a ping between them is answered."""
    session = WebSocketSession(client, "/echo").open()
    socket = session.socket
    socket.send_frame(TEXT, b'["fra', fin=False)
    socket.send_frame(PING, b"now")
    frame = socket.frame()
    assert (frame.opcode, frame.payload) == (PONG, b"now")
    socket.send_frame(CONTINUATION, b'gment"]')
    assert session.receive() == 'a["fragment"]'


def test_unmasked_frame(client: Client) -> None:
    """RFC 6455, 5.1: a client's frame without a mask is a protocol error."""
    session = WebSocketSession(client, "/echo").open()
    session.socket.send_frame(TEXT, b'["a"]', masked=False)
    assert session.socket.closed().code == 1002
    other = WebSocketSession(client, "/echo").open()
    other.send("undisturbed")
    assert other.receive() == 'a["undisturbed"]'


def test_reserved_opcode(client: Client) -> None:
    """RFC 6455, 5.2: an unknown opcode fails the connection with 1002, and nobody else's."""
    other = WebSocketSession(client, "/echo").open()
    session = WebSocketSession(client, "/echo").open()
    session.socket.send_frame(0x3, b"?")
    assert session.socket.closed().code == 1002
    other.send("undisturbed")
    assert other.receive() == 'a["undisturbed"]'
