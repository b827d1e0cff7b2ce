"""The second skin's openings: a WebSocket's handshake without a request of aiohttp's.

Of a handshake in the plainest of forms aiohttp has nothing to decide, and its protocol, parser,
tasks, request and response, made for one request and dropped with it, cost more than the whole trip
through the application.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from typing import Any, cast

from aiohttp import HttpVersion11, web
from multidict import CIMultiDict

from sockjs_bridge.core.transports import PLAIN
from sockjs_bridge.endpoint.endpoint import Endpoint
from sockjs_bridge.endpoint.outcomes import Reply, Request, phrase
from sockjs_bridge.server.accesslog import AccessLogger
from sockjs_bridge.server.connection import PeerConnection
from sockjs_bridge.server.opening import Openings
from sockjs_bridge.server.plain import Head
from sockjs_bridge.server.proxy import MalformedForwarded
from sockjs_bridge.server.site import Site
from sockjs_bridge.server.websocket import WebSocketConnection, accept_key
from sockjs_bridge.server.wsgi.host import WSGIHost

logger = logging.getLogger("sockjs_bridge.server")

_WEBSOCKETS = {"websocket", "raw-websocket"}


class PlainHead:
    """A request's head as `WSGIHost`, `Openings` and `AccessLogger` read it of aiohttp's.

    Args:
        head: of a plain request.
        connection: over which it came.
    """

    __slots__ = ("_notes", "headers", "method", "protocol", "raw_path", "transport")

    version = HttpVersion11

    def __init__(self, head: Head, connection: PeerConnection) -> None:
        self.method = head.method
        self.raw_path = head.target
        self.headers = CIMultiDict(head.headers)
        self.protocol = connection
        self.transport = connection.transport
        self._notes: dict[Any, Any] = {}

    @property
    def raw_headers(self) -> Iterable[tuple[bytes, bytes]]:
        """Names and values."""
        return [(name.encode(), value.encode()) for name, value in self.headers.items()]

    def get(self, key: Any, default: Any = None) -> Any:
        """Returns what was noted."""
        return self._notes.get(key, default)

    def __setitem__(self, key: Any, value: object) -> None:
        self._notes[key] = value


class FastOpenings:
    """Opens WebSockets whose handshakes came whole, alone and in the plainest of forms.

    Args:
        site: where the endpoints are.
        host: the WSGI application.
    """

    def __init__(self, site: Site, host: WSGIHost) -> None:
        self._site = site
        self._host = host
        self._openings = Openings(host)
        self._log = AccessLogger(logger, "")
        # The loop itself holds tasks by weak references.
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, head: Head, connection: PeerConnection) -> bool:
        """Begins a handshake.

        Args:
            head: of a request that asks for another protocol.
            connection: over which it came; nothing else is under way on it.

        Returns:
            False where aiohttp and the reference skin are to judge.
        """
        target = head.target
        if target.startswith("//") or "#" in target:
            return False
        # What both skins take for aiohttp's.
        like = cast(web.BaseRequest, PlainHead(head, connection))
        try:
            client = self._host.client(like)
        except MalformedForwarded:
            return False
        path, _, query = target.partition("?")
        found = self._site.find(path, client.host.lower() if self._site.by_host else "")
        if found is None:
            return False
        endpoint, asked = found
        if asked.action == "greeting":
            asked = asked._replace(action="raw-websocket")
        if not (endpoint.settings.fast and asked.action in _WEBSOCKETS):
            return False
        key = accept_key(like.headers)
        if key is None or like.headers["Sec-WebSocket-Version"] != "13":
            return False
        parts = Request(
            head.method, query, like.headers, client.host, b"", connection.flow, client.scheme
        )
        reply = endpoint.handle(asked, parts)
        if reply.session is None:
            return False
        limit = endpoint.settings.max_message_size
        websocket = WebSocketConnection(connection, reply.session, reply, key, limit)
        reply.session.attach(websocket)
        task = asyncio.get_running_loop().create_task(
            self._open(like, endpoint, asked.base, reply, websocket, connection)
        )
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    async def _open(
        self,
        request: web.BaseRequest,
        endpoint: Endpoint,
        base: str,
        reply: Reply,
        websocket: WebSocketConnection,
        connection: PeerConnection,
    ) -> None:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        session = reply.session
        assert session is not None
        try:
            status, headers = await self._openings.lead(request, endpoint, base, session)
        except Exception:
            logger.exception("%s %s: the handshake failed", request.method, request.raw_path)
            status, headers = 500, []
        body = b""
        if status >= 300:
            body = phrase(status).encode()
            session.abandon()
            connection.receiver = None
            connection.respond(Reply(status, [("Content-Type", PLAIN), *headers], body))
        elif websocket.accept([*reply.headers, *headers]):
            status = 101
        else:
            # Nobody is left to read it; the access log tells it by nginx's number.
            status = 499
        if self._log.enabled:
            response = web.Response(status=status, body=body or None)
            self._log.log(request, response, loop.time() - begun)
