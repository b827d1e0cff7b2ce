"""What views see of a connection (api.md, sections 2, 3 and 5)."""

from __future__ import annotations

import pytest
from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.response import Response

from sockjs_bridge import ConnectionClosed, WebSocketSession, websocket_view
from sockjs_bridge.pyramid import views
from tests.core import RecordingHandler
from tests.pyramid.support import Opening


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


# What it says of itself


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
    assert talker.id == opening.websocket.id
    assert talker.send("hello") is True
    assert (talker.closed, talker.close_code, talker.close_reason) == (False, None, "")
    assert [talker.on_open(), talker.on_message("x"), talker.on_close()] == [None] * 3
    talker.close(4001, "done")
    opening.clock.settle()
    assert opening.receiver.frames == ["o", 'a["hello"]', 'c[4001,"done"]']
    assert (talker.closed, talker.close_code, talker.close_reason) == (True, 4001, "done")


# The decorator


class Methods:
    """A view class: its method serves connections."""

    def __init__(self, request):
        self.request = request

    @websocket_view(route_name="chat")
    def serve(self):
        """Serve a connection."""


def test_decorator_of_a_method():
    """What view_config can decorate, websocket_view can."""
    config = Configurator()
    config.include("sockjs_bridge")
    config.add_sockjs_route("chat", "/chat")
    config.scan("tests.pyramid.test_views")
    config.commit()
    shown = [entry["introspectable"] for entry in config.introspector.get_category("views")]
    (found,) = [view for view in shown if view["route_name"] == "chat"]
    assert (found["callable"], found["attr"], found["websocket"]) == (Methods, "serve", True)


def test_decorator_leaves_the_view_alone():
    """The decorated function is still the function."""

    def view(request):
        return Response("x")

    assert websocket_view(route_name="chat")(view) is view
    assert view(Request.blank("/")).text == "x"


def test_decorator_with_its_own_predicate():
    """Whoever writes websocket=False gets it."""
    assert websocket_view(route_name="chat", websocket=False).websocket is False


def test_checked_message():
    views.checked_message("text")
    with pytest.raises(TypeError):
        views.checked_message(None)
