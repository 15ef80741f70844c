"""Whose the files are that root makes, and whose they are where several users share a folder."""

from __future__ import annotations

import os
import stat
from pathlib import Path

_SHARED = stat.S_ISGID | stat.S_IWGRP
_GROUPS = stat.S_IRGRP | stat.S_IWGRP


def give_to_owner_of_folder(descriptor: int, path: Path) -> None:
    """A new file belongs to whom its folder belongs to, where it was made by root.  Raises OSError.

    So a command that an administrator runs as root makes nothing that the server, which is
    somebody else, cannot use.
    """
    if os.geteuid() == 0:
        owner = path.parent.stat()
        if owner.st_uid != 0:
            os.fchown(descriptor, owner.st_uid, owner.st_gid)


def mode_of_new(path: Path, mode: int) -> int:
    """The mode that a new file is to have: its group's too, in a folder that is its group's to write, setgid.

    So server and portal, which are two users of one group, share what either has made.  A folder that is not there
    shares nothing.
    """
    try:
        folder = path.parent.stat().st_mode
    except OSError:
        return mode
    return mode | _GROUPS if folder & _SHARED == _SHARED else mode
