"""What a SockJS URL answers. No I/O: a request's parts go in, a `Reply` comes out."""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from urllib.parse import parse_qs, quote, unquote

from sockjs_bridge import protocol
from sockjs_bridge.clock import Clock
from sockjs_bridge.contracts import Peer
from sockjs_bridge.credentials import JSESSIONID, UNKNOWN, Credentials
from sockjs_bridge.manager import Capacity, Manager, TooManySessions
from sockjs_bridge.origins import OriginPolicy
from sockjs_bridge.rooms import Rooms
from sockjs_bridge.session import Session, State
from sockjs_bridge.settings import Settings
from sockjs_bridge.transports import (
    HTML,
    PLAIN,
    RAW_WEBSOCKET,
    RECEIVING,
    SENDING,
    WEBSOCKET,
    Sending,
    Transport,
)

NO_CACHE = ("Cache-Control", "no-store, no-cache, no-transform, must-revalidate, max-age=0")
#: Seconds: a year, for what never changes.
YEAR = 31536000

Headers = list[tuple[str, str]]

_IFRAME = """<!DOCTYPE html>
<html>
<head>
  <meta http-equiv="X-UA-Compatible" content="IE=edge" />
  <meta http-equiv="Content-Type" content="text/html; charset=UTF-8" />
  <script src="%s"></script>
  <script>
    document.domain = document.domain;
    SockJS.bootstrap_iframe();
  </script>
</head>
<body>
  <h2>Don't panic!</h2>
  <p>This is a SockJS hidden iframe. It's used for cross domain magic.</p>
</body>
</html>"""


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
    """

    method: str
    query: str
    headers: Mapping[str, str]
    host: str
    body: bytes = b""
    peer: Peer = field(default_factory=Peer)


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
        tag: of that receiver: the ``t`` parameter.
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


class Endpoint:
    """One SockJS endpoint.

    Args:
        name: of the route.
        match: tells whether a base path, percent-decoded, is this endpoint's.
        settings: of this endpoint.
        client_path: the URL path of the browser client, for the iframe page.
    """

    def __init__(
        self,
        name: str,
        match: Callable[[str], bool],
        settings: Settings,
        client_path: str = "",
    ) -> None:
        self.name = name
        self.match = match
        self.settings = settings
        self.origins = OriginPolicy(settings.allowed_origins)
        self._client_path = client_path
        self._manager: Manager | None = None
        self._transports = {
            transport.name
            for transport in (WEBSOCKET, RAW_WEBSOCKET, *RECEIVING.values())
            if transport.name in settings.transports
            and not (transport.name == "jsonp-polling" and self.origins.same_only)
        }

    def start(self, clock: Clock, capacity: Capacity, rooms: Rooms | None = None) -> None:
        """Makes it ready to serve."""
        self._manager = Manager(self.settings, clock, capacity, rooms)

    @property
    def manager(self) -> Manager:
        """The sessions.

        Raises:
            RuntimeError: nobody serves the application.
        """
        if self._manager is None:
            raise RuntimeError(f"the SockJS endpoint {self.name} is not served")
        return self._manager

    @property
    def sessions(self) -> list[Session]:
        """The open sessions, none while nobody serves the application; in any thread."""
        return [] if self._manager is None else self._manager.open_sessions

    def session(self, target: protocol.Target) -> Session | None:
        """Looks up the session that a path names, of an HTTP transport."""
        return self.manager.get(*_place(target))

    def handle(
        self, target: protocol.Target, request: Request, proof: Proof | None = None
    ) -> Reply:
        """Answers a request.

        A reply with a ``session`` asks the server to make a receiver, to attach it at once, and,
        while the session is new, to lead the handshake through the application.

        Args:
            target: what the request asks for.
            request: the request.
            proof: what the application said when a reply before this one was ``unproven``.
        """
        origin = self.origins.of(request.headers)
        if target.action == "iframe":
            return self._iframe(request, target.script_name)
        if target.action == "greeting":
            return self._greeting(request)
        if not self.origins.allows(origin, request.headers, request.host):
            return Reply(403, [("Vary", "Origin"), NO_CACHE, ("Content-Type", PLAIN)], b"Forbidden")
        if target.action in ("websocket", "raw-websocket"):
            return self._websocket(target, request)
        if target.action in RECEIVING:
            reply = self._receive(target, request, RECEIVING[target.action], proof)
        elif target.action in SENDING:
            reply = self._send(target, request, SENDING[target.action], proof)
        else:
            reply = self._info(request)
        reply.headers += self._cors(request, origin)
        return reply

    def too_large(self, request: Request) -> Reply:
        """Answers a request whose body has more than ``max_message_size`` bytes."""
        return self._failed(request, 413, b"Payload too large.")

    def too_slow(self, request: Request) -> Reply:
        """Answers a request whose body did not arrive in time."""
        return self._failed(request, 408, b"Request timeout.")

    def _failed(self, request: Request, status: int, text: bytes) -> Reply:
        reply = Reply(status, [("Content-Type", PLAIN), NO_CACHE], text)
        origin = self.origins.of(request.headers)
        if self.origins.allows(origin, request.headers, request.host):
            reply.headers += self._cors(request, origin)
        return reply

    # Plain resources

    def _greeting(self, request: Request) -> Reply:
        if request.method not in ("GET", "HEAD"):
            return _not_allowed("GET")
        return Reply(200, [("Content-Type", PLAIN)], b"Welcome to SockJS!\n")

    def _iframe(self, request: Request, script_name: str) -> Reply:
        if self.origins.same_only:
            return _not_found()
        if request.method not in ("GET", "HEAD"):
            return _not_allowed("GET")
        body = (_IFRAME % (quote(script_name) + self._client_path)).encode()
        etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        headers = [*_cached_for_a_year(), ("ETag", etag)]
        known = request.headers.get("If-None-Match", "")
        if known.strip() == "*" or etag in (
            item.strip().removeprefix("W/") for item in known.split(",")
        ):
            return Reply(304, headers)
        return Reply(200, [("Content-Type", HTML), *headers], body)

    def _info(self, request: Request) -> Reply:
        if request.method == "OPTIONS":
            return self._preflight("OPTIONS, GET")
        if request.method != "GET":
            return _not_allowed("OPTIONS, GET")
        info = {
            "websocket": "websocket" in self.settings.transports,
            "origins": ["*:*"],
            "cookie_needed": self.settings.jsessionid,
            "entropy": secrets.randbits(32),
        }
        headers = [("Content-Type", "application/json; charset=UTF-8"), NO_CACHE]
        return Reply(200, headers, json.dumps(info).encode())

    def _preflight(self, methods: str) -> Reply:
        headers = [
            *_cached_for_a_year(),
            ("Access-Control-Max-Age", str(YEAR)),
            ("Access-Control-Allow-Methods", methods),
        ]
        return Reply(204, headers)

    @staticmethod
    def _cors(request: Request, origin: str | None) -> Headers:
        headers = [("Access-Control-Allow-Origin", "*" if origin is None else origin)]
        if origin is not None:
            headers.append(("Access-Control-Allow-Credentials", "true"))
        if wanted := request.headers.get("Access-Control-Request-Headers"):
            headers.append(("Access-Control-Allow-Headers", wanted))
        return [*headers, ("Vary", "Origin")]

    def _cookie(self, request: Request) -> Headers:
        if not self.settings.jsessionid:
            return []
        found = JSESSIONID.search(request.headers.get("Cookie", ""))
        return [("Set-Cookie", f"JSESSIONID={found[1] if found else 'dummy'}; path=/")]

    # Sessions

    def _session_headers(self, request: Request) -> Headers:
        return [NO_CACHE, *self._cookie(request)]

    def _receive(
        self,
        target: protocol.Target,
        request: Request,
        transport: Transport,
        proof: Proof | None,
    ) -> Reply:
        if transport.name not in self._transports:
            return _not_found()
        methods = f"OPTIONS, {transport.method}"
        headers = self._session_headers(request)
        if request.method == "OPTIONS":
            reply = self._preflight(methods)
            reply.headers += self._cookie(request)
            return reply
        if request.method != transport.method:
            return _not_allowed(methods)
        query = _parameters(request.query)
        callback = ""
        if transport.takes_callback:
            callback = (query.get("c") or query.get("callback") or [""])[0]
            if not callback:
                return _wrong(headers, '"callback" parameter required')
            if not protocol.valid_callback(callback):
                return _wrong(headers, 'invalid "callback" parameter')
            headers.append(("X-Content-Type-Options", "nosniff"))
        manager, place = self.manager, _place(target)
        session = manager.get(*place)
        if session is not None:
            refusal = self._check(session, request, proof, headers)
            # A client hears of its session's end by the close frame.
            if refusal is not None and session.credentials is not None:
                return refusal
        else:
            try:
                session = manager.create(place[0], transport, place[1])
            except TooManySessions as error:
                return _busy(headers, str(error))
            session.credentials = Credentials(request.headers, jsessionid=self.settings.jsessionid)
        headers += [("Content-Type", transport.content_type), ("X-Accel-Buffering", "no")]
        tag = _tag(query)
        return Reply(200, headers, b"", session, transport, callback, tag)

    def _check(
        self, session: Session, request: Request, proof: Proof | None, headers: Headers
    ) -> Reply | None:
        """Sees to it that a request of a session is made by who opened it.

        Returns:
            What to answer in place of what was asked; None to go on.
        """
        credentials = session.credentials
        if credentials is None or credentials.passes(request.headers):
            return None
        forbidden = Reply(403, [*headers, ("Content-Type", PLAIN)], b"Forbidden")
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
                credentials.renew(request.headers)
                return None
            if proof.status < 500:
                session.revoke(4000 + proof.status, phrase(proof.status))
        return forbidden

    def _send(
        self,
        target: protocol.Target,
        request: Request,
        sending: Sending,
        proof: Proof | None,
    ) -> Reply:
        if not sending.serves & self._transports:
            return _not_found()
        if request.method == "OPTIONS":
            reply = self._preflight("OPTIONS, POST")
            reply.headers += self._cookie(request)
            return reply
        if request.method != "POST":
            return _not_allowed("OPTIONS, POST")
        headers = self._session_headers(request)
        session = self.session(target)
        if session is None or session.state is State.NEW:
            return Reply(404, [*headers, ("Content-Type", PLAIN)], b"Not found")
        if (refusal := self._check(session, request, proof, headers)) is not None:
            return refusal
        if session.crowded:
            return _busy(headers, "Too many sends at once.")
        try:
            messages = sending.decode(request.body, request.headers.get("Content-Type", ""))
        except protocol.PayloadError as error:
            return _wrong(headers, str(error))
        tag = _tag(_parameters(request.query))
        if tag is None or not session.repeats.recognises_send(tag, request.peer, request.body):
            session.deliver(messages, len(request.body))
        reply = Reply(sending.status, [*headers, ("Content-Type", PLAIN)], sending.body)
        reply.busy = session if session.full else None
        return reply

    def _websocket(self, target: protocol.Target, request: Request) -> Reply:
        transport = WEBSOCKET if target.action == "websocket" else RAW_WEBSOCKET
        if transport.name not in self._transports:
            return _not_found()
        if request.method != "GET":
            return _not_allowed("GET")
        headers = [("Content-Type", PLAIN), NO_CACHE]
        if request.headers.get("Upgrade", "").strip().lower() != "websocket":
            return Reply(400, headers, b'Can "Upgrade" only to "WebSocket".')
        tokens = request.headers.get("Connection", "").lower().split(",")
        if "upgrade" not in [token.strip() for token in tokens]:
            return Reply(400, headers, b'"Connection" must be "Upgrade".')
        try:
            session = self.manager.create(target.session_id, transport)
        except TooManySessions as error:
            return _busy([], str(error))
        return Reply(101, self._cookie(request), b"", session, transport)


def phrase(status: int) -> str:
    """Returns the words that belong to a status."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Refused"


def _place(target: protocol.Target) -> tuple[str, str]:
    base = target.base
    return target.session_id, unquote(base) if "%" in base else base


def _parameters(query: str) -> Mapping[str, list[str]]:
    # Mostly there is none, or the browser's clock: ``t=1700000000000``.
    if not query:
        return {}
    if query.startswith("t=") and query[2:].isalnum():
        return {"t": [query[2:]]}
    return parse_qs(query, keep_blank_values=True)


def _tag(query: Mapping[str, list[str]]) -> str | None:
    tag = query.get("t", [""])[0]
    # Clients send milliseconds; a session remembers a few of them.
    return tag if 0 < len(tag) <= 64 else None


def _not_found() -> Reply:
    return Reply(404, [("Content-Type", PLAIN), NO_CACHE], b"Not found")


def _not_allowed(methods: str) -> Reply:
    return Reply(405, [("Allow", methods), NO_CACHE])


def _wrong(headers: Headers, text: str) -> Reply:
    return Reply(500, [*headers, ("Content-Type", PLAIN)], text.encode())


def _busy(headers: Headers, text: str) -> Reply:
    return Reply(503, [*headers, ("Content-Type", PLAIN), ("Retry-After", "5")], text.encode())


def _cached_for_a_year() -> Headers:
    return [
        ("Cache-Control", f"public, max-age={YEAR}"),
        ("Expires", formatdate(time.time() + YEAR, usegmt=True)),
    ]
