"""The database at the start: made, brought up to date, or refused in one sentence."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import func, inspect, select, text

from pyramid_chat import main, open_database
from pyramid_chat.database import Database, _config, is_away
from pyramid_chat.models import Base, Membership, Message, Moment, Room, User, now
from pyramid_chat.settings import CannotStart, Settings
from tests.pyramid_chat.conftest import both_databases


def settings(tmp_path: Path, **named: Any) -> Settings:
    return Settings.parse(tmp_path, {key.replace("__", "."): value for key, value in named.items()})


@pytest.fixture
def database(database_url: str, tmp_path: Path):
    database = open_database(settings(tmp_path, sqlalchemy__url=database_url))
    yield database
    database.engine.dispose()


def _is_modelled(name: str | None, kind: str, parents: object) -> bool:
    # The index of the search is the database's own matter: pyramid_chat/search_index.py.
    return kind != "table" or not str(name).startswith("search_")


@both_databases
def test_models_and_migrations_agree(database: Database) -> None:
    with database.engine.connect() as connection:
        options = {"compare_type": True, "include_name": _is_modelled}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, Base.metadata) == []
        names = {
            constraint["name"]
            for table in Base.metadata.tables
            for constraint in inspect(connection).get_unique_constraints(table)
        }
    assert names == {
        constraint.name
        for table in Base.metadata.tables.values()
        for constraint in table.constraints
        if type(constraint).__name__ == "UniqueConstraint"
    }


@both_databases
def test_a_new_database_has_one_room_and_nobody(database: Database) -> None:
    with database.session() as session:
        (room,) = session.scalars(select(Room))
        assert (room.name, room.kind, room.version, room.owner_id) == ("Lobby", "public", 0, None)
        assert session.scalar(select(func.count(User.id))) == 0


@both_databases
def test_several_processes_start_at_once_with_an_empty_database(
    database_url: str, tmp_path: Path
) -> None:
    own = settings(tmp_path, sqlalchemy__url=database_url, chat__demo="true")
    together = Barrier(4)

    def start(number: int) -> Database:
        together.wait()
        return open_database(own)

    with ThreadPoolExecutor(4) as pool:
        databases = list(pool.map(start, range(4)))
    with databases[0].session() as session:
        assert session.scalars(select(User.name).order_by(User.name)).all() == ["Ada", "Grace"]
        assert session.scalars(select(Room.name).where(Room.name == "Lobby")).all() == ["Lobby"]
    for database in databases:
        database.engine.dispose()


@both_databases
def test_a_second_start_changes_nothing(database_url: str, tmp_path: Path) -> None:
    given = settings(tmp_path, sqlalchemy__url=database_url, chat__demo="true")
    for _ in range(2):
        database = open_database(given)
        with database.session() as session:
            assert [user.name for user in session.scalars(select(User).order_by(User.id))] == [
                "Ada",
                "Grace",
            ]
            counts = {room.name: room.version for room in session.scalars(select(Room))}
            assert counts == {"Lobby": 12, "Surprise party": 2, "": 2}
            assert session.scalar(select(func.count()).select_from(Membership)) == 6
            assert session.scalar(select(func.min(Membership.read))) == 2
            times = list(session.scalars(select(Message.created).where(Message.room_id == 1)))
            assert times == sorted(times) and times[-1] < now()
        database.engine.dispose()


@both_databases
def test_who_is_in_a_room_already_stays_there(database_url: str, tmp_path: Path) -> None:
    """A database from before invitations were told apart: nobody counts as invited."""
    own = settings(tmp_path, sqlalchemy__url=database_url)
    database = Database(own.url, own.database_timeout)
    with database.engine.execution_options(chat_writes=True).begin() as connection:
        command.upgrade(_config(connection), "0002")
        for statement in (
            "INSERT INTO users VALUES (1, 'Ada', 'ada', 'hash', '2026-01-02 03:04:05')",
            "INSERT INTO room VALUES"
            " (1, 'private', 'Plans', NULL, '', 0, 1, '2026-01-02 03:04:05')",
            "INSERT INTO membership VALUES (1, 1, 0, '2026-01-02 03:04:05')",
        ):
            connection.execute(text(statement))
    database.engine.dispose()
    database = open_database(own)
    with database.session() as session:
        (membership,) = session.scalars(select(Membership))
        assert (membership.room_id, membership.user_id, membership.invited) == (1, 1, False)
    database.engine.dispose()


@both_databases
def test_a_migration_can_be_taken_back(database: Database) -> None:
    with database.engine.begin() as connection:
        command.downgrade(_config(connection), "base")
    with database.engine.connect() as connection:
        assert inspect(connection).get_table_names() == ["alembic_version"]
    database.start(migrate=True)
    with database.engine.connect() as connection:
        assert "message" in inspect(connection).get_table_names()


def test_sqlite_writes_ahead_and_keeps_its_promises(database: Database) -> None:
    with database.engine.connect() as connection:
        for pragma, value in (
            ("journal_mode", "wal"),
            ("foreign_keys", 1),
            # FULL
            ("synchronous", 2),
            ("busy_timeout", 3000),
        ):
            assert connection.scalar(text(f"PRAGMA {pragma}")) == value
    # The file itself, whoever opens it.
    with sqlite3.connect(str(database.url.database)) as other:
        assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    other.close()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_postgresql_waits_only_so_long(database: Database) -> None:
    for _ in range(2):
        with database.engine.connect() as connection:
            assert connection.scalar(text("SHOW lock_timeout")) == "3s"
            assert connection.scalar(text("SHOW statement_timeout")) == "3s"


def test_a_session_that_has_read_may_write_with_a_lock_taken_before(database: Database) -> None:
    """SQLite refuses to turn an old view of the file into a writer."""
    with database.writing() as one, one.begin():
        assert one.scalar(select(Room.version)) == 0
        one.execute(text("UPDATE room SET version = 1"))
    with database.session() as session:
        assert session.scalar(select(Room.version)) == 1


@both_databases
def test_a_time_is_the_same_when_it_comes_back(database: Database) -> None:
    time = now()
    with database.writing() as session, session.begin():
        session.add(User(name="x", folded="x", password="x", created=time))
    with database.session() as session:
        assert session.scalars(select(User.created)).one() == time
    moment = Moment()
    assert moment.process_bind_param(None, database.engine.dialect) is None
    assert moment.process_result_value(None, database.engine.dialect) is None


def refused(tmp_path: Path, **named: Any) -> str:
    """Return the one sentence with which a start ends."""
    with pytest.raises(CannotStart) as error:
        main({"here": str(tmp_path)}, **{k.replace("__", "."): v for k, v in named.items()})
    assert isinstance(error.value, SystemExit)
    sentence = str(error.value)
    assert "\n" not in sentence and "Traceback" not in sentence
    return sentence


def test_old_tables_are_left_alone_where_that_is_wanted(tmp_path: Path) -> None:
    assert "pyramid-chat upgrade" in refused(tmp_path, chat__migrate="false")
    open_database(settings(tmp_path)).engine.dispose()
    app = main({"here": str(tmp_path)}, **{"chat.migrate": "false"})
    app.registry.chat_database.engine.dispose()


def test_the_tables_of_a_newer_version_are_left_alone(tmp_path: Path) -> None:
    database = open_database(settings(tmp_path))
    with database.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    database.engine.dispose()
    assert "another version" in refused(tmp_path)


@pytest.mark.parametrize(
    ("url", "part"),
    [
        ("sqlite:////dev/null/nowhere/chat.sqlite", "cannot be used"),
        ("sqlite:///{tmp_path}", "cannot be used"),
        ("sqlite:///{tmp_path}/text.txt", "cannot be used"),
        ("postgresql://ada:secret@127.0.0.1:1/chat", "cannot be used"),
        ("postgresql://postgres@/chat?host={tmp_path}", "cannot be used"),
        ("postgresql://postgres@/chat?colour=red", "cannot be used"),
        ("sqlite://", "allowed is"),
        ("sqlite:///:memory:", "allowed is"),
        ("mysql://root@localhost/chat", "allowed is"),
        ("postgresql+asyncpg://root@localhost/chat", "allowed is"),
        ("nonsense", "allowed is"),
        ("", "allowed is"),
    ],
)
def test_a_database_that_cannot_be_is_told_in_one_sentence(
    tmp_path: Path, url: str, part: str
) -> None:
    (tmp_path / "text.txt").write_text("This is no database, whatever its name may be. " * 20)
    sentence = refused(tmp_path, sqlalchemy__url=url.format(tmp_path=tmp_path))
    assert part in sentence
    assert "secret" not in sentence


def test_a_driver_that_is_not_installed_is_named(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    sentence = refused(tmp_path, sqlalchemy__url="postgresql://ada:secret@localhost/chat")
    assert "sockjs-bridge[postgresql]" in sentence
    assert "secret" not in sentence


def test_sqlite_needs_no_other_driver(tmp_path: Path) -> None:
    """The chat's own extra brings none. In a process of its own: here the modules are loaded."""
    script = (
        "import sys; sys.modules['psycopg'] = None;"
        "import pyramid_chat; pyramid_chat.main({'here': sys.argv[1]})"
    )
    command = [sys.executable, "-W", "ignore", "-c", script, str(tmp_path)]
    subprocess.run(command, check=True, timeout=60)
    assert (tmp_path / "chat.sqlite").is_file()


@pytest.mark.parametrize(
    ("url", "driver"),
    [
        ("postgresql://a@h/d", "postgresql+psycopg"),
        ("postgres://a@h/d", "postgresql+psycopg"),
        ("postgresql+psycopg://a@h/d", "postgresql+psycopg"),
        ("sqlite:///x.sqlite", "sqlite"),
    ],
)
def test_the_driver_need_not_be_named(tmp_path: Path, url: str, driver: str) -> None:
    assert settings(tmp_path, sqlalchemy__url=url).url.drivername == driver


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("registration", "maybe"),
        ("demo", ""),
        ("migrate", "2"),
        ("secure_cookies", "None"),
        ("messages_per_minute", "0"),
        ("messages_per_minute", "nan"),
        ("messages_per_minute", "many"),
        ("message_burst", "1.5"),
        ("message_burst", "0"),
        ("database_timeout", "0"),
        ("database_timeout", "inf"),
        ("database_timeout", "3 s"),
        ("session_timeout", "1"),
        ("secret_file", " "),
        ("files", "perhaps"),
        ("max_file_size", "10M"),
        ("file_types", "image/*"),
        ("messages", "1"),
        ("", "1"),
    ],
)
def test_a_setting_that_cannot_be_is_named_with_its_value(
    tmp_path: Path, name: str, value: str
) -> None:
    sentence = refused(tmp_path, **{f"chat__{name}": value})
    assert f"chat.{name} = {value!r}" in sentence
    assert "allowed is" in sentence or "settings are: chat.database_timeout," in sentence


def test_the_settings_have_the_values_that_they_are_said_to_have(tmp_path: Path) -> None:
    assert settings(tmp_path) == Settings(
        url=settings(tmp_path).url,
        secret_file=tmp_path / "chat.secret",
        registration=True,
        demo=False,
        migrate=True,
        messages_per_minute=60,
        message_burst=20,
        database_timeout=3,
        session_timeout=2592000,
        secure_cookies=False,
        files=True,
        files_folder=tmp_path / "files",
        max_file_size=10 * 1024**2,
        max_files_per_person=1024**3,
        max_files_total=10 * 1024**3,
        file_types=frozenset(),
    )
    assert settings(tmp_path).url.database == f"{tmp_path}/chat.sqlite"


def test_without_an_ini_everything_is_in_the_working_folder(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    app = main({})
    app.registry.chat_database.engine.dispose()
    assert {path.name for path in tmp_path.iterdir()} >= {"chat.sqlite", "chat.secret"}


def test_the_secret_is_made_once_and_is_the_owners_only(tmp_path: Path) -> None:
    given = settings(tmp_path, chat__secret_file=str(tmp_path / "new" / "secret"))
    secret = given.secret()
    assert len(secret) == 64 and given.secret() == secret
    assert stat.S_IMODE(given.secret_file.stat().st_mode) == 0o600
    assert [path.name for path in given.secret_file.parent.iterdir()] == ["secret"]


def test_of_two_processes_that_make_the_secret_both_take_the_first(
    tmp_path: Path, monkeypatch
) -> None:
    given = settings(tmp_path)
    secret = given.secret()
    with monkeypatch.context() as patch:
        # As it was when the second one looked.
        patch.setattr(Path, "exists", lambda path: False)
        assert given.secret() == secret
    assert [path.name for path in tmp_path.iterdir()] == ["chat.secret"]


@pytest.mark.parametrize("content", [b"", b"short", b"\xff" * 64, None])
def test_a_secret_that_is_none_is_refused(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "chat.secret"
    if content is None:
        file.mkdir()
    else:
        file.write_bytes(content)
    assert f"chat.secret_file = {file}" in refused(tmp_path)


def test_what_is_wrong_with_the_program_is_not_taken_for_an_absent_database() -> None:
    assert not is_away(ZeroDivisionError())
