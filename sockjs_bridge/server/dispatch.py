"""aiohttp requests and WebSockets <-> endpoints: the reference skin around the core."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import Final

from aiohttp import web

from sockjs_bridge.core import protocol
from sockjs_bridge.core.session import Session
from sockjs_bridge.core.states import State
from sockjs_bridge.core.transports import PLAIN
from sockjs_bridge.endpoint.endpoint import Endpoint
from sockjs_bridge.endpoint.handshake import Inquiry
from sockjs_bridge.endpoint.outcomes import Headers, Reply, Request, phrase
from sockjs_bridge.server.accesslog import POLL
from sockjs_bridge.server.flow import SOCKJS_PATIENCE
from sockjs_bridge.server.opening import Openings
from sockjs_bridge.server.proxy import MalformedForwarded
from sockjs_bridge.server.receivers import Connection, HttpReceiver
from sockjs_bridge.server.site import Site
from sockjs_bridge.server.websocket import WebSocketConnection, accept_key
from sockjs_bridge.server.wsgi.body import BodyRefused
from sockjs_bridge.server.wsgi.host import WSGIHost, split_target
from sockjs_bridge.server.wsgi.response import SERVER_NAME

logger = logging.getLogger("sockjs_bridge.server")

#: The body of a request that the application has read before its endpoint was known.
BODY: Final = web.RequestKey("sockjs_bridge.body", bytes)


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
        connection = _connection(request)
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
            if (connection := _connection(request)) is not None:
                # What is written now may be all that the peer ever gets.
                connection.flow.watch()

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
        if (connection := _connection(request)) is not None:
            connection.flow.patience = self._host.send_timeout
            connection.flow.carried += 1
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
        connection = _connection(request)
        if connection is None:
            return _gone()
        connection.flow.patience = SOCKJS_PATIENCE
        request[POLL] = bool(target.session_id) and target.action != "websocket"
        connection.busy = True
        try:
            parts = await self._parts(request, connection, endpoint)
            reply = endpoint.handle(target, parts)
            if reply.unproven is not None:
                session = reply.unproven
                proof = await self._openings.prove(request, endpoint, target.base, session)
                proof = replace(proof, headers=_as_text(proof.headers))
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
        parts = Request(
            request.method, query, request.headers, client.host, b"", connection.flow, client.scheme
        )
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
                reply.headers += _as_text(headers)
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
        key = accept_key(request.headers)
        if request.method != "GET" or request.version < (1, 1) or key is None:
            # RFC 6455, 4.4: which version would do.
            refusal = [("Content-Type", PLAIN), ("Sec-WebSocket-Version", "13")]
            return self._abandon(session, Reply(400, refusal, b"Bad handshake."))
        if connection.half_closed:
            # As with a poll that would have to wait: no frame can come, not even a pong.
            session.abandon()
            connection.abort()
            return _gone()
        limit = endpoint.settings.max_message_size
        websocket = WebSocketConnection(connection, session, reply, key, limit)
        accepted = False
        try:
            session.attach(websocket)
            status, headers = await self._openings.lead(request, endpoint, base, session)
            if status < 300:
                accepted = websocket.accept([*_as_native(reply.headers), *headers])
                # What the log shows; the connection is not aiohttp's any more.
                return web.Response(status=101) if accepted else _gone()
            refusal = [("Content-Type", PLAIN), *_as_text(headers)]
            return self._abandon(session, Reply(status, refusal, phrase(status).encode()))
        finally:
            if not accepted:
                websocket.give_back()

    @staticmethod
    def _abandon(session: Session, reply: Reply) -> web.Response:
        session.abandon()
        return _respond(reply)


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


def _connection(request: web.BaseRequest) -> Connection | None:
    """Returns what a request came over; None where that is over, or another protocol has it."""
    transport = request.transport
    connection = transport.get_protocol() if transport is not None else None
    return connection if isinstance(connection, Connection) else None


def _wants_websocket(request: web.BaseRequest) -> bool:
    return request.headers.get("Upgrade", "").strip().lower() == "websocket"


def _add_headers(response: web.StreamResponse, headers: Headers) -> None:
    for name, value in headers:
        response.headers.add(name, value)
    response.headers.setdefault("Server", SERVER_NAME)


def _as_text(headers: Headers) -> Headers:
    """Turns an application's native strings (PEP 3333) into what aiohttp encodes as UTF-8."""
    return [(name, _utf8_text(value)) for name, value in headers]


def _utf8_text(value: str) -> str:
    try:
        return value if value.isascii() else value.encode("latin-1").decode()
    except UnicodeError:
        # aiohttp can write no byte that is not UTF-8's.
        return value


def _as_native(headers: Headers) -> Headers:
    """Turns what aiohttp has decoded as UTF-8 into native strings."""
    return [
        (name, value.encode("utf-8", "surrogateescape").decode("latin-1"))
        for name, value in headers
    ]


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
