"""A real server behind the middlebox: what its clients find there, transport by transport."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
from pyramid.config import Configurator

from sockjs_bridge.client import ConnectionClosed, HandshakeError, connect
from sockjs_bridge.testing import serve
from tests.proxies.behaviour import Behaviour, Cut, Drop
from tests.proxies.middlebox import Middlebox
from tests.proxies.tcp import Proxy

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


@pytest.mark.parametrize("kind", [Proxy, Middlebox])
@pytest.mark.parametrize("transport", ["websocket", *HTTP])
async def test_a_proxy_that_does_nothing_else_passes_everything_on(
    server: str, transport: str, kind: type[Proxy]
) -> None:
    async with kind(server) as proxy:
        await talk(proxy, transport)


@pytest.mark.parametrize("upgrade", ["refused", "swallowed", "held", "unanswered"])
async def test_without_upgrade_there_is_no_websocket(server: str, upgrade: str) -> None:
    """Which is told at once, or never."""
    async with Middlebox(server, Behaviour(upgrade=upgrade)) as box:
        with pytest.raises((HandshakeError, TimeoutError)):
            await connect(f"{box.url}/echo", transport="websocket", open_timeout=2)
        assert box.counts["upgrades"] == 1


BEHAVIOURS = {
    "Upgrade swallowed": Behaviour(upgrade="swallowed"),
    "Upgrade unanswered": Behaviour(upgrade="unanswered"),
    "HTTP/1.0": Behaviour(http_1_0=True),
    "frames dropped": Behaviour(drop=Drop("both")),
    "a round trip of 20 ms": Behaviour(round_trip=0.02),
}


@pytest.mark.parametrize("behaviour", BEHAVIOURS.values(), ids=BEHAVIOURS)
@pytest.mark.parametrize("transport", HTTP)
async def test_over_http_everything_comes(
    server: str, behaviour: Behaviour, transport: str
) -> None:
    async with Middlebox(server, behaviour) as box:
        await talk(box, transport)


@pytest.mark.parametrize("transport", ["websocket", "xhr-streaming"])
async def test_every_stream_is_cut_after_so_many_bytes(server: str, transport: str) -> None:
    async with Middlebox(server, Behaviour(cut=Cut(after_bytes=8000))) as box:
        await talk(box, transport)
        async with connect(f"{box.url}/echo", transport=transport) as ws:
            await ws.send("big")
            with pytest.raises(ConnectionClosed):
                await ws.recv()
        assert box.counts["cuts"] == 1


async def test_a_poll_is_held_and_comes(server: str) -> None:
    async with Middlebox(server, Behaviour(upgrade="swallowed", hold=math.inf)) as box:
        await talk(box, "xhr-polling")
        assert box.counts["held"] >= 20
