"""What applications see of sessions that survive, and what the Python client does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from sockjs_bridge.client import (
    ConnectionClosed,
    Event,
    HandshakeError,
    ResumableConnection,
    connect,
    connect_sync,
)
from sockjs_bridge.testing import serve
from tests.integration.resume_support import App, Events
from tests.integration.support import PATIENCE
from tests.proxies.tcp import Proxy

WAYS = ["websocket", "xhr-streaming", "xhr-polling"]


@pytest.fixture
def app() -> App:
    return App(disconnect_delay=0.1, max_inbound=2)


@pytest.fixture
def url(app: App) -> Iterator[str]:
    with serve(app.wsgi) as url:
        yield url


@pytest.fixture(autouse=True)
async def bounded():
    async with asyncio.timeout(PATIENCE):
        yield


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("style", ["async", "blocking"])
async def test_views(url: str, style: str, way: str) -> None:
    async with connect(f"{url}/{style}", resume=True, transport=way) as ws:
        for text in "abc":
            await ws.send(text)
        assert [await ws.recv() for _ in "abc"] == [
            f"{ws.id}-{n} {t}" for n, t in enumerate("abc", 1)
        ]
        await ws.handled()
        assert ws.transport == way


@pytest.mark.parametrize("way", WAYS)
async def test_class_without_hooks_handles_all_at_once(url: str, way: str) -> None:
    async with connect(f"{url}/nothing", resume=True, transport=way) as ws:
        for _ in range(10):
            await ws.send("x")
        await ws.handled()


async def test_message_ids_in_a_class(app: App, url: str) -> None:
    async with connect(f"{url}/echo?tag=a", resume=True) as ws:
        await ws.send("one")
        await ws.send("two")
        await ws.handled()
    events = await app.journal.wait("a", "close")
    assert [event for event in events if event[0] == "message"] == [
        ("message", "one", f"{ws.id}-1", False),
        ("message", "two", f"{ws.id}-2", False),
    ]
    websocket = events[0][1]
    assert (websocket.message_id, websocket.repeated, websocket.suspended) == (None, False, False)


async def test_stock_clients_have_no_ids(app: App, url: str) -> None:
    async with connect(f"{url}/async") as ws:
        await ws.send("one")
        assert await ws.recv() == "None one"
    async with connect(f"{url}/echo?tag=s", transport="xhr-polling") as polling:
        await polling.send("one")
        assert await polling.recv() == "one"
    events = await app.journal.wait("s", "message")
    assert events[-1] == ("message", "one", None, False)
    assert events[0][1].suspended is False


@pytest.mark.parametrize("way", WAYS)
async def test_suspended_and_resumed(app: App, url: str, way: str) -> None:
    told = Events()
    async with Proxy(url) as proxy:
        target = f"{proxy.url}/echo?tag=a"
        async with connect(target, resume=True, transport=way, on_event=told) as ws:
            await ws.send("before")
            assert await ws.recv() == "before"
            hold(proxy)
            events = await app.journal.wait("a", "suspend")
            assert events[-1] == ("suspend", True, frozenset({"room"}))
            await told.wait("suspended")
            assert ws.suspended
            assert ws.transport is None
            # A suspended session stays in its rooms, and a stock client reaches it.
            async with connect(f"{url}/echo?tag=b") as other:
                await other.send("all ears")
                assert await other.recv() == "all ears"
            await ws.send("meanwhile")
            let_go(proxy)
            assert [await ws.recv(), await ws.recv()] == ["all ears", "meanwhile"]
            await app.journal.wait("a", "resume")
            assert not ws.suspended
    names = [event[0] for event in await app.journal.wait("a", "close")]
    assert names == ["open", "message", "suspend", "resume", "message", "close"]
    assert [event.name for event in told] == ["suspended", "resumed"]


def hold(proxy: Proxy) -> None:
    """Reset all connections of a proxy, and each new one."""
    proxy.refuses = True
    for link in [*proxy.links]:
        link.reset()


def let_go(proxy: Proxy) -> None:
    proxy.refuses = False


async def test_application_closes(url: str) -> None:
    for way in WAYS:
        async with connect(f"{url}/echo", resume=True, transport=way) as ws:
            await ws.send("close 4321")
            with pytest.raises(ConnectionClosed) as closed:
                await ws.recv()
            assert (closed.value.code, closed.value.reason) == (4321, "as asked")
            with pytest.raises(ConnectionClosed):
                await ws.send("late")
            with pytest.raises(ConnectionClosed):
                await anext(ws)


@pytest.mark.parametrize("way", WAYS)
async def test_client_closes(app: App, url: str, way: str) -> None:
    ws = await connect(f"{url}/echo?tag={way}", resume=True, transport=way)
    await ws.send("last")
    await ws.close(3999, "bye")
    events = await app.journal.wait(way, "close")
    assert events[1:] == [("message", "last", f"{ws.id}-1", False), ("close", 3999, "bye")]
    assert (ws.close_code, ws.close_reason) == (3999, "bye")
    # What its hook sent leaves before the end.
    assert [text async for text in messages_left(ws)] == ["last"]


async def messages_left(ws: ResumableConnection):
    while True:
        try:
            yield await ws.recv()
        except ConnectionClosed:
            return


async def test_bad_arguments(url: str) -> None:
    with pytest.raises(ValueError, match="known are auto, websocket, xhr-streaming, xhr-polling"):
        connect(url, resume=True, transport="jsonp-polling")
    async with connect(f"{url}/echo", resume=True) as ws:
        with pytest.raises(TypeError, match="a message is a str, not bytes"):
            await ws.send(b"x")
        with pytest.raises(ValueError, match="a message of more than"):
            await ws.send("x" * 70000)
        with pytest.raises(ValueError, match="a close code is"):
            await ws.close(1001)
        with pytest.raises(ValueError, match="123 bytes"):
            await ws.close(reason="x" * 124)


@pytest.mark.parametrize("way", ["auto", *WAYS])
async def test_denied(url: str, way: str) -> None:
    with pytest.raises((HandshakeError, ConnectionClosed)) as refused:
        await connect(f"{url}/members", resume=True, transport=way)
    error = refused.value
    assert error.status == 403 if isinstance(error, HandshakeError) else error.code == 4403
    headers = {"Authorization": "alice"}
    async with connect(f"{url}/members", resume=True, transport=way, headers=headers) as ws:
        await ws.send("x")
        assert await ws.recv() == "x"


@pytest.mark.parametrize("way", ["auto", *WAYS])
async def test_server_without_it(url: str, way: str) -> None:
    with pytest.raises(HandshakeError, match="no resumable sessions") as refused:
        await connect(f"{url}/off", resume=True, transport=way)
    assert refused.value.status == 404


async def test_nobody_there() -> None:
    with pytest.raises(TimeoutError, match="did not open in time"):
        await connect("http://127.0.0.1:1/echo", resume=True, open_timeout=0.1)


@pytest.mark.parametrize("way", WAYS)
async def test_reader_that_is_slow(url: str, way: str) -> None:
    async with connect(f"{url}/echo", resume=True, transport=way, max_queue=2) as ws:
        for number in range(50):
            await ws.send(f"{number}")
        assert [await ws.recv() for _ in range(50)] == [f"{number}" for number in range(50)]


async def test_server_that_forgets(app: App) -> None:
    """The process dies: what is lost is told, and what was not confirmed comes again."""
    told = Events()
    with serve(app.wsgi) as first:
        async with Proxy(first) as proxy:
            ws = await connect(
                f"{proxy.url}/echo?tag=a", resume=True, transport="xhr-polling", on_event=told
            )
            await ws.send("one")
            assert await ws.recv() == "one"
            await ws.handled()
            hold(proxy)
            await told.wait("suspended")
            await ws.send("two")
            other = App()
            with serve(other.wsgi) as second:
                proxy.lead_to(second)
                let_go(proxy)
                lost = await told.wait("lost")
                assert lost.number == 1
                assert await ws.recv() == "two"
                await ws.handled()
                events = await other.journal.wait("a", "message")
                assert events[-1][:3] == ("message", "two", f"{ws.id}-2")
                await told.wait("resumed")
                assert [event.name for event in told] == ["suspended", "lost", "resumed"]
                assert not ws.suspended
                await ws.close()


async def test_closed_while_it_waits_for_room(app: App, url: str) -> None:
    async with connect(f"{url}/patient", resume=True, max_unhandled=0) as ws:
        await ws.send("kept")
        waiting = [asyncio.create_task(ws.send("more")) for _ in range(2)]
        handled = asyncio.create_task(ws.handled())
        await asyncio.sleep(0)
        closing = asyncio.create_task(ws.close())
        await asyncio.sleep(0)
        app.release.set()
        await closing
        for task in waiting:
            with pytest.raises(ConnectionClosed):
                await task
        await handled


async def test_handled_where_it_ends_before(app: App, url: str) -> None:
    async with connect(f"{url}/patient", resume=True, close_timeout=0) as ws:
        await ws.send("x")
        waiting = asyncio.create_task(ws.handled())
        await asyncio.sleep(0)
        await ws.close(4001)
        for awaitable in (waiting, ws.handled()):
            with pytest.raises(ConnectionClosed) as closed:
                await awaitable
            assert closed.value.code == 4001
    app.release.set()


@asynccontextmanager
async def serving(app: App) -> AsyncIterator[str]:
    """Serve, and let clients of this loop go on while the server stops."""
    server = serve(app.wsgi, shutdown_timeout=20)
    url = await asyncio.to_thread(server.__enter__)
    try:
        yield url
    finally:
        await asyncio.to_thread(server.__exit__, None, None, None)


@pytest.mark.parametrize("way", WAYS)
async def test_server_that_leaves(way: str) -> None:
    """Drained, a client has lost and doubled nothing, and goes on at the next server."""
    told = Events()
    old, new = App(), App()
    async with serving(new) as second, AsyncExitStack() as stack:
        first = await stack.enter_async_context(serving(old))
        async with Proxy(first) as proxy:
            target = f"{proxy.url}/echo?tag=a"
            async with connect(target, resume=True, transport=way, on_event=told) as ws:
                await ws.send("one")
                assert await ws.recv() == "one"
                await ws.handled()
                proxy.lead_to(second)
                await stack.aclose()
                assert await told.wait("moved") == Event("moved")
                await ws.send("two")
                assert await ws.recv() == "two"
                await ws.handled()
                events = await new.journal.wait("a", "message")
                assert events[1:] == [("message", "two", f"{ws.id}-2", False)]
        assert [event.name for event in told] == ["moved"]


def test_without_awaiting(app: App) -> None:
    with serve(app.wsgi) as url:
        with connect_sync(f"{url}/echo") as ws:
            ws.send("a note")
            ws.handled(timeout=PATIENCE)
            assert ws.receive(timeout=PATIENCE) == "a note"
            with pytest.raises(TimeoutError):
                ws.receive(timeout=0.01)
            assert ws.connection.transport in WAYS
        ws.close()
        with pytest.raises(TypeError):
            connect_sync(f"{url}/echo", nothing=1)
