"""Session classes, as applications write them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from pyramid.request import Request

from sockjs_bridge.core.joined import Joined
from sockjs_bridge.core.protocol import NORMAL
from sockjs_bridge.pyramid.connections import Connection
from sockjs_bridge.pyramid.debug import dotted_name
from sockjs_bridge.pyramid.transactions import transaction


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
        self.websocket: Connection = request.websocket

    def __repr__(self) -> str:
        # A class of an application may not have come as far as that.
        return f"<{type(self).__name__} of {getattr(self, 'websocket', None)!r}>"

    def on_open(self) -> Any:
        """Called first, once."""

    def on_message(self, message: str) -> Any:
        """Called for each message.

        Args:
            message: as the client sent it.
        """

    def on_suspend(self) -> Any:
        """Called when nobody has received for ``disconnect_delay``; rooms and what is sent stay.

        For clients whose session survives its connection, as `on_resume`.
        """

    def on_resume(self) -> Any:
        """Called when the client is back, after `on_suspend`."""

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
        """Sends a message, as `WebSocket.send`.

        Args:
            message: any text.

        Returns:
            False when the connection is over.
        """
        return self.websocket.send(message)

    def close(self, code: int = NORMAL[0], reason: str = NORMAL[1]) -> None:
        """Closes the connection, as `WebSocket.close`.

        Args:
            code: 1000, or 3000 to 4999 (RFC 6455, 7.4.2).
            reason: for the other side, a few words.
        """
        self.websocket.close(code, reason)

    def join(self, room: str) -> Joined:
        """Enters a room, as `WebSocket.join`.

        Args:
            room: any name.

        Returns:
            What is true where it is in, as `WebSocket.join` returns it.
        """
        return self.websocket.join(room)

    def leave(self, room: str) -> bool:
        """Leaves a room, as `WebSocket.leave`.

        Args:
            room: its name.

        Returns:
            False when it was not in.
        """
        return self.websocket.leave(room)

    @property
    def transport(self) -> str:
        """The transport in use, by the name that the SockJS client gives it."""
        return self.websocket.transport

    @property
    def subprotocol(self) -> str | None:
        """The subprotocol that was agreed on, as `WebSocket.subprotocol`."""
        return self.websocket.subprotocol

    @property
    def suspended(self) -> bool:
        """Whether nobody receives at present, as `WebSocket.suspended`."""
        return self.websocket.suspended

    @property
    def message_id(self) -> str | None:
        """What the message is known by, in `on_message`, as `WebSocket.message_id`."""
        return self.websocket.message_id

    @property
    def repeated(self) -> bool:
        """Whether the message may have been handled before, as `WebSocket.repeated`."""
        return self.websocket.repeated

    @property
    def rooms(self) -> frozenset[str]:
        """The names of the rooms that it is in; none in `on_close`."""
        return self.websocket.rooms

    @property
    def last_rooms(self) -> frozenset[str]:
        """The names of the rooms that it was in when it ended."""
        return self.websocket.last_rooms

    async def drain(self) -> None:
        """Waits, in an asynchronous hook, as `AsyncWebSocket.drain`.

        Raises:
            ConnectionClosed: the connection is over.
        """
        await self.websocket._drain()

    def transaction(self) -> AbstractContextManager[Any]:
        """Has what is done in the block of a ``with`` statement committed at its end.

        The hook has a transaction of pyramid_tm anyway, which is committed when it returns. The
        block takes it over, what was done before included, and a new one begins behind it: for
        hooks that tell others, who must not hear of what is not committed. It is aborted when the
        block raises or has doomed it.

        An error that the data managers call retryable makes the whole hook run again with the
        same message, up to ``retry.attempts`` (3) times in all, unless something was sent,
        broadcast, joined, left or committed already: then the connection is closed with 4500.

        Returns:
            A context manager; its target is the transaction.

        Raises:
            RuntimeError: pyramid_tm is not in use; or the block is inside of such a block; or the
                hook is asynchronous and the transaction manager is one for all sessions of the
                thread (set ``tm.manager_hook`` to ``pyramid_tm.explicit_manager``).
        """
        return transaction(self.request)


def make_instance(session_class: Callable[[Request], WebSocketSession], request: Request) -> Any:
    """Makes the instance of a session class for a connection.

    Args:
        session_class: the class.
        request: the handshake's.

    Raises:
        TypeError: its ``__init__`` left out that of `WebSocketSession`.
    """
    instance = session_class(request)
    if not hasattr(instance, "websocket"):
        name = dotted_name(session_class)
        raise TypeError(f"{name}: its __init__ must call super().__init__(request)")
    return instance
