"""An echo in each of the four styles, for the load generator: what a connection of each costs.

    PYTHONPATH=bench pserve bench/styles.ini

serves ``/view`` (blocking), ``/coroutine``, ``/plain`` and ``/async`` (hooks of a session class).
"""

from pyramid.config import Configurator

from sockjs_bridge import WebSocketSession, websocket_view


@websocket_view(route_name="view")
def view(request):
    ws = request.websocket
    while True:
        ws.send(ws.receive())


@websocket_view(route_name="coroutine")
async def coroutine(request):
    ws = request.websocket
    async for message in ws:
        ws.send(message)


@websocket_view(route_name="plain")
class Plain(WebSocketSession):
    def on_message(self, message):
        self.send(message)


@websocket_view(route_name="async")
class Async(WebSocketSession):
    async def on_message(self, message):
        self.send(message)


def main(global_config, **settings):
    with Configurator(settings=settings) as config:
        config.include("sockjs_bridge")
        for name in ("view", "coroutine", "plain", "async"):
            config.add_sockjs_route(name, f"/{name}")
        config.scan()
        return config.make_wsgi_app()
