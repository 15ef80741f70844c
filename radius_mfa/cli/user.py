"""`radius-mfa user`."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import click

from radius_mfa.cli.common import (
    PATIENCE,
    by_id_option,
    config_option,
    find_activated,
    find_user,
    json_option,
    load_configuration,
    refuse,
    run,
    time_of,
    utf8,
)
from radius_mfa.cli.user_enrol import enrol
from radius_mfa.cli.user_forget import forget
from radius_mfa.cli.user_mail import mail
from radius_mfa.cli.user_show import list_, show

if TYPE_CHECKING:
    from radius_mfa.assembly.backends import Backends
    from radius_mfa.core.messages import User


@click.group(no_args_is_help=False)
@config_option
def user() -> None:
    """Users and their second factors."""


for command in (enrol, forget, list_, mail, show):
    user.add_command(command)


@user.command()
@config_option
@click.argument("username", metavar="USER")
@by_id_option
@click.option(
    "--token", "token_id", metavar="ID", help="End only this token (see 'user show'), and all trust in devices."
)
@json_option
def reset(username: str, by_id: bool, token_id: str | None, as_json: bool) -> None:
    """End every second factor of USER, and all trust in devices; lift locks.

    USER is asked for a second factor all the same, and so is not let in until there is a new one, or until
    'user forget'.
    """
    run(_reset(username, by_id, as_json) if token_id is None else _reset_token(username, by_id, token_id, as_json))


async def _reset(username: str, by_id: bool, as_json: bool) -> None:
    from radius_mfa.assembly.backends import opened

    async with opened(load_configuration()) as backends:
        found = await find_user(backends, username, by_id)
        gone = await _held(backends, found)
        if not await backends.enrolment.reset(found.id):
            _refuse_stranger(found)
    if as_json:
        _echo_json(found, removed=gone, required=True)
        return
    what = ", ".join(_in_words(gone)) or "there was no factor to remove"
    click.echo(f"{found.username}: reset: {what}")
    click.echo(f"{found.username} is asked for a second factor all the same, until 'user forget'.")


async def _held(backends: Backends, found: User) -> dict[str, Any]:
    """What a reset takes away."""
    now = time.time()
    facts = await backends.store.facts(found.id, backends.soon(PATIENCE))
    devices = await backends.store.devices(found.id, now)
    proposal, voucher = await backends.store.waiting(found.id, now)
    return {
        "tokens": len(facts.tokens),
        "mail_address": facts.mail_address or None,
        "proposed_address": proposal.address if proposal else None,
        "recovery_codes": facts.recovery_left,
        "trusted_devices": len({device.id for device in devices}),
        "voucher": voucher is not None,
    }


def _in_words(gone: dict[str, Any]) -> Sequence[str]:
    found = []
    for key, one in (
        ("tokens", "token"),
        ("recovery_codes", "recovery code"),
        ("trusted_devices", "trusted device"),
    ):
        if count := gone[key]:
            found.append(f"{count} {one}{'s' if count != 1 else ''}")
    if gone["mail_address"]:
        found.append(f"the address {gone['mail_address']}")
    if gone["proposed_address"]:
        found.append(f"the address to be confirmed {gone['proposed_address']}")
    return [*found, *["a voucher"] * gone["voucher"]]


async def _reset_token(username: str, by_id: bool, token_id: str, as_json: bool) -> None:
    from radius_mfa.assembly.backends import opened
    from radius_mfa.core.printing import printable

    async with opened(load_configuration()) as backends:
        found = await find_user(backends, username, by_id)
        if not await backends.enrolment.remove_token(found.id, utf8(token_id)):
            refuse(f"{found.username}: has no token {printable(token_id)}; 'user show' names those there are")
        facts = await backends.store.facts(found.id, backends.soon(PATIENCE))
    left = sum(token.confirmed for token in facts.tokens)
    if as_json:
        _echo_json(found, removed={"tokens": 1}, required=facts.required, tokens_left=left)
        return
    click.echo(f"{found.username}: token {token_id} is removed; {left or 'none'} left")
    if facts.required:
        click.echo(f"{found.username} is asked for a second factor all the same, until 'user forget'.")


@user.command()
@config_option
@click.argument("username", metavar="USER")
@by_id_option
@json_option
def unlock(username: str, by_id: bool, as_json: bool) -> None:
    """Lift USER's lock or suspension, and forget the failures that led to it."""
    run(_unlock(username, by_id, as_json))


async def _unlock(username: str, by_id: bool, as_json: bool) -> None:
    from radius_mfa.assembly.backends import opened

    async with opened(load_configuration()) as backends:
        found = await find_user(backends, username, by_id)
        if not await backends.store.unlock(found.id):
            _refuse_stranger(found)
    if as_json:
        _echo_json(found, unlocked=True)
    else:
        click.echo(f"{found.username}: unlocked")


@user.command()
@config_option
@click.argument("username", metavar="USER")
@by_id_option
@json_option
def voucher(username: str, by_id: bool, as_json: bool) -> None:
    """Print a voucher that USER can enrol with, once, in place of any other."""
    run(_voucher(username, by_id, as_json))


async def _voucher(username: str, by_id: bool, as_json: bool) -> None:
    from radius_mfa.assembly.backends import opened

    loaded = load_configuration()
    if not loaded.configuration.enrolment.voucher:
        refuse("vouchers are not taken here (enrolment.voucher)")
    async with opened(loaded) as backends:
        found = await find_activated(backends, username, by_id)
        code, expires = await backends.enrolment.issue_voucher(found.id, "" if by_id else found.username)
    if as_json:
        _echo_json(found, voucher=code, voucher_until=time_of(expires))
    else:
        click.echo(f"{found.username}: {code}, good once until {time_of(expires)}")


@user.command("recovery-codes")
@config_option
@click.argument("username", metavar="USER")
@by_id_option
@json_option
def recovery_codes(username: str, by_id: bool, as_json: bool) -> None:
    """Print new recovery codes for USER, in place of all there were.  They are never shown again."""
    run(_recovery_codes(username, by_id, as_json))


async def _recovery_codes(username: str, by_id: bool, as_json: bool) -> None:
    from radius_mfa.assembly.backends import opened

    loaded = load_configuration()
    if loaded.configuration.factors.recovery_codes is None:
        refuse("recovery codes are not taken here; add factors.recovery_codes")
    async with opened(loaded) as backends:
        found = await find_activated(backends, username, by_id)
        codes = await backends.enrolment.new_recovery_codes(found.id, "" if by_id else found.username)
    if as_json:
        _echo_json(found, recovery_codes=list(codes))
        return
    click.echo("\n".join(codes))
    click.echo(f"{found.username}: good once each; the ones before are void", err=True)


def _echo_json(found: User, **more: object) -> None:
    click.echo(json.dumps({"id": found.id, "username": found.username, **more}, ensure_ascii=False))


def _refuse_stranger(found: User) -> NoReturn:
    refuse(f"{found.username}: nothing is stored of this user")
