"""A handler by a decorator."""

from sockjs_bridge import websocket_view


@websocket_view(route_name="chat")
def serve(request):
    """Serve nobody."""
