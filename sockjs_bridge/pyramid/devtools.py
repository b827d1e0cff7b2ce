"""What Pyramid's commands and pyramid_debugtoolbar show of connections."""

from __future__ import annotations

import sys

from pyramid.registry import Registry

from sockjs_bridge.pyramid.application import SockJS

#: What ``proutes`` shows as the method of a view for connections.
METHOD = "SockJS"
# What it shows for any method.
ANY_METHOD = "*"


def show_connections(registry: Registry) -> None:
    """Has ``proutes`` list the views of SockJS routes each by itself, with what it is for.

    It lists those alone for which something is said of methods, and shows the methods that a view
    and its route have in common.

    Args:
        registry: of the application, which is complete.
    """
    sockjs: SockJS = registry.sockjs
    introspector = registry.introspector
    for entry in introspector.get_category("views", ()):
        view = entry["introspectable"]
        if view["route_name"] not in sockjs.endpoints or view["request_methods"] is not None:
            continue
        methods = introspector.get("routes", view["route_name"])["request_methods"]
        if (wanted := view.get("websocket")) is not None:
            kinds = [METHOD] if wanted else [ANY_METHOD]
        elif view["route_name"] in sockjs.connection_routes:
            kinds = [ANY_METHOD]
        else:
            # It serves both.
            kinds = [ANY_METHOD, METHOD]
        view["request_methods"] = methods or tuple(kinds)


def add_panel(registry: Registry) -> None:
    """Adds the panel of the bridge to pyramid_debugtoolbar, where the application includes that.

    Args:
        registry: of the application, which is complete but for the tweens outside the bridge's.
    """
    # Where nobody has imported it nobody includes it.
    module = sys.modules.get("pyramid_debugtoolbar.toolbar")
    if module is None or registry.queryUtility(module.IToolbarWSGIApp) is None:
        return
    settings = registry.settings
    panels = settings["debugtoolbar.extra_panels"]
    from sockjs_bridge.pyramid.toolbar import LastMinute, SockJSPanel

    if settings["debugtoolbar.enabled"] and SockJSPanel not in panels:
        settings["debugtoolbar.extra_panels"] = [*panels, SockJSPanel]
        sockjs: SockJS = registry.sockjs
        sockjs.endpoints.monitor = LastMinute(sockjs.endpoints.monitor)
