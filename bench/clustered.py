"""Starts Redis, then our server as one process of a cluster: ``ours-cluster`` of the benchmark.

    python -m bench.clustered PORT

The server takes this process's place, so that what is measured is its own; Redis ends with it, and
has the other CPUs.
"""

from __future__ import annotations

import ctypes
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

_PR_SET_PDEATHSIG = 1
"""prctl(2)."""
_START_TIME = 10.0


def start_redis(path: Path) -> None:
    """Starts a Redis that keeps nothing and listens on a Unix socket.

    Raises:
        SystemExit: it is not installed, or does not start.
    """
    program = shutil.which("redis-server")
    if program is None:
        sys.exit("redis-server is not installed: on Debian, apt-get install redis-server")
    libc = ctypes.CDLL(None)
    others = set(range(os.cpu_count() or 1)) - os.sched_getaffinity(0)

    def prepare() -> None:
        # By this it removes its socket.
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if others:
            os.sched_setaffinity(0, others)

    process = subprocess.Popen(
        [program, "--port", "0", "--unixsocket", path, "--save", "", "--appendonly", "no"],
        cwd=path.parent,
        stdout=subprocess.DEVNULL,
        preexec_fn=prepare,
    )
    end = time.monotonic() + _START_TIME
    while not _answers(path):
        if process.poll() is not None or time.monotonic() > end:
            sys.exit("redis-server did not start")
        time.sleep(0.01)


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(str(path))
        except OSError:
            return False
    return True


def main() -> None:
    """Does so."""
    (port,) = sys.argv[1:]
    path = Path(tempfile.gettempdir()) / f"sockjs-bench-{secrets.token_hex(8)}.sock"
    start_redis(path)
    pserve = str(Path(sys.executable).with_name("pserve"))
    ini = str(Path(__file__).with_name("ours.ini"))
    os.execv(pserve, [pserve, "--app-name=cluster", ini, f"http_port={port}", f"redis={path}"])


if __name__ == "__main__":
    main()
