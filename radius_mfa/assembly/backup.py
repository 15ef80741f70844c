"""Backups of what a configuration has, and what they hold brought back to where it says."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO, TypeVar

from radius_mfa import __version__
from radius_mfa.assembly.backends import SystemClock, password_of
from radius_mfa.config import model
from radius_mfa.core.errors import BackupError
from radius_mfa.factors.totp import PERIOD
from radius_mfa.stores.backup import Contents, Source, contents_of, new_file, settle, write_store
from radius_mfa.stores.backup_seal import SealedWriter, opened_pieces
from radius_mfa.stores.key_file import KeyFile, create_key_file
from radius_mfa.stores.restore import KeyFileInWaiting, Rules, fill, refuse_newer
from radius_mfa.stores.whole import Do, in_sqlite

T = TypeVar("T")

_DRIFTED = 1  # steps of TOTP that a device's clock may have gone astray since, unknown to the backup


async def back_up(configuration: model.Configuration, path: Path, passphrase: str) -> Contents:
    """Put store and keys into a new file, read it again, and say what it holds.

    Raises BackupError, KeyFileError, StoreError; then there is no such file.
    """
    source = Source(configuration.key_file, __version__, SystemClock.wall())
    keys = source.keys()  # before the store is looked at
    with new_file(path) as file:
        digest = await _with_store(
            configuration,
            partial(write_store, source=source, keys=keys, sink=SealedWriter(file, passphrase)),
            writes=False,
        )
        settle(file)
        contents = contents_of(opened_pieces(file, passphrase, str(path)), str(path))
        if contents.digest != digest:
            raise BackupError(f"{path}: says something else than was written; is its disk all right?")
    return contents


def verified(path: Path, passphrase: str) -> Contents:
    """What a backup holds, all of it read.  Raises BackupError."""
    with _opened(path) as file:
        return contents_of(opened_pieces(file, passphrase, str(path)), str(path))


@dataclass(frozen=True, slots=True)
class Restored:
    """What was brought back, and how much was ended of it, by kind (`stores.restore`)."""

    contents: Contents
    ended: Mapping[str, int]


async def restore(
    configuration: model.Configuration, path: Path, passphrase: str, *, keep_recovery_codes: bool
) -> Restored:
    """Make store and key file of a backup, where neither is there: all of it or nothing.

    Raises BackupError, KeyFileError, StoreError.
    """
    _must_lack(configuration.key_file)
    with _opened(path) as file:
        contents = contents_of(opened_pieces(file, passphrase, str(path)), str(path))
        refuse_newer(contents, str(path))
        rules = _rules(configuration, keep_recovery_codes)
        file.seek(0)
        again = opened_pieces(file, passphrase, str(path))
        waiting = KeyFileInWaiting(configuration.key_file, contents.head.keys)
        try:
            ended = await _with_store(
                configuration,
                partial(fill, pieces=again, contents=contents, rules=rules),
                writes=True,
            )
        except BaseException:
            waiting.drop()
            raise
        waiting.take_its_place()
    return Restored(contents, ended)


def restore_keys(configuration: model.Configuration, path: Path, passphrase: str) -> KeyFile:
    """Make the key file of a backup, where there is none.  Raises BackupError and KeyFileError."""
    _must_lack(configuration.key_file)
    keys = verified(path, passphrase).head.keys
    create_key_file(configuration.key_file, keys)
    return keys


def _must_lack(key_file: Path) -> None:
    """Before anything else is tried: of all that may be wrong, it is the first to say."""
    if os.path.lexists(key_file):
        raise BackupError(f"{key_file}: is there already; a backup is restored where there is no key file yet")


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        with open(path, "rb") as file:
            yield file
    except FileNotFoundError:
        raise BackupError(f"{path}: there is no such file") from None
    except OSError as error:
        raise BackupError(f"{path}: {error.strerror}") from None


def _rules(configuration: model.Configuration, keep_recovery_codes: bool) -> Rules:
    now, totp = SystemClock.wall(), configuration.factors.totp or model.Totp()
    return Rules(now, int(now // PERIOD) + totp.window + _DRIFTED, keep_recovery_codes)


async def _with_store(configuration: model.Configuration, do: Do[T], *, writes: bool) -> T:
    storage = configuration.storage
    if storage.path is not None:
        return in_sqlite(storage.path, do, writes=writes)
    from radius_mfa.stores.postgresql_whole import in_postgresql

    return await in_postgresql(storage.url, password_of(configuration), do, writes=writes)
