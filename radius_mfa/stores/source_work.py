"""What is kept of where requests come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple

from radius_mfa.core.store import SourceTally
from radius_mfa.stores.work import Statement, Work, of_rows

KEPT = 90 * 86400.0  # seconds since a source was last seen that never sent a Message-Authenticator
MOST_STRANGERS = 1024  # of a client, such sources: they can be made up
_AT_ONCE = 100  # rows in a statement


def _later(column: str) -> str:
    """The later one of two times: neither engine has a word for it that the other knows."""
    old, new = f"client_source.{column}", f"excluded.{column}"
    return f"CASE WHEN {new} > {old} AND {new} > client_source.forgotten THEN {new} ELSE {old} END"


def _sum(count: str, last: str) -> str:
    """Both counts, but for a new one that ends before the source was forgotten."""
    counts = f"excluded.{last} > client_source.forgotten"
    return f"client_source.{count} + CASE WHEN {counts} THEN excluded.{count} ELSE 0 END"


_COLUMNS = "client, source, first_seen, last_seen, signed, unsigned, last_signed, last_unsigned"
_ALL = Statement(f"SELECT {_COLUMNS} FROM client_source WHERE signed + unsigned > 0 ORDER BY client, source")
_ADD = of_rows(
    f"""INSERT INTO client_source ({_COLUMNS}) VALUES {{rows}}
    ON CONFLICT (client, source) DO UPDATE SET
        signed = {_sum("signed", "last_signed")},
        unsigned = {_sum("unsigned", "last_unsigned")},
        last_seen = {_later("last_seen")},
        last_signed = {_later("last_signed")},
        last_unsigned = {_later("last_unsigned")}""",
    columns=8,
)
# The row stays: a server may have counted something before, and writes it down afterwards.
_FORGET_TEXT = """
    UPDATE client_source SET
        signed = 0, unsigned = 0, last_signed = 0, last_unsigned = 0, first_seen = ?, last_seen = ?, forgotten = ?
    WHERE signed + unsigned > 0 AND client = ? {which} RETURNING 1"""
_FORGET = Statement(_FORGET_TEXT.format(which=""))
_FORGET_ONE = Statement(_FORGET_TEXT.format(which="AND source = ?"))
# One that has signed is kept for good: it must not be served without again because it was away.  Of more than
# are told apart those seen first are kept, who are enough for all of their client to have to sign.
PURGE = Statement("""
    DELETE FROM client_source WHERE (client, source) IN
        (SELECT client, source FROM client_source WHERE signed = 0 AND last_seen <= ? LIMIT ?)
    RETURNING 1""")
PURGE_STRANGERS = Statement("""
    DELETE FROM client_source WHERE (client, source) IN
        (SELECT client, source FROM
            (SELECT client, source,
                row_number() OVER (PARTITION BY client ORDER BY unsigned DESC, last_seen DESC) AS place
            FROM client_source WHERE signed = 0 AND (forgotten = 0 OR unsigned > 0)) AS stranger
        WHERE place > ? LIMIT ?)
    RETURNING 1""")
PURGE_SIGNERS = Statement("""
    DELETE FROM client_source WHERE (client, source) IN
        (SELECT client, source FROM
            (SELECT client, source, row_number() OVER (PARTITION BY client ORDER BY first_seen, source) AS place
            FROM client_source WHERE signed > 0) AS signer
        WHERE place > ? LIMIT ?)
    RETURNING 1""")
# What was counted before has been written down by then.
REMEMBERED = 86400.0  # seconds that it is known of a source that it was forgotten
PURGE_FORGOTTEN = Statement("""
    DELETE FROM client_source WHERE (client, source) IN
        (SELECT client, source FROM client_source
        WHERE forgotten > 0 AND forgotten <= ? AND signed + unsigned = 0 LIMIT ?)
    RETURNING 1""")


def add(tallies: Sequence[SourceTally]) -> Work[None]:
    """Add these counts, of a source each, to those that are kept."""
    for start in range(0, len(tallies), _AT_ONCE):
        some = tallies[start : start + _AT_ONCE]
        yield _ADD(len(some))(*(value for each in some for value in astuple(each)))


def sources() -> Work[list[SourceTally]]:
    """All that is kept."""
    return [SourceTally(*row) for row in (yield _ALL())]


def forget(client: str, source: str | None, now: float) -> Work[int]:
    """How many there were of the client, or of that source of it.  What ends by `now` counts no more."""
    forgotten = yield (
        _FORGET(now, now, now, client) if source is None else _FORGET_ONE(now, now, now, client, source)
    )
    return len(forgotten)
