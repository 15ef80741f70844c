"""`radius-mfa explain`."""

from __future__ import annotations

import json
import os
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from radius_mfa.cli.common import config_option, json_option, load_configuration, refuse, run, utf8
from radius_mfa.cli.explain_asked import Asked, known_clients
from radius_mfa.core.errors import DirectoryError, RadiusMfaError

if TYPE_CHECKING:
    from radius_mfa.assembly.explaining import Explainer, Explanation, Standing
    from radius_mfa.config.load import Loaded


@click.command()
@config_option
@click.argument("users", nargs=-1, metavar="USER...")
@click.option("--client", "clients", multiple=True, metavar="NAME", help="The client that asks.")
@click.option(
    "--station", default="", metavar="S", help="What the client says of the device: a MAC or an address."
)
@click.option(
    "--groups",
    multiple=True,
    metavar="G,...",
    help="The user's groups: then neither directory nor store is asked. A DN has commas of its own: write one to "
    "an option, or ; between several. Names without = may have commas between them; '' is no group.",
)
@click.option("--value", "values", multiple=True, metavar="NAME=VALUE", help="With --groups: of the user's entry.")
@click.option("--attribute", "attributes", multiple=True, metavar="NAME=VALUE", help="Of the request.")
@click.option("--at", metavar="WHEN", help='As "2026-11-27 22:30", in the configured timezone; else now.')
@click.option(
    "--against",
    type=click.Path(path_type=Path),
    metavar="OTHER.yaml",
    help="Tell what that configuration changes, for each USER at each client.",
)
@click.option(
    "--users",
    "list_",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="With --against: a name a line; # begins a comment.",
)
@click.option(
    "--audit",
    is_flag=False,
    flag_value="",
    metavar="[FILE]",
    help="With --against: for the logins in the audit file, the configured one or another (--audit=FILE).",
)
@click.option("--since", metavar="WHEN", help="With --audit: a time, a date, or how long ago (15m, 24h, 7d).")
@json_option
def explain(
    station: str,
    at: str | None,
    against: Path | None,
    list_: Path | None,
    audit: str | None,
    since: str | None,
    as_json: bool,
    **several: tuple[str, ...],
) -> int:
    """Explain what would become of a login of USER with the right password, and why.

    The user's groups and factors are looked up; nothing is written or counted, and nobody is bound. With
    --against only what another configuration changes is told: for USERs at the clients named, or at all, or
    for the logins in the audit file.

    Exit status 0 also where the login would be refused.
    """
    asked = Asked(**several, station=station, at=at)
    _check(asked, against, list_, audit, since)
    loaded = load_configuration()
    if against is None:
        run(_explain(loaded, asked, as_json))
        return 0
    from radius_mfa.assembly.rules import load
    from radius_mfa.cli.explain_against import Against

    comparison = Against(asked, list_, audit, since, as_json)
    return run(comparison.compare(loaded, load(against, os.environ)))


def _check(asked: Asked, against: Path | None, list_: Path | None, audit: str | None, since: str | None) -> None:
    """What does not go together.  Raises UsageError."""
    if asked.values and not asked.is_offline:
        raise click.UsageError("--value goes with --groups: else the directory says what an entry has.")
    if since and audit is None:
        raise click.UsageError("--since goes with --audit.")
    if against is None:
        if list_ or audit is not None:
            raise click.UsageError("--users and --audit go with --against.")
        if len(asked.users) != 1 or len(asked.clients) != 1:
            raise click.UsageError("give one USER and one --client; several go with --against.")
    elif audit is None and not asked.users and not list_:
        raise click.UsageError("give a USER, --users FILE or --audit.")
    elif audit is not None and (list_ or asked.is_offline or asked.station or asked.attributes or asked.at):
        raise click.UsageError(
            "--audit has users, stations and times of its own, and the directory has the groups."
        )


async def _explain(loaded: Loaded, asked: Asked, as_json: bool) -> None:
    from radius_mfa.assembly.explaining import Explainer
    from radius_mfa.cli.explain_words import lines, record

    async with asked.people(loaded) as people:
        explainer = Explainer(loaded, people)
        clients = known_clients(asked.clients, explainer)
        (question,) = asked.questions(explainer, asked.users, clients)
        try:
            explanation = await explainer.explained(question)
        except DirectoryError as broken:
            refuse(f"directory: {broken}; with --groups it is not asked")
        standing, unknown = None, ""
        if not asked.is_offline:
            standing, unknown = await _standing(loaded, explainer, explanation)
    if as_json:
        click.echo(utf8(json.dumps(record(explainer, explanation, standing, unknown), ensure_ascii=False)))
        return
    for line in lines(explainer, explanation, standing, unknown):
        click.echo(line)


async def _standing(loaded: Loaded, explainer: Explainer, explanation: Explanation) -> tuple[Standing | None, str]:
    """What is stored of the user; why that is not known, where it is not."""
    from radius_mfa.assembly.explaining_ports import readable_store

    if explanation.verdict.refusal:
        return None, ""
    try:
        async with AsyncExitStack() as stack:
            store = await readable_store(loaded.configuration, stack)
            return await explainer.standing(explanation, store), ""
    except RadiusMfaError as broken:
        return None, str(broken)
