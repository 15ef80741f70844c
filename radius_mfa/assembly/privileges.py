"""What the process gives away once it has bound its ports: root, and that anybody looks into its memory."""

from __future__ import annotations

import ctypes
import os
import pwd
import resource
from collections.abc import Iterator
from pathlib import Path

import structlog

from radius_mfa.config import model
from radius_mfa.config.load import Loaded
from radius_mfa.core.errors import ConfigurationError

_PR_SET_DUMPABLE = 4  # linux/prctl.h

log = structlog.get_logger()


def no_core_dumps() -> None:
    """Passwords in memory are not written to a disk in a crash, nor read by another process of the same user."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Where core dumps are piped to a program, the kernel does not ask for the limit (core(5)).
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def become(loaded: Loaded) -> None:
    """Go on as the configured user, for good, when started as root.

    Raises ConfigurationError where there is no such user, or where it could not do what has to be done.
    """
    name = loaded.configuration.user
    if name is None:
        return
    try:
        user = pwd.getpwnam(name)
    except KeyError:
        raise ConfigurationError(loaded.places.cite(f"there is no user {name} on this machine", "user")) from None
    if os.geteuid() != 0:
        if os.geteuid() != user.pw_uid:
            log.warning("not_started_as_root", note=f"goes on as it is, and not as {name}")
        return
    if user.pw_uid == 0:
        raise ConfigurationError(loaded.places.cite("must not be root, whatever it is called", "user"))
    os.initgroups(name, user.pw_gid)
    os.setresgid(user.pw_gid, user.pw_gid, user.pw_gid)
    os.setresuid(user.pw_uid, user.pw_uid, user.pw_uid)  # from here on there is no way back
    no_core_dumps()  # which the kernel may have allowed again with the new user
    if problems := [loaded.places.cite(f"{name} {what}", *key) for key, what in _forbidden(loaded.configuration)]:
        raise ConfigurationError(*problems)


def _forbidden(configuration: model.Configuration) -> Iterator[tuple[tuple[str, ...], str]]:
    """What this process may not do and has to, by the key that asks for it."""
    for installed in (os.__file__, __file__):
        if not os.access(installed, os.R_OK):
            yield ("user",), f"may not read {installed}: install radius-mfa where everybody may, such as /opt"
    key_file, store, audit = configuration.key_file, configuration.storage.path, configuration.audit.file
    if _exists(key_file) and not os.access(key_file, os.R_OK):
        yield ("key_file",), f"may not read {key_file}: chown it"
    if store is not None:
        yield from ((("storage",), what) for what in _unwritable(store))
        if not os.access(store.parent, os.W_OK | os.X_OK):
            yield ("storage",), f"may not make files in {store.parent}, as SQLite does: chown it"
    if audit is not None:
        if _exists(audit):
            yield from ((("audit", "file"), what) for what in _unwritable(audit))
        elif audit.parent.is_dir() and not os.access(audit.parent, os.W_OK | os.X_OK):
            yield ("audit", "file"), f"may not make files in {audit.parent}: chown it"


def _unwritable(path: Path) -> Iterator[str]:
    if _exists(path) and not os.access(path, os.R_OK | os.W_OK):
        yield f"may not read and write {path}: chown it"


def _exists(path: Path) -> bool:
    return os.path.lexists(path)  # without a complaint about a folder it may not look into
