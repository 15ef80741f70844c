"""Folders that root makes for the user of the server, or gives to it, whoever else may be at work around them.

Each is looked at and changed by its descriptor: what a path leads to may be another thing a moment later.
"""

from __future__ import annotations

import grp
import os
import pwd
import stat
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from radius_mfa.core.errors import RadiusMfaError

_AROUND, _FOLDER = 0o755, 0o750
_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# The system's, while no person is in them: that of syslog may write in Ubuntu's /var/log.
_GROUPS_OF_LOGS = ("adm", "syslog")
_FIRST_PERSON = 1000
_OPEN_TO_MORE = stat.S_ISVTX | stat.S_IWGRP | stat.S_IWOTH

NOT_KEPT = "its file system shows one owner for all that is in it"  # as vfat, and many a share of a network


class LayingError(RadiusMfaError):
    """Something is in the way; `str()` says what, in a line."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose a folder or a file is to be."""

    uid: int
    gid: int


def owner_of(user: str) -> Owner | None:
    """Whose the files are to be; None where they are whoever's it is that runs this."""
    if not user or os.geteuid() != 0:
        return None
    try:
        found = pwd.getpwnam(user)
    except KeyError:  # kept although it is not there yet
        return None
    return Owner(found.pw_uid, found.pw_gid)


def nearest(folder: Path) -> Path:
    """The folder, or the innermost one around it that is there."""
    return next(each for each in (folder, *folder.parents) if os.path.lexists(each))


def real(path: Path) -> Path:
    """Where it leads to, links and all, as far as it does."""
    return Path(os.path.realpath(path))


def why_not(folder: Path, owner: Owner) -> str:
    """Why root had better make nothing in there for `owner`: somebody else may change it.  "": nobody may."""
    there = nearest(folder)
    leads_to = real(there)
    for each in (there, *there.parents, leads_to, *leads_to.parents):
        try:
            seen = each.stat()
        except OSError as broken:  # a link to nowhere
            return f"{each}: {broken.strerror}"
        if seen.st_uid not in (0, owner.uid) or (not seen.st_mode & stat.S_ISVTX and _is_others(seen, owner)):
            return f"{each}: others than root may write there: name another, or chown root and chmod go-w this one"
    return ""


def _is_others(seen: os.stat_result, owner: Owner) -> bool:
    """Whether more than its owner may write there.  What is root's is not its own group's to write, either."""
    own = seen.st_gid == 0 or (owner.uid != 0 and (seen.st_gid == owner.gid or _is_of_logs(seen.st_gid)))
    return bool(seen.st_mode & (stat.S_IWOTH | (0 if own else stat.S_IWGRP)))


def _is_of_logs(gid: int) -> bool:
    try:
        group = grp.getgrgid(gid)
    except KeyError:
        return False
    members = [user for user in pwd.getpwall() if user.pw_gid == gid or user.pw_name in group.gr_mem]
    return group.gr_name in _GROUPS_OF_LOGS and all(user.pw_uid < _FIRST_PERSON for user in members)


def is_everybodys(folder: Path) -> bool:
    """Whether it is one of the machine's own, as /srv or /tmp, and better not one program's."""
    return real(folder).parent == Path("/") or bool(folder.stat().st_mode & stat.S_ISVTX)


def may_be_given(folder: Path) -> bool:
    """Whether it is root's, and empty, and nothing that more than one program is there for.

    Such are those in `/`, a mount point, what others may write in, and where a link leads.
    """
    try:
        descriptor = os.open(folder, _OPEN | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        return _may_be_given(descriptor, folder)
    finally:
        os.close(descriptor)


def _may_be_given(descriptor: int, folder: Path) -> bool:
    return (
        _is_new(descriptor, 0)
        and not os.fstat(descriptor).st_mode & _OPEN_TO_MORE
        and real(folder) == folder
        and folder.parent != Path("/")
        and not os.path.ismount(folder)
    )


def _removed(name: str, within: int) -> None:
    with suppress(OSError):  # whatever somebody else has put in its place stays
        os.rmdir(name, dir_fd=within)


def _is_new(descriptor: int, uid: int) -> bool:
    return os.fstat(descriptor).st_uid == uid and not os.listdir(descriptor)


@dataclass(frozen=True, slots=True)
class Folders:
    """Makes folders.  `opened` closes what was opened, `undo` takes back what was done."""

    opened: ExitStack
    undo: ExitStack

    def make(self, folder: Path, owner: Owner | None) -> int:
        """The folder, open.  It and those around it are made where missing; one that `may_be_given` is given too.

        Raises LayingError.
        """
        if owner is not None and (why := why_not(folder, owner)):
            raise LayingError(why)
        missing = [each for each in (folder, *folder.parents) if not os.path.lexists(each)]
        at = missing[-1].parent if missing else folder
        try:
            descriptor = self._open(at)
            for at in reversed(missing):
                descriptor = self._new(at, descriptor)
            if missing or (owner is not None and _may_be_given(descriptor, folder)):
                self._give(descriptor, owner)
        except FileExistsError:
            raise LayingError(f"{at}: somebody else makes it, too: wait for that, and run this again") from None
        except OSError as broken:
            raise LayingError(f"{at}: {broken.strerror}") from None
        return descriptor

    def _open(self, path: Path | str, within: int | None = None) -> int:
        link = 0 if within is None else os.O_NOFOLLOW
        descriptor = os.open(path, _OPEN | link, dir_fd=within)
        self.opened.callback(os.close, descriptor)
        return descriptor

    def _new(self, path: Path, within: int) -> int:
        os.mkdir(path.name, 0o700, dir_fd=within)
        self.undo.callback(_removed, path.name, within)
        descriptor = self._open(path.name, within)
        if not _is_new(descriptor, os.geteuid()):
            raise LayingError(
                f"{path}: is not ours though just made: {NOT_KEPT}, or somebody else changes it: "
                "name a folder in one where only root may write, of a file system that keeps owners"
            )
        os.fchmod(descriptor, _AROUND)
        return descriptor

    def _give(self, descriptor: int, owner: Owner | None) -> None:
        before = os.fstat(descriptor)
        self.undo.callback(os.fchmod, descriptor, stat.S_IMODE(before.st_mode))
        os.fchmod(descriptor, _FOLDER)
        if owner is not None:
            self.undo.callback(os.fchown, descriptor, before.st_uid, before.st_gid)
            os.fchown(descriptor, owner.uid, owner.gid)
