"""Transactions, written once for every engine.

A piece of work is a generator: it yields a statement with its parameters, is sent the rows, and returns
its result.  Whether an engine runs it on the event loop, in a thread or over a network is not its
business; nor is when it begins and commits.  It may be run again from the start, so it changes nothing
but through its statements.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Sequence
from functools import cache
from itertools import count
from typing import Any, TypeVar

T = TypeVar("T")


class Statement:
    """SQL that SQLite and PostgreSQL both understand, with a `?` for each parameter.

    Whoever wants to know how many rows were changed has it say `RETURNING 1`.

    `types`: those of the parameters in PostgreSQL, of a question that may be asked for many at once; the order
    of its rows is nothing to rely on then.  `together`: that question, each parameter an array; in front of each
    row it says which of them it answers, from 1.
    """

    __slots__ = ("postgresql", "sqlite", "together")

    def __init__(self, text: str, *, types: str = "") -> None:
        numbers = count(1)
        self.sqlite = text
        self.postgresql = re.sub(r"\?", lambda _: f"${next(numbers)}", text)
        self.together = ""
        if types:
            columns = ", ".join(f"p{place} {each}" for place, each in enumerate(types.split(), 1))
            own = re.sub(r"\$(\d+)", r"given.p\1", self.postgresql)
            self.together = f"SELECT given.number, own.* FROM {given(columns)} CROSS JOIN LATERAL ({own}) own"

    def __call__(self, *parameters: Any) -> Step:
        """What a piece of work yields."""
        return self, parameters


class Chain:
    """Statements each of which is done only where the one before it has changed something.

    What comes back is a row for each that was done.  In SQLite they are done one by one; in PostgreSQL `together`
    does all of them, of as many as are asked for at once, since each would be a journey.  The parameters stand
    in the order of the statements.
    """

    __slots__ = ("sqlite", "together")

    def __init__(self, statements: Sequence[str], *, together: str) -> None:
        """`together`: as in Statement."""
        self.sqlite: list[tuple[str, slice]] = []
        self.together = together
        taken = 0
        for text in statements:
            first, taken = taken, taken + text.count("?")
            self.sqlite.append((text, slice(first, taken)))

    def __call__(self, *parameters: Any) -> Step:
        """What a piece of work yields."""
        return self, parameters


def given(columns: str) -> str:
    """The parameters as a table `given` in PostgreSQL, each an array, and the `number` of each row, from 1.

    `columns`: name and type of each parameter, with commas between.
    """
    names, types = zip(*(each.split() for each in columns.split(",")), strict=True)
    arrays = ", ".join(f"${place}::{each}[]" for place, each in enumerate(types, 1))
    return f"unnest({arrays}) WITH ORDINALITY AS given({', '.join(names)}, number)"


def of_rows(text: str, columns: int) -> Callable[[int], Statement]:
    """A statement for so many rows at once, by how many: `{rows}` becomes a `(?, …)` of the columns for each."""
    row = f"({', '.join('?' * columns)})"

    @cache
    def statement(count: int) -> Statement:
        return Statement(text.replace("{rows}", ", ".join([row] * count)))

    return statement


Step = tuple[Statement | Chain, tuple[Any, ...]]
Rows = Sequence[Sequence[Any]]
Work = Generator[Step, Rows, T]
