"""What a connection to Redis consists of: parts that run until the first one ends."""

from __future__ import annotations

import asyncio

import pytest

from sockjs_bridge.cluster.redisstore.server import first_of


async def test_parts_run_until_the_first_one_ends() -> None:
    ends: list[str] = []

    async def part(name: str, *, lasts: bool) -> None:
        try:
            await asyncio.sleep(3600 if lasts else 0)
        finally:
            ends.append(name)

    await first_of(part("long", lasts=True), part("short", lasts=False))
    assert ends == ["short", "long"]


async def test_what_the_first_one_raises_is_raised() -> None:
    async def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await first_of(asyncio.sleep(3600), fail())
