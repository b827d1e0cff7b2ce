"""What a resumable session needs of its sides, beyond what every session needs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from sockjs_bridge.core.clock import Clock, Timed
from sockjs_bridge.core.contracts import Receiver
from sockjs_bridge.core.settings import Settings
from sockjs_bridge.core.transports import Transport


class ResumableHandler(Protocol):
    """The application's side: a ``Handler`` that says more.

    Everything is called on the loop; all but `backlog` and `handled` may call the session back.
    """

    def opened(self) -> None:
        """The session is open; called once, first."""
        raise NotImplementedError

    def received(self, messages: list[str]) -> None:
        """Messages arrived."""
        raise NotImplementedError

    def backlog(self) -> int:
        """Returns how many messages arrived and were not taken up yet."""
        raise NotImplementedError

    def closed(self, code: int, reason: str) -> None:
        """The session is over; called once, last."""
        raise NotImplementedError

    def handled(self) -> int:
        """Returns how many messages were handled so far, of all that `received` was given.

        A hook has returned, a view has asked for the next one. It only grows, and is asked after
        `closed`, too. When it has grown and the session is ``awaited``, the handler calls
        `ResumableSession.ready`.
        """
        raise NotImplementedError

    def suspended(self) -> None:
        """Nobody has received for ``disconnect_delay``; called once before `resumed`."""
        raise NotImplementedError

    def resumed(self) -> None:
        """The client is back, after `suspended`."""
        raise NotImplementedError


class LinkReceiver(Receiver, Protocol):
    """A WebSocket as a receiver: its end may be told with a code of its own."""

    def end_with(self, code: int, reason: str) -> None:
        """Sends a close frame (RFC 6455, 5.5.1); calls nobody back."""
        raise NotImplementedError


class WebSocketLink(Protocol):
    """What a session needs of a WebSocket that says hello; it calls none of them while in one."""

    def welcomed(self, received: int) -> None:
        """The welcome was written: messages count from what it told."""
        raise NotImplementedError

    def replaced(self) -> None:
        """Another receiver took over: it may say hello again."""
        raise NotImplementedError

    def end(self) -> None:
        """Ends it in good order; it calls `Resident.detach`."""
        raise NotImplementedError


class Resident(Timed, Protocol):
    """What the owner needs of a session.

    Attributes:
        id: the session's id in the URL.
        key: its place: the base URL and the id.
        dirty: it will be flushed at the end of the tick.
    """

    id: str
    key: tuple[str, str]
    dirty: bool

    def flush(self) -> None:
        """Writes what there is."""
        raise NotImplementedError

    def give_up(self) -> None:
        """Ends: too much is kept."""
        raise NotImplementedError


class Batch(Protocol):
    """Messages encoded and framed once for all who get them (``frames.Batch`` of the core).

    Attributes:
        texts: the messages.
    """

    texts: list[str]

    def encoded(self, encode: Callable[[str], bytes]) -> list[bytes]:
        """Returns the messages as a transport queues them."""
        raise NotImplementedError

    def frame(self, receiver: Receiver, limit: int) -> tuple[bytes, bytes] | None:
        """Returns the one frame of all messages, without and with its transport's wrapping.

        Args:
            receiver: who takes it.
            limit: bytes of messages that leave in one frame, if there is more than one.
        """
        raise NotImplementedError


class Monitor:
    """What is counted; by default nothing is. Everything is called on the loop."""

    def resumed(self, transport: Transport) -> None:
        """A suspended session is received again."""

    def replaced(self, transport: Transport) -> None:
        """A newer receive request took over from a receiver of this transport."""

    def stale(self, transport: Transport) -> None:
        """A receive request came late."""

    def lost(self, transport: Transport) -> None:
        """A client was told that its session is no more."""

    def moved(self, transport: Transport) -> None:
        """A client was told that the server leaves."""

    def tombstone(self, transport: Transport) -> None:
        """A client was told how its session had ended."""

    def polled(self) -> None:
        """A poll came."""


class Owner(Protocol):
    """Where a session lives. Called on the loop only.

    Attributes:
        clock: the loop's.
        settings: the endpoint's.
        monitor: what counts.
    """

    clock: Clock
    settings: Settings
    monitor: Monitor

    @property
    def resume_window(self) -> float:
        """Seconds that a session waits for its client."""
        raise NotImplementedError

    def watch(self, session: Resident) -> None:
        """Sees to it that a session is called by its deadline."""
        raise NotImplementedError

    def flush_soon(self, session: Resident) -> None:
        """Has a session flushed at the end of the tick."""
        raise NotImplementedError

    def flush_now(self, session: Resident) -> None:
        """Flushes a session; fails it where that raises."""
        raise NotImplementedError

    def settle(self, session: Resident) -> None:
        """Lets a session have the broadcasts that are under way to it."""
        raise NotImplementedError

    def drop(self, session: Resident) -> None:
        """Lets a session go without the broadcasts that are under way to it."""
        raise NotImplementedError

    def leave_rooms(self, session: Resident) -> frozenset[str]:
        """Takes a session out of its rooms, and returns which those were."""
        raise NotImplementedError

    def forget(self, session: Resident) -> None:
        """Drops a session that is gone; what is told of it stays as a tombstone."""
        raise NotImplementedError

    def keeps(self, session: Resident, size: int | None) -> None:
        """Hears how many bytes a session keeps while it is suspended, None once it is not.

        It may end other sessions, and this one, where all of them keep too much.
        """
        raise NotImplementedError
