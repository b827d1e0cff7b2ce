"""What a connection carries beside its requests, and tells of its client."""

from __future__ import annotations

from typing import Protocol

from sockjs_bridge.endpoint.outcomes import Source


class Attached(Protocol):
    """What a connection carries for a session.

    Attributes:
        begun: whether its response has; before that the application is asked.
    """

    begun: bool

    @property
    def session(self) -> Source:
        """The session, or what stands in its place."""
        raise NotImplementedError

    def connection_lost(self) -> None:
        """Called when the peer is gone."""
        raise NotImplementedError


class Relays(Protocol):
    """What a connection's requests to other processes go over, and hears of its client."""

    def half_closed(self) -> None:
        """The client sends no more."""
        raise NotImplementedError

    def writable(self) -> None:
        """The client has taken what it was sent."""
        raise NotImplementedError

    def lost(self, *, broken: bool) -> None:
        """The client is gone."""
        raise NotImplementedError
