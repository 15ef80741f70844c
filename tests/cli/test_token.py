"""`radius-mfa token import`."""

from __future__ import annotations

import base64
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.support import Ran, run_cli
from tests.end_to_end.nas import ACCEPT
from tests.end_to_end.site import Site

GOOD = base64.b32encode(bytes(range(20))).decode()
OTHER = base64.b32encode(bytes(range(20, 40))).decode()


def imported(config: Path, *lines: str, name: str = "tokens.csv", options: tuple[str, ...] = ()) -> Ran:
    return imported_octets(config, "\n".join(("username,secret", *lines)).encode(), name, options)


def imported_octets(config: Path, octets: bytes, name: str = "tokens.csv", options: tuple[str, ...] = ()) -> Ran:
    file = config.with_name(name)
    file.write_bytes(octets)
    return run_cli("--config", config, "token", "import", file, *options)


def refused(ran: Ran, file: str = "tokens.csv") -> list[str]:
    """The rows that were named, without the name of the file."""
    assert ran.status == 1, ran
    *rows, summary = ran.err.splitlines()
    assert f"{file}: {len(rows)} row" in summary, ran
    return [row.partition(f"{file}:")[2] for row in rows]


def test_who_is_imported_can_log_in(university: Site) -> None:
    """Everybody of the site was; a further one, by the name as it is typed."""
    account = university.newcomer()
    file = university.folder / "one.csv"
    file.write_text(f"username,secret\n {account.name.upper()} ,{account.base32.lower()}\n")
    ran = run_cli("--config", university.config, "token", "import", file).worked()
    assert ran.out.endswith("1 imported, 0 refused\n")
    with university.nas() as nas:
        state = nas.ask(account.name, account.password).state
        assert nas.ask(account.name, account.code(), state=state).code == ACCEPT


def test_good_rows_are_kept_and_bad_ones_named_by_their_line(config: Path) -> None:
    ran = imported(
        config,
        f"Alice,{GOOD}",
        "bob,not base32!",
        "",
        "bob,MFRGGZDF",
        "bob",
        f"bob,{GOOD},more",
        f"nobody,{GOOD}",
        f",{GOOD}",
        f"bob,{OTHER}",
        f"ALICE,{GOOD}",
    )
    assert refused(ran) == [
        "3: the secret is not base32 of 80 bits or more",
        "5: the secret is not base32 of 80 bits or more",
        "6: 1 fields instead of 2",
        "7: 3 fields instead of 2",
        "8: nobody: unknown user",
        "9: no user name, or none that can be read",
        "11: ALICE: has this secret already",
    ]
    assert ran.out.endswith("2 imported, 7 refused\n")
    for name in ("alice", "bob"):
        assert '"confirmed": true' in run_cli("--config", config, "user", "show", name, "--json").worked().out
    assert GOOD not in ran.out + ran.err


def test_names_are_read_as_everywhere(config: Path) -> None:
    """With a realm before them, or in letters of another width (RFC 4518 §2.3)."""
    imported(config, f"EXAMPLE\\alice,{GOOD}", f"\uff42\uff4f\uff42,{OTHER}").worked()
    for name in ("alice", "bob"):
        assert '"confirmed": true' in run_cli("--config", config, "user", "show", name, "--json").worked().out


def test_the_same_file_again_adds_nothing(config: Path) -> None:
    lines = (f"Alice,{GOOD}", f"bob,{OTHER}")
    imported(config, *lines).worked()
    assert refused(imported(config, *lines)) == [
        "2: Alice: has this secret already",
        "3: bob: has this secret already",
    ]


def test_offline_names_are_the_directorys_ids(config: Path) -> None:
    imported(config, f"an id of the directory,{GOOD}", options=("--offline",)).worked()
    shown = run_cli("--config", config, "user", "show", "--id", "an id of the directory", "--json").worked()
    assert '"confirmed": true' in shown.out
    with closing(sqlite3.connect(config.with_name("state.db"))) as db:
        assert db.execute("SELECT username FROM user_counters").fetchall() == [("",)]


@pytest.mark.parametrize("start", [b"\xef\xbb\xbf", b""])
@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
def test_what_spreadsheets_write_is_read(config: Path, start: bytes, end: bytes) -> None:
    rows = (b"username,secret", f'"Alice","{GOOD}"'.encode(), b"")
    imported_octets(config, start + end.join(rows)).worked()


@pytest.mark.parametrize(
    ("octets", "said"),
    [
        (b"", ":1: the first line must be username,secret"),
        (b"\n", ":1: the first line must be username,secret"),
        (b"Alice,MFRGGZDFMZTWQ2LK\n", ":1: the first line must be username,secret"),
        (b"secret,username\n", ":1: the first line must be username,secret"),
        (b"username;secret\n", ":1: the first line must be username,secret"),
        (b"username,secret\nAlic\xe9,MFRGGZDFMZTWQ2LK\n", ": not a CSV file in UTF-8"),
        ("username,secret\n".encode("utf-16"), ": not a CSV file in UTF-8"),
        (b"username,secret\n" + b"x" * 200_000, ": not a CSV file in UTF-8"),
    ],
    ids=["empty", "empty line", "no header", "other order", "semicolons", "Latin-1", "UTF-16", "endless"],
)
def test_what_is_no_such_file_is_one_line(config: Path, octets: bytes, said: str) -> None:
    ran = imported_octets(config, octets)
    assert ran.line(1) == f"{config.with_name('tokens.csv')}{said}"
    assert ran.out == ""


def test_a_header_alone_is_nothing_to_do(config: Path) -> None:
    assert imported(config).worked().out == "0 imported, 0 refused\n"


@pytest.mark.parametrize(("name", "reason"), [("", "Is a directory"), ("none.csv", "No such file or directory")])
def test_a_file_that_cannot_be_read(config: Path, name: str, reason: str) -> None:
    path = config.parent / name
    assert run_cli("--config", config, "token", "import", path).line(1) == f"{path}: {reason}"


def test_a_colon_in_the_files_name_is_part_of_it(config: Path) -> None:
    ran = imported(config, f"nobody,{GOOD}", f"Alice,{OTHER}", name="to:ke:ns.csv")
    assert refused(ran, "to:ke:ns.csv") == ["2: nobody: unknown user"]


def test_a_row_is_one_line_whatever_is_in_it(config: Path) -> None:
    """A name with control characters must not write over what stands on the terminal."""
    ran = imported(config, f'"a\x1b[2J\nb",{GOOD}', "bob\x07,short")
    assert len(refused(ran)) == 2
    assert not set(ran.err) & {"\x1b", "\x07"}


def test_many_rows_in_one_go(university: Site) -> None:
    """More than a transaction takes at a time."""
    file = university.folder / "many.csv"
    rows = (f"id-{n},{base64.b32encode(n.to_bytes(20, 'big')).decode()}\n" for n in range(1, 1202))
    file.write_text("username,secret\n" + "".join(rows))
    ran = run_cli("--config", university.config, "token", "import", "--offline", file).worked()
    assert ran.out.endswith("1201 imported, 0 refused\n")


def test_while_the_directory_is_down_every_row_says_so(university: Site) -> None:
    changes = university.usual()
    changes["directory"]["ldap"]["servers"] = "ldap://127.0.0.1:9"
    path = university.write("down.yaml", changes)
    file = university.folder / "down.csv"
    file.write_text(f"username,secret\nu1,{GOOD}\nu3,{GOOD}\n")
    rows = refused(run_cli("--config", path, "token", "import", file), "down.csv")
    assert [row[:6] for row in rows] == ["2: u1:", "3: u3:"]
    assert all("ldap://127.0.0.1:9: no connection" in row for row in rows)
