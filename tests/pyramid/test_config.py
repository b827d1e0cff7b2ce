"""Directives, settings, predicate, the browser clients (api.md, sections 1, 3, 7, 8, 9, 11)."""

from __future__ import annotations

import logging
import re
import shutil
from functools import partial
from itertools import combinations
from pathlib import Path

import pytest
from pyramid.authorization import Everyone
from pyramid.config import Configurator
from pyramid.exceptions import ConfigurationConflictError, ConfigurationError
from pyramid.request import Request
from pyramid.response import Response

from sockjs_bridge import Session, WebSocketSession
from sockjs_bridge.core.settings import Settings
from sockjs_bridge.pyramid import config as configuration
from sockjs_bridge.pyramid.viewkinds import WebSocketPredicate


class Quiet(WebSocketSession):
    """Does nothing."""


def configurator(**settings):
    config = Configurator(settings={key.replace("__", "."): v for key, v in settings.items()})
    config.include("sockjs_bridge")
    return config


def get(app, path, **headers):
    return Request.blank(path, headers=headers).get_response(app)


# Settings


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("heartbeat_delay", "36", "a number of seconds from 0.05 to 35"),
        ("heartbeat_delay", "25s", "a number of seconds from 0.05 to 35"),
        ("disconnect_delay", "0", "a number of seconds from 0.05 to 3600"),
        ("response_limit", "128k", "a whole number of bytes, 1 or more"),
        ("response_max_age", "", "a number of seconds from 0.05 to 86400"),
        ("max_message_size", "-1", "a whole number of bytes, 1 or more"),
        ("max_queue_size", "1.5", "a whole number of bytes, 1 or more"),
        ("max_inbound", "0", "a whole number of messages, 1 or more"),
        ("max_sessions", "many", "a whole number of sessions, 1 or more"),
        ("blocking_threads", "0", "a whole number of threads, 1 or more"),
        ("max_body_size", "1G", "a whole number of bytes, 0 or more"),
        ("transports", "websocket carrier-pigeon", "xhr-streaming"),
        ("allowed_origins", "example.com", "origins as https://app.example.com"),
        ("jsessionid", "maybe", "true or false"),
        ("debug", "2", "true or false"),
    ],
)
def test_wrong_setting(name, value, allowed):
    """Section 11: the error names the key, the value and what is allowed."""
    with pytest.raises(ConfigurationError) as wrong:
        configurator(**{f"sockjs.{name}": value})
    text = str(wrong.value)
    assert f"sockjs.{name} = {value!r}" in text
    assert allowed in text
    assert "\n" not in text
    # pserve prints a SystemExit as one sentence, without a traceback.
    assert isinstance(wrong.value, SystemExit)
    assert wrong.value.code == text


def test_unknown_setting():
    """Section 11: an unknown key is named with its value, and those that there are."""
    with pytest.raises(ConfigurationError) as wrong:
        configurator(**{"sockjs.heartbeat": "25"})
    assert "sockjs.heartbeat = '25' is no setting" in str(wrong.value)
    assert "heartbeat_delay" in str(wrong.value)


def test_settings_of_the_ini_are_the_defaults():
    """Section 11: sockjs.* holds for every endpoint, a keyword for one."""
    config = configurator(
        **{
            "sockjs.heartbeat_delay": "10",
            "sockjs.transports": "\n  xhr-polling\n  websocket\n",
            "sockjs.allowed_origins": "https://a.example https://*.b.example",
            "sockjs.jsessionid": "on",
            "other.setting": "x",
        }
    )
    config.add_sockjs_route("one", "/one")
    config.add_sockjs_route(
        "two",
        "/two",
        response_limit=4096,
        heartbeat_delay=2.5,
        jsessionid=False,
        transports=["websocket"],
        allowed_origins=[],
    )
    config.commit()
    endpoints = config.registry.sockjs.endpoints
    assert endpoints["one"].settings == Settings(
        heartbeat_delay=10.0,
        transports=("xhr-polling", "websocket"),
        allowed_origins=("https://a.example", "https://*.b.example"),
        jsessionid=True,
    )
    assert endpoints["two"].settings == Settings(
        heartbeat_delay=2.5, response_limit=4096, transports=("websocket",)
    )


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        *(
            (name, value, "a number of seconds from 0.05 to")
            for name in ("heartbeat_delay", "disconnect_delay", "response_max_age")
            for value in (0, -1, 10**6, "soon", None, True, [25], float("nan"), float("inf"))
        ),
        ("heartbeat_delay", 35.1, "to 35"),
        *(
            (name, value, "a whole number of")
            for name in ("response_limit", "max_message_size", "max_queue_size", "max_inbound")
            for value in (0, -1, 1.5, "1k", "", None, True, [1], float("inf"))
        ),
        *(
            ("transports", value, "one or more of websocket, ")
            for value in ("websocket,smoke", [], "", ["xhr"], [1], 5, None, [["websocket"]])
        ),
        *(
            ("allowed_origins", value, "origins as https://app.example.com")
            for value in ("example.com", "https://a.example/", "ftp://a.example", [None], 5, None)
        ),
        *((name, value, "true or false") for name in ("jsessionid", "debug") for value in ("", 2)),
    ],
)
def test_wrong_keyword(name, value, allowed):
    """Section 11: a keyword's error names the route as well, and is a ConfigurationError."""
    config = configurator()
    with pytest.raises(ConfigurationError) as wrong:
        config.add_sockjs_route("chat", "/chat", **{name: value})
    text = str(wrong.value)
    assert "the SockJS route 'chat'" in text
    assert f"{name} = {value!r} cannot be: allowed is " in text
    assert allowed in text


@pytest.mark.parametrize(
    "key", ["max_sessions", "blocking_threads", "max_body_size", "page_threads"]
)
def test_process_wide_setting_on_a_route(key):
    """What bounds the process cannot be another number for one route: the error says where."""
    config = configurator()
    with pytest.raises(ConfigurationError) as wrong:
        config.add_sockjs_route("chat", "/chat", **{key: 10})
    assert f"sockjs.{key}" in str(wrong.value)
    assert "'chat'" in str(wrong.value)


def test_unknown_keyword():
    """A keyword that is neither a setting nor the route's own is an error at start-up."""
    config = configurator()
    config.add_sockjs_route("chat", "/chat", heartbeat_dely=5)
    with pytest.raises(ConfigurationError) as wrong:
        config.commit()
    assert "the SockJS route 'chat': heartbeat_dely = 5 is no setting" in str(wrong.value)
    assert "settings are: allowed_origins, debug, disconnect_delay, fast, heartbeat_delay" in str(
        wrong.value
    )


def test_keyword_of_add_route():
    """What add_route takes is its own, predicates that are declared later included."""
    config = configurator()
    config.add_sockjs_route("chat", "/chat", request_param="room", floor=3, inherit_slash=False)
    config.add_route_predicate("floor", NextFloor)
    config.commit()


class NextFloor:
    """A route predicate of an application."""

    def __init__(self, floor, info):
        self.floor = floor

    def text(self):
        return f"floor = {self.floor}"

    phash = text

    def __call__(self, info, request):
        raise AssertionError("no request is made")


def test_route_without_a_pattern():
    with pytest.raises(ConfigurationError, match="'chat' needs a pattern"):
        configurator().add_sockjs_route("chat")


@pytest.mark.parametrize("keywords", [{"permission": "view"}, {"decorator": print}])
def test_options_of_a_view_without_one(keywords):
    """They would protect nothing: the error says where they belong."""
    with pytest.raises(ConfigurationError, match="'chat': permission and decorator belong to its"):
        configurator().add_sockjs_route("chat", "/chat", **keywords)


# Routes


def test_two_routes_of_one_name_conflict():
    config = configurator()
    config.add_sockjs_route("chat", "/chat")
    config.add_sockjs_route("chat", "/chat2")
    with pytest.raises(ConfigurationConflictError) as conflict:
        config.commit()
    for line in ('config.add_sockjs_route("chat", "/chat")', '"/chat2"'):
        assert line in str(conflict.value)
    # Neither names a line of the bridge's own.
    assert "pyramid/config.py" not in str(conflict.value)


@pytest.mark.parametrize("pattern", ["/chat", "/chat/", "chat"])
def test_two_routes_of_one_pattern(pattern):
    """The second would never have a connection: the error names both, and its line."""
    config = configurator()
    config.add_sockjs_route("first", "/chat", request_param="v=2")
    config.add_sockjs_route("second", pattern)
    with pytest.raises(ConfigurationError) as refused:
        config.commit()
    text = str(refused.value)
    assert "the SockJS routes 'first' and 'second' have one pattern, '/chat'" in text
    assert __file__ in text


@pytest.mark.parametrize("pattern", ["/chat", "/other"])
def test_an_included_endpoint_is_overridden(pattern):
    """As with routes: what the application itself says wins over what it includes."""
    config = configurator()
    config.include(by_keyword)
    config.add_sockjs_route("chat", pattern, max_inbound=7)
    config.commit()
    (endpoint,) = config.registry.sockjs.endpoints
    assert endpoint.settings.max_inbound == 7
    assert endpoint.match(pattern)


def test_an_endpoint_and_a_page_of_one_pattern():
    """A page's route beside it is Pyramid's business."""
    config = configurator()
    config.add_sockjs_route("chat", "/chat", request_param="v=2")
    config.add_route("page", "/chat")
    config.commit()


def test_an_endpoint_and_a_route_of_one_name_conflict():
    config = configurator()
    config.add_sockjs_route("chat", "/chat")
    config.add_route("chat", "/elsewhere")
    with pytest.raises(ConfigurationConflictError):
        config.commit()


def by_decorator(config):
    config.scan("tests.pyramid.handlers.decorated")


def by_another_decorator(config):
    config.scan("tests.pyramid.handlers.decorated_too")


def by_directive(config):
    config.add_websocket_view(Quiet, route_name="chat")


def by_predicate(config):
    config.add_view(Quiet, route_name="chat", websocket=True)


def by_keyword(config):
    config.add_sockjs_route("chat", "/chat", session=Quiet)


# Where each says it, and how: what a conflict must tell.
HANDLERS = {
    by_decorator: ("decorated.py", '@websocket_view(route_name="chat")'),
    by_another_decorator: ("decorated_too.py", '@websocket_view(route_name="chat")'),
    by_directive: ("test_config.py", "config.add_websocket_view(Quiet"),
    by_predicate: ("test_config.py", "config.add_view(Quiet"),
    by_keyword: ("test_config.py", "session=Quiet"),
}


@pytest.mark.parametrize(("one", "other"), list(combinations(HANDLERS, 2)))
def test_two_handlers_for_one_route_conflict(one, other):
    """However they are declared; the error tells the user's two lines, not the bridge's."""
    config = configurator()
    if by_keyword not in (one, other):
        config.add_sockjs_route("chat", "/chat")
    one(config)
    other(config)
    with pytest.raises(ConfigurationConflictError) as conflict:
        config.commit()
    text = str(conflict.value)
    for file, line in (HANDLERS[one], HANDLERS[other]):
        assert file in text
        assert line in text


@pytest.mark.parametrize("handler", list(HANDLERS))
def test_one_handler_does_not_conflict(handler):
    """The same declarations, each by itself."""
    config = configurator()
    if handler is not by_keyword:
        config.add_sockjs_route("chat", "/chat")
    handler(config)
    config.commit()


def test_handlers_that_predicates_tell_apart():
    config = configurator()
    config.add_sockjs_route("chat", "/chat")
    for version in ("1", "2"):
        config.add_websocket_view(Quiet, route_name="chat", request_param=f"v={version}")
    config.commit()


def test_an_included_application_is_overridden():
    """As with views: what the application itself says wins over what it includes."""

    class Other(WebSocketSession):
        """The application's own."""

    config = configurator()
    config.include(by_keyword)
    config.add_websocket_view(Other, route_name="chat")
    config.commit()
    views = [entry["introspectable"] for entry in config.introspector.get_category("views")]
    assert [view["callable"] for view in views if view["route_name"] == "chat"] == [Other]


def test_page_and_connection_do_not_conflict():
    """Section 3: the predicate tells the two views of a route apart."""
    config = configurator()
    config.add_sockjs_route("chat", "/chat")
    config.add_view(lambda request: Response("page"), route_name="chat")
    config.add_websocket_view(Quiet, route_name="chat")
    config.add_view(lambda request: Response("page"), route_name="chat", websocket=False)
    config.commit()


def test_page_of_a_renderer_alone():
    """A page may have no view of its own, beside one for connections."""
    config = configurator()
    config.add_sockjs_route("chat", "/chat", session=Quiet)
    config.add_view(route_name="chat", renderer="json")
    assert get(config.make_wsgi_app(), "/chat").json == {}


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("/chat", "/chat"),
        ("chat", "/chat"),
        ("/chat/", "/chat"),
        ("/", "/"),
        ("/rooms/{room}", "/rooms/kitchen"),
        ("/rooms/{room}/", "/rooms/kitchen/"),
        (r"/n/{number:\d+}", "/n/12"),
    ],
)
def test_endpoints_are_found_by_their_route(pattern, path):
    """Section 7: the base URL may hold patterns."""
    config = configurator()
    config.add_sockjs_route("chat", pattern)
    config.commit()
    endpoints = config.registry.sockjs.endpoints
    for below in ("/info", "/000/1/xhr", "/websocket"):
        endpoint, target = endpoints.find(path.rstrip("/") + below)
        assert endpoint.name == "chat"
        assert target.base == path.rstrip("/")
    assert endpoints.find("/other/info") is None
    assert endpoints.find("/n/abc/info") is None or pattern != r"/n/{number:\d+}"


@pytest.mark.parametrize(
    ("prefix", "pattern", "path"),
    [
        (None, "/chat", "/chat"),
        (None, "/chat/", "/chat/"),
        (None, "/", "/"),
        (None, "", "/"),
        ("/api", "/chat/", "/api/chat/"),
        ("/api", "/", "/api/"),
        ("/api", "", "/api/"),
    ],
)
def test_the_slash_at_the_end_is_the_routes_own(prefix, pattern, path):
    """`add_sockjs_route` stands in for `add_route`: the page's path is as it would be there."""

    def included(config):
        config.add_sockjs_route("chat", pattern)
        config.add_view(lambda request: Response(request.route_path("chat")), route_name="chat")

    config = configurator()
    config.include(included, route_prefix=prefix)
    app = config.make_wsgi_app()
    assert get(app, path).text == path
    endpoints = config.registry.sockjs.endpoints
    for base in {path, path.rstrip("/")}:
        for below in ("/info", "/000/1/xhr"):
            endpoint, target = endpoints.find(base.rstrip("/") + below)
            assert target.base == path.rstrip("/")
            assert (endpoint.page(target.base) or "/") == path


def test_route_prefix():
    """An endpoint within an include with a route prefix is below the prefix, like any route."""

    def included(config):
        config.add_sockjs_route("chat", "/chat", session=Quiet)

    config = configurator()
    config.include(included, route_prefix="/api")
    config.commit()
    endpoints = config.registry.sockjs.endpoints
    assert endpoints.find("/api/chat/info")[0].name == "chat"
    assert endpoints.find("/chat/info") is None


def test_a_route_before_its_commit():
    """Until the configuration is committed there is nothing to match."""
    config = Configurator(autocommit=False)
    config.include("sockjs_bridge")
    config.commit()
    config.add_sockjs_route("chat", "/chat")
    assert config.registry.sockjs.endpoints.find("/chat/info") is None
    assert "chat" not in config.registry.sockjs.endpoints
    config.commit()
    assert "chat" in config.registry.sockjs.endpoints


def test_old_signature():
    """Section 5: pyramid_sockjs wrote add_sockjs_route(prefix=..., session=...)."""
    config = configurator()
    config.add_sockjs_route(prefix="/__sockjs__", session=Session)
    config.commit()
    assert config.registry.sockjs.endpoints.find("/__sockjs__/info")[0].name == ""


def test_old_default_prefix():
    """pyramid_sockjs had its endpoint below /__sockjs__ where nothing else was said."""
    config = configurator()
    config.add_sockjs_route(session=Session)
    config.commit()
    assert config.registry.sockjs.endpoints.find("/__sockjs__/info")[0].name == ""


def test_introspection():
    """proutes and the debug toolbar show what exists."""
    config = configurator()
    config.add_sockjs_route("chat", "/chat", response_limit=100)
    config.commit()
    ((entry,)) = config.introspector.get_category("sockjs endpoints")
    shown = entry["introspectable"]
    assert (shown["name"], shown["pattern"]) == ("chat", "/chat")
    assert shown["settings"].response_limit == 100
    route = config.introspector.get("routes", "chat")
    assert [*config.introspector.related(route)] == [], "proutes takes what is related for a view"


def test_predicate_is_shown():
    """pviews shows the predicate by its text."""
    predicate = WebSocketPredicate(True, None)
    assert predicate.text() == predicate.phash() == "websocket = True"
    config = configurator()
    config.add_sockjs_route("chat", "/chat", session=Quiet)
    config.commit()
    views = [entry["introspectable"] for entry in config.introspector.get_category("views")]
    assert [view.get("websocket") for view in views if view["route_name"] == "chat"] == [True]


# Including


def test_included_twice():
    """By the ini's pyramid.includes and by the application: what the first did stays."""

    def routes(config):
        config.add_sockjs_route("early", "/early")

    settings = {"pyramid.includes": "sockjs_bridge", "sockjs.max_inbound": "7"}
    config = Configurator(settings=settings)
    config.include(routes)
    config.commit()
    config.include("sockjs_bridge")
    config.add_sockjs_route("late", "/late")
    config.commit()
    endpoints = config.registry.sockjs.endpoints
    assert {endpoint.name for endpoint in endpoints} == {"early", "late"}
    assert endpoints["late"].settings.max_inbound == 7


@pytest.mark.parametrize("name", ["CLIENT", "BRIDGE_CLIENT", "BRIDGE_CONNECTION", "BRIDGE_SHARE"])
def test_without_the_browser_client(monkeypatch, name):
    """A checkout without the clients says what to do."""
    monkeypatch.setattr(configuration, name, "missing.js")
    with pytest.raises(ConfigurationError, match=r"missing\.js is missing: install the project"):
        configurator()


# The browser clients


@pytest.mark.parametrize(
    ("method", "part", "name"),
    [
        ("sockjs_client_url", [], "sockjs.min.js"),
        ("sockjs_bridge_client_url", [], "sockjs-bridge-client.js"),
        ("sockjs_bridge_client_url", ["connection"], "sockjs-bridge-connection.js"),
        ("sockjs_bridge_client_url", ["share"], "sockjs-bridge-share.js"),
        ("reconnecting_sockjs_url", [], "sockjs-bridge-client.js"),
    ],
)
def test_client_url(method, part, name):
    """Section 9: served by the application itself, with a content hash and long caching."""
    config = configurator()
    urls = []

    def page(request):
        urls.append(getattr(request, method)(*part))
        return Response("page")

    config.add_view(page)
    app = config.make_wsgi_app()
    get(app, "/")
    response = get(app, urls[0])
    assert re.fullmatch(rf"/_sockjs/[0-9a-f]{{16}}/{re.escape(name)}", urls[0])
    assert response.body == Path(configuration.STATIC, name).read_bytes()
    assert response.content_type in ("application/javascript", "text/javascript")
    assert response.cache_control.max_age == 31536000


def test_client_path_of_the_iframe_page():
    """The iframe page loads the SockJS client by the same URL as any other page."""
    config = configurator()
    config.add_view(lambda request: Response(request.sockjs_client_url()))
    assert get(config.make_wsgi_app(), "/").text == config.registry.sockjs.client_path


@pytest.mark.parametrize("changed", ["sockjs.min.js", "sockjs-bridge-client.js.map", "new.js"])
def test_a_change_of_any_served_file_changes_the_urls(monkeypatch, tmp_path, changed):
    """The hash is of the names and contents of all files that are served."""
    folder = shutil.copytree(configuration.STATIC, tmp_path / "static")
    original = configurator().registry.sockjs.client_path
    monkeypatch.setattr(configuration, "STATIC", f"{folder}/")
    assert configurator().registry.sockjs.client_path == original
    with (folder / changed).open("a") as file:
        file.write("\n")
    assert configurator().registry.sockjs.client_path != original


def test_client_url_below_a_mount_point():
    """The URL holds where the application is mounted below a path."""
    config = configurator()
    config.add_view(lambda request: Response(request.sockjs_client_url()))
    app = config.make_wsgi_app()
    request = Request.blank("/mount/")
    request.script_name, request.path_info = "/mount", "/"
    assert request.get_response(app).text.startswith("/mount/_sockjs/")


# Origins


class Policy:
    def identity(self, request):
        return None

    def permits(self, request, context, permission):
        return Everyone


@pytest.mark.parametrize("policy", [None, Policy()])
@pytest.mark.parametrize("origins", ["*", "https://a.example", ""])
def test_every_origin_with_cookies_is_warned_of(caplog, policy, origins):
    """Section 8: `*` logs a warning at start-up when cookies authenticate."""
    config = configurator(**{"sockjs.allowed_origins": origins})
    config.add_sockjs_route("chat", "/chat", session=Quiet)
    # Later than the route, as an application may well do it.
    if policy is not None:
        config.set_security_policy(policy)
    config.make_wsgi_app()
    warnings = [
        record.getMessage() for record in caplog.records if record.levelno == logging.WARNING
    ]
    if origins == "*" and policy is not None:
        (warning,) = warnings
        assert "'chat'" in warning
        assert "allowed_origins = *" in warning
    else:
        assert warnings == []


# Views where they do not belong


async def asynchronous(request):
    """A view for connections."""


class Views:
    def __init__(self, request):
        """Nothing is kept."""

    def plain(self):
        """A view for connections."""

    async def method(self):
        """A view for connections."""

    async def __call__(self):
        """A view for connections."""


ASYNCHRONOUS = [
    (asynchronous, {}),
    (partial(asynchronous), {}),
    (Views, {"attr": "method"}),
    (Views, {}),
    (Views(None), {}),
    (Views(None), {"attr": "method"}),
]


@pytest.mark.parametrize(("view", "keywords"), [*ASYNCHRONOUS, (Quiet, {})])
def test_view_that_cannot_answer_pages(view, keywords):
    """An async def view or a session class without websocket=True is refused at start-up."""
    config = configurator()
    config.add_sockjs_route("chat", "/chat")
    config.add_view(view, route_name="chat", **keywords)
    with pytest.raises(ConfigurationError, match="websocket_view") as refused:
        config.commit()
    assert __file__ in str(refused.value)


@pytest.mark.parametrize(("view", "keywords"), [*ASYNCHRONOUS, (Quiet, {})])
def test_view_for_connections(view, keywords):
    config = configurator()
    config.add_sockjs_route("chat", "/chat")
    config.add_websocket_view(view, route_name="chat", **keywords)
    config.commit()


def test_asynchronous_view_elsewhere_is_not_ours():
    """A view of a route without an endpoint is left alone."""
    config = configurator()
    config.add_route("page", "/page")
    config.add_view(asynchronous, route_name="page")
    config.commit()


@pytest.mark.parametrize("directive", ["add_websocket_view", "add_view"])
@pytest.mark.parametrize("route", [None, "page"])
def test_view_of_no_sockjs_route(directive, route):
    """A view for connections elsewhere than on a SockJS route: the error names both."""
    config = configurator()
    config.add_route("page", "/page")
    getattr(config, directive)(Quiet, **({"route_name": route} if route else {}))
    with pytest.raises(ConfigurationError) as refused:
        config.commit()
    text = str(refused.value)
    assert f"{__name__}.Quiet" in text
    assert __file__ in text
    assert ("'page' is no SockJS route" if route else "it has no route_name") in text


@pytest.mark.parametrize("value", ["yes", 1])
def test_wrong_predicate(value):
    config = configurator()
    config.add_sockjs_route("chat", "/chat")
    config.add_view(Quiet, route_name="chat", websocket=value)
    with pytest.raises(ConfigurationError, match=f"websocket={value!r}"):
        config.commit()
