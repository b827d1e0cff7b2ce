"""Messages that administrators removed, archived rooms, what administrators did and have set."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Adds the columns and makes the tables; rooms that everybody has left are archived now."""
    # Not in a batch: SQLite would drop the table, and with it the rows that refer to it. Alembic
    # itself adds no column that refers to another table to one of SQLite.
    op.execute(
        "ALTER TABLE message ADD COLUMN removed_by_id INTEGER"
        " CONSTRAINT fk_message_removed_by_id REFERENCES users (id)"
    )
    op.add_column("room", sa.Column("archived", MOMENT, nullable=True))
    op.execute(
        "UPDATE room SET archived = CURRENT_TIMESTAMP WHERE kind = 'private' AND NOT EXISTS"
        " (SELECT 1 FROM membership WHERE membership.room_id = room.id)"
    )
    op.create_table(
        "audit_entry",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("admin_id", sa.Integer(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=True),
        sa.Column("about", sa.String(), nullable=False),
        sa.Column("created", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit_entry"),
        sa.ForeignKeyConstraint(["admin_id"], ["users.id"], name="fk_audit_entry_admin_id"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_audit_entry_user_id"),
    )
    op.create_table(
        "option",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("value", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_option"),
    )


def downgrade() -> None:
    """Drops them."""
    for table in ("option", "audit_entry"):
        op.drop_table(table)
    op.drop_column("room", "archived")
    op.drop_column("message", "removed_by_id")
