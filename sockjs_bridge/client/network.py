"""What moves bytes for a client whose session survives: aiohttp under the client's core."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Protocol

import aiohttp
from yarl import URL

from sockjs_bridge.client.resume.links import Link, Post
from sockjs_bridge.client.resume.policy import Way
from sockjs_bridge.client.wire import UNCOMPRESSED, extend_url

#: Seconds that the other side of a WebSocket has to answer the close frame.
LEAVE = 1.0
#: Seconds that a server may ask to wait.
LONGEST_WAIT = 3600.0
#: Bytes of an answer to a send, which are some counts and a reason.
MAX_ANSWER = 65536
#: What breaks a connection, and says no more than that; the last one comes of an aiohttp session
#: that its owner has closed.
BROKEN = (aiohttp.ClientError, OSError, TimeoutError, ValueError, RuntimeError)


class Core(Protocol):
    """What hears of what arrives: `ResumableClient`."""

    home: str

    def connected(self, link: Link) -> None:
        """See `Asking.connected`."""
        raise NotImplementedError

    def line(self, link: Link, text: str) -> None:
        """See `ResumableClient.line`."""
        raise NotImplementedError

    def ended(
        self, link: Link, status: int | None = None, *, clean: bool = False, after: float = 0.0
    ) -> None:
        """See `Asking.ended`."""
        raise NotImplementedError

    def answered(self, post: Post, status: int, answer: dict[str, Any]) -> None:
        """See `Sending.answered`."""
        raise NotImplementedError

    def failed(self, post: Post) -> None:
        """See `Sending.failed`."""
        raise NotImplementedError

    def deadline(self) -> float | None:
        """See `ResumableClient.deadline`."""
        raise NotImplementedError

    def on_deadline(self, now: float) -> None:
        """See `ResumableClient.on_deadline`."""
        raise NotImplementedError


class Network:
    """Fulfils `links.Network`, calls the core, and is its clock.

    Args:
        http: the aiohttp session.
        base: the endpoint's base URL.
        headers: for each request.
        max_size: bytes of one line, beyond which a connection is dropped; None for no bound.

    Attributes:
        failure: what broke last, in words; empty where nothing did.
    """

    def __init__(
        self,
        http: aiohttp.ClientSession,
        base: URL,
        headers: Mapping[str, str],
        max_size: int | None,
    ) -> None:
        self._http = http
        self._base = base
        self._headers = headers
        self._max_size = max_size
        self.failure = ""
        self._loop = asyncio.get_running_loop()
        self._core: Core | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._running: dict[Link | Post, asyncio.Task[None]] = {}
        self._frames: dict[Link, asyncio.Queue[str]] = {}
        self._timer: asyncio.TimerHandle | None = None
        # Set while the application takes what comes.
        self.readable = asyncio.Event()
        self.readable.set()

    def serve(self, core: Core) -> None:
        """Says whom it calls."""
        self._core = core

    def time(self) -> float:
        """Returns seconds of the loop's clock."""
        return self._loop.time()

    # What the core asks for

    def open(self, link: Link) -> None:
        """Begins a request or a handshake."""
        run = self._converse if link.way is Way.WEBSOCKET else self._receive
        self._begin(link, run(link))

    def write(self, link: Link, frame: object) -> None:
        """Sends a JSON value over a WebSocket."""
        self._frames[link].put_nowait(json.dumps(frame))

    def close(self, link: Link) -> None:
        """Drops a connection."""
        self._cancel(link)

    def post(self, post: Post) -> None:
        """Begins a request that sends."""
        self._begin(post, self._post(post))

    def drop(self, post: Post) -> None:
        """Drops a request that sends."""
        self._cancel(post)

    def _begin(self, key: Link | Post, coroutine: Coroutine[Any, Any, None]) -> None:
        self._running[key] = task = self._spawn(coroutine)
        task.add_done_callback(lambda _: self._running.pop(key, None))

    def _cancel(self, key: Link | Post) -> None:
        self._running.pop(key).cancel()

    # Time

    def look(self) -> None:
        """Sees to it that the core is called when something is due."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        core = self._core
        if core is None or not self.readable.is_set():
            # Who does not read hears no sign of life.
            return
        if (due := core.deadline()) is not None:
            self._timer = self._loop.call_at(due, self._due)

    def _due(self) -> None:
        self._timer = None
        assert self._core is not None
        self._core.on_deadline(self.time())
        self.look()

    def _tell(self, function: Callable[..., None], *arguments: Any, **options: Any) -> None:
        function(*arguments, **options)
        self.look()

    # What moves

    def _url(self, session: str, transport: str, *query: str) -> URL:
        home = "" if self._core is None else self._core.home
        return extend_url(self._base, f"/~r1{home}/{session}/{transport}", *query)

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _request(self, session: str, transport: str, body: object) -> Any:
        return self._http.post(
            self._url(session, transport),
            data=json.dumps(body).encode(),
            headers={"Content-Type": "text/plain;charset=UTF-8", **UNCOMPRESSED, **self._headers},
            allow_redirects=False,
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=None),
        )

    async def _receive(self, link: Link) -> None:
        core = self._core
        if core is None:
            # It was begun while all that is left is dropped.
            return
        try:
            async with self._request(link.session, link.way.value, link.body) as response:
                if response.status != 200:
                    self.failure = f"HTTP status {response.status}"
                    after = retry_after(response.headers.get("Retry-After", ""))
                    self._tell(core.ended, link, response.status, after=after)
                    return
                left = bytearray()
                async for data in response.content.iter_any():
                    whole, end, rest = data.rpartition(b"\n")
                    # In place: a long line may come in small pieces.
                    left += whole if end else rest
                    lines = left.split(b"\n") if end else []
                    if end:
                        left = bytearray(rest)
                    if self._max_size is not None and len(left) > self._max_size:
                        raise ValueError("a line without an end")
                    for line in lines:
                        core.line(link, line.decode())
                    self.look()
                    await self._wait_for_reader(link)
        except BROKEN as error:
            self.failure = str(error)
            self._tell(core.ended, link)
        else:
            # What has no line end is no line.
            self._tell(core.ended, link, clean=True)

    async def _wait_for_reader(self, link: Link) -> None:
        if not self.readable.is_set():
            await self.readable.wait()
            # While nobody read, nobody could see that it lived.
            link.heard_at = self.time()

    async def _post(self, post: Post) -> None:
        core = self._core
        if core is None:
            # It was begun while all that is left is dropped.
            return
        try:
            async with self._request(post.session, "xhr_send", post.body) as response:
                answer = json.loads(await _whole(response)) if response.status == 200 else {}
                status = response.status if type(answer) is dict else 502
        except BROKEN:
            self._tell(core.failed, post)
        else:
            self._tell(core.answered, post, status, answer)

    async def _converse(self, link: Link) -> None:
        core = self._core
        if core is None:
            # It was begun while all that is left is dropped.
            return
        query = ("new",) if link.new else ()
        try:
            async with self._http.ws_connect(
                self._url(link.session, "websocket", *query),
                headers=self._headers,
                max_msg_size=self._max_size or 0,
                timeout=aiohttp.ClientWSTimeout(ws_close=LEAVE),
            ) as websocket:
                # aiohttp has no public name for the answer to the handshake.
                if websocket._response.history:
                    # It has followed; what is elsewhere must not get the key.
                    raise aiohttp.ClientError("a WebSocket elsewhere")
                frames = self._frames[link] = asyncio.Queue()
                writer = self._spawn(_write(websocket, frames))
                try:
                    self._tell(core.connected, link)
                    code = await self._hear(core, link, websocket)
                finally:
                    writer.cancel()
                    del self._frames[link]
                # Before the other side has answered the close frame, if it does at all.
                self._tell(core.ended, link, code)
        except aiohttp.WSServerHandshakeError as error:
            # What it was sent to elsewhere says nothing of this session.
            status = (error.history or (error,))[0].status
            self.failure = f"HTTP status {status}"
            self._tell(core.ended, link, status)
        except BROKEN as error:
            self.failure = str(error)
            self._tell(core.ended, link)

    async def _hear(
        self, core: Core, link: Link, websocket: aiohttp.ClientWebSocketResponse
    ) -> int | None:
        while True:
            message = await websocket.receive()
            if message.type is aiohttp.WSMsgType.CLOSE:
                return int(message.data or 0) or None
            if message.type is not aiohttp.WSMsgType.TEXT:
                return None
            self._tell(core.line, link, message.data)
            await self._wait_for_reader(link)

    # The end

    async def stop(self) -> None:
        """Drops all that is left."""
        self._core = None
        self.look()
        # Some of them may not end by that, but tell the core, which begins others.
        while tasks := [*self._tasks]:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _whole(response: aiohttp.ClientResponse) -> bytes:
    """Reads an answer.

    Raises:
        ValueError: it is too large to be one.
    """
    body = b""
    async for data in response.content.iter_any():
        body += data
        if len(body) > MAX_ANSWER:
            raise ValueError("an answer without an end")
    return body


async def _write(websocket: aiohttp.ClientWebSocketResponse, frames: asyncio.Queue[str]) -> None:
    try:
        while True:
            await websocket.send_str(await frames.get())
    except BROKEN:
        # Who reads sees it, too.
        return


def retry_after(value: str) -> float:
    """Returns the seconds of a ``Retry-After`` (RFC 9110, 10.2.3); 0 where it is a date."""
    # A number of thousands of digits is infinite, which no loop waits for.
    return min(LONGEST_WAIT, float(value)) if value.isdecimal() else 0.0
