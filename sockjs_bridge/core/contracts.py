"""What a session needs of its two sides: the server's receiver, and the application's handler.

And what the application needs of the server to run its code.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Protocol

from sockjs_bridge.core.transports import Transport

if TYPE_CHECKING:
    from sockjs_bridge.core.session import Session


class Peer:
    """The other end of a connection.

    Attributes:
        broken: the connection was reset, or ended while a request was being handled; a browser
            repeats the request then.
        ended: the connection is over, in whatever way.
        carried: how many polls, sends and pages were asked for over it.
    """

    __slots__ = ("broken", "carried", "ended")

    def __init__(self) -> None:
        self.broken = self.ended = False
        self.carried = 0

    def taken(self, now: float) -> float:
        """Returns when it was last seen to take some of what is on its way to it.

        To see that, somebody must have asked before: what is on its way is compared.

        Args:
            now: seconds of the clock.

        Returns:
            Seconds of the clock; 0 where it was never seen.
        """
        return 0.0


class Receiver(Protocol):
    """What is attached to a session: the open poll, stream or WebSocket.

    The server implements it. It calls `Session.flush` when `writable` becomes true, and
    `Session.detach` when the response is over or the peer is gone.

    Attributes:
        transport: how frames become bytes.
        callback: the function that a jsonp or htmlfile client named.
        tag: the client's ``t`` parameter, by which a browser's repeat is recognised.
        peer: the other end of its connection.
    """

    transport: Transport
    callback: str
    tag: str | None
    peer: Peer

    @property
    def heard(self) -> float:
        """When the last byte arrived from the peer, in seconds of the clock."""
        raise NotImplementedError

    @property
    def writable(self) -> bool:
        """Whether a frame would be accepted now."""
        raise NotImplementedError

    def write(self, data: bytes) -> bool:
        """Takes one frame's bytes; False when it does not."""
        raise NotImplementedError

    def ping(self) -> None:
        """Pings the peer (WebSocket only)."""
        raise NotImplementedError

    def end(self) -> None:
        """Ends the response in good order; nothing is written afterwards."""
        raise NotImplementedError

    def abort(self) -> None:
        """Drops the connection."""
        raise NotImplementedError


class Handler(Protocol):
    """The application's side of a session. Everything is called on the loop."""

    def opened(self, session: Session) -> None:
        """The session is open; called once, first."""
        raise NotImplementedError

    def received(self, messages: list[str]) -> None:
        """Messages arrived."""
        raise NotImplementedError

    def backlog(self) -> int:
        """Returns how many messages arrived and are not handled yet."""
        raise NotImplementedError

    def closed(self, code: int, reason: str) -> None:
        """The session is over; called once, last."""
        raise NotImplementedError


class Workers(Protocol):
    """Where the application's code for sessions runs; the server implements it.

    At its end the server waits a while for what still runs there.
    """

    def submit(self, function: Callable[[], object]) -> None:
        """Runs a short function in a pool of threads."""
        raise NotImplementedError

    def start(self, function: Callable[[], object], name: str) -> None:
        """Runs a function in a thread of its own.

        Raises:
            RuntimeError: the system gives no thread.
        """
        raise NotImplementedError

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Runs a coroutine on the loop."""
        raise NotImplementedError

    def rest(self, tire: Callable[[], bool]) -> None:
        """Has a function called every second or so until it returns False."""
        raise NotImplementedError
