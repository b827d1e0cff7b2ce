"""What a SockJS URL answers. No I/O: a request's parts go in, an `Outcome` comes out."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote, unquote

from sockjs_bridge.core import protocol
from sockjs_bridge.core.basemanager import BaseManager
from sockjs_bridge.core.contracts import Recipient
from sockjs_bridge.core.credentials import JSESSIONID, fingerprint
from sockjs_bridge.core.hub import Hub, TooManySessions
from sockjs_bridge.core.manager import Manager
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
from sockjs_bridge.endpoint.cors import cached_for_a_year, cors, preflight
from sockjs_bridge.endpoint.homes import Homes, Missing
from sockjs_bridge.endpoint.origins import OriginPolicy, RefusedOrigins
from sockjs_bridge.endpoint.outcomes import (
    COMMON,
    NO_CACHE,
    NOSNIFF,
    RETRY_AFTER,
    Answer,
    Attach,
    Headers,
    Outcome,
    Proof,
    not_allowed,
    not_found,
)
from sockjs_bridge.endpoint.request import Request
from sockjs_bridge.endpoint.resumable import ResumableAction, ResumableUrls
from sockjs_bridge.endpoint.users import UserSession
from sockjs_bridge.resume.contracts import ResumeMonitor
from sockjs_bridge.resume.shared import Shared

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


_UNREAD = {
    408: b"Request timeout.",
    413: b"Payload too large.",
    503: b"Too many requests at once.",
}


class Endpoint:
    """One SockJS endpoint.

    Args:
        name: of the route.
        match: tells whether a base path, percent-decoded, is this endpoint's.
        settings: of this endpoint.
        client_path: the URL path of the browser client, for the iframe page.
        page: returns the path of the route at a base path; they differ where the route's ends with
            a slash, which no base path does.

    Attributes:
        homes: the other processes of the cluster; None where there is none.
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
        self.homes: Homes | None = None
        self._client_path = client_path
        self._manager: Manager | None = None
        self._resumable: ResumableUrls | None = None
        self._transports = {
            transport.name
            for transport in (WEBSOCKET, RAW_WEBSOCKET, *RECEIVING.values())
            if transport.name in settings.transports
            and not (transport.name == "jsonp-polling" and self.origins.same_only)
        }

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r} {len(self.sessions)} sessions>"

    def start(
        self,
        hub: Hub,
        shared: Shared | None = None,
        resumption: ResumeMonitor | None = None,
        homes: Homes | None = None,
        end_elsewhere: Callable[[tuple[str, str], bytes], object] | None = None,
    ) -> None:
        """Makes it ready to serve.

        Args:
            hub: of its application.
            shared: what the resumable sessions of all the process share.
            resumption: what counts how those go on; nothing by default.
            homes: see `homes`.
            end_elsewhere: see `ResumeManager.end_elsewhere`.
        """
        self.homes = homes
        self._manager = Manager(self.settings, hub)
        if homes is not None:
            self._manager.ended = homes.ended
        if self.settings.resume_window:
            self._resumable = ResumableUrls(
                self.settings, hub, self._transports, self._admits, shared
            )
            manager = self._resumable.manager
            if resumption is not None:
                manager.resumption = resumption
            if homes is not None:
                self._resumable.homes = homes
                manager.home, manager.secret = homes.node, homes.secret
                manager.end_elsewhere = end_elsewhere

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
    def managers(self) -> list[BaseManager[Any]]:
        """The managers of its sessions, one for each kind; none while nobody serves it."""
        found: list[BaseManager[Any]] = [] if self._manager is None else [self._manager]
        return found if self._resumable is None else [*found, self._resumable.manager]

    @property
    def sessions(self) -> list[Recipient]:
        """The open sessions, none while nobody serves the application; in any thread."""
        found: list[Recipient] = []
        if self._manager is not None:
            found += self._manager.open_sessions
        if self._resumable is not None:
            found += self._resumable.manager.open_sessions
        return found

    @property
    def all_sessions(self) -> list[UserSession]:
        """The sessions, those that are about to open too; on the loop."""
        found: list[UserSession] = []
        if self._manager is not None:
            found += self._manager
        if self._resumable is not None:
            found += self._resumable.manager
        return found

    def end_former(self, place: tuple[str, str], proof: bytes) -> None:
        """Ends a resumable session that another one replaces; see `ResumeManager.end_former`."""
        if self._resumable is not None:
            self._resumable.manager.end_former(place, proof)

    def lapse(self) -> Iterator[None]:
        """Ends all resumable sessions; see `ResumeManager.lapse`."""
        return iter(()) if self._resumable is None else self._resumable.manager.lapse()

    def broadcast(self, text: str) -> None:
        """Sends a message to every open session."""
        self.manager.broadcasts.send(self.sessions, text)

    def handle(
        self, target: protocol.Target, request: Request, proof: Proof | None = None
    ) -> Outcome:
        """Handles a request.

        A greeting and an iframe's page are answered at once; with a proof nothing is to be proved.

        Args:
            target: what the request asks for.
            request: the request.
            proof: what the application said when the outcome before was `Prove`.
        """
        if target.resumable:
            if self._resumable is None:
                answer = not_found()
                origin = self.origins.of(request.headers)
                answer.headers += [*COMMON[1:], *cors(request, origin)]
                return answer
            return self._resumable.handle(target, request, proof)
        origin = self.origins.of(request.headers)
        if target.action == "iframe":
            return self._iframe(request, target.script_name)
        if target.action == "greeting":
            return self._greeting(request)
        if not self._admits(origin, request):
            headers = [("Vary", "Origin"), NO_CACHE, ("Content-Type", PLAIN)]
            return Answer(403, headers, b"Forbidden")
        if target.action in ("websocket", "raw-websocket"):
            return self._websocket(target, request)
        shared = cors(request, origin)
        if target.action == "info":
            answer = self._info(request)
        else:
            action = self._action(target, request, shared)
            if isinstance(action, Action):
                session = action.session
                return action.take(session, request.query, request.body, request.peer, proof)
            answer = action
        answer.headers += shared
        return answer

    def action(self, target: protocol.Target, request: Request) -> Action | ResumableAction | None:
        """Returns what a request does with a session, if it may; its query and body are void."""
        if target.resumable:
            return None if self._resumable is None else self._resumable.action(target, request)
        origin = self.origins.of(request.headers)
        if not self._allows(origin, request):
            return None
        action = self._action(target, request, cors(request, origin))
        return action if isinstance(action, Action) else None

    def missing(self, target: protocol.Target, request: Request) -> Missing | None:
        """Tells which session a request is for that is not here.

        Args:
            target: what the request asks for.
            request: the request.

        Returns:
            None where the session is here, or the request is for none, or would be refused.
        """
        if target.resumable:
            return None if self._resumable is None else self._resumable.missing(target, request)
        if target.action not in RECEIVING and target.action not in SENDING:
            return None
        action = self.action(target, request)
        return None if action is None else action.missing

    def unread(
        self, request: Request, status: int, target: protocol.Target | None = None
    ) -> Answer:
        """Answers a request whose body is not to be had.

        Args:
            request: the request.
            status: 413: the body has more than ``max_message_size`` bytes; 408: it did not arrive
                in time; 503: there is no room for it. Any other: the peer is gone, or what it sends
                is broken.
            target: what the request asks for, where that matters.
        """
        if status not in _UNREAD:
            return Answer(status)
        if target is not None and target.resumable and self._resumable is not None:
            return self._resumable.unread(target, request, status, _UNREAD[status])
        answer = Answer(status, [("Content-Type", PLAIN), NO_CACHE], _UNREAD[status])
        origin = self.origins.of(request.headers)
        if self._allows(origin, request):
            answer.headers += cors(request, origin)
        if status == 503:
            answer.headers.append(RETRY_AFTER)
        return answer

    def _allows(self, origin: str | None, request: Request) -> bool:
        return self.origins.allows(origin, request.headers, request.host, request.scheme)

    def _admits(self, origin: str | None, request: Request) -> bool:
        """Tells whether a request may connect, and has it logged where not."""
        allowed = self._allows(origin, request)
        if not allowed:
            self._refused.note(origin, request.host, request.scheme, self.manager.clock.time())
        return allowed

    # Plain resources

    def _greeting(self, request: Request) -> Answer:
        if request.method not in ("GET", "HEAD"):
            return not_allowed("GET")
        return Answer(200, [("Content-Type", PLAIN)], b"Welcome to SockJS!\n")

    def _iframe(self, request: Request, script_name: str) -> Answer:
        if self.origins.same_only:
            return not_found()
        if request.method not in ("GET", "HEAD"):
            return not_allowed("GET")
        body = (_IFRAME % (quote(script_name) + self._client_path)).encode()
        etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        headers = [*cached_for_a_year(), ("ETag", etag)]
        known = request.headers.get("If-None-Match", "")
        if known.strip() == "*" or etag in (
            item.strip().removeprefix("W/") for item in known.split(",")
        ):
            return Answer(304, headers)
        return Answer(200, [("Content-Type", HTML), *headers], body)

    def _info(self, request: Request) -> Answer:
        if request.method == "OPTIONS":
            return preflight("OPTIONS, GET")
        if request.method != "GET":
            return not_allowed("OPTIONS, GET")
        info = {
            "websocket": "websocket" in self.settings.transports,
            "origins": ["*:*"],
            "cookie_needed": self.settings.jsessionid,
            "entropy": secrets.randbits(32),
        }
        headers = [("Content-Type", "application/json; charset=UTF-8"), NO_CACHE]
        return Answer(200, headers, json.dumps(info).encode())

    def _cookie(self, request: Request) -> Headers:
        if not self.settings.jsessionid:
            return []
        found = JSESSIONID.search(request.headers.get("Cookie", ""))
        return [("Set-Cookie", f"JSESSIONID={found[1] if found else 'dummy'}; path=/")]

    # Sessions

    def _action(
        self, target: protocol.Target, request: Request, shared: Headers
    ) -> Action | Answer:
        if sending := SENDING.get(target.action):
            served, method = bool(sending.serves & self._transports), "POST"
            nosniff = []
        else:
            transport = RECEIVING[target.action]
            served, method = transport.name in self._transports, transport.method
            # What begins with a name of the client's choice must not be taken for something else.
            nosniff = [NOSNIFF] if transport.takes_callback else []
        if not served:
            return not_found()
        cookie = self._cookie(request)
        if request.method == "OPTIONS":
            answer = preflight(f"OPTIONS, {method}")
            answer.headers += cookie
            return answer
        if request.method != method:
            return not_allowed(f"OPTIONS, {method}")
        base = target.base
        parts = (
            self.manager,
            target.session_id,
            unquote(base) if "%" in base else base,
            fingerprint(request.headers, jsessionid=self.settings.jsessionid),
            [NO_CACHE, *cookie, *nosniff],
            shared,
            request.headers.get("Content-Type", ""),
        )
        if sending:
            return Send(*parts, sending, homes=self.homes)
        return Receive(*parts, transport, homes=self.homes)

    def _websocket(self, target: protocol.Target, request: Request) -> Answer | Attach:
        transport = WEBSOCKET if target.action == "websocket" else RAW_WEBSOCKET
        if transport.name not in self._transports:
            return not_found()
        if request.method != "GET":
            return not_allowed("GET")
        if lacks := request.lacks_upgrade:
            return Answer(400, [("Content-Type", PLAIN), NO_CACHE], lacks.encode())
        try:
            session = self.manager.create(target.session_id, transport)
        except TooManySessions as error:
            return Answer(503, [("Content-Type", PLAIN), RETRY_AFTER], str(error).encode())
        return Attach(session, transport, self._cookie(request))
