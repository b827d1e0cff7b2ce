"""The Python client against a SockJS server that is not ours: the PyPI package `sockjs` 0.13."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
import sockjs
from aiohttp import web

from sockjs_bridge.client import (
    TRANSPORTS,
    Connection,
    ConnectionClosed,
    HandshakeError,
    connect,
)

pytestmark = [
    pytest.mark.interop,
    # The package keeps its managers in the application under a plain string.
    pytest.mark.filterwarnings("ignore::aiohttp.web_exceptions.NotAppKeyWarning"),
]

PATIENCE = 40.0
"""Seconds after which a test gives up waiting for what must happen."""

each_transport = pytest.mark.parametrize("transport", TRANSPORTS)
each_framed = pytest.mark.parametrize("transport", [t for t in TRANSPORTS if t != "raw-websocket"])

TEXTS = {
    "empty array": "[]",
    "accents": "áéíóů – ž",
    "astral": "\U0001f600",
    "quotes": "\"'\\/",
    "controls": "\0\r\n\t\x7f",
    "line separators": "\u2028\u2029\u200c",
    "noncharacters": "\ufff0\uffff",
    "percent": "%41 %25 100%",
    "lone surrogate": "\ud800",
    "end of script": "</script>",
}

UNFIT = {
    ("percent", "eventsource"): "the package does not encode % in events",
    ("lone surrogate", "raw-websocket"): "a WebSocket text is UTF-8",
    ("end of script", "htmlfile"): "the package does not escape </ in scripts",
}


async def act(
    manager: sockjs.SessionManager, session: sockjs.Session, message: sockjs.SockjsMessage
) -> None:
    """Do what a message says; echo it if it says nothing."""
    if message.type is not sockjs.MsgType.MESSAGE:
        return
    match str(message.data).split(" ", 2):
        case ["close", code, reason]:
            session.close(int(code), reason)
        case ["vanish"]:
            assert session.request is not None
            session.request.transport.abort()
        case ["count", number]:
            for n in range(int(number)):
                session.send(str(n))
        case _:
            session.send(message.data)


@pytest_asyncio.fixture
async def url() -> AsyncIterator[str]:
    app = web.Application()
    sockjs.add_endpoint(app, act, name="act", prefix="/act")
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}/act"
    finally:
        await runner.cleanup()


async def within(awaitable: Any) -> Any:
    async with asyncio.timeout(PATIENCE):
        return await awaitable


async def receive(ws: Connection, number: int) -> list[str]:
    async with asyncio.timeout(PATIENCE):
        return [await ws.recv() for _ in range(number)]


@pytest.mark.parametrize(
    ("transport", "text"),
    [
        pytest.param(transport, text, id=f"{transport}-{name}")
        for transport in TRANSPORTS
        for name, text in TEXTS.items()
        if (name, transport) not in UNFIT
    ],
)
async def test_texts_come_back_as_they_were(url: str, transport: str, text: str) -> None:
    async with connect(url, transport=transport) as ws:
        await within(ws.send(text))
        assert await receive(ws, 1) == [text]


async def test_unescaped_percent_is_decoded_as_browsers_do(url: str) -> None:
    """Section "Receiving transports": a server that forgets %25 turns `%41` into `A`."""
    async with connect(url, transport="eventsource") as ws:
        await within(ws.send("%41"))
        assert await receive(ws, 1) == ["A"]


@each_transport
async def test_order_of_many_messages_there_and_back(url: str, transport: str) -> None:
    texts = [str(number) for number in range(200)]
    async with connect(url, transport=transport) as ws:
        await within(asyncio.gather(*(ws.send(text) for text in texts)))
        assert await receive(ws, 200) == texts


@each_transport
async def test_order_of_many_messages_from_the_server(url: str, transport: str) -> None:
    async with connect(url, transport=transport) as ws:
        await within(ws.send("count 200"))
        assert await receive(ws, 200) == [str(number) for number in range(200)]


@each_framed
async def test_stream_longer_than_one_response(url: str, transport: str) -> None:
    """The package ends a streaming response after 128 KiB."""
    async with connect(url, transport=transport) as ws:
        for number in range(5):
            text = str(number) * 50_000
            await within(ws.send(text))
            assert await receive(ws, 1) == [text]


@each_framed
async def test_close_code_and_reason_of_the_server(url: str, transport: str) -> None:
    async with connect(url, transport=transport) as ws:
        await within(ws.send("close 4001 that was it"))
        with pytest.raises(ConnectionClosed) as caught:
            await within(ws.recv())
        assert (caught.value.code, caught.value.reason) == (4001, "that was it")


async def test_close_of_a_raw_websocket(url: str) -> None:
    """The package closes each with 1000 "Go away!", whatever the application said."""
    async with connect(url, transport="raw-websocket") as ws:
        await within(ws.send("close 4001 that was it"))
        assert [text async for text in ws] == []
        assert (ws.close_code, ws.close_reason) == (1000, "Go away!")


@each_transport
async def test_server_that_vanishes(url: str, transport: str) -> None:
    async with connect(url, transport=transport) as ws:
        try:
            await within(ws.send("vanish"))
            await within(ws.recv())
        except ConnectionClosed as closed:
            assert closed.code == 1006
        else:
            pytest.fail("the connection lived on")


@each_transport
async def test_handshake_refused(url: str, transport: str) -> None:
    with pytest.raises(HandshakeError) as caught:
        await within(connect(url + "-not", transport=transport))
    assert caught.value.status == 404


@pytest.mark.parametrize("transport", ["xhr-polling", "xhr-streaming", "eventsource"])
async def test_second_receiver_is_told_so(url: str, transport: str) -> None:
    """Section "Sessions": `c[2010,…]` for the newcomer, and the first one stays untouched."""
    async with connect(url, transport="xhr-streaming", session_id="twice") as ws:
        with pytest.raises(ConnectionClosed) as caught:
            await within(connect(url, transport=transport, session_id="twice"))
        assert (caught.value.code, caught.value.reason) == (2010, "Another connection still open")
        assert ws.close_code is None


@pytest.mark.parametrize("transport", ["xhr-polling", "xhr-streaming", "eventsource"])
async def test_cookie_of_the_server_is_kept(url: str, transport: str) -> None:
    async with connect(url, transport=transport) as ws:
        assert ws.response_headers["Set-Cookie"].startswith("JSESSIONID=dummy;")
