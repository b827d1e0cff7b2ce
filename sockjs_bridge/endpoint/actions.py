"""What may be done with a session over HTTP: receive, and send.

An action holds all that a request's method, path and headers say. The requests of one connection
mostly say the same, so that a server may keep an action and take it many times, with other queries
and bodies.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from sockjs_bridge.core import protocol
from sockjs_bridge.core.contracts import Peer
from sockjs_bridge.core.credentials import Credentials
from sockjs_bridge.core.hub import TooManySessions
from sockjs_bridge.core.manager import Manager
from sockjs_bridge.core.session import Session
from sockjs_bridge.core.states import NEW
from sockjs_bridge.core.transports import PLAIN, Sending, Transport
from sockjs_bridge.endpoint.homes import Homes, Missing
from sockjs_bridge.endpoint.outcomes import (
    RETRY_AFTER,
    SOON,
    UNREACHABLE,
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
        homes: the other processes of the cluster; None where there is none.
    """

    manager: Manager
    session_id: str
    base: str
    fingerprint: bytes
    headers: Headers = field(repr=False)
    cors: Headers
    content_type: str
    homes: Homes | None = field(kw_only=True, repr=False, default=None)
    _usual: Headers | None = field(init=False, repr=False, compare=False, default=None)

    @property
    def session(self) -> Session | None:
        """The session, if it exists."""
        return self.manager.get(self.session_id, self.base)

    @property
    def missing(self) -> Missing | None:
        """The session, if it is not here."""
        if self.session is not None:
            return None
        lasts = self.manager.settings.disconnect_delay
        return Missing(self.base, self.session_id, self._opens, False, "", lasts)

    @property
    def _opens(self) -> bool:
        """Whether it opens a session where there is none."""
        return False

    def unreachable(self) -> Answer:
        """Answers where the session lives in a process that cannot be reached at present."""
        return self._refuse(503, UNREACHABLE, retry=SOON)

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

    def _check(self, session: Session, proof: Proof | None) -> Answer | Prove | None:
        """Sees to it that a request of a session is made by who opened it.

        Args:
            session: the one.
            proof: see `take`.

        Returns:
            What follows in place of what was asked; None to go on.
        """
        credentials = session.credentials
        if credentials is None or credentials.passes(self.fingerprint):
            return None
        # Somebody else gets nothing of what the application says.
        forbidden = self._refuse(403, "Forbidden")
        if not credentials.settled:
            return forbidden
        if proof is None:
            return Prove(session)
        if proof.session is not session:
            # That one has ended meanwhile, and another one has its id.
            return forbidden
        return None if admits(session, self.fingerprint, proof) else forbidden

    def _accepted(self, session: Session, proof: Proof | None) -> Headers:
        """Returns the headers of what is done; those of an open session are mostly the same."""
        # The application adds its own to a handshake's.
        if proof is not None or session.state is NEW:
            return self._headers(proof, *self._own)
        if self._usual is None:
            self._usual = self._headers(None, *self._own)
        return self._usual

    @property
    def _own(self) -> Headers:
        """What the response of the action says of itself."""
        raise NotImplementedError

    def _refuse(
        self,
        status: int,
        text: str,
        proof: Proof | None = None,
        retry: tuple[str, str] = RETRY_AFTER,
    ) -> Answer:
        again = [retry] if status == 503 else []
        headers = self._headers(proof, ("Content-Type", PLAIN), *again)
        return Answer(status, headers, text.encode())

    def _headers(self, proof: Proof | None, *own: tuple[str, str]) -> Headers:
        said = proof.headers if proof is not None else ()
        return [*self.headers, *said, *own, *self.cors]


@dataclass(slots=True)
class Receive(Action):
    """A poll, or a stream.

    Attributes:
        transport: how frames become bytes.
    """

    transport: Transport

    @property
    def _opens(self) -> bool:
        return True

    def take(
        self,
        session: Session | None,
        query: str,
        body: bytes,
        peer: Peer,
        proof: Proof | None = None,
    ) -> Outcome:
        """Opens the session where there is none."""
        transport, callback = self.transport, ""
        if transport.takes_callback:
            callback = _last(query, "c") or _last(query, "callback")
            if not callback:
                return self._refuse(500, '"callback" parameter required')
            if not protocol.valid_callback(callback):
                return self._refuse(500, 'invalid "callback" parameter')
        if session is not None:
            refusal = self._check(session, proof)
            # A client hears of its session's end by the close frame.
            if refusal is not None and session.credentials is not None:
                return refusal
        else:
            try:
                session = self.manager.create(self.session_id, transport, self.base)
            except TooManySessions as error:
                return self._refuse(503, str(error))
            session.credentials = Credentials(self.fingerprint)
        peer.carried += 1
        headers = self._accepted(session, proof)
        return Attach(session, transport, headers, callback, _tag(query))

    @property
    def _own(self) -> Headers:
        return [("Content-Type", self.transport.content_type), ("X-Accel-Buffering", "no")]


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
        if session is None or session.state is NEW:
            return self._refuse(404, "Not found")
        if (refusal := self._check(session, proof)) is not None:
            return refusal
        if session.flooded:
            return self._refuse(503, "Too many sends at once.", proof)
        try:
            messages = session.transport.decode(self.sending.text(body, self.content_type))
        except protocol.PayloadError as error:
            return self._refuse(500, str(error), proof)
        peer.carried += 1
        tag = _tag(query)
        known = tag is not None and session.repeats.recognises_send(
            tag, peer, query.encode("utf-8", "surrogatepass"), body
        )
        full = session.full if known else session.deliver(messages, len(body))
        headers = self._accepted(session, proof)
        answer = Answer(self.sending.status, headers, self.sending.body)
        return Wait(session, answer) if full else answer

    @property
    def _own(self) -> Headers:
        return [("Content-Type", PLAIN)]


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
