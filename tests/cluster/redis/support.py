"""What the tests of the store on Redis hold."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from sockjs_bridge.cluster.redis.store import RedisStore
from sockjs_bridge.cluster.urls import parse
from tests.cluster.stores import Ear, ask

_names = itertools.count()


def fresh() -> str:
    """Return the name of a cluster that no other test uses."""
    return f"fresh{next(_names)}"


@asynccontextmanager
async def started(
    url: str, name: str, node: str = "node1", ear: Ear | None = None, **options: Any
) -> AsyncIterator[tuple[RedisStore, Ear]]:
    """Start a store; it is stopped at the end."""
    store, ear = RedisStore(parse(url), name, **options), ear or Ear()
    await store.start(node, ear)
    ear.forget()
    try:
        yield store, ear
    finally:
        await store.stop()


async def raw(store: RedisStore, *command: Any) -> Any:
    """Send a command as it is; return the answer, or raise a `StoreError`."""
    return await ask(store._commands.call, command)
