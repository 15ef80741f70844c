"""`radius-mfa clients`: the migration report for CVE-2024-3596."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from radius_mfa.core.store import SourceTally
from radius_mfa.stores.sqlite import SqliteStore
from tests.cli.support import rewritten, run_cli
from tests.stores.support import SystemClock

DAY = 86400.0
LEARNS = "a running server learns of it at its next reload (SIGHUP), or within a minute"
CLIENTS = """\
  - {name: vpn, address: 192.0.2.0/24, secret: a secret of twenty or so, message_authenticator: auto}
  - {name: wifi, address: 198.51.100.1, secret: a secret of twenty or so, message_authenticator: off}
"""


@pytest.fixture
def several(config: Path) -> Path:
    """A configuration of three clients: here (require), vpn (auto), wifi (off)."""
    return rewritten(config, "clients:\n", f"clients:\n{CLIENTS}")


def tally(client: str, source: str, *, signed: float | None = None, unsigned: float | None = None) -> SourceTally:
    """A source that has sent one with, and one without, so many days ago."""
    now = time.time()
    with_, without = (0.0 if days is None else now - days * DAY for days in (signed, unsigned))
    seen = [at for at in (with_, without) if at]
    return SourceTally(
        client, source, min(seen), max(seen), int(signed is not None), int(unsigned is not None), with_, without
    )


def keep(config: Path, *tallies: SourceTally) -> None:
    async def add(these: Sequence[SourceTally]) -> None:
        store = SqliteStore.open(f"sqlite:///{config.with_name('state.db')}", SystemClock())
        await store.add_sources(these)
        await store.close()

    asyncio.run(add(tallies))


def report(config: Path) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in run_cli("--config", config, "clients", "--json").json}


@pytest.mark.parametrize(
    ("sources", "verdict", "safe", "advice"),
    [
        ([], "not seen", None, "unknown: not seen"),
        ([{"signed": 1}], "all", True, "yes, for the 1 seen of its addresses"),
        ([{"signed": 1}, {"signed": 2}], "all", True, "yes, for the 2 seen of its addresses"),
        ([{"signed": 1, "unsigned": 8}], "all", True, "yes, for"),  # it was mended a week ago
        ([{"signed": 1, "unsigned": 6}], "mixed", False, "no: 192.0.2.0 discarded without at "),
        ([{"unsigned": 1}], "none", False, "no: 192.0.2.0 without at "),
        ([{"signed": 1}, {"unsigned": 1}], "mixed", False, "no: 192.0.2.1 without at "),
        ([{"signed": 1}, {"unsigned": 20}], "mixed", False, "no: 192.0.2.1 without at "),
        ([{"signed": 1, "unsigned": 8}, {"unsigned": 20}], "mixed", False, "no: 192.0.2.1 without at "),
        # A standby, perhaps, that nobody has needed for a while.
        ([{"signed": 1}, {"unsigned": 31}], "all", False, "no: 192.0.2.1 without at "),
        ([{"signed": 1}, {"signed": 40, "unsigned": 31}], "all", False, "no: 192.0.2.1 discarded without at "),
        ([{"signed": 1}, {"signed": 31, "unsigned": 40}], "all", True, "yes, for the 2 seen of its addresses"),
        ([{"unsigned": 31}], "not seen", None, "unknown: not seen for 30 days"),
    ],
)
def test_require_is_safe_where_all_who_were_seen_lately_send_it(
    several: Path, sources: list[dict[str, float]], verdict: str, safe: bool | None, advice: str
) -> None:
    keep(several, *(tally("vpn", f"192.0.2.{number}", **said) for number, said in enumerate(sources)))
    line = report(several)["vpn"]
    assert (line["verdict"], line["require_is_safe"]) == (verdict, safe)
    assert line["advice"].startswith(advice)
    assert len(line["sources"]) == len(sources)


def test_where_nothing_was_kept_it_says_so(several: Path) -> None:
    lines = run_cli("--config", several, "clients").worked().out.splitlines()
    assert [line.split()[:5] for line in lines[1:]] == [
        ["vpn", "auto", "not", "seen", "never"],
        ["wifi", "off", "not", "seen", "never"],
        ["here", "require", "not", "seen", "never"],
    ]


def test_the_report_says_what_to_do(several: Path) -> None:
    keep(
        several,
        tally("vpn", "192.0.2.1", signed=1),
        tally("wifi", "198.51.100.1", signed=1),
        tally("here", "127.0.0.1", unsigned=1),
        tally("gone", "203.0.113.1", signed=1),
    )
    out = run_cli("--config", several, "clients", "--sources").worked().out
    assert "\nwifi: set message_authenticator: require\n" in out
    assert "\nvpn: likewise, if it uses no other address than those seen (--sources)\n" in out
    assert "\nvpn: 192.0.2.0/24\n" in out
    assert "\ngone: not configured\n" in out
    lines = {line.split()[0]: line for line in out.splitlines() if line}
    assert "yes: is so already; 127.0.0.1 discarded without at " in out
    assert lines["203.0.113.1"].split()[-1] == "never"
    shown = report(several)
    assert shown["wifi"]["advice"] == "yes"
    assert (shown["gone"]["configured"], shown["gone"]["require_is_safe"]) == (False, None)
    assert shown["here"]["require_is_safe"] is True
    assert shown["gone"]["message_authenticator"] is None
    assert shown["gone"]["advice"] == "is not configured any more; --forget it"


def test_a_source_that_signs_and_came_without_is_named(several: Path) -> None:
    """Under `auto` these were discarded: somebody forges it, or it was replaced."""
    said = "192.0.2.1 sends it, and requests without were discarded"
    keep(
        several,
        tally("vpn", "192.0.2.1", signed=1, unsigned=8),
        tally("wifi", "198.51.100.1", signed=1, unsigned=1),
    )
    assert said not in run_cli("--config", several, "clients").worked().out
    keep(several, tally("vpn", "192.0.2.1", unsigned=1), tally("vpn", "192.0.2.2", unsigned=1))
    out = run_cli("--config", several, "clients").worked().out
    assert f"\nvpn: {said}: somebody pretends to be it, or it was replaced; then --forget it\n" in out
    assert out.endswith("can send requests without it: look at the gateway first.\n")


def test_json_has_every_count_and_time(several: Path) -> None:
    keep(several, tally("vpn", "192.0.2.1", signed=1, unsigned=2))
    keep(several, tally("vpn", "192.0.2.1", signed=1))
    line = report(several)["vpn"]
    assert (line["requests"], line["signed"], line["unsigned"]) == (3, 2, 1)
    assert (line["addresses"], line["configured"]) == (["192.0.2.0/24"], True)
    (source,) = line["sources"]
    assert (source["source"], source["signed"], source["unsigned"]) == ("192.0.2.1", 2, 1)
    assert source["first_seen"] == source["last_unsigned"] < source["last_seen"] == source["last_signed"]


def test_a_source_or_a_client_is_forgotten(several: Path) -> None:
    keep(several, *(tally("vpn", f"192.0.2.{number}", signed=1) for number in range(3)))
    said = run_cli("--config", several, "clients", "--forget", "vpn/192.0.2.1").worked().out
    assert said == f"vpn/192.0.2.1: 1 source forgotten; {LEARNS}\n"
    assert [each["source"] for each in report(several)["vpn"]["sources"]] == ["192.0.2.0", "192.0.2.2"]
    record = run_cli("--config", several, "clients", "--forget", "vpn", "--json").json
    assert record == {"client": "vpn", "source": None, "forgotten": 2}
    assert report(several)["vpn"]["sources"] == []


def test_an_address_the_client_no_longer_has_says_nothing_of_it(several: Path) -> None:
    keep(several, tally("vpn", "192.0.2.1", signed=1), tally("vpn", "203.0.113.9", unsigned=1))
    keep(several, tally("here", "203.0.113.9", unsigned=1))
    assert report(several)["vpn"]["require_is_safe"] is True
    assert report(several)["here"]["advice"] == "yes: is so already"


def test_an_address_may_be_spelled_as_one_likes(several: Path) -> None:
    keep(several, tally("vpn", "2001:db8::7", signed=1))
    run_cli("--config", several, "clients", "--forget", "vpn/2001:DB8:0::7").worked()
    assert report(several)["vpn"]["sources"] == []


@pytest.mark.parametrize("what", ["vpn", "vpn/192.0.2.9", "nobody", "/", ""])
def test_what_is_not_kept_cannot_be_forgotten(several: Path, what: str) -> None:
    keep(several, tally("wifi", "192.0.2.1", signed=1))
    said = run_cli("--config", several, "clients", "--forget", what).line(1)
    assert said == f"{what}: nothing is kept of it; 'clients --sources' shows what is"
