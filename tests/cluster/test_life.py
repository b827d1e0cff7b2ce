"""Processes that come, stand still, end and die: what their clients and the others hear of it."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest

from sockjs_bridge.client import ConnectionClosed, connect
from tests.cluster.processes import Processes
from tests.cluster.redisserver import RedisServer
from tests.cluster.test_processes import ask
from tests.integration.support import PATIENCE, connected
from tests.proxies.programs import Program

Start = Callable[..., Processes]
Balance = Callable[[Processes, str], Program]

pytestmark = pytest.mark.integration

#: Seconds of a lease, and between heartbeats, without which a client takes its server for gone some
#: seconds later: short, so that tests are.
LEASE = HEARTBEAT = 1


@pytest.fixture
def two(processes: Start, redis: RedisServer) -> Processes:
    settings = {
        "sockjs.cluster": redis.url,
        "sockjs.cluster_lease": LEASE,
        "sockjs.heartbeat_delay": HEARTBEAT,
    }
    return processes(2, settings=settings, server={"shutdown_timeout": 10})


async def heard(ws: Any) -> str:
    async with asyncio.timeout(PATIENCE):
        text: str = await ws.recv()
        return text


async def until(ws: Any, command: str, answer: str) -> None:
    """Ask until an answer comes that takes its time."""
    async with asyncio.timeout(PATIENCE):
        while await ask(ws, command) != answer:
            await asyncio.sleep(0.05)


async def test_who_is_there_and_who_was(two: Processes) -> None:
    first, second = two

    async def ask_bob(bob: Any, command: str) -> str:
        await bob.send(command)
        word, _, answer = (await heard(bob)).partition(" ")
        # Who has just come may hear of who came just before, some time later.
        while (word, answer) == ("joined", "a ann"):
            word, _, answer = (await heard(bob)).partition(" ")
        assert word == command.partition(" ")[0]
        return answer

    async with connected(f"{first.url}/rooms", "websocket") as ann:
        await ask(ann, "come a ann")
        async with connected(f"{second.url}/rooms", "xhr-polling") as bob:
            await ask_bob(bob, "come a bob")
            assert await heard(ann) == "joined a bob"
            assert await ask(ann, "present a") == "ann bob"
            assert await ask_bob(bob, "present a") == "ann bob"
            await ask_bob(bob, "leave a")
            assert await heard(ann) == "left a bob"
            await ask_bob(bob, "come a bob")
            assert await heard(ann) == "joined a bob"
            await asyncio.to_thread(second.kill)
            assert await heard(ann) == "left a bob"
            assert await ask(ann, "present a") == "ann"


async def test_a_user_is_put_out_everywhere(two: Processes) -> None:
    first, second = two
    headers = {"Authorization": "bob"}
    async with (
        connected(f"{first.url}/rooms", "websocket", headers=headers) as one,
        connected(f"{second.url}/rooms", "xhr-polling", headers=headers) as other,
        connect(f"{second.url}/rooms", resume=True, headers=headers) as resumable,
        connected(f"{second.url}/rooms", "websocket") as ann,
    ):
        for ws in (one, other, resumable):
            await ask(ws, "whoami")
        assert await ask(ann, "put_out bob") == "2"
        for ws in (one, other, resumable):
            with pytest.raises(ConnectionClosed) as closed:
                await heard(ws)
            assert (closed.value.code, closed.value.reason) == (4003, "Bye")
        assert await ask(ann, "put_out bob") == "0"


async def hello(ws: aiohttp.ClientWebSocketResponse) -> None:
    await ws.send_json({"key": secrets.token_urlsafe(16), "request": 1, "received": 0, "new": True})
    line = await ws.receive_str()
    told = json.loads(line[1:])
    # Few clients need not take their time to come back.
    assert (told["from"], told["spread"]) == (1, 1.0)


async def lines_of(ws: aiohttp.ClientWebSocketResponse, *parts: str) -> None:
    """Wait until lines with these parts have come, in any order."""
    missing = {*parts}
    async with asyncio.timeout(PATIENCE):
        while missing:
            line = await ws.receive_str()
            missing = {part for part in missing if part not in line}


async def test_nothing_of_a_home_that_stood_still_reaches_a_client(two: Processes) -> None:
    """Its client stays on the wire, which no client of ours would; so nothing else helps."""
    first, second = two
    session = secrets.token_urlsafe(16)
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(f"{first.url}/rooms/~r1/{session}/websocket?new") as ws,
        connected(f"{second.url}/rooms", "websocket") as other,
    ):
        await hello(ws)
        await ws.send_str('["come a ann"]')
        await until(other, "present a", "ann")
        await ask(other, "come a bob")
        # All that it has to say, so that what comes later was said later.
        await lines_of(ws, 'a["come a"', '"joined a bob"', '"received":1')
        first.pause()
        await ws.send_str('["say a of-the-dead"]')
        while await heard(other) != "left a ann":
            # That she had joined may be heard late.
            pass
        await ask(other, "say a of-the-living")
        assert await heard(other) == "a of-the-living"
        first.resume()
        lines = []
        async with asyncio.timeout(PATIENCE):
            async for message in ws:
                lines.append(message.data)
        # Not even counts: the messages that they confirm may be done by others.
        assert [line for line in lines if line[:1] in "ar"] == []
        await until(other, "present a", "bob")
        assert await ask(other, "echo nothing-else") == "nothing-else"


async def test_a_client_of_a_home_that_stood_still_goes_on_elsewhere(
    two: Processes, balance: Balance
) -> None:
    url = balance(two, "haproxy").url
    events: list[str] = []
    async with connect(
        f"{url}/rooms", resume=True, on_event=lambda event: events.append(event.name)
    ) as ws:
        pid = int(await ask(ws, "whoami"))
        home = next(server for server in two if server.pid == pid)
        home.pause()
        await ws.send("echo 1")
        assert await heard(ws) == "echo 1"
        assert "lost" in events
        home.resume()
        for number in range(2, 50):
            assert await ask(ws, f"echo {number}") == str(number)


async def test_a_process_that_ends_has_its_clients_move(two: Processes, balance: Balance) -> None:
    """Those that resume lose and double nothing; others are closed, and come back by themselves."""
    url = balance(two, "haproxy").url
    events: list[str] = []
    async with connect(
        f"{url}/rooms", resume=True, on_event=lambda event: events.append(event.name)
    ) as ws:
        pid = int(await ask(ws, "whoami"))
        home = next(server for server in two if server.pid == pid)
        async with connected(f"{home.url}/rooms", "websocket") as stock:
            sending = asyncio.create_task(send(ws, 300))
            for number in range(100):
                assert await heard(ws) == f"echo {number}"
            home.terminate()
            with pytest.raises(ConnectionClosed) as closed:
                await heard(stock)
            assert (closed.value.code, closed.value.reason) == (3000, "Go away!")
        for number in range(100, 300):
            assert await heard(ws) == f"echo {number}"
        await sending
        assert "lost" not in events
        assert int(await ask(ws, "whoami")) != pid
    assert await asyncio.to_thread(home.process.exit_code) == 0


async def send(ws: Any, count: int) -> None:
    for number in range(count):
        await ws.send(f"echo {number}")
        await asyncio.sleep(0.005)


def test_a_drain_that_does_not_fit_is_told(processes: Start, redis: RedisServer) -> None:
    settings = {"sockjs.cluster": redis.url, "sockjs.drain": 20}
    with pytest.raises(AssertionError, match=r"sockjs\.drain = 20 is longer than shutdown_timeout"):
        processes(1, settings=settings, server={"shutdown_timeout": 10})
