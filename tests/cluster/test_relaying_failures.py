"""Relayed requests whose client, home or link does what it should not, or at a bad moment."""

from __future__ import annotations

import asyncio
import itertools
import json
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from sockjs_bridge.cluster.cluster import Cluster
from sockjs_bridge.cluster.link import Link
from sockjs_bridge.cluster.linkframes import Kind, Refused
from sockjs_bridge.cluster.nodes import Nodes
from sockjs_bridge.cluster.relay import Home
from sockjs_bridge.cluster.store import StoreError
from sockjs_bridge.cluster.streams import WINDOW
from sockjs_bridge.endpoint.homes import Missing
from sockjs_bridge.server import fastrelay
from sockjs_bridge.server.connection import PeerConnection
from sockjs_bridge.server.forwarded import Forwarded
from sockjs_bridge.server.relayed import RelayedTransport
from sockjs_bridge.server.relaying import ATTEMPTS, Front, _locate
from tests.cluster.inprocess import (
    Client,
    Node,
    known_home,
    nodes,
    request,
    resumable_elsewhere,
)
from tests.conformance.resumable import token
from tests.server.support import PATIENCE, until
from tests.support import XHR


def forwarded(home: Node, front: Node) -> Forwarded:
    """Return the only client's virtual connection."""
    [found] = [
        each.relays.to(home.cluster.node)
        for each in front.runner._activity.connections
        if each.relays is not None
    ]
    assert isinstance(found, Forwarded)
    return found


async def test_home_that_says_what_nobody_has_asked():
    async with known_home() as (home, front, client):
        stream = forwarded(home, front).stream
        [there] = [each for each in home.runner._activity.connections if each.relayed]
        there._stream.say(Kind.END)
        link, answers = front.cluster._links.get(home.cluster.node), list[bool | None]()
        link.ask(answers.append)
        await until(lambda: answers)
        assert await client.ask("xhr") == (200, b'a["first"]\n')
        assert not stream.over
        there._stream.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await until(lambda: stream.over)
        # Nothing of it has reached the client, which goes on.
        assert await client.ask("xhr_send", b'["x"]') == (204, b"")
        assert await client.ask("xhr") == (200, b'a["x"]\n')


async def test_too_much_waits_for_a_home():
    """Neither way adds to it."""
    async with known_home() as (home, front, client):
        stream = forwarded(home, front).stream
        stream.waiting += WINDOW + 1
        assert (await client.ask("xhr"))[0] == 503
        stream.waiting -= WINDOW + 1
        assert await client.ask("xhr") == (200, b'a["first"]\n')


async def test_large_sends_are_taken():
    """More of them than wait for a home at once."""
    async with known_home() as (home, front, client):
        await client.ask("xhr")
        for _ in range(WINDOW // 60_000 + 2):
            assert await client.ask("xhr_send", b'["%s"]' % (b"x" * 60_000)) == (204, b"")
            assert len((await client.ask("xhr"))[1]) == 60_006
        assert forwarded(home, front).stream.waiting < WINDOW


async def test_link_that_is_cut_when_it_is_needed(monkeypatch: pytest.MonkeyPatch):
    """It is had anew."""
    async with known_home() as (home, front, client):
        forwarded(home, front).stream.close()
        known = Cluster.known

        def cut(self: Cluster, missing: Missing) -> tuple[str, Link] | None:
            found = known(self, missing)
            monkeypatch.undo()
            assert found is not None
            found[1].abort()
            return found

        monkeypatch.setattr(Cluster, "known", cut)
        assert await client.ask("xhr") == (200, b'a["first"]\n')
        assert Cluster.known is known


async def test_home_that_closes_and_cannot_be_reached_again(monkeypatch: pytest.MonkeyPatch):
    async with known_home() as (_, front, client):

        def close(self: RelayedTransport, data: bytes) -> None:
            front.cluster.relay.doubt("", gone=False)
            self.close()

        monkeypatch.setattr(RelayedTransport, "received", close)
        assert (await client.ask("xhr"))[0] == 503


async def test_resumable_session_whose_home_cannot_be_reached(monkeypatch: pytest.MonkeyPatch):
    """A plain poll of one is told when to come again."""
    async with resumable_elsewhere() as (front, path):
        reader, writer = await front.connect()
        client = Client(reader, writer)
        try:
            for _ in range(2):
                writer.write(request("POST", f"{path}/xhr", b"{}"))
                assert (await client.answer())[0] == 400
            monkeypatch.setattr(RelayedTransport, "received", lambda self, data: self.abort())
            writer.write(request("POST", f"{path}/xhr", b"{}"))
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)
            assert head.startswith(b"HTTP/1.1 503 ") and b"Retry-After: 1\r\n" in head
        finally:
            monkeypatch.undo()
            writer.close()


@asynccontextmanager
async def resumable(home: Node, front: Node) -> AsyncIterator[tuple[Client, Callable[..., bytes]]]:
    """Yields a client of the front, and what makes its polls of a session that is at home."""
    session, key, numbers = token(), token(), itertools.count(1)

    def poll(where: str, *headers: str, **fields: bool) -> bytes:
        said = {"key": key, "request": next(numbers), "received": 0, **fields}
        return request("POST", f"/echo/{where}/{session}/xhr", json.dumps(said).encode(), headers)

    reader, writer = await home.connect()
    writer.write(poll("~r1", new=True))
    assert (await Client(reader, writer).answer())[0] == 200
    writer.close()
    reader, writer = await front.connect()
    client = Client(reader, writer)
    where = f"~r1-{home.cluster.node}"
    try:
        writer.write(poll(where, now=True))
        assert (await client.answer())[0] == 200
        yield client, partial(poll, where)
    finally:
        writer.close()


#: What a poll has that is read by the front itself, and one that aiohttp reads.
PLAIN_OR_ODD = pytest.mark.parametrize("headers", [(), ("TE: trailers",)], ids=["plain", "odd"])


@PLAIN_OR_ODD
async def test_resumable_session_whose_link_breaks(
    monkeypatch: pytest.MonkeyPatch, headers: tuple[str, ...]
):
    """What comes twice does no harm: the front asks again over another link."""
    async with nodes(2) as (home, front), resumable(home, front) as (client, poll):
        received = RelayedTransport.received

        def cut(self: RelayedTransport, data: bytes) -> None:
            monkeypatch.undo()
            self._stream.close(broken=True)
            front.cluster._links.get(home.cluster.node).abort()

        monkeypatch.setattr(RelayedTransport, "received", cut)
        client.writer.write(poll(*headers, now=True))
        # What comes behind waits for the answer.
        client.writer.write(request("GET", "/whoami"))
        status, body = await client.answer()
        assert (status, body[:9]) == (200, b'r{"from":')
        assert (await client.answer())[0] == 200
        assert RelayedTransport.received is received


@PLAIN_OR_ODD
async def test_resumable_session_whose_home_dies_before_its_welcome(
    monkeypatch: pytest.MonkeyPatch, headers: tuple[str, ...]
):
    """Its client asks again, and says that the home may have handled its messages: no front can."""
    session, key, numbers = token(), token(), itertools.count(1)

    def poll(*headers: str, **fields: Any) -> bytes:
        said = {"key": key, "request": next(numbers), "received": 0, "new": True, **fields}
        return request("POST", f"/echo/~r1/{session}/xhr", json.dumps(said).encode(), headers)

    async with nodes(2) as (home, front):
        writers = list[asyncio.StreamWriter]()
        for each in (home, front):
            reader, writer = await each.connect()
            writers.append(writer)
            client = Client(reader, writer)
            writer.write(poll())
            assert (await client.answer())[0] == 200
        [opened] = home.sessions
        received = RelayedTransport.received

        def die(self: RelayedTransport, data: bytes) -> None:
            monkeypatch.undo()
            received(self, data)
            home.cluster._nodes.end()
            home.cluster._links.close()
            front.cluster._links.get(home.cluster.node).abort()

        monkeypatch.setattr(RelayedTransport, "received", die)
        writer.write(poll(*headers, first=1, messages=["once"]))
        assert (await client.answer())[0] == 503
        await until(lambda: opened.handled)
        assert not front.sessions
        for writer in writers:
            writer.close()


@PLAIN_OR_ODD
async def test_resumable_session_whose_home_dies_in_a_poll(headers: tuple[str, ...]):
    """Its client hears at once that it is lost, whatever its lease says."""
    async with nodes(2) as (home, front), resumable(home, front) as (client, poll):
        client.writer.write(poll(*headers))
        [session] = home.sessions
        await until(lambda: session._receiver is not None)
        home.cluster._links.close()
        assert front.cluster._nodes.get(home.cluster.node) is not None
        status, body = await client.answer()
        assert (status, body) == (200, b'r{"lost":{}}\n')


async def test_home_of_many_that_dies(monkeypatch: pytest.MonkeyPatch):
    """Their requests are sent again in several ticks of the loop; who has gone is passed over."""
    monkeypatch.setattr(fastrelay, "AT_ONCE", 1)
    loop, now, passed = asyncio.get_running_loop(), itertools.count(), list[int]()
    pass_on = PeerConnection.pass_on

    def note(self: PeerConnection, whole: bytes) -> None:
        passed.append(ticks[-1])
        pass_on(self, whole)
        if len(passed) == 1:
            reset(leaves.writer)

    def tick() -> None:
        ticks[:] = [next(now)]
        loop.call_soon(tick)

    ticks: list[int] = []
    tick()
    monkeypatch.setattr(PeerConnection, "pass_on", note)
    async with nodes(2) as (home, front), AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(resumable(home, front)) for _ in range(4)]
        for client, poll in clients:
            client.writer.write(poll())
        await until(lambda: sum(each._receiver is not None for each in home.sessions) == 4)
        *stay, leaves = (client for client, _ in clients)
        home.cluster._links.close()
        for client in stay:
            assert await client.answer() == (200, b'r{"lost":{}}\n')
        await until(lambda: not front.runner._activity.count)
    assert len(passed) == len({*passed}) == 3


async def test_who_cannot_be_sent_again_costs_others_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    pass_on, failed = PeerConnection.pass_on, list[PeerConnection]()

    def fail_once(self: PeerConnection, whole: bytes) -> None:
        if not failed:
            failed.append(self)
            raise RuntimeError("broken")
        pass_on(self, whole)

    monkeypatch.setattr(PeerConnection, "pass_on", fail_once)
    async with nodes(2) as (home, front), AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(resumable(home, front)) for _ in range(2)]
        for client, poll in clients:
            client.writer.write(poll())
        await until(lambda: sum(each._receiver is not None for each in home.sessions) == 2)
        home.cluster._links.close()
        answers = [
            asyncio.ensure_future(asyncio.wait_for(client.reader.readuntil(b"}\n"), PATIENCE))
            for client, _ in clients
        ]
        await asyncio.wait(answers)
        assert [bool(answer.exception()) for answer in answers].count(True) == 1
        await until(lambda: failed[0].lost)
    assert "RuntimeError: broken" in caplog.text


@pytest.mark.parametrize(
    ("heard", "judges", "told"),
    [(False, True, True), (True, True, False), (False, False, False)],
    ids=["two witnesses", "the store has it", "the store was away"],
)
async def test_resumable_session_whose_home_dies_on_another_host(
    monkeypatch: pytest.MonkeyPatch, heard: bool, judges: bool, told: bool
):
    """Where nobody listens any more, and the store has no connection of it, it is dead."""
    monkeypatch.setattr(Nodes, "judges", judges)
    far = {
        "sockjs.cluster_listen": "127.0.0.1:0",
        "sockjs.cluster_secret": "s" * 40,
        "sockjs.cluster_lease": 60,
    }
    async with nodes(2, **far) as (home, front), resumable(home, front) as (client, poll):
        if not heard:
            home.cluster._store.fail()
        home.cluster._links.close()
        client.writer.write(poll(now=True))
        status, body = await client.answer()
        assert home.cluster.node in front.cluster._nodes.others
        if told:
            assert (status, body) == (200, b'r{"lost":{}}\n')
        else:
            assert status == 503


async def test_store_that_comes_back_is_no_witness(monkeypatch: pytest.MonkeyPatch):
    """Commands may reach it before any process is heard there again."""
    monkeypatch.setattr(Nodes, "judges", True)
    async with nodes(2) as (home, front):
        cluster, node = front.cluster, home.cluster.node
        home.cluster._store.fail()
        assert await cluster.died(node, Refused("nobody is there"))
        tell = cluster._store.tell

        def lose(*asked: Any) -> None:
            cluster.lost(StoreError("it was cut"))
            tell(*asked)

        with monkeypatch.context() as patched:
            patched.setattr(cluster._store, "tell", lose)
            assert not await cluster.died(node, Refused("nobody is there"))
        assert not await cluster.died(node, Refused("nobody is there"))
        cluster.connected(same=True)
        assert await cluster.died(node, Refused("nobody is there"))


async def test_resumable_session_whose_home_is_away_for_longer(monkeypatch: pytest.MonkeyPatch):
    """The front does not ask for ever."""
    async with nodes(2) as (home, front), resumable(home, front) as (client, poll):
        asked: list[RelayedTransport] = []

        def cut(self: RelayedTransport, data: bytes) -> None:
            asked.append(self)
            front.cluster._links.get(home.cluster.node).abort()

        monkeypatch.setattr(RelayedTransport, "received", cut)
        client.writer.write(poll("TE: trailers", now=True))
        assert (await client.answer())[0] == 503
        assert len(asked) == ATTEMPTS


async def test_session_that_opens_here_while_its_poll_is_relayed():
    """The poll is answered, and nobody is sent elsewhere for it any more."""
    async with known_home() as (home, front, client):
        await client.ask("xhr")
        client.begin("xhr")
        await until(lambda: home.sessions[0]._receiver is not None)
        manager = front.app.registry.sockjs.endpoints["echo"].manager
        here = manager.create("abc", XHR, base="/echo")
        home.sessions[0].send("there")
        assert await client.answer() == (200, b'a["there"]\n')
        here.abandon()


async def test_session_that_is_about_to_open_here():
    """A poll of one that is known already is aiohttp's."""
    async with known_home() as (_, front, client):
        await client.ask("xhr")
        manager = front.app.registry.sockjs.endpoints["echo"].manager
        here = manager.create("abc", XHR, base="/echo")
        status, _ = await client.ask("xhr_send", b'["x"]')
        assert status == 404
        here.abandon()


async def test_home_that_stops():
    """The client's connection ends with the answer, as at home."""
    async with known_home() as (home, _, client):
        await home.runner._activity.finish()
        assert await client.ask("xhr") == (200, b'a["first"]\n')
        assert await asyncio.wait_for(client.reader.read(), PATIENCE) == b""


async def test_client_that_half_closes_in_a_stream():
    """That is the end of it, and of its session."""
    async with known_home() as (home, _, client):
        client.begin("xhr_streaming")
        await asyncio.wait_for(client.reader.readuntil(b'a["first"]\n\r\n'), PATIENCE)
        client.writer.write_eof()
        assert await asyncio.wait_for(client.reader.read(), PATIENCE) == b""
        await until(lambda: not home.sessions)


async def test_front_that_leaves_takes_what_comes_yet():
    async with known_home() as (_, front, client):
        front.runner._clusters.leave()
        assert await client.ask("xhr_send", b'["x"]') == (204, b"")
        heard: list[str] = []
        while len(heard) < 2:
            # One that leaves holds no poll, and the application takes its time.
            status, body = await client.ask("xhr")
            assert status == 200
            heard += json.loads(body[1:]) if body.startswith(b"a") else []
        assert heard == ["first", "x"]


async def test_front_that_stops_ends_a_plain_stream():
    async with known_home() as (home, front, client):
        client.begin("xhr_streaming")
        await asyncio.wait_for(client.reader.readuntil(b'a["first"]\n\r\n'), PATIENCE)
        stopping = asyncio.create_task(front.stop())
        heard = await asyncio.wait_for(client.reader.read(), PATIENCE)
        assert heard == b"0\r\n\r\n"
        assert len(home.sessions) == 1
        await stopping


async def test_link_that_breaks_in_a_stream_by_way_of_aiohttp():
    async with known_home() as (home, _, client):
        client.begin_odd("xhr_streaming")
        await asyncio.wait_for(client.reader.readuntil(b'a["first"]\n\r\n'), PATIENCE)
        home.cluster._links.close()
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await asyncio.wait_for(client.reader.readuntil(b"0\r\n\r\n"), PATIENCE)


@pytest.mark.parametrize("odd", [False, True], ids=["plain", "aiohttp"])
async def test_client_that_takes_nothing_of_a_stream_for_a_while(odd: bool):
    """Its front holds some of it, and tells the home how much it has taken."""
    async with known_home(**{"sockjs.response_limit": "10000000"}) as (home, front, client):
        await client.ask("xhr")
        sock = client.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
        client.writer.transport.pause_reading()
        client.begin_odd("xhr_streaming") if odd else client.begin("xhr_streaming")
        session = home.sessions[0]
        await until(lambda: session._receiver is not None)
        there = forwarded(home, front)
        sock = there._connection.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)
        count = 0
        while not there._flow.paused:
            if session._receiver.writable:
                session.send("x" * 10_000)
                count += 1
                assert count < 1000
            await asyncio.sleep(0)
        assert there._untaken
        link = front.cluster._links.get(home.cluster.node)
        link.tick()
        client.writer.transport.resume_reading()
        heard = b""
        while heard.count(b"x") < count * 10_000:
            heard += await asyncio.wait_for(client.reader.read(65536), PATIENCE)

        def all_taken() -> bool:
            link.tick()
            return not there._untaken

        await until(all_taken)


def gated(monkeypatch: pytest.MonkeyPatch, ready: Callable[[PeerConnection], object]) -> None:
    """Has requests wait, once their home is found, until something is so of their connection."""
    reach = Front._reach

    async def wait(self: Front, connection: PeerConnection, *arguments: Any) -> Forwarded:
        await until(lambda: ready(connection))
        return await reach(self, connection, *arguments)

    monkeypatch.setattr(Front, "_reach", wait)


async def test_client_that_half_closes_while_its_home_is_reached(
    monkeypatch: pytest.MonkeyPatch,
):
    async with known_home() as (_, _, client):
        gated(monkeypatch, lambda connection: connection.half_closed)
        client.begin_odd("xhr_send", b'["x"]')
        client.writer.write_eof()
        assert await client.answer() == (204, b"")
        assert await asyncio.wait_for(client.reader.read(), PATIENCE) == b""


async def test_front_that_stops_while_a_home_is_reached(monkeypatch: pytest.MonkeyPatch):
    async with known_home() as (_, front, client):
        await client.ask("xhr")
        gated(monkeypatch, lambda connection: front.runner._clusters.front._under_way.leaving)
        client.begin_odd("xhr")
        await until(lambda: front.runner._activity.count)
        stopping = asyncio.create_task(front.stop())
        assert await client.answer() == (200, b"h\n")
        await stopping


async def test_client_that_leaves_while_its_home_is_dialled(monkeypatch: pytest.MonkeyPatch):
    async with known_home() as (home, front, client):
        forwarded(home, front).stream.close()
        link = Cluster.link
        asked: list[Home] = []

        async def late(self: Cluster, home: Home) -> Link:
            asked.append(home)
            await until(lambda: not front.runner._activity.connections)
            return await link(self, home)

        monkeypatch.setattr(Cluster, "link", late)
        client.begin_odd("xhr_send", b'["x"]')
        await until(lambda: asked)
        reset(client.writer)
        await until(lambda: not front.runner._activity.count)
        # It was not sent.
        monkeypatch.undo()
        assert (await front.ask("POST", "/echo/000/abc/xhr")).body == b'a["first"]\n'


async def test_client_that_leaves_while_its_home_is_looked_up():
    async with known_home() as (_, front, client):
        relay = front.cluster.relay
        located: list[Callable[[], object]] = []
        locate = relay.locate
        relay.locate = lambda *arguments: located.append(lambda: locate(*arguments))
        client.begin_odd("xhr_send", b'["x"]')
        await until(lambda: located)
        reset(client.writer)
        await until(lambda: not front.runner._activity.connections)
        located[0]()
        await until(lambda: not front.runner._activity.count)
        relay.locate = locate
        assert (await front.ask("POST", "/echo/000/abc/xhr")).body == b'a["first"]\n'


async def test_request_that_is_given_up_while_its_home_is_looked_up():
    """By the end of the server; the answer is nobody's then."""
    found: list[Callable[[Home | None], object]] = []

    class Waiting:
        relay = SimpleNamespace(locate=lambda missing, located: found.append(located))

    locating = asyncio.ensure_future(_locate(Waiting(), None))
    await until(lambda: found)
    locating.cancel()
    found[0](None)
    with pytest.raises(asyncio.CancelledError):
        await locating


async def test_client_that_resets_in_a_relayed_poll_by_way_of_aiohttp():
    async with known_home() as (home, front, client):
        await client.ask("xhr")
        client.begin_odd("xhr")
        await until(lambda: home.sessions[0]._receiver is not None)
        reset(client.writer)
        await until(lambda: not home.sessions)
        await until(lambda: not front.runner._activity.count)


def reset(writer: asyncio.StreamWriter) -> None:
    """Reset a connection: one that only ends might take the answer."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
