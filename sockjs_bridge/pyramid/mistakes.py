"""Likely mistakes of an application, told in the log: the route, the cause and the cure, once.

They are found when the application is made, as far as they can be known then, or at a request.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any
from urllib.parse import unquote

from pyramid.exceptions import ConfigurationError
from pyramid.interfaces import IRendererFactory, IRoutesMapper
from pyramid.registry import Registry
from pyramid.request import Request

from sockjs_bridge.endpoint.endpoint import Endpoint
from sockjs_bridge.endpoint.handshake import HANDSHAKE, Handshake
from sockjs_bridge.pyramid.application import SockJS
from sockjs_bridge.pyramid.debug import dotted_name

logger = logging.getLogger("sockjs_bridge.views")

#: The packages that render templates, by the ends of their names.
RENDERERS = {
    ".pt": "pyramid_chameleon",
    ".txt": "pyramid_chameleon",
    ".jinja2": "pyramid_jinja2",
    ".mako": "pyramid_mako",
    ".mak": "pyramid_mako",
}

# The attribute of a request that has the view which would ask in vain for a connection.
_ASKS_IN_VAIN = "_sockjs_bridge_asks_in_vain"

_View = Callable[[Any, Request], Any]


def _warn(sockjs: SockJS, key: tuple[str, ...], text: str, *arguments: object) -> None:
    """Logs a mistake, if that was not done yet. There are as many keys as mistakes in the code."""
    if key not in sockjs.warned:
        sockjs.warned.add(key)
        logger.warning(text, *arguments)


# When the application is made


def look_for_mistakes(registry: Registry) -> None:
    """Looks at the routes, views and renderers of an application that is complete."""
    sockjs: SockJS = registry.sockjs
    for endpoint in sockjs.endpoints:
        if endpoint.name not in sockjs.connection_routes | sockjs.page_routes:
            _warn(
                sockjs,
                ("no view", endpoint.name),
                "the SockJS route %r has no view, so no connection can open: declare one with"
                " @websocket_view(route_name=%r), and check that config.scan() finds its module",
                *(endpoint.name, endpoint.name),
            )
    _look_at_order(registry, sockjs)
    _look_at_renderers(registry, sockjs)


def _look_at_order(registry: Registry, sockjs: SockJS) -> None:
    """Looks for routes that keep each other from their requests."""
    routes = registry.getUtility(IRoutesMapper).get_routes()
    for place, route in enumerate(routes):
        path = _example(route)
        if route.name in sockjs.endpoints:
            for other in routes[:place]:
                if not other.predicates and other.match(unquote(path)) is not None:
                    _matches_first(sockjs, route, other, unquote(path))
                    break
            continue
        found = sockjs.endpoints.find(path)
        if found is not None and found[1].action != "greeting":
            endpoint = registry.getUtility(IRoutesMapper).get_route(found[0].name)
            _warn(
                sockjs,
                ("covered", route.name),
                "the route %r (%r) is not reached: %s is a URL of the SockJS route %r (%r),"
                " whose place among the routes does not matter. Give the SockJS route its own"
                " pattern, for example /sockjs%s",
                *(route.name, route.pattern, path, endpoint.name, endpoint.pattern),
                "/" + endpoint.pattern.lstrip("/"),
            )


def _matches_first(sockjs: SockJS, route: Any, other: Any, path: str) -> None:
    _warn(
        sockjs,
        ("order", route.name, other.name),
        "%a, a path of the SockJS route %r (%r), goes to the route %r (%r), which comes before it"
        " and matches first: no connection of %r opens there. If that is not meant, call"
        " add_sockjs_route(%r, ...) before that route is added",
        *(path, route.name, route.pattern, other.name, other.pattern, route.name, route.name),
    )


def _example(route: Any) -> str:
    """Returns a path that a route matches, percent-encoded; an empty one where none is found."""
    for filler in ("x", "1"):
        values: dict[str, str] = {}
        while True:
            try:
                path: str = route.generate(values)
                break
            except KeyError as error:
                # The name of a placeholder.
                values[error.args[0]] = filler
        if route.match(unquote(path)) is not None:
            return path
    return ""


def _look_at_renderers(registry: Registry, sockjs: SockJS) -> None:
    """Looks for templates that nothing renders; Pyramid says so at a request, and not why."""
    for entry in registry.introspector.get_category("templates", ()):
        template = entry["introspectable"]
        kind = template["type"]
        package = RENDERERS.get(kind)
        if package is None or registry.queryUtility(IRendererFactory, name=kind) is not None:
            continue
        views = [each for each in entry["related"] if each.category_name == "views"]
        cure = f'config.include("{package}")'
        if find_spec(package) is None:
            cure = f"pip install {package}, and {cure}"
        for view in views:
            name = view["route_name"]
            where = dotted_name(view["callable"]) if name is None else f"route {name!r}"
            _warn(
                sockjs,
                ("renderer", template["name"], where),
                "%s: nothing renders the template %r: %s",
                *(where, template["name"], cure),
            )


def refuse_without_include(registry: Registry, view: object) -> None:
    """Refuses a `websocket_view` of an application that does not include the bridge.

    Raises:
        pyramid.exceptions.ConfigurationError: it does not.
    """
    if not hasattr(registry, "sockjs"):
        raise ConfigurationError(
            f'{dotted_name(view)}: @websocket_view needs config.include("sockjs_bridge")'
        )


def misplaced(view: object, route_name: str | None) -> str:
    """Returns what is wrong with a view for connections whose route is no SockJS route."""
    where = f"the route {route_name!r} is no SockJS route" if route_name else "it has no route_name"
    return (
        f"{dotted_name(view)}: a view for connections needs a route of"
        f" config.add_sockjs_route(...), and {where}"
    )


# At a request


def asking_in_vain(view: _View, name: str) -> _View:
    """Returns a view whose route is no SockJS route and whose code names ``request.websocket``.

    Args:
        view: as it is.
        name: its dotted name.
    """

    def noted(context: Any, request: Request) -> Any:
        vars(request)[_ASKS_IN_VAIN] = name
        return view(context, request)

    return noted


def asked(request: Request) -> None:
    """Hears that a request that opens no connection was asked for it."""
    name = vars(request).get(_ASKS_IN_VAIN)
    if name is None:
        return
    route = getattr(request, "matched_route", None)
    where = "it has no route" if route is None else f"the route {route.name!r} is no SockJS route"
    _warn(
        request.registry.sockjs,
        ("in vain", name, where),
        "%s asked for request.websocket, which is None: %s. If it is to serve connections there,"
        " declare the route with config.add_sockjs_route(...) instead of config.add_route(...)",
        *(name, where),
    )


def greeted(sockjs: SockJS, endpoint: Endpoint, path: str) -> None:
    """Hears that a page was asked for, and that the protocol's greeting was the answer."""
    if endpoint.name not in sockjs.connection_routes | sockjs.page_routes:
        _no_view(sockjs, endpoint, path, "answered with the greeting of SockJS")


def _no_view(sockjs: SockJS, endpoint: Endpoint, path: str, answer: str) -> None:
    _warn(
        sockjs,
        ("no view at", endpoint.name),
        "route %r, %a: %s: the route has no view for connections. Declare one with"
        " @websocket_view(route_name=%r), and check that config.scan() finds its module",
        *(endpoint.name, path, answer, endpoint.name),
    )


def not_taken(sockjs: SockJS, request: Request, handshake: Handshake) -> None:
    """Hears that no view took the connection of a handshake that had come to the routes."""
    name, route = handshake.endpoint.name, getattr(request, "matched_route", None)
    if route is None or (route.name != name and route.name in sockjs.endpoints):
        return
    if route.name != name:
        own = request.registry.getUtility(IRoutesMapper).get_route(name)
        _matches_first(sockjs, own, route, request.path_info)
    elif name not in sockjs.connection_routes:
        _no_view(sockjs, handshake.endpoint, request.path_info, "no connection opens")


def returning_in_vain(
    view: _View, name: str, sockjs: SockJS, *, declared: bool, asynchronous: bool
) -> _View:
    """Returns a view that is called for connections although its code does not name them.

    Args:
        view: as it is.
        name: its dotted name.
        sockjs: of the application.
        declared: it is declared for connections; else it serves pages, and connections because its
            route has no other view.
        asynchronous: it is an ``async def`` one.
    """

    def look(result: object, route_name: str) -> None:
        cure = "send to the client with request.websocket.send()"
        if not declared:
            cure = f"also declare a view with @websocket_view(route_name={route_name!r})"
        if result is not None:
            _warn(
                sockjs,
                ("returned", route_name, name),
                "route %r: the view %s was called for a connection and returned a value, which"
                " nobody sees: %s",
                *(route_name, name, cure),
            )

    def noted(context: Any, request: Request) -> Any:
        result = view(context, request)
        # What nobody awaits is an error of its own.
        if not inspect.isawaitable(result):
            look(result, request.environ[HANDSHAKE].endpoint.name)
        return result

    async def noted_async(context: Any, request: Request) -> Any:
        result = await view(context, request)
        look(result, request.environ[HANDSHAKE].endpoint.name)
        return result

    return noted_async if asynchronous else noted
