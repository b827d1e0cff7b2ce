"""What a request of an application with the bridge has, as a type."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from pyramid.request import Request

from sockjs_bridge.pyramid import config, handshake
from sockjs_bridge.pyramid.application import SockJS
from sockjs_bridge.pyramid.connections import AsyncWebSocket, WebSocket


class SockJSRequest(Request):  # type: ignore[misc]
    """A type for the requests of an application that includes the bridge.

    Requests are not instances of it: Pyramid adds declared attributes to requests of any class. If
    an application has its own request class, that may derive from this one.

    Attributes:
        websocket: the connection that the request opens; None if it asks for a page. It is a
            `WebSocket` in a blocking view, an `AsyncWebSocket` in an ``async def`` view.
        ws_connection: an alias of `websocket`.
        sockjs: the application's rooms and broadcast.
        matchdict: what the route's pattern matched in the path.
        registry: of the application.
    """

    # Pyramid sets them, and tells no checker of types what they are.
    matchdict: dict[str, Any]
    registry: Any

    websocket: WebSocket | AsyncWebSocket | None
    ws_connection: WebSocket | AsyncWebSocket | None
    sockjs: SockJS

    receive = handshake.receive
    sockjs_client_url = config.sockjs_client_url
    sockjs_bridge_client_url = config.sockjs_bridge_client_url
    reconnecting_sockjs_url = config.reconnecting_sockjs_url
    get_sockjs_manager = config.get_sockjs_manager

    if TYPE_CHECKING:
        # A base of Pyramid's class is unknown to pyright, which takes it for a descriptor where a
        # class declares ``request: SockJSRequest``.
        def __get__(self, instance: object, owner: type) -> Self: ...
