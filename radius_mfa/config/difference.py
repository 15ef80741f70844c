"""What a reload has changed, a line each, as an administrator would say it.

Compared is what is written, defaults not filled in.  Nothing is shown that is a secret or that did not stand
in the file itself; of that it is only said that it has changed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace

from radius_mfa.config.document import Document, KeyPath
from radius_mfa.config.elsewhere import has_secrets, with_password
from radius_mfa.config.load import Loaded
from radius_mfa.core.printing import printable

_MOST = 50  # lines
_LONGEST_SHOWN = 80  # characters of one value, or of one key
_NAMES = ("name", "username")  # what the items of a list are told from each other by


def difference(before: Loaded, after: Loaded) -> tuple[str, ...]:
    """What has changed, at most 50 lines and one that says how many more there are."""
    lines = list(_changes("", _whole(before.document), _whole(after.document)))
    more = len(lines) - _MOST
    return (*map(printable, lines[:_MOST]), *([f"and {more} more"] if more > 0 else []))


@dataclass(frozen=True, slots=True)
class _Part:
    """A value of a document, and where it stands.  `masked`: all places with something in them from elsewhere."""

    document: Document
    path: KeyPath
    masked: frozenset[KeyPath]

    @property
    def value(self) -> object:
        """What is written; a text alone and a list of it are the same."""
        value = self.document.at(self.path)
        if isinstance(value, list) and len(value) == 1 and isinstance(value[0], str):
            return value[0]
        return value

    def at(self, part: str | int) -> _Part:
        return replace(self, path=(*self.path, part))

    @property
    def named(self) -> dict[str, _Part]:
        """The items of a list by their names; none where it is no such list."""
        value, items = self.value, dict[str, _Part]()
        for at, item in enumerate(value if isinstance(value, list) else ()):
            name = next((item[key] for key in _NAMES if key in item), None) if isinstance(item, dict) else None
            if not isinstance(name, str):
                return {}
            items[name] = self.at(at)
        return items

    @property
    def name(self) -> str:
        """What an item of a list is called: by the variable, where its name comes from one."""
        key = next(key for key in _NAMES if self.document.has(*self.path, key))
        return self.document.hidden.get((*self.path, key), str(self.at(key).value))

    @property
    def shown(self) -> str | None:
        """The value for a reader; None where it is nothing to be shown."""
        value = self.value
        in_url = self.path == ("storage",) and isinstance(value, str) and with_password(value)
        if in_url or has_secrets(self.path) or self.path in self.masked:
            return None
        text = json.dumps(value, ensure_ascii=False)
        return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"

    @property
    def shown_alone(self) -> str | None:
        """The same of one text or boolean; None of several."""
        return self.shown if isinstance(self.value, str | bool) else None


def _whole(document: Document) -> _Part:
    masked = frozenset(path[:length] for path in document.hidden for length in range(len(path) + 1))
    return _Part(document, (), masked)


def _changes(label: str, before: _Part, after: _Part) -> Iterator[str]:
    old, new = before.value, after.value
    if old == new:
        return
    if isinstance(old, dict) and isinstance(new, dict):
        for key in dict.fromkeys([*old, *new]):
            inside = f"{label}.{key[:_LONGEST_SHOWN]}".removeprefix(".")
            yield from _either(
                inside, before.at(key) if key in old else None, after.at(key) if key in new else None
            )
    elif (items := before.named) and (items_now := after.named):
        yield from _items(label, items, items_now)
    else:
        shown, now_shown = before.shown, after.shown
        told = shown is not None and now_shown is not None and shown != now_shown
        yield f"{label}: {shown} → {now_shown}" if told else f"{label}: changed"


def _items(label: str, before: dict[str, _Part], after: dict[str, _Part]) -> Iterator[str]:
    for name in dict.fromkeys([*before, *after]):
        part = after[name] if name in after else before[name]
        yield from _either(f"{label}.{part.name}", before.get(name), after.get(name))
    stayed = [name for name in before if name in after]
    if label == "policies" and stayed != [name for name in after if name in before]:
        yield f"{label}: order changed"  # which decides, of policies and of nothing else that has names


def _either(label: str, before: _Part | None, after: _Part | None) -> Iterator[str]:
    """What has changed where there may have been nothing, or may be nothing now."""
    if before is not None and after is not None:
        yield from _changes(label, before, after)
    elif after is not None:
        shown = after.shown_alone
        yield f"{label}: added" if shown is None else f"{label}: added, {shown}"
    elif before is not None:
        shown = before.shown_alone
        yield f"{label}: removed" if shown is None else f"{label}: removed, was {shown}"
