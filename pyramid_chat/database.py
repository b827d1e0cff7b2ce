"""The database: how it is reached, and how its tables are brought up to date."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from sqlite3 import Connection as SQLiteConnection
from typing import Any, Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import URL, Connection, Dialect, create_engine, event, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import (
    DBAPIError,
    InterfaceError,
    OperationalError,
    SQLAlchemyError,
    TimeoutError,
)
from sqlalchemy.orm import sessionmaker

from pyramid_chat.breaker import CircuitBreaker
from pyramid_chat.settings import CannotStart

MIGRATIONS = Path(__file__).parent / "migrations"
POOL = {"pool_size": 10, "max_overflow": 20}
"""Connections that are kept, and that may come on top."""
RETRY_AFTER: Final = 2
"""Seconds after which somebody may ask again for what the database did not give."""

AWAY = (OperationalError, InterfaceError, TimeoutError)
"""What SQLAlchemy raises where the database is locked, away or overloaded."""

# An arbitrary number: of several processes that start at once, one makes the tables and fills them.
_ADVISORY_LOCK = 7356151


def is_away(error: BaseException) -> bool:
    """Tells whether an exception means that the database does not answer at the moment."""
    return isinstance(error, AWAY) or (
        isinstance(error, DBAPIError) and error.connection_invalidated
    )


def alone(connection: Connection) -> None:
    """Waits until no other process is in a transaction that has called this; ends with its own.

    SQLite has one writer anyway.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})"))


class Database:
    """A database.

    Args:
        url: SQLite's or PostgreSQL's.
        timeout: seconds to wait for it: for a connection, a lock, the answer to a statement.

    Attributes:
        session: makes sessions. Each sees the database at one moment; what writes has to write
            with its first statement, because SQLite cannot turn an old view into a writer.
        writing: makes sessions that write at any time; SQLite has one of them at a time.
    """

    def __init__(self, url: URL, timeout: float) -> None:
        self.url = url
        self.timeout = timeout
        sqlite = url.get_backend_name() == "sqlite"
        arguments: dict[str, float]
        if sqlite:
            arguments = {"timeout": timeout}
        else:
            # psycopg, as libpq, takes a second for none at all.
            arguments = {
                "connect_timeout": max(2, math.ceil(timeout)),
                "keepalives_idle": max(1, math.ceil(timeout)),
                "keepalives_interval": 1,
                "keepalives_count": 3,
                "tcp_user_timeout": math.ceil(timeout * 1000),
            }
        self.engine = create_engine(
            url,
            connect_args=arguments,
            pool_timeout=timeout,
            pool_pre_ping=not sqlite,
            **POOL,
        )
        if sqlite:
            event.listen(self.engine, "connect", _prepare_sqlite)
            event.listen(self.engine, "begin", _begin_sqlite)
        else:
            self._breaker = CircuitBreaker(timeout)
            event.listen(self.engine, "do_connect", self._connect_postgresql)
            event.listen(self.engine, "connect", self._prepare_postgresql)
        self.session = sessionmaker(self.engine)
        self.writing = sessionmaker(self.engine.execution_options(chat_writes=True))

    def _connect_postgresql(
        self,
        dialect: Dialect,
        record: object,
        arguments: Sequence[object],
        options: Mapping[str, object],
    ) -> object:
        # It needs psycopg, without which SQLite works.
        from pyramid_chat import postgresql

        return postgresql.connect(self._breaker, self.timeout, *arguments, **options)

    def _prepare_postgresql(self, connection: DBAPIConnection, record: object) -> None:
        milliseconds = math.ceil(self.timeout * 1000)
        connection.autocommit = True
        with closing(connection.cursor()) as cursor:
            cursor.execute(f"SET statement_timeout = {milliseconds}")
            cursor.execute(f"SET lock_timeout = {milliseconds}")
        connection.autocommit = False

    def start(self, *, migrate: bool) -> None:
        """Makes sure that the database is there, and that its tables are those of this program.

        Args:
            migrate: whether they are brought up to date.

        Raises:
            CannotStart: it is not there, its tables are older and may not be changed, or newer.
        """
        name = self.url.render_as_string()
        try:
            if self.url.get_backend_name() == "sqlite":
                Path(self.url.database or "").parent.mkdir(parents=True, exist_ok=True)
                with self.engine.connect() as connection:
                    # It is written into the file, and holds from then on.
                    connection.connection.cursor().execute("PRAGMA journal_mode = WAL")
            if self._revision() == _head():
                return
            if not migrate:
                raise CannotStart(
                    f"the tables of {name} are not those of this version, and chat.migrate is off:"
                    " run pyramid-chat upgrade with this ini"
                )
            self.upgrade()
        except CommandError as error:
            raise CannotStart(
                f"the tables of {name} are of another version of this program: {error}"
            ) from None
        except (SQLAlchemyError, OSError, TypeError, ValueError) as error:
            raise CannotStart(f"the database {name} cannot be used: {_reason(error)}") from None

    def upgrade(self) -> None:
        """Brings the tables up to date, all or nothing."""
        with self.engine.execution_options(chat_writes=True).begin() as connection:
            if connection.dialect.name == "postgresql":
                # A large table takes its time. The connection is not used again.
                driver: Any = connection.connection.driver_connection
                driver.patience = None
                connection.detach()
                connection.execute(text("SET LOCAL statement_timeout = 0"))
            alone(connection)
            command.upgrade(_config(connection), "head")

    def _revision(self) -> str | None:
        with self.engine.connect() as connection:
            return MigrationContext.configure(connection).get_current_revision()


def _prepare_sqlite(connection: SQLiteConnection, record: object) -> None:
    # sqlite3 would begin transactions late, and by rules of its own.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA foreign_keys = ON")
    # What was confirmed survives a power cut.
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("chat_writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    # Alembic's configuration is an ini, where a percent sign is special.
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _head() -> str | None:
    return ScriptDirectory.from_config(_config()).get_current_head()


def _reason(error: Exception) -> str:
    """Returns what a driver says, in one line."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    return " ".join(str(cause).split())
