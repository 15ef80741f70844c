"""`radius-mfa user forget`."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import TYPE_CHECKING

import click

from radius_mfa.cli.common import (
    by_id_option,
    config_option,
    find_user,
    json_option,
    load_configuration,
    refuse,
    run,
)

if TYPE_CHECKING:
    from radius_mfa.config.load import Loaded
    from radius_mfa.core.messages import User
    from radius_mfa.observe.audit_forget import Forgotten


@click.command()
@config_option
@click.argument("username", metavar="USER")
@by_id_option
@json_option
def forget(username: str, by_id: bool, as_json: bool) -> None:
    """Delete all that is stored of USER: factors, counters, recent logins; and take USER out of the audit files.

    From then on a policy with second_factor: when_enrolled lets USER in by the password alone again, until a
    factor is set up.  For who has left, and is in the directory no more, there is --id.  Events stay in the audit
    file and in those it was rotated to, as nobody's.  Where several servers have one store, each has audit
    files of its own: run this at each of them.
    """
    loaded = load_configuration()
    found, names, was_stored = run(_out_of_store(loaded, username, by_id))
    audited = _out_of_audit(loaded, found, names)
    if audited.failed:
        done = "forgotten in the store" if was_stored else "not in the store"
        wrong = "; ".join(f"{path} {why}" for path, why in audited.failed.items())
        refuse(f"{found.username}: {done}, and still in audit files: {wrong}; run it again as who may write them")
    if not (was_stored or audited.events):
        refuse(f"{found.username}: nothing is stored of this user")
    if as_json:
        said = {"id": found.id, "username": found.username, "forgotten": True, "audit_events": audited.events}
        click.echo(json.dumps(said, ensure_ascii=False))
        return
    events = f"; {audited.events} audit event{'s' if audited.events != 1 else ''} made nobody's"
    click.echo(f"{found.username}: forgotten{events if audited.events else ''}")
    _tell_what_is_left(loaded, found)


async def _out_of_store(loaded: Loaded, username: str, by_id: bool) -> tuple[User, Collection[str], bool]:
    """Who it is, by what names the audit files may have them, and whether anything was stored."""
    from radius_mfa.assembly.backends import opened

    async with opened(loaded) as backends:
        found = await find_user(backends, username, by_id)
        known = (await backends.store.usernames()).get(found.id, "")
        names = {known} if by_id else {known, found.username}
        return found, names, await backends.enrolment.forget(found.id)


def _out_of_audit(loaded: Loaded, found: User, names: Collection[str]) -> Forgotten:
    from radius_mfa.observe import audit_forget

    path = loaded.configuration.audit.file
    return audit_forget.Forgotten() if path is None else audit_forget.forget(path, found.id, names)


def _tell_what_is_left(loaded: Loaded, found: User) -> None:
    """What this command does not reach."""
    configuration = loaded.configuration
    if configuration.audit.file is not None and configuration.storage.path is None:
        again = f"radius-mfa user forget --id {found.id}"
        click.echo(f"other nodes have audit files of their own: run '{again}' at each", err=True)
    if configuration.audit.syslog is not None:
        click.echo("what syslog has been sent is not reached", err=True)
