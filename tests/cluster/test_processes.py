"""What the tests of several processes stand on: processes, balancers and Redis do what is said."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from sockjs_bridge.client import Connection, ConnectionClosed, ResumableConnection, connect
from tests.cluster.processes import Processes, Server
from tests.cluster.redisserver import PROGRAMS, RedisServer
from tests.integration.resume_support import Events
from tests.integration.support import PATIENCE, connected, get
from tests.pkgs.ledger_app import Ledger
from tests.proxies.programs import Program

Start = Callable[..., Processes]
Balance = Callable[[Processes, str], Program]

pytestmark = pytest.mark.integration


async def whoami(url: str) -> int:
    """Ask a page which process serves it."""
    status, _, text = await get(f"{url}/whoami")
    assert status == 200, text
    return int(text)


async def ask(ws: Connection | ResumableConnection, command: str) -> str:
    """Give a connection a command, and return its answer."""
    await ws.send(command)
    word, _, answer = (await ws.recv()).partition(" ")
    assert word == command.partition(" ")[0]
    return answer


@pytest.mark.turns("balancer")
@pytest.mark.parametrize("unix", [False, True], ids=["ports", "sockets"])
@pytest.mark.parametrize("balancer", ["haproxy", "nginx"])
async def test_in_turn(processes: Start, balance: Balance, balancer: str, unix: bool) -> None:
    """Pages and WebSockets go to each process as often as to the others."""
    three = processes(3, unix=unix)
    url = balance(three, balancer).url
    pages = Counter([await whoami(url) for _ in range(6)])
    assert pages == dict.fromkeys(three.pids, 2)
    found = Counter()
    for _ in range(6):
        async with connected(f"{url}/rooms", "websocket") as ws:
            found[int(await ask(ws, "whoami"))] += 1
    # Some came with a request for the endpoint's info in between.
    assert found.keys() == three.pids


@pytest.mark.turns("balancer")
@pytest.mark.parametrize("balancer", ["haproxy", "nginx"])
async def test_one_less(processes: Start, balance: Balance, balancer: str) -> None:
    """Who was killed, or told to end, is passed over at once; it comes back to its place."""
    two = processes(2, unix=True)
    first, second = two
    url = balance(two, balancer).url
    await asyncio.to_thread(first.kill)
    assert {await whoami(url) for _ in range(6)} == {second.pid}
    await asyncio.to_thread(start, first)
    while await whoami(url) != first.pid:
        pass
    async with connected(f"{url}/echo", "websocket") as ws:
        for server in two:
            server.terminate()
        with pytest.raises(ConnectionClosed) as closed:
            await ws.recv()
        assert (closed.value.code, closed.value.reason) == (3000, "Go away!")
    for server in two:
        assert await asyncio.to_thread(server.process.exit_code) == 0


def start(server: Server) -> None:
    server.start()
    server.wait()


@pytest.mark.turns("balancer")
@pytest.mark.parametrize("balancer", ["haproxy", "nginx"])
async def test_rolling_restart(
    processes: Start, balance: Balance, balancer: str, tmp_path: Path
) -> None:
    """One after the other is replaced, and a session that survives loses and doubles nothing."""
    told = Events()
    ledger = Ledger(tmp_path / "ledger.sqlite")
    two = processes(
        2,
        settings={"ledger": tmp_path / "ledger.sqlite"},
        # Who still has messages on the way is told to move when half of this time is over.
        server={"shutdown_timeout": 4},
        unix=True,
        factory="tests.pkgs.ledger_app:main",
    )
    url = f"{balance(two, balancer).url}/ledger"
    sent = [f"message {number}" for number in range(200)]
    got: list[str] = []
    async with connect(url, resume=True, transport="websocket", on_event=told) as ws:
        for number, text in enumerate(sent):
            if number in (50, 125):
                server = two[number // 100]
                server.terminate()
            await ws.send(text)
            while len(got) < number - 10:
                got.append(await ws.recv())
            if number in (75, 150):
                assert await asyncio.to_thread(server.process.exit_code) == 0
                await asyncio.to_thread(start, server)
        await ws.handled()
        got += [await ws.recv() for _ in range(len(sent) - len(got))]
        ids = [f"{ws.id}-{number}" for number in range(1, len(sent) + 1)]
    assert got == sent
    assert ledger.rows("entries") == [*zip(ids, sent, strict=True)]
    assert ledger.rows("arrivals") == [(known, 0) for known in ids]
    assert told.names == {"moved"}


async def test_one_stands_still(processes: Start) -> None:
    """What is asked of a process that stands still is answered when it goes on."""
    (server,) = processes(1)
    async with connected(f"{server.url}/rooms", "websocket") as ws:
        server.pause()
        await ws.send("whoami")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(ws.recv(), 0.2)
        server.resume()
        assert await ws.recv() == f"whoami {server.pid}"


async def test_rooms(processes: Start) -> None:
    """The application does what it is told; settings arrive."""
    (server,) = processes(
        1, settings={"sockjs.max_message_size": 2048}, server={"shutdown_timeout": 5}
    )
    async with (
        connected(f"{server.url}/rooms", "websocket") as ada,
        connected(f"{server.url}/rooms", "websocket") as bob,
    ):
        for ws in (ada, bob):
            assert await ask(ws, "join kept-1") == "kept-1"
        assert await ask(ada, "members kept-1") == "2"
        assert await ask(bob, "echo a  b") == "a  b"
        await ada.send("say kept-1 good morning")
        assert await bob.recv() == "kept-1 good morning"
        assert {await ada.recv(), await ada.recv()} == {"kept-1 good morning", "say 2"}
        assert await ask(bob, "leave kept-1") == "kept-1"
        await ada.send("x" * 3000)
        with pytest.raises(ConnectionClosed, match="1009"):
            await ada.recv()
        await bob.send("close 4001 as asked")
        with pytest.raises(ConnectionClosed, match="4001 as asked"):
            while True:
                await bob.recv()


# Redis


def command(redis: RedisServer, line: str) -> str:
    """Give Redis one command in its inline form, and return the first bytes of its answer."""
    with closing(socket.create_connection(("127.0.0.1", redis.port), PATIENCE)) as connection:
        connection.sendall(f"{line}\r\n".encode())
        return connection.recv(1000).decode()


@pytest.mark.parametrize("redis_program", PROGRAMS)
def test_redis(redis: RedisServer) -> None:
    """It keeps what it is given until it is killed; then it is empty, at the same address."""
    assert command(redis, "SET key value") == "+OK\r\n"
    assert command(redis, "GET key") == "$5\r\nvalue\r\n"
    with closing(socket.socket(socket.AF_UNIX)) as connection:
        connection.connect(redis.unix_url.removeprefix("unix://"))
        connection.sendall(b"GET key\r\n")
        assert connection.recv(100) == b"$5\r\nvalue\r\n"
    redis.kill()
    with pytest.raises(ConnectionRefusedError):
        command(redis, "PING")
    redis.start()
    assert command(redis, "GET key") == "$-1\r\n"
    assert not [*redis.socket.parent.glob("*.rdb")]


def test_redis_stands_still(redis: RedisServer) -> None:
    redis.pause()
    with closing(socket.create_connection(("127.0.0.1", redis.port), 0.2)) as connection:
        connection.sendall(b"PING\r\n")
        with pytest.raises(TimeoutError):
            connection.recv(100)
        redis.resume()
        connection.settimeout(PATIENCE)
        assert connection.recv(100) == b"+PONG\r\n"


def test_redis_with_options(tmp_path) -> None:
    """As a test of wrong passwords needs them."""
    redis = RedisServer(tmp_path, "redis-server", "--requirepass", "secret")
    redis.start()
    try:
        assert command(redis, "PING").startswith("-NOAUTH")
    finally:
        redis.end()
    assert "Ready to accept connections" in redis.log
