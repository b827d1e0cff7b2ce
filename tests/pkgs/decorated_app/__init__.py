"""Views for connections by `websocket_view`, for a scan: a function, and a method of a class."""

from sockjs_bridge import websocket_view


def echo(websocket):
    for message in websocket:
        websocket.send(message)


@websocket_view(route_name="chat")
def chat(request):
    echo(request.websocket)


class Views:
    def __init__(self, request):
        self.request = request

    @websocket_view(route_name="method")
    def serve(self):
        echo(self.request.websocket)
