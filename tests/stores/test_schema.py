"""The schema as written down is the one the migrations arrive at, on every engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, inspect

from radius_mfa.stores.schema import metadata
from tests.stores.schemas import NOTHING, opening, through
from tests.stores.support import asked


def shape(connection: Connection) -> dict[str, Any]:
    """What matters of every table: columns, keys, indexes.  In what order columns were added does not."""
    found = inspect(connection)
    return {
        table: {
            "columns": {
                each["name"]: (repr(each["type"]), each["nullable"], each["default"])
                for each in found.get_columns(table)
            },
            "key": found.get_pk_constraint(table)["constrained_columns"],
            "unique": sorted(each["column_names"] for each in found.get_unique_constraints(table)),
            "indexes": {
                each["name"]: (each["column_names"], bool(each["unique"])) for each in found.get_indexes(table)
            },
            "foreign": found.get_foreign_keys(table),
            "checks": found.get_check_constraints(table),
        }
        for table in found.get_table_names()
        if table != "alembic_version"
    }


@pytest.mark.parametrize("engine", NOTHING)
def test_the_migrations_arrive_at_the_schema(engine: str, tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    migrated, made = NOTHING[engine](tmp_path), NOTHING[engine](tmp_path / "made")
    with asked(opening(migrated, upgrade=False)):
        pass
    through(made, metadata.create_all)

    assert through(migrated, shape) == through(made, shape)
    assert set(through(migrated, shape)) == set(metadata.tables)


def test_postgresql_compares_texts_octet_by_octet() -> None:
    """Else an index would be wrong when the system's locales change, and ids would be in another order."""
    url = NOTHING["postgresql"](Path())
    through(url, metadata.create_all)

    other = """
        SELECT table_name, column_name FROM information_schema.columns
        WHERE table_schema = 'public' AND data_type = 'text' AND collation_name IS DISTINCT FROM 'C'"""
    assert through(url, lambda connection: connection.exec_driver_sql(other).all()) == []
