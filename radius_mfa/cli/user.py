"""`radius-mfa user`."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from radius_mfa.cli.common import config_option, load_configuration, look_up, refuse, run

if TYPE_CHECKING:
    from radius_mfa.assembly.backends import Backends
    from radius_mfa.core.messages import User
    from radius_mfa.core.ports import Facts

_PATIENCE = 10.0  # seconds a command waits for the directory or the store

by_id_option = click.option("--id", "by_id", is_flag=True, help="USER is the directory's id, not a name.")


@click.group(no_args_is_help=False)
@config_option
def user() -> None:
    """The second factors of one user."""


@user.command()
@config_option
@click.argument("username", metavar="USER")
@by_id_option
@click.option("--secret", metavar="BASE32", help="Take this secret instead of a new one.")
@click.option("--label", default="", help="What the user calls the device.")
@click.option("--confirm", metavar="CODE", help="Complete the enrolment with the first code.")
def enrol(username: str, by_id: bool, secret: str | None, label: str, confirm: str | None) -> None:
    """Give USER a TOTP token: print its QR code, or complete it with --confirm.

    The token is accepted at a login only once a first code has confirmed it.
    """
    run(_enrol(username, by_id, secret, label, confirm))


async def _enrol(username: str, by_id: bool, secret: str | None, label: str, confirm: str | None) -> None:
    from radius_mfa.assembly.backends import opened
    from radius_mfa.core.enrolment import Confirmation, Seed
    from radius_mfa.factors.totp import read_base32

    octets = read_base32(secret) if secret is not None else None
    if secret is not None and octets is None:
        refuse("--secret: not base32, or shorter than 16 characters (80 bits)")
    async with opened(load_configuration()) as backends:
        found = await _find(backends, username, by_id)
        if octets is not None or confirm is None:
            name = "" if by_id else found.username
            seed = Seed(found.id, name, octets or backends.enrolment.new_seed(), label)
            (added,) = await backends.enrolment.add([seed], confirmed=False)
            if not added and confirm is None:
                refuse(f"{found.username}: has this secret already; --confirm CODE completes it")
            if confirm is None:
                _show_seed(found.username, seed.octets, backends.issuer)
                return
        done = await backends.enrolment.confirm(found.id, confirm, backends.soon(_PATIENCE))
    if done is Confirmation.WRONG:
        refuse(f"{found.username}: that code is not right; check the clock of the device, and of this machine")
    if done is Confirmation.NOTHING_OPEN:
        refuse(f"{found.username}: there is no token to confirm; run 'user enrol {username}' first")
    click.echo(f"{found.username}: enrolled")


def _show_seed(username: str, seed: bytes, issuer: str) -> None:
    import segno

    from radius_mfa.factors.totp import base32, key_uri

    uri = key_uri(seed, username, issuer)
    segno.make(uri, error="m").terminal(compact=True)
    click.echo(f"{uri}\nsecret: {base32(seed)}")
    click.echo(f"Not yet valid: confirm with 'radius-mfa user enrol {username} --confirm CODE'.")


@user.command()
@config_option
@click.argument("username", metavar="USER")
@by_id_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(username: str, by_id: bool, as_json: bool) -> None:
    """Show what is stored of USER: tokens, failures, locks."""
    run(_show(username, by_id, as_json))


async def _show(username: str, by_id: bool, as_json: bool) -> None:
    from radius_mfa.assembly.backends import opened

    async with opened(load_configuration()) as backends:
        found = await _find(backends, username, by_id)
        facts = await backends.store.facts(found.id, backends.soon(_PATIENCE))
    record = _record(found, facts)
    if as_json:
        click.echo(json.dumps(record, ensure_ascii=False))
        return
    for name, value in record.items():
        if name != "tokens":
            click.echo(f"{name:14} {'-' if value is None else value}")
    for token in record["tokens"]:
        state = "confirmed" if token["confirmed"] else "not confirmed"
        click.echo(
            f"{'token':14} {token['id']}  {token['label'] or '-'}  {state}  last used {token['last_used'] or '-'}"
        )


@user.command()
@config_option
@click.argument("username", metavar="USER")
@click.argument("address", metavar="ADDRESS", required=False)
@by_id_option
@click.option("--remove", is_flag=True, help="Let USER have no address.")
def mail(username: str, address: str | None, by_id: bool, remove: bool) -> None:
    """Set the ADDRESS that USER's codes are mailed to, taken as verified by you.

    Codes that were sent to another address are void from then on.
    """
    if (address is None) is not remove:
        raise click.UsageError("give an ADDRESS, or --remove.")
    run(_mail(username, address, by_id))


async def _mail(username: str, address: str | None, by_id: bool) -> None:
    from radius_mfa.assembly.backends import opened
    from radius_mfa.config.document import printable
    from radius_mfa.core.enrolment import AddressRefusal

    loaded = load_configuration()
    mail = loaded.configuration.factors.mail
    async with opened(loaded) as backends:
        found = await _find(backends, username, by_id)
        if address is None:
            await backends.enrolment.remove_address(found.id)
            click.echo(f"{found.username}: no address")
            return
        kept = await backends.enrolment.set_address(found.id, "" if by_id else found.username, address)
    if kept is AddressRefusal.UNREADABLE:
        refuse(f"{printable(address)}: not an address that a code can be sent to")
    if kept is AddressRefusal.BLOCKED:
        blocked = ", ".join(mail.blocked_domains if mail else ())
        refuse(f"{printable(address)}: addresses at {blocked} are not taken (factors.mail.blocked_domains)")
    if mail is None:
        click.echo("warning: no mail is sent: factors.mail is not configured", err=True)
    click.echo(f"{found.username}: {kept}")


@user.command()
@config_option
@click.argument("username", metavar="USER")
@by_id_option
def unlock(username: str, by_id: bool) -> None:
    """Lift USER's lock or suspension, and forget the failures that led to it."""
    run(_unlock(username, by_id))


async def _unlock(username: str, by_id: bool) -> None:
    from radius_mfa.assembly.backends import opened

    async with opened(load_configuration()) as backends:
        found = await _find(backends, username, by_id)
        if not await backends.store.unlock(found.id):
            refuse(f"{found.username}: nothing is stored of this user")
    click.echo(f"{found.username}: unlocked")


def _record(found: User, facts: Facts) -> dict[str, Any]:
    from radius_mfa.factors.totp import PERIOD

    counters = facts.counters
    return {
        "id": found.id,
        "username": found.username,
        "activated": found.active,
        "failures": counters.failures,
        "since_success": counters.since_success,
        "locked_until": _time(counters.locked_until),
        "suspended": counters.suspended,
        "mail_address": facts.mail_address or None,
        "tokens": [
            {
                "id": token.id,
                "label": token.label,
                "confirmed": token.confirmed,
                "last_used": _time(token.last_step * PERIOD),
            }
            for token in facts.tokens
        ],
    }


def _time(seconds: float) -> str | None:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds") if seconds else None


async def _find(backends: Backends, username: str, by_id: bool) -> User:
    from radius_mfa.core.messages import User

    if by_id:
        return User(id=username, username=username, handle="")
    found = await look_up(backends.directory, username, backends.soon(_PATIENCE))
    if not isinstance(found, User):
        refuse(f"{username}: {found.value.replace('_', ' ')}")
    if not found.active:
        click.echo(f"warning: {found.username} is not activated and cannot log in", err=True)
    return found
