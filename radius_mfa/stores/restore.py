"""What a backup holds, put where there is no store yet, and made safe to go on with.

A store of yesterday does not know what was used since.  So whatever could be used once more is ended (`_END`), and
no TOTP code counts that somebody may have given already.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, Table, inspect, text

from radius_mfa.core.errors import BackupError, KeyFileError
from radius_mfa.stores.backup import Contents
from radius_mfa.stores.backup_file import BackupReader, TableHead
from radius_mfa.stores.key_file import KeyFile, create_key_file
from radius_mfa.stores.migrate import NEWEST, run_missing
from radius_mfa.stores.naming import take_name
from radius_mfa.stores.whole import count_on, insert, tables_of

# What might be good again, and what those have said who are no more.  Of some the rows stay, since so many are
# allowed in a day.
_END = {
    "codes": "UPDATE mail_code SET used = TRUE WHERE NOT used",
    "links": "UPDATE link SET used = TRUE WHERE NOT used",
    "proposals": "DELETE FROM proposal",
    "vouchers": "DELETE FROM voucher",
    "devices": "DELETE FROM trusted_device",
    "waiting": "DELETE FROM totp_token WHERE good_from > 0",
    "visits": "DELETE FROM visit",
    "mails": "DELETE FROM outbox",
    "nodes": "DELETE FROM node",
}
_END_RECOVERY_CODES = "UPDATE recovery_code SET used = TRUE WHERE NOT used"
# Let in without a code, on the strength of one that was given before.
_END_SESSIONS = "UPDATE user_counters SET codes_since = :now WHERE codes_since < :now"
# How far ahead the device is, or was found to be since.
_LATEST = ":step + CASE WHEN drift > :drift THEN drift ELSE :drift END"
_USE_STEPS = f"UPDATE totp_token SET last_step = {_LATEST} WHERE last_step < {_LATEST}"


@dataclass(frozen=True, slots=True)
class Rules:
    """`now`: wall seconds; `step`: the latest TOTP step that may have been used, of a clock that is right.

    `drift`: steps that a device may have been learnt to be ahead since; `token resync` knows of more.
    `keep_recovery_codes`: though some may have been used since.
    """

    now: float
    step: int
    drift: int
    keep_recovery_codes: bool = False


def refuse_unfit(contents: Contents, now: float, name: str) -> None:
    """Raises BackupError for a backup of a store that only later versions know, or of a time that is to come."""
    schema, made = contents.head.schema, contents.head.time
    if schema > NEWEST:
        raise BackupError(
            f"{name}: was made by a newer radius-mfa (schema {schema}; this one knows {NEWEST}): "
            f"install {contents.head.product} or later"
        )
    if made > now:  # what was used until then would not be taken for used
        raise BackupError(f"{name}: was made at {_said(made)}, and here it is {_said(now)}: set the clock right")


def _said(time: float) -> str:
    return datetime.fromtimestamp(time, UTC).isoformat(timespec="seconds")


def fill(
    connection: Connection, name: str, *, pieces: Iterator[bytes], contents: Contents, rules: Rules
) -> Mapping[str, int]:
    """Make the store of a backup that was read once, bring it up to date; how much was ended, by kind.

    Goes into the transaction that is open.  `name`: what an error calls the store; `pieces`: of the same backup,
    from its beginning.  Raises BackupError.
    """
    if inspect(connection).get_table_names():
        raise BackupError(f"{name}: is not empty; a backup is restored where there is no store yet")
    reader = BackupReader(pieces, "the backup")
    run_missing(connection, reader.head.schema)
    tables = tables_of(connection)
    for head, rows in reader.batches():
        table = _table(tables, head)
        if rows:
            insert(connection, table, [dict(zip(head.columns, row, strict=True)) for row in rows])
    if reader.digest != contents.digest:
        raise BackupError("the backup: was changed while it was read")
    count_on(connection)
    run_missing(connection)
    return _end(connection, rules)


def _table(tables: Mapping[str, Table], head: TableHead) -> Table:
    table = tables.get(head.name)
    if table is None or set(table.columns.keys()) != set(head.columns):
        raise BackupError(f"the backup: has a table {head.name} that its schema does not")
    return table


def _end(connection: Connection, rules: Rules) -> Mapping[str, int]:
    end = _END if rules.keep_recovery_codes else _END | {"recovery_codes": _END_RECOVERY_CODES}
    ended = {kind: connection.execute(text(statement)).rowcount for kind, statement in end.items()}
    connection.execute(text(_END_SESSIONS), {"now": rules.now})
    connection.execute(text(_USE_STEPS), {"step": rules.step, "drift": rules.drift})
    return ended


class KeyFileInWaiting:
    """The key file under another name beside its own, so that nothing can be in its way when it is needed.

    A server that finds no key file does not touch the store.  So it gets its name last.
    """

    def __init__(self, path: Path, keys: KeyFile) -> None:
        """Raises KeyFileError."""
        self._path = path
        self._waiting = path.with_name(f".{path.name}.{os.urandom(8).hex()}")  # nobody can be there before
        try:
            create_key_file(self._waiting, keys)
        except KeyFileError as wrong:
            said = str(wrong).removeprefix(str(self._waiting))
            raise KeyFileError(f"{path}{said}; nothing was restored") from None
        except BaseException:  # told to end
            self.drop()
            raise

    def take_its_place(self) -> None:
        """Raises KeyFileError."""
        try:
            take_name(self._waiting, self._path)
        except FileExistsError:
            raise self._refused("is there by now, and was left as it is") from None
        except OSError as error:
            raise self._refused(str(error.strerror)) from None
        finally:
            self.drop()

    def drop(self) -> None:
        with suppress(OSError):
            self._waiting.unlink()

    def _refused(self, why: str) -> KeyFileError:
        return KeyFileError(f"{self._path}: {why}; the store is restored: mend that, then `restore --keys-only`")
