"""Values that stand elsewhere: `${NAME}` in the environment, a secret in a file of its own.

They are put in after the YAML was parsed and are never parsed themselves, so nothing in them can
mean anything.  No problem ever shows them.
"""

from __future__ import annotations

import difflib
import re
import stat
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from radius_mfa.config.document import BRACED, EACH, UNUSABLE, Document, KeyPath, quoted
from radius_mfa.config.keys import keys_at
from radius_mfa.config.storage import storage

# Where a secret stands: `x` there may be written as `x_file` instead.
_SECRETS: tuple[tuple[str, ...], ...] = (
    ("clients", EACH, "secret"),
    ("clients", EACH, "psk", "key"),
    ("directory", "ldap", "bind_password"),
    ("directory", "static", "users", EACH, "password"),
    ("factors", "mail", "password"),
    ("storage_password",),
)

# A secret, or an address that may have one in it, wherever somebody writes it.
_SINGLE = frozenset({pattern[-1] for pattern in _SECRETS} - {"key"} | {"storage", "smtp", "servers"})
_HARDLY_A_SLIP = 0.8  # of 1
# What a key begins with, or what is in its name, where a secret may be in the key itself or below it.
_BEGINNINGS = sorted(_SINGLE | {"key", "psk"}, key=len, reverse=True)
_SOUNDS_SECRET = re.compile("secret|passw|_pw|token|psk", re.IGNORECASE)
_WORD = re.compile("[A-Za-z0-9_-]*")
_USERS: KeyPath = ("directory", "static", "users")
CUT = "…"  # stands for the rest of a key
_VARIABLE = re.compile(r"\$\{(.*)\}", re.DOTALL)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LONGEST_SECRET = 65536


def fill(document: Document, environment: Mapping[str, str], folder: Path) -> None:
    """Put in what stands elsewhere; relative paths start at `folder`.

    A value that is not to be had is left UNUSABLE, with a problem.
    """
    document.data = _with_variables(document, document.data, (), environment)
    _warn_of_open_file(document)
    for pattern in _SECRETS:
        for holder in list(document.each(*pattern[:-1])):
            _put_in_secret(document, holder, pattern[-1], folder)


def fill_answers(document: Document, environment: Mapping[str, str], folder: Path, secrets: Iterable[str]) -> None:
    """The same for a file of single answers, of which these are secrets (`config.questions`)."""
    document.data = _with_variables(document, document.data, (), environment)
    _warn_where_open(document, sorted(path for each in secrets for path, _ in document.texts(each)))
    for name in secrets:
        _put_in_secret(document, (), name, folder)


def cut_keys(document: Document) -> None:
    """Take what may be a secret out of every key that cannot stand where it does, before anything shows it.

    After a slip with a space, `secret:…: x`, part of the key is the secret.  What is inside of a key that sounds
    like a secret's and is unknown goes with what was found wrong there: the key itself is told of later.
    """
    lines, shown = dict(document.places.lines), _Shown()
    document.places.lines.clear()
    for path, line in lines.items():
        if shown.is_shown(path):
            document.places.lines.setdefault(shown.path(path), line)
    document.problems[:] = [
        replace(each, path=shown.path(each.path)) for each in document.problems if shown.is_shown(each.path)
    ]
    document.data = _with_cut_keys(document.data, (), shown)


def _with_cut_keys(value: object, path: KeyPath, shown: _Shown) -> object:
    if not shown.is_shown((*path, "")) and isinstance(value, dict | list):
        return {}
    if isinstance(value, list):
        return [_with_cut_keys(each, (*path, at), shown) for at, each in enumerate(value)]
    if not isinstance(value, dict):
        return value
    entries: dict[str | int, object] = {}
    for key, each in value.items():
        entries.setdefault(shown.path((*path, key))[-1], _with_cut_keys(each, (*path, key), shown))
    return entries


class _Shown:
    """How much of each key is shown; paths are those of the file."""

    def __init__(self) -> None:
        self._paths: dict[KeyPath, KeyPath] = {(): ()}
        self._unknown: dict[KeyPath, bool] = {(): False}

    def path(self, path: KeyPath) -> KeyPath:
        """As it is shown."""
        if path not in self._paths:
            key = path[-1]
            if isinstance(key, str) and self._is_unknown(path):
                key = _cut(path[:-1], key)
            self._paths[path] = (*self.path(path[:-1]), key)
        return self._paths[path]

    def is_shown(self, path: KeyPath) -> bool:
        """Whether anything around it lets it be shown."""
        return not any(
            isinstance(key, str) and _SOUNDS_SECRET.search(key) and self._is_unknown(path[: at + 1])
            for at, key in enumerate(path[:-1])
        )

    def _is_unknown(self, path: KeyPath) -> bool:
        """Whether the key, or one around it, cannot stand where it does."""
        if path not in self._unknown:
            self._unknown[path] = self._is_unknown(path[:-1]) or _cannot_stand(path)
        return self._unknown[path]


def _cannot_stand(path: KeyPath) -> bool:
    key, around = path[-1], path[:-1]
    if isinstance(key, int) or (path[0] == "policies" and key[0].isupper()):  # an attribute
        return False
    known = _known_at(_shape(around))
    return bool(known) and key not in known


@lru_cache(maxsize=1024)
def _known_at(shape: tuple[str, ...]) -> tuple[str, ...]:
    known = keys_at(tuple(0 if part == EACH else part for part in shape))
    return known and known + twins_at(shape)


def _cut(around: KeyPath, key: str) -> str:
    """What is shown of the unknown `key`."""
    word = _WORD.match(key)
    beginning = word[0] if word else ""
    if around[-1:] == ("psk",) or around[: len(_USERS)] == _USERS:
        near = difflib.get_close_matches(key, keys_at(around) + twins_at(around), 1)
        slip = near and len(key) <= len(near[0]) + 1
        return key if slip or (around[-1:] != ("psk",) and beginning == key) else CUT
    if beginning == key:
        return key
    name = next((each for each in _BEGINNINGS if key.casefold().startswith(each)), "")
    if name:
        return key[: len(name)] + CUT
    return beginning + CUT if _is_called_secret(beginning) else key


def refuse_mappings(document: Document) -> None:
    """Report every secret that is written as a mapping, once, and nothing of what is in there.

    After a slip with a brace, `secret: {…}`, the keys are the secret.  The file need be no YAML beyond that.
    """
    lines = document.places.lines
    braced = {each.path for each in document.problems if each.text in BRACED}
    found: dict[KeyPath, None] = {}
    for path in lines:
        end = _end_of_secret(path)
        if end and (len(path) > end or path in braced or isinstance(document.at(path), dict)):
            found[path[:end]] = None
    for path in [each for each in lines if each not in found and each[: _end_of_secret(each)] in found]:
        del lines[path]
    document.problems[:] = [
        each for each in document.problems if each.path[: _end_of_secret(each.path)] not in found
    ]
    for path in found:
        document.report("must be a single value, not a mapping; put quotes around it", *path)
        match document.at(path[:-1]), path[-1]:
            case dict() as holder, key:
                holder[key] = UNUSABLE
            case list() as several, int(at):
                several[at] = UNUSABLE


def _end_of_secret(path: KeyPath) -> int:
    """How much of `path` leads to a secret, or to one in a list of them; 0 where it leads to none."""
    for at, part in enumerate(path):
        if _is_secret(path[: at + 1]):
            return at + 1 + sum(isinstance(each, int) for each in path[at + 1 : at + 2])
        if part == "profiles":  # whose names are anybody's
            break
    return 0


def _is_secret(path: KeyPath) -> bool:
    key = path[-1]
    if isinstance(key, int) or key.endswith("_file"):
        return False
    return path[-2:] == ("psk", "key") or _is_called_secret(key)


@lru_cache(maxsize=1024)  # a thousand clients have the same few keys
def _is_called_secret(key: str) -> bool:
    return bool(difflib.get_close_matches(key, _SINGLE, 1, _HARDLY_A_SLIP))


def _warn_of_open_file(document: Document) -> None:
    """Of secrets that stand in the file itself, where others can read that."""
    paths = [path for pattern in _SECRETS for path, _ in document.texts(*pattern)]
    _warn_where_open(document, paths + [path for path, url in document.texts("storage") if with_password(url)])


def _warn_where_open(document: Document, secrets: list[KeyPath]) -> None:
    first = next((path for path in secrets if path not in document.hidden), None)
    with suppress(OSError, ValueError):
        if first is not None and Path(document.places.file).stat().st_mode & stat.S_IROTH:
            text = "stands in a file that everyone on this machine can read; chmod o= it, or take ${NAME}"
            document.warn(text, *first)


def with_password(url: str) -> bool:
    """Whether a password stands in the URL of the store."""
    try:
        return storage(url).password is not None
    except ValueError:
        return False


def twins_at(path: KeyPath) -> tuple[str, ...]:
    """The `…_file` keys that may stand in the mapping at `path`."""
    shape = _shape(path)
    return tuple(f"{pattern[-1]}_file" for pattern in _SECRETS if pattern[:-1] == shape)


def has_secrets(path: KeyPath) -> bool:
    """Whether what may stand at `path` is a secret, part of one, or has one in it."""
    shape = _shape(path)
    return any(shape[: len(pattern)] == pattern[: len(shape)] for pattern in _SECRETS)


def _shape(path: KeyPath) -> tuple[str, ...]:
    """As a pattern has it."""
    return tuple(EACH if isinstance(part, int) else part for part in path)


def _with_variables(document: Document, value: object, path: KeyPath, environment: Mapping[str, str]) -> object:
    if isinstance(value, dict):
        return {key: _with_variables(document, each, (*path, key), environment) for key, each in value.items()}
    if isinstance(value, list):
        return [_with_variables(document, each, (*path, at), environment) for at, each in enumerate(value)]
    if isinstance(value, str) and (variable := _VARIABLE.fullmatch(value)):
        return _variable(document, variable[1], path, environment)
    return value


def _variable(document: Document, name: str, path: KeyPath, environment: Mapping[str, str]) -> object:
    value = environment.get(name)
    document.hidden[path] = f"${{{name}}}"
    if not _NAME.fullmatch(name):
        # `${NAME:-…}`, as others write it, has the secret in it.
        leading = _NAME.match(name)
        document.hidden[path] = f"${{{leading[0] if leading else ''}{CUT}}}"
        shown = quoted(document.hidden[path])
        wrong = (
            f"{shown} is not the name of one (letters, digits and _): "
            "a variable is ${NAME} and nothing else; it takes no default"
        )
    elif value is None:
        wrong = f"the environment variable {name} is not set"
    elif not value:
        wrong = f"the environment variable {name} is empty"
    elif not _encodable(value):
        wrong = f"the environment variable {name} is not UTF-8"
    else:
        return value
    document.report(wrong, *path)
    return UNUSABLE


def _encodable(text: str) -> bool:
    """Octets of the environment that are no UTF-8 come as lone surrogates (PEP 383)."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _put_in_secret(document: Document, holder: KeyPath, key: str, folder: Path) -> None:
    """Replace `key_file` by `key`."""
    entries, twin = document.at(holder), f"{key}_file"
    if not isinstance(entries, dict) or twin not in entries:
        return
    written = entries.pop(twin)
    path = (*holder, twin)
    if key in entries:
        document.report(f"{key} is given too; remove one of the two", *path)
        return
    document.places.lines[(*holder, key)] = document.places.line(*path)
    several = isinstance(written, list)
    files = [((*path, at), each) for at, each in enumerate(written)] if several else [(path, written)]
    secrets = [_from_file(document, each, name, folder) for each, name in files]
    entries[key] = secrets if several else secrets[0]


def _from_file(document: Document, path: KeyPath, name: object, folder: Path) -> object:
    if name is UNUSABLE:
        return UNUSABLE
    if not isinstance(name, str):
        document.report("must be the path of a file", *path)
        return UNUSABLE
    document.secret_files.append(folder / name)
    try:
        return _secret_in(folder / name)
    except _SecretFileError as refused:
        document.report(f"{quoted(document.hidden.get(path, name))} {refused}", *path)
        return UNUSABLE


class _SecretFileError(Exception):
    """Why a file gives no secret, as the end of a sentence about it."""


def _secret_in(path: Path) -> str:
    """The text of the file without the newline that ends it."""
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise _SecretFileError("is not a file")
        with path.open("rb") as file:
            octets = file.read(_LONGEST_SECRET + 1)
    except OSError as broken:
        raise _SecretFileError(f"cannot be read: {broken.strerror}") from None
    except ValueError:  # a NUL in the path
        raise _SecretFileError("is not the path of a file") from None
    if mode & (stat.S_IROTH | stat.S_IWOTH):
        raise _SecretFileError("is open to everyone on this machine; chmod o= it")
    if len(octets) > _LONGEST_SECRET:
        raise _SecretFileError(f"is longer than {_LONGEST_SECRET} octets")
    try:
        text = octets.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise _SecretFileError("is not UTF-8") from None
    if not text:
        raise _SecretFileError("is empty")
    return text
