"""A configuration with several policies, and what `radius-mfa explain` says of it."""

from __future__ import annotations

import base64
from pathlib import Path

from tests.cli.support import Ran, rewritten, run_cli
from tests.end_to_end.site import now, totp

SEED = bytes(range(20))
BASE32 = base64.b32encode(SEED).decode()
WHEN = "2026-10-14T12:00"
POLICIES = """\
policies:
  - name: admins
    when: {client: here, group: "cn=admins,dc=example"}
  - name: night
    when: {client: here, hours: ["22:00-24:00"]}
    second_factor: required
    reply: {Class: night}
  - name: staff
    when: {client: here, group: [staff, "cn=staff,dc=example"]}
    unenrolled: allow_until 2027-03-31
    trust_device: true
    reply: {Class: staff, Filter-Id: "dep-{departmentNumber|0}"}
"""
OLD_POLICIES = """\
policies:
  - name: here
    when: {client: here}
    second_factor: required
"""


def explain(config: Path, *arguments: str | Path) -> Ran:
    return run_cli("--config", config, "explain", *arguments)


def rows(ran: Ran) -> list[tuple[str, str]]:
    """What is said below the headline, by its labels."""
    _, *lines = ran.worked().out.splitlines()
    return [(line[:14].strip(), line[16:]) for line in lines]


def enrol(config: Path, *names: str) -> None:
    for name in names:
        code = totp(SEED, now())
        run_cli("--config", config, "user", "enrol", name, "--secret", BASE32, "--confirm", code).worked()


def other_of(config: Path, *changes: tuple[str, str]) -> Path:
    """A copy with changes."""
    other = config.with_name("other.yaml")
    other.touch(0o600)
    other.write_text(config.read_text())
    for old, new in changes:
        rewritten(other, old, new)
    return other
