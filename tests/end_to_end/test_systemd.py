"""The units under a real systemd, set up by the commands of docs/systemd.md; and what `systemd-analyze` says."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from radius_mfa import __version__
from radius_mfa.directories.static import hash_password
from tests.end_to_end.systemd_story import PAGE, STORY, YAML, settings
from tests.peers.certificates import self_signed
from tests.peers.machine import Machine
from tests.peers.systemd import ROOT, booted

UNITS = sorted(ROOT.glob("deploy/*.service"))
NAMES = ["radius-mfa-portal", "radius-mfa"]


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """What became of it, a part each."""
    given = tmp_path_factory.mktemp("given")
    (given / "radius-mfa.yaml").write_text(YAML + settings("The first start"))
    (given / "environment").write_text(f"VPN_SECRET='{'s' * 20}'\nPASSWORD='{hash_password('sesame')}'\n")
    self_signed(given, "radius.example.org").rename(given / "eap.pem")
    said = booted(Machine(tmp_path_factory.mktemp("under_systemd") / "machine"), f"GIVEN={given}\n{STORY}", ROOT)
    print(said)
    parts = re.split(r"^== (\w+)\n", said, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_both_are_started_once_they_are_ready(story: Mapping[str, str]) -> None:
    server, portal = story["started"].strip().split("\n\n")
    assert f"StatusText={__version__}: listen 127.0.0.1:1812, policies 1, workers 2" in server
    assert f"StatusText={__version__}: listen 127.0.0.1:8080, url http://127.0.0.1:8080" in portal
    for shown in (server, portal):
        assert "ActiveState=active" in shown
        assert "NRestarts=0" in shown


def test_they_have_the_rights_that_the_page_says_and_no_others(story: Mapping[str, str]) -> None:
    lines = story["rights"].splitlines()
    assert lines[:4] == [
        "/etc/radius-mfa root radius-mfa 750",
        "/etc/radius-mfa/key root radius-mfa 640",
        "/var/lib/radius-mfa radius-mfa radius-mfa 2770",
        "/var/lib/radius-mfa/state.db radius-mfa radius-mfa 660",
    ]
    confined = ["CapEff: 0000000000000000", "CapBnd: 0000000000000000", "NoNewPrivs: 1", "Seccomp: 2"]
    assert [line.replace("\t", " ") for line in lines[4:]] == confined * 2


def test_logins_802_1x_portal_and_metrics_work_in_there(story: Mapping[str, str]) -> None:
    assert "Access-Accept" in story["login"]
    *_, keys, health, info, clock = story["login"].splitlines()
    assert (keys, health, info) == ("1", "ok", f'radius_mfa_info{{version="{__version__}"}} 1.0')
    assert re.fullmatch(r"radius_mfa_clock_synchronised [01]\.0", clock)


def test_the_audit_file_is_rotated_for_both_to_write_and_read_on(story: Mapping[str, str]) -> None:
    new, old, lines = story["rotated"].splitlines()
    assert new == "/var/log/radius-mfa/audit.jsonl radius-mfa radius-mfa 660"
    assert re.fullmatch(r"/var/log/radius-mfa/audit\.jsonl-\d{8} radius-mfa radius-mfa 660", old)
    assert int(lines) == 2, "a login, and one over 802.1X"


def test_they_show_that_they_live(story: Mapping[str, str]) -> None:
    assert story["alive"].split() == NAMES[::-1]


def test_a_reload_and_one_that_is_refused_are_shown(story: Mapping[str, str]) -> None:
    taken, refused = story["reloaded"].splitlines()
    assert taken.endswith("policies 2, workers 2")
    assert "policies 2, workers 2; reload refused: /etc/radius-mfa/radius-mfa.yaml:" in refused
    assert "slip" not in refused, "everybody may read it"


def test_a_backup_is_made_every_night_and_before_an_upgrade(story: Mapping[str, str]) -> None:
    said = story["backed_up"]
    assert "radius-mfa radius-mfa 600" in said
    assert said.count("Result=success") == 2
    assert "ActiveState=active" in said  # the timer
    assert "/var/backups/radius-mfa/before-the-upgrade" in story["upgraded"]


def test_what_was_backed_up_is_brought_back_with_the_rights_it_had(story: Mapping[str, str]) -> None:
    assert "/etc/radius-mfa/key root radius-mfa 640" in story["restored"]
    assert "/var/lib/radius-mfa/state.db radius-mfa radius-mfa 660" in story["restored"]
    assert "Your password is right" in story["restored"]  # the server is there, and asks for a factor by now


def test_old_backups_and_their_passphrase_are_not_to_be_seen_in_there(story: Mapping[str, str]) -> None:
    lines = story["hidden"].splitlines()
    assert [line.rpartition(" ")[0] for line in lines] == 2 * [
        "/var/backups/radius-mfa 0",
        "/etc/radius-mfa/backup-passphrase 0",
    ]
    assert lines[1].endswith(" 0")  # an empty file in its place


def test_what_the_portal_makes_while_no_server_runs_is_for_both(story: Mapping[str, str]) -> None:
    wal, audit = story["alone"].splitlines()
    assert wal == "state.db-wal radius-mfa-portal radius-mfa 660"
    assert audit == "/var/log/radius-mfa/audit.jsonl radius-mfa-portal radius-mfa 660"


def test_one_that_hangs_is_started_anew(story: Mapping[str, str]) -> None:
    assert story["hung"].splitlines() == ["radius-mfa-portal.service watchdog"]


def test_a_port_of_roots_takes_the_capability_that_the_page_gives(story: Mapping[str, str]) -> None:
    assert "listen 127.0.0.1:80," in story["port"]
    assert re.findall(r"^Cap\w+:\t(\w+)", story["port"], re.MULTILINE) == ["0000000000000400"] * 2


def test_they_end_in_peace(story: Mapping[str, str]) -> None:
    assert story["stopped"].count("Result=success\n") == 2
    assert story["stopped"].count("ActiveState=inactive\n") == 2
    assert "stopped" in story["stopped"].splitlines()[-2]


# --- the files ------------------------------------------------------------------------------------


def analyze(*arguments: str | Path) -> str:
    command = ["systemd-analyze", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return done.stdout + done.stderr


def test_systemd_finds_nothing_wrong_with_the_units() -> None:
    # Of other units of the machine, and of a program that is not installed here, it may say what it likes.
    said = [line for line in analyze("verify", *UNITS).splitlines() if "radius-mfa" in line]
    assert all("/opt/radius-mfa/bin/radius-mfa is not executable" in line for line in said), said


def test_the_scores_are_those_of_the_page_and_so_is_what_is_left_open() -> None:
    """Another release of systemd may look at more, or weigh it in another way."""
    page = (ROOT / PAGE).read_text()
    left: dict[str, str] = {}
    same = analyze("--version").startswith("systemd 252 ")
    for unit in UNITS:
        said = analyze("security", "--offline=true", unit)
        (score,) = re.findall(r"Overall exposure level for \S+: ([\d.]+)", said)
        (written,) = re.findall(rf"^\| `deploy/{unit.name}` \| ([\d.]+) \|$", page, re.MULTILINE)
        assert abs(float(score) - float(written)) <= (0 if same else 0.3)
        left |= dict(re.findall(r"^✗ (\S+).* ([\d.]+)\s*$", said, re.MULTILINE))
    told = page.partition("| left open |")[2].partition("\n\n")[0].replace(r"\|", "|")
    rows = dict(re.findall(r"^\| `(.+?)` \| ([\d.]+) \| ", told, re.MULTILINE))
    assert (rows if same else rows.keys() & left.keys()) == (left if same else rows.keys())
