"""What the middlebox does to requests for ``Upgrade``, and to the WebSockets that come of them."""

from __future__ import annotations

import asyncio

import pytest

from tests.integration.support import until
from tests.proxies.behaviour import DIRECTIONS, Behaviour, Cut, Drop
from tests.proxies.ends import BYE, FRAME, Origin, behind, echo, switch


async def test_an_upgrade_is_refused(origin: Origin) -> None:
    async with behind(origin, Behaviour(upgrade="refused")) as (box, client):
        assert await client.get("websocket") == ("403", b"")
        assert origin.heads == []
        assert box.counts["upgrades"] == 1


async def test_an_upgrade_is_swallowed(origin: Origin) -> None:
    """What the server says to a request without it is what the client hears."""
    async with behind(origin, Behaviour(upgrade="swallowed")) as (box, client):
        assert await client.get("websocket") == ("400", b"")
        assert origin.heads[0].get("upgrade") == ""
        assert box.counts["upgrades"] == 1


@pytest.mark.parametrize(("upgrade", "seen"), [("held", 1), ("unanswered", 0)])
async def test_an_upgrade_stays_without_answer(origin: Origin, upgrade: str, seen: int) -> None:
    """The server has answered, or has never been asked."""
    behaviour = Behaviour(upgrade=upgrade, cut=Cut("FIN", after_seconds=0.3))
    async with behind(origin, behaviour) as (box, client):
        await client.ask("websocket")
        assert await client.rest() == b""
        assert len(origin.heads) == seen
        assert box.counts["upgrades"] == 1


@pytest.mark.parametrize("upgrade", ["refused", "swallowed", "held", "unanswered"])
async def test_other_requests_are_answered(origin: Origin, upgrade: str) -> None:
    async with behind(origin, Behaviour(upgrade=upgrade)) as (box, client):
        assert await client.get("xhr") == ("200", FRAME)
        assert box.counts["upgrades"] == 0


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("passed", [b"", b"12345"])
async def test_frames_are_dropped_silently(origin: Origin, direction: str, passed: bytes) -> None:
    """At once or after some bytes; the connection stays open until the client leaves."""
    drop = Drop(direction, after_bytes=len(passed))
    async with behind(origin, Behaviour(drop=drop)) as (box, client):
        await switch(client)
        await echo(client, passed)
        client.writer.write(b"lost")
        await until(lambda: box.counts["dropped"])
        client.writer.write_eof()
        assert await client.rest() == b""
        assert origin.heard == passed + (b"lost" if direction == "to the client" else b"")


async def test_where_frames_are_dropped_the_end_is_not_told(origin: Origin) -> None:
    """The server has left; what ends the client's connection is another limit."""
    behaviour = Behaviour(drop=Drop("to the client"), cut=Cut(after_seconds=0.5))
    async with behind(origin, behaviour) as (box, client):
        await switch(client)
        client.writer.write(BYE)
        assert await client.rest() == b""
        assert origin.heard == BYE
        assert box.counts["cuts"] == 1


async def test_frames_are_dropped_after_some_time(origin: Origin) -> None:
    time = asyncio.get_running_loop().time
    async with behind(origin, Behaviour(drop=Drop("both", after_seconds=0.2))) as (box, client):
        began = time()
        await switch(client)
        while not box.counts["dropped"]:
            client.writer.write(b".")
            heard = asyncio.ensure_future(client.reader.read(1))
            await until(lambda heard=heard: heard.done() or box.counts["dropped"])
            heard.cancel()
        assert time() - began >= 0.2


@pytest.mark.parametrize("direction", DIRECTIONS)
async def test_where_frames_are_dropped_requests_are_not(origin: Origin, direction: str) -> None:
    async with behind(origin, Behaviour(drop=Drop(direction))) as (box, client):
        assert await client.get("xhr") == ("200", FRAME)
        assert box.counts["dropped"] == 0


@pytest.mark.parametrize("end", ["FIN", "RST", "clean"])
async def test_a_websocket_is_cut_after_some_bytes(origin: Origin, end: str) -> None:
    async with behind(origin, Behaviour(cut=Cut(end, after_bytes=6))) as (box, client):
        await switch(client)
        await echo(client, b"123456")
        client.writer.write(b"7890")
        assert await client.rest() == b""
        assert box.counts["cuts"] == 1


async def test_a_websocket_is_cut_after_some_time(origin: Origin) -> None:
    async with behind(origin, Behaviour(cut=Cut(after_seconds=0.2))) as (box, client):
        await switch(client)
        assert await client.rest() == b""
        assert box.counts["cuts"] == 1
