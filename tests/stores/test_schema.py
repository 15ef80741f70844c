"""The schema as written down is the one the migrations arrive at."""

from contextlib import closing
from sqlite3 import Connection

from sqlalchemy import create_engine, make_url
from sqlalchemy.pool import StaticPool
from sqlalchemy.schema import CreateTable

from radius_mfa.stores.migrate import migrate
from radius_mfa.stores.schema import metadata
from radius_mfa.stores.sqlite_connection import connect


def schema(connection: Connection) -> dict[str, str]:
    """Every table and index with the statement that makes it."""
    rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")
    return {name: sql for name, sql in rows if name != "alembic_version"}


def test_the_migrations_arrive_at_the_schema() -> None:
    with closing(connect("sqlite://", wait=0)) as migrated, closing(connect("sqlite://", wait=0)) as made:
        migrate(migrated, "migrated")
        metadata.create_all(create_engine("sqlite://", creator=lambda: made, poolclass=StaticPool))

        assert schema(migrated) == schema(made)


def test_postgresql_has_a_type_for_every_column() -> None:
    dialect = make_url("postgresql+asyncpg://").get_dialect()()

    for table in metadata.sorted_tables:
        assert table.name in str(CreateTable(table).compile(dialect=dialect))
