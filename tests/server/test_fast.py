"""Plain requests: what aiohttp does not get of a connection, and what a message costs then."""

from __future__ import annotations

import asyncio
import gc
import json
import subprocess
import sys
import time
import weakref
from typing import Any

import pytest
from aiohttp.base_protocol import BaseProtocol
from aiohttp.web_protocol import RequestHandler

from sockjs_bridge.core import protocol, transports
from sockjs_bridge.pyramid.hooks import SessionHandler
from sockjs_bridge.server import aiohttp_parts
from sockjs_bridge.server.states import HOLD
from sockjs_bridge.server.workers import SessionWorkers
from tests.server.support import PATIENCE
from tests.server.wire import HANDSHAKE, Unplugged, Wire, frame
from tests.support import weak_reference

POLL = b"POST /talk/0/known/xhr HTTP/1.1\r\nHost: here\r\n\r\n"
PAGE = b"GET /page/x HTTP/1.1\r\nHost: here\r\n\r\n"


def send(*messages: str, session: str = "known") -> bytes:
    body = json.dumps(messages).encode()
    head = f"POST /talk/0/{session}/xhr_send HTTP/1.1\r\nHost: here\r\nContent-Length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


def close_frame(code: int) -> bytes:
    return frame(code.to_bytes(2), 8)


async def until_closed(wire: Wire) -> None:
    async with asyncio.timeout(PATIENCE):
        while not wire.closed:
            await asyncio.sleep(0.01)


@pytest.fixture
def peers_that_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Peers that do not close are dropped at once."""
    monkeypatch.setattr("sockjs_bridge.server.websocket.CLOSE_TIMEOUT", 0.05)
    monkeypatch.setattr("sockjs_bridge.server.runner.LINGER", 0.05)


def test_what_aiohttp_must_have() -> None:
    """Without these all works, but more slowly (aiohttp_parts.py)."""
    assert {"_waiter", "_message_tail"} <= {*RequestHandler.__slots__}
    assert {"_reading_paused", "_buffer_paused"} <= {*BaseProtocol.__slots__}
    assert callable(aiohttp_parts.websocket_mask)


# What does not reach aiohttp


@pytest.mark.parametrize("transport", ["xhr", "xhr_streaming"])
async def test_polls_and_sends(transport: str) -> None:
    async with Unplugged() as server:
        wire = await server.open(transport=transport)
        if transport == "xhr":
            wire.feed(POLL)
        other = server.connect()
        for number in range(3):
            other.feed(send(f"echo {number}"))
            await server.quiet()
        assert server.heard == ["echo 0", "echo 1", "echo 2"]
        assert other.written.count(b"HTTP/1.1 204 ") == 3
        assert b'a["echo 0"]\n' in wire.written
        assert server.requests == 0


async def test_a_page_in_between() -> None:
    """aiohttp has the connection for the page, and gives it back."""
    async with Unplugged() as server:
        wire = await server.open()
        for number in range(3):
            wire.feed(send(str(number)))
            wire.feed(PAGE)
            await server.quiet()
        assert server.heard == ["0", "1", "2"]
        assert server.requests == 3
        assert wire.written.count(b"GET /page/x") == 3


async def test_websocket() -> None:
    """From the handshake on aiohttp has forgotten the connection."""
    async with Unplugged() as server:
        wire = await server.open_websocket()
        assert not server.runner._web.connections
        wire.feed(frame(b'["echo 1"]') + frame(b'"echo 2"')[:5])
        await server.quiet()
        wire.feed(frame(b'"echo 2"')[5:])
        await server.quiet()
        assert wire.written == frame_of_server(b'a["echo 1"]') + frame_of_server(b'a["echo 2"]')


def frame_of_server(payload: bytes) -> bytes:
    return protocol.websocket_text(payload)


@pytest.mark.parametrize("settings", [{"sockjs.fast": "false"}, {}])
async def test_switched_off(settings: dict[str, str]) -> None:
    """For an endpoint, or for the whole server where each poll is logged."""
    options = {} if settings else {"access_log_polls": "true"}
    async with Unplugged(settings, options) as server:
        wire = await server.open()
        wire.feed(send("one"))
        await server.quiet()
        assert (server.heard, server.requests) == (["one"], 2)
        known = len(server.runner._web.connections)
        await server.open_websocket()
        # The handshake was aiohttp's, the WebSocket is not.
        assert server.requests == 3
        assert len(server.runner._web.connections) == known


WITHOUT = """
import asyncio, logging
from aiohttp._websocket import helpers
from aiohttp.web_protocol import RequestHandler
del helpers.websocket_mask, RequestHandler._message_tail
from tests.server.wire import Unplugged, frame

async def main():
    logging.basicConfig()
    async with Unplugged() as server:
        wire = await server.open_websocket()
        wire.feed(frame(b'["echo"]'))
        await server.quiet()
        assert wire.written.endswith(b'a["echo"]')

asyncio.run(main())
"""


def test_aiohttp_lacks_a_part() -> None:
    """All works without what is not public; it is slower."""
    command = [sys.executable, "-c", WITHOUT]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr


# Time


async def test_a_connection_that_nobody_uses() -> None:
    """With and without a request before, as with aiohttp."""
    async with Unplugged(options={"keepalive_timeout": "0.2"}) as server:
        new, used = server.connect(), await server.open()
        used.feed(send("one"))
        await until_closed(new)
        await until_closed(used)


async def test_a_poll_is_no_idle_connection() -> None:
    async with Unplugged(options={"keepalive_timeout": "0.5"}) as server:
        wire = await server.open()
        wire.feed(POLL)
        for _ in range(2):
            await until_closed(server.connect())
        assert not wire.closed


async def test_head_that_does_not_go_on() -> None:
    """It is aiohttp's after a moment, with aiohttp's patience."""
    async with Unplugged(options={"keepalive_timeout": "0.3"}) as server:
        wire = await server.open()
        wire.feed(send("one"))
        await server.quiet()
        begun = time.monotonic()
        wire.feed(send("two")[:20])
        assert not server.runner._web.connections
        await until_closed(wire)
        assert time.monotonic() - begun >= HOLD
        assert server.heard == ["one"]


async def test_body_that_comes_late() -> None:
    async with Unplugged() as server:
        wire, data = await server.open(), send("one")
        wire.feed(data[:-3])
        async with asyncio.timeout(PATIENCE):
            while not server.runner._web.connections:
                await asyncio.sleep(0.01)
        wire.feed(data[-3:])
        await server.quiet()
        assert server.heard == ["one"]
        assert b"HTTP/1.1 204 " in wire.written


# What comes too early


async def test_request_behind_a_poll() -> None:
    """It waits for the poll's answer, however long it is itself."""
    async with Unplugged({"sockjs.heartbeat_delay": "0.3"}) as server:
        wire = await server.open()
        wire.feed(POLL)
        wire.feed(send("x" * 60_000))
        wire.feed(send("y" * 10_000))
        assert not wire.reading
        assert server.heard == []
        async with asyncio.timeout(PATIENCE):
            while len(server.heard) < 2:
                await asyncio.sleep(0.01)
        await server.quiet()
        assert wire.reading
        assert [len(text) for text in server.heard] == [60_000, 10_000]
        assert wire.written.index(b"h\n") < wire.written.index(b"HTTP/1.1 204 ")


@pytest.mark.parametrize("fast", ["true", "false"])
async def test_frames_behind_a_handshake(fast: str) -> None:
    """RFC 6455 forbids it; nothing is lost all the same."""
    async with Unplugged({"sockjs.fast": fast}) as server:
        wires = [server.connect() for _ in range(3)]
        wires[0].feed(HANDSHAKE + frame(b'"0"'))
        wires[1].feed(HANDSHAKE)
        wires[1].feed(frame(b'"1"'))
        wires[2].feed(HANDSHAKE)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        wires[2].feed(frame(b'"2"'))
        await server.quiet()
        assert sorted(server.heard) == ["0", "1", "2"]


@pytest.mark.parametrize("fast", ["true", "false"])
async def test_many_frames_behind_a_handshake(fast: str) -> None:
    """So many that reading stops until the WebSocket has them."""
    async with Unplugged({"sockjs.fast": fast}) as server:
        wire = server.connect()
        wire.feed(HANDSHAKE)
        wire.feed(frame(b'"%d"' % 10**100) * 700)
        assert not wire.reading
        await server.quiet()
        async with asyncio.timeout(PATIENCE):
            while len(server.heard) < 700:
                await asyncio.sleep(0.001)
        assert wire.reading


# WebSockets


async def test_ping_and_fragments() -> None:
    async with Unplugged() as server:
        wire = await server.open_websocket()
        wire.feed(frame(b'"ec', final=False) + frame(b"are you there?", 9) + frame(b"", 10))
        wire.feed(frame(b'ho"', 0))
        await server.quiet()
        assert wire.written == b"\x8a\x0eare you there?" + frame_of_server(b'a["echo"]')


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (close_frame(1000), 1000),
        (close_frame(4321), 4321),
        (frame(b"", 8), 1000),
        (close_frame(999), 1002),
        (frame(b"x", 3), 1002),
        (frame(b"\xff"), 1007),
        (frame(b"x" * 65_000, final=False) + frame(b"x" * 65_000, 0), 1009),
        (frame(b"\0", 2), 1000),
        (frame(b"[1]"), 1000),
    ],
)
@pytest.mark.usefixtures("peers_that_stay")
async def test_end(sent: bytes, code: int) -> None:
    """A close frame is answered with one; what breaks the protocol is told why."""
    async with Unplugged() as server:
        wire = await server.open_websocket()
        wire.feed(sent)
        wire.feed(frame(b'"late"'))
        await server.quiet()
        said = wire.written.index(b"\x88")
        assert int.from_bytes(wire.written[said + 2 : said + 4]) == code
        if not wire.closed:
            wire.feed(close_frame(code))
        await until_closed(wire)
        await server.quiet()
        assert server.heard == []
        assert server.sessions == []
        assert server.runner._activity.count == 0


@pytest.mark.usefixtures("peers_that_stay")
async def test_peer_that_does_not_answer_the_close_frame() -> None:
    async with Unplugged() as server:
        wire = await server.open_websocket()
        server.sessions[0].close(3000, "Go away!")
        await until_closed(wire)


@pytest.mark.parametrize("leaves", [False, True])
async def test_slow_application(leaves: bool) -> None:
    """Reading stops; what was read is handed on, also of a peer that has left."""
    async with Unplugged({"sockjs.max_inbound": "2"}) as server:
        wire = await server.open_websocket()
        texts = ["wait", *(f"{number} {'x' * 1000}" for number in range(500))]
        for text in texts:
            wire.feed(frame(json.dumps(text).encode()))
        await server.quiet()
        assert len(server.heard) < 5
        assert not wire.reading
        (session,) = server.sessions
        if leaves:
            wire.close()
            await server.quiet()
        server.gate.set()
        async with asyncio.timeout(PATIENCE):
            while len(server.heard) < len(texts):
                await asyncio.sleep(0.001)
        assert server.heard == texts
        if leaves:
            async with asyncio.timeout(PATIENCE):
                while not session.over:
                    await asyncio.sleep(0.001)
        else:
            assert wire.reading
            wire.feed(frame(b'"echo"'))
            await server.quiet()
            assert wire.written == frame_of_server(b'a["echo"]')


@pytest.mark.parametrize("cut", [1, 16, 17, 40])
async def test_frames_that_come_together(cut: int) -> None:
    """Messages are handed on together; what else there is keeps its place among them."""
    frames = [frame(b'"%d"' % number) for number in range(40)]
    async with Unplugged() as server:
        wire = await server.open_websocket()
        wire.feed(b"".join([*frames[:cut], frame(b"now", 9), *frames[cut:]]))
        assert wire.written.startswith(b"\x8a\x03now")
        await server.quiet()
        assert server.heard == [str(number) for number in range(40)]


@pytest.mark.parametrize(
    ("last", "code"),
    [
        (frame(b"\x03\xe8", 8), 1000),
        (frame(b"["), 3000),
        (frame(b"", 2), 3000),
        (frame(b"", 3), 1002),
    ],
    ids=["close", "broken JSON", "binary", "reserved opcode"],
)
async def test_messages_before_the_last_frame(last: bytes, code: int) -> None:
    """They are the application's, whatever comes behind them; what comes behind that is not."""
    async with Unplugged() as server:
        wire = await server.open_websocket()
        (session,) = server.sessions
        wire.feed(frame(b'"a"') + frame(b'["b", "c"]') + last + frame(b'"d"'))
        await server.quiet()
        assert server.heard == ["a", "b", "c"]
        assert session.close_code == code


@pytest.mark.parametrize("count", [1, 16])
@pytest.mark.usefixtures("peers_that_stay")
async def test_messages_that_cannot_be_handed_on(
    count: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A fault of ours is logged, and the client hears that it was one."""

    def fails(*arguments: object) -> None:
        raise RuntimeError("no way")

    monkeypatch.setattr(SessionHandler, "received", fails)
    async with Unplugged() as server:
        wire = await server.open_websocket()
        wire.feed(frame(b'"a"') * count)
        assert wire.written == b"\x88\x02" + (1011).to_bytes(2)
        await until_closed(wire)
    assert "a message failed" in caplog.text


async def test_peer_that_leaves_at_once(caplog: pytest.LogCaptureFixture) -> None:
    """In the tick in which it sent more than the application takes: all of that is handed on."""
    texts = ["wait", *(str(number) for number in range(30))]
    async with Unplugged({"sockjs.max_inbound": "2"}) as server:
        wire = await server.open_websocket()
        (session,) = server.sessions
        wire.feed(b"".join(frame(json.dumps(text).encode()) for text in texts))
        wire.protocol.connection_lost(None)
        server.gate.set()
        async with asyncio.timeout(PATIENCE):
            # The hooks run on when the session is over.
            while not session.over or len(server.heard) < len(texts):
                await asyncio.sleep(0.001)
        assert server.heard == texts
    assert not caplog.records


async def test_no_more_than_the_limit() -> None:
    """Messages that come together are handed on together as far as there is room."""
    async with Unplugged({"sockjs.max_inbound": "3"}) as server:
        wire = await server.open_websocket()
        (session,) = server.sessions
        wire.feed(b"".join(frame(text) for text in [b'"wait"', *[b'"a"'] * 30]))
        await server.quiet()
        assert session.messages_in == 1 + 3
        server.gate.set()
        await server.quiet()
        async with asyncio.timeout(PATIENCE):
            while len(server.heard) < 31:
                await asyncio.sleep(0.001)


@pytest.mark.parametrize("leaves", [False, True])
async def test_one_frame_of_many_messages(leaves: bool) -> None:
    """`max_inbound` holds within a frame; the close frame behind it is seen after it."""
    async with Unplugged({"sockjs.max_inbound": "64"}) as server:
        wire = await server.open_websocket()
        (session,) = server.sessions
        texts = ["wait", *map(str, range(9_000))]
        wire.feed(frame(json.dumps(texts, separators=(",", ":")).encode()) + close_frame(3999))
        await server.quiet()
        assert session._handler.backlog() <= 64
        assert not session.over
        if leaves:
            # What was read is handed on all the same; and what it said last is known.
            wire.close()
            await server.quiet()
            assert session.over
        server.gate.set()
        async with asyncio.timeout(PATIENCE):
            while len(server.heard) < len(texts) or not session.over:
                await asyncio.sleep(0.001)
        assert server.heard == texts
        assert session.close_code == 3999


@pytest.mark.parametrize("fast", ["true", "false"])
async def test_close_code_that_must_not_be(fast: str) -> None:
    """RFC 6455, 7.4: it is not echoed."""
    async with Unplugged({"sockjs.fast": fast}) as server:
        wire = await server.open_websocket()
        wire.feed(close_frame(1006))
        assert wire.written == b"\x88\x02\x03\xea"
        assert wire.finished


# What it costs, in what can be counted


async def test_task_of_a_session_that_talks(monkeypatch: pytest.MonkeyPatch) -> None:
    """One runs its hooks, and ends when nothing was said for a while."""
    monkeypatch.setattr(SessionWorkers, "TICK", 0.05)
    async with Unplugged() as server:
        wire = await server.open_websocket()
        before = len(asyncio.all_tasks())
        created = []
        create = asyncio.get_running_loop().create_task
        monkeypatch.setattr(
            asyncio.get_running_loop(),
            "create_task",
            lambda *a, **k: created.append(a) or create(*a, **k),
        )
        for number in range(5):
            wire.feed(frame(b'"echo %d"' % number))
            await server.quiet()
        assert wire.writes == 1 + 5
        assert len(created) == 1
        async with asyncio.timeout(PATIENCE):
            while len(asyncio.all_tasks()) > before:
                await asyncio.sleep(0.01)
        wire.feed(frame(b'"echo"'))
        await server.quiet()
        assert len(server.heard) == 6


@pytest.mark.parametrize("transport", ["websocket", "xhr", "xhr_streaming"])
async def test_cost_of_a_session(transport: str) -> None:
    """No task waits for a silent session."""
    async with Unplugged() as server:
        await server.quiet()
        before = len(asyncio.all_tasks())
        for number in range(10):
            if transport == "websocket":
                await server.open_websocket()
            else:
                wire = await server.open(f"s{number}", transport)
                wire.feed(POLL.replace(b"known", b"s%d" % number))
        await server.quiet()
        assert len(server.sessions) == 10
        assert len(asyncio.all_tasks()) == before


@pytest.mark.parametrize("talks", [False, True])
@pytest.mark.parametrize("transport", ["websocket", "xhr", "xhr_streaming"])
async def test_a_session_that_has_ended_leaves_no_cycle(
    transport: str, talks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Garbage that only a collection finds piles up until one of all objects holds up the loop."""
    monkeypatch.setattr(SessionWorkers, "TICK", 0.05)
    async with Unplugged() as server:
        gc.collect()
        gc.disable()
        try:
            if transport == "websocket":
                wire = await server.open_websocket()
            else:
                wire = await server.open("known", transport)
            (session,) = server.sessions
            gone = [weak_reference(session), weakref.ref(session.connection.request)]
            if talks and transport == "websocket":
                wire.feed(frame(b'"echo"'))
            elif talks:
                other = server.connect()
                other.feed(send("echo"))
                await server.quiet()
                other.close()
            await server.quiet()
            wire.close()
            await server.quiet()
            session.close(1000, "")
            session.finish()
            del session
            async with asyncio.timeout(PATIENCE):
                while any(ref() is not None for ref in gone):
                    # The task of a session that talked ends a little later.
                    await asyncio.sleep(0.01)
        finally:
            gc.enable()


async def test_cost_of_a_broadcast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages are encoded once, and leave in one write for each session and tick."""
    encoded = []
    quote = transports.WEBSOCKET.encode

    def counted(text: str) -> bytes:
        encoded.append(text)
        return quote(text)

    for transport in (transports.WEBSOCKET, transports.RECEIVING["xhr"]):
        object.__setattr__(transport, "encode", counted)
    try:
        async with Unplugged() as server:
            wires = [await server.open_websocket() for _ in range(20)]
            for number in range(20):
                wire = await server.open(f"s{number}")
                wire.feed(POLL.replace(b"known", b"s%d" % number))
                wires.append(wire)
            await server.quiet()
            for wire in wires:
                wire.writes = 0
            for number in range(3):
                wires[0].feed(frame(b'"all %d"' % number))
            await server.quiet()
            assert [wire.writes for wire in wires] == [1] * 40
            assert encoded == ["all 0", "all 1", "all 2"]
    finally:
        for transport in (transports.WEBSOCKET, transports.RECEIVING["xhr"]):
            object.__setattr__(transport, "encode", quote)


class Callbacks:
    """Counts what the loop is asked to call in the next tick, but for the test's own task."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self._test = asyncio.current_task()
        loop = asyncio.get_running_loop()
        self._call_soon = loop.call_soon
        monkeypatch.setattr(loop, "call_soon", self._counted)

    def _counted(self, callback: Any, *arguments: Any, **context: Any) -> asyncio.Handle:
        self.count += getattr(callback, "__self__", None) is not self._test
        return self._call_soon(callback, *arguments, **context)

    async def of(self, wire: Wire, data: bytes, server: Unplugged) -> int:
        """How many what arrives on a connection leads to."""
        self.count = 0
        wire.feed(data)
        await server.quiet()
        return self.count


async def test_callbacks_of_a_websocket_message(monkeypatch: pytest.MonkeyPatch) -> None:
    """One wakes the task that runs the hook, one writes what it sent."""
    async with Unplugged() as server:
        wire = await server.open_websocket()
        callbacks = Callbacks(monkeypatch)
        await callbacks.of(wire, frame(b'"begins the task"'), server)
        assert [await callbacks.of(wire, frame(b'"echo"'), server) for _ in range(3)] == [2] * 3
        assert await callbacks.of(wire, frame(b'"no answer"'), server) == 1
        assert await callbacks.of(wire, frame(b'["echo 1","echo 2","echo 3"]'), server) == 2
        assert wire.written.count(b"echo") == 6


async def test_callbacks_of_a_polled_message(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many: a poll and a send need none of their own."""
    async with Unplugged() as server:
        await server.open()
        # The connection that opened it was aiohttp's.
        wire, other = server.connect(), server.connect()
        callbacks = Callbacks(monkeypatch)
        await callbacks.of(other, send("begins the task"), server)
        for _ in range(3):
            assert await callbacks.of(wire, POLL, server) == 0
            assert await callbacks.of(other, send("echo"), server) == 2
        assert wire.written.count(b'a["echo"]\n') == 3
        assert await callbacks.of(other, send("echo"), server) == 2
        # What waits is answered at once.
        assert await callbacks.of(wire, POLL, server) == 0
        assert wire.written.count(b'a["echo"]\n') == 4


@pytest.mark.parametrize("sessions", [1, 40])
async def test_callbacks_of_a_broadcast(sessions: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as of an echo, however many it goes to."""
    async with Unplugged() as server:
        wires = [await server.open_websocket() for _ in range(sessions)]
        for number in range(sessions):
            wire = await server.open(f"s{number}")
            wire.feed(POLL.replace(b"known", b"s%d" % number))
            wires.append(wire)
        callbacks = Callbacks(monkeypatch)
        await callbacks.of(wires[0], frame(b'"begins the task"'), server)
        assert await callbacks.of(wires[0], frame(b'"all"'), server) == 2
        assert [wire.written.count(b'a["all"]') for wire in wires] == [1] * len(wires)


# What a connection is told at its end


async def test_connection_whose_deadline_raised() -> None:
    """It is dropped: nobody would look at it again."""
    async with Unplugged() as server:
        wire = await server.open()
        wire.protocol.fail()
        await until_closed(wire)


async def test_connection_that_is_lost_while_a_request_waits_for_its_turn() -> None:
    """aiohttp was busy with the one before; nobody is left to look at the next."""
    async with Unplugged() as server:
        wire = await server.open()
        wire.feed(PAGE + send("one"))
        wire.close()
        await server.quiet()
        assert server.heard == []
        assert server.runner._activity.count == 0


async def test_what_comes_when_the_connection_closes() -> None:
    """Nobody reads it."""
    async with Unplugged() as server:
        wire = server.connect()
        wire.protocol.on_deadline(0)
        assert wire.closed
        wire.protocol.data_received(POLL)
        await server.quiet()
        assert (wire.written, server.requests, server.sessions) == (b"", 0, [])


async def test_stream_that_is_ended_twice() -> None:
    async with Unplugged() as server:
        wire = await server.open()
        wire.feed(POLL.replace(b"xhr", b"xhr_streaming"))
        (session,) = server.sessions
        receiver = session._receiver
        assert receiver.heard == wire.protocol.heard
        receiver.end()
        receiver.end()
        assert wire.written.count(b"0\r\n\r\n") == 1
        assert wire.written.endswith(b"0\r\n\r\n")


@pytest.mark.usefixtures("peers_that_stay")
async def test_body_that_never_comes() -> None:
    """aiohttp's time-out is answered as the endpoint's."""
    async with Unplugged(options={"body_timeout": "0.1"}) as server:
        wire = await server.open()
        wire.feed(send("one")[:-3])
        await until_closed(wire)
        assert b"HTTP/1.1 408 " in wire.written
        assert server.heard == []


async def test_what_follows_the_end_of_a_session() -> None:
    """A message behind the server's close frame is none, and nobody is pinged."""
    async with Unplugged() as server:
        wire = await server.open_websocket()
        (session,) = server.sessions
        receiver = session._receiver
        session.close(3000, "Go away!")
        await server.quiet()
        written = wire.written
        assert written.endswith(b"\x88\x02\x03\xe8")
        wire.feed(frame(b"binary", 2))
        receiver.ping()
        await server.quiet()
        assert wire.written == written
        assert server.heard == []


@pytest.mark.parametrize("broken", [b"[", b"[broken"], ids=["read alone", "read with others"])
async def test_broken_message_behind_too_many(broken: bytes) -> None:
    """What came before it is handed on first, to an application that is slow."""
    async with Unplugged({"sockjs.max_inbound": "2"}) as server:
        wire = await server.open_websocket()
        (session,) = server.sessions
        wire.feed(frame(b'"wait"'))
        texts = [str(number) for number in range(8)]
        wire.feed(b"".join(frame(json.dumps(text).encode()) for text in texts) + frame(broken))
        await server.quiet()
        assert not session.over
        server.gate.set()
        async with asyncio.timeout(PATIENCE):
            while not session.over:
                await asyncio.sleep(0.001)
        assert server.heard == ["wait", *texts]
        assert (session.close_code, session.close_reason) == (3000, "Broken framing.")
