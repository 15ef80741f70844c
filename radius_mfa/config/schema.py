"""What the YAML may say as a JSON Schema (2020-12), for editors: config/schema.json.  `check --schema` prints it.

It is made of the model (keys, types, defaults), of `meanings`, and of what `forms` says of its parsers.
It knows what a single value may be, and nothing of what must hold between values: that is `check`'s.

Editors read YAML 1.2, in which a number without quotes is one; ours is text, so both forms pass.
"""

from __future__ import annotations

import json
import re
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints
from zoneinfo import ZoneInfo

from annotated_types import MaxLen, MinLen
from pydantic import BeforeValidator, PlainValidator
from pydantic.fields import FieldInfo

from radius_mfa.config.document import KeyPath
from radius_mfa.config.elsewhere import twins_at
from radius_mfa.config.forms import Form, form_of
from radius_mfa.config.meanings import MEANINGS
from radius_mfa.config.model import Configuration
from radius_mfa.config.section import Section
from radius_mfa.config.storage import Storage

Schema = dict[str, Any]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_VARIABLE: Schema = {
    "description": "an environment variable, as the whole value",
    "type": "string",
    "pattern": r"^\$\{[A-Za-z_][A-Za-z0-9_]*\}$",
}
_IS_VARIABLE: Schema = {"$ref": "#/$defs/variable"}
_TEXT: Schema = {"type": ["string", "number"]}
_ATTRIBUTE = "^[A-Z0-9]|^[a-z][^-]*-"  # no key of ours has a dash in it
_PATH: Schema = {"type": "string"}
_FILE: Schema = {"description": "the path of a file with it, closed to others (chmod o=)"}
_UNITS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}  # of milliseconds


def schema() -> Schema:
    """The schema of the whole file."""
    writer = _Writer()
    whole = writer.section(Configuration, ())
    return {"$schema": _DIALECT, "title": "radius_mfa", **whole, "$defs": dict(sorted(writer.defined.items()))}


def as_json() -> str:
    """The same as a file has it."""
    return json.dumps(schema(), ensure_ascii=False, indent=2) + "\n"


class _Writer:
    """Writes a section for each class of the model, once."""

    def __init__(self) -> None:
        self.defined: dict[str, Schema] = {"variable": _VARIABLE}

    def section(self, model: type[Section], path: KeyPath) -> Schema:
        """A mapping of these keys, and no others; `path`: where it, or the first of its kind, stands."""
        fields = {field.alias or name: field for name, field in model.model_fields.items()}
        said = MEANINGS[model.__name__]
        keys = {key: self._key(field, (*path, key), said[key]) for key, field in fields.items()}
        required = [key for key, field in fields.items() if field.is_required()]
        written: Schema = {"type": "object", "properties": keys, "additionalProperties": False}
        choices: list[Schema] = []
        for twin in twins_at(path):
            key = twin.removesuffix("_file")
            several = get_origin(fields[key].annotation) is tuple
            keys[twin] = _FILE | (_any_of(_PATH, _array(_PATH)) if several else _PATH)
            if key in required:
                required.remove(key)
                choices.append({"oneOf": [{"required": [key]}, {"required": [twin]}]})
            else:
                choices.append({"not": {"required": [key, twin]}})
        if model.model_config.get("extra") == "allow":  # what is named as an attribute of RADIUS is
            extra = get_type_hints(model, include_extras=True)["__pydantic_extra__"]
            written["patternProperties"] = {_ATTRIBUTE: self._value(get_args(extra)[1], (), (*path, "A"))}
        more = {"required": required, "allOf": choices}
        return written | {key: each for key, each in more.items() if each}

    def _key(self, field: FieldInfo, path: KeyPath, said: str) -> Schema:
        metadata = tuple(field.metadata)
        written = self._value(field.annotation, metadata, path)
        description = "; ".join(filter(None, (said, form_within(field.annotation, metadata).says)))
        written = {"description": description, **written}
        default = default_of(field)
        return written if default is None else {**written, "default": default}

    def _value(self, annotation: Any, metadata: tuple[Any, ...], path: KeyPath) -> Schema:
        annotation, metadata = _bare(annotation, metadata)
        for each in metadata:
            if isinstance(each, PlainValidator):
                return _scalar(form_of(each.func))
        lone = any(form_of(each.func).lone for each in metadata if isinstance(each, BeforeValidator))
        arguments = [each for each in get_args(annotation) if each is not NoneType]
        match get_origin(annotation):
            case origin if origin in (Union, UnionType):
                return _any_of(*(self._value(each, metadata, path) for each in arguments))
            case origin if origin is Literal:
                return _words(*arguments)
            case origin if origin is tuple:
                item = self._value(arguments[0], (), (*path, 0))
                written = _array(item) | _lengths(metadata)
                return _any_of(item, written) if lone else written
            case origin if origin is dict:
                item = self._value(arguments[1], (), (*path, "name"))
                written = {"type": "object", "additionalProperties": item}
                return _any_of(item, written) if lone else written
        if issubclass(annotation, Enum):
            return _words(*(each.value for each in annotation))
        return self._defined(annotation, path)

    def _defined(self, model: type[Section], path: KeyPath) -> Schema:
        name = model.__name__
        if name not in self.defined:
            self.defined[name] = {}  # a section may be within itself
            self.defined[name].update(self.section(model, path))
        return {"$ref": f"#/$defs/{name}"}


# --- values -------------------------------------------------------------------------------------


def _bare(annotation: Any, metadata: tuple[Any, ...]) -> tuple[Any, tuple[Any, ...]]:
    """A type without `Annotated` around it, and all that this and `Field` say of it."""
    while get_origin(annotation) is Annotated:
        annotation, *more = get_args(annotation)
        for each in more:
            metadata += tuple(each.metadata) if isinstance(each, FieldInfo) else (each,)
    return annotation, metadata


def form_within(annotation: Any, metadata: tuple[Any, ...]) -> Form:
    """How one value of it is written, however many there may be."""
    annotation, metadata = _bare(annotation, metadata)
    for each in metadata:
        if isinstance(each, PlainValidator):
            return form_of(each.func)
    inside = [each for each in get_args(annotation) if get_origin(each) is Annotated]
    return form_within(inside[0], ()) if inside else Form()


def _scalar(form: Form) -> Schema:
    if form.switch:
        return {"type": "boolean"}
    if form.numbers:
        least, most = form.numbers
        number = {"type": "integer", "minimum": least, "maximum": most}
        return _any_of(number, {"type": "string", "pattern": "^[0-9]{1,9}$"}, _IS_VARIABLE)
    if form.texts:
        mapping = {"type": "object", "additionalProperties": _TEXT, "minProperties": 1}
        return _any_of(mapping, _words(*form.words))
    if form.pattern:
        kind = _TEXT if form.digits else _PATH
        return _any_of({**kind, "pattern": f"^(?:{form.pattern})$"}, _IS_VARIABLE)
    return _TEXT if form.longest is None else {**_TEXT, "maxLength": form.longest}


def _words(*words: str) -> Schema:
    """One of them.  1.2 without quotes is a number to an editor."""
    numbers = [float(each) for each in words if re.fullmatch(r"[0-9]+\.[0-9]+", each)]
    return _any_of({"enum": [*words, *numbers]}, _IS_VARIABLE)


def _array(item: Schema) -> Schema:
    return {"type": "array", "items": item}


def _lengths(metadata: tuple[Any, ...]) -> Schema:
    found: Schema = {}
    for each in metadata:
        match each:
            case MinLen(min_length=least):
                found["minItems"] = least
            case MaxLen(max_length=most):
                found["maxItems"] = most
    return found


def _any_of(*schemas: Schema) -> Schema:
    """One of them, each said once, however deep in choices it was."""
    flat: list[Schema] = []
    for schema in schemas:
        for each in schema["anyOf"] if schema.keys() == {"anyOf"} else [schema]:
            if each not in flat:
                flat.append(each)
    return {"anyOf": flat} if len(flat) > 1 else flat[0]


# --- defaults -----------------------------------------------------------------------------------


def default_of(field: FieldInfo) -> Any:
    """As it would be written; None where there is none, where it cannot be written, or would say nothing."""
    if field.is_required():
        return None
    form = form_within(field.annotation, tuple(field.metadata))
    return _shown(field.get_default(call_default_factory=True), form)


def _shown(value: object, form: Form) -> Any:
    match value:
        case Enum():
            return value.value
        case float() if form.duration:
            return _duration(value)
        case bool() | int() | str():
            return value
        case tuple():
            return [_shown(each, form) for each in value]
        case ZoneInfo():
            return value.key
        case Path():
            return str(value)
        case Storage(path=Path() as path):
            return f"sqlite:///{path}"
    return None


def _duration(seconds: float) -> str:
    milliseconds = round(seconds * 1000)
    unit = next(unit for unit, size in _UNITS.items() if milliseconds % size == 0)
    return f"{milliseconds // _UNITS[unit]}{unit}"
