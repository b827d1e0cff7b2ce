"""What a SockJS URL answers. No I/O: a request's parts go in, a `Reply` comes out."""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Callable
from email.utils import formatdate
from urllib.parse import quote, unquote

from sockjs_bridge.core import protocol
from sockjs_bridge.core.credentials import JSESSIONID, fingerprint
from sockjs_bridge.core.hub import Hub, TooManySessions
from sockjs_bridge.core.manager import Manager
from sockjs_bridge.core.session import Session
from sockjs_bridge.core.settings import Settings
from sockjs_bridge.core.transports import (
    HTML,
    PLAIN,
    RAW_WEBSOCKET,
    RECEIVING,
    SENDING,
    WEBSOCKET,
)
from sockjs_bridge.endpoint.actions import Action, Receive, Send
from sockjs_bridge.endpoint.origins import OriginPolicy, RefusedOrigins
from sockjs_bridge.endpoint.outcomes import (
    NO_CACHE,
    RETRY_AFTER,
    Headers,
    Proof,
    Reply,
    Request,
    busy,
    not_allowed,
    not_found,
)

#: Seconds: a year, for what never changes.
YEAR = 31536000

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


class Endpoint:
    """One SockJS endpoint.

    Args:
        name: of the route.
        match: tells whether a base path, percent-decoded, is this endpoint's.
        settings: of this endpoint.
        client_path: the URL path of the browser client, for the iframe page.
        page: returns the path of the route at a base path; they differ where the route's ends with
            a slash, which no base path does.
    """

    def __init__(
        self,
        name: str,
        match: Callable[[str], bool],
        settings: Settings,
        client_path: str = "",
        page: Callable[[str], str] = str,
    ) -> None:
        self.name = name
        self.match = match
        self.page = page
        self.settings = settings
        self.origins = OriginPolicy(settings.allowed_origins)
        self._refused = RefusedOrigins(name, settings.allowed_origins)
        self._client_path = client_path
        self._manager: Manager | None = None
        self._transports = {
            transport.name
            for transport in (WEBSOCKET, RAW_WEBSOCKET, *RECEIVING.values())
            if transport.name in settings.transports
            and not (transport.name == "jsonp-polling" and self.origins.same_only)
        }

    def start(self, hub: Hub) -> None:
        """Makes it ready to serve, on the hub of its application."""
        self._manager = Manager(self.settings, hub)

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
        if not self._allows(origin, request):
            self._refused.note(origin, request.host, request.scheme, self.manager.clock.time())
            return Reply(403, [("Vary", "Origin"), NO_CACHE, ("Content-Type", PLAIN)], b"Forbidden")
        if target.action in ("websocket", "raw-websocket"):
            return self._websocket(target, request)
        cors = self._cors(request, origin)
        if target.action == "info":
            reply = self._info(request)
        else:
            action = self._action(target, request, cors)
            if isinstance(action, Action):
                session = action.session
                return action.take(session, request.query, request.body, request.peer, proof)
            reply = action
        reply.headers += cors
        return reply

    def action(self, target: protocol.Target, request: Request) -> Action | None:
        """Returns what a request does with a session, if it may; its query and body are void."""
        origin = self.origins.of(request.headers)
        if not self._allows(origin, request):
            return None
        action = self._action(target, request, self._cors(request, origin))
        return action if isinstance(action, Action) else None

    def too_large(self, request: Request) -> Reply:
        """Answers a request whose body has more than ``max_message_size`` bytes."""
        return self._failed(request, 413, b"Payload too large.")

    def too_slow(self, request: Request) -> Reply:
        """Answers a request whose body did not arrive in time."""
        return self._failed(request, 408, b"Request timeout.")

    def overloaded(self, request: Request) -> Reply:
        """Answers a request for whose body there is no room."""
        reply = self._failed(request, 503, b"Too many requests at once.")
        reply.headers.append(RETRY_AFTER)
        return reply

    def _failed(self, request: Request, status: int, text: bytes) -> Reply:
        reply = Reply(status, [("Content-Type", PLAIN), NO_CACHE], text)
        origin = self.origins.of(request.headers)
        if self._allows(origin, request):
            reply.headers += self._cors(request, origin)
        return reply

    def _allows(self, origin: str | None, request: Request) -> bool:
        return self.origins.allows(origin, request.headers, request.host, request.scheme)

    # Plain resources

    def _greeting(self, request: Request) -> Reply:
        if request.method not in ("GET", "HEAD"):
            return not_allowed("GET")
        return Reply(200, [("Content-Type", PLAIN)], b"Welcome to SockJS!\n")

    def _iframe(self, request: Request, script_name: str) -> Reply:
        if self.origins.same_only:
            return not_found()
        if request.method not in ("GET", "HEAD"):
            return not_allowed("GET")
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
            return not_allowed("OPTIONS, GET")
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

    def _action(self, target: protocol.Target, request: Request, cors: Headers) -> Action | Reply:
        if sending := SENDING.get(target.action):
            served, method = bool(sending.serves & self._transports), "POST"
        else:
            transport = RECEIVING[target.action]
            served, method = transport.name in self._transports, transport.method
        if not served:
            return not_found()
        cookie = self._cookie(request)
        if request.method == "OPTIONS":
            reply = self._preflight(f"OPTIONS, {method}")
            reply.headers += cookie
            return reply
        if request.method != method:
            return not_allowed(f"OPTIONS, {method}")
        base = target.base
        parts = (
            self.manager,
            target.session_id,
            unquote(base) if "%" in base else base,
            fingerprint(request.headers, jsessionid=self.settings.jsessionid),
            [NO_CACHE, *cookie],
            cors,
            request.headers.get("Content-Type", ""),
        )
        return Send(*parts, sending) if sending else Receive(*parts, transport)

    def _websocket(self, target: protocol.Target, request: Request) -> Reply:
        transport = WEBSOCKET if target.action == "websocket" else RAW_WEBSOCKET
        if transport.name not in self._transports:
            return not_found()
        if request.method != "GET":
            return not_allowed("GET")
        headers = [("Content-Type", PLAIN), NO_CACHE]
        if request.headers.get("Upgrade", "").strip().lower() != "websocket":
            return Reply(400, headers, b'Can "Upgrade" only to "WebSocket".')
        tokens = request.headers.get("Connection", "").lower().split(",")
        if "upgrade" not in [token.strip() for token in tokens]:
            return Reply(400, headers, b'"Connection" must be "Upgrade".')
        try:
            session = self.manager.create(target.session_id, transport)
        except TooManySessions as error:
            return busy([], str(error), [])
        return Reply(101, self._cookie(request), b"", session, transport)


def _cached_for_a_year() -> Headers:
    return [
        ("Cache-Control", f"public, max-age={YEAR}"),
        ("Expires", formatdate(time.time() + YEAR, usegmt=True)),
    ]
