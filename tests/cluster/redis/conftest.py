"""Redis servers for the tests of the store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.cluster.redisproxy import RedisProxy
from tests.cluster.redisserver import RedisServer


@pytest.fixture(scope="session")
def shared() -> Iterator[RedisServer]:
    """A server that all tests use, each below names of its own."""
    server = RedisServer()
    server.start()
    yield server
    server.close()


@pytest.fixture
def own() -> Iterator[RedisServer]:
    """A server that the test may kill."""
    server = RedisServer()
    server.start()
    yield server
    server.close()


@pytest.fixture
async def proxy(shared: RedisServer) -> AsyncIterator[RedisProxy]:
    """What stands between stores and the shared server."""
    proxy = RedisProxy(shared.port)
    await proxy.start()
    yield proxy
    await proxy.close()
