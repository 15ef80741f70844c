"""`radius-mfa audit`."""

from __future__ import annotations

import difflib
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from radius_mfa.cli.common import config_option, json_option, load_configuration, refuse, table_line, warn

if TYPE_CHECKING:
    from radius_mfa.observe.audit_search import Found

_DECISIONS = ("accept", "reject", "challenge", "discard")
_HEADER = ("time", "decision", "outcome", "user", "client", "factor", "station", "source", "detail")
_WIDTHS = (23, 9, 22, 16, 12, 8, 17, 21, 0)


@click.command()
@config_option
@click.option("--user", "users", multiple=True, metavar="NAME", help="As typed, the directory's name, or its id.")
@click.option("--client", "clients", multiple=True, metavar="NAME", help="The client that asked.")
@click.option("--outcome", "outcomes", multiple=True, help="Such as wrong_password: docs and YAML call it so.")
@click.option("--decision", "decisions", multiple=True, type=click.Choice(_DECISIONS))
@click.option("--station", "stations", multiple=True, help="The Calling-Station-Id, as it was sent.")
@click.option("--source", "sources", multiple=True, metavar="ADDRESS", help="Where requests came from.")
@click.option("--login", "logins", multiple=True, metavar="ID", help="All rounds of one login, by its id.")
@click.option("--since", metavar="WHEN", help="A time (2026-11-27T08:30), a date, or how long ago: 15m, 24h, 7d.")
@click.option("--until", metavar="WHEN", help="Likewise; what happened from then on is left out.")
@click.option("--last", type=click.IntRange(0), default=100, show_default=True, help="How many; 0: all.")
@click.option("--file", "file", type=click.Path(path_type=Path), help="Another file; no configuration is needed.")
@json_option
def audit(
    file: Path | None, since: str | None, until: str | None, last: int, as_json: bool, **asked: tuple[str, ...]
) -> None:
    """Search the audit file, and those it was rotated to.

    All that is given must hold; of what is given several times, one.  The oldest is printed first.
    """
    from radius_mfa.observe.audit_search import Query, search

    _check_outcomes(asked["outcomes"])
    path, zone = _where(file)
    query = Query(**asked, since=_moment("--since", since, zone), until=_moment("--until", until, zone))
    found = search(path, query, last)
    if path in found.unread:
        refuse(f"{path}: cannot be read: {found.unread[path]}")
    _print(found, zone, as_json)
    for unread, why in found.unread.items():
        warn(f"{unread}: cannot be read: {why}")
    for odd, lines in found.odd.items():
        warn(f"{odd}: {lines} line{'s are no audit events' if lines > 1 else ' is no audit event'}")
    if found.more:
        click.echo(f"the last {last} of more; --last 0 shows all", err=True)


def _check_outcomes(outcomes: tuple[str, ...]) -> None:
    from radius_mfa.core.outcomes import Outcome

    for each in outcomes:
        if each not in list(Outcome):
            near = difflib.get_close_matches(each, list(Outcome), n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise click.UsageError(f"there is no outcome {each!r}.{hint}")


def _where(file: Path | None) -> tuple[Path, tzinfo]:
    """The file, and the zone times are told in."""
    if file is not None:
        local = datetime.now().astimezone().tzinfo
        assert local is not None  # `astimezone` sees to it
        return file, local
    configuration = load_configuration().configuration
    if configuration.audit.file is None:
        refuse("audit: the events go to the log; set audit: {file: …} to have them searched, or give --file")
    return configuration.audit.file, configuration.timezone


def _moment(option: str, written: str | None, zone: tzinfo) -> datetime | None:
    """When that was; without an offset, in `zone`."""
    from radius_mfa.config.values import duration

    if written is None:
        return None
    now = datetime.now(zone)
    try:
        return now - timedelta(seconds=duration(written))
    except (ValueError, OverflowError):
        pass
    try:
        moment = datetime.fromisoformat(written)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=zone)
        moment.timestamp()  # the year 1 has none everywhere
    except (ValueError, OverflowError):
        expected = "a time such as 2026-11-27T08:30, a date, or how long ago, such as 15m, 24h, 7d"
        raise click.UsageError(f"{option} takes {expected}.") from None
    return moment


def _print(found: Found, zone: tzinfo, as_json: bool) -> None:
    import orjson

    if as_json:
        for event in found.events:
            click.echo(orjson.dumps(event).decode())
    elif found.events:
        click.echo(table_line(_HEADER, _WIDTHS).rstrip())
        for event in found.events:
            click.echo(table_line(_cells(event, zone), _WIDTHS).rstrip())


def _cells(event: dict[str, Any], zone: tzinfo) -> list[str]:
    def said(key: str) -> str:
        return str(event.get(key, ""))

    keys = ("decision", "outcome", "user", "client", "factor", "station", "source", "detail")
    user = said("username") or said("user_name") or said("user_id")
    return [_time(said("time"), zone), *(user if key == "user" else said(key) for key in keys)]


def _time(written: str, zone: tzinfo) -> str:
    try:
        return f"{datetime.fromisoformat(written).astimezone(zone):%Y-%m-%d %H:%M:%S.%f}"[:-3]
    except (ValueError, OverflowError):
        return written
