"""Under a server that is not ours the endpoints say what to write; all else works (issue 3)."""

from __future__ import annotations

import re

import pytest
import webtest
from pyramid.config import Configurator
from pyramid.events import NewRequest, NewResponse
from pyramid.httpexceptions import HTTPConflict
from pyramid.response import Response
from rutter.urlmap import URLMap

from sockjs_bridge import WebSocketSession
from sockjs_bridge.client import TRANSPORTS, HandshakeError
from tests.conformance.wire import Client
from tests.integration.parity import serve_by_waitress
from tests.integration.support import connected, get
from tests.pkgs import one_view_app, shapes_app

HINT = re.compile(r"[^.\n]*`use = egg:sockjs-bridge`[^.\n]*\[server:main\][^.\n]*\.\n")

BELOW = [
    "/info",
    "/iframe.html",
    "/iframe-1.6.1.html",
    "/websocket",
    *(
        f"/000/session/{name}"
        for name in (
            *("websocket", "xhr", "xhr_send", "xhr_streaming", "eventsource"),
            *("htmlfile", "jsonp", "jsonp_send"),
        )
    ),
]
METHODS = ["GET", "HEAD", "POST", "OPTIONS", "PUT", "DELETE"]

seen: list[tuple[str, object, object]] = []


def note(place, request):
    seen.append((place, request.websocket, request.ws_connection))


def noting_tween(handler, registry):
    def tween(request):
        note("tween", request)
        return handler(request)

    return tween


def noting_deriver(view, info):
    def noted(context, request):
        note("deriver", request)
        return view(context, request)

    return noted


def page(request):
    note("view", request)
    if "conflict" in request.GET:
        raise HTTPConflict()
    sockjs = request.sockjs
    assert (sockjs.members("lobby"), sockjs.rooms()) == ([], [])
    assert sockjs.broadcast("hello") == sockjs.broadcast("hello", room="lobby") == 0
    with pytest.raises(RuntimeError, match="is for websocket views"):
        request.receive()
    return Response("a page")


def conflict(error, request):
    note("exception view", request)
    return Response("a conflict", status=409)


def make_app():
    with Configurator() as config:
        config.include("sockjs_bridge")
        config.add_tween(f"{__name__}.noting_tween")
        config.add_view_deriver(noting_deriver)
        config.add_subscriber(lambda event: note("subscriber", event.request), NewRequest)
        config.add_subscriber(lambda event: note("subscriber", event.request), NewResponse)
        config.add_sockjs_route(
            "chat", "/chat", factory=lambda request: note("root factory", request)
        )
        config.add_view(page, route_name="chat")
        config.add_websocket_view(WebSocketSession, route_name="chat")
        config.add_exception_view(conflict, HTTPConflict)
        config.add_sockjs_route("quiet", "/rooms/{room}", session=WebSocketSession)
        return config.make_wsgi_app()


@pytest.fixture(scope="module", params=["at the root", "mounted"])
def place(request):
    """An application under waitress: its URL, and the path of it."""
    app, path = make_app(), ""
    if request.param == "mounted":
        composite, path = URLMap(), "/mounted"
        composite[path] = app
        app = composite
    with serve_by_waitress(app) as url:
        yield url, path


@pytest.fixture
def client(place):
    client = Client(place[0])
    yield client
    client.close()


@pytest.mark.parametrize("method", METHODS)
def test_endpoints(place, client, method):
    """Every URL of an endpoint, by every method, says in one sentence what to write."""
    for base in ("/chat", "/rooms/kitchen", "/rooms/k%C3%BCche"):
        for below in BELOW:
            body = b'["hello"]' if method in ("POST", "PUT") else b""
            answer = client.request(method, f"{place[1]}{base}{below}", body=body)
            assert answer.status == 501, below
            assert answer["Content-Type"] == "text/plain; charset=UTF-8"
            if method != "HEAD":
                assert HINT.fullmatch(answer.body.decode())


@pytest.mark.parametrize("below", ["", "/", "/websocket", "/000/session/websocket"])
def test_websockets(place, client, below):
    """Also where the upgrade is asked for on the page's own URL."""
    answer = client.websocket(f"{place[1]}/chat{below}").handshake
    assert answer.status == 501
    assert HINT.fullmatch(answer.body.decode())


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_client(place, transport):
    """A client is told, over every transport."""
    with pytest.raises(HandshakeError) as refused:
        await connected(f"{place[0]}{place[1]}/chat", transport).__aenter__()
    assert refused.value.status == 501


async def test_the_rest(place):
    """Page, greeting, the client file, exception views: as under our server."""
    base = place[0] + place[1]
    assert (await get(f"{base}/chat"))[2] == "a page"
    for path in ("chat/", "rooms/kitchen", "rooms/kitchen/"):
        assert (await get(f"{base}/{path}"))[2] == "Welcome to SockJS!\n"
    assert (await get(f"{base}/chat?conflict"))[::2] == (409, "a conflict")
    assert (await get(f"{base}/nothing"))[0] == 404
    assert (await get(f"{base}/chat/info/more"))[0] == 404


async def test_no_connection_anywhere(place):
    """request.websocket is None wherever the application looks."""
    seen.clear()
    await get(f"{place[0]}{place[1]}/chat")
    await get(f"{place[0]}{place[1]}/chat?conflict")
    places = {"tween", "deriver", "root factory", "view", "exception view", "subscriber"}
    assert {place for place, _, _ in seen} == places
    assert all(found == [None, None] for _, *found in seen)


# In functional tests of an application


def test_webtest():
    """WebTest is such a server: pages can be tested by it, connections need one of ours."""
    app = webtest.TestApp(one_view_app.main())
    page = app.get("/chat")
    assert 'new SockJS("/chat")' in page.text
    client = re.search(r'<script src="([^"]+)">', page.text)
    assert "SockJS" in app.get(client[1]).text
    assert app.get("/chat/").text == "Welcome to SockJS!\n"
    assert HINT.fullmatch(app.get("/chat/info", status=501).text)
    assert HINT.fullmatch(app.post("/chat/000/s/xhr", status=501).text)
    assert HINT.fullmatch(app.get("/chat", headers={"Upgrade": "websocket"}, status=501).text)


@pytest.mark.parametrize("shape", ["blocking/both", "async/predicate", "session/keyword"])
def test_webtest_of_every_style(shape):
    """Whatever serves the connections of a route, its pages need no server of ours."""
    app = webtest.TestApp(shapes_app.main())
    page = f"the page of {shape.replace('/', '_')}"
    assert app.get(f"/{shape}").text in (page, "Welcome to SockJS!\n")
    app.get(f"/{shape}/info", status=501)
