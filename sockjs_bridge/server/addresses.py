"""The addresses of a connection's two ends, taken once, when it is made."""

from __future__ import annotations

import asyncio
import socket
from functools import lru_cache
from typing import NamedTuple

from sockjs_bridge.server.proxy import UNIX_PEER, UNKNOWN_PEER


class Addresses(NamedTuple):
    """Where a connection comes from, and where it arrived.

    Attributes:
        peer: IP address of the other end; ``unix`` for the peer of a Unix socket, ``unknown`` for
            one that had reset its connection before it could be asked.
        peer_port: of the other end; empty where `peer` is no IP address.
        own: IP address of this end; empty for a Unix socket.
        own_port: of this end; empty for a Unix socket.
    """

    peer: str
    peer_port: str
    own: str
    own_port: str

    @classmethod
    def of(cls, transport: asyncio.BaseTransport) -> Addresses:
        """Asks a transport that has just been made: one whose peer is gone answers differently."""
        relayed = transport.get_extra_info("addresses")
        if isinstance(relayed, Addresses):
            return relayed
        peer = _pair(transport.get_extra_info("peername"))
        if peer is None:
            sock = transport.get_extra_info("socket")
            if sock is not None and sock.family == getattr(socket, "AF_UNIX", None):
                return cls(UNIX_PEER, "", "", "")
            # Without a name it is a TCP connection all the same, of which nothing may be believed.
            peer = UNKNOWN_PEER, ""
        return cls(*peer, *_own(transport.get_extra_info("sockname")))


def _pair(name: object) -> tuple[str, str] | None:
    return (str(name[0]), str(name[1])) if isinstance(name, tuple) else None


# There are few of them: silent connections share their strings.
@lru_cache(64)
def _own(name: object) -> tuple[str, str]:
    return _pair(name) or ("", "")
