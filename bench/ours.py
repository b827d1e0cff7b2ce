"""Our server as it is measured: default settings, and the whole Pyramid pipeline at each opening.

    PYTHONPATH=. pserve bench/ours.ini http_port=6543

``/echo`` and ``/broadcast`` are session classes. ``/view``, ``/coroutine`` and ``/plain`` are the
same echo in the other styles, for what a connection of each costs. Connections of ``/member`` and
``/announced`` are in rooms, and say nothing (`bench.killed`). ``/probe`` is a page that tells what
held up the loop.
"""

import random

from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.router import Router

from bench.probe import Found, Probe
from sockjs_bridge import WebSocketSession, websocket_view


@websocket_view(route_name="echo")
class Echo(WebSocketSession):
    """Sends each message back."""

    async def on_message(self, message: str) -> None:
        self.send(message)


@websocket_view(route_name="broadcast")
class Broadcast(WebSocketSession):
    """Sends each message to all that are connected, the sender too."""

    async def on_open(self) -> None:
        self.join("all")

    async def on_message(self, message: str) -> None:
        self.request.sockjs.broadcast(message, room="all")


@websocket_view(route_name="member")
class Member(WebSocketSession):
    """Is in a room, and listed there; others are not told."""

    announced = False

    async def on_open(self) -> None:
        room = random.randrange(int(self.request.registry.settings["rooms"]))
        self.join(f"room-{room}", announce=self.announced)


@websocket_view(route_name="announced")
class Announced(Member):
    """Is in a room, whose other members hear that it came, and that it left."""

    announced = True


@websocket_view(route_name="view")
def echo_view(request: Request) -> None:
    """An echo that has a thread of its own."""
    while True:
        request.websocket.send(request.websocket.receive())


@websocket_view(route_name="coroutine")
async def echo_coroutine(request: Request) -> None:
    """An echo that has a task of its own."""
    async for message in request.websocket:
        request.websocket.send(message)


@websocket_view(route_name="plain")
class PlainEcho(WebSocketSession):
    """An echo whose hook runs in the pool of threads."""

    def on_message(self, message: str) -> None:
        self.send(message)


def probe(request: Request) -> Found:
    """Tells what held up the loop since this was asked last."""
    found: Found = request.registry.probe.read()
    return found


def main(global_config: dict[str, str], **settings: str) -> Router:
    """Makes the application."""
    with Configurator(settings=settings) as config:
        for name in ("echo", "broadcast", "member", "announced", "view", "coroutine", "plain"):
            config.add_sockjs_route(name, f"/{name}")
        config.registry.probe = Probe(config.registry.sockjs.endpoints)
        config.add_route("probe", "/probe")
        config.add_view(probe, route_name="probe", renderer="json")
        config.scan("bench.ours")
        return config.make_wsgi_app()
