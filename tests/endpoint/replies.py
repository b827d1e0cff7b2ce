"""Outcomes side by side, so that one line of a test says what is expected of any of them."""

from __future__ import annotations

from dataclasses import dataclass, field

from sockjs_bridge.core.session import Session
from sockjs_bridge.core.transports import WEBSOCKET, Transport
from sockjs_bridge.endpoint.outcomes import Answer, Attach, Headers, Outcome, Prove, Wait


@dataclass
class Reply:
    """What comes of a request: what is said of it, and None or nothing of all the rest.

    A receiver's status is what its response begins with.
    """

    status: int = 0
    headers: Headers = field(default_factory=list)
    body: bytes = b""
    session: Session | None = None
    transport: Transport = WEBSOCKET
    callback: str = ""
    tag: str | None = None
    busy: Session | None = None
    unproven: Session | None = None

    @classmethod
    def of(cls, outcome: Outcome) -> Reply:
        match outcome:
            case Answer(status, headers, body):
                return cls(status, headers, body)
            case Attach(session, transport, headers, callback, tag):
                status = 101 if transport.websocket else 200
                return cls(status, headers, b"", session, transport, callback, tag)
            case Wait(session, answer):
                return cls(answer.status, answer.headers, answer.body, busy=session)
            case Prove(session):
                return cls(unproven=session)
