"""What two processes of a cluster say to each other over a link, as bytes.

Behind the proofs (`sockjs_bridge.cluster.linkproof`) there are frames alone: a kind, the stream
that it is for, and bytes.
"""

from __future__ import annotations

import enum
import json
from struct import Struct
from typing import Final

#: Bytes in a frame at the most.
MAX_FRAME: Final = 2**18
_HEAD: Final = Struct(">BII")


class LinkError(Exception):
    """A link cannot be had, or is cut; the text is for the log."""


class HungUp(LinkError):
    """The other end has closed the connection before both had proved anything."""


class Refused(LinkError):
    """Nobody listens at its address; it may be somebody between the hosts who says so."""


class PeerGone(LinkError):
    """The process does not run any more, whatever its lease says."""


class Kind(enum.IntEnum):
    """What a frame says of its stream; who opened it is the front, the other one the home."""

    #: From the front: a stream begins, for a client with these addresses.
    OPEN = 1
    #: Bytes of HTTP, or of the protocol behind a 101.
    DATA = 2
    #: From the home: a response is complete. With a byte: the connection ends with it.
    END = 3
    #: From the home: what follows is no HTTP any more (RFC 9110, 15.2.2).
    SWITCHED = 4
    #: From the front: the client sends no more.
    EOF = 5
    #: The stream is over, in good order.
    CLOSE = 6
    #: The stream is over: it broke.
    ABORT = 7
    #: So many bytes more were taken.
    ACK = 8
    #: From the front: it leaves. What waits for nothing but time is to end now, in good order.
    LEAVE = 9
    #: Is somebody there? Of no stream.
    PING = 10
    PONG = 11
    #: A question beside all streams, with a number in place of one, and its answer: a byte or none.
    ASK = 12
    ANSWER = 13


# By value: to call the enumeration takes longer than all else that a frame needs.
_KINDS: Final = {kind.value: kind for kind in Kind}

Frame = tuple[Kind, int, bytes]


def frame(kind: Kind, ref: int, payload: bytes = b"") -> bytes:
    """Builds a frame.

    Args:
        kind: of it.
        ref: the stream; 0 for none.
        payload: `MAX_FRAME` bytes at the most.
    """
    return _HEAD.pack(kind, ref, len(payload)) + payload


class Frames:
    """Reads frames of what arrives, however it is cut."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[Frame]:
        """Returns the frames that are complete.

        Raises:
            LinkError: what arrived is no frame.
        """
        if self._rest:
            data = self._rest + data
        found: list[Frame] = []
        position, end = 0, len(data)
        while end - position >= _HEAD.size:
            value, ref, size = _HEAD.unpack_from(data, position)
            kind = _KINDS.get(value)
            if kind is None or size > MAX_FRAME:
                raise LinkError("what it sent is no frame")
            begin = position + _HEAD.size
            if end - begin < size:
                break
            position = begin + size
            found.append((kind, ref, data[begin:position]))
        self._rest = data[position:]
        return found


def addresses_as_bytes(addresses: tuple[str, ...]) -> bytes:
    """Returns what `Kind.OPEN` says of a client's connection."""
    return json.dumps(addresses).encode()


def addresses_of(payload: bytes) -> tuple[str, ...]:
    """Reads what `addresses_as_bytes` has made.

    Raises:
        LinkError: it was not.
    """
    try:
        found = json.loads(payload)
    except (ValueError, RecursionError):
        raise LinkError("a stream begins with nonsense") from None
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise LinkError("a stream begins with nonsense")
    return tuple(found)
