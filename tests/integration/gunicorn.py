"""A real gunicorn with our worker class."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gunicorn.config import Config

from tests.integration.pserve import ROOT, ServerProcess

GUNICORN = Path(sys.executable).with_name("gunicorn")
WORKER = "sockjs_bridge.gunicorn.Worker"


class Gunicorn(ServerProcess):
    """gunicorn, which serves on a free port.

    Args:
        ini: what it serves.
        arguments: of the command line.
        bind: where it serves.
        folder: where it is started, and finds modules beside ours.
    """

    def __init__(
        self, ini: Path, *arguments: str, bind: str = "127.0.0.1:0", folder: Path = ROOT
    ) -> None:
        command = [str(GUNICORN), "--paste", str(ini), "-k", WORKER, "--bind", bind]
        if "control_socket_disable" in Config().settings:
            # All that one user starts would have the same.
            command.append("--no-control-socket")
        super().__init__([*command, *arguments], folder)

    @property
    def url(self) -> str:
        """Wait until it listens, and return where."""
        return self.wait_for(r"Listening at: (\S+) \(")[0][1]

    def workers(self, count: int) -> list[int]:
        """Wait until so many workers have been started so far, and return their process ids."""
        return [int(match[1]) for match in self.wait_for(r"Booting worker with pid: (\d+)", count)]


@contextmanager
def gunicorn(
    ini: Path, *arguments: str, bind: str = "127.0.0.1:0", folder: Path = ROOT
) -> Iterator[Gunicorn]:
    """Run gunicorn, and end it."""
    process = Gunicorn(ini, *arguments, bind=bind, folder=folder)
    try:
        yield process
    finally:
        process.end()
