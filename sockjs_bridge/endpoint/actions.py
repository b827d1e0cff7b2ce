"""What may be done with a session over HTTP: receive, and send.

An action holds all that a request's method, path and headers say. The requests of one connection
mostly say the same, so that a server may keep an action and take it many times, with other queries
and bodies.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl

from sockjs_bridge.core import protocol
from sockjs_bridge.core.contracts import Peer
from sockjs_bridge.core.credentials import Credentials
from sockjs_bridge.core.hub import TooManySessions
from sockjs_bridge.core.manager import Manager
from sockjs_bridge.core.session import Session
from sockjs_bridge.core.states import NEW
from sockjs_bridge.core.transports import PLAIN, Sending, Transport
from sockjs_bridge.endpoint.outcomes import (
    RETRY_AFTER,
    Answer,
    Attach,
    Headers,
    Outcome,
    Proof,
    Prove,
    Wait,
)
from sockjs_bridge.endpoint.proofs import admits


@dataclass(slots=True)
class Action:
    """What the actions have in common.

    Attributes:
        manager: of the sessions.
        session_id: from the URL.
        base: the URL path of the endpoint, percent-decoded.
        fingerprint: of the credentials that the request came with.
        headers: that responses begin with.
        cors: the headers that responses end with.
        content_type: of the request.
    """

    manager: Manager
    session_id: str
    base: str
    fingerprint: bytes
    headers: Headers
    cors: Headers
    content_type: str

    @property
    def session(self) -> Session | None:
        """The session, if it exists."""
        return self.manager.get(self.session_id, self.base)

    def take_open(self, query: str, body: bytes, peer: Peer) -> Outcome | None:
        """Takes the action with a session that is open.

        Args:
            query: see `take`.
            body: see `take`.
            peer: see `take`.

        Returns:
            None, and nothing is done, where there is none, or the body is too large.
        """
        session = self.session
        if (
            session is None
            or session.state is NEW
            or len(body) > self.manager.settings.max_message_size
        ):
            return None
        return self.take(session, query, body, peer)

    def take(
        self,
        session: Session | None,
        query: str,
        body: bytes,
        peer: Peer,
        proof: Proof | None = None,
    ) -> Outcome:
        """Takes the action.

        Args:
            session: as `session` has it.
            query: the raw query string.
            body: complete.
            peer: the other end of the connection.
            proof: what the application said when the outcome before was `Prove`.
        """
        raise NotImplementedError

    def _check(
        self, session: Session, proof: Proof | None, headers: Headers
    ) -> Answer | Prove | None:
        """Sees to it that a request of a session is made by who opened it.

        Args:
            session: the one.
            proof: see `take`.
            headers: of the response; those of the application's are added.

        Returns:
            What follows in place of what was asked; None to go on.
        """
        credentials = session.credentials
        if credentials is None or credentials.passes(self.fingerprint):
            return None
        # Somebody else gets nothing of what the application says.
        forbidden = self._refuse(403, headers, "Forbidden")
        if not credentials.settled:
            return forbidden
        if proof is None:
            return Prove(session)
        if proof.session is not session:
            # That one has ended meanwhile, and another one has its id.
            return forbidden
        headers += proof.headers
        if admits(session, self.fingerprint, proof):
            return None
        return forbidden

    def _refuse(self, status: int, headers: Headers, text: str) -> Answer:
        retry = [RETRY_AFTER] if status == 503 else []
        headers = [*headers, ("Content-Type", PLAIN), *retry, *self.cors]
        return Answer(status, headers, text.encode())


@dataclass(slots=True)
class Receive(Action):
    """A poll, or a stream.

    Attributes:
        transport: how frames become bytes.
    """

    transport: Transport

    def take(
        self,
        session: Session | None,
        query: str,
        body: bytes,
        peer: Peer,
        proof: Proof | None = None,
    ) -> Outcome:
        """Opens the session where there is none."""
        transport, headers = self.transport, [*self.headers]
        callback = ""
        if transport.takes_callback:
            callback = _last(query, "c") or _last(query, "callback")
            if not callback:
                return self._refuse(500, headers, '"callback" parameter required')
            if not protocol.valid_callback(callback):
                return self._refuse(500, headers, 'invalid "callback" parameter')
            headers.append(("X-Content-Type-Options", "nosniff"))
        if session is not None:
            refusal = self._check(session, proof, headers)
            # A client hears of its session's end by the close frame.
            if refusal is not None and session.credentials is not None:
                return refusal
        else:
            try:
                session = self.manager.create(self.session_id, transport, self.base)
            except TooManySessions as error:
                return self._refuse(503, headers, str(error))
            session.credentials = Credentials(self.fingerprint)
        headers.append(("Content-Type", transport.content_type))
        headers.append(("X-Accel-Buffering", "no"))
        headers += self.cors
        peer.carried += 1
        return Attach(session, transport, headers, callback, _tag(query))


@dataclass(slots=True)
class Send(Action):
    """A client's messages.

    Attributes:
        sending: how they arrive.
    """

    sending: Sending

    def take(
        self,
        session: Session | None,
        query: str,
        body: bytes,
        peer: Peer,
        proof: Proof | None = None,
    ) -> Outcome:
        """Delivers the messages."""
        headers = [*self.headers]
        if session is None or session.state is NEW:
            return self._refuse(404, headers, "Not found")
        if (refusal := self._check(session, proof, headers)) is not None:
            return refusal
        if session.flooded:
            return self._refuse(503, headers, "Too many sends at once.")
        try:
            messages = session.transport.decode(self.sending.text(body, self.content_type))
        except protocol.PayloadError as error:
            return self._refuse(500, headers, str(error))
        peer.carried += 1
        tag = _tag(query)
        known = tag is not None and session.repeats.recognises_send(
            tag, peer, query.encode("utf-8", "surrogatepass"), body
        )
        full = session.full if known else session.deliver(messages, len(body))
        headers.append(("Content-Type", PLAIN))
        headers += self.cors
        answer = Answer(self.sending.status, headers, self.sending.body)
        return Wait(session, answer) if full else answer


def _last(query: str, name: str) -> str:
    """Returns the value of the last parameter of a name, empty where there is none.

    The client appends its own to those of the application, which may have the same names.
    """
    pairs = parse_qsl(query, keep_blank_values=True)
    return next((value for other, value in reversed(pairs) if other == name), "")


def _tag(query: str) -> str | None:
    # Mostly there is none, or the browser's clock: ``t=1700000000000``.
    if not query:
        return None
    tag = query[2:]
    if not (query.startswith("t=") and tag.isalnum()):
        tag = _last(query, "t")
    # Clients send milliseconds; a session remembers a few of them.
    return tag if 0 < len(tag) <= 64 else None
