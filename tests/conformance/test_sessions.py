"""The life of a session: open, receivers, expiry, refusals (Protocol, HandlingClose)."""

from __future__ import annotations

import pytest

from tests.conformance.wire import (
    HTTP_TRANSPORTS,
    PATIENCE,
    Client,
    eventually,
    new_tag,
    open_session,
    quoted,
    receive_messages,
)

ALREADY_OPEN = quoted(2010, "Another connection still open")
INTERRUPTED = quoted(1002, "Connection interrupted")
ALL = [*HTTP_TRANSPORTS, "websocket"]


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("endpoint", ["/echo", "/blocking_echo"])
def test_simple_session(client: Client, endpoint: str, name: str) -> None:
    """Protocol: ``o``, then messages both ways, over each transport; the hooks see the same."""
    tag = new_tag()
    session = open_session(client, endpoint, name, f"tag={tag}")
    session.send("a")
    assert session.receive() == 'a["a"]'
    session.send("b", "c")
    assert receive_messages(session, 2) == ["b", "c"]
    expected = [["open"], ["message", "a"], ["message", "b"], ["message", "c"]]
    assert client.events(tag, 4) == expected


@pytest.mark.parametrize("name", HTTP_TRANSPORTS)
def test_one_open_frame(client: Client, name: str) -> None:
    """``o`` comes exactly once in a session's life, however many receivers follow."""
    session = client.session("/echo", name).open()
    for number in range(3):
        session.send("x" * 5000 + str(number))
        assert session.receive().startswith('a["x')


@pytest.mark.parametrize("newcomer", HTTP_TRANSPORTS)
@pytest.mark.parametrize("first", HTTP_TRANSPORTS)
def test_second_receiver(client: Client, first: str, newcomer: str) -> None:
    """HandlingClose: the newcomer gets 2010 with status 200, its response ends; the first stays."""
    session = client.session("/echo", first).open()
    waiting = session.wait() if session.stream is None else session.stream.connection
    assert _turned_away(client, session.id, newcomer)
    assert waiting.is_quiet(0.05)
    session.send("for the first")
    frame = session.receive() if session.stream is not None else session.finish(waiting)
    assert frame == 'a["for the first"]'


def _turned_away(client: Client, session_id: str, transport: str) -> bool:
    newcomer = client.session("/echo", transport)
    newcomer.id = session_id
    answer = newcomer.attach()
    frame = newcomer.first_frame(answer)
    if newcomer.transport.streaming:
        assert newcomer.next_frame(answer) == ""
    return frame == ALREADY_OPEN


@pytest.mark.parametrize("name", HTTP_TRANSPORTS)
def test_lost_receiver(client: Client, name: str) -> None:
    """HandlingClose: a receiver lost midway ends the session; the next gets a fresh start or 1002.

    The application is told at once, by the loss itself and not by a heartbeat.
    """
    tag = new_tag()
    session = client.session("/echo", name, f"tag={tag}").open()
    if session.stream is not None:
        session.abort()
    else:
        poll = session.wait()
        poll.reset()
    events = client.events(tag, 2)
    assert [name for name, *_ in events] == ["open", "close"]
    assert session.receive() in ("o", INTERRUPTED)


@pytest.mark.ours
@pytest.mark.parametrize("how", ["reset", "close"])
@pytest.mark.parametrize("name", HTTP_TRANSPORTS)
def test_lost_receiver_is_told_to_the_next(client: Client, name: str, how: str) -> None:
    """Ours: the next receiver gets ``c[1002,"Connection interrupted"]``, and so does each after.

    The reference forgets the session and opens a new one.
    """
    tag = new_tag()
    session = client.session("/echo", name, f"tag={tag}").open()
    if session.stream is not None:
        connection, session.stream = session.stream.connection, None
    else:
        connection = session.wait()
    getattr(connection, how)()
    assert client.events(tag, 2)[1:] == [["close", 1002, "Connection interrupted"]]
    assert session.receive() == INTERRUPTED
    session.stream = None
    assert session.receive() == INTERRUPTED


@pytest.mark.parametrize("name", HTTP_TRANSPORTS)
@pytest.mark.parametrize("endpoint", ["/brief", "/async_brief"])
def test_expiry(client: Client, endpoint: str, name: str) -> None:
    """Protocol: without a receiver for ``disconnect_delay`` the session is over; told once."""
    tag = new_tag()
    session = client.session(endpoint, name, f"tag={tag}").open()
    expected = ["open", "close"]
    if session.stream is not None:
        session.run(["repeat", 1, 131072])
        assert session.receive().startswith("a")
        assert session.next_frame(session.stream) == ""
        session.stream = None
        expected.insert(1, "message")
    eventually(lambda: not session.exists())
    for count, timeout in ((len(expected), PATIENCE), (len(expected) + 1, 0.1)):
        assert [event for event, *_ in client.events(tag, count, timeout)] == expected
    assert session.receive() == "o"


def test_a_waiting_receiver_keeps_the_session(client: Client) -> None:
    """A session with a receiver does not expire, however long nothing is said; on any transport."""
    waiting = []
    for name in HTTP_TRANSPORTS:
        session = client.session("/fast_disconnect", name, f"tag={new_tag()}").open()
        connection = session.wait() if session.stream is None else session.stream.connection
        waiting.append((session, connection))
    other = client.session("/fast_disconnect").open()
    eventually(lambda: not other.exists())
    for session, connection in waiting:
        assert connection.is_quiet(0.2)
        session.run(["send", "still here"])
        frame = session.finish(connection) if session.stream is None else session.receive()
        assert frame == 'a["still here"]'
        events = client.events(session.query.removeprefix("tag="), 2)
        assert [event for event, *_ in events] == ["open", "message"]


@pytest.mark.ours
def test_transports_that_are_off(client: Client) -> None:
    """A disabled transport is 404, its sending half too where no other transport uses it."""
    session = client.session("/xhr_only").open()
    session.send("a")
    assert session.receive() == 'a["a"]'
    assert client.post(session.url("xhr_streaming")).status == 404
    for segment in ("eventsource", "htmlfile?c=x", "jsonp?c=x"):
        assert client.get(session.url(segment)).status == 404
    assert client.post(session.url("jsonp_send"), "d=[]").status == 404
    assert client.request("OPTIONS", session.url("xhr_streaming")).status == 404
    for path in ("/xhr_only/000/0/websocket", "/xhr_only/websocket", "/xhr_only"):
        assert client.websocket(path).handshake.status in (200, 404)
    assert b'"websocket": false' in client.get("/xhr_only/info").body


@pytest.mark.ours
@pytest.mark.parametrize("name", HTTP_TRANSPORTS)
def test_refused_handshake(client: Client, name: str) -> None:
    """api.md 7: over HTTP a 4xx of the pipeline opens and closes at once with 4000 + status."""
    tag = new_tag()
    session = client.session("/forbidden", name, f"tag={tag}").open()
    assert session.receive() == quoted(4403, "Forbidden")
    session.post('["x"]')
    assert client.events(tag, 1, timeout=0.2) == []


@pytest.mark.ours
@pytest.mark.parametrize("path", ["/000/0/websocket", "/websocket"])
def test_refused_websocket_handshake(client: Client, path: str) -> None:
    """api.md 7: a WebSocket handshake is answered with the pipeline's own status."""
    assert client.websocket("/forbidden" + path).handshake.status == 403


@pytest.mark.ours
@pytest.mark.parametrize("endpoint", ["/script", "/async_script"])
@pytest.mark.parametrize("name", ALL)
def test_failing_hook(client: Client, name: str, endpoint: str) -> None:
    """api.md 7: an exception in a hook closes that session with 4500, and no other."""
    other = open_session(client, endpoint, name)
    session = open_session(client, endpoint, name)
    session.run(["fail"])
    assert session.receive() == quoted(4500, "Internal Server Error")
    other.run(["send", "undisturbed"])
    assert other.receive() == 'a["undisturbed"]'
