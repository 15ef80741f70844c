"""`radius-mfa user enrol`."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import click

from radius_mfa.cli.common import (
    PATIENCE,
    as_typed,
    by_id_option,
    config_option,
    find_activated,
    is_one_line,
    json_option,
    load_configuration,
    named,
    refuse,
    run,
    utf8,
    warn,
)

if TYPE_CHECKING:
    from radius_mfa.assembly.backends import Backends
    from radius_mfa.core.enrolment import Confirmation, Seed
    from radius_mfa.core.messages import User

_LONGEST_LABEL = 64  # characters
_LONGEST_SECRET = 128  # octets, more than any device makes and still a QR code
_WEAK = 14  # octets: below 112 bits (RFC 4226 §4, R6 asks for 128)
_TO_BE_CONFIRMED = "has this secret already; --confirm CODE completes it"
_ANOTHER_NEEDED = "has this secret already, and it is confirmed; without --secret there is a new one"


@dataclass(frozen=True, slots=True)
class _Asked:
    """What was typed; `seed`: octets of the secret."""

    username: str
    by_id: bool
    as_json: bool
    label: str
    seed: bytes | None = field(repr=False)
    confirm: str | None = field(repr=False)
    voucher: str | None = field(repr=False)

    @property
    def who(self) -> str:
        """USER as it has to be given to the next command."""
        return named(self.username, self.by_id)


@click.command()
@config_option
@click.argument("username", metavar="USER")
@by_id_option
@click.option("--secret", metavar="BASE32", help="Take this secret instead of a new one.")
@click.option("--label", default="", help="What the user calls the device.")
@click.option("--confirm", metavar="CODE", help="Complete the enrolment with the first code.")
@click.option("--voucher", metavar="CODE", help="Done for USER, who has this voucher: it is used up.")
@json_option
def enrol(
    username: str,
    by_id: bool,
    secret: str | None,
    label: str,
    confirm: str | None,
    voucher: str | None,
    as_json: bool,
) -> None:
    """Give USER a TOTP token: print its QR code, or complete it with --confirm.  A terminal is asked for the code.

    The token is accepted at a login only once a first code has confirmed it.  A user may have several.  With
    --voucher what comes first by enrolment.order must be there; without it the order is only pointed out.
    """
    if voucher is not None and confirm is not None and secret is None:
        raise click.UsageError("--voucher is for a new token; --confirm alone completes one.")
    asked = _Asked(username, by_id, as_json, _label(label), _seed(secret), confirm, voucher)
    run(_enrol(asked))


def _label(text: str) -> str:
    label = text.strip()
    if not is_one_line(label) or len(label) > _LONGEST_LABEL:
        refuse(f"--label: not one line of {_LONGEST_LABEL} characters at most")
    return label


def _seed(secret: str | None) -> bytes | None:
    from radius_mfa.factors.totp import read_base32

    if secret is None:
        return None
    octets = read_base32(secret)
    if octets is None:
        refuse("--secret: not base32, or shorter than 16 characters (80 bits)")
    if len(octets) > _LONGEST_SECRET:
        refuse(f"--secret: longer than {_LONGEST_SECRET} octets")
    if len(octets) < _WEAK:
        warn(f"--secret: {len(octets) * 8} bits are few, and 112 the least that should be; a new one has 160")
    return octets


async def _enrol(asked: _Asked) -> None:
    from radius_mfa.assembly.backends import opened
    from radius_mfa.core.enrolment import Seed
    from radius_mfa.core.messages import FactorKind

    loaded = load_configuration()
    if asked.voucher is not None and not loaded.configuration.enrolment.voucher:
        refuse("--voucher: there are none here (enrolment.voucher)")
    async with opened(loaded) as backends:
        found = await find_activated(backends, asked.username, asked.by_id)
        if FactorKind.TOTP not in backends.factors:
            warn("no TOTP code is accepted: factors.totp is not configured")
        if asked.seed is not None or asked.confirm is None:
            name = "" if asked.by_id else found.username
            seed = Seed(found.id, name, asked.seed or backends.enrolment.new_seed(), asked.label)
            await _add(backends, asked, found, seed)
            if asked.confirm is None:
                _show(asked, found, seed.octets, backends.issuer)
        code = _first_code(asked) if asked.confirm is None else asked.confirm
        if asked.confirm is None and not code:
            return
        done = await backends.enrolment.confirm(found.id, code, backends.soon(PATIENCE))
    _say(asked, found, done)


async def _add(backends: Backends, asked: _Asked, found: User, seed: Seed) -> None:
    """Add the token, once it may be; a voucher is used up only where nothing else is in the way."""
    from radius_mfa.core.messages import FactorKind

    facts = await backends.store.facts(found.id, backends.soon(PATIENCE))
    same = next((token for token in facts.tokens if backends.enrolment.seed_of(token) == seed.octets), None)
    if same is not None and (same.confirmed or asked.confirm is None):
        refuse(f"{found.username}: {_ANOTHER_NEEDED if same.confirmed else _TO_BE_CONFIRMED}")
    out_of_order = backends.enrolment.is_out_of_order(facts, FactorKind.TOTP)
    if asked.voucher is None:
        if out_of_order:
            warn(
                f"{found.username} has no mail address yet, which should come first (enrolment.order: mail-first)"
            )
    elif out_of_order:
        first = f"'{as_typed('user mail', asked.who)} ADDRESS --verify'"
        refuse(f"{found.username}: a mail address comes first (enrolment.order: mail-first); run {first}")
    elif not await backends.enrolment.redeem_voucher(found.id, utf8(asked.voucher)):
        another = f"'{as_typed('user voucher', asked.who)}' makes another"
        refuse(f"{found.username}: that voucher is wrong, used or expired, or was tried too often; {another}")
    (added,) = await backends.enrolment.add([seed], confirmed=False)
    if not added and asked.confirm is None:
        refuse(f"{found.username}: {_TO_BE_CONFIRMED}")


def _show(asked: _Asked, found: User, seed: bytes, issuer: str) -> None:
    from radius_mfa.factors.totp import base32, key_uri

    uri = key_uri(seed, found.username, issuer)
    if asked.as_json:
        record = {"otpauth": uri, "secret": base32(seed), "label": asked.label, "confirmed": False}
        click.echo(json.dumps({"id": found.id, "username": found.username, **record}, ensure_ascii=False))
        return
    _show_qr_code(uri)
    click.echo(f"{uri}\nsecret: {base32(seed)}")
    click.echo(f"Not yet valid: confirm with '{as_typed('user enrol', asked.who)} --confirm CODE'.")


def _first_code(asked: _Asked) -> str:
    """What is typed at a terminal once the app has the code; "" for later, and where nobody is asked."""
    if asked.as_json or sys.stdin is None or not (sys.stdin.isatty() and sys.stdout.isatty()):
        return ""
    return str(click.prompt("First code of the app (Enter: later)", default="", show_default=False))


def _show_qr_code(uri: str) -> None:
    import io

    import segno

    for compact in (True, False):  # in half blocks, or, where the terminal has none, in colours
        drawn = io.StringIO()
        segno.make(uri, error="m").terminal(drawn, compact=compact)
        try:
            click.echo(drawn.getvalue(), nl=False, color=True)
        except UnicodeEncodeError:
            continue
        return


def _say(asked: _Asked, found: User, done: Confirmation) -> None:
    from radius_mfa.core.enrolment import Confirmation

    if done is Confirmation.WRONG:
        refuse(f"{found.username}: that code is not right; check the clock of the device, and of this machine")
    if done is Confirmation.CLOCK_WRONG:
        cure = (
            "set the clock of the device to automatic time (and look at this machine's), then take its next code"
        )
        refuse(f"{found.username}: that code is of another time: {cure}")
    if done is Confirmation.NOTHING_OPEN:
        refuse(f"{found.username}: there is no token to confirm; run '{as_typed('user enrol', asked.who)}' first")
    if asked.as_json:
        record = {"id": found.id, "username": found.username, "confirmed": True}
        click.echo(json.dumps(record, ensure_ascii=False))
    else:
        click.echo(f"{found.username}: enrolled")
