"""Pictures and files."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Makes the table."""
    op.create_table(
        "file",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("room_id", sa.Integer(), nullable=False),
        sa.Column("owner_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=True),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("media_type", sa.String(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("complete", sa.Boolean(), nullable=False),
        sa.Column("removed", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_file"),
        sa.ForeignKeyConstraint(["room_id"], ["room.id"], name="fk_file_room_id"),
        sa.ForeignKeyConstraint(["owner_id"], ["users.id"], name="fk_file_owner_id"),
    )
    op.create_index("ix_file_room_id_number", "file", ["room_id", "number"])
    op.create_index("ix_file_owner_id", "file", ["owner_id"])
    op.create_index("ix_file_removed", "file", ["removed"])


def downgrade() -> None:
    """Drops it; what is in the folder stays there."""
    op.drop_table("file")
