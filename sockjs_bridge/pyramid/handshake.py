"""One SockJS opening on its trip through the Pyramid application.

The trip is a GET request of the endpoint's base URL, so routes, predicates, the root factory, the
security policy, tweens and derivers have their say as for any page. Where the view would run, a
deriver takes it instead: the response goes back through the pipeline, and the view starts when
the session is open.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pyramid.exceptions import ConfigurationError, PredicateMismatch
from pyramid.httpexceptions import HTTPNotFound
from pyramid.registry import Registry
from pyramid.request import Request
from pyramid.response import Response

from sockjs_bridge.endpoint import Request as EndpointRequest
from sockjs_bridge.endpoints import HANDSHAKE, Handshake
from sockjs_bridge.pyramid.handlers import SessionHandler, ViewHandler
from sockjs_bridge.pyramid.views import WebSocket, WebSocketSession

if TYPE_CHECKING:
    from sockjs_bridge.pyramid.config import SockJS

View = Callable[[Any, Request], Any]


def websocket(request: Request) -> WebSocket | None:
    """Returns the connection that a request opens; None where it opens none."""
    handshake: Handshake | None = request.environ.get(HANDSHAKE)
    if handshake is None:
        return None
    return WebSocket(handshake.session, request.registry.sockjs.endpoints.clock)


def receive(request: Request, timeout: float | None = None) -> str:
    """Waits for the next message, as `WebSocket.receive`.

    Raises:
        RuntimeError: the request is a page's and opens no connection.
    """
    connection: WebSocket | None = request.websocket
    if connection is None:
        raise RuntimeError("request.receive() is for websocket views: this request is a page's")
    return connection.receive(timeout)


class WebSocketPredicate:
    """The view predicate ``websocket``: the request opens a connection, or it does not.

    Args:
        wanted: which of the two.
        config: unused; part of Pyramid's interface.
    """

    def __init__(self, wanted: bool, config: object) -> None:
        self.wanted = wanted

    def text(self) -> str:
        """Returns what introspection shows."""
        return f"websocket = {self.wanted}"

    phash = text

    def __call__(self, context: object, request: Request) -> bool:
        """Decides for one request."""
        return (HANDSHAKE in request.environ) == self.wanted


def _wants_connections(info: Any) -> bool:
    return any(
        isinstance(predicate, WebSocketPredicate) and predicate.wanted
        for predicate in info.predicates
    )


def precedence_deriver(view: View, info: Any) -> View:
    """Keeps a page's view from a handshake where another view asks for connections.

    Which of a route's views is tried first depends on how many predicates each has; a page that
    has more of them must not win, nor have its permission asked.
    """
    sockjs: SockJS = info.registry.sockjs
    route_name = info.options.get("route_name")
    if info.exception_only or route_name not in sockjs.endpoints:
        return view
    sockjs.viewed_routes.add(route_name)
    if _wants_connections(info):
        sockjs.connection_routes.add(route_name)
        return view

    def page(context: Any, request: Request) -> Any:
        if HANDSHAKE in request.environ and route_name in sockjs.connection_routes:
            raise PredicateMismatch(f"{route_name} has a websocket view beside this one")
        return view(context, request)

    return page


def handover_deriver(view: View, info: Any) -> View:
    """Takes the view of a handshake, to be run when the session is open."""
    sockjs: SockJS = info.registry.sockjs
    if info.exception_only or info.options.get("route_name") not in sockjs.endpoints:
        return view
    original = info.original_view
    attr = info.options.get("attr")
    function = getattr(original, attr or "__call__") if inspect.isclass(original) else original
    if inspect.iscoroutinefunction(function):
        raise ConfigurationError(f"{original!r}: a view cannot be an async def yet")

    def handover(context: Any, request: Request) -> Any:
        handshake: Handshake | None = request.environ.get(HANDSHAKE)
        if handshake is None:
            return view(context, request)
        if inspect.isclass(original) and issubclass(original, WebSocketSession):
            handshake.handler = SessionHandler(
                partial(original, request),
                request,
                sockjs.endpoints.clock,
                sockjs.endpoints.workers,
            )
        else:
            handshake.handler = ViewHandler(
                partial(view, context, request),
                request,
                sockjs.threads,
                sockjs.endpoints.workers,
            )
        # What was set on it so far (cookies, headers) belongs to the handshake.
        return request.response

    return handover


def greeting_tween_factory(
    handler: Callable[[Request], Response], registry: Registry
) -> Callable[[Request], Response]:
    """Answers a plain GET of an endpoint with the protocol's greeting where no view does."""
    sockjs: SockJS = registry.sockjs

    def greeting_tween(request: Request) -> Response:
        try:
            return handler(request)
        except HTTPNotFound as error:
            # A view's own 404 is its answer; the router's says that there was no view.
            found = None
            route = request.matched_route
            viewed = route is not None and route.name in sockjs.viewed_routes
            if isinstance(error, PredicateMismatch) or not viewed:
                found = sockjs.endpoints.find(quote(request.path_info))
            if found is None or found[1].action != "greeting" or HANDSHAKE in request.environ:
                raise
            if request.method not in ("GET", "HEAD"):
                raise
            endpoint, target = found
            parts = EndpointRequest(request.method, "", request.headers, request.host)
            reply = endpoint.handle(target, parts)
            return Response(status=reply.status, headerlist=reply.headers, body=reply.body)

    return greeting_tween
