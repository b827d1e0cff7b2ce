"""A blocking view, one thread per connection (api.md, section 2)."""

from pyramid.config import Configurator

from sockjs_bridge import websocket_view

connected_clients = []


@websocket_view(route_name="websocket")
def echo_to_all(request):
    connected_clients.append(request.ws_connection)
    while True:
        message = request.receive()
        broadcast_message(message)


def broadcast_message(message):
    for client in connected_clients:
        client.send(message)


def main(global_config=None, **settings):
    with Configurator(settings=settings) as config:
        config.include("sockjs_bridge")
        config.add_sockjs_route("websocket", "/websocket")
        config.scan()
        return config.make_wsgi_app()
