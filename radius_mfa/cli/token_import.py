"""What `radius-mfa token import` does: look many names up at a time, add many tokens in one transaction.

Every transaction is all of its rows; what ends the import in the middle ends it between two of them, so that
the rows before are kept and the first that is not is known.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from itertools import groupby, zip_longest
from typing import Any

from radius_mfa.assembly.backends import Backends, opened
from radius_mfa.cli.common import look_up, told_to_end
from radius_mfa.cli.token_file import LONGEST_ID, ExportedRow, Line, Problem, Row
from radius_mfa.config.load import Loaded
from radius_mfa.core.enrolment import Seed
from radius_mfa.core.errors import DirectoryError, StoreError
from radius_mfa.core.messages import User

_AT_ONCE = 500  # rows a transaction
_LOOKUPS = 32  # names looked up at the same time
_PATIENCE = 30.0  # seconds for the look-ups of a transaction
_SHORT = 14  # octets: 112 bits

_TokenRow = Row | ExportedRow
_Found = Seed | Problem | DirectoryError
_Progress = Callable[[int], object]


@dataclass(slots=True)
class Imported:
    """What came of a file.  `short`: lines of the seeds below 112 bits that were added.

    `left`: the first line that nothing was done about, how many there are, and why; None when there are none.
    """

    added: int = 0
    problems: list[Problem] = field(default_factory=list)
    short: list[int] = field(default_factory=list)
    left: tuple[int, int, str] | None = None


async def import_tokens(loaded: Loaded, lines: Sequence[Line], offline: bool, progress: _Progress) -> Imported:
    """Add the tokens of a file that was read.  `progress` is told how many lines have been done since."""
    result = Imported(problems=[each for each in lines if isinstance(each, Problem)])
    rows = [each for each in lines if not isinstance(each, Problem)]
    progress(len(result.problems))
    ended = told_to_end()
    done = 0
    async with opened(loaded) as backends, aclosing(_looked_up(backends, rows, offline, ended)) as batches:
        async for some, found in batches:
            if found is None:
                result.left = (some[0].line, len(rows) - done, "the import was stopped")
                break
            try:
                await _add(backends, list(zip(some, found, strict=True)), result)
            except StoreError as broken:
                result.left = (some[0].line, len(rows) - done, str(broken))
                break
            done += len(some)
            progress(len(some))
            if done < len(rows) and all(isinstance(each, DirectoryError) for each in found):
                result.left = (rows[done].line, len(rows) - done, str(found[-1]))
                break
    result.problems.sort(key=lambda problem: problem.line)
    return result


def _batches(rows: Sequence[_TokenRow]) -> Iterator[Sequence[_TokenRow]]:
    """What becomes a transaction: neighbours that are all confirmed, or all not."""
    for _, group in groupby(rows, key=_is_confirmed):
        same = list(group)
        for start in range(0, len(same), _AT_ONCE):
            yield same[start : start + _AT_ONCE]


async def _looked_up(
    backends: Backends, rows: Sequence[_TokenRow], offline: bool, ended: asyncio.Event
) -> AsyncGenerator[tuple[Sequence[_TokenRow], Sequence[_Found] | None], None]:
    """Each batch and what its rows are; with None, the last, once the process is asked to end.

    The next is looked up while one is added: directory and store work at the same time.
    """
    ending = asyncio.ensure_future(ended.wait())
    looking: asyncio.Future[list[_Found]] | None = None
    try:
        batches = list(_batches(rows))
        for some, following in zip_longest(batches, batches[1:]):
            current = looking = looking or asyncio.ensure_future(_seeds_of(backends, some, offline))
            either: set[asyncio.Future[Any]] = {current, ending}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if ended.is_set():
                yield some, None
                return
            looking = asyncio.ensure_future(_seeds_of(backends, following, offline)) if following else None
            yield some, await current
    finally:
        left = [each for each in (ending, looking) if each is not None]
        for each in left:
            each.cancel()
        await asyncio.gather(*left, return_exceptions=True)


async def _seeds_of(backends: Backends, rows: Sequence[_TokenRow], offline: bool) -> list[_Found]:
    """For each row its seed, or why there is none."""
    looking = asyncio.Semaphore(_LOOKUPS)
    deadline = backends.soon(_PATIENCE)

    async def seed_of(row: _TokenRow) -> _Found:
        if isinstance(row, ExportedRow):
            return _opened(backends, row)
        if offline:
            if len(row.username.encode()) > LONGEST_ID:
                return Problem(row.line, "not an id of a directory", row.username)
            return Seed(row.username, "", row.secret, row.label)
        async with looking:
            try:
                found = await look_up(backends.directory, row.username, deadline)
            except DirectoryError as broken:
                return broken
        if not isinstance(found, User):
            return Problem(row.line, found.value.replace("_", " "), row.username)
        if not found.active:
            return Problem(row.line, "not activated", row.username)
        return Seed(found.id, found.username, row.secret, row.label)

    return await asyncio.gather(*map(seed_of, rows))


def _opened(backends: Backends, row: ExportedRow) -> Seed | Problem:
    """Of what was exported here; the seal says whose it is and the rest, so nobody is asked."""
    octets = backends.enrolment.imported(row.sealed, row.said)
    if octets is None:
        text = "its seal does not open: another key file, or a row that was changed"
        return Problem(row.line, text, row.username or row.user_id)
    return Seed(row.user_id, row.username, octets, row.label, row.last_step, row.drift)


async def _add(backends: Backends, found: Sequence[tuple[_TokenRow, _Found]], result: Imported) -> None:
    """Add what there is to add; nothing is noted until it is in the store."""
    problems: list[Problem] = []
    good: list[tuple[_TokenRow, Seed]] = []
    for row, each in found:
        if isinstance(each, Seed):
            good.append((row, each))
        else:
            problems.append(each if isinstance(each, Problem) else Problem(row.line, str(each), row.username))
    seeds = [seed for _, seed in good]
    added = await backends.enrolment.add(seeds, confirmed=_is_confirmed(found[0][0]))
    for (row, seed), new in zip(good, added, strict=True):
        if not new:
            problems.append(Problem(row.line, "has this secret already", row.username or seed.user_id))
            continue
        result.added += 1
        if len(seed.octets) < _SHORT:
            result.short.append(row.line)
    result.problems += problems


def _is_confirmed(row: _TokenRow) -> bool:
    """Whether codes of it are good at a login, without a first one being shown."""
    return isinstance(row, Row) or row.confirmed
