"""One view for the page and for the connection (api.md, sections 3 and 9)."""

from pyramid.config import Configurator
from pyramid.view import view_config

clients = []


@view_config(route_name="chat", request_method="GET", renderer="chat.pt", permission="view")
def chat_view(request):
    if request.websocket:
        ws = request.websocket
        clients.append(ws)
        while True:
            message = ws.receive()
            for client in clients:
                if client != ws:
                    client.send(message)
    else:
        return {}


def main(global_config=None, **settings):
    with Configurator(settings=settings) as config:
        config.include("pyramid_chameleon")
        config.include("sockjs_bridge")
        config.add_sockjs_route("chat", "/chat")
        config.scan()
        return config.make_wsgi_app()
