"""What alembic runs to migrate: on the connection it is given, in the transaction that is open there."""

from alembic import context

from radius_mfa.stores.schema import metadata

# alembic takes SQLite's DDL for one that cannot be rolled back, and would commit after each version.
context.configure(
    connection=context.config.attributes["connection"], target_metadata=metadata, transactional_ddl=True
)
context.run_migrations()
