"""Routes whose pattern ends with a slash: the page, its path, and the endpoint below it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest
from pyramid.config import Configurator
from pyramid.response import Response
from rutter.urlmap import URLMap

from sockjs_bridge.client import TRANSPORTS
from sockjs_bridge.testing import serve
from tests.integration.support import get, outcome

ROUTES = {"chat": "/chat/", "room": "/rooms/{room}/", "plain": "/plain"}
PATHS = ["/chat/", "/rooms/kitchen/", "/rooms/caf%C3%A9/", "/plain"]


def both(request: Any) -> Any:
    """One view for the page and for the connection; each says where it is."""
    where = f"{request.path_info} {request.matchdict} {request.route_path('chat')}"
    if request.websocket is None:
        return Response(f"page {where}", charset="utf-8")
    for _ in request.websocket:
        request.websocket.send(f"connection {where}")
    return None


def make_app(routes: dict[str, str] = ROUTES, *, appending: bool = False) -> Any:
    with Configurator(settings={"sockjs.allowed_origins": "*"}) as config:
        config.include("sockjs_bridge")
        for name, pattern in routes.items():
            config.add_sockjs_route(name, pattern)
            config.add_view(both, route_name=name)
        config.add_sockjs_route("alone", "/alone/")
        config.add_websocket_view(both, route_name="alone")
        if appending:
            config.add_notfound_view(lambda request: Response(status=404), append_slash=True)
        return config.make_wsgi_app()


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serve(make_app()) as url:
        yield url


def said(path: str) -> str:
    """Return what the view says of itself at a path."""
    room = {"/rooms/kitchen/": "kitchen", "/rooms/caf%C3%A9/": "caf\u00e9"}.get(path)
    there = path.replace("%C3%A9", "\u00e9")
    return f"{there} { ({'room': room} if room else {}) } /chat/"


@pytest.mark.parametrize("path", PATHS)
async def test_the_page(url: str, path: str) -> None:
    assert text_of(await get(url + path)) == f"page {said(path)}"


def text_of(answer: tuple[int, Any, str]) -> str:
    status, _, text = answer
    assert status == 200
    return text


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("path", PATHS)
async def test_the_endpoint_below_it(url: str, path: str, transport: str) -> None:
    """Clients cut the slash off: the handshake is a request of the page's path all the same."""
    for base in {path, path.rstrip("/")}:
        assert await outcome(url + base, transport) == f"connection {said(path)}"
    assert (await get(f"{url}{path.rstrip('/')}/info"))[0] == 200


@pytest.mark.parametrize("path", [*PATHS, "/chat", "/rooms/kitchen"])
async def test_a_websocket_of_the_page_itself(url: str, path: str) -> None:
    """`new WebSocket("ws://host/chat/")` is the raw one; so it is without the slash."""
    async with aiohttp.ClientSession() as http, http.ws_connect(url + path) as websocket:
        await websocket.send_str("hello")
        assert (await websocket.receive_str()).startswith("connection /")


async def test_without_the_slash(url: str) -> None:
    """The page is not there; an endpoint without a page greets on both (sockjs-wire.md, URLs)."""
    assert (await get(f"{url}/chat"))[0] == 404
    assert (await get(f"{url}/rooms/kitchen"))[0] == 404
    for path in ("/alone", "/alone/", "/plain/"):
        assert text_of(await get(url + path)) == "Welcome to SockJS!\n"


async def test_an_application_that_appends_slashes() -> None:
    with serve(make_app(appending=True)) as url:
        for path in ("/chat", "/rooms/kitchen"):
            status, headers, _ = await get(url + path)
            assert (status, headers["Location"]) == (307, f"{url}{path}/")
            assert await outcome(url + path, "xhr-polling") == f"connection {said(path + '/')}"


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_the_root(transport: str) -> None:
    """All of it is a slash."""
    with serve(make_app({"chat": "/"})) as url:
        assert text_of(await get(f"{url}/")) == "page / {} /"
        for base in (url, f"{url}/"):
            assert await outcome(base, transport) == "connection / {} /"


@pytest.mark.parametrize("transport", ["websocket", "raw-websocket", "xhr-polling"])
async def test_behind_a_prefix_of_other_code(transport: str) -> None:
    """A composite hands the application what is left of the path."""
    composite = URLMap()
    composite["/apps"] = make_app()
    with serve(composite) as url:
        for base in (f"{url}/apps/chat/", f"{url}/apps/chat"):
            assert await outcome(base, transport) == "connection /chat/ {} /apps/chat/"
        assert text_of(await get(f"{url}/apps/chat/")) == "page /chat/ {} /apps/chat/"
