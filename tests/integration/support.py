"""What the integration tests share."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

import aiohttp

from sockjs_bridge.client import (
    TRANSPORTS,
    Connection,
    ConnectionClosed,
    HandshakeError,
    connect,
)

PATIENCE = 90.0
"""Seconds after which a wait for an event has failed."""

HTTP_TRANSPORTS = [name for name in TRANSPORTS if "websocket" not in name]


class Journal:
    """What the code of an application saw, by the ``?tag=`` of the connection."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._events: dict[str | None, list[tuple[Any, ...]]] = defaultdict(list)

    def record(self, tag: str | None, *event: Any) -> None:
        """Append an event and wake those who wait for it."""
        with self._changed:
            self._events[tag].append(event)
            self._changed.notify_all()

    def events(self, tag: str) -> list[tuple[Any, ...]]:
        """Return the events so far."""
        with self._changed:
            return list(self._events[tag])

    async def wait(self, tag: str, kind: str, count: int = 1) -> list[tuple[Any, ...]]:
        """Return all events as soon as there are `count` of a kind."""

        def enough() -> bool:
            return sum(event[0] == kind for event in self._events[tag]) >= count

        def wait() -> None:
            with self._changed:
                found = self._changed.wait_for(enough, PATIENCE)
            assert found, f"no {kind} among {self._events[tag]}"

        await asyncio.to_thread(wait)
        return self.events(tag)


@asynccontextmanager
async def connected(url: str, transport: str, **options: Any):
    """Connect over a transport, and bound the time of it all."""
    async with asyncio.timeout(PATIENCE):
        async with connect(url, transport=transport, **options) as connection:
            yield connection


async def closing(connection: Connection) -> tuple[int, str]:
    """Wait for the end of a connection, and return its code and reason."""
    try:
        async with asyncio.timeout(PATIENCE):
            message = await connection.recv()
    except ConnectionClosed as closed:
        return closed.code, closed.reason
    raise AssertionError(f"expected the end, got {message!r}")


async def outcome(url: str, transport: str, message: str = "hello", **options: Any) -> str | int:
    """Say something over a new connection.

    Returns:
        What came back; or the status with which the connection was refused.
    """
    try:
        async with connected(url, transport, **options) as connection:
            try:
                await connection.send(message)
                return await connection.recv()
            except ConnectionClosed as closed:
                # Section 7 of api.md: over HTTP it opens and closes at once.
                assert transport in HTTP_TRANSPORTS, closed
                assert closed.reason == HTTPStatus(closed.code - 4000).phrase
                return closed.code - 4000
    except HandshakeError as refused:
        assert transport not in HTTP_TRANSPORTS, refused
        assert refused.status is not None
        return refused.status


async def get(
    url: str, *, method: str = "GET", headers: dict[str, str] | None = None
) -> tuple[int, Any, str]:
    """Make one request, and return its status, headers and text."""
    async with (
        aiohttp.ClientSession() as http,
        http.request(method, url, headers=headers, allow_redirects=False) as response,
    ):
        return response.status, response.headers, await response.text()


def eventually(condition: Callable[[], object]) -> None:
    """Wait, in a thread of one's own, until a condition holds that no event tells of."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "the condition did not become true in time"
        time.sleep(0.01)


async def until(condition: Callable[[], object]) -> None:
    """Wait, on the loop, until a condition holds that no event tells of."""
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.01)
