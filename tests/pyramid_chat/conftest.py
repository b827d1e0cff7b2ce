"""The chat on a real server, and people who talk to it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from pyramid_chat import main
from sockjs_bridge.client import Connection, connect
from sockjs_bridge.testing import serve

PATIENCE = 10.0
"""Seconds after which a test gives up waiting for what must happen."""


class Person:
    """One connection to the chat."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.heard: list[dict[str, Any]] = []

    async def tell(self, request: dict[str, Any] | str) -> None:
        """Send a request; a string goes out as it is."""
        await self.connection.send(request if isinstance(request, str) else json.dumps(request))

    async def hear(self) -> dict[str, Any]:
        """Wait for the next event."""
        async with asyncio.timeout(PATIENCE):
            event: dict[str, Any] = json.loads(await self.connection.recv())
        self.heard.append(event)
        return event

    async def join(self, name: str, **fields: Any) -> dict[str, Any]:
        """Enter the room and return the welcome."""
        await self.tell({"type": "join", "name": name, **fields})
        welcome = await self.hear()
        assert welcome["type"] == "welcome", welcome
        return welcome

    async def say(self, text: str, **fields: Any) -> None:
        """Send a message to all."""
        await self.tell({"type": "message", "text": text, **fields})


Visit = Callable[..., AbstractAsyncContextManager[Person]]


@pytest.fixture
def chat_url() -> Iterator[str]:
    """The URL of an application of its own; jsonp, which serves other origins, is on as well."""
    with serve(main({}, **{"sockjs.allowed_origins": "https://other.example"})) as url:
        yield url


@pytest.fixture
def visit(chat_url: str) -> Visit:
    """Connects: ``async with visit("xhr-polling") as ada``."""

    @contextlib.asynccontextmanager
    async def visit(transport: str = "websocket", **options: Any) -> AsyncIterator[Person]:
        async with connect(f"{chat_url}/chat", transport=transport, **options) as connection:
            yield Person(connection)

    return visit
