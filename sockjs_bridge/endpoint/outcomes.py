"""What may come of a request for an endpoint; a server tells them apart by their class."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Protocol

from sockjs_bridge.core.contracts import Receiver
from sockjs_bridge.core.session import Session
from sockjs_bridge.core.states import NEW
from sockjs_bridge.core.transports import PLAIN, Transport
from sockjs_bridge.endpoint.opening import Opening, Owned
from sockjs_bridge.resume.frames import ReceiveRequest
from sockjs_bridge.resume.link import Link
from sockjs_bridge.resume.manager import ResumeManager
from sockjs_bridge.resume.mux import Mux
from sockjs_bridge.resume.probe import Probe
from sockjs_bridge.resume.session import ResumableSession

NO_CACHE = ("Cache-Control", "no-store, no-cache, no-transform, must-revalidate, max-age=0")
NOSNIFF = ("X-Content-Type-Options", "nosniff")
#: On all answers of ``~r1``: what is kept, guessed or held back on the way is of no use.
COMMON = [NO_CACHE, NOSNIFF, ("X-Accel-Buffering", "no")]
#: With 503: in how many seconds to come again.
RETRY_AFTER = ("Retry-After", "5")
#: The same where another process may do better.
SOON = ("Retry-After", "1")
UNREACHABLE = "The session cannot be reached at present."

Headers = list[tuple[str, str]]


@dataclass(slots=True)
class Answer:
    """The response is known.

    Attributes:
        status: of the response.
        headers: in order. Length, date and connection are the server's.
        body: complete.
    """

    status: int
    headers: Headers = field(default_factory=list, repr=False)
    body: bytes = field(default=b"", repr=False)


class Source(Protocol):
    """What writes to a receiver, as the server's side of that sees it."""

    def flush(self) -> None:
        """Writes what waits; the receiver takes frames again."""
        raise NotImplementedError

    def detach(self, receiver: Receiver, *, lost: bool, code: int = 1006, reason: str = "") -> None:
        """Says that a receiver is gone; see `Session.detach`."""
        raise NotImplementedError


@dataclass(slots=True)
class Receiving:
    """The response is a receiver: a poll or a stream (200), or a WebSocket (101).

    The server makes it, attaches it at once, and, while the session is new, leads the handshake
    through the application.

    Attributes:
        session: what writes to it.
        transport: of the receiver.
        headers: of the response, in order, as in `Answer`.
        callback: of the receiver: the function that a jsonp or htmlfile client named.
        tag: of the receiver: the client's ``t`` parameter, the last one.
    """

    session: Source
    transport: Transport
    headers: Headers = field(repr=False)
    callback: str = ""
    tag: str | None = None

    @property
    def opening(self) -> Opening | None:
        """The session, while the application has to be asked about it."""
        raise NotImplementedError

    def attach(self, receiver: Receiver) -> None:
        """Attaches the receiver to its session."""
        raise NotImplementedError


@dataclass(slots=True)
class Attach(Receiving):
    """The receiver is a stock session's."""

    session: Session

    @property
    def opening(self) -> Opening | None:
        """The session, while the application has to be asked about it."""
        return self.session if self.session.state is NEW else None

    def attach(self, receiver: Receiver) -> None:
        """Attaches the receiver to its session."""
        self.session.attach(receiver)

    def abandon(self) -> None:
        """Forgets the session: the handshake of its WebSocket was refused."""
        self.session.abandon()


@dataclass(slots=True)
class Resume(Receiving):
    """The receiver is a poll or a stream of ``~r1``.

    Attributes:
        request: what asks for it.
        terms: what the welcome tells beside.
    """

    session: ResumableSession
    request: ReceiveRequest = field(kw_only=True)
    terms: Mapping[str, Any] | None = field(kw_only=True)

    @property
    def opening(self) -> Opening | None:
        """The session, while the application has to be asked about it."""
        return self.session if self.session.new else None

    def attach(self, receiver: Receiver) -> None:
        """Attaches the receiver to its session."""
        self.session.attach(self.request, receiver, self.terms)


@dataclass(slots=True)
class Pong(Receiving):
    """The receiver is a stream that only proves that its way works."""

    session: Probe

    @property
    def opening(self) -> Opening | None:
        """Is always None."""
        return None

    def attach(self, receiver: Receiver) -> None:
        """Has it answered."""
        self.session.attach(receiver)


@dataclass(slots=True)
class Upgrade(Receiving):
    """A WebSocket of ``~r1``.

    Attributes:
        headers: of the response, of a refusal too.
        made: the session that was made for it; None where there is nothing to make.
    """

    session: Link
    manager: ResumeManager = field(kw_only=True)
    made: ResumableSession | None = field(kw_only=True)

    @property
    def opening(self) -> Opening | None:
        """The session, while the application has to be asked about it."""
        found = self.manager.get(self.session.place)
        return found if found is not None and found.new else None

    def attach(self, receiver: Receiver) -> None:
        """Does nothing: that is for a hello."""

    def abandon(self) -> None:
        """Forgets the session that was made for it, unless somebody else has asked for that."""
        self.session.abandon()
        if self.made is not None and self.made.proof is None:
            self.made.finish()


@dataclass(slots=True)
class Share(Receiving):
    """The receiver is a poll or a stream that several sessions share."""

    session: Mux

    @property
    def opening(self) -> Opening | None:
        """Is always None."""
        return None

    def attach(self, receiver: Receiver) -> None:
        """Has the sessions write to it."""
        self.session.attach(receiver)


class Waitable(Protocol):
    """What takes no more messages at present."""

    def when_ready(self, callback: Callable[[], object]) -> None:
        """Calls back once, when it takes some again."""
        raise NotImplementedError


@dataclass(slots=True)
class Wait:
    """The response is known, or will be then, and waits until a session takes messages again.

    Attributes:
        session: the one; see `Session.when_ready`.
        answer: the response.
    """

    session: Waitable
    answer: Answer


@dataclass(slots=True)
class Prove:
    """The request came with other credentials than those of its session before.

    The application is to be asked who makes it, and the request to be handled again with the
    `Proof`; nothing has been done with it.

    Attributes:
        session: the one, or its tombstone.
    """

    session: Owned


#: What asks for a WebSocket.
Upgrading = Attach | Upgrade
Outcome = Answer | Receiving | Wait | Prove


@dataclass(frozen=True, slots=True)
class Proof:
    """What the application says of a request that came with other credentials.

    Attributes:
        session: the one that the request is for.
        status: of the application's response; below 300 it would let in who asks.
        identity: who that is; None stands for nobody, `UNKNOWN` for a request that was answered
            before the application could tell.
        headers: of the application's response, for the client.
    """

    session: Owned
    status: int
    identity: object
    headers: Headers = field(repr=False)


def not_found() -> Answer:
    """Answers for what does not exist."""
    return Answer(404, [("Content-Type", PLAIN), NO_CACHE], b"Not found")


def not_allowed(methods: str) -> Answer:
    """Answers another method than the allowed ones."""
    return Answer(405, [("Allow", methods), NO_CACHE])


@lru_cache(maxsize=64)
def phrase(status: int) -> str:
    """Returns the words that belong to a status."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Refused"
