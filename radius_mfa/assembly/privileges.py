"""What the process gives away once it has bound its ports: root, and that anybody looks into its memory."""

from __future__ import annotations

import errno
import os
import pwd
from collections.abc import Iterator
from pathlib import Path

import structlog

from radius_mfa.config import model
from radius_mfa.config.document import KeyPath
from radius_mfa.config.load import Loaded
from radius_mfa.core.errors import ConfigurationError
from radius_mfa.observe.audit_files import real_file
from radius_mfa.transports.core_dumps import no_core_dumps

log = structlog.get_logger()


def become(loaded: Loaded) -> None:
    """Go on as the server's user, for good, when started as root.

    Raises ConfigurationError where there is no such user, or where it could not do what has to be done.
    """
    name, configuration = loaded.configuration.user, loaded.configuration
    if name is None or not _became(loaded, name, ("user",)):
        return
    _must_be_allowed(loaded, name, ("user",), _read(configuration), "chown it")
    for path in (Path(loaded.places.file), *loaded.secret_files):
        if not os.access(path, os.R_OK):
            log.warning("configuration", note=f"{path}: {name} may not read it: there is no reload")


def become_portals(loaded: Loaded) -> None:
    """Go on as the portal's user, or else the server's; the same otherwise.

    Both users write the store and the audit file, and read the key file: what is in the way is not to be given to
    one of them.
    """
    configuration, portal = loaded.configuration, loaded.configuration.portal
    own = portal is not None and portal.user is not None
    name = portal.user if portal is not None and own else configuration.user
    key: KeyPath = ("portal", "user") if own else ("user",)
    if name is not None and _became(loaded, name, key):
        remedy = 'let its group (docs/portal.md, "Two users")' if own else "chown it"
        _must_be_allowed(loaded, name, key, _read(configuration, portal=True), remedy)


def _became(loaded: Loaded, name: str, key: KeyPath) -> bool:
    """Whether it has gone on as that user, named by that key: not where it was not root.  Raises as `become`."""
    try:
        user = pwd.getpwnam(name)
    except KeyError:
        raise ConfigurationError(loaded.places.cite(f"there is no user {name} on this machine", *key)) from None
    if os.geteuid() != 0:
        if os.geteuid() != user.pw_uid:
            log.warning("not_started_as_root", note=f"goes on as it is, and not as {name}")
        return False
    if user.pw_uid == 0:
        raise ConfigurationError(loaded.places.cite("must not be root, whatever it is called", *key))
    try:
        _give_up_root(user)
    except OSError as broken:
        text = f"cannot become {name}: {broken.strerror}"
        raise ConfigurationError(loaded.places.cite(text, *key)) from None
    return True


def _must_be_allowed(loaded: Loaded, name: str, key: KeyPath, read: _Files, remedy: str) -> None:
    """Raises ConfigurationError with all that `name` may not do and has to."""
    forbidden = _forbidden(loaded.configuration, key, read, remedy)
    if problems := [loaded.places.cite(f"{name} {what}", *at) for at, what in forbidden]:
        raise ConfigurationError(*problems)


def _give_up_root(user: pwd.struct_passwd) -> None:
    """Become that user in every thread, for good.  Raises OSError."""
    os.initgroups(user.pw_name, user.pw_gid)
    os.setresgid(user.pw_gid, user.pw_gid, user.pw_gid)
    os.setresuid(user.pw_uid, user.pw_uid, user.pw_uid)
    if _may_return():  # whoever started it has had the kernel leave the rights alone (SECBIT_NO_SETUID_FIXUP)
        raise OSError(errno.EPERM, "there is a way back to root")
    no_core_dumps()  # which the kernel may have allowed again with the new user
    os.environ["HOME"] = user.pw_dir  # where asyncpg looks for certificates, and gives up if it may not look


def _may_return() -> bool:
    try:
        os.setuid(0)
    except PermissionError:
        return False
    return True


_Forbidden = Iterator[tuple[KeyPath, str]]
_Files = Iterator[tuple[KeyPath, Path]]


def _forbidden(configuration: model.Configuration, user: KeyPath, read: _Files, remedy: str) -> _Forbidden:
    """What this process may not do and has to, by the key that asks for it.

    `user`: the key that names whose process it is.  `read`: what it reads, and does not write.
    """
    for installed in (os.__file__, __file__):
        if not os.access(installed, os.R_OK):
            yield user, f"may not read {installed}: install radius-mfa where everybody may, such as /opt"
    for key, path in read:
        if not _is_missing(path) and not os.access(path, os.R_OK):
            yield key, f"may not read {path}: {remedy}"
    store, audit = configuration.storage.path, configuration.audit.file
    if store is not None:
        if not os.access(store.parent, os.W_OK | os.X_OK) and not _is_missing(store.parent):
            yield ("storage",), f"may not make files in {store.parent}, as SQLite does: {remedy}"
        else:
            for path in (store, *(store.with_name(f"{store.name}-{which}") for which in ("wal", "shm"))):
                yield from _unwritable(("storage",), path, remedy)
    if audit is not None:
        audit = real_file(audit)
        if _is_missing(audit) and audit.parent.is_dir() and not os.access(audit.parent, os.W_OK | os.X_OK):
            yield ("audit", "file"), f"may not make files in {audit.parent}: {remedy}"
        yield from _unwritable(("audit", "file"), audit, remedy)


def _read(configuration: model.Configuration, *, portal: bool = False) -> _Files:
    """The files that a server only reads, now or at every reload, by their keys; or those that the portal does."""
    yield ("key_file",), configuration.key_file
    if not portal:
        yield from _shown(configuration)
    ldap, mail = configuration.directory.ldap, configuration.factors.mail
    if ldap is not None and ldap.ca_file is not None:
        yield ("directory", "ldap", "ca_file"), ldap.ca_file
    if mail is not None and mail.ca_file is not None and not portal:
        yield ("factors", "mail", "ca_file"), mail.ca_file
    if configuration.messages is not None:
        yield ("messages",), configuration.messages


def _shown(configuration: model.Configuration) -> _Files:
    """What gateways and supplicants are spoken to with."""
    for at, listener in enumerate(configuration.listen):
        for key in ("certificate", "key", "client_ca") if listener.certificate is not None else ():
            yield ("listen", at, key), getattr(listener, key)
    if configuration.eap is not None:
        yield ("eap", "certificate"), configuration.eap.certificate
        yield ("eap", "key"), configuration.eap.key


def _unwritable(key: KeyPath, path: Path, remedy: str) -> _Forbidden:
    if not _is_missing(path) and not os.access(path, os.R_OK | os.W_OK):
        yield key, f"may not read and write {path}: {remedy}"


def _is_missing(path: Path) -> bool:
    """Whether it is not there, as far as may be seen: the one who opens it says so better."""
    try:
        os.lstat(path)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return False
