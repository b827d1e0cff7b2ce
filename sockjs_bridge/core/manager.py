"""All sessions of an endpoint: birth, look-up, expiry, limits, closing down."""

from __future__ import annotations

import logging
import secrets
from collections import deque
from collections.abc import Iterator

from sockjs_bridge.core import protocol
from sockjs_bridge.core.broadcasts import Broadcasts
from sockjs_bridge.core.clock import Clock, DeadlineWheel
from sockjs_bridge.core.monitor import Monitor
from sockjs_bridge.core.outbox import SharedFrames
from sockjs_bridge.core.rooms import Rooms
from sockjs_bridge.core.session import Session, State
from sockjs_bridge.core.settings import Settings
from sockjs_bridge.core.transports import Transport

logger = logging.getLogger("sockjs_bridge.session")


class TooManySessions(Exception):
    """No session may begin: there are ``max_sessions``, or the server stops; the text says it."""


class Places:
    """The sessions of one process, all its applications together.

    Attributes:
        taken: how many there are.
    """

    __slots__ = ("taken",)

    def __init__(self) -> None:
        self.taken = 0


class Capacity:
    """Counts the sessions of one process against the ``max_sessions`` of an application.

    Args:
        limit: how many there may be.
        places: what the applications of the process share; None where there is one application.
    """

    def __init__(self, limit: int, places: Places | None = None) -> None:
        self._limit = limit
        self._places = Places() if places is None else places

    def take(self) -> None:
        """Takes a place.

        Raises:
            TooManySessions: none is left.
        """
        if self._places.taken >= self._limit:
            raise TooManySessions("Too many sessions.")
        self._places.taken += 1

    def give_back(self) -> None:
        """Frees a place."""
        self._places.taken -= 1


class Manager:
    """The sessions of one endpoint.

    Args:
        settings: of the endpoint.
        clock: the loop's.
        capacity: shared by the endpoints of an application.
        rooms: shared by the endpoints of an application.
        broadcasts: shared by the endpoints of an application.
    """

    #: How many sessions are written in one go, so that a crowd cannot hold up the loop.
    BATCH = 100
    #: How many frames are kept for the rest of a crowd.
    SHARED = 1000

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        capacity: Capacity,
        rooms: Rooms | None = None,
        broadcasts: Broadcasts | None = None,
    ) -> None:
        self.settings = settings
        self.clock = clock
        self.monitor = Monitor()
        self.wheel = DeadlineWheel(clock)
        self.rooms = Rooms() if rooms is None else rooms
        self.broadcasts = Broadcasts(clock) if broadcasts is None else broadcasts
        self._capacity = capacity
        # WebSocket sessions are in the second set only: an HTTP request cannot find them.
        self._by_id: dict[tuple[str, str], Session] = {}
        self._all: set[Session] = set()
        self._dirty: deque[Session] = deque()
        self._scheduled = False
        self._shared: SharedFrames = {}
        self._closed = False

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self._all))

    def get(self, session_id: str, base: str = "") -> Session | None:
        """Looks up the session of an HTTP transport.

        Args:
            session_id: from the URL.
            base: the URL path of the endpoint; a pattern may match many, and a session that was
                opened below one is none of another.
        """
        return self._by_id.get((base, session_id))

    def create(self, session_id: str, transport: Transport, base: str = "") -> Session:
        """Makes a session.

        Args:
            session_id: from the URL; a WebSocket gets a random one, because it is no key to it.
            transport: the one that opens it.
            base: the URL path of the endpoint.

        Raises:
            TooManySessions: there are ``max_sessions`` already, or the server stops.
        """
        if self._closed:
            # Its request was under way: nobody would end what it begins.
            raise TooManySessions("The server stops.")
        self._capacity.take()
        if transport.websocket:
            session = Session(self, secrets.token_urlsafe(12), transport)
        else:
            session = Session(self, session_id, transport, base)
            self._by_id[session.key] = session
        self._all.add(session)
        self.wheel.update(session)
        return session

    def forget(self, session: Session) -> None:
        """Drops a session that is over, and logs what it was."""
        self._all.discard(session)
        if self._by_id.get(session.key) is session:
            del self._by_id[session.key]
        self.wheel.drop(session)
        self._capacity.give_back()
        if session.close_code is not None and logger.isEnabledFor(logging.INFO):
            logger.info(
                "%s %s ended after %.1f s with %d %r: in %d messages, %d bytes; "
                "out %d messages, %d bytes",
                session.id,
                session.transport.name,
                self.clock.time() - session.opened_at,
                session.close_code,
                session.close_reason,
                session.messages_in,
                session.bytes_in,
                session.messages_out,
                session.bytes_out,
            )

    @property
    def open_sessions(self) -> list[Session]:
        """The sessions whose handshake is over; may be read in any thread."""
        return [session for session in self if session.state is State.OPEN]

    def broadcast(self, text: str) -> None:
        """Sends a message to every open session."""
        self.broadcasts.send(self.open_sessions, text)

    def schedule_flush(self, session: Session) -> None:
        """Has a session written at the end of the loop's tick, in a crowd some ticks later."""
        if not session.dirty:
            session.dirty = True
            self._dirty.append(session)
            if not self._scheduled:
                self._schedule()

    def _schedule(self) -> None:
        self._scheduled = True
        self.clock.call_soon(self._flush)

    def _flush(self) -> None:
        self._scheduled = False
        dirty, shared = self._dirty, self._shared
        # One session alone has nobody to share its frames with.
        alone = len(dirty) == 1
        for _ in range(min(self.BATCH, len(dirty))):
            session = dirty.popleft()
            session.dirty = False
            self.write(session, None if alone else shared)
            if session.state is State.CLOSING:
                self.wheel.update(session)
        if dirty and not self._scheduled:
            self._schedule()
        if not dirty or len(shared) > self.SHARED:
            shared.clear()

    def write(self, session: Session, shared: SharedFrames | None = None) -> None:
        """Writes what waits in a session; ends it where that fails.

        Args:
            session: one of these.
            shared: see `Session.flush`.
        """
        try:
            session.flush(shared)
        except Exception:
            # The others must not wait for ever because of this one.
            logger.exception("%s: writing failed", session.id)
            session.fail()

    def close(
        self, code: int = protocol.GO_AWAY[0], reason: str = protocol.GO_AWAY[1]
    ) -> Iterator[None]:
        """Closes every session, and writes what leads there; none begins any more.

        A client that is between two polls hears it when it comes back.

        Returns:
            What closes some sessions at each step, so that a crowd cannot hold up the loop.
        """
        self._closed = True
        return self._close(list(self._all), code, reason)

    def _close(self, sessions: list[Session], code: int, reason: str) -> Iterator[None]:
        for begin in range(0, len(sessions), self.BATCH):
            for session in sessions[begin : begin + self.BATCH]:
                try:
                    session.close(code, reason)
                except Exception:
                    # The others have to hear of it too.
                    logger.exception("%s: closing failed", session.id)
                    session.fail()
            while self._dirty:
                self._flush()
            yield

    @property
    def told(self) -> bool:
        """Whether every client has heard that its session is over."""
        return all(session.told for session in self)

    def finish(self) -> None:
        """Forgets the sessions that are left: the server has stopped."""
        for session in self:
            session.finish()
