"""Rooms with history, over sockets: what applications and the Python client see of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pyramid.config import Configurator
from pyramid.request import Request

from sockjs_bridge import WebSocketSession
from sockjs_bridge.client import connect
from sockjs_bridge.testing import serve
from tests.integration.support import PATIENCE, until
from tests.integration.test_resume_styles import Events, hold, let_go
from tests.proxies.tcp import Proxy

WAYS = ["websocket", "xhr-streaming", "xhr-polling"]


def hear(request: Request, message: str, connection: Any) -> None:
    """Have the room hear a message; its sender too, unless it asks for that."""
    own = [connection] if message.startswith("own ") else []
    request.sockjs.broadcast(message, room="room", exclude=own)


class Plain(WebSocketSession):
    def on_open(self) -> None:
        self.send(f"recovered {self.join('room').recovered}")

    def on_message(self, message: str) -> None:
        hear(self.request, message, self)


class Asynchronous(WebSocketSession):
    async def on_open(self) -> None:
        self.send(f"recovered {(await self.join('room')).recovered}")

    async def on_message(self, message: str) -> None:
        hear(self.request, message, self)


def view(request: Request) -> None:
    websocket = request.websocket
    websocket.send(f"recovered {websocket.join('room').recovered}")
    for message in websocket:
        hear(request, message, websocket)


async def async_view(request: Request) -> None:
    websocket = request.websocket
    websocket.send(f"recovered {(await websocket.join('room')).recovered}")
    async for message in websocket:
        hear(request, message, websocket)


STYLES = {"plain": Plain, "asynchronous": Asynchronous, "view": view, "async_view": async_view}


def make(**history: Any) -> Any:
    settings = {"sockjs.disconnect_delay": "0.1", "sockjs.resume_window": "0.2"}
    config = Configurator(settings=settings)
    config.include("sockjs_bridge")
    config.add_sockjs_rooms("ro*", **history)
    for name, style in STYLES.items():
        config.add_sockjs_route(name, f"/{name}")
        config.add_websocket_view(style, route_name=name)
    return config.make_wsgi_app()


@pytest.fixture(autouse=True)
async def bounded() -> AsyncIterator[None]:
    async with asyncio.timeout(PATIENCE):
        yield


async def received(ws: Any, count: int) -> list[str]:
    return [await ws.recv() for _ in range(count)]


async def lose(app: Any, proxy: Proxy) -> None:
    """Keep a client away until its session is lost, and one other is left in the room."""
    hold(proxy)
    await until(lambda: len(app.registry.sockjs.members("room")) == 1)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("way", WAYS)
async def test_nothing_is_missed(style: str, way: str) -> None:
    """Its session is lost, and its room has no hole; a stock client is in it all the time."""
    app, told = make(), Events()
    with serve(app, shutdown_timeout=0.2) as url:
        async with (
            Proxy(url) as proxy,
            connect(f"{url}/{style}") as other,
            connect(f"{proxy.url}/{style}", resume=True, transport=way, on_event=told) as ws,
        ):
            assert await received(ws, 1) == await received(other, 1) == ["recovered None"]
            await ws.send("one")
            await ws.send("own two")
            assert await received(other, 2) == ["one", "own two"]
            await other.send("three")
            assert await received(other, 1) == ["three"]
            assert await received(ws, 2) == ["one", "three"]
            await ws.send("own four")
            assert await received(other, 1) == ["own four"]
            await lose(app, proxy)
            for text in ("five", "six"):
                await other.send(text)
            assert await received(other, 2) == ["five", "six"]
            let_go(proxy)
            assert await received(ws, 3) == ["five", "six", "recovered True"]
            await other.send("seven")
            assert await received(ws, 1) == ["seven"]
            await lose(app, proxy)
            let_go(proxy)
            assert await received(ws, 1) == ["recovered True"]
    assert [event.name for event in told if event.name in ("lost", "missed")] == ["lost", "lost"]


@pytest.mark.parametrize("way", WAYS)
async def test_gap_is_told(way: str) -> None:
    """The history does not reach back: nothing of it comes, and the page hears so."""
    app, told = make(history_size=1), Events()
    with serve(app, shutdown_timeout=0.2) as url:
        async with (
            Proxy(url) as proxy,
            connect(f"{url}/plain") as other,
            connect(f"{proxy.url}/plain", resume=True, transport=way, on_event=told) as ws,
        ):
            await received(ws, 1)
            await received(other, 1)
            await lose(app, proxy)
            for text in ("one", "two"):
                await other.send(text)
            await received(other, 2)
            let_go(proxy)
            assert await received(ws, 1) == ["recovered False"]
            await other.send("three")
            assert await received(ws, 1) == ["three"]
            assert (await told.wait("missed")).rooms == ("room",)


@pytest.mark.parametrize("way", WAYS)
async def test_another_process(way: str) -> None:
    """What is kept in memory is gone with its process; a client of before is told so."""
    told = Events()
    async with Proxy("http://127.0.0.1:1") as proxy:
        with serve(make(), shutdown_timeout=2) as first:
            proxy.lead_to(first)
            target = f"{proxy.url}/async_view"
            async with connect(target, resume=True, transport=way, on_event=told) as ws:
                assert await received(ws, 1) == ["recovered None"]
                await ws.send("one")
                assert await received(ws, 1) == ["one"]
                # Otherwise it would come again.
                await ws.handled()
                with serve(make(), shutdown_timeout=0.2) as second:
                    proxy.lead_to(second)
                    hold(proxy)
                    let_go(proxy)
                    assert await received(ws, 1) == ["recovered False"]
                    await ws.send("two")
                    assert await received(ws, 1) == ["two"]
                    assert (await told.wait("missed")).rooms == ("room",)
