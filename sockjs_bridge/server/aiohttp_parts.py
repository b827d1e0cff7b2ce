"""What is used of aiohttp without being public, each with what happens without it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

websocket_mask: Callable[[bytes, bytearray], None] | None
try:
    from aiohttp._websocket.helpers import websocket_mask
except ImportError:
    websocket_mask = None


def unmasked(payload: bytes, mask: bytes) -> bytes | bytearray:
    """Returns what a client's frame holds (RFC 6455, 5.3).

    Without aiohttp's C, a long message takes fifty times as long.

    Args:
        payload: as it arrived.
        mask: four bytes.
    """
    if websocket_mask is not None:
        data = bytearray(payload)
        websocket_mask(mask, data)
        return data
    size = len(payload)
    key = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload) ^ int.from_bytes(key)).to_bytes(size)


def waits(inner: asyncio.Protocol) -> bool:
    """Tells whether aiohttp's protocol of a connection is answering nothing.

    The only sign that it gives of having said everything. Without it, every connection that
    aiohttp knows of is left to it.
    """
    waiter = getattr(inner, "_waiter", None)
    return waiter is not None and not waiter.done()


def reading_paused(inner: asyncio.Protocol) -> bool:
    """Tells whether aiohttp's protocol has paused the transport for reasons of its own.

    Without this, a peer that reads slowly while it sends a body makes aiohttp hold more of that.
    """
    return bool(getattr(inner, "_reading_paused", False) or getattr(inner, "_buffer_paused", False))


def take_early(inner: asyncio.Protocol) -> bytes:
    """Takes what arrived behind a request that asked for another protocol.

    RFC 6455 forbids clients to send before they have read the answer. Without this it is lost.
    """
    early: bytes = getattr(inner, "_message_tail", b"")
    if early:
        inner._message_tail = b""  # type: ignore[attr-defined]
    return early


def forget(inner: asyncio.Protocol) -> None:
    """Has aiohttp's protocol forget a connection that goes on without it."""
    # It would close it.
    inner.transport = None  # type: ignore[attr-defined]
    inner.connection_lost(None)
