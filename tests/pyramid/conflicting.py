"""Two views for the connections of one route."""

from sockjs_bridge import websocket_view


@websocket_view(route_name="chat")
def one(request):
    pass


@websocket_view(route_name="chat")
def other(request):
    pass
