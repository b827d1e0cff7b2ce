"""What clients hear of rooms over three real processes, whatever breaks, is one history."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from typing import Any

import pytest

from sockjs_bridge import publish
from sockjs_bridge.client import ConnectionClosed, Event, ResumableConnection, connect
from sockjs_bridge.client.resume.links import Link
from tests.cluster.histories import Log, SharedHistory, WrongHistory
from tests.cluster.processes import Processes, Server
from tests.cluster.redisproxy import RedisProxy
from tests.cluster.redisserver import RedisServer
from tests.proxies.programs import Program
from tests.server.support import until

Start = Callable[..., Processes]
Balance = Callable[[Processes, str], Program]

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

ROOMS = ["kept-1", "kept-2", "kept-3"]
TRANSPORTS = ["websocket", "xhr-streaming", "xhr-polling", "auto"] * 2
#: How many messages each client says while something breaks: less than a room's history all told.
SAID = 40
#: Seconds that each of these may take on a busy machine.
STEP = 120.0


class Client:
    """One that is in two rooms, talks there, and whose log is checked.

    Attributes:
        ws: its connection.
        rooms: where it is.
        log: what it has heard, and in which order.
        texts: the same messages.
        wrong: what was found to be wrong with it.
        events: the names of those that the connection told.
    """

    ws: ResumableConnection

    def __init__(self, name: str, rooms: list[str], history: SharedHistory) -> None:
        self.rooms = rooms
        self.log = Log(history)
        self.texts: set[str] = set()
        self.wrong: list[WrongHistory] = []
        self.events: list[str] = []
        self._name = name
        self._tasks: set[asyncio.Task[None]] = set()
        self._numbers = itertools.count()
        self._homes: asyncio.Queue[int] = asyncio.Queue()

    def told(self, event: Event) -> None:
        """Take an event of the connection: in a new session the application joins anew."""
        self.events.append(event.name)
        if event.name in ("lost", "moved"):
            self._tasks.add(asyncio.create_task(self.join()))

    async def join(self) -> None:
        for room in self.rooms:
            await self.ws.send(f"join {room}")

    async def begin(self) -> None:
        self._listen()
        self._tasks.add(asyncio.create_task(self._receive()))
        await self.join()
        # Each room tells where it is once this client is heard there.
        await until(lambda: len(self.log.positions) == len(self.rooms))

    async def _receive(self) -> None:
        with suppress(ConnectionClosed):
            while True:
                command, _, answer = (await self.ws.recv()).partition(" ")
                if command == "whoami":
                    self._homes.put_nowait(int(answer))

    async def home(self) -> int:
        """Return the id of the process that has the session."""
        await self.ws.send("whoami")
        return await self._homes.get()

    def _listen(self) -> None:
        """Have the log get what the client takes of what comes: links bring some of it twice."""
        core: Any = self.ws._core
        take = core.line

        def line(link: Link, text: str) -> None:
            current = not link.over and link.session == core.session
            place = (link.number or 0) > core.counts.received
            before, gaps = core.counts.received, core._missed
            take(link, text)
            if not current:
                return
            fresh = core.counts.received - before
            if text[0] == "a" and fresh:
                self._hear("a" + json.dumps(json.loads(text[1:])[-fresh:]))
            elif text[0] == "p":
                room, position, messages = json.loads(text[1:])
                epoch, _, number = position.rpartition("-")
                if fresh:
                    first = int(number) + len(messages) - fresh
                    self._hear("p" + json.dumps([room, f"{epoch}-{first}", messages[-fresh:]]))
                    self.texts.update(messages[-fresh:])
                elif not messages and place:
                    self._hear(text)
            elif text.startswith('r{"missed"'):
                told = [[key, name] for key, name, *_ in json.loads(text[1:])["missed"]]
                if core._missed - gaps:
                    self._hear("r" + json.dumps({"missed": told}, separators=(",", ":")))

        core.line = line

    def _hear(self, line: str) -> None:
        try:
            self.log.line(line)
        except WrongHistory as error:
            self.wrong.append(error)

    async def talk(self, some: asyncio.Event) -> None:
        """Say messages, each when the one before is handled; tell when some are said."""
        for number in range(SAID):
            room = self.rooms[number % len(self.rooms)]
            await self.ws.send(f"say {room} {self._name} {next(self._numbers)}")
            await self.ws.handled()
            if number >= SAID // 4:
                some.set()

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


class Crowd:
    """All clients.

    Args:
        url: of the balancer.
        redis: where markers are published, past the proxy.
    """

    def __init__(self, url: str, redis: RedisServer) -> None:
        self._url = url
        self._redis = redis
        self._stack = AsyncExitStack()
        self._markers = itertools.count()
        history = SharedHistory()
        self.clients = [
            Client(f"client{number}", [*ROOMS[number % 3 :], *ROOMS][:2], history)
            for number in range(len(TRANSPORTS))
        ]

    async def __aenter__(self) -> Crowd:
        for client, transport in zip(self.clients, TRANSPORTS, strict=True):
            client.ws = await self._stack.enter_async_context(
                connect(
                    f"{self._url}/rooms", resume=True, transport=transport, on_event=client.told
                )
            )
            self._stack.push_async_callback(client.end)
            await client.begin()
        await self.caught_up()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stack.aclose()

    async def goes_through(self, what: Callable[[], Awaitable[object]]) -> list[str]:
        """Have all talk while something happens; check what they hear.

        Returns:
            The names of rooms of which a gap was told.
        """
        before = [len(client.log.missed) for client in self.clients]
        some = asyncio.Event()
        async with asyncio.timeout(STEP), asyncio.TaskGroup() as group:
            for client in self.clients:
                group.create_task(client.talk(some))
            await some.wait()
            await what()
        await self.caught_up()
        return sorted(
            client.log.names[key]
            for client, count in zip(self.clients, before, strict=True)
            for key in client.log.missed[count:]
        )

    async def home(self, number: int, processes: Processes) -> Server:
        """Return the process that has a client's session."""
        pid = await self.clients[number].home()
        return next(server for server in processes if server.pid == pid)

    async def caught_up(self) -> None:
        """Wait until all have heard what is said last in their rooms."""
        number = next(self._markers)
        for room in ROOMS:
            await asyncio.to_thread(publish, self._redis.url, room, f"{room} marker {number}")
        for client in self.clients:
            for room in client.rooms:
                marker = f"{room} marker {number}"
                await until(lambda known=client.texts, marker=marker: marker in known)
        assert [client.wrong for client in self.clients] == [[]] * len(self.clients)


@pytest.fixture
async def proxy(redis: RedisServer) -> AsyncIterator[RedisProxy]:
    proxy = RedisProxy(redis.port)
    await proxy.start()
    yield proxy
    await proxy.close()


async def restart(server: Server) -> None:
    server.start()
    await asyncio.to_thread(server.wait)


async def kill(server: Server) -> None:
    await asyncio.to_thread(server.kill)
    await restart(server)


async def test_one_history(
    processes: Start, balance: Balance, redis: RedisServer, proxy: RedisProxy
) -> None:
    """Places follow one another in each client's log, and no gap need be told of what Redis has."""
    settings = {"sockjs.cluster": proxy.url, "sockjs.cluster_lease": 2}
    three = await asyncio.to_thread(
        processes, 3, settings=settings, server={"shutdown_timeout": 4}, unix=True
    )
    url = (await asyncio.to_thread(balance, three, "haproxy")).url

    async def cut() -> None:
        for _ in range(5):
            proxy.cut()
            await crowd.caught_up()

    async def delay() -> None:
        proxy.delay = 0.2
        await crowd.caught_up()
        proxy.delay = 0.0

    async def kill_home() -> None:
        await kill(await crowd.home(0, three))

    async def kill_front() -> None:
        # A poll goes anywhere.
        home = await crowd.home(TRANSPORTS.index("xhr-polling"), three)
        await kill(next(server for server in three if server is not home))

    async def stand_still() -> None:
        home = await crowd.home(0, three)
        name = crowd.clients[0].ws._core.home.removeprefix("-")
        other = next(server for server in three if server is not home)
        home.pause()
        dead = f"process {name} takes no part any more"
        await asyncio.to_thread(other.process.wait_for, dead)
        home.resume()
        await asyncio.to_thread(home.process.wait_for, "this process takes part again")

    async def roll() -> None:
        for server in three:
            server.terminate()
            assert await asyncio.to_thread(server.process.exit_code) == 0
            await restart(server)

    async def lose_all() -> None:
        await asyncio.to_thread(redis.kill)
        await asyncio.to_thread(redis.start)

    async with Crowd(url, redis) as crowd:
        for what in (cut, delay, kill_home, kill_front, stand_still, roll):
            assert await crowd.goes_through(what) == [], what.__name__
        # Its home was killed, and was told to end.
        assert {"lost", "moved"} <= {*crowd.clients[0].events}
        # A Redis that comes back empty is told of in each room.
        assert {*await crowd.goes_through(lose_all)} == {*ROOMS}
