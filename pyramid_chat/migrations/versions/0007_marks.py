"""Reactions: what somebody has put below a message."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Makes the table."""
    op.create_table(
        "reaction",
        sa.Column("room_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("emoji", sa.String(), nullable=False),
        sa.Column("user_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("room_id", "number", "emoji", "user_id", name="pk_reaction"),
        sa.ForeignKeyConstraint(
            ["room_id", "number"],
            ["message.room_id", "message.number"],
            name="fk_reaction_room_id_number",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="fk_reaction_user_id", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_reaction_user_id", "reaction", ["user_id"])


def downgrade() -> None:
    """Drops it."""
    op.drop_table("reaction")
