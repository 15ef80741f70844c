"""From the administrator's file to a `Configuration`, or to every problem in it at once.

Each problem is one line, `FILE:LINE: key.path: what is wrong, what to do`.  A later stage does not
report again what an earlier one has found wrong, and no stage stops the next.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from radius_mfa.config.check import check, check_files, warn
from radius_mfa.config.dictionaries import with_dictionaries
from radius_mfa.config.document import UNUSABLE, Document, KeyPath, Places, Problem, read_document
from radius_mfa.config.elsewhere import cut_keys, fill, has_secrets, refuse_mappings, twins_at
from radius_mfa.config.messages import check_messages
from radius_mfa.config.model import Configuration
from radius_mfa.config.unknown import misnamed_condition, unknown_key
from radius_mfa.core.errors import ConfigurationError

if TYPE_CHECKING:
    from radius_mfa.wire.dictionary import Dictionary

_LARGEST = 1 << 20  # octets; a thousand clients take a tenth of it


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration, what the administrator should know about it, where its keys stand, its secrets' files.

    `document`: what it was made of, as it was read and filled: the secrets are in there.
    `dictionary`: the one it was checked with, with the files in `dictionaries`; None: with none.
    """

    configuration: Configuration
    warnings: tuple[str, ...]
    places: Places
    secret_files: tuple[Path, ...]
    document: Document = field(repr=False)
    dictionary: Dictionary | None = field(default=None, repr=False)


def load(path: Path, environment: Mapping[str, str], dictionary: Dictionary | None = None) -> Loaded:
    """The configuration in the file `path`.

    `environment`: what `${NAME}` stands for.  `dictionary`: checks what policies return, where given.
    Raises ConfigurationError with every problem, in the order of the file's lines.
    """
    return _load(path, environment, dictionary, usable=False, in_force=False)


def load_usable(
    path: Path, environment: Mapping[str, str], dictionary: Dictionary | None = None, *, in_force: bool = False
) -> Loaded:
    """As `load`, and what is wrong with files that it names is among the problems.  `in_force`: see `judged`."""
    return _load(path, environment, dictionary, usable=True, in_force=in_force)


def _load(
    path: Path, environment: Mapping[str, str], dictionary: Dictionary | None, *, usable: bool, in_force: bool
) -> Loaded:
    document, folder = read_document(str(path), _read(path)), path.absolute().parent
    cut_keys(document)
    refuse_mappings(document)
    if isinstance(document.data, dict):
        fill(document, environment, folder)
    return judged(document, folder, dictionary, usable=usable, in_force=in_force)


def judged(
    filled: Document, folder: Path, dictionary: Dictionary | None, *, usable: bool, in_force: bool = False
) -> Loaded:
    """What the document of a file in `folder` comes to, which stays as it is.  Raises ConfigurationError.

    `in_force`: a server works under it, or is to: that a certificate has expired is a warning then, since there
    are other logins.
    """
    extended = None
    document = replace(filled, problems=[*filled.problems], warnings=[*filled.warnings])
    configuration = None
    if isinstance(document.data, dict):
        configuration = _validate(document, folder)
        extended = with_dictionaries(document, folder, dictionary)
        told = len(document.problems)
        check(document, extended)
        _once(document, told)
        if usable:
            check_files(document, folder, in_force=in_force)
            check_messages(document, folder)
    elif not document.problems:
        empty = document.data is UNUSABLE
        document.report("is empty" if empty else "must be a mapping of keys (listen: …, clients: …)")
    if configuration is None or document.problems:
        raise ConfigurationError(*_shown(document.places, document.problems))
    warn(document, configuration)
    warnings = _shown(document.places, document.warnings)
    return Loaded(configuration, warnings, document.places, tuple(document.secret_files), filled, extended)


def _once(document: Document, told: int) -> None:
    """Take back what was reported of values of which the first `told` problems say something already."""
    before = {each.path for each in document.problems[:told] if not isinstance(document.at(each.path), dict)}
    document.problems[told:] = [each for each in document.problems[told:] if each.path not in before]


def _shown(places: Places, problems: list[Problem]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(places.shown(problem) for problem in sorted(problems)))


def _read(path: Path) -> str:
    """The text of the file.  Raises ConfigurationError."""
    places = Places(str(path), {})
    try:
        with path.open("rb") as file:
            octets = file.read(_LARGEST + 1)
    except OSError as broken:
        raise ConfigurationError(places.shown(Problem(0, (), f"cannot be read: {broken.strerror}"))) from None
    if len(octets) > _LARGEST:
        raise ConfigurationError(places.shown(Problem(0, (), f"is longer than {_LARGEST} octets")))
    try:
        return octets.decode("utf-8-sig")
    except UnicodeDecodeError as broken:
        line = octets.count(b"\n", 0, broken.start) + 1
        raise ConfigurationError(places.shown(Problem(line, (), "is not UTF-8 here"))) from None


# --- the model's errors in words ----------------------------------------------------------------


def _validate(document: Document, folder: Path) -> Configuration | None:
    """The configuration; None, with the problems reported, where there is none."""
    try:
        return Configuration.model_validate(document.data, context={"folder": folder})
    except ValidationError as invalid:
        # Without `input`: what is shown of a value is what was written, never what was put in for it.
        errors = invalid.errors(include_url=False, include_input=False)
    for error in errors:
        path = document.as_written(error["loc"])
        if misnamed := misnamed_condition(path):
            document.report(unknown_key(misnamed), *misnamed)
        elif error["type"] == "missing":
            document.report(_missing(error["loc"]), *error["loc"])
        elif _new(document, path, error):
            document.report(_words(document, path, error), *path)
    return None


def _new(document: Document, path: KeyPath, error: Mapping[str, Any]) -> bool:
    """Whether nothing else says it: a list with wrong items only is "too short" besides."""
    value = document.at(path)
    return value is not UNUSABLE and (error["type"] != "too_short" or value == [])


def _missing(path: KeyPath) -> str:
    twin = f"{path[-1]}_file"
    return f"is missing; add it, or {twin}" if twin in twins_at(path[:-1]) else "is missing"


def _words(document: Document, path: KeyPath, error: Mapping[str, Any]) -> str:
    """What is wrong at `path`, in one line."""
    context = error.get("ctx", {})
    match error["type"]:
        case "extra_forbidden":
            return unknown_key(path)
        case "value_error":
            text = str(context["error"])
        case "literal_error" | "enum":
            text = f"must be {context['expected']}, not {{it}}".replace("'", "")
        case "too_short":
            text = "must not be empty"
        case "too_long":
            text = f"takes {context['max_length']} at most"
        case "tuple_type":
            text = "must be a list, each item behind a - and a space, not {it}"
        case "model_type" | "model_attributes_type" | "dict_type":
            text = "must be a mapping of keys and values, not {it}"
            if isinstance(document.at(path), list):
                text += "; write its keys without - or [ ]"
        case _:
            text = "cannot be used"
    # Where a text stands for what has a secret in it, it may be the secret.
    hidden = has_secrets(path) and isinstance(document.at(path), str) and path not in document.hidden
    return text.replace("{it}", "a text" if hidden else document.written(path))
