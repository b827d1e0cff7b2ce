"""A link: one connection from a process to another one, with a stream for each relayed client.

It is a connection for one direction: the process that dials opens streams, the other one never
does. What waits for a link as a whole is bounded by `LINK_BUFFER`, what waits for one stream by
`sockjs_bridge.cluster.streams.WINDOW`.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar

from sockjs_bridge.cluster.linkframes import (
    Frame,
    Frames,
    HungUp,
    Kind,
    LinkError,
    addresses_as_bytes,
    addresses_of,
    frame,
)
from sockjs_bridge.cluster.linkproof import CHALLENGE, INTRODUCTION, WELCOME, Introduction
from sockjs_bridge.cluster.streams import Accept, Stream, StreamEnd

E = TypeVar("E", bound=StreamEnd)

logger = logging.getLogger("sockjs_bridge.cluster")

#: Bytes that wait for one link, with which all its streams are to stop.
LINK_BUFFER: Final = 2**23
#: Seconds between two looks at a link. What is counted are looks, not seconds: a process that was
#: stopped itself must not take the other one for dead.
TICK: Final = 0.5
#: Frames, or streams, that are handled in a go: a crowd must not hold up the loop.
BATCH: Final = 100
#: Looks without a byte after which the other side is pinged, and after which it is cut off.
QUIET: Final = 3
DEAD: Final = 9


class Link(asyncio.Protocol):
    """One connection to another process, from its first byte on.

    Args:
        secret: that both sides know.
        node: the name of this process.
        accept: where streams begin that the other side opens; None: it opens none.
        judges: answers whether this process reaches the store (`Nodes.judges`).
        over: called once, when the link is over.

    Attributes:
        paused: so much waits that all streams are to stop.
        peer: the name of the other process, once it is known.
        proved: each side knows that the other one knows the secret.
    """

    def __init__(
        self,
        secret: bytes,
        node: str,
        over: Callable[[Link], object],
        *,
        accept: Accept | None = None,
        judges: Callable[[], bool] = lambda: False,
        peer: str = "",
    ) -> None:
        self.paused = False
        self.peer = peer
        self.proved = False
        self._secret = secret
        self._node = node
        self._accept = accept
        self._judges = judges
        self._over = over
        self._introduction: Introduction | None = None
        self._expected = b""
        self._begun = b""
        self._ready: asyncio.Future[None] | None = None
        self._frames = Frames()
        self._streams: dict[int, Stream] = {}
        # What was read and is not handled; and what does not know yet that the link is over.
        self._unread: deque[Frame] = deque()
        self._orphans: deque[Stream] = deque()
        self._going = self._holds = self._ended = False
        self._last = 0
        self._asked: dict[int, Callable[[bool | None], object]] = {}
        self._last_asked = 0
        self._quiet = 0
        self._out: list[bytes] = []
        self._transport: asyncio.Transport | None = None
        # Cut, maybe before it was made.
        self._dropped = False

    # What the loop says

    def connection_made(self, transport: Any) -> None:
        """Called by the loop."""
        self._transport = transport
        if self._dropped:
            transport.abort()
            return
        transport.set_write_buffer_limits(high=LINK_BUFFER)
        if self._accept is not None:
            self._introduction = Introduction(self._secret, self._node)
            transport.write(self._introduction.challenge)

    def data_received(self, data: bytes) -> None:
        """Called by the loop."""
        self._quiet = 0
        try:
            if not self.proved:
                self._begun += data
                self._introduce()
            else:
                self._read(data)
        except LinkError as error:
            self._fail(error)

    def eof_received(self) -> None:
        """Called by the loop: the other process is gone; it never half-closes."""

    def pause_writing(self) -> None:
        """Called by the loop."""
        self.paused = True

    def resume_writing(self) -> None:
        """Called by the loop."""
        self.paused = False
        self._tell(self._streams.values(), lambda stream: stream.end.writable())

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop."""
        self._transport = None
        if self._ready is not None and not self._ready.done():
            self._ready.set_exception(HungUp("it hung up"))
        self._ended = True
        if not self._going:
            self._go_on()
        asked, self._asked = self._asked, {}
        for done in asked.values():
            done(None)
        self._over(self)

    # Introductions

    async def ready(self) -> None:
        """Waits until both sides have proved that they know the secret.

        Raises:
            LinkError: the other one does not, or is gone; `HungUp` among them.
        """
        if not self.proved:
            self._ready = asyncio.get_running_loop().create_future()
            await self._ready

    def _introduce(self) -> None:
        assert self._transport is not None
        begun = self._begun
        if self._accept is not None:
            assert self._introduction is not None
            if len(begun) > INTRODUCTION:
                raise LinkError("it says more than it may")
            if len(begun) == INTRODUCTION:
                self.peer, answer = self._introduction.accept(begun)
                self._transport.write(answer)
                self._prove()
        elif self._introduction is None:
            if len(begun) >= CHALLENGE:
                said = Introduction.answering(self._secret, self.peer, begun)
                self._introduction, self._begun = said, b""
                introduced, self._expected = said.introduce(self._node)
                self._transport.write(introduced)
        elif len(begun) >= WELCOME:
            if begun[:WELCOME] != self._expected:
                raise LinkError("it does not know cluster_secret")
            self._prove()
            self._read(begun[WELCOME:])

    def _prove(self) -> None:
        self.proved = True
        self._begun = b""
        if self._ready is not None and not self._ready.done():
            self._ready.set_result(None)

    def _fail(self, error: LinkError) -> None:
        self._unread.clear()
        if self._ready is not None and not self._ready.done():
            self._ready.set_exception(error)
        elif self.proved:
            logger.warning("the link with process %s is cut: %s", self.peer, error)
        self.abort()

    # Streams

    def open(self, addresses: tuple[str, ...], make: Callable[[Stream], E]) -> E:
        """Begins a stream.

        Args:
            addresses: of the client's connection.
            make: makes what is at this end of it.

        Raises:
            LinkError: the link is cut.
        """
        if self._transport is None or self._transport.is_closing():
            raise LinkError("it is cut")
        self._last = self._last % (2**32 - 1) + 1
        while self._last in self._streams:
            self._last = self._last % (2**32 - 1) + 1
        stream = self._streams[self._last] = Stream(self, self._last)
        self.send(Kind.OPEN, self._last, addresses_as_bytes(addresses))
        end = stream.end = make(stream)
        return end

    def send(self, kind: Kind, ref: int, payload: bytes = b"") -> None:
        """Sends a frame; all of one tick leave in one write."""
        if not self._out:
            asyncio.get_running_loop().call_soon(self._flush)
        self._out.append(frame(kind, ref, payload))

    def _flush(self) -> None:
        out, self._out = self._out, []
        if self._transport is not None:
            self._transport.write(b"".join(out))

    def ask(self, done: Callable[[bool | None], object]) -> None:
        """Asks the other process whether it reaches the store; see `lease.Ask`."""
        self._last_asked += 1
        self._asked[self._last_asked] = done
        self.send(Kind.ASK, self._last_asked)

    def forget(self, ref: int) -> None:
        """Called by a stream that is over."""
        self._streams.pop(ref, None)

    def _read(self, data: bytes) -> None:
        self._unread += self._frames.feed(data)
        if not self._going:
            self._go()

    def _go_later(self) -> None:
        self._going = True
        asyncio.get_running_loop().call_soon(self._go_on)

    def _go_on(self) -> None:
        self._going = False
        try:
            self._go()
        except LinkError as error:
            self._fail(error)

    def _go(self) -> None:
        """Handles what was read, as much as one go may; then tells streams that the link is over.

        Raises:
            LinkError: the other process sent what it may not.
        """
        for _ in range(min(BATCH, len(self._unread))):
            self._handle(*self._unread.popleft())
        if self._unread:
            self._go_later()
        elif self._ended:
            self._orphans += self._streams.values()
            self._streams = {}
            some = [self._orphans.popleft() for _ in range(min(BATCH, len(self._orphans)))]
            # Some have ended by themselves meanwhile.
            some = [stream for stream in some if not stream.over]
            self._tell(some, lambda stream: stream.lost(broken=True))
            if self._orphans:
                self._go_later()
        self._hold()

    def _hold(self) -> None:
        """Has no more read as long as something waits that was."""
        transport, holds = self._transport, bool(self._unread)
        if transport is not None and not transport.is_closing() and holds is not self._holds:
            self._holds = holds
            (transport.pause_reading if holds else transport.resume_reading)()

    def _handle(self, kind: Kind, ref: int, payload: bytes) -> None:
        if kind is Kind.PING:
            self.send(Kind.PONG, 0)
        elif kind is Kind.ASK:
            self.send(Kind.ANSWER, ref, b"1" if self._judges() else b"")
        elif kind is Kind.ANSWER:
            if (done := self._asked.pop(ref, None)) is not None:
                done(bool(payload))
        elif kind is Kind.OPEN:
            self._begin(ref, payload)
        elif (stream := self._streams.get(ref)) is not None:
            # Others are over here, which their other ends do not know yet.
            self._hear(stream, kind, ref, payload)

    def _begin(self, ref: int, payload: bytes) -> None:
        if self._accept is None or ref in self._streams:
            raise LinkError("it opens what it may not")
        stream = Stream(self, ref)
        stream.end = self._accept(stream, addresses_of(payload))
        # One without an end could not be told that the link is over.
        self._streams[ref] = stream

    def _hear(self, stream: Stream, kind: Kind, ref: int, payload: bytes) -> None:
        try:
            if kind is Kind.DATA:
                stream.end.received(payload)
            elif kind is Kind.ACK:
                stream.acknowledged(int.from_bytes(payload))
            elif kind in (Kind.CLOSE, Kind.ABORT):
                del self._streams[ref]
                stream.lost(broken=kind is Kind.ABORT)
            else:
                stream.end.said(kind, payload)
        except Exception:
            self._failed(stream)

    def _tell(self, streams: Iterable[Stream], tell: Callable[[Stream], object]) -> None:
        for stream in list(streams):
            try:
                tell(stream)
            except Exception:
                self._failed(stream)

    @staticmethod
    def _failed(stream: Stream) -> None:
        """Ends a stream whose end here has raised an exception; the others go on."""
        logger.exception("a relayed connection failed")
        if not stream.over:
            stream.close(broken=True)
            stream.end.closed(broken=True)

    # The end

    def tick(self) -> None:
        """Called each `TICK` seconds: sees whether the other side is there."""
        self._tell(self._streams.values(), lambda stream: stream.end.ticked())
        self._quiet += 1
        if self._quiet == QUIET:
            self.send(Kind.PING, 0)
        elif self._quiet >= DEAD:
            self._fail(LinkError("it has answered nothing for too long"))

    def abort(self) -> None:
        """Cuts it."""
        self._dropped = True
        if self._transport is not None:
            self._transport.abort()
