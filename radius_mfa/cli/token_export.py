"""What `radius-mfa token export` does: all tokens as CSV, a page at a time."""

from __future__ import annotations

import base64
import csv
import io
import os
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from radius_mfa.assembly.backends import Backends, opened
from radius_mfa.cli.common import is_one_line, refuse
from radius_mfa.cli.token_file import LONGEST_LABEL, NO, PLAIN, SEALED, YES
from radius_mfa.config.load import Loaded
from radius_mfa.core.kept import TokenRecord
from radius_mfa.factors.totp import base32

_PAGE = 1000  # tokens


@dataclass(slots=True)
class Exported:
    """How many rows were written, and what a plain export leaves out.

    `open`: tokens that no first code has confirmed; `nameless`: those of users whose name is not known;
    `closed`: those whose seal does not open, as lines to show.
    """

    written: int = 0
    open: int = 0
    nameless: int = 0
    closed: list[str] = field(default_factory=list)


async def export_tokens(loaded: Loaded, output: Path | None, plain: bool) -> Exported:
    """Write all tokens to `output`, or to stdout."""
    result = Exported()
    async with opened(loaded) as backends:

        def row_of(record: TokenRecord) -> Sequence[object] | None:
            return (_plain if plain else _sealed)(backends, record, result)

        with _written(output) as stream:
            rows = csv.writer(stream, lineterminator="\n")
            rows.writerow(PLAIN if plain else SEALED)
            async for page in _pages(backends):
                some = [row for row in map(row_of, page) if row is not None]
                rows.writerows(some)
                result.written += len(some)
    return result


async def _pages(backends: Backends) -> AsyncIterator[Sequence[TokenRecord]]:
    after = ""
    while page := await backends.store.tokens(after, _PAGE):
        yield page
        after = page[-1].token.id


def _sealed(backends: Backends, record: TokenRecord, result: Exported) -> Sequence[str] | None:
    """As SEALED has it, the seal over all the rest; None for what does not open, and is named."""
    token = record.token
    confirmed = YES if token.confirmed else NO
    clock = (str(token.drift), str(token.last_step))
    said = (token.user_id, record.username, _in_one_line(token.label), confirmed, *clock, token.id)
    sealed = backends.enrolment.exported(token, said)
    if sealed is None:
        result.closed.append(_closed(record))
        return None
    return (*said, base64.b64encode(sealed).decode())


def _closed(record: TokenRecord) -> str:
    return f"{record.username or record.token.user_id}: token {record.token.id} does not open with this key file"


def _plain(backends: Backends, record: TokenRecord, result: Exported) -> Sequence[object] | None:
    """As PLAIN has it; None for what is left out, and counted."""
    token = record.token
    if not token.confirmed:
        result.open += 1
        return None
    if not record.username:
        result.nameless += 1
        return None
    seed = backends.enrolment.seed_of(token)
    if seed is None:
        result.closed.append(_closed(record))
        return None
    return record.username, base32(seed), _in_one_line(token.label)


def _in_one_line(label: str) -> str:
    """What `token import` takes again: a label from before there was a rule, too."""
    return "".join(each if is_one_line(each) else " " for each in label)[:LONGEST_LABEL]


@contextmanager
def _written(output: Path | None) -> Iterator[TextIO]:
    """What is written to: a new file that only its owner may read, there as a whole or not at all; or stdout."""
    if output is None:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(encoding="utf-8")
        yield sys.stdout
        sys.stdout.flush()
        return
    try:
        number = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        refuse(f"{output}: is there already, and is not replaced")
    except OSError as error:
        refuse(f"{output}: {error.strerror}")
    try:
        with open(number, "w", encoding="utf-8", newline="") as stream:
            yield stream
            stream.flush()
            os.fsync(number)
    except OSError as error:
        output.unlink(missing_ok=True)
        refuse(f"{output}: {error.strerror}; nothing was kept")
    except BaseException:
        output.unlink(missing_ok=True)
        raise
