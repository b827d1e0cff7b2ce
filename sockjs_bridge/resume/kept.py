"""What a session has sent and its client has not acknowledged: references, counted."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, islice
from typing import Any, NamedTuple

from sockjs_bridge.core.backlog import Backlog
from sockjs_bridge.core.frames import Chunk
from sockjs_bridge.resume.lines import Item, Missed, Notice


class Portion(NamedTuple):
    """What leaves together.

    Attributes:
        items: messages, and notices among them.
        messages: how many messages there are.
        notices: how many notices.
    """

    items: list[Item]
    messages: int
    notices: int


class Kept(Backlog):
    """The messages of one session from the first that its client may lack.

    A notice is no message: it has no number, goes out in its place among those that have one, and
    comes again until one behind it has arrived.

    Args:
        max_size: bytes that may be kept.

    Attributes:
        sent: how many messages the application has sent.
        acked: how many the client has acknowledged.
        half_size: where more is kept, the client is to acknowledge.
        noticing: a notice waits that was not written yet.
        pieces: the messages, and chunks of them; always the same list.
        placed: some messages may have their places in rooms.
    """

    __slots__ = (
        *("_chunked", "_dropped", "_noticed", "_notices", "_seen", "_uncounted"),
        *("acked", "half_size", "noticing", "pieces", "placed", "sent"),
    )

    def __init__(self, max_size: int) -> None:
        super().__init__(max_size)
        self.half_size = max_size // 2
        self.pieces: list[Any] = []
        # The number of the last message that is in a chunk.
        self._chunked = 0
        # The index of the first piece of a run.
        self._uncounted = 0
        # The number of the last message that is not kept any more.
        self._dropped = 0
        self.sent = self.acked = 0
        # Each with the number of the message before it; how many of them the present receiver got,
        # and any receiver.
        self._notices: list[tuple[int, Notice]] | None = None
        self._noticed = self._seen = 0
        self.noticing = self.placed = False

    def append(self, item: Item) -> None:
        """Adds a message: the next number is its own."""
        if type(item) is not bytes:
            if not isinstance(item, bytes):
                self._notice(item)
                return
            self.placed = True
        self.pieces.append(item)
        self.sent += 1
        self.size += len(item) + 1

    def _notice(self, notice: Notice) -> None:
        """Adds a notice, in place of one that no message stands behind and that tells the like."""
        notices = self._notices = self._notices or []
        for index in range(len(notices) - 1, -1, -1):
            number, other = notices[index]
            if number != self.sent:
                break
            if type(other) is type(notice) and _room(other) == _room(notice):
                del notices[index]
                self._noticed -= index < self._noticed
                self._seen -= index < self._seen
                break
        notices.append((self.sent, notice))
        self.noticing = True

    def extend(self, chunk: Chunk) -> None:
        """Adds messages that left together.

        Args:
            chunk: the messages, quoted.
        """
        self.pieces.append(chunk)
        self.sent = self._chunked = self.sent + chunk.count
        self.size += chunk.size

    def begin_run(self) -> None:
        """Lets chunks be appended to `pieces` from now on, and nothing else happen."""
        self._uncounted = len(self.pieces)

    def end_run(self) -> tuple[int, int]:
        """Counts what was appended since `begin_run`.

        Returns:
            How many messages that is, and the bytes on the wire in which they left.
        """
        count = size = on_wire = 0
        for chunk in self.pieces[self._uncounted :]:
            count += chunk.count
            size += chunk.size
            on_wire += chunk.frame_size
        if count:
            self.sent = self._chunked = self.sent + count
            self.size += size
        return count, on_wire

    def clear(self) -> None:
        """Drops all messages: nobody gets them any more."""
        self.pieces.clear()
        self._dropped = self.sent
        self._notices = None
        self._noticed = self._seen = 0
        self.noticing = self.placed = False
        self.size = 0

    @property
    def first(self) -> int:
        """The number of the first message that is kept."""
        return self._dropped + 1

    def __len__(self) -> int:
        return self.sent - self._dropped

    def acknowledge(self, received: int, written: int | None) -> None:
        """Drops what the client has.

        Args:
            received: how many messages it has.
            written: how many of them the attached receiver has got or is past; what it has yet to
                write goes out in full, since its client counts. None where none is attached.
        """
        if received > self.acked:
            self.acked = received
        count = self.acked if written is None or written > self.acked else written
        if count > self._dropped:
            if count == self.sent:
                self.pieces.clear()
                self.size, self.placed = 0, False
            else:
                self._cut(count - self._dropped)
            self._dropped = count
            if self._drains and self.drained:
                self.release()
        if self._noticed:
            self._forget_notices(self.acked)

    def _cut(self, count: int) -> None:
        """Drops the first messages, fewer than there are."""
        pieces = self.pieces
        if self._chunked <= self._dropped:
            self.size -= sum(map(len, pieces[:count])) + count
            del pieces[:count]
            return
        done = 0
        while count:
            piece = pieces[done]
            if not isinstance(piece, Chunk):
                count -= 1
                self.size -= len(piece) + 1
                done += 1
            elif piece.count <= count:
                count -= piece.count
                self.size -= piece.size
                done += 1
            else:
                rest = pieces[done] = Chunk(piece.messages[count:])
                count = 0
                self.size -= piece.size - rest.size
        del pieces[:done]

    def _forget_notices(self, acked: int) -> None:
        """Drops what was written before a message that the client has."""
        notices, known = self._notices or [], 0
        while known < self._noticed and notices[known][0] < acked:
            known += 1
        del notices[:known]
        self._noticed -= known
        self._seen -= known

    @property
    def has_news(self) -> bool:
        """Whether a notice waits that was written to no receiver yet."""
        return self._seen < len(self._notices or ())

    def restart(self, number: int) -> None:
        """Hears that a receiver begins.

        Args:
            number: of the message that it gets first. Whether its client has what was written
                behind the message before that, nobody knows.
        """
        self._forget_notices(number - 1)
        self._noticed = 0
        self.noticing = bool(self._notices)

    def rest(self, number: int) -> Sequence[bytes]:
        """Returns all messages from a number on, without notices; none where it is not kept.

        Args:
            number: of the first one.
        """
        if not self._dropped < number <= self.sent:
            return ()
        if number > self._chunked:
            return self.pieces[number - self.sent - 1 :]
        single = (piece.messages if isinstance(piece, Chunk) else (piece,) for piece in self.pieces)
        return [*islice(chain.from_iterable(single), number - self.first, None)]

    def after(self, number: int, max_size: int) -> Portion:
        """Returns messages from a number on, as many as leave together.

        Args:
            number: of the first one.
            max_size: their bytes, unless it is one message.
        """
        found: list[Item] = []
        size = 0
        notices = self._notices[self._noticed :] if self._notices else []
        told = 0
        for last, item in enumerate(self.rest(number), number - 1):
            while told < len(notices) and notices[told][0] <= last:
                found.append(notices[told][1])
                told += 1
            size += len(item) + 1
            if len(found) > told and size > max_size:
                return Portion(found, len(found) - told, told)
            found.append(item)
        found += [notice for _, notice in notices[told:]]
        return Portion(found, len(found) - len(notices), len(notices))

    def wrote(self, portion: Portion) -> None:
        """Hears that what `after` returned was written."""
        self._noticed += portion.notices
        self._seen = max(self._seen, self._noticed)
        self.noticing = self._noticed < len(self._notices or ())


def _room(notice: Notice) -> str:
    return notice.room if isinstance(notice, Missed) else notice.place.room
