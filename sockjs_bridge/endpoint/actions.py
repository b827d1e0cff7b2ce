"""What may be done with a session over HTTP: receive, and send.

An action holds all that a request's method, path and headers say. The requests of one connection
mostly say the same, so that a skin may keep an action and take it many times, with other queries
and bodies.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl

from sockjs_bridge.core import protocol
from sockjs_bridge.core.contracts import Peer
from sockjs_bridge.core.credentials import UNKNOWN, Credentials
from sockjs_bridge.core.hub import TooManySessions
from sockjs_bridge.core.manager import Manager
from sockjs_bridge.core.session import Session
from sockjs_bridge.core.states import State
from sockjs_bridge.core.transports import PLAIN, Sending, Transport
from sockjs_bridge.endpoint.outcomes import Headers, Proof, Reply, busy, phrase


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

    def take(
        self,
        session: Session | None,
        query: str,
        body: bytes,
        peer: Peer,
        proof: Proof | None = None,
    ) -> Reply:
        """Takes the action.

        Args:
            session: as `session` has it.
            query: the raw query string.
            body: complete.
            peer: the other end of the connection.
            proof: what the application said when a reply before this one was ``unproven``.
        """
        raise NotImplementedError

    def _check(self, session: Session, proof: Proof | None, headers: Headers) -> Reply | None:
        """Sees to it that a request of a session is made by who opened it.

        Args:
            session: the one.
            proof: see `take`.
            headers: of the response; those of the application's are added.

        Returns:
            What to answer in place of what was asked; None to go on.
        """
        credentials = session.credentials
        if credentials is None or credentials.passes(self.fingerprint):
            return None
        forbidden = self._text(403, headers, "Forbidden")
        if not credentials.settled:
            return forbidden
        if proof is None or proof.session is not session:
            forbidden.unproven = session
            return forbidden
        headers += proof.headers
        nobody = proof.identity is None or (proof.identity is UNKNOWN and proof.status == 401)
        if nobody and proof.status < 500:
            session.revoke(*protocol.SIGNED_OUT)
        elif proof.identity == credentials.identity:
            if proof.status < 300:
                credentials.renew(self.fingerprint)
                return None
            if proof.status < 500:
                session.revoke(4000 + proof.status, phrase(proof.status))
        return forbidden

    def _text(self, status: int, headers: Headers, text: str) -> Reply:
        return Reply(status, [*headers, ("Content-Type", PLAIN), *self.cors], text.encode())


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
    ) -> Reply:
        """Opens the session where there is none."""
        transport, headers = self.transport, [*self.headers]
        callback = ""
        if transport.takes_callback:
            callback = _last(query, "c") or _last(query, "callback")
            if not callback:
                return self._text(500, headers, '"callback" parameter required')
            if not protocol.valid_callback(callback):
                return self._text(500, headers, 'invalid "callback" parameter')
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
                return busy(headers, str(error), self.cors)
            session.credentials = Credentials(self.fingerprint)
        headers.append(("Content-Type", transport.content_type))
        headers.append(("X-Accel-Buffering", "no"))
        headers += self.cors
        peer.carried += 1
        return Reply(200, headers, b"", session, transport, callback, _tag(query))


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
    ) -> Reply:
        """Delivers the messages."""
        headers = [*self.headers]
        if session is None or session.state is State.NEW:
            return self._text(404, headers, "Not found")
        if (refusal := self._check(session, proof, headers)) is not None:
            return refusal
        if session.flooded:
            return busy(headers, "Too many sends at once.", self.cors)
        try:
            messages = self.sending.decode(body, self.content_type)
        except protocol.PayloadError as error:
            return self._text(500, headers, str(error))
        peer.carried += 1
        tag = _tag(query)
        if tag is None or not session.repeats.recognises_send(
            tag, peer, query.encode("utf-8", "surrogatepass"), body
        ):
            session.deliver(messages, len(body))
        headers.append(("Content-Type", PLAIN))
        headers += self.cors
        reply = Reply(self.sending.status, headers, self.sending.body)
        if session.full:
            reply.busy = session
        return reply


def _last(query: str, name: str) -> str:
    """Returns the value of the last parameter of a name, empty where there is none.

    The client appends its own to those of the application, which may have the same names.
    """
    # Mostly there is none, or the browser's clock: ``t=1700000000000``.
    if not query:
        return ""
    if query.startswith("t=") and query[2:].isalnum():
        return query[2:] if name == "t" else ""
    pairs = parse_qsl(query, keep_blank_values=True)
    return next((value for other, value in reversed(pairs) if other == name), "")


def _tag(query: str) -> str | None:
    tag = _last(query, "t")
    # Clients send milliseconds; a session remembers a few of them.
    return tag if 0 < len(tag) <= 64 else None
