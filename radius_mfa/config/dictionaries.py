"""The administrator's own dictionary files: `dictionaries` in the YAML."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from radius_mfa.config import values
from radius_mfa.config.document import Document, KeyPath
from radius_mfa.core.errors import ConfigurationError

if TYPE_CHECKING:
    from radius_mfa.wire.dictionary import Dictionary

_MOST_NAMED = 5


def with_dictionaries(document: Document, folder: Path, dictionary: Dictionary | None) -> Dictionary | None:
    """`dictionary` and what the document's files add to it; None, and reported, where they cannot be used.

    Files that are not there are left to the model.
    """
    files: dict[Path, KeyPath] = {}
    for path, name in document.texts("dictionaries"):
        with suppress(ValueError):
            files[values.readable_file(folder / values.path(name))] = path
    if dictionary is None or not files:
        return dictionary
    for file, path in files.items():
        try:
            dictionary = dictionary.with_file(file)
        except ConfigurationError as wrong:
            for problem in wrong.problems:
                document.report(problem, *path)
            return None
        if unserved := dictionary.unserved[file]:
            more = ", …" if len(unserved) > _MOST_NAMED else ""
            names = ", ".join([*unserved][:_MOST_NAMED]) + more
            document.warn(f"has attributes of types or numbers that are not served, and left out: {names}", *path)
    return dictionary
