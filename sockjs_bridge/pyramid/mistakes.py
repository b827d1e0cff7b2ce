"""Likely mistakes of an application, told in the log: the route, the cause and the cure, once.

They are found when the application is made, as far as they can be known then, or at a request.
"""

from __future__ import annotations

import inspect
import logging
import re
from collections.abc import Callable
from importlib.util import find_spec
from itertools import product
from typing import Any
from urllib.parse import unquote

from pyramid.config.views import isexception
from pyramid.exceptions import ConfigurationError
from pyramid.interfaces import IRendererFactory, IRoutesMapper
from pyramid.registry import Registry
from pyramid.request import Request
from pyramid.urldispatch import route_re

from sockjs_bridge.endpoint.endpoint import Endpoint
from sockjs_bridge.endpoint.handshake import HANDSHAKE, Handshake
from sockjs_bridge.pyramid.application import SockJS
from sockjs_bridge.pyramid.debug import dotted_name
from sockjs_bridge.pyramid.viewkinds import asks_for_connection

logger = logging.getLogger("sockjs_bridge.views")

#: The packages that render templates, by the ends of their names.
RENDERERS = {
    ".pt": "pyramid_chameleon",
    ".txt": "pyramid_chameleon",
    ".jinja2": "pyramid_jinja2",
    ".mako": "pyramid_mako",
    ".mak": "pyramid_mako",
}

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
    _look_at_views(registry, sockjs)
    _look_at_order(registry, sockjs)
    _look_at_renderers(registry, sockjs)


def _look_at_views(registry: Registry, sockjs: SockJS) -> None:
    """Looks for views that ask for a connection where there is none.

    One that serves a SockJS route too may ask: it serves pages elsewhere.
    """
    entries = registry.introspector.get_category("views", ())
    views = [entry["introspectable"] for entry in entries]
    serving = [view["callable"] for view in views if view["route_name"] in sockjs.endpoints]
    for view in views:
        route, original, attr = view["route_name"], view["callable"], view["attr"]
        # An exception view is called for handshakes too.
        if isexception(view["context"]) or original in serving:
            continue
        if asks_for_connection(original, attr):
            name = dotted_name(original, attr)
            where, lack = f"route {route!r}", "the route is not a SockJS route"
            if route is None:
                where, lack = f"view name {view['name']!r}", "it has no route"
            _warn(
                sockjs,
                ("in vain", name, where),
                "%s: the view %s asks for request.websocket, which is None there: %s. If it is to"
                " serve connections, declare the route with config.add_sockjs_route(...) instead of"
                " config.add_route(...)",
                *(where, name, lack),
            )


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
                "no request for %s reaches the route %r (%r): it is a URL of the SockJS route %r"
                " (%r), which answers it wherever it stands. Give the SockJS route its own"
                " pattern, for example /sockjs%s",
                *(path, route.name, route.pattern, endpoint.name, endpoint.pattern),
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
    values: dict[str, str] = {}
    while True:
        try:
            route.generate(values)
            break
        except KeyError as error:
            # The name of a placeholder.
            values[error.args[0]] = "x"
    patterns = dict(each[1:-1].partition(":")[::2] for each in route_re.findall(route.pattern))
    fillers = [
        ("x", "1", _written_out(patterns[name])) if patterns.get(name) else ("x",)
        for name in values
    ]
    for chosen in product(*fillers):
        path: str = route.generate(dict(zip(values, chosen, strict=True)))
        if route.match(unquote(path)) is not None:
            return path
    return ""


def _written_out(pattern: str) -> str:
    """Returns what a simple regular expression may stand for: ``[A-Z]{3}`` gives AAA."""
    text = pattern.replace(r"\d", "1").replace(r"\w", "x")
    text = re.sub(r"\[(\^?)(.)[^]]*\]", lambda found: "x" if found[1] else found[2], text)
    text = re.sub(r"(.)\{(\d+)[^}]*\}", lambda found: found[1] * int(found[2]), text)
    return re.sub(r"[\\+*?^$()]", "", text).partition("|")[0]


def _look_at_renderers(registry: Registry, sockjs: SockJS) -> None:
    """Looks for templates that nothing renders; Pyramid says so at a request, and not why."""
    for entry in registry.introspector.get_category("templates", ()):
        template = entry["introspectable"]
        kind = template["type"]
        if registry.queryUtility(IRendererFactory, name=kind) is not None:
            continue
        cure = _cure_of_renderer(kind)
        views = [each for each in entry["related"] if each.category_name == "views"]
        for view in views:
            where = _place_of(view)
            _warn(
                sockjs,
                ("renderer", template["name"], where),
                "%s: nothing renders the template %r: %s",
                *(where, template["name"], cure),
            )


def _cure_of_renderer(kind: str) -> str:
    package = RENDERERS.get(kind)
    if package is None:
        return (
            f"no renderer factory is there for {kind!r}. config.add_renderer({kind!r}, ...) adds"
            f' one, or, behind config.include("pyramid_jinja2"),'
            f" config.add_jinja2_renderer({kind!r})"
        )
    include = f'config.include("{package}")'
    return include if find_spec(package) else f"pip install {package}, and {include}"


def _place_of(view: Any) -> str:
    """Returns what tells a view from others: its route, its name, or where its code is."""
    parts = [f"route {view['route_name']!r}"] if view["route_name"] is not None else []
    if view["name"]:
        parts.append(f"view name {view['name']!r}")
    # Without a callable it is one of Pyramid's.
    code = dotted_name(view["callable"])
    if code.startswith("pyramid.config.views."):
        code = "the view without route and name"
    return ", ".join(parts) or code


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


def not_taken(sockjs: SockJS, request: Request, handshake: Handshake) -> None:
    """Hears that no view took the connection of a handshake that had come to the routes."""
    name, route = handshake.endpoint.name, getattr(request, "matched_route", None)
    if route is None or (route.name != name and route.name in sockjs.endpoints):
        return
    if route.name != name:
        own = request.registry.getUtility(IRoutesMapper).get_route(name)
        _matches_first(sockjs, own, route, request.path_info)
    elif name not in sockjs.connection_routes:
        _no_view(sockjs, handshake.endpoint, request.path_info)


def _no_view(sockjs: SockJS, endpoint: Endpoint, path: str) -> None:
    _warn(
        sockjs,
        # The same as at the start: that the route has no view at all is told there.
        ("no view", endpoint.name),
        "route %r, %a: no connection opens: the route has no view for connections. Declare one with"
        " @websocket_view(route_name=%r), and check that config.scan() finds its module",
        *(endpoint.name, path, endpoint.name),
    )


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
