"""Whether a peer takes what is written to it, on real sockets."""

from __future__ import annotations

import asyncio
import builtins
import importlib.util
import socket

import pytest

from sockjs_bridge.core.clock import DeadlineWheel
from sockjs_bridge.server import flow
from sockjs_bridge.server.flow import Flow
from tests.server.support import until
from tests.support import HandClock


class Sender(asyncio.Protocol):
    """A connection's end that only writes."""

    transport: asyncio.Transport

    def connection_made(self, transport):
        self.transport = transport


@pytest.fixture
async def ends(request):
    """A transport, and the socket at the other end, which takes little by itself."""
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        theirs = socket.socket()
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        theirs.connect(listener.getsockname())
        ours, _ = listener.accept()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
    theirs.setblocking(False)
    transport, _ = await loop.create_connection(Sender, sock=ours)
    yield transport, theirs
    transport.abort()
    theirs.close()


async def test_what_the_peer_takes_is_seen(ends):
    transport, theirs = ends
    loop = asyncio.get_running_loop()
    assert flow.untaken(transport) == 0
    transport.write(b"x" * 3_000_000)
    await until(lambda: 0 < transport.get_write_buffer_size() < 3_000_000)
    left = flow.untaken(transport)
    # The system's own buffers are a part of it: they may be all that is left of a response.
    assert transport.get_write_buffer_size() < left < 3_000_000
    for _ in range(20):
        await loop.sock_recv(theirs, 65536)
    await until(lambda: flow.untaken(transport) < left)


async def test_idle_counts_from_what_was_taken_last(ends):
    transport, theirs = ends
    loop = asyncio.get_running_loop()
    transport.write(b"x" * 3_000_000)
    await until(lambda: 0 < transport.get_write_buffer_size() < 3_000_000)
    # What the system could still take by itself, it has taken.
    last = -1
    while last != (last := flow.untaken(transport)):
        await asyncio.sleep(0.05)
    clock = HandClock()
    peer = Flow(transport, clock, DeadlineWheel(clock))
    assert peer.idle() == 0.0
    peer.pause_writing()
    waiting = asyncio.create_task(peer.drain())
    await asyncio.sleep(0)
    clock.now += 30.0
    assert peer.idle() == 30.0
    while flow.untaken(transport) == last:
        await loop.sock_recv(theirs, 65536)
    assert peer.idle() == 0.0
    clock.now += 10.0
    assert peer.idle() <= 10.0
    peer.resume_writing()
    await waiting


@pytest.mark.parametrize("why", ["no ioctl", "closed"])
async def test_where_the_system_does_not_tell(ends, monkeypatch, why):
    """Then what it holds counts as taken."""
    transport, _ = ends
    transport.write(b"x" * 3_000_000)
    await until(lambda: 0 < transport.get_write_buffer_size() < 3_000_000)
    if why == "no ioctl":
        monkeypatch.setattr(flow, "HAS_TIOCOUTQ", False)
    else:

        def refuse(*args):
            raise OSError("bad file descriptor")

        monkeypatch.setattr(flow.fcntl, "ioctl", refuse)
    assert flow.untaken(transport) == transport.get_write_buffer_size()


def test_a_system_without_that_call(monkeypatch):
    """Windows."""
    real = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name == "fcntl":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    spec = importlib.util.spec_from_file_location("there", flow.__file__)
    there = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(there)
    assert not there.HAS_TIOCOUTQ
    assert flow.HAS_TIOCOUTQ
