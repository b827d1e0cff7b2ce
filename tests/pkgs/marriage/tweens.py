"""Tweens: they see a connection's handshake as they see a page's request, and may answer it.

Each acts on the query, so that one application shows them all.
"""

from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPForbidden, HTTPMovedPermanently, HTTPSeeOther
from pyramid.response import Response
from pyramid.tweens import EXCVIEW, MAIN

from sockjs_bridge import WebSocketSession


def maintenance(handler, registry):
    """Answers itself, and asks nobody."""

    def tween(request):
        if "maintenance" in request.GET:
            return Response("Back soon.", status=503, headers={"Retry-After": "60"})
        return handler(request)

    return tween


def canonical(handler, registry):
    """Sends requests elsewhere."""

    def tween(request):
        if "moved" in request.GET:
            return HTTPMovedPermanently("/elsewhere")
        if "see_other" in request.GET:
            # The exception view tween turns it into a response.
            raise HTTPSeeOther("/login")
        return handler(request)

    return tween


def gate(handler, registry):
    """Refuses by an exception, as views do."""

    def tween(request):
        if "banned" in request.GET:
            raise HTTPForbidden("You are banned.")
        return handler(request)

    return tween


def closing(handler, registry):
    """Opens something for the request, and closes it with it: hooks come later."""

    def tween(request):
        registry.seen.append("begin")
        request.helper = f"made by a tween for {request.path}"
        try:
            response = handler(request)
        finally:
            registry.seen.append("end")
        response.headers["X-Tween"] = "was here"
        response.set_cookie("tween", "yes")
        return response

    return tween


def teapot(handler, registry):
    """Changes the status of what the application answered."""

    def tween(request):
        response = handler(request)
        if "teapot" in request.GET:
            response.status = 418
        if "replaced" in request.GET:
            return Response("another response", headers={"X-Replaced": "yes"})
        return response

    return tween


class Helped(WebSocketSession):
    def on_open(self):
        self.request.registry.seen.append("open")

    def on_message(self, message):
        self.send(self.request.helper)


def page(request):
    return Response(f"the page, {request.helper}")


def main(global_config=None, **settings):
    with Configurator(settings=settings) as config:
        config.include("sockjs_bridge")
        config.registry.seen = []
        config.add_tween(f"{__name__}.maintenance")
        config.add_tween(f"{__name__}.canonical", under=EXCVIEW)
        config.add_tween(f"{__name__}.gate", under=EXCVIEW)
        config.add_tween(f"{__name__}.closing")
        config.add_tween(f"{__name__}.teapot", over=MAIN)
        config.add_sockjs_route("helped", "/helped", session=Helped)
        config.add_view(page, route_name="helped")
        return config.make_wsgi_app()
