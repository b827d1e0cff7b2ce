"""The handshakes of the sessions that open, on their way through the WSGI application."""

from __future__ import annotations

import asyncio
import logging
from io import BytesIO

from aiohttp import web

from sockjs_bridge.endpoint import Endpoint, Headers
from sockjs_bridge.endpoints import HANDSHAKE, Handshake
from sockjs_bridge.server.wsgi import WSGIHost, path_info
from sockjs_bridge.session import Session

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
            The status, below 400 when the session is open, and the headers for the client.
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

    async def _handshake(
        self, request: web.BaseRequest, endpoint: Endpoint, base: str, session: Session
    ) -> tuple[int, Headers]:
        handshake = Handshake(endpoint, session)
        environ = self._host.environ(request)
        environ.update(
            {
                "REQUEST_METHOD": "GET",
                "PATH_INFO": path_info(base),
                "CONTENT_LENGTH": "0",
                "wsgi.input": BytesIO(),
                HANDSHAKE: handshake,
            }
        )
        environ.pop("CONTENT_TYPE", None)
        try:
            status, _, raw = await self._host.call(environ)
        except Exception:
            logger.exception("route %r, %s: the handshake failed", endpoint.name, base)
            return 500, []
        headers = [item for item in raw if _passed_on(item[0].lower())]
        if status >= 400:
            return status, headers
        if handshake.handler is None:
            logger.warning(
                "route %r, %s: no view took the connection, answered 404", endpoint.name, base
            )
            return 404, headers
        if not session.accept(handshake.handler):
            # It ended meanwhile: its client left, or the server stops.
            return 503, []
        return status, headers


def _passed_on(name: str) -> bool:
    return name not in _NOT_PASSED_ON and not name.startswith(_PREFIXES_NOT_PASSED_ON)
