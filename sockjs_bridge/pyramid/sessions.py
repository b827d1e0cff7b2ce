"""Session classes, as applications write them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

from pyramid.request import Request

from sockjs_bridge.core.joined import Joined
from sockjs_bridge.core.presence import Presence
from sockjs_bridge.core.protocol import NORMAL
from sockjs_bridge.pyramid.connections import Connection
from sockjs_bridge.pyramid.debug import dotted_name
from sockjs_bridge.pyramid.transactions import transaction


class WebSocketSession:
    """A connection as an object: subclass it, and decorate the class with `websocket_view`.

    The hooks of one session run one after another, in order. Hooks of different sessions run at the
    same time. Plain hooks run in a pool of threads, asynchronous ones on the event loop.

    Args:
        request: the handshake's.

    Attributes:
        request: the request of the handshake, with matchdict, context, identity and registry.
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
            message: the text that the client sent.
        """

    def on_suspend(self) -> Any:
        """Called when no client has received for ``disconnect_delay``. Rooms and messages are kept.

        Only for resumable sessions, like `on_resume`.
        """

    def on_resume(self) -> Any:
        """Called when the client is back, after `on_suspend`."""

    def on_join(self, room: str, who: Presence) -> Any:
        """Called when somebody else joins a room that this session is in, with ``announce=True``.

        They may be in another process. While the cluster's store cannot be reached, it is not
        called; `SockJS.presence` tells who is in a room.

        Args:
            room: the name of the room.
            who: the new member.
        """

    def on_leave(self, room: str, who: Presence) -> Any:
        """Called when somebody leaves who was announced, because their connection ended too.

        Args:
            room: the name of the room.
            who: the former member.
        """

    def on_close(self) -> Any:
        """Called last, once; `close_code` and `close_reason` are set."""

    @property
    def id(self) -> str:
        """The session's id."""
        return self.websocket.id

    @property
    def close_code(self) -> int | None:
        """The close code; None while it is open."""
        return self.websocket.close_code

    @property
    def close_reason(self) -> str:
        """The reason that belongs to the close code."""
        return self.websocket.close_reason

    @property
    def closed(self) -> bool:
        """Whether the connection is over."""
        return self.websocket.closed

    def send(self, message: str) -> bool:
        """Sends a message, like `WebSocket.send`.

        Args:
            message: any text.

        Returns:
            False if the connection is over.
        """
        return self.websocket.send(message)

    def close(self, code: int = NORMAL[0], reason: str = NORMAL[1]) -> None:
        """Closes the connection, like `WebSocket.close`.

        Args:
            code: 1000, or 3000 to 4999 (RFC 6455, 7.4.2).
            reason: a few words for the client.
        """
        self.websocket.close(code, reason)

    def join(
        self, room: str, info: Mapping[str, Any] | None = None, announce: bool = False
    ) -> Joined:
        """Joins a room, like `WebSocket.join`.

        Args:
            room: any name.
            info: what is told of it.
            announce: tell the other members.

        Returns:
            A `Joined`, like `WebSocket.join`.
        """
        return self.websocket.join(room, info, announce)

    def leave(self, room: str) -> bool:
        """Leaves a room, like `WebSocket.leave`.

        Args:
            room: its name.

        Returns:
            False if it was not in the room.
        """
        return self.websocket.leave(room)

    @property
    def transport(self) -> str:
        """The transport in use, by the name that the SockJS client gives it."""
        return self.websocket.transport

    @property
    def subprotocol(self) -> str | None:
        """The subprotocol that was negotiated, like `WebSocket.subprotocol`."""
        return self.websocket.subprotocol

    @property
    def suspended(self) -> bool:
        """Whether no client receives at present, like `WebSocket.suspended`."""
        return self.websocket.suspended

    @property
    def message_id(self) -> str | None:
        """The id of the message, in `on_message`, like `WebSocket.message_id`."""
        return self.websocket.message_id

    @property
    def repeated(self) -> bool:
        """Whether the message may have been handled before, like `WebSocket.repeated`."""
        return self.websocket.repeated

    @property
    def rooms(self) -> frozenset[str]:
        """The names of the rooms that it is in; empty in `on_close`."""
        return self.websocket.rooms

    @property
    def last_rooms(self) -> frozenset[str]:
        """The names of the rooms that it was in when it ended."""
        return self.websocket.last_rooms

    async def drain(self) -> None:
        """Waits, in an asynchronous hook, like `AsyncWebSocket.drain`.

        Raises:
            ConnectionClosed: the connection is over.
        """
        await self.websocket._drain()

    def transaction(self) -> AbstractContextManager[Any]:
        """Commits the work in the block of a ``with`` statement, at the end of the block.

        Each hook has a transaction of pyramid_tm, which is committed when it returns. The block
        also commits what the hook did before it, and a new transaction begins after it. Use it in
        hooks that tell others, so that nobody hears of data that is not committed. The transaction
        is aborted if the block raises or dooms it.

        If the data managers call an error retryable, the whole hook runs again with the same
        message, up to ``retry.attempts`` (3) times in all. It does not run again if it has sent,
        broadcast, joined, left or committed something: the connection is closed with 4500.

        Returns:
            A context manager; its target is the transaction.

        Raises:
            RuntimeError: pyramid_tm is not in use; or the block is inside another such block; or
                the hook is asynchronous and the thread has one transaction manager for all sessions
                (set ``tm.manager_hook`` to ``pyramid_tm.explicit_manager``).
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
