"""A SockJS-compatible real-time layer for the Pyramid web framework."""

from sockjs_bridge.errors import ConnectionClosed
from sockjs_bridge.pyramid.compat import Session
from sockjs_bridge.pyramid.config import includeme
from sockjs_bridge.pyramid.views import (
    AsyncWebSocket,
    WebSocket,
    WebSocketSession,
    websocket_view,
)

__all__ = (
    "AsyncWebSocket",
    "ConnectionClosed",
    "Session",
    "WebSocket",
    "WebSocketSession",
    "includeme",
    "websocket_view",
)
__version__ = "0.1.0"
