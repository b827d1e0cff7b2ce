"""The application of the scenarios: it puts its connections on a desk, where a test takes them.

Server and test share a process, so a test reads what the hooks saw, and sends, closes or holds up
handlers from its own threads. A client names its connection by ``?tag=``.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPForbidden
from pyramid.request import Request
from pyramid.response import Response

from sockjs_bridge import ConnectionClosed, Session, WebSocket
from sockjs_bridge.core.manager import Manager
from sockjs_bridge.testing import serve

LATE = 4.0
"""A ``disconnect_delay`` that can be waited for, and in which a busy machine still polls."""

PATIENCE = 40.0
"""Seconds after which a wait for an event has failed."""


class Desk:
    """The connections and what their hooks saw, by tag.

    Attributes:
        gate: closed, it holds up every handler of a message.
    """

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self._changed = threading.Condition()
        self._connections: dict[str, Any] = {}
        self._events: dict[str, list[tuple[Any, ...]]] = defaultdict(list)

    def opened(self, tag: str, connection: WebSocket | Session) -> None:
        """Put a connection on the desk."""
        with self._changed:
            self._connections[tag] = connection
        self.record(tag, "open")

    def record(self, tag: str, *event: Any) -> None:
        """Append an event and wake those who wait for it."""
        with self._changed:
            self._events[tag].append(event)
            self._changed.notify_all()

    def connection(self, tag: str) -> Any:
        """Wait for a connection: a `WebSocket`, or the `Session` that stands for it."""
        with self._changed:
            assert self._changed.wait_for(lambda: tag in self._connections, PATIENCE), tag
            return self._connections[tag]

    def events(self, tag: str, kind: str) -> list[tuple[Any, ...]]:
        """Return what was recorded of a kind, so far."""
        with self._changed:
            return [event[1:] for event in self._events[tag] if event[0] == kind]

    def wait(self, tag: str, kind: str, count: int = 1) -> list[tuple[Any, ...]]:
        """Return what was recorded of a kind, as soon as there are `count` of it."""
        with self._changed:
            enough = self._changed.wait_for(
                lambda: sum(event[0] == kind for event in self._events[tag]) >= count, PATIENCE
            )
        found = self.events(tag, kind)
        assert enough, f"{len(found)} of {count} {kind} events of {tag}: {found[-3:]}"
        return found

    def messages(self, tag: str, count: int) -> list[str]:
        """Return the messages that arrived, as soon as there are `count`."""
        return [text for (text,) in self.wait(tag, "message", count)]


def desk_of(request: Request) -> Desk:
    return request.registry.desk  # type: ignore[no-any-return]


class DeskSession(Session):
    """Records everything, and does nothing by itself."""

    @property
    def tag(self) -> str:
        return self.request.GET.get("tag", "")  # type: ignore[no-any-return]

    def on_open(self) -> None:
        desk_of(self.request).opened(self.tag, self)

    def on_message(self, message: str) -> None:
        desk = desk_of(self.request)
        desk.gate.wait(PATIENCE)
        desk.record(self.tag, "message", message)

    def on_close(self) -> None:
        desk_of(self.request).record(self.tag, "close", self.close_code, self.close_reason)


class EchoSession(DeskSession):
    """Sends every message back; ``close!`` closes with the code and reason of a farewell."""

    def on_message(self, message: str) -> None:
        super().on_message(message)
        if message == "close!":
            self.close(4321, "my “reason” %41")
        else:
            self.send(message)


class BroadcastSession(DeskSession):
    """Sends every message to all."""

    def on_message(self, message: str) -> None:
        super().on_message(message)
        self.manager.broadcast(message)


def blocking_desk(request: Request) -> None:
    """The same as `DeskSession`, in the style of one thread per connection."""
    desk, tag = desk_of(request), request.GET.get("tag", "")
    desk.opened(tag, request.websocket)
    try:
        while True:
            desk.gate.wait(PATIENCE)
            desk.record(tag, "message", request.receive())
    except ConnectionClosed as closed:
        desk.record(tag, "close", closed.code, closed.reason)


def announce(request: Request) -> Response:
    """A page's view that sends to all connections."""
    request.get_sockjs_manager("broadcast").broadcast(request.text)
    return Response("sent")


def forbidden_factory(request: Request) -> None:
    raise HTTPForbidden()


def main(global_config: Any = None, **settings: Any) -> Any:
    """Make the WSGI application.

    Args:
        global_config: what PasteDeploy passes; unused.
        settings: the application's settings, ``sockjs.*`` among them.
    """
    with Configurator(settings=settings) as config:
        config.include("sockjs_bridge")
        config.registry.desk = Desk()
        config.add_sockjs_route("echo", "/echo", session=EchoSession)
        config.add_sockjs_route("desk", "/desk", session=DeskSession)
        config.add_sockjs_route("broadcast", "/broadcast", session=BroadcastSession)
        config.add_sockjs_route("blocking", "/blocking")
        config.add_websocket_view(blocking_desk, route_name="blocking")
        config.add_sockjs_route(
            "forbidden", "/forbidden", session=EchoSession, factory=forbidden_factory
        )
        without = ["xhr-streaming", "xhr-polling", "eventsource", "htmlfile", "jsonp-polling"]
        config.add_sockjs_route("httponly", "/httponly", session=EchoSession, transports=without)
        config.add_route("announce", "/announce", request_method="POST")
        config.add_view(announce, route_name="announce")
        return config.make_wsgi_app()


@dataclass
class Served:
    """The application, served.

    Attributes:
        url: of the server.
        desk: of the application.
        app: the WSGI application.
    """

    url: str
    desk: Desk
    app: Any

    def endpoint(self, name: str, tag: str = "") -> str:
        """Return an endpoint's URL."""
        return f"{self.url}/{name}" + (f"?tag={tag}" if tag else "")

    def sessions(self, name: str) -> Manager:
        """Return the sessions of an endpoint."""
        manager: Manager = self.app.registry.sockjs.endpoints[name].manager
        return manager

    def eventually(self, condition: Callable[[], bool]) -> None:
        """Wait for what no hook tells."""
        end = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < end, "it did not happen in time"
            time.sleep(0.01)

    def wait_attached(self, name: str) -> None:
        """Wait until every session of an endpoint has its receiver: no poll is on its way."""
        manager = self.sessions(name)
        # Nothing public tells it, as nothing but such a test can use it.
        self.eventually(lambda: all(session._receiver is not None for session in manager))

    def wait_over(self, name: str) -> None:
        """Wait until an endpoint has no session any more."""
        self.eventually(lambda: not len(self.sessions(name)))


class Errors(logging.Handler):
    """Collects what the bridge logged as an error."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@contextmanager
def served(**settings: Any) -> Iterator[Served]:
    """Serve the application on a free port, and see that no error is logged.

    Args:
        settings: of the endpoints, without their prefix.
    """
    settings = {"allowed_origins": "*", **settings}
    app = main(**{f"sockjs.{name}": value for name, value in settings.items()})
    errors = Errors()
    logging.getLogger("sockjs_bridge").addHandler(errors)
    try:
        with serve(app, access_log_polls=True) as url:
            yield Served(url, app.registry.desk, app)
    finally:
        logging.getLogger("sockjs_bridge").removeHandler(errors)
    assert not errors.lines
