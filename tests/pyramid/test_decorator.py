"""`websocket_view`: it declares what serves connections (api.md, section 2)."""

from __future__ import annotations

import pytest
from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.response import Response

from sockjs_bridge import (
    websocket_view,
)


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
    config.scan("tests.pyramid.test_decorator")
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


@pytest.mark.parametrize("argument", ["chat", len])
def test_decorator_without_parentheses(argument):
    """Who forgets them, or the keyword, is told what to write."""
    with pytest.raises(TypeError, match=r'@websocket_view\(route_name="..."\)'):
        websocket_view(argument)
