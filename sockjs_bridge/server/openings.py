"""The handshakes of the sessions that open, on their way through the WSGI application.

Every session opens here, whatever its transport and whoever has read its request: it is judged
(RFC 6455, 4.2.1), led through the application, accepted or refused.
"""

from __future__ import annotations

import asyncio
import binascii
import hashlib
import logging
from collections.abc import Coroutine
from time import perf_counter
from typing import Any, Final

from sockjs_bridge.core.credentials import UNKNOWN
from sockjs_bridge.core.transports import PLAIN, RAW_WEBSOCKET
from sockjs_bridge.endpoint import subprotocols
from sockjs_bridge.endpoint.handshake import HANDSHAKE, Handshake
from sockjs_bridge.endpoint.loglimit import LogLimit
from sockjs_bridge.endpoint.opening import Opening, Owned
from sockjs_bridge.endpoint.outcomes import Answer, Headers, Proof, Upgrade, Upgrading, phrase
from sockjs_bridge.endpoint.proofs import admits
from sockjs_bridge.endpoint.request import RequestHead
from sockjs_bridge.resume.link import Link
from sockjs_bridge.server.accesslog import GONE, AccessLogger
from sockjs_bridge.server.connection import PeerConnection
from sockjs_bridge.server.plain import Head
from sockjs_bridge.server.routing import Routed, Router
from sockjs_bridge.server.websocket import WebSocketConnection
from sockjs_bridge.server.wsgi.environ import make_environ
from sockjs_bridge.server.wsgi.host import WSGIHost

logger = logging.getLogger("sockjs_bridge.server")

# RFC 6455, 4.2.2.
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
#: The versions whose wire is the RFC's: drafts 7 and 8 differ in the names of headers.
VERSIONS: Final = {"13", "8", "7"}

_WEBSOCKETS = {"websocket", "raw-websocket"}

# Headers of the handshake's response that speak of its body, its caching, its connection, or of
# what the endpoint itself says.
_NOT_PASSED_ON = {
    *("age", "cache-control", "connection", "content-disposition", "content-encoding"),
    *("content-language", "content-length", "content-type", "date", "etag", "expires"),
    *("keep-alive", "last-modified", "server", "transfer-encoding", "upgrade", "vary"),
    "x-content-type-options",
}
_PREFIXES_NOT_PASSED_ON = ("access-control-", "sec-websocket-")

# A browser may make a request, or a poll, depend on what it knows of that URL (RFC 9110, 13 and
# 14). For the URL that the application is asked for nothing of it holds: a 304 would be a refusal.
# Nor does it get the body.
_NOT_ASKED = {
    *("CONTENT_TYPE", "HTTP_IF_MATCH", "HTTP_IF_MODIFIED_SINCE", "HTTP_IF_NONE_MATCH"),
    *("HTTP_IF_RANGE", "HTTP_IF_UNMODIFIED_SINCE", "HTTP_RANGE"),
}


class Openings:
    """Leads each new session's handshake through the application, once.

    Args:
        router: finds endpoints.
        host: of the WSGI application.
    """

    def __init__(self, router: Router, host: WSGIHost) -> None:
        self._router = router
        self._host = host
        self._log = AccessLogger(logger, "")
        self._log_limit = LogLimit()
        self._under_way: dict[Owned, asyncio.Future[tuple[int, Headers]]] = {}
        # The loop itself holds tasks by weak references.
        self._tasks: set[asyncio.Task[None]] = set()

    # Plain requests

    def begin(self, head: Head, connection: PeerConnection) -> bool:
        """Begins the handshake of a plain request that asks for another protocol.

        Args:
            head: of the request.
            connection: over which it came; nothing else is under way on it.

        Returns:
            False, and nothing is done, where aiohttp is to read the request, and to judge.
        """
        routed = self._router.plain(head, connection)
        if routed is None or head.headers.get("Sec-WebSocket-Version") != "13":
            return False
        key = accept_key(head)
        if key is None or routed.target.action not in _WEBSOCKETS:
            return False
        parts = routed.parts()
        if (
            routed.target.resumable
            and routed.endpoint.homes is not None
            and routed.endpoint.missing(routed.target, parts) is not None
        ):
            # Another process may have the session.
            return False
        outcome = routed.endpoint.handle(routed.target, parts)
        if not isinstance(outcome, Upgrading):
            return False
        connection.begin()
        self.spawn(self._open_plain(routed, outcome, self._attach(routed, outcome, key)))
        return True

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Runs a handshake as a task of its own."""
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _open_plain(
        self, routed: Routed, attach: Upgrading, websocket: WebSocketConnection
    ) -> None:
        head = routed.head
        now = asyncio.get_running_loop().time
        begun = now()
        try:
            answer = await self._open(routed, attach, websocket)
        except Exception:
            logger.exception("%s %s: the handshake failed", head.method, head.raw_path)
            answer = self._abandon(attach, 500, [])
        if answer.status not in (101, GONE):
            routed.connection.respond(answer)
        if self._log.enabled and not routed.connection.relayed:
            remote, size = routed.client.remote, len(answer.body)
            self._log.write(head, answer.status, size, now() - begun, remote)

    # WebSockets

    async def open_websocket(self, routed: Routed, attach: Upgrading) -> Answer:
        """Opens a WebSocket for a request that aiohttp has read, or refuses it.

        Args:
            routed: the request.
            attach: its outcome; the session is new.

        Returns:
            The answer; 101 and `GONE` stand for what needs none.
        """
        key = accept_key(routed.head)
        if key is None:
            attach.abandon()
            routed.endpoint.manager.monitor.refused(400)
            # RFC 6455, 4.4: which version would do.
            headers = [("Content-Type", PLAIN), ("Sec-WebSocket-Version", "13")]
            return Answer(400, [*headers, *_refusal_headers(attach)], b"Bad handshake.")
        if routed.connection.half_closed:
            # As with a poll that would have to wait: no frame can come, not even a pong.
            attach.abandon()
            routed.connection.abort()
            return Answer(GONE)
        routed.connection.hold_back()
        return await self._open(routed, attach, self._attach(routed, attach, key))

    @staticmethod
    def _attach(routed: Routed, attach: Upgrading, key: str) -> WebSocketConnection:
        limit = routed.endpoint.settings.max_message_size
        websocket = WebSocketConnection(routed.connection, attach, key, limit)
        attach.attach(websocket)
        return websocket

    async def _open(
        self, routed: Routed, attach: Upgrading, websocket: WebSocketConnection
    ) -> Answer:
        try:
            status, headers = 200, Headers()
            if isinstance(attach, Upgrade):
                if (session := attach.opening) is not None:
                    status, headers = await self.open_session(routed, session)
            else:
                status, headers = await self._handshake(routed, attach.session)
            if status >= 300:
                return self._abandon(attach, status, headers)
            if websocket.gone:
                # Somebody else has asked for the session, which is open now.
                attach.abandon()
                return Answer(GONE)
            if isinstance(attach, Upgrade):
                attach.session.ask = lambda link, session: self.spawn(
                    self._prove_link(routed, link, session)
                )
                attach.session.begin(websocket)
            websocket.accept([*attach.headers, *headers])
            return Answer(101)
        finally:
            websocket.give_back()

    @staticmethod
    def _abandon(attach: Upgrading, status: int, headers: Headers) -> Answer:
        attach.abandon()
        known = [("Content-Type", PLAIN), *_refusal_headers(attach), *headers]
        # RFC 9110, 15.4.5: with a body the next response would begin in the midst of this one.
        return Answer(status, known, b"" if status == 304 else phrase(status).encode())

    # Sessions that more than one request may open

    async def open_session(self, routed: Routed, session: Opening) -> tuple[int, Headers]:
        """Has the application decide once, whoever asks for the session meanwhile.

        Args:
            routed: the request.
            session: the new one that it is for.

        Returns:
            As `_handshake`; who receives hears by the session that it is refused.
        """
        if session in self._under_way:
            status, headers = await asyncio.shield(self._under_way[session])
        else:
            opening = self._under_way[session] = asyncio.get_running_loop().create_future()
            status, headers = 500, Headers()
            try:
                status, headers = await self._handshake(routed, session)
            finally:
                del self._under_way[session]
                opening.set_result((status, headers))
        if status >= 300:
            session.refuse(4000 + status, phrase(status))
        return status, headers

    # WebSockets of ``~r1``

    async def _prove_link(self, routed: Routed, link: Link, session: Owned) -> None:
        """Has the application say who opened a WebSocket with other credentials."""
        passes = False
        try:
            proof = await self.prove(routed, session)
            # Whose user is no user any more hears so by the session's end.
            passes = admits(session, link.fingerprint, proof) or session.credentials is None
        finally:
            link.proved(passes)

    async def prove(self, routed: Routed, session: Owned) -> Proof:
        """Asks the application who makes a request that came with other credentials.

        Args:
            routed: the request.
            session: the open one that it is for, or the tombstone of one.
        """
        if session in self._under_way:
            # Who opens it is not known yet.
            await asyncio.shield(self._under_way[session])
        handshake = Handshake(routed.endpoint, session.placeholder(), renewal=True)
        status, headers = await self._ask(routed, handshake)
        return Proof(session, status, handshake.identity, headers)

    # The application

    async def _handshake(self, routed: Routed, session: Opening) -> tuple[int, Headers]:
        """Has the application decide.

        Returns:
            The status, below 300 when the session is open, and the headers for the client.
        """
        handshake = Handshake(routed.endpoint, session)
        begun = perf_counter()
        status, headers = await self._ask(routed, handshake)
        routed.endpoint.manager.monitor.handshake(status, perf_counter() - begun)
        # The handler has the request, and that has the handshake in its environ: a cycle would wait
        # for a collection of all garbage, which holds up the loop.
        handler, handshake.handler = handshake.handler, None
        if session.over:
            # It ended meanwhile, and what the application has made of it since refers to it.
            session.connection = None
        if status >= 300 or handler is None:
            return status, headers
        if session.credentials is not None:
            known = handshake.identity is not UNKNOWN
            session.credentials.settle(handshake.identity if known else None)
        if not session.accept(handler):
            # It ended meanwhile: its client left, or the server stops.
            return 503, []
        return status, headers

    async def _ask(self, routed: Routed, handshake: Handshake) -> tuple[int, Headers]:
        """Leads a handshake through the application.

        Returns:
            The status, below 300 when a view takes the connection, and the headers for the client.
        """
        base, name = routed.target.base, routed.endpoint.name
        page, addresses = routed.endpoint.page(base), routed.connection.addresses
        environ = make_environ(routed.head, routed.client, addresses, None, page)
        for key in _NOT_ASKED & environ.keys():
            del environ[key]
        environ["REQUEST_METHOD"], environ["CONTENT_LENGTH"] = "GET", "0"
        environ[HANDSHAKE] = handshake
        try:
            status, _, raw = await self._host.call(environ)
        except Exception:
            logger.exception("route %r, %s: the handshake failed", name, base)
            return 500, []
        if handshake.release is not None:
            handshake.release()
            handshake.release = None
        headers = [item for item in raw if _passed_on(item[0].lower())]
        if status < 400 and handshake.failure is not None:
            # The page of an exception view, a redirection to a login form for example: what it
            # tells people is lost on a client of this kind.
            return handshake.failure, [item for item in headers if item[0].lower() != "location"]
        # Where a view or its policy redirects, that is meant.
        if (status < 400 and not handshake.reached) or (300 <= status < 400 and handshake.taken):
            self._note_answered(handshake, base, status, raw)
        elif status < 300 and not handshake.taken:
            logger.warning("route %r, %s: no view took the connection, answered 404", name, base)
        if status < 300 and not handshake.taken:
            return 404, headers
        return status, headers + _agree(routed.head, handshake, raw)

    def _note_answered(self, handshake: Handshake, base: str, status: int, raw: Headers) -> None:
        """Logs that a handshake was answered as a page would be, at most once a minute."""
        name = handshake.endpoint.name
        if not self._log_limit.allows((name, status), asyncio.get_running_loop().time()):
            return
        places = [value for header, value in raw if header.lower() == "location"]
        logger.warning(
            "route %r, %s: a tween or a WSGI filter answered the handshake with %d %s%s, like a"
            " page, so no connection opens. It must pass on requests whose"
            " request.websocket is not None (in a WSGI filter: with %r in the environ), or refuse"
            " them with 403",
            *(name, base, status, phrase(status)),
            f" to {places[0]!a}" if places else "",
            HANDSHAKE,
        )


def _refusal_headers(attach: Upgrading) -> Headers:
    """Returns what a refusal has beside: all answers below ``~r1`` have it."""
    return attach.headers if isinstance(attach, Upgrade) else []


def accept_key(head: RequestHead) -> str | None:
    """Returns the ``Sec-WebSocket-Accept`` of a handshake (RFC 6455, 4.2.2).

    Returns:
        None where the version, of HTTP or of WebSockets, is none that is spoken here, or the key
        is none.
    """
    key = head.headers.get("Sec-WebSocket-Key", "")
    try:
        size = len(binascii.a2b_base64(key))
    except (binascii.Error, ValueError):
        return None
    version = head.headers.get("Sec-WebSocket-Version")
    if size != 16 or version not in VERSIONS or head.version < (1, 1):
        return None
    digest = hashlib.sha1(key.encode() + _GUID).digest()
    return binascii.b2a_base64(digest, newline=False).decode()


def _agree(head: RequestHead, handshake: Handshake, raw: Headers) -> Headers:
    """Settles the subprotocol of a raw WebSocket.

    Args:
        head: of the client's request, which offers some.
        handshake: of a connection that a view takes.
        raw: headers of the application's response, which may name one.

    Returns:
        The header that names it; none where nothing is agreed on.
    """
    session, endpoint = handshake.session, handshake.endpoint
    header, raw_websocket = subprotocols.HEADER, session.transport is RAW_WEBSOCKET
    named = [value for name, value in raw if name.lower() == header.lower()]
    if not (named or raw_websocket):
        return []
    offers: list[str] = []
    if raw_websocket:
        key = header.lower().encode()
        values = [value for name, value in head.raw_headers if name.lower() == key]
        offers = subprotocols.offered(value.decode("latin-1") for value in values)
    agreed = subprotocols.choose(offers, [*named, *endpoint.settings.subprotocols])
    session.subprotocol = agreed
    reason = f"the client offers {offers}" if raw_websocket else "SockJS has none"
    for value in named if session.transport.websocket else ():
        if value != agreed:
            logger.warning("route %r: dropped %s: %a: %s", endpoint.name, header, value, reason)
    return [] if agreed is None else [(header, agreed)]


def _passed_on(name: str) -> bool:
    return name not in _NOT_PASSED_ON and not name.startswith(_PREFIXES_NOT_PASSED_ON)
