"""What users are told, a file a language: `config/messages/`, and an administrator's own on top.

An administrator's folder has files of the same form.  A text there takes the place of the shipped one of its
language and key; what is not there stays.  A file of another name is another language.  Below `profiles`
a file has what is worded otherwise for users of a gateway of that profile.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from string import Formatter

from radius_mfa.config import values
from radius_mfa.config.document import (
    UNUSABLE,
    Document,
    KeyPath,
    Places,
    Problem,
    quoted,
    read_document,
)
from radius_mfa.core.errors import ConfigurationError
from radius_mfa.core.login import PUT_OTHERWISE
from radius_mfa.core.messages import FALLBACK
from radius_mfa.core.outcomes import Outcome, told_to_user
from radius_mfa.core.printing import printable
from radius_mfa.wire.walker import LONGEST_VALUE

_LANGUAGE = re.compile("[a-z]{2,8}")  # as `core.challenge.primary_language` has it
_LARGEST = 1 << 18  # octets
_LONGEST_REPLY = 1000  # octets
_MOST_NAMED = 8  # keys in one warning
_PROFILES = "profiles"  # the one key of a file that is no text's
# Countries, and what is spoken there: a file of that name is a language that no directory says of anybody.
_COUNTRIES = {
    "al": ("sq", "Albanian"), "at": ("de", "German"), "cn": ("zh", "Chinese"), "cz": ("cs", "Czech"),
    "dk": ("da", "Danish"), "gb": ("en", "English"), "gr": ("el", "Greek"), "hk": ("zh", "Chinese"),
    "il": ("he", "Hebrew"), "ir": ("fa", "Persian"), "jp": ("ja", "Japanese"), "kr": ("ko", "Korean"),
    "kz": ("kk", "Kazakh"), "pk": ("ur", "Urdu"), "rs": ("sr", "Serbian"), "ua": ("uk", "Ukrainian"),
    "us": ("en", "English"), "vn": ("vi", "Vietnamese"),
}  # fmt: skip
_EVERYWHERE = frozenset({"contact"})
_MAILED = ("_subject", "_body")  # what the keys of a mail's texts end with
_NEEDED = {
    "mail_body": ("code", "reference"),
    "mail_subject": ("reference",),
    "mail_address_body": ("code", "reference"),
    "mail_address_subject": ("reference",),
    "mail_portal_body": ("code", "reference"),
    "mail_portal_subject": ("reference",),
    "mail_link_body": ("link",),
    # What is about to count has to be stopped before it does.
    "mail_token_waiting_body": ("until", "portal"),
    "mail_address_waiting_body": ("until", "portal"),
    "mail_sent": ("reference",),
    "mail_sent_log_in_again": ("reference",),
    "change_password": ("password_url",),
}
# What would be no link any more, or another one, with something before or behind it.
_ALONE = {"mail_link_body": "{link}"}

# What `core.asking` puts a question after.
_ASKED_AFTER = (
    Outcome.CHALLENGED,
    Outcome.MAIL_SENT,
    Outcome.MAIL_LIMIT,
    Outcome.ANSWER_UNREADABLE,
    Outcome.FACTOR_NOT_ALLOWED,
    Outcome.CODE_WRONG,
    Outcome.CODE_USED,
    Outcome.CLOCK_WRONG,
    Outcome.SECRET_UNREADABLE,
)
_ASKED_WITH = tuple(map(told_to_user, _ASKED_AFTER))
# The texts that may go with an Access-Challenge.  Many a gateway shows the first Reply-Message of it and no other.
PROMPTS = frozenset(key + more for key in _ASKED_WITH for more in ("", *PUT_OTHERWISE.get(key, ())))
# What is put into them beside the contact, at its longest: `core.codes.new_reference`, `factors.totp.NearMiss`.
_LONGEST_PUT_IN = {"reference": "K7", "minutes": "999"}

Languages = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Messages:
    """`languages`: language, then key, then text; `profiles`: gateway profile, then the same.

    `warnings`: what an administrator should know of their own files, a line each.
    """

    languages: Languages
    profiles: Mapping[str, Languages]
    warnings: tuple[str, ...] = ()

    def worded_for(self, profile: str, like: str) -> Languages:
        """What is worded otherwise for `profile`, and for the one it is like where it says nothing itself."""
        below, above = self.profiles.get(like, {}), self.profiles.get(profile, {})
        return {each: {**below.get(each, {}), **above.get(each, {})} for each in {**below, **above}}


@dataclass(frozen=True, slots=True)
class _File:
    """The texts of one language by their keys; `profiles`: gateway profile, then the same."""

    texts: Mapping[str, str] = field(default_factory=dict)
    profiles: Languages = field(default_factory=dict)

    def under(self, above: _File) -> _File:
        """Both, where what is in `above` counts."""
        names = {**self.profiles, **above.profiles}
        profiles = {name: {**self.profiles.get(name, {}), **above.profiles.get(name, {})} for name in names}
        return _File({**self.texts, **above.texts}, profiles)


@dataclass(frozen=True, slots=True)
class _Known:
    """What an administrator's texts are held to: the shipped ones in English, the profiles, the contact."""

    texts: Mapping[str, str]
    profiles: Collection[str]
    contact: str


def load_messages(shipped: Path) -> Languages:
    """The shipped texts: language, then key, then text; the language is the file's name."""
    return read_messages(shipped).languages


def read_messages(
    shipped: Path, own: Path | None = None, profiles: Collection[str] = (), contact: str = ""
) -> Messages:
    """The shipped texts with those in the folder `own` on top.

    `profiles`: the gateway profiles there are.  `contact`: what will be put in, since a prompt has to fit.
    Raises ConfigurationError with every problem in the files of `own`.
    """
    files = {path.stem: _read(path, []) for path in sorted(shipped.glob("*.yaml"))}
    languages, problems, warnings = frozenset(files), list[str](), list[str]()
    known = _Known(files[FALLBACK].texts, profiles, contact)
    for path in _own_files(own, problems) if own else ():
        file = _read(path, problems, known)
        files[path.stem] = files.get(path.stem, _File()).under(file)
        if path.stem in _COUNTRIES:
            language, name = _COUNTRIES[path.stem]
            warnings.append(printable(f"{path}: {language} is {name} ({path.stem} is no language)"))
        elif path.stem not in languages:
            warnings.extend(_untranslated(path, file.texts, known.texts))
    if problems:
        raise ConfigurationError(*problems)
    texts = {language: file.texts for language, file in files.items()}
    return Messages(texts, _by_profile(files), tuple(warnings))


def check_messages(document: Document, folder: Path) -> None:
    """Report a folder, or a file in it, of which nothing can be read; relative paths start at `folder`.

    What is wrong inside of a file `read_messages` says, with its line there.
    """
    for path, name in document.texts("messages"):
        try:
            for problem in _unreadable(folder / values.path(name)):
                document.report(problem, *path)
        except _UnreadableError as broken:
            document.report(f"{document.written(path)} {broken}", *path)
        except ValueError:
            pass  # no path at all, as the model says


def _unreadable(folder: Path) -> Iterator[str]:
    """Raises _UnreadableError where it is the folder itself."""
    wrong: list[str] = []
    for file in _files(folder, wrong):
        try:
            _text(file)
        except _UnreadableError as broken:
            wrong.append(f"{file} {broken}")
    yield from wrong


def _by_profile(files: Mapping[str, _File]) -> dict[str, dict[str, Mapping[str, str]]]:
    """Gateway profile, then language, then key, then text."""
    found: dict[str, dict[str, Mapping[str, str]]] = {}
    for language, file in files.items():
        for profile, texts in file.profiles.items():
            found.setdefault(profile, {})[language] = texts
    return found


def _untranslated(path: Path, texts: Mapping[str, str], known: Iterable[str]) -> Iterator[str]:
    """One line on all the texts that a language of the administrator's does not have."""
    missing = [key for key in known if key not in texts]
    named = ", ".join(missing[:_MOST_NAMED])
    if len(missing) > _MOST_NAMED:
        named += f" and {len(missing) - _MOST_NAMED} more"
    if missing:
        yield printable(f"{path}: has no text for {named}: users of it read those in English")


def _files(folder: Path, problems: list[str]) -> list[Path]:
    """Those of a language; what has another name goes to `problems`.  Raises _UnreadableError."""
    try:
        found = sorted(path for path in folder.iterdir() if path.suffix in (".yaml", ".yml"))
    except OSError as broken:
        raise _UnreadableError(f"cannot be read: {broken.strerror}") from None
    good = [path for path in found if path.suffix == ".yaml" and _LANGUAGE.fullmatch(path.stem)]
    problems.extend(f"{path} must be called by its language, as ja.yaml" for path in found if path not in good)
    return good


def _own_files(folder: Path, problems: list[str]) -> list[Path]:
    try:
        return _files(folder, problems)
    except _UnreadableError as broken:
        problems.append(f"{folder} {broken}")
        return []


def _read(path: Path, problems: list[str], known: _Known | None = None) -> _File:
    """The texts in a file; what is wrong with them goes to `problems`.  `known`: what they are held to."""
    document = _document(path)
    data = document.data if isinstance(document.data, dict) else {}
    if not isinstance(document.data, dict) and not document.problems:
        document.report("must be keys and their texts")
    texts = {key: text for key, text in data.items() if key != _PROFILES}
    profiles = _mapping(document, (_PROFILES,), "profiles, and below each keys and their texts")
    below = {name: _mapping(document, (_PROFILES, name), "keys and their texts") for name in profiles}
    if known is not None:
        _judge(document, texts, known)
        for name, its_texts in below.items():
            _judge_profile(document, name, its_texts, known)
    problems.extend(document.places.shown(problem) for problem in sorted(document.problems))
    return _File(_usable(texts), {name: _usable(its_texts) for name, its_texts in below.items()})


def _mapping(document: Document, path: KeyPath, of: str) -> dict[str, object]:
    """The mapping at `path`; empty where there is none, and a problem where something else is there."""
    value = document.at(path)
    if isinstance(value, dict):
        return value
    if value is not UNUSABLE:
        document.report(f"must be {of}", *path)
    return {}


def _usable(texts: Mapping[str, object]) -> dict[str, str]:
    return {key: text for key, text in texts.items() if isinstance(text, str)}


def _judge(document: Document, texts: Mapping[str, object], known: _Known, *above: str) -> None:
    """Report what is wrong with the texts at the path `above`."""
    for key, text in texts.items():
        for wrong in _wrong(key, text, known):
            document.report(wrong, *above, key)


def _judge_profile(document: Document, name: str, texts: Mapping[str, object], known: _Known) -> None:
    """Report what is wrong with the texts for one profile."""
    if name not in known.profiles:
        document.report(f"there is no such profile; {_meant(name, known.profiles)}", _PROFILES, name)
    for key in texts:
        if key in known.texts and key.endswith(_MAILED):
            text = "a mail reads the same whatever the gateway; write it outside of profiles"
            document.report(text, _PROFILES, name, key)
    _judge(document, texts, known, _PROFILES, name)


class _UnreadableError(Exception):
    """Why nothing of a file or folder can be read, as the end of a sentence about it."""


def _document(path: Path) -> Document:
    try:
        octets = _text(path)
        return read_document(str(path), octets.decode("utf-8-sig"))
    except _UnreadableError as broken:
        wrong = Problem(0, (), str(broken))
    except UnicodeDecodeError as broken:
        wrong = Problem(octets.count(b"\n", 0, broken.start) + 1, (), "is not UTF-8 here")
    return Document(Places(str(path), {}), problems=[wrong])


def _text(path: Path) -> bytes:
    """Raises _UnreadableError."""
    try:
        with path.open("rb") as file:
            octets = file.read(_LARGEST + 1)
    except OSError as broken:
        raise _UnreadableError(f"cannot be read: {broken.strerror}") from None
    if len(octets) > _LARGEST:
        raise _UnreadableError(f"is longer than {_LARGEST} octets")
    return octets


def _wrong(key: str, text: object, known: _Known) -> Iterator[str]:
    if key not in known.texts:
        yield f"there is no such text; {_meant(key, known.texts)}"
    elif text is UNUSABLE:
        return  # which is said already
    elif not isinstance(text, str) or not text.strip():
        yield "must be a text"
    else:
        slips = [*_wrong_fields(text, _fields(known.texts[key]) | _EVERYWHERE)]
        yield from slips
        yield from _wrong_text(key, text)
        if not slips:
            yield from _too_long(key, text, known.contact)


def _wrong_text(key: str, text: str) -> Iterator[str]:
    """A text that says nothing, cannot be shown, or leaves out what it is for."""
    try:
        fields = [name for _, name, _, _ in Formatter().parse(text) if name]
    except ValueError:
        return  # which is said already
    for name in _NEEDED.get(key, ()):
        if name not in fields:
            yield f"must have {{{name}}} in it"
    alone = _ALONE.get(key)
    if alone and any(alone in line and alone != line.strip() for line in text.splitlines()):
        yield f"must have {alone} on a line of its own"
    if len(fields) > len(set(fields)) and not key.endswith("_body"):
        yield "has something put in twice"
    if not re.sub(r"\{[^{}]*\}", "", text).strip():
        yield "must say something besides what is put in"
    if any(unicodedata.category(each) in ("Cc", "Cs") and each != "\n" for each in text):
        yield "has control characters in it"


def _too_long(key: str, text: str, contact: str) -> Iterator[str]:
    """A prompt has to fit one Reply-Message with all that is put in; a refusal may take several."""
    if key in PROMPTS:
        said = text.format(contact=contact, **_LONGEST_PUT_IN).strip()
        count = len(said.encode("utf-8", "replace"))
        with_contact = " with the contact in it" if contact and "contact" in _fields(text) else ""
        if count > LONGEST_VALUE:
            limit = f"a Reply-Message holds {LONGEST_VALUE} (RFC 2865 §5.18)"
            yield f"is {count} octets long{with_contact}, {limit}; shorten it"
    elif not key.endswith(_MAILED) and len(text.encode("utf-8", "replace")) > _LONGEST_REPLY:
        yield f"is longer than {_LONGEST_REPLY} octets; a gateway shows about {LONGEST_VALUE}"


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


def _meant(name: str, known: Iterable[str]) -> str:
    names = list(known)
    near = difflib.get_close_matches(name, names, n=1)
    return f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}"
