"""The application that the tests of the server process run: an echo, and things that get stuck."""

from __future__ import annotations

import threading
import time

from pyramid.config import Configurator
from pyramid.response import Response

from sockjs_bridge import WebSocketSession, websocket_view

STUCK = 300.0
"""Seconds that a stuck view would take."""


@websocket_view(route_name="echo")
class Echo(WebSocketSession):
    """Sends every message back; some are commands."""

    def on_message(self, message):
        if message == "get stuck":
            self.send("stuck")
            time.sleep(STUCK)
        elif message == "close":
            self.close(4001, "as you asked")
        else:
            self.send(message)


@websocket_view(route_name="blocking")
def blocking(request):
    """Gets stuck, or echoes."""
    while True:
        message = request.receive()
        request.websocket.send(message)
        if message == "get stuck":
            threading.Event().wait(STUCK)


def page(request):
    """Tell what the application sees of the request."""
    seen = [
        request.remote_addr,
        request.scheme,
        request.host,
        request.registry.settings["greeting"],
    ]
    return Response(" ".join(map(str, seen)))


def slow(request):
    """Take a while: as many seconds as the client asks for."""
    print("slow view begins", flush=True)
    time.sleep(float(request.GET["seconds"]))
    return Response("slow but sure")


def main(global_config=None, **settings):
    settings.setdefault("greeting", "hello")
    with Configurator(settings=settings) as config:
        config.include("sockjs_bridge")
        config.add_sockjs_route("echo", "/echo")
        config.add_sockjs_route("blocking", "/blocking")
        config.add_route("page", "/page")
        config.add_view(page, route_name="page")
        config.add_route("slow", "/slow")
        config.add_view(slow, route_name="slow")
        config.scan()
        return config.make_wsgi_app()
