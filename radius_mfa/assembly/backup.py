"""Backups of what a configuration has, and what they hold brought back to where it says."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from radius_mfa import __version__
from radius_mfa.assembly.backends import SystemClock, password_of
from radius_mfa.config import model
from radius_mfa.core.errors import BackupError
from radius_mfa.core.policy import SecondFactor
from radius_mfa.factors.totp import MOST_DRIFT, NEAR, PERIOD
from radius_mfa.stores.backup import Contents, Source, contents_of, new_file, settle, write_store
from radius_mfa.stores.backup_seal import SealedWriter, opened_pieces
from radius_mfa.stores.key_file import KeyFile, create_key_file
from radius_mfa.stores.restore import KeyFileInWaiting, Rules, fill, refuse_unfit
from radius_mfa.stores.whole import Do, in_sqlite

T = TypeVar("T")

Decided = Callable[[], object]  # called once what is done can be undone no more: from then on it is finished


async def back_up(
    configuration: model.Configuration, path: Path, passphrase: str, *, decided: Decided
) -> Contents:
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
        decided()
    return contents


def verified(path: Path, passphrase: str) -> Contents:
    """What a backup holds, all of it read.  Raises BackupError."""
    with _opened(path) as file:
        return contents_of(opened_pieces(file, passphrase, str(path)), str(path))


@dataclass(frozen=True, slots=True)
class Restored:
    """What was brought back, and how much was ended of it, by kind (`stores.restore`).

    `codes_from`: wall seconds at which a device whose clock is right begins to show codes that count.
    `lenient`: the policies that let in by the password alone who set up a first factor since the backup.
    """

    contents: Contents
    ended: Mapping[str, int]
    codes_from: float
    lenient: tuple[str, ...]


async def restore(
    configuration: model.Configuration,
    path: Path,
    passphrase: str,
    *,
    keep_recovery_codes: bool,
    decided: Decided,
) -> Restored:
    """Make store and key file of a backup, where neither is there: all of it or nothing.

    Raises BackupError, KeyFileError, StoreError.
    """
    _must_lack(configuration.key_file)
    with _opened(path) as file:
        contents = contents_of(opened_pieces(file, passphrase, str(path)), str(path))
        rules = _rules(configuration, keep_recovery_codes)
        refuse_unfit(contents, rules.now, str(path))
        file.seek(0)
        again = opened_pieces(file, passphrase, str(path))
        waiting = KeyFileInWaiting(configuration.key_file, contents.head.keys)
        try:
            filling = partial(fill, pieces=again, contents=contents, rules=rules)
            ended = await _with_store(configuration, _then(filling, decided), writes=True)
        except BaseException:
            waiting.drop()
            raise
        waiting.take_its_place()
    codes_from = float(PERIOD * (rules.step + rules.drift + 1))
    return Restored(contents, ended, codes_from, _lenient(configuration))


def restore_keys(configuration: model.Configuration, path: Path, passphrase: str, *, decided: Decided) -> KeyFile:
    """Make the key file of a backup, where there is none.  Raises BackupError and KeyFileError."""
    _must_lack(configuration.key_file)
    keys = verified(path, passphrase).head.keys
    decided()
    create_key_file(configuration.key_file, keys)
    return keys


def _must_lack(key_file: Path) -> None:
    """Before anything else is tried: of all that may be wrong, it is the first to say."""
    if os.path.lexists(key_file):
        raise BackupError(f"{key_file}: is there already; a backup is restored where there is no key file yet")


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    with ExitStack() as opened:
        try:
            file = opened.enter_context(open(path, "rb"))
        except FileNotFoundError:
            raise BackupError(f"{path}: there is no such file") from None
        except OSError as error:
            raise BackupError(f"{path}: {error.strerror}") from None
        yield file


def _rules(configuration: model.Configuration, keep_recovery_codes: bool) -> Rules:
    """By now somebody may have given a code as early as one that is only told to be near."""
    now, totp = SystemClock.wall(), configuration.factors.totp or model.Totp()
    return Rules(now, int(now // PERIOD) + totp.window + NEAR, MOST_DRIFT, keep_recovery_codes)


def _lenient(configuration: model.Configuration) -> tuple[str, ...]:
    """The store of the backup does not know them, so they are taken for somebody who never had one."""
    return tuple(each.name for each in configuration.policies if each.second_factor is SecondFactor.WHEN_ENROLLED)


def _then(do: Do[T], decided: Decided) -> Do[T]:
    def done(*there: Any) -> T:
        result = do(*there)
        decided()
        return result

    return done


async def _with_store(configuration: model.Configuration, do: Do[T], *, writes: bool) -> T:
    storage = configuration.storage
    if storage.path is not None:
        return in_sqlite(storage.path, do, writes=writes)
    from radius_mfa.stores.postgresql_whole import in_postgresql

    return await in_postgresql(storage.url, password_of(configuration), do, writes=writes)
