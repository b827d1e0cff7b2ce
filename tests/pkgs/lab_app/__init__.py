"""Views and session classes in three styles that do what their client asks, and refuse some.

A client names its connection by ``?tag=``; ``registry.journal`` holds what was seen of it.
"""

from __future__ import annotations

from pyramid.authorization import ACLHelper, Allow, Authenticated, Everyone
from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPForbidden, HTTPFound, HTTPNotFound, HTTPUnauthorized
from pyramid.response import Response
from pyramid.threadlocal import get_current_request
from pyramid.view import view_config

from sockjs_bridge import ConnectionClosed, WebSocketSession, websocket_view


def journal_of(request):
    return request.registry.journal


def tag_of(request):
    return request.GET.get("tag")


def obey(request, websocket, message):
    """Do what a client asks of any style."""
    if message == "forbid":
        raise HTTPForbidden()
    if message == "hide":
        raise HTTPNotFound()
    if message == "redirect":
        raise HTTPFound("/elsewhere")
    if message == "fail":
        raise RuntimeError("as the client asked")
    if message == "give up":
        raise ConnectionClosed(1000, "")
    if message == "close":
        websocket.close(4321, "as you “asked”")
        journal_of(request).record(tag_of(request), "sent", websocket.send("too late"))
    elif message == "bytes":
        try:
            websocket.send(b"bytes")
        except TypeError as error:
            websocket.send(str(error))
    elif message == "bad code":
        try:
            websocket.close(1006)
        except ValueError as error:
            websocket.send(str(error))
    elif message == "bad reason":
        try:
            websocket.close(1000, None)
        except TypeError as error:
            websocket.send(str(error))
    elif message == "who":
        websocket.send(f"{request.authenticated_userid} in {request.matchdict['room']}")
    elif message == "context":
        websocket.send(type(request.context).__name__)
    elif message == "threadlocal":
        websocket.send(str(get_current_request() is request))
    elif message == "transport":
        websocket.send(request.websocket.transport)
    else:
        websocket.send(message)


@websocket_view(route_name="view")
@websocket_view(route_name="private_view", permission="view")
def view(request):
    """A blocking view."""
    tag, ws = tag_of(request), request.websocket
    journal_of(request).record(tag, "open")
    try:
        while True:
            message = request.receive()
            if message == "return":
                return {"ignored": True}
            obey(request, ws, message)
    except ConnectionClosed as closed:
        if not ws.closed:
            raise
        ends = [(closed.code, closed.reason)]
        while len(ends) < 3:
            try:
                ws.receive()
            except ConnectionClosed as again:
                ends.append((again.code, again.reason))
        journal_of(request).record(tag, "ends", *ends)
        journal_of(request).record(tag, "send", ws.send("too late"), ws.closed)
        journal_of(request).record(tag, "close", ws.close_code, ws.close_reason)
        raise


@websocket_view(route_name="coroutine")
@websocket_view(route_name="private_coroutine", permission="view")
async def coroutine(request):
    """An asynchronous view."""
    tag, ws = tag_of(request), request.websocket
    journal_of(request).record(tag, "open")
    try:
        while True:
            message = await request.receive()
            if message == "return":
                return {"ignored": True}
            obey(request, ws, message)
    except ConnectionClosed as closed:
        if not ws.closed:
            raise
        ends = [(closed.code, closed.reason)]
        while len(ends) < 3:
            try:
                await ws.receive()
            except ConnectionClosed as again:
                ends.append((again.code, again.reason))
        journal_of(request).record(tag, "ends", *ends)
        journal_of(request).record(tag, "send", ws.send("too late"), ws.closed)
        journal_of(request).record(tag, "close", ws.close_code, ws.close_reason)
        raise


@websocket_view(route_name="plain")
@websocket_view(route_name="private_plain", permission="view")
class Plain(WebSocketSession):
    """A session class with plain hooks."""

    def on_open(self):
        journal_of(self.request).record(tag_of(self.request), "open")

    def on_message(self, message):
        obey(self.request, self, message)

    def on_close(self):
        request = self.request
        sent = self.send("too late")
        journal_of(request).record(tag_of(request), "send", sent, self.closed)
        journal_of(request).record(tag_of(request), "close", self.close_code, self.close_reason)


@websocket_view(route_name="async")
@websocket_view(route_name="private_async", permission="view")
class Async(WebSocketSession):
    """The same with asynchronous hooks."""

    async def on_open(self):
        Plain.on_open(self)

    async def on_message(self, message):
        obey(self.request, self, message)

    async def on_close(self):
        Plain.on_close(self)


@websocket_view(route_name="impatient")
def impatient(request):
    """Waits for a while, says that nothing came, and goes on."""
    try:
        request.receive(timeout=0.05)
    except TimeoutError as error:
        request.websocket.send(f"{type(error).__name__}: {error}")
    request.websocket.send(request.receive(timeout=40))


@websocket_view(route_name="impatient_coroutine")
async def impatient_coroutine(request):
    """The same, on the loop."""
    try:
        await request.receive(timeout=0.05)
    except TimeoutError as error:
        request.websocket.send(f"{type(error).__name__}: {error}")
    request.websocket.send(await request.receive(timeout=40))


@view_config(route_name="forgetful")
def forgetful(request):
    """A page's view that takes the request for a connection's."""
    return Response(request.receive())


@websocket_view(route_name="cookies")
class CookieSession(WebSocketSession):
    """Opens; its root factory set a cookie."""


def cookie_factory(request):
    request.response.set_cookie("seen", "yes")
    request.response.headers["X-Greeting"] = "hello"
    request.response.headers["Cache-Control"] = "public, max-age=60"
    request.add_finished_callback(
        lambda request: journal_of(request).record(tag_of(request), "finished")
    )
    return Room(request)


def forbidding_factory(request):
    raise HTTPForbidden()


def failing_factory(request):
    raise RuntimeError("no root today")


@websocket_view(route_name="forbidding")
@websocket_view(route_name="failing")
@websocket_view(route_name="challenging")
class NeverSession(WebSocketSession):
    """Is never opened."""

    def on_open(self):
        journal_of(self.request).record(tag_of(self.request), "open")


def challenging_factory(request):
    raise HTTPUnauthorized(headers={"WWW-Authenticate": "Basic"})


class Room:
    """A context that lets everybody in who is signed in."""

    __acl__ = ((Allow, Authenticated, "view"), (Allow, Everyone, "look"))

    def __init__(self, request):
        self.request = request


class Policy:
    """Believes whoever says who he is."""

    acl = ACLHelper()

    def identity(self, request):
        return request.headers.get("X-User")

    def authenticated_userid(self, request):
        return request.identity

    def permits(self, request, context, permission):
        principals = [Everyone] + ([Authenticated] if request.identity else [])
        return self.acl.permits(context, principals, permission)

    def remember(self, request, userid, **kw):
        return []

    def forget(self, request, **kw):
        return []


def main(global_config=None, *, journal, **settings):
    with Configurator(settings=settings, security_policy=Policy()) as config:
        config.include("sockjs_bridge")
        config.registry.journal = journal
        for style in ("view", "plain", "async", "coroutine"):
            config.add_sockjs_route(style, f"/{style}")
            config.add_sockjs_route(f"private_{style}", f"/private_{style}/{{room}}", factory=Room)
        config.add_sockjs_route("impatient", "/impatient")
        config.add_sockjs_route("impatient_coroutine", "/impatient_coroutine")
        config.add_sockjs_route("nobody", "/nobody")
        config.add_sockjs_route("cookies", "/cookies", factory=cookie_factory)
        config.add_sockjs_route("forbidding", "/forbidding", factory=forbidding_factory)
        config.add_sockjs_route("failing", "/failing", factory=failing_factory)
        config.add_sockjs_route("challenging", "/challenging", factory=challenging_factory)
        config.add_route("forgetful", "/forgetful")
        config.scan()
        return config.make_wsgi_app()
