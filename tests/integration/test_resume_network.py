"""Sessions that survive, over sockets and through a network that loses, doubles and cuts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from sockjs_bridge.client import ResumableConnection, connect
from sockjs_bridge.testing import serve
from tests.integration.resume_support import App, Events
from tests.proxies.chaotic import ChaoticProxy
from tests.selection import FULL

WAYS = ["websocket", "xhr-streaming", "xhr-polling", "auto"]
SEEDS = range(50 if FULL else 3)
#: Of what waits for the client's pauses.
FEW_SEEDS = range(50 if FULL else 1)
#: Connections that die: over which way, and in which direction.
DEATHS = [
    ("websocket", "deaf"),
    ("xhr-streaming", "mute"),
    ("xhr-polling", "deaf"),
    ("auto", "mute"),
    *([("websocket", "mute"), ("xhr-streaming", "deaf")] if FULL else []),
    *([("xhr-polling", "mute"), ("auto", "deaf")] if FULL else []),
]
MESSAGES = 200
#: How many messages may be on their way: many small requests, so that much can happen to them.
WINDOW = 7
PATIENCE = 120.0


@pytest.fixture(scope="module")
def url():
    with serve(App().wsgi) as url:
        yield url


#: After so many messages the proxy lets nobody go these ways.
CHANGES = {
    50: ("websocket",),
    90: ("websocket", "xhr_streaming"),
    130: ("xhr", "xhr_streaming"),
    170: (),
}
#: The last part of a way's URL, by its name.
URLS = {"websocket": "websocket", "xhr-streaming": "xhr_streaming", "xhr-polling": "xhr"}


async def exchange(
    ws: ResumableConnection, change: Callable[[int], object] = lambda number: None
) -> tuple[list[str], list[str]]:
    """Send messages, and receive what comes back.

    Args:
        ws: the connection.
        change: called before each message, with its number.
    """
    sent = [f"message {number}" for number in range(MESSAGES)]
    got: list[str] = []
    for number, text in enumerate(sent):
        change(number)
        await ws.send(text)
        while len(got) < number - WINDOW:
            got.append(await ws.recv())
    await ws.handled()
    while len(got) < MESSAGES:
        got.append(await ws.recv())
    return sent, got


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("way", WAYS)
async def test_everything_once_and_in_order(url: str, way: str, seed: int) -> None:
    told = Events()
    async with ChaoticProxy(url, seed) as proxy, asyncio.timeout(PATIENCE):
        async with connect(
            f"{proxy.url}/echo", resume=True, transport=way, open_timeout=None, on_event=told
        ) as ws:
            sent, got = await exchange(ws)
            assert got == sent
            proxy.calm = True
        assert ws.close_code == 1000
        assert told.names <= {"suspended", "resumed"}
        assert sum(proxy.counts.values()) > 0 or way in ("websocket", "auto")


@pytest.mark.parametrize("seed", SEEDS)
async def test_changes_of_way(url: str, seed: int) -> None:
    """In between a network lets WebSockets through, streams, polls, or only some of them."""
    ways: set[str | None] = set()
    told = Events()
    async with ChaoticProxy(url, seed) as proxy, asyncio.timeout(PATIENCE):

        def change(number: int) -> None:
            ways.add(ws.transport)
            if number in CHANGES:
                proxy.forbid(*CHANGES[number])

        async with connect(
            f"{proxy.url}/echo", resume=True, open_timeout=None, on_event=told
        ) as ws:
            sent, got = await exchange(ws, change)
            assert got == sent
            proxy.calm = True
        assert ws.close_code == 1000
        assert told.names <= {"suspended", "resumed"}
        assert {"websocket", "xhr-polling"} <= ways
        assert proxy.refused > 0


@pytest.mark.parametrize("seed", FEW_SEEDS)
@pytest.mark.parametrize("way", URLS)
async def test_way_that_is_gone_for_a_while(url: str, way: str, seed: int) -> None:
    """Who was told one way waits for it."""
    told = Events()
    async with ChaoticProxy(url, seed) as proxy, asyncio.timeout(PATIENCE):
        async with connect(
            f"{proxy.url}/echo", resume=True, transport=way, open_timeout=None, on_event=told
        ) as ws:
            allowing: list[asyncio.Task[None]] = []

            async def allow() -> None:
                while proxy.refused < 3:
                    await asyncio.sleep(0.01)
                proxy.forbid()

            def change(number: int) -> None:
                # Refused by a status, a WebSocket that has no other way would be denied.
                if number == 100:
                    proxy.resets_only = True
                    proxy.forbid(URLS[way])
                    allowing.append(asyncio.create_task(allow()))

            sent, got = await exchange(ws, change)
            assert got == sent
            await allowing[0]
            proxy.calm = True
        assert ws.close_code == 1000
        assert told.names <= {"suspended", "resumed"}


@pytest.mark.parametrize(("way", "direction"), DEATHS)
async def test_connections_that_pass_nothing_on(url: str, way: str, direction: str) -> None:
    """In one direction nothing comes any more, and nothing says so: the client leaves them."""
    told = Events()
    async with ChaoticProxy(url, 0) as proxy, asyncio.timeout(PATIENCE):
        proxy.calm = True
        async with connect(f"{proxy.url}/echo", resume=True, transport=way, on_event=told) as ws:
            await ws.send("before")
            assert await ws.recv() == "before"
            while ws.transport != ("websocket" if way == "auto" else way):
                await asyncio.sleep(0)
            before = proxy.connections
            proxy.kill_direction(direction)
            sent, got = await exchange(ws)
            assert got == sent
        assert proxy.connections > before
        assert told.names <= {"suspended", "resumed"}
