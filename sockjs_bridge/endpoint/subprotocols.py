"""Which subprotocol a raw WebSocket speaks (RFC 6455, 1.9 and 4.2.2).

What SockJS frames is SockJS: its own WebSocket, as its other transports, speaks no subprotocol, and
its browser client offers none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

HEADER = "Sec-WebSocket-Protocol"

#: RFC 9110, 5.6.2; names are compared as they are written.
TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


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
