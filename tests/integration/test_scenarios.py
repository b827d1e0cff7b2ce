"""What users live on, over every transport: our client and our server, on real sockets.

Each scenario is written once, and runs over each transport by parametrisation.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import random
import threading
from collections.abc import Callable, Iterable

import aiohttp
import pytest

from sockjs_bridge.client import TRANSPORTS, Connection, ConnectionClosed, HandshakeError, connect
from sockjs_bridge.client.wire import HTTP_TRANSPORTS
from sockjs_bridge.core.deadlines import Deadlines
from tests.pkgs.scenario_app import LATE, PATIENCE, served
from tests.proxies.reset import ResettingProxy
from tests.selection import FULL

pytestmark = pytest.mark.integration

HTTP = list(HTTP_TRANSPORTS)
STREAMING = ["xhr-streaming", "eventsource", "htmlfile"]

each_transport = pytest.mark.parametrize("transport", TRANSPORTS)
each_http = pytest.mark.parametrize("transport", HTTP)


def random_texts(seed: int, count: int, longest: int) -> list[str]:
    """Make numbered messages of random sizes, of characters that careless framing harms."""
    chances = random.Random(seed)
    alphabet = "abc xyz%41\"'\\\n\0<>/[],é\u2028\uffff\U0001f600"
    return [
        f"{number}:" + "".join(chances.choices(alphabet, k=chances.randrange(longest)))
        for number in range(count)
    ]


async def take(ws: Connection, count: int) -> list[str]:
    """Receive a number of messages."""
    async with asyncio.timeout(PATIENCE):
        return [await ws.recv() for _ in range(count)]


async def send_all(ws: Connection, texts: Iterable[str]) -> None:
    """Send messages one after another."""
    for text in texts:
        await ws.send(text)


async def closing(ws: Connection) -> tuple[list[str], tuple[int, str]]:
    """Receive what is left, and return it with the code and reason of the end."""
    messages = []
    try:
        async with asyncio.timeout(PATIENCE):
            while True:
                messages.append(await ws.recv())
    except ConnectionClosed as closed:
        return messages, (closed.code, closed.reason)


def run_in_threads(functions: Iterable[Callable[[], object]]) -> None:
    """Run functions side by side, to their ends."""
    threads = [threading.Thread(target=function) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()


def receiving_requests(caplog: pytest.LogCaptureFixture, transport: str) -> int:
    """Count the requests that received, by the access log."""
    suffix = f"/{HTTP_TRANSPORTS[transport].path}?"
    return sum(suffix in record.getMessage() for record in caplog.records)


@each_transport
async def test_order_both_ways(transport: str) -> None:
    """Many messages of random sizes each way, at the same time, arrive once and in order."""
    count = 500 if FULL else 100
    up, down = random_texts(1, count, 1000), random_texts(2, count, 1000)
    with served() as server:
        async with connect(server.endpoint("desk", "a"), transport=transport) as ws:
            there = await asyncio.to_thread(server.desk.connection, "a")

            def push() -> None:
                for number, text in enumerate(down):
                    there.send(text)
                    # In step with the client, so that both directions are busy to the end.
                    server.desk.wait("a", "message", number)

            pushing = asyncio.create_task(asyncio.to_thread(push))
            sending = asyncio.create_task(send_all(ws, up))
            assert await take(ws, count) == down
            await asyncio.gather(sending, pushing)
            assert await asyncio.to_thread(server.desk.messages, "a", count) == up


@each_transport
async def test_bursts_across_the_response_limit(
    transport: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Bursts of many times `response_limit` arrive once and in order, over many responses."""
    caplog.set_level("INFO", "sockjs_bridge.access")
    with served(response_limit=4096) as server:
        async with connect(server.endpoint("desk", "a"), transport=transport) as ws:
            there = await asyncio.to_thread(server.desk.connection, "a")
            for burst in range(4):
                texts = random_texts(burst, 100, 600)
                for text in texts:
                    there.send(text)
                assert await take(ws, 100) == texts
    if transport in HTTP:
        assert receiving_requests(caplog, transport) > 10


@each_transport
async def test_many_sessions(transport: str) -> None:
    """50 sessions at once: each sees its own messages, all of them, and no other's."""
    count = 20 if FULL else 5
    with served() as server:

        async def one(name: int) -> None:
            texts = [f"{name}/{number}" for number in range(count)]
            async with connect(server.endpoint("echo", str(name)), transport=transport) as ws:
                await all_open.wait()
                sending = asyncio.create_task(send_all(ws, texts))
                assert await take(ws, count) == texts
                await sending
                assert await asyncio.to_thread(server.desk.messages, str(name), count) == texts

        all_open = asyncio.Barrier(50)
        await asyncio.gather(*map(one, range(50)))


@each_transport
async def test_slow_consumer(transport: str) -> None:
    """A client that stops reading is closed with 4008; meanwhile and afterwards others go on."""
    block = "x" * 8192
    with served(max_queue_size=131072) as server:
        # The client takes one message and reads no further until it is asked to.
        url = server.endpoint("echo", "slow")
        async with (
            connect(url, transport=transport, max_queue=1) as slow,
            connect(server.endpoint("echo", "quick"), transport=transport) as quick,
        ):
            there = await asyncio.to_thread(server.desk.connection, "slow")
            sent = 0
            while there.send(f"{sent}:{block}"):
                sent += 1
                assert sent < 8192, "64 MB, and nobody says stop"
                if sent % 16 == 0:
                    # In step with the loop of the server, which else sees a single burst.
                    await quick.send(str(sent))
                    assert await take(quick, 1) == [str(sent)]
            closed = await asyncio.to_thread(server.desk.wait, "slow", "close")
            assert closed == [(4008, "Slow consumer")]
            received, end = await closing(slow)
            assert end == (4008, "Slow consumer")
            # What had left before the end came whole, without a gap.
            numbers = [int(text.partition(":")[0]) for text in received]
            assert numbers == list(range(len(numbers)))
            await quick.send("still here")
            assert await take(quick, 1) == ["still here"]
        assert len(server.desk.events("slow", "close")) == 1


@each_transport
@pytest.mark.parametrize("endpoint", ["desk", "blocking"])
async def test_slow_handler(transport: str, endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind a slow handler reading stops, nothing is lost, and heartbeats take it for alive."""
    # Longer than a busy machine needs for a pong; the heartbeats below take longer.
    monkeypatch.setattr(Deadlines, "PONG_TIMEOUT", 3.0)
    # A WebSocket's client is held up only when the kernel's buffers on the way are full.
    count = 30 if transport in HTTP else 700
    texts = [f"{number}:" + "x" * 60_000 for number in range(count)]
    with served(max_inbound=4, heartbeat_delay=0.1) as server:
        url = server.endpoint(endpoint, "a")
        async with (
            connect(url, transport=transport) as ws,
            connect(server.endpoint("echo")) as other,
        ):
            await asyncio.to_thread(server.desk.connection, "a")
            server.desk.gate.clear()
            try:
                sending = asyncio.create_task(send_all(ws, texts))
                (session,) = server.sessions(endpoint)
                await asyncio.to_thread(server.eventually, lambda: session.awaited)
                # Another session of the same age tells when time-outs have had their time. Over
                # HTTP no pong is due.
                beats = 2 if transport in HTTP else 20
                async with asyncio.timeout(PATIENCE):
                    while other.heartbeats < beats:
                        await asyncio.sleep(0.01)
                assert session.awaited
                assert not sending.done()
                # The four, and what the first held in its hands.
                assert session.messages_in <= 6
                assert ws.close_code is None
            finally:
                server.desk.gate.set()
            assert await asyncio.to_thread(server.desk.messages, "a", count) == texts
            await sending
            there = await asyncio.to_thread(server.desk.connection, "a")
            there.send("alive")
            assert await take(ws, 1) == ["alive"]
        assert len(await asyncio.to_thread(server.desk.wait, "a", "close")) == 1


@each_http
async def test_expiry(transport: str) -> None:
    """A client that does not come back is given up after `disconnect_delay`; told once."""
    with served(disconnect_delay=LATE, response_limit=1) as server:
        url = server.endpoint("desk", "a")
        # Every response ends after a frame, and with its queue full the client asks for no more.
        async with connect(url, transport=transport, max_queue=1) as ws:
            there = await asyncio.to_thread(server.desk.connection, "a")
            there.send("the last that it hears")
            closed = await asyncio.to_thread(server.desk.wait, "a", "close")
            assert closed == [(1006, "Session timed out")]
            await asyncio.to_thread(server.wait_over, "desk")
            assert not there.send("too late")
            # Too late it comes back, and finds another session under the old id.
            assert await closing(ws) == (
                ["the last that it hears"],
                (1006, "Server lost session"),
            )
        await asyncio.to_thread(server.desk.wait, "a", "close", 2)
        assert len(server.desk.events("a", "open")) == 2
        await asyncio.to_thread(server.wait_over, "desk")
    assert len(server.desk.events("a", "close")) == 2


@pytest.mark.parametrize("transport", STREAMING)
async def test_responses_end_by_age(transport: str, caplog: pytest.LogCaptureFixture) -> None:
    """Receivers come and go by `response_max_age`; a steady flow loses and doubles nothing."""
    caplog.set_level("INFO", "sockjs_bridge.access")
    with served(response_max_age=0.1) as server:
        async with connect(server.endpoint("desk", "a"), transport=transport) as ws:
            there = await asyncio.to_thread(server.desk.connection, "a")
            stop = threading.Event()
            sent = itertools.count()

            def push() -> None:
                while not stop.wait(0.001):
                    there.send(str(next(sent)))

            pushing = asyncio.create_task(asyncio.to_thread(push))
            received: list[str] = []
            async with asyncio.timeout(PATIENCE):
                while receiving_requests(caplog, transport) < 10:
                    received.append(await ws.recv())
            stop.set()
            await pushing
            count = next(sent)
            received += await take(ws, count - len(received))
            assert received == [str(number) for number in range(count)]
    assert len(server.desk.events("a", "open")) == 1


@each_transport
async def test_vanishing_client(transport: str) -> None:
    """A client whose connections are reset midway: told once and soon, and others go on."""
    with served(disconnect_delay=LATE) as server:
        async with (
            ResettingProxy(server.url) as proxy,
            connect(server.endpoint("echo", "other"), transport=transport) as other,
            connect(f"{proxy.url}/echo?tag=a", transport=transport) as ws,
        ):
            await ws.send("hello")
            assert await take(ws, 1) == ["hello"]
            await asyncio.to_thread(server.wait_attached, "echo")
            there = await asyncio.to_thread(server.desk.connection, "a")
            proxy.vanish()
            # Over HTTP a browser could repeat its request, which is waited for.
            lost = (1002, "Connection interrupted") if transport in HTTP else (1006, "")
            assert await asyncio.to_thread(server.desk.wait, "a", "close") == [lost]
            assert not there.send("too late")
            await other.send("undisturbed")
            assert await take(other, 1) == ["undisturbed"]
            await asyncio.to_thread(server.eventually, lambda: len(server.sessions("echo")) == 1)
        assert len(server.desk.events("a", "open")) == 1
        assert len(server.desk.events("a", "close")) == 1


@each_transport
async def test_max_sessions(transport: str) -> None:
    """Beyond `max_sessions` a client is answered 503; when a session has ended, it may come."""
    with served(max_sessions=2, disconnect_delay=LATE) as server:
        url = server.endpoint("echo")
        async with connect(url, transport=transport) as first:
            second = await connect(url, transport=transport)
            with pytest.raises(HandshakeError) as refused:
                await connect(url, transport=transport)
            assert refused.value.status == 503
            await second.close()
            await asyncio.to_thread(server.eventually, lambda: len(server.sessions("echo")) < 2)
            async with connect(url, transport=transport) as third:
                for ws in (first, third):
                    await ws.send("in")
                    assert await take(ws, 1) == ["in"]


@pytest.mark.parametrize("origin", ["view", "thread", "session"])
async def test_broadcast(origin: str) -> None:
    """A broadcast from a page's view, a thread or a session's hook reaches every transport."""
    texts = random_texts(3, 50, 200)
    with served() as server:
        async with contextlib.AsyncExitStack() as stack:
            url = server.endpoint("broadcast", "a")
            listeners = [
                await stack.enter_async_context(connect(url, transport=transport))
                for transport in TRANSPORTS
            ]
            await asyncio.to_thread(server.desk.wait, "a", "open", len(TRANSPORTS))
            if origin == "view":
                async with aiohttp.ClientSession() as http:
                    for text in texts:
                        await http.post(f"{server.url}/announce", data=text.encode())
            elif origin == "session":
                await send_all(listeners[0], texts)
            else:
                manager = server.desk.connection("a").manager
                await asyncio.to_thread(lambda: [*map(manager.broadcast, texts)])
            for ws in listeners:
                assert await take(ws, len(texts)) == texts


@each_transport
async def test_many_threads(transport: str) -> None:
    """Eight threads send to one client: nothing is lost, and each thread's order is kept."""
    with served() as server:
        async with connect(server.endpoint("desk", "a"), transport=transport) as ws:
            there = await asyncio.to_thread(server.desk.connection, "a")

            def sender(name: int) -> Callable[[], object]:
                return lambda: [there.send(json.dumps([name, number])) for number in range(200)]

            running = asyncio.create_task(asyncio.to_thread(run_in_threads, map(sender, range(8))))
            received = [json.loads(text) for text in await take(ws, 1600)]
            await running
            for name in range(8):
                assert [number for by, number in received if by == name] == list(range(200))


async def test_server_stops() -> None:
    """When the server stops, a client on any transport gets c[3000,"Go away!"]."""
    with contextlib.ExitStack() as serving:
        server = serving.enter_context(served())
        async with contextlib.AsyncExitStack() as stack:
            clients = [
                await stack.enter_async_context(
                    connect(server.endpoint("echo", transport), transport=transport)
                )
                for transport in TRANSPORTS
            ]
            for transport in TRANSPORTS:
                await asyncio.to_thread(server.desk.connection, transport)
            await asyncio.to_thread(server.wait_attached, "echo")
            stopping = asyncio.create_task(asyncio.to_thread(serving.close))
            for ws in clients:
                assert await closing(ws) == ([], (3000, "Go away!")), ws.transport
            await stopping
    for transport in TRANSPORTS:
        assert server.desk.events(transport, "close") == [(3000, "Go away!")]


@each_transport
async def test_no_session_begins_when_the_server_stops(transport: str) -> None:
    """A request that the stop overtook is answered 503: it begins no session that nobody ends."""
    with served() as server:
        endpoints = server.app.registry.sockjs.endpoints
        async with connect(server.endpoint("echo"), transport=transport) as ws:
            await asyncio.to_thread(server.wait_attached, "echo")
            # The first half of a stop; after the second, no request comes through any more.
            endpoints.clock.call_from_thread(lambda: list(endpoints.hub.close(3000, "Go away!")))
            assert (await closing(ws))[1] == (3000, "Go away!")
            with pytest.raises(HandshakeError) as refused:
                await connect(server.endpoint("echo", "late"), transport=transport)
            assert refused.value.status == 503
    assert server.desk.events("late", "open") == []
