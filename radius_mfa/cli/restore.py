"""`radius-mfa restore`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from radius_mfa.cli.backup import lines_of, record_of
from radius_mfa.cli.common import (
    config_option,
    ending_at_once,
    json_option,
    load_configuration,
    run,
    telling,
    time_of,
)
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
    with ending_at_once("nothing was restored") as decided:
        from radius_mfa.assembly import backup

        configuration = load_configuration().configuration
        passphrase = passphrase_of(passphrase_file, new=False)
        if keys_only:
            keys = backup.restore_keys(configuration, file, passphrase, decided=decided)
        else:
            bringing = partial(backup.restore, keep_recovery_codes=keep_recovery_codes, decided=decided)
            restored = run(bringing(configuration, file, passphrase))
    made = f"{configuration.key_file}: made"
    if keys_only:
        named = [key_id.hex() for key_id in keys.ids]
        with telling(made):
            click.echo(json.dumps({"keys": named}) if as_json else f"{made}: {', '.join(named)}")
        return
    with telling(f"{file}: restored"):
        if as_json:
            click.echo(json.dumps(_record_of(restored), indent=2))
        else:
            lines = (f"{file}: restored", *lines_of(restored.contents), made, *_since(restored))
            click.echo("\n  ".join(lines))


def _record_of(restored: Restored) -> dict[str, Any]:
    return {
        **record_of(restored.contents),
        "ended": dict(restored.ended),
        "totp_codes_count_from": time_of(restored.codes_from),
        "when_enrolled": list(restored.lenient),
    }


def _since(restored: Restored) -> Iterator[str]:
    """What is to be known of the time since the backup."""
    ended, made = restored.ended, time_of(restored.contents.head.time)
    codes = ended.get("recovery_codes")
    yield f"what was changed since {made} is lost: look it up in the audit file, resets and revocations above all"
    if restored.lenient:
        yield (
            f"whoever has set up a first factor since is let in by {', '.join(restored.lenient)} with the "
            "password alone: write second_factor: required there until they have one again"
        )
    yield (
        f"TOTP codes count again from {time_of(restored.codes_from)} on; mailed codes, links, vouchers and "
        "trusted devices are ended"
    )
    yield (
        "a device that `token resync` was run for since: run it again, for a late device once its codes count, "
        "or reset the user"
    )
    yield (
        f"recovery codes are ended, {codes} of them: `radius-mfa user recovery-codes USER` makes new ones"
        if codes is not None
        else "recovery codes are as they were: one that was used since counts again"
    )
