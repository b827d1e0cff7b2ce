"""Which subprotocol a raw WebSocket speaks (RFC 6455, 1.9 and 4.2.2).

What SockJS frames is SockJS: its own WebSocket, as its other transports, speaks no subprotocol, and
its browser client offers none.
"""

from __future__ import annotations

from collections.abc import Iterable

from sockjs_bridge.core.protocol import TOKEN

HEADER = "Sec-WebSocket-Protocol"


def offered(values: Iterable[str]) -> list[str]:
    """Returns the names that a client offers, in the order of its preference.

    Args:
        values: of the request's headers of that name.
    """
    names = (name.strip(" \t") for value in values for name in value.split(","))
    return [name for name in names if TOKEN.fullmatch(name)]


def choose(offers: Iterable[str], wanted: Iterable[str]) -> str | None:
    """Returns the first of those that the application wants which the client offers.

    Args:
        offers: what the client offers.
        wanted: names, in the order of the application's preference.
    """
    known = set(offers)
    return next((name for name in wanted if name in known), None)
