"""What users are told, a file a language: `config/messages/`, and an administrator's own on top.

An administrator's folder has files of the same form.  A text there takes the place of the shipped one of its
language and key; what is not there stays.  A file of another name is another language.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import Path
from string import Formatter

from radius_mfa.config.document import Document, Places, Problem, quoted, read_document
from radius_mfa.core.errors import ConfigurationError
from radius_mfa.core.messages import FALLBACK

_LANGUAGE = re.compile("[a-z]{2,8}")  # as `core.challenge.primary_language` has it
_LARGEST = 1 << 18  # octets
_LONGEST_REPLY = 1000  # octets
_EVERYWHERE = frozenset({"contact"})
_MAILED = ("_subject", "_body")  # what the keys of a mail's texts end with
_NEEDED = {
    "mail_body": ("code", "reference"),
    "mail_subject": ("reference",),
    "mail_address_body": ("code", "reference"),
    "mail_address_subject": ("reference",),
    "mail_sent": ("reference",),
    "mail_sent_log_in_again": ("reference",),
    "change_password": ("password_url",),
}

Languages = Mapping[str, Mapping[str, str]]


def load_messages(shipped: Path, own: Path | None = None) -> Languages:
    """Language, then key, then text; the language is the file's name.

    Raises ConfigurationError with every problem in the files of `own`.
    """
    languages = {path.stem: _read(path, []) for path in sorted(shipped.glob("*.yaml"))}
    if own is None:
        return languages
    problems: list[str] = []
    for path in _files(own, problems):
        texts = _read(path, problems, languages[FALLBACK])
        languages[path.stem] = {**languages.get(path.stem, {}), **texts}
    if problems:
        raise ConfigurationError(*problems)
    return languages


def _files(folder: Path, problems: list[str]) -> list[Path]:
    try:
        found = sorted(path for path in folder.iterdir() if path.suffix in (".yaml", ".yml"))
    except OSError as broken:
        problems.append(f"{folder}: cannot be read: {broken.strerror}")
        return []
    good = [path for path in found if path.suffix == ".yaml" and _LANGUAGE.fullmatch(path.stem)]
    problems.extend(f"{path}: must be called by its language, as ja.yaml" for path in found if path not in good)
    return good


def _read(path: Path, problems: list[str], known: Mapping[str, str] | None = None) -> dict[str, str]:
    """The texts in a file; what is wrong with them goes to `problems`.  `known`: the keys there may be."""
    document = _document(path)
    texts = document.data if isinstance(document.data, dict) else {}
    if not isinstance(document.data, dict) and not document.problems:
        document.report("must be keys and their texts")
    for key, text in texts.items():
        for wrong in _wrong(key, text, known):
            document.report(wrong, key)
    problems.extend(document.places.shown(problem) for problem in sorted(document.problems))
    return {key: text for key, text in texts.items() if isinstance(text, str)}


def _document(path: Path) -> Document:
    try:
        with path.open("rb") as file:
            octets = file.read(_LARGEST + 1)
        if len(octets) <= _LARGEST:
            return read_document(str(path), octets.decode("utf-8-sig"))
        wrong = f"is longer than {_LARGEST} octets"
    except OSError as broken:
        wrong = f"cannot be read: {broken.strerror}"
    except UnicodeDecodeError:
        wrong = "is not UTF-8"
    return Document(Places(str(path), {}), problems=[Problem(0, (), wrong)])


def _wrong(key: str, text: object, known: Mapping[str, str] | None) -> Iterator[str]:
    if known is None:
        return
    if key not in known:
        yield f"there is no such text; there are {', '.join(known)}"
    elif not isinstance(text, str) or not text.strip():
        yield "must be a text"
    else:
        yield from _wrong_fields(text, _fields(known[key]) | _EVERYWHERE)
        yield from _wrong_text(key, text)


def _wrong_text(key: str, text: str) -> Iterator[str]:
    """A text that says nothing, cannot be shown, or leaves out what it is for."""
    try:
        fields = [name for _, name, _, _ in Formatter().parse(text) if name]
    except ValueError:
        return  # which is said already
    for name in _NEEDED.get(key, ()):
        if name not in fields:
            yield f"must have {{{name}}} in it"
    if len(fields) > len(set(fields)):
        yield "has something put in twice"
    if not re.sub(r"\{[^{}]*\}", "", text).strip():
        yield "must say something besides what is put in"
    if any(unicodedata.category(each) == "Cc" and each != "\n" for each in text):
        yield "has control characters in it"
    if not key.endswith(_MAILED) and len(text.encode()) > _LONGEST_REPLY:
        yield f"is longer than {_LONGEST_REPLY} octets; a gateway shows about 253"


def _wrong_fields(text: str, allowed: frozenset[str]) -> Iterator[str]:
    """A slip in a text must not be found out by the user it refuses."""
    try:
        parts = list(Formatter().parse(text))
    except ValueError:
        yield "has a brace without its other; a brace itself is written twice, {{ or }}"
        return
    for _, name, form, conversion in parts:
        if name is not None and (name not in allowed or form or conversion):
            yield f"{quoted('{' + name + '}')} cannot stand here; there are {_listed(allowed)}"


def _fields(text: str) -> frozenset[str]:
    return frozenset(name for _, name, _, _ in Formatter().parse(text) if name)


def _listed(names: frozenset[str]) -> str:
    return ", ".join(f"{{{name}}}" for name in sorted(names))
