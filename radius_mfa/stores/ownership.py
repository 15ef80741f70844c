"""Whose the files are that root makes."""

from __future__ import annotations

import os
from pathlib import Path


def give_to_owner_of_folder(descriptor: int, path: Path) -> None:
    """A new file belongs to whom its folder belongs to, where it was made by root.  Raises OSError.

    So a command that an administrator runs as root makes nothing that the server, which is
    somebody else, cannot use.
    """
    if os.geteuid() == 0:
        owner = path.parent.stat()
        if owner.st_uid != 0:
            os.fchown(descriptor, owner.st_uid, owner.st_gid)
