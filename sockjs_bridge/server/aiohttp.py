"""aiohttp requests and WebSockets <-> endpoints: the reference skin around the core."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace
from http import HTTPStatus
from io import BytesIO
from urllib.parse import unquote_to_bytes

from aiohttp import WebSocketError, WSCloseCode, WSMsgType, web

from sockjs_bridge import protocol
from sockjs_bridge.endpoint import Endpoint, Headers, Reply, Request
from sockjs_bridge.endpoints import HANDSHAKE, Endpoints, Handshake
from sockjs_bridge.server.accesslog import POLL
from sockjs_bridge.server.proxy import MalformedForwarded
from sockjs_bridge.server.receivers import Connection, HttpReceiver, WebSocketReceiver
from sockjs_bridge.server.wsgi import WSGIHost, send_continue
from sockjs_bridge.server.wsgi_response import SERVER_NAME
from sockjs_bridge.session import Session, State

logger = logging.getLogger("sockjs_bridge.server")

#: Seconds that the peer of a closed WebSocket has to answer the close frame.
CLOSE_TIMEOUT = 5.0

#: RFC 6455, 7.4.1: the close frame held no code.
NO_STATUS = 1005

# Headers of the handshake's response that speak of its body, its caching or its connection.
_NOT_PASSED_ON = {
    *("age", "cache-control", "connection", "content-disposition", "content-encoding"),
    *("content-language", "content-length", "content-type", "date", "etag", "expires"),
    *("keep-alive", "last-modified", "server", "transfer-encoding", "upgrade", "vary"),
}


# What aiohttp's receive() returns when a WebSocket is over without a word from the peer.
_ENDS = {WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR}


class Bridge:
    """The handler of all requests: SockJS goes to its endpoint, the rest to the application.

    Args:
        endpoints: of the application, or of several behind one.
        host: the WSGI application.
        body_timeout: seconds that the body of a send may take to arrive.
    """

    def __init__(
        self,
        endpoints: Sequence[Endpoints],
        host: WSGIHost,
        body_timeout: float,
    ) -> None:
        self._endpoints = endpoints
        self._host = host
        self._body_timeout = body_timeout
        self._openings: dict[Session, asyncio.Future[tuple[int, Headers]]] = {}

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answers a request."""
        path = _path(request)
        for endpoints in self._endpoints:
            if found := endpoints.find(path):
                endpoint, target = found
                if target.action == "greeting" and _wants_websocket(request):
                    target = target._replace(action="raw-websocket")
                if target.action != "greeting":
                    return await self._serve(request, endpoint, target, path)
        return await self._host.serve(request)

    async def _serve(
        self, request: web.BaseRequest, endpoint: Endpoint, target: protocol.Target, path: str
    ) -> web.StreamResponse:
        transport = request.transport
        connection = transport.get_protocol() if transport is not None else None
        if not isinstance(connection, Connection):
            return _gone()
        request[POLL] = bool(target.session_id) and target.action != "websocket"
        try:
            client = self._host.client(request)
        except MalformedForwarded as error:
            return _respond(Reply(400, [("Content-Type", "text/plain")], str(error).encode()))
        try:
            parts = await self._parts(request, connection, endpoint, client.host)
        except _Refused as refused:
            logger.info("%s %s: %d", request.method, path, refused.reply.status)
            response = _respond(refused.reply)
            # What is left of the body is not read.
            response.force_close()
            return response
        if connection.lost:
            return _gone()
        reply = endpoint.handle(target, parts)
        if reply.busy is not None:
            await _until_ready(reply.busy)
        if reply.session is None:
            return _respond(reply)
        if reply.transport.websocket:
            return await self._websocket(request, connection, endpoint, target, reply)
        return await self._receive(request, connection, endpoint, target, reply)

    async def _parts(
        self, request: web.BaseRequest, connection: Connection, endpoint: Endpoint, host: str
    ) -> Request:
        query = request.raw_path.partition("?")[2]
        parts = Request(request.method, query, request.headers, host, b"", connection.number)
        if not request.body_exists:
            return parts
        try:
            async with asyncio.timeout(self._body_timeout):
                await send_continue(request)
                body = await _body(request, endpoint.settings.max_message_size)
        except TimeoutError:
            raise _Refused(endpoint.too_slow(parts)) from None
        except web.RequestPayloadError:
            # The peer is gone, or its chunks are broken.
            raise _Refused(Reply(400)) from None
        if body is None:
            raise _Refused(endpoint.too_large(parts))
        return replace(parts, body=body)

    # The handshake

    async def _open(
        self, request: web.BaseRequest, endpoint: Endpoint, base: str, session: Session
    ) -> tuple[int, Headers]:
        """Leads an opening through the application.

        Returns:
            The status, below 400 when the session is open, and the headers for the client.
        """
        if session in self._openings:
            return await asyncio.shield(self._openings[session])
        opening = self._openings[session] = asyncio.get_running_loop().create_future()
        status, headers = 500, Headers()
        try:
            status, headers = await self._handshake(request, endpoint, base, session)
        finally:
            del self._openings[session]
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
                "PATH_INFO": unquote_to_bytes(base).decode("latin-1"),
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
            status, raw = 500, []
        headers = [item for item in raw if item[0].lower() not in _NOT_PASSED_ON]
        if status >= 400:
            return status, headers
        if handshake.handler is None:
            logger.warning(
                "route %r, %s: no view took the connection, answered 404", endpoint.name, base
            )
            return 404, headers
        session.accept(handshake.handler)
        return status, headers

    # HTTP transports

    async def _receive(
        self,
        request: web.BaseRequest,
        connection: Connection,
        endpoint: Endpoint,
        target: protocol.Target,
        reply: Reply,
    ) -> web.StreamResponse:
        session = reply.session
        assert session is not None
        chunked = request.version >= (1, 1)
        receiver = HttpReceiver(connection, session, reply, chunked=chunked)
        try:
            session.attach(receiver)
            if session.state is State.NEW and not receiver.ended:
                status, headers = await self._open(request, endpoint, target.base, session)
                reply.headers += headers
                if status >= 400:
                    session.refuse(4000 + status, _phrase(status))
            return await self._respond_to_receiver(request, connection, receiver, reply)
        except ConnectionError:
            # The connection is closing; the loop tells that later.
            return _gone()
        finally:
            # Whatever went wrong, the session must not believe that it is attached.
            session.detach(receiver, lost=True)
            connection.receiver = None

    async def _respond_to_receiver(
        self,
        request: web.BaseRequest,
        connection: Connection,
        receiver: HttpReceiver,
        reply: Reply,
    ) -> web.StreamResponse:
        if connection.lost:
            return _gone()
        if reply.transport.streaming:
            response = web.StreamResponse(status=reply.status)
            _add_headers(response, reply.headers)
            if request.version < (1, 1):
                # Without chunks, the end of the connection is the end of the stream.
                response.force_close()
            await response.prepare(request)
            await response.write(reply.transport.prelude(reply.callback))
            if receiver.body:
                await response.write(receiver.body)
            receiver.start()
            await receiver.finished
        else:
            receiver.start()
            await receiver.finished
            reply.body = receiver.body
            response = _respond(reply)
            await response.prepare(request)
        await response.write_eof()
        receiver.session.detach(receiver, lost=connection.lost)
        return response

    # WebSockets

    async def _websocket(
        self,
        request: web.BaseRequest,
        connection: Connection,
        endpoint: Endpoint,
        target: protocol.Target,
        reply: Reply,
    ) -> web.StreamResponse:
        session = reply.session
        assert session is not None
        websocket = web.WebSocketResponse(
            timeout=CLOSE_TIMEOUT,
            compress=False,
            # aiohttp refuses what reaches its limit.
            max_msg_size=endpoint.settings.max_message_size + 1,
        )
        if not websocket.can_prepare(request):
            session.abandon()
            return _respond(Reply(400, [("Content-Type", "text/plain")], b"Bad handshake."))
        status, headers = await self._open(request, endpoint, target.base, session)
        if status >= 400:
            session.abandon()
            text = _phrase(status).encode()
            return _respond(Reply(status, [("Content-Type", "text/plain"), *headers], text))
        transport = request.transport
        if transport is None or transport.is_closing() or session.state is State.CLOSED:
            session.close(WSCloseCode.ABNORMAL_CLOSURE, "")
            session.finish()
            return _gone()
        _add_headers(websocket, [*reply.headers, *headers])
        try:
            await websocket.prepare(request)
        except ConnectionError:
            session.close(WSCloseCode.ABNORMAL_CLOSURE, "")
            session.finish()
            return _gone()
        receiver = WebSocketReceiver(connection, session, reply, websocket)
        session.attach(receiver)
        receiver.start()
        code, reason = int(WSCloseCode.ABNORMAL_CLOSURE), ""
        try:
            code, reason = await self._read(websocket, receiver)
            if receiver.closing is not None:
                await receiver.closing
        finally:
            session.detach(receiver, lost=connection.lost, code=code, reason=reason)
            connection.receiver = None
        return websocket

    async def _read(
        self, websocket: web.WebSocketResponse, receiver: WebSocketReceiver
    ) -> tuple[int, str]:
        """Reads until the WebSocket is over; returns the code and the reason of that."""
        session = receiver.session
        while True:
            receiver.reading = True
            message = await websocket.receive()
            receiver.reading = False
            if message.type is WSMsgType.CLOSE:
                # RFC 6455, 7.1.5: 1005 stands for a close frame without a code.
                return int(message.data) or NO_STATUS, str(message.extra or "")
            if isinstance(message.data, WebSocketError):
                logger.info("session %s: %s", session.id, message.data)
                return int(message.data.code), ""
            if message.type in _ENDS:
                return int(WSCloseCode.ABNORMAL_CLOSURE), ""
            if message.type is WSMsgType.TEXT and session.transport.control_frames:
                try:
                    messages = protocol.decode_websocket(message.data)
                except protocol.PayloadError as error:
                    logger.info("session %s: %s", session.id, error)
                    session.close(*protocol.BROKEN_FRAMING)
                    continue
            elif message.type is WSMsgType.TEXT:
                messages = [message.data]
            else:
                session.close(*protocol.BROKEN_FRAMING)
                continue
            if messages:
                session.deliver(messages, _size(message.data))
                if session.full:
                    await _until_ready(session)


class _Refused(Exception):
    """A request that is answered before its body is complete."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status)
        self.reply = reply


def _path(request: web.BaseRequest) -> str:
    path = request.raw_path.partition("?")[0]
    if not path.startswith("/"):
        # RFC 9112, 3.2.2: the absolute form.
        path = "/" + path.partition("://")[2].partition("/")[2]
    return path


def _wants_websocket(request: web.BaseRequest) -> bool:
    return request.headers.get("Upgrade", "").strip().lower() == "websocket"


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Refused"


def _add_headers(response: web.StreamResponse, headers: Headers) -> None:
    for name, value in headers:
        response.headers.add(name, value)
    response.headers.setdefault("Server", SERVER_NAME)


def _respond(reply: Reply) -> web.Response:
    response = web.Response(status=reply.status, body=reply.body or None)
    response.headers.popall("Content-Type", None)
    _add_headers(response, reply.headers)
    return response


def _gone() -> web.Response:
    # Nobody is left to read it; the access log tells it by nginx's number.
    return web.Response(status=499, reason="Client Closed Request")


async def _body(request: web.BaseRequest, limit: int) -> bytes | None:
    if (request.content_length or 0) > limit:
        return None
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > limit:
            return None
    return bytes(body)


async def _until_ready(session: Session) -> None:
    ready = asyncio.Event()
    session.when_ready(ready.set)
    await ready.wait()
