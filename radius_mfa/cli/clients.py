"""`radius-mfa clients`."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from radius_mfa.cli.common import config_option, json_option, load_configuration, refuse, run, table_line, time_of

if TYPE_CHECKING:
    from radius_mfa.config import model
    from radius_mfa.core.store import SourceTally

_DAY = 86400.0
_LATELY = 30 * _DAY  # seconds: a source not seen for longer says nothing of what it does now
_QUIET = 7 * _DAY  # seconds without a request that lacked one, after which it is taken for mended

_WIDTHS = (20, 8, 25, 9, 9, 9, 9, 0)
_HEADER = ("client", "rule", "last seen", "with", "without", "sources", "sends it", "is require safe?")
_SOURCES_HEADER = ("source", "", "last seen", "with", "without", "", "sends it", "last without")


@click.command()
@config_option
@click.option("--sources", "with_sources", is_flag=True, help="Each source address as well.")
@click.option(
    "--forget", metavar="NAME[/ADDRESS]", help="Forget what is kept of a client, or of one source of it."
)
@json_option
def clients(with_sources: bool, forget: str | None, as_json: bool) -> None:
    """Show which clients send Message-Authenticator, and which can be made to (CVE-2024-3596).

    A client without it leaves the way open to forged answers. Where 'yes' stands in the last column,
    `message_authenticator: require` locks nobody out. A request without may be forged by anybody who can
    write a source address; one with it cannot.
    """
    if forget is None:
        run(_report(with_sources, as_json))
    else:
        run(_forget(forget, as_json))


async def _report(with_sources: bool, as_json: bool) -> None:
    from radius_mfa.assembly.backends import opened

    loaded = load_configuration()
    async with opened(loaded) as backends:
        kept = await backends.store.sources()
    lines = list(_lines(loaded.configuration.clients, kept, time.time()))
    if as_json:
        click.echo(json.dumps([_record(line) for line in lines], ensure_ascii=False, indent=1))
        return
    click.echo(table_line(_HEADER, _WIDTHS))
    for line in lines:
        counts = (str(line.signed), str(line.unsigned), str(len(line.sources)))
        seen = time_of(line.last_seen) or "never"
        click.echo(table_line((line.name, line.rule, seen, *counts, line.sends_it, line.advice), _WIDTHS))
    if with_sources:
        for line in filter(lambda line: line.sources, lines):
            _print_sources(line)
    ready = [line.name for line in lines if line.is_safe and line.rule in ("auto", "off")]
    if ready:
        click.echo(f"\nCan be given message_authenticator: require: {', '.join(ready)}")


def _print_sources(line: _Line) -> None:
    click.echo(f"\n{line.name}")
    click.echo(table_line(_SOURCES_HEADER, _WIDTHS))
    for each in line.sources:
        counts = (str(each.signed), str(each.unsigned))
        cells = (each.source, "", time_of(each.last_seen) or "", *counts, "", _sends_it([each], line.now))
        click.echo(table_line((*cells, time_of(each.last_unsigned) or "never"), _WIDTHS))


async def _forget(what: str, as_json: bool) -> None:
    from radius_mfa.assembly.backends import opened
    from radius_mfa.config.document import printable

    name, slash, source = what.rpartition("/")
    async with opened(load_configuration()) as backends:
        known = {each.client for each in await backends.store.sources()}
        # A name may have a slash in it; an address has none.
        client, address = (what, None) if what in known or not slash else (name, source)
        forgotten = await backends.store.forget_sources(client, address)
    if not forgotten:
        refuse(f"{printable(what)}: nothing is kept of it; 'clients --sources' shows what is")
    if as_json:
        click.echo(json.dumps({"client": client, "source": address, "forgotten": forgotten}))
        return
    sources = f"{forgotten} source{'s' if forgotten != 1 else ''}"
    click.echo(f"{printable(what)}: {sources} forgotten; a running server learns of it within a minute")


# --- the report -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Line:
    """A client and what came from it.  `rule`: "" for one that is not configured any more; `now`: wall seconds."""

    name: str
    rule: str
    sources: Sequence[SourceTally]
    now: float

    @property
    def last_seen(self) -> float:
        return max((each.last_seen for each in self.sources), default=0.0)

    @property
    def signed(self) -> int:
        return sum(each.signed for each in self.sources)

    @property
    def unsigned(self) -> int:
        return sum(each.unsigned for each in self.sources)

    @property
    def sends_it(self) -> str:
        return _sends_it(self.sources, self.now)

    @property
    def is_safe(self) -> bool | None:
        """Whether `require` would lock nobody out; None: nothing was seen lately."""
        if self.rule == "require":
            return True
        return None if self.sends_it == "-" else self.sends_it == "yes"

    @property
    def advice(self) -> str:
        if not self.rule:
            return "is not configured any more; --forget it"
        if self.rule == "require":
            return "is so already" + (f"; {self._without}" if self.sends_it in ("no", "mixed") else "")
        if self.is_safe is None:
            return "not seen for 30 days"
        return "yes" if self.is_safe else f"no: {self._without}"

    @property
    def _without(self) -> str:
        last = max(self.sources, key=lambda each: each.last_unsigned)
        dropped = self.rule == "require" or (self.rule == "auto" and last.signed)
        what = "discarded without" if dropped else "without"
        return f"{last.source} {what} at {time_of(last.last_unsigned)}"


def _sends_it(sources: Sequence[SourceTally], now: float) -> str:
    """Yes, no or mixed, of the sources that were seen lately; - for none."""
    lately = [each for each in sources if each.last_seen > now - _LATELY]
    if not lately:
        return "-"
    if not any(each.signed for each in lately):
        return "no"
    return "yes" if all(each.signed and each.last_unsigned <= now - _QUIET for each in lately) else "mixed"


def _lines(configured: Sequence[model.Client], kept: Sequence[SourceTally], now: float) -> Iterator[_Line]:
    """A line a client, in the order of the configuration, then those that are kept and not configured."""
    rules = {client.name: str(client.message_authenticator) for client in configured}
    gone = {each.client: "" for each in kept if each.client not in rules}
    for name, rule in (rules | gone).items():
        yield _Line(name, rule, [each for each in kept if each.client == name], now)


def _record(line: _Line) -> dict[str, Any]:
    return {
        "name": line.name,
        "message_authenticator": line.rule or None,
        "last_seen": time_of(line.last_seen),
        "signed": line.signed,
        "unsigned": line.unsigned,
        "sends_it": {"-": None}.get(line.sends_it, line.sends_it),
        "require_is_safe": line.is_safe,
        "advice": line.advice,
        "sources": [
            {
                "source": each.source,
                "first_seen": time_of(each.first_seen),
                "last_seen": time_of(each.last_seen),
                "signed": each.signed,
                "unsigned": each.unsigned,
                "last_signed": time_of(each.last_signed),
                "last_unsigned": time_of(each.last_unsigned),
            }
            for each in line.sources
        ],
    }
