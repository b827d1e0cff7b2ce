"""The index of the search, with all messages that there are."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from pyramid_chat.words import indexed

revision = "0006"
down_revision = "0005"

MESSAGE = sa.table(
    "message",
    *(sa.column(name) for name in ("room_id", "number", "text", "created", "deleted")),
)
ENTRY = sa.table("search_entry", *(sa.column(name) for name in ("room_id", "number", "words")))
BATCH = 1000
"""Messages that are read and written at once."""

FTS5 = (
    # A word of the index ends at a space: all else was left out before.
    "CREATE VIRTUAL TABLE search_index USING fts5(words, content='search_entry',"
    " content_rowid='id', columnsize=0, prefix='2', tokenize='ascii')",
    "INSERT INTO search_index(search_index) VALUES ('rebuild')",
    "CREATE TRIGGER search_entry_added AFTER INSERT ON search_entry BEGIN"
    " INSERT INTO search_index(rowid, words) VALUES (new.id, new.words); END",
    "CREATE TRIGGER search_entry_changed AFTER UPDATE ON search_entry BEGIN"
    " INSERT INTO search_index(search_index, rowid, words) VALUES ('delete', old.id, old.words);"
    " INSERT INTO search_index(rowid, words) VALUES (new.id, new.words); END",
    "CREATE TRIGGER search_entry_removed AFTER DELETE ON search_entry BEGIN"
    " INSERT INTO search_index(search_index, rowid, words) VALUES ('delete', old.id, old.words);"
    " END",
)
POSTGRESQL = (
    "ALTER TABLE search_entry ADD COLUMN vector tsvector"
    " GENERATED ALWAYS AS (to_tsvector('simple'::regconfig, words)) STORED",
    "CREATE INDEX ix_search_entry_vector ON search_entry USING gin (vector)",
)


def upgrade() -> None:
    """Makes the index, and fills it."""
    sqlite = op.get_bind().dialect.name == "sqlite"
    op.create_table(
        "search_entry",
        sa.Column("id", sa.Integer() if sqlite else sa.BigInteger(), nullable=False),
        sa.Column("room_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_search_entry"),
        sa.UniqueConstraint("room_id", "number", name="uq_search_entry_room_id_number"),
        sa.ForeignKeyConstraint(
            ["room_id", "number"],
            ["message.room_id", "message.number"],
            name="fk_search_entry_room_id_number",
            ondelete="CASCADE",
        ),
        sqlite_autoincrement=True,
    )
    _fill()
    for statement in FTS5 if sqlite else POSTGRESQL:
        op.execute(statement)


def _fill() -> None:
    connection = op.get_bind()
    columns = MESSAGE.c
    messages = (
        sa.select(columns.room_id, columns.number, columns.text)
        .where(columns.deleted.is_(sa.false()))
        .order_by(columns.created, columns.room_id, columns.number)
    )
    options = {"stream_results": True, "yield_per": BATCH}
    for batch in connection.execute(messages, execution_options=options).partitions():
        entries = [
            {"room_id": room_id, "number": number, "words": indexed(text)}
            for room_id, number, text in batch
        ]
        connection.execute(sa.insert(ENTRY), entries)


def downgrade() -> None:
    """Drops it."""
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DROP TABLE search_index")
    op.drop_table("search_entry")
