"""Sessions that survive, over sockets and through a network that loses, doubles and cuts."""

from __future__ import annotations

import asyncio

import pytest

from sockjs_bridge.client import ResumableConnection, connect
from sockjs_bridge.testing import serve
from tests.integration.resume_support import App
from tests.proxies.chaotic import ChaoticProxy
from tests.selection import FULL

WAYS = ["websocket", "xhr-streaming", "xhr-polling", "auto"]
MESSAGES = 200
#: How many messages may be on their way: many small requests, so that much can happen to them.
WINDOW = 7
PATIENCE = 120.0


@pytest.fixture(scope="module")
def url():
    with serve(App().wsgi) as url:
        yield url


async def exchange(ws: ResumableConnection) -> tuple[list[str], list[str]]:
    """Send messages, and receive what comes back."""
    sent = [f"message {number}" for number in range(MESSAGES)]
    got: list[str] = []
    for number, text in enumerate(sent):
        await ws.send(text)
        while len(got) < number - WINDOW:
            got.append(await ws.recv())
    await ws.handled()
    while len(got) < MESSAGES:
        got.append(await ws.recv())
    return sent, got


@pytest.mark.parametrize("seed", range(50 if FULL else 3))
@pytest.mark.parametrize("way", WAYS)
async def test_everything_once_and_in_order(url: str, way: str, seed: int) -> None:
    async with ChaoticProxy(url, seed) as proxy, asyncio.timeout(PATIENCE):
        async with connect(
            f"{proxy.url}/echo", resume=True, transport=way, open_timeout=None
        ) as ws:
            sent, got = await exchange(ws)
            assert got == sent
            proxy.calm = True
        assert ws.close_code == 1000
        assert sum(proxy.counts.values()) > 0 or way in ("websocket", "auto")


@pytest.mark.parametrize("way", ["websocket", "auto"])
async def test_connection_that_goes_deaf(url: str, way: str) -> None:
    """Nothing comes any more, and nothing says so: the client leaves it by itself."""
    async with ChaoticProxy(url, 0) as proxy, asyncio.timeout(PATIENCE):
        proxy.calm = True
        async with connect(f"{proxy.url}/echo", resume=True, transport=way) as ws:
            await ws.send("before")
            assert await ws.recv() == "before"
            while ws.transport != "websocket":
                await asyncio.sleep(0)
            proxy.deafen()
            sent, got = await exchange(ws)
            assert got == sent
        assert proxy.connections > 1
