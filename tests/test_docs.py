"""What the documentation names is there: every test it cites, every file it links to; its YAML loads."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from radius_mfa.config.load import load
from radius_mfa.directories.static import hash_password
from radius_mfa.wire.dictionary import Dictionary
from tests.end_to_end.pages import blocks

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
_ONESHOT = "Type=oneshot"
_UNITS = {path: path.read_text().splitlines() for path in sorted(ROOT.glob("deploy/*.service"))}
UNITS = [path for path, lines in _UNITS.items() if _ONESHOT not in lines]
TIMED = [path for path, lines in _UNITS.items() if _ONESHOT in lines]
# Those whose YAML names no files, but for those of 802.1X.
TO_LOAD = [ROOT / "docs" / "policies.md", *sorted(ROOT.glob("docs/gateways/*.md"))]
_CITED = re.compile(r"`(?:tests/)?((?:[a-z_0-9]+/)*test_[a-z_0-9]+)(?:\.py)?(?:::(test_[a-z_0-9]+))?`")
_LINKED = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


def cited(page: str) -> list[tuple[str, str]]:
    """Files below `tests/`, without their ending, each with a test in it or ""."""
    return _CITED.findall(page)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_test_that_is_cited_is_there(page: Path) -> None:
    for file, name in cited(page.read_text()):
        source = ROOT / "tests" / f"{file}.py"
        assert source.is_file(), file
        assert not name or re.search(rf"def {name}\(", source.read_text()), f"{file}::{name}"


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in _LINKED.findall(page.read_text()):
        assert (page.parent / target).exists(), target


def test_the_threats_are_answered_by_tests() -> None:
    page = (ROOT / "docs" / "security.md").read_text()
    threats = page.partition("## Threats")[2].partition("\n## ")[0]
    rows = [line for line in threats.splitlines() if line.startswith("| ")][1:]
    assert len(rows) >= 20
    for row in rows:
        assert cited(row), row


def for_the_yaml(page: Path) -> list[str]:
    """What a page has for it."""
    return [each.text for each in blocks(str(page.relative_to(ROOT)), "yaml")]


def test_the_portal_of_the_laboratory_is_a_configuration(tmp_path: Path) -> None:
    """As the quick start has it made; that there is no help desk is all that is said of it."""
    page = (ROOT / "docs" / "quick-start.md").read_text()
    added = re.findall(r"^ *echo '(.*)' >> lab/laboratory\.yaml", page, re.MULTILINE)
    path = tmp_path / "laboratory.yaml"
    path.write_text((ROOT / "config" / "laboratory.yaml").read_text() + "".join(f"{line}\n" for line in added))
    environment = {"LAB_SECRET": "as long as a secret is to be", "LAB_PASSWORD": hash_password("correct horse")}

    loaded = load(path, environment, Dictionary.shipped())

    assert loaded.configuration.portal is not None
    assert loaded.configuration.portal.url == "http://127.0.0.1:8080"
    (warning,) = loaded.warnings
    assert "has no help_desk" in warning


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_a_unit_is_started_again_for_ever_and_without_folders_it_does_not_need(unit: Path) -> None:
    """With systemd's own limit a database that is away for a minute would end it for good."""
    lines = unit.read_text().splitlines()

    assert {"StartLimitIntervalSec=0", "Restart=on-failure", "RestartSec=5"} <= set(lines)
    assert lines.index("StartLimitIntervalSec=0") < lines.index("[Service]")
    (writable,) = (line.partition("=")[2] for line in lines if line.startswith("ReadWritePaths="))
    assert all(each.startswith("-/") for each in writable.split())


@pytest.mark.parametrize("unit", TIMED, ids=lambda path: path.name)
def test_a_unit_that_a_timer_starts_is_tried_again_by_that_alone_and_may_write_no_more_than_it_has_to(
    unit: Path,
) -> None:
    lines = unit.read_text().splitlines()

    assert not [line for line in lines if line.startswith(("Restart", "AmbientCapabilities", "[Install]"))]
    (writable,) = (line.partition("=")[2] for line in lines if line.startswith("ReadWritePaths="))
    assert all(each.startswith("-/var/") for each in writable.split())
    timer = unit.with_suffix(".timer").read_text().splitlines()
    assert {"Persistent=true", "[Install]", "WantedBy=timers.target"} <= set(timer)


def test_the_nightly_backup_has_its_passphrase_from_a_file() -> None:
    """Neither as an argument nor in an environment, which others can look at."""
    unit = (ROOT / "deploy" / "radius-mfa-backup.service").read_text()

    (file,) = re.findall(r" --passphrase-file (/etc/\S+) ", unit)
    assert f"install -m 0640 -g radius-mfa /dev/null {file}\n" in (ROOT / "docs" / "backup.md").read_text()
    assert "PASSPHRASE" not in unit


# What a page leaves out.
REST = {
    "listen": "listen: [{udp: 0.0.0.0:1812}]\n",
    "directory": """\
directory:
  ldap:
    servers: ldaps://ldap.example.org
    bind_dn: cn=radius,dc=example,dc=org
    bind_password: ${LDAP_PASSWORD}
    base_dn: ou=people,dc=example,dc=org
""",
    "clients": 'clients: [{name: vpn, address: 192.0.2.10, secret: "${SECRET}"}]\n',
    "policies": "policies:\n  - {name: staff, when: {client: vpn}}\n",
}


@pytest.mark.parametrize(
    ("page", "block"),
    [(page, block) for page in TO_LOAD for block in for_the_yaml(page)],
    ids=[f"{page.stem}-{at}" for page in TO_LOAD for at, _ in enumerate(for_the_yaml(page))],
)
def test_what_a_page_says_is_a_configuration_that_nobody_is_warned_of(
    page: Path, block: str, tmp_path: Path
) -> None:
    rest = (text for key, text in REST.items() if not re.search(rf"^{key}:", block, re.MULTILINE))
    text = block + "".join(rest)
    path = tmp_path / "radius-mfa.yaml"
    path.write_text(text)
    for name in ("eap.pem", "eap.key"):
        (tmp_path / name).touch(0o600)
    environment = {name: f"{name} at random" for name in re.findall(r"\$\{([A-Z_]+)\}", text)}

    loaded = load(path, environment, Dictionary.shipped())

    assert loaded.warnings == ()
