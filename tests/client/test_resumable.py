"""The Python client whose session survives, against a peer that does what each test tells it."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer
from yarl import URL

from sockjs_bridge.client import ConnectionClosed, Event, HandshakeError, connect
from sockjs_bridge.client.network import Network, retry_after
from sockjs_bridge.client.resume.links import Link, Post
from sockjs_bridge.client.resume.policy import Way

WELCOME = 'r{"from":1,"received":0,"window":60,"heartbeat":25,"spread":5,"net":"","limit":65536}\n'
PATIENCE = 40.0

Answer = Callable[["Peer", web.Request, dict[str, Any]], Awaitable[web.StreamResponse]]


class Peer:
    """Serves ``/echo/~r1/…``: to each receive request the next answer, and none where none is left.

    Attributes:
        url: of the endpoint.
        answers: the bodies of responses, or statuses, or functions that make them.
        sending: functions that answer the first sends.
        asked: the bodies of the receive requests so far.
        sent: the bodies of the sends so far.
        sessions: the sessions' ids in the URLs.
        leaving: set at its end.
    """

    def __init__(self) -> None:
        self.url = ""
        self.answers: list[str | int | Answer] = []
        self.sending: list[Answer] = []
        self.asked: list[dict[str, Any]] = []
        self.sent: list[dict[str, Any]] = []
        self.sessions: set[str] = set()
        self.leaving = asyncio.Event()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        self.sessions.add(request.match_info["session"])
        transport = request.match_info["transport"]
        body = json.loads(await request.text() or "{}")
        if transport == "xhr_send":
            self.sent.append(body)
            if self.sending:
                return await self.sending.pop(0)(self, request, body)
            arrived = body.get("first", 1) + len(body.get("messages", [])) - 1
            return web.json_response({"arrived": arrived, "received": arrived})
        self.asked.append(body)
        if not self.answers:
            await self.leaving.wait()
            return web.Response(status=503)
        answer = self.answers.pop(0)
        if isinstance(answer, int):
            return web.Response(status=answer, headers={"Retry-After": "0"})
        if isinstance(answer, str):
            return web.Response(text=answer)
        return await answer(self, request, body)


@pytest_asyncio.fixture
async def peer() -> AsyncIterator[Peer]:
    peer = Peer()
    app = web.Application()
    app.router.add_route("*", "/echo/~r1/{session}/{transport}", peer.serve)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    peer.url = f"http://127.0.0.1:{runner.addresses[0][1]}/echo"
    async with asyncio.timeout(PATIENCE):
        yield peer
    peer.leaving.set()
    await runner.cleanup()


def polling(peer: Peer, **options: Any) -> Any:
    return connect(peer.url, resume=True, transport="xhr-polling", **options)


async def websocket_that_says(text: str) -> Answer:
    async def converse(peer: Peer, request: web.Request, body: object) -> web.StreamResponse:
        websocket = web.WebSocketResponse()
        await websocket.prepare(request)
        await websocket.send_str(text)
        await websocket.receive()
        return websocket

    return converse


@pytest.mark.parametrize("way", ["auto", "websocket", "xhr-streaming", "xhr-polling"])
async def test_stock_server(peer: Peer, way: str) -> None:
    """It takes ``~r1`` for one of its server ids, and begins a session of its own."""
    prelude = "h" * 2048 + "\n" if way == "xhr-streaming" else ""
    peer.answers = [f"{prelude}o\n"]
    if way in ("auto", "websocket"):
        peer.answers = [await websocket_that_says("o")]
    with pytest.raises(HandshakeError, match="no resumable sessions") as refused:
        await connect(peer.url, resume=True, transport=way)
    assert refused.value.status == 404


async def test_messages_until_the_end(peer: Peer) -> None:
    peer.answers = [WELCOME, 'r{"from":1,"received":0}\na["a","b"]\n', 'c[1000,"bye"]\n']
    async with polling(peer) as ws:
        assert [message async for message in ws] == ["a", "b"]
        assert peer.sessions == {ws.session_id}
    assert (ws.close_code, ws.close_reason) == (1000, "bye")


async def test_closed_before_it_opened(peer: Peer) -> None:
    peer.answers = ['c[2010,"full"]\n']
    with pytest.raises(ConnectionClosed) as closed:
        await polling(peer)
    assert (closed.value.code, closed.value.reason) == (2010, "full")


async def test_denied_once_it_is_open(peer: Peer) -> None:
    told: list[Event] = []
    peer.answers = [WELCOME, 403]
    async with polling(peer, on_event=told.append) as ws:
        with pytest.raises(ConnectionClosed) as closed:
            await ws.recv()
    assert closed.value.code == 4403
    assert told == [Event("denied", status=403)]


async def test_history_that_does_not_reach_back(peer: Peer) -> None:
    told: list[Event] = []
    missed = 'r{"at":0,"missed":[["K","notes"],["L","news"]]}\n'
    peer.answers = [f'{WELCOME}{missed}a["a"]\n']
    async with polling(peer, on_event=told.append, close_timeout=0) as ws:
        assert await ws.recv() == "a"
    assert told == [Event("missed", rooms=("notes", "news"))]


async def test_server_that_is_not_there_yet(peer: Peer) -> None:
    peer.answers = [503, 502, WELCOME]
    async with polling(peer, close_timeout=0) as ws:
        assert [body["request"] for body in peer.asked][:3] == [1, 2, 3]
        assert ws._network.failure == "HTTP status 502"


async def test_line_without_an_end(peer: Peer) -> None:
    """It is not kept: the connection ends, and the next one is asked."""
    peer.answers = ["a" * 300, WELCOME]
    async with connect(
        peer.url, resume=True, transport="xhr-streaming", max_size=200, close_timeout=0
    ):
        assert [body["request"] for body in peer.asked][:2] == [1, 2]


async def test_compressed_answer_is_none(peer: Peer) -> None:
    """A little of it could be lines for minutes, in which nothing else happens."""
    asked: list[str] = []

    async def compressed(peer: Peer, request: web.Request, body: object) -> web.StreamResponse:
        asked.append(request.headers["Accept-Encoding"])
        bomb = gzip.compress(WELCOME.encode() + b"h\n" * 1_000_000)
        return web.Response(body=bomb, headers={"Content-Encoding": "gzip"})

    peer.answers = [compressed, WELCOME]
    async with polling(peer, close_timeout=0):
        assert [body["request"] for body in peer.asked][:2] == [1, 2]
    assert asked == ["identity"]


async def test_line_in_small_pieces(peer: Peer) -> None:
    async def dripping(peer: Peer, request: web.Request, body: object) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for byte in f'{WELCOME}a["x"]\na["y"]\n'.encode():
            await response.write(bytes([byte]))
        return response

    peer.answers = [dripping]
    async with polling(peer, close_timeout=0) as ws:
        assert [await ws.recv(), await ws.recv()] == ["x", "y"]


async def test_session_of_the_caller(peer: Peer) -> None:
    peer.answers = [WELCOME]
    async with aiohttp.ClientSession() as http:
        async with polling(peer, session=http, close_timeout=0):
            pass
        assert not http.closed
    with pytest.raises(TimeoutError, match="did not open in time: Session is closed"):
        await polling(peer, session=http, open_timeout=0.1)


async def test_connection_that_ends_while_nobody_reads(peer: Peer) -> None:
    """What is written then goes nowhere; it goes again once somebody reads."""
    aborted = asyncio.Event()
    got: list[object] = []

    async def first(peer: Peer, request: web.Request, body: object) -> web.StreamResponse:
        websocket = web.WebSocketResponse()
        await websocket.prepare(request)
        await websocket.receive()
        await websocket.send_str(WELCOME.strip())
        await websocket.send_str('a["a","b"]')
        await websocket.receive()
        assert request.transport is not None
        request.transport.abort()
        aborted.set()
        return websocket

    async def second(peer: Peer, request: web.Request, body: object) -> web.StreamResponse:
        websocket = web.WebSocketResponse()
        await websocket.prepare(request)
        hello = await websocket.receive_json()
        got.extend(hello["messages"])
        await websocket.send_str('r{"from":3,"received":0}')
        await websocket.send_str(f'r{{"at":2,"received":{len(got)}}}')
        await websocket.receive()
        return websocket

    peer.answers = [first, second]
    async with connect(
        peer.url, resume=True, transport="websocket", max_queue=1, close_timeout=0
    ) as ws:
        await ws.send("0")
        await aborted.wait()
        sent = ["0"]
        for number in range(1, 100):
            sent.append(str(number))
            await ws.send(sent[-1])
            await asyncio.sleep(0)
        assert [await ws.recv(), await ws.recv()] == ["a", "b"]
        await ws.handled()
        assert got == sent


async def test_websocket_that_is_sent_elsewhere_gets_no_key(peer: Peer) -> None:
    """A server that asks for another one, whoever that is, does not make it this session's."""
    heard: list[str] = []

    async def elsewhere(request: web.Request) -> web.WebSocketResponse:
        websocket = web.WebSocketResponse()
        await websocket.prepare(request)
        heard.append("asked")
        heard.extend([message.data async for message in websocket])
        return websocket

    async def away(peer: Peer, request: web.Request, body: dict[str, Any]) -> web.Response:
        if len(heard) >= 2:
            return web.Response(status=403)
        return web.Response(status=307, headers={"Location": str(other.make_url("/"))})

    app = web.Application()
    app.router.add_get("/", elsewhere)
    async with TestServer(app) as other:
        peer.answers += [away] * 3
        with pytest.raises(HandshakeError, match="403"):
            await connect(peer.url, resume=True, transport="websocket")
    assert heard == ["asked", "asked"]


async def test_refusal_elsewhere_is_none_of_this_session(peer: Peer) -> None:
    async def away(peer: Peer, request: web.Request, body: dict[str, Any]) -> web.Response:
        return web.Response(status=307, headers={"Location": f"{peer.url}/~r1/{'x' * 22}/xhr"})

    peer.answers += [away, 401, 403]
    with pytest.raises(HandshakeError, match="403"):
        await connect(peer.url, resume=True, transport="websocket")


async def test_answer_without_an_end_is_dropped(peer: Peer) -> None:
    """What answers a send is some counts: no server fills the memory by it."""

    async def endless(peer: Peer, request: web.Request, body: dict[str, Any]) -> web.Response:
        response = web.StreamResponse()
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            while True:
                await response.write(b" " * 65536)
        return web.Response()

    peer.sending.append(endless)
    peer.answers.append(WELCOME)
    async with polling(peer, close_timeout=0) as connection:
        await connection.send("a")
        await connection.handled()
    assert len(peer.sent) >= 2


@pytest.mark.parametrize("way", list(Way))
async def test_what_is_begun_while_it_stops_does_nothing(peer: Peer, way: Way) -> None:
    """What is dropped may tell the core so, which begins others."""
    async with aiohttp.ClientSession() as http:
        network = Network(http, URL(peer.url), {}, None)
        await network.stop()
        network.open(Link(way, "s" * 22, 0.0))
        network.post(Post("s" * 22, {}, 0.0))
        begun = [*network._tasks]
        assert await asyncio.gather(*begun) == [None, None]
    assert (peer.asked, peer.sent) == ([], [])


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("", 0.0),
        ("Fri, 31 Dec 2027 23:59:59 GMT", 0.0),
        ("-1", 0.0),
        ("7", 7.0),
        ("86400", 3600.0),
        ("9" * 4000, 3600.0),
    ],
)
def test_wait_that_a_server_asks_for_is_bounded(value: str, seconds: float) -> None:
    assert retry_after(value) == seconds
