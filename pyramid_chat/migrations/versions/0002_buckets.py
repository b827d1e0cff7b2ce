"""What several processes count together: how much each may do."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Makes the table; SQLite, which one process has, needs it as little as it needs the word."""
    unlogged = ["UNLOGGED"] if op.get_bind().dialect.name == "postgresql" else []
    op.create_table(
        "bucket",
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("full_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "key", name="pk_bucket"),
        prefixes=unlogged,
    )
    op.create_index("ix_bucket_full_at", "bucket", ["full_at"])


def downgrade() -> None:
    """Drops the table."""
    op.drop_table("bucket")
