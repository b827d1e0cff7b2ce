"""aiohttp requests and WebSockets <-> endpoints: the reference skin around the core."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from aiohttp import WebSocketError, WSCloseCode, WSMsgType, web

from sockjs_bridge import protocol
from sockjs_bridge.endpoint import Endpoint
from sockjs_bridge.endpoints import Inquiry, Site
from sockjs_bridge.replies import Headers, Reply, Request, phrase
from sockjs_bridge.server.accesslog import POLL
from sockjs_bridge.server.opening import Openings
from sockjs_bridge.server.proxy import MalformedForwarded
from sockjs_bridge.server.receivers import (
    CLOSE_TIMEOUT,
    NO_STATUS,
    Connection,
    HttpReceiver,
    WebSocketReceiver,
)
from sockjs_bridge.server.wsgi import WSGIHost, split_target
from sockjs_bridge.server.wsgi_body import BodyRefused
from sockjs_bridge.server.wsgi_response import SERVER_NAME
from sockjs_bridge.session import Session, State
from sockjs_bridge.transports import PLAIN

if TYPE_CHECKING:
    from sockjs_bridge.server.fast_websocket import FastWebSocket

logger = logging.getLogger("sockjs_bridge.server")

#: The body of a request that the application has read before its endpoint was known.
BODY: Final = web.RequestKey("sockjs_bridge.body", bytes)

# What aiohttp's receive() returns when a WebSocket is over without a word from the peer.
_ENDS = {WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR}


class Bridge:
    """The handler of all requests: SockJS goes to its endpoint, the rest to the application.

    Args:
        site: where the endpoints are.
        host: the WSGI application.
        body_timeout: seconds that the body of a send may take to arrive.

    Attributes:
        stopping: the requests that are being handled are the last ones of their connections.
    """

    def __init__(
        self,
        site: Site,
        host: WSGIHost,
        body_timeout: float,
    ) -> None:
        self._site = site
        self._host = host
        self._body_timeout = body_timeout
        self._openings = Openings(host)
        self._active = 0
        self.stopping = False
        self._idle = asyncio.Event()

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answers a request."""
        connection = _connection_of(request)
        self.begin()
        try:
            if connection is not None:
                connection.request = request
                if connection.half_closed and not request.content.is_eof():
                    connection.abort()
            response = await self._answer(request)
            if self.stopping or (connection is not None and connection.answers_last):
                response.force_close()
            return response
        except ConnectionError:
            # The connection is closing; the loop may tell that later.
            return _gone()
        finally:
            if connection is not None:
                connection.request = None
                connection.answered += 1
            self.end()

    def begin(self) -> None:
        """Notes that a request is being handled, until `end`."""
        self._active += 1

    def end(self) -> None:
        """Notes that a request was handled."""
        self._active -= 1
        if self.stopping and not self._active:
            self._idle.set()

    async def finish(self) -> None:
        """Waits until no request is being handled; those that come yet are the last of theirs.

        Responses may still be on their way out then.
        """
        self.stopping = True
        while self._active:
            self._idle.clear()
            await self._idle.wait()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        path = _path(request)
        response = await self._serve_endpoint(request, path)
        if response is not None:
            return response
        inquiry = Inquiry()
        response = await self._host.serve(request, inquiry)
        if inquiry.found and self._site.learn(path, inquiry, self._host_of(request)):
            request[BODY] = inquiry.body
            return await self._serve_endpoint(request, path) or response
        return response

    def _host_of(self, request: web.BaseRequest) -> str:
        try:
            return self._host.client(request).host.lower()
        except MalformedForwarded:
            # Refused by whoever answers.
            return ""

    async def _serve_endpoint(
        self, request: web.BaseRequest, path: str
    ) -> web.StreamResponse | None:
        host = self._host_of(request) if self._site.by_host else ""
        found = self._site.find(path, host)
        if found is None:
            return None
        endpoint, target = found
        if target.action == "greeting":
            if not _wants_websocket(request):
                return None
            target = target._replace(action="raw-websocket")
        return await self._serve(request, endpoint, target, path)

    async def _serve(
        self, request: web.BaseRequest, endpoint: Endpoint, target: protocol.Target, path: str
    ) -> web.StreamResponse:
        connection = _connection_of(request)
        if connection is None:
            return _gone()
        request[POLL] = bool(target.session_id) and target.action != "websocket"
        connection.busy = True
        try:
            parts = await self._parts(request, connection, endpoint)
            reply = endpoint.handle(target, parts)
            if reply.unproven is not None:
                session = reply.unproven
                proof = await self._openings.prove(request, endpoint, target.base, session)
                if connection.lost:
                    return _gone()
                reply = endpoint.handle(target, parts, proof)
            if reply.busy is not None:
                ready = asyncio.Event()
                reply.busy.when_ready(ready.set)
                await ready.wait()
            if reply.session is None:
                return _respond(reply)
            respond = self._websocket if reply.transport.websocket else self._receive
            return await respond(request, connection, endpoint, target.base, reply)
        except _Refused as refused:
            logger.info("%s %s: %d", request.method, path, refused.reply.status)
            response = _respond(refused.reply)
            # What is left of the body is not read.
            response.force_close()
            return response
        finally:
            connection.busy = False

    async def _parts(
        self, request: web.BaseRequest, connection: Connection, endpoint: Endpoint
    ) -> Request:
        """Collects what the endpoint looks at.

        Raises:
            _Refused: the request cannot be read.
            ConnectionError: the peer is gone.
        """
        try:
            client = self._host.client(request)
        except MalformedForwarded as error:
            raise _Refused(Reply(400, [("Content-Type", PLAIN)], str(error).encode())) from None
        query = request.raw_path.partition("?")[2]
        parts = Request(request.method, query, request.headers, client.host, b"", connection.peer)
        if request.body_exists:
            try:
                async with asyncio.timeout(self._body_timeout):
                    body = await self._body(request, client.remote, endpoint)
            except TimeoutError:
                raise _Refused(endpoint.too_slow(parts)) from None
            except BodyRefused as refused:
                raise _Refused(_refusal(endpoint, parts, refused.status)) from None
            parts = replace(parts, body=body)
        if connection.lost:
            raise ConnectionResetError("the peer is gone")
        return parts

    async def _body(self, request: web.BaseRequest, remote: str, endpoint: Endpoint) -> bytes:
        limit = endpoint.settings.max_message_size
        known = request.get(BODY)
        if known is None:
            body = await self._host.uploads.read(request, remote, limit, spool=False)
            known = body.file.read()
            body.close()
        if len(known) > limit:
            raise BodyRefused(413, "Content Too Large")
        return known

    # HTTP transports

    async def _receive(
        self,
        request: web.BaseRequest,
        connection: Connection,
        endpoint: Endpoint,
        base: str,
        reply: Reply,
    ) -> web.StreamResponse:
        session = reply.session
        assert session is not None
        chunked = request.version >= (1, 1)
        receiver = HttpReceiver(connection, session, reply, chunked=chunked)
        try:
            session.attach(receiver)
            if session.state is State.NEW and not receiver.ended:
                status, headers = await self._openings.lead(request, endpoint, base, session)
                reply.headers += headers
                if status >= 300:
                    session.refuse(4000 + status, phrase(status))
            if connection.lost:
                return _gone()
            return await self._respond_to_receiver(request, receiver, reply)
        finally:
            # Whatever went wrong, the session must not believe that it is attached.
            session.detach(receiver, lost=True)
            connection.receiver = None

    @staticmethod
    async def _respond_to_receiver(
        request: web.BaseRequest, receiver: HttpReceiver, reply: Reply
    ) -> web.StreamResponse:
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
            await receiver.run()
        else:
            await receiver.run()
            reply.body = receiver.body
            response = _respond(reply)
            await response.prepare(request)
        await response.write_eof()
        receiver.complete()
        return response

    # WebSockets

    async def _websocket(
        self,
        request: web.BaseRequest,
        connection: Connection,
        endpoint: Endpoint,
        base: str,
        reply: Reply,
    ) -> web.StreamResponse:
        session = reply.session
        assert session is not None
        fast = connection.upgrade(request, endpoint, session, reply)
        if fast is not None:
            return await self._fast_websocket(request, fast, endpoint, base, reply)
        websocket = web.WebSocketResponse(
            timeout=CLOSE_TIMEOUT,
            compress=False,
            # aiohttp refuses what reaches its limit.
            max_msg_size=endpoint.settings.max_message_size + 1,
        )
        receiver = WebSocketReceiver(connection, session, reply, websocket)
        code, reason = int(WSCloseCode.ABNORMAL_CLOSURE), ""
        try:
            session.attach(receiver)
            if request.version < (1, 1) or not websocket.can_prepare(request):
                # RFC 6455, 4.4: which version would do.
                headers = [("Content-Type", PLAIN), ("Sec-WebSocket-Version", "13")]
                return self._abandon(session, Reply(400, headers, b"Bad handshake."))
            status, headers = await self._openings.lead(request, endpoint, base, session)
            if status >= 300:
                text = phrase(status).encode()
                return self._abandon(
                    session, Reply(status, [("Content-Type", PLAIN), *headers], text)
                )
            _add_headers(websocket, [*reply.headers, *headers])
            await websocket.prepare(request)
            receiver.start()
            code, reason = await self._read(websocket, receiver)
            if receiver.closing is not None:
                await receiver.closing
            return websocket
        finally:
            session.detach(receiver, lost=connection.lost, code=code, reason=reason)
            connection.receiver = None

    async def _fast_websocket(
        self,
        request: web.BaseRequest,
        receiver: FastWebSocket,
        endpoint: Endpoint,
        base: str,
        reply: Reply,
    ) -> web.StreamResponse:
        session = receiver.session
        accepted = False
        try:
            session.attach(receiver)
            status, headers = await self._openings.lead(request, endpoint, base, session)
            if status < 300:
                accepted = receiver.accept([*reply.headers, *headers])
                # What the log shows; the connection is not aiohttp's any more.
                return web.Response(status=101) if accepted else _gone()
            text = phrase(status).encode()
            return self._abandon(session, Reply(status, [("Content-Type", PLAIN), *headers], text))
        finally:
            if not accepted:
                receiver.give_back()

    @staticmethod
    def _abandon(session: Session, reply: Reply) -> web.Response:
        session.abandon()
        return _respond(reply)

    async def _read(
        self, websocket: web.WebSocketResponse, receiver: WebSocketReceiver
    ) -> tuple[int, str]:
        """Reads until the WebSocket is over; returns the code and the reason of that."""
        session = receiver.session
        while True:
            try:
                message = await websocket.receive()
            except ConnectionError:
                # It could not answer a ping.
                return int(WSCloseCode.ABNORMAL_CLOSURE), ""
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
                    await receiver.until_ready()


def _connection_of(request: web.BaseRequest) -> Connection | None:
    """Returns what a request came over; None where that is closed."""
    transport = request.transport
    connection = transport.get_protocol() if transport is not None else None
    return connection if isinstance(connection, Connection) else None


class _Refused(Exception):
    """A request that is answered before its body is complete."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status)
        self.reply = reply


def _path(request: web.BaseRequest) -> str:
    raw = request.raw_path
    if raw[:1] == "/" != raw[1:2] and "#" not in raw:
        # Nearly all; polls come by the thousand.
        return raw.partition("?")[0]
    _, path, _ = split_target(raw)
    # As `path_info` has it for the application.
    return "/" + path.decode("utf-8", "surrogateescape").lstrip("/")


def _wants_websocket(request: web.BaseRequest) -> bool:
    return request.headers.get("Upgrade", "").strip().lower() == "websocket"


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


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


def _refusal(endpoint: Endpoint, request: Request, status: int) -> Reply:
    if status == 413:
        return endpoint.too_large(request)
    if status == 408:
        return endpoint.too_slow(request)
    if status == 503:
        return endpoint.overloaded(request)
    # The peer is gone, or its chunks are broken.
    return Reply(status)
