"""What each part of Pyramid says of a page, it says of a connection (issue 3, "The pipeline").

The applications are in `tests.pkgs.marriage`, a module for each part. Every scenario is played over
a WebSocket, which hears a refusal as the handshake's status, and over polling, where the session
opens and closes at once with 4000 + status.
"""

from __future__ import annotations

import logging
from http import HTTPStatus
from urllib.parse import quote

import aiohttp
import pytest
from pyramid.config import Configurator

from sockjs_bridge.client import HandshakeError
from sockjs_bridge.testing import serve
from tests.conformance.wire import Client
from tests.integration.support import closing, connected, get, outcome
from tests.pkgs.marriage import derivers, errors, legacy, requests, routes, security, traversal
from tests.pkgs.marriage import tweens as tweens_app

both_kinds = pytest.mark.parametrize("transport", ["websocket", "xhr-polling"])

ADA = {"X-User": "ada"}
BOB = {"X-User": "bob"}


def served(app):
    with serve(app) as url:
        yield url


def complaints(caplog):
    """What was logged as a warning or worse."""
    return [record for record in caplog.records if record.levelno > logging.INFO]


# Root factory, traversal, subpath


@pytest.fixture(scope="module")
def tree():
    yield from served(traversal.main())


@both_kinds
@pytest.mark.parametrize(
    ("path", "headers", "expected"),
    [
        ("", {}, "folder '' with readme, übersicht, staff; '' below"),
        ("/readme", {}, "document 'readme' in ''"),
        ("/" + quote("übersicht"), {}, "document 'übersicht' in ''"),
        ("/readme/history", {}, "history of 'readme': ''"),
        ("/readme/history/2012/may", {}, "history of 'readme': '2012/may'"),
        ("/readme/nothing", {}, 404),
        ("/nothing", {}, 404),
        ("/staff", ADA, "folder 'staff' with salaries; '' below"),
        ("/staff", BOB, 403),
        ("/staff/salaries", ADA, "document 'salaries' in 'staff'"),
        ("/staff/salaries", BOB, 403),
        ("/staff/salaries/history", BOB, 403),
        ("/staff/nothing", ADA, 404),
    ],
)
async def test_traversal(tree, transport, path, headers, expected):
    """The context decides which view serves, and the ACLs above it who may come in."""
    assert await outcome(f"{tree}/tree{path}", transport, headers=headers) == expected


async def test_page_of_a_traversed_route(tree):
    """Page and connection have the same context; where only connections are served, greeting."""
    assert (await get(f"{tree}/tree/readme"))[2] == "the page of readme"
    assert (await get(f"{tree}/tree/staff/salaries", headers=ADA))[2] == "the page of salaries"
    assert (await get(f"{tree}/tree/staff/salaries", headers=BOB))[0] == 403
    assert (await get(f"{tree}/tree/staff"))[2] == "Welcome to SockJS!\n"


# Security policy, ACL, permissions, principals


@pytest.fixture(scope="module")
def rooms():
    yield from served(security.main())


@both_kinds
@pytest.mark.parametrize(
    ("path", "headers", "expected"),
    [
        # An ACL with a permission.
        ("rooms/kitchen", ADA, "talk ada"),
        ("rooms/kitchen", BOB, 403),
        ("rooms/kitchen", {}, 403),
        # The default permission, and a view that wants none.
        ("default", ADA, "default ada"),
        ("default", BOB, 403),
        ("open", {}, "open None"),
        # Predicates that look at the user: the next view's turn, or nobody's.
        ("desk", ADA, "editor ada"),
        ("desk", BOB, 404),
        ("counter", ADA, "editors' counter ada"),
        ("counter", BOB, "counter bob"),
        ("signed_in", BOB, "signed in bob"),
        ("signed_in", {}, 404),
        # What a forbidden view makes of it is for people: 403 stays 403, 401 is its own answer.
        ("challenge", {}, 401),
        ("polite", {}, 403),
        ("polite", ADA, "never ada"),
        ("frank", {}, 401),
        ("frank", ADA, "never ada"),
    ],
)
async def test_security(rooms, caplog, transport, path, headers, expected):
    """Who is let in finds the view with his identity; who is not hears 403, 401 or 404."""
    assert await outcome(f"{rooms}/{path}", transport, headers=headers) == expected
    assert [record.levelno for record in complaints(caplog)] in ([], [logging.WARNING])


async def test_forbidden_view_of_pages(rooms):
    """The same forbidden view sends a page's visitor to the login form."""
    status, headers, _ = await get(f"{rooms}/frank")
    assert (status, headers["Location"]) == (302, f"{rooms}/login")
    status, headers, _ = await get(f"{rooms}/login")
    assert status == 200
    async with aiohttp.ClientSession() as http:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await http.ws_connect(f"{rooms}/rooms/kitchen/websocket")
    headers = refused.value.headers
    assert (refused.value.status, headers["X-Why"]) == (403, "log in first")
    assert "Location" not in headers
    async with aiohttp.ClientSession() as http:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await http.ws_connect(f"{rooms}/challenge/websocket")
    assert refused.value.headers["WWW-Authenticate"] == 'Basic realm="rooms"'


@pytest.fixture(scope="module")
def old_policies():
    # Deprecated, and not gone.
    with pytest.warns(DeprecationWarning, match="policies have been deprecated"):
        app = legacy.main()
    yield from served(app)


@both_kinds
@pytest.mark.filterwarnings("ignore:The new security policy has deprecated")
@pytest.mark.parametrize(
    ("path", "headers", "expected"),
    [
        ("permission", ADA, "ada"),
        ("permission", BOB, 403),
        ("permission", {}, 403),
        ("principals", ADA, "ada"),
        ("principals", BOB, 404),
        ("principals", {"X-User": "nobody known"}, 404),
    ],
)
async def test_old_policies(old_policies, transport, path, headers, expected):
    """Authentication and authorization policies, and `effective_principals=`, work as ever."""
    assert await outcome(f"{old_policies}/{path}", transport, headers=headers) == expected


# Routes and predicates


@pytest.fixture(scope="module")
def patterns():
    yield from served(routes.main())


@both_kinds
@pytest.mark.parametrize(
    ("path", "headers", "expected"),
    [
        ("rooms/home/kitchen", {}, "room house=home&room=kitchen"),
        ("rooms/home/k%C3%BCche", {}, "room house=home&room=küche"),
        ("rooms/a%20b/c%25d", {}, "room house=a b&room=c%d"),
        ("numbers/12", {}, "number number=12"),
        ("files/report.pdf", {}, "suffix format=pdf&name=report"),
        ("below/a/b", {}, "subpath subpath=('a', 'b') a/b"),
        ("api/v7/events", {}, "prefixed version=v7"),
        # A route's predicates: another route, or none.
        ("even/12", {}, "even number=12"),
        ("even/13", {}, 404),
        ("hosted", {"X-Tenant": "acme"}, "hosted"),
        ("hosted", {"X-Tenant": "other"}, 404),
        # A view's predicates.
        ("views?v=1", {}, "first by views"),
        ("views?v=2", {}, "second by views"),
        ("views?v=3", {"X-Robot": "yes"}, "robot"),
        ("views?v=3", {}, 404),
        ("strangers", {}, "no robot by strangers"),
        ("strangers", {"X-Robot": "yes"}, 404),
        ("posts", {}, 404),
    ],
)
async def test_routes(patterns, transport, path, headers, expected):
    """Patterns, route predicates and view predicates choose as they do for pages."""
    assert await outcome(f"{patterns}/{path}", transport, headers=headers) == expected


@pytest.mark.parametrize("path", ["numbers/twelve", "files/report", "api/events", "numbers/1/2"])
async def test_paths_of_no_route(patterns, path):
    """What the pattern does not match is no endpoint."""
    assert (await get(f"{patterns}/{path}/info"))[0] == 404
    with pytest.raises(HandshakeError) as refused:
        await connected(f"{patterns}/{path}", "websocket").__aenter__()
    assert refused.value.status == 404


async def test_page_that_looks_like_an_endpoint(patterns):
    """The end of its path makes no page an endpoint's."""
    status, _, text = await get(f"{patterns}/elsewhere/views/info")
    assert (status, text) == (200, "a page")


@both_kinds
async def test_routes_of_one_path(caplog, transport):
    """Only the first of them has the connections: another's settings would be passed over."""
    with Configurator() as config:
        config.include("sockjs_bridge")
        options = {"session": routes.Matched}
        config.add_sockjs_route("new", "/{feed}", request_param="v=2", **options)
        config.add_sockjs_route("old", "/feed", allowed_origins=["https://a.example"], **options)
        app = config.make_wsgi_app()
    with serve(app) as url:
        assert await outcome(f"{url}/feed?v=2", transport) == "new feed=feed"
        assert complaints(caplog) == []
        assert await outcome(f"{url}/feed", transport) == 404
    (record,) = complaints(caplog)
    assert "route 'old'" in record.getMessage()
    assert "the route 'new'" in record.getMessage()


# Tweens


@pytest.fixture(scope="module")
def tweens_application():
    return tweens_app.main()


@pytest.fixture(scope="module")
def tweens(tweens_application):
    yield from served(tweens_application)


@both_kinds
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", "made by a tween for /helped"),
        ("maintenance", 503),
        ("moved", 301),
        ("see_other", 303),
        ("banned", 403),
        ("teapot", 418),
        # The response is another, but the view has taken the connection.
        ("replaced", "made by a tween for /helped"),
    ],
)
async def test_tweens(tweens, transport, query, expected):
    """What a tween answers, redirections too, a connection hears; what it adds a view finds."""
    assert await outcome(f"{tweens}/helped?{query}", transport) == expected


def test_redirection_of_a_websocket(tweens):
    """A redirection is passed on with its Location."""
    client = Client(tweens)
    moved = client.websocket("/helped/websocket?moved").handshake
    client.close()
    assert (moved.status, moved["Location"]) == (301, f"{tweens}/elsewhere")


async def test_headers_of_a_refusing_tween(tweens):
    """503 of a WebSocket handshake carries what the tween said with it."""
    async with aiohttp.ClientSession() as http:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await http.ws_connect(f"{tweens}/helped/websocket?maintenance")
    assert refused.value.headers["Retry-After"] == "60"


@both_kinds
async def test_tweens_end_with_the_handshake(tweens, tweens_application, transport):
    """A tween that cleans up does so before the first hook, not when the client leaves."""
    seen = tweens_application.registry.seen
    seen.clear()
    async with connected(f"{tweens}/helped", transport) as client:
        await client.send("hello")
        assert await client.recv() == "made by a tween for /helped"
        assert seen == ["begin", "end", "open"]
        assert client.response_headers["X-Tween"] == "was here"
        assert client.response_headers["Set-Cookie"] == "tween=yes; Path=/"
    assert (await get(f"{tweens}/helped"))[2] == "the page, made by a tween for /helped"


# View derivers, decorators


@pytest.fixture(scope="module")
def derivers_application():
    return derivers.main()


@pytest.fixture(scope="module")
def wrapped(derivers_application):
    yield from served(derivers_application)


@both_kinds
@pytest.mark.parametrize("path", ["paid", "paid_async", "paid_session"])
async def test_decorators(wrapped, transport, path):
    """`decorator=` is around the handshake: it refuses, and sets headers."""
    assert await outcome(f"{wrapped}/{path}", transport) == 402
    async with connected(f"{wrapped}/{path}", transport, headers={"X-Paid": "yes"}) as client:
        await client.send("hello")
        assert await client.recv() == "HELLO"
        assert client.response_headers["X-Receipt"] == "42"
        assert client.response_headers["X-Stamp"] == "stamped"


@both_kinds
async def test_derivers(wrapped, derivers_application, transport):
    """A deriver sees each handshake once, with its view's own options; so it does each page."""
    seen = derivers_application.registry.seen
    seen.clear()
    assert await outcome(f"{wrapped}/limited", transport, headers={"X-Hurry": "yes"}) == 429
    assert seen == []
    async with connected(f"{wrapped}/limited", transport) as client:
        for _ in range(3):
            await client.send("hello")
            assert await client.recv() == "HELLO"
        # http_cache is for pages: a connection is never one from a cache.
        assert "max-age=3600" not in client.response_headers.get("Cache-Control", "")
    assert seen == ["limited"]
    assert (await get(f"{wrapped}/limited", headers={"X-Hurry": "yes"}))[0] == 429
    assert (await get(f"{wrapped}/limited"))[2] == "the page"
    assert seen == ["limited", "limited"]


@both_kinds
async def test_csrf_tokens(wrapped, transport):
    """Section 8: the handshake asks for none; the origin decides."""
    assert await outcome(f"{wrapped}/csrf", transport) == "HELLO"
    headers = {"Origin": "https://evil.example"}
    with pytest.raises(HandshakeError) as refused:
        await connected(f"{wrapped}/csrf", transport, headers=headers).__aenter__()
    assert refused.value.status == 403


# Exception views


@pytest.fixture(scope="module")
def failing():
    yield from served(errors.main())


@both_kinds
@pytest.mark.parametrize(
    ("room", "expected", "logged"),
    [
        ("kitchen", "hello", False),
        ("full", 409, False),
        # What an exception view renders below 400 is no success.
        ("locked", 500, False),
        ("broken", 500, False),
        ("forbidden", 403, False),
        ("missing", 404, False),
        ("conflict", 409, False),
        ("gone", 410, False),
        ("unavailable", 503, False),
        ("moved", 302, False),
        ("bug", 500, True),
    ],
)
async def test_exception_views(failing, caplog, transport, room, expected, logged):
    """What is raised before the view is told by its status, or that of its exception view."""
    assert await outcome(f"{failing}/rooms/{room}", transport) == expected
    records = complaints(caplog)
    assert len(records) == logged
    if logged:
        assert "'room', /rooms/bug" in records[0].getMessage()
        assert records[0].exc_info[0] is ZeroDivisionError


async def test_exception_views_of_pages(failing):
    """The page of the same route hears of the same exceptions."""
    assert (await get(f"{failing}/rooms/kitchen"))[2] == "a room"
    assert (await get(f"{failing}/rooms/full"))[0] == 409
    assert (await get(f"{failing}/rooms/locked"))[0] == 302
    assert (await get(f"{failing}/rooms/broken"))[0] == 200
    assert (await get(f"{failing}/nowhere"))[2] == "There is no such room."


@both_kinds
@pytest.mark.parametrize("path", ["rooms/kitchen", "view", "coroutine"])
@pytest.mark.parametrize(
    ("error", "status"),
    [
        ("forbidden", 403),
        ("missing", 404),
        ("conflict", 409),
        ("gone", 410),
        ("unavailable", 503),
        # No exception view renders these for a connection.
        ("full", 500),
        ("bug", 500),
        ("moved", 500),
    ],
)
async def test_exceptions_of_a_running_view(failing, caplog, transport, path, error, status):
    """An HTTP exception closes with its status; any other is logged with the route."""
    async with connected(f"{failing}/{path}", transport) as client:
        await client.send("hello")
        assert await client.recv() == "hello"
        await client.send(error)
        assert await closing(client) == (4000 + status, HTTPStatus(status).phrase)
    assert len(complaints(caplog)) == (status == 500)


# request.session, request methods, templates


@pytest.fixture(scope="module", params=["plain", "debugtoolbar"])
def methods(request):
    """The application by itself, and within the debug toolbar."""
    settings = {}
    if request.param == "debugtoolbar":
        settings["pyramid.includes"] = "pyramid_debugtoolbar"
    yield from served(requests.main(**settings))


@both_kinds
async def test_session_of_page_and_connection(methods, transport):
    """The page's cookie session is the connection's, and what a handshake stores is kept."""
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(cookie_jar=jar) as http:
        for visit in (1, 3):
            async with http.get(f"{methods}/chat") as page:
                assert f"<title>visit {visit}</title>" in await page.text()
            async with connected(f"{methods}/chat", transport, session=http) as client:
                for _ in range(2):
                    await client.send("visits")
                    assert await client.recv() == f"visit {visit + 1}, a connection"


@both_kinds
async def test_session_that_says_who_is_there(methods, transport):
    """A session cookie that is written anew at each request carries the same identity on."""
    assert await outcome(f"{methods}/private", transport) == 403
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(cookie_jar=jar) as http:
        async with http.get(f"{methods}/login?user=ada") as answer:
            assert answer.status == 204
        async with connected(f"{methods}/private", transport, session=http) as client:
            for number in range(4):
                await client.send(str(number))
                assert await client.recv() == f"ada: {number}"
                # Elsewhere in the application: the next poll has another cookie.
                async with http.get(f"{methods}/chat") as page:
                    assert page.status == 200


@both_kinds
@pytest.mark.parametrize("path", ["chat", "async_chat"])
@pytest.mark.parametrize(
    ("message", "answer"),
    [
        # Computed once: hooks see the handshake's request.
        ("number", "True"),
        ("url", "/chat /static/chat.css"),
        ("localizer", "en"),
        ("factory", "the shop"),
        ("render", "<title>render</title>"),
        ("subrequest", "a page of the shop, connection None"),
    ],
)
async def test_request_in_hooks(methods, transport, path, message, answer):
    """Properties and methods of a request go on working in hooks, and so do templates."""
    answered = await outcome(f"{methods}/{path}", transport, message)
    assert answer in answered if message == "render" else answered == answer


async def test_page_of_a_template(methods):
    """A Jinja2 page loads the client from the application."""
    _, headers, text = await get(f"{methods}/chat")
    assert headers["Content-Type"].startswith("text/html")
    assert 'new SockJS("/chat")' in text
    client = text.partition('<script src="')[2].partition('"')[0]
    assert (await get(methods + client))[0] == 200


@both_kinds
@pytest.mark.parametrize(
    ("room", "expected"),
    [
        ("kitchen", "hello"),
        ("forbidden", 403),
        ("full", 409),
        ("broken", 500),
        ("bug", 500),
    ],
)
async def test_debug_toolbar(transport, room, expected):
    """It shows people more of what goes wrong, and changes nothing of what clients hear."""
    app = errors.main(**{"pyramid.includes": "pyramid_debugtoolbar"})
    with serve(app) as url:
        assert await outcome(f"{url}/rooms/{room}", transport) == expected
        # The handshake is among the requests that it shows.
        status, _, text = await get(f"{url}/_debug_toolbar/")
        assert (status, f"/rooms/{room}" in text) == (200, True)


@both_kinds
async def test_events(transport):
    """A handshake is a request: subscribers hear of it once, however long the connection lives."""
    app = requests.main()
    with serve(app) as url:
        async with connected(f"{url}/chat", transport) as client:
            for _ in range(3):
                await client.send("url")
                await client.recv()
        assert app.registry.seen == ["NewRequest", "NewResponse"]
