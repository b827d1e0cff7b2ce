"""What an endpoint is asked, in parts that know no server."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from sockjs_bridge.core.contracts import Peer


class RequestHead(Protocol):
    """The head of a request, as each reader of HTTP gives it; read on the loop."""

    @property
    def method(self) -> str:
        """As it stands in the request line."""
        raise NotImplementedError

    @property
    def raw_path(self) -> str:
        """The target as it stands in the request line (RFC 9112, 3.2)."""
        raise NotImplementedError

    @property
    def version(self) -> tuple[int, int]:
        """Of HTTP: major, minor."""
        raise NotImplementedError

    @property
    def headers(self) -> Mapping[str, str]:
        """By name; the look-up ignores case, or the names are written as their RFCs do."""
        raise NotImplementedError

    @property
    def raw_headers(self) -> Iterable[tuple[bytes, bytes]]:
        """Names and values as they arrived, in that order."""
        raise NotImplementedError


@dataclass(slots=True)
class Request:
    """The parts of an HTTP request that an endpoint looks at.

    Attributes:
        method: upper case.
        query: the raw query string.
        headers: see `RequestHead.headers`.
        host: the value of ``Host``, or what a trusted proxy says instead.
        body: complete.
        peer: the other end of its connection.
        scheme: ``http`` or ``https``, by which the client asked, as far as the server or a trusted
            proxy knows; empty where that does not matter.
        remote: address of the client, as far as that is known.
    """

    method: str
    query: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    host: str
    body: bytes = field(default=b"", repr=False)
    peer: Peer = field(default_factory=Peer)
    scheme: str = ""
    remote: str = ""

    @property
    def lacks_upgrade(self) -> str:
        """What a WebSocket's handshake lacks (RFC 6455, 4.2.1); empty where that is nothing."""
        if self.headers.get("Upgrade", "").strip().lower() != "websocket":
            return 'Can "Upgrade" only to "WebSocket".'
        tokens = self.headers.get("Connection", "").lower().split(",")
        if "upgrade" not in map(str.strip, tokens):
            return '"Connection" must be "Upgrade".'
        return ""
