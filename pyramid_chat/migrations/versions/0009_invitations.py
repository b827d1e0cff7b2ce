"""Links that invite to a room."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Makes the table."""
    op.create_table(
        "invitation",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("room_id", sa.Integer(), nullable=False),
        sa.Column("maker_id", sa.Integer(), nullable=False),
        sa.Column("created", MOMENT, nullable=False),
        sa.Column("expires", MOMENT, nullable=False),
        sa.Column("uses", sa.Integer(), nullable=True),
        sa.Column("used", sa.Integer(), nullable=False),
        sa.Column("admits", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_invitation"),
        sa.UniqueConstraint("digest", name="uq_invitation_digest"),
        sa.ForeignKeyConstraint(
            ["room_id"], ["room.id"], name="fk_invitation_room_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["maker_id"], ["users.id"], name="fk_invitation_maker_id", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_invitation_room_id", "invitation", ["room_id"])


def downgrade() -> None:
    """Drops it."""
    op.drop_table("invitation")
