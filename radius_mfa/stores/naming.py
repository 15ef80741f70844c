"""A file that was written under another name gets its own, once it is whole."""

from __future__ import annotations

import errno
import os
from pathlib import Path

_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP)  # what a file system says that has none, as of a USB stick


def take_name(part: Path, path: Path) -> None:
    """Call `part`, of the same folder, `path` from now on, on the disk when this returns; never replaces another.

    Raises FileExistsError where another has that name by now, and OSError.
    """
    try:
        os.link(part, path)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from None
        part.rename(path)
    else:
        part.unlink()
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Have on the disk what its files are called.  Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
