"""What the audit file must not be: another file that the server reads or keeps, since lines are added to it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from radius_mfa.config.check_tls import report_of_file
from radius_mfa.config.document import EACH, Document, KeyPath, dotted
from radius_mfa.config.model import Configuration
from radius_mfa.config.storage import storage

_FILE: KeyPath = ("audit", "file")
_OTHERS: tuple[tuple[str, ...], ...] = (
    ("listen", EACH, "certificate"),
    ("listen", EACH, "key"),
    ("listen", EACH, "client_ca"),
    ("directory", "ldap", "ca_file"),
    ("factors", "mail", "ca_file"),
    ("eap", "certificate"),
    ("eap", "key"),
    ("portal", "certificate"),
    ("portal", "key"),
    ("dictionaries",),
    ("messages",),
)
_BESIDE_STORE = ("", "-wal", "-shm", "-journal")  # as SQLite calls what it keeps there


def check_audit_file(document: Document, folder: Path) -> None:
    """Report an audit file that is something else already."""
    written = document.at(_FILE)
    if not isinstance(written, str):
        return
    file = folder / written
    with suppress(OSError, ValueError):
        if file.is_dir():
            report_of_file(document, "is a folder; name a file in it", *_FILE)
            return
        if what := next((what for other, what in _others(document, folder) if _is_same(file, other)), None):
            report_of_file(document, f"is {what}, and lines are added to it; take a file of its own", *_FILE)


def _others(document: Document, folder: Path) -> Iterator[tuple[Path, str]]:
    """The other files there are, and what each is."""
    yield Path(document.places.file), "this configuration"
    for file in document.secret_files:
        yield file, "the file of a secret"
    fields = Configuration.model_fields
    key = document.at(("key_file",)) if document.has("key_file") else fields["key_file"].default
    yield folder / str(key), "the key file"
    url = document.at(("storage",))
    with suppress(ValueError):
        store = storage(url) if isinstance(url, str) else fields["storage"].default
        for ending in _BESIDE_STORE if store.path is not None else ():
            yield folder / f"{store.path}{ending}", "the store"
    for pattern in _OTHERS:
        for path, name in document.texts(*pattern):
            yield folder / name, f"the file of {dotted(path)}"


def _is_same(file: Path, other: Path) -> bool:
    if os.path.realpath(file) == os.path.realpath(other):
        return True
    try:
        return file.samefile(other)
    except OSError:  # one of the two is not there
        return False


# --- warnings -----------------------------------------------------------------------------------


def warn_of_audit(document: Document, configuration: Configuration) -> None:
    """Note what works and yet should not stay."""
    audit = configuration.audit
    if audit.file is None and audit.syslog is None and configuration.log.level in ("warning", "error"):
        document.warn("hides the audit events, which go to the log where there is no audit.file", "log", "level")
    if audit.delete_rotated and audit.file is None:
        document.warn("deletes nothing without audit.file; add that, or remove this", "audit", "delete_rotated")
