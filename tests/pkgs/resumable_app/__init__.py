"""The application that the conformance tests of ``~r1`` talk to.

A session class, a blocking and an asynchronous view; a message that is a JSON list is a script of
steps, any other comes back. ``/events`` tells what the code saw, by the ``?tag=`` of the opening
request.
"""

from __future__ import annotations

import json
from typing import Any

from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPForbidden
from pyramid.request import Request
from pyramid.response import Response
from pyramid.security import forget

from tests.pkgs.conformance_app import (
    HOLD_LIMIT,
    RecordingSession,
    events,
    make_recorder,
    recorder_of,
    release,
    tag_of,
)


class Names:
    """A security policy that takes the name in a header for who somebody is."""

    def identity(self, request: Request) -> str | None:
        return request.headers.get("Authorization")

    def authenticated_userid(self, request: Request) -> str | None:
        return self.identity(request)

    def permits(self, request: Request, context: object, permission: str) -> bool:
        return self.identity(request) is not None

    def remember(self, request: Request, userid: str, **kw: Any) -> list[tuple[str, str]]:
        return []

    forget = staticmethod(forget)


class Echo(RecordingSession):
    """Sends each message back, or does what it says."""

    def on_message(self, message: str) -> None:
        self.record("message", message, self.message_id, self.repeated)
        if not message.startswith("["):
            self.send(message)
            return
        for name, *arguments in json.loads(message):
            if name == "hold":
                recorder_of(self.request).gate(str(tag_of(self.request))).wait(HOLD_LIMIT)
            elif name == "environ":
                environ = self.request.environ
                body = self.request.body.decode()
                length = environ.get("CONTENT_LENGTH", "")
                self.record("environ", self.request.method, length, body, repr(environ))
            elif name == "join":
                self.join(*arguments)
            elif name == "broadcast":
                self.request.sockjs.broadcast(arguments[0], room=arguments[1])
            else:
                self.step(name, *arguments)

    def on_suspend(self) -> None:
        self.record("suspend")

    def on_resume(self) -> None:
        self.record("resume")


def blocking(request: Request) -> None:
    """Sends each message back with its id."""
    websocket = request.websocket
    for message in websocket:
        websocket.send(f"{websocket.message_id} {websocket.repeated} {message}")


async def asynchronous(request: Request) -> None:
    """Sends each message back with its id."""
    websocket = request.websocket
    async for message in websocket:
        websocket.send(f"{websocket.message_id} {websocket.repeated} {message}")


def held_factory(request: Request) -> None:
    """Makes the opening of a session wait at the gate of its tag."""
    if request.websocket:
        recorder_of(request).record(tag_of(request), "handshake")
        recorder_of(request).gate(str(tag_of(request))).wait(HOLD_LIMIT)


def forbidden_factory(request: Request) -> None:
    """Refuses every visitor."""
    raise HTTPForbidden()


def page(request: Request) -> Response:
    """What is no endpoint."""
    return Response("page")


WINDOW = 2.0
"""Seconds in which even a busy client comes back, where that is what is tested."""

ROUTES: dict[str, dict[str, Any]] = {
    "echo": {"max_message_size": 65536},
    "blocking": {},
    "async": {},
    "members": {},
    "former_members": {"disconnect_delay": 0.1, "resume_window": 0.3},
    "held": {"factory": held_factory},
    "forbidden": {"factory": forbidden_factory},
    "off": {"resume_window": 0},
    "polls": {"transports": "xhr-polling"},
    "listed": {"allowed_origins": ["https://app.example"]},
    "small": {"max_message_size": 2048},
    "limited": {"response_limit": 4096, "max_message_size": 65536},
    "aged": {"response_max_age": 0.3},
    "beating": {"heartbeat_delay": 0.2},
    "queue": {"max_queue_size": 8192},
    "slow": {"max_inbound": 2, "disconnect_delay": 20},
    "young": {"disconnect_delay": 0.2, "resume_window": 30},
    "growing": {"disconnect_delay": WINDOW, "resume_window": 30},
    "away": {"disconnect_delay": 0.2, "resume_window": 30},
    "lost": {"disconnect_delay": 0.1, "resume_window": 0.3},
    "again": {"disconnect_delay": 0.1, "resume_window": WINDOW},
}


def main(global_config: Any = None, **settings: str) -> Any:
    """Makes the WSGI application.

    Args:
        global_config: what PasteDeploy passes; unused.
        settings: the application's settings, ``sockjs.*`` among them.
    """
    with Configurator(settings=settings) as config:
        config.set_security_policy(Names())
        config.include("sockjs_bridge")
        config.registry.conformance_recorder = make_recorder(settings)
        views = {"blocking": blocking, "async": asynchronous}
        for name, options in ROUTES.items():
            config.add_sockjs_route(name, f"/{name}", **options)
            permission = {"permission": "view"} if name.endswith("members") else {}
            view = views.get(name, Echo)
            config.add_view(view, route_name=name, websocket=True, **permission)
        for name, view in {"events": events, "release": release, "page": page}.items():
            config.add_route(name, f"/{name}")
            config.add_view(view, route_name=name)
        return config.make_wsgi_app()
