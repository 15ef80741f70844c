"""How the values of the YAML are written, said in a way that a program can hand on: to editors, in the schema.

What a value is and whether it is right only its parser says: a form may pass what is wrong, and passes what is
right as manuals write it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

Written = TypeVar("Written", contravariant=True)
Value = TypeVar("Value", covariant=True)


@dataclass(frozen=True, slots=True)
class Form:
    """How a value is written.

    `says`: that in a few words.  `pattern`: of the whole text, in what the regular expressions of Python and
    ECMA 262 have in common.  `digits`: whether that may be digits alone, which an editor takes for a number.
    `longest`: characters of it.  `numbers`: of a whole number, the least and the most.
    `words`: what else it may be; `texts`: or a mapping of names to texts.
    `duration`: seconds in the model, and `10m` in the file.  `switch`: true or false.
    `lone`: of a list or a mapping: a value alone stands for a list of one, or for a mapping of all to it.
    """

    says: str = ""
    pattern: str = ""
    digits: bool = False
    longest: int | None = None
    numbers: tuple[int, int] | None = None
    words: tuple[str, ...] = ()
    texts: bool = False
    duration: bool = False
    switch: bool = False
    lone: bool = False


@dataclass(frozen=True, slots=True)
class Parser(Generic[Written, Value]):
    """What makes a value of what is written, or raises ValueError; and how that is written."""

    parse: Callable[[Written], Value]
    form: Form

    def __call__(self, written: Written) -> Value:
        return self.parse(written)


def written(form: Form) -> Callable[[Callable[[Written], Value]], Parser[Written, Value]]:
    """Says of a parser how what it takes is written."""
    return lambda parse: Parser(parse, form)


def form_of(parse: object) -> Form:
    """How what `parse` takes is written: any text, where nothing more is known."""
    return parse.form if isinstance(parse, Parser) else Form()
