"""What a session needs of its two sides: the server's receiver, and the application's handler.

And what the application needs of the server to run its code.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from sockjs_bridge.core.transports import Transport


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
    """The application's side of a session.

    The framework makes it with the `Channel` that it is for; the session calls it. `opened`,
    `received` and `closed` may call the channel's ``send_encoded``, ``close``, ``ready``, ``join``
    and ``leave`` before they return; `backlog` calls nothing. An exception out of one of them ends
    the session.
    """

    def opened(self) -> None:
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


class Channel(Protocol):
    """What views, hooks and their connection hold of a session.

    Attributes and properties may be read, and `join` and `leave` called, in any thread; the other
    methods on the loop (`Clock.call_from_thread`). `send_encoded`, `close` and `ready` may call
    the `Handler` before they return.

    Attributes:
        id: in the URL, or a random one of a WebSocket.
        transport: the last transport that received.
        subprotocol: of a raw WebSocket, where one was agreed on.
        over: nothing is sent any more.
        close_code: the code it was closed with, None before.
        close_reason: the reason that goes with it.
        awaited: somebody waits for `ready`.
        last_rooms: the rooms that it was in when it ended.
        connection: what the application knows it by.
    """

    id: str
    transport: Transport
    subprotocol: str | None
    over: bool
    close_code: int | None
    close_reason: str
    awaited: bool
    last_rooms: frozenset[str]
    connection: Any

    def send_encoded(self, message: bytes) -> bool:
        """Queues a message that this transport's ``encode`` has made; False when it is over."""
        raise NotImplementedError

    def close(self, code: int, reason: str) -> None:
        """Closes it: what is queued leaves first, then the close frame."""
        raise NotImplementedError

    def when_drained(self, callback: Callable[[], object]) -> None:
        """Calls back once, when little waits for the client or it is over; maybe at once."""
        raise NotImplementedError

    def ready(self) -> None:
        """Says that messages were handled."""
        raise NotImplementedError

    @property
    def rooms(self) -> frozenset[str]:
        """The names of the rooms that it is in."""
        raise NotImplementedError

    def join(self, room: str) -> bool:
        """Enters a room; False when it is over."""
        raise NotImplementedError

    def leave(self, room: str) -> bool:
        """Leaves a room; False when it was not in."""
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

    def repeat(self, function: Callable[[], bool]) -> None:
        """Has a function called every second or so until it returns False."""
        raise NotImplementedError


class Member(Protocol):
    """What a room needs of a session: it is hashed, too.

    Attributes:
        over: it may enter no room any more; read under the rooms' lock, in any thread.
        connection: what the application knows it by.
    """

    over: bool
    connection: Any
