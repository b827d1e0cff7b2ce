"""Messages from outside of the servers."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from sockjs_bridge import StoreError, publish
from sockjs_bridge.cluster.engine import Bounds
from sockjs_bridge.cluster.redisstore.keys import Keys
from sockjs_bridge.cluster.store import Entry, Position
from tests.cluster.redisserver import RedisServer
from tests.cluster.redisstore.support import fresh, raw, started
from tests.cluster.stores import BOUNDS, ask
from tests.cluster.stores import publish as published

HISTORY = [("news*", BOUNDS), ("*", Bounds(2, 60))]


async def run(call: Callable[..., None], *arguments: Any, **options: Any) -> None:
    await asyncio.to_thread(call, *arguments, **options)


@pytest.mark.parametrize("socket", [False, True], ids=["tcp", "unix"])
async def test_a_room_hears_it(redis: RedisServer, socket: bool) -> None:
    name = fresh()
    async with started(redis.url, name, rooms=[("news*", BOUNDS)]) as (store, ear):
        store.subscribe(["plain", "news 1", ""])
        await ear.hears("subscribed", 3)
        first = await published(store, "news 1", "before")
        url = redis.unix_url if socket else redis.url
        await run(publish, url, "plain", "€ \ud800", name=name)
        await run(publish, url, "news 1", "kept", name=name)
        await run(publish, url, None, "to all", name=name)
        after = await published(store, "news 1", "after")
        heard = await ear.hears("heard", 5)
        assert heard[1:4] == [
            ("plain", None, Entry("€ \ud800")),
            ("news 1", Position(first.epoch, 2), Entry("kept")),
            ("", None, Entry("to all")),
        ]
        assert after == Position(first.epoch, 3)


async def test_the_first_pattern_holds_and_all_connections_have_no_history(
    redis: RedisServer,
) -> None:
    name = fresh()
    async with started(redis.url, name, rooms=HISTORY) as (store, ear):
        store.subscribe([""])
        await ear.hears("subscribed")
        for number in range(4):
            await run(publish, redis.url, "news", str(number), name=name)
            await run(publish, redis.url, "other", str(number), name=name)
        await run(publish, redis.url, None, "to all", name=name)
        assert await ear.hears("heard") == [("", None, Entry("to all"))]
        tops = await ask(store.tops, {"news": BOUNDS, "other": BOUNDS})
        assert [top.number for top in tops.values()] == [4, 4]


async def test_a_server_where_no_process_has_come_back_yet(redis: RedisServer) -> None:
    """It may have lost its tail: its epochs are over for scripts, too."""
    name = fresh()
    async with started(redis.url, name, rooms=HISTORY) as (store, _):
        before = await published(store, "news", "1", "2")
        marker = await raw(store, "HGETALL", store._keys.marker)
    redis.kill()
    redis.start()
    async with started(redis.url, fresh()) as (store, _):
        keys = Keys(name)
        await raw(store, "HSET", keys.marker, *marker)
        await raw(store, "XADD", keys.stream("news"), f"{before.epoch}-1", "m", "\n1", "t", "1")
        await run(publish, redis.url, "news", "3", name=name)
        assert (await raw(store, "HGET", keys.marker, "lineage")).decode() == store._lineage
        ((last, _),) = await raw(store, "XREVRANGE", keys.stream("news"), "+", "-", "COUNT", "1")
        epoch, number = map(int, last.split(b"-"))
        assert (epoch > before.epoch, number) == (True, 1)


async def test_what_is_not_there_is_told(redis: RedisServer) -> None:
    with pytest.raises(StoreError, match="knows no cluster below sb:none:"):
        await run(publish, redis.url, "a", "text", name="none")
    with pytest.raises(StoreError, match="cannot be called 'a b'"):
        await run(publish, redis.url, "a", "text", name="a b")
    name = fresh()
    async with started(redis.url, name) as (store, _):
        await raw(store, "HSET", store._keys.marker, "format", "other 2")
        with pytest.raises(StoreError, match="another version"):
            await run(publish, redis.url, "a", "text", name=name)
        await raw(store, "SET", store._keys.marker, "text")
        with pytest.raises(StoreError, match="WRONGTYPE"):
            await run(publish, redis.url, "a", "text", name=name)
    redis.kill()
    with pytest.raises(StoreError, match="cannot be reached"):
        await run(publish, redis.url, "a", "text")
    with pytest.raises(StoreError, match="cannot be reached"):
        await run(publish, redis.unix_url, "a", "text")
    with pytest.raises(StoreError, match="cannot be reached"):
        await run(publish, f"redis+sentinel://127.0.0.1:{redis.port}/main", "a", "text")


async def test_a_server_that_hangs(redis: RedisServer) -> None:
    redis.pause()
    with pytest.raises(StoreError, match="does not answer"):
        await run(publish, redis.url, "a", "text")
    redis.resume()


@pytest.mark.parametrize(
    ("arguments", "error", "why"),
    [
        (("redis://host", "a", b"text"), TypeError, "a message is a string, not bytes"),
        (("redis://host", 1, "text"), TypeError, "a name of a room is a string, not int"),
        (("redis://host", "", "text"), ValueError, "empty"),
        (("memory://", "a", "text"), ValueError, "one process"),
        (("host", "a", "text"), ValueError, "no URL"),
    ],
)
def test_what_cannot_be(arguments: Any, error: type[Exception], why: str) -> None:
    with pytest.raises(error, match=why):
        publish(*arguments)


def test_a_missing_package_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sockjs_bridge.cluster.redisstore.outside", None)
    with pytest.raises(StoreError, match=r"pip install sockjs-bridge\[cluster\]"):
        publish("redis://host", "a", "text")


def test_scripts_load_little() -> None:
    """A task that publishes imports no Pyramid, no aiohttp and no server."""
    program = (
        "import sys; from sockjs_bridge import publish\n"
        "try: publish('redis://127.0.0.1:1', 'a', 'text')\n"
        "except Exception as error: print(error)\n"
        "print({'pyramid', 'aiohttp', 'sockjs_bridge.server'} & {*sys.modules})"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert "cannot be reached" in ran.stdout
    assert ran.stdout.endswith("set()\n")
