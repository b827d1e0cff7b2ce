"""View derivers and ``decorator=``: what is wrapped around a view is wrapped around its handshake.

They decide who comes in and set headers. What the view does later, connection open, is not within
them: they would have to last as long as it.
"""

from functools import wraps

from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPPaymentRequired, HTTPTooManyRequests
from pyramid.view import view_config

from sockjs_bridge import WebSocketSession, websocket_view


def paid(view):
    """A decorator as ``decorator=`` takes it."""

    @wraps(view)
    def wrapped(context, request):
        if request.headers.get("X-Paid") != "yes":
            raise HTTPPaymentRequired()
        response = view(context, request)
        response.headers["X-Receipt"] = "42"
        return response

    return wrapped


def stamped(view):
    def wrapped(context, request):
        response = view(context, request)
        response.headers["X-Stamp"] = "stamped"
        return response

    return wrapped


def limited_deriver(view, info):
    """Gives views an option of their own: ``limited=True``."""
    if not info.options.get("limited"):
        return view

    def limited(context, request):
        if request.headers.get("X-Hurry"):
            return HTTPTooManyRequests(headers={"Retry-After": "1"})
        return view(context, request)

    return limited


limited_deriver.options = ("limited",)


def counting_deriver(view, info):
    """Sees every view run, pages and handshakes."""
    if info.exception_only:
        return view

    def counted(context, request):
        request.registry.seen.append(info.options["route_name"])
        return view(context, request)

    return counted


@websocket_view(route_name="paid", decorator=(paid, stamped))
def blocking(request):
    for message in request.websocket:
        request.websocket.send(message.upper())


@websocket_view(route_name="paid_async", decorator=(paid, stamped))
async def asynchronous(request):
    async for message in request.websocket:
        request.websocket.send(message.upper())


class Shout(WebSocketSession):
    def on_message(self, message):
        self.send(message.upper())


@websocket_view(route_name="limited", limited=True, http_cache=3600)
class Limited(Shout):
    """Has an option of the application's own, and one that says how long pages are kept."""


@websocket_view(route_name="csrf", require_csrf=True)
class Csrf(Shout):
    """The handshake is a GET, which asks for no CSRF token: the origin decides (section 8)."""


@view_config(route_name="limited", limited=True, renderer="string")
def page(request):
    return "the page"


def main(global_config=None, **settings):
    with Configurator(settings=settings) as config:
        config.include("sockjs_bridge")
        config.registry.seen = []
        config.set_default_csrf_options(require_csrf=True)
        config.add_view_deriver(limited_deriver)
        config.add_view_deriver(counting_deriver, under="limited_deriver", over="rendered_view")
        config.add_sockjs_route("paid", "/paid")
        config.add_sockjs_route("paid_async", "/paid_async")
        config.add_sockjs_route(
            "paid_session", "/paid_session", session=Shout, decorator=(paid, stamped)
        )
        config.add_sockjs_route("limited", "/limited")
        config.add_sockjs_route("csrf", "/csrf")
        config.scan(__name__)
        return config.make_wsgi_app()
