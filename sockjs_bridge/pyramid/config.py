"""Directives, predicate, derivers, request methods and settings."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping
from inspect import signature
from pathlib import Path
from typing import Any, Literal, TypeVar

from pyramid.config import PHASE2_CONFIG, Configurator
from pyramid.config.actions import action_method
from pyramid.exceptions import ConfigurationError
from pyramid.interfaces import IRoutesMapper, ISecurityPolicy, ITweens
from pyramid.registry import Registry
from pyramid.request import Request
from pyramid.tweens import EXCVIEW, MAIN
from pyramid.view import view_config
from pyramid.viewderivers import INGRESS, VIEW

from sockjs_bridge.core.settings import Settings
from sockjs_bridge.endpoint.cors import YEAR
from sockjs_bridge.endpoint.endpoint import Endpoint
from sockjs_bridge.ini import SettingError, parsers
from sockjs_bridge.pyramid import handshake, mistakes, notices
from sockjs_bridge.pyramid.application import SockJS
from sockjs_bridge.pyramid.bodies import add_body_limit
from sockjs_bridge.pyramid.compat import SessionManager, get_session_manager
from sockjs_bridge.pyramid.files import ENCODINGS, STATIC, etag_deriver
from sockjs_bridge.pyramid.rooms import add_sockjs_rooms
from sockjs_bridge.pyramid.transactions import attempts
from sockjs_bridge.pyramid.viewkinds import WebSocketPredicate

logger = logging.getLogger("sockjs_bridge")

CLIENT = "sockjs.min.js"
BRIDGE_CLIENT = "sockjs-bridge-client.js"
# It loads these from beside itself.
BRIDGE_CONNECTION = "sockjs-bridge-connection.js"
BRIDGE_SHARE = "sockjs-bridge-share.js"
#: Where pyramid_sockjs had its endpoint when nothing else was said.
OLD_PREFIX = "/__sockjs__"

# Bounds of the whole process: no single route can have its own.
_PROCESS_WIDE = {
    *("max_sessions", "blocking_threads", "max_body_size", "page_threads"),
    *("max_suspended_bytes", "max_tombstones"),
    *("cluster", "cluster_name", "cluster_listen", "cluster_secret", "cluster_lease", "drain"),
    *("metrics_path", "metrics_permission", "health_path"),
}

V = TypeVar("V", bound=Callable[..., object])


class WrongSetting(SystemExit, ConfigurationError):  # type: ignore[misc]
    """A setting with a value that is not allowed.

    It is an exit too: it ends the server's start with one sentence instead of a traceback.
    """


class websocket_view(view_config):  # type: ignore[misc]
    """Declares a view for the connections of a SockJS route.

    It takes the arguments of `pyramid.view.view_config`, and `config.scan` finds it in the same
    way. It decorates a function, a method or a `WebSocketSession`. A plain function runs in a
    thread for each connection, an ``async def`` function as a task on the event loop.

    Raises:
        TypeError: an argument is not a keyword.
    """

    def __init__(self, *arguments: object, **settings: Any) -> None:
        if arguments:
            # The view itself, where the parentheses were forgotten.
            raise TypeError('websocket_view takes keywords: @websocket_view(route_name="...")')
        # One frame more here, and one when it decorates: conflicts name the decorator's line.
        depth = settings.pop("_depth", 0) + 1
        super().__init__(**{"websocket": True, **settings, "_depth": depth})

    def __call__(self, wrapped: V) -> V:
        """Declares a view, or a `WebSocketSession`.

        Args:
            wrapped: the view.

        Returns:
            The same.
        """

        def callback(scanner: Any, name: str, view: object) -> None:
            _require_include(scanner.config, view, _info=self._info)

        category = getattr(self, "_category", "pyramid")
        self.venusian.attach(wrapped, callback, category=category, depth=self._depth)
        view: V = super().__call__(wrapped)
        return view


@action_method  # type: ignore[untyped-decorator]
def _require_include(config: Configurator, view: object) -> None:
    # The bridge may be included behind the scan.
    config.action(None, mistakes.refuse_without_include, (config.registry, view), order=-1)


def add_sockjs_route(
    config: Configurator,
    name: str = "",
    pattern: str | None = None,
    *,
    prefix: str | None = None,
    session: type | None = None,
    permission: str | None = None,
    decorator: Any = None,
    **keywords: Any,
) -> None:
    """Adds a route, and a SockJS endpoint below it.

    Args:
        config: the configurator (this is a directive).
        name: of the route.
        pattern: of the route. It is the base URL that a client connects to, with or without the
            slash that it may end with. A route without a name may leave it out, as in
            pyramid_sockjs: then it is ``/__sockjs__``.
        prefix: the same as `pattern`, for code that was written for pyramid_sockjs.
        session: a session class for the connections, instead of a view of the route.
        permission: of that session class, as for a view.
        decorator: of that session class, as for a view.
        **keywords: the endpoint's settings (``transports``, ``allowed_origins``, ``response_limit``
            …), which override the ini's ``sockjs.*``. All others go to
            `pyramid.config.Configurator.add_route`.

    Raises:
        pyramid.exceptions.ConfigurationError: a setting is not allowed, or no pattern is given.
    """
    pattern = _pattern(name, pattern if pattern is not None else prefix)
    if session is None and (permission, decorator) != (None, None):
        raise ConfigurationError(
            f"the SockJS route {name!r}: permission and decorator belong to its view, or to"
            " session=..."
        )
    own = {key: keywords.pop(key) for key in parsers(Settings) if key in keywords}
    settings = _settings_of_route(config, name, own)
    config.action(None, _check_keywords, (config, name, keywords), order=PHASE2_CONFIG)
    config.add_route(name, pattern, **keywords)
    introspectable = config.introspectable("sockjs endpoints", name, name, "sockjs endpoint")
    introspectable.update({"name": name, "pattern": pattern, "settings": settings})
    # Not related to its route: proutes takes all that is for a view.
    config.action(
        ("sockjs endpoint", name),
        _add_endpoint,
        (config.registry, name, settings),
        order=PHASE2_CONFIG,
        introspectables=(introspectable,),
    )
    config.action(None, _check_pattern, (config.registry, name))
    config.action(None, _check_origins, (config.registry, name, settings))
    if session is not None:
        config.add_websocket_view(
            session, route_name=name, permission=permission, decorator=decorator
        )


def _pattern(name: str, pattern: str | None) -> str:
    if pattern is not None:
        return pattern
    if name:
        raise ConfigurationError(f"the SockJS route {name!r} needs a pattern")
    return OLD_PREFIX


def _settings_of_route(config: Configurator, name: str, own: Mapping[str, Any]) -> Settings:
    for key in _PROCESS_WIDE & own.keys():
        raise ConfigurationError(
            f"{key} holds for the whole process: set sockjs.{key} in the ini, not on {name!r}"
        )
    sockjs: SockJS = config.registry.sockjs
    try:
        return sockjs.settings.override(own)
    except SettingError as error:
        raise ConfigurationError(f"the SockJS route {name!r}: {error}") from None


def _check_keywords(config: Configurator, name: str, keywords: Mapping[str, Any]) -> None:
    """Refuses what Pyramid would take for a predicate; it knows them when all are declared."""
    allowed = {*signature(Configurator.add_route).parameters}
    allowed.update(config.get_predlist("route").names())
    for key in keywords.keys() - allowed:
        known = ", ".join(sorted(parsers(Settings).keys() - _PROCESS_WIDE))
        raise ConfigurationError(
            f"the SockJS route {name!r}: {key} = {keywords[key]!r} is no setting, and no"
            f" predicate of routes; settings are: {known}"
        )


def _add_endpoint(registry: Registry, name: str, settings: Settings) -> None:
    mapper = registry.getUtility(IRoutesMapper)

    def page(base: str) -> str:
        route = mapper.get_route(name)
        return f"{base}/" if route is not None and route.pattern.endswith("/") else base

    def match(base: str) -> bool:
        route = mapper.get_route(name)
        return route is not None and route.match(page(base) or "/") is not None

    sockjs: SockJS = registry.sockjs
    sockjs.endpoints.add(Endpoint(name, match, settings, sockjs.client_path, page))


def _check_pattern(registry: Registry, name: str) -> None:
    """Refuses a pattern that another endpoint has."""
    # Routes come into the mapper one by one, in the order of their declarations.
    routes = registry.getUtility(IRoutesMapper).get_routes(include_static=True)
    patterns = {route.name: route.pattern.strip("/") for route in routes}
    # None of a route that another declaration overrides.
    mine = patterns.pop(name, None)
    sockjs: SockJS = registry.sockjs
    for endpoint in sockjs.endpoints:
        if mine is not None and patterns.get(endpoint.name) == mine:
            raise ConfigurationError(
                f"the SockJS routes {endpoint.name!r} and {name!r} have one pattern, '/{mine}':"
                " the first would get all connections. Use one route, and views with predicates"
            )


def _check_origins(registry: Registry, name: str, settings: Settings) -> None:
    """Warns where users may come in from pages of strangers."""
    if "*" in settings.allowed_origins and registry.queryUtility(ISecurityPolicy):
        logger.warning(
            "the SockJS route %r lets pages of every origin connect with their users' "
            "cookies (allowed_origins = *)",
            name,
        )


def add_websocket_view(config: Configurator, view: Any = None, **keywords: Any) -> None:
    """Adds a view for the connections of a SockJS route: `websocket_view` as a directive.

    Args:
        config: the configurator.
        view: a function, a method's class with ``attr``, or a `WebSocketSession`.
        **keywords: as for `pyramid.config.Configurator.add_view`.
    """
    config.add_view(view, **{"websocket": True, **keywords})


def sockjs_client_url(request: Request) -> str:
    """Returns the URL path of the stock SockJS client, which the application serves itself."""
    path: str = request.static_path(STATIC + CLIENT)
    return path


def sockjs_bridge_client_url(
    request: Request, part: Literal["client", "connection", "share"] = "client"
) -> str:
    """Returns the URL path of the bridge's own client, which the application serves itself.

    It is an ES module, from which a page imports `ReconnectingSockJS` or `SockJS`.

    Args:
        request: of the application.
        part: ``connection``, what the first `SockJS` of a page loads, or ``share``, what
            ``share: true`` loads: a page may load them earlier by ``<link rel="modulepreload">``.

    Raises:
        KeyError: there is no such part.
    """
    names = {"client": BRIDGE_CLIENT, "connection": BRIDGE_CONNECTION, "share": BRIDGE_SHARE}
    path: str = request.static_path(STATIC + names[part])
    return path


def reconnecting_sockjs_url(request: Request) -> str:
    """Returns the same as `sockjs_bridge_client_url`, under the name of the former module."""
    return sockjs_bridge_client_url(request)


def get_sockjs_manager(request: Request, name: str = "") -> SessionManager:
    """Returns the sessions of an endpoint, with the names of pyramid_sockjs.

    Args:
        request: of the application.
        name: of the route.

    Raises:
        KeyError: there is no endpoint with that name.
    """
    return get_session_manager(name, request.registry)


def _settings(registry: Registry) -> Settings:
    raw: Mapping[str, Any] = registry.settings or {}
    prefix = "sockjs."
    own = {key[len(prefix) :]: value for key, value in raw.items() if key.startswith(prefix)}
    try:
        settings = Settings().override(own, prefix)
    except SettingError as error:
        raise WrongSetting(str(error)) from None
    if settings.cluster_listen and not settings.cluster_secret:
        raise WrongSetting(
            f"sockjs.cluster_listen = {settings.cluster_listen!r} needs sockjs.cluster_secret: a"
            " random text that all processes of the cluster know"
        )
    try:
        attempts(raw)
    except ValueError as error:
        value = raw["retry.attempts"]
        raise WrongSetting(f"retry.attempts = {value!r} cannot be: allowed is {error}") from None
    return settings


def _client_path() -> str:
    for name in (CLIENT, BRIDGE_CLIENT, BRIDGE_CONNECTION, BRIDGE_SHARE):
        if not Path(STATIC, name).is_file():
            raise ConfigurationError(
                f"the SockJS browser client {Path(STATIC, name)} is missing: install the project"
                " (pip install -e .) where npm is"
            )
    # Of all files: a page that imports one must not get another release of a file beside it.
    whole = hashlib.sha256()
    for file in sorted(file for file in Path(STATIC).iterdir() if file.is_file()):
        content = hashlib.sha256(file.read_bytes()).hexdigest()
        whole.update(f"{file.name} {content}\n".encode())
    return f"_sockjs/{whole.hexdigest()[:16]}"


def includeme(config: Configurator) -> None:
    """Turns the bridge on: ``config.include("sockjs_bridge")``.

    Args:
        config: the configurator.

    Raises:
        pyramid.exceptions.ConfigurationError: a ``sockjs.*`` setting is not allowed.
    """
    if hasattr(config.registry, "sockjs"):
        # By ``pyramid.includes`` in the ini, which Pyramid commits before the application's own.
        return
    static = _client_path()
    prefix = f"/{config.route_prefix}" if config.route_prefix else ""
    client_path = f"{prefix}/{static}/{CLIENT}"
    settings = _settings(config.registry)
    sockjs = config.registry.sockjs = SockJS(settings, client_path)
    if settings.cluster:
        # Here: one process alone imports none of it.
        from sockjs_bridge.cluster.cluster import Cluster

        endpoints = sockjs.endpoints
        endpoints.cluster = Cluster(settings, endpoints, config.registry.package_name)
    notices.deliver(sockjs.endpoints, config.registry)
    config.add_directive("add_body_limit", add_body_limit)
    config.add_directive("add_sockjs_route", add_sockjs_route)
    config.add_directive("add_sockjs_rooms", add_sockjs_rooms)
    config.add_directive("add_websocket_view", add_websocket_view)
    config.add_view_predicate("websocket", WebSocketPredicate)
    config.add_view_deriver(
        handshake.precedence_deriver, "sockjs_precedence", under=INGRESS, over="secured_view"
    )
    config.add_view_deriver(
        handshake.handover_deriver, "sockjs_handover", under="rendered_view", over=VIEW
    )
    config.add_view_deriver(etag_deriver, "sockjs_etag")
    # Within all that makes a request's surroundings: transactions above all, and exception views.
    tween = "sockjs_bridge.pyramid.handshake.sockjs_tween_factory"
    config.add_tween(tween, under=EXCVIEW, over=MAIN)

    def keep_tween() -> None:
        # An ini's own list of tweens leaves out what it does not name: without this one, the code
        # of a connection has no transactions.
        tweens = config.registry.getUtility(ITweens)
        if tweens.explicit and tween not in dict(tweens.explicit):
            tweens.add_explicit(tween, handshake.sockjs_tween_factory)

    config.action(None, keep_tween)
    config.add_request_method(handshake.websocket, reify=True)
    config.add_request_method(lambda request: request.websocket, "ws_connection", property=True)
    config.add_request_method(handshake.receive)
    config.add_request_method(lambda request: request.registry.sockjs, "sockjs", property=True)
    config.add_request_method(sockjs_client_url)
    config.add_request_method(sockjs_bridge_client_url)
    config.add_request_method(reconnecting_sockjs_url)
    config.add_request_method(get_sockjs_manager)
    config.add_static_view(static, STATIC, cache_max_age=YEAR, content_encodings=ENCODINGS)
