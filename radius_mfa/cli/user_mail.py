"""`radius-mfa user mail`."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, NoReturn

import click

from radius_mfa.cli.common import (
    PATIENCE,
    as_typed,
    by_id_option,
    config_option,
    find_activated,
    find_user,
    json_option,
    load_configuration,
    named,
    refuse,
    run,
    time_of,
    utf8,
    warn,
)

if TYPE_CHECKING:
    from radius_mfa.assembly.backends import Backends
    from radius_mfa.core.enrolment import AddressRefusal
    from radius_mfa.core.messages import User


@click.command()
@config_option
@click.argument("username", metavar="USER")
@click.argument("address", metavar="ADDRESS", required=False)
@by_id_option
@click.option(
    "--verify", is_flag=True, help="Mail a code to ADDRESS; it counts once --confirm has shown the code."
)
@click.option("--confirm", metavar="CODE", help="Complete what --verify began, with the code that was mailed.")
@click.option("--remove", is_flag=True, help="Let USER have no address.")
@json_option
def mail(
    username: str,
    address: str | None,
    by_id: bool,
    verify: bool,
    confirm: str | None,
    remove: bool,
    as_json: bool,
) -> None:
    """Set the ADDRESS that USER's codes are mailed to, taken as verified by you, or have USER --verify it.

    Codes that were sent to another address are void from then on.
    """
    if [address is not None, confirm is not None, remove].count(True) != 1:
        raise click.UsageError("give an ADDRESS, or --confirm CODE, or --remove.")
    if verify and address is None:
        raise click.UsageError("--verify needs an ADDRESS.")
    command = _Command(username, by_id, as_json)
    if confirm is not None:
        run(command.confirm(confirm))
    elif address is None:
        run(command.remove())
    else:
        run(command.verify(address) if verify else command.set(address))


class _Command:
    """What can be done about a user's address."""

    def __init__(self, username: str, by_id: bool, as_json: bool) -> None:
        self._username, self._by_id, self._as_json = username, by_id, as_json
        self._who = named(username, by_id)
        self._loaded = load_configuration()
        self._mail = self._loaded.configuration.factors.mail

    async def set(self, address: str) -> None:
        from radius_mfa.assembly.backends import opened

        async with opened(self._loaded) as backends:
            found = await find_activated(backends, self._username, self._by_id)
            kept = await backends.enrolment.set_address(found.id, self._known_name(found), address)
        if not isinstance(kept, str):
            self._refuse(address, found, kept)
        if self._mail is None:
            warn("no mail is sent: factors.mail is not configured")
        self._say(found, kept)

    async def verify(self, address: str) -> None:
        from radius_mfa.assembly.backends import opened
        from radius_mfa.core.challenge import primary_language
        from radius_mfa.core.enrolment import AddressRefusal

        if self._mail is None:
            refuse("--verify: no mail is sent: factors.mail is not configured")
        async with opened(self._loaded) as backends:
            found = await find_activated(backends, self._username, self._by_id)
            language, deadline = primary_language(found.language), backends.soon(PATIENCE)
            proposed = await backends.enrolment.propose_address(
                found.id, self._known_name(found), address, language, deadline
            )
        if isinstance(proposed, AddressRefusal):
            self._refuse(address, found, proposed)
        until = time_of(proposed.expires)
        if self._as_json:
            record = {
                "id": found.id,
                "username": found.username,
                "proposed_address": proposed.address,
                "reference": proposed.reference,
                "proposed_until": until,
            }
            click.echo(json.dumps(record, ensure_ascii=False))
            return
        click.echo(f"{found.username}: a code is mailed to {proposed.address} (ref {proposed.reference})")
        confirm = f"'{as_typed('user mail', self._who)} --confirm CODE'"
        click.echo(f"Not yet verified: {confirm} does it, until {until}.")

    async def confirm(self, code: str) -> None:
        from radius_mfa.assembly.backends import opened

        async with opened(self._loaded) as backends:
            found = await find_activated(backends, self._username, self._by_id)
            address = await backends.enrolment.confirm_address(found.id, utf8(code))
            if address is None:
                await self._refuse_code(backends, found)
            else:
                self._say(found, address)

    async def remove(self) -> None:
        from radius_mfa.assembly.backends import opened

        async with opened(self._loaded) as backends:
            found = await find_user(backends, self._username, self._by_id)
            await backends.enrolment.remove_address(found.id)
        self._say(found, None)

    def _known_name(self, found: User) -> str:
        return "" if self._by_id else found.username

    def _say(self, found: User, address: str | None) -> None:
        if self._as_json:
            record = {"id": found.id, "username": found.username, "mail_address": address}
            click.echo(json.dumps(record, ensure_ascii=False))
        else:
            click.echo(f"{found.username}: {address or 'no address'}")

    def _refuse(self, address: str, found: User, why: AddressRefusal) -> NoReturn:
        from radius_mfa.core.enrolment import AddressRefusal
        from radius_mfa.core.printing import printable

        if why is AddressRefusal.OUT_OF_ORDER:
            first = f"run '{as_typed('user enrol', self._who)}'"
            refuse(f"{found.username}: an authenticator app comes first (enrolment.order: totp-first); {first}")
        if why is AddressRefusal.UNREADABLE:
            refuse(f"{printable(address)}: not an address that a code can be sent to")
        blocked = ", ".join(self._mail.blocked_domains if self._mail else ())
        refuse(f"{printable(address)}: addresses at {blocked} are not taken (factors.mail.blocked_domains)")

    async def _refuse_code(self, backends: Backends, found: User) -> NoReturn:
        from radius_mfa.core.enrolment import MOST_TRIES

        again = f"run '{as_typed('user mail', self._who)} ADDRESS --verify'"
        proposal, _ = await backends.store.waiting(found.id, time.time())
        if proposal is None:
            refuse(f"{found.username}: there is no address to confirm, or its code has expired; {again}")
        if proposal.tries >= MOST_TRIES:
            refuse(f"{found.username}: that code was tried too often; {again}")
        refuse(f"{found.username}: that code is not right; it is in the mail with ref {proposal.reference}")
