"""`radius-mfa clients`."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any

import click

from radius_mfa.cli.common import config_option, json_option, load_configuration, refuse, run, table_line, time_of

if TYPE_CHECKING:
    from ipaddress import IPv4Network, IPv6Network

    from radius_mfa.config import model
    from radius_mfa.core.store import SourceTally

_DAY = 86400.0
_LATELY = 30 * _DAY  # seconds: a source not seen for longer says nothing of what it does now
_QUIET = 7 * _DAY  # seconds without a request that lacked one, after which it is taken for mended

_HEADER = ("client", "rule", "send it", "last seen", "is require safe?")
_SOURCES_WIDTHS = (39, 25, 9, 9, 9, 8, 0)
_SOURCES_HEADER = ("source", "last seen", "requests", "with", "without", "sends it", "last without")


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
    write a source address; one with it cannot. A gateway that was mended counts as such after a week
    without a request that lacked it, or at once after --forget.
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
    widths = (max(len(each) for each in ("client", *(line.name for line in lines))), 7, 8, 25, 0)
    click.echo(table_line(_HEADER, widths))
    for line in lines:
        seen = time_of(line.last_seen) or "never"
        click.echo(table_line((line.name, line.rule, line.verdict, seen, line.advice), widths))
    if with_sources:
        for line in filter(lambda line: line.sources, lines):
            _print_sources(line)
    for what in _to_do(lines):
        click.echo(f"\n{what}")


def _print_sources(line: _Line) -> None:
    click.echo(f"\n{line.name}: {', '.join(line.addresses) or 'not configured'}")
    click.echo(table_line(_SOURCES_HEADER, _SOURCES_WIDTHS))
    for each in line.sources:
        cells = (each.source, time_of(each.last_seen) or "", *_counts([each]), _verdict([each], line.now))
        click.echo(table_line((*cells, time_of(each.last_unsigned) or "never"), _SOURCES_WIDTHS))


def _counts(sources: Sequence[SourceTally]) -> tuple[str, str, str]:
    """All requests, those with it, those without."""
    signed, unsigned = sum(each.signed for each in sources), sum(each.unsigned for each in sources)
    return str(signed + unsigned), str(signed), str(unsigned)


def _to_do(lines: Sequence[_Line]) -> Iterator[str]:
    """What to do next, a sentence each."""
    from radius_mfa.core.printing import printable

    ready = [line for line in lines if line.is_safe and line.rule in ("auto", "off")]
    if known := [line.name for line in ready if not line.has_several]:
        yield f"{printable(', '.join(known))}: set message_authenticator: require"
    for line in filter(lambda line: line.has_several, ready):
        yield f"{printable(line.name)}: likewise, if it uses no other address than those seen (--sources)"
    for line in lines:
        if line.rule == "auto" and line.downgraded:
            names = ", ".join(each.source for each in line.downgraded)
            yield (
                f"{printable(line.name)}: {names} sends it, and requests without were discarded: somebody pretends"
                " to be it, or it was replaced; then --forget it"
            )
    if any(line.verdict in ("none", "mixed") for line in lines):
        yield "Whoever can write a source address can send requests without it: look at the gateway first."


async def _forget(what: str, as_json: bool) -> None:
    from radius_mfa.assembly.backends import opened
    from radius_mfa.core.printing import printable

    name, slash, source = what.rpartition("/")
    async with opened(load_configuration()) as backends:
        known = {each.client for each in await backends.store.sources()}
        # A name may have a slash in it; an address has none.
        client, address = (what, None) if what in known or not slash else (name, _spelled(source))
        forgotten = await backends.store.forget_sources(client, address)
    if not forgotten:
        refuse(f"{printable(what)}: nothing is kept of it; 'clients --sources' shows what is")
    if as_json:
        click.echo(json.dumps({"client": client, "source": address, "forgotten": forgotten}))
        return
    sources = f"{forgotten} source{'s' if forgotten != 1 else ''}"
    click.echo(
        f"{printable(what)}: {sources} forgotten; a running server learns of it"
        " at its next reload (SIGHUP), or within a minute"
    )


# --- the report -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Line:
    """A client and what came from it.  `rule`: "" for one that is not configured any more; `now`: wall seconds."""

    name: str
    addresses: Sequence[str]
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
    def verdict(self) -> str:
        return _verdict(self.sources, self.now)

    @property
    def downgraded(self) -> Sequence[SourceTally]:
        """Sources that send it, and lately came without: under `auto` these were discarded."""
        return [each for each in self.sources if each.signed and not _is_good(each, self.now)]

    @property
    def is_safe(self) -> bool | None:
        """Whether `require` would lock nobody out; None: nothing was seen lately."""
        if self.rule == "require":
            return True
        return None if self.verdict == "not seen" or not self.rule else not self._culprits

    @property
    def advice(self) -> str:
        if not self.rule:
            return "is not configured any more; --forget it"
        if self.rule == "require":
            return "yes: is so already" + (
                f"; {self._without}" if self._culprits and self.verdict != "all" else ""
            )
        if self.is_safe is None:
            return "unknown: not seen" + (" for 30 days" if self.sources else "")
        if not self.is_safe:
            return f"no: {self._without}"
        # Of what else may come from a prefix nothing is known.
        return f"yes, for the {len(self.sources)} seen of its addresses" if self.has_several else "yes"

    @property
    def has_several(self) -> bool:
        return len(self.addresses) > 1 or any(ip_network(each).num_addresses > 1 for each in self.addresses)

    @property
    def _culprits(self) -> Sequence[SourceTally]:
        """Sources that would not be served any more, also those that were not seen lately: a standby, say."""
        networks = [ip_network(each) for each in self.addresses]
        here = [each for each in self.sources if any(ip_address(each.source) in network for network in networks)]
        return [each for each in here if not _is_good(each, self.now)]

    @property
    def _without(self) -> str:
        last = max(self._culprits, key=lambda each: each.last_unsigned)
        dropped = self.rule == "require" or (self.rule == "auto" and last.signed)
        what = "discarded without" if dropped else "without"
        return f"{last.source} {what} at {time_of(last.last_unsigned)}"


def _lately(sources: Sequence[SourceTally], now: float) -> Sequence[SourceTally]:
    return [each for each in sources if each.last_seen > now - _LATELY]


def _is_good(source: SourceTally, now: float) -> bool:
    """Whether it sends one, and has not come without since, nor for a week."""
    return source.last_signed > source.last_unsigned and source.last_unsigned <= now - _QUIET


def _verdict(sources: Sequence[SourceTally], now: float) -> str:
    """Whether all, none or some (mixed) of the sources that were seen lately send it."""
    lately = _lately(sources, now)
    if not lately:
        return "not seen"
    if not any(each.signed for each in lately):
        return "none"
    return "all" if all(_is_good(each, now) for each in lately) else "mixed"


def _lines(configured: Sequence[model.Client], kept: Sequence[SourceTally], now: float) -> Iterator[_Line]:
    """A line a client, in the order of the configuration, then those that are kept and not configured."""
    sources: dict[str, list[SourceTally]] = {}
    for each in kept:
        sources.setdefault(each.client, []).append(each)
    for client in configured:
        addresses = [_address(each) for each in client.address]
        yield _Line(client.name, addresses, client.message_authenticator, sources.pop(client.name, []), now)
    for name, gone in sources.items():
        yield _Line(name, [], "", gone, now)


def _spelled(address: str) -> str:
    """As sockets spell it."""
    try:
        return str(ip_address(address))
    except ValueError:
        return address


def _address(network: IPv4Network | IPv6Network) -> str:
    """As people write it: one address has no prefix length."""
    return str(network.network_address) if network.num_addresses == 1 else str(network)


def _record(line: _Line) -> dict[str, Any]:
    return {
        "name": line.name,
        "configured": bool(line.rule),
        "addresses": line.addresses,
        "message_authenticator": line.rule or None,
        "last_seen": time_of(line.last_seen),
        "requests": line.signed + line.unsigned,
        "signed": line.signed,
        "unsigned": line.unsigned,
        "verdict": line.verdict,
        "require_is_safe": line.is_safe,
        "advice": line.advice,
        "sources": [
            {
                "source": each.source,
                "verdict": _verdict([each], line.now),
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
