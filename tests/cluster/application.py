"""The application that the tests of several processes serve.

``/whoami`` is a page, ``/echo`` sends each message back, and ``/rooms`` does what the first word of
a message says. Its answer begins with that word. Rooms whose names begin with ``kept`` have a
history.
"""

from __future__ import annotations

import os
from typing import Any

from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.response import Response

from sockjs_bridge import Presence, WebSocketSession, websocket_view


class Policy:
    """Believes who one says to be in ``Authorization``."""

    def identity(self, request: Request) -> str | None:
        name: str | None = request.headers.get("Authorization")
        return name

    authenticated_userid = identity

    def permits(self, request: Request, context: object, permission: str) -> bool:
        return True


def whoami(request: Request) -> Response:
    """Tells which process answers."""
    return Response(str(os.getpid()))


@websocket_view(route_name="echo")
class Echo(WebSocketSession):
    """Sends each message back."""

    def on_message(self, message: str) -> None:
        self.send(message)


@websocket_view(route_name="rooms")
class Rooms(WebSocketSession):
    """Enters and leaves rooms, and speaks there: who is in a room hears ``ROOM TEXT``."""

    def on_message(self, message: str) -> None:
        command, *words = message.split(" ")
        answer = getattr(self, f"do_{command}")(*words)
        self.send(f"{command} {answer}")

    def do_whoami(self) -> int:
        """Which process has this connection."""
        return os.getpid()

    def do_echo(self, *words: str) -> str:
        return " ".join(words)

    def do_join(self, room: str) -> str:
        self.join(room)
        return room

    def do_leave(self, room: str) -> str:
        self.leave(room)
        return room

    def do_come(self, room: str, name: str) -> str:
        """Joins as somebody, whom the others hear of."""
        self.join(room, info={"name": name}, announce=True)
        return room

    def do_present(self, room: str) -> str:
        """Tells who is in a room, in all processes."""
        present = self.request.sockjs.presence(room)
        return " ".join(sorted(who.info.get("name", "-") for who in present))

    def on_join(self, room: str, who: Presence) -> None:
        self.send(f"joined {room} {who.info['name']}")

    def on_leave(self, room: str, who: Presence) -> None:
        self.send(f"left {room} {who.info['name']}")

    def do_put_out(self, userid: str) -> int:
        """Closes a user's connections; returns how many of this process."""
        closed: int = self.request.sockjs.close_user(userid, 4003, "Bye")
        return closed

    def do_say(self, room: str, *words: str) -> int:
        """Returns how many of this process hear it."""
        heard: int = self.request.sockjs.broadcast(" ".join([room, *words]), room=room)
        return heard

    def do_members(self, room: str) -> int:
        """How many of this process are in a room."""
        return len(self.request.sockjs.members(room))

    def do_close(self, code: str, *reason: str) -> str:
        self.close(int(code), " ".join(reason))
        return code


def main(global_config: Any = None, **settings: str) -> Any:
    """Makes the WSGI application.

    Args:
        global_config: what PasteDeploy passes; unused.
        settings: the application's settings, ``sockjs.*`` among them.
    """
    with Configurator(settings=settings, security_policy=Policy()) as config:
        config.include("sockjs_bridge")
        config.add_sockjs_rooms("kept*", history_size=1000)
        config.add_route("whoami", "/whoami")
        config.add_view(whoami, route_name="whoami")
        for name in ("echo", "rooms"):
            config.add_sockjs_route(name, f"/{name}")
        config.scan(__name__)
        return config.make_wsgi_app()
