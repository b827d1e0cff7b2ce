"""Redis servers for the tests of the store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.cluster.redisproxy import RedisProxy
from tests.cluster.redisserver import RedisServer


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A server that all tests use, each below a name of its own."""
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.end()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Callable[..., RedisServer]]:
    """Starts servers: options of the command line, and a port if it matters."""
    with ExitStack() as stack:

        def start(*options: str, port: int | None = None) -> RedisServer:
            folder = tmp_path / f"server{len([*tmp_path.iterdir()])}"
            folder.mkdir()
            made = RedisServer(folder, "redis-server", *options)
            made.port = port or made.port
            stack.callback(made.end)
            made.start()
            return made

        yield start


@pytest.fixture
async def proxy(shared: RedisServer) -> AsyncIterator[RedisProxy]:
    """What stands between stores and the shared server."""
    proxy = RedisProxy(shared.port)
    await proxy.start()
    yield proxy
    await proxy.close()
