"""`radius-mfa audit`."""

from __future__ import annotations

import difflib
import io
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING

import click

from radius_mfa.cli.common import (
    REFUSED,
    config_option,
    json_option,
    load_configuration,
    refuse,
    run,
    table_line,
    warn,
)

if TYPE_CHECKING:
    from radius_mfa.config.load import Loaded
    from radius_mfa.core.messages import AuditEvent
    from radius_mfa.observe.audit_search import Hit, Query, Search

_DECISIONS = ("accept", "reject", "challenge", "discard", "done", "refused")  # the last two: of acts
_COLUMNS = ("decision", "outcome", "user", "client", "station", "factor", "policy", "source", "detail")
_MEASURED = 1000  # events that say how wide the columns are
_WIDEST = 40
_EPOCH = datetime.fromtimestamp(0, UTC)


@click.command()
@config_option
@click.option("--user", "users", multiple=True, metavar="NAME", help="As typed, the directory's name, or its id.")
@click.option(
    "--masked",
    is_flag=True,
    help="With --user: also a name that nobody was found for and that could be it: of alice the file has a…(5).",
)
@click.option("--client", "clients", multiple=True, metavar="NAME", help="The client that asked.")
@click.option(
    "--outcome",
    "outcomes",
    multiple=True,
    metavar="REASON",
    help="Such as wrong_password, or, in the portal, unlocked.",
)
@click.option("--decision", "decisions", multiple=True, type=click.Choice(_DECISIONS))
@click.option("--by", multiple=True, metavar="NAME", help="Who of the help desk did it.")
@click.option(
    "--station", "stations", multiple=True, metavar="ID", help="Calling-Station-Id; a MAC in any spelling."
)
@click.option("--source", "sources", multiple=True, metavar="ADDRESS", help="Where requests came from.")
@click.option("--login", "logins", multiple=True, metavar="HEX", help="All rounds of a login; --json shows which.")
@click.option(
    "--since",
    metavar="WHEN",
    help="A time (2026-11-27T08:30, in the configured timezone where no offset follows), a date, or how long ago "
    "(15m, 24h, 7d).",
)
@click.option("--until", metavar="WHEN", help="Likewise; what happened from then on is left out.")
@click.option("--last", type=click.IntRange(0), metavar="N", default=100, show_default=True, help="0: all.")
@click.option(
    "--file",
    "file",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Another file than the configured one; without --config, times are in this machine's timezone.",
)
@click.option("--files-only", is_flag=True, help="With --user: do not ask the store for what no file here has.")
@json_option
def audit(
    file: Path | None,
    files_only: bool,
    since: str | None,
    until: str | None,
    last: int,
    as_json: bool,
    masked: bool,
    **asked: tuple[str, ...],
) -> int:
    """Search the audit file, and those it was rotated to.

    All that is asked must hold; of an option given several times, one. The oldest is printed first; --json prints
    the lines as they are. With --user the store is asked as well: it has what other nodes have decided, and what
    was in files that are gone; such lines have "origin": "store".
    """
    from radius_mfa.observe.audit_search import Query, Search
    from radius_mfa.observe.audit_stored import with_stored

    _check(asked["outcomes"], asked["sources"], asked["logins"])
    path, zone, loaded = _where(file)
    query = Query(
        **asked, masked=masked, since=moment("--since", since, zone), until=moment("--until", until, zone)
    )
    search = Search(path, query)
    stored = _stored(loaded, query) if loaded and file is None and query.users and not files_only else ()
    hits = with_stored(search, stored, last)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8" if as_json else None, errors="backslashreplace")
    printed = 0
    for line in (hit.line.decode() for hit in hits) if as_json else _table(hits, zone):
        sys.stdout.write(f"{line}\n")
        printed += 1
    sys.stdout.flush()
    if not printed and not search.unread:
        click.echo("no such event", err=True)
    _tell(search, last)
    return REFUSED if search.unread else 0


def _check(outcomes: tuple[str, ...], sources: tuple[str, ...], logins: tuple[str, ...]) -> None:
    from radius_mfa.core.acts import Act
    from radius_mfa.core.outcomes import Outcome
    from radius_mfa.observe.audit_search import address_of

    known = [*Outcome, *Act]
    for each in outcomes:
        if each not in known:
            near = ", ".join(difflib.get_close_matches(each, known))
            raise click.UsageError(f"There is no outcome {each!r}{f'; there is {near}' if near else ''}.")
    for each in sources:
        if address_of(each) is None:
            raise click.UsageError(f"--source takes an IP address, not {each!r}.")
    for each in logins:
        if not each or set(each) - set("0123456789abcdefABCDEF"):
            raise click.UsageError(f"--login takes hexadecimal digits, as --json has them, not {each!r}.")


def _stored(loaded: Loaded, query: Query) -> Sequence[AuditEvent]:
    """What the store has about those users; nothing, and a warning, where it cannot be asked."""
    from radius_mfa.assembly.audit_rows import rows_about
    from radius_mfa.core.errors import RadiusMfaError
    from radius_mfa.core.printing import printable

    since = query.since.timestamp() if query.since else 0.0
    try:
        return run(rows_about(loaded.configuration, query.users, since))
    except RadiusMfaError as broken:
        warn(printable(f"the files alone, since the store cannot be asked: {broken}"))
        return ()


def _where(file: Path | None) -> tuple[Path, tzinfo | None, Loaded | None]:
    """The file, the zone times are written in (None: this machine's), and the configuration, if it was read."""
    if file is not None and "radius_mfa.config" not in click.get_current_context().meta:
        return file, None, None
    loaded = load_configuration()
    configuration = loaded.configuration
    path = file or configuration.audit.file
    if path is None:
        refuse(
            "audit: no file is configured, so the events are in the server's log; "
            "audit: {file: /var/log/radius-mfa/audit.jsonl} in the YAML has them written to one"
        )
    return path, configuration.timezone, loaded


def moment(option: str, written: str | None, zone: tzinfo | None) -> datetime | None:
    """When that was, in UTC; without an offset, in `zone`."""
    from radius_mfa.config.values import duration

    if written is None:
        return None
    try:
        if written[-1:].isalpha() and written[-1] != "Z":
            moment = datetime.now(UTC) - timedelta(seconds=duration(written))
        else:
            moment = datetime.fromisoformat(written)
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=zone) if zone else moment.astimezone()
        return max(moment.astimezone(UTC), _EPOCH)
    except (ValueError, OverflowError):
        expected = "a time such as 2026-11-27T08:30, a date, or how long ago, such as 15m, 24h, 7d"
        raise click.UsageError(f"{option} takes {expected}, not {written!r}.") from None


def _table(hits: Iterator[Hit], zone: tzinfo | None) -> Iterator[str]:
    """The events as lines of a table, with what the columns are above them; nothing where there are none."""
    rows = (_cells(hit, zone) for hit in hits)
    if not (first := list(islice(rows, _MEASURED))):
        return
    header = ("time", *_COLUMNS)
    widths = [min(max(map(_width, column)), _WIDEST) for column in zip(header, *first, strict=True)]
    widths[-1] = 0
    for row in chain([header], first, rows):
        yield table_line(row, widths).rstrip()


def _cells(hit: Hit, zone: tzinfo | None) -> tuple[str, ...]:
    """In the order of the columns."""
    said = {key: str(hit.event.get(key, "")) for key in _COLUMNS}
    said["user"] = next(
        (str(name) for key in ("username", "user_name", "user_id") if (name := hit.event.get(key))), ""
    )
    by = f"by {hit.event['by']}" if hit.event.get("by") else ""
    where = "in the store only" if hit.event.get("origin") == "store" else ""
    whose = "forgotten" if hit.event.get("forgotten") is True else ""
    said["detail"] = "; ".join(filter(None, (by, where, whose, said["detail"])))
    return (_shown_time(hit.time, zone), *said.values())


def _width(cell: str) -> int:
    """Of the cell, in columns of a terminal."""
    shown = table_line([cell], [0])
    return len(shown) + sum(unicodedata.east_asian_width(each) in "WF" for each in shown)


def _shown_time(written: str, zone: tzinfo | None) -> str:
    try:
        return datetime.fromisoformat(written).astimezone(zone).isoformat(timespec="seconds")
    except (ValueError, OverflowError):  # the year 1, or 9999
        return written


def _tell(search: Search, last: int) -> None:
    """What there is to know about what was printed, on stderr."""
    from radius_mfa.core.printing import printable

    for path, why in search.unread.items():
        click.echo(printable(f"{path}: {why}"), err=True)
    if search.first_odd is not None:
        path, at = search.first_odd
        what = "1 line that is no audit event;"
        if search.odd > 1:
            what = f"{search.odd} lines that are no audit events; the first"
        warn(printable(f"passed over {what} in {path} at octet {at}"))
    if search.looks_masked:
        click.echo("names that nobody was found for could be this one as well; --masked shows them", err=True)
    if search.more:
        click.echo(f"the last {last} of more; --last 0 shows all", err=True)
