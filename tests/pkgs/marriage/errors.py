"""Exception views: what is raised on the way to a view is told to the client by a status.

Raised later, in a view or hook, nothing renders it: an HTTP exception closes the connection with
its status, any other is logged.
"""

from pyramid.config import Configurator
from pyramid.httpexceptions import (
    HTTPConflict,
    HTTPForbidden,
    HTTPFound,
    HTTPGone,
    HTTPNotFound,
    HTTPServiceUnavailable,
)
from pyramid.response import Response
from pyramid.view import exception_view_config, notfound_view_config, view_config

from sockjs_bridge import WebSocketSession, websocket_view


class RoomFull(Exception):
    """A mistake of the application's own domain."""


class RoomLocked(Exception):
    """One that is told by a redirection."""


class RoomBroken(Exception):
    """One that is told by a page with 200."""


ERRORS = {
    "full": RoomFull,
    "locked": RoomLocked,
    "broken": RoomBroken,
    "forbidden": HTTPForbidden,
    "missing": HTTPNotFound,
    "conflict": HTTPConflict,
    "gone": HTTPGone,
    "unavailable": HTTPServiceUnavailable,
    "bug": ZeroDivisionError,
    "moved": lambda: HTTPFound("/elsewhere"),
}


def room_factory(request):
    """Root factory: the room may not be enterable."""
    if error := ERRORS.get(request.matchdict["room"]):
        raise error()
    return {}


@exception_view_config(RoomFull)
def full(error, request):
    return Response("The room is full.", status=409, headers={"X-Why": "full"})


@exception_view_config(RoomLocked)
def locked(error, request):
    return HTTPFound("/keys")


@exception_view_config(RoomBroken, renderer="string")
def broken(error, request):
    return "This room is being repaired."


@notfound_view_config(append_slash=True)
def missing(request):
    request.response.status = 404
    request.response.text = "There is no such room."
    return request.response


@websocket_view(route_name="room")
class Room(WebSocketSession):
    """Raises what it is asked for, in a hook."""

    def on_message(self, message):
        if error := ERRORS.get(message):
            raise error()
        self.send(message)


@websocket_view(route_name="view")
def view(request):
    """The same in a blocking view."""
    for message in request.websocket:
        if error := ERRORS.get(message):
            raise error()
        request.websocket.send(message)


@websocket_view(route_name="coroutine")
async def coroutine(request):
    """The same in an asynchronous one."""
    async for message in request.websocket:
        if error := ERRORS.get(message):
            raise error()
        request.websocket.send(message)


@view_config(route_name="room", renderer="string")
def page(request):
    return "a room"


def main(global_config=None, **settings):
    with Configurator(settings=settings) as config:
        config.include("sockjs_bridge")
        config.add_sockjs_route("view", "/view")
        config.add_sockjs_route("coroutine", "/coroutine")
        config.add_sockjs_route("room", "/rooms/{room}", factory=room_factory)
        config.scan(__name__)
        return config.make_wsgi_app()
