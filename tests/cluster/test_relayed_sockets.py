"""WebSockets of ``~r1`` at another process than their session's."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from socket import SO_RCVBUF, SO_SNDBUF, SOL_SOCKET
from typing import Any

import aiohttp
import pytest

from sockjs_bridge.cluster.link import Link
from sockjs_bridge.cluster.streams import WINDOW, Stream
from sockjs_bridge.server.relayed import RelayedConnection, RelayedTransport
from sockjs_bridge.server.relayedsocket import RelayedSocket
from tests.cluster.inprocess import Node, nodes, one_more, request
from tests.conformance.resumable import token
from tests.server.support import PATIENCE, until

UPGRADE = (
    *("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"),
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
)


class Relayed:
    """A WebSocket at a front, whose session is at home; says hello at first."""

    def __init__(self, home: Node, front: Node, websocket: Any, target: str, key: str) -> None:
        self.home = home
        self.front = front
        self.websocket = websocket
        self.target = target
        self._key = key

    async def hello(self, number: int) -> dict[str, Any]:
        await self.websocket.send_json({"key": self._key, "request": number, "received": 0})
        line = await self.line()
        assert line[:2] == "r{", line
        return dict(json.loads(line[1:]))

    async def line(self) -> str:
        return str(await self.websocket.receive_str(timeout=PATIENCE))

    async def texts(self, count: int) -> list[str]:
        found: list[str] = []
        while len(found) < count:
            line = await self.line()
            if line[0] == "a":
                found += json.loads(line[1:])
        return found

    @property
    def socket(self) -> RelayedSocket:
        """The front's end."""
        [found] = [
            each for each in self.front.runner._activity.connections if type(each) is RelayedSocket
        ]
        return found

    @property
    def transport(self) -> RelayedTransport:
        """The home's end."""
        [found] = [
            each.flow._transport
            for each in self.home.runner._activity.connections
            if type(getattr(each, "flow", None) and each.flow._transport) is RelayedTransport
        ]
        return found


@asynccontextmanager
async def relayed() -> AsyncIterator[Relayed]:
    session, key = token(), token()
    async with nodes(2) as (home, front), aiohttp.ClientSession() as http:
        body = json.dumps({"key": key, "request": 1, "received": 0, "new": True}).encode()
        welcome = await home.ask("POST", f"/echo/~r1/{session}/xhr", body)
        name = json.loads(welcome.body.splitlines()[0][1:])["home"]
        assert name == home.cluster.node
        target = f"/echo/~r1-{name}/{session}/websocket"
        url = f"http://127.0.0.1:{front.port}{target}"
        async with http.ws_connect(url, max_msg_size=0) as websocket:
            client = Relayed(home, front, websocket, target, key)
            assert (await client.hello(2))["from"] == 1
            yield client


async def test_messages_go_both_ways() -> None:
    async with relayed() as client:
        for number in range(1, 101):
            await client.websocket.send_json([f"{number}"])
        assert await client.texts(100) == [f"{number}" for number in range(1, 101)]
        assert len(client.home.sessions) == 1 and not client.front.sessions
        await client.websocket.close()
        await until(lambda: not client.front.runner._activity.count)


async def test_slow_application_stops_its_client() -> None:
    async with relayed() as client:
        transport, stream = client.transport, client.socket._stream
        transport.pause_reading()
        assert not transport.is_reading()
        text = "x" * 10_000
        count = 2 * WINDOW // len(text)
        sending = asyncio.create_task(send(client, text, count))
        await until(lambda: stream.paused)
        assert client.socket.flow._holds
        transport.resume_reading()
        await sending
        assert await client.texts(count) == [text] * count
        assert not client.socket.flow._holds


async def test_slow_client_stops_its_session() -> None:
    async with relayed() as client:
        session, transport = client.home.sessions[0], client.transport
        connection = client.websocket._response.connection
        connection.transport.pause_reading()
        count = 0
        while transport.get_write_buffer_size() == 0:
            session.send("x" * 60_000)
            count += 1
            assert count < 1000
            await asyncio.sleep(0)
        assert transport.get_write_buffer_size() > WINDOW
        connection.transport.resume_reading()
        texts = await client.texts(count)
        assert [len(text) for text in texts] == [60_000] * count
        await until(lambda: transport.get_write_buffer_size() == 0)


async def test_client_that_reads_nothing_for_a_while() -> None:
    """More than its system takes: its front holds some, and reads nothing of it meanwhile."""
    async with relayed() as client:
        session, socket = client.home.sessions[0], client.socket
        connection = client.websocket._response.connection
        connection.transport.pause_reading()
        for transport, option in (
            (socket.flow._transport, SO_SNDBUF),
            (connection.transport, SO_RCVBUF),
        ):
            transport.get_extra_info("socket").setsockopt(SOL_SOCKET, option, 16384)
        text, count = "x" * 60_000, 0
        while not socket.flow.paused:
            if not client.transport.get_write_buffer_size():
                session.send(text)
                count += 1
                assert count < 1000
            await asyncio.sleep(0)
        await client.websocket.send_json(["meanwhile"])
        await until(lambda: socket.flow._holds)
        # As it does by itself from time to time.
        link = socket._stream._link
        assert isinstance(link, Link)
        link.tick()
        connection.transport.resume_reading()
        texts = await client.texts(count)
        assert [len(each) for each in texts] == [60_000] * count
        assert await client.texts(1) == ["meanwhile"]
        await until(lambda: not socket.flow._holds)
        # All of it was taken, and the home knows, but for what it is told later.
        link.tick()
        await until(lambda: not socket._untaken)
        assert client.transport._stream.waiting < WINDOW


async def test_home_that_has_taken_too_little_yet() -> None:
    async with relayed() as client:
        transport, stream = client.transport, client.socket._stream
        transport.pause_reading()
        text, count = "x" * 10_000, 2 * WINDOW // 10_000
        sending = asyncio.create_task(send(client, text, count))
        await until(lambda: stream.paused)
        # It hears of a byte, and goes on to wait.
        stream.acknowledged(1)
        assert stream.paused and client.socket.flow._holds
        stream.waiting += 1
        transport.resume_reading()
        await sending
        assert await client.texts(count) == [text] * count


async def send(client: Relayed, text: str, count: int) -> None:
    for _ in range(count):
        await client.websocket.send_json([text])


async def test_front_that_drops_its_client() -> None:
    """The session waits for it, as after any other end."""
    async with relayed() as client:
        client.socket.abort()
        message = await client.websocket.receive(timeout=PATIENCE)
        assert message.type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)
        await until(lambda: not client.home.runner._activity.count)
        assert len(client.home.sessions) == 1


async def test_frames_that_come_with_the_handshake() -> None:
    async with relayed() as client:
        reader, writer = await client.front.connect()
        try:
            # A close frame, masked with zeros.
            writer.write(request("GET", client.target, headers=UPGRADE) + b"\x88\x80\0\0\0\0")
            heard = await asyncio.wait_for(reader.read(), PATIENCE)
            assert heard.startswith(b"HTTP/1.1 101 ")
            assert heard.endswith(b"\r\n\r\n\x88\x02\x03\xe8")
        finally:
            writer.close()


async def test_requests_to_other_homes_end_with_the_handshake() -> None:
    """The connection is the WebSocket's alone then."""
    async with relayed() as client:
        other = client.home
        async with one_more(client.front) as third:
            await third.ask("POST", "/echo/000/abc/xhr")
            reader, writer = await client.front.connect()
            try:
                writer.write(request("POST", "/echo/000/abc/xhr_send", b'["x"]'))
                head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)
                assert head[9:12] == b"204"
                assert relayed_connections(third) == 1
                before = relayed_connections(other)
                writer.write(request("GET", client.target, headers=UPGRADE))
                head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)
                assert head[9:12] == b"101"
                await until(lambda: not relayed_connections(third))
                assert relayed_connections(other) == before
            finally:
                writer.close()


def relayed_connections(node: Node) -> int:
    """How many connections a process has whose sockets are another one's; WebSockets' are not."""
    return sum(type(each) is RelayedConnection for each in node.runner._activity.connections)


async def test_slow_client_is_seen_to_take_some() -> None:
    """Before its connection is writable again: whoever reads slowly is not dropped."""
    async with relayed() as client:
        transport, socket = client.transport, client.socket
        # As if so much were on its way, which the client's system has taken meanwhile.
        socket._untaken = 1000
        transport._stream.waiting += 1000
        waiting = transport._stream.waiting

        def all_seen() -> bool:
            socket.ticked()
            return not socket._untaken and transport._stream.waiting <= waiting - 1000

        await until(all_seen)


async def test_front_that_says_nothing_of_what_its_client_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The home drops the connection in time, and holds no more than a window for it."""
    async with relayed() as client:
        session, stream = client.home.sessions[0], client.transport._stream
        monkeypatch.setattr(Stream, "acknowledged", lambda self, size: None)
        client.transport.get_protocol().flow.patience = 0.2
        for _ in range(12):
            session.send("x" * 60_000)
            await asyncio.sleep(0)
        assert WINDOW < stream.waiting < 2 * WINDOW + 60_000
        await until(lambda: stream.over)
        assert client.home.sessions == [session]


async def test_client_that_leaves() -> None:
    async with relayed() as client:
        session = client.home.sessions[0]
        client.websocket._response.connection.transport.abort()
        await until(lambda: not client.home.runner._activity.count)
        # The session waits for its client.
        assert client.home.sessions == [session]


async def test_client_that_half_closes() -> None:
    async with relayed() as client:
        client.websocket._response.connection.transport.write_eof()
        await until(lambda: not client.front.runner._activity.count)
        await until(lambda: not client.home.runner._activity.count)


async def test_link_that_breaks() -> None:
    async with relayed() as client:
        client.home.cluster._links.close()
        message = await client.websocket.receive(timeout=PATIENCE)
        assert message.type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)
        assert len(client.home.sessions) == 1


async def test_front_that_stops() -> None:
    """The client hears that it is to come again; its session lives on."""
    async with relayed() as client:
        stopping = asyncio.create_task(client.front.stop())
        message = await client.websocket.receive(timeout=PATIENCE)
        assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1001)
        await stopping
        assert len(client.home.sessions) == 1


async def test_handshake_that_is_refused() -> None:
    """The connection is HTTP's again."""
    async with relayed() as client:
        reader, writer = await client.front.connect()
        try:
            upgrade = (
                *("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"),
                "Sec-WebSocket-Key: none",
            )
            writer.write(request("GET", client.target, headers=upgrade))
            async with asyncio.timeout(PATIENCE):
                head = await reader.readuntil(b"\r\n\r\n")
                assert head[9:12] == b"400"
                size = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
                await reader.readexactly(size)
                writer.write(request("GET", "/whoami"))
                assert (await reader.readuntil(b"\r\n\r\n"))[9:12] == b"200"
        finally:
            writer.close()


async def test_client_that_half_closes_before_the_handshake_is_answered() -> None:
    async with relayed() as client:
        reader, writer = await client.front.connect()
        try:
            writer.write(request("GET", client.target, headers=UPGRADE))
            writer.write_eof()
            try:
                heard = await asyncio.wait_for(reader.read(), PATIENCE)
            except ConnectionError:
                heard = b""
            # As at home: no frame can come.
            assert heard == b"" or heard.startswith(b"HTTP/1.1 101 ")
        finally:
            writer.close()
