"""`radius-mfa token`."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from radius_mfa.cli.common import (
    PATIENCE,
    by_id_option,
    config_option,
    find_user,
    json_option,
    load_configuration,
    refuse,
    run,
    warn,
)

if TYPE_CHECKING:
    from radius_mfa.cli.token_export import Exported
    from radius_mfa.cli.token_file import Line
    from radius_mfa.cli.token_import import Imported
    from radius_mfa.core.enrolment import Resync

_NAMED = 5  # lines that a warning names


@click.group(no_args_is_help=False)
@config_option
def token() -> None:
    """TOTP tokens: in bulk, and one that has lost its time."""


# --- import ---------------------------------------------------------------------------------------


@token.command("import")
@config_option
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--offline", is_flag=True, help="Take the names for directory ids; look nothing up.")
@json_option
def import_(file: Path, offline: bool, as_json: bool) -> None:
    """Import TOTP tokens from FILE.

    That is CSV with the header `username,secret` (the secret in base32, or an otpauth:// address; `label`,
    `digits`, `period` and `algorithm` may be there too), otpauth:// addresses, one a line, or what `token
    export` has written.  But for the latter, the users must be activated, and the tokens are taken as
    confirmed.  A bad row is named by its line and the good ones are kept; then the exit status is 1.
    """
    from radius_mfa.cli.token_import import import_tokens

    loaded = load_configuration()
    lines = _read(file)
    stderr = sys.stderr
    shown = bool(lines) and stderr.isatty()
    with click.progressbar(length=len(lines), label="importing", file=stderr, hidden=not shown) as bar:
        result = run(import_tokens(loaded, lines, offline, bar.update))
    if as_json:
        click.echo(json.dumps(_record(result), ensure_ascii=False))
    else:
        _say(file, result)
    missing = len(result.problems) + (result.left[1] if result.left else 0)
    if missing:
        where = "" if as_json else ", see above"
        refuse(f"{file}: {_rows(missing)} {'was' if missing == 1 else 'were'} not imported{where}")


def _read(file: Path) -> Sequence[Line]:
    from radius_mfa.cli.token_file import NoTokenFileError, read

    try:
        with file.open("rb") as octets:
            return list(read(octets))
    except NoTokenFileError as error:
        refuse(f"{file}:1: {error}")
    except OSError as error:
        refuse(f"{file}: {error.strerror}")


def _say(file: Path, result: Imported) -> None:
    for problem in result.problems:
        click.echo(f"{file}:{problem.line}: {problem}", err=True)
    left = ""
    if result.left is not None:
        line, rows, why = result.left
        left = f", {rows} not tried"
        click.echo(f"{file}:{line}: nothing was done from here on, {_rows(rows)}: {why}", err=True)
    if result.short:
        some = ", ".join(map(str, sorted(result.short)[:_NAMED])) + (", …" if len(result.short) > _NAMED else "")
        warn(
            f"{file}: {_rows(len(result.short))} with a secret of less than 112 bits (line {some}): "
            "better replace those tokens some time"
        )
    click.echo(f"{result.added} imported, {len(result.problems)} refused{left}")


def _record(result: Imported) -> dict[str, object]:
    left = dict(zip(("line", "rows", "reason"), result.left, strict=True)) if result.left else None
    return {
        "imported": result.added,
        "refused": [
            {"line": each.line, "username": each.username or None, "reason": each.text} for each in result.problems
        ],
        "short_secrets": sorted(result.short),
        "not_tried": left,
    }


def _rows(number: int) -> str:
    return f"{number} row{'' if number == 1 else 's'}"


# --- export ---------------------------------------------------------------------------------------


@token.command()
@config_option
@click.option("--output", type=click.Path(path_type=Path), metavar="FILE", help="A new file, instead of stdout.")
@click.option("--plain", is_flag=True, help="Secrets in clear text, for another server.")
@click.option("--yes", is_flag=True, help="With --plain: do not ask.")
def export(output: Path | None, plain: bool, yes: bool) -> None:
    """Export all TOTP tokens as CSV.

    The secrets stay sealed: without the key file they are worth nothing, and `token import` takes them
    where there is the same one.  With --plain it is what any server can import, of the tokens that are confirmed.
    """
    from radius_mfa.cli.token_export import export_tokens

    loaded = load_configuration()
    if plain and not yes:
        _confirm(output)
    result = run(export_tokens(loaded, output, plain))
    for text in _left_out(result):
        click.echo(text, err=True)
    if output is not None:
        click.echo(f"{output}: {result.written} token{'' if result.written == 1 else 's'}")
    if result.closed:
        refuse(f"{len(result.closed)} tokens could not be opened, see above")


def _confirm(output: Path | None) -> None:
    if not sys.stdin.isatty():
        refuse("--plain: writes every secret in clear text: give --yes where nobody can be asked")
    where = output or "the output"
    click.echo(f"{where} will hold every secret in clear text: whoever reads it can log in as anybody.", err=True)
    if click.prompt("Type yes to go on", default="", show_default=False, err=True).strip().casefold() != "yes":
        refuse("nothing was exported")


def _left_out(result: Exported) -> Sequence[str]:
    texts = list(result.closed)
    if result.open:
        texts.append(f"{result.open} left out: no first code has confirmed them")
    if result.nameless:
        texts.append(f"{result.nameless} left out: the user's name is not known (a sealed export has them)")
    return texts


# --- resync ---------------------------------------------------------------------------------------


@token.command()
@config_option
@click.argument("username", metavar="USER")
@click.argument("first", metavar="CODE")
@click.argument("second", metavar="CODE")
@by_id_option
@json_option
def resync(username: str, first: str, second: str, by_id: bool, as_json: bool) -> None:
    """Learn from two codes in a row how far the clock of USER's device is off, up to an hour."""
    run(_resync(username, first, second, by_id, as_json))


async def _resync(username: str, first: str, second: str, by_id: bool, as_json: bool) -> None:
    from radius_mfa.assembly.backends import opened
    from radius_mfa.core.enrolment import Resync
    from radius_mfa.factors.totp import PERIOD

    async with opened(load_configuration()) as backends:
        found = await find_user(backends, username, by_id)
        user_id, name = found.id, found.username
        done = await backends.enrolment.resync(user_id, first, second, backends.soon(PATIENCE))
    if isinstance(done, Resync):
        refuse(f"{name}: {_why_not(done)}")
    token_id, seconds = done.token_id, done.drift * PERIOD
    if as_json:
        record = {"id": user_id, "username": name, "token": token_id, "seconds_ahead": seconds}
        click.echo(json.dumps(record, ensure_ascii=False))
    else:
        click.echo(f"{name}: the clock of the device is {_off(seconds)}; its codes are accepted from now on")


def _why_not(done: Resync) -> str:
    from radius_mfa.core.enrolment import Resync

    if done is Resync.NO_TOKEN:
        return "has no confirmed token"
    if done is Resync.USED:
        return "these codes, or later ones, were accepted before: wait for the next two"
    return (
        "not two codes in a row, first one and then the next, of any token within an hour of now; "
        "else the clock is further off, this machine's perhaps"
    )


def _off(seconds: int) -> str:
    if seconds == 0:
        return "right"
    size = abs(seconds)
    span = f"{size} seconds" if size < 120 else f"{size / 60:g} minutes"
    return f"{span} {'ahead' if seconds > 0 else 'behind'}"
