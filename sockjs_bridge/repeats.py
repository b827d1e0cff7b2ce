"""How a session recognises a request that the browser repeats, unseen by the page.

A browser sends a request again by itself when a reused connection broke before the response
began. The repeat carries the identical ``t`` parameter, the client's clock in milliseconds, and
comes over another connection. (Behind a proxy that reuses its own connections it may come over the
same, and is not recognised then.) Some browsers blur their clocks, to steps of 100 ms or of a 60th
of a second, and then two different requests may carry the same ``t`` too: as long as all that a
session has seen may come from such a clock, a repeat is only believed when the connection of the
first is known to have broken.
"""

from __future__ import annotations

import hashlib

from sockjs_bridge.contracts import Peer, Receiver
from sockjs_bridge.transports import Transport

#: Seconds in which a repeat of a request whose response was not complete is waited for.
WINDOW = 1.0
#: Bytes of a stream that are kept for a repeat. A browser repeats only what it has not begun to
#: read, so a longer stream needs no memory.
STREAM_MEMORY = 16384
#: How many sends are remembered.
SENDS = 4


class RepeatMemory:
    """The last request that received, with what it got, and the last sends.

    Attributes:
        frames: the frames of the last response, as long as they are worth keeping.
    """

    __slots__ = ("_exact", "_peer", "_sends", "_size", "_tag", "_transport", "frames")

    def __init__(self) -> None:
        self.frames: list[bytes] | None = None
        self._tag: str | None = None
        self._peer: Peer | None = None
        self._transport: Transport | None = None
        self._size = 0
        # Some time was seen that no blurred clock shows.
        self._exact = False
        self._sends: tuple[tuple[str, Peer, bytes], ...] = ()

    def begin(self, receiver: Receiver) -> None:
        """Forgets the response before: a new one begins."""
        self._tag, self._peer = receiver.tag, receiver.peer
        self._exact |= receiver.tag is not None and not _blurred(receiver.tag)
        self._transport = receiver.transport
        self._size = 0
        self.frames = [] if receiver.tag is not None else None

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

    def recognises(self, receiver: Receiver, *, unfinished: bool) -> bool:
        """Tells whether a receiver's request repeats the last one.

        Args:
            receiver: the one that arrives.
            unfinished: the response before is not complete: a client that is not a repeating
                browser does not ask again then.
        """
        return (
            self.frames is not None
            and self._peer is not None
            and receiver.tag == self._tag
            and receiver.peer is not self._peer
            and receiver.transport is self._transport
            and (unfinished or self._peer.broken or self._exact)
        )

    def recognises_send(self, tag: str, peer: Peer, body: bytes) -> bool:
        """Tells whether a send repeats an earlier one, and remembers it if it does not.

        Args:
            tag: the request's ``t`` parameter.
            peer: its connection.
            body: its body.
        """
        self._exact |= not _blurred(tag)
        digest = hashlib.blake2b(body, digest_size=16).digest()
        for known_tag, known_peer, known_digest in self._sends:
            same = known_tag == tag and known_digest == digest and known_peer is not peer
            if same and (known_peer.broken or self._exact):
                return True
        self._sends = (*self._sends, (tag, peer, digest))[-SENDS:]
        return False


def _blurred(tag: str) -> bool:
    """Tells whether a time may come from a clock with steps of 100 ms or of 1/60 s."""
    # The multiples of 1/60 s, rounded down, repeat every 50 ms.
    return tag.isdecimal() and int(tag) % 50 in (0, 16, 33)
