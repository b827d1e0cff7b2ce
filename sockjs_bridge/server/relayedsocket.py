"""A WebSocket whose session lives in another process: from the 101 on, bytes in both directions."""

from __future__ import annotations

import asyncio
from typing import Any

from sockjs_bridge.cluster.linkframes import Kind
from sockjs_bridge.cluster.streams import Stream
from sockjs_bridge.server import framing
from sockjs_bridge.server.connection import PeerConnection
from sockjs_bridge.server.flow import BEHIND, UNREAD, untaken
from sockjs_bridge.server.framing import control_frame

#: The server goes down (RFC 6455, 7.4.1).
GOING_AWAY = 1001


class RelayedSocket(asyncio.Protocol):
    """The protocol of a client's connection whose WebSocket is another process's.

    Args:
        connection: over which the handshake came.
        stream: to the home.
        under_way: it is in there as long as it is open.

    Attributes:
        flow: of the client's connection.
    """

    __slots__ = ("_activity", "_connection", "_stream", "_under_way", "_untaken", "flow")

    def __init__(self, connection: PeerConnection, stream: Stream, under_way: set[Any]) -> None:
        self._connection = connection
        self.flow = connection.flow
        self._activity = connection.activity
        self._stream = stream
        self._under_way = under_way
        # Bytes that were written and that the client did not take.
        self._untaken = 0

    def begin(self) -> None:
        """Takes the client's connection over."""
        self._activity.begin()
        self._activity.connections.add(self)
        self._under_way.add(self)
        self.flow.take_over(self)
        early = self._connection.hand_over()
        if early:
            self.data_received(early)

    # What the loop says

    def data_received(self, data: bytes) -> None:
        """Called by the loop."""
        self._stream.write(data)
        if self._stream.paused:
            self.flow.hold(BEHIND)
        if self.flow.paused:
            self.flow.hold(UNREAD)

    def eof_received(self) -> bool | None:
        """Called by the loop."""
        self.flow.watch()
        self._stream.say(Kind.EOF)
        # The home closes.
        return True

    def pause_writing(self) -> None:
        """Called by the loop."""
        self.flow.pause_writing()

    def resume_writing(self) -> None:
        """Called by the loop."""
        self.flow.resume_writing()
        self.flow.let_go(UNREAD)
        untaken, self._untaken = self._untaken, 0
        self._stream.took(untaken, soon=True)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop."""
        self._activity.connections.discard(self)
        self._under_way.discard(self)
        self.flow.lost()
        self._stream.close(broken=exc is not None)
        self._activity.end()

    def abort(self) -> None:
        """Drops the connection."""
        self.flow.abort()

    # What the home says

    def received(self, data: bytes) -> None:
        """Bytes for the client."""
        self.flow.write(data)
        self._untaken += len(data)
        if not self.flow.paused:
            taken, self._untaken = self._untaken, 0
            self._stream.took(taken)

    def writable(self) -> None:
        """The home takes more."""
        if not self._stream.paused:
            self.flow.let_go(BEHIND)

    def closed(self, *, broken: bool) -> None:
        """The home is through with the client, or gone."""
        if broken:
            self.flow.abort()
        else:
            self.flow.close()

    def ticked(self) -> None:
        """Some time went by: a slow client takes something all the same."""
        if self._untaken:
            self._untaken = tell_taken(self._connection, self._stream, self._untaken)

    # The end

    def leave(self) -> None:
        """Has the client go: this process ends, not the session."""
        self.flow.write(control_frame(framing.CLOSE, GOING_AWAY.to_bytes(2)))
        self.flow.close()


def tell_taken(connection: PeerConnection, stream: Stream, waiting: int) -> int:
    """Tells the home how much a slow client has taken.

    Args:
        connection: the client's.
        stream: to the home.
        waiting: bytes that the client had not taken when that was told last.

    Returns:
        The bytes that it has not taken yet.
    """
    left = min(waiting, untaken(connection.transport))
    stream.took(waiting - left, soon=True)
    return left
