"""Who is meant in messages, and which rooms somebody has muted."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Makes the table and adds the column: nobody was meant, nothing is muted."""
    # Not in a batch: SQLite would drop the table, and with it the rows that refer to it.
    op.add_column(
        "membership", sa.Column("muted", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    op.create_table(
        "mention",
        sa.Column("room_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("start", sa.Integer(), nullable=False),
        sa.Column("length", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("room_id", "number", "start", name="pk_mention"),
        sa.ForeignKeyConstraint(
            ["room_id", "number"],
            ["message.room_id", "message.number"],
            name="fk_mention_room_id_number",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="fk_mention_user_id", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_mention_user_id_created", "mention", ["user_id", "created"])


def downgrade() -> None:
    """Drops them."""
    op.drop_table("mention")
    op.drop_column("membership", "muted")
