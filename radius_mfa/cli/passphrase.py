"""The passphrase of a backup: from a file, the environment, or typed; never an argument, which others can see."""

from __future__ import annotations

import os
import stat
import sys
import unicodedata
from pathlib import Path

import click

VARIABLE = "RADIUS_MFA_BACKUP_PASSPHRASE"

_SHORTEST, _LONGEST = 16, 1024  # characters
_DIFFERENT = 8  # characters

passphrase_option = click.option(
    "--passphrase-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help=f"Its first line is the passphrase; else ${VARIABLE} is, else it is asked for.",
)


def passphrase_of(file: Path | None, *, new: bool) -> str:
    """The passphrase; one that is `new` is typed twice, and must not be easily guessed.  Ends with status 2."""
    found = _found(file, new)
    # What is written down may be typed by another keyboard, years later.
    found = unicodedata.normalize("NFC", found)
    if not 0 < len(found) <= _LONGEST:
        raise click.UsageError(f"The passphrase has to have 1 to {_LONGEST} characters.")
    if new and (len(found) < _SHORTEST or len(set(found)) < _DIFFERENT):
        raise click.UsageError(
            f"The passphrase can be guessed: it needs {_SHORTEST} characters, {_DIFFERENT} of them different, "
            "such as `openssl rand -base64 24` gives."
        )
    return found


def _found(file: Path | None, new: bool) -> str:
    if file is not None:
        return _first_line(file)
    if VARIABLE in os.environ:
        return os.environ[VARIABLE]
    if sys.stdin is None or not sys.stdin.isatty():
        raise click.UsageError(
            f"Nobody can be asked for a passphrase: give --passphrase-file, or set ${VARIABLE}."
        )
    typed: str = click.prompt("Passphrase", hide_input=True, confirmation_prompt=new, err=True)
    return typed


def _first_line(file: Path) -> str:
    try:
        with open(file, encoding="utf-8") as text:
            if os.fstat(text.fileno()).st_mode & (stat.S_IRWXO | stat.S_IWGRP):
                raise click.UsageError(f"{file}: can be read or written by others; run `chmod 600 {file}`.")
            return text.readline(_LONGEST + 2).removeprefix("\ufeff").rstrip("\r\n")
    except UnicodeDecodeError:
        raise click.UsageError(f"{file}: is not UTF-8.") from None
    except OSError as error:
        raise click.UsageError(f"{file}: {error.strerror}.") from None
