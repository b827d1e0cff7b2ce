"""What ``proutes`` shows of connections; `tests/integration/test_commands.py` runs it."""

from __future__ import annotations

import pytest
from pyramid.config import Configurator
from pyramid.scripts.proutes import get_route_data
from pyramid.urldispatch import Route

from sockjs_bridge import WebSocketSession


class Chat(WebSocketSession):
    """A session class."""


def page(request):
    """A page."""


CHAT, PAGE = f"{__name__}.Chat", f"{__name__}.page"


@pytest.mark.parametrize(
    ("route", "view", "shown"),
    [
        ({}, {}, {(CHAT, "SockJS"), (PAGE, "*")}),
        ({}, {"request_method": "GET"}, {(CHAT, "GET"), (PAGE, "*")}),
        ({"request_method": "GET"}, {}, {(CHAT, "GET"), (PAGE, "GET")}),
    ],
)
def test_methods(route, view, shown):
    """A view for connections has the method ``SockJS``, where nothing else is said of methods."""
    config = Configurator()
    config.include("sockjs_bridge")
    config.add_sockjs_route("chat", "/chat", **route)
    config.add_websocket_view(Chat, route_name="chat", **view)
    config.add_view(page, route_name="chat")
    registry = config.make_wsgi_app().registry
    found = get_route_data(Route("chat", "/chat"), registry)
    assert {(view, methods) for _, _, view, methods in found} == shown


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        ([{}], "*,SockJS"),
        ([{"websocket": False}], "*"),
        ([{"request_method": "GET"}], "GET"),
        # Another view is for the connections.
        ([{}, {"websocket": True, "xhr": True}], "*,SockJS"),
    ],
)
def test_one_view_for_both(options, shown):
    config = Configurator()
    config.include("sockjs_bridge")
    config.add_sockjs_route("chat", "/chat")
    for each in options:
        config.add_view(page, route_name="chat", **each)
    registry = config.make_wsgi_app().registry
    ((_, _, view, methods),) = get_route_data(Route("chat", "/chat"), registry)
    assert (view, methods) == (PAGE, shown)
