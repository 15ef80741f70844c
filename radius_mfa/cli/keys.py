"""`radius-mfa keys`."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from radius_mfa.cli.common import config_option, load_configuration, refuse, run

if TYPE_CHECKING:
    from radius_mfa.stores.rekey import Rekeying

T = TypeVar("T")

_BACKUP = "Keep a copy: without it nothing that is stored can be read."


def _key_id(context: click.Context, parameter: click.Parameter, value: str | None) -> bytes | None:
    if value is None:
        return None
    if not re.fullmatch("[0-9a-fA-F]{8}", value):
        raise click.BadParameter(
            f"{value!r} is not the id of a key, which is eight digits of hexadecimal.", context, parameter
        )
    return bytes.fromhex(value)


@click.group(no_args_is_help=False)
@config_option
def keys() -> None:
    """The key file that seals what is stored."""


@keys.command()
@config_option
def init() -> None:
    """Make the key file that the configuration names.  One that exists is left alone."""
    from radius_mfa.stores.key_file import create_key_file

    configuration = load_configuration().configuration
    path, store = configuration.key_file, configuration.storage.path
    if store is not None and os.path.exists(store) and not os.path.exists(path):
        refuse(f"{store}: was sealed with another key: put its key file back at {path}")
    create_key_file(path)
    click.echo(f"{path}: made. {_BACKUP}")


@keys.command("list")
@config_option
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def list_(as_json: bool) -> None:
    """Show the ids of the keys, and which running server has which."""
    from datetime import UTC, datetime

    async def look(rekeying: Rekeying) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        known = [{"id": key.id.hex(), "use": key.use, "needed": key.proved} for key in await rekeying.keys()]
        running = [
            {
                "id": node.id,
                "name": node.name,
                "keys": [key_id.hex() for key_id in node.keys],
                "seen": datetime.fromtimestamp(node.seen, UTC).isoformat(timespec="seconds"),
            }
            for node in await rekeying.nodes()
        ]
        return known, running

    known, running = _with_keys(look)
    if as_json:
        click.echo(json.dumps({"keys": known, "nodes": running}, indent=2))
        return
    for key in known:
        click.echo(
            f"{key['id']}  {key['use']:8}  {'' if key['needed'] else 'the store does not need it'}".rstrip()
        )
    for node in running:
        sealing, *others = node["keys"]
        also = f", has {', '.join(others)}" if others else ""
        click.echo(f"{node['name']}  seals with {sealing}{also}")
    if not running:
        click.echo("no server is running")


@keys.command()
@config_option
@click.option("--from", "source", type=click.Path(path_type=Path), metavar="FILE", help="Another key file.")
def add(source: Path | None) -> None:
    """Put a new key into the key file, or those that FILE has and it lacks.

    They open what others seal with them, and seal nothing yet: `keys promote` lets one seal.
    """
    from radius_mfa.stores.rekey import add_key, take_over_keys

    path = load_configuration().configuration.key_file
    added = (add_key(path),) if source is None else take_over_keys(path, source)
    if not added:
        click.echo(f"{path}: has all the keys of {source}")
    for key_id in added:
        click.echo(f"{path}: key {key_id.hex()} added")


@keys.command()
@config_option
@click.argument("key_id", callback=_key_id, metavar="[ID]", required=False)
def promote(key_id: bytes | None) -> None:
    """Let the key ID seal; without ID, the one that was added and never did.

    Refused until every running server has it.
    """
    path = load_configuration().configuration.key_file
    promoted = _with_keys(lambda rekeying: rekeying.promote(key_id)).hex()
    click.echo(
        f"{path}: key {promoted} seals from now on. Take a new copy of the file; "
        f"on each other node: radius-mfa keys promote {promoted}"
    )


@keys.command()
@config_option
@click.argument("key_id", callback=_key_id, metavar="ID")
def retire(key_id: bytes) -> None:
    """Seal everything anew that is sealed with the key ID, then delete the key.

    Refused while a running server seals with it.
    """
    path = load_configuration().configuration.key_file
    done = _with_keys(lambda rekeying: rekeying.retire(key_id))
    click.echo(f"{path}: key {key_id.hex()} retired, {_secrets(done)} sealed anew")


@keys.command()
@config_option
def rotate() -> None:
    """Put a new key in place of all there are, and seal everything anew, while the server runs.

    For one node; where servers have key files of their own, go step by step: add, promote, retire.
    """
    path = load_configuration().configuration.key_file
    key_id, done = _with_keys(lambda rekeying: rekeying.rotate())
    click.echo(f"{path}: key {key_id.hex()} is the only one now, {_secrets(done)} sealed anew. {_BACKUP}")


def _secrets(number: int) -> str:
    return f"{number} secret{'' if number == 1 else 's'}"


def _with_keys(do: Callable[[Rekeying], Awaitable[T]]) -> T:
    """What that comes to; on a terminal it says how far it is."""

    shown = _Progress()

    async def doing() -> T:
        from radius_mfa.assembly.keys import opened_keys

        async with opened_keys(load_configuration().configuration, click.echo, shown.count) as rekeying:
            return await do(rekeying)

    try:
        return run(doing())
    finally:
        shown.end()


class _Progress:
    """How many secrets were sealed anew so far, on a terminal."""

    def __init__(self) -> None:
        self._done = 0

    def count(self, some: int) -> None:
        self._done += some
        if sys.stderr.isatty():
            click.echo(f"\r{_secrets(self._done)} sealed anew", err=True, nl=False)

    def end(self) -> None:
        if self._done and sys.stderr.isatty():
            click.echo(err=True)
