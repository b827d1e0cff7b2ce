"""What views and session classes see of a connection."""

from __future__ import annotations

from functools import partial
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Final

from pyramid.request import Request
from pyramid.view import view_config

from sockjs_bridge.errors import ConnectionClosed
from sockjs_bridge.protocol import NORMAL
from sockjs_bridge.session import Session, State

if TYPE_CHECKING:
    from sockjs_bridge.clock import Clock


class websocket_view(view_config):  # type: ignore[misc]
    """Declares a view for the connections of a SockJS route.

    Takes what `pyramid.view.view_config` takes, and is found by `config.scan` in the same way. It
    decorates a function or method, which is run in a thread for each connection, or a
    `WebSocketSession`.
    """

    def __init__(self, **settings: Any) -> None:
        depth = settings.pop("_depth", 0)
        # One frame more, so that conflicts name the line of the decorator.
        super().__init__(**{"websocket": True, **settings, "_depth": depth + 1})
        self._depth = depth


def checked_message(message: object) -> None:
    """Raises a TypeError unless a message is a string."""
    if not isinstance(message, str):
        raise TypeError(f"a message is a str, not {type(message).__name__}")


_END: Final = object()


class WebSocket:
    """A client's connection, whatever its transport.

    Every method may be called in any thread.

    Args:
        session: the session behind it.
        clock: of the loop that the session lives on.
    """

    def __init__(self, session: Session, clock: Clock) -> None:
        self._session = session
        self._clock = clock
        self._inbox: SimpleQueue[Any] = SimpleQueue()
        # The loop closes the session later than a thread asks for it.
        self._closing = False

    def __repr__(self) -> str:
        return f"<WebSocket {self._session!r}>"

    @property
    def id(self) -> str:
        """The session's id."""
        return self._session.id

    @property
    def transport(self) -> str:
        """The transport in use, by the name that the SockJS client gives it."""
        return self._session.transport.name

    @property
    def closed(self) -> bool:
        """Whether the connection is over."""
        return self._closing or self._session.state in (State.CLOSING, State.CLOSED)

    @property
    def close_code(self) -> int | None:
        """The code it was closed with; None while it is open."""
        return self._session.close_code

    @property
    def close_reason(self) -> str:
        """The reason that goes with the code."""
        return self._session.close_reason

    def send(self, message: str) -> bool:
        """Sends a message; returns before it has left.

        Args:
            message: any text.

        Returns:
            False when the connection is over. It never raises because of that.

        Raises:
            TypeError: the message is no string.
        """
        checked_message(message)
        session = self._session
        if self.closed:
            return False
        encoded = session.transport.encode(message)
        self._clock.call_from_thread(partial(session.send_encoded, encoded))
        return not self.closed

    def close(self, code: int = NORMAL[0], reason: str = NORMAL[1]) -> None:
        """Closes the connection; what was sent before leaves first.

        Args:
            code: 1000, or 3000 to 4999 (RFC 6455, 7.4.2).
            reason: for the other side, a few words.

        Raises:
            ValueError: an application may not use that code.
            TypeError: the reason is no string.
        """
        if code != NORMAL[0] and not 3000 <= code <= 4999:
            raise ValueError(f"a close code is 1000, or 3000 to 4999, not {code}")
        if not isinstance(reason, str):
            raise TypeError(f"a reason is a str, not {type(reason).__name__}")
        self._closing = True
        self._clock.call_from_thread(partial(self._session.close, code, reason))

    def receive(self, timeout: float | None = None) -> str:
        """Waits for the next message.

        Args:
            timeout: in seconds; None waits for ever.

        Raises:
            ConnectionClosed: the client is gone, or the connection was closed.
            TimeoutError: no message came in time.
        """
        try:
            message = self._inbox.get(timeout=timeout)
        except Empty:
            raise TimeoutError(f"no message within {timeout} s") from None
        if message is _END:
            # For the next call.
            self._inbox.put(_END)
            raise ConnectionClosed(self.close_code or NORMAL[0], self.close_reason)
        if self._session.awaited:
            self._clock.call_from_thread(self._session.ready)
        text: str = message
        return text

    def arrived(self, messages: list[str]) -> None:
        """Puts messages where `receive` takes them from. Called on the loop."""
        for message in messages:
            self._inbox.put(message)

    def ended(self) -> None:
        """Releases `receive`. Called on the loop."""
        self._inbox.put(_END)

    def backlog(self) -> int:
        """Returns how many messages wait for `receive`."""
        return self._inbox.qsize()


class WebSocketSession:
    """A connection as an object: subclass it, and decorate it with `websocket_view`.

    The hooks of one session run one after another, in order; those of different sessions side by
    side. Plain hooks run in a pool of threads, asynchronous ones on the event loop.

    Args:
        request: the handshake's.

    Attributes:
        request: the handshake's: matchdict, context, identity, registry, settings.
        websocket: the connection.
    """

    def __init__(self, request: Request) -> None:
        self.request = request
        self.websocket: WebSocket = request.websocket

    def on_open(self) -> Any:
        """Called first, once."""

    def on_message(self, message: str) -> Any:
        """Called for each message.

        Args:
            message: as the client sent it.
        """

    def on_close(self) -> Any:
        """Called last, once; `close_code` and `close_reason` are set."""

    @property
    def id(self) -> str:
        """The session's id."""
        return self.websocket.id

    @property
    def close_code(self) -> int | None:
        """The code it was closed with; None while it is open."""
        return self.websocket.close_code

    @property
    def close_reason(self) -> str:
        """The reason that goes with the code."""
        return self.websocket.close_reason

    @property
    def closed(self) -> bool:
        """Whether the connection is over."""
        return self.websocket.closed

    def send(self, message: str) -> bool:
        """Sends a message, as `WebSocket.send`."""
        return self.websocket.send(message)

    def close(self, code: int = NORMAL[0], reason: str = NORMAL[1]) -> None:
        """Closes the connection, as `WebSocket.close`."""
        self.websocket.close(code, reason)
