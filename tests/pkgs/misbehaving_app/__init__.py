"""Views and session classes of which one callback misbehaves, as the client asks.

``?in=`` names the callback and ``?do=`` what it does there, by `registry.misdeeds`. Whatever does
not misbehave sends back what it hears, and closes with 4001 when it hears "close".
"""

from pyramid.config import Configurator

from sockjs_bridge import Session, websocket_view


def act(request, callback):
    """Misbehave, if it is here that it should happen."""
    request.registry.journal.record(request.GET.get("tag"), callback)
    if request.GET.get("in") == callback:
        return request.registry.misdeeds[request.GET["do"]]()
    return None


async def act_and_wait(request, callback):
    """The same where it may be awaited."""
    result = act(request, callback)
    return await result.run() if hasattr(result, "run") else result


def answer(connection, message):
    if message == "close":
        connection.close(4001, "as you like")
    else:
        connection.send(message)


@websocket_view(route_name="view")
def view(request):
    while True:
        message = request.receive()
        if request.GET.get("in") == "view":
            return act(request, "view")
        answer(request.websocket, message)


@websocket_view(route_name="async_view")
async def async_view(request):
    while True:
        message = await request.receive()
        if request.GET.get("in") == "view":
            return await act_and_wait(request, "view")
        answer(request.websocket, message)


@websocket_view(route_name="plain")
class Plain(Session):
    def __init__(self, request):
        super().__init__(request)
        act(request, "__init__")

    def on_open(self):
        return act(self.request, "on_open")

    def on_message(self, message):
        answer(self, message)
        return act(self.request, "on_message")

    def on_close(self):
        return act(self.request, "on_close")

    def on_closed(self):
        return act(self.request, "on_closed")


@websocket_view(route_name="async")
class Async(Session):
    async def on_open(self):
        return await act_and_wait(self.request, "on_open")

    async def on_message(self, message):
        answer(self, message)
        return await act_and_wait(self.request, "on_message")

    async def on_close(self):
        return await act_and_wait(self.request, "on_close")

    async def on_closed(self):
        return await act_and_wait(self.request, "on_closed")


def main(global_config=None, *, journal, misdeeds, **settings):
    with Configurator(settings=settings) as config:
        config.include("sockjs_bridge")
        config.registry.journal = journal
        config.registry.misdeeds = misdeeds
        for style in ("view", "async_view", "plain", "async"):
            config.add_sockjs_route(style, f"/{style}")
        config.scan()
        return config.make_wsgi_app()
