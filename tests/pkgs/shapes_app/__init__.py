"""Every shape that a view for connections may have.

Each has a route of its own name, and puts that name in front of what it sends back.
"""

from functools import partial

from pyramid.config import Configurator

from tests.pkgs.shapes_app import asynchronous, blocking, sessions

SHAPES = [
    "function",
    "context_function",
    "method",
    "defaults",
    "class",
    "context_class",
    "instance",
    "instance_attr",
    "partial",
    "directive",
    "dotted_name",
    "predicate",
]


def main(global_config=None, **settings):
    with Configurator(settings=settings) as config:
        config.include("sockjs_bridge")
        for module, kind in ((blocking, "blocking"), (asynchronous, "async")):
            for shape in SHAPES:
                config.add_sockjs_route(f"{kind}_{shape}", f"/{kind}/{shape}")
            declare(config, module, kind)
        config.add_sockjs_route("blocking_both", "/blocking/both")
        config.add_sockjs_route("session_stacked", "/session/stacked")
        config.add_sockjs_route("session_second", "/session/second")
        config.add_sockjs_route("session_directive", "/session/directive")
        config.add_websocket_view(sessions.ByDirective, route_name="session_directive")
        config.add_sockjs_route("session_keyword", "/session/keyword", session=sessions.ByKeyword)
        config.scan()
        return config.make_wsgi_app()


def declare(config, module, kind):
    """Declare by directives what has no decorator."""
    config.add_websocket_view(module.Instance(), route_name=f"{kind}_instance")
    config.add_websocket_view(module.Instance(), route_name=f"{kind}_instance_attr", attr="serve")
    config.add_websocket_view(
        partial(module.echo_as, f"{kind} partial"), route_name=f"{kind}_partial"
    )
    config.add_websocket_view(module.directive, route_name=f"{kind}_directive")
    config.add_websocket_view(f"{module.__name__}.dotted", route_name=f"{kind}_dotted_name")
