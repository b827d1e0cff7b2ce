"""What views see of a connection (api.md, sections 2, 3 and 5)."""

from __future__ import annotations

import asyncio
import contextlib
import threading

import pytest

from sockjs_bridge import (
    AsyncWebSocket,
    ConnectionClosed,
    WebSocket,
    WebSocketSession,
)
from sockjs_bridge.pyramid import connections
from tests.pyramid.support import Opening
from tests.support import RecordingHandler


@pytest.fixture
def opening():
    opening = Opening()
    opening.session.accept(RecordingHandler())
    return opening


# send


def test_send(opening):
    """send() leaves at the end of the tick and says that the connection is there."""
    assert opening.websocket.send("a“b”") is True
    opening.clock.settle()
    assert opening.receiver.frames == ["o", 'a["a\\u201cb\\u201d"]']


@pytest.mark.parametrize("message", [b"bytes", None, 1, ["text"]])
@pytest.mark.parametrize("over", [False, True])
def test_send_of_something_else(opening, message, over):
    """A message that is no string is a TypeError, whether the connection is over or not."""
    if over:
        opening.session.close(1000, "")
    with pytest.raises(TypeError, match=f"a message is a str, not {type(message).__name__}"):
        opening.websocket.send(message)


def test_send_before_the_session_is_open():
    """What is sent in the handshake leaves after the open frame."""
    opening = Opening()
    assert opening.websocket.send("early") is True
    opening.clock.settle()
    assert opening.receiver.frames == []
    opening.session.accept(RecordingHandler())
    opening.clock.settle()
    assert opening.receiver.frames == ["o", 'a["early"]']


def test_send_after_the_end(opening):
    """send() returns False when the peer is gone, and never raises because of it."""
    opening.session.detach(opening.receiver, lost=True)
    assert opening.websocket.send("late") is False
    assert opening.websocket.closed


def test_send_after_close_of_the_same_thread(opening):
    """After close() nothing is sent, though the loop has not closed the session yet."""
    opening.websocket.send("before")
    opening.websocket.close(3001, "bye")
    assert opening.websocket.send("after") is False
    assert opening.websocket.closed
    opening.clock.settle()
    assert opening.receiver.frames == ["o", 'a["before"]', 'c[3001,"bye"]']


def test_slow_consumer(opening):
    """Section 11: beyond max_queue_size the connection is over, and send() says so."""
    opening.receiver.open = False
    assert opening.websocket.send("x" * 1048576) is True
    opening.clock.settle()
    assert opening.websocket.close_code == 4008
    assert opening.websocket.send("more") is False


# close


@pytest.mark.parametrize("code", [1000, 3000, 4999])
def test_close(opening, code):
    """close() hands code and reason to the client and to the properties."""
    assert (opening.websocket.close_code, opening.websocket.close_reason) == (None, "")
    assert not opening.websocket.closed
    opening.websocket.close(code, "why")
    opening.clock.settle()
    assert opening.receiver.frames[-1] == f'c[{code},"why"]'
    assert (opening.websocket.close_code, opening.websocket.close_reason) == (code, "why")


def test_close_without_arguments(opening):
    opening.websocket.close()
    opening.clock.settle()
    assert opening.websocket.close_code == 1000


@pytest.mark.parametrize("code", [0, 999, 1001, 1005, 1006, 2000, 2999, 5000])
def test_close_with_a_code_that_is_not_the_applications(opening, code):
    """sockjs-wire.md: an application may use 1000 and 3000 to 4999."""
    with pytest.raises(ValueError, match=str(code)):
        opening.websocket.close(code)
    assert not opening.websocket.closed


def test_close_with_a_reason_that_is_no_string(opening):
    with pytest.raises(TypeError, match="a reason is a str, not bytes"):
        opening.websocket.close(1000, b"why")
    assert not opening.websocket.closed


def test_the_first_close_counts(opening):
    opening.websocket.close(3001, "first")
    opening.websocket.close(3002, "second")
    opening.clock.settle()
    assert (opening.websocket.close_code, opening.websocket.close_reason) == (3001, "first")


# receive


def test_receive(opening):
    """Messages come in order; those that arrived before the end come before it."""
    websocket = opening.websocket
    websocket.arrived(["a", "b"])
    assert websocket.backlog() == 2
    assert websocket.receive() == "a"
    opening.session.close(3001, "bye")
    websocket.ended()
    assert websocket.receive() == "b"
    for _ in range(3):
        with pytest.raises(ConnectionClosed) as closed:
            websocket.receive()
        assert (closed.value.code, closed.value.reason) == (3001, "bye")


@pytest.mark.parametrize("timeout", [0, 0.01])
def test_receive_in_time(opening, timeout):
    """receive(timeout=seconds) raises TimeoutError."""
    with pytest.raises(TimeoutError, match=f"no message within {timeout} s"):
        opening.websocket.receive(timeout=timeout)
    opening.websocket.arrived(["a"])
    assert opening.websocket.receive(timeout=timeout) == "a"


def test_receive_makes_room():
    """Section 11, max_inbound: who waited for a slow view goes on when it receives."""
    opening = Opening(max_inbound=1)
    handler = RecordingHandler()
    handler.backlog = opening.websocket.backlog
    opening.session.accept(handler)
    opening.websocket.arrived(["a", "b"])
    assert opening.session.full
    called = []
    opening.session.when_ready(lambda: called.append(True))
    opening.websocket.receive()
    opening.clock.settle()
    assert called == []
    opening.websocket.receive()
    opening.clock.settle()
    assert called == [True]


def test_iteration(opening):
    """A blocking view may iterate: it gets what came before the end, and ends quietly."""
    opening.websocket.arrived(["a", "b"])
    opening.session.close(4001, "over")
    opening.websocket.ended()
    assert list(opening.websocket) == ["a", "b"]
    assert list(opening.websocket) == []


def test_receive_of_many_threads(opening):
    """The end releases all who wait, in whichever thread."""
    ends = []

    def wait():
        try:
            opening.websocket.receive()
        except ConnectionClosed as closed:
            ends.append(closed.code)

    threads = [threading.Thread(target=wait) for _ in range(3)]
    for thread in threads:
        thread.start()
    opening.session.close(4001, "over")
    opening.websocket.ended()
    for thread in threads:
        thread.join(10)
    assert ends == [4001] * 3


def test_receive_in_a_session_class(opening):
    """Its messages go to the hooks: who waits for one here would wait for ever."""
    talker = Talker(opening.request)
    connection = connections.Connection(opening.session, opening.clock)
    with pytest.raises(RuntimeError, match="go to on_message, not to receive"):
        connection.receive()
    assert not hasattr(talker, "receive")


# The asynchronous face


@pytest.fixture
def face(opening):
    """The connection of an asynchronous view; its session tells it what arrives."""
    opening.websocket = face = AsyncWebSocket(opening.session, opening.clock)
    handler = opening.session._handler
    handler.received = face.arrived
    handler.backlog = face.backlog
    handler.on_closed = face.ended
    return face


async def test_async_receive(opening, face):
    """Messages come in order; those that arrived before the end come before it."""
    opening.session.deliver(["a", "b"], 7)
    assert face.backlog() == 2
    assert await face.receive() == "a"
    opening.session.close(3001, "bye")
    assert await face.receive(timeout=0) == "b"
    for timeout in (None, 0, 10):
        with pytest.raises(ConnectionClosed) as closed:
            await face.receive(timeout=timeout)
        assert (closed.value.code, closed.value.reason) == (3001, "bye")


async def test_async_receive_waits(opening, face):
    """It goes on when a message comes, and when the connection ends."""
    waiting = asyncio.create_task(face.receive())
    await asyncio.sleep(0)
    assert not waiting.done()
    opening.session.deliver(["a"], 5)
    assert await waiting == "a"
    waiting = asyncio.create_task(face.receive())
    await asyncio.sleep(0)
    face.close(4001, "over")
    opening.clock.settle()
    with pytest.raises(ConnectionClosed, match="4001 over"):
        await waiting


async def test_async_receive_of_many_tasks(opening, face):
    """Each message is one task's; the end is everybody's."""
    tasks = [asyncio.create_task(face.receive()) for _ in range(3)]
    await asyncio.sleep(0)
    opening.session.deliver(["a"], 5)
    await asyncio.sleep(0)
    opening.session.deliver(["b"], 5)
    for _ in range(3):
        await asyncio.sleep(0)
    assert sorted(task.result() for task in tasks if task.done()) == ["a", "b"]
    opening.session.close(4001, "over")
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert sorted(map(str, results)) == ["4001 over", "a", "b"]


@pytest.mark.parametrize("timeout", [0, 0.01])
async def test_async_receive_in_time(opening, face, timeout):
    """receive(timeout=seconds) raises TimeoutError; the connection goes on, nothing is kept."""
    for _ in range(3):
        with pytest.raises(TimeoutError, match=f"no message within {timeout} s"):
            await face.receive(timeout=timeout)
    assert not face._waiting
    opening.session.deliver(["a"], 5)
    assert await face.receive(timeout=timeout) == "a"


async def test_cancelled_receive_loses_nothing(opening, face):
    """A task that stops waiting takes no message with it."""
    waiting = asyncio.create_task(face.receive())
    await asyncio.sleep(0)
    opening.session.deliver(["a"], 5)
    waiting.cancel()
    await asyncio.wait({waiting})
    assert waiting.cancelled()
    assert await face.receive() == "a"


async def test_async_iteration(opening, face):
    """Section 4: `async for` gives the messages, and ends quietly with the connection."""
    heard = []

    async def listen():
        async for message in face:
            heard.append(message)
        return "ended"

    listening = asyncio.create_task(listen())
    await asyncio.sleep(0)
    opening.session.deliver(["a", "b"], 7)
    opening.session.deliver(["c"], 5)
    opening.session.close(4001, "over")
    assert await listening == "ended"
    assert heard == ["a", "b", "c"]
    assert [message async for message in face] == []


async def test_async_receive_makes_room(opening, face):
    """Section 11, max_inbound: who waited for a slow view goes on when it receives."""
    called = []
    messages = [str(number) for number in range(64)]
    opening.session.deliver(messages, 300)
    opening.session.when_ready(lambda: called.append(True))
    assert (opening.session.full, called) == (True, [])
    assert await face.receive() == "0"
    assert (opening.session.full, called) == (False, [True])


async def test_async_receive_lets_others_have_their_turn(opening, face):
    """Many messages in one frame do not give the loop to one view alone."""
    opening.session.deliver([str(number) for number in range(100)], 300)
    heard = []

    async def listen():
        async for message in face:
            heard.append(message)

    listening = asyncio.create_task(listen())
    await asyncio.sleep(0)
    assert 0 < len(heard) < AsyncWebSocket.FAIR
    opening.session.close(1000, "")
    await listening
    assert len(heard) == 100


async def test_view_that_asks_on_and_on_after_the_end(opening, face):
    """Its mistake costs time, but everybody else goes on, and it can be stopped."""
    opening.session.close(1000, "")

    async def never_learns():
        while True:
            with contextlib.suppress(ConnectionClosed):
                await face.receive()

    stubborn = asyncio.create_task(never_learns())
    for _ in range(10):
        await asyncio.sleep(0)
    stubborn.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stubborn


# drain

LARGE = "x" * 300_000


class AnyFace:
    """A connection in one of the styles, of which `drain` is awaited whatever it is."""

    def __init__(self, style, opening):
        self.opening = opening
        if style == "view":
            self.face = opening.websocket
        elif style == "async view":
            self.face = AsyncWebSocket(opening.session, opening.clock)
        else:
            opening.request.websocket = connections.Connection(opening.session, opening.clock)
            self.face = Talker(opening.request)

    async def drain(self):
        """Wait; a blocking one in a thread, whose calls the test hands to the loop."""
        if not isinstance(self.face, WebSocket):
            await self.face.drain()
            return
        draining = asyncio.ensure_future(asyncio.to_thread(self.face.drain))
        while not draining.done():
            self.opening.clock.settle()
            await asyncio.sleep(0.001)
        await draining


every_style = pytest.mark.parametrize("style", ["view", "async view", "session class"])


@every_style
async def test_drain(opening, style):
    """It returns when at most a quarter of max_queue_size waits for the client."""
    any_face = AnyFace(style, opening)
    await any_face.drain()
    opening.receiver.open = False
    assert any_face.face.send(LARGE) is True
    opening.clock.settle()
    draining = asyncio.create_task(any_face.drain())
    for _ in range(5):
        await asyncio.sleep(0.002)
    assert not draining.done()
    opening.receiver.open = True
    opening.session.flush()
    await draining
    assert opening.receiver.messages == [LARGE]


@every_style
@pytest.mark.parametrize("before", [False, True])
async def test_drain_at_the_end(opening, style, before):
    """Who waits for a client that is gone hears of it."""
    any_face = AnyFace(style, opening)
    opening.receiver.open = False
    any_face.face.send(LARGE)
    opening.clock.settle()
    if before:
        opening.session.close(4001, "over")
    draining = asyncio.create_task(any_face.drain())
    if not before:
        for _ in range(5):
            await asyncio.sleep(0.002)
        assert not draining.done()
        opening.session.close(4001, "over")
    with pytest.raises(ConnectionClosed, match="4001 over"):
        await draining


@every_style
async def test_drain_after_close_of_its_own(opening, style):
    """After close() nobody waits for the client to read the rest."""
    any_face = AnyFace(style, opening)
    opening.receiver.open = False
    any_face.face.send(LARGE)
    any_face.face.close(4001, "over")
    opening.clock.settle()
    with pytest.raises(ConnectionClosed, match="4001 over"):
        await any_face.drain()


def test_drain_when_the_server_has_ended(opening, monkeypatch):
    """A view that outlives its server is not left waiting for a loop that is no more."""
    opening.session.close(4001, "over")
    monkeypatch.setattr(opening.clock, "call_from_thread", lambda *call: None)
    with pytest.raises(ConnectionClosed, match="4001 over"):
        opening.websocket.drain(timeout=0.01)


def test_drain_in_time(opening):
    """drain(timeout=seconds) raises TimeoutError; the connection goes on."""
    opening.receiver.open = False
    opening.websocket.send(LARGE)
    opening.clock.settle()
    with pytest.raises(TimeoutError, match="did not take what was sent within"):
        opening.websocket.drain(timeout=0.01)
    assert not opening.websocket.closed


async def test_drain_lets_the_messages_leave(opening, face):
    """A producer that is never made to wait must not keep the loop, and its messages, back."""
    ran = []
    asyncio.get_running_loop().call_soon(lambda: ran.append(True))
    await face.drain()
    assert ran


async def test_cancelled_drain(opening, face):
    """Who stopped waiting is not woken, and disturbs nobody who waits."""
    opening.receiver.open = False
    face.send(LARGE)
    opening.clock.settle()
    one, other = (asyncio.create_task(face.drain()) for _ in range(2))
    for _ in range(3):
        await asyncio.sleep(0)
    one.cancel()
    await asyncio.wait({one})
    opening.receiver.open = True
    opening.session.flush()
    await other
    assert one.cancelled()


# Rooms


ROOMS = pytest.mark.parametrize("kind", ["view", "session class"])


def face_of(kind, opening):
    return opening.websocket if kind == "view" else Talker(opening.request)


@ROOMS
def test_join_and_leave(opening, kind):
    """Section 6: it takes effect at once, in whatever thread."""
    face = face_of(kind, opening)
    assert face.rooms == frozenset()
    assert face.join("lobby")
    assert face.join("lobby")
    assert face.join("kitchen")
    assert face.rooms == {"lobby", "kitchen"}
    assert face.leave("lobby") is True
    assert face.leave("lobby") is False
    assert (face.rooms, face.last_rooms) == ({"kitchen"}, frozenset())
    assert opening.manager.rooms.members("kitchen") == [opening.session]


@ROOMS
def test_rooms_after_the_end(opening, kind):
    """A connection that is over is in no room, and enters none."""
    face = face_of(kind, opening)
    face.join("lobby")
    opening.session.close(1000, "")
    assert (face.rooms, face.last_rooms) == (frozenset(), {"lobby"})
    assert not face.join("lobby")
    assert face.leave("lobby") is False
    assert opening.manager.rooms.names() == []


def test_join_after_close_of_the_same_thread(opening):
    """After close() nothing is joined, though the loop has not closed the session yet."""
    opening.websocket.join("lobby")
    opening.websocket.close()
    assert not opening.websocket.join("kitchen")
    assert opening.manager.rooms.names() == ["lobby"]
    assert opening.websocket.leave("lobby") is True
    opening.clock.settle()
    assert opening.manager.rooms.names() == []


@ROOMS
@pytest.mark.parametrize("method", ["join", "leave"])
@pytest.mark.parametrize("over", [False, True])
@pytest.mark.parametrize(
    ("room", "error", "text"),
    [
        (None, TypeError, "a room's name is a str, not NoneType"),
        (b"lobby", TypeError, "a room's name is a str, not bytes"),
        (7, TypeError, "a room's name is a str, not int"),
        ("", ValueError, "a room's name is not empty"),
    ],
)
def test_room_that_cannot_be(opening, kind, method, over, room, error, text):
    """It is told at the call, whether the connection is over or not."""
    face = face_of(kind, opening)
    if over:
        opening.session.close(1000, "")
    with pytest.raises(error, match=text):
        getattr(face, method)(room)
    assert opening.manager.rooms.names() == []


# What it says of itself


def test_equality(opening):
    """Two faces of one connection are the same; other connections, and session classes, are not."""
    other = Opening()
    faces = [
        opening.websocket,
        WebSocket(opening.session, opening.clock),
        AsyncWebSocket(opening.session, opening.clock),
        connections.Connection(opening.session, opening.clock),
    ]
    for face in faces:
        assert face == opening.websocket
        assert hash(face) == hash(opening.websocket)
        assert face != other.websocket
        assert face != Talker(opening.request)
        assert face != opening.session
        assert face.channel is opening.session
    assert len({*faces, other.websocket}) == 2


def test_properties(opening):
    websocket = opening.websocket
    assert websocket.id == opening.session.id
    assert websocket.transport == "websocket"
    assert repr(websocket) == f"<WebSocket <Session {websocket.id} websocket open>>"


class Talker(WebSocketSession):
    """Nothing of its own."""


def test_session_class(opening):
    """Section 5: self.send, self.close(code, reason) as on every connection."""
    talker = Talker(opening.request)
    assert talker.request is opening.request
    assert talker.websocket is opening.websocket
    assert (talker.id, talker.transport) == (opening.websocket.id, "websocket")
    assert talker.send("hello") is True
    assert (talker.closed, talker.close_code, talker.close_reason) == (False, None, "")
    assert [talker.on_open(), talker.on_message("x"), talker.on_close()] == [None] * 3
    talker.close(4001, "done")
    opening.clock.settle()
    assert opening.receiver.frames == ["o", 'a["hello"]', 'c[4001,"done"]']
    assert (talker.closed, talker.close_code, talker.close_reason) == (True, 4001, "done")


def test_transaction_of_a_session_class(opening):
    """It is the request's; `tests/pyramid/test_transactions.py` has what it does."""
    with (
        pytest.raises(RuntimeError, match="needs pyramid_tm"),
        Talker(opening.request).transaction(),
    ):
        raise AssertionError("there is none to begin")
