"""The likeliest mistakes of newcomers: each has a line that names place, cause and cure.

What `ELSEWHERE` lists is tested there; the others are served here, and the log is read.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import pytest
from pyramid.config import Configurator
from pyramid.exceptions import ConfigurationError
from pyramid.httpexceptions import HTTPForbidden, HTTPFound
from pyramid.response import Response
from pyramid.tweens import EXCVIEW, INGRESS

from sockjs_bridge import WebSocketSession
from sockjs_bridge.client import TRANSPORTS
from sockjs_bridge.endpoint.handshake import HANDSHAKE
from sockjs_bridge.testing import serve
from tests.integration.support import closing, connected, get, outcome
from tests.pkgs import decorated_app

#: Mistakes that have their tests where the code is that answers them.
ELSEWHERE = {
    "a setting of another name or value": "tests.integration.test_pserve:test_wrong_sockjs_setting",
    "a wrong setting of the server": "tests.integration.test_pserve:test_wrong_server_setting",
    "a keyword that is no setting": "tests.pyramid.test_config:test_unknown_keyword",
    "a port that is taken": "tests.integration.test_pserve:test_port_in_use",
    "another server": "tests.pyramid.test_handshake:test_foreign_server_is_logged_once",
    "an origin that is refused": "tests.server.test_origins:test_who_is_refused_is_in_the_log",
    "every origin, with cookies": (
        "tests.pyramid.test_config:test_every_origin_with_cookies_is_warned_of"
    ),
    "two routes of one pattern": "tests.pyramid.test_config:test_two_routes_of_one_pattern",
    "routes of one path": "tests.integration.test_marriage:test_routes_of_one_path",
    "a view for connections on a plain route": (
        "tests.pyramid.test_config:test_view_of_no_sockjs_route"
    ),
    "an async def view for pages": "tests.pyramid.test_config:test_view_that_cannot_answer_pages",
    "a decorator without parentheses": (
        "tests.pyramid.test_decorator:test_decorator_without_parentheses"
    ),
    "receive() on a page": "tests.integration.test_styles:test_receive_on_a_page",
    "a blocking call on the loop": "tests.integration.test_threads:test_blocking_call_on_the_loop",
    "a coroutine that nobody awaits": "tests.pyramid.test_handlers:test_code_that_was_not_run",
    "too many blocking views": "tests.integration.test_styles:test_too_many_blocking_views",
    "the thread's transactions on the loop": (
        "tests.integration.test_transactions:test_manager_of_the_thread"
    ),
}


@pytest.mark.parametrize("place", ELSEWHERE.values(), ids=ELSEWHERE.keys())
def test_those_with_tests_elsewhere_have_them(place: str) -> None:
    module, _, name = place.partition(":")
    assert callable(getattr(import_module(module), name))


# Applications, each with one mistake


class Echo(WebSocketSession):
    async def on_message(self, message: str) -> None:
        self.send(message)


def page(request: Any) -> Response:
    return Response("a page")


@contextmanager
def application(**settings: str) -> Iterator[Configurator]:
    """Yield a configurator with the bridge; it is committed when the block ends."""
    with Configurator(settings=settings) as config:
        config.include("sockjs_bridge")
        yield config


def add_page(config: Configurator, name: str, pattern: str, **of: Any) -> None:
    """Add a route, with these predicates, and its page."""
    config.add_route(name, pattern, **of)
    config.add_view(page, route_name=name)


async def check_served(
    config: Configurator, pages: dict[str, str], connections: Iterable[str], transport: str
) -> None:
    """Check that these paths have these pages, and that connections open at those."""
    with serve(config.make_wsgi_app()) as url:
        for path, text in pages.items():
            assert (await get(url + path))[2] == text
        for path in connections:
            assert await outcome(url + path, transport) == "hello"


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Any:
    """What the log has of warnings and worse, since it was read last."""
    caplog.set_level(logging.INFO)

    def read() -> list[str]:
        found = [each.getMessage() for each in caplog.records if each.levelno > logging.INFO]
        caplog.clear()
        return found

    return read


both_kinds = pytest.mark.parametrize("transport", ["websocket", "xhr-polling"])


@both_kinds
async def test_no_scan(lines: Any, transport: str) -> None:
    """It is told at the start, and not again at a page, which greets, or at a connection."""
    with application() as config:
        config.add_sockjs_route("chat", "/chat")
    with serve(config.make_wsgi_app()) as url:
        (line,) = lines()
        assert (await get(f"{url}/chat"))[2] == "Welcome to SockJS!\n"
        assert await outcome(f"{url}/chat", transport) == 404
    assert lines() == []
    assert line.startswith("the SockJS route 'chat' has no view, so no connection can open: ")
    assert "@websocket_view(route_name='chat')" in line
    assert "config.scan()" in line


@both_kinds
async def test_a_route_without_a_page_is_no_mistake(lines: Any, transport: str) -> None:
    """Nor is one with both, one within another route's folder, or one that others stand before."""
    with application() as config:
        add_page(config, "home", "/")
        add_page(config, "about", "/about")
        config.add_sockjs_route("chat", "/chat", session=Echo)
        config.add_sockjs_route("room", "/{room}", session=Echo)
        config.add_view(page, route_name="room")
        add_page(config, "picture", "/{room}/pictures/{number:\\d+}")
        config.add_route("odd", "/odd/{letter:[q-t]}")
        config.add_static_view("static", "tests:pkgs")
    pages = {"/chat": "Welcome to SockJS!\n", "/kitchen/pictures/7": "a page"}
    await check_served(config, pages, ["/chat", "/kitchen"], transport)
    assert lines() == []


def shared_view(request: Any) -> Response | None:
    if request.websocket is None:
        return Response("a page")
    for message in request.websocket:
        request.websocket.send(message)
    return None


class SharedView:
    def __init__(self, request: Any) -> None:
        self.request = request

    def serve(self) -> Response | None:
        return shared_view(self.request) if self.request.ws_connection else Response("a page")


def receiving_view(request: Any) -> str:
    message: str = request.receive()
    return message


@pytest.mark.parametrize(
    ("view", "options", "name"),
    [
        (shared_view, {}, "shared_view"),
        (receiving_view, {}, "receiving_view"),
        (SharedView, {"attr": "serve"}, "SharedView.serve"),
    ],
)
async def test_add_route_in_place_of_add_sockjs_route(
    lines: Any, view: Any, options: dict[str, str], name: str
) -> None:
    """A view that asks for the connection will never have one; no request is needed to know."""
    with application() as config:
        config.add_route("chat", "/chat")
        config.add_view(view, route_name="chat", **options)
    with serve(config.make_wsgi_app()) as url:
        (line,) = lines()
        for _ in range(2):
            assert await outcome(f"{url}/chat", "websocket") == 404
        if view is not receiving_view:
            assert (await get(f"{url}/chat"))[2] == "a page"
    assert lines() == []
    assert line.startswith(f"route 'chat': the view {__name__}.{name} asks for request.websocket")
    assert "which is None there: the route is not a SockJS route" in line
    assert "config.add_sockjs_route(...) instead of config.add_route(...)" in line


async def test_a_view_without_a_route(lines: Any) -> None:
    """Traversal alone finds it: it has no connection either."""
    with application() as config:
        config.add_view(shared_view, name="chat")
    config.make_wsgi_app()
    (line,) = lines()
    assert line.startswith(f"view name 'chat': the view {__name__}.shared_view asks for")
    assert "it has no route" in line


class Keeper:
    def __init__(self, request: Any) -> None:
        self.ws = request.websocket

    def page(self) -> Response:
        return Response("a page")


def not_found(request: Any) -> Response:
    return Response("a page" if request.websocket is None else "no connection", status=404)


@both_kinds
async def test_pages_that_may_ask(lines: Any, transport: str) -> None:
    """Keeping what is not used, serving a SockJS route too, and exception views are no mistakes."""
    with application() as config:
        config.add_route("page", "/page")
        config.add_view(Keeper, attr="page", route_name="page")
        config.add_route("home", "/home")
        config.add_sockjs_route("chat", "/chat")
        for name in ("home", "chat"):
            config.add_view(shared_view, route_name=name)
        config.add_notfound_view(not_found)
        config.add_view(not_found, context=HTTPForbidden)
    pages = dict.fromkeys(("/page", "/home", "/chat", "/elsewhere"), "a page")
    await check_served(config, pages, ["/chat"], transport)
    assert lines() == []


@both_kinds
async def test_one_view_for_both_is_no_mistake(lines: Any, transport: str) -> None:
    with application() as config:
        config.add_sockjs_route("chat", "/chat")
        config.add_view(shared_view, route_name="chat")
        config.add_sockjs_route("room", "/room")
        config.add_view(SharedView, attr="serve", route_name="room")
    paths = ("/chat", "/room")
    await check_served(config, dict.fromkeys(paths, "a page"), paths, transport)
    assert lines() == []


async def test_a_tween_that_asks_on_every_page_is_no_mistake(lines: Any) -> None:
    with application() as config:
        config.add_tween(f"{__name__}.asking_tween")
        add_page(config, "chat", "/chat")
    await check_served(config, {"/chat": "a page"}, [], "websocket")
    assert lines() == []


def asking_tween(handler: Any, registry: Any) -> Any:
    def tween(request: Any) -> Any:
        assert request.websocket is None
        return handler(request)

    return tween


@both_kinds
async def test_a_page_alone(lines: Any, transport: str) -> None:
    """The page's view is called for a connection, and what it returns is lost."""
    with application() as config:
        config.add_sockjs_route("chat", "/chat")
        config.add_view(page, route_name="chat")
    with serve(config.make_wsgi_app()) as url:
        for _ in range(2):
            async with connected(f"{url}/chat", transport) as client:
                assert (await closing(client))[0] == 1000
    (line,) = lines()
    assert line.startswith(f"route 'chat': the view {__name__}.page was called for a connection")
    assert line.endswith("also declare a view with @websocket_view(route_name='chat')")


async def asynchronous_answer(request: Any) -> str:
    return "an answer"


def answer(request: Any) -> str:
    return "an answer"


@both_kinds
@pytest.mark.parametrize("view", [answer, asynchronous_answer])
async def test_a_view_that_returns_its_answer(lines: Any, transport: str, view: Any) -> None:
    """What a view for connections returns is no message."""
    with application() as config:
        config.add_sockjs_route("chat", "/chat")
        config.add_websocket_view(view, route_name="chat")
    with serve(config.make_wsgi_app()) as url:
        for _ in range(2):
            async with connected(f"{url}/chat", transport) as client:
                assert (await closing(client))[0] == 1000
    (line,) = lines()
    assert line.startswith(f"route 'chat': the view {__name__}.{view.__name__} was called for a")
    assert line.endswith("send to the client with request.websocket.send()")


def forgotten(request: Any) -> Any:
    return asynchronous_answer(request)


@both_kinds
async def test_a_view_whose_answer_nobody_awaits(lines: Any, transport: str) -> None:
    """That is an error, and told as one alone."""
    with application() as config:
        config.add_sockjs_route("chat", "/chat")
        config.add_websocket_view(forgotten, route_name="chat")
    with serve(config.make_wsgi_app()) as url:
        async with connected(f"{url}/chat", transport) as client:
            assert (await closing(client))[0] == 4500
    assert lines() == ["route 'chat', /chat: a view or hook raised"]


async def asynchronous_hand_over(request: Any) -> None:
    await asynchronous_echo(request)


async def asynchronous_echo(request: Any) -> None:
    async for message in request.websocket:
        request.websocket.send(message)


def delegating(request: Any) -> Response | None:
    return shared_view(request)


@both_kinds
@pytest.mark.parametrize("view", [delegating, asynchronous_hand_over])
async def test_a_view_that_leaves_all_to_another_function(
    lines: Any, transport: str, view: Any
) -> None:
    """Its own code does not name the connection: it is no mistake all the same."""
    with application() as config:
        config.add_sockjs_route("chat", "/chat")
        config.add_view(view, route_name="chat", websocket=True)
    with serve(config.make_wsgi_app()) as url:
        assert await outcome(f"{url}/chat", transport) == "hello"
    assert lines() == []


@both_kinds
async def test_pages_that_refuse_connections(lines: Any, transport: str) -> None:
    with application() as config:
        config.add_sockjs_route("chat", "/chat")
        config.add_view(page, route_name="chat", websocket=False)
    with serve(config.make_wsgi_app()) as url:
        assert lines() == []
        assert await outcome(f"{url}/chat", transport) == 404
    (line,) = lines()
    assert "the route has no view for connections" in line


# Routes that match first


@both_kinds
@pytest.mark.parametrize("pattern", ["/{name}", "/chat", "/*rest"])
async def test_a_route_that_matches_first(lines: Any, transport: str, pattern: str) -> None:
    with application() as config:
        add_page(config, "page", pattern)
        config.add_sockjs_route("chat", "/{word:chat|x}", session=Echo)
    app = config.make_wsgi_app()
    if pattern == "/chat":
        # Of all the paths that a pattern has only an example is looked at.
        assert lines() == []
    with serve(app) as url:
        for _ in range(2):
            assert await outcome(f"{url}/chat", transport) == 404
    line, *more = lines()
    at = "/chat" if pattern == "/chat" else "/x"
    assert line.startswith(f"'{at}', a path of the SockJS route 'chat' ('/{{word:chat|x}}'), goes")
    assert f"to the route 'page' ('{pattern}'), which comes before it and matches first" in line
    assert "call add_sockjs_route('chat', ...) before" in line
    assert all("no view took the connection" in each for each in more)


@pytest.mark.parametrize(
    ("pattern", "own"),
    [
        ("/*all", "/d/{id:[0-9a-f]{8}}"),
        ("/{a}/{b}", "/d/{id:[0-9a-f]{8}}"),
        ("/{page:\\w+}", "/{id:[A-Z]{3}}"),
    ],
)
def test_a_route_that_matches_first_by_patterns(lines: Any, pattern: str, own: str) -> None:
    with application() as config:
        add_page(config, "page", pattern)
        config.add_sockjs_route("chat", own, session=Echo)
    config.make_wsgi_app()
    (line,) = lines()
    assert f"a path of the SockJS route 'chat' ({own!r}), goes to the route 'page'" in line


@both_kinds
async def test_a_route_that_may_match_first(lines: Any, transport: str) -> None:
    """What a predicate decides is not known at the start."""
    with application() as config:
        add_page(config, "page", "/chat", request_param="old")
        config.add_sockjs_route("chat", "/chat", session=Echo)
    with serve(config.make_wsgi_app()) as url:
        assert await outcome(f"{url}/chat", transport) == "hello"
        assert lines() == []
        assert await outcome(f"{url}/chat?old=1", transport) == 404
    assert "goes to the route 'page' ('/chat'), which comes before it" in lines()[0]


@both_kinds
async def test_a_sockjs_route_that_matches_first(lines: Any, transport: str) -> None:
    """Connections open, but not as the second route has it."""
    with application() as config:
        config.add_sockjs_route("room", "/{room}", session=Echo)
        config.add_sockjs_route("chat", "/chat", session=Careless)
    with serve(config.make_wsgi_app()) as url:
        assert await outcome(f"{url}/chat", transport) == "hello"
    (line,) = lines()
    assert line.startswith("'/chat', a path of the SockJS route 'chat' ('/chat'), goes to the")
    assert "route 'room' ('/{room}')" in line


@pytest.mark.parametrize("first", ["page", "room"])
@pytest.mark.parametrize("pattern", ["/about/info", "/{thing}/info"])
async def test_a_page_at_a_url_of_an_endpoint(lines: Any, first: str, pattern: str) -> None:
    """The server answers it, wherever its route stands."""
    with application() as config:
        if first == "room":
            config.add_sockjs_route("room", "/{room}", session=Echo)
        add_page(config, "page", pattern)
        if first == "page":
            config.add_sockjs_route("room", "/{room}", session=Echo)
    app = config.make_wsgi_app()
    (line,) = lines()
    path = pattern.replace("{thing}", "x")
    assert line.startswith(f"no request for {path} reaches the route 'page' ('{pattern}'): it is")
    assert "the SockJS route 'room' ('/{room}')" in line
    assert "for example /sockjs/{room}" in line
    with serve(app) as url:
        assert json.loads((await get(url + path))[2])["websocket"] is True


# Renderers


@pytest.mark.parametrize(
    ("name", "package"),
    [
        ("chat.pt", "pyramid_chameleon"),
        ("chat.jinja2", "pyramid_jinja2"),
        ("chat.mako", "pyramid_mako"),
    ],
)
@pytest.mark.parametrize("installed", [True, False])
@pytest.mark.parametrize("view", [page, None])
async def test_a_template_that_nothing_renders(
    lines: Any,
    monkeypatch: pytest.MonkeyPatch,
    view: Any,
    name: str,
    package: str,
    installed: bool,
) -> None:
    if not installed:
        monkeypatch.setattr("sockjs_bridge.pyramid.mistakes.find_spec", lambda name: None)
    with application() as config:
        config.add_sockjs_route("chat", "/chat", session=Echo)
        config.add_view(view, route_name="chat", renderer=name)
        config.add_view(page, name="json", renderer="json")
    with serve(config.make_wsgi_app()) as url:
        (line,) = lines()
        assert (await get(f"{url}/json"))[0] == 200
    assert line.startswith(f"route 'chat': nothing renders the template '{name}': ")
    assert line.endswith(f'config.include("{package}")')
    assert (f"pip install {package}, and" in line) is not installed


@pytest.mark.parametrize("suffix", [".html", ".mustache"])
def test_a_template_of_an_unknown_suffix(lines: Any, suffix: str) -> None:
    """No package is known for it: a suffix has to be added."""
    with application() as config:
        config.include("pyramid_jinja2")
        config.add_jinja2_renderer(".added")
        config.add_sockjs_route("chat", "/chat", session=Echo)
        config.add_view(page, route_name="chat", renderer=f"chat{suffix}")
        config.add_view(page, name="other", renderer="chat.added")
    config.make_wsgi_app()
    (line,) = lines()
    assert line.startswith(f"route 'chat': nothing renders the template 'chat{suffix}': ")
    assert f"no renderer factory is there for '{suffix}'" in line
    assert f"config.add_renderer('{suffix}', ...)" in line
    assert line.endswith(f"config.add_jinja2_renderer('{suffix}')")


@pytest.mark.parametrize(
    ("view", "options", "place"),
    [
        (page, {}, f"{__name__}.page"),
        (page, {"name": "old"}, "view name 'old'"),
        (None, {"name": "old"}, "view name 'old'"),
        (None, {"name": "old", "route_name": "page"}, "route 'page', view name 'old'"),
        (None, {}, "the view without route and name"),
    ],
)
def test_whose_template_it_is(lines: Any, view: Any, options: dict[str, str], place: str) -> None:
    with application() as config:
        config.add_route("page", "/page/*traverse")
        config.add_view(view, renderer="chat.pt", **options)
    config.make_wsgi_app()
    (line,) = lines()
    assert line.startswith(f"{place}: nothing renders the template 'chat.pt': ")


async def test_a_template_that_something_renders(lines: Any) -> None:
    with application() as config:
        config.add_sockjs_route("chat", "/chat", session=Echo)
        config.add_view(page, route_name="chat", renderer="chat.jinja2")
        config.include("pyramid_jinja2")
    with serve(config.make_wsgi_app()) as url:
        assert (await get(f"{url}/chat"))[2] == "a page"
    assert lines() == []


# Handshakes that are answered as pages


def answering_tween(handler: Any, registry: Any) -> Any:
    """Answers what the query says."""

    def tween(request: Any) -> Any:
        if "tween" in request.GET:
            status = int(request.GET["tween"])
            location = {"Location": "/login"} if status in (301, 302) else {}
            return Response("", status=status, headers=location)
        response = handler(request)
        if "behind" in request.GET:
            response.status = int(request.GET["behind"])
        return response

    return tween


def gate(request: Any) -> Any:
    if "view" in request.GET:
        raise HTTPFound("/login")
    if "forbidden" in request.GET:
        raise HTTPForbidden()
    return object()


def filtered(app: Any) -> Any:
    """A WSGI filter that answers what the query says."""

    def filtering(environ: dict[str, Any], start_response: Any) -> Any:
        if "filter" in environ["QUERY_STRING"] and HANDSHAKE in environ:
            return Response("maintenance")(environ, start_response)
        return app(environ, start_response)

    return filtering


@both_kinds
@pytest.mark.parametrize("place", ["outermost", "around the exception views"])
@pytest.mark.parametrize(
    ("query", "status", "heard"),
    [
        ("tween=302", "302 Found to 'http", 302),
        ("tween=304", "304 Not Modified", 304),
        ("behind=304", "304 Not Modified", 304),
        ("tween=200", "200 OK", 404),
        ("filter", "200 OK", 404),
    ],
)
async def test_a_handshake_that_is_answered_as_a_page(
    lines: Any, transport: str, place: str, query: str, status: str, heard: int
) -> None:
    with application() as config:
        under = {"under": INGRESS} if place == "outermost" else {"over": EXCVIEW}
        config.add_tween(f"{__name__}.answering_tween", **under)
        config.add_sockjs_route("chat", "/chat", session=Echo, factory=gate)
    with serve(filtered(config.make_wsgi_app())) as url:
        assert await outcome(f"{url}/chat", transport) == "hello"
        for _ in range(2):
            assert await outcome(f"{url}/chat?{query}", transport) == heard
    (line,) = lines()
    assert line.startswith("route 'chat', /chat: a tween or a WSGI filter answered the handshake")
    assert f" with {status}" in line
    assert "request.websocket is not None" in line
    assert f"'{HANDSHAKE}' in the environ" in line
    assert "refuse them with 403" in line


@both_kinds
@pytest.mark.parametrize("query", ["tween=403", "tween=503", "forbidden", "view"])
async def test_a_refusal_is_no_mistake(lines: Any, transport: str, query: str) -> None:
    with application() as config:
        config.add_tween(f"{__name__}.answering_tween")
        config.add_sockjs_route("chat", "/chat", session=Echo, factory=gate)
    with serve(config.make_wsgi_app()) as url:
        assert await outcome(f"{url}/chat?{query}", transport) in (302, 403, 503)
    assert lines() == []


# Connections


class Careless(WebSocketSession):
    async def on_message(self, message: str) -> None:
        self.send({"text": message} if message == "a dict" else self.answer())  # type: ignore[arg-type]

    async def answer(self) -> str:
        return "never"


@both_kinds
@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("a dict", "a message is a str, not dict: json.dumps() makes one of it"),
        ("a coroutine", "a message is a str, not coroutine: an await is missing"),
    ],
)
async def test_a_message_that_is_no_string(
    lines: Any, caplog: pytest.LogCaptureFixture, transport: str, message: str, said: str
) -> None:
    with application() as config:
        config.add_sockjs_route("chat", "/chat", session=Careless)
    with serve(config.make_wsgi_app()) as url:
        async with connected(f"{url}/chat", transport) as client:
            await client.send(message)
            assert (await closing(client))[0] == 4500
    (error,) = [record.exc_info[1] for record in caplog.records if record.exc_info]
    assert str(error) == said
    assert lines() == ["route 'chat', /chat: a view or hook raised"]


# An application that does not include the bridge


def test_without_the_include() -> None:
    """A decorated view is found by the scan, and says what it needs."""
    config = Configurator()
    config.add_route("chat", "/chat")
    config.scan(decorated_app)
    with pytest.raises(ConfigurationError) as refused:
        config.make_wsgi_app()
    said = str(refused.value)
    assert f'{decorated_app.__name__}.Views: @websocket_view needs config.include("sockjs_' in said
    assert "@websocket_view(route_name=" in said.partition(" of file ")[2]


async def test_the_include_may_come_behind_the_scan() -> None:
    with Configurator() as config:
        config.scan(decorated_app)
        config.include("sockjs_bridge")
        config.add_sockjs_route("chat", "/chat")
        config.add_sockjs_route("method", "/method")
    with serve(config.make_wsgi_app()) as url:
        for path in ("chat", "method"):
            assert await outcome(f"{url}/{path}", TRANSPORTS[0]) == "hello"
