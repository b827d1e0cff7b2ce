"""Which message another one answers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Adds the column: what was said before answers nothing."""
    # Without a constraint, which SQLite cannot add: messages leave only with their whole room.
    op.add_column("message", sa.Column("reply_to", sa.Integer(), nullable=True))


def downgrade() -> None:
    """Drops it."""
    op.drop_column("message", "reply_to")
