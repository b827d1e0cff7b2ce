"""The real server process, and what its database has."""

from __future__ import annotations

import configparser
import functools
import http.client
import os
import re
import sqlite3
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import closing
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher
from pyramid.scripts.pserve import main

from pyramid_chat import passwords
from tests.forks import FORKS
from tests.proxies.programs import free_port

ROOT = Path(__file__).parents[2]
PATIENCE = 40.0
"""Seconds after which a test gives up waiting for what must happen."""

PLENTY = {"chat.messages_per_minute": "6000", "chat.message_burst": "1000"}
"""Settings of the application where the amount of messages is the subject."""


def pserve(ini: Path, log: Path) -> None:
    """Run the command of that name in this process."""
    os.chdir(ROOT)
    # Real hashes, see tests/pyramid_chat, with the least that argon2 can do.
    passwords._hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    with log.open("ab") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    sys.exit(main(["pserve", str(ini)]))


def start_pserve(ini: Path, log: Path) -> BaseProcess:
    """Start it in a process of its own, which adds to a file what it says."""
    process = FORKS.Process(target=pserve, args=(ini, log), daemon=True)
    process.start()
    return process


class Server:
    """A ``pserve`` process with the settings of demo.ini, on a port and with a database of its own.

    Args:
        directory: for its ini file, its log and its database.
        settings: of the application, in place of demo.ini's.
        options: of the server, in place of demo.ini's.
        filled: its database is there already, as another first start has made it.
    """

    def __init__(
        self,
        directory: Path,
        settings: Mapping[str, str] | None = None,
        options: Mapping[str, str] | None = None,
        *,
        filled: bool = True,
    ) -> None:
        self.port = free_port()
        self.database = directory / "chat.sqlite"
        self._ini = directory / "chat.ini"
        self._log = directory / "chat.log"
        self._process: BaseProcess | None = None
        ini = configparser.RawConfigParser()
        ini.read(ROOT / "demo.ini", encoding="utf-8")
        own = {
            "sqlalchemy.url": f"sqlite:///{self.database}",
            "chat.secret_file": str(directory / "chat.secret"),
        }
        ini["app:main"].update({**own, **(settings or {})})
        ini["server:main"].update({"listen": f"127.0.0.1:{self.port}", **(options or {})})
        with self._ini.open("w", encoding="utf-8") as file:
            ini.write(file)
        if filled:
            self.database.write_bytes(demo_database())

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start the process and wait until it answers."""
        self._process = start_pserve(self._ini, self._log)
        deadline = time.monotonic() + PATIENCE
        while not self._answers():
            if not self._process.is_alive() or time.monotonic() > deadline:
                pytest.fail(f"pserve does not serve:\n{self.log()}", pytrace=False)
            time.sleep(0.05)

    def stop(self) -> None:
        """End the process as an operator would."""
        assert self._process is not None
        self._process.terminate()
        self._process.join(PATIENCE)
        status = self._process.exitcode
        if status is None:
            self.kill()
        assert status == 0, self.log()

    def kill(self) -> None:
        """End the process without letting it know."""
        assert self._process is not None
        self._process.kill()
        self._process.join()

    def log(self) -> str:
        """Return what the process has written."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def query(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Ask the database."""
        with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)) as connection:
            return connection.execute(statement, parameters).fetchall()

    def change(self, statement: str, *parameters: Any) -> None:
        """Change the database behind the application's back."""
        with closing(sqlite3.connect(self.database)) as connection, connection:
            connection.execute(statement, parameters)

    def room(self, name: str) -> int:
        """Return the id of a room."""
        ((found,),) = self.query("SELECT id FROM room WHERE name = ?", name)
        return int(found)

    def user(self, name: str) -> int:
        """Return the id of a person."""
        ((found,),) = self.query("SELECT id FROM users WHERE name = ?", name)
        return int(found)

    def messages(self, room: int) -> list[tuple[int, str, str]]:
        """Return number, author and text of the messages of a room, in order."""
        return self.query(
            "SELECT number, users.name, text FROM message JOIN users ON users.id = author_id"
            " WHERE room_id = ? ORDER BY number",
            room,
        )

    def sessions(self) -> list[str]:
        """Return what the log says of each SockJS session that ended."""
        return re.findall(r"\[sockjs_bridge\.session\] (.*)", self.log())

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request("GET", "/chat/info")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()


@functools.cache
def demo_database() -> bytes:
    """Return the database that a first start makes, which takes longer than any other start."""
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder), filled=False)
        server.start()
        server.stop()
        with closing(sqlite3.connect(server.database)) as connection:
            return connection.serialize()
