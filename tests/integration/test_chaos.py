"""A proxy resets reused connections, and the client repeats its requests as browsers do.

On a reused connection that is reset before a byte of the response arrived, a browser sends the POST
again over a new one, unseen by the page; the repeat carries the identical ``t`` (fallback.md). The
server has to answer it from memory, or messages are lost, doubled and reordered.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from sockjs_bridge.client import unique_milliseconds
from tests.integration.test_scenarios import random_texts
from tests.pkgs.scenario_app import PATIENCE, served
from tests.proxies.reset import STAGES, ResettingProxy

pytestmark = pytest.mark.integration

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Browser:
    """Sends POSTs over keep-alive connections, and repeats them silently as browsers do.

    Args:
        host: of the server.
        port: of the server.

    Attributes:
        repeats: how many requests were sent again.
    """

    def __init__(self, host: str, port: int) -> None:
        self._address = host, port
        self._idle: list[Stream] = []
        self.repeats = 0

    async def post(self, target: str, body: str = "") -> tuple[int, str]:
        """Send a request; return status and body of the response."""
        payload = body.encode()
        head = f"POST {target} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(payload)}\r\n\r\n"
        while self._idle:
            stream = self._idle.pop()
            try:
                return await self._exchange(stream, head.encode() + payload)
            except (ConnectionError, asyncio.IncompleteReadError) as error:
                stream[1].transport.abort()
                if isinstance(error, asyncio.IncompleteReadError) and error.partial:
                    raise
                self.repeats += 1
        stream = await asyncio.open_connection(*self._address)
        return await self._exchange(stream, head.encode() + payload)

    async def _exchange(self, stream: Stream, request: bytes) -> tuple[int, str]:
        reader, writer = stream
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = 0
        if "\r\ncontent-length:" in head:
            length = int(head.partition("\r\ncontent-length:")[2].partition("\r\n")[0])
        body = await reader.readexactly(length)
        self._idle.append(stream)
        return int(head.split(" ")[1]), body.decode()

    def close(self) -> None:
        """Drop the connections that are idle."""
        for _, writer in self._idle:
            writer.transport.abort()


class PollingClient:
    """An xhr-polling client on a `Browser`: one poll at a time, one send at a time."""

    def __init__(self, browser: Browser, base: str) -> None:
        self._browser = browser
        self._base = f"{base}/000/chaos"
        self.messages: list[str] = []

    async def send(self, texts: list[str]) -> None:
        """Send messages in one request."""
        target = f"{self._base}/xhr_send?tag=a&t={unique_milliseconds()}"
        status, _ = await self._browser.post(target, json.dumps(texts))
        assert status == 204

    async def poll(self) -> str:
        """Poll once, and return the frame."""
        target = f"{self._base}/xhr?tag=a&t={unique_milliseconds()}"
        status, body = await self._browser.post(target)
        assert status == 200
        return body.removesuffix("\n")

    async def receive(self, count: int) -> None:
        """Poll until there are `count` messages, or more."""
        while len(self.messages) < count:
            frame = await self.poll()
            assert frame[0] in "ah", frame
            self.messages += json.loads(frame[1:] or "[]")


@asynccontextmanager
async def browser_behind(proxy: ResettingProxy) -> AsyncIterator[Browser]:
    host, _, port = proxy.url.removeprefix("http://").partition(":")
    browser = Browser(host, int(port))
    try:
        yield browser
    finally:
        browser.close()


@pytest.mark.parametrize("seed", range(5))
async def test_resets_of_reused_connections(seed: int) -> None:
    """200 messages each way through a proxy that resets every third request: all once, in order."""
    up, down = random_texts(seed, 200, 300), random_texts(seed + 100, 200, 300)
    with served(heartbeat_delay=0.1) as server:
        async with (
            asyncio.timeout(2 * PATIENCE),
            ResettingProxy(server.url, seed, rate=0.35) as proxy,
            browser_behind(proxy) as browser,
        ):
            client = PollingClient(browser, "/desk")
            assert await client.poll() == "o"
            there = await asyncio.to_thread(server.desk.connection, "a")

            def push() -> None:
                for number, text in enumerate(down):
                    there.send(text)
                    # In step with the client, so that both directions are busy to the end.
                    server.desk.wait("a", "message", number)

            async def send() -> None:
                for start in range(0, 200, 2):
                    await client.send(up[start : start + 2])

            await asyncio.gather(asyncio.to_thread(push), send(), client.receive(200))
            assert client.messages == down
            assert await asyncio.to_thread(server.desk.messages, "a", 200) == up
            # Nothing comes twice later on.
            there.send("end")
            assert await client.poll() == 'a["end"]'
        assert min(proxy.counts[stage] for stage in STAGES) >= 5, proxy.counts
        assert browser.repeats == proxy.counts.total()
    assert len(server.desk.events("a", "open")) == 1
    assert len(server.desk.events("a", "message")) == 200
