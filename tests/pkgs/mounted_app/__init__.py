"""An application that may be mounted anywhere: nothing in it says where."""

from pyramid.config import Configurator
from pyramid.view import view_config

from sockjs_bridge import WebSocketSession, websocket_view


@websocket_view(route_name="room")
@websocket_view(route_name="chat")
class Chat(WebSocketSession):
    """Answers with the name of its application; ``all`` goes to all connections there."""

    def on_open(self):
        self.join("lobby")

    def on_message(self, message):
        sockjs, settings = self.request.sockjs, self.request.registry.settings
        name = settings["name"]
        if message == "all":
            sockjs.broadcast(f"to all of {name}")
        elif message == "lobby":
            sockjs.broadcast(f"to the lobby of {name}", room="lobby")
        elif message == "where":
            path = self.request.current_route_path(_query=())
            self.send(f"{name} at {path} with {self.request.sockjs_client_url()}")
        else:
            self.send(f"{name}: {message}")


@view_config(route_name="page", renderer="json")
def page(request):
    return {
        "name": request.registry.settings["name"],
        "chat": request.route_path("chat"),
        "client": request.sockjs_client_url(),
    }


@view_config(route_name="alike", renderer="string")
def alike(request):
    return "a page that looks like an endpoint"


def routes(config):
    config.add_sockjs_route("chat", "/chat")
    config.add_sockjs_route("room", "/rooms/{room}")
    config.add_route("page", "/page")
    config.add_route("alike", "/deep/chat/info")


def main(global_config=None, *, name="mounted", route_prefix=None, **settings):
    with Configurator(settings={**settings, "name": name}, route_prefix=route_prefix) as config:
        config.include("sockjs_bridge")
        config.include(routes)
        config.scan(__name__)
        return config.make_wsgi_app()


def set_script_name(global_config, *, script_name):
    """Make a filter that says where the application is, in front of which a proxy cut it off."""

    def wrap(app):
        def wrapped(environ, start_response):
            environ["SCRIPT_NAME"] = script_name
            return app(environ, start_response)

        return wrapped

    return wrap


def pages(global_config=None, **settings):
    """Make an application without SockJS, whose pages look like endpoints."""

    def app(environ, start_response):
        body = f"page {environ['SCRIPT_NAME']}{environ['PATH_INFO']}".encode("latin-1")
        head = [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))]
        start_response("200 OK", head)
        return [body]

    return app
