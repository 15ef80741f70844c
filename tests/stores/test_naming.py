"""A file gets its name, on file systems without links too."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from radius_mfa.stores.key_file import read_key_file
from radius_mfa.stores.naming import take_name
from radius_mfa.stores.restore import KeyFileInWaiting
from tests.stores.backups import KEYS

_NOBODY = 65534


@contextmanager
def without_links(folder: Path) -> Iterator[None]:
    """What is in here may rename in the folder, and make no link to what is there.

    To whoever may not write a file `link` says EPERM under Debian (`fs.protected_hardlinks`), as it does on a
    file system without links.
    """
    os.chown(folder, _NOBODY, _NOBODY)
    os.seteuid(_NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The one we are in: those around it are not everybody's to pass."""
    tmp_path.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    return Path()


def test_where_there_are_no_links_it_is_renamed(folder: Path) -> None:
    part, path = folder / "part", folder / "path"
    part.write_text("whole")
    part.chmod(0o600)
    with without_links(folder):
        take_name(part, path)
    assert path.read_text() == "whole"
    assert os.listdir(folder) == ["path"]


def test_nor_does_it_replace_another_there(folder: Path) -> None:
    part, path = folder / "part", folder / "path"
    part.write_text("whole")
    part.chmod(0o600)
    path.write_text("theirs")
    with without_links(folder), pytest.raises(FileExistsError):
        take_name(part, path)
    assert path.read_text() == "theirs"


def test_a_key_file_that_was_restored_takes_its_place_there(folder: Path) -> None:
    waiting = KeyFileInWaiting(folder / "key", KEYS)
    with without_links(folder):
        waiting.take_its_place()
    assert read_key_file(folder / "key") == KEYS
    assert os.listdir(folder) == ["key"]
