"""The chat in browsers, with three processes behind a balancer, on Redis and PostgreSQL."""

from __future__ import annotations

import configparser
import os
from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import Any

import pytest

from tests.cluster.processes import HAProxyInTurn, Processes
from tests.cluster.redisserver import RedisServer
from tests.e2e.conftest import ROOT
from tests.e2e.conversation import assert_complete, converse, meet
from tests.e2e.firefox import Firefox
from tests.e2e.page import ChatPage
from tests.e2e.server import PATIENCE, PLENTY
from tests.pyramid_chat.postgresql import Cluster

pytestmark = pytest.mark.skipif(
    os.environ.get("SOCKJS_SKIP_POSTGRESQL") == "1", reason="SOCKJS_SKIP_POSTGRESQL is set"
)


class Chat:
    """The chat in three processes.

    Attributes:
        processes: of it.
        url: of the balancer in front of them.
    """

    def __init__(self, processes: Processes, url: str, database: Cluster, name: str) -> None:
        self.processes = processes
        self.url = url
        self._database, self._name = database, name

    def _query(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        with closing(self._database.connect(self._name)) as connection:
            return connection.execute(statement, parameters).fetchall()

    def room(self, name: str) -> int:
        """Return the id of a room."""
        ((found,),) = self._query("SELECT id FROM room WHERE name = %s", name)
        return int(found)

    def messages(self, room: int) -> list[tuple[int, str, str]]:
        """Return number, author and text of the messages of a room, in order."""
        return self._query(
            "SELECT number, users.name, text FROM message JOIN users ON users.id = author_id"
            " WHERE room_id = %s ORDER BY number",
            room,
        )


@pytest.fixture
def chat(tmp_path) -> Iterator[Chat]:
    ini = configparser.RawConfigParser()
    ini.read(ROOT / "demo.ini", encoding="utf-8")
    redis = RedisServer(tmp_path)
    with ExitStack() as stack:
        database = Cluster()
        stack.callback(database.destroy)
        stack.callback(redis.end)
        redis.start()
        name = database.create()
        settings = {
            **ini["app:main"],
            **PLENTY,
            "sqlalchemy.url": database.url(name),
            "chat.secret_file": tmp_path / "chat.secret",
            "sockjs.cluster": redis.unix_url,
            # The first of them fills the database, which the others await.
            "chat.database_timeout": 60,
        }
        del settings["use"]
        three = Processes(*(tmp_path, 3), settings=settings, unix=True, factory="pyramid_chat:main")
        stack.enter_context(three)
        (tmp_path / "haproxy").mkdir()
        proxy = stack.enter_context(HAProxyInTurn(tmp_path / "haproxy", three.listens))
        yield Chat(three, proxy.url, database, name)
    assert "Traceback" not in "\n".join(server.log for server in three)


def test_one_after_the_other_is_killed(
    chat: Chat, browsers: list[ChatPage], firefox: Firefox
) -> None:
    """Two people in two browsers go on talking, whichever process they had; no console error."""
    room = chat.room("Lobby")
    pages = [ChatPage(firefox, "Ada", PATIENCE), browsers[1]]
    # What Chromium itself notes of a stream whose process is killed: WebSockets may come too late.
    browsers[1].expect_errors("net::ERR_INCOMPLETE_CHUNKED_ENCODING")
    ada, _ = meet(pages, f"{chat.url}/rooms/{room}")
    converse(pages, chat, room)
    for number, server in enumerate(chat.processes):
        server.kill()
        for page in pages:
            page.say(f"{page.owner} goes on without {number}")
        for page in pages:
            page.until_said(*(f"{owner} goes on without {number}" for owner in ("Ada", "Grace")))
            page.until_connected()
        server.start()
        server.wait()
    for page in pages:
        page.until(lambda page=page: all(m["number"] for m in page.messages()), "confirmed")
    assert_complete(pages, chat, room)
    # Those of Chromium are looked at behind each test.
    assert ada.errors() == []
