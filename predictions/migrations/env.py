"""What Alembic runs to apply migrations, on the connection that `predictions.migrate` gives it."""

from alembic import context

from predictions.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # SQLite has transactional DDL as well: all of the changes are made, or none.
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
