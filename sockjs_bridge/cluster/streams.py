"""A stream: the connection of one relayed client, as a link carries it.

Both directions are bounded: a side that has sent `WINDOW` bytes which the other one did not take is
to stop there, so who does not read costs others nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from sockjs_bridge.cluster.linkframes import MAX_FRAME, Kind

#: Bytes of a stream that were sent and not taken, with which its sender is to stop.
WINDOW: Final = 2**18


class Carrier(Protocol):
    """A link, as its streams see it.

    Attributes:
        paused: so much waits that all streams are to stop.
    """

    paused: bool

    def send(self, kind: Kind, ref: int, payload: bytes = b"") -> None:
        """Sends a frame."""
        raise NotImplementedError

    def forget(self, ref: int) -> None:
        """Hears that a stream is over."""
        raise NotImplementedError


class StreamEnd(Protocol):
    """What is at one end of a stream; called on the loop."""

    def received(self, data: bytes) -> None:
        """Bytes have come; `Stream.took` is to say when they are taken."""
        raise NotImplementedError

    def said(self, kind: Kind, payload: bytes) -> None:
        """The other end has said something else: END, SWITCHED, EOF or LEAVE."""
        raise NotImplementedError

    def closed(self, *, broken: bool) -> None:
        """The stream is over; nothing more is heard, and nothing can be sent."""
        raise NotImplementedError

    def writable(self) -> None:
        """The other end has taken some: see `Stream.paused`."""
        raise NotImplementedError

    def ticked(self) -> None:
        """`TICK` seconds went by."""
        raise NotImplementedError


class Stream:
    """One client's connection, on a link.

    Args:
        link: that carries it.
        ref: its number there.

    Attributes:
        end: what is at this end of it.
        waiting: bytes that were sent and that the other end did not take.
    """

    __slots__ = ("_link", "_ref", "_taken", "end", "waiting")

    end: StreamEnd

    def __init__(self, link: Carrier, ref: int) -> None:
        self._link: Carrier | None = link
        self._ref = ref
        self._taken = 0
        self.waiting = 0

    @property
    def over(self) -> bool:
        """Whether nothing can be sent any more."""
        return self._link is None

    @property
    def paused(self) -> bool:
        """Whether the sender is to stop."""
        return self.waiting > WINDOW or (self._link is not None and self._link.paused)

    def write(self, data: bytes) -> None:
        """Sends bytes, as long as the stream is there."""
        if self._link is None:
            return
        self.waiting += len(data)
        for begin in range(0, len(data), MAX_FRAME):
            self._link.send(Kind.DATA, self._ref, data[begin : begin + MAX_FRAME])

    def say(self, kind: Kind, payload: bytes = b"") -> None:
        """Sends something else: END, SWITCHED, EOF or LEAVE."""
        if self._link is not None:
            self._link.send(kind, self._ref, payload)

    def took(self, size: int, *, soon: bool = False) -> None:
        """Says that so many bytes more of what came were taken.

        Args:
            size: bytes.
            soon: the other end is to know at once.
        """
        self._taken += size
        if self._taken and (soon or self._taken >= WINDOW // 2) and self._link is not None:
            self._link.send(Kind.ACK, self._ref, self._taken.to_bytes(4))
            self._taken = 0

    def close(self, *, broken: bool = False) -> None:
        """Ends it, behind what was sent; the end here is not told."""
        link, self._link = self._link, None
        if link is not None:
            link.send(Kind.ABORT if broken else Kind.CLOSE, self._ref)
            link.forget(self._ref)

    # What the link says

    def acknowledged(self, size: int) -> None:
        """Called by the link: the other end took so many bytes."""
        self.waiting -= size
        self.end.writable()

    def lost(self, *, broken: bool) -> None:
        """Called by the link: the stream is over."""
        self._link = None
        self.end.closed(broken=broken)


#: Makes what is at the home's end of a stream, given the addresses of the client's connection.
Accept = Callable[[Stream, tuple[str, ...]], StreamEnd]
