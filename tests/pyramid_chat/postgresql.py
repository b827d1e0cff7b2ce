"""A PostgreSQL cluster of its own, which may be stopped, started and frozen."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import psycopg


def _tool(name: str) -> str:
    """Finds a program of PostgreSQL; Debian keeps them out of the path."""
    found = shutil.which(name)
    places = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    if found is None and not places:
        raise RuntimeError(
            "PostgreSQL is not installed: on Debian, apt-get install postgresql; or set"
            " SOCKJS_SKIP_POSTGRESQL=1 to leave its tests out"
        )
    return found or str(places[-1])


class Cluster:
    """A cluster that is reached by a socket in its own folder.

    Attributes:
        folder: that one.
    """

    def __init__(self) -> None:
        self.folder = tempfile.mkdtemp(prefix="chat-pg-")
        # PostgreSQL refuses to run as root.
        self._root = os.geteuid() == 0
        if self._root:
            shutil.chown(self.folder, "postgres", "postgres")
        self._data = f"{self.folder}/data"
        self._numbers = itertools.count()
        self._frozen: list[int] = []
        try:
            self._run(
                _tool("initdb"),
                *("-D", self._data, "-U", "postgres", "-A", "trust", "-E", "UTF8"),
                *("--no-sync", "--locale=C.UTF-8"),
            )
            self.start()
        except BaseException:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise

    def _run(self, *command: str) -> None:
        prefix = ("runuser", "-u", "postgres", "--") if self._root else ()
        done = subprocess.run(
            [*prefix, *command],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            timeout=50,
        )
        if done.returncode:
            raise RuntimeError(f"{command[0]} failed: {done.stderr}")

    def _control(self, *arguments: str) -> None:
        log = f"{self.folder}/log"
        self._run(_tool("pg_ctl"), "-D", self._data, "-l", log, "-w", *arguments)

    def start(self) -> None:
        """Starts it, and waits until it answers."""
        options = f"-c listen_addresses= -c unix_socket_directories={self.folder} -c fsync=off"
        self._control("-o", options, "start")

    def stop(self) -> None:
        """Stops it as a crash would."""
        self._control("-m", "immediate", "stop")

    def freeze(self) -> None:
        """Stops all of its processes in their tracks, as a paused machine does."""
        master = int(Path(self._data, "postmaster.pid").read_text("ascii").split()[0])
        # First the one that would make new ones.
        os.kill(master, signal.SIGSTOP)
        children = Path(f"/proc/{master}/task/{master}/children").read_text("ascii")
        self._frozen = [master, *map(int, children.split())]
        for process in self._frozen[1:]:
            os.kill(process, signal.SIGSTOP)

    def thaw(self) -> None:
        """Has them go on."""
        for process in reversed(self._frozen):
            os.kill(process, signal.SIGCONT)

    def destroy(self) -> None:
        """Stops it and removes its folder."""
        try:
            self.stop()
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def connect(self, database: str = "postgres") -> psycopg.Connection:
        """Connects to a database, in autocommit mode."""
        return psycopg.connect(host=self.folder, user="postgres", dbname=database, autocommit=True)

    def create(self) -> str:
        """Makes an empty database, and returns its name."""
        name = f"chat{next(self._numbers)}"
        with self.connect() as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return name

    def url(self, database: str) -> str:
        """Returns the URL of a database, as an ini has it."""
        return f"postgresql://postgres@/{database}?host={self.folder}"
