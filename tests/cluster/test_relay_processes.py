"""Three processes behind a balancer that takes one after the other, and Redis between them."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Callable

import pytest

from sockjs_bridge.client import connect
from tests.cluster.processes import Processes, Server
from tests.cluster.redisserver import RedisServer
from tests.cluster.test_processes import ask, start
from tests.integration.support import PATIENCE, connected
from tests.proxies.programs import Program
from tests.selection import FULL

Start = Callable[..., Processes]
Balance = Callable[[Processes, str], Program]

pytestmark = pytest.mark.integration

STOCK = (
    *("websocket", "xhr-streaming", "xhr-polling", "eventsource", "htmlfile", "jsonp-polling"),
)
RESUMABLE = ("auto", "websocket", "xhr-streaming", "xhr-polling")

#: Seconds within which a client hears what becomes of its session, and what a busy machine adds.
TOLD = 5.0
BUSY = 10.0


@pytest.fixture
def three(processes: Start, redis: RedisServer) -> Processes:
    settings = {"sockjs.cluster": redis.url, "sockjs.allowed_origins": "*"}
    return processes(3, settings=settings)


async def exchange(ws, count: int) -> None:
    """Have messages echoed, some on their way at a time."""
    for begin in range(0, count, 20):
        texts = [f"message {number}" for number in range(begin, begin + 20)]
        for text in texts:
            await ws.send(text)
        async with asyncio.timeout(PATIENCE):
            assert [await ws.recv() for _ in texts] == texts


@pytest.mark.turns("balancer")
@pytest.mark.parametrize("balancer", ["haproxy", "nginx"])
async def test_all_ways(three: Processes, balance: Balance, balancer: str) -> None:
    """Messages of each transport arrive once and in order, whoever gets the requests."""
    url = balance(three, balancer).url
    count = 200 if FULL else 40
    for transport in STOCK:
        async with connected(f"{url}/echo", transport) as ws:
            await exchange(ws, count)
    for transport in RESUMABLE:
        async with connect(f"{url}/echo", resume=True, transport=transport) as ws:
            await exchange(ws, count)


async def home_of(three: Processes, ws) -> Server:
    """Return the process that has a session."""
    pid = int(await ask(ws, "whoami"))
    return next(server for server in three if server.pid == pid)


@pytest.mark.parametrize("transport", RESUMABLE)
async def test_home_that_is_killed(three: Processes, balance: Balance, transport: str) -> None:
    """A resumable client has a new session, and says again what was not confirmed."""
    url = balance(three, "haproxy").url
    lost = asyncio.Event()
    async with connect(
        f"{url}/rooms",
        resume=True,
        transport=transport,
        on_event=lambda event: lost.set() if event.name == "lost" else None,
    ) as ws:
        home = await home_of(three, ws)
        await asyncio.to_thread(home.kill)
        begun = time.monotonic()
        async with asyncio.timeout(TOLD + BUSY):
            await lost.wait()
            assert int(await ask(ws, "whoami")) != home.pid
        assert time.monotonic() - begun < TOLD + BUSY


async def test_front_that_is_killed(three: Processes) -> None:
    """The session lives at its home: nothing is lost."""
    first, second, _ = three
    async with connect(f"{first.url}/rooms", resume=True, transport="xhr-polling") as ws:
        assert int(await ask(ws, "whoami")) == first.pid
        core = ws._core
        target = f"/rooms/~r1{core.home}/{core.session}/xhr"
        body = {"key": core.key, "received": core.counts.received, "request": 1000}
        poll = asyncio.create_task(asyncio.to_thread(post, second, target, json.dumps(body)))
        await asyncio.sleep(0)
        await asyncio.to_thread(second.kill)
        await poll
        assert await ask(ws, "echo still there") == "still there"
    await asyncio.to_thread(start, second)


async def test_home_that_stands_still(three: Processes) -> None:
    """Whoever asks another process is told to come again, and is not held."""
    first, second, _ = three
    status, _ = await asyncio.to_thread(post, first, "/echo/000/abc/xhr")
    assert status == 200
    poll = asyncio.create_task(asyncio.to_thread(post, second, "/echo/000/abc/xhr"))
    status, _ = await asyncio.to_thread(post, second, "/echo/000/abc/xhr_send", '["x"]')
    assert status == 204
    assert (await poll) == (200, 'a["x"]\n')
    first.pause()
    begun = time.monotonic()
    status, _ = await asyncio.to_thread(post, second, "/echo/000/abc/xhr")
    assert status == 503
    assert time.monotonic() - begun < TOLD + BUSY
    first.resume()


def post(server: Server, target: str, body: str = "") -> tuple[int, str]:
    """Make a request of one process, and return status and body; 0 where the connection broke."""
    host, _, port = server.listen.partition(":")
    try:
        with socket.create_connection((host, int(port)), PATIENCE) as connection:
            connection.sendall(
                f"POST {target} HTTP/1.1\r\nHost: {server.listen}\r\nConnection: close\r\n"
                f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
            )
            answer = b"".join(iter(lambda: connection.recv(65536), b"")).decode()
    except OSError:
        return 0, ""
    head, _, rest = answer.partition("\r\n\r\n")
    return (int(head[9:12]), rest) if head else (0, "")
