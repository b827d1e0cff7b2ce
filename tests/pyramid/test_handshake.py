"""One opening's trip through the application (architecture.md, "The handshake")."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest
from pyramid.authorization import ACLHelper, Allow, Everyone
from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPNotFound
from pyramid.interfaces import IExecutionPolicy
from pyramid.request import Request
from pyramid.response import Response
from pyramid.threadlocal import get_current_request

from sockjs_bridge import WebSocketSession
from sockjs_bridge.client import HandshakeError, connect
from sockjs_bridge.endpoint.handshake import HANDSHAKE, Handshake
from sockjs_bridge.pyramid.handshake import receive
from sockjs_bridge.testing import serve
from tests.pyramid.support import HandWorkers, Opening
from tests.support import BY_NAME, HandClock

GREETING = b"Welcome to SockJS!\n"


class Deny:
    """Denies the permission `page`, and nothing else."""

    def identity(self, request):
        return None

    authenticated_userid = identity

    def permits(self, request, context, permission):
        principals = [Everyone]
        context = type("Context", (), {"__acl__": [(Allow, Everyone, "connect")]})
        return ACLHelper().permits(context, principals, permission)


@pytest.fixture
def config():
    config = Configurator(settings={"sockjs.allowed_origins": "*"})
    config.include("sockjs_bridge")
    return config


def get(app, path, method="GET", **headers):
    return Request.blank(path, method=method, headers=headers).get_response(app)


def shake(app, path="/chat", **environ):
    """Lead an opening through an application, as the server does; return response, handshake."""
    registry = app.registry
    opening = Opening()
    endpoints = registry.sockjs.endpoints
    endpoints.start(opening.clock, HandWorkers())
    endpoint, _ = endpoints.find(path)
    session = endpoint.manager.create("s", BY_NAME["websocket"])
    handshake = Handshake(endpoint, session)
    request = Request.blank(path, environ={HANDSHAKE: handshake, **environ})
    return request.get_response(app), handshake


class Chat(WebSocketSession):
    """A session class."""

    def __init__(self, request):
        super().__init__(request)
        request.response.headers["X-From"] = "session class"


def page(request):
    return Response("page")


def view(request):
    return Response("a view's own response")


# Who takes the connection


@pytest.mark.parametrize("callable_", [view, Chat])
def test_the_view_is_not_run(config, callable_):
    """In place of running the view, its response is the handshake's, and the handler waits."""
    config.add_sockjs_route("chat", "/chat")
    config.add_websocket_view(callable_, route_name="chat")
    response, handshake = shake(config.make_wsgi_app())
    assert (response.status_code, response.body) == (200, b"")
    assert handshake.handler is not None


def test_page_with_more_predicates(config):
    """A page's view with more predicates than the websocket view does not take connections."""
    config.add_sockjs_route("chat", "/chat")
    config.add_view(
        page,
        route_name="chat",
        request_method="GET",
        header="Host",
        accept="text/html",
        custom_predicates=(),
    )
    config.add_websocket_view(Chat, route_name="chat")
    app = config.make_wsgi_app()
    response, handshake = shake(app)
    assert handshake.handler is not None
    assert response.headers["X-From"] == "session class"
    assert get(app, "/chat", Accept="text/html").text == "page"


def test_page_whose_permission_is_denied(config):
    """The permission of a page's view is not asked for a connection that is not its own."""
    config.set_security_policy(Deny())
    config.add_sockjs_route("chat", "/chat")
    config.add_view(page, route_name="chat", request_method="GET", permission="page")
    config.add_websocket_view(Chat, route_name="chat", permission="connect")
    app = config.make_wsgi_app()
    response, handshake = shake(app)
    assert (response.status_code, handshake.handler is not None) == (200, True)
    assert get(app, "/chat").status_code == 403


def test_permission_of_the_websocket_view(config):
    """Section 7: the permission is asked in the handshake."""
    config.set_security_policy(Deny())
    config.add_sockjs_route("chat", "/chat")
    config.add_websocket_view(Chat, route_name="chat", permission="talk")
    response, handshake = shake(config.make_wsgi_app())
    assert (response.status_code, handshake.handler) == (403, None)


def test_one_view_for_both(config):
    """Section 3: a view without the predicate takes connections where no other asks for them."""
    config.add_sockjs_route("chat", "/chat")
    config.add_view(page, route_name="chat", request_method="GET")
    app = config.make_wsgi_app()
    assert shake(app)[1].handler is not None
    assert get(app, "/chat").text == "page"


def test_one_of_several_routes(config):
    """The websocket view of one route does not keep another route's page from its connections."""
    config.add_sockjs_route("chat", "/chat")
    config.add_sockjs_route("both", "/both")
    config.add_websocket_view(Chat, route_name="chat")
    config.add_view(page, route_name="both")
    assert shake(config.make_wsgi_app(), "/both")[1].handler is not None


def test_page_that_wants_no_connections(config):
    """websocket=False on the only view: nobody takes the connection."""
    config.add_sockjs_route("chat", "/chat")
    config.add_view(page, route_name="chat", websocket=False)
    app = config.make_wsgi_app()
    response, handshake = shake(app)
    assert (response.status_code, handshake.handler) == (404, None)
    assert get(app, "/chat").text == "page"


def test_exception_view_runs(config):
    """An exception view answers the handshake: it is not handed over in place of the view."""

    def forbidden(request):
        return Response("no", status=403, headers={"X-Why": "not today"})

    config.set_security_policy(Deny())
    config.add_sockjs_route("chat", "/chat")
    config.add_websocket_view(Chat, route_name="chat", permission="talk")
    config.add_forbidden_view(forbidden, route_name="chat")
    response, handshake = shake(config.make_wsgi_app())
    assert (response.status_code, handshake.handler) == (403, None)
    assert response.headers["X-Why"] == "not today"


def test_view_of_another_route(config):
    """Views of routes without an endpoint run as ever."""
    config.add_route("page", "/page")
    config.add_view(page, route_name="page")
    assert get(config.make_wsgi_app(), "/page").text == "page"


@pytest.mark.parametrize("attr", [None, "serve"])
def test_view_class(config, attr):
    """A class with a method is a view like any other; it is made when the session is open."""
    made = []

    class Views:
        def __init__(self, request):
            made.append(request)

        def serve(self):
            """Serve."""

        __call__ = serve

    config.add_sockjs_route("chat", "/chat")
    config.add_websocket_view(Views, route_name="chat", attr=attr)
    _, handshake = shake(config.make_wsgi_app())
    assert handshake.handler is not None
    assert made == []


# The request


def test_request_of_a_page(config):
    """request.websocket and request.ws_connection are None where no connection is opened."""
    seen = []

    def looks(request):
        seen.extend([request.websocket, request.ws_connection])
        with pytest.raises(RuntimeError, match="for websocket views"):
            request.receive()
        return Response("page")

    config.add_view(looks)
    get(config.make_wsgi_app(), "/")
    assert seen == [None, None]


def test_request_of_a_connection(config):
    """request.websocket and request.ws_connection are one connection, and the same every time."""
    seen = []

    def factory(request):
        seen.extend([request.websocket, request.ws_connection, request.websocket])

    config.add_sockjs_route("chat", "/chat", factory=factory)
    config.add_websocket_view(Chat, route_name="chat")
    _, handshake = shake(config.make_wsgi_app())
    assert seen[0] is seen[1] is seen[2]
    assert seen[0].id == handshake.session.id


def test_the_pipeline_is_complete(config):
    """architecture.md: tweens, finished callbacks, the execution policy apply to a handshake."""
    seen = []

    def tween_factory(handler, registry):
        def tween(request):
            response = handler(request)
            seen.append("tween")
            response.headers["X-Tween"] = "was here"
            return response

        return tween

    def policy(environ, router):
        with router.request_context(environ) as request:
            seen.append("policy")
            return router.invoke_request(request)

    def factory(request):
        request.add_finished_callback(lambda request: seen.append("finished"))
        seen.append(("threadlocal", get_current_request() is request))

    config.registry.tween_factory = tween_factory
    config.add_tween("tests.pyramid.test_handshake.registry_tween_factory")
    config.set_execution_policy(policy)
    config.add_sockjs_route("chat", "/chat", factory=factory)
    config.add_websocket_view(Chat, route_name="chat")
    app = config.make_wsgi_app()
    assert config.registry.queryUtility(IExecutionPolicy) is policy
    response, handshake = shake(app)
    assert seen == ["policy", ("threadlocal", True), "tween", "finished"]
    assert response.headers["X-Tween"] == "was here"
    assert handshake.handler is not None


def registry_tween_factory(handler, registry):
    return registry.tween_factory(handler, registry)


# The greeting


@pytest.mark.parametrize("views", [True, False])
@pytest.mark.parametrize("path", ["/chat", "/chat/"])
def test_greeting(config, path, views):
    """sockjs-wire.md, URLs: the greeting on base and base + `/`, where no view answers."""
    config.add_sockjs_route("chat", "/chat", session=Chat if views else None)
    app = config.make_wsgi_app()
    response = get(app, path)
    assert (response.status_code, response.body) == (200, GREETING)
    assert response.headers["Content-Type"] == "text/plain; charset=UTF-8"
    assert get(app, path, "HEAD").status_code == 200
    assert get(app, path, "PUT").status_code in (404, 405)


def test_greeting_below_a_page(config):
    """Where a view answers the base, base + `/` is still the greeting."""
    config.add_sockjs_route("chat", "/chat", session=Chat)
    config.add_view(page, route_name="chat")
    app = config.make_wsgi_app()
    assert get(app, "/chat").text == "page"
    assert get(app, "/chat/").body == GREETING


def test_greeting_of_a_pattern(config):
    config.add_sockjs_route("room", "/rooms/{room}", session=Chat)
    app = config.make_wsgi_app()
    assert get(app, "/rooms/k%C3%BCche").body == GREETING
    assert get(app, "/rooms/a%2525b").body == GREETING


def test_not_found_of_a_view(config):
    """A view that raises 404 has answered: that is no greeting."""

    def missing(request):
        raise HTTPNotFound("gone fishing")

    config.add_sockjs_route("chat", "/chat", session=Chat)
    config.add_view(missing, route_name="chat")
    response = get(config.make_wsgi_app(), "/chat")
    assert response.status_code == 404
    assert "gone fishing" in response.text


def test_not_found_of_the_root_factory(config):
    """A room that does not exist does not greet."""

    def factory(request):
        raise HTTPNotFound("no such room")

    config.add_sockjs_route("room", "/rooms/{room}", factory=factory, session=Chat)
    response = get(config.make_wsgi_app(), "/rooms/attic")
    assert (response.status_code, "no such room" in response.text) == (404, True)


@pytest.mark.parametrize("path", ["/other", "/chat/info/x", "/chat/a/b"])
def test_not_found_elsewhere(config, path):
    """The bridge greets at its endpoints only."""
    config.add_sockjs_route("chat", "/chat", session=Chat)
    assert get(config.make_wsgi_app(), path).status_code == 404


def test_handshake_without_a_view_is_not_greeted(config):
    """A handshake that nobody takes stays a 404."""
    config.add_sockjs_route("chat", "/chat")
    response, handshake = shake(config.make_wsgi_app())
    assert (response.status_code, handshake.handler) == (404, None)


# Wrapped applications


async def test_wrapped_application(config):
    """architecture.md: the application may be wrapped; its endpoints are found nevertheless."""
    config.add_sockjs_route("chat", "/chat", session=Chat)
    app = config.make_wsgi_app()

    def wrapper(environ, start_response):
        environ["wrapped"] = True
        return app(environ, start_response)

    with serve(wrapper) as url:
        async with asyncio.timeout(40), connect(f"{url}/chat") as connection:
            assert connection.close_code is None
            assert connection.response_headers["X-From"] == "session class"


async def test_filter_that_refuses(config):
    """Paste filters around the application have their say in a handshake."""
    config.add_sockjs_route("chat", "/chat", session=Chat)
    app = config.make_wsgi_app()

    def wrapper(environ, start_response):
        if HANDSHAKE in environ:
            start_response("402 Payment Required", [("Content-Length", "0")])
            return []
        return app(environ, start_response)

    wrapper.registry = app.registry
    with serve(wrapper) as url:
        with pytest.raises(HandshakeError) as refused:
            await connect(f"{url}/chat")
        assert refused.value.status == 402


def test_request_receive():
    """Section 2: request.receive() is the connection's."""
    opening = Opening()
    opening.websocket.arrived(["hello"])
    assert receive(opening.request) == "hello"
    with pytest.raises(TimeoutError):
        receive(opening.request, timeout=0)


def test_foreign_server_is_logged_once(config, caplog):
    """What browsers show to nobody stands in the log, and does not fill it."""
    config.add_sockjs_route("chat", "/chat", session=Chat)
    app = config.make_wsgi_app()
    for _ in range(3):
        assert get(app, "/chat/info").status_code == 501
    (record,) = caplog.records
    assert (record.levelname, record.name) == ("WARNING", "sockjs_bridge.views")
    assert "/chat/info" in record.getMessage()
    assert "use = egg:sockjs-bridge" in record.getMessage()


def test_who_is_asked_about_again_leaves_no_cycle(config):
    """However often a client's credentials change, and whatever the application looks at."""

    class Watching:
        def permits(self, request, context, permission):
            return request.websocket.closed

        def identity(self, request):
            return "ada"

        def authenticated_userid(self, request):
            return "ada"

    config.set_security_policy(Watching())
    config.add_sockjs_route("talk", "/talk")
    config.add_websocket_view(lambda request: None, route_name="talk", permission="talk")
    app = config.make_wsgi_app()
    app.registry.sockjs.endpoints.start(HandClock(), HandWorkers())
    (endpoint,) = app.registry.sockjs.endpoints
    session = endpoint.manager.create("s", BY_NAME["xhr-polling"])
    session.connection = "the application's"
    gc.collect()
    gc.disable()
    try:
        renewal = Handshake(endpoint, session.placeholder(), renewal=True)
        request = Request.blank("/talk", environ={HANDSHAKE: renewal})
        assert request.get_response(app).status_code == 200
        assert (renewal.taken, renewal.identity) == (True, "ada")
        gone = weakref.ref(renewal.session)
        del renewal, request
        assert gone() is None
    finally:
        gc.enable()
    assert session.connection == "the application's"
