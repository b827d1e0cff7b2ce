"""What applications test their connections with."""

from __future__ import annotations

from sockjs_bridge.testing.dummies import AsyncDummyWebSocket, DummyWebSocket
from sockjs_bridge.testing.serve import serve

__all__ = ("AsyncDummyWebSocket", "DummyWebSocket", "serve")
