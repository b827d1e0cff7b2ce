"""A client's virtual connections to other processes, as the process with its socket has them."""

from __future__ import annotations

import asyncio
from typing import Protocol

from aiohttp import web

from sockjs_bridge.cluster.link import Link
from sockjs_bridge.cluster.linkframes import Kind, LinkError
from sockjs_bridge.cluster.streams import Stream
from sockjs_bridge.endpoint.request import RequestHead
from sockjs_bridge.server.accesslog import GONE
from sockjs_bridge.server.connection import PeerConnection
from sockjs_bridge.server.relayedsocket import RelayedSocket, tell_taken
from sockjs_bridge.server.responses import OwnResponse

# Headers that say how the body came, which was read here (RFC 9112, 6), and what it waited for.
_FRAMING = {b"transfer-encoding", b"content-length", b"trailer", b"te", b"expect"}


class Leaving(Protocol):
    """What is relayed at present: a request, or a WebSocket."""

    def leave(self) -> None:
        """Ends in good order: this process ends."""
        raise NotImplementedError


class UnderWay(set[Leaving]):
    """What is relayed at present.

    Attributes:
        leaving: this process ends.
    """

    leaving = False

    def leave(self) -> None:
        """Ends all of it, and what comes yet."""
        self.leaving = True
        for each in list(self):
            each.leave()


class Asker(Protocol):
    """Who has asked without aiohttp; hears once what became of the request."""

    def ended(self, status: int, *, last: bool) -> None:
        """The response is complete.

        Args:
            status: of it.
            last: the connection ends with it.
        """
        raise NotImplementedError

    def closed(self, status: int, *, broken: bool) -> None:
        """The home is gone, or has closed the connection.

        Args:
            status: of the response; 0 where none has begun.
            broken: it is gone.
        """
        raise NotImplementedError


class RelaysOfClient:
    """The virtual connections of one client's; fulfils `Relays`.

    Args:
        connection: the client's.
    """

    __slots__ = ("_connection", "_homes")

    def __init__(self, connection: PeerConnection) -> None:
        self._connection = connection
        self._homes: dict[str, Forwarded] = {}

    def to(self, node: str) -> Forwarded | None:
        """Returns the one to a process; None where there is none."""
        found = self._homes.get(node)
        return None if found is None or found.stream.over else found

    def open(self, node: str, link: Link, under_way: UnderWay) -> Forwarded:
        """Begins one.

        Raises:
            LinkError: the link is cut.
        """
        connection = self._connection

        def make(stream: Stream) -> Forwarded:
            return Forwarded(connection, stream, under_way)

        forwarded = self._homes[node] = link.open(tuple(connection.addresses), make)
        return forwarded

    def half_closed(self) -> None:
        """The client sends no more."""
        for each in self._homes.values():
            each.half_closed()

    def writable(self) -> None:
        """The client has taken what it was sent."""
        for each in self._homes.values():
            each.catch_up()

    def lost(self, *, broken: bool) -> None:
        """The client is gone."""
        homes, self._homes = self._homes, {}
        for each in homes.values():
            each.lost(broken=broken)

    def keep_only(self, forwarded: Forwarded) -> None:
        """Gives up the others: the connection is a WebSocket's now, which sees to its own."""
        others, self._homes = self._homes, {}
        for each in others.values():
            if each is not forwarded:
                each.lost(broken=False)


class Forwarded:
    """A client's virtual connection to one home; fulfils `StreamEnd`.

    Args:
        connection: the client's.
        stream: to the home.
        under_way: it is in there while it is asked.

    Attributes:
        stream: as given.
    """

    __slots__ = (
        *("_asker", "_broken", "_connection", "_flow", "_over", "_response", "_socket", "_status"),
        *("_under_way", "_untaken", "stream"),
    )

    def __init__(self, connection: PeerConnection, stream: Stream, under_way: UnderWay) -> None:
        self.stream = stream
        self._connection = connection
        self._flow = connection.flow
        self._under_way = under_way
        self._over = asyncio.Event()
        self._response: OwnResponse | None = None
        self._asker: Asker | None = None
        self._socket: RelayedSocket | None = None
        self._status = 0
        self._broken = False
        # Bytes that were written and that the client did not take.
        self._untaken = 0

    def begin(self, asker: Asker, data: bytes) -> None:
        """Sends a plain request; the response is written as it comes.

        Args:
            asker: hears what became of it.
            data: the request's bytes.
        """
        self._asker = asker
        self._status = 0
        self._under_way.add(self)
        self.stream.write(data)

    def _through(self) -> Asker | None:
        asker, self._asker = self._asker, None
        if asker is not None:
            self._under_way.discard(self)
        return asker

    async def ask(
        self, request: web.BaseRequest, data: bytes, upgrade: bool
    ) -> web.StreamResponse | None:
        """Sends a request, and writes the response.

        Args:
            request: aiohttp's.
            data: its bytes.
            upgrade: it is a WebSocket's handshake.

        Returns:
            None where the home has hung up, and has not read it.

        Raises:
            LinkError: it broke before there was a response; or too much waits for the home.
        """
        if self.stream.paused:
            raise LinkError("too much waits for it")
        connection = self._connection
        response = self._response = OwnResponse(request, 200)
        self._over.clear()
        self._status = 0
        if upgrade:
            connection.hold_back()
        self._under_way.add(self)
        try:
            self.stream.write(data)
            if connection.half_closed:
                self.stream.say(Kind.EOF)
            if self._under_way.leaving:
                self.leave()
            await self._over.wait()
        finally:
            self._under_way.discard(self)
            self._response = None
            if upgrade and self._socket is None and not connection.lost:
                connection.given_back()
        if self._socket is not None:
            # The connection is not aiohttp's any more: this is what the log shows.
            return web.Response(status=101)
        if connection.lost:
            return gone()
        if self.stream.over and not self._status:
            if self._broken:
                raise LinkError("it was cut")
            if not connection.half_closed:
                return None
            connection.abort()
        if self._broken:
            # The client must not take what it has for all.
            connection.abort()
            return gone()
        if self.stream.over:
            response.force_close()
        return response

    # What the home says

    def received(self, data: bytes) -> None:
        """See `StreamEnd.received`."""
        if self._socket is not None:
            self._socket.received(data)
            return
        response = self._response
        if response is None and self._asker is None:
            # The home answers what it was not asked.
            self.stream.close(broken=True)
            return
        if response is not None:
            if not self._status:
                response.set_status(int(data[9:12]))
                response.sent -= data.find(b"\r\n\r\n") + 4
                response.began()
            response.sent += len(data)
        # A head leaves in one piece.
        self._status = self._status or int(data[9:12])
        self._flow.write(data)
        self._untaken += len(data)
        if not self._flow.paused:
            self.catch_up()

    def catch_up(self) -> None:
        """The client has taken what it was sent."""
        untaken, self._untaken = self._untaken, 0
        self.stream.took(untaken)

    def said(self, kind: Kind, payload: bytes) -> None:
        """See `StreamEnd.said`."""
        if kind is Kind.END and (asker := self._through()) is not None:
            asker.ended(self._status, last=bool(payload))
        elif kind is Kind.END and self._response is not None:
            if payload:
                self._response.force_close()
            self._over.set()
        elif kind is Kind.SWITCHED and self._response is not None:
            relays_of(self._connection).keep_only(self)
            self._socket = RelayedSocket(self._connection, self.stream, self._under_way)
            self._over.set()
            self._socket.begin()

    def closed(self, *, broken: bool) -> None:
        """See `StreamEnd.closed`."""
        self._broken = broken
        if self._socket is not None:
            self._socket.closed(broken=broken)
        self._over.set()
        if (asker := self._through()) is not None:
            asker.closed(self._status, broken=broken)

    def writable(self) -> None:
        """See `StreamEnd.writable`: requests are sent whole."""
        if self._socket is not None:
            self._socket.writable()

    def ticked(self) -> None:
        """See `StreamEnd.ticked`: a slow client takes something all the same."""
        if self._socket is not None:
            self._socket.ticked()
        elif self._untaken and not self._connection.lost:
            self._untaken = tell_taken(self._connection, self.stream, self._untaken)

    # What the client does

    def half_closed(self) -> None:
        """The client sends no more; a home that is asked later hears that behind the request."""
        if self._asker is not None or self._response is not None:
            self.stream.say(Kind.EOF)

    def lost(self, *, broken: bool) -> None:
        """The client is gone."""
        self.stream.close(broken=broken)
        self._over.set()
        self._through()

    def leave(self) -> None:
        """Has the home end what waits."""
        self.stream.say(Kind.LEAVE)


def as_bytes(head: RequestHead, body: bytes) -> bytes:
    """Returns a request as it goes over: what it was, with a body that is complete.

    Args:
        head: of the request.
        body: of it.
    """
    major, minor = head.version
    line = f"{head.method} {head.raw_path} HTTP/{major}.{minor}"
    lines = [line.encode("utf-8", "surrogateescape")]
    lines += [
        name + b": " + value for name, value in head.raw_headers if name.lower() not in _FRAMING
    ]
    if body or head.method == "POST":
        lines.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def relays_of(connection: PeerConnection) -> RelaysOfClient:
    """Returns a client's virtual connections."""
    relays = connection.relays
    if relays is None:
        relays = connection.relays = RelaysOfClient(connection)
    assert isinstance(relays, RelaysOfClient)
    return relays


def gone() -> web.Response:
    """Answers nobody: the client is gone."""
    return web.Response(status=GONE, reason="Client Closed Request")
