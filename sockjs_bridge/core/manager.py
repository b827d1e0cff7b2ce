"""All sessions of an endpoint: birth, look-up, end."""

from __future__ import annotations

import os
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator

from sockjs_bridge.core import protocol
from sockjs_bridge.core.basemanager import BaseManager
from sockjs_bridge.core.hub import Hub
from sockjs_bridge.core.session import Session
from sockjs_bridge.core.settings import Settings
from sockjs_bridge.core.states import OPEN
from sockjs_bridge.core.transports import Transport


class Manager(BaseManager[Session]):
    """The sessions of one endpoint; fulfils `Owner` for them.

    Args:
        settings: of the endpoint.
        hub: shared by the endpoints of an application.

    Attributes:
        rooms: the hub's.
        broadcasts: the hub's.
        ended: hears of base and id of each session over HTTP that is over; None: nobody does.
    """

    def __init__(self, settings: Settings, hub: Hub) -> None:
        super().__init__(settings, hub)
        self.rooms = hub.rooms
        self.broadcasts = hub.broadcasts
        # WebSocket sessions are in the second set only: an HTTP request cannot find them.
        self._by_id: dict[tuple[str, str], Session] = {}
        self._all: set[Session] = set()
        self.ended: Callable[[str, str], object] | None = None
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
        self._take_place()
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
            if self.ended is not None:
                self.ended(*key)
        self._let_go(session, reason=f" {session.close_reason!r}")

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
        return self._end_all(lambda session: session.close(code, reason))

    @property
    def told(self) -> bool:
        """Whether every client has heard that its session is over."""
        return all(session.told for session in self)
