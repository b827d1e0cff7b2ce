"""Who does not read is not read from, and who takes nothing is dropped (flow.py)."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pyramid.config import Configurator
from pyramid.response import Response

from sockjs_bridge import WebSocketSession
from sockjs_bridge.core.clock import DeadlineWheel
from sockjs_bridge.server import websocket
from sockjs_bridge.server.flow import BEHIND, GATHERED, UNREAD, Flow
from sockjs_bridge.server.loop import LoopClock
from sockjs_bridge.server.options import ServerOptions
from sockjs_bridge.server.runner import Runner
from tests.server.support import PATIENCE, until
from tests.server.wire import HANDSHAKE, OPEN, Unplugged, frame
from tests.support import HandClock

# The object by itself


class Pipe(asyncio.Transport):
    """A transport that is told what it holds."""

    def __init__(self) -> None:
        super().__init__({})
        self.size = 0
        self.reading = True
        self.done: list[str] = []
        self.writes: list[bytes] = []

    def write(self, data: Any) -> None:
        assert not self.done
        self.writes.append(data)

    def get_write_buffer_size(self) -> int:
        return self.size

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def is_closing(self) -> bool:
        return bool(self.done)

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.done.append("eof")

    def close(self) -> None:
        self.done.append("close")

    def abort(self) -> None:
        self.done.append("abort")


class Desk:
    """A flow, and what it is made of."""

    def __init__(self) -> None:
        self.clock = HandClock()
        self.pipe = Pipe()
        self.flow = Flow(self.pipe, self.clock, DeadlineWheel(self.clock))
        self.flow.patience = 15

    def spend(self, seconds: float, take: int = 0) -> None:
        """Let time pass; the peer takes so many bytes in each second of it."""
        for _ in range(int(seconds)):
            self.pipe.size = max(0, self.pipe.size - take)
            self.clock.advance(1)


def test_reading_has_reasons_not_to() -> None:
    desk = Desk()
    desk.flow.hold(UNREAD)
    desk.flow.hold(BEHIND)
    desk.flow.let_go(UNREAD)
    assert not desk.pipe.reading
    desk.flow.let_go(BEHIND)
    assert desk.pipe.reading


def test_who_resumes_what_he_has_not_paused() -> None:
    """aiohttp may have paused it too, or may resume what it must not."""
    desk = Desk()
    desk.flow.let_go(UNREAD)
    desk.flow.hold(UNREAD)
    desk.flow.let_go(UNREAD, resume=False)
    assert not desk.pipe.reading
    desk.flow.hold(UNREAD)
    desk.pipe.resume_reading()
    desk.flow.hold(UNREAD)
    assert not desk.pipe.reading


def test_what_is_gathered_leaves_in_one_write() -> None:
    desk = Desk()
    desk.flow.gather()
    desk.flow.write(b"a")
    desk.flow.write(b"b")
    assert desk.pipe.writes == []
    desk.flow.release()
    desk.flow.write(b"c")
    assert desk.pipe.writes == [b"ab", b"c"]


def test_not_much_is_gathered() -> None:
    """So that a peer that reads nothing is seen to."""
    desk = Desk()
    desk.flow.gather()
    desk.flow.write(bytes(GATHERED + 1))
    desk.flow.write(b"more")
    assert desk.pipe.writes == [bytes(GATHERED + 1), b"more"]


@pytest.mark.parametrize("end", ["close", "leave", "abort"])
def test_what_is_gathered_at_the_end(end: str) -> None:
    desk = Desk()
    desk.flow.gather()
    desk.flow.write(b"last words")
    getattr(desk.flow, end)(*[1.0] if end == "leave" else [])
    desk.flow.release()
    assert desk.pipe.writes == ([] if end == "abort" else [b"last words"])


@pytest.mark.parametrize("transport", ["websocket", "xhr_streaming"])
async def test_a_session_opens_in_one_write(transport: str) -> None:
    """The response's head and the first frame."""
    async with Unplugged() as server:
        wire = server.connect()
        opening = OPEN.replace(b"xhr", transport.encode())
        wire.feed(HANDSHAKE if transport == "websocket" else opening)
        await server.quiet()
        assert wire.written.startswith(b"HTTP/1.1 ")
        assert wire.written.endswith((b"\x81\x01o", b"2\r\no\n\r\n"))
        assert wire.writes == 1


def test_peer_that_takes_nothing() -> None:
    desk = Desk()
    desk.pipe.size = 100_000
    desk.flow.pause_writing()
    desk.spend(14)
    assert desk.pipe.done == []
    desk.spend(6)
    assert desk.pipe.done == ["abort"]


def test_peer_that_takes_little() -> None:
    desk = Desk()
    desk.pipe.size = 100_000
    desk.flow.pause_writing()
    desk.spend(300, take=1)
    assert desk.pipe.done == []
    desk.spend(20)
    assert desk.pipe.done == ["abort"]


def test_peer_to_whom_as_much_is_written_as_it_takes() -> None:
    """What is on its way does not become less then; but the transport told that it was taken."""
    desk = Desk()
    desk.pipe.size = 100_000
    for _ in range(60):
        desk.flow.pause_writing()
        desk.spend(1)
        desk.flow.resume_writing()
    assert desk.pipe.done == []


def test_nothing_is_looked_at_where_nothing_waits() -> None:
    desk = Desk()
    desk.pipe.size = 100_000
    desk.flow.pause_writing()
    desk.spend(100, take=50_000)
    assert desk.pipe.done == []
    assert desk.flow.deadline() is None
    assert desk.clock.timers == []


def test_close_of_a_connection_whose_peer_takes_nothing() -> None:
    desk = Desk()
    desk.pipe.size = 10
    desk.flow.close()
    assert desk.pipe.done == ["close"]
    desk.spend(20)
    assert desk.pipe.done == ["close", "abort"]


@pytest.mark.parametrize("last", [False, True])
def test_leave(last: bool) -> None:
    """The time counts from the last byte that was taken."""
    desk = Desk()
    desk.pipe.size = 30
    desk.flow.leave(5, last=last)
    desk.spend(30, take=1)
    assert desk.pipe.done == ["eof"] * last
    desk.spend(8)
    assert desk.pipe.done == [*["eof"] * last, "abort"]


async def test_leave_of_a_peer_that_has_reset_the_connection() -> None:
    """The system knows it before the loop does."""
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        peer = socket.create_connection(listener.getsockname())
        connection, _ = listener.accept()
    transport, _ = await loop.create_connection(asyncio.Protocol, sock=connection)
    clock = LoopClock(loop)
    flow = Flow(transport, clock, DeadlineWheel(clock))
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()
    flow.leave(5, last=True)
    flow.abort()


def test_nothing_is_done_with_a_connection_that_is_over() -> None:
    desk = Desk()
    desk.flow.watch()
    desk.flow.lost()
    for call in (desk.flow.watch, desk.flow.close, desk.flow.abort):
        call()
    desk.flow.leave(5)
    desk.flow.hold(UNREAD)
    desk.flow.let_go(UNREAD)
    desk.flow.on_deadline(desk.clock.time())
    assert (desk.flow.paused, desk.flow.deadline(), desk.pipe.done) == (True, None, [])
    assert desk.flow.taken(desk.clock.time()) <= desk.clock.time()


async def test_drain() -> None:
    """Who may write does not wait; nor does who never may again."""
    desk = Desk()
    await desk.flow.drain()
    desk.flow.lost()
    with pytest.raises(ConnectionResetError):
        await desk.flow.drain()


async def test_drain_of_a_connection_that_closes() -> None:
    desk = Desk()
    desk.flow.close()
    with pytest.raises(ConnectionResetError):
        await desk.flow.drain()


def test_deadline_that_raised() -> None:
    """Nobody would look at the connection again."""
    desk = Desk()
    desk.flow.fail()
    assert desk.pipe.done == ["abort"]


def test_taken() -> None:
    """Only who has looked before can tell; what was written since then hides nothing for ever."""
    desk = Desk()
    assert desk.flow.taken(1) == 0
    desk.pipe.size = 100
    assert desk.flow.taken(2) == 0
    desk.pipe.size = 99
    assert desk.flow.taken(3) == 3
    assert desk.flow.taken(4) == 3
    desk.pipe.size = 500
    assert desk.flow.taken(5) == 3
    desk.pipe.size = 0
    assert desk.flow.taken(6) == 6


# A server


class Lab:
    """A running server whose application sends what it is asked for."""

    def __init__(self, **settings: str) -> None:
        class Big(WebSocketSession):
            async def on_message(self, message: str) -> None:
                code, _, size = message.partition(" ")
                for _ in range(int(size) // 1000):
                    self.send("b" * 1000)
                if code != "0":
                    self.close(int(code), "done")

        with Configurator(settings=settings) as config:
            config.include("sockjs_bridge")
            config.add_sockjs_route("big", "/talk", session=Big)
            config.add_route("page", "/page")
            config.add_view(lambda request: Response(b"p" * 1000), route_name="page")
            self.app = config.make_wsgi_app()
        self.address = ("", 0)
        self.sockets: list[socket.socket] = []
        self.runner: Any = None

    @property
    def sessions(self) -> list[Any]:
        return list(self.app.registry.sockjs.endpoints["big"].manager)

    def held(self) -> int:
        """Bytes that the transports of all connections hold."""
        return sum(
            held(each.flow) + each._reader.unread
            if isinstance(each, websocket.WebSocketConnection)
            else held(each.flow) + len(each._kept)
            for each in self.runner._activity.connections
        )

    async def connect(self) -> socket.socket:
        """Return a connection whose other end takes little at a time."""
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.setblocking(False)
        self.sockets.append(sock)
        await asyncio.get_running_loop().sock_connect(sock, self.address)
        return sock

    async def websocket(self, path: str = "/talk/0/ws/websocket") -> socket.socket:
        sock = await self.connect()
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(sock, HANDSHAKE.replace(b"/talk/0/ws/websocket", path.encode()))
        last = b"\x81\x01o" if path.endswith("/ws/websocket") else b"\r\n\r\n"
        await self.read(sock, lambda data: data.endswith(last))
        return sock

    async def read(
        self, sock: socket.socket, enough: Callable[[bytes], bool], size: int = 65536
    ) -> bytes:
        """Read until that is enough, or the end."""
        data = b""
        while not enough(data):
            block = await asyncio.get_running_loop().sock_recv(sock, size)
            if not block:
                break
            data += block
        return data

    @property
    def flows(self) -> list[Flow]:
        return [each.flow for each in self.runner._activity.connections]

    async def flood(self, sock: socket.socket, block: bytes) -> None:
        """Send and read nothing, until nothing is read of that any more."""

        async def send() -> None:
            while True:
                await asyncio.get_running_loop().sock_sendall(sock, block)

        sending = asyncio.get_running_loop().create_task(send())
        try:
            await until(lambda: any(each.paused and not reads(each) for each in self.flows))
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)


def held(each: Flow) -> int:
    assert each._transport is not None
    return each._transport.get_write_buffer_size()


def reads(each: Flow) -> bool:
    """Tell whether a connection is read from, whoever has paused it; or is about to end."""
    assert each._transport is not None
    return each._transport.is_reading() or each._transport.is_closing()


@asynccontextmanager
async def serving(fast: str = "true", **settings: str) -> AsyncIterator[Lab]:
    lab = Lab(**{"sockjs.fast": fast}, **settings)
    options = ServerOptions.parse({"listen": "127.0.0.1:0", "shutdown_timeout": "1"})
    (sock,) = options.bind()
    # The kernel would hold megabytes on their way.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    lab.address = sock.getsockname()
    lab.runner = Runner(lab.app, options)
    await lab.runner.start([sock])
    try:
        async with asyncio.timeout(PATIENCE * 2):
            yield lab
    finally:
        for each in lab.sockets:
            each.close()
        await lab.runner.stop()


both = pytest.mark.parametrize("fast", ["true", "false"])


def post(path: str, body: bytes) -> bytes:
    return (
        f"POST /talk/0/known/{path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


FLOODS = {
    "pings": frame(b"p" * 125, 9) * 400,
    "short pings": frame(b"", 9) * 8000,
    "messages": frame(b'["0 1000"]') * 4000,
    "raw messages": frame(b"0 1000") * 4000,
    "sends": post("xhr_send", b'["0 0"]') * 400,
    "sends in turn": post("xhr_send", b'["0 0"]'),
    "infos": b"GET /talk/info HTTP/1.1\r\nHost: x\r\n\r\n" * 1000,
    "greetings": b"GET /talk HTTP/1.1\r\nHost: x\r\n\r\n" * 1000,
    "errors": b"GET /talk/0/a.b/xhr HTTP/1.1\r\nHost: x\r\n\r\n" * 1000,
    "pages": b"GET /page HTTP/1.1\r\nHost: x\r\n\r\n" * 1000,
}


@both
@pytest.mark.parametrize("name", FLOODS)
async def test_peer_that_sends_and_reads_nothing(fast: str, name: str) -> None:
    """It is not read from: what waits for it is bounded, whatever it sends (RFC 6455, 5.5.3)."""
    async with serving(fast, **{"sockjs.disconnect_delay": "60"}) as lab:
        if "ping" in name or name == "messages":
            sock = await lab.websocket()
        elif name == "raw messages":
            sock = await lab.websocket("/talk/websocket")
        else:
            sock = await lab.connect()
            opening = await lab.connect()
            await asyncio.get_running_loop().sock_sendall(opening, post("xhr", b""))
            await lab.read(opening, lambda data: data.endswith(b"o\n"))
        await lab.flood(sock, FLOODS[name])
        assert lab.held() < 4_000_000
        assert sum(session._outbox.size for session in lab.sessions) < 2_000_000


async def test_last_pong() -> None:
    """RFC 6455, 5.5.3: only that is kept; who reads again is answered, and read from."""
    async with Unplugged() as server:
        wire = await server.open_websocket()
        wire.protocol.pause_writing()
        wire.feed(frame(b"1", 9) + frame(b"2", 9) + frame(b'"heard all the same"'))
        wire.feed(frame(b"3", 9))
        await server.quiet()
        assert wire.written == b""
        assert not wire.reading
        assert server.heard == ["heard all the same"]
        wire.protocol.resume_writing()
        assert wire.written == b"\x8a\x013"
        assert wire.reading


@pytest.mark.parametrize(
    ("last", "code"), [(frame(b"\x03\xe9", 8), 1001), (frame(b"broken", 3), 1002)]
)
async def test_nothing_follows_a_close_frame(last: bytes, code: int) -> None:
    """RFC 6455, 5.5.1; and what is written behind the end of a stream raises an exception."""
    async with Unplugged() as server:
        wire = await server.open_websocket()
        wire.protocol.pause_writing()
        wire.feed(frame(b"1", 9) + last)
        wire.protocol.resume_writing()
        await server.quiet()
        assert wire.written == b"\x88\x02" + code.to_bytes(2)


@both
@pytest.mark.parametrize("name", ["pings", "messages", "sends in turn", "infos"])
async def test_who_does_not_read_is_not_read_from(fast: str, name: str) -> None:
    async with Unplugged({"sockjs.fast": fast}) as server:
        await server.open()
        ws = name in ("pings", "messages")
        wire = await server.open_websocket() if ws else server.connect()
        wire.protocol.pause_writing()
        for _ in range(3):
            wire.feed(FLOODS[name])
            assert not wire.reading
            # aiohttp may resume it when it has begun with what it was given.
            await server.quiet()
        wire.protocol.resume_writing()
        await until(lambda: wire.reading)


async def test_who_reads_slowly_is_read_from() -> None:
    """It is heard once each time that it has taken something, however much waits for it."""
    async with Unplugged() as server:
        wire = await server.open_websocket()
        (session,) = server.sessions
        write, wire.write = wire.write, lambda data: (write(data), wire.protocol.pause_writing())
        for number in range(5):
            session.send("more")
            await server.quiet()
            wire.feed(frame(b'"%d"' % number))
            assert not wire.reading
            session.send("and more")
            wire.protocol.resume_writing()
            assert wire.reading
        await server.quiet()
        assert server.heard == ["0", "1", "2", "3", "4"]


@both
async def test_stream_whose_client_reads_again_goes_on(fast: str) -> None:
    async with Unplugged({"sockjs.fast": fast}) as server:
        wire = await server.open(transport="xhr_streaming")
        (session,) = server.sessions
        wire.protocol.pause_writing()
        session.send("more")
        await server.quiet()
        assert wire.written == b""
        wire.protocol.resume_writing()
        assert b'a["more"]' in wire.written


@both
@pytest.mark.parametrize("path", ["/talk/0/ws/websocket", "/talk/websocket"])
async def test_close_of_a_slow_client_that_talks(fast: str, path: str) -> None:
    """All that was sent before close() arrives, and the code; it is not reset."""
    raw = path == "/talk/websocket"
    async with serving(fast) as lab:
        sock = await lab.websocket(path)
        loop = asyncio.get_running_loop()
        asked = b"4321 900000"
        await loop.sock_sendall(sock, frame(asked if raw else b'["%b"]' % asked))
        data = b""
        while True:
            # It talks on all the time, and reads little by little.
            block = await loop.sock_recv(sock, 8192)
            if not block:
                break
            data += block
            if b"\x88\x02" in data[-200:] or b"\x88\x06" in data[-200:]:
                await loop.sock_sendall(sock, frame(b"\x03\xe8", 8))
            else:
                await loop.sock_sendall(sock, frame(b"0 0" if raw else b'["0 0"]'))
        assert data.count(b"b" * 1000) == 900
        if raw:
            assert data.endswith(b"\x88\x06\x10\xe1done")
        else:
            assert b'c[4321,"done"]' in data
            assert data.endswith(b"\x88\x02\x03\xe8")


@both
async def test_protocol_error_of_a_client_that_talks(fast: str) -> None:
    """It reads why it was dropped, though it goes on sending."""
    async with serving(fast) as lab:
        sock = await lab.websocket()
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(sock, frame(b"x" * 65_000, final=False) + frame(b"x" * 65_000, 0))
        for _ in range(20):
            await loop.sock_sendall(sock, b"x" * 10_000)
        assert await lab.read(sock, lambda data: False) == b"\x88\x02\x03\xf1"


def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the server wait for who takes nothing less long."""
    monkeypatch.setattr("sockjs_bridge.server.flow.LOOK", 0.1)
    for module in ("dispatch", "connection"):
        monkeypatch.setattr(f"sockjs_bridge.server.{module}.SOCKJS_PATIENCE", 0.4)


@both
async def test_peer_that_says_it_leaves_and_reads_nothing(
    fast: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hurry(monkeypatch)
    async with serving(fast, **{"sockjs.max_queue_size": "100000000"}) as lab:
        sock = await lab.websocket()
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(sock, frame(b'["0 15000000"]'))
        await until(lambda: any(each.flow.paused for each in lab.runner._activity.connections))
        await loop.sock_sendall(sock, frame(b"\x03\xe8", 8))
        await until(lambda: not lab.runner._activity.connections)
        assert lab.sessions == []


@both
async def test_slow_reader_of_a_poll(fast: str) -> None:
    """disconnect_delay counts from the last byte that was taken."""
    delay = 3.0
    async with serving(fast, **{"sockjs.disconnect_delay": str(delay)}) as lab:
        loop = asyncio.get_running_loop()
        polls, sends = await lab.connect(), await lab.connect()
        await loop.sock_sendall(polls, post("xhr", b""))
        await lab.read(polls, lambda data: data.endswith(b"o\n"))
        (session,) = lab.sessions
        await loop.sock_sendall(sends, post("xhr_send", b'["0 120000"]'))
        await loop.sock_sendall(polls, post("xhr", b""))
        begun, data = loop.time(), b""
        while loop.time() < begun + 2 * delay:
            data += await lab.read(polls, bool, 1500)
            await asyncio.sleep(0.1)
        assert not session.over
        await lab.read(polls, lambda more: (data + more).endswith(b"]\n"))
        await until(lambda: session.over)


@both
async def test_poll_that_nobody_reads(fast: str, monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)
    settings = {"sockjs.max_queue_size": "100000000", "sockjs.response_limit": "100000000"}
    async with serving(fast, **settings, **{"sockjs.disconnect_delay": "3"}) as lab:
        loop = asyncio.get_running_loop()
        polls, sends = await lab.connect(), await lab.connect()
        await loop.sock_sendall(polls, post("xhr", b""))
        await lab.read(polls, lambda data: data.endswith(b"o\n"))
        await loop.sock_sendall(sends, post("xhr_send", b'["0 15000000"]'))
        await lab.read(sends, bool)
        await loop.sock_sendall(polls, post("xhr", b""))
        await until(lambda: len(lab.runner._activity.connections) == 1)
        await until(lambda: lab.sessions == [])
