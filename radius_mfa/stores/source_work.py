"""What is kept of where requests come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple

from radius_mfa.core.store import SourceTally
from radius_mfa.stores.work import Statement, Work, of_many


def _later(column: str) -> str:
    """The later one of two times: neither engine has a word for it that the other knows."""
    old, new = f"client_source.{column}", f"excluded.{column}"
    return f"CASE WHEN {new} > {old} THEN {new} ELSE {old} END"


KEPT = 90 * 86400.0  # seconds since a source was last seen that never sent a Message-Authenticator

_COLUMNS = "client, source, first_seen, last_seen, signed, unsigned, last_signed, last_unsigned"
_ALL = Statement(f"SELECT {_COLUMNS} FROM client_source ORDER BY client, source")
_ADD = of_many(
    f"""INSERT INTO client_source ({_COLUMNS}) VALUES {{rows}}
    ON CONFLICT (client, source) DO UPDATE SET
        signed = client_source.signed + excluded.signed,
        unsigned = client_source.unsigned + excluded.unsigned,
        last_seen = {_later("last_seen")},
        last_signed = {_later("last_signed")},
        last_unsigned = {_later("last_unsigned")}""",
    columns=8,
)
_FORGET = Statement("DELETE FROM client_source WHERE client = ? RETURNING 1")
_FORGET_ONE = Statement("DELETE FROM client_source WHERE client = ? AND source = ? RETURNING 1")
# One that has signed is kept for good: it must not be served without again because it was away.
PURGE = Statement("""
    DELETE FROM client_source WHERE (client, source) IN
        (SELECT client, source FROM client_source WHERE signed = 0 AND last_seen <= ? LIMIT ?)
    RETURNING 1""")


def add(tallies: Sequence[SourceTally]) -> Work[None]:
    """Add these counts, of a source each, to those that are kept."""
    yield _ADD(len(tallies))(*(value for each in tallies for value in astuple(each)))


def sources() -> Work[list[SourceTally]]:
    """All that is kept."""
    return [SourceTally(*row) for row in (yield _ALL())]


def forget(client: str, source: str | None) -> Work[int]:
    """How many there were of the client, or of that source of it; they are gone."""
    forgotten = yield (_FORGET(client) if source is None else _FORGET_ONE(client, source))
    return len(forgotten)
