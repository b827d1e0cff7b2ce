"""Backups as docs/chat-administration.rst makes them: of a chat that runs, and complete."""

from __future__ import annotations

import os
import shlex
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import make_url

from pyramid_chat import search
from pyramid_chat.words import parse
from tests.docs.blocks import collect
from tests.pyramid_chat.conftest import PATIENCE, Start

BLOCKS = {block.caption: block.code for block in collect() if block.page == "chat-administration"}


async def has_only_what_was_said_before(start: Start) -> None:
    """Start the chat again; Ada can still sign in."""
    with start() as chat:
        async with chat.visit("Ada") as ada:
            page = await ada.ask("history", room=1, before=None)
            assert [message["text"] for message in page["messages"]] == ["before"]
            assert (await ada.say("after"))["version"] == 2
            for words, count in (("before", 1), ("after", 1), ("too", 0)):
                with chat.database.session() as session:
                    assert len(search.find(session, ada.id, parse(words))["hits"]) == count


async def test_sqlite(start: Start, tmp_path: Path, database_url: str) -> None:
    backup, database = tmp_path / "backup.sqlite", Path(str(make_url(database_url).database))
    _, _, statement = shlex.split(BLOCKS["back up SQLite"].splitlines()[0])
    with start() as chat:
        async with chat.visit("Ada") as ada:
            await ada.say("before")
            # As the program sqlite3 does with it.
            with closing(sqlite3.connect(database)) as connection:
                connection.execute(statement.replace("/var/backups/chat.sqlite", str(backup)))
            await ada.say("too late")
    for name in ("chat.sqlite-wal", "chat.sqlite-shm"):
        assert f"/var/lib/pyramid-chat/{name}" in BLOCKS["restore SQLite"]
        database.with_name(name).unlink(missing_ok=True)
    shutil.copyfile(backup, database)
    await has_only_what_was_said_before(start)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_postgresql(start: Start, tmp_path: Path, database_url: str) -> None:
    url = make_url(database_url)
    environment = {**os.environ, "PGHOST": str(url.query["host"]), "PGUSER": "postgres"}
    changes = {
        "pyramid_chat": str(url.database),
        "/var/backups": str(tmp_path),
        "--owner=pyramid-chat": "--owner=postgres",
    }

    def run(block: str) -> None:
        """Run the commands of PostgreSQL in a block."""
        for line in BLOCKS[block].splitlines():
            if line.startswith("sudo -u postgres "):
                for old, new in changes.items():
                    line = line.replace(old, new)
                words = shlex.split(line.removeprefix("sudo -u postgres "))
                subprocess.run(words, env=environment, check=True, timeout=PATIENCE)

    with start() as chat:
        async with chat.visit("Ada") as ada:
            await ada.say("before")
            run("back up PostgreSQL")
            await ada.say("too late")
    run("restore PostgreSQL")
    await has_only_what_was_said_before(start)
