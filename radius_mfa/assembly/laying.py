"""Puts what `radius-mfa init` has composed where it belongs: all of it or nothing, and never over anything."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from radius_mfa.assembly.rules import load
from radius_mfa.config.compose import SECRETS_FOLDER, Composition
from radius_mfa.config.load import Loaded
from radius_mfa.core.errors import RadiusMfaError
from radius_mfa.stores.key_file import create_key_file

_FOLDER, _FILE = 0o750, 0o640


class LayingError(RadiusMfaError):
    """Something is in the way; `str()` says what, in a line."""


def must_be_free(config: Path) -> None:
    """Raises LayingError where a configuration is there already, or could not be made."""
    if os.path.lexists(config):
        raise LayingError(f"{config}: is there already, and was left as it is")
    folder = _nearest(config.absolute().parent)
    if not folder.is_dir():
        raise LayingError(f"{config}: {folder} is not a folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise LayingError(f"{config}: you may not write in {folder}: run it as root, or give --config FILE")


def _nearest(folder: Path) -> Path:
    """The folder, or the innermost one around it that is there."""
    return next(each for each in (folder, *folder.parents) if os.path.lexists(each))


@dataclass
class Laying:
    """Lays a composition down at `config`.  `laid`: the files that were made."""

    composition: Composition
    config: Path
    laid: list[Path] = field(default_factory=list)

    def __post_init__(self) -> None:
        answers = self.composition.answers
        self._state, self._audit = Path(answers["state_folder"]), Path(answers["audit_file"])
        self._key, self._store = self._state / "key", self._state / "state.db"
        self._owner = _owner(answers.get("user", ""))

    def lay(self) -> Loaded:
        """Write it all, and load it as `check` does; nothing is left of it if anything goes wrong.

        Raises LayingError, KeyFileError, ConfigurationError.
        """
        if self._store.exists() and not self._key.exists():
            raise LayingError(f"{self._store}: was sealed with another key: put its key file back at {self._key}")
        try:
            with ExitStack() as undo:
                self._folders(undo)
                if not self._key.exists():
                    self._put(self._key, create_key_file, undo)
                for name, secret in self.composition.secrets().items():
                    mode = 0o600 if self._owner is None else _FILE
                    self._put(self.config.parent / name, self._writing(f"{secret}\n", mode), undo)
                for name, source in self.composition.copies().items():
                    copied = source.read_text("utf-8", "replace")
                    self._put(self.config.parent / name, self._writing(copied, _FILE), undo)
                self._put(self.config, self._writing(self.composition.text(), _FILE), undo)
                loaded = load(self.config, os.environ)
                undo.pop_all()
        except FileExistsError as there:
            raise LayingError(f"{there.filename2}: is there already, and was left as it is") from None
        except OSError as broken:
            raise LayingError(f"{broken.filename}: {broken.strerror}") from None
        return loaded

    def _folders(self, undo: ExitStack) -> None:
        """The server writes in the last two, and reads in the others."""
        group = None if self._owner is None else (0, self._owner[1])
        for folder, owner in (
            (self.config.absolute().parent, group),
            (self.config.absolute().parent / SECRETS_FOLDER, group),
            (self._state, self._owner),
            (self._audit.parent, self._owner),
        ):
            _make(folder, owner, undo)

    def _writing(self, text: str, mode: int) -> Callable[[Path], None]:
        """What makes a file of that text, whose group is the server's."""

        def write(path: Path) -> None:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                if self._owner is not None:
                    os.fchown(descriptor, 0, self._owner[1])
                os.fchmod(descriptor, mode)
                file.write(text)
                file.flush()
                os.fsync(descriptor)

        return write

    def _put(self, path: Path, write: Callable[[Path], None], undo: ExitStack) -> None:
        """Whole, or not at all: written under another name, and linked, which never replaces anything."""
        new = path.with_name(f".{path.name}.{os.getpid()}.new")
        try:
            write(new)
            os.link(new, path)
            undo.callback(path.unlink)
            self.laid.append(path)
        finally:
            new.unlink(missing_ok=True)


def _owner(user: str) -> tuple[int, int] | None:
    """Uid and gid whose the files are to be; None where they are whoever's it is that runs this."""
    if not user or os.geteuid() != 0:
        return None
    try:
        found = pwd.getpwnam(user)
    except KeyError:  # kept although it is not there yet
        return None
    return found.pw_uid, found.pw_gid


def _make(folder: Path, owner: tuple[int, int] | None, undo: ExitStack) -> None:
    """The folder, and those around it; the ones that are there are left as they are."""
    missing = [each for each in (folder, *folder.parents) if not os.path.lexists(each)]
    for each in reversed(missing):
        each.mkdir(0o755)
        undo.callback(each.rmdir)
    if missing:
        folder.chmod(_FOLDER)
        if owner is not None:
            os.chown(folder, *owner)
