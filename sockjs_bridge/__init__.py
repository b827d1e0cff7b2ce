"""A SockJS-compatible real-time layer for the Pyramid web framework."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sockjs_bridge.core.joined import Joined
    from sockjs_bridge.errors import ConnectionClosed
    from sockjs_bridge.pyramid.application import SockJS
    from sockjs_bridge.pyramid.compat import Session
    from sockjs_bridge.pyramid.config import includeme, websocket_view
    from sockjs_bridge.pyramid.connections import AsyncWebSocket, WebSocket
    from sockjs_bridge.pyramid.requests import SockJSRequest
    from sockjs_bridge.pyramid.sessions import WebSocketSession

__all__ = (
    "AsyncWebSocket",
    "ConnectionClosed",
    "Joined",
    "Session",
    "SockJS",
    "SockJSRequest",
    "WebSocket",
    "WebSocketSession",
    "includeme",
    "websocket_view",
)
__version__ = "0.1.0"

_MODULES = {
    "AsyncWebSocket": "pyramid.connections",
    "ConnectionClosed": "errors",
    "Joined": "core.joined",
    "Session": "pyramid.compat",
    "SockJS": "pyramid.application",
    "SockJSRequest": "pyramid.requests",
    "WebSocket": "pyramid.connections",
    "WebSocketSession": "pyramid.sessions",
    "includeme": "pyramid.config",
    "websocket_view": "pyramid.config",
}


def __getattr__(name: str) -> Any:
    # Pyramid is not imported before somebody needs it: the client and the pytest plugin do not.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
