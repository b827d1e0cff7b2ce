"""Who is in a room, who came and left, and closing a user: in each style, over the network."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from pyramid.config import Configurator
from pyramid.response import Response

from sockjs_bridge import ConnectionClosed, Presence, WebSocketSession, websocket_view
from sockjs_bridge.client import connect
from sockjs_bridge.testing import serve
from tests.integration.support import PATIENCE, get

STYLES = ["session", "plain", "blocking", "coroutine"]
WAYS: list[dict[str, Any]] = [
    {"transport": "websocket"},
    {"transport": "xhr-polling"},
    {"resume": True},
]


class Policy:
    """Believes who one says to be."""

    def identity(self, request: Any) -> str | None:
        name: str | None = request.headers.get("Authorization")
        return name

    authenticated_userid = identity

    def permits(self, request: Any, context: Any, permission: str) -> bool:
        return True


def told(listed: Any) -> str:
    return json.dumps([[who.userid, who.info] for who in listed])


class Talk(WebSocketSession):
    """Says who comes and goes; knows the words ``join``, ``leave`` and ``presence``."""

    def on_join(self, room: str, who: Presence) -> None:
        self.send(f"{who.userid} joined {room}")

    def on_leave(self, room: str, who: Presence) -> None:
        self.send(f"{who.userid} left {room}")


@websocket_view(route_name="plain")
class Plain(Talk):
    """Its hooks run in threads."""

    def on_message(self, message: str) -> None:
        if message == "join":
            self.join("a", info={"style": "plain"}, announce=True)
        elif message == "leave":
            self.leave("a")
        self.send(told(self.request.sockjs.presence("a")))


@websocket_view(route_name="session")
class Session(Talk):
    """Its hooks run on the loop."""

    async def on_message(self, message: str) -> None:
        if message == "join":
            self.join("a", info={"style": "session"}, announce=True)
        elif message == "leave":
            self.leave("a")
        self.send(told(await self.request.sockjs.presence("a")))


@websocket_view(route_name="blocking")
def blocking(request: Any) -> None:
    for message in request.websocket:
        if message == "join":
            request.websocket.join("a", info={"style": "blocking"}, announce=True)
        elif message == "leave":
            request.websocket.leave("a")
        request.websocket.send(told(request.sockjs.presence("a")))


@websocket_view(route_name="coroutine")
async def coroutine(request: Any) -> None:
    ws = request.websocket
    async for message in ws:
        if message == "join":
            ws.join("a", info={"style": "coroutine"}, announce=True)
        elif message == "leave":
            ws.leave("a")
        elif message == "forgotten":
            try:
                list(request.sockjs.presence("a"))
            except RuntimeError as error:
                ws.send(str(error))
            continue
        ws.send(told(await request.sockjs.presence("a")))


def page(request: Any) -> Response:
    """Tells who is there."""
    return Response(told(request.sockjs.presence("a")))


def close(request: Any) -> Response:
    """Closes a user's connections, and tells how many."""
    code = int(request.params.get("code", 1000))
    closed = request.sockjs.close_user(request.params["user"], code=code, reason="Bye")
    return Response(str(closed))


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with Configurator(security_policy=Policy()) as config:
        config.include("sockjs_bridge")
        for name, view in (("page", page), ("close", close)):
            config.add_route(name, f"/{name}")
            config.add_view(view, route_name=name)
        for name in STYLES:
            config.add_sockjs_route(name, f"/{name}")
        config.scan(__name__)
        app = config.make_wsgi_app()
    with serve(app) as served:
        yield served


def user(name: str) -> dict[str, str]:
    return {"Authorization": name}


async def heard(ws: Any) -> str:
    async with asyncio.timeout(PATIENCE):
        text: str = await ws.recv()
        return text


async def ask(ws: Any, message: str) -> Any:
    await ws.send(message)
    return json.loads(await heard(ws))


@pytest.mark.parametrize("way", WAYS, ids=["websocket", "polling", "resumable"])
@pytest.mark.parametrize("style", STYLES)
async def test_who_is_there(url: str, style: str, way: dict[str, Any]) -> None:
    async with connect(f"{url}/plain", transport="websocket", headers=user("ann")) as ann:
        assert await ask(ann, "join") == [["ann", {"style": "plain"}]]
        async with connect(f"{url}/{style}", headers=user("bob"), **way) as bob:
            both = [["ann", {"style": "plain"}], ["bob", {"style": style}]]
            assert await ask(bob, "join") == both
            assert await heard(ann) == "bob joined a"
            _, _, text = await get(f"{url}/page")
            assert json.loads(text) == both
            assert await ask(bob, "leave") == both[:1]
            assert await heard(ann) == "bob left a"
            await ask(bob, "join")
            assert await heard(ann) == "bob joined a"
        # The end of a connection is its end in the room.
        assert await heard(ann) == "bob left a"
        assert await ask(ann, "leave") == []


@pytest.mark.parametrize("style", ["session", "plain"])
async def test_each_kind_of_hook_hears_of_others(url: str, style: str) -> None:
    async with (
        connect(f"{url}/{style}", transport="websocket", headers=user("ann")) as ann,
        connect(f"{url}/blocking", transport="websocket", headers=user("bob")) as bob,
    ):
        await ask(ann, "join")
        await ask(bob, "join")
        assert await heard(ann) == "bob joined a"
        await ask(bob, "leave")
        assert await heard(ann) == "bob left a"


async def test_a_forgotten_await_is_told(url: str) -> None:
    async with connect(f"{url}/coroutine", transport="websocket") as ws:
        await ws.send("forgotten")
        assert "await request.sockjs.presence" in await heard(ws)


@pytest.mark.parametrize("way", WAYS, ids=["websocket", "polling", "resumable"])
async def test_a_user_is_closed(url: str, way: dict[str, Any]) -> None:
    async with (
        connect(f"{url}/session", headers=user("bob"), **way) as bob,
        connect(f"{url}/plain", transport="websocket", headers=user("bob")) as second,
        connect(f"{url}/plain", transport="websocket", headers=user("bobby")) as other,
        connect(f"{url}/plain", transport="websocket") as nobody,
    ):
        for ws in (bob, second, other, nobody):
            await ask(ws, "presence")
        status, _, text = await get(f"{url}/close?user=bob&code=4003")
        assert (status, text) == (200, "2")
        for ws in (bob, second):
            with pytest.raises(ConnectionClosed) as closed:
                await heard(ws)
            assert (closed.value.code, closed.value.reason) == (4003, "Bye")
        for ws in (other, nobody):
            assert await ask(ws, "presence") == []
        assert (await get(f"{url}/close?user=nobody"))[2] == "0"


async def test_a_code_that_cannot_be_is_refused(url: str) -> None:
    assert (await get(f"{url}/close?user=bob&code=1001"))[0] == 500
