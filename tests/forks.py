"""Processes that are forked from one in which everything is imported: a start takes a second less.

For tests that start many servers, and whose subject is no command line.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import IO

from pyramid.scripts.pserve import main

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(
    [
        *(__name__, "plaster_pastedeploy", "pyramid_chameleon.zpt", "pyramid_chat.api"),
        *("pyramid_chat.demo", "pyramid_chat.realtime", "pyramid_chat.security"),
        *("sockjs_bridge.cluster", "sockjs_bridge.pyramid.config", "sockjs_bridge.pyramid.rooms"),
        *("sockjs_bridge.server.paste", "sqlalchemy.dialects.sqlite", "alembic.command"),
        # Which has what is run there.
        "tests.e2e.server",
    ]
)


def _pserve(
    arguments: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    out: Connection,
    err: Connection,
) -> None:
    """Run the command of that name in this process, as if it had been started."""
    os.setsid()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for number, pipe in ((1, out), (2, err)):
        os.dup2(pipe.fileno(), number)
        pipe.close()
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)
    warnings.simplefilter("ignore")
    sys.path[:0] = environment["PYTHONPATH"].split(os.pathsep)
    sys.exit(main(["pserve", *arguments]))


class ForkedPserve:
    """`pserve` in a process of its own, with what tests need of `subprocess.Popen`.

    Args:
        arguments: of the command line.
        folder: where it runs.
        environment: of the process.

    Attributes:
        pid: its id, and that of the process group that it leads.
        stdout: what it says there.
        stderr: and there.
    """

    stdout: IO[str]
    stderr: IO[str]

    def __init__(
        self, arguments: Sequence[str], folder: Path, environment: Mapping[str, str]
    ) -> None:
        (out, its_out), (err, its_err) = (FORKS.Pipe(duplex=False) for _ in range(2))
        self._process = FORKS.Process(
            target=_pserve,
            args=(arguments, folder, environment, its_out, its_err),
            daemon=True,
        )
        self._process.start()
        its_out.close()
        its_err.close()
        self.stdout, self.stderr = (os.fdopen(os.dup(pipe.fileno())) for pipe in (out, err))
        out.close()
        err.close()
        assert self._process.pid is not None
        self.pid = self._process.pid

    def poll(self) -> int | None:
        """Return how it ended, if it did: its status, or a signal's negative number."""
        return self._process.exitcode

    def wait(self, timeout: float) -> int:
        """Wait for its end.

        Raises:
            subprocess.TimeoutExpired: it still runs after so many seconds.
        """
        self._process.join(timeout)
        if (status := self.poll()) is None:
            raise subprocess.TimeoutExpired("pserve", timeout)
        return status

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        if self.poll() is None:
            os.kill(self.pid, number)
