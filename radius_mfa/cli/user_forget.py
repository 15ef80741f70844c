"""`radius-mfa user forget`."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, NamedTuple

import click

from radius_mfa.cli.common import (
    as_typed,
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
    files of its own: run this at each of them.  Backups made before still have them.
    """
    if not username.strip():
        raise click.UsageError("USER is empty; say who is to be forgotten.")
    loaded = load_configuration()
    found, known, was_stored = run(_out_of_store(loaded, username, by_id))
    audited = _out_of_audit(loaded, found, known)
    if audited.failed or audited.unread:
        done = "forgotten in the store" if was_stored else "not in the store"
        refuse(f"{found.username}: {done}; {'; '.join(_undone(audited))}")
    if not (was_stored or audited.events):
        refuse(f"{found.username}: nothing is stored of this user")
    if as_json:
        said = {"id": found.id, "username": found.username, "forgotten": True, "audit_events": audited.events}
        click.echo(json.dumps(said, ensure_ascii=False))
        return
    events = f"; {audited.events} audit event{'s' if audited.events != 1 else ''} made nobody's"
    click.echo(f"{found.username}: forgotten{events if audited.events else ''}")
    _tell_what_is_left(loaded, found)


def _undone(audited: Forgotten) -> Iterator[str]:
    """Which files they may still be in, and what to do about these."""
    for found, remedy in (
        (audited.failed, "still in audit files: {}; run it again as who may read and write them"),
        (audited.unread, "not looked for in: {}; that cannot be read: mend or delete it yourself"),
    ):
        if found:
            yield remedy.format("; ".join(f"{path} {why}" for path, why in found.items()))


class _Known(NamedTuple):
    """`names`: by which the audit files may have somebody; `called`: those of them that are nobody else's now."""

    names: Collection[str]
    called: Collection[str]


async def _out_of_store(loaded: Loaded, username: str, by_id: bool) -> tuple[User, _Known, bool]:
    """Who it is, what they are called, and whether anything was stored."""
    from radius_mfa.assembly.backends import opened
    from radius_mfa.core import usernames

    async with opened(loaded) as backends:
        found = await find_user(backends, username, by_id)
        stored = {each: usernames.fold(name) for each, name in (await backends.store.usernames()).items()}
        name = stored.pop(found.id, "")
        if by_id:  # who is gone may have a namesake by now
            known = _Known({name}, {name} - {*stored.values()})
        else:
            known = _Known({name, found.username}, {found.username})
        return found, known, await backends.enrolment.forget(found.id)


def _out_of_audit(loaded: Loaded, found: User, known: _Known) -> Forgotten:
    from radius_mfa.observe import audit_forget

    path = loaded.configuration.audit.file
    return audit_forget.Forgotten() if path is None else audit_forget.forget(path, found.id, *known)


def _tell_what_is_left(loaded: Loaded, found: User) -> None:
    """What this command does not reach."""
    configuration = loaded.configuration
    if configuration.audit.file is not None and configuration.storage.path is None:
        again = as_typed("user forget", f"--id {found.id}")
        click.echo(f"other nodes have audit files of their own: run '{again}' at each", err=True)
    if configuration.audit.syslog is not None:
        click.echo("what syslog has been sent is not reached", err=True)
    click.echo("backups made before still have what was forgotten; a restore brings it back", err=True)
