"""Views and session classes whose code is the test's: a message names what to do.

`registry.jobs` holds functions by name; each is called with the connection (None on the page), and
what an asynchronous style gets back is awaited. Other messages are sent back. A client names its
connection by ``?tag=``; `registry.journal` holds what was seen of it.
"""

import inspect

from pyramid.config import Configurator
from pyramid.response import Response
from pyramid.view import view_config

from sockjs_bridge import ConnectionClosed, WebSocketSession, websocket_view


def note(request, *event):
    request.registry.journal.record(request.GET.get("tag"), *event)


def obey(request, connection, message):
    """Do what a message names."""
    note(request, "message", message)
    job = request.registry.jobs.get(message)
    if job is not None:
        return job(connection)
    connection.send(message)
    return None


async def obey_and_wait(request, connection, message):
    result = obey(request, connection, message)
    if inspect.isawaitable(result):
        await result


@view_config(route_name="page")
def page(request):
    """A page: ``?job=`` names what to do."""
    request.registry.jobs[request.GET["job"]](None)
    return Response("done")


@websocket_view(route_name="view")
def view(request):
    """A blocking view."""
    connection = request.websocket
    note(request, "open", connection)
    try:
        while True:
            obey(request, connection, connection.receive())
    except ConnectionClosed as closed:
        note(request, "close", closed.code, closed.reason)


@websocket_view(route_name="async_view")
async def async_view(request):
    """An asynchronous view."""
    connection = request.websocket
    note(request, "open", connection)
    try:
        while True:
            await obey_and_wait(request, connection, await connection.receive())
    except ConnectionClosed as closed:
        note(request, "close", closed.code, closed.reason)


@websocket_view(route_name="plain")
class Plain(WebSocketSession):
    """A session class with plain hooks."""

    def on_open(self):
        note(self.request, "open", self)

    def on_message(self, message):
        obey(self.request, self, message)

    def on_close(self):
        note(self.request, "close", self.close_code, self.close_reason)


@websocket_view(route_name="async")
class Async(WebSocketSession):
    """The same with asynchronous hooks."""

    async def on_open(self):
        note(self.request, "open", self)

    async def on_message(self, message):
        await obey_and_wait(self.request, self, message)

    async def on_close(self):
        note(self.request, "close", self.close_code, self.close_reason)


def main(global_config=None, *, journal, jobs, **settings):
    with Configurator(settings=settings) as config:
        config.include("sockjs_bridge")
        config.registry.journal = journal
        config.registry.jobs = jobs
        config.add_route("page", "/page")
        for style in ("view", "async_view", "plain", "async"):
            config.add_sockjs_route(style, f"/{style}")
        config.scan()
        return config.make_wsgi_app()
