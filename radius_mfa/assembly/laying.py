"""Puts what `radius-mfa init` has composed where it belongs: all of it or nothing, and never over anything."""

from __future__ import annotations

import os
import secrets
import stat
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from radius_mfa.assembly.giving import NOT_KEPT, Folders, LayingError, Owner, nearest, owner_of, real
from radius_mfa.assembly.rules import load
from radius_mfa.config.compose import KEY, SECRETS_FOLDER, STORE, Composition
from radius_mfa.config.load import Loaded
from radius_mfa.stores.key_file import KeyFile, read_key_file

_FILE, _SECRET = 0o640, 0o600


def must_be_free(config: Path) -> None:
    """Raises LayingError where a configuration is there already, or could not be made."""
    if os.path.lexists(config):
        raise LayingError(f"{config}: is there already, and was left as it is")
    folder = nearest(config.absolute().parent)
    if not folder.is_dir():
        raise LayingError(f"{config}: {folder} is not a folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise LayingError(f"{config}: you may not write in {folder}: run it as root, or give --config FILE")


@dataclass
class Laying:
    """Lays a composition down at `config`.  `laid`: the files that were made."""

    composition: Composition
    config: Path
    laid: list[Path] = field(default_factory=list)

    def __post_init__(self) -> None:
        answers = self.composition.answers
        self._folder = self.config.absolute().parent
        self._state, self._audit = Path(answers["state_folder"]), Path(answers["audit_file"])
        self._key, self._store = self._folder / KEY, self._state / STORE
        self._owner = owner_of(answers.get("user", ""))

    def lay(self) -> Loaded:
        """Write it all, and load it as `check` does; nothing is left of it if anything goes wrong.

        Raises LayingError, KeyFileError, ConfigurationError.
        """
        has_key = self._key.exists()
        if has_key:
            read_key_file(self._key)
        elif self._store.exists():
            raise LayingError(f"{self._store}: was sealed with another key: put its key file back at {self._key}")
        with ExitStack() as opened, ExitStack() as undo:
            folders = Folders(opened, undo)
            root = None if self._owner is None else Owner(0, self._owner.gid)
            here = folders.make(self._folder, root)
            below = folders.make(self._folder / SECRETS_FOLDER, root)
            if not has_key:
                self._put(here, self._key, KeyFile.new().text(), _SECRET, undo)
            for name, secret in self.composition.secrets().items():
                self._put(below, self._folder / name, f"{secret}\n", _SECRET, undo)
            for name, source in self.composition.copies().items():
                self._put(here, self._folder / name, _text_of(source), _FILE, undo)
            self._make_the_servers(folders)  # now that what is root's is not empty, or it were given
            self._put(here, self.config, self.composition.text(), _FILE, undo)
            loaded = load(self.config, os.environ)
            undo.pop_all()
        return loaded

    def _make_the_servers(self, folders: Folders) -> None:
        """Where it writes; the outer one first, or it would be root's, made on the way to the inner one."""
        for folder in sorted((self._state, self._audit.parent), key=lambda each: len(real(each).parts)):
            descriptor = folders.make(folder, self._owner)
            if self._owner is not None and os.fstat(descriptor).st_uid != self._owner.uid:
                user = self.composition.answers["user"]
                raise LayingError(
                    f"{folder}: is not {user}'s, who is to write there: give it to {user}, or name another; "
                    f"where that does not help, {NOT_KEPT}"
                )

    def _put(self, folder: int, path: Path, text: str, mode: int, undo: ExitStack) -> None:
        """Whole, or not at all: written under another name, and linked, which never replaces anything.

        `folder`: the one that `path` is in, open.  What the server is to read is its group's to read.
        """
        new = f".{path.name}.{secrets.token_hex(8)}.new"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            descriptor = os.open(new, flags, 0o600, dir_fd=folder)
            try:
                self._write(descriptor, text, mode)
                os.link(new, path.name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
                undo.callback(os.unlink, path.name, dir_fd=folder)
            finally:
                os.unlink(new, dir_fd=folder)
        except FileExistsError:
            raise LayingError(f"{path}: is there already, and was left as it is") from None
        except OSError as broken:
            raise LayingError(f"{path}: {broken.strerror}") from None
        self.laid.append(path)

    def _write(self, descriptor: int, text: str, mode: int) -> None:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            if self._owner is not None:
                os.fchown(descriptor, 0, self._owner.gid)
                mode |= stat.S_IRGRP
            os.fchmod(descriptor, mode)
            file.write(text)
            file.flush()
            os.fsync(descriptor)


def _text_of(source: Path) -> str:
    try:
        return source.read_text("utf-8", "replace")
    except OSError as broken:
        raise LayingError(f"{source}: cannot be read: {broken.strerror}") from None
