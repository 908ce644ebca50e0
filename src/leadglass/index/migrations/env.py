"""Run by Alembic, on the connection that ``migrate`` hands in: one transaction, taken by the caller."""

from __future__ import annotations

from alembic import context

from leadglass.index.schema import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    render_as_batch=True,
    transactional_ddl=True,  # SQLite can, and half a migration must not stay
)
context.run_migrations()
