"""Whether a peer takes what is written to it, on real sockets."""

from __future__ import annotations

import asyncio
import builtins
import importlib
import socket

import pytest

from sockjs_bridge.core.clock import DeadlineWheel
from sockjs_bridge.server import taking
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
    assert taking.untaken(transport) == 0
    transport.write(b"x" * 3_000_000)
    await until(lambda: 0 < transport.get_write_buffer_size() < 3_000_000)
    left = taking.untaken(transport)
    # The system's own buffers are a part of it: they may be all that is left of a response.
    assert transport.get_write_buffer_size() < left < 3_000_000
    for _ in range(20):
        await loop.sock_recv(theirs, 65536)
    await until(lambda: taking.untaken(transport) < left)


async def test_idle_counts_from_what_was_taken_last(ends):
    transport, theirs = ends
    loop = asyncio.get_running_loop()
    transport.write(b"x" * 3_000_000)
    await until(lambda: 0 < transport.get_write_buffer_size() < 3_000_000)
    # What the system could still take by itself, it has taken.
    last = -1
    while last != (last := taking.untaken(transport)):
        await asyncio.sleep(0.05)
    clock = HandClock()
    flow = Flow(transport, clock, DeadlineWheel(clock))
    assert flow.idle() == 0.0
    flow.pause_writing()
    waiting = asyncio.create_task(flow.drain())
    await asyncio.sleep(0)
    clock.now += 30.0
    assert flow.idle() == 30.0
    while taking.untaken(transport) == last:
        await loop.sock_recv(theirs, 65536)
    assert flow.idle() == 0.0
    clock.now += 10.0
    assert flow.idle() <= 10.0
    flow.resume_writing()
    await waiting


@pytest.mark.parametrize("why", ["no ioctl", "closed"])
async def test_where_the_system_does_not_tell(ends, monkeypatch, why):
    """Then what it holds counts as taken."""
    transport, _ = ends
    transport.write(b"x" * 3_000_000)
    await until(lambda: 0 < transport.get_write_buffer_size() < 3_000_000)
    if why == "no ioctl":
        monkeypatch.setattr(taking, "HAS_TIOCOUTQ", False)
    else:

        def refuse(*args):
            raise OSError("bad file descriptor")

        monkeypatch.setattr(taking.fcntl, "ioctl", refuse)
    assert taking.untaken(transport) == transport.get_write_buffer_size()


def test_a_system_without_that_call(monkeypatch):
    """Windows."""
    real = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name == "fcntl":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(builtins, "__import__", refuse)
        importlib.reload(taking)
        assert not taking.HAS_TIOCOUTQ
    importlib.reload(taking)
    assert taking.HAS_TIOCOUTQ
