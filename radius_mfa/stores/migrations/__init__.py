"""Schema versions, one file each, run by alembic; `stores.migrate` decides when."""
