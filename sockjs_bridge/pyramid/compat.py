"""The names that code written for pyramid_sockjs 0.3 uses."""

from __future__ import annotations

from typing import Any

from pyramid.registry import Registry

from sockjs_bridge.endpoint.endpoint import Endpoint
from sockjs_bridge.pyramid.application import connections
from sockjs_bridge.pyramid.attempt import note_act
from sockjs_bridge.pyramid.checks import checked_message
from sockjs_bridge.pyramid.sessions import WebSocketSession


class SessionManager:
    """The sessions of an endpoint, with the names that pyramid_sockjs 0.3 gave them.

    Args:
        endpoint: the endpoint.

    Attributes:
        name: of the route.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self.name = endpoint.name
        self._endpoint = endpoint

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._endpoint!r}>"

    def broadcast(self, message: str) -> None:
        """Sends a message to every session of the endpoint. Callable in any thread.

        Under another server there are no sessions, and it has no effect.

        Args:
            message: any text.

        Raises:
            TypeError: the message is not a string.
        """
        checked_message(message)
        if self._endpoint.sessions:
            note_act()
            clock = self._endpoint.manager.clock
            clock.call_from_thread(self._endpoint.broadcast, message)

    def active_sessions(self) -> list[Any]:
        """Lists the open sessions of the endpoint: instances of its session class."""
        return connections(self._endpoint.sessions)


def get_session_manager(name: str, registry: Registry) -> SessionManager:
    """Returns the sessions of an endpoint, for code that has no request.

    Args:
        name: of the route.
        registry: of the application.

    Raises:
        KeyError: there is no endpoint of that name.
    """
    return SessionManager(registry.sockjs.endpoints[name])


class Session(WebSocketSession):
    """A session class for code that was written for pyramid_sockjs 0.3.

    It also calls ``on_closed``, after `on_close`.
    """

    def on_closed(self) -> Any:
        """Called after `on_close`."""

    @property
    def registry(self) -> Registry:
        """The registry of the application."""
        return self.request.registry

    @property
    def manager(self) -> SessionManager:
        """All sessions of the endpoint."""
        manager: SessionManager = self.request.get_sockjs_manager(self.request.matched_route.name)
        return manager
