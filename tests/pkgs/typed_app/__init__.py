"""What an application writes that has its types checked, strictly; it runs as well.

A misuse has a ``type: ignore`` with its kind: where it is none any more, that is an error itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_type

from sockjs_bridge import (
    AsyncWebSocket,
    BroadcastCount,
    SockJS,
    SockJSRequest,
    WebSocket,
    WebSocketSession,
    websocket_view,
)


@websocket_view(route_name="blocking")
def blocking(request: SockJSRequest) -> None:
    """Serves a connection in a thread."""
    websocket = request.websocket
    assert_type(websocket, WebSocket | AsyncWebSocket | None)
    assert_type(request.ws_connection, WebSocket | AsyncWebSocket | None)
    assert isinstance(websocket, WebSocket)
    first: str = request.receive(timeout=10)
    websocket.send(first + request.matchdict["room"])
    assert_type(websocket.receive(), str)
    for message in websocket:
        assert_type(message, str)


@websocket_view(route_name="coroutine")
async def coroutine(request: SockJSRequest) -> None:
    """Serves a connection in a task."""
    websocket = request.websocket
    assert isinstance(websocket, AsyncWebSocket)
    first: str = await request.receive()
    websocket.send(first)
    async for message in websocket:
        assert_type(message, str)
        broadcast = request.sockjs.broadcast
        assert_type(broadcast(message, room="lobby", exclude=[websocket]), BroadcastCount)
        assert_type(await broadcast(message, confirm=True), int)


@websocket_view(route_name="talk")
class Talk(WebSocketSession):
    """Serves a connection by its hooks."""

    request: SockJSRequest

    async def on_message(self, message: str) -> None:
        """Sends it back."""
        assert_type(self.request.sockjs, SockJS)
        assert_type(self.send(message), bool)


class Views:
    """A class whose method serves connections."""

    def __init__(self, request: SockJSRequest) -> None:
        self.request = request

    @websocket_view(route_name="method")
    def serve(self) -> int:
        """Serves a connection."""
        return 1


class Request(SockJSRequest):
    """A request of the application's own."""

    number = 1


def page(request: Request) -> str:
    """What is no connection has a client to connect with."""
    assert_type(request.number, int)
    urls = request.sockjs_client_url(), request.sockjs_bridge_client_url()
    return " ".join([*urls, request.reconnecting_sockjs_url()])


def decorated() -> tuple[Callable[[SockJSRequest], None], type[Talk]]:
    """What is decorated keeps its type."""
    return blocking, Talk


def misuse(request: SockJSRequest) -> None:
    """Says what is told before it runs."""
    request.websocket.send("x")  # type: ignore[union-attr]
    request.receive("10")  # type: ignore[arg-type]
    request.sockjs.broadcast(b"x")  # type: ignore[arg-type]
    websocket_view(route_name="x")(1)  # type: ignore[type-var]
