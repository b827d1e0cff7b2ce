"""One SockJS opening on its trip through the Pyramid application.

The trip is a GET request of the endpoint's base URL, so routes, predicates, the root factory, the
security policy, tweens and derivers have their say as for any page. Where the view would run, a
deriver takes it instead: the response goes back through the pipeline, and the view starts when
the session is open.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar
from urllib.parse import quote

from pyramid.exceptions import ConfigurationError, PredicateMismatch
from pyramid.httpexceptions import HTTPNotFound
from pyramid.registry import Registry
from pyramid.request import Request
from pyramid.response import Response

from sockjs_bridge.core.credentials import UNKNOWN
from sockjs_bridge.core.protocol import Target
from sockjs_bridge.endpoint.endpoint import Endpoint
from sockjs_bridge.endpoint.handshake import HANDSHAKE, INQUIRY, Handshake, Inquiry
from sockjs_bridge.endpoint.outcomes import Answer
from sockjs_bridge.endpoint.request import Request as EndpointRequest
from sockjs_bridge.pyramid import devtools, mistakes
from sockjs_bridge.pyramid.application import SockJS
from sockjs_bridge.pyramid.connections import AsyncWebSocket, Connection, WebSocket
from sockjs_bridge.pyramid.debug import dotted_name, unwatched, watch_of
from sockjs_bridge.pyramid.extensions import (
    keep,
    let_go,
    note_properties,
    note_userid,
    share_request_class,
)
from sockjs_bridge.pyramid.handlers import AsyncViewHandler, failure_of
from sockjs_bridge.pyramid.hooks import SessionHandler
from sockjs_bridge.pyramid.threads import ViewHandler
from sockjs_bridge.pyramid.viewkinds import (
    is_asynchronous,
    is_session_class,
    names_connection,
    wants_connections,
)
from sockjs_bridge.resume.contracts import ResumableHandler

logger = logging.getLogger("sockjs_bridge.views")

#: What a server that is not ours answers on the URLs of an endpoint, with 501.
HINT = (
    "SockJS connections need the server of sockjs_bridge: write `use = egg:sockjs-bridge` into"
    " [server:main] of the ini file, and start it with pserve.\n"
)
# The attribute of a request that a view of its route has answered.
_ANSWERED = "_sockjs_bridge_answered"

View = Callable[[Any, Request], Any]


def websocket(request: Request) -> WebSocket | None:
    """Returns the connection that a request opens; None where it opens none."""
    handshake: Handshake | None = request.environ.get(HANDSHAKE)
    return None if handshake is None else _connection(WebSocket, handshake, request)


C = TypeVar("C", bound=Connection)


def _connection(kind: type[C], handshake: Handshake, request: Request) -> C:
    """Makes what the application holds of the session that a handshake opens."""
    connection = kind(handshake.session, request.registry.sockjs.endpoints.clock)
    if not handshake.renewal:
        # A placeholder is in no room, and is never told to let go of it.
        handshake.session.connection = connection
    return connection


def receive(request: Request, timeout: float | None = None) -> Any:
    """Waits for the next message, as `WebSocket.receive` or `AsyncWebSocket.receive`.

    Args:
        request: the handshake's.
        timeout: in seconds; None waits for ever.

    Returns:
        The message; in an ``async def`` view what is to be awaited for it.

    Raises:
        RuntimeError: the request is a page's and opens no connection.
    """
    connection: Connection | None = request.websocket
    if connection is None:
        raise RuntimeError("request.receive() is for websocket views: this request is a page's")
    return connection.receive(timeout)


def precedence_deriver(view: View, info: Any) -> View:
    """Keeps a page's view from a handshake where another view asks for connections.

    Which of a route's views is tried first depends on how many predicates each has; a page that
    has more of them must not win, nor have its permission asked.

    No tween stands as near to a view: what the others make for a request is there, whatever the
    order in which an application includes them. So here it is noted who makes a handshake, and
    that a page has answered.

    Args:
        view: the view, with what stands nearer to it than this.
        info: of Pyramid's interface for derivers.
    """
    sockjs: SockJS = info.registry.sockjs
    route_name = info.options.get("route_name")
    if info.exception_only:
        return view
    if route_name not in sockjs.endpoints:
        original = info.original_view
        if wants_connections(info) or is_session_class(original):
            raise ConfigurationError(mistakes.misplaced(original, route_name))
        return view
    for_connections = wants_connections(info)
    if for_connections:
        sockjs.connection_routes.add(route_name)
    else:
        sockjs.page_routes.add(route_name)

    def seen(context: Any, request: Request) -> Any:
        handshake: Handshake | None = request.environ.get(HANDSHAKE)
        if handshake is None:
            vars(request)[_ANSWERED] = True
            return view(context, request)
        if not for_connections and route_name in sockjs.connection_routes:
            raise PredicateMismatch(f"{route_name} has a websocket view beside this one")
        try:
            response = view(context, request)
        except Exception:
            # That is what the client hears of, whatever the policy says now.
            with contextlib.suppress(Exception):
                note_identity(request, handshake)
            raise
        note_identity(request, handshake)
        return response

    return seen


def handover_deriver(view: View, info: Any) -> View:
    """Takes the view of a handshake, to be run when the session is open.

    Args:
        view: the view, without its renderer.
        info: of Pyramid's interface for derivers.
    """
    sockjs: SockJS = info.registry.sockjs
    route_name = info.options.get("route_name")
    if info.exception_only or route_name not in sockjs.endpoints:
        return view
    original, attr = info.original_view, info.options.get("attr")
    asynchronous, name = is_asynchronous(original, attr), dotted_name(original, attr)
    declared, called = wants_connections(info), view
    if not declared:
        if asynchronous:
            raise ConfigurationError(
                f"{name}: an async def view serves connections only, no"
                " pages: declare it by websocket_view, or with websocket=True"
            )
        if is_session_class(original):
            raise ConfigurationError(
                f"{name}: a session class serves connections only, no pages: declare it by"
                " websocket_view, or with websocket=True"
            )
    if not names_connection(original, attr):
        called = mistakes.returning_in_vain(
            view, name, sockjs, declared=declared, asynchronous=asynchronous
        )

    def handover(context: Any, request: Request) -> Any:
        handshake: Handshake | None = request.environ.get(HANDSHAKE)
        if handshake is None:
            return view(context, request)
        if handshake.endpoint is not sockjs.endpoints[route_name]:
            # That one's settings were applied, its origins for example.
            logger.error(
                "route %r: a connection came by the endpoint of the route %r, which has the same"
                " path, and was refused. Predicates cannot select between SockJS routes with one"
                " path, only between views",
                route_name,
                handshake.endpoint.name,
            )
            raise HTTPNotFound()
        handshake.view = name
        if not handshake.renewal:
            note_properties(request)
            handshake.handler = make_handler(context, request, handshake)
            handshake.release = partial(let_go, request)
        handshake.taken = True
        # What was set on it so far (cookies, headers) belongs to the handshake.
        return request.response

    def make_handler(context: Any, request: Request, handshake: Handshake) -> ResumableHandler:
        endpoints = sockjs.endpoints
        debug = handshake.endpoint.settings.debug
        watch = watch_of(name) if debug else unwatched
        if is_session_class(original):
            request.websocket = _connection(Connection, handshake, request)
            clock, workers, monitor = endpoints.clock, endpoints.workers, endpoints.monitor
            return SessionHandler(original, request, clock, workers, watch, monitor)
        body = partial(called, context, request)
        if asynchronous:
            request.websocket = _connection(AsyncWebSocket, handshake, request)
            return AsyncViewHandler(body, request, endpoints.workers, watch)
        handler = ViewHandler(body, request, sockjs.threads, endpoints.workers)
        # A root factory may have handed it to others before.
        keep(request, "websocket")
        return handler

    return handover


def note_identity(request: Request, handshake: Handshake) -> None:
    """Notes what tells one user from another, and stays the same from request to request."""
    userid = note_userid(request)
    handshake.identity = request.identity if userid is None else userid
    if not handshake.renewal:
        handshake.session.userid = _text_of(userid)


def _text_of(userid: object) -> str | None:
    """Returns what others know a user by; None for nobody, and for who cannot be shown."""
    try:
        return None if userid is None else str(userid)
    except Exception:
        return None


def sockjs_tween_factory(
    handler: Callable[[Request], Response], registry: Registry
) -> Callable[[Request], Response]:
    """Answers what is asked of an endpoint and reaches the application all the same.

    A plain GET of an endpoint is the protocol's greeting where no view answers it. Of a request
    that proves itself and does not come as far as a view it notes who makes it. The other URLs are
    the server's: it is told that they are, and of a server that is not ours they cannot be had.

    Args:
        handler: the next tween.
        registry: of the application.
    """
    sockjs: SockJS = registry.sockjs
    # Pyramid makes its tweens last of all. A subscriber of ApplicationCreated would have it call
    # for subscribers at each request.
    share_request_class(registry)
    mistakes.look_for_mistakes(registry)
    devtools.show_connections(registry)
    devtools.add_panel(registry)

    def sockjs_tween(request: Request) -> Response:
        handshake: Handshake | None = request.environ.get(HANDSHAKE)
        if handshake is not None:
            # Another application's may pass by here: of a cascade, of wsgiapp2.
            own = sockjs.endpoints.get(handshake.endpoint.name) is handshake.endpoint
            return answer_handshake(request, handshake) if own else handler(request)
        found = _find(sockjs, request)
        if found is None:
            return handler(request)
        upgrade = request.headers.get("Upgrade", "").strip().lower()
        if found[1].action != "greeting" or upgrade == "websocket":
            return _elsewhere(sockjs, request)
        return greet(request, *found)

    def answer_handshake(request: Request, handshake: Handshake) -> Response:
        # Of an attempt that failed and is made again (pyramid_retry).
        handshake.taken, handshake.handler, handshake.failure = False, None, None
        handshake.identity, handshake.reached = UNKNOWN, True
        request.add_finished_callback(note_failure)
        try:
            response = handler(request)
        except Exception as error:
            with contextlib.suppress(Exception):
                note_unseen(request, handshake)
            if isinstance(error, HTTPNotFound):
                note_untaken(request, handshake)
            raise
        note_unseen(request, handshake)
        note_untaken(request, handshake)
        return response

    def note_untaken(request: Request, handshake: Handshake) -> None:
        if not handshake.taken:
            mistakes.not_taken(sockjs, request, handshake)

    def note_unseen(request: Request, handshake: Handshake) -> None:
        # Who is refused a new session leaves nothing to compare with.
        if handshake.renewal and handshake.identity is UNKNOWN:
            note_identity(request, handshake)

    def greet(request: Request, endpoint: Endpoint, target: Target) -> Response:
        try:
            response = handler(request)
        except HTTPNotFound:
            if not lacks_page(request, endpoint):
                raise
        else:
            # Another tween may have made a page of the exception.
            if response.status_code != 404 or not lacks_page(request, endpoint):
                return response
        parts = EndpointRequest(request.method, "", request.headers, request.host)
        answer = endpoint.handle(target, parts)
        assert isinstance(answer, Answer)
        return Response(status=answer.status, headerlist=answer.headers, body=answer.body)

    def lacks_page(request: Request, endpoint: Endpoint) -> bool:
        """Tells whether no page is found, nor one a slash away (append_slash redirects there)."""
        slashed = endpoint.page("").endswith("/") and not request.path_info.endswith("/")
        away = slashed and endpoint.name in sockjs.page_routes
        return lacks_view(request) and not away

    return sockjs_tween


def lacks_view(request: Request) -> bool:
    """Tells whether a request for a page that is not found is so for the want of a view.

    A view's own 404 is its answer, and a root factory's says that there is nothing at all.
    """
    attributes = vars(request)
    asks = request.method in ("GET", "HEAD")
    return asks and "context" in attributes and _ANSWERED not in attributes


def note_failure(request: Request) -> None:
    """Notes, when the response is made, which exception an exception view made it of."""
    request.environ[HANDSHAKE].failure = failure_of(request)


def _find(sockjs: SockJS, request: Request) -> tuple[Endpoint, Target] | None:
    # As bytes: what is no UTF-8 is the router's to refuse.
    return sockjs.endpoints.find(quote(request.environ.get("PATH_INFO", "").encode("latin-1")))


def _elsewhere(sockjs: SockJS, request: Request) -> Response:
    environ = request.environ
    inquiry: Inquiry | None = environ.get(INQUIRY)
    if inquiry is None:
        if not sockjs.hinted:
            # Browsers show it to nobody.
            sockjs.hinted = True
            logger.warning("%s answered 501: %s", request.path, HINT.rstrip())
        return Response(HINT, status=501, content_type="text/plain", charset="UTF-8")
    # Of several that know the path a cascade asks the first for the handshake too.
    if inquiry.found is None:
        inquiry.found = sockjs.endpoints, environ["SCRIPT_NAME"], environ["PATH_INFO"]
    return Response("Not found", status=404, content_type="text/plain", charset="UTF-8")
