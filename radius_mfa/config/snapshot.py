"""A configuration as octets, for another process of the same server.

A worker that starts later works under what its server has loaded, whatever the file, the environment and the
files of the secrets have become by then; files that are only named, such as certificates, are read again.  So
the secrets are in the octets: they go from memory to memory and are written nowhere.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from radius_mfa.config.document import Document, Places, Problem
from radius_mfa.config.load import Loaded, judged

if TYPE_CHECKING:
    from radius_mfa.wire.dictionary import Dictionary


def frozen(loaded: Loaded) -> bytes:
    """All that was read for `loaded`, as JSON in ASCII.  Keep it as secret as the file."""
    document = loaded.document
    snapshot = {
        "file": document.places.file,
        "folder": str(Path(document.places.file).absolute().parent),
        "data": document.data,
        # A path is a list there, and a mapping with paths for keys a list of pairs.
        "lines": list(document.places.lines.items()),
        "hidden": list(document.hidden.items()),
        "secret_files": list(map(str, document.secret_files)),
        "warnings": [(each.line, each.path, each.text) for each in document.warnings],
    }
    return json.dumps(snapshot).encode("ascii")


def thawed(octets: bytes, dictionary: Dictionary | None = None) -> Loaded:
    """What `frozen` made the octets of, judged again as `load_usable` does.

    Raises ConfigurationError where it has become wrong since: a file that it names is gone, say.  A certificate
    that has expired is no reason: all the others go on with it.
    """
    snapshot = json.loads(octets)
    document = Document(
        places=Places(snapshot["file"], _by_path(snapshot["lines"])),
        data=snapshot["data"],
        hidden=_by_path(snapshot["hidden"]),
        secret_files=list(map(Path, snapshot["secret_files"])),
        warnings=[Problem(line, tuple(path), text) for line, path, text in snapshot["warnings"]],
    )
    return judged(document, Path(snapshot["folder"]), dictionary, usable=True, in_force=True)


def _by_path(pairs: Iterable[tuple[list[str | int], Any]]) -> dict[tuple[str | int, ...], Any]:
    return {tuple(path): value for path, value in pairs}
