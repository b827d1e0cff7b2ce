"""The panel of pyramid_debugtoolbar, in a real toolbar, over HTTP."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from typing import Any

import pytest
from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPForbidden, HTTPFound
from pyramid.request import Request
from pyramid.response import Response

from sockjs_bridge import WebSocketSession
from sockjs_bridge.pyramid.toolbar import ROOMS
from sockjs_bridge.testing import serve
from tests.integration.support import connected, get, outcome

INCLUDES = {
    "before": ("pyramid_debugtoolbar", "sockjs_bridge"),
    "behind": ("sockjs_bridge", "pyramid_debugtoolbar"),
    "by the ini": ("sockjs_bridge",),
}


class Nameless:
    """What an application has for a user, which cannot be shown."""

    def __str__(self) -> str:
        raise LookupError("the user is gone")


class Policy:
    def identity(self, request: Request) -> Any:
        user = request.GET.get("user")
        return Nameless() if user == "nameless" else user

    authenticated_userid = identity


class Chat(WebSocketSession):
    async def on_message(self, message: str) -> None:
        self.join(message)
        self.send(message)


def page(request: Request) -> Response:
    return Response("<html><body>a page</body></html>")


class Root:
    pass


def gate(request: Request) -> Any:
    if "refused" in request.GET or "sign_in" in request.GET:
        raise HTTPForbidden()
    return Root()


def forbidden(request: Request) -> Response:
    return HTTPFound("/login") if "sign_in" in request.GET else HTTPForbidden()


def tween_factory(handler: Any, registry: Any) -> Any:
    def tween(request: Request) -> Response:
        if "closed" in request.GET:
            return Response("closed", status=503)
        response: Response = handler(request)
        return response

    return tween


@pytest.fixture(scope="module", params=INCLUDES)
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    ini = {"pyramid.includes": "pyramid_debugtoolbar"} if request.param == "by the ini" else {}
    with Configurator(settings=ini) as config:
        for name in INCLUDES[request.param]:
            config.include(name)
        config.set_security_policy(Policy())
        toolbar = "pyramid_debugtoolbar.toolbar_tween_factory"
        config.add_tween(f"{__name__}.tween_factory", under=toolbar)
        config.add_sockjs_route("chat", "/chat/{name}", session=Chat, factory=gate)
        config.add_view(page, route_name="chat")
        config.add_forbidden_view(forbidden)
    with serve(config.make_wsgi_app()) as url:
        yield url


async def panel(url: str) -> dict[str, list[list[str]]]:
    """Return what the panel shows with the last request: the rows of each table by its title."""
    _, _, text = await get(f"{url}/_debug_toolbar/")
    behind = text.partition('id="pDebugPanel-sockjs-content"')[2]
    content = behind.split('class="panelContent"')[1]
    found = {}
    for title, below in re.findall(r"<h4>(.*?)</h4>(.*?)(?=<h4>|$)", content, re.DOTALL):
        rows = re.findall(r"<tr>(.*?)</tr>", below)[1:]
        found[title] = [[unescape(cell) for cell in re.findall("<td>(.*?)</td>", r)] for r in rows]
    return found


async def test_a_page(url: str) -> None:
    """The page has the toolbar, and its panel what is connected."""
    assert "_debug_toolbar/" in (await get(f"{url}/chat/kitchen"))[2]
    shown = await panel(url)
    assert [*shown] == ["Steps of the handshake", "Open sessions", "Rooms", "The last minute"]
    assert shown["Steps of the handshake"] == []


@pytest.mark.parametrize("transport", ["websocket", "xhr-streaming"])
async def test_a_connection(url: str, transport: str) -> None:
    """Its session, its rooms, its messages, and how its handshake went."""
    before = {name: numbers for name, *numbers in (await panel(url))["The last minute"]}
    async with connected(f"{url}/chat/kitchen?user=ada", transport) as client:
        for room in ("<b>", "the hall"):
            await client.send(room)
            assert await client.recv() == room
        shown = await panel(url)
        assert ["chat", transport, "1"] in shown["Open sessions"]
        assert sorted(shown["Rooms"]) == [["<b>", "1"], ["the hall", "1"]]
        (numbers,) = [row[1:] for row in shown["The last minute"] if row[0] == transport]
        was = [int(number) for number in before.get(transport, ["0"] * 6)]
        now = [int(number) for number in numbers]
        assert (now[0] - was[0], now[2] - was[2], now[4] - was[4]) == (1, 2, 2)
        assert shown["Steps of the handshake"] == [
            ["transport", transport],
            ["endpoint", "chat"],
            ["origin", "not told"],
            ["tweens", "passed"],
            ["route", "chat (/chat/{name})"],
            ["context", f"{__name__}.Root"],
            ["user", "ada"],
            ["view", f"{__name__}.Chat"],
            ["answer", "200: the connection opens"],
        ]


@pytest.mark.parametrize(
    ("query", "status", "steps"),
    [
        ("refused", 403, {"tweens": "passed", "view": "none took the connection"}),
        ("sign_in", 403, {"tweens": "passed", "context": "builtins.NoneType"}),
        ("closed", 503, {"tweens": "one of them answered", "route": "none", "user": "nobody"}),
    ],
)
async def test_a_refusal(url: str, query: str, status: int, steps: dict[str, str]) -> None:
    assert await outcome(f"{url}/chat/kitchen?{query}", "websocket") == status
    shown = dict((await panel(url))["Steps of the handshake"])
    assert shown["answer"] == f"{status}: the connection is refused"
    assert steps.items() <= shown.items()


async def test_the_origin(url: str) -> None:
    async with connected(f"{url}/chat/kitchen", "websocket", headers={"Origin": url}):
        assert ["origin", url] in (await panel(url))["Steps of the handshake"]


async def test_a_user_that_cannot_be_shown(url: str) -> None:
    """No panel keeps a connection from opening."""
    assert await outcome(f"{url}/chat/kitchen?user=nameless", "websocket") == "hello"


async def test_what_is_counted_has_its_name(url: str) -> None:
    """Bytes that arrive and bytes that leave are counted differently."""
    async with connected(f"{url}/chat/kitchen", "websocket"):
        _, _, text = await get(f"{url}/_debug_toolbar/")
    heads = re.findall("<th>(.*?)</th>", text)
    assert {"payload bytes in", "frame bytes out"} < {*heads}


async def test_many_rooms(url: str) -> None:
    """Those with most members are shown."""
    async with connected(f"{url}/chat/kitchen", "websocket") as client:
        for number in range(ROOMS + 5):
            await client.send(f"room {number}")
            await client.recv()
        assert len((await panel(url))["Rooms"]) == ROOMS
