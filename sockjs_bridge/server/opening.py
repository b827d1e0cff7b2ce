"""The handshakes of the sessions that open, on their way through the WSGI application."""

from __future__ import annotations

import asyncio
import logging
from io import BytesIO

from aiohttp import web

from sockjs_bridge.core.credentials import UNKNOWN
from sockjs_bridge.core.session import Session
from sockjs_bridge.core.transports import RAW_WEBSOCKET
from sockjs_bridge.endpoint import subprotocols
from sockjs_bridge.endpoint.endpoint import Endpoint
from sockjs_bridge.endpoint.handshake import HANDSHAKE, Handshake
from sockjs_bridge.endpoint.outcomes import Headers, Proof
from sockjs_bridge.server.wsgi.host import WSGIHost, path_info

logger = logging.getLogger("sockjs_bridge.server")

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
_CONDITIONS = ("HTTP_IF_", "HTTP_RANGE")


class Openings:
    """Leads each new session's handshake through the application, once.

    Args:
        host: of the WSGI application.
    """

    def __init__(self, host: WSGIHost) -> None:
        self._host = host
        self._under_way: dict[Session, asyncio.Future[tuple[int, Headers]]] = {}

    async def lead(
        self, request: web.BaseRequest, endpoint: Endpoint, base: str, session: Session
    ) -> tuple[int, Headers]:
        """Has the application decide; a request that repeats the opening waits for the first.

        Args:
            request: the one that opens.
            endpoint: what it asks for.
            base: the URL path of that, percent-encoded.
            session: the new one.

        Returns:
            The status, below 300 when the session is open, and the headers for the client.
        """
        if session in self._under_way:
            return await asyncio.shield(self._under_way[session])
        opening = self._under_way[session] = asyncio.get_running_loop().create_future()
        status, headers = 500, Headers()
        try:
            status, headers = await self._handshake(request, endpoint, base, session)
        finally:
            del self._under_way[session]
            opening.set_result((status, headers))
        return status, headers

    async def prove(
        self, request: web.BaseRequest, endpoint: Endpoint, base: str, session: Session
    ) -> Proof:
        """Asks the application who makes a request that came with other credentials.

        Args:
            request: the one.
            endpoint: what it asks for.
            base: the URL path of that, percent-encoded.
            session: the open one that it is for.
        """
        handshake = Handshake(endpoint, session.placeholder(), renewal=True)
        status, headers = await self._ask(request, base, handshake)
        return Proof(session, status, handshake.identity, headers)

    async def _handshake(
        self, request: web.BaseRequest, endpoint: Endpoint, base: str, session: Session
    ) -> tuple[int, Headers]:
        handshake = Handshake(endpoint, session)
        status, headers = await self._ask(request, base, handshake)
        # The handler has the request, and that has the handshake in its environ: a cycle would wait
        # for a collection of all garbage, which holds up the loop.
        handler, handshake.handler = handshake.handler, None
        if status >= 300 or handler is None:
            return status, headers
        if session.credentials is not None:
            known = handshake.identity is not UNKNOWN
            session.credentials.settle(handshake.identity if known else None)
        if not session.accept(handler):
            # It ended meanwhile: its client left, or the server stops.
            return 503, []
        return status, headers

    async def _ask(
        self, request: web.BaseRequest, base: str, handshake: Handshake
    ) -> tuple[int, Headers]:
        """Leads a handshake through the application.

        Returns:
            The status, below 300 when a view takes the connection, and the headers for the client.
        """
        environ = self._host.environ(request)
        for key in [key for key in environ if key.startswith(_CONDITIONS)]:
            del environ[key]
        environ.update(
            {
                "REQUEST_METHOD": "GET",
                "PATH_INFO": path_info(handshake.endpoint.page(base)),
                "CONTENT_LENGTH": "0",
                "wsgi.input": BytesIO(),
                HANDSHAKE: handshake,
            }
        )
        environ.pop("CONTENT_TYPE", None)
        name = handshake.endpoint.name
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
        if status < 300 and not handshake.taken:
            logger.warning("route %r, %s: no view took the connection, answered 404", name, base)
            return 404, headers
        return status, headers + _agree(request, handshake, raw)


def _agree(request: web.BaseRequest, handshake: Handshake, raw: Headers) -> Headers:
    """Settles the subprotocol of a raw WebSocket.

    Args:
        request: of the client, who offers some.
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
        offers = subprotocols.offered(request.headers.getall(header, ()))
    agreed = subprotocols.choose(offers, [*named, *endpoint.settings.subprotocols])
    session.subprotocol = agreed
    reason = f"the client offers {offers}" if raw_websocket else "SockJS has none"
    for value in named if session.transport.websocket else ():
        if value != agreed:
            logger.warning("route %r: dropped %s: %a: %s", endpoint.name, header, value, reason)
    return [] if agreed is None else [(header, agreed)]


def _passed_on(name: str) -> bool:
    return name not in _NOT_PASSED_ON and not name.startswith(_PREFIXES_NOT_PASSED_ON)
