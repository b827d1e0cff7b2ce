"""Routes and predicates: patterns, what a route asks of a request, what a view asks of it."""

from pyramid.config import Configurator, not_
from pyramid.response import Response
from pyramid.view import view_config

from sockjs_bridge import WebSocketSession, websocket_view


class Matched(WebSocketSession):
    """Says by which route, and by what of the path."""

    def on_message(self, message):
        request = self.request
        found = "&".join(f"{key}={value}" for key, value in sorted(request.matchdict.items()))
        self.send(f"{request.matched_route.name} {found} {'/'.join(request.subpath)}".strip())


class Versioned(WebSocketSession):
    def on_message(self, message):
        self.send(f"{self.version} by {self.request.matched_route.name}")


@websocket_view(route_name="views", request_param="v=2")
class Second(Versioned):
    version = "second"


@websocket_view(route_name="views", request_param="v=1")
class First(Versioned):
    version = "first"


@websocket_view(route_name="views", header="X-Robot", request_method="GET")
async def robot(request):
    async for _ in request.websocket:
        request.websocket.send("robot")


@websocket_view(route_name="views", match_param="never=so")
@websocket_view(route_name="posts", request_method="POST")
def never(request):
    """The handshake is a GET, whatever the transport."""


@websocket_view(route_name="strangers", header=not_("X-Robot"))
class Stranger(Versioned):
    version = "no robot"


@view_config(route_name="views", renderer="string")
def page(request):
    return "a page"


class ParityPredicate:
    """The route predicate ``parity``: the number in the path is even, or odd."""

    def __init__(self, parity, config):
        self.parity = parity

    def text(self):
        return f"parity = {self.parity}"

    phash = text

    def __call__(self, info, request):
        number = int(info["match"]["number"])
        return ("even", "odd")[number % 2] == self.parity


def main(global_config=None, **settings):
    with Configurator(settings=settings) as config:
        config.include("sockjs_bridge")
        config.add_sockjs_route("room", "/rooms/{house}/{room}", session=Matched)
        config.add_sockjs_route("number", r"/numbers/{number:\d+}", session=Matched)
        config.add_sockjs_route("suffix", "/files/{name}.{format}", session=Matched)
        config.add_sockjs_route("subpath", "/below/*subpath", session=Matched)
        config.add_route_predicate("parity", ParityPredicate)
        config.add_sockjs_route("even", r"/even/{number:\d+}", parity="even", session=Matched)
        config.add_sockjs_route("hosted", "/hosted", header="X-Tenant:^acme$", session=Matched)
        config.include(api, route_prefix="/api/{version}")
        for name in ("views", "strangers", "posts"):
            config.add_sockjs_route(name, f"/{name}")
        config.add_route("looks_alike", "/elsewhere/views/info")
        config.add_view(lambda request: Response("a page"), route_name="looks_alike")
        config.scan(__name__)
        return config.make_wsgi_app()


def api(config):
    config.add_sockjs_route("prefixed", "/events", session=Matched)
