"""/websocket below the base URL (RawWebsocket)."""

from __future__ import annotations

import pytest

from tests.conformance.rawclient import PING, TEXT
from tests.conformance.wire import Client, eventually, new_tag


@pytest.mark.parametrize("endpoint", ["/echo", "/blocking_echo"])
@pytest.mark.parametrize(
    "text", ["Hello world!\uffff", '["a"]', "a", "\0\x1f", "\U0001f600", 'o"\\', "x" * 60000]
)
def test_messages_are_not_framed(client: Client, endpoint: str, text: str) -> None:
    """RawWebsocket: no open frame, no framing; any text comes back as it went."""
    socket = client.websocket(f"{endpoint}/websocket")
    assert socket.handshake.status == 101
    socket.send(text)
    frame = socket.frame()
    assert (frame.opcode, frame.payload) == (TEXT, text.encode())


@pytest.mark.parametrize("endpoint", ["/close", "/blocking_close"])
def test_close(client: Client, endpoint: str) -> None:
    """RawWebsocket: the close frame carries the application's own code and reason."""
    closed = client.websocket(f"{endpoint}/websocket").closed()
    assert (closed.code, closed.reason) == (3000, "Go away!")


def test_pending_messages_go_before_the_close(client: Client) -> None:
    """What was sent before close() arrives, one WebSocket message each."""
    socket = client.websocket("/script/websocket")
    socket.send('[["send","a"],["send","b"],["close",4321,"bye"]]')
    assert socket.recv() == "a"
    assert socket.recv() == "b"
    closed = socket.closed()
    assert (closed.code, closed.reason) == (4321, "bye")


def test_close_after_a_silence(client: Client) -> None:
    """The close frame comes where nothing was said for longer than ``disconnect_delay`` too."""
    sockets = [client.websocket("/fast_disconnect/websocket") for _ in range(8)]
    absent = client.session("/fast_disconnect").open()
    eventually(lambda: not absent.exists())
    for socket in sockets:
        socket.send('[["close",4321,"bye"]]')
        closed = socket.closed()
        assert (closed.code, closed.reason) == (4321, "bye")


@pytest.mark.parametrize("headers", [[], [("Upgrade", "websocket"), ("Connection", "close")]])
def test_no_upgrade(client: Client, headers: list[tuple[str, str]]) -> None:
    """Without an upgrade the answer is 400."""
    assert client.get("/echo/websocket", headers).status == 400


@pytest.mark.ours
def test_base_url_itself(client: Client) -> None:
    """api.md 3: ``new WebSocket`` with the base URL is a raw WebSocket as well."""
    socket = client.websocket("/echo")
    assert socket.handshake.status == 101
    socket.send("hello")
    assert socket.recv() == "hello"


@pytest.mark.ours
def test_pings_without_h(client: Client) -> None:
    """No heartbeat frames on a raw WebSocket: four in a row are four pings, and no ``h``.

    The reference sends nothing at all.
    """
    socket = client.websocket("/fast_heartbeat/websocket")
    frames = []
    for _ in range(4):
        frames.append(socket.frame().opcode)
        socket.send_frame(0xA)
    assert frames == [PING] * 4


@pytest.mark.ours
def test_application_hears_the_end(client: Client) -> None:
    """Open, messages and close reach the hooks as over any transport."""
    tag = new_tag()
    socket = client.websocket(f"/echo/websocket?tag={tag}")
    socket.send("a")
    assert socket.recv() == "a"
    socket.close()
    assert client.events(tag, 3) == [["open"], ["message", "a"], ["close", 1000, ""]]
