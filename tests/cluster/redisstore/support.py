"""What the tests of the store on Redis hold."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sockjs_bridge.cluster.redisstore.store import RedisStore
from sockjs_bridge.cluster.urls import parse
from tests.cluster.redisserver import RedisServer
from tests.cluster.stores import SOON, Ear, ask
from tests.proxies.programs import find_program, free_port

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


@asynccontextmanager
async def sentinel(folder: Path, primary: RedisServer) -> AsyncIterator[str]:
    """Start a Sentinel, which calls a server ``main``; yield the URL without a service."""
    port = free_port()
    path = folder / "sentinel.conf"
    path.write_text(
        f"port {port}\nbind 127.0.0.1\ndir {folder}\n"
        f"sentinel monitor main 127.0.0.1 {primary.port} 1\n"
        "sentinel down-after-milliseconds main 500\n"
    )
    process = await asyncio.create_subprocess_exec(
        *(find_program("redis-server"), str(path), "--sentinel"), stdout=asyncio.subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(SOON):
            while b"flags" not in await told(port, "SENTINEL MASTER main"):
                await asyncio.sleep(0.02)
        yield f"redis+sentinel://127.0.0.1:{port}"
    finally:
        process.kill()
        await process.wait()


async def knows_replica(url: str) -> None:
    """Wait until a Sentinel knows a replica that it may make the primary."""
    port = int(url.rpartition(":")[2])
    # It looks each 10 seconds which there are, unless it is told otherwise.
    await told(port, "SENTINEL DEBUG info-period 200 ping-period 200")
    async with asyncio.timeout(3 * SOON):
        while b"master-link-status\r\n$2\r\nok" not in await told(port, "SENTINEL REPLICAS main"):
            await asyncio.sleep(0.05)


async def told(port: int, command: str) -> bytes:
    """Return the first bytes that a server answers; none where there is no server."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return b""
    writer.write(command.encode() + b"\r\n")
    answer = await reader.read(4000)
    writer.close()
    await writer.wait_closed()
    return answer
