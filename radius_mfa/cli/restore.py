"""`radius-mfa restore`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from radius_mfa.cli.backup import lines_of, record_of
from radius_mfa.cli.common import config_option, json_option, load_configuration, run, time_of
from radius_mfa.cli.passphrase import passphrase_of, passphrase_option

if TYPE_CHECKING:
    from radius_mfa.assembly.backup import Restored


@click.command()
@config_option
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--keep-recovery-codes", is_flag=True, help="No login has been since the backup, or it may be so.")
@click.option("--keys-only", is_flag=True, help="The key file alone, for a store that has lost it.")
@passphrase_option
@json_option
def restore(
    file: Path, keep_recovery_codes: bool, keys_only: bool, passphrase_file: Path | None, as_json: bool
) -> None:
    """Make the store and the key file as they are in FILE, where neither is there.

    The store may be of another engine than it was.  All of it is done, or nothing.  What may have been used since
    the backup is ended: codes, vouchers, links, trusted devices; recovery codes too, unless they are to be kept.
    """
    from radius_mfa.assembly.backup import restore as bring_back
    from radius_mfa.assembly.backup import restore_keys

    configuration = load_configuration().configuration
    passphrase = passphrase_of(passphrase_file, new=False)
    if keys_only:
        keys = restore_keys(configuration, file, passphrase)
        named = [key_id.hex() for key_id in keys.ids]
        click.echo(
            json.dumps({"keys": named}) if as_json else f"{configuration.key_file}: made: {', '.join(named)}"
        )
        return
    restored = run(bring_back(configuration, file, passphrase, keep_recovery_codes=keep_recovery_codes))
    if as_json:
        click.echo(json.dumps({**record_of(restored.contents), "ended": dict(restored.ended)}, indent=2))
        return
    click.echo(f"{file}: restored")
    for line in (*lines_of(restored.contents), f"{configuration.key_file}: made", *_since(restored)):
        click.echo(f"  {line}")


def _since(restored: Restored) -> list[str]:
    """What is to be known of the time since the backup."""
    ended, made = restored.ended, time_of(restored.contents.head.time)
    codes = ended.get("recovery_codes")
    return [
        f"what was changed since {made} is lost: look it up in the audit file, resets and revocations above all",
        "TOTP codes count again within two minutes; mailed codes, links, vouchers and trusted devices are ended",
        f"recovery codes are ended, {codes} of them: `radius-mfa user recovery-codes USER` makes new ones"
        if codes is not None
        else "recovery codes are as they were: one that was used since counts again",
    ]
