"""A chat as it was written for pyramid_sockjs 0.3: only the imports are changed."""

from pyramid.config import Configurator
from pyramid.response import Response

from sockjs_bridge import Session
from sockjs_bridge.pyramid.compat import get_session_manager


class ChatSession(Session):
    def on_open(self):
        self.manager.broadcast("Someone joined.")

    def on_message(self, message):
        self.manager.broadcast(message)

    def on_close(self):
        self.manager.broadcast("Someone left.")


class CountingSession(Session):
    """Looks at more of the session and its manager."""

    def on_open(self):
        self.registry.seen.append(self.id)
        self.manager.broadcast("Someone joined.")

    def on_message(self, message):
        if message == "count":
            self.send(str(len(list(self.manager.active_sessions()))))
        elif message == "kick":
            for session in self.manager.active_sessions():
                if session.id != self.id:
                    session.close()
        else:
            for session in self.manager.active_sessions():
                session.send(message)

    def on_close(self):
        self.registry.seen.remove(self.id)

    def on_closed(self):
        self.manager.broadcast("Someone left.")


def announce(request):
    request.get_sockjs_manager().broadcast("An announcement.")
    get_session_manager("named", request.registry).broadcast("An announcement for the others.")
    return Response("sent")


def main(global_config=None, **settings):
    config = Configurator(settings=settings)
    config.include("sockjs_bridge")
    config.registry.seen = []
    config.add_sockjs_route(prefix="/__sockjs__", session=ChatSession)
    config.add_sockjs_route("named", prefix="/named", session=CountingSession)
    config.add_route("announce", "/announce")
    config.add_view(announce, route_name="announce")
    return config.make_wsgi_app()
