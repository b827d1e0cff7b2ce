"""Each behaviour of the middlebox, by raw connections to it and a server that tells what it saw."""

from __future__ import annotations

import asyncio
import math
import socket
from collections.abc import Callable
from contextlib import closing
from urllib.parse import urlsplit

import pytest

from tests.integration.support import eventually, until
from tests.proxies.behaviour import Behaviour, Cut, Lose
from tests.proxies.ends import FRAME, TARGETS, Origin, behind, echo, switch, through
from tests.proxies.http1 import Truncated
from tests.proxies.middlebox import Middlebox
from tests.proxies.tcp import Proxy, in_thread


async def test_a_harmless_one_passes_everything_on(origin: Origin) -> None:
    """Request after request over one connection; a stream piece by piece; a WebSocket."""
    async with behind(origin, Behaviour()) as (box, client):
        assert await client.get("info") == ("200", FRAME)
        await client.ask("xhr_streaming")
        head = await client.head()
        pieces = client.incoming.response_body(head)
        for sent in (b"h" * 2048, FRAME, FRAME):
            origin.pieces.put_nowait(sent)
            got = b""
            while len(got) < len(sent):
                got += await anext(pieces)
            assert got == sent
        origin.pieces.put_nowait(b"")
        assert [piece async for piece in pieces] == []
        assert await client.get("xhr") == ("200", FRAME)
        await switch(client)
        await echo(client, b"hello")
        assert set(+box.counts) == {f"requests of {action}" for action in TARGETS}
    await until(lambda: origin.gone == 1)


async def test_the_server_hears_that_a_client_has_left(origin: Origin) -> None:
    async with behind(origin, Behaviour()) as (_, client):
        await client.ask("xhr_streaming")
        await client.head()
        client.writer.close()
        await until(lambda: origin.gone == 1)


async def test_each_way_takes_half_of_the_round_trip(origin: Origin) -> None:
    """Bytes that follow each other take no longer together, and stay in order."""
    time = asyncio.get_running_loop().time
    async with behind(origin, Behaviour(round_trip=0.3)) as (_, client):
        began = time()
        assert await client.get("xhr") == ("200", FRAME)
        assert time() - began >= 0.3
        await switch(client)
        began = time()
        numbers = b"".join(b"%d," % number for number in range(500))
        for number in range(500):
            client.writer.write(b"%d," % number)
        assert await client.reader.readexactly(len(numbers)) == numbers
        assert time() - began >= 0.3


async def test_a_response_is_held_until_it_is_complete(origin: Origin) -> None:
    """Not even its head comes; then all is there, with its length."""
    async with behind(origin, Behaviour(hold=math.inf)) as (box, client):
        await client.ask("xhr_streaming")
        for _ in range(3):
            origin.pieces.put_nowait(FRAME)
        await until(lambda: box.counts["held"] and origin.pieces.empty())
        origin.pieces.put_nowait(b"")
        head = await client.head()
        assert head.length == 3 * len(FRAME)
        assert await client.body(head) == 3 * FRAME
        assert await client.get("xhr") == ("200", FRAME)


async def test_a_response_is_held_up_to_so_many_bytes(origin: Origin) -> None:
    async with behind(origin, Behaviour(hold=len(FRAME))) as (box, client):
        await client.ask("xhr_streaming")
        origin.pieces.put_nowait(FRAME)
        await until(lambda: box.counts["held"] == 1)
        origin.pieces.put_nowait(b"more")
        pieces = client.incoming.response_body(await client.head())
        assert await anext(pieces) == FRAME + b"more"
        origin.pieces.put_nowait(b"last")
        await until(lambda: box.counts["held"] == 2)
        origin.pieces.put_nowait(b"")
        assert [piece async for piece in pieces] == [b"last"]


async def test_http_1_0_has_no_chunks_and_no_keep_alive(origin: Origin) -> None:
    """On neither side; nor has it an Upgrade."""
    async with behind(origin, Behaviour(http_1_0=True)) as (box, client):
        await client.ask("xhr_streaming")
        head = await client.head()
        assert head.first == "HTTP/1.0 200 OK"
        assert (head.get("transfer-encoding"), head.get("connection")) == ("", "close")
        origin.pieces.put_nowait(FRAME)
        assert await client.incoming.piece() == FRAME
        origin.pieces.put_nowait(b"")
        assert await client.rest() == b""
        assert origin.heads[0].first.endswith("HTTP/1.0")
        async with through(box) as other:
            assert await other.get("websocket") == ("400", b"")
        assert (box.counts["old"], box.counts["upgrades"]) == (2, 1)


@pytest.mark.parametrize("action", ["websocket", "xhr_streaming"])
async def test_what_is_idle_is_cut(origin: Origin, action: str) -> None:
    """Counted from the last byte, not from the first."""
    time = asyncio.get_running_loop().time
    async with behind(origin, Behaviour(idle=0.5)) as (box, client):
        await client.ask(action)
        await client.head()
        sent = began = time()
        while not box.counts["cuts"] and sent - began < 0.6:
            sent = time()
            client.writer.write(b".") if action == "websocket" else origin.pieces.put_nowait(b".")
            await client.incoming.piece()
        await client.rest()
        assert box.counts["cuts"] == 1
        assert time() - sent >= 0.5


async def test_an_idle_connection_between_requests_is_not_counted(origin: Origin) -> None:
    async with behind(origin, Behaviour(idle=30)) as (box, client):
        assert await client.get("xhr") == ("200", FRAME)
        assert await client.get("xhr") == ("200", FRAME)
        assert box.counts["cuts"] == 0


@pytest.mark.parametrize("cut", [{"after_bytes": 20}, {"after_seconds": 0.3}])
@pytest.mark.parametrize("end", ["FIN", "RST", "clean"])
async def test_a_stream_is_cut(origin: Origin, end: str, cut: dict[str, float]) -> None:
    """A clean end is one of HTTP: the same connection takes the next request."""
    async with behind(origin, Behaviour(cut=Cut(end, **cut))) as (box, client):
        await client.ask("xhr_streaming")
        for _ in range(3):
            origin.pieces.put_nowait(FRAME)
        head = await client.head()
        got = b""
        if end == "clean":
            got = await client.body(head)
            assert await client.get("xhr") == ("200", FRAME)
        else:
            with pytest.raises(Truncated):
                async for piece in client.incoming.response_body(head):
                    got += piece
        if "after_bytes" in cut and end != "RST":
            assert got == (3 * FRAME)[:20]
        assert box.counts["cuts"] == 1
    await until(lambda: origin.gone == 1)


async def test_an_rst_is_no_fin(origin: Origin) -> None:
    async with behind(origin, Behaviour(cut=Cut("RST", after_seconds=0.1))) as (_, client):
        await client.ask("xhr_streaming")
        with pytest.raises(ConnectionResetError):
            while await client.reader.read(100):
                pass


async def test_a_clean_cut_of_a_known_length_is_a_shorter_length(origin: Origin) -> None:
    async with behind(origin, Behaviour(cut=Cut("clean", after_bytes=4))) as (_, client):
        assert await client.get("xhr") == ("200", FRAME[:4])


async def test_a_clean_cut_before_the_answer_is_a_504(origin: Origin) -> None:
    """As of a poll that is held by the server."""
    behaviour = Behaviour(hold=math.inf, cut=Cut("clean", after_seconds=0.2))
    async with behind(origin, behaviour) as (_, client):
        assert await client.get("xhr_streaming") == ("504", b"")


async def test_less_than_the_limit_is_not_cut(origin: Origin) -> None:
    async with behind(origin, Behaviour(cut=Cut(after_bytes=len(FRAME)))) as (box, client):
        for _ in range(3):
            assert await client.get("xhr") == ("200", FRAME)
        assert box.counts["cuts"] == 0


LOST = {
    "before the head": (None, b""),
    "after the head": (len(FRAME), b""),
    "empty": (0, b""),
    "mid-frame": (len(FRAME) - 2, FRAME[:-2]),
}


@pytest.mark.parametrize("stage", LOST)
async def test_each_second_poll_is_lost(origin: Origin, stage: str) -> None:
    """The server has answered it; sends and others are left alone."""
    length, body = LOST[stage]
    async with Middlebox(origin.url, Behaviour(lose=Lose(stage, each=2))) as box:
        for number in range(4):
            async with through(box) as client:
                assert await client.get("info") == ("200", FRAME)
                await client.ask("xhr")
                if number % 2 == 0:
                    assert await client.body(await client.head()) == FRAME
                elif length is None:
                    assert await client.rest() == b""
                else:
                    head = await client.head()
                    assert head.length == length
                    await client.ask("info")
                    if len(body) == length:
                        assert await client.body(head) == body
                        assert (await client.head()).status == "200"
                    else:
                        assert await client.rest() == b""
        assert box.counts["lost"] == 2
        assert [head.action for head in origin.heads].count("xhr") == 4


async def test_requests_are_reset_before_or_after_the_server(origin: Origin) -> None:
    async with Middlebox(origin.url, Behaviour(resets=1.0)) as box:
        for _ in range(20):
            async with through(box) as client:
                await client.ask("xhr")
                with pytest.raises(ConnectionResetError):
                    await client.reader.read(1)
        assert box.counts["resets"] == 20
        assert 0 < len(origin.heads) < 20


def test_resets_are_as_frequent_as_they_are_to_be() -> None:
    box = Middlebox("http://127.0.0.1:1", Behaviour(resets=0.02), seed=1)
    thrown = [box.reset_at(0.02) for _ in range(5000)]
    assert 60 < sum(map(bool, thrown)) < 140
    assert set(thrown) == {"", "before", "after"}


async def test_a_busy_server_makes_requests_of_sessions_wait(origin: Origin) -> None:
    """From the first on; then all of them go on, and later ones at once."""
    time = asyncio.get_running_loop().time
    async with behind(origin, Behaviour(busy=0.3)) as (box, client):
        assert await client.get("info") == ("200", FRAME)
        began = time()
        assert await client.get("xhr") == ("200", FRAME)
        assert time() - began >= 0.3
        assert await client.get("xhr") == ("200", FRAME)
        assert box.counts["busy"] == 1


async def test_fields_are_stripped(origin: Origin) -> None:
    async with behind(origin, Behaviour(strips=("origin", "cookie"))) as (box, client):
        await client.get("xhr", Origin="http://a", cookie="a=b", Referer="http://a/page")
        assert origin.heads[0].get("origin") + origin.heads[0].get("cookie") == ""
        assert origin.heads[0].get("referer") == "http://a/page"
        await client.get("xhr")
        assert box.counts["stripped"] == 1


async def test_answers_to_get_are_cached(origin: Origin) -> None:
    """By their whole target; those to POST are not."""
    async with behind(origin, Behaviour(caches=True)) as (box, client):
        for _ in range(3):
            assert await client.get("info") == ("200", FRAME)
            assert await client.get("xhr") == ("200", FRAME)
        assert await client.get("info", "/other") == ("200", FRAME)
        assert box.counts["cached"] == 2
        assert [head.action for head in origin.heads].count("info") == 2
        await switch(client)


async def test_each_second_request_meets_an_error(origin: Origin) -> None:
    """502, which the server does not hear of, and 504, where it has answered, in turn."""
    async with Middlebox(origin.url, Behaviour(errors=2)) as box:
        statuses = []
        for _ in range(8):
            async with through(box) as client:
                statuses.append((await client.get("xhr"))[0])
        assert statuses == ["200", "502", "200", "504"] * 2
        assert (box.counts["errors"], len(origin.heads)) == (4, 6)


async def test_paths_are_rewritten(origin: Origin) -> None:
    async with behind(origin, Behaviour(prefix="/app")) as (box, client):
        assert await client.get("xhr", "/app/echo") == ("200", FRAME)
        assert origin.heads[0].target == "/echo/xhr"
        assert await client.get("xhr", "/echo") == ("404", b"")
        assert box.counts["rewritten"] == 1


async def test_connections_beyond_the_limit_wait(origin: Origin) -> None:
    async with (
        Middlebox(origin.url, Behaviour(connections=2)) as box,
        through(box) as first,
        through(box) as second,
        through(box) as third,
    ):
        await switch(first)
        await switch(second)
        await third.ask("xhr")
        await until(lambda: box.counts["waited"] == 1)
        await echo(first, b"still")
        assert len(origin.heads) == 2
        second.writer.close()
        assert await third.body(await third.head()) == FRAME


async def test_what_it_does_concerns_some_paths_only(origin: Origin) -> None:
    behaviour = Behaviour(
        upgrade="refused", hold=math.inf, strips=("cookie",), errors=1, lose=Lose("empty", 1)
    )
    async with behind(origin, behaviour, concerns="/echo/") as (_, client):
        assert await client.get("xhr", "/page", Cookie="a=b") == ("200", FRAME)
        assert origin.heads[0].get("cookie") == "a=b"
        assert (await client.get("xhr"))[0] == "502"


async def test_a_server_that_is_away_is_a_connection_that_ends(origin: Origin) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as closed:
        port = closed.getsockname()[1]
    async with Middlebox(f"http://127.0.0.1:{port}") as box, through(box) as client:
        await client.ask("xhr")
        assert await client.rest() == b""


@pytest.mark.parametrize(
    "make",
    [Proxy, Middlebox, lambda url: Middlebox(url, Behaviour(round_trip=30, idle=30))],
)
def test_in_a_thread_it_ends_with_its_connections(make: Callable[[str], Proxy]) -> None:
    """Whatever still waits when it ends is reset."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        with in_thread(make(f"http://127.0.0.1:{server.getsockname()[1]}")) as proxy:
            parts = urlsplit(proxy.url)
            waiting = socket.create_connection((parts.hostname, parts.port))
            waiting.sendall(b"GET /echo/info HTTP/1.1\r\nHost: a\r\n\r\n")
            eventually(lambda: proxy.connections == 1)
        with closing(waiting):
            waiting.settimeout(40)
            with pytest.raises(ConnectionResetError):
                waiting.recv(1)
