"""Alembic's entry: migrates on the connection that `breastlabel.catalog.schema` hands over."""

from alembic import context

from breastlabel.catalog.tables import schema

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=schema,
    # SQLite cannot alter columns in place; batch mode rebuilds the table instead.
    render_as_batch=True,
    # The caller holds the transaction, and with it the write lock.
    transactional_ddl=False,
)
context.run_migrations()
