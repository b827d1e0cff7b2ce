"""What an endpoint is asked, and what it answers, in parts that know no server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from sockjs_bridge.core.contracts import Peer
from sockjs_bridge.core.session import Session
from sockjs_bridge.core.transports import PLAIN, WEBSOCKET, Transport

NO_CACHE = ("Cache-Control", "no-store, no-cache, no-transform, must-revalidate, max-age=0")
#: With 503: in how many seconds to come again.
RETRY_AFTER = ("Retry-After", "5")

Headers = list[tuple[str, str]]


@dataclass(slots=True)
class Request:
    """The parts of an HTTP request that an endpoint looks at.

    Attributes:
        method: upper case.
        query: the raw query string.
        headers: by name; the look-up ignores case, or the names are written as usual.
        host: the value of ``Host``, or what a trusted proxy says instead.
        body: complete.
        peer: the other end of its connection.
        scheme: ``http`` or ``https``, by which the client asked, as far as the server or a trusted
            proxy knows; empty where that does not matter.
    """

    method: str
    query: str
    headers: Mapping[str, str]
    host: str
    body: bytes = b""
    peer: Peer = field(default_factory=Peer)
    scheme: str = ""


@dataclass(slots=True)
class Reply:
    """What to answer.

    Attributes:
        status: of the response.
        headers: in order. Length, date and connection are the server's.
        body: complete.
        session: the response is a receiver of this session; `status` and `body` are void.
        transport: of that receiver.
        callback: of that receiver.
        tag: of that receiver: the client's ``t`` parameter, the last one.
        busy: the answer waits until this session takes messages again.
        unproven: this session's request came with other credentials than before: the application
            is to be asked who it is, and the request to be handled again with its `Proof`.
    """

    status: int
    headers: Headers = field(default_factory=list)
    body: bytes = b""
    session: Session | None = None
    transport: Transport = WEBSOCKET
    callback: str = ""
    tag: str | None = None
    busy: Session | None = None
    unproven: Session | None = None


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


def not_found() -> Reply:
    """Answers for what does not exist."""
    return Reply(404, [("Content-Type", PLAIN), NO_CACHE], b"Not found")


def not_allowed(methods: str) -> Reply:
    """Answers another method than the allowed ones."""
    return Reply(405, [("Allow", methods), NO_CACHE])


def busy(headers: Headers, text: str, others: Headers) -> Reply:
    """Answers where there is no room at present.

    Args:
        headers: that go first.
        text: why.
        others: headers that go last.
    """
    retry = [("Content-Type", PLAIN), RETRY_AFTER]
    return Reply(503, [*headers, *retry, *others], text.encode())


def phrase(status: int) -> str:
    """Returns the words that belong to a status."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Refused"
