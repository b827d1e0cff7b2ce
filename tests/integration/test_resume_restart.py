"""Sessions that survive, and servers that do not: real processes, killed and replaced."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from sockjs_bridge.client import Connection, ConnectionClosed, ResumableConnection, connect
from tests.integration.pserve import PATIENCE, Pserve, running, write_ini
from tests.integration.resume_support import Events
from tests.pkgs.ledger_app import KILL, Ledger
from tests.proxies.tcp import Proxy
from tests.selection import FULL

WAYS = ["auto", "xhr-polling", *(["websocket", "xhr-streaming"] if FULL else [])]
MESSAGES = 200
#: How many messages may be on their way.
WINDOW = 10


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger.sqlite")


@pytest.fixture(autouse=True)
async def bounded() -> AsyncIterator[None]:
    async with asyncio.timeout(3 * PATIENCE):
        yield


@asynccontextmanager
async def process(tmp_path: Path, listen: str = "127.0.0.1:0") -> AsyncIterator[Pserve]:
    """Run a process with the ledger, without holding up this loop."""
    folder = tmp_path / f"process{len([*tmp_path.iterdir()])}"
    folder.mkdir()
    ini = write_ini(
        folder,
        f"listen = {listen}\nshutdown_timeout = 20",
        f"ledger = {tmp_path}/ledger.sqlite",
        factory="tests.pkgs.ledger_app:main",
    )
    server = running(ini)
    pserve = await asyncio.to_thread(server.__enter__)
    try:
        yield pserve
    finally:
        await asyncio.to_thread(server.__exit__, None, None, None)


async def url_of(pserve: Pserve) -> str:
    return (await asyncio.to_thread(pserve.urls))[0]


@pytest.mark.parametrize("way", WAYS)
async def test_killed(tmp_path: Path, ledger: Ledger, way: str) -> None:
    """What it had done and not confirmed comes again, and an application that keeps ids knows."""
    told = Events()
    async with process(tmp_path) as first:
        url = await url_of(first)
        ws = await connect(f"{url}/ledger", resume=True, transport=way, on_event=told)
        texts = [f"message {number}" for number in range(MESSAGES)]
        texts[50] = f"{KILL} 50"
        for text in texts[:100]:
            await ws.send(text)
        assert await asyncio.to_thread(first.exit_code) == -signal.SIGKILL
    await told.wait("suspended")
    for text in texts[100:]:
        await ws.send(text)
    listen = urlsplit(url).netloc
    async with process(tmp_path, listen):
        lost = await told.wait("lost")
        assert lost.number is not None
        assert lost.number <= 50
        await ws.handled()
        # The last one was sent back by the process that lives.
        while await ws.recv() != texts[-1]:
            pass
        await ws.close()
    ids = [f"{ws.id}-{number}" for number in range(1, MESSAGES + 1)]
    assert ledger.rows("entries") == [*zip(ids, texts, strict=True)]
    arrivals = ledger.rows("arrivals")
    assert [repeated for known, repeated in arrivals if known == ids[50]] == [0, 1]
    for known in ids:
        times = [repeated for each, repeated in arrivals if each == known]
        assert times in ([0], [1], [0, 1])
    assert [event.name for event in told] == ["suspended", "lost", "resumed"]


@pytest.mark.parametrize("way", WAYS)
async def test_replaced(tmp_path: Path, ledger: Ledger, way: str) -> None:
    """A rolling upgrade: nobody has lost or doubled anything, and stock clients are told to go."""
    told = Events()
    async with process(tmp_path) as second, process(tmp_path) as first:
        async with Proxy(await url_of(first)) as proxy:
            url = f"{proxy.url}/ledger"
            stock = await connect(url)
            async with connect(url, resume=True, transport=way, on_event=told) as ws:
                sent = [f"message {number}" for number in range(MESSAGES)]
                got: list[str] = []
                for number, text in enumerate(sent):
                    if number == MESSAGES // 2:
                        proxy.lead_to(await url_of(second))
                        first.signal(signal.SIGTERM)
                    await ws.send(text)
                    while len(got) < number - WINDOW:
                        got.append(await ws.recv())
                await told.wait("moved")
                await ws.handled()
                got += [await ws.recv() for _ in range(MESSAGES - len(got))]
                assert got == sent
                assert await asyncio.to_thread(first.exit_code) == 0
                await go_away(stock)
                ids = [f"{ws.id}-{number}" for number in range(1, MESSAGES + 1)]
        assert ledger.rows("entries") == [*zip(ids, sent, strict=True)]
        assert ledger.rows("arrivals") == [(known, 0) for known in ids]
        assert [event.name for event in told] == ["moved"]


async def go_away(stock: Connection | ResumableConnection) -> None:
    with pytest.raises(ConnectionClosed) as closed:
        await stock.recv()
    assert (closed.value.code, closed.value.reason) == (3000, "Go away!")
