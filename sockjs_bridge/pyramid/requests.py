"""What a request of an application with the bridge has, as a type."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from pyramid.request import Request

from sockjs_bridge.pyramid import config, handshake
from sockjs_bridge.pyramid.application import SockJS
from sockjs_bridge.pyramid.connections import AsyncWebSocket, WebSocket


class SockJSRequest(Request):  # type: ignore[misc]
    """A request of an application that includes the bridge, to be written as a type.

    Requests are no instances of it: Pyramid adds what it declares to requests of any class. An
    application with a class of its own may derive that from this one.

    Attributes:
        websocket: the connection that the request opens, None where it asks for a page: a
            `WebSocket` in a blocking view, an `AsyncWebSocket` in an ``async def`` view.
        ws_connection: the same.
        sockjs: the application's rooms and broadcast.
        matchdict: what the route's pattern found in the path.
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
