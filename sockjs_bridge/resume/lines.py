"""The grammar of what clients of ``~r1`` are answered with, line by line.

Pure functions, without any state. Source: "Receiving", "Sending", "Rooms with history" and
"Several sessions over one way" of the protocol page; the frames that SockJS has are in
`sockjs_bridge.core.protocol`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from sockjs_bridge.core import protocol
from sockjs_bridge.core.frames import Batch, Chunk, Package, Place, Placed
from sockjs_bridge.core.transports import Transport

#: Bytes of one ``a[…]`` or ``p[…]`` line, unless it is one message.
MAX_LINE = 32768
#: Begins what carries several sessions, and answers each receive request that goes on over it.
MUX = b'r{"mux":true}'

#: What `counts` builds with most answers: where it goes on, and how many were handled.
COUNTS = b'r{"at":%d,"received":%d}'

# `json.dumps` would make one for each line.
_encode = json.JSONEncoder(separators=(",", ":")).encode


def _line(fields: Mapping[str, Any]) -> bytes:
    return b"r" + _encode(fields).encode("ascii")


def welcome(number: int, received: int, terms: Mapping[str, Any] | None = None) -> bytes:
    """Builds the first line of a response.

    Args:
        number: of the message that comes next.
        received: how many messages of the client were handled.
        terms: what a client with a new session is told beside.
    """
    if not terms:
        return b'r{"from":%d,"received":%d}' % (number, received)
    return _line({"from": number, "received": received, **terms})


def counts(at: int, received: int | None = None, *, ack: bool = False, busy: bool = False) -> bytes:
    """Builds a line that tells counts, and asks.

    Args:
        at: the number of the last message before it in this response.
        received: how many messages of the client were handled; None where that is known.
        ack: the client is to acknowledge.
        busy: the server lives, but reads nothing now.
    """
    if received is not None and not ack and not busy:
        return COUNTS % (at, received)
    fields: dict[str, Any] = {"at": at}
    if received is not None:
        fields["received"] = received
    if ack:
        fields["ack"] = True
    if busy:
        fields["busy"] = True
    return _line(fields)


def pong(value: int, at: int | None = None) -> bytes:
    """Builds the answer to a ping or a probe; ``at`` is missing before a welcome."""
    return _line({"pong": value} if at is None else {"pong": value, "at": at})


def stale(request: int) -> bytes:
    """Builds what a receive request gets that is not the newest.

    Args:
        request: the number of the newest.
    """
    return _line({"stale": request})


def lost(received: int | None = None) -> bytes:
    """Builds what tells that a session is no more.

    Args:
        received: how many messages of the client were handled, None where nobody knows.
    """
    return _line({"lost": {} if received is None else {"received": received}})


def moved(seconds: float) -> bytes:
    """Builds what tells that the session ended because the server leaves.

    Args:
        seconds: within which the client opens a new one.
    """
    return _line({"moved": seconds})


class Missed(NamedTuple):
    """Tells that the history of a room does not reach back.

    Attributes:
        room: the room's key.
        name: of the room.
        place: where it goes on, in a session that has been told messages of the room before: what
            was missed there has this place, and is not taken for the same again.
    """

    room: str
    name: str
    place: Place | None = None

    @property
    def line(self) -> bytes:
        """What the client gets."""
        missed = [self.room, self.name]
        if self.place is not None:
            missed.append(f"{self.place.epoch}-{self.place.number}")
        return _line({"missed": [missed]})


class At(NamedTuple):
    """Tells how far a room is, without a message.

    Attributes:
        place: of the newest message that the client has no claim to.
    """

    place: Place

    @property
    def line(self) -> bytes:
        """What the client gets."""
        return _head(self.place) + b"]]"


def array(messages: Iterable[bytes]) -> bytes:
    """Packs messages into one ``a[…]`` line."""
    return b"a[" + b",".join(messages) + b"]"


def _head(place: Place) -> bytes:
    return b'p["%s","%s-%d",[' % (place.room.encode(), place.epoch.encode(), place.number)


#: What goes in its place among the messages of a session, and is none.
Notice = Missed | At
#: What a session keeps: quoted messages, those that have a place among them; and notices.
Item = bytes | Notice


def _follows(item: bytes, last: bytes, placed: bool) -> bool:
    """Tells whether a message goes on in the line of another one."""
    if not placed or not (isinstance(item, Placed) or isinstance(last, Placed)):
        return True
    return (
        isinstance(item, Placed)
        and isinstance(last, Placed)
        and (item.place.room, item.place.epoch, item.place.number)
        == (last.place.room, last.place.epoch, last.place.number + 1)
    )


def _pack(run: list[bytes], placed: bool) -> bytes:
    first = run[0]
    if placed and isinstance(first, Placed):
        return _head(first.place) + b",".join(run) + b"]]"
    return array(run)


def messages(
    items: Iterable[Item], max_line: int = MAX_LINE, *, placed: bool = False
) -> list[bytes]:
    """Packs messages into ``a[…]`` and ``p[…]`` lines.

    Only the arrays are split: behind a proxy that cuts each response there must be progress.

    Args:
        items: in their order.
        max_line: bytes of a line, unless it is one message.
        placed: the client understands ``p[…]``.
    """
    made: list[bytes] = []
    run: list[bytes] = []
    size = 0
    for item in items:
        message = item if isinstance(item, bytes) else None
        if run and (
            message is None
            or not _follows(message, run[-1], placed)
            or size + len(message) + 1 > max_line
        ):
            made.append(_pack(run, placed))
            run, size = [], 0
        if not isinstance(item, bytes):
            made.append(item.line)
        else:
            size += len(item) + 1 if run else len(_pack([item], placed))
            run.append(item)
    if run:
        made.append(_pack(run, placed))
    return made


def package(batch: Batch, transport: Transport, limit: int, *, placed: bool) -> Package | None:
    """Packs broadcasts for all whose receivers are alike, and notes it in the batch.

    Args:
        batch: the broadcasts.
        transport: of the receivers.
        limit: bytes of messages that leave together, if there is more than one.
        placed: the clients understand ``p[…]``.

    Returns:
        None where they do not leave together.
    """
    # The same bytes as for stock sessions, but for what has to be split or tells its place.
    frame, quoted = batch.frame(transport, "", limit), batch.messages(protocol.quote)
    if frame is None:
        return None
    text, data = frame
    if placed:
        data = b"".join(transport.frame(line, "") for line in messages(quoted, placed=True))
    elif len(text) > MAX_LINE and len(quoted) > 1:
        return None
    made = batch.packages[transport.name, limit, placed] = data, Chunk(quoted, len(data))
    return made
