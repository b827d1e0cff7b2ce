"""Where Alembic runs a migration: in the transaction of who asks for it."""

from __future__ import annotations

from alembic import context

from pyramid_chat.models import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    # SQLite changes a table by making a new one.
    render_as_batch=True,
    # All steps or none, on SQLite too: this program begins its transactions itself.
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
