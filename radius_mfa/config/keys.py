"""Which keys may stand where in the YAML."""

from __future__ import annotations

from typing import Any, get_origin

from radius_mfa.config.model import Configuration
from radius_mfa.config.section import Section, fields_of


def keys_at(path: tuple[str | int, ...]) -> tuple[str, ...]:
    """The keys that may stand in the mapping at `path`; none where it is not one of fixed keys."""
    section: Any = Configuration
    named = False  # whether what comes next is a name of the administrator's
    for part in path:
        if isinstance(part, int) or named:
            named = False
            continue
        field = fields_of(section).get(part) if section else None
        section = _section_in(field.annotation) if field else None
        named = field is not None and get_origin(field.annotation) is dict
    return tuple(fields_of(section)) if section and not named else ()


def _section_in(annotation: Any) -> type[Section] | None:
    """The section inside `Section | None` or `tuple[Section, ...]`."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    inside = (_section_in(each) for each in getattr(annotation, "__args__", ()))
    return next(filter(None, inside), None)
