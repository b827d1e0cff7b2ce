"""Clients that take their responses slowly, or not at all, cost others nothing.

Everything here goes over a real socket; a slow client is a socket that nobody reads from.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import logging
import threading
from types import SimpleNamespace

import pytest

from sockjs_bridge.endpoint.handshake import Inquiry
from sockjs_bridge.server.threads import ThreadPool
from sockjs_bridge.server.wsgi import budget, host
from sockjs_bridge.server.wsgi.exchange import ClientGone, Head
from sockjs_bridge.server.wsgi.outlet import Outflow, Outlet
from sockjs_bridge.server.wsgi.response import WSGIResponse
from tests.server.support import PATIENCE, Answer, serving, until

MIB = 2**20
BLOCK = b"x" * 65536


class Pages:
    """An application with responses of each kind, which notes what becomes of their bodies.

    Attributes:
        made: By path, how many blocks were made.
        closed: By path, in which thread it was closed.
    """

    def __init__(self, file=None):
        self.file = file
        self.made = {}
        self.closed = {}

    def __call__(self, environ, start_response):
        path = environ["PATH_INFO"]
        write = start_response("200 OK", [("Content-Type", "text/plain")])
        if path == "/page":
            return [b"page"]
        if path.startswith("/list"):
            return ClosingList(self, path, [BLOCK] * 128)
        if path.startswith("/file"):
            return environ["wsgi.file_wrapper"](ClosingFile(self, path))
        if path.startswith("/write"):
            with contextlib.closing(Closing(self, path, ())):
                for block in self.blocks(path):
                    write(block)
            return []
        return Closing(self, path, self.blocks(path))

    def blocks(self, path):
        """Yield 16 MiB; more than what the systems and the server keep of one response."""
        for number in range(256):
            self.made[path] = number + 1
            yield BLOCK


class Closing:
    """An iterable that notes where it was closed."""

    def __init__(self, pages, path, blocks):
        self.pages = pages
        self.path = path
        self.blocks = blocks

    def __iter__(self):
        return iter(self.blocks)

    def close(self):
        assert self.path not in self.pages.closed
        self.pages.closed[self.path] = threading.current_thread().name


class ClosingList(list):
    """A body that exists as a whole, and notes the same."""

    def __init__(self, pages, path, blocks):
        super().__init__(blocks)
        self.close = Closing(pages, path, ()).close


class ClosingFile(io.FileIO):
    """A file that notes the same."""

    def __init__(self, pages, path):
        super().__init__(pages.file)
        self.noted = Closing(pages, path, ())

    def close(self):
        if not self.closed:
            self.noted.close()
        super().close()


@pytest.fixture
def pages(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(BLOCK * 256)
    return Pages(path)


KINDS = ("/list", "/file", "/blocks", "/write")
SMALL = {"max_lent": 20, "max_response_memory": 32 * MIB}


async def stuck(served, pages, kind, count):
    """Make requests whose clients read nothing, until none of them gets on."""
    clients = [await served.request(f"{kind}/{number}") for number in range(count)]
    memory = served.host._outflow.memory
    seen = None
    while seen != (seen := (len(memory._parts), memory.total, sum(pages.made.values()))) or not (
        memory._parts
    ):
        await asyncio.sleep(0.1)
    return clients


@pytest.mark.parametrize("kind", KINDS)
async def test_slow_clients_hold_no_thread_that_others_need(pages, kind):
    """Four times as many as there are threads; and what waits for them is bounded."""
    async with serving(pages, threads=2, **SMALL) as served:
        await stuck(served, pages, kind, 8)
        assert (await served.ask("/page")).body == b"page"
        assert served.host._outflow.memory.total <= SMALL["max_response_memory"]
        assert (await served.host.call({"REQUEST_METHOD": "GET", "PATH_INFO": "/page"}))[0] == 200


@pytest.mark.parametrize("disk", ["room", "none", "broken"])
async def test_whole_bodies_for_which_memory_has_no_room(monkeypatch, disk):
    """They wait on disk: nobody who reads is broken off as long as there is room on that."""
    body = bytes(range(256)) * 65536

    def app(environ, start_response):
        start_response("200 OK", [])
        return [body]

    def fail(content):
        raise OSError(28, "No space left on device")

    if disk == "broken":
        monkeypatch.setattr(host, "on_disk", fail)
    bounds = {"max_body_disk": 0 if disk == "none" else 64 * MIB}
    async with serving(app, max_response_memory=32 * MIB, **bounds) as served:
        memory, used = served.host._outflow.memory, served.host.uploads.disk
        readers = []
        for number in range(4):
            reader, writer = await served.connect()
            writer.write(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
            readers.append(reader)
            if disk == "room":
                await until(lambda: len(memory._parts) == number + 1)  # noqa: B023
        if disk == "room":
            assert memory.total <= memory.limit // 4 * 3
            assert used.total == 3 * len(body)
        async with asyncio.timeout(PATIENCE):
            raws = await asyncio.gather(*(reader.read() for reader in readers))
        whole = [raw for raw in raws if Answer.parse(raw).body == body]
        if disk == "room":
            assert len(whole) == 4
        else:
            # One that is broken off makes room for the others.
            assert whole
        await until(lambda: not (memory.total or used.total))


@pytest.mark.parametrize("kind", KINDS)
async def test_a_slow_client_gets_all_of_it(pages, kind):
    async with serving(pages, threads=1, **SMALL) as served:
        (client, *_) = await stuck(served, pages, kind, 2)
        reader, writer = await asyncio.open_connection(sock=client)
        await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)
        size = {"/list": 8 * MIB, "/file": 16 * MIB}.get(kind)
        if size is not None:
            await asyncio.wait_for(reader.readexactly(size), PATIENCE)
        else:
            while not (await asyncio.wait_for(reader.read(MIB), PATIENCE)).endswith(b"0\r\n\r\n"):
                pass
        await until(lambda: f"{kind}/0" in pages.closed)
        writer.close()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("how", ["leaves", "is cut off", "gives way"])
async def test_what_is_broken_off_is_closed(pages, kind, how, server_log, monkeypatch):
    """In a thread of the application, whatever ends it."""
    options = {**SMALL, "send_timeout": 0.2 if how == "is cut off" else 60.0}
    async with serving(pages, threads=2, **options) as served:
        (client,) = await stuck(served, pages, kind, 1)
        if how == "leaves":
            client.close()
        elif how == "gives way":
            outflow = served.host._outflow
            (response,) = outflow.memory._parts
            # Of this client, who holds most, all else is larger.
            other = await served.request("/list/other")
            await until(lambda: len(outflow.memory._parts) == 2)
            monkeypatch.setattr(budget, "STALLED", -1.0)
            outflow.memory.limit = 1
            outflow.memory.hold(response, 1)
            other.close()
        await until(lambda: f"{kind}/0" in pages.closed)
        await until(lambda: not served.pool.busy and not served.pool.lent)
        await until(lambda: served.host._outflow.memory.total == 0)
        assert not served.host._outflow._waiting
    assert pages.closed[f"{kind}/0"].startswith("test-")
    assert server_log() == []


async def test_a_thread_goes_on_while_there_is_room():
    """A response within its share leaves its thread, whatever its client does."""
    pages = Pages()
    pages.blocks = lambda path: iter([BLOCK] * 15)
    async with serving(pages, threads=1, max_response_memory=16 * MIB) as served:
        for number in range(4):
            await served.request(f"/blocks/{number}")
        await until(lambda: len(pages.closed) == 4)
        assert served.pool.lent == 0


async def test_a_stream_that_waits_for_something_else_holds_no_thread_that_others_need():
    """From its first block on it has a thread of its own; its client is as quick as can be."""
    release = threading.Event()

    def app(environ, start_response):
        start_response("200 OK", [])
        if environ["PATH_INFO"] == "/page":
            return [b"page"]
        return stream()

    def stream():
        yield b"first"
        assert release.wait(PATIENCE)
        yield b"last"

    async with serving(app, threads=1, max_lent=3) as served:
        streams = []
        for _ in range(3):
            reader, writer = await served.connect()
            writer.write(b"GET /stream HTTP/1.1\r\nHost: h\r\n\r\n")
            await asyncio.wait_for(reader.readuntil(b"first"), PATIENCE)
            streams.append(reader)
        assert served.pool.lent == 3
        assert (await served.ask("/page")).body == b"page"
        release.set()
        for reader in streams:
            await asyncio.wait_for(reader.readuntil(b"last"), PATIENCE)


async def test_streams_leave_room_for_what_exists_already(pages):
    """Half of the memory; beyond it each has but what it made last, and its thread waits."""
    bounds = {"max_lent": 20, "max_response_memory": 4 * MIB}
    async with serving(pages, threads=2, **bounds) as served:
        memory = served.host._outflow.memory
        await stuck(served, pages, "/blocks", 12)
        await until(lambda: len(memory._parts) == 12 == len(served.host._outflow._waiting))
        assert memory.total <= 4 * MIB
        assert not pages.closed


async def test_of_too_many_threads_that_wait_the_stillest_is_broken_off(pages, caplog):
    """Further clients are served; who takes nothing for longest makes room."""
    caplog.set_level(logging.INFO)
    async with serving(pages, threads=1, max_lent=2, max_response_memory=16 * MIB) as served:
        for number in range(4):
            await served.request(f"/blocks/{number}")
            await until(lambda path=f"/blocks/{number}": path in pages.made)
            made = None
            while made != (made := sum(pages.made.values())):
                await asyncio.sleep(0.05)
        await until(lambda: len(pages.closed) >= 1)
        assert min(pages.closed) == "/blocks/0"
        assert "/blocks/3" not in pages.closed
        assert (await served.ask("/page")).body == b"page"
    assert "make room" in caplog.text


def test_one_thread_too_many_breaks_one_off():
    """Until its thread has noticed, as many are lent as before: that must not cost another."""

    class Waiting:
        client = ""

        def __init__(self):
            self.broken = False

        def idle(self):
            return 0.0

        def give_way(self):
            self.broken = True

    outflow = Outflow(SimpleNamespace(lent=3, max_lent=2), 4 * MIB)
    waiting = [Waiting() for _ in range(4)]
    for response in waiting[:3]:
        outflow.begin_waiting(response)
    assert [response.broken for response in waiting].count(True) == 1
    (broken,) = (response for response in waiting if response.broken)
    outflow.end_waiting(broken)
    outflow.end(broken)
    outflow.begin_waiting(waiting[3])
    assert [response.broken for response in waiting].count(True) == 2


@contextlib.asynccontextmanager
async def outlet_without_room():
    """Yield a pool of one thread, and an outlet that has room for nothing, nor a client."""
    pool = ThreadPool(1, "test", max_lent=2)

    def make(head):
        raise AssertionError("nobody is left to answer")

    outlet = Outlet(make, Outflow(pool, 0), Inquiry())
    try:
        yield pool, outlet
    finally:
        pool.close()


async def test_a_thread_whose_client_left_before_its_first_block():
    async with outlet_without_room() as (pool, outlet):
        outlet.break_off()
        sending = pool.submit(outlet.send, Head(200, "OK", [], None), b"block")
        # The loop stands still meanwhile, and sees all of it afterwards.
        assert isinstance(sending.exception(PATIENCE), ClientGone)
        await asyncio.sleep(0)
        assert outlet.response is None
        assert not outlet._blocks


async def test_a_client_that_leaves_while_its_thread_begins_to_wait():
    """The loop says so between the thread's last look and its wait, and will not say it again."""

    class Event(threading.Event):
        def clear(self):
            outlet.broken = True
            self.set()
            super().clear()

    async with outlet_without_room() as (pool, outlet):
        outlet._room = Event()
        sending = pool.submit(outlet.send, Head(200, "OK", [], None), b"block")
        assert isinstance(sending.exception(PATIENCE), ClientGone)


async def test_nothing_is_written_to_what_was_broken_off():
    failed = asyncio.Event()

    async def handle(host, request):
        head = Head(200, "OK", [], None)
        response = WSGIResponse(request, head, None, host._outflow.memory, PATIENCE)
        await response.write(b"one")
        response.give_way()
        try:
            await response.write(b"two")
        except ConnectionResetError:
            failed.set()
        return response

    async with serving(None, handler=handle) as served:
        with contextlib.suppress(ConnectionResetError):
            await served.ask()
        await asyncio.wait_for(failed.wait(), PATIENCE)


async def test_of_too_much_memory_the_stillest_is_broken_off(pages, caplog):
    """Bodies that exist as a whole need no thread, but memory.

    Each counts as a whole until its last piece is taken, and none is on disk. Two fit; a third one
    makes two give way, as they are one client's.
    """
    caplog.set_level(logging.INFO)
    bounds = {"max_response_memory": 16 * MIB, "max_body_disk": 0}
    async with serving(pages, threads=2, **bounds) as served:
        memory = served.host._outflow.memory
        clients = [await served.request(f"/list/{number}") for number in range(8)]
        await until(lambda: len(pages.closed) == 8)
        await until(lambda: caplog.text.count("make room") == 6)
        await until(lambda: [*memory._parts.values()] == [8 * MIB] * 2)
        assert (await served.ask("/page")).body == b"page"
        assert len(clients) == 8


async def test_who_takes_slowly_is_not_cut_off(caplog):
    """send_timeout counts from the last byte that was taken, not from the last block."""
    caplog.set_level(logging.INFO)
    body = b"x" * 8 * MIB

    def app(environ, start_response):
        start_response("200 OK", [])
        return [body]

    # A busy machine does not keep the client from its next piece for so long.
    timeout = 3.0
    async with serving(app, send_timeout=timeout) as served:
        loop = asyncio.get_running_loop()
        client = await served.request()
        await until(lambda: served.server.connections)
        connection = served.server.connections[0]
        await until(lambda: connection.writing_paused)
        start = loop.time()
        got = b""
        # Less than a block in each quarter of the time, for twice as long as that.
        while loop.time() < start + 2 * timeout:
            got += await loop.sock_recv(client, 20_000)
            await asyncio.sleep(0.05)
        reader, writer = await asyncio.open_connection(sock=client)
        whole = got.index(b"\r\n\r\n") + 4 + len(body)
        while len(got) < whole:
            block = await asyncio.wait_for(reader.read(MIB), PATIENCE)
            assert block, "it was cut off"
            got += block
        writer.close()
    assert "took nothing" not in caplog.text
    assert Answer.parse(got).complete


async def test_a_file_is_read_as_its_client_takes_it(pages):
    """No block of it waits in memory before the one in front of it was taken."""
    async with serving(pages, threads=1) as served:
        await stuck(served, pages, "/file", 1)
        assert served.host._outflow.memory.total <= 4 * len(BLOCK)
        assert (served.pool.busy, served.host.files.busy) == (0, 0)


@pytest.mark.parametrize("when", ["at first", "later"])
async def test_a_file_that_fails(tmp_path, server_log, when):
    """Before the head is sent the client is told; behind it, it cannot take it for complete."""

    class Failing(io.FileIO):
        def read(self, size):
            if when == "at first" or self.tell():
                raise ZeroDivisionError
            return super().read(size)

    path = tmp_path / "file"
    path.write_bytes(BLOCK * 4)

    def app(environ, start_response):
        start_response("200 OK", [])
        return environ["wsgi.file_wrapper"](Failing(path))

    async with serving(app) as served:
        answer = await served.ask(close=False) if when == "later" else await served.ask()
    assert answer.status == (200 if when == "later" else 500)
    assert answer.complete is (when != "later")
    assert "ERROR GET '/' failed" in server_log()[0]


async def test_a_file_that_shrinks(tmp_path, server_log):
    path = tmp_path / "file"
    path.write_bytes(BLOCK * 4)

    def app(environ, start_response):
        start_response("200 OK", [])
        wrapper = environ["wsgi.file_wrapper"](io.FileIO(path))
        wrapper.size = lambda: path.stat().st_size + 1
        return wrapper

    async with serving(app) as served:
        answer = await served.ask(close=False)
    assert (answer.status, answer.complete) == (200, False)
    assert "failed" in server_log()[0]


async def test_a_file_behind_what_was_written_is_read_by_the_server_too(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(BLOCK)

    def app(environ, start_response):
        start_response("200 OK", [])(b"written ")
        return environ["wsgi.file_wrapper"](io.FileIO(path))

    async with serving(app) as served:
        answer = await served.ask()
    assert answer.body == b"written " + BLOCK


@pytest.mark.parametrize("size", [0, 100, 65536, 65537])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_file_of_a_file_system(tmp_path, size, method):
    """Whole at once where it is short; it is closed in a thread of the application."""
    path = tmp_path / "file"
    path.write_bytes(b"x" * size)
    pages = Pages(path)
    async with serving(pages) as served:
        answer = await served.ask("/file", method=method)
        await until(lambda: "/file" in pages.closed)
    assert answer["Content-Length"] == str(size)
    assert answer.body == (b"x" * size if method == "GET" else b"")
    assert pages.closed["/file"].startswith("test-")


async def test_a_file_of_a_client_that_was_cancelled_is_closed(pages):
    """Whether its request had come so far that somebody would send it, or not."""
    tasks = []

    async def handle(host, request):
        tasks.append(asyncio.current_task())
        return await host.serve(request)

    entered, release = threading.Event(), threading.Event()

    def app(environ, start_response):
        if environ["PATH_INFO"] == "/file/late":
            entered.set()
            assert release.wait(PATIENCE)
        return pages(environ, start_response)

    async with serving(app, handler=handle) as served:
        await served.request("/file/late")
        await until(entered.is_set)
        tasks[0].cancel()
        await asyncio.wait(tasks)
        release.set()
        await until(lambda: "/file/late" in pages.closed)
        await stuck(served, pages, "/file", 1)
        tasks[1].cancel()
        await until(lambda: "/file/0" in pages.closed)
    assert all(thread.startswith("test-") for thread in pages.closed.values())


async def test_a_file_is_closed_when_the_pool_is_gone(pages):
    async with serving(pages) as served:
        (client,) = await stuck(served, pages, "/file", 1)
        served.pool.close()
        client.close()
        await until(lambda: "/file/0" in pages.closed)


async def test_a_pool_that_is_closed_with_requests_in_its_queue(server_log):
    entered, release = threading.Event(), threading.Event()

    def app(environ, start_response):
        entered.set()
        assert release.wait(PATIENCE)
        start_response("200 OK", [])
        return [environ["wsgi.input"].read()]

    async with serving(app, threads=1) as served:
        first = asyncio.create_task(served.ask("/first"))
        await until(entered.is_set)
        headers = ("Host: h", "Content-Length: 2")
        second = asyncio.create_task(
            served.ask("/second", method="POST", headers=headers, body=b"ab")
        )
        third = asyncio.create_task(served.ask("/third"))
        await until(lambda: served.pool.waiting == 2)
        served.pool.close()
        assert [(await task).status for task in (second, third)] == [503, 503]
        assert served.host.uploads.memory.total == 0
        release.set()
        assert (await first).status == 200
