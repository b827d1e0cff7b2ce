"""All sessions of an endpoint: birth, look-up, end."""

from __future__ import annotations

import logging
import os
from base64 import urlsafe_b64encode
from collections.abc import Iterator

from sockjs_bridge.core import protocol
from sockjs_bridge.core.flusher import Flusher
from sockjs_bridge.core.hub import Hub, TooManySessions
from sockjs_bridge.core.session import Session
from sockjs_bridge.core.settings import Settings
from sockjs_bridge.core.states import OPEN
from sockjs_bridge.core.transports import Transport

logger = logging.getLogger("sockjs_bridge.session")


class Manager:
    """The sessions of one endpoint; fulfils `Owner` for them.

    Args:
        settings: of the endpoint.
        hub: shared by the endpoints of an application.

    Attributes:
        settings: as given.
        clock: the hub's.
        rooms: the hub's.
        broadcasts: the hub's.
        monitor: the hub's.
        traffic: see `Owner`.
    """

    #: How many sessions are closed in one go, so that many cannot hold up the loop.
    BATCH = 100

    def __init__(self, settings: Settings, hub: Hub) -> None:
        self.settings = settings
        self.clock = hub.clock
        self.rooms = hub.rooms
        self.broadcasts = hub.broadcasts
        self.monitor = hub.monitor
        self.traffic = hub.monitor.traffic
        # Its own: who waits behind many of another endpoint would wait for all of them.
        self._flusher = Flusher(hub.clock, hub.wheel.update)
        # What sessions ask for with each message: nothing of this class stands in between.
        self.watch = hub.wheel.update
        self.flush_soon = self._flusher.add
        self.flush_now = self._flusher.write
        self.settle = hub.broadcasts.settle
        self.drop = hub.broadcasts.drop
        self.join = hub.join
        self.leave = hub.rooms.leave
        self.leave_rooms = hub.leave_rooms
        self.rooms_of = hub.rooms.of
        self._hub = hub
        # WebSocket sessions are in the second set only: an HTTP request cannot find them.
        self._by_id: dict[tuple[str, str], Session] = {}
        self._all: set[Session] = set()
        self._closed = False
        hub.add(self)

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
        self._hub.capacity.take()
        if transport.websocket:
            session = Session(self, urlsafe_b64encode(os.urandom(12)).decode(), transport)
        else:
            session = Session(self, session_id, transport, base)
            self._by_id[base, session_id] = session
        self._all.add(session)
        self.watch(session)
        return session

    def forget(self, session: Session) -> None:
        """Drops a session that is over, and logs what it was."""
        self._all.discard(session)
        key = session.base, session.id
        if self._by_id.get(key) is session:
            del self._by_id[key]
        self._hub.wheel.drop(session)
        self._hub.capacity.give_back()
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
        return [session for session in self if session.state is OPEN]

    def broadcast(self, text: str) -> None:
        """Sends a message to every open session."""
        self.broadcasts.send(self.open_sessions, text)

    def close(
        self,
        code: int = protocol.GO_AWAY[0],
        reason: str = protocol.GO_AWAY[1],
        within: float = 0.0,
    ) -> Iterator[None]:
        """Closes every session, and writes what leads there; none begins any more.

        A client that is between two polls hears it when it comes back.

        Returns:
            What closes some sessions at each step, so that many cannot hold up the loop.
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
            self._flusher.drain()
            yield

    @property
    def told(self) -> bool:
        """Whether every client has heard that its session is over."""
        return all(session.told for session in self)

    def finish(self) -> None:
        """Forgets the sessions that are left: the server has stopped."""
        for session in self:
            session.finish()
