"""What the URLs of ``~r1`` answer ("URLs" of the protocol page), whoever has read the request."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import partial
from urllib.parse import parse_qsl, unquote

from sockjs_bridge.core.contracts import Peer
from sockjs_bridge.core.credentials import Credentials, fingerprint
from sockjs_bridge.core.hub import Hub, TooManySessions
from sockjs_bridge.core.protocol import Target
from sockjs_bridge.core.settings import Settings
from sockjs_bridge.core.transports import PLAIN, Transport
from sockjs_bridge.endpoint.cors import cors, preflight_headers
from sockjs_bridge.endpoint.homes import Homes, Missing
from sockjs_bridge.endpoint.lateanswer import LateAnswer, as_json
from sockjs_bridge.endpoint.origins import OriginPolicy
from sockjs_bridge.endpoint.outcomes import (
    COMMON,
    RETRY_AFTER,
    SOON,
    UNREACHABLE,
    Answer,
    Headers,
    Outcome,
    Pong,
    Proof,
    Prove,
    Resume,
    Share,
    Upgrade,
    not_allowed,
    not_found,
)
from sockjs_bridge.endpoint.proofs import admits
from sockjs_bridge.endpoint.request import Request
from sockjs_bridge.resume import frames, lines
from sockjs_bridge.resume.found import DENIED, Found, Limits
from sockjs_bridge.resume.link import Link
from sockjs_bridge.resume.manager import ResumeManager
from sockjs_bridge.resume.probe import Probe
from sockjs_bridge.resume.session import ResumableSession
from sockjs_bridge.resume.shared import Shared
from sockjs_bridge.resume.transports import RECEIVING, SEND, STREAM, WEBSOCKET

#: Seconds after which a send is answered with what was taken of it.
ANSWER_AFTER = 1.0
#: What is said where it is not sure whose the sessions are.
NOT_SERVED = "This process is cut off from the others."


@dataclass(slots=True)
class ResumableAction:
    """What a receive request, or a send, of ``~r1`` has in common with its repetitions.

    Attributes:
        manager: of the sessions.
        session_id: from the URL.
        base: the URL path of the endpoint, percent-decoded.
        fingerprint: of the credentials that the request came with.
        headers: that all responses have.
        net: a keyed hash of the client's network.
        transport: of the receiver; None for a send.
        home: the process that has the session, as the URL says; empty where it says nothing.
        homes: the other processes of the cluster; None where there is none.
    """

    manager: ResumeManager
    session_id: str
    base: str
    fingerprint: bytes
    headers: Headers = field(repr=False)
    net: str
    transport: Transport | None
    home: str = ""
    homes: Homes | None = field(default=None, repr=False)

    @property
    def missing(self) -> Missing | None:
        """The session, if it is not here; see `Action.missing`."""
        place, opens = (self.base, self.session_id), self.transport is not None
        if self.manager.knows(place):
            return None
        return Missing(*place, opens, True, self.home, self.manager.resume_window)

    def unreachable(self) -> Answer:
        """Answers where the session lives in a process that cannot be reached at present."""
        return self._refuse(503, UNREACHABLE, SOON)

    def take_open(self, query: str, body: bytes, peer: Peer) -> Outcome | None:
        """Takes the action with a session that is open; see `Action.take_open`."""
        session = self.manager.get((self.base, self.session_id))
        if session is None or session.new or len(body) > self.manager.settings.max_message_size:
            return None
        return self.take(body, peer)

    def take(self, body: bytes, peer: Peer, proof: Proof | None = None) -> Outcome:
        """Takes the action.

        Args:
            body: complete.
            peer: the other end of the connection.
            proof: what the application said when the outcome before was `Prove`.
        """
        transport = self.transport
        if not self.manager.serves:
            return self._refuse(503, NOT_SERVED)
        try:
            if transport is None:
                return self._send(frames.parse_send(body), peer, proof)
            request = frames.parse_receive(body, stream=transport is STREAM)
        except frames.FrameError as error:
            return self._refuse(400, str(error))
        if isinstance(request, frames.MuxRequest):
            return self._share(request, transport)
        return self._receive(request, transport, peer, proof)

    # Receiving

    def _receive(
        self,
        request: frames.ReceiveRequest,
        transport: Transport,
        peer: Peer,
        proof: Proof | None,
    ) -> Outcome:
        place = self.base, self.session_id
        look: Callable[..., Found]
        if request.probe is None:
            look = partial(self.manager.look, place, request, transport, self.fingerprint)
        else:
            look = self._look_up(request)
        headers = [*self.headers, ("Content-Type", transport.content_type)]
        found = self._prove(look, headers, proof)
        if isinstance(found, Prove):
            return found
        peer.carried += 1
        session = found.session
        if found.make:
            try:
                session = self.manager.create(place)
            except TooManySessions as error:
                return self._refuse(503, str(error))
            session.transport = transport
            session.credentials = Credentials(self.fingerprint)
        if session is None:
            if found.line is None:
                return self._refuse(403, "Forbidden")
            return Answer(200, headers, transport.frame(found.line, ""))
        if request.probe is not None:
            return Pong(Probe(self.manager.clock, request.probe), transport, headers)
        if self._goes_on(request, session):
            return Answer(200, headers, transport.frame(lines.MUX, ""))
        terms = self.manager.terms(session, self.net) if request.new else None
        return Resume(session, transport, headers, request=request, terms=terms)

    def _share(self, request: frames.MuxRequest, transport: Transport) -> Outcome:
        """Answers with what several sessions share."""
        try:
            mux = self.manager.muxes.open(request.key)
        except TooManySessions as error:
            return self._refuse(503, str(error))
        headers = [*self.headers, ("Content-Type", transport.content_type)]
        return Share(mux, transport, headers)

    def _goes_on(self, request: frames.ReceiveRequest, session: ResumableSession) -> bool:
        """Attaches a session to what it shares with others, where that is here and it may."""
        mux = None if request.mux is None else self.manager.muxes.find(request.mux.key)
        # What tells a client its terms is a response of its own, and so is a proof of the way.
        if request.mux is None or mux is None or request.new or session.new:
            return False
        assert self.transport is not None
        session.attach(request, mux.open(request.mux.port, self.transport, session))
        return True

    def _prove(
        self, look: Callable[..., Found], headers: Headers, proof: Proof | None
    ) -> Found | Prove:
        """Looks whose request that is, with what the application says of who makes it.

        Args:
            look: looks, given whether that is proved.
            headers: of the response; those of the application's are added.
            proof: see `take`.
        """
        found = look(proved=False)
        session = found.unproven
        if session is None:
            return found
        if proof is None:
            return Prove(session)
        # Whose user is no user any more hears so by the session's end.
        if admits(session, self.fingerprint, proof) or session.credentials is None:
            headers += proof.headers
            return look(proved=True)
        return DENIED

    def _look_up(self, request: frames.ReceiveRequest | frames.Send) -> Callable[..., Found]:
        """Returns what looks whose probe or send a request is, given whether that is proved."""
        return partial(
            self.manager.look_up,
            (self.base, self.session_id),
            request.key,
            self.fingerprint,
            incarnation=request.incarnation,
        )

    # Sending

    def _send(self, send: frames.Send, peer: Peer, proof: Proof | None) -> Outcome:
        headers = [*self.headers, ("Content-Type", "application/json")]
        found = self._prove(self._look_up(send), headers, proof)
        if isinstance(found, Prove):
            return found
        peer.carried += 1
        session = found.session
        if session is None:
            if found.tombstone is not None:
                return Answer(200, headers, as_json(found.tombstone.answer))
            if found.line is not None:
                return self._refuse(404, "Not found")
            return self._refuse(403, "Forbidden")
        if session.overrun:
            return self._refuse(503, "Too many sends at once.")
        return LateAnswer(self.manager, session, Answer(200, headers)).outcome(send)

    def _refuse(self, status: int, text: str, retry: tuple[str, str] = RETRY_AFTER) -> Answer:
        return _refusal(status, self.headers, text.encode(), retry)


class ResumableUrls:
    """The URLs of the sub-protocol below those of one endpoint.

    Args:
        settings: of the endpoint.
        hub: of its application.
        transports: the names of those that are on.
        admits: tells whether a request with an origin may connect.
        shared: what the sessions of all the process share.

    Attributes:
        manager: the sessions.
        homes: the other processes of the cluster; None where there is none.
    """

    def __init__(
        self,
        settings: Settings,
        hub: Hub,
        transports: Collection[str],
        admits: Callable[[str | None, Request], bool],
        shared: Shared | None = None,
    ) -> None:
        self.manager = ResumeManager(settings, hub, Limits.of(settings), shared=shared)
        hub.add(self.manager)
        self.homes: Homes | None = None
        self._admits = admits
        self._jsessionid = settings.jsessionid
        self._methods = {
            name: "GET" if transport.websocket else "OPTIONS, POST"
            for name, transport in RECEIVING.items()
            if transport.name in transports
        }
        if "xhr" in self._methods or "xhr_streaming" in self._methods:
            self._methods[SEND] = "OPTIONS, POST"

    def handle(self, target: Target, request: Request, proof: Proof | None = None) -> Outcome:
        """Handles a request; see `Endpoint.handle`."""
        refusal = self._refusal(target, request)
        if refusal is not None:
            return refusal
        if RECEIVING.get(target.action) is WEBSOCKET:
            return self._websocket(target, request)
        action = self._action(target, request)
        return action.take(request.body, request.peer, proof)

    def action(self, target: Target, request: Request) -> ResumableAction | None:
        """Returns what a request does, if it may; its query and body are void."""
        if RECEIVING.get(target.action) is WEBSOCKET or self._refusal(target, request):
            return None
        return self._action(target, request)

    def missing(self, target: Target, request: Request) -> Missing | None:
        """Tells which session a request is for that is not here; see `Endpoint.missing`."""
        if self._refusal(target, request) is not None or (
            target.action == "websocket" and request.lacks_upgrade
        ):
            return None
        return self._action(target, request).missing

    def unread(self, target: Target, request: Request, status: int, text: bytes) -> Answer:
        """Answers a request whose body is not to be had; see `Endpoint.unread`."""
        return self._refusal(target, request) or _refusal(status, self._headers(request), text)

    def _refusal(self, target: Target, request: Request) -> Answer | None:
        """Answers what depends on method and origin alone: before anything is looked up."""
        headers = self._headers(request)
        methods = self._methods.get(target.action)
        if methods is None or not frames.is_token(target.session_id):
            answer = not_found()
        elif request.method not in methods.split(", "):
            answer = not_allowed(methods)
        elif not self._admits(OriginPolicy.of(request.headers), request):
            # A page that may not connect may not read why, either.
            return _refusal(403, [*COMMON, ("Vary", "Origin")], b"Forbidden")
        elif request.method == "OPTIONS":
            # By its own header the browser knows for how long it holds.
            answer = Answer(204, preflight_headers(methods))
        else:
            return None
        known = {name for name, _ in answer.headers}
        answer.headers += [item for item in headers if item[0] not in known]
        return answer

    @staticmethod
    def _headers(request: Request) -> Headers:
        return [*COMMON, *cors(request, OriginPolicy.of(request.headers))]

    def _action(self, target: Target, request: Request) -> ResumableAction:
        return ResumableAction(
            self.manager,
            target.session_id,
            _decoded(target.base),
            fingerprint(request.headers, jsessionid=self._jsessionid),
            self._headers(request),
            self.manager.net(request.remote),
            RECEIVING.get(target.action),
            target.home,
            self.homes,
        )

    def _websocket(self, target: Target, request: Request) -> Outcome:
        headers = self._headers(request)
        if lacks := request.lacks_upgrade:
            return _refusal(400, headers, lacks.encode())
        manager, place = self.manager, (_decoded(target.base), target.session_id)
        who = fingerprint(request.headers, jsessionid=self._jsessionid)
        made, alone = None, False
        if not manager.serves:
            return _refusal(503, headers, NOT_SERVED.encode())
        try:
            if _asks_for_new(request.query) and not manager.knows(place):
                made = manager.create(place)
                made.transport = WEBSOCKET
                made.credentials = Credentials(who)
            else:
                alone = manager.admit_link(place)
        except TooManySessions as error:
            return _refusal(503, headers, str(error).encode())
        link = Link(manager, place, who, manager.net(request.remote), holds_place=alone)
        return Upgrade(link, WEBSOCKET, headers, manager=manager, made=made)


def _decoded(base: str) -> str:
    return unquote(base) if "%" in base else base


def _asks_for_new(query: str) -> bool:
    return any(name == "new" for name, _ in parse_qsl(query, keep_blank_values=True))


def _refusal(
    status: int, headers: Headers, text: bytes, retry: tuple[str, str] = RETRY_AFTER
) -> Answer:
    again = [retry] if status == 503 else []
    return Answer(status, [("Content-Type", PLAIN), *headers, *again], text)
