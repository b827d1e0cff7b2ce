"""The ways to declare a session class."""

from sockjs_bridge import WebSocketSession, websocket_view


class Echo(WebSocketSession):
    name = ""

    def on_message(self, message):
        self.send(f"session {self.name}: {message}")


@websocket_view(route_name="session_stacked")
@websocket_view(route_name="session_second")
class Stacked(Echo):
    @property
    def name(self):
        return self.request.matched_route.name.removeprefix("session_")


class ByDirective(Echo):
    name = "directive"


class ByKeyword(Echo):
    name = "keyword"

    async def on_message(self, message):
        super().on_message(message)
