"""Messages for many sessions, on their way to each of them. No I/O."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from sockjs_bridge.core.clock import Clock
from sockjs_bridge.core.contracts import Receiver

if TYPE_CHECKING:
    from sockjs_bridge.core.session import Session

logger = logging.getLogger("sockjs_bridge.session")


class Crowd:
    """The messages of one tick for the same sessions.

    They do not go through each session's own queue, which would touch a dozen objects of each:
    that costs more than all else but the kernel, because none of them is in the CPU's caches.

    Args:
        sessions: whom they are for; the list must not change.

    Attributes:
        rest: those that have not got them yet, the next one last.
        texts: the messages.
    """

    #: Characters of text that wait together, unless it is one message.
    MAX_SIZE = 2**16

    def __init__(self, sessions: list[Session]) -> None:
        self._sessions = sessions
        self.rest = sessions[::-1]
        self.texts: list[str] = []
        self._size = 0
        # How many of them those sessions have that are ahead of the rest.
        self._ahead: dict[Session, int] = {}
        # What the rest is, when that had to be known: those that are not ahead, or go without.
        self._waiting: set[Session] | None = None
        self._encoded: dict[Callable[[str], bytes], list[bytes]] = {}
        self._frames: dict[tuple[str, int], tuple[bytes, bytes] | None] = {}

    def add(self, sessions: list[Session], text: str, exclude: Collection[Session]) -> bool:
        """Adds a message; returns False, without it, where it has to go by itself."""
        size = len(text) + 1
        if (self.texts and self._size + size > self.MAX_SIZE) or sessions != self._sessions:
            return False
        for session in self._sessions[: len(self._sessions) - len(self.rest)]:
            self._ahead.setdefault(session, len(self.texts))
        for session in exclude:
            self.settle(session)
        self.texts.append(text)
        self._size += size
        self._frames.clear()
        for encode, messages in self._encoded.items():
            messages.append(encode(text))
        for session in exclude:
            if session in self._ahead:
                self._ahead[session] = len(self.texts)
        for session in [*self._ahead]:
            self._queue(session)
        return True

    def settle(self, session: Session) -> None:
        """Lets one session have its messages now, in its own queue."""
        if self.drop(session):
            self._ahead[session] = 0
        if session in self._ahead:
            self._queue(session)

    def drop(self, session: Session) -> bool:
        """Lets one session go without; returns False where it has its messages, or gets none."""
        if self._waiting is None:
            self._waiting = set(self.rest)
        if session not in self._waiting:
            return False
        self._waiting.discard(session)
        return True

    def next(self) -> Session | None:
        """Takes the next session out of the rest; None where nothing is left to do for it."""
        session = self.rest.pop()
        return session if self._waiting is None or self.drop(session) else None

    def _queue(self, session: Session) -> None:
        begin = self._ahead[session]
        if begin < len(self.texts):
            # Before it has them: what becomes of the session may lead back to here.
            self._ahead[session] = len(self.texts)
            session.queue_all(self.encoded(session.transport.encode)[begin:])

    def encoded(self, encode: Callable[[str], bytes]) -> list[bytes]:
        """Returns the messages as a transport queues them."""
        messages = self._encoded.get(encode)
        if messages is None:
            messages = self._encoded[encode] = list(map(encode, self.texts))
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
        key = transport.name, limit
        try:
            made = self._frames[key]
        except KeyError:
            messages = self.encoded(transport.encode)
            made = None
            if len(messages) == 1 or sum(map(len, messages)) + len(messages) <= limit:
                text = transport.pack(messages)
                made = text, transport.frame(text, receiver.callback)
            self._frames[key] = made
        if made is not None and transport.takes_callback:
            # Clients make up names of their own, so that none would be asked for again.
            return made[0], transport.frame(made[0], receiver.callback)
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
        self.crowd: Crowd | None = None

    def send(self, sessions: list[Session], text: str, exclude: Collection[Session] = ()) -> None:
        """Sends a message to many sessions; it is encoded once for each kind of transport.

        Args:
            sessions: the list is kept, and must not change.
            text: the message.
            exclude: those of them that do not get it.
        """
        if self.crowd is None:
            self.crowd = Crowd(sessions)
            self.crowd.add(sessions, text, exclude)
            self._clock.call_soon(self._write)
        elif not self.crowd.add(sessions, text, exclude):
            # Where different ones get messages in a tick, each session's own queue collects what
            # leaves in one frame.
            self._queue(sessions, text, exclude)

    def settle(self, session: Session) -> None:
        """Lets a session have what is under way to it: something else is to come behind that."""
        if self.crowd is not None:
            self.crowd.settle(session)

    def drop(self, session: Session) -> None:
        """Lets a session go without what is under way to it."""
        if self.crowd is not None:
            self.crowd.drop(session)

    @staticmethod
    def _queue(sessions: list[Session], text: str, exclude: Collection[Session]) -> None:
        encoded: dict[Callable[[str], bytes], bytes] = {}
        for session in sessions:
            if session in exclude:
                continue
            encode = session.transport.encode
            message = encoded.get(encode)
            if message is None:
                message = encoded[encode] = encode(text)
            session.send_encoded(message)

    def _write(self) -> None:
        crowd, now = self.crowd, self._clock.time()
        assert crowd is not None
        try:
            for _ in range(min(self.BATCH, len(crowd.rest))):
                session = crowd.next()
                if session is not None:
                    self._write_to(session, crowd, now)
        finally:
            if crowd.rest:
                self._clock.call_soon(self._write)
            else:
                self.crowd = None

    @staticmethod
    def _write_to(session: Session, crowd: Crowd, now: float) -> None:
        try:
            session.write_crowd(crowd, now)
        except Exception:
            # The others must not wait for ever because of this one.
            logger.exception("%s: writing failed", session.id)
            session.fail()
