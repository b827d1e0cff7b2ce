"""What the sessions of an endpoint need of where they live, whatever their kind."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import ClassVar, Generic, Protocol, TypeVar

from sockjs_bridge.core.contracts import Recipient
from sockjs_bridge.core.flusher import Flusher
from sockjs_bridge.core.hub import Hub, TooManySessions
from sockjs_bridge.core.joined import Joined
from sockjs_bridge.core.settings import Settings
from sockjs_bridge.core.statemachine import TableEnum

logger = logging.getLogger("sockjs_bridge.session")


class Managed(Recipient, Protocol):
    """A session, for its manager.

    Attributes:
        opened_at: when it was made, in seconds of the clock.
        close_code: once it is closed, None before.
        bytes_in: the bytes in which messages arrived.
        messages_out: how many messages left.
        bytes_out: the bytes of the frames that left.
    """

    opened_at: float
    close_code: int | None
    bytes_in: int
    messages_out: int
    bytes_out: int

    @property
    def state(self) -> TableEnum:
        """How far its life is."""
        raise NotImplementedError

    @property
    def queued(self) -> tuple[int, int]:
        """How many messages its client lacks, and their bytes."""
        raise NotImplementedError

    @property
    def unhandled(self) -> int:
        """How many messages wait for its application."""
        raise NotImplementedError

    @property
    def messages_in(self) -> int:
        """How many messages were handed on."""
        raise NotImplementedError

    def finish(self) -> None:
        """Forgets it."""
        raise NotImplementedError


S = TypeVar("S", bound=Managed)


class BaseManager(Generic[S]):
    """Sessions of one endpoint; a part of `Owner` and of `Sessions`.

    Args:
        settings: of the endpoint.
        hub: shared by the endpoints of an application.

    Attributes:
        settings: as given.
        clock: the hub's.
        monitor: the hub's.
        traffic: see `Owner`.
    """

    #: How many sessions are ended in one go, so that many cannot hold up the loop.
    BATCH: ClassVar[int] = 100

    def __init__(self, settings: Settings, hub: Hub) -> None:
        self.settings = settings
        self.clock = hub.clock
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
        self.leave = hub.leave
        self.leave_rooms = hub.leave_rooms
        self.rooms_of = hub.rooms.of
        self._hub = hub
        self._closed = False

    def __iter__(self) -> Iterator[S]:
        raise NotImplementedError

    def join(self, session: Recipient, room: str, info: str = "", announce: bool = False) -> Joined:
        """Puts a session into a room; in any thread.

        Args:
            session: the session.
            room: its name.
            info: what is told of the session there, a JSON object; empty where nothing is.
            announce: members are told that it came, and that it leaves.

        Returns:
            False when the session is over.

        Raises:
            ValueError: the info has more than ``max_presence_info`` bytes.
        """
        limit = self.settings.max_presence_info
        if len(info) > limit:
            raise ValueError(f"info has {len(info)} bytes, and max_presence_info is {limit}")
        return self._hub.join(session, room, info, announce)

    def _take_place(self) -> None:
        """Takes a session's place.

        Raises:
            TooManySessions: there are ``max_sessions`` already, or the server stops.
        """
        if self._closed:
            # Its request was under way: nobody would end what it begins.
            raise TooManySessions("The server stops.")
        self._hub.capacity.take()

    def _let_go(self, session: S, *, reason: str = "") -> None:
        """Gives back a session's place, and logs what the session was.

        Args:
            session: one that is over.
            reason: of its end, as the log has it.
        """
        self._hub.wheel.drop(session)
        self._hub.capacity.give_back()
        if session.close_code is not None:
            logger.info(
                "%s %s ended after %.1f s with %d%s: in %d messages, %d bytes; "
                "out %d messages, %d bytes",
                session.id,
                session.transport.name,
                self.clock.time() - session.opened_at,
                session.close_code,
                reason,
                session.messages_in,
                session.bytes_in,
                session.messages_out,
                session.bytes_out,
            )

    def _end_all(self, end: Callable[[S], object]) -> Iterator[None]:
        """Begins no more, and ends all sessions that there are, some at each step."""
        self._closed = True
        return self._end_each(list(self), end)

    def _end_each(self, sessions: list[S], end: Callable[[S], object]) -> Iterator[None]:
        for begin in range(0, len(sessions), self.BATCH):
            for session in sessions[begin : begin + self.BATCH]:
                try:
                    end(session)
                except Exception:
                    # The others have to hear of it too.
                    logger.exception("%s: closing failed", session.id)
                    session.fail()
            self._flusher.drain()
            yield

    def finish(self) -> None:
        """Forgets the sessions that are left: the server has stopped."""
        for session in self:
            session.finish()
