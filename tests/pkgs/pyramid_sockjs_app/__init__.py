"""A chat as it was written for pyramid_sockjs 0.3: only the imports are changed."""

from pyramid.config import Configurator
from pyramid.response import Response

from sockjs_bridge import Session


class ChatSession(Session):
    def on_open(self):
        self.manager.broadcast("Someone joined.")

    def on_message(self, message):
        self.manager.broadcast(message)

    def on_closed(self):
        self.manager.broadcast("Someone left.")


def announce(request):
    request.get_sockjs_manager().broadcast("An announcement.")
    request.get_sockjs_manager("named").broadcast("An announcement for the others.")
    return Response("sent")


def main(global_config=None, **settings):
    config = Configurator(settings=settings)
    config.include("sockjs_bridge")
    config.add_sockjs_route(prefix="/sockjs", session=ChatSession)
    config.add_sockjs_route("named", prefix="/named", session=ChatSession)
    config.add_route("announce", "/announce")
    config.add_view(announce, route_name="announce")
    return config.make_wsgi_app()
