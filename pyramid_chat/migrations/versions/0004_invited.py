"""Who is in a room because somebody else wanted it, and has not looked into it yet."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Adds the column: whoever is in a room stays there."""
    # Not in a batch: SQLite would drop the table, and with it the rows that refer to it.
    op.add_column(
        "membership", sa.Column("invited", sa.Boolean(), nullable=False, server_default=sa.false())
    )


def downgrade() -> None:
    """Drops the column."""
    op.drop_column("membership", "invited")
