"""Which views serve connections: what their code tells."""

from __future__ import annotations

from functools import wraps
from unittest import mock

import pytest

from sockjs_bridge import WebSocketSession
from sockjs_bridge.pyramid.viewkinds import (
    asks_for_connection,
    is_asynchronous,
    is_session_class,
    names_connection,
)


def wrapped(view):
    @wraps(view)
    def wrapper(request):
        return view(request)

    return wrapper


def page(request):
    return request.path


def named(request):
    return request.websocket


@wrapped
def decorated(request):
    return request.ws_connection


def within(request):
    return [each for each in range(3) if request.websocket]


def receiving(request):
    return request.receive()


class Views:
    def __init__(self, request):
        self.request = request

    def named(self):
        return self.request.websocket


class Called:
    def __call__(self, request):
        return request.websocket


def looped(request):
    return request.websocket


looped.__wrapped__ = looped


class Curious:
    """It has attributes of any name, as mocks and lazy objects have."""

    anything = mock.call
    named = property(lambda self: self.request.websocket)


class Pages:
    def __call__(self, request):
        return request.path


class Inheriting(Views):
    """It has all from its base."""


class Keeping:
    """It keeps the connection, which not all of its views use."""

    def __init__(self, request):
        self.request = request
        self.ws = request.websocket

    def talk(self):
        return self.ws

    def hand_over(self):
        return self.talk()

    def page(self):
        return self.request.path


class KeepingMore(Keeping):
    def __init__(self, request):
        super().__init__(request)
        self.title = request.path

    def talk_more(self):
        return [self.ws for _ in range(3)]

    def page(self):
        return self.title


def other_sources(request):
    """It has the names, and not of its request."""
    queue = request.registry
    return queue.receive(), queue.settings.websocket, request.path


def module_of_that_name(request):
    return websocket.create_connection(request.path)


websocket = None


@pytest.mark.parametrize(
    ("view", "attr", "found"),
    [
        (page, None, (False, False)),
        (named, None, (True, True)),
        (decorated, None, (True, True)),
        (within, None, (True, True)),
        (receiving, None, (True, True)),
        (Views, "named", (True, True)),
        (Views(None), "named", (True, True)),
        (Inheriting, "named", (True, True)),
        (looped, None, (False, False)),
        # A property may be for other views.
        (Curious, None, (True, False)),
        (mock.call, None, (False, False)),
        (Called(), None, (True, True)),
        (Called, None, (True, True)),
        (Pages(), None, (False, False)),
        (Pages, None, (False, False)),
        (Keeping, "talk", (True, True)),
        (Keeping, "hand_over", (True, True)),
        (Keeping, "page", (True, False)),
        (KeepingMore, "talk", (True, True)),
        (KeepingMore, "talk_more", (True, True)),
        (KeepingMore, "page", (True, False)),
        # Names alone tell little.
        (other_sources, None, (True, False)),
        (module_of_that_name, None, (True, False)),
        # A view that is a renderer alone, and one in C.
        (None, None, (False, False)),
        (len, None, (False, False)),
    ],
)
def test_what_code_tells(view, attr, found):
    """Whatever kind of view it is; what it calls is not looked into."""
    assert (names_connection(view, attr), asks_for_connection(view, attr)) == found


class Asynchronous:
    async def method(self):
        """A view."""

    async def __call__(self):
        """A view."""


async def asynchronous(request):
    """A view."""


@pytest.mark.parametrize(
    ("view", "attr", "expected"),
    [
        (page, None, False),
        (asynchronous, None, True),
        (Asynchronous, "method", True),
        (Asynchronous, None, True),
        (Asynchronous(), None, True),
        (Views, "named", False),
    ],
)
def test_is_asynchronous(view, attr, expected):
    assert is_asynchronous(view, attr) is expected


def test_is_session_class():
    assert is_session_class(WebSocketSession)
    assert not any(map(is_session_class, (Views, page, WebSocketSession(named_request()))))


def named_request():
    return type("Request", (), {"websocket": None})()
