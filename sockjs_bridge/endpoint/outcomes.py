"""What may come of a request for an endpoint; a server tells them apart by their class."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from http import HTTPStatus

from sockjs_bridge.core.session import Session
from sockjs_bridge.core.transports import PLAIN, Transport

NO_CACHE = ("Cache-Control", "no-store, no-cache, no-transform, must-revalidate, max-age=0")
#: With 503: in how many seconds to come again.
RETRY_AFTER = ("Retry-After", "5")

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
    headers: Headers = field(default_factory=list)
    body: bytes = b""


@dataclass(slots=True)
class Attach:
    """The response is a receiver of a session: a poll or a stream (200), or a WebSocket (101).

    The server makes it, attaches it at once, and, while the session is new, leads the handshake
    through the application.

    Attributes:
        session: the one.
        transport: of the receiver.
        headers: of the response, in order, as in `Answer`.
        callback: of the receiver: the function that a jsonp or htmlfile client named.
        tag: of the receiver: the client's ``t`` parameter, the last one.
    """

    session: Session
    transport: Transport
    headers: Headers
    callback: str = ""
    tag: str | None = None


@dataclass(slots=True)
class Wait:
    """The response is known, and waits until a session takes messages again.

    Attributes:
        session: the one; see `Session.when_ready`.
        answer: the response.
    """

    session: Session
    answer: Answer


@dataclass(slots=True)
class Prove:
    """The request came with other credentials than those of its session before.

    The application is to be asked who makes it, and the request to be handled again with the
    `Proof`; nothing has been done with it.

    Attributes:
        session: the one.
    """

    session: Session


Outcome = Answer | Attach | Wait | Prove


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

    session: Session
    status: int
    identity: object
    headers: Headers


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
