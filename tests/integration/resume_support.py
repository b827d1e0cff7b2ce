"""What the tests of sessions that survive serve."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from pyramid.config import Configurator
from pyramid.request import Request

from sockjs_bridge import WebSocketSession
from sockjs_bridge.client import Event
from tests.integration.support import Journal
from tests.pkgs.resumable_app import Names


class App:
    """An application with a route for each style, and what its code saw.

    Attributes:
        journal: by the ``?tag=`` of the connection.
        release: to be set by a test for the route whose view receives nothing before that.
        wsgi: the application.
    """

    def __init__(self, **settings: Any) -> None:
        self.journal = journal = Journal()

        class Echo(WebSocketSession):
            def on_open(self) -> None:
                self.tag = self.request.params.get("tag", "")
                self.join("room")
                journal.record(self.tag, "open", self.websocket)

            def on_message(self, message: str) -> None:
                journal.record(self.tag, "message", message, self.message_id, self.repeated)
                if message.startswith("close "):
                    self.close(int(message[6:]), "as asked")
                elif message.startswith("all "):
                    self.request.sockjs.broadcast(message, room="room")
                elif message != "quiet":
                    self.send(message)

            def on_suspend(self) -> None:
                journal.record(self.tag, "suspend", self.suspended, self.rooms)

            def on_resume(self) -> None:
                journal.record(self.tag, "resume")

            def on_close(self) -> None:
                journal.record(self.tag, "close", self.close_code, self.close_reason)

        async def asynchronous(request: Request) -> None:
            async for message in request.websocket:
                request.websocket.send(f"{request.websocket.message_id} {message}")

        def blocking(request: Request) -> None:
            for message in request.websocket:
                request.websocket.send(f"{request.websocket.message_id} {message}")

        self.release = release = threading.Event()

        def patient(request: Request) -> None:
            release.wait()
            blocking(request)

        class Nothing(WebSocketSession):
            pass

        config = Configurator(
            settings={f"sockjs.{name}": value for name, value in settings.items()}
        )
        config.set_security_policy(Names())
        config.include("sockjs_bridge")
        views = {
            "echo": Echo,
            "async": asynchronous,
            "blocking": blocking,
            "nothing": Nothing,
            "patient": patient,
        }
        for name, view in views.items():
            config.add_sockjs_route(name, f"/{name}")
            config.add_view(view, route_name=name, websocket=True)
        config.add_sockjs_route("members", "/members")
        config.add_view(Echo, route_name="members", websocket=True, permission="view")
        config.add_sockjs_route("off", "/off", resume_window=0)
        config.add_view(Echo, route_name="off", websocket=True)
        self.wsgi = config.make_wsgi_app()


class Events(list[Event]):
    """What a client was told."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()

    def __call__(self, event: Event) -> None:
        self.append(event)
        self._changed.set()

    @property
    def names(self) -> set[str]:
        """What it was told of."""
        return {event.name for event in self}

    async def wait(self, name: str) -> Event:
        while not (found := [event for event in self if event.name == name]):
            self._changed.clear()
            await self._changed.wait()
        return found[0]
