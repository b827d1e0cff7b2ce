"""The grammar of what clients of ``~r1`` are answered with, line by line.

Pure functions, without any state. Source: "Receiving", "Sending" and "Rooms with history" of the
protocol page; the frames that SockJS has are in `sockjs_bridge.core.protocol`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

#: Bytes of one ``a[…]`` or ``p[…]`` line, unless it is one message.
MAX_LINE = 32768


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
        # What goes with most answers.
        return b'r{"at":%d,"received":%d}' % (at, received)
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


def missed(rooms: Iterable[tuple[str, str]]) -> bytes:
    """Builds what tells that the history of rooms does not reach back.

    Args:
        rooms: keys and names.
    """
    return _line({"missed": [list(room) for room in rooms]})


@dataclass(frozen=True, slots=True)
class Placed:
    """A message that has its place in a room with history; shared by all who keep it.

    Attributes:
        room: the room's key, a keyed hash of its name.
        epoch: of the room's history.
        number: the place in it.
        text: the message, quoted; None for one who only hears of the position.
    """

    room: str
    epoch: str
    number: int
    text: bytes | None

    def __len__(self) -> int:
        return 0 if self.text is None else len(self.text)

    def precedes(self, other: object) -> bool:
        """Tells whether another one goes on in the same line."""
        return (
            isinstance(other, Placed)
            and other.text is not None
            and self.text is not None
            and (other.room, other.epoch, other.number) == (self.room, self.epoch, self.number + 1)
        )


#: What a session keeps: a quoted message, or one with its place.
Item = bytes | Placed


def array(messages: Iterable[bytes]) -> bytes:
    """Packs messages into one ``a[…]`` line."""
    return b"a[" + b",".join(messages) + b"]"


def _pack(run: list[Item]) -> bytes:
    first = run[0]
    if isinstance(first, bytes):
        return array(run)  # type: ignore[arg-type]
    head = b'p["%s","%s-%d",[' % (first.room.encode(), first.epoch.encode(), first.number)
    texts = [item.text for item in run if isinstance(item, Placed) and item.text is not None]
    return head + b",".join(texts) + b"]]"


def messages(items: Iterable[Item], max_line: int = MAX_LINE) -> list[bytes]:
    """Packs messages into ``a[…]`` and ``p[…]`` lines.

    Only the arrays are split: behind a proxy that cuts each response there must be progress.

    Args:
        items: in their order.
        max_line: bytes of a line, unless it is one message.
    """
    made: list[bytes] = []
    run: list[Item] = []
    size = 0
    for item in items:
        last = run[-1] if run else None
        fits = last is None or (
            isinstance(item, bytes) if isinstance(last, bytes) else last.precedes(item)
        )
        if run and (not fits or size + len(item) + 1 > max_line):
            made.append(_pack(run))
            run, size = [], 0
        if not run:
            size = len(_pack([item]))
        else:
            size += len(item) + 1
        run.append(item)
    if run:
        made.append(_pack(run))
    return made
