"""Each proxy does what its name says to the clients of a real server."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from contextlib import closing
from urllib.parse import urlsplit

import aiohttp
import pytest
from pyramid.config import Configurator

from sockjs_bridge.client import ConnectionClosed, HandshakeError, connect
from sockjs_bridge.testing import serve
from tests.integration.support import eventually
from tests.proxies.misbehaving import (
    BusyProxy,
    CuttingProxy,
    DroppingProxy,
    HoldingProxy,
    IdleProxy,
    OldProxy,
    SwallowingProxy,
    UnansweringProxy,
)
from tests.proxies.tcp import Proxy, in_thread

pytestmark = pytest.mark.integration

HTTP = ["xhr-streaming", "eventsource", "htmlfile", "xhr-polling"]


async def echo(request) -> None:
    """Say again what is said; ``big`` is answered with 10 000 bytes."""
    async for message in request.websocket:
        request.websocket.send("x" * 10_000 if message == "big" else message)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """An echo; each streamed response is over after 0.5 s."""
    with Configurator(settings={"sockjs.response_max_age": "0.5"}) as config:
        config.include("sockjs_bridge")
        config.add_sockjs_route("echo", "/echo")
        config.add_view(echo, route_name="echo", websocket=True)
        app = config.make_wsgi_app()
    with serve(app) as url:
        yield url


async def talk(proxy: Proxy, transport: str, count: int = 20) -> None:
    """Have messages go there and back."""
    async with connect(f"{proxy.url}/echo", transport=transport) as ws:
        for number in range(count):
            await ws.send(str(number))
            assert await ws.recv() == str(number)


@pytest.mark.parametrize("transport", ["websocket", *HTTP])
async def test_a_proxy_that_does_nothing_else_passes_everything_on(
    server: str, transport: str
) -> None:
    async with Proxy(server) as proxy:
        await talk(proxy, transport)


async def test_a_swallowed_upgrade_is_answered_as_a_plain_request(server: str) -> None:
    async with SwallowingProxy(server) as proxy:
        with pytest.raises(HandshakeError, match="400"):
            await connect(f"{proxy.url}/echo", transport="websocket")
        assert proxy.counts["upgrades swallowed"] == 1


async def test_an_unanswered_upgrade_stays_without_answer(server: str) -> None:
    async with UnansweringProxy(server) as proxy:
        with pytest.raises(TimeoutError):
            await connect(f"{proxy.url}/echo", transport="websocket", open_timeout=2)
        assert proxy.counts["upgrades swallowed"] == 1


@pytest.mark.parametrize("kind", [SwallowingProxy, UnansweringProxy, OldProxy])
@pytest.mark.parametrize("transport", HTTP)
async def test_without_upgrade_the_http_transports_work(
    server: str, kind: type[Proxy], transport: str
) -> None:
    async with kind(server) as proxy:
        await talk(proxy, transport)
        assert proxy.counts["upgrades swallowed"] == 0
        assert proxy.counts["other versions"] == 0


async def test_a_busy_server_answers_later_but_for_its_info(server: str) -> None:
    """What is asked of sessions meanwhile goes on together, and what is asked later at once."""
    async with BusyProxy(server, 0.3) as proxy:
        async with aiohttp.ClientSession() as http:
            for _ in range(2):
                async with http.get(f"{proxy.url}/echo/info") as answer:
                    assert answer.status == 200
        assert proxy.counts["requests held up"] == 0
        await asyncio.gather(*[talk(proxy, "xhr-polling", 2) for _ in range(2)])
        held_up = proxy.counts["requests held up"]
        assert held_up >= 1
        await talk(proxy, "xhr-polling", 2)
        assert proxy.counts["requests held up"] == held_up
        assert proxy.counts["requests of info"] == 2


async def test_the_old_proxy_speaks_http_1_0_to_both_sides(server: str) -> None:
    """Neither asks the client for more than one request, nor answers the server in chunks."""
    async with OldProxy(server) as proxy:
        reader, writer = await asyncio.open_connection(*address(proxy))
        writer.write(b"POST /echo/000/one/xhr_streaming HTTP/1.1\r\nHost: a\r\n")
        writer.write(b"Content-Length: 0\r\nConnection: keep-alive\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.0 200 ")
        assert b"\r\ntransfer-encoding:" not in head.lower()
        assert b"\r\nconnection: keep-alive" not in head.lower()
        assert (await reader.read()).startswith(b"h" * 2048 + b"\no\n")
        writer.close()


async def test_held_responses_come_when_they_are_complete(server: str) -> None:
    """A poll works; of a stream nothing comes before its end, which is then there at once."""
    async with HoldingProxy(server) as proxy:
        await talk(proxy, "xhr-polling")
        reader, writer = await asyncio.open_connection(*address(proxy))
        writer.write(b"POST /echo/000/two/xhr_streaming HTTP/1.1\r\nHost: a\r\n\r\n")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.2)
        held = proxy.counts["responses held"]
        assert b"o\n" in await reader.read()
        assert proxy.counts["responses held"] == held + 1
        writer.close()


@pytest.mark.parametrize("transport", ["websocket", "xhr-streaming"])
async def test_every_connection_is_cut_after_so_many_bytes(server: str, transport: str) -> None:
    async with CuttingProxy(server, 8000) as proxy:
        await talk(proxy, transport)
        async with connect(f"{proxy.url}/echo", transport=transport) as ws:
            await ws.send("big")
            with pytest.raises(ConnectionClosed):
                await ws.recv()
        assert proxy.counts["cuts"] == 1


async def test_the_cut_leaves_other_paths_alone(server: str) -> None:
    async with CuttingProxy(server, 8000, "/chat/") as proxy:
        async with connect(f"{proxy.url}/echo", transport="xhr-polling") as ws:
            await ws.send("big")
            assert await ws.recv() == "x" * 10_000
        assert proxy.counts["cuts"] == 0


@pytest.mark.parametrize("transport", HTTP)
async def test_where_frames_are_dropped_http_works(server: str, transport: str) -> None:
    async with DroppingProxy(server) as proxy:
        await talk(proxy, transport)
        assert proxy.counts["dropped"] == 0


async def test_dropped_frames_to_the_client_leave_it_open_but_dead(server: str) -> None:
    async with DroppingProxy(server) as proxy:
        with pytest.raises(TimeoutError):
            await connect(f"{proxy.url}/echo", transport="websocket", open_timeout=2)
        assert proxy.counts["dropped"] >= 1


async def test_dropped_frames_to_the_server_leave_it_open_but_dead(server: str) -> None:
    async with DroppingProxy(server, "to the server") as proxy:
        url = f"{proxy.url}/echo"
        async with connect(url, transport="websocket", close_timeout=0.2) as ws:
            await ws.send("hello")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(ws.recv(), 2)
            assert ws.close_code is None
        assert proxy.counts["dropped"] >= 1


async def test_frames_are_dropped_after_a_while(server: str) -> None:
    async with DroppingProxy(server, passes=200) as proxy:
        url = f"{proxy.url}/echo"
        async with connect(url, transport="websocket", close_timeout=0.2) as ws:
            await ws.send("hello")
            assert await ws.recv() == "hello"
            await ws.send("x" * 200)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(ws.recv(), 2)
        assert proxy.counts["dropped"] >= 1


async def test_an_idle_connection_is_cut_and_a_busy_one_is_not(server: str) -> None:
    async with IdleProxy(server, 0.5) as proxy:
        async with connect(f"{proxy.url}/echo", transport="websocket") as ws:
            for _ in range(4):
                await asyncio.sleep(0.2)
                await ws.send("busy")
                assert await ws.recv() == "busy"
            assert proxy.counts["cuts"] == 0
            with pytest.raises(ConnectionClosed):
                await ws.recv()
        assert proxy.counts["cuts"] == 1


@pytest.mark.parametrize(
    "kind", [Proxy, SwallowingProxy, HoldingProxy, lambda url: IdleProxy(url, 30)]
)
def test_a_proxy_in_a_thread_ends_with_its_connections(server: str, kind) -> None:
    """What Selenium's tests use: whatever still waits when it ends is reset."""
    with in_thread(kind(server)) as proxy:
        where = address(proxy)
        client = socket.create_connection(where)
        client.sendall(b"GET /echo/info HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.recv(9).startswith(b"HTTP/1.")
        waiting = socket.create_connection(where)
        waiting.sendall(b"GET /echo/info HTTP/1.1\r\n")
        eventually(lambda: proxy.connections == 2)
    with closing(client), closing(waiting):
        waiting.settimeout(40)
        with contextlib.suppress(ConnectionResetError):
            assert waiting.recv(1) == b""
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(where)


def address(proxy: Proxy) -> tuple[str, int]:
    parts = urlsplit(proxy.url)
    assert parts.hostname and parts.port
    return parts.hostname, parts.port
