"""Accounts that are disabled, removed or administrators; links for a new password; notices."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

MOMENT = sa.DateTime(timezone=True)
FLAGS = ("disabled", "admin", "removed")


def upgrade() -> None:
    """Adds the columns and makes the tables."""
    # Not in a batch: SQLite would drop the table, and with it the rows that refer to it.
    for name in FLAGS:
        op.add_column(
            "users", sa.Column(name, sa.Boolean(), nullable=False, server_default=sa.false())
        )
    op.add_column("sign_in", sa.Column("created", MOMENT, nullable=True))
    op.add_column("sign_in", sa.Column("browser", sa.String(), nullable=False, server_default=""))
    op.create_table(
        "reset_link",
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("expires", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_reset_link"),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="fk_reset_link_user_id", ondelete="CASCADE"
        ),
        sa.UniqueConstraint("user_id", name="uq_reset_link_user_id"),
    )
    op.create_table(
        "notice",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("topic", sa.String(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("room_id", sa.Integer(), nullable=True),
        sa.Column("created", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_notice"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_notice_created", "notice", ["created"])


def downgrade() -> None:
    """Drops them."""
    for table in ("notice", "reset_link"):
        op.drop_table(table)
    for name in ("browser", "created"):
        op.drop_column("sign_in", name)
    for name in FLAGS:
        op.drop_column("users", name)
