"""The bodies of requests, bounded for all together; over a real socket."""

from __future__ import annotations

import asyncio
import errno
import io

import pytest

from sockjs_bridge.server.proxy import TrustedProxy
from sockjs_bridge.server.wsgi import budget
from tests.server.support import PATIENCE, Answer, serving, until

PROXY = TrustedProxy.from_settings(
    {"trusted_proxy": "127.0.0.1", "trusted_proxy_headers": "x-forwarded-for"}
)


def length(environ, start_response):
    start_response("200 OK", [])
    return [b"%d" % len(environ["wsgi.input"].read())]


async def begin(served, size, sent, client="192.0.2.1"):
    """Begin an upload as a client behind a proxy; returns when the server has what was sent."""
    uploads = served.host.uploads
    before = uploads.memory.total + uploads.disk.total
    reader, writer = await served.connect()
    head = f"POST / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: {client}\r\nContent-Length: {size}\r\n"
    writer.write(f"{head}Connection: close\r\n\r\n".encode() + b"x" * sent)
    await until(lambda: uploads.memory.total + uploads.disk.total != before or reader._buffer)
    return reader, writer


async def answer(reader):
    return Answer.parse(await asyncio.wait_for(reader.read(), PATIENCE))


async def test_what_is_held_counts_until_the_application_is_through():
    """In memory, then on disk; and nothing is left of it."""
    seen = []

    def app(environ, start_response):
        uploads = served.host.uploads
        seen.append((uploads.memory.total, uploads.disk.total))
        return length(environ, start_response)

    async with serving(app, proxy=PROXY, spool_size=1000) as served:
        uploads = served.host.uploads
        for size, where in ((1000, (1000, 0)), (1001, (0, 1001))):
            reader, writer = await begin(served, size, size - 1)
            assert uploads.memory.total == size - 1
            writer.write(b"x")
            assert (await answer(reader)).body == b"%d" % size
            assert seen.pop() == where
            assert (uploads.memory.total, uploads.disk.total) == (0, 0)


@pytest.mark.parametrize("kind", ["memory", "disk"])
async def test_who_holds_most_gives_way(kind):
    """And is told so; others upload as if nobody else was there."""
    bounds = {"max_body_memory": 100_000, "max_body_disk": 100_000}
    spool = 200_000 if kind == "memory" else 10
    async with serving(length, proxy=PROXY, spool_size=spool, **bounds) as served:
        used = getattr(served.host.uploads, kind)
        flood = []
        for _ in range(9):
            before = used.total
            flood.append(await begin(served, 20_000, 10_000, "203.0.113.1"))
            await until(lambda before=before: used.total > before)
        reader, writer = await begin(served, 20_000, 19_999, "203.0.113.2")
        refused = await answer(flood[0][0])
        assert (refused.status, refused["Connection"]) == (503, "close")
        assert int(refused["Retry-After"]) > 0
        assert used.total <= 100_000
        writer.write(b"x")
        assert (await answer(reader)).body == b"20000"


async def test_who_sends_nothing_more_gives_way_first(monkeypatch):
    monkeypatch.setattr(budget, "STALLED", 0.05)
    async with serving(length, proxy=PROXY, max_body_memory=70_000) as served:
        still, _ = await begin(served, 20_000, 10_000, "203.0.113.1")
        await asyncio.sleep(0.1)
        moving, writer = await begin(served, 60_000, 59_000, "203.0.113.2")
        _, third = await begin(served, 20_000, 10_500, "203.0.113.3")
        assert (await answer(still)).status == 503
        third.close()
        writer.write(b"x" * 1000)
        assert (await answer(moving)).body == b"60000"


async def test_one_client_may_have_all_that_nobody_else_needs():
    async with serving(length, proxy=PROXY, max_body_disk=1_000_000, spool_size=10) as served:
        reader, _ = await begin(served, 1_000_000, 1_000_000)
        assert (await answer(reader)).body == b"1000000"


@pytest.mark.parametrize("bounds", [{"max_body_disk": 999}, {"max_body_disk": 0}])
async def test_a_body_for_which_there_is_no_room_at_all(bounds):
    async with serving(length, proxy=PROXY, spool_size=10, **bounds) as served:
        reader, _ = await begin(served, 1000, 1000)
        assert (await answer(reader)).status == 503
        uploads = served.host.uploads
        assert (uploads.memory.total, uploads.disk.total) == (0, 0)


@pytest.mark.parametrize("how", ["leaves", "is too slow", "sends too much"])
async def test_nothing_is_left_of_a_body_that_is_not_read_to_its_end(how):
    async with serving(
        length, proxy=PROXY, max_body_size=5000, spool_size=10, body_timeout=0.3
    ) as served:
        uploads = served.host.uploads
        reader, writer = await served.connect()
        writer.write(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
        writer.write(b"3e8\r\n" + b"x" * 1000 + b"\r\n")
        await until(lambda: uploads.disk.total == 1000)
        if how == "leaves":
            writer.transport.abort()
        elif how == "sends too much":
            writer.write(b"1388\r\n" + b"x" * 5000 + b"\r\n")
            assert (await answer(reader)).status == 413
        else:
            assert (await answer(reader)).status == 408
        await until(lambda: (uploads.memory.total, uploads.disk.total) == (0, 0))


async def test_a_full_disk_is_503(monkeypatch, server_log):
    class Full(io.BytesIO):
        def write(self, data):
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("tempfile.TemporaryFile", Full)
    async with serving(length, proxy=PROXY, spool_size=10) as served:
        reader, _ = await begin(served, 1000, 1000)
        assert (await answer(reader)).status == 503
    assert "No space left" in server_log()[0]


async def test_who_gives_way_at_the_end_of_its_time():
    """Between the deadline and its task's turn: who needed the room must not hear of an error."""
    async with serving(length) as served:
        reader, _ = await begin(served, 100, 50)
        body = next(iter(served.host.uploads.memory._parts))
        await until(lambda: body._timeout is not None)
        outcome = asyncio.Future()

        def give_way():
            expired = body._timeout.expired()
            try:
                body.give_way()
            except RuntimeError as error:
                outcome.set_exception(error)
            else:
                outcome.set_result(expired)

        loop = asyncio.get_running_loop()
        body._timeout.reschedule(loop.time())
        loop.call_soon(give_way)
        assert await outcome is True
        refused = await answer(reader)
        assert (refused.status, refused["Connection"]) == (503, "close")
