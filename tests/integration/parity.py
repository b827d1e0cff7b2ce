"""Two servers side by side: waitress and ours, asked with the same bytes."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from waitress import wasyncore
from waitress.server import create_server

from tests.conformance.rawclient import Connection, Response

PATIENCE = 40.0
"""Seconds after which a wait for an event has failed."""

HOST = "example.org:8080"
"""What every request says, so that no URL of a response tells which server made it."""


@contextmanager
def serve_by_waitress(app: Any, **settings: Any) -> Iterator[str]:
    """Serve an application by waitress on a free port of 127.0.0.1, in a thread.

    Args:
        app: the WSGI application.
        settings: waitress's own.

    Yields:
        The URL.
    """
    sockets: dict[int, Any] = {}
    server = create_server(app, map=sockets, host="127.0.0.1", port=0, **settings)
    stopping = threading.Event()

    def run() -> None:
        while not stopping.is_set():
            wasyncore.loop(timeout=5, map=sockets, count=1)

    thread = threading.Thread(target=run, name="waitress")
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.effective_port}"
    finally:
        stopping.set()
        server.pull_trigger()
        thread.join()
        server.task_dispatcher.shutdown()
        wasyncore.close_all(sockets)


def ask(
    target: str,
    *headers: str,
    method: str = "GET",
    version: str = "HTTP/1.1",
    host: str | None = HOST,
    body: bytes | None = None,
) -> bytes:
    """Write a request; with a body it has its ``Content-Length``."""
    lines = [f"{method} {target} {version}"]
    if host is not None:
        lines.append(f"Host: {host}")
    lines += headers
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b"")


@dataclass(frozen=True)
class Heard:
    """A response as its client takes it.

    Attributes:
        start: the status line.
        headers: as they came.
        body: without its framing.
        complete: whether the framing says that the body is whole.
        bodiless: whether no body can follow (RFC 9110 section 6.4.1).
    """

    start: str
    headers: list[tuple[str, str]]
    body: bytes
    complete: bool
    bodiless: bool

    @classmethod
    def read(cls, response: Response) -> Heard:
        """Read the rest of a response."""
        start = f"HTTP/{response.version} {response.status} {response.reason}"
        body, complete = b"", True
        try:
            if response["Transfer-Encoding"] and response.method != "HEAD":
                while data := response.chunk():
                    body += data
            else:
                body = response.body
        except (EOFError, ConnectionResetError):
            body += response.connection.receive()
            complete = False
        bodiless = response.method == "HEAD" or response.status in (100, 204, 304)
        return cls(start, response.headers, body, complete, bodiless)

    @property
    def status(self) -> int:
        """The status code."""
        return int(self.start.split()[1])

    def all(self, name: str) -> list[str]:
        """Return every value of a header, in order."""
        return [value for key, value in self.headers if key.lower() == name.lower()]


def talk(url: str, data: bytes, methods: Sequence[str]) -> tuple[list[Heard], bytes]:
    """Send bytes on a connection of their own, and read the responses and what is behind them.

    Args:
        url: of the server.
        data: one request or more.
        methods: of the requests that the responses are for.
    """
    connection = Connection(url)
    try:
        connection.send(data)
        heard = [Heard.read(connection.response(method)) for method in methods]
        with contextlib.suppress(OSError):
            connection.socket.shutdown(socket.SHUT_WR)
        return heard, connection.read_to_end()
    finally:
        connection.close()
