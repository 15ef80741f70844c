"""`radius-mfa init`: from nothing to a configuration that works, each answer tried at once."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from radius_mfa.cli.common import DEFAULT_CONFIG, UNUSABLE, as_typed, config_option, config_path, refuse, run, warn

if TYPE_CHECKING:
    from radius_mfa.assembly.first_hour import FirstHour
    from radius_mfa.config.compose import Composition
    from radius_mfa.config.load import Loaded

_NO_TERMINAL = (
    "init asks, and there is no terminal to ask at; give --answers FILE (--questions prints one to fill in)"
)


@click.command()
@config_option
@click.option(
    "--answers",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Take the answers from this YAML, and ask nothing; what does not work is an error.",
)
@click.option("--questions", is_flag=True, help="Print a file of answers to fill in, and end.")
def init(answers: Path | None, questions: bool) -> None:
    """Ask for directory, gateway and mail server, try each answer, and write a configuration that works.

    Nothing is ever overwritten, and nothing written before the last answer.
    """
    from radius_mfa.assembly.first_hour import FirstHour
    from radius_mfa.assembly.laying import must_be_free
    from radius_mfa.cli.init_talk import Terminal, WrittenAnswers
    from radius_mfa.config.questions import answers_template
    from radius_mfa.observe.logging import configure

    if questions:
        click.echo(answers_template(), nl=False)
        return
    configure("console", "error")
    config = config_path()
    must_be_free(config)
    if answers is None and not (sys.stdin is not None and sys.stdin.isatty()):
        click.echo(_NO_TERMINAL, err=True)
        sys.exit(UNUSABLE)
    talk = Terminal() if answers is None else WrittenAnswers.read(answers, os.environ)
    try:
        hour = FirstHour(talk, run, config, config == DEFAULT_CONFIG)
        composition, loaded, laid = _laid(hour, config)
    except (click.Abort, KeyboardInterrupt):
        refuse("\ninit: ended; nothing was written")
    _tell(composition, loaded, laid)


def _laid(hour: FirstHour, config: Path) -> tuple[Composition, Loaded, list[Path]]:
    """What was asked, written and loaded, and the files; asked again as long as something is in the way."""
    from radius_mfa.assembly.laying import Laying
    from radius_mfa.core.errors import RadiusMfaError

    composition = hour.asked()
    while True:
        laying = Laying(composition, config)
        try:
            return composition, laying.lay(), laying.laid
        except RadiusMfaError as broken:
            composition = hour.asked_anew(broken)


def _tell(composition: Composition, loaded: Loaded, laid: list[Path]) -> None:
    """What was made, what to run next, and what to type into the gateway."""
    from radius_mfa.assembly.trying import own_address
    from radius_mfa.config.typed import listed

    answers = composition.answers
    client = loaded.configuration.clients[0]
    gateway, name = loaded.configuration.gateway_of(client), answers.get("try_user") or "USER"
    listener = loaded.configuration.listen[0].udp
    assert listener is not None
    for warning in loaded.warnings:
        warn(warning)
    for block, why in composition.notes.items():
        warn(f"{block}: kept although it does not work: {why}")
    address = own_address(listed(answers["client_address"])[0], answers["listen"])
    suffix = gateway.profile.suffix
    one_field = f"password{suffix if isinstance(suffix, str) else ''}123456, in the one field there is"
    asks = "is asked for with a challenge" if suffix is None else f"is typed behind the password: {one_field}"
    click.echo(
        f"""
Made: {", ".join(map(str, laid))}
Keep a copy of the key: without it nothing that is stored can be read.

Run next:
  {as_typed("user enrol", name)}
  {as_typed("serve")}

Type into the gateway ({gateway.title}; docs/gateways says where):
  server    {address}
  port      {listener.port} (UDP), authentication by PAP
  secret    {answers["client_secret"] if composition.made_secret else "the one you gave"}
  timeout   {gateway.timeout:g} s, {gateway.retries} retries; or longer, and then in the YAML, too
  the code  {asks}

Then, in another terminal, try a login packet by packet: {as_typed("login", name)}"""
    )
