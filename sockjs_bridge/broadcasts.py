"""One message for many sessions, on its way to each of them. No I/O."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from sockjs_bridge.clock import Clock
from sockjs_bridge.contracts import Receiver

if TYPE_CHECKING:
    from sockjs_bridge.session import Session

logger = logging.getLogger("sockjs_bridge.session")


class Crowd:
    """The messages of one tick for the same sessions.

    They do not go through each session's own queue, which would touch a dozen objects of each:
    that costs more than all else but the kernel, because none of them is in the CPU's caches.

    Args:
        sessions: whom they are for.

    Attributes:
        rest: those that have not got them yet, the next one last.
        count: how many messages there are.
    """

    #: Characters of text that wait together, unless it is one message.
    MAX_SIZE = 2**16

    def __init__(self, sessions: list[Session]) -> None:
        self._sessions = sessions
        self.rest = sessions[::-1]
        self.count = 0
        self._texts: list[str] = []
        self._size = 0
        # Those that got theirs into their own queues before all others; what the rest is then.
        self._early: list[Session] = []
        self._waiting: set[Session] | None = None
        self._encoded: dict[Callable[[str], bytes], list[bytes]] = {}
        self._frames: dict[tuple[str, str, int], tuple[bytes, bytes] | None] = {}

    def add(self, sessions: list[Session], text: str) -> bool:
        """Adds a message; returns False, without it, where it has to go by itself."""
        if (
            len(self.rest) != len(self._sessions)
            or (self.count and self._size + len(text) > self.MAX_SIZE)
            or sessions != self._sessions
        ):
            return False
        self._texts.append(text)
        self.count += 1
        self._size += len(text)
        for encode, messages in self._encoded.items():
            messages.append(encode(text))
        for session in self._early:
            session.queue(self.encoded(session.transport.encode)[-1:])
        return True

    def settle(self, session: Session) -> None:
        """Lets one session have its messages now, in its own queue."""
        if self._waiting is None:
            self._waiting = set(self.rest)
        if session in self._waiting:
            self._waiting.discard(session)
            self._early.append(session)
            session.queue(self.encoded(session.transport.encode))

    def take(self) -> Session | None:
        """Takes the next session out of the rest; None where that has its messages."""
        session = self.rest.pop()
        if self._waiting is not None:
            if session not in self._waiting:
                return None
            self._waiting.discard(session)
        return session

    def encoded(self, encode: Callable[[str], bytes]) -> list[bytes]:
        """Returns the messages as a transport queues them."""
        messages = self._encoded.get(encode)
        if messages is None:
            messages = self._encoded[encode] = list(map(encode, self._texts))
        return messages

    def frame(self, receiver: Receiver, limit: int) -> tuple[bytes, bytes] | None:
        """Returns the frame that holds all messages, without and with its transport's wrapping.

        Args:
            receiver: who takes it.
            limit: bytes of messages that leave in one frame, if there is more than one.

        Returns:
            None where they are more.
        """
        transport = receiver.transport
        key = transport.name, receiver.callback, limit
        try:
            return self._frames[key]
        except KeyError:
            messages = self.encoded(transport.encode)
            made = None
            if self.count == 1 or sum(map(len, messages)) + self.count <= limit:
                text = transport.pack(messages)
                made = text, transport.frame(text, receiver.callback)
            self._frames[key] = made
            return made


class Broadcasts:
    """The broadcasts of an application; used on the loop only.

    Each session gets what is sent to it alone, and what is sent to many, in the order of the
    calls: what would overtake a broadcast makes that go to its session first (`settle`).

    Args:
        clock: the loop's.

    Attributes:
        crowd: the messages that are under way, None where there are none.
    """

    #: How many sessions are written in one go, so that a crowd cannot hold up the loop.
    BATCH = 100

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._scheduled = False
        self.crowd: Crowd | None = None

    def send(self, sessions: list[Session], text: str) -> None:
        """Sends a message to many sessions; it is encoded once for each kind of transport.

        Args:
            sessions: the list is kept, and must not change.
            text: the message.
        """
        if self.crowd is None or not self.crowd.add(sessions, text):
            self._settle_all()
            self.crowd = Crowd(sessions)
            self.crowd.add(sessions, text)
        if not self._scheduled:
            self._schedule()

    def settle(self, session: Session) -> None:
        """Lets a session have what is under way to it: something else is to come behind that."""
        if self.crowd is not None:
            self.crowd.settle(session)

    def _settle_all(self) -> None:
        crowd, self.crowd = self.crowd, None
        while crowd is not None and crowd.rest:
            session = crowd.take()
            if session is not None:
                session.queue(crowd.encoded(session.transport.encode))

    def _schedule(self) -> None:
        self._scheduled = True
        self._clock.call_soon(self._write)

    def _write(self) -> None:
        self._scheduled = False
        crowd, now = self.crowd, self._clock.time()
        if crowd is None:
            return
        rest = crowd.rest
        for _ in range(min(self.BATCH, len(rest))):
            # What happens to one session may have settled the rest.
            session = crowd.take() if rest else None
            if session is None:
                continue
            try:
                session.take(crowd, now)
            except Exception:
                # The others must not wait for ever because of this one.
                logger.exception("%s: writing failed", session.id)
                session.fail()
        if self.crowd is not crowd:
            return
        if rest:
            self._schedule()
        else:
            self.crowd = None
