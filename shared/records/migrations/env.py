"""Runs migrations on the connection that `shared.records.revisions` hands over."""

from __future__ import annotations

from alembic import context

from shared.records.tables import Table

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Table.metadata,
    transactional_ddl=True,  # on SQLite too: a transaction of ours is open, and all of it holds or nothing
)
with context.begin_transaction():
    context.run_migrations()
