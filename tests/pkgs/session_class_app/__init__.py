"""A session class, on two routes (api.md, section 5)."""

from pyramid.config import Configurator

from sockjs_bridge import WebSocketSession, websocket_view


@websocket_view(route_name="chat", permission="view")
@websocket_view(route_name="other", permission="view")
class ChatSession(WebSocketSession):
    def on_open(self):
        self.request.registry.journal.record(self.request.GET.get("tag"), "open")
        self.send("welcome to " + self.request.matched_route.name)

    async def on_message(self, message):
        self.request.registry.journal.record(self.request.GET.get("tag"), "message", message)
        self.send(message)

    def on_close(self):
        self.request.registry.journal.record(
            self.request.GET.get("tag"), "close", self.close_code, self.close_reason
        )


def main(global_config=None, *, journal, **settings):
    with Configurator(settings=settings) as config:
        config.include("sockjs_bridge")
        config.registry.journal = journal
        config.add_sockjs_route("chat", "/chat")
        config.add_sockjs_route("other", "/other")
        config.scan()
        return config.make_wsgi_app()
