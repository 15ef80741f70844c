"""What an administrator may have meant by a key that cannot stand where it does."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from functools import cache

from radius_mfa.config.document import KeyPath, dotted
from radius_mfa.config.elsewhere import CUT, twins_at
from radius_mfa.config.keys import keys_at

_HARDLY_A_SLIP = 0.8  # of 1: nearer than that to a key that can stand here, and no other place is looked for
_MOST_HOMES = 3
# What other languages call the conditions that are made of others.
_COMBINING = {
    "none": "not", "nor": "not", "neither": "not", "not": "not", "no": "not",
    "or": "any", "either": "any", "any": "any", "and": "all", "both": "all", "all": "all",
}  # fmt: skip
_ANY_NAME = "…"  # in a path: one that the administrator gives


def unknown_key(path: KeyPath) -> str:
    """What is wrong with the key at `path`, and what to do."""
    key, known = str(path[-1]).removesuffix(CUT), keys_at(path[:-1]) + twins_at(path[:-1])
    if key in known:
        return f"unknown key; behind {key} belong a colon and a space"
    if not key:
        return f"unknown key; here can stand {', '.join(known)}"
    if "not" in known and key.casefold() in _COMBINING:
        return f"unknown key; did you mean {_COMBINING[key.casefold()]}?"
    near = difflib.get_close_matches(key, known, n=1)
    very_near = difflib.get_close_matches(key, known, n=1, cutoff=_HARDLY_A_SLIP)
    homes = _homes().get(key) or _homes().get(key.removesuffix("_file"), ())
    if homes and not very_near:
        where = [*homes[:_MOST_HOMES], *(["elsewhere"] if len(homes) > _MOST_HOMES else [])]
        return f"unknown key here; {key} belongs {' or '.join(where)}"
    if path[0] == "policies" and key[0].isupper():
        return f"unknown key here; an attribute such as {key} belongs under when or reply"
    return f"unknown key; {f'did you mean {near[0]}?' if near else 'here can stand ' + ', '.join(known)}"


def misnamed_condition(path: KeyPath) -> KeyPath:
    """The part of `path` up to a key that was meant to be `all`, `any` or `not`; nothing where there is none."""
    for at, key in enumerate(path):
        if isinstance(key, str) and key.casefold() in _COMBINING:
            known = keys_at(path[:at])
            if "not" in known and key not in known:
                return path[: at + 1]
    return ()


@cache
def _homes() -> dict[str, tuple[str, ...]]:
    """Where each key can stand, in words."""
    homes: dict[str, tuple[str, ...]] = {}
    for path in _sections((), ()):
        where = f"under {dotted(path)}" if path else "at the beginning of a line"
        for key in keys_at(path):
            homes[key] = (*homes.get(key, ()), where)
    return homes


def _sections(path: KeyPath, above: tuple[tuple[str, ...], ...]) -> Iterator[KeyPath]:
    """Every mapping of fixed keys; one within its own kind is passed over."""
    keys = keys_at(path)
    if not keys or keys in above:
        return
    yield path
    for key in keys:
        inner = (*path, key)
        yield from _sections(inner if keys_at(inner) else (*inner, _ANY_NAME), (*above, keys))
