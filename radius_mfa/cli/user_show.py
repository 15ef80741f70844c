"""`radius-mfa user list` and `user show`."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from radius_mfa.cli.common import (
    PATIENCE,
    by_id_option,
    config_option,
    find_user,
    json_option,
    load_configuration,
    run,
    table_line,
    time_of,
)

if TYPE_CHECKING:
    from radius_mfa.core.kept import Device, KnownUser, Proposal, Voucher
    from radius_mfa.core.messages import User
    from radius_mfa.core.portal_store import TokenDetails
    from radius_mfa.core.store import Store
    from radius_mfa.core.stored import Facts, Token

_AT_ONCE = 1000  # users read at a time
_HEADER = ("name", "id", "tokens", "recovery", "required", "state", "address")
_WIDTHS = (24, 36, 6, 8, 8, 9, 0)


# --- all of them ------------------------------------------------------------------------------------


@click.command("list")
@config_option
@json_option
@click.option("--locked", is_flag=True, help="Only those who are locked for a time.")
@click.option("--suspended", is_flag=True, help="Only those who are suspended; with --locked, either.")
def list_(as_json: bool, locked: bool, suspended: bool) -> None:
    """List all of whom something is stored, in the order of their ids."""
    run(_list(as_json, _named(locked, suspended)))


def _named(locked: bool, suspended: bool) -> frozenset[str]:
    """The states of a user by name."""
    return frozenset(["locked"] * locked + ["suspended"] * suspended)


async def _list(as_json: bool, wanted: frozenset[str]) -> None:
    """`wanted`: the states of those to be listed, none for all.  A page is printed before the next is read."""
    from radius_mfa.assembly.backends import opened

    now = time.time()
    async with opened(load_configuration()) as backends:
        before = "["
        if not as_json:
            click.echo(table_line(_HEADER, _WIDTHS))
        async for page in _pages(backends.store):
            some = [user for user in page if not wanted or wanted & _states(user, now)]
            if as_json and some:
                lines = (json.dumps(_known(user, now), ensure_ascii=False) for user in some)
                click.echo(before + ",\n".join(lines), nl=False)
                before = ",\n"
            elif some:
                click.echo("\n".join(_line(user, now) for user in some))
        if as_json:
            click.echo("[]" if before == "[" else "]")


async def _pages(store: Store) -> AsyncIterator[Sequence[KnownUser]]:
    after = ""
    while page := await store.users(after, _AT_ONCE):
        yield page
        after = page[-1].user_id


def _states(user: KnownUser, now: float) -> frozenset[str]:
    return _named(user.counters.locked_until > now, user.counters.suspended)


def _line(user: KnownUser, now: float) -> str:
    states = _states(user, now)
    state = "suspended" if "suspended" in states else "locked" if states else ""
    counts = (str(user.tokens), str(user.recovery_left), "yes" if user.required else "no")
    return table_line((user.username, user.user_id, *counts, state, user.mail_address), _WIDTHS)


def _known(user: KnownUser, now: float) -> dict[str, Any]:
    return {
        "id": user.user_id,
        "username": user.username,
        "tokens": user.tokens,
        "mail_address": user.mail_address or None,
        "recovery_codes_left": user.recovery_left,
        "required": user.required,
        "failures": user.counters.failures,
        "since_success": user.counters.since_success,
        "locked_until": time_of(user.counters.locked_until),
        "locked": user.counters.locked_until > now,
        "suspended": user.counters.suspended,
        "created": time_of(user.created),
        "last_success": time_of(user.last_success),
    }


# --- one --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Shown:
    """All that is known of a user."""

    user: User
    facts: Facts
    tokens: Sequence[TokenDetails]
    proposal: Proposal | None
    voucher: Voucher | None
    devices: Sequence[Device]


@click.command()
@config_option
@click.argument("username", metavar="USER")
@by_id_option
@json_option
def show(username: str, by_id: bool, as_json: bool) -> None:
    """Show what is stored of USER: factors, trusted devices, failures, locks."""
    run(_show(username, by_id, as_json))


async def _show(username: str, by_id: bool, as_json: bool) -> None:
    from radius_mfa.assembly.backends import opened

    now = time.time()
    async with opened(load_configuration()) as backends:
        found = await find_user(backends, username, by_id)
        facts = await backends.store.facts(found.id, backends.soon(PATIENCE))
        tokens = await backends.store.token_details(found.id)
        proposal, voucher = await backends.store.waiting(found.id, now)
        devices = await backends.store.devices(found.id, now)
    record = _record(_Shown(found, facts, tokens, proposal, voucher, devices))
    click.echo(json.dumps(record, ensure_ascii=False) if as_json else "\n".join(_lines(record)))


def _record(shown: _Shown) -> dict[str, Any]:
    facts, counters = shown.facts, shown.facts.counters
    waits = {each.id: each.good_from for each in shown.tokens}
    return {
        "id": shown.user.id,
        "username": shown.user.username,
        "activated": shown.user.active,
        "required": facts.required,
        "failures": counters.failures,
        "since_success": counters.since_success,
        "locked_until": time_of(counters.locked_until),
        "suspended": counters.suspended,
        "mail_address": facts.mail_address or None,
        "proposed_address": shown.proposal.address if shown.proposal else None,
        "proposed_until": time_of(shown.proposal.expires) if shown.proposal else None,
        "proposed_counts_from": time_of(shown.proposal.good_from) if shown.proposal else None,
        "recovery_codes_left": facts.recovery_left,
        "trusted_devices": len({device.id for device in shown.devices}),
        "voucher_until": time_of(shown.voucher.expires) if shown.voucher else None,
        "tokens": [_token(token, waits.get(token.id, 0.0)) for token in facts.tokens],
    }


def _token(token: Token, good_from: float) -> dict[str, Any]:
    from radius_mfa.factors.totp import PERIOD

    return {
        "id": token.id,
        "label": token.label,
        "confirmed": token.confirmed,
        "counts_from": time_of(good_from),
        "last_used": time_of(token.last_step * PERIOD),
        "drift_seconds": token.drift * PERIOD,
    }


def _lines(record: dict[str, Any]) -> Iterable[str]:
    for name, value in record.items():
        if name != "tokens":
            yield table_line((name, "" if value is None else str(value)), (19, 0))
    for token in record["tokens"]:
        state = "confirmed" if token["confirmed"] else "not confirmed"
        state = f"counts from {token['counts_from']}" if token["counts_from"] else state
        drift = token["drift_seconds"]
        clock = f"  clock {abs(drift)} s {'ahead' if drift > 0 else 'behind'}" if drift else ""
        used = f"last used {token['last_used'] or '-'}{clock}"
        yield table_line(("token", token["id"], token["label"], state, used), (19, 16, 0, 0, 0))
