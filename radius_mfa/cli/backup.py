"""`radius-mfa backup`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from radius_mfa.cli.common import (
    config_option,
    ending_at_once,
    json_option,
    load_configuration,
    refuse,
    run,
    telling,
    time_of,
)
from radius_mfa.cli.passphrase import passphrase_of, passphrase_option

if TYPE_CHECKING:
    from radius_mfa.stores.backup import Contents

_NAMED = 5  # secrets that are named

# The tables that somebody may want to know of, as people call what is in them.
_PEOPLE_SAY = {
    "user_counters": "users",
    "totp_token": "tokens",
    "mail_address": "addresses",
    "recovery_code": "recovery codes",
    "login": "logins",
}


@click.command()
@config_option
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--verify", is_flag=True, help="Make none: read FILE, all of it.")
@passphrase_option
@json_option
def backup(file: Path, verify: bool, passphrase_file: Path | None, as_json: bool) -> None:
    """Put the store and the key file into FILE, sealed with a passphrase, while logins go on.

    FILE is read again from the disk before it gets its name, and never put in place of another.
    """
    if str(file) == "-":
        raise click.UsageError("FILE cannot be -: a backup is read again, which stdout is not.")
    with ending_at_once("nothing was made") as decided:
        from radius_mfa.assembly.backup import back_up, verified

        if verify:
            contents = verified(file, passphrase_of(passphrase_file, new=False))
        else:
            configuration = load_configuration().configuration
            passphrase = passphrase_of(passphrase_file, new=True)
            contents = run(back_up(configuration, file, passphrase, decided=decided))
    done = f"{file}: {'can be restored' if verify else 'made, and read again'}"
    with telling(done):
        if as_json:
            click.echo(json.dumps(record_of(contents), indent=2))
        else:
            click.echo("\n  ".join((done, *lines_of(contents))))
    if contents.closed:
        named = ", ".join(contents.closed[:_NAMED]) + (", …" if len(contents.closed) > _NAMED else "")
        refuse(
            f"{file}: is whole, but {len(contents.closed)} of the store's secrets open under no key: {named}; "
            "reset these users"
        )


def record_of(contents: Contents) -> dict[str, Any]:
    """What a backup holds, as JSON has it."""
    head = contents.head
    return {
        "time": time_of(head.time),
        "version": head.product,
        "schema": head.schema,
        "keys": [key_id.hex() for key_id in head.keys.ids],
        "rows": dict(contents.rows),
        "secrets": contents.sealed,
        "unreadable_secrets": list(contents.closed),
    }


def lines_of(contents: Contents) -> list[str]:
    """The same for people."""
    head, rows = contents.head, contents.rows
    counted = ", ".join(f"{rows.get(table, 0)} {said}" for table, said in _PEOPLE_SAY.items())
    return [
        f"of {time_of(head.time)}, by radius-mfa {head.product}, schema {head.schema}",
        f"{counted}; {sum(rows.values())} rows in {len(rows)} tables",
        f"{contents.sealed} secrets open under its keys: {', '.join(key_id.hex() for key_id in head.keys.ids)}",
    ]
