"""What the process gives away once it has bound its ports: root, and that anybody looks into its memory."""

from __future__ import annotations

import ctypes
import grp
import os
import pwd
import resource

from radius_mfa.config.load import Loaded
from radius_mfa.core.errors import ConfigurationError

_PR_SET_DUMPABLE = 4  # linux/prctl.h


def no_core_dumps() -> None:
    """Passwords in memory are not written to a disk when the process crashes, nor read by another of its user."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)  # where core dumps are piped, the limit is not asked


def become(loaded: Loaded) -> None:
    """Go on as the configured user, when started as root.  Raises ConfigurationError."""
    name = loaded.configuration.user
    if name is None or os.geteuid() != 0:
        return
    try:
        user = pwd.getpwnam(name)
    except KeyError:
        raise ConfigurationError(loaded.places.cite(f"there is no user {name}", "user")) from None
    groups = [each.gr_gid for each in grp.getgrall() if name in each.gr_mem]
    os.setgroups([user.pw_gid, *groups])
    os.setresgid(user.pw_gid, user.pw_gid, user.pw_gid)
    os.setresuid(user.pw_uid, user.pw_uid, user.pw_uid)
