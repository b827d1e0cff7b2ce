"""Requests that aiohttp has read: for an endpoint, or for the application."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import Final

from aiohttp import HttpVersion11, web

from sockjs_bridge.core.transports import PLAIN
from sockjs_bridge.endpoint.endpoint import Endpoint
from sockjs_bridge.endpoint.handshake import Inquiry
from sockjs_bridge.endpoint.outcomes import (
    Answer,
    Attach,
    Headers,
    Prove,
    Receiving,
    Upgrade,
    Wait,
)
from sockjs_bridge.server.accesslog import GONE, POLL
from sockjs_bridge.server.activity import Activity
from sockjs_bridge.server.clusters import Clusters
from sockjs_bridge.server.flow import SOCKJS_PATIENCE
from sockjs_bridge.server.openings import Openings
from sockjs_bridge.server.proxy import MalformedForwarded
from sockjs_bridge.server.reader import connection_of
from sockjs_bridge.server.receivers import HttpReceiver
from sockjs_bridge.server.responses import EndpointResponse, OwnResponse
from sockjs_bridge.server.routing import Routed
from sockjs_bridge.server.site import Site
from sockjs_bridge.server.wsgi.body import BodyRefused
from sockjs_bridge.server.wsgi.environ import native, split_target
from sockjs_bridge.server.wsgi.host import WSGIHost

logger = logging.getLogger("sockjs_bridge.server")

#: The body of a request that the application has read before its endpoint was known.
BODY: Final = web.RequestKey("sockjs_bridge.body", bytes)


class Dispatcher:
    """The handler of all requests: SockJS goes to its endpoint, the rest to the application.

    Args:
        site: where the endpoints are.
        host: the WSGI application.
        activity: of the server.
        openings: of sessions.
        clusters: of the applications.
    """

    def __init__(
        self,
        site: Site,
        host: WSGIHost,
        activity: Activity,
        openings: Openings,
        clusters: Clusters,
    ) -> None:
        self._site = site
        self._host = host
        self._activity = activity
        self._openings = openings
        self._clusters = clusters

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answers a request."""
        connection = connection_of(request)
        self._activity.begin()
        try:
            connection.request = request
            if connection.half_closed and not request.content.is_eof():
                connection.abort()
            response = await self._answer(request)
            if self._activity.stopping or connection.answers_last:
                response.force_close()
            return response
        except ConnectionError:
            # The connection is closing; the loop may tell that later.
            return _gone()
        finally:
            connection.request = None
            connection.answered += 1
            self._activity.end()
            # What is written now may be all that the peer ever gets.
            connection.flow.watch()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        path = _path(request)
        if (answer := self._site.answer(path)) is not None and request.method in ("GET", "HEAD"):
            return EndpointResponse(request, answer())
        response = await self._serve_endpoint(request, path)
        if response is not None:
            return response
        connection_of(request).flow.carried += 1
        inquiry = Inquiry()
        response = await self._host.serve(request, inquiry, self._site.max_body_size(path))
        if (
            inquiry.found is not None
            and await self._clusters.found(inquiry.found[0])
            and self._site.learn(path, inquiry, self._host_of(request))
        ):
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
            if request.headers.get("Upgrade", "").strip().lower() != "websocket":
                return None
            target = target._replace(action="raw-websocket")
        connection = connection_of(request)
        if connection.lost:
            return _gone()
        connection.flow.patience = SOCKJS_PATIENCE
        request[POLL] = bool(target.session_id) and target.action != "websocket"
        connection.busy = True
        try:
            client = self._host.client(request)
            return await self._serve(request, Routed(request, client, connection, endpoint, target))
        except MalformedForwarded as error:
            answer = Answer(400, [("Content-Type", PLAIN)], str(error).encode())
            return _refuse(request, endpoint, answer)
        finally:
            connection.busy = False

    async def _serve(self, request: web.BaseRequest, routed: Routed) -> web.StreamResponse:
        _, _, connection, endpoint, target = routed
        parts = routed.parts()
        if request.body_exists:
            try:
                parts.body = await self._body(request, routed)
            except BodyRefused as refused:
                return _refuse(request, endpoint, endpoint.unread(parts, refused.status, target))
        if connection.lost:
            return _gone()
        front = self._clusters.front
        if front is not None and endpoint.homes is not None:
            response = await front.serve(request, routed, parts)
            if response is not None:
                return response
        outcome = endpoint.handle(target, parts)
        if front is not None and isinstance(outcome, Answer):
            front.opened_nothing(routed, parts)
        if isinstance(outcome, Prove):
            proof = await self._openings.prove(routed, outcome.session)
            if routed.connection.lost:
                return _gone()
            proof = replace(proof, headers=_as_text(proof.headers))
            outcome = endpoint.handle(target, parts, proof)
            # It is asked once.
            assert not isinstance(outcome, Prove)
        match outcome:
            case Answer():
                return _respond(request, endpoint, outcome)
            case Wait(session, answer):
                ready = asyncio.Event()
                session.when_ready(ready.set)
                await ready.wait()
                return _respond(request, endpoint, answer)
            case Attach() | Upgrade() if outcome.transport.websocket:
                outcome.headers = _as_native(outcome.headers)
                answer = await self._openings.open_websocket(routed, outcome)
                # The connection is not aiohttp's any more: this is what the log shows.
                if answer.status == 101:
                    return web.Response(status=101)
                return _gone() if answer.status == GONE else EndpointResponse(request, answer)
            case Receiving():  # pragma: no branch - there is no other outcome
                return await self._receive(request, routed, outcome)

    async def _body(self, request: web.BaseRequest, routed: Routed) -> bytes:
        """Reads what the endpoint is sent, if the application has not done so.

        Raises:
            BodyRefused: it is not to be had.
            ConnectionError: the peer is gone.
        """
        limit, remote = routed.endpoint.settings.max_message_size, routed.client.remote
        known, uploads = request.get(BODY), self._host.uploads
        if known is None:
            try:
                # Of all of it: a send is short.
                async with asyncio.timeout(uploads.body_timeout):
                    body = await uploads.read(request, remote, limit, spool=False)
            except TimeoutError:
                raise BodyRefused(408, "Request Timeout") from None
            known = body.file.read()
            body.close()
        if len(known) > limit:
            raise BodyRefused(413, "Content Too Large")
        return known

    # HTTP transports

    async def _receive(
        self, request: web.BaseRequest, routed: Routed, attach: Receiving
    ) -> web.StreamResponse:
        connection, session = routed.connection, attach.session
        # Without chunks the end of a stream is the connection's.
        delimited = request.version >= HttpVersion11 or not attach.transport.streaming
        response = OwnResponse(request, 200, delimited=delimited)
        over = asyncio.Event()
        attach.headers = _as_native(attach.headers)
        receiver = HttpReceiver(connection, attach, over.set, response.dialect)
        try:
            # What is answered at once, as a request that comes late, is answered in good order.
            begun = attach.opening is None
            if begun:
                response.began()
                receiver.start()
            attach.attach(receiver)
            if (opening := attach.opening) is not None and not receiver.ended:
                _, headers = await self._openings.open_session(routed, opening)
                attach.headers += headers
            if connection.lost:
                return _gone()
            if not begun:
                response.began()
                receiver.start_opened()
            if connection.half_closed and not receiver.ended:
                # The peer said already that it sends no more, and would have to wait.
                receiver.abort()
                return _gone()
            await over.wait()
            response.sent = receiver.size
            return _gone() if connection.lost else response
        finally:
            # Whatever went wrong, the session must not believe that it is attached.
            session.detach(receiver, lost=True)
            connection.receiver = None


def _path(request: web.BaseRequest) -> str:
    _, path, _ = split_target(request.raw_path)
    # As `path_info` has it for the application.
    return "/" + path.decode("utf-8", "surrogateescape").lstrip("/")


def _as_text(headers: Headers) -> Headers:
    """Turns an application's native strings (PEP 3333) into what aiohttp's are like."""
    return [
        (name, value.encode("latin-1").decode("utf-8", "surrogateescape"))
        for name, value in headers
    ]


def _as_native(headers: Headers) -> Headers:
    """Turns what aiohttp has decoded as UTF-8 into native strings."""
    return [(name, native(value)) for name, value in headers]


def _respond(request: web.BaseRequest, endpoint: Endpoint, answer: Answer) -> EndpointResponse:
    """Makes the response of an endpoint; counts it where it refuses what was asked."""
    if answer.status >= 400:
        endpoint.manager.monitor.refused(answer.status)
    answer.headers = _as_native(answer.headers)
    return EndpointResponse(request, answer)


def _refuse(request: web.BaseRequest, endpoint: Endpoint, answer: Answer) -> web.StreamResponse:
    """Answers a request that was not read to its end."""
    logger.info("%s %s: %d", request.method, _path(request), answer.status)
    response = _respond(request, endpoint, answer)
    # What is left of the body is not read.
    response.force_close()
    return response


def _gone() -> web.Response:
    return web.Response(status=GONE, reason="Client Closed Request")
