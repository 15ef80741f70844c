"""docs/reference/yaml.md: every key of the YAML, of the model and its meanings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from docs.site.tables import MADE, anchor, code, sentence, table
from radius_mfa.config.elsewhere import twins_at
from radius_mfa.config.meanings import MEANINGS
from radius_mfa.config.model import Configuration
from radius_mfa.config.schema import default_of, form_within
from radius_mfa.config.section import Section, fields_of

_HEAD = f"""\
# The YAML, key by key

{MADE}
`/etc/radius-mfa/radius-mfa.yaml`, or what `--config` or `$RADIUS_MFA_CONFIG` names. Durations are written `500ms`,
`5s`, `10m`, `24h`, `7d`; `${{NAME}}` as a whole value is an environment variable; relative paths start at the
folder of the file. Only `true` and `false` are booleans, and a key that is not known is an error.
[`config/radius-mfa.yaml`](../../config/radius-mfa.yaml) is a whole file with all of them, and editors complete
keys by the schema that `radius-mfa check --schema` prints.

"""


@dataclass(frozen=True)
class Place:
    """A section, and where it stands: `path` as people write it, `keys` as the loader does."""

    section: type[Section]
    path: str
    keys: tuple[str | int, ...]
    about: str


def page() -> str:
    """All sections, the whole file first."""
    first = Place(Configuration, "", (), "")
    return (_HEAD + "".join(map(_section, (first, *_below(first))))).rstrip("\n") + "\n"


def keys() -> Iterator[str]:
    """Every key, by the path that is its anchor."""
    first = Place(Configuration, "", (), "")
    for place in (first, *_below(first)):
        yield from (_joined(place.path, key) for key in (*fields_of(place.section), *twins_at(place.keys)))


def _below(place: Place) -> Iterator[Place]:
    """The sections inside of one, depth first; `when` is within itself, once."""
    for key, field in fields_of(place.section).items():
        section = _section_in(field.annotation)
        if section is None or section is place.section:
            continue
        listed = get_origin(field.annotation) is tuple
        named = get_origin(field.annotation) is dict
        inside = (*place.keys, key, *((0,) if listed else ("name",) if named else ()))
        below = Place(section, _joined(place.path, key), inside, MEANINGS[place.section.__name__][key])
        yield below
        yield from _below(below)


def _section_in(annotation: Any) -> type[Section] | None:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    return next(filter(None, map(_section_in, get_args(annotation))), None)


def _joined(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _section(place: Place) -> str:
    rows = []
    for key, field in fields_of(place.section).items():
        rows.append((_named(place, key), _type(place, key, field), _default(field), _meaning(place, key)))
    for twin in twins_at(place.keys):
        meaning = f"a file with {code(twin.removesuffix('_file'))} in it instead, closed to others (chmod o=)"
        rows.append((_named(place, twin), "a path", "", sentence(meaning)))
    title = f"## {code(place.path)}\n\n{sentence(place.about)}\n\n" if place.path else "## The whole file\n\n"
    more = "Any other key is the name of an attribute of the request.\n\n" if place.path.endswith("when") else ""
    return title + table(("key", "value", "default", "meaning"), rows) + more


def _named(place: Place, key: str) -> str:
    """With what a link may lead to; a section has its heading for that."""
    field = fields_of(place.section).get(key)
    is_section = field is not None and _section_in(field.annotation) not in (None, place.section)
    return code(key) if is_section else anchor(_joined(place.path, key)) + code(key)


def _meaning(place: Place, key: str) -> str:
    return sentence(MEANINGS[place.section.__name__][key])


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    match default_of(field):
        case None | "":
            return ""
        case bool(switch):
            return code(str(switch).lower())
        case list(several):
            return code(f"[{', '.join(map(str, several))}]")
        case value:
            return code(str(value))


def _type(place: Place, key: str, field: FieldInfo) -> str:
    several = tuple in _origins(field.annotation)
    section = _section_in(field.annotation)
    if section is not None:
        path = place.path if section is place.section else _joined(place.path, key)
        named = get_origin(field.annotation) is dict
        what = "sections" if several else "sections by name" if named else "section"
        return f"[{what}](#{path.replace('.', '')})"
    if dict in _origins(field.annotation):
        return "a mapping"
    kind = _kind(field)
    return f"{kind}; or a list" if several else kind


def _kind(field: FieldInfo) -> str:
    words, form = _words(field.annotation), form_within(field.annotation, tuple(field.metadata))
    if words:
        return ", ".join(map(code, words))
    if Path in _origins(field.annotation):
        return "a path"
    if form.switch:
        return "`true`, `false`"
    if form.duration:
        return form.says.partition(":")[0]
    return form.says or "text"


def _origins(annotation: Any) -> set[Any]:
    """All types that an annotation is made of."""
    inside = (_origins(each) for each in get_args(annotation) if not isinstance(each, str))
    return {get_origin(annotation) or annotation}.union(*inside)


def _words(annotation: Any) -> list[str]:
    if get_origin(annotation) is Literal:
        return [str(each) for each in get_args(annotation)]
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return [str(each.value) for each in annotation]
    return next(filter(None, map(_words, get_args(annotation))), [])
