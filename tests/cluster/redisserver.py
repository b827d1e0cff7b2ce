"""A Redis server for tests, with nothing on disk; it can be killed, stopped and started empty."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

#: Seconds until a server answers.
STARTS = 20.0


class RedisServer:
    """A server on a free port of loopback, and on a Unix socket.

    Args:
        binary: ``redis-server`` or ``valkey-server``.
        options: of its command line, without the dashes.
        port: its port; a free one if not given.
    """

    def __init__(self, binary: str = "redis-server", port: int = 0, **options: str) -> None:
        self._binary = binary
        self._options = options
        self._directory = Path(tempfile.mkdtemp(prefix="sb-redis-"))
        self.socket = self._directory / "s"
        self.port = port or free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    @property
    def unix_url(self) -> str:
        return f"unix://{self.socket}"

    def start(self) -> None:
        options = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "unixsocket": str(self.socket),
            "save": "",
            "appendonly": "no",
            "dir": str(self._directory),
            **{name.replace("_", "-"): value for name, value in self._options.items()},
        }
        arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen([self._binary, *arguments], stdout=log, stderr=log)
        deadline = time.monotonic() + STARTS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError((self._directory / "log").read_text())
            time.sleep(0.02)

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1) as client:
                client.sendall(b"PING\r\n")
                return client.recv(100)[:1] in (b"+", b"-")
        except OSError:
            return False

    def kill(self) -> None:
        """End it at once; it comes back with nothing."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        """Have it hang."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGCONT)

    def close(self) -> None:
        self.kill()
        shutil.rmtree(self._directory, ignore_errors=True)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port
