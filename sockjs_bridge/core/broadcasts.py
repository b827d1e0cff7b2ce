"""Messages for many sessions, on their way to each of them. No I/O."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from typing import ClassVar

from sockjs_bridge.core.contracts import Clock, Recipient
from sockjs_bridge.core.frames import Batch, Place, placed
from sockjs_bridge.core.monitor import Monitor

logger = logging.getLogger("sockjs_bridge.session")


class FanOut:
    """The messages of one tick for the same sessions.

    They do not go through each session's own queue, which would touch a dozen objects of each:
    that costs more than all else but the kernel, because none of them is in the CPU's caches.

    Args:
        sessions: whom they are for; the list must not change.

    Attributes:
        rest: those whose turn has not come yet, the next one last.
        left: those of the rest that are not served otherwise; None where all are left.
        batch: the messages.
    """

    def __init__(self, sessions: Sequence[Recipient]) -> None:
        self._sessions = sessions
        self.rest = list(reversed(sessions))
        self.left: set[Recipient] | None = None
        self.batch = Batch()
        # How many of the messages those sessions have that are ahead of the rest.
        self._ahead: dict[Recipient, int] = {}

    def add(
        self,
        sessions: Sequence[Recipient],
        text: str,
        exclude: Collection[Recipient],
        place: Place | None,
    ) -> bool:
        """Adds a message; returns False, without it, where it has to go by itself."""
        batch = self.batch
        if not batch.has_room(text) or sessions != self._sessions:
            return False
        for session in self._sessions[: len(self._sessions) - len(self.rest)]:
            self._ahead.setdefault(session, len(batch.texts))
        for session in exclude:
            self.settle(session)
        batch.add(text, place)
        for session in exclude:
            if session in self._ahead:
                self._ahead[session] = len(batch.texts)
        for session in [*self._ahead]:
            self._queue(session)
        return True

    def settle(self, session: Recipient) -> None:
        """Lets one session have its messages now, in its own queue."""
        if self.drop(session):
            self._ahead[session] = 0
        if session in self._ahead:
            self._queue(session)

    def drop(self, session: Recipient) -> bool:
        """Lets one session go without; returns False where it has its messages, or gets none."""
        if self.left is None:
            self.left = set(self.rest)
        if session not in self.left:
            return False
        self.left.discard(session)
        return True

    def _queue(self, session: Recipient) -> None:
        begin = self._ahead[session]
        if begin < len(self.batch.texts):
            # Before it has them: what becomes of the session may lead back to here.
            self._ahead[session] = len(self.batch.texts)
            session.queue(self.batch.messages(session.transport.encode)[begin:])


class Broadcasts:
    """The broadcasts of an application; used on the loop only.

    Each session gets what is sent to it alone, and what is sent to many, in the order of the
    calls: what would overtake a broadcast makes that go to its session first (`settle`).

    Args:
        clock: the loop's.
        monitor: what is counted.

    Attributes:
        monitor: as given.
        fan_out: the messages that are under way, None where there are none.
    """

    #: How many sessions are written in one go, so that many cannot hold up the loop.
    BATCH: ClassVar[int] = 100

    def __init__(self, clock: Clock, monitor: Monitor) -> None:
        self._clock = clock
        self.monitor = monitor
        self.fan_out: FanOut | None = None

    def send(
        self,
        sessions: Sequence[Recipient],
        text: str,
        exclude: Collection[Recipient] = (),
        place: Place | None = None,
    ) -> None:
        """Sends a message to many sessions; it is encoded once for each kind of transport.

        Args:
            sessions: the list is kept, and must not change.
            text: the message.
            exclude: those of them that do not get it.
            place: of the message, in a room with history.
        """
        self.monitor.broadcast(len(sessions) - len(exclude))
        if self.fan_out is None:
            self.fan_out = FanOut(sessions)
            self.fan_out.add(sessions, text, exclude, place)
            self._clock.call_soon(self._write)
        elif not self.fan_out.add(sessions, text, exclude, place):
            # Where different ones get messages in a tick, each session's own queue collects what
            # leaves in one frame.
            self._queue(sessions, text, exclude, place)

    def settle(self, session: Recipient) -> None:
        """Lets a session have what is under way to it: something else is to come behind that."""
        if self.fan_out is not None:
            self.fan_out.settle(session)

    def drop(self, session: Recipient) -> int:
        """Lets a session go without what is under way to it; returns how many messages."""
        fan_out = self.fan_out
        if fan_out is None or not fan_out.drop(session):
            return 0
        return len(fan_out.batch.texts)

    @staticmethod
    def _queue(
        sessions: Sequence[Recipient],
        text: str,
        exclude: Collection[Recipient],
        place: Place | None,
    ) -> None:
        made: dict[Callable[[str], bytes], list[bytes]] = {}
        for session in sessions:
            if session in exclude:
                continue
            encode = session.transport.encode
            messages = made.get(encode)
            if messages is None:
                message = encode(text)
                messages = [message if place is None else placed(message, place)]
                made[encode] = messages
            session.queue(messages)

    def _write(self) -> None:
        fan_out, now = self.fan_out, self._clock.time()
        assert fan_out is not None
        rest, batch = fan_out.rest, fan_out.batch
        try:
            for _ in range(min(self.BATCH, len(rest))):
                session = rest.pop()
                if fan_out.left is not None and not fan_out.drop(session):
                    continue
                try:
                    session.take(batch, now)
                except Exception:
                    # The others must not wait for ever because of this one.
                    logger.exception("%s: writing failed", session.id)
                    session.fail()
        finally:
            if rest:
                self._clock.call_soon(self._write)
            else:
                self.fan_out = None
