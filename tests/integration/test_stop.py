"""The end of the server, seen by requests that are under way."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from typing import Any
from urllib.parse import urlsplit

import pytest
from pyramid.config import Configurator

from sockjs_bridge import WebSocketSession
from sockjs_bridge.core.manager import Manager
from sockjs_bridge.server.connection import PeerConnection
from sockjs_bridge.testing import serve
from tests.conformance.rawclient import Connection
from tests.conformance.wire import Client, eventually, quoted

SIZE = 30_000_000


def large(environ, start_response):
    """A WSGI application whose response is more than any buffer on the way takes."""
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(SIZE))])
    return [b"x" * SIZE]


def accepts(url: str) -> bool:
    """Tells whether the server takes new connections."""
    try:
        Connection(url).close()
    except OSError:
        return False
    return True


def test_response_that_is_on_its_way_out() -> None:
    """A response that is being written when the server stops arrives whole."""
    lengths: list[int] = []

    def read_when_it_stops() -> None:
        eventually(lambda: not accepts(url))
        lengths.append(len(response.body))

    with serve(large, shutdown_timeout=60) as url:
        connection = Connection(url)
        response = connection.request("GET", "/")
        assert response.status == 200
        reading = threading.Thread(target=read_when_it_stops)
        reading.start()
    reading.join(60)
    connection.close()
    assert lengths == [SIZE]


def test_what_a_slow_client_has_yet_to_take(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also what the server has written, and the system has not taken yet."""
    made = PeerConnection.connection_made

    def with_a_small_buffer(self: PeerConnection, transport: asyncio.Transport) -> None:
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        made(self, transport)

    monkeypatch.setattr(PeerConnection, "connection_made", with_a_small_buffer)
    size, got = 150_000, bytearray()

    def application(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(size))])
        return [b"x" * size]

    def read_slowly() -> None:
        eventually(lambda: not accepts(url))
        while data := client.recv(512):
            got.extend(data)
            time.sleep(0.0005)

    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with serve(application, shutdown_timeout=60) as url:
            client.connect(("127.0.0.1", urlsplit(url).port))
            client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            got += client.recv(100)
            reading = threading.Thread(target=read_slowly)
            reading.start()
        reading.join(60)
    assert len(got.partition(b"\r\n\r\n")[2]) == size


def test_client_that_does_not_read() -> None:
    """It cannot hold the end for ever: about twice ``shutdown_timeout`` at the most."""
    with serve(large, shutdown_timeout=0.3) as url:
        connection = Connection(url)
        assert connection.request("GET", "/").status == 200
    # Its block is left: the server has ended, and nobody has read.
    connection.close()
    assert not accepts(url)


def test_crowd_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """However short the time is that they have, and however many goes it takes: each client hears
    of the end."""
    monkeypatch.setattr(Manager, "BATCH", 1)
    with Configurator() as config:
        config.include("sockjs_bridge")
        config.add_sockjs_route("echo", "/echo", session=WebSocketSession)
        app = config.make_wsgi_app()
    with serve(app, shutdown_timeout=0.01) as url:
        client = Client(url)
        streams = [client.session("/echo", "xhr_streaming") for _ in range(30)]
        assert [stream.receive() for stream in streams] == ["o"] * 30
    assert [stream.receive() for stream in streams] == [quoted(3000, "Go away!")] * 30
    client.close()
