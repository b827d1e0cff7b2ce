"""The home's side of a relayed client: a connection whose bytes come over a link.

The other process, the front, has the client's socket. Here a transport of ours feeds a
`PeerConnection` like any other, so that both readers, and all that is behind them, work unchanged.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from aiohttp import web

from sockjs_bridge.cluster.linkframes import Kind
from sockjs_bridge.cluster.streams import Stream
from sockjs_bridge.core.protocol import HEARTBEAT
from sockjs_bridge.server.activity import Activity
from sockjs_bridge.server.addresses import Addresses
from sockjs_bridge.server.connection import Answers, PeerConnection
from sockjs_bridge.server.reader import RequestReader, RequestServer
from sockjs_bridge.server.receivers import HttpReceiver

#: With END: the connection ends with the response.
LAST = b"1"


class RelayedTransport(asyncio.Transport):
    """What a relayed connection writes to; fulfils `StreamEnd`.

    Args:
        stream: to the front.
        addresses: of the two ends of the client's connection, there.
    """

    def __init__(self, stream: Stream, addresses: Addresses) -> None:
        super().__init__({"addresses": addresses, "peername": (addresses.peer, 0)})
        self._stream = stream
        self._protocol: asyncio.Protocol | None = None
        self._closing = False
        self._reading = True
        self._writing = True
        self._eof = False
        # What came while nothing was read.
        self._unread: list[bytes] = []

    # What the protocol does

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Has another protocol hear what comes."""
        self._protocol = cast(asyncio.Protocol, protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Returns who hears what comes."""
        assert self._protocol is not None
        return self._protocol

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Sends bytes to the client."""
        if self._closing:
            return
        self._stream.write(bytes(data))
        if self._writing and self._stream.paused:
            self._writing = False
            cast(asyncio.Protocol, self.get_protocol()).pause_writing()

    def can_write_eof(self) -> bool:
        """Returns False: a front that has no more to write closes."""
        return False

    def get_write_buffer_size(self) -> int:
        """Returns how many bytes the client did not take, as far as that matters.

        What is less than a window is the front's to see to: it knows at once what its client takes.
        """
        return 0 if self._writing else self._stream.waiting

    def pause_reading(self) -> None:
        """Reads nothing for the present: the front sends no more than a window."""
        self._reading = False

    def resume_reading(self) -> None:
        """Reads on, in the next tick."""
        if not self._reading:
            self._reading = True
            asyncio.get_running_loop().call_soon(self._read_on)

    def is_reading(self) -> bool:
        """Tells whether what comes is read."""
        return self._reading

    def is_closing(self) -> bool:
        """Tells whether nothing that is written arrives any more."""
        return self._closing

    def close(self) -> None:
        """Closes the client's connection when it has taken all."""
        self._end(broken=False)

    def abort(self) -> None:
        """Drops the client's connection."""
        self._end(broken=True)

    def _end(self, *, broken: bool) -> None:
        if not self._closing:
            self._closing = True
            self._stream.close(broken=broken)
            asyncio.get_running_loop().call_soon(self._lose, None)

    def _lose(self, error: Exception | None) -> None:
        protocol, self._protocol = cast(asyncio.Protocol, self.get_protocol()), None
        self._unread = []
        protocol.connection_lost(error)

    # What the front says

    def received(self, data: bytes) -> None:
        """See `StreamEnd.received`."""
        if self._closing:
            return
        if self._reading and not self._unread:
            self._read(data)
        else:
            self._unread.append(data)

    def _read_on(self) -> None:
        while self._reading and self._unread and not self._closing:
            self._read(self._unread.pop(0))
        if self._eof and not (self._unread or self._closing):
            self._half_close()

    def _read(self, data: bytes) -> None:
        cast(asyncio.Protocol, self.get_protocol()).data_received(data)
        self._stream.took(len(data))

    def said(self, kind: Kind, payload: bytes) -> None:
        """See `StreamEnd.said`."""
        if kind is Kind.EOF and not self._closing:
            self._eof = True
            if not self._unread:
                self._half_close()
        elif kind is Kind.LEAVE and isinstance(self._protocol, RelayedConnection):
            self._protocol.leave()

    def _half_close(self) -> None:
        self._eof = False
        if not cast(asyncio.Protocol, self.get_protocol()).eof_received():
            self.close()

    def closed(self, *, broken: bool) -> None:
        """See `StreamEnd.closed`."""
        self._closing = True
        self._lose(ConnectionResetError("the client is gone") if broken else None)

    def writable(self) -> None:
        """See `StreamEnd.writable`."""
        if not self._writing and not self._stream.paused and self._protocol is not None:
            self._writing = True
            self._protocol.resume_writing()

    def ticked(self) -> None:
        """See `StreamEnd.ticked`: who waits for nothing does nothing."""


class RelayedReader(RequestReader):
    """aiohttp's protocol of a relayed connection: the front hears where a response ends."""

    __slots__ = ()

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Called by aiohttp when a request was handled."""
        found = await super().finish_response(request, resp, start_time)
        connection = self.connection
        assert isinstance(connection, RelayedConnection)
        connection.responded(last=not found[0].keep_alive)
        return found


class RelayedConnection(PeerConnection):
    """A connection whose bytes come over a link.

    Args:
        stream: to the front.
        aiohttp: see `PeerConnection`.
        activity: see `PeerConnection`.
        answer: see `PeerConnection`.
    """

    __slots__ = ("_stream",)

    relayed = True

    def __init__(
        self,
        stream: Stream,
        aiohttp: Callable[[], asyncio.Protocol],
        activity: Activity,
        answer: Answers | None,
    ) -> None:
        super().__init__(aiohttp, activity, answer)
        self._stream = stream

    def responded(self, *, last: bool) -> None:
        """Says that a response is complete.

        Args:
            last: the connection ends with it.
        """
        self._stream.say(Kind.END, LAST if last else b"")

    def finished(self) -> None:
        """Says that a request is answered; see `PeerConnection.finished`."""
        self.responded(last=self.activity.stopping)
        super().finished()

    def hand_over(self) -> bytes:
        """Leaves the connection to a WebSocket; see `PeerConnection.hand_over`."""
        self._stream.say(Kind.SWITCHED)
        return super().hand_over()

    def leave(self) -> None:
        """Ends a poll or a stream in good order: the front leaves."""
        receiver = self.receiver
        if isinstance(receiver, HttpReceiver) and not receiver.ended:
            if not receiver.transport.streaming:
                # What a poll brings where there is nothing to tell.
                receiver.write(receiver.transport.frame(HEARTBEAT, receiver.callback))
            receiver.end()


class RelayedClients:
    """Takes the streams that fronts open; makes a connection of each.

    Args:
        server: of aiohttp.
        activity: of the server.
        answer: see `PeerConnection`.
    """

    def __init__(self, server: RequestServer, activity: Activity, answer: Answers | None) -> None:
        self._aiohttp = server.maker(RelayedReader, access_log=None)
        self._activity = activity
        self._answer = answer

    def accept(self, stream: Stream, addresses: tuple[str, ...]) -> RelayedTransport:
        """Begins a stream; fulfils `Accept`."""
        transport = RelayedTransport(stream, Addresses(*addresses))
        protocol = RelayedConnection(stream, self._aiohttp, self._activity, self._answer)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        return transport
