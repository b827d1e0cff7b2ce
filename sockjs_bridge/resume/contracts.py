"""What a resumable session needs of its sides, beyond what every session needs."""

from __future__ import annotations

from typing import Protocol

from sockjs_bridge.core.claim import Claim
from sockjs_bridge.core.contracts import Handler, Owner, Receiver, Recipient
from sockjs_bridge.core.transports import Transport
from sockjs_bridge.native import mypyc_attr
from sockjs_bridge.resume.frames import Replaced


class ResumableHandler(Handler, Protocol):
    """The application's side: a handler that says more.

    `suspended` and `resumed` may call the channel back as `opened` may; `handled` calls nothing.
    """

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
    """What a session needs of a WebSocket that says hello; it calls none of them while in one.

    Attributes:
        holds_place: it counts as a session by itself.
    """

    holds_place: bool

    def welcomed(self, received: int) -> None:
        """The welcome was written: messages count from what it told."""
        raise NotImplementedError

    def replaced(self) -> None:
        """Another receiver took over: it may say hello again."""
        raise NotImplementedError

    def end(self) -> None:
        """Ends it in good order; it calls `Resident.detach`."""
        raise NotImplementedError


class Resident(Recipient, Protocol):
    """What the owner needs of a session.

    Attributes:
        key: its place: the base URL and the id.
    """

    key: tuple[str, str]

    def give_up(self) -> None:
        """Ends: too much is kept."""
        raise NotImplementedError

    def tell(self) -> None:
        """Tells its client how many messages were handled, if it does not know."""
        raise NotImplementedError


@mypyc_attr(allow_interpreted_subclasses=True)
class ResumeMonitor:
    """What is counted beside `Monitor`; by default nothing is. Everything is called on the loop."""

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


class ResumeOwner(Owner[Resident], Protocol):
    """Where a resumable session lives. Called on the loop only.

    Attributes:
        resumption: what counts how sessions go on.
        claim: whether they may be served.
    """

    resumption: ResumeMonitor
    claim: Claim

    @property
    def resume_window(self) -> float:
        """Seconds that a session waits for its client."""
        raise NotImplementedError

    def introduced(self, session: Resident, former: Replaced | None) -> None:
        """Hears that a session's client has said what it has of rooms; may call it back.

        Args:
            session: the session.
            former: another one of this client's, which is to end.
        """
        raise NotImplementedError

    def tell_soon(self, session: Resident) -> None:
        """Has `Resident.tell` called, after 50 ms or a little more."""
        raise NotImplementedError

    def keeps(self, session: Resident, size: int | None) -> None:
        """Hears how many bytes a session keeps while it is suspended, None once it is not.

        It may end other sessions, and this one, where all of them keep too much.
        """
        raise NotImplementedError
