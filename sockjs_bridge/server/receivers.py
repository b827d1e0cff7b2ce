"""The HTTP response that a session writes to; a WebSocket is one by itself."""

from __future__ import annotations

from collections.abc import Callable

from sockjs_bridge.core.contracts import Peer
from sockjs_bridge.endpoint.outcomes import Receiving
from sockjs_bridge.server.connection import PeerConnection
from sockjs_bridge.server.http1 import HTTP11, LAST_CHUNK, Dialect, chunk, known_head


class HttpReceiver:
    """A poll or a stream, whoever has read its request.

    Args:
        connection: over which the request came.
        attach: of the endpoint; headers that are added before `start` are sent.
        done: called once, when the response is complete or the peer is gone.
        dialect: the client's.

    Attributes:
        transport: how frames become bytes.
        callback: the function that a jsonp or htmlfile client named.
        tag: the client's ``t`` parameter.
        peer: the other end of the connection.
        session: what writes to it.
        begun: the response may begin; until then all that is written is kept.
        ended: no frame is taken any more.
        size: bytes of the body so far, without the chunks' framing.
    """

    __slots__ = (
        *("_attach", "_body", "_connection", "_dialect", "_done", "_flow", "begun", "callback"),
        *("ended", "peer", "session", "size", "tag", "transport"),
    )

    def __init__(
        self,
        connection: PeerConnection,
        attach: Receiving,
        done: Callable[[], object],
        dialect: Dialect = HTTP11,
    ) -> None:
        self.transport = attach.transport
        self.callback = attach.callback
        self.tag = attach.tag
        self.peer: Peer = connection.flow
        self.session = attach.session
        self.ended = False
        self.size = 0
        self._attach = attach
        self.begun = False
        # A poll's body; of a stream, what was written before its head.
        self._body = b""
        self._connection = connection
        self._flow = connection.flow
        self._dialect = dialect
        self._done = done
        connection.receiver = self

    @property
    def heard(self) -> float:
        """When the last byte arrived from the peer, in seconds of the loop's time."""
        return self._connection.heard

    @property
    def writable(self) -> bool:
        """Whether a frame would be accepted now."""
        return self.begun and not (self.ended or self._flow.paused)

    def start(self) -> None:
        """Says that the response may begin; its session is to be flushed then."""
        self.begun = True
        if self.transport.streaming:
            head = known_head(200, self._attach.headers, None, self._dialect)
            self._flow.write(head)
            kept, self._body = self._body, b""
            if prelude := self.transport.prelude(self.callback):
                self.write(prelude)
            if kept:
                self.write(kept)
        if self.ended:
            self._complete()

    def start_opened(self) -> None:
        """Starts, and has the session flushed: all of it in one write."""
        self._flow.gather()
        try:
            self.start()
            self.session.flush()
        finally:
            self._flow.release()

    def write(self, data: bytes) -> bool:
        """Takes one frame's bytes."""
        if not (self.begun and self.transport.streaming):
            self._body += data
        else:
            self.size += len(data)
            self._flow.write(chunk(data) if self._dialect.chunks else data)
        return True

    def ping(self) -> None:
        """Does nothing: HTTP has no pings."""

    def end(self) -> None:
        """Ends the response in good order."""
        if not self.ended:
            self.ended = True
            if self.begun:
                self._complete()

    def _complete(self) -> None:
        if not self.transport.streaming:
            self.size = len(self._body)
            head = known_head(200, self._attach.headers, self.size, self._dialect)
            self._flow.write(head + self._body)
        elif self._dialect.chunks:
            self._flow.write(LAST_CHUNK)
        self._connection.receiver = None
        self.session.detach(self, lost=False)
        self._done()

    def abort(self) -> None:
        """Drops the connection."""
        self._flow.abort()

    def connection_lost(self) -> None:
        """Called when the peer is gone."""
        self.ended = True
        self.session.detach(self, lost=True)
        self._done()
