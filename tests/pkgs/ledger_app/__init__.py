"""The application that the tests of killed servers run: it does each message once, by its id."""

from __future__ import annotations

import os
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

from pyramid.config import Configurator

from sockjs_bridge import WebSocketSession, websocket_view

KILL = "kill"
"""What a message begins with after which the process is dead: done, and not confirmed."""


class Ledger:
    """A database that outlives processes.

    Args:
        path: of its file.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = path
        with closing(self._connect()) as database, database:
            database.execute("create table if not exists entries (id text unique, text text)")
            database.execute("create table if not exists arrivals (id text, repeated integer)")

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, timeout=30)

    def enter(self, message_id: str, text: str, repeated: bool) -> bool:
        """Enter a message, unless it is there; return whether it was not."""
        with closing(self._connect()) as database, database:
            database.execute("insert into arrivals values (?, ?)", (message_id, repeated))
            entry = (message_id, text)
            return (
                database.execute("insert or ignore into entries values (?, ?)", entry).rowcount > 0
            )

    def rows(self, table: str) -> list[tuple[str, object]]:
        """Return what is in a table, in the order in which it came."""
        with closing(self._connect()) as database:
            return database.execute(f"select * from {table} order by rowid").fetchall()


@websocket_view(route_name="ledger")
class Session(WebSocketSession):
    """Enters each message, and sends it back."""

    def on_message(self, message):
        fresh = self.request.registry.ledger.enter(self.message_id or "", message, self.repeated)
        if fresh and message.startswith(KILL):
            os.kill(os.getpid(), signal.SIGKILL)
        self.send(message)


def main(global_config=None, **settings):
    with Configurator(settings=settings) as config:
        config.include("sockjs_bridge")
        config.registry.ledger = Ledger(settings["ledger"])
        config.add_sockjs_route("ledger", "/ledger")
        config.scan()
        return config.make_wsgi_app()
