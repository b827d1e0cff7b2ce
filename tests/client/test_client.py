"""The Python client against a peer that does, and misdoes, what each test tells it."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import enum
import gc
import hashlib
import json
import re
import urllib.parse
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web
from yarl import URL

from sockjs_bridge.client import (
    TRANSPORTS,
    Connection,
    ConnectionClosed,
    HandshakeError,
    connect,
    unique_milliseconds,
)
from sockjs_bridge.client.wire import (
    HTTP_TRANSPORTS,
    FrameReader,
    ProtocolError,
    decode_uri,
    extend_url,
)

PATIENCE = 40.0
"""Seconds after which a test gives up waiting for what must happen."""

SOON = 0.1
"""Seconds of a time-out that a test wants to see expire."""

RAW = "raw-websocket"
HTTP = sorted(HTTP_TRANSPORTS)
WEBSOCKETS = ["websocket", RAW]
FRAMED = ["websocket", *HTTP]
STREAMING = ["xhr-streaming", "eventsource", "htmlfile"]

TEXTS = [
    "",
    "hello",
    "é",
    "\u2028\u2029",
    "%41 %80 % %2F",
    "\"'\\\n\r\0",
    "</script>",
    "\U0001f600",
    "\uffff",
]
"""Messages that careless framing harms."""

each_transport = pytest.mark.parametrize("transport", TRANSPORTS)
each_framed = pytest.mark.parametrize("transport", FRAMED)
each_http = pytest.mark.parametrize("transport", HTTP)
each_websocket = pytest.mark.parametrize("transport", WEBSOCKETS)


class Act(enum.Enum):
    """What a peer can do apart from sending a frame."""

    END = "end the response, or send a close frame with code 1000"
    CUT = "abort the TCP connection"


def to_wire(transport: str, frame: str) -> bytes:
    """Frame as sockjs-wire.md says, section "Receiving transports"."""
    match transport:
        case "eventsource":
            # Like encodeURI of what matters: the client undoes it with decodeURI.
            for char in "%\r\n\0":
                frame = frame.replace(char, f"%{ord(char):02X}")
            return f"data: {frame}\r\n\r\n".encode()
        case "htmlfile":
            literal = json.dumps(frame).replace("</", "<\\/")
            return f"<script>\np({literal});\n</script>\r\n".encode()
        case "jsonp-polling":
            return f"/**/_jp.client({json.dumps(frame)});\r\n".encode()
        case _:
            return f"{frame}\n".encode()


PRELUDES = {
    "xhr-streaming": b"h" * 2048 + b"\n",
    "eventsource": b"\r\n",
    "htmlfile": b"<!doctype html><html><head><script>var c = parent._jp.client;\n"
    b"function p(d) {c.message(d);};</script>" + b" " * 1024,
}


class Peer:
    """A SockJS server with one session, which does what is put into its queue.

    A string is a frame (or a message, on the raw WebSocket), bytes go out as they are, an int is
    the status of the next response.
    """

    def __init__(self, transport: str) -> None:
        self.transport = transport
        self.todo: asyncio.Queue[str | bytes | int | Act] = asyncio.Queue()
        self.requests: list[web.Request] = []
        self.posts: asyncio.Queue[str] = asyncio.Queue()
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.send_status = 204
        self.refusal: int | None = None
        self.headers: dict[str, str] = {}
        self.receivers = 0
        self.receiver_came = asyncio.Event()
        self.receiver_left = asyncio.Event()
        self.autoping = True
        self.reads = True
        self.close_frame: tuple[int | None, str] | None = None
        self.url = ""
        if transport != RAW:
            self.todo.put_nowait("o")

    def do(self, *acts: str | bytes | int | Act) -> None:
        for act in acts:
            self.todo.put_nowait(act)

    @property
    def opening(self) -> web.Request:
        return self.requests[0]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        if request.path.endswith("_send"):
            return await self.take_post(request)
        assert self.receivers == 0, "one receiver at a time"
        self.receivers += 1
        self.receiver_left.clear()
        self.receiver_came.set()
        try:
            if self.transport in WEBSOCKETS:
                return await self.talk(request)
            return await self.answer(request)
        finally:
            self.receivers -= 1
            self.receiver_came.clear()
            self.receiver_left.set()

    async def take_post(self, request: web.Request) -> web.Response:
        if request.path.endswith("jsonp_send"):
            payload = (await request.post())["d"]
        else:
            payload = await request.text()
        self.posts.put_nowait(str(payload))
        await self.may_answer.wait()
        return web.Response(status=self.send_status)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if self.refusal is not None:
            return web.Response(status=self.refusal, headers=self.headers)
        act = await self.todo.get()
        response = web.StreamResponse(headers=self.headers)
        if isinstance(act, int):
            response.set_status(act)
            return response
        if self.transport in STREAMING:
            await response.prepare(request)
            await response.write(PRELUDES[self.transport])
        while not isinstance(act, Act):
            if not response.prepared:
                await response.prepare(request)
            await response.write(
                act if isinstance(act, bytes) else to_wire(self.transport, str(act))
            )
            if self.transport not in STREAMING:
                return response
            act = await self.todo.get()
        if act is Act.CUT:
            assert request.transport is not None
            if not response.prepared:
                await response.prepare(request)
            request.transport.abort()
        elif not response.prepared:
            await response.prepare(request)
        return response

    async def talk(self, request: web.Request) -> web.StreamResponse:
        if self.refusal is not None:
            return web.Response(status=self.refusal, headers=self.headers)
        websocket = web.WebSocketResponse(autoping=self.autoping, autoclose=self.autoping)
        websocket.headers.update(self.headers)
        await websocket.prepare(request)
        reader = asyncio.create_task(self.read(websocket))
        try:
            while True:
                match await self.todo.get():
                    case str(text):
                        await websocket.send_str(text)
                    case bytes(data):
                        await websocket.send_bytes(data)
                    case int(code):
                        await websocket.close(code=code, message=b"so it is")
                    case Act.END:
                        await websocket.close()
                    case Act.CUT:
                        assert request.transport is not None
                        request.transport.abort()
        finally:
            reader.cancel()

    async def read(self, websocket: web.WebSocketResponse) -> None:
        if not self.reads:
            return
        while True:
            message = await websocket.receive()
            if message.type is web.WSMsgType.TEXT:
                self.posts.put_nowait(message.data)
            elif message.type is web.WSMsgType.CLOSE:
                self.close_frame = (message.data, message.extra)
                self.receiver_left.set()
                return
            elif message.type in (web.WSMsgType.CLOSED, web.WSMsgType.CLOSING):
                self.receiver_left.set()
                return

    async def next_messages(self) -> list[str]:
        """Wait for what the client sent last."""
        payload = await within(self.posts.get())
        return [payload] if self.transport == RAW else list(json.loads(payload))


async def within(awaitable: Any) -> Any:
    async with asyncio.timeout(PATIENCE):
        return await awaitable


@contextlib.asynccontextmanager
async def serve(peer: Peer) -> AsyncIterator[Peer]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", peer.handle)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=SOON)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        peer.url = f"http://{host}:{port}/chat"
        yield peer
    finally:
        await runner.cleanup()


@pytest.fixture(scope="module", autouse=True)
def collect_garbage() -> Iterator[None]:
    """An unclosed socket or session warns when it is collected, and warnings are errors."""
    yield
    gc.collect()


@pytest_asyncio.fixture
async def peer(transport: str) -> AsyncIterator[Peer]:
    """A peer for the transport; afterwards the client must have left no task behind."""
    asyncio.get_running_loop().set_debug(True)
    async with serve(Peer(transport)) as peer:
        yield peer
        left = [task for task in asyncio.all_tasks() if task.get_name().startswith("sockjs ")]
        assert not left


def dial(peer: Peer, **options: Any) -> connect:
    return connect(peer.url, transport=peer.transport, **options)


async def get_end(ws: Connection) -> ConnectionClosed:
    """Wait for the end of the connection; no message may come before it."""
    with pytest.raises(ConnectionClosed) as caught:
        await within(ws.recv())
    assert (ws.close_code, ws.close_reason) == (caught.value.code, caught.value.reason)
    return caught.value


def message(transport: str, *texts: str) -> str:
    return texts[0] if transport == RAW else "a" + json.dumps(texts)


# Opening


@each_transport
async def test_open_connection_tells_what_it_is(peer: Peer, transport: str) -> None:
    peer.headers["X-Answer"] = "42"
    async with dial(peer, session_id="abc") as ws:
        assert ws.transport == transport
        assert ws.status == (101 if transport in WEBSOCKETS else 200)
        assert ws.response_headers["X-Answer"] == "42"
        assert ws.session_id == "abc"
        assert (ws.close_code, ws.close_reason) == (None, None)
        assert peer.opening.path.startswith(URL(ws.url).path)
        if transport == RAW:
            assert peer.opening.path == "/chat/websocket"
        else:
            assert re.fullmatch(r"/chat/\d{3}/abc/\w+", peer.opening.path)


@pytest.mark.parametrize("transport", ["websocket"])
async def test_connection_shows_what_it_is(peer: Peer, transport: str) -> None:
    url = peer.url.replace("://", "://ann:secret@")
    assert repr(connect(f"{url}?ticket=secret")) == f"<connect {peer.url} websocket>"
    ws = await connect(f"{url}?ticket=secret", session_id="abc")
    shown = f"WebSocketConnection {URL(ws.url).with_user(None).with_query(None)} websocket"
    assert "secret" not in shown
    assert "abc" in shown
    assert repr(ws) == f"<{shown} open>"
    await ws.close(3001, "bye")
    assert repr(ws) == f"<{shown} closed 3001 'bye'>"


@each_transport
async def test_connect_can_be_awaited(peer: Peer) -> None:
    ws = await dial(peer)
    assert ws.close_code is None
    await ws.close()
    assert ws.close_code == 1000


@each_framed
async def test_session_ids_are_drawn_at_random(peer: Peer) -> None:
    """sockjs-protocol, section "Session URLs": no dot, nothing empty."""
    async with dial(peer) as first:
        pass
    async with serve(Peer(peer.transport)) as other, dial(other) as second:
        assert first.session_id != second.session_id
        assert re.fullmatch(r"[0-9a-f]{32}", second.session_id)


@each_transport
async def test_headers_and_the_urls_own_query_go_with_each_request(peer: Peer) -> None:
    url = peer.url + "/?room=a%26b&x=%20+"
    headers = {"Origin": "http://page.example", "Authorization": "Bearer x"}
    async with connect(url, transport=peer.transport, headers=headers) as ws:
        await ws.send("x")
        await peer.next_messages()
        for request in peer.requests:
            assert request.raw_path.split("?")[1].startswith("room=a%26b&x=%20+")
            assert request.headers["Origin"] == "http://page.example"
            assert request.headers["Authorization"] == "Bearer x"


@each_http
async def test_each_http_request_has_its_own_timestamp(peer: Peer) -> None:
    """Servers take the same `t` for a repeat of the request (fallback.md, "Repeated POSTs")."""
    async with dial(peer) as ws:
        for text in "abc":
            await ws.send(text)
        stamps = [int(request.query["t"]) for request in peer.requests]
        assert len(set(stamps)) == len(stamps) >= 4


@each_http
async def test_timestamp_can_be_chosen_or_left_out(peer: Peer) -> None:
    async with dial(peer, timestamp=lambda: 7):
        assert peer.opening.query["t"] == "7"
    async with serve(Peer(peer.transport)) as other, dial(other, timestamp=None):
        assert "t" not in other.opening.query


def test_no_millisecond_is_told_twice() -> None:
    stamps = [unique_milliseconds() for _ in range(1000)]
    assert stamps == sorted(set(stamps))


@pytest.mark.parametrize("transport", ["htmlfile", "jsonp-polling"])
async def test_transports_with_a_callback_name_it(peer: Peer) -> None:
    """sockjs-protocol: the callback parameter is `c`."""
    async with dial(peer):
        assert re.fullmatch(r"[a-zA-Z0-9_.]{1,32}", peer.opening.query["c"])


@pytest.mark.parametrize("scheme", ["ws", "WS"])
@each_websocket
async def test_websocket_schemes_are_accepted(peer: Peer, scheme: str) -> None:
    async with connect(peer.url.replace("http", scheme, 1), transport=peer.transport) as ws:
        assert ws.url.startswith("http://")


@pytest.mark.parametrize("url", ["ftp://host/chat", "/chat", "http:///chat", ""])
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match="not an http or https URL"):
        connect(url)


def test_unknown_transports_are_refused() -> None:
    with pytest.raises(ValueError, match="no transport 'xhr': known are websocket, "):
        connect("http://127.0.0.1/chat", transport="xhr")


@pytest.mark.parametrize("status", [204, 302, 403, 404, 500, 503])
@each_transport
async def test_refused_handshake_tells_the_status(peer: Peer, status: int) -> None:
    peer.refusal = status
    with pytest.raises(HandshakeError, match=str(status)) as caught:
        await within(dial(peer))
    assert caught.value.status == status


@pytest.mark.parametrize("status", [200, 403])
@each_transport
async def test_redirected_handshake_is_refused(peer: Peer, status: int) -> None:
    """Whatever is there: the client would talk to somebody else than it was told to."""
    async with serve(Peer(peer.transport)) as elsewhere:
        elsewhere.refusal = status if status != 200 else None
        peer.refusal = 302
        peer.headers["Location"] = f"{elsewhere.url}/000/s/websocket"
        with pytest.raises(HandshakeError) as caught:
            await within(dial(peer))
        assert caught.value.status == 302


@each_transport
async def test_redirect_in_circles_is_a_refusal(peer: Peer) -> None:
    peer.refusal = 307
    peer.headers["Location"] = peer.url
    with pytest.raises(HandshakeError, match="307") as caught:
        await within(dial(peer))
    assert caught.value.status == 307


@each_transport
async def test_unreachable_server_is_a_handshake_error_without_status(peer: Peer) -> None:
    async with serve(Peer(peer.transport)) as gone:
        pass
    with pytest.raises(HandshakeError) as caught:
        await within(dial(gone))
    assert caught.value.status is None


@each_transport
async def test_opening_is_bounded_in_time(transport: str) -> None:
    """A server that accepts the connection and never answers."""
    connections: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, w: connections.append(w), "127.0.0.1", 0)
    async with server:
        url = "http://{}:{}/chat".format(*server.sockets[0].getsockname())
        with pytest.raises(TimeoutError, match="did not open in time"):
            await within(connect(url, transport=transport, open_timeout=SOON))
        for writer in connections:
            writer.close()


@each_framed
async def test_opening_waits_for_the_open_frame(peer: Peer) -> None:
    peer.todo = asyncio.Queue()
    with pytest.raises(TimeoutError):
        await within(dial(peer, open_timeout=SOON))


@each_transport
async def test_cancelled_opening_leaves_nothing_behind(peer: Peer) -> None:
    peer.todo = asyncio.Queue()
    if peer.transport == RAW:
        peer.handle = asyncio.Event().wait  # type: ignore[method-assign]
    opening = asyncio.ensure_future(dial(peer)._connect())
    if peer.transport != RAW:
        await within(peer.receiver_came.wait())
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await within(opening)


@each_framed
async def test_session_that_closes_before_it_opens(peer: Peer) -> None:
    """sockjs-protocol: a second receiver gets `c[2010,…]` and no open frame."""
    peer.todo = asyncio.Queue()
    peer.do('c[2010,"Another connection still open"]')
    with pytest.raises(ConnectionClosed) as caught:
        await within(dial(peer))
    assert (caught.value.code, caught.value.reason) == (2010, "Another connection still open")


@each_framed
async def test_session_that_opens_and_closes_at_once(peer: Peer) -> None:
    """As a browser sees a refused handshake (api.md, section 7)."""
    peer.do('c[4403,"Forbidden"]')
    async with dial(peer) as ws:
        closed = await get_end(ws)
        assert (closed.code, closed.reason) == (4403, "Forbidden")
        assert str(closed) == "4403 Forbidden"


@each_framed
async def test_frame_before_the_open_frame_is_an_error(peer: Peer) -> None:
    peer.todo = asyncio.Queue()
    peer.do('a["early"]')
    with pytest.raises(ConnectionClosed, match=r"1006 Broken framing: .* before the open frame"):
        await within(dial(peer))


# Messages


@each_transport
async def test_texts_arrive_as_they_were_sent(peer: Peer, transport: str) -> None:
    texts = TEXTS if transport == RAW else [*TEXTS, "\ud800 lone"]
    async with dial(peer) as ws:
        for text in texts:
            await ws.send(text)
            assert await peer.next_messages() == [text]
            peer.do(message(transport, text))
            assert await within(ws.recv()) == text


@each_framed
async def test_messages_of_one_frame_arrive_in_order(peer: Peer) -> None:
    peer.do('a["1","2","3"]', "a[]", 'm"4"', 'a["5"]')
    async with dial(peer) as ws:
        assert [await within(ws.recv()) for _ in range(5)] == list("12345")


@each_framed
async def test_heartbeats_are_counted(peer: Peer) -> None:
    """A prelude of many `h` is none."""
    peer.do("h", "h", 'a["x"]')
    async with dial(peer) as ws:
        assert await within(ws.recv()) == "x"
        assert ws.heartbeats == 2


@each_transport
async def test_several_tasks_may_receive(peer: Peer, transport: str) -> None:
    async with dial(peer) as ws:
        async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as group:
            tasks = [group.create_task(ws.recv()) for _ in range(3)]
            await asyncio.sleep(0)
            peer.do(*(message(transport, text) for text in "abc"))
        assert sorted(task.result() for task in tasks) == ["a", "b", "c"]


@each_transport
async def test_cancelled_recv_loses_no_message(peer: Peer, transport: str) -> None:
    async with dial(peer) as ws:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(SOON):
                await ws.recv()
        peer.do(message(transport, "x"))
        assert await within(ws.recv()) == "x"


@pytest.mark.parametrize("transport", STREAMING)
async def test_streams_are_opened_again_as_they_end(peer: Peer) -> None:
    """Section "Receiving transports": a stream ends after `response_limit` bytes."""
    peer.do('a["1"]', Act.END, Act.END, 'a["2"]', Act.END, 'a["3"]')
    async with dial(peer) as ws:
        assert [await within(ws.recv()) for _ in range(3)] == list("123")
        assert len(peer.requests) == 4


@pytest.mark.parametrize("transport", ["xhr-polling", "jsonp-polling"])
async def test_poll_without_a_frame_is_repeated(peer: Peer) -> None:
    peer.do(Act.END, 'a["1"]')
    async with dial(peer) as ws:
        assert await within(ws.recv()) == "1"


@pytest.mark.parametrize("transport", STREAMING)
async def test_frames_may_arrive_in_any_pieces(peer: Peer) -> None:
    async with dial(peer) as ws:
        peer.do(*(bytes([byte]) for byte in to_wire(peer.transport, 'a["é%41"]')))
        assert await within(ws.recv()) == "é%41"


@each_transport
async def test_only_strings_are_sent(peer: Peer) -> None:
    async with dial(peer) as ws:
        for wrong in (b"bytes", 1, None, ["x"]):
            with pytest.raises(TypeError, match="a message is a str"):
                await ws.send(wrong)  # type: ignore[arg-type]
        await ws.send("x")
        assert await peer.next_messages() == ["x"]


@pytest.mark.parametrize("transport", [RAW])
async def test_raw_websocket_cannot_carry_lone_surrogates(peer: Peer) -> None:
    async with dial(peer) as ws:
        with pytest.raises(ValueError, match="surrogates not allowed"):
            await ws.send("\ud800")
        await ws.send("x")
        assert await peer.next_messages() == ["x"]


@each_http
async def test_sends_are_serial_and_batched_while_one_is_under_way(peer: Peer) -> None:
    peer.may_answer.clear()
    async with dial(peer) as ws, asyncio.TaskGroup() as group:
        first = group.create_task(ws.send("1"))
        assert await peer.next_messages() == ["1"]
        others = [group.create_task(ws.send(text)) for text in "234"]
        await asyncio.sleep(0)
        assert not first.done()
        peer.may_answer.set()
        assert await peer.next_messages() == ["2", "3", "4"]
        await within(asyncio.gather(*others))


@each_http
async def test_cancelled_send_takes_no_other_message_with_it(peer: Peer) -> None:
    peer.may_answer.clear()
    async with dial(peer) as ws:
        cancelled = asyncio.create_task(ws.send("1"))
        assert await peer.next_messages() == ["1"]
        kept = asyncio.create_task(ws.send("2"))
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        peer.may_answer.set()
        await within(kept)
        assert await peer.next_messages() == ["2"]


@each_transport
async def test_many_messages_keep_their_order(peer: Peer, transport: str) -> None:
    async with dial(peer) as ws:
        await within(asyncio.gather(*(ws.send(str(number)) for number in range(200))))
        sent: list[str] = []
        while len(sent) < 200:
            sent += await peer.next_messages()
        assert sent == [str(number) for number in range(200)]


@pytest.mark.parametrize("transport", ["xhr-polling", "jsonp-polling"])
async def test_reading_stops_while_the_queue_is_full(peer: Peer) -> None:
    peer.do('a["1","2","3"]', 'a["4"]')
    async with dial(peer, max_queue=2) as ws:
        for _ in range(3):
            await ws.send("time passes")
        receiving = [request for request in peer.requests if "_send" not in request.path]
        assert len(receiving) == 2  # one for `o`, one for the first messages
        assert [await within(ws.recv()) for _ in range(4)] == list("1234")


@each_transport
async def test_queue_may_be_unlimited(peer: Peer, transport: str) -> None:
    peer.do(*(message(transport, str(number)) for number in range(20)))
    async with dial(peer, max_queue=None) as ws:
        assert [await within(ws.recv()) for _ in range(20)] == [str(n) for n in range(20)]


# The end, from the server's side


@pytest.mark.parametrize(
    "frame",
    ["x", "hh!", "a{", "a", 'a["a",1]', 'a"abc"', "a{}", "c", "c[1]", 'c["1","x"]', "c[1,2]",
     "m[1]", "a" + "[" * 100_000],
    ids=lambda frame: frame[:8],
)  # fmt: skip
@each_framed
async def test_broken_frames_end_the_connection(peer: Peer, frame: str) -> None:
    """What no SockJS server sends; a browser client would ignore some of it, and lose messages."""
    peer.do(frame)
    async with dial(peer) as ws:
        closed = await get_end(ws)
        assert closed.code == 1006
        assert closed.reason.startswith("Broken framing: ")


@each_framed
async def test_second_open_frame_ends_the_connection(peer: Peer) -> None:
    """Section "Sessions": `o` exactly once in a session's life."""
    peer.do("o")
    async with dial(peer) as ws:
        closed = await get_end(ws)
        assert (closed.code, closed.reason) == (1006, "Server lost session")


@pytest.mark.parametrize(
    ("transport", "garbage"),
    [
        ("xhr-polling", b"a[\"\xff\"]\n"),
        ("xhr-streaming", b"a[\"\xff\"]\n"),
        ("eventsource", b"data: a[\"%ff\"]\r\n\r\n"),
        ("eventsource", b"data: a[\"%\"]\r\n\r\n"),
        ("htmlfile", b'<script>\np("a\\x");\n</script>\r\n'),
        ("jsonp-polling", b"o\n"),
        ("jsonp-polling", b"cb({});\n"),
        ("websocket", b'a["x"]'),
        (RAW, b"binary"),
    ],
)  # fmt: skip
async def test_garbage_ends_the_connection(peer: Peer, garbage: bytes) -> None:
    peer.do(garbage)
    async with dial(peer) as ws:
        closed = await get_end(ws)
        assert closed.code == 1006
        assert closed.reason.startswith("Broken framing: ")


@each_framed
async def test_messages_before_the_close_frame_are_received(peer: Peer) -> None:
    peer.do('a["1","2"]', 'c[4001,"enough"]')
    async with dial(peer) as ws:
        await within(asyncio.wait({ws._over}))
        assert (ws.close_code, ws.close_reason) == (4001, "enough")
        assert [await ws.recv(), await ws.recv()] == ["1", "2"]
        for _ in range(2):
            assert (await get_end(ws)).code == 4001
        with pytest.raises(ConnectionClosed, match="4001 enough"):
            await ws.send("too late")


@pytest.mark.parametrize("code", [1000, 1001, 3000])
@each_framed
async def test_iteration_ends_quietly_after_an_ordinary_close(peer: Peer, code: int) -> None:
    peer.do('a["1","2"]', f'c[{code},"Go away!"]')
    async with dial(peer) as ws, asyncio.timeout(PATIENCE):
        assert [text async for text in ws] == ["1", "2"]
        assert (ws.close_code, ws.close_reason) == (code, "Go away!")


@pytest.mark.parametrize("code", [1002, 1006, 2010, 3999, 4403])
@each_framed
async def test_iteration_raises_after_any_other_close(peer: Peer, code: int) -> None:
    peer.do('a["1"]', f'c[{code},"no"]')
    received = []
    async with dial(peer) as ws, asyncio.timeout(PATIENCE):
        with pytest.raises(ConnectionClosed, match=f"{code} no"):
            async for text in ws:
                received.append(text)
    assert received == ["1"]


@each_transport
async def test_lost_connection_is_1006(peer: Peer) -> None:
    async with dial(peer) as ws:
        if peer.transport in ("xhr-polling", "jsonp-polling"):
            await within(peer.receiver_came.wait())
        peer.do(Act.CUT)
        closed = await get_end(ws)
        assert closed.code == 1006
        assert closed.reason.startswith("Connection lost")
        with pytest.raises(ConnectionClosed, match="1006"):
            await ws.send("x")


@pytest.mark.parametrize("status", [204, 404, 500])
@each_http
async def test_status_of_a_later_receiver_ends_the_connection(peer: Peer, status: int) -> None:
    if peer.transport in STREAMING:
        peer.do(Act.END)
    peer.do(status)
    async with dial(peer) as ws:
        closed = await get_end(ws)
        assert (closed.code, closed.reason) == (1006, f"HTTP status {status}")


@pytest.mark.parametrize("status", [302, 404, 413, 500])
@each_http
async def test_status_of_a_send_ends_the_connection(peer: Peer, status: int) -> None:
    """Section "Sending transports": anything but 200 and 204."""
    peer.may_answer.clear()
    peer.send_status = status
    async with dial(peer) as ws:
        sends = [asyncio.create_task(ws.send(text)) for text in "123"]
        await peer.next_messages()
        sends.append(asyncio.create_task(ws.send("4")))
        peer.may_answer.set()
        for result in await within(asyncio.gather(*sends, return_exceptions=True)):
            assert isinstance(result, ConnectionClosed)
            assert (result.code, result.reason) == (1006, f"Sending error: HTTP status {status}")


@each_http
async def test_status_200_takes_a_message_too(peer: Peer) -> None:
    peer.send_status = 200
    async with dial(peer) as ws:
        await ws.send("x")
        assert await peer.next_messages() == ["x"]


@each_http
async def test_send_that_is_never_answered_ends_the_connection(peer: Peer) -> None:
    peer.may_answer.clear()
    async with dial(peer, send_timeout=SOON) as ws:
        with pytest.raises(ConnectionClosed, match="1006 Sending error: "):
            await within(ws.send("x"))


@each_websocket
async def test_send_that_is_never_read_ends_the_connection(peer: Peer) -> None:
    peer.reads = False
    async with dial(peer, send_timeout=SOON, close_timeout=SOON) as ws:
        with pytest.raises(ConnectionClosed, match="1006 Sending error: timed out"):
            async with asyncio.timeout(PATIENCE):
                while True:
                    await ws.send("x" * 1_000_000)


@each_websocket
async def test_send_on_a_lost_connection_tells_why_it_was_lost(peer: Peer) -> None:
    """The reason is known to the reader, which waits here because its queue is full."""
    peer.do(message(peer.transport, "1"), message(peer.transport, "2"), Act.CUT)
    async with dial(peer, max_queue=1, close_timeout=SOON) as ws:
        with pytest.raises(ConnectionClosed, match="1006 Sending error: "):
            async with asyncio.timeout(PATIENCE):
                while True:
                    await ws.send("x")
                    await asyncio.sleep(0)


@each_http
async def test_silent_server_ends_the_connection(peer: Peer) -> None:
    async with dial(peer, idle_timeout=SOON) as ws:
        closed = await get_end(ws)
        assert (closed.code, closed.reason[:15]) == (1006, "Connection lost")


@each_websocket
async def test_websocket_that_answers_no_ping_ends_the_connection(peer: Peer) -> None:
    peer.autoping = False
    async with dial(peer, idle_timeout=SOON, close_timeout=SOON) as ws:
        assert (await get_end(ws)).code == 1006


@each_transport
async def test_idle_timeout_may_be_off(peer: Peer, transport: str) -> None:
    async with dial(peer, idle_timeout=None) as ws:
        peer.do(message(transport, "x"))
        assert await within(ws.recv()) == "x"


@each_transport
async def test_oversized_frames_end_the_connection_with_1009(peer: Peer, transport: str) -> None:
    peer.do(message(transport, "x" * 5000))
    async with dial(peer, max_size=4096) as ws:
        assert (await get_end(ws)).code == 1009


@each_transport
async def test_frame_size_may_be_unlimited(peer: Peer, transport: str) -> None:
    peer.do(message(transport, "x" * 5_000_000))
    async with dial(peer, max_size=None) as ws:
        assert len(await within(ws.recv())) == 5_000_000


@pytest.mark.parametrize(("act", "code", "reason"), [(4001, 4001, "so it is"), (Act.END, 1000, "")])
@each_websocket
async def test_close_frame_of_a_websocket_has_the_code(
    peer: Peer, act: int | Act, code: int, reason: str
) -> None:
    """Section "WebSocket": the raw WebSocket's close frame carries the application's code."""
    async with dial(peer) as ws:
        peer.do(act)
        closed = await get_end(ws)
        assert (closed.code, closed.reason) == (code, reason)


async def talk_rfc6455(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, frame: bytes
) -> None:
    """Answer a WebSocket handshake and send one frame as given."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    match = re.search(r"sec-websocket-key: (\S+)", head, re.IGNORECASE)
    assert match is not None
    accept = hashlib.sha1(match[1].encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    writer.write(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + base64.b64encode(accept) + b"\r\n\r\n" + frame
    )
    await reader.read()
    writer.close()


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        pytest.param(b"\x88\x00", 1005, id="close frame without a code"),
        pytest.param(b"\x81\x01\xff", 1006, id="text that is not UTF-8"),
        pytest.param(b"\xf1\x00", 1006, id="reserved bits"),
    ],
)
async def test_websocket_frames_that_need_a_raw_socket(frame: bytes, code: int) -> None:
    """RFC 6455, sections 7.1.5 and 8.1."""
    server = await asyncio.start_server(lambda r, w: talk_rfc6455(r, w, frame), "127.0.0.1", 0)
    async with server:
        url = "http://{}:{}/chat".format(*server.sockets[0].getsockname())
        async with connect(url, transport=RAW, close_timeout=SOON) as ws:
            assert (await get_end(ws)).code == code


# The end, from the client's side


@each_websocket
async def test_close_tells_a_websocket_server_code_and_reason(peer: Peer) -> None:
    async with dial(peer) as ws:
        await ws.close(4000, "as agréed")
        assert (ws.close_code, ws.close_reason) == (4000, "as agréed")
        await within(peer.receiver_left.wait())
        assert peer.close_frame == (4000, "as agréed")


@each_http
async def test_close_aborts_the_receiver(peer: Peer) -> None:
    ws = await dial(peer)
    await within(peer.receiver_came.wait())
    await ws.close(4000, "kept here")
    assert (ws.close_code, ws.close_reason) == (4000, "kept here")
    await within(peer.receiver_left.wait())
    assert peer.receivers == 0


@each_transport
async def test_messages_sent_before_close_are_delivered(peer: Peer) -> None:
    async with dial(peer) as ws:
        await ws.send("last words")
    assert await peer.next_messages() == ["last words"]


@each_transport
async def test_close_wakes_who_receives(peer: Peer) -> None:
    ws = await dial(peer)
    receiving = asyncio.create_task(ws.recv())
    await asyncio.sleep(0)
    await within(asyncio.gather(ws.close(), ws.close(), ws.close(4000)))
    with pytest.raises(ConnectionClosed, match="1000"):
        await receiving
    assert [text async for text in ws] == []
    with pytest.raises(ConnectionClosed, match="1000"):
        await ws.send("x")


@each_http
async def test_close_wakes_who_sends(peer: Peer) -> None:
    peer.may_answer.clear()
    ws = await dial(peer)
    sending = asyncio.create_task(ws.send("x"))
    await peer.next_messages()
    await within(ws.close())
    with pytest.raises(ConnectionClosed, match="1000"):
        await sending


@each_transport
async def test_close_wants_a_code_that_may_be_sent(peer: Peer) -> None:
    """RFC 6455, sections 5.5 and 7.4."""
    async with dial(peer) as ws:
        for code in (0, 999, 1001, 1006, 2999, 5000):
            with pytest.raises(ValueError, match="a close code is"):
                await ws.close(code)
        with pytest.raises(ValueError, match="at most 123 bytes"):
            await ws.close(1000, "é" * 62)
        assert ws.close_code is None


@each_websocket
async def test_close_is_bounded_in_time(peer: Peer) -> None:
    """A server that never reads the close frame."""
    peer.reads = False
    async with dial(peer, close_timeout=SOON) as ws:
        await within(ws.close())


@each_transport
async def test_close_may_be_cancelled(peer: Peer) -> None:
    """Letting go goes on without the one who asked for it, and can still be waited for."""
    ws = await dial(peer)
    closing = asyncio.create_task(ws.close())
    await asyncio.sleep(0)
    closing.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await closing
    await within(ws.close())


@each_transport
async def test_an_error_in_the_with_block_closes_the_connection(peer: Peer) -> None:
    with pytest.raises(ZeroDivisionError):
        async with dial(peer) as ws:
            raise ZeroDivisionError
    assert ws.close_code == 1000


@each_transport
async def test_program_may_end_without_close(peer: Peer) -> None:
    """At its end asyncio.run cancels all tasks, and the client's then let go of their sockets."""
    ws = await dial(peer)
    tasks = [task for task in asyncio.all_tasks() if task.get_name().startswith("sockjs ")]
    for task in tasks:
        task.cancel()
    await within(asyncio.wait(tasks))
    assert ws._http.closed
    assert (await get_end(ws)).code == 1006
    await within(peer.receiver_left.wait())


# Sessions of aiohttp


@each_http
async def test_cookies_of_the_opening_come_back(peer: Peer) -> None:
    """Sticky balancers need them, for hosts that are IP addresses too."""
    peer.headers["Set-Cookie"] = "JSESSIONID=dummy; Path=/"
    async with dial(peer) as ws:
        await ws.send("x")
        assert peer.requests[-1].cookies == {"JSESSIONID": "dummy"}


@each_transport
async def test_given_session_is_used_and_stays_open(peer: Peer) -> None:
    async with aiohttp.ClientSession(headers={"X-From": "session"}) as session:
        async with dial(peer, session=session) as ws:
            await ws.send("x")
            assert peer.opening.headers["X-From"] == "session"
        assert not session.closed


# The wire, without one


@pytest.mark.parametrize("transport", HTTP)
def test_frames_are_found_however_the_bytes_are_cut(transport: str) -> None:
    frames = ["o", "h", 'a["é\u2028%41</script>"]', 'c[3000,"Go away!"]']
    body = PRELUDES.get(transport, b"") + b"".join(to_wire(transport, f) for f in frames)
    for cut in range(len(body) + 1):
        reader = FrameReader(HTTP_TRANSPORTS[transport], None)
        assert [*reader.feed(body[:cut]), *reader.feed(body[cut:])] == frames
    reader = FrameReader(HTTP_TRANSPORTS[transport], None)
    assert [f for i in range(len(body)) for f in reader.feed(body[i : i + 1])] == frames


@pytest.mark.parametrize("newline", ["\r\n", "\n", "\r"])
def test_event_streams_may_have_any_newlines(newline: str) -> None:
    """HTML standard, section 9.2.6: comments and other fields are skipped, data lines joined."""
    stream = newline.join(
        [": hi", "event: message", "data:a[", "data: ]", "id: 1", "", "data: h", "", ""]
    )
    for cut in range(len(stream)):
        reader = FrameReader(HTTP_TRANSPORTS["eventsource"], None)
        frames = [*reader.feed(stream[:cut].encode()), *reader.feed(stream[cut:].encode())]
        assert frames == ["a[\n]", "h"]


@pytest.mark.parametrize("transport", HTTP)
def test_unfinished_frame_is_none(transport: str) -> None:
    reader = FrameReader(HTTP_TRANSPORTS[transport], None)
    wire = to_wire(transport, "o").rstrip()
    if transport == "htmlfile":
        wire = wire[:-1]
    assert list(reader.feed(wire)) == []


@pytest.mark.parametrize("transport", HTTP)
def test_size_of_a_frame_is_bounded_before_it_ends(transport: str) -> None:
    reader = FrameReader(HTTP_TRANSPORTS[transport], 100)
    with pytest.raises(ProtocolError, match="more than 100 bytes") as caught:
        for _ in range(11):
            list(reader.feed(b"0123456789"))
    assert caught.value.code == 1009


@pytest.mark.parametrize(
    ("encoded", "decoded"),
    [
        ("plain é", "plain é"),
        ("%25", "%"),
        ("%2541", "%41"),
        ("%41%0a%00", "A\n\0"),
        ("%C3%A9%c3%a9", "éé"),
        ("%F0%9F%98%80", "\U0001f600"),
        ("%3b%2F%3F%3A%40%26%3D%2B%24%2C%23", "%3b%2F%3F%3A%40%26%3D%2B%24%2C%23"),
        ("%5B%2F%5D", "[%2F]"),
    ],
)
def test_decode_uri_is_that_of_browsers(encoded: str, decoded: str) -> None:
    """ECMA-262, section 19.2.6.1; each row was checked with JavaScript's decodeURI."""
    assert decode_uri(encoded) == decoded


@pytest.mark.parametrize("broken", ["%", "100%", "%4", "%zz", "%80", "%C3", "%C3%2F", "%ED%A0%80"])
def test_decode_uri_refuses_what_browsers_refuse(broken: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        decode_uri(broken)


def test_extended_url_keeps_host_and_query_as_they_were() -> None:
    base = URL("http://user:pw@[::1]:8080/a%20b/?q=%26+%20#fragment")
    extended = extend_url(base, "/000/s", f"t={1}")
    assert str(extended) == "http://user:pw@[::1]:8080/a%20b/000/s?q=%26+%20&t=1"
    assert urllib.parse.urlsplit(str(extend_url(URL("http://h"), "/x"))).query == ""
