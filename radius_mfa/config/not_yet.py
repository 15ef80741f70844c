"""The keys of the contract whose feature this version does not have yet.

They are read and checked like any other; only then are they refused, wherever they ask for
something that would not happen.  As features come, their lines here go.
"""

from __future__ import annotations

from collections.abc import Callable

from radius_mfa.config.document import UNUSABLE, Document

_NOT_YET = "not available in this version"


def _used(_: object) -> bool:
    return True


def _is_not(default: object) -> Callable[[object], bool]:
    return lambda value: value != default and value is not UNUSABLE


# Where a key stands, and whether its value asks for what is not there.
_KEYS: tuple[tuple[tuple[str, ...], Callable[[object], bool]], ...] = (
    (("enrolment", "networks"), _is_not([])),
    (("portal",), _used),
)


def not_yet(document: Document) -> None:
    """Report what is asked for and not available.  A key that is absent, or has its default, is not."""
    for pattern, asks in _KEYS:
        for path in document.each(*pattern):
            if asks(document.at(path)):
                document.report(f"{_NOT_YET}; remove it", *path)
