"""A Redis or Valkey server of a test's own, in memory alone."""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from tests.integration.pserve import PATIENCE
from tests.proxies.programs import find_program, free_port

#: For tests that run with each; Debian has Valkey from 13 on.
PROGRAMS = [
    "redis-server",
    pytest.param(
        "valkey-server",
        marks=pytest.mark.skipif(
            shutil.which("valkey-server") is None, reason="valkey-server is not installed"
        ),
    ),
]


class RedisServer:
    """A server that may be killed, stand still, and come back empty where it was.

    Args:
        folder: for its files.
        program: ``redis-server`` or ``valkey-server``.
        options: of its command line, as ``--maxmemory 10mb``.

    Attributes:
        port: where it listens, on 127.0.0.1.
        socket: the path of its Unix socket.
    """

    def __init__(self, folder: Path, program: str = "redis-server", *options: str) -> None:
        self._folder = folder
        self._program = program
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        self.socket = folder / "redis.sock"

    @property
    def url(self) -> str:
        """Where it is reached."""
        return f"redis://127.0.0.1:{self.port}"

    @property
    def unix_url(self) -> str:
        """The same by its Unix socket."""
        return f"unix://{self.socket}"

    @property
    def log(self) -> str:
        """What it has written."""
        return (self._folder / "redis.log").read_text(encoding="utf-8", errors="replace")

    def start(self) -> None:
        """Starts it, with nothing in it, and waits until it answers."""
        assert self._process is None
        command = [
            find_program(self._program),
            *("--bind", "127.0.0.1", "--port", str(self.port), "--unixsocket", str(self.socket)),
            *("--save", "", "--appendonly", "no", "--dir", str(self._folder)),
            *self._options,
        ]
        with (self._folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self._folder
            )
        end = time.monotonic() + PATIENCE
        while not self._answers():
            assert self._process.poll() is None and time.monotonic() < end, self.log
            time.sleep(0.01)

    def _answers(self) -> bool:
        # The inline form of a command; a server that wants a password says so at once.
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", self.port), PATIENCE) as connection,
        ):
            connection.sendall(b"PING\r\n")
            return connection.recv(100).startswith((b"+PONG", b"-NOAUTH"))
        return False

    def kill(self) -> None:
        """Ends it at once, with all that was in it."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(PATIENCE)
        self._process = None

    def pause(self) -> None:
        """Has it stand still: its connections stay open, and nothing is answered."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Has it go on after `pause`."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def end(self) -> None:
        """Ends it if it runs."""
        if self._process is not None:
            self.kill()
