"""From any thread, any view, any task (issue 3, "Threads"), over the real server."""

from __future__ import annotations

import asyncio
import concurrent.futures
import itertools
import json
import logging
import resource
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any

import aiohttp
import pytest

from sockjs_bridge.client import TRANSPORTS, ConnectionClosed, connect
from sockjs_bridge.core.deadlines import Deadlines
from sockjs_bridge.testing import serve
from tests.integration.support import PATIENCE, Journal, closing, connected, until
from tests.pkgs import puppet_app

pytestmark = pytest.mark.integration

#: Seconds without a receiver after which a session is over: more than any test waits, however busy
#: the machine is.
NEVER = 600
# Section 8: jsonp only serves other origins, so it is on where one is allowed.
SETTINGS = {
    "sockjs.allowed_origins": "https://app.example.com",
    "sockjs.disconnect_delay": str(NEVER),
}
#: A message nearly as large as one may be.
BLOCK = "x" * 65_000
#: More of them than a connection holds: Linux lets buffers grow to some 35 MB.
BLOCKS = 600
VIEWS = ["view", "async_view"]
STYLES = [*VIEWS, "plain", "async"]
ASYNCHRONOUS = ["async_view", "async"]

every_transport = pytest.mark.parametrize("transport", TRANSPORTS)
every_style = pytest.mark.parametrize("style", STYLES)
two_transports = pytest.mark.parametrize("transport", ["websocket", "xhr-polling"])

_numbers = itertools.count()


class Puppets:
    """A served `puppet_app`, and what a test makes it do.

    Attributes:
        url: where it is served.
        journal: what was seen of each connection.
        sockjs: the application's real-time side.
    """

    def __init__(self, **settings: Any) -> None:
        self.journal = Journal()
        self.jobs: dict[str, Callable[[Any], object]] = {}
        app = puppet_app.main(journal=self.journal, jobs=self.jobs, **{**SETTINGS, **settings})
        self.app = app
        self.sockjs = app.registry.sockjs
        self.url = ""

    @contextmanager
    def served(self, **server: Any):
        with serve(self.app, **server) as self.url:
            yield self

    def job(self, function: Callable[[Any], object]) -> str:
        """Add something to do, and return its name."""
        name = f"job{next(_numbers)}"
        self.jobs[name] = function
        return name

    @asynccontextmanager
    async def client(self, style: str, transport: str = "websocket", **options: Any):
        """Connect; yields the client, the server's side of the connection, and its tag."""
        tag = f"tag{next(_numbers)}"
        async with connected(f"{self.url}/{style}?tag={tag}", transport, **options) as client:
            (opened,) = await self.journal.wait(tag, "open")
            yield client, opened[1], tag


@pytest.fixture(scope="module")
def shared():
    """One server for the tests that leave no trace on it."""
    with Puppets().served() as puppets:
        yield puppets


@pytest.fixture(autouse=True)
def short_repeat_window(monkeypatch):
    """A browser's silent repeat is not waited for: no client of these tests repeats."""
    monkeypatch.setattr(Deadlines, "REPEAT_WINDOW", 0.05)


def problems(caplog):
    """Return what was logged above INFO."""
    return [record.getMessage() for record in caplog.records if record.levelno > logging.INFO]


# Where code may run


async def in_page(puppets: Puppets, work: Callable[[], None]) -> None:
    name = puppets.job(lambda connection: work())
    async with aiohttp.ClientSession() as http, http.get(f"{puppets.url}/page?job={name}") as page:
        assert page.status == 200


async def in_style(style: str, puppets: Puppets, work: Callable[[], object]) -> None:
    name = puppets.job(lambda connection: work())
    async with puppets.client(style) as (client, _, _):
        await client.send(name)
        # The answer comes after it; what is broadcast to all, before.
        await client.send("done")
        while await client.recv() != "done":
            pass


async def in_another_task(puppets: Puppets, work: Callable[[], None]) -> None:
    async def worker() -> None:
        await asyncio.sleep(0)
        work()

    await in_style("async_view", puppets, lambda: asyncio.create_task(worker()))


async def in_to_thread(puppets: Puppets, work: Callable[[], None]) -> None:
    await in_style("async_view", puppets, lambda: asyncio.to_thread(work))


async def in_bare_thread(puppets: Puppets, work: Callable[[], None]) -> None:
    thread = threading.Thread(target=work)
    thread.start()
    await asyncio.to_thread(thread.join)


PLACES: dict[str, Callable[[Puppets, Callable[[], None]], Awaitable[None]]] = {
    "a page's view": in_page,
    "a blocking view": partial(in_style, "view"),
    "an async view": partial(in_style, "async_view"),
    "a plain hook": partial(in_style, "plain"),
    "an async hook": partial(in_style, "async"),
    "another task of an async view": in_another_task,
    "asyncio.to_thread": in_to_thread,
    "a bare thread": in_bare_thread,
}


async def run(puppets: Puppets, place: str, work: Callable[[], None]) -> None:
    """Have work done in a place; what it raises is raised here."""
    done: concurrent.futures.Future[None] = concurrent.futures.Future()

    def observed() -> None:
        try:
            work()
        except BaseException as error:
            done.set_exception(error)
        else:
            done.set_result(None)

    async with asyncio.timeout(PATIENCE):
        await PLACES[place](puppets, observed)
        await asyncio.wrap_future(done)


@pytest.mark.parametrize("place", PLACES)
@every_style
@two_transports
async def test_everything_from_everywhere(shared, caplog, place, style, transport):
    """send, close, broadcast, join and leave take effect, in the order of their calls."""
    room = f"room{next(_numbers)}"
    sockjs = shared.sockjs
    async with (
        shared.client(style, transport) as (client, target, _),
        shared.client("plain") as (bystander, other, _),
    ):

        def work() -> None:
            assert target.join(room)
            assert other.join(room)
            assert target.rooms == {room}
            assert sockjs.members(room) == [target, other]
            assert target.send("1") is True
            assert sockjs.broadcast("2", room=room) == 2
            assert sockjs.broadcast("not for the target", room=room, exclude=[target]) == 1
            assert target.send("3") is True
            assert target.leave(room) is True
            assert sockjs.broadcast("when the target has left", room=room) == 1
            for number in range(4, 50):
                if number % 2:
                    assert sockjs.broadcast(str(number), exclude=[other]) >= 1
                else:
                    assert target.send(str(number)) is True
            assert other.leave(room) is True
            assert room not in sockjs.rooms()
            target.close(4001, "that was it")
            assert target.send("too late") is False
            assert not target.join(room)
            with pytest.raises(TypeError):
                target.send(b"bytes")

        await run(shared, place, work)
        assert [await client.recv() for _ in range(1, 50)] == [str(n) for n in range(1, 50)]
        assert await closing(client) == (4001, "that was it")
        heard = [await bystander.recv() for _ in range(3)]
        assert heard == ["2", "not for the target", "when the target has left"]
    assert problems(caplog) == []


@two_transports
@every_style
async def test_order_of_each_sender(shared, style, transport):
    """Many send to one at once: what each has sent arrives whole and in its order."""
    count = 100
    room = f"room{next(_numbers)}"
    async with shared.client(style, transport) as (client, target, _):
        target.join(room)

        def work(name: str) -> None:
            for number in range(count):
                if number % 3:
                    assert target.send(f"{name} {number}")
                else:
                    assert shared.sockjs.broadcast(f"{name} {number}", room=room) == 1
                if number % 10 == 0:
                    # Lets the others have their turn.
                    time.sleep(0)

        async with asyncio.TaskGroup() as group:
            for place in PLACES:
                group.create_task(run(shared, place, partial(work, place)))
        heard = [await client.recv() for _ in range(count * len(PLACES))]
        for place in PLACES:
            mine = [text for text in heard if text.startswith(f"{place} ")]
            assert mine == [f"{place} {number}" for number in range(count)]


# A view that waits


@every_transport
@pytest.mark.parametrize("style", VIEWS)
@pytest.mark.parametrize("how", ["leaves", "close", "close by code that closes itself"])
async def test_blocked_receive_is_released(shared, transport, style, how):
    """A blocked receive() ends at once when the client leaves, and when somebody closes."""
    async with shared.client(style, transport) as (client, target, tag):
        if how == "leaves":
            await client.close(4002, "gone")
        elif how == "close":
            await asyncio.to_thread(target.close, 4001, "away with you")
        else:
            # A sequence of closes: the first one counts.
            await asyncio.to_thread(target.close, 4001, "away with you")
            await asyncio.to_thread(target.close, 4003, "once more")
        # No timer can have released it: `NEVER` is longer than the journal waits.
        events = await shared.journal.wait(tag, "close")
    if how != "leaves":
        expected = (4001, "away with you")
    elif "websocket" in transport:
        expected = (4002, "gone")
    else:
        expected = (1002, "Connection interrupted")
    assert events[-1] == ("close", *expected)


@every_transport
async def test_blocked_receives_are_released_at_the_stop(transport):
    """The server stops: every view that waits ends at once, with 3000."""
    puppets = Puppets()
    served = puppets.served(shutdown_timeout=30)
    served.__enter__()
    async with (
        puppets.client("view", transport) as (_, _, blocking),
        puppets.client("async_view", transport) as (_, _, asynchronous),
    ):
        start = time.monotonic()
        await asyncio.to_thread(served.__exit__, None, None, None)
        # A tenth of it is for clients between two polls.
        assert time.monotonic() - start < 30
        for tag in (blocking, asynchronous):
            assert puppets.journal.events(tag)[-1] == ("close", 3000, "Go away!")


# Fairness


@pytest.mark.parametrize("style", STYLES)
@two_transports
async def test_flood_does_not_starve_others(style, transport):
    """A session that is flooded works on, and others have their turn long before its end."""
    flood = 1000
    handled = itertools.count(1)
    begun = threading.Event()
    progress: list[int] = []
    seen: list[int] = []

    def work(connection):
        begun.set()
        # It keeps its thread, and on the loop everybody, but leaves the interpreter to the client.
        time.sleep(0.0002)
        progress.append(next(handled))

    # With one thread for the plain hooks of all: each of them waits for its turn.
    with Puppets(**{"sockjs.max_inbound": "10000"}).served(threads=1, hook_threads=1) as puppets:
        name = puppets.job(work)
        turn = puppets.job(lambda connection: seen.append(len(progress)))
        async with (
            puppets.client(style, transport) as (client, _, _),
            puppets.client(style) as (flooding, _, _),
        ):
            # In one frame of the wire: the server has them all before it handles the first.
            await flooding._websocket.send_str(json.dumps([name] * flood))
            await asyncio.to_thread(begun.wait, PATIENCE)
            await client.send(turn)
            await flooding.send("at last")
            assert await flooding.recv() == "at last"
            assert progress == list(range(1, flood + 1))
            assert [count < flood for count in seen] == [True]


# Slowness


@pytest.mark.parametrize("style", STYLES)
@two_transports
@pytest.mark.parametrize("behind", [0, 20], ids=["alone", "with messages behind it"])
async def test_slow_code_delays_its_own_session_only(monkeypatch, caplog, style, transport, behind):
    """The others go on, and the heartbeat calls no live client dead, its own included."""
    # Longer than a busy machine needs for a pong; the heartbeats below take longer.
    monkeypatch.setattr(Deadlines, "PONG_TIMEOUT", 3.0)
    go_on = threading.Event()
    slow = []

    def wait(connection):
        slow.append(style)
        if style in ASYNCHRONOUS:
            return asyncio.to_thread(go_on.wait, PATIENCE)
        return go_on.wait(PATIENCE)

    settings = {
        "sockjs.heartbeat_delay": "0.1",
        "sockjs.max_inbound": "2",
        "sockjs.max_queue_size": "4000000",
    }
    with Puppets(**settings).served(threads=2) as puppets:
        name = puppets.job(wait)
        async with (
            puppets.client(style, transport) as (client, target, tag),
            puppets.client(style) as (other, _, _),
            puppets.client("plain", transport) as (another, _, _),
        ):
            await client.send(name)
            await puppets.journal.wait(tag, "message")
            # Over a WebSocket so much that the server stops reading: no sign of life reaches it.
            filler = BLOCK if transport == "websocket" else ""
            texts = [f"{number} {filler}" for number in range(behind)]
            sending = [asyncio.create_task(client.send(text)) for text in texts]
            # On a WebSocket a page sees every second one: longer than a pong may take.
            beats = client.heartbeats + 20
            while client.heartbeats < beats:
                for friend in (other, another):
                    await friend.send("are you there?")
                    assert await friend.recv() == "are you there?"
                # Asking without a pause would take the time that other tests could have.
                await asyncio.sleep(0.02)
            assert not target.closed
            go_on.set()
            await asyncio.gather(*sending)
            await client.send("and on we go")
            answers = [await client.recv() for _ in range(behind + 1)]
            assert answers == [*texts, "and on we go"]
            assert slow == [style]
    assert problems(caplog) == []


# Many


@pytest.fixture
def many_files():
    """As many open files as the system lets us have, for a while."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4096
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"the system allows {hard} open files only")
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def side_by_side(function, arguments, width: int = 50) -> list[Any]:
    """Call an asynchronous function for each argument, some at a time."""
    places = asyncio.Semaphore(width)

    async def call(argument):
        async with places:
            return await function(argument)

    return await asyncio.gather(*map(call, arguments))


async def test_a_thousand_blocking_views(many_files, caplog):
    """Section 11: 1000 at once by default; the next is refused, and its place is given back."""
    puppets = Puppets()
    barrier = threading.Barrier(1001)
    name = puppets.job(lambda connection: barrier.wait(PATIENCE))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        with puppets.served(shutdown_timeout=10):
            url = f"{puppets.url}/view?tag="

            async def open_one(number):
                return await connect(f"{url}{number}", session=http, close_timeout=0.5)

            clients = await side_by_side(open_one, range(1000))
            for transport in ("websocket", "xhr-polling"):
                async with connected(f"{url}too_many", transport) as refused:
                    assert await closing(refused) == (4503, "Too many connections")
            assert puppets.journal.events("too_many") == []
            # All of them wait in their views at one time: the barrier takes no fewer.
            await asyncio.gather(*[client.send(name) for client in clients])
            await asyncio.to_thread(barrier.wait, PATIENCE)
            await asyncio.gather(*[client.send("hello") for client in clients])
            for client in clients:
                assert await client.recv() == "hello"
            assert puppets.sockjs.broadcast("all of you") == 1000
            for client in clients:
                assert await client.recv() == "all of you"
            # One goes, another comes.
            await clients[0].close()
            await puppets.journal.wait("0", "close")

            async def is_free():
                client = await open_one("again")
                await client.send("free?")
                try:
                    return client if await client.recv() == "free?" else None
                except ConnectionClosed:
                    return None

            async with asyncio.timeout(PATIENCE):
                while (client := await is_free()) is None:
                    pass
            await asyncio.gather(*[client.close() for client in (*clients, client)])
    texts = {text for text in problems(caplog) if "jobs wait" not in text}
    assert texts == {"/view: all threads for blocking views are taken"}


async def test_broadcast_of_which_some_die(many_files, caplog):
    """500 real connections, some of which break off in the midst of it: the others hear all."""
    count, rounds = 500, 12
    transports = ["websocket", "raw-websocket", "xhr-streaming", "xhr-polling"]
    puppets = Puppets()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        with puppets.served():

            async def open_one(number):
                style, transport = STYLES[number % 4], transports[number // 4 % 4]
                return await connect(
                    f"{puppets.url}/{style}?tag={number}",
                    transport=transport,
                    session=http,
                    close_timeout=0.5,
                )

            clients = await side_by_side(open_one, range(count))
            connections = []
            for number in range(count):
                ((_, connection),) = await puppets.journal.wait(str(number), "open")
                assert connection.join("everybody")
                connections.append(connection)
            dying, living = clients[::5], [c for n, c in enumerate(clients) if n % 5]
            # Who leaves between two polls is not missed in the time of a test.
            missed = [
                connections[number]
                for number in range(0, count, 5)
                if transports[number // 4 % 4] != "xhr-polling"
            ]
            halfway = threading.Event()

            def talk() -> list[int]:
                reached = []
                for number in range(rounds):
                    reached.append(puppets.sockjs.broadcast(f"{number}", room="everybody"))
                    if number == rounds // 2:
                        halfway.wait(PATIENCE)
                return reached

            talking = asyncio.create_task(asyncio.to_thread(talk))
            for client in dying:
                assert await client.recv() == "0"
            leaving = asyncio.gather(*[client.close() for client in dying])
            halfway.set()
            reached = await talking
            await leaving
            assert reached[0] == count
            for client in living:
                assert [await client.recv() for _ in range(rounds)] == [
                    str(number) for number in range(rounds)
                ]
            await until(lambda: all(connection.closed for connection in missed))
            members = puppets.sockjs.members("everybody")
            assert {*members}.isdisjoint(missed)
            assert {*members} >= {c for n, c in enumerate(connections) if n % 5}
            assert puppets.sockjs.broadcast("in the end", room="everybody") == len(members)
            for client in living:
                assert await client.recv() == "in the end"
            await asyncio.gather(*[client.close() for client in living])
            for connection in connections:
                connection.close()
            await until(lambda: puppets.sockjs.rooms() == [])
    assert [text for text in problems(caplog) if "jobs wait" not in text] == []


# Who keeps the loop


async def stands_still(puppets: Puppets, style: str, work: Callable[[Any], object]) -> None:
    name = puppets.job(work)
    async with puppets.client(style) as (client, _, _):
        await client.send(name)
        await client.send("done")
        assert await client.recv() == "done"


#: Seconds that are a standstill here, and longer than that: a busy machine takes no second away.
STANDSTILL, BLOCKED = 1.0, 1.2


@pytest.fixture
def long_standstill(monkeypatch):
    """Only what blocks on purpose stands still for so long."""
    monkeypatch.setattr("sockjs_bridge.pyramid.debug.STANDSTILL", STANDSTILL)


@pytest.mark.usefixtures("long_standstill")
@pytest.mark.parametrize("style", ASYNCHRONOUS)
@pytest.mark.parametrize("debug", ["true", "false"])
async def test_blocking_call_on_the_loop(caplog, style, debug):
    """With sockjs.debug it is logged by the view's dotted name; without, it is nobody's business"""
    with Puppets(**{"sockjs.debug": debug}).served() as puppets:
        await stands_still(puppets, style, lambda connection: time.sleep(BLOCKED))
    name = {"async_view": "async_view", "async": "Async"}[style]
    texts = [text for text in problems(caplog) if "blocked the event loop" in text]
    assert len(texts) == (debug == "true")
    assert all(text.startswith(f"tests.pkgs.puppet_app.{name} blocked") for text in texts)


@pytest.mark.usefixtures("long_standstill")
async def test_waiting_is_not_blocking(caplog):
    """Neither who awaits is logged, nor who blocks a thread that is there for it."""
    with Puppets(**{"sockjs.debug": "true"}).served() as puppets:
        await asyncio.gather(
            *[
                stands_still(puppets, style, lambda _: asyncio.sleep(BLOCKED))
                for style in ASYNCHRONOUS
            ],
            stands_still(puppets, "async", lambda _: asyncio.to_thread(time.sleep, BLOCKED)),
            *[
                stands_still(puppets, style, lambda _: time.sleep(BLOCKED))
                for style in ("view", "plain")
            ],
        )
    assert problems(caplog) == []


# A client that reads slowly


@pytest.fixture(scope="module")
def endless():
    """A server where a stream ends with its client only."""
    with Puppets(**{"sockjs.response_limit": "100000000"}).served() as puppets:
        yield puppets


@pytest.fixture(scope="module")
def impatient():
    """The same, where who does not poll is forgotten, but not before a producer waits."""
    settings = {"sockjs.disconnect_delay": "8", "sockjs.response_limit": "100000000"}
    with Puppets(**settings).served() as puppets:
        yield puppets


def producer(puppets: Puppets, style: str, tag: str) -> Callable[[Any], object]:
    """Return what sends more than anybody may owe, and waits whenever the client does not read.

    It says when it had to wait long, and how it ended.
    """

    def produce(connection):
        try:
            for number in range(BLOCKS):
                assert connection.send(f"{number} {BLOCK}")
                try:
                    connection.drain(timeout=0.3)
                except TimeoutError:
                    puppets.journal.record(tag, "waits", number)
                    connection.drain()
            puppets.journal.record(tag, "produced")
        except ConnectionClosed:
            puppets.journal.record(tag, "broke off")
            raise

    async def produce_on_the_loop(connection):
        try:
            for number in range(BLOCKS):
                assert connection.send(f"{number} {BLOCK}")
                try:
                    async with asyncio.timeout(0.3):
                        await connection.drain()
                except TimeoutError:
                    puppets.journal.record(tag, "waits", number)
                    await connection.drain()
            puppets.journal.record(tag, "produced")
        except ConnectionClosed:
            puppets.journal.record(tag, "broke off")
            raise

    return produce if style == "view" else produce_on_the_loop


@pytest.mark.parametrize("style", ["view", "async_view", "async"])
@pytest.mark.parametrize("transport", ["websocket", "xhr-streaming", "xhr-polling"])
@pytest.mark.parametrize("then", ["reads on", "leaves"])
async def test_drain(endless, impatient, caplog, style, transport, then):
    """A producer waits for a client that stops reading, until that goes on or leaves."""
    # One that polls leaves by not coming back.
    puppets = impatient if then == "leaves" else endless
    async with puppets.client(style, transport, max_queue=1) as (client, _, tag):
        await client.send(puppets.job(producer(puppets, style, tag)))
        events = await puppets.journal.wait(tag, "waits")
        assert ("produced",) not in events
        if then == "leaves":
            await client.close()
            await puppets.journal.wait(tag, "broke off")
            await puppets.journal.wait(tag, "close")
        else:
            for number in range(BLOCKS):
                message = await client.recv()
                assert message == f"{number} {BLOCK}"
            await puppets.journal.wait(tag, "produced")
            await client.send("and on we go")
            assert await client.recv() == "and on we go"
    assert problems(caplog) == []
