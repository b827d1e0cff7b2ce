"""The index of the search, which is changed in the transaction that changes a message.

``search_entry`` has the words of each message, the newest with the greatest id. What finds them is
the database's own, and kept by it: ``search_index``, a table of SQLite's FTS5 with triggers, or
``search_entry.vector``, a generated column of PostgreSQL.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Integer,
    MetaData,
    Table,
    Text,
    delete,
    func,
    insert,
    literal_column,
    table,
    update,
)
from sqlalchemy.orm import Session

from pyramid_chat.models import Message
from pyramid_chat.words import Term, indexed

ENTRIES = Table(
    "search_entry",
    # Not that of the models: they know nothing of what differs from database to database.
    MetaData(),
    Column("id", BigInteger, primary_key=True),
    Column("room_id", Integer),
    Column("number", Integer),
    Column("words", Text),
)
FTS5 = table("search_index", Column("rowid", Integer))
_VECTOR: ColumnElement[str] = literal_column("search_entry.vector")
_SIMPLE: ColumnElement[str] = literal_column("'simple'::regconfig")


def add(session: Session, message: Message) -> None:
    """Takes a new message into the index."""
    entry = {"room_id": message.room_id, "number": message.number, "words": indexed(message.text)}
    session.execute(insert(ENTRIES).values(entry))


def change(session: Session, message: Message) -> None:
    """Has a message found by its new text, and not by the old one."""
    session.execute(update(ENTRIES).where(*_of(message)).values(words=indexed(message.text)))


def remove(session: Session, message: Message) -> None:
    """Has a message found no more. (Those of a removed room go with them, by a foreign key.)"""
    session.execute(delete(ENTRIES).where(*_of(message)))


def _of(message: Message) -> tuple[ColumnElement[bool], ...]:
    return ENTRIES.c.room_id == message.room_id, ENTRIES.c.number == message.number


def matches(sqlite: bool, terms: list[Term]) -> tuple[ColumnElement[bool], ...]:
    """Returns the conditions for entries that have all terms.

    Words have only letters, digits and marks, so that no sign of a query's language is in them.

    Args:
        sqlite: whether the database is SQLite's; `FTS5` is in the query then.
        terms: at least one.
    """
    if sqlite:
        asked = " ".join(f'"{" ".join(term.words)}"{"*" * term.prefix}' for term in terms)
        return (literal_column("search_index").op("MATCH")(asked), ENTRIES.c.id == FTS5.c.rowid)
    phrases = (
        " <-> ".join(f"'{word}'" for word in term.words) + ":*" * term.prefix for term in terms
    )
    asked = " & ".join(f"({phrase})" for phrase in phrases)
    return (_VECTOR.op("@@")(func.to_tsquery(_SIMPLE, asked)),)
