"""Requests of sessions that live in another process: all of them in this one, over real links."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import re
import socket
import struct
from collections.abc import Callable

import pytest

from sockjs_bridge.client import connect
from sockjs_bridge.server.relayed import RelayedConnection, RelayedTransport
from sockjs_bridge.server.relaying import Front
from tests.cluster.inprocess import (
    Client,
    known_home,
    nodes,
    one_more,
    request,
    resumable_elsewhere,
)
from tests.cluster.inturn import in_turn
from tests.conformance.resumable import token
from tests.server.support import PATIENCE, until

#: What the stock clients call their ways over HTTP.
HTTP = ("xhr-streaming", "xhr-polling", "eventsource", "htmlfile", "jsonp-polling")


async def test_polls_and_sends_of_one_session_in_turn():
    async with nodes(3) as cluster:
        turn = itertools.cycle(cluster)
        opened = await next(turn).ask("POST", "/echo/000/abc/xhr")
        assert (opened.status, opened.body) == (200, b"o\n")
        for number in range(20):
            text = f"message {number}"
            sent = await next(turn).ask(
                "POST", "/echo/000/abc/xhr_send", json.dumps([text]).encode()
            )
            assert sent.status == 204
            heard = await next(turn).ask("POST", "/echo/000/abc/xhr")
            assert heard.body == b'a["%s"]\n' % text.encode()
        assert [len(node.sessions) for node in cluster] == [1, 0, 0]


@pytest.mark.parametrize("transport", HTTP)
async def test_stock_client_whose_connections_go_to_processes_in_turn(transport: str):
    async with (
        nodes(3, **{"sockjs.allowed_origins": "*"}) as cluster,
        in_turn(cluster) as url,
        connect(f"{url}/echo", transport=transport) as connection,
    ):
        for number in range(50):
            await connection.send(f"{number}")
        assert [await connection.recv() for _ in range(50)] == [f"{n}" for n in range(50)]
        assert sum(len(node.sessions) for node in cluster) == 1


@pytest.mark.parametrize("transport", ["auto", "websocket", "xhr-streaming", "xhr-polling"])
async def test_resumable_client_whose_connections_go_to_processes_in_turn(transport: str):
    async with (
        nodes(3) as cluster,
        in_turn(cluster) as url,
        connect(f"{url}/echo", resume=True, transport=transport) as connection,
    ):
        for number in range(50):
            await connection.send(f"{number}")
        assert [await connection.recv() for _ in range(50)] == [f"{n}" for n in range(50)]
        assert sum(len(node.sessions) for node in cluster) == 1


async def test_resumable_websocket_at_another_process():
    """The URL names the home; what follows the 101 goes over in both directions."""
    async with resumable_elsewhere() as (front, path):
        reader, writer = await front.connect()
        upgrade = (
            *("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"),
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
        )
        writer.write(request("GET", f"{path}/websocket", headers=upgrade))
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)
        assert head.startswith(b"HTTP/1.1 101 ")
        writer.write(b"\x88\x80\0\0\0\0")
        # The home answers the close frame, and closes.
        assert await asyncio.wait_for(reader.read(), PATIENCE) == b"\x88\x02\x03\xe8"
        writer.close()


async def test_client_that_leaves_in_a_relayed_poll():
    """Its home hears it as if the client were its own: the session ends."""
    async with nodes(2) as (home, front):
        await home.ask("POST", "/echo/000/abc/xhr")
        _, writer = await front.connect()
        writer.write(request("POST", "/echo/000/abc/xhr"))
        session = home.sessions[0]
        await until(lambda: session._receiver is not None)
        writer.transport.abort()
        await until(lambda: not home.sessions)
        heard = await front.ask("POST", "/echo/000/abc/xhr")
        assert heard.body == b'c[1002,"Connection interrupted"]\n'


async def test_two_openings_at_once_are_one_session():
    # By a heartbeat, who comes second is answered and third may be refused.
    async with nodes(3, **{"sockjs.heartbeat_delay": "1"}) as cluster:
        answers = await asyncio.gather(
            *(node.ask("POST", "/echo/000/abc/xhr") for node in cluster),
        )
        bodies = sorted(answer.body for answer in answers)
        assert b"o\n" in bodies
        assert sum(len(node.sessions) for node in cluster) == 1


async def test_one_connection_for_requests_of_here_and_there():
    async with nodes(2) as (home, front):
        await home.ask("POST", "/echo/000/there/xhr")
        await front.ask("POST", "/echo/000/here/xhr")
        reader, writer = await front.connect()
        for session in ("there", "here", "there", "here", "there"):
            for action, body, status in (
                ("xhr_send", b'["x"]', b"204"),
                ("xhr", b"", b"200"),
            ):
                writer.write(request("POST", f"/echo/000/{session}/{action}", body))
                head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)
                assert head[9:12] == status
                if status == b"200":
                    line = await asyncio.wait_for(reader.readuntil(b"\n"), PATIENCE)
                    assert line == b'a["x"]\n'
        writer.close()


async def test_session_that_is_replaced_from_another_process(caplog: pytest.LogCaptureFixture):
    """It ends at its home, which knows its key; with another key it does not."""
    caplog.set_level(logging.DEBUG)
    async with nodes(2) as (home, front):
        keys = {token(): token() for _ in range(2)}
        for session_id, key in keys.items():
            said = {"key": key, "request": 1, "received": 0, "new": True}
            answer = await home.ask(
                "POST", f"/echo/~r1/{session_id}/xhr", json.dumps(said).encode()
            )
            assert answer.status == 200
        kept, replaced = home.sessions
        for session, key in ((kept, token()), (replaced, keys[replaced.id])):
            former = {"session": session.id, "key": key}
            said = {"key": token(), "request": 1, "received": 0, "new": True, "replaces": former}
            answer = await front.ask("POST", f"/echo/~r1/{token()}/xhr", json.dumps(said).encode())
            assert answer.status == 200
        await until(lambda: replaced.close_code)
        assert (replaced.close_code, replaced.close_reason) == (1000, "Replaced")
        assert kept.close_code is None
        assert keys[replaced.id] not in caplog.text


async def test_session_that_is_nowhere():
    async with nodes(2) as (one, _):
        assert (await one.ask("POST", "/echo/000/abc/xhr_send", b'["x"]')).status == 404


async def test_home_that_has_just_come():
    """Who looked for homes a moment before does not take it for none."""
    async with nodes(2) as (home, front):
        await home.ask("POST", "/echo/000/first/xhr")
        assert (await front.ask("POST", "/echo/000/first/xhr_send", b'["x"]')).status == 204
        async with one_more(front) as third:
            await third.ask("POST", "/echo/000/abc/xhr")
            assert (await front.ask("POST", "/echo/000/abc/xhr_send", b'["x"]')).status == 204
            assert (await front.ask("POST", "/echo/000/abc/xhr")).body == b'a["x"]\n'


@pytest.mark.parametrize("home", ["", "-nobody"])
async def test_made_up_sessions_leave_nothing_behind(home: str):
    """Neither what is no request of ``~r1``, nor one for a session that is lost."""
    async with nodes(2) as (one, _):
        lost = json.dumps({"key": token(), "request": 1, "received": 0}).encode()
        for body, status in ((b"nonsense", 400), (lost, 200)):
            answer = await one.ask("POST", f"/echo/~r1{home}/{token()}/xhr", body)
            assert answer.status == status
        assert not one.cluster._store._broker.homes


async def test_home_that_is_gone():
    """Its lease is gone: a stock client begins anew, and is not sent back there."""
    async with nodes(2) as (home, front):
        await home.ask("POST", "/echo/000/abc/xhr")
        assert (await front.ask("POST", "/echo/000/abc/xhr_send", b'["x"]')).status == 204
        await home.stop()
        assert (await front.ask("POST", "/echo/000/abc/xhr")).body == b"o\n"
        assert len(front.sessions) == 1


async def test_home_whose_link_is_cut():
    """It lives, but cannot be reached: another process may reach it."""
    async with nodes(2) as (home, front):
        await home.ask("POST", "/echo/000/abc/xhr")
        home.cluster._links.close()
        answer = await front.ask(
            "POST", "/echo/000/abc/xhr", headers=("Origin: http://site.example",)
        )
        assert (answer.status, answer["Retry-After"]) == (503, "1")
        assert answer["Access-Control-Allow-Origin"] == "http://site.example"
        assert not front.sessions


async def test_link_that_breaks_in_a_poll():
    async with nodes(2) as (home, front):
        await home.ask("POST", "/echo/000/abc/xhr")
        poll = asyncio.create_task(front.ask("POST", "/echo/000/abc/xhr"))
        await until(lambda: home.sessions[0]._receiver is not None)
        home.cluster._links.close()
        assert (await poll).status == 503


async def test_front_that_stops():
    """What waits there ends in good order; the session goes on elsewhere."""
    async with nodes(2) as (home, front):
        await home.ask("POST", "/echo/000/abc/xhr")
        poll = asyncio.create_task(front.ask("POST", "/echo/000/abc/xhr"))
        await until(lambda: home.sessions[0]._receiver is not None)
        await front.stop()
        answer = await poll
        assert (answer.status, answer.body) == (200, b"h\n")
        await home.ask("POST", "/echo/000/abc/xhr_send", b'["x"]')
        assert (await home.ask("POST", "/echo/000/abc/xhr")).body == b'a["x"]\n'


async def test_slow_client_stops_its_home():
    """What a client does not read waits at its home, bounded as if it were its own."""
    async with nodes(2) as (home, front):
        await home.ask("POST", "/echo/000/abc/xhr")
        reader, writer = await front.connect()
        writer.transport.pause_reading()
        writer.write(request("POST", "/echo/000/abc/xhr_streaming"))
        session = home.sessions[0]
        await until(lambda: session._receiver is not None)
        receiver = session._receiver
        text = "x" * 60000
        sent = 0
        while receiver.writable:
            assert sent < 400
            session.send(text)
            sent += 1
            await asyncio.sleep(0)
        writer.transport.resume_reading()
        await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)
        await until(lambda: receiver.writable or receiver.ended)
        writer.close()


async def test_store_that_comes_back_empty():
    """No session is lost: who lives and where sessions are is known again at once."""
    async with nodes(2) as (home, front):
        await home.ask("POST", "/echo/000/abc/xhr")
        await home.ask("POST", "/echo/000/abc/xhr_send", b'["x"]')
        session, key = token(), token()
        hello = {"key": key, "request": 1, "received": 0, "new": True}
        await home.ask("POST", f"/echo/~r1/{session}/xhr", json.dumps(hello).encode())
        # It is known that both live, as after some time.
        await until(lambda: front.cluster.others and home.cluster.others)
        home.cluster._store._broker.forget()
        send = {"key": key, "received": 1, "first": 1, "messages": ["y"]}
        sent = await front.ask(
            "POST", f"/echo/~r1-{home.cluster.node}/{session}/xhr_send", json.dumps(send).encode()
        )
        assert sent.status == 200
        assert (await front.ask("POST", "/echo/000/abc/xhr")).body == b'a["x"]\n'
        assert not front.sessions


async def test_session_that_another_process_has_taken():
    """Its first home was dead to that one: nothing of it reaches the client."""
    async with nodes(2) as (first, second):
        await first.ask("POST", "/echo/000/abc/xhr")
        poll = asyncio.create_task(first.ask("POST", "/echo/000/abc/xhr"))
        await until(lambda: first.sessions[0]._receiver is not None)
        del first.cluster._store._broker.nodes[first.cluster.node]
        assert (await second.ask("POST", "/echo/000/abc/xhr")).body == b"o\n"
        first.cluster._nodes.lease.renew()
        first.cluster.restored()
        with pytest.raises((ConnectionError, ValueError)):
            await poll
        await until(lambda: not first.sessions)
        await second.ask("POST", "/echo/000/abc/xhr_send", b'["x"]')
        assert (await first.ask("POST", "/echo/000/abc/xhr")).body == b'a["x"]\n'


# Plain requests, where all is known already


async def test_plain_requests_go_past_aiohttp(monkeypatch: pytest.MonkeyPatch):
    async def serve(*arguments: object) -> None:
        raise AssertionError(arguments)

    async with known_home() as (home, _, client):
        monkeypatch.setattr(Front, "serve", serve)
        assert await client.ask("xhr") == (200, b'a["first"]\n')
        for number in range(10):
            assert await client.ask("xhr_send", b'["%d"]' % number) == (204, b"")
            assert await client.ask("xhr") == (200, b'a["%d"]\n' % number)
        client.begin("xhr")
        await until(lambda: home.sessions[0]._receiver is not None)
        client.writer.transport.abort()
        await until(lambda: not home.sessions)


async def test_pipelined_plain_requests_keep_their_order():
    async with known_home() as (_, _, client):
        assert await client.ask("xhr") == (200, b'a["first"]\n')
        for number in range(3):
            client.begin("xhr_send", b'["%d"]' % number)
        client.begin("xhr")
        assert [await client.answer() for _ in range(3)] == [(204, b"")] * 3
        status, body = await client.answer()
        assert (status, body[:5]) == (200, b'a["0"')


async def test_link_that_breaks_in_a_plain_poll():
    async with known_home() as (home, _, client):
        assert await client.ask("xhr") == (200, b'a["first"]\n')
        client.begin("xhr")
        await until(lambda: home.sessions[0]._receiver is not None)
        home.cluster._links.close()
        assert (await client.answer())[0] == 503
        # What follows is asked for anew.
        assert (await client.ask("xhr"))[0] == 503


async def test_link_that_breaks_in_a_stream():
    """The client must not take what it has for all."""
    async with known_home() as (home, _, client):
        client.begin("xhr_streaming")
        await asyncio.wait_for(client.reader.readuntil(b'a["first"]\n\r\n'), PATIENCE)
        home.cluster._links.close()
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await asyncio.wait_for(client.reader.readuntil(b"0\r\n\r\n"), PATIENCE)


async def test_home_that_has_just_closed_what_was_idle(monkeypatch: pytest.MonkeyPatch):
    """The request was not read: it goes over once more."""
    async with known_home() as (_, _, client):
        received = RelayedTransport.received
        closed: list[RelayedTransport] = []

        def close_once(self: RelayedTransport, data: bytes) -> None:
            if closed:
                received(self, data)
            else:
                closed.append(self)
                self.close()

        monkeypatch.setattr(RelayedTransport, "received", close_once)
        assert await client.ask("xhr") == (200, b'a["first"]\n')
        assert closed
        closed.clear()
        # aiohttp's way: the header makes it odd.
        client.writer.write(request("POST", "/echo/000/abc/xhr_send", b'["x"]', ("TE: trailers",)))
        assert await client.answer() == (204, b"")


async def test_client_that_half_closes():
    """Its poll is over, as at home; what answers by itself is answered."""
    async with known_home() as (home, front, client):
        client.begin("xhr_send", b'["x"]')
        client.writer.write_eof()
        assert await client.answer() == (204, b"")
        other = Client(*await front.connect())
        try:
            heard = b""
            while b'"x"' not in heard:
                # The application takes its time.
                heard = (await other.ask("xhr"))[1]
            other.begin("xhr")
            await until(lambda: home.sessions[0]._receiver is not None)
            other.writer.write_eof()
            assert await asyncio.wait_for(other.reader.read(), PATIENCE) == b""
            await until(lambda: not home.sessions)
        finally:
            other.writer.close()


_SEND = "POST /echo/000/abc/xhr_send HTTP/1.1\r\nHost: site.example\r\n"
_LAST = f'{_SEND}Connection: close\r\nContent-Length: 5\r\n\r\n["z"]'
_CHUNKED = '5\r\n["x"]\r\n0\r\n'


@pytest.mark.parametrize(
    ("said", "count"),
    [
        (f"{_SEND}Transfer-Encoding: chunked\r\n\r\n{_CHUNKED}\r\n{_LAST}", 2),
        (
            f"{_SEND}Transfer-Encoding: chunked\r\nTrailer: a\r\n\r\n{_CHUNKED}a: b\r\n\r\n{_LAST}",
            2,
        ),
        (f'{_SEND}Expect: 100-continue\r\nContent-Length: 5\r\n\r\n["x"]{_LAST}', 3),
        (f'{_SEND}TE: trailers\r\nContent-Length: 5\r\n\r\n["x"]' * 3 + _LAST, 4),
        (_LAST.replace("HTTP/1.1", "HTTP/1.0"), 1),
        ("POST /echo/000/abc/xhr HTTP/1.0\r\nHost: site.example\r\n\r\n", 1),
        (f"HEAD /echo/000/abc/eventsource HTTP/1.1\r\nHost: site.example\r\n\r\n{_LAST}", 2),
    ],
    ids=["chunked", "trailer", "Expect", "pipelined", "HTTP/1.0", "HTTP/1.0 poll", "HEAD"],
)
async def test_odd_requests_are_answered_as_at_home(said: str, count: int):
    answers: list[tuple[bytes, list[str]]] = []
    for at_home in (True, False):
        async with known_home() as (home, front, client):
            reader, writer = await (home if at_home else front).connect()
            writer.write(said.encode())
            answer = await asyncio.wait_for(reader.read(), PATIENCE)
            writer.close()
            # Each has arrived once; the application takes its time.
            texts: list[str] = []
            while "xhr_send" in said and "z" not in texts:
                texts += json.loads((await client.ask("xhr"))[1][1:])
            answers.append((re.sub(rb"Date: [^\r]*", b"", answer), texts))
    assert answers[0] == answers[1]
    assert answers[0][0].count(b"HTTP/1.") == count


async def test_large_message_is_refused_as_at_home():
    async with known_home() as (_, _, client):
        status, _ = await client.ask("xhr_send", b'["%s"]' % (b"x" * 70000))
        assert status == 413


async def test_front_that_stops_ends_a_plain_poll():
    async with known_home() as (home, front, client):
        assert await client.ask("xhr") == (200, b'a["first"]\n')
        client.begin("xhr")
        await until(lambda: home.sessions[0]._receiver is not None)
        stopping = asyncio.create_task(front.stop())
        assert await client.answer() == (200, b"h\n")
        client.writer.close()
        await stopping


async def test_home_knows_the_client_by_its_own_address():
    """So a trusted proxy is believed there as here."""
    async with known_home() as (home, _, client):
        port = client.writer.get_extra_info("sockname")[1]
        found = [
            each.addresses
            for each in home.runner._activity.connections
            if isinstance(each, RelayedConnection)
        ]
        assert [(each.peer, each.peer_port) for each in found] == [("127.0.0.1", f"{port}")]


async def test_front_that_remembers_what_is_not_so_any_more():
    """Nothing is opened twice: who is asked in vain is forgotten."""
    async with nodes(3) as (home, front, other):
        await home.ask("POST", "/echo/000/abc/xhr")
        assert (await front.ask("POST", "/echo/000/abc/xhr_send", b'["x"]')).status == 204
        home.sessions[0].finish()
        await until(lambda: not home.cluster.relay._lasts)
        assert (await other.ask("POST", "/echo/000/abc/xhr")).body == b"o\n"
        assert (await front.ask("POST", "/echo/000/abc/xhr_send", b'["x"]')).status in (404, 503)
        assert (await front.ask("POST", "/echo/000/abc/xhr_send", b'["y"]')).status == 204
        assert [len(node.sessions) for node in (home, front, other)] == [0, 0, 1]


async def test_client_that_leaves_before_it_is_known_who_has_its_session():
    """What was claimed for it is given up."""
    async with nodes(1) as (node,):
        store, relay = node.cluster._store, node.cluster.relay
        claims: list[Callable[[], object]] = []
        claim = store.claim
        store.claim = lambda *arguments: claims.append(lambda: claim(*arguments))
        _, writer = await node.connect()
        writer.write(request("POST", "/echo/000/abc/xhr"))
        await until(lambda: claims)
        # It resets its connection: one that only ends might take the answer.
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
        await until(lambda: not node.runner._activity.connections)
        claims[0]()
        await until(lambda: not node.runner._activity.count)
        assert not relay._lasts
        assert not node.sessions
