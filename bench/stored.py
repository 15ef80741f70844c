"""Many other users in a store: their counters and their tokens, written straight into SQLite.

Each of the load's users gets as many namesakes, whose rows stand beside theirs in every table and index.  So
those who log in are spread over the whole of the store, as they are in one that has grown by itself.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

# Whatever names a user or must be somebody's own is changed, all else is copied.
_OWN = frozenset({"user_id", "id"})
_TABLES = ("user_counters", "totp_token")


def add_others(store: Path, most: int) -> int:
    """Add namesakes until there are about `most` users; how many there are then.  Nobody may have it open."""
    with closing(sqlite3.connect(store)) as database:
        (there,) = database.execute("SELECT count(*) FROM user_counters").fetchone()
        for table in _TABLES if most >= 2 * there else ():
            columns = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
            values = ", ".join(f"{name} || '-' || number" if name in _OWN else name for name in columns)
            database.execute(
                "WITH RECURSIVE numbers(number) AS"
                " (SELECT 1 UNION ALL SELECT number + 1 FROM numbers WHERE number < ?)"
                f" INSERT INTO {table} SELECT {values} FROM {table} CROSS JOIN numbers",
                (most // there - 1,),
            )
        database.commit()
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (users,) = database.execute("SELECT count(*) FROM user_counters").fetchone()
        return int(users)
