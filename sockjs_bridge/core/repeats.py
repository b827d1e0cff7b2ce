"""How a session recognises a request that the browser repeats, unseen by the page.

A browser sends a request again by itself when a reused connection broke before the response
began. The repeat is the identical request, its ``t`` parameter included, the client's clock in
milliseconds, and comes over another connection. (Behind a proxy that reuses its own connections it
may come over the same, and is not recognised then.) The same ``t`` alone tells nothing: a quick
client polls twice within a millisecond, some browsers blur their clocks to steps of 100 ms or of a
60th of a second, and an application may have a ``t`` of its own in the query. What was seen of the
first request decides:

- Its response is not complete: a client that is not a repeating browser does not ask again.
- Its connection is known to have broken: it is repeated.
- The ``t`` is the time of a clock that is not blurred, and another time was to be expected by now
  (`SAME_TIME`): the second request was not made then, so it is the first.
- Its connection had carried other requests and ended with this one's response: who keeps
  connections has lost this one.
- The ``t`` is no time, and as far as was seen a number that the client counts up, and the
  connection of the first is there and was not used again: it is repeated.
- Otherwise it is a new request.

A stream that ended in good order is repeated only where its connection is known to have broken, and
one that was on its way for longer than `WINDOW` not at all: the browser has begun to read it.

What this cannot tell: a response that was lost beyond a proxy, unseen by the server, within
`SAME_TIME` of its request, is taken for one that arrived, unless the proxy has one connection for
each of the client's. What it held is lost; a send comes twice. The same holds after any time where
the clock is blurred. Taken for a repeat, and answered with what the client has, is a new request
of the same millisecond, where a proxy resets connections that it has used or gives one up just
then, or where more than `SAME_TIME` passes on its way.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from sockjs_bridge.core import protocol
from sockjs_bridge.core.contracts import Peer, Receiver
from sockjs_bridge.core.transports import Transport

#: Seconds in which a repeat of a request whose response was not complete is waited for, and after
#: which a browser has begun to read a stream.
WINDOW = 1.0
#: Seconds in which two requests may arrive that a clock gave the same millisecond: it, and how much
#: longer the second may be on its way.
SAME_TIME = 0.05
#: Bytes of a stream that are kept for a repeat. A browser repeats only what it has not begun to
#: read, so a longer stream needs no memory.
STREAM_MEMORY = 4096
#: How many sends are remembered.
SENDS = 4


@dataclass(slots=True)
class _Asked:
    """A request as it is remembered.

    Attributes:
        tag: its ``t`` parameter.
        peer: its connection.
        carried: how many requests had come over that, this one included.
        at: when it arrived, in seconds of the clock.
        rest: what a repeat has in common with it besides.
    """

    tag: str
    peer: Peer
    carried: int
    at: float
    rest: str | bytes


class RepeatMemory:
    """The last request that received, with what it got, and the last sends.

    Args:
        now: returns seconds of the clock.

    Attributes:
        frames: the frames of the last response, as long as they are worth keeping.
    """

    __slots__ = (
        *("_counts", "_exact", "_last", "_now", "_seen_at", "_sends", "_size", "_transport"),
        "frames",
    )

    def __init__(self, now: Callable[[], float]) -> None:
        self.frames: list[bytes] | None = None
        self._now = now
        self._last: _Asked | None = None
        self._transport: Transport | None = None
        self._size = 0
        # Some time was seen that no blurred clock shows.
        self._exact = False
        # What is no time may be a number that each request has alone.
        self._counts = True
        # When the last request's tag was seen last, on whatever new request.
        self._seen_at = 0.0
        self._sends: tuple[_Asked, ...] = ()

    def begin(self, receiver: Receiver) -> None:
        """Forgets the response before: a new one begins."""
        self._transport = receiver.transport
        self._size = 0
        if receiver.tag is None:
            self._last = self.frames = None
            return
        self._learn(receiver.tag, *self._sends)
        self._last = self._asked(receiver.tag, receiver.peer, receiver.callback)
        self._seen_at = self._last.at
        self.frames = []

    def wrote(self, text: bytes) -> None:
        """Keeps a frame of the response."""
        if self.frames is None or self._transport is None:
            return
        self._size += len(text)
        if self._transport.streaming and self._size > STREAM_MEMORY:
            self.frames = None
        else:
            self.frames.append(text)

    def forget(self) -> None:
        """Forgets the response: nothing of it may be told again."""
        self.frames = None

    @property
    def expected(self) -> bool:
        """Whether the last request may be repeated, if its response was lost."""
        if self.frames is None or self._last is None or self._transport is None:
            return False
        return not self._transport.streaming or self._now() <= self._last.at + WINDOW

    def recognises(self, receiver: Receiver, *, unfinished: bool) -> bool:
        """Tells whether a receiver's request repeats the last one.

        Args:
            receiver: the one that arrives.
            unfinished: the response before is not complete.
        """
        last = self._last
        if last is None or (last.tag, last.rest) != (receiver.tag, receiver.callback):
            return False
        elsewhere = receiver.peer.key != last.peer.key and receiver.transport is self._transport
        lost = unfinished or last.peer.broken
        repeated = (
            elsewhere
            and self.expected
            and (lost or (not receiver.transport.streaming and self._came_again(last)))
        )
        if not repeated:
            self._learn(last.tag, last)
        return repeated

    def recognises_send(self, tag: str, peer: Peer, *rest: bytes) -> bool:
        """Tells whether a send repeats an earlier one, and remembers it if it does not.

        Args:
            tag: the request's ``t`` parameter.
            peer: its connection.
            rest: what else the repeat of a request has in common with it: its query, its body.
        """
        if self.frames and self.frames[0] is protocol.OPEN:
            # Nobody sends who has not read that.
            self.frames = None
        digest = hashlib.blake2b(digest_size=16)
        for part in rest:
            digest.update(part)
        asked = self._asked(tag, peer, digest.digest())
        for known in self._sends:
            same = (known.tag, known.rest) == (tag, asked.rest) and known.peer.key != peer.key
            if same and (known.peer.broken or self._came_again(known)):
                return True
        self._learn(tag, *self._sends, *([] if self._last is None else [self._last]))
        self._sends = (*self._sends, asked)[-SENDS:]
        if self._last is not None and self._last.tag == tag:
            self._seen_at = asked.at
        return False

    def _learn(self, tag: str, *others: _Asked) -> None:
        """Notes what the tag of a new request says of its client's tags.

        Args:
            tag: the one.
            others: requests before it.
        """
        self._exact |= not _blurred(tag)
        if _is_time(tag) or any(other.tag == tag for other in others):
            self._counts = False

    def _asked(self, tag: str, peer: Peer, rest: str | bytes) -> _Asked:
        return _Asked(tag, peer, peer.carried, self._now(), rest)

    def _came_again(self, first: _Asked) -> bool:
        """Tells whether a request like an earlier one, which was answered, is its repeat."""
        peer = first.peer
        used_again = peer.carried > first.carried
        if not self._exact:
            return False
        if not _is_time(first.tag):
            return self._counts and not (peer.ended or used_again)
        seen_at = self._seen_at if self._last is first else first.at
        if self._now() > seen_at + SAME_TIME:
            return True
        return peer.ended and first.carried > 1 and not used_again


def _is_time(tag: str) -> bool:
    """Tells whether a tag may be a clock's, in milliseconds: of the years 2001 to 2286."""
    return len(tag) == 13 and tag.isdecimal()


def _blurred(tag: str) -> bool:
    """Tells whether a time may come from a clock with steps of 100 ms or of 1/60 s."""
    # The multiples of 1/60 s, rounded down, repeat every 50 ms.
    return tag.isdecimal() and int(tag) % 50 in (0, 16, 33)
