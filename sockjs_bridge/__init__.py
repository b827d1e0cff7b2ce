"""A SockJS-compatible real-time layer for the Pyramid web framework."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from sockjs_bridge.native import COMPILED

if TYPE_CHECKING:
    from sockjs_bridge.cluster.publish import publish
    from sockjs_bridge.cluster.store import StoreError
    from sockjs_bridge.core.joined import Joined
    from sockjs_bridge.core.presence import Presence
    from sockjs_bridge.endpoint.homes import Process
    from sockjs_bridge.errors import ConnectionClosed, NotConfirmed, PresenceUnknown
    from sockjs_bridge.pyramid.application import SockJS
    from sockjs_bridge.pyramid.bodies import add_body_limit
    from sockjs_bridge.pyramid.compat import Session, SessionManager, get_session_manager
    from sockjs_bridge.pyramid.config import (
        add_sockjs_route,
        add_websocket_view,
        includeme,
        websocket_view,
    )
    from sockjs_bridge.pyramid.confirmation import BroadcastCount
    from sockjs_bridge.pyramid.connections import AsyncWebSocket, WebSocket
    from sockjs_bridge.pyramid.notices import MembersGone, Notified
    from sockjs_bridge.pyramid.presence import PresenceList
    from sockjs_bridge.pyramid.requests import SockJSRequest
    from sockjs_bridge.pyramid.rooms import add_sockjs_rooms
    from sockjs_bridge.pyramid.sessions import WebSocketSession

__all__ = (
    "AsyncWebSocket",
    "BroadcastCount",
    "ConnectionClosed",
    "Joined",
    "MembersGone",
    "NotConfirmed",
    "Notified",
    "Presence",
    "PresenceList",
    "PresenceUnknown",
    "Process",
    "Session",
    "SessionManager",
    "SockJS",
    "SockJSRequest",
    "StoreError",
    "WebSocket",
    "WebSocketSession",
    "add_body_limit",
    "add_sockjs_rooms",
    "add_sockjs_route",
    "add_websocket_view",
    "compiled",
    "get_session_manager",
    "includeme",
    "publish",
    "websocket_view",
)
__version__ = "0.1.0"

#: Whether a part of the package runs as machine code; False where all of it is interpreted.
compiled: bool = COMPILED

_MODULES = {
    "AsyncWebSocket": "pyramid.connections",
    "BroadcastCount": "pyramid.confirmation",
    "ConnectionClosed": "errors",
    "Joined": "core.joined",
    "MembersGone": "pyramid.notices",
    "NotConfirmed": "errors",
    "Notified": "pyramid.notices",
    "Presence": "core.presence",
    "PresenceList": "pyramid.presence",
    "PresenceUnknown": "errors",
    "Process": "endpoint.homes",
    "Session": "pyramid.compat",
    "SessionManager": "pyramid.compat",
    "SockJS": "pyramid.application",
    "SockJSRequest": "pyramid.requests",
    "StoreError": "cluster.store",
    "WebSocket": "pyramid.connections",
    "WebSocketSession": "pyramid.sessions",
    "add_body_limit": "pyramid.bodies",
    "add_sockjs_rooms": "pyramid.rooms",
    "add_sockjs_route": "pyramid.config",
    "add_websocket_view": "pyramid.config",
    "get_session_manager": "pyramid.compat",
    "includeme": "pyramid.config",
    "publish": "cluster.publish",
    "websocket_view": "pyramid.config",
}


def __getattr__(name: str) -> Any:
    # Pyramid is not imported before somebody needs it: the client and the pytest plugin do not.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
