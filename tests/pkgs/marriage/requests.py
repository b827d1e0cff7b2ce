"""``request.session``, ``add_request_method``, templates: the request that views work with.

The page and its connection share a cookie session; methods and properties that the application
gives to requests are there in hooks as well. The page is a Jinja2 template, and the debug toolbar
may be around all of it.
"""

from itertools import count

from pyramid.authentication import SessionAuthenticationHelper
from pyramid.config import Configurator
from pyramid.events import NewRequest, NewResponse, subscriber
from pyramid.httpexceptions import HTTPNoContent
from pyramid.renderers import render
from pyramid.request import Request
from pyramid.security import remember
from pyramid.session import SignedCookieSessionFactory
from pyramid.view import view_config

from sockjs_bridge import WebSocketSession, websocket_view


class SessionPolicy:
    """Who signed in is written in the session."""

    helper = SessionAuthenticationHelper()

    def identity(self, request):
        return self.helper.authenticated_userid(request)

    authenticated_userid = identity

    def permits(self, request, context, permission):
        return request.identity is not None

    def remember(self, request, userid, **keywords):
        return self.helper.remember(request, userid, **keywords)

    def forget(self, request, **keywords):
        return self.helper.forget(request, **keywords)


def visits(request):
    """A method of the application's own; it reads and writes the session."""
    request.session["visits"] = request.session.get("visits", 0) + 1
    return request.session["visits"]


def number(request):
    """A property that is computed once."""
    return next(request.registry.numbers)


def root_factory(request):
    request.count_visit()
    request.session["last"] = "a connection" if request.websocket else "a page"


@view_config(route_name="chat", renderer="chat.jinja2")
def page(request):
    return {"title": f"visit {request.session['visits']}"}


@websocket_view(route_name="chat")
class Chat(WebSocketSession):
    def on_open(self):
        self.opened_as = self.request.number

    def on_message(self, message):
        request = self.request
        if message == "number":
            self.send(f"{request.number == self.opened_as}")
        elif message == "visits":
            self.send(f"visit {request.session['visits']}, {request.session['last']}")
        elif message == "url":
            self.send(f"{request.route_path('chat')} {request.static_path(STATIC)}")
        elif message == "localizer":
            self.send(request.localizer.locale_name)
        elif message == "factory":
            self.send(request.shop)
        elif message == "render":
            page = render("tests.pkgs.marriage:chat.jinja2", {"title": message}, request=request)
            self.send(page)
        elif message == "subrequest":
            page = request.invoke_subrequest(ShopRequest.blank("/plain"), use_tweens=True)
            self.send(page.text)


@websocket_view(route_name="async_chat")
class AsyncChat(Chat):
    async def on_message(self, message):
        super().on_message(message)


@view_config(route_name="plain", renderer="string")
def plain(request):
    return f"a page of {request.shop}, connection {request.websocket}"


class ShopRequest(Request):
    """A request factory of the application's own."""

    shop = "the shop"


STATIC = "tests.pkgs.marriage:static/chat.css"


@websocket_view(route_name="private", permission="enter")
class Private(WebSocketSession):
    def on_message(self, message):
        self.send(f"{self.request.authenticated_userid}: {message}")


@view_config(route_name="login")
def log_in(request):
    return HTTPNoContent(headers=remember(request, request.GET["user"]))


@subscriber(NewRequest)
@subscriber(NewResponse)
def note(event):
    event.request.registry.seen.append(type(event).__name__)


def main(global_config=None, **settings):
    with Configurator(settings=settings, root_factory=root_factory) as config:
        config.include("pyramid_jinja2")
        config.include("sockjs_bridge")
        config.registry.seen = []
        config.registry.numbers = count()
        config.set_request_factory(ShopRequest)
        # Written again at every access, as with a timeout that begins anew.
        config.set_session_factory(SignedCookieSessionFactory("secret", reissue_time=0))
        config.set_security_policy(SessionPolicy())
        config.add_request_method(visits, "count_visit")
        config.add_request_method(number, reify=True)
        config.add_static_view("static", "tests.pkgs.marriage:static")
        config.add_sockjs_route("chat", "/chat")
        config.add_sockjs_route("async_chat", "/async_chat")
        config.add_sockjs_route("private", "/private")
        config.add_route("plain", "/plain")
        config.add_route("login", "/login")
        config.scan(__name__)
        return config.make_wsgi_app()
