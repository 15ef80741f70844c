"""`radius-mfa token import`; what the rows may be is `test_token_file`'s matter."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from radius_mfa.assembly.rules import load
from radius_mfa.cli.token_file import read
from radius_mfa.cli.token_import import Imported, import_tokens
from tests.cli.support import Ran, run_cli
from tests.end_to_end.nas import ACCEPT
from tests.end_to_end.site import Site, configuration
from tests.peers.slapd import Slapd
from tests.peers.smtp import MailServer

GOOD = base64.b32encode(bytes(range(20))).decode()
OTHER = base64.b32encode(bytes(range(20, 40))).decode()


def imported(config: Path, *lines: str, name: str = "tokens.csv", options: tuple[str, ...] = ()) -> Ran:
    return imported_octets(config, "\n".join(("username,secret", *lines)).encode(), name, options)


def imported_octets(config: Path, octets: bytes, name: str = "tokens.csv", options: tuple[str, ...] = ()) -> Ran:
    file = config.with_name(name)
    file.write_bytes(octets)
    return run_cli("--config", config, "token", "import", file, *options)


def shown(config: Path, name: str) -> Any:
    return json.loads(run_cli("--config", config, "user", "show", name, "--json").worked().out)


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
    assert ran.out == "1 imported, 0 refused\n"
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
        f"gone,{GOOD}",
    )
    assert refused(ran) == [
        "3: the secret is not base32 of 80 bits or more",
        "5: the secret is not base32 of 80 bits or more",
        "6: 1 field instead of 2",
        "7: 3 fields instead of 2",
        "8: nobody: unknown user",
        "9: no user name, or none that can be read",
        "11: ALICE: has this secret already",
        "12: gone: not activated",
    ]
    assert ran.out == "2 imported, 8 refused\n"
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


def test_what_no_directory_has_for_an_id_is_none(config: Path) -> None:
    ran = imported(config, f"{'x' * 65},{GOOD}", f"{'x' * 64},{GOOD}", options=("--offline",))
    assert refused(ran) == [f"2: {'x' * 65}: not an id of a directory"]


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
        (b"username;secret\n", ":1: the first line must be username,secret"),
        (b"username,secret,secret\n", ":1: a column that is there twice"),
        ("username,secret\n".encode("utf-16"), ":1: a NUL in it: the file is damaged, or not in UTF-8"),
    ],
    ids=["empty", "empty line", "no header", "semicolons", "twice", "UTF-16"],
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
    assert [row[:2] for row in refused(ran)] == ["2:", "3:", "4:"]
    assert not set(ran.err) & {"\x1b", "\x07"}


def test_many_rows_in_one_go(university: Site) -> None:
    """More than a transaction takes at a time."""
    file = university.folder / "many.csv"
    rows = (f"id-{n},{base64.b32encode(n.to_bytes(20, 'big')).decode()}\n" for n in range(1, 1202))
    file.write_text("username,secret\n" + "".join(rows))
    ran = run_cli("--config", university.config, "token", "import", "--offline", file).worked()
    assert ran.out.endswith("1201 imported, 0 refused\n")


def test_who_is_not_activated_gets_no_token(university: Site) -> None:
    file = university.folder / "inactive.csv"
    file.write_text(f"username,secret\ninactive,{GOOD}\ntwin@example.org,{GOOD}\n")
    ran = run_cli("--config", university.config, "token", "import", file)
    assert refused(ran, "inactive.csv") == ["2: inactive: not activated", "3: twin@example.org: ambiguous user"]


def test_addresses_of_another_server_are_imported(config: Path) -> None:
    uri = f"otpauth://totp/Old%20Server:alice?secret={GOOD}&issuer=Old%20Server"
    ran = imported_octets(config, f"{uri}\n{uri}&digits=8\n".encode(), "uris.txt")
    assert refused(ran, "uris.txt") == ["2: 8 digits: only codes of 6 can be used"]
    assert [token["label"] for token in shown(config, "alice")["tokens"]] == ["Old Server"]


def test_short_secrets_are_taken_with_one_warning(config: Path) -> None:
    """80 to 111 bits, of tokens that were really added."""
    short = [base64.b32encode(bytes([n] * 10)).decode() for n in range(1, 8)]
    ran = imported(config, f"alice,{GOOD}", *(f"alice,{each}" for each in short)).worked()
    assert ran.line(0) == (
        f"warning: {config.with_name('tokens.csv')}: 7 rows with a secret of less than 112 bits "
        "(line 3, 4, 5, 6, 7, …): better replace those tokens some time"
    )
    again = imported(config, f"alice,{short[0]}", f"bob,{base64.b32encode(bytes(14)).decode()}")
    assert refused(again) == ["2: alice: has this secret already"]


def test_as_json(config: Path) -> None:
    ran = imported(config, f"alice,{GOOD[:16]}", "bob,", f"nobody,{GOOD}", options=("--json",))
    assert json.loads(ran.out) == {
        "imported": 1,
        "refused": [
            {"line": 3, "username": None, "reason": "the secret is not base32 of 80 bits or more"},
            {"line": 4, "username": "nobody", "reason": "unknown user"},
        ],
        "short_secrets": [2],
        "not_tried": None,
    }
    assert ran.line(1) == f"{config.with_name('tokens.csv')}: 2 rows were not imported"


def test_on_a_terminal_a_bar_shows_how_far_it_is(config: Path) -> None:
    file = config.with_name("tokens.csv")
    file.write_text(f"username,secret\nalice,{GOOD}\nbob,{GOOD}\n")
    ours, theirs = os.openpty()
    command: list[str | Path] = [sys.executable, "-m", "radius_mfa", "token", "import", file, "--config", config]
    done = subprocess.run(command, stderr=theirs, stdout=subprocess.PIPE, check=True)
    os.close(theirs)
    said = os.read(ours, 4096).decode()
    os.close(ours)
    assert "importing" in said
    assert "100%" in said
    assert done.stdout == b"2 imported, 0 refused\n"


# --- ended in the middle ----------------------------------------------------------------------------


def test_while_the_directory_is_down_every_row_says_so(university: Site) -> None:
    changes = university.usual()
    changes["directory"]["ldap"]["servers"] = "ldap://127.0.0.1:9"
    path = university.write("down.yaml", changes)
    file = university.folder / "down.csv"
    file.write_text(f"username,secret\nu1,{GOOD}\nu3,{GOOD}\n")
    rows = refused(run_cli("--config", path, "token", "import", file), "down.csv")
    assert [row[:6] for row in rows] == ["2: u1:", "3: u3:"]
    assert all("ldap://127.0.0.1:9: no connection" in row for row in rows)


class Crowd:
    """A directory of its own with 2,000 users, a store, and a file with a token for each of them."""

    def __init__(self, folder: Path, slapd: Slapd, mail_server: MailServer) -> None:
        self.slapd = slapd
        self.config, self.store = folder / "crowd.yaml", folder / "state.db"
        self.config.write_text(json.dumps(configuration(folder, slapd, mail_server)))
        run_cli("--config", self.config, "keys", "init").worked()
        rows = (f"u{n},{base64.b32encode(n.to_bytes(20, 'big')).decode()}\n" for n in range(2000))
        self.octets = ("username,secret\n" + "".join(rows)).encode()
        self.file = folder / "crowd.csv"
        self.file.write_bytes(self.octets)

    def imported(self, then: Callable[[], object]) -> Imported:
        """Import the file; `then` happens once the first rows are in the store."""
        ahead = [then]

        def progress(done: int) -> None:
            if done and ahead:
                ahead.pop()()

        with self.file.open("rb") as octets:
            lines = list(read(octets))
        return asyncio.run(import_tokens(load(self.config, {}), lines, False, progress))

    def kept(self) -> list[str]:
        with closing(sqlite3.connect(self.store)) as db:
            names = db.execute("SELECT username FROM user_counters JOIN totp_token USING (user_id)").fetchall()
        return sorted((name for (name,) in names), key=lambda name: int(name[1:]))


@pytest.fixture
def crowd(tmp_path: Path) -> Iterator[Crowd]:
    with Slapd(users=2000) as slapd, MailServer() as mail_server:
        yield Crowd(tmp_path, slapd, mail_server)


def first(number: int) -> list[str]:
    return [f"u{n}" for n in range(number)]


def test_a_directory_that_fails_in_the_middle_leaves_what_is_done_and_names_the_rest(crowd: Crowd) -> None:
    result = crowd.imported(crowd.slapd.stop)

    refused_rows = {problem.line - 2 for problem in result.problems}
    assert result.left is not None
    line, rows, why = result.left
    assert rows == 2002 - line
    assert crowd.slapd.url in why
    assert 500 <= result.added == len(crowd.kept()) == 2000 - rows - len(refused_rows)
    assert crowd.kept() == [f"u{n}" for n in range(line - 2) if n not in refused_rows]

    crowd.slapd.start()
    ran = run_cli("--config", crowd.config, "token", "import", crowd.file)
    assert ran.out == f"{2000 - result.added} imported, {result.added} refused\n"
    assert crowd.kept() == first(2000)


def test_ctrl_c_ends_it_between_two_transactions(crowd: Crowd) -> None:
    """Even while the directory says nothing at all."""

    def interrupted() -> None:
        os.kill(crowd.slapd.pid, signal.SIGSTOP)
        os.kill(os.getpid(), signal.SIGINT)

    try:
        result = crowd.imported(interrupted)
    finally:
        os.kill(crowd.slapd.pid, signal.SIGCONT)

    done = result.added
    assert (done in (500, 1000), result.problems) == (True, [])  # the next may have been on its way
    assert result.left == (done + 2, 2000 - done, "the import was stopped")
    assert crowd.kept() == first(done)


def test_a_store_that_breaks_in_the_middle_is_named_too(crowd: Crowd) -> None:
    def broken() -> None:
        with closing(sqlite3.connect(crowd.store)) as db:
            db.execute("ALTER TABLE totp_token RENAME TO another")

    result = crowd.imported(broken)

    assert (result.added, result.problems) == (500, [])
    assert result.left is not None
    line, rows, why = result.left
    assert (line, rows) == (502, 1500)
    assert str(crowd.store) in why


def test_what_was_not_tried_is_one_line(config: Path) -> None:
    """Ctrl-C as people press it, at a directory that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        ldap = {
            "servers": f"ldap://127.0.0.1:{silent.getsockname()[1]}",
            "bind_dn": "cn=radius",
            "bind_password": "secret of the service",
            "base_dn": "dc=example",
        }
        there = config.read_text().replace("directory:\n", f"directory:\n  ldap: {json.dumps(ldap)}\n")
        config.write_text(there)
        file = config.with_name("tokens.csv")
        file.write_text(f"username,secret\ncarol,{GOOD}\nbob,{OTHER}\n")
        command: list[str | Path] = [
            sys.executable,
            "-m",
            "radius_mfa",
            "token",
            "import",
            file,
            "--config",
            config,
        ]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            connection, _ = silent.accept()
            with connection:
                assert connection.recv(1)  # a bind: it is looking carol up
                process.send_signal(signal.SIGINT)
                out, err = process.communicate(timeout=30)

    assert process.returncode == 1
    assert out == "0 imported, 0 refused, 2 not tried\n"
    assert err == (
        f"{file}:2: nothing was done from here on, 2 rows: the import was stopped\n"
        f"{file}: 2 rows were not imported, see above\n"
    )
