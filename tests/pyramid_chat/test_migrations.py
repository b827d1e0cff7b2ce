"""A database of an older version, with data, is taken over."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import inspect, select, text

from pyramid_chat import conversation, files, open_database, people, rooms, search
from pyramid_chat.database import Database, _config
from pyramid_chat.models import Base, File, Membership, Mention, Message, Room, SignIn, User
from pyramid_chat.settings import Settings
from pyramid_chat.words import parse
from tests.pyramid_chat.conftest import both_databases

TIME = "2026-01-02 03:04:05.678000"

# As version 0001 wrote it.
DATA = (
    "INSERT INTO users VALUES (1, 'Ada', 'ada', 'hash of ada', '{time}'),"
    " (2, 'Grace', 'grace', 'hash of grace', '{time}')",
    "INSERT INTO sign_in VALUES ('a cookie', 1, '{seen}')",
    "INSERT INTO room VALUES (1, 'public', 'Lobby', 'public:lobby', '', 2, 1, '{time}'),"
    " (2, 'direct', '', 'direct:1:2', '', 1, NULL, '{time}'),"
    " (3, 'private', 'Left', NULL, '', 0, NULL, '{time}'),"
    " (4, 'private', 'Plans', NULL, '', 0, 1, '{time}')",
    "INSERT INTO membership VALUES (1, 1, 2, '{time}'), (1, 2, 1, '{time}'), (2, 1, 0, '{time}'),"
    " (2, 2, 1, '{time}'), (4, 1, 0, '{time}')",
    "INSERT INTO message VALUES (1, 1, 1, 1, 'k1', 'hello', '{time}', NULL, {false}),"
    " (1, 2, 2, 2, 'k2', '', '{time}', NULL, {true}),"
    " (2, 1, 1, 2, 'k3', 'you', '{time}', NULL, {false})",
)


@pytest.fixture
def old(database_url: str, tmp_path: Path) -> Settings:
    """The settings of a chat whose database was made by version 0001."""
    own = Settings.parse(tmp_path, {"sqlalchemy.url": database_url})
    database = Database(own.url, own.database_timeout)
    sqlite = own.url.get_backend_name() == "sqlite"
    zone = "" if sqlite else "+00"
    true, false = ("1", "0") if sqlite else ("true", "false")
    with database.engine.execution_options(chat_writes=True).begin() as connection:
        command.upgrade(_config(connection), "0001")
        for statement in DATA:
            filled = statement.format(
                time=TIME + zone, seen=TIME.replace("2026", "2099") + zone, true=true, false=false
            )
            connection.execute(text(filled))
        if not sqlite:
            for table in ("users", "room"):
                connection.execute(text(f"SELECT setval('{table}_id_seq', max(id)) FROM {table}"))
    database.engine.dispose()
    return own


@both_databases
def test_a_database_of_0001_keeps_all_that_is_in_it(old: Settings) -> None:
    database = open_database(old)
    with database.session() as session:
        users = session.scalars(select(User).order_by(User.id)).all()
        assert [(user.name, user.password) for user in users] == [
            ("Ada", "hash of ada"),
            ("Grace", "hash of grace"),
        ]
        assert {(user.disabled, user.admin, user.removed) for user in users} == {(False,) * 3}
        assert session.scalars(select(SignIn.id)).all() == ["a cookie"]
        identity = people.identify(session, "a cookie", old.session_timeout)
        assert identity is not None and identity.name == "Ada"
        members = session.scalars(select(Membership)).all()
        assert [member.muted for member in members] == [False] * 5
        assert not session.scalars(select(Mention)).all()
        found = session.scalars(select(Room).order_by(Room.id)).all()
        assert [room.name for room in found] == ["Lobby", "", "Left", "Plans"]
        # A private room in which nobody is was left by its last member.
        assert [room.archived is not None for room in found] == [False, False, True, False]
        page = conversation.history(session, 1, None)["messages"]
        assert [(said["text"], said["deleted"]) for said in page] == [("hello", False), ("", True)]
        assert [said["removed_by"] for said in page] == [None, None]
        assert [said["quote"] for said in page] == [None, None]
        assert len(session.scalars(select(Message)).all()) == 3
        assert session.scalars(select(File)).all() == []
        assert rooms.told_to(session, [1], 2)[1][0]["name"] == "Grace"
        # The index of the search has what was said before there was one.
        found = [search.find(session, 2, parse(words))["hits"] for words in ("hello", "you", '"')]
        assert [[hit["room"]["name"] for hit in hits] for hits in found] == [["Lobby"], ["Ada"], []]
        # What refers to people does so still.
        assert inspect(session.connection()).get_foreign_keys("membership")
        assert len(inspect(session.connection()).get_foreign_keys("message")) == 3
    with database.writing() as session, session.begin():
        assert people.add(session, "Mary", "hash").id == 3
        # What was said before can have no files, and what is said now can.
        file_id = files.reserve(session, 1, 1, "plan.txt", 7, (100, 100))
        session.get_one(File, file_id).complete = True
        files.attach(session, 1, 3, 1, [file_id])
        assert [one.id for one in files.of_messages(session, [(1, 3)])[1, 3]] == [file_id]
    database.engine.dispose()


@both_databases
def test_the_way_back_keeps_it_too(old: Settings) -> None:
    database = open_database(old)
    with database.engine.execution_options(chat_writes=True).begin() as connection:
        command.downgrade(_config(connection), "0001")
    with database.engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM membership")) == 5
        assert connection.scalar(text("SELECT count(*) FROM message")) == 3
        columns = {column["name"] for column in inspect(connection).get_columns("users")}
        assert columns == {"id", "name", "folded", "password", "created"}
    database.start(migrate=True)
    with database.engine.connect() as connection:
        assert set(Base.metadata.tables) <= set(inspect(connection).get_table_names())
    database.engine.dispose()
