"""The testing kit's connections: views and session classes run without server and network."""

from __future__ import annotations

import asyncio

import pytest
from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPForbidden
from pyramid.scripting import prepare
from pyramid.testing import DummyRequest

from sockjs_bridge import ConnectionClosed, Session, WebSocketSession
from sockjs_bridge.testing import AsyncDummyWebSocket, DummyWebSocket


def echo(request):
    while True:
        request.ws_connection.send(request.receive().upper())


async def async_echo(request):
    async for message in request.websocket:
        request.websocket.send(message.upper())
        await request.websocket.drain()


class Chat(WebSocketSession):
    def on_open(self):
        self.join(self.request.matchdict["room"])
        self.send("welcome")

    def on_message(self, message):
        if message == "enough":
            self.close(4000, "as you wish")
        room = self.request.matchdict["room"]
        self.request.sockjs.broadcast(message, room=room, exclude=[self])

    def on_close(self):
        self.request.seen = self.close_code, self.close_reason, self.rooms, self.last_rooms


class AsyncChat(Chat):
    async def on_open(self):
        super().on_open()

    async def on_message(self, message):
        super().on_message(message)


def test_blocking_view():
    ws = DummyWebSocket(["a", "“b”\ud800"], code=3001, reason="bye")
    assert ws.run(echo) == ["A", "“B”\ud800"]
    assert (ws.close_code, ws.close_reason) == (3001, "bye")


async def test_async_view():
    ws = AsyncDummyWebSocket(["a", "b"])
    assert await ws.run(async_echo) == ["A", "B"]
    assert (ws.close_code, ws.close_reason) == (1000, "")


def test_view_that_is_called_by_the_test():
    """run() is a convenience: the view may be called with a request of one's own."""
    ws = DummyWebSocket(["a"], code=1006)
    with pytest.raises(ConnectionClosed) as closed:
        echo(ws.request())
    assert closed.value.code == 1006
    assert ws.sent == ["A"]


def test_view_that_returns():
    """As on a server, the connection is closed with 1000; what the client sends yet is lost."""
    ws = DummyWebSocket(["a", "b"])
    assert ws.run(lambda request: request.websocket.send("only this")) == ["only this"]
    assert ws.close_code == 1000
    assert not ws.send("too late")
    with pytest.raises(ConnectionClosed):
        ws.receive()


def test_session_class():
    ws = DummyWebSocket(["hello", "enough", "more"])
    other = DummyWebSocket(sockjs=ws.sockjs)
    other.join("kitchen")
    request = ws.request(matchdict={"room": "kitchen"})
    assert ws.run(Chat, request) == ["welcome"]
    assert other.sent == ["hello", "enough"]
    assert request.seen == (4000, "as you wish", frozenset(), {"kitchen"})
    assert ws.sockjs.members("kitchen") == [other]


def real_request():
    with Configurator() as config:
        config.include("sockjs_bridge")
        with prepare(registry=config.registry) as env:
            return env["request"]


@pytest.mark.parametrize("make", [DummyRequest, real_request])
def test_request_of_the_test(make):
    """It becomes the handshake of the connection that the view is run for, one after another."""
    request = make()
    request.matchdict = {"room": "kitchen"}
    other = DummyWebSocket()
    other.join("kitchen")
    for message in ("one", "two"):
        ws = DummyWebSocket([message], sockjs=other.sockjs)
        assert ws.run(Chat, request) == ["welcome"]
    assert other.sent == ["one", "two"]
    assert DummyWebSocket(["a"]).run(echo, request) == ["A"]


async def test_asynchronous_hooks():
    ws = AsyncDummyWebSocket(["hello"])
    request = ws.request(matchdict={"room": "kitchen"})
    assert await ws.run(AsyncChat, request) == ["welcome"]
    assert request.seen == (1000, "", frozenset(), {"kitchen"})


def test_member_is_the_session():
    """As on a server, the members of a room are the sessions of their class."""

    class Joins(WebSocketSession):
        def on_open(self):
            self.join("hall")
            (member,) = self.request.sockjs.members("hall")
            assert member is self

    DummyWebSocket().run(Joins)


async def test_async_view_that_receives():
    """ConnectionClosed out of an async view ends it quietly, as on a server."""

    async def view(request):
        while True:
            request.websocket.send(await request.receive())

    assert await AsyncDummyWebSocket(["a"]).run(view) == ["a"]


@pytest.mark.parametrize("view", [async_echo, AsyncChat])
def test_wrong_dummy(view):
    """What is async def is told so, and is not left unawaited."""
    ws = DummyWebSocket()
    with pytest.raises(TypeError, match="AsyncDummyWebSocket"):
        ws.run(view, ws.request(matchdict={"room": "kitchen"}))


def test_plain_awaitable():
    """What is awaitable and no coroutine cannot be closed, and is refused as well."""

    class Awaitable:
        def __await__(self):
            raise AssertionError("it is not awaited")

    with pytest.raises(TypeError, match="AsyncDummyWebSocket"):
        DummyWebSocket().run(lambda request: Awaitable())


def test_exceptions_are_the_tests():
    def forbids(request):
        raise HTTPForbidden()

    with pytest.raises(HTTPForbidden):
        DummyWebSocket().run(forbids)


def test_script():
    """More messages, silence, and the client's leaving, one after another."""
    ws = DummyWebSocket(["a", TimeoutError("nothing came")])
    ws.client_sends("b")
    assert ws.receive() == "a"
    with pytest.raises(TimeoutError, match="nothing came"):
        ws.receive(timeout=1)
    assert ws.receive() == "b"
    assert not ws.closed
    ws.client_leaves()
    assert ws.closed


def test_real_rules():
    """It is the real connection, on an unreal client: what cannot be sent is refused."""
    ws = DummyWebSocket()
    with pytest.raises(TypeError):
        ws.send(b"bytes")
    with pytest.raises(ValueError, match="1006"):
        ws.close(1006)
    ws.send("x" * 10)
    ws.drain(timeout=40)
    assert ws.sent == ["x" * 10]
    assert ws.channel.deadline() is not None
    ws.client_sends("hello")
    assert not ws.channel.full
    assert ws.receive() == "hello"


def test_hooks_after_a_connection_that_is_over():
    """ConnectionClosed out of a hook ends the connection quietly; the last hooks follow it."""
    calls = []

    class Old(Session):
        def on_message(self, message):
            raise ConnectionClosed(1006, "")

        def on_close(self):
            calls.append(("close", self.close_code))
            raise ConnectionClosed(1000, "")

        def on_closed(self):
            calls.append("closed")

    DummyWebSocket(["a", "b"]).run(Old)
    assert calls == [("close", 1000)]


def test_last_hooks():
    """Code for pyramid_sockjs has on_closed after on_close, as on a server."""
    calls = []

    class Old(Session):
        def on_close(self):
            calls.append("close")

        def on_closed(self):
            calls.append("closed")

    DummyWebSocket().run(Old)
    assert calls == ["close", "closed"]


async def test_generators():
    """A server runs none, and a test that runs one would pass for nothing."""

    def view(request):
        yield request.websocket.receive()

    async def async_view(request):
        yield await request.websocket.receive()

    with pytest.raises(TypeError, match="must not yield"):
        DummyWebSocket(["a"]).run(view)
    with pytest.raises(TypeError, match="must not yield"):
        await AsyncDummyWebSocket(["a"]).run(async_view)


#: More than a quarter of ``max_queue_size``.
LARGE = "x" * 400_000


async def test_drain():
    """What a view sent has left when it drains, and the view goes on."""

    def view(request):
        request.websocket.send(LARGE)
        request.websocket.drain(timeout=40)
        request.websocket.close(4001)

    async def async_view(request):
        request.websocket.send(LARGE)
        async with asyncio.timeout(40):
            await request.websocket.drain()

    class Chat(WebSocketSession):
        async def on_open(self):
            self.send(LARGE)
            async with asyncio.timeout(40):
                await self.drain()

    assert DummyWebSocket().run(view) == [LARGE]
    assert await AsyncDummyWebSocket().run(async_view) == [LARGE]
    assert await AsyncDummyWebSocket().run(Chat) == [LARGE]


class Notes(WebSocketSession):
    """Notes what becomes of it."""

    def __init__(self, request):
        super().__init__(request)
        self.calls = request.calls = []

    def note(self, name, *more):
        self.calls.append((name, self.suspended, *more))

    def on_open(self):
        self.note("open")

    def on_message(self, message):
        self.note(message, self.message_id, self.repeated)
        self.send(message)

    def on_suspend(self):
        self.note("suspend")
        self.send("kept")

    def on_resume(self):
        self.note("resume", self.message_id)

    def on_close(self):
        self.note("close", self.message_id)


class AsyncNotes(Notes):
    async def on_suspend(self):
        super().on_suspend()

    async def on_resume(self):
        super().on_resume()


NOTED = [
    ("open", False),
    ("a", False, None, False),
    ("suspend", True),
    ("resume", False, None),
    ("b", False, "client-2", True),
    ("close", False, None),
]


def script(ws):
    ws.suspend()
    ws.suspend()
    ws.resume()
    ws.client_sends("b", message_id="client-2", repeated=True)
    return ws


def test_suspended_and_resumed():
    """In their turn, behind what the client sends before; once, as on a server."""
    ws = script(DummyWebSocket(["a"]))
    request = ws.request(calls=None)
    assert ws.run(Notes, request) == ["a", "kept", "b"]
    assert request.calls == NOTED
    assert (ws.message_id, ws.repeated) == (None, False)


async def test_asynchronous_hooks_of_a_session_that_survives():
    ws = script(AsyncDummyWebSocket(["a"]))
    request = ws.request(calls=None)
    assert await ws.run(AsyncNotes, request) == ["a", "kept", "b"]
    assert request.calls == NOTED


def test_suspended_from_the_beginning():
    ws = DummyWebSocket(code=3001, reason="Timed out")
    ws.suspend()
    request = ws.request(calls=None)
    assert ws.run(Notes, request) == [], "it never came back"
    assert request.calls == [("open", True), ("suspend", True), ("close", True, None)]
    assert ws.close_code == 3001


def test_suspended_while_it_runs():
    """What a test does out of a hook comes in its turn, too."""

    class Chat(Notes):
        def on_message(self, message):
            ws.suspend()
            assert not self.suspended

    ws = DummyWebSocket(["a"])
    request = ws.request(calls=None)
    ws.run(Chat, request)
    assert [call[0] for call in request.calls] == ["open", "suspend", "close"]


def test_what_a_suspended_client_is_sent_is_kept():
    """It stays in its rooms, and gets what was sent there when it is back."""
    ws = DummyWebSocket()
    ws.join("kitchen")
    ws.send("before")
    ws.suspend()
    assert ws.suspended
    ws.sockjs.broadcast("tea", room="kitchen")
    assert ws.sent == ["before"]
    ws.send(LARGE)
    with pytest.raises(TimeoutError):
        ws.drain()
    ws.resume()
    assert ws.sent == ["before", "tea", LARGE]
    ws.drain()
    assert not ws.suspended


def test_views_of_a_session_that_survives():
    def view(request):
        for message in request.websocket:
            request.websocket.send(f"{message} {ws.message_id} {ws.repeated} {ws.suspended}")

    ws = script(DummyWebSocket(["a"]))
    assert ws.run(view) == ["a None False False", "b client-2 True False"]
