"""Who a connection comes from, also when its peer is gone."""

from __future__ import annotations

import asyncio
import socket
import struct
from types import SimpleNamespace

import pytest

from sockjs_bridge.server.addresses import Addresses
from sockjs_bridge.server.options import ServerOptions
from sockjs_bridge.server.runner import Runner
from tests.server.support import PATIENCE

FORGED = "203.0.113.66"


def transport(family, peername, sockname):
    extra = {"socket": SimpleNamespace(family=family), "peername": peername, "sockname": sockname}
    return asyncio.Transport(extra)


@pytest.mark.parametrize(
    ("family", "peername", "sockname", "addresses"),
    [
        (
            *(socket.AF_INET, ("192.0.2.1", 5000), ("192.0.2.2", 80)),
            ("192.0.2.1", "5000", "192.0.2.2", "80"),
        ),
        (
            *(socket.AF_INET6, ("2001:db8::1", 5000, 0, 0), ("::1", 80, 0, 0)),
            ("2001:db8::1", "5000", "::1", "80"),
        ),
        (socket.AF_UNIX, "", "/run/s", ("unix", "", "", "")),
        (socket.AF_UNIX, None, None, ("unix", "", "", "")),
        # Reset before it could be asked.
        (socket.AF_INET, None, ("192.0.2.2", 80), ("unknown", "", "192.0.2.2", "80")),
        (socket.AF_INET, None, None, ("unknown", "", "", "")),
    ],
)
async def test_the_family_of_the_socket_decides(family, peername, sockname, addresses):
    assert Addresses.of(transport(family, peername, sockname)) == addresses


@pytest.mark.parametrize("polls", ["false", "true"])
@pytest.mark.parametrize("moment", ["before", "behind"])
async def test_nothing_is_believed_of_a_connection_that_was_reset(moment, polls, caplog):
    """The peer of a TCP port is no Unix socket's, though it cannot be asked for its address."""
    seen = []

    def app(environ, start_response):
        seen.append((environ["PATH_INFO"], environ["REMOTE_ADDR"], environ["SERVER_PORT"]))
        start_response("200 OK", [("Content-Length", "0")])
        return []

    caplog.set_level("INFO", "sockjs_bridge.access")
    options = ServerOptions.parse(
        {
            **{"listen": "127.0.0.1:0", "access_log_polls": polls},
            **{"trusted_proxy": "unix", "trusted_proxy_headers": "x-forwarded-for"},
        }
    )
    sockets = options.bind()
    address = sockets[0].getsockname()
    runner = Runner(app, options)
    if moment == "behind":
        await runner.start(sockets)
    for number in range(20):
        with socket.create_connection(address, timeout=PATIENCE) as peer:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            head = f"GET /{number} HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: {FORGED}\r\n\r\n"
            peer.sendall(head.encode())
        # Some are accepted, read or answered by now.
        await asyncio.sleep(0)
    if moment == "before":
        await runner.start(sockets)
    reader, writer = await asyncio.open_connection(*address)
    async with asyncio.timeout(PATIENCE):
        writer.write(b"GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        await reader.read()
        writer.close()
        await runner.stop()
    assert ("/last", "127.0.0.1", str(address[1])) in seen
    assert {remote for _, remote, _ in seen} <= {"127.0.0.1", "unknown"}
    assert {port for _, _, port in seen} == {str(address[1])}
    lines = [each.getMessage() for each in caplog.records if each.name == "sockjs_bridge.access"]
    assert {line.split()[0] for line in lines} <= {"127.0.0.1", "unknown"}
