"""`radius-mfa device`."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from radius_mfa.cli.common import (
    by_id_option,
    config_option,
    find_user,
    json_option,
    load_configuration,
    refuse,
    run,
    table_line,
    time_of,
    utf8,
)

if TYPE_CHECKING:
    from radius_mfa.core.kept import Device

_HEADER = ("name", "device", "station", "until", "trusted at")
_WIDTHS = (24, 16, 21, 25, 0)


@click.group(no_args_is_help=False)
@config_option
def device() -> None:
    """Trusted devices: where a user is not asked for a code for some days."""


@device.command("list")
@config_option
@click.argument("username", metavar="USER", required=False)
@by_id_option
@json_option
def list_(username: str | None, by_id: bool, as_json: bool) -> None:
    """List the trusted devices of USER, or of everybody, the newest first."""
    if username is None and by_id:
        raise click.UsageError("--id needs a USER.")
    run(_list(username, by_id, as_json))


async def _list(username: str | None, by_id: bool, as_json: bool) -> None:
    from radius_mfa.assembly.backends import opened

    async with opened(load_configuration()) as backends:
        user_id = None if username is None else (await find_user(backends, username, by_id)).id
        records = _records(await backends.store.devices(user_id, time.time()))
    if as_json:
        click.echo(json.dumps(records, ensure_ascii=False, indent=1))
        return
    click.echo(table_line(_HEADER, _WIDTHS))
    for each in records:
        name = each["username"] or each["user_id"]
        cells = (name, each["id"], each["station"], each["until"], ", ".join(each["scopes"]))
        click.echo(table_line(cells, _WIDTHS))


def _records(devices: Sequence[Device]) -> list[dict[str, Any]]:
    """A record a device, which the store has once for each scope."""
    records: dict[str, dict[str, Any]] = {}
    for each in devices:
        record: dict[str, Any] = {
            "id": each.id,
            "user_id": each.user_id,
            "username": each.username,
            "station": each.station,
            "scopes": [],
            "client": each.client,
            "created": time_of(each.created),
            "until": time_of(each.expires),
        }
        records.setdefault(each.id, record)["scopes"].append(each.scope)
    return list(records.values())


@device.command()
@config_option
@click.argument("username", metavar="USER")
@click.argument("device_id", metavar="DEVICE", required=False)
@by_id_option
@click.option("--all", "all_", is_flag=True, help="Every device of USER.")
@json_option
def revoke(username: str, device_id: str | None, by_id: bool, all_: bool, as_json: bool) -> None:
    """Trust a DEVICE of USER no longer, as 'device list' names it, or --all of them."""
    if (device_id is None) is not all_:
        raise click.UsageError("give a DEVICE, or --all.")
    run(_revoke(username, by_id, device_id, as_json))


async def _revoke(username: str, by_id: bool, device_id: str | None, as_json: bool) -> None:
    from radius_mfa.assembly.backends import opened
    from radius_mfa.core.printing import printable

    async with opened(load_configuration()) as backends:
        found = await find_user(backends, username, by_id)
        revoked = await backends.store.revoke_devices(found.id, device_id and utf8(device_id))
    if not revoked and device_id is not None:
        refuse(f"{found.username}: trusts no device {printable(device_id)}; 'device list' names those there are")
    if as_json:
        record = {"id": found.id, "username": found.username, "revoked": revoked}
        click.echo(json.dumps(record, ensure_ascii=False))
    else:
        click.echo(f"{found.username}: {revoked} device{'s' if revoked != 1 else ''} revoked; TLS sessions ended")
