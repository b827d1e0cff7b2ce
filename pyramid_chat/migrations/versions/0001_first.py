"""People, sign-ins, rooms, members, messages."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Makes the tables."""
    op.create_table(
        "users",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("folded", sa.String(), nullable=False),
        sa.Column("password", sa.String(), nullable=False),
        sa.Column("created", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
        sa.UniqueConstraint("folded", name="uq_users_folded"),
    )
    op.create_table(
        "sign_in",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("seen", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_sign_in"),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="fk_sign_in_user_id", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_sign_in_user_id", "sign_in", ["user_id"])
    op.create_index("ix_sign_in_seen", "sign_in", ["seen"])
    op.create_table(
        "room",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("unique_name", sa.String(), nullable=True),
        sa.Column("topic", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("owner_id", sa.Integer(), nullable=True),
        sa.Column("created", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_room"),
        sa.ForeignKeyConstraint(["owner_id"], ["users.id"], name="fk_room_owner_id"),
        sa.UniqueConstraint("unique_name", name="uq_room_unique_name"),
    )
    op.create_table(
        "membership",
        sa.Column("room_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("read", sa.Integer(), nullable=False),
        sa.Column("joined", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("room_id", "user_id", name="pk_membership"),
        sa.ForeignKeyConstraint(
            ["room_id"], ["room.id"], name="fk_membership_room_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="fk_membership_user_id", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_membership_user_id", "membership", ["user_id"])
    op.create_table(
        "message",
        sa.Column("room_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("author_id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("created", MOMENT, nullable=False),
        sa.Column("edited", MOMENT, nullable=True),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("room_id", "number", name="pk_message"),
        sa.ForeignKeyConstraint(
            ["room_id"], ["room.id"], name="fk_message_room_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["author_id"], ["users.id"], name="fk_message_author_id"),
        sa.UniqueConstraint("author_id", "key", name="uq_message_author_id_key"),
        sa.UniqueConstraint("room_id", "version", name="uq_message_room_id_version"),
    )


def downgrade() -> None:
    """Drops the tables."""
    for table in ("message", "membership", "room", "sign_in", "users"):
        op.drop_table(table)
