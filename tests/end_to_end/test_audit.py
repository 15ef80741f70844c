"""The audit file as it is written: what it has, and what neither it nor the log ever has."""

from __future__ import annotations

import base64
import json
import os
import stat
from contextlib import closing
from datetime import datetime
from pathlib import Path

from tests.cli.support import run_cli, run_process
from tests.end_to_end.nas import ACCEPT, CHALLENGE, REJECT
from tests.end_to_end.site import SECRET, Site, masked
from tests.peers.rsyslog import Rsyslog

ASKED = [
    (4, bytes((192, 0, 2, 10))),
    (30, b"vpn.example.org"),
    (31, b"198.51.100.7"),
    (32, b"gateway 1"),
]
EVERY_ROUND = {
    "time",
    "outcome",
    "decision",
    "client",
    "source",
    "user_name",
    "user_id",
    "login",
    "round",
    "policy",
    "station",
    "called_station",
    "nas_address",
    "nas_identifier",
    "duration",
}


def test_the_fields_are_these_and_stay_these(university: Site) -> None:
    user = university.staff()
    with university.nas() as nas:
        challenge = nas.ask(user.name.upper(), user.password, *ASKED)
        accept = nas.ask(user.name.upper(), user.code(), *ASKED, state=challenge.state)
        assert (challenge.code, accept.code) == (CHALLENGE, ACCEPT)
        source = "{}:{}".format(*nas.socket.getsockname())
    first, second = university.audit(user.name.upper())
    assert set(first) == EVERY_ROUND | {"username"}
    assert set(second) == EVERY_ROUND | {"username", "factor"}
    same = {
        "client": "vpn",
        "source": source,
        "user_name": user.name.upper(),
        "user_id": university.show(user)["id"],
        "login": first["login"],
        "policy": "staff",
        "round": 1,
        "station": "198.51.100.7",
        "called_station": "vpn.example.org",
        "nas_address": "192.0.2.10",
        "nas_identifier": "gateway 1",
    }
    assert first == {**first, **same, "outcome": "challenged", "decision": "challenge", "username": user.name}
    assert second == {**second, **same, "outcome": "accepted", "decision": "accept", "factor": "totp"}
    for event in (first, second):
        assert datetime.fromisoformat(event["time"]).utcoffset() is not None
        assert 0 < event["duration"] < 10
    assert len(bytes.fromhex(first["login"])) == 16


def test_what_a_stranger_sends_is_shown_without_what_it_could_do(university: Site) -> None:
    user = university.staff()
    with university.nas() as nas:
        nas.ask(user.name, user.password, (31, b'a"\n\x1b[2J\xff{'), (32, b"x" * 253), (4, b"short"))
    (event,) = university.audit(user.name)
    assert event["station"] == 'a"\ufffd\ufffd[2J\ufffd{'
    assert event["nas_identifier"] == "x" * 128
    assert "nas_address" not in event


def test_a_name_that_nobody_has_is_masked_because_people_type_passwords_there(university: Site) -> None:
    typed = "my pass phrase, in the wrong field"
    with university.nas() as nas:
        assert nas.ask(typed, "u1").code == REJECT
    assert "reject unknown_user" in university.outcomes(masked(typed))
    assert typed not in (university.folder / "audit.jsonl").read_text()


def test_it_is_for_its_owner_and_group_only(university: Site) -> None:
    mode = (university.folder / "audit.jsonl").stat().st_mode
    assert stat.S_IMODE(mode) & stat.S_IRWXO == 0
    assert stat.S_IMODE((university.folder / "state.db").stat().st_mode) & stat.S_IRWXO == 0


def test_no_password_code_secret_or_state_is_told_anywhere(university: Site) -> None:
    """Every string here was on the wire, or in a file that the server reads."""
    user = university.staff()
    told = ["Wr0ng-p4ssword", "c0ntrol\x01octets"]
    changes = {"audit": {"file": "quiet.jsonl"}, "log": {"level": "debug"}}
    with university.another("quiet.yaml", changes) as server, university.nas(server=server) as nas:
        for password in tuple(told):
            assert nas.ask(user.name, password).code == REJECT
        reply = nas.ask(user.name, user.password)
        answers = [user.wrong_code(), "n0-such-4nswer", user.code()]
        for answer in answers:
            told += [reply.state.hex(), base64.b64encode(reply.state).decode()]
            reply = nas.ask(user.name, answer, state=reply.state)
        assert reply.code == ACCEPT
        assert nas.ask("n0body-at-all", "n0bodys-password").code == REJECT
        told += [*answers, "n0body-at-all", "n0bodys-password"]
        log = server.said()
    audit = (university.folder / "quiet.jsonl").read_text()
    shown = run_cli("--config", university.config, "user", "show", user.name).worked()
    as_json = run_cli("--config", university.config, "user", "show", user.name, "--json").worked()
    told += [SECRET, university.slapd.bind_password, user.base32, user.seed.hex()]
    told += [line.split()[2] for line in (university.folder / "key").read_text().splitlines() if line[0] != "#"]
    said = {"audit": audit, "log": log, "show": shown.out + shown.err, "json": as_json.out + as_json.err}
    for where, text in said.items():
        assert text
        for secret in told:
            assert secret not in text, (where, secret)
    # A password as short as theirs would be found in any number.
    assert f'"{user.password}"' not in audit + log


def test_a_seed_is_nowhere_in_the_store(university: Site) -> None:
    user = university.staff()
    octets = b"".join(path.read_bytes() for path in university.folder.glob("state.db*"))
    assert user.name.encode() in octets
    for secret in (user.seed, user.base32.encode(), user.seed.hex().encode()):
        assert secret not in octets


def test_a_search_finds_why_somebody_was_refused_and_shows_nothing_secret(university: Site) -> None:
    user = university.staff()
    with university.nas() as nas:
        assert nas.ask(user.name, "Wr0ng-p4ssword").code == REJECT
        challenge = nas.ask(user.name, user.password)
        wrong, code = user.wrong_code(), user.code()
        again = nas.ask(user.name, wrong, state=challenge.state)
        assert again.code == CHALLENGE
        assert nas.ask(user.name, code, state=again.state).code == ACCEPT
    asked = ("--config", university.config, "audit", "--since", "1h")
    found = run_process(*asked, "--user", user.name.upper(), "--json").worked()
    events = [json.loads(line) for line in found.out.splitlines()]
    assert [f"{each['decision']} {each['outcome']}" for each in events] == [
        "reject wrong_password",
        "challenge challenged",
        "challenge code_wrong",
        "accept accepted",
    ]
    assert events == university.audit(user.name)
    by_id = run_process(*asked, "--user", events[-1]["user_id"], "--decision", "accept").worked()
    assert len(by_id.out.splitlines()) == 2  # and what the columns are
    rounds = run_process(*asked, "--login", events[-1]["login"], "--client", "vpn").worked()
    assert [line.split()[2] for line in rounds.out.splitlines()[1:]] == ["challenged", "code_wrong", "accepted"]
    said = "".join(each.out + each.err for each in (found, by_id, rounds))
    for state in (challenge.state, again.state):
        assert state.hex() not in said
        assert base64.b64encode(state).decode() not in said
    for secret in (wrong, code, "Wr0ng-p4ssword", f'"{user.password}"', f" {user.password} ", SECRET, user.base32):
        assert secret not in said


def test_logrotate_moves_the_file_away_and_no_event_is_lost(university: Site) -> None:
    """What comes after that is in a new file, without a signal or with one."""
    user = university.staff()
    path = university.folder / "rotated.jsonl"
    older, newer = path.with_name("rotated.jsonl.2"), path.with_name("rotated.jsonl.1")
    with university.another("rotated.yaml", {"audit": {"file": path.name}}) as server:
        with university.nas(server=server) as nas:
            assert nas.ask(user.name, "first").code == REJECT
            path.rename(older)
            assert nas.ask(user.name, "second").code == REJECT
            path.rename(newer)
            server.reload()
            server.wait_for("reloaded")
            assert path.exists()
            assert nas.ask(user.name, "third").code == REJECT
        assert [len(each.read_text().splitlines()) for each in (older, newer, path)] == [1, 1, 1]
        found = run_process("--config", server.config, "audit", "--user", user.name, "--json").worked()
    assert found.out == older.read_text() + newer.read_text() + path.read_text()
    assert found.err == ""


def test_syslog_is_told_what_the_file_is_told(university: Site, tmp_path: Path) -> None:
    with closing(Rsyslog(tmp_path)) as rsyslog, rsyslog.running():
        audit = {"file": "both.jsonl", "syslog": f"tcp://127.0.0.1:{rsyslog.port}"}
        user = university.staff()
        with university.another("both.yaml", {"audit": audit}) as server, university.nas(server=server) as nas:
            challenge = nas.ask(user.name, user.password)
            assert nas.ask(user.name, user.code(), state=challenge.state).code == ACCEPT
            told = [json.loads(rsyslog.next().message) for _ in range(2)]
        lines = (university.folder / "both.jsonl").read_text().splitlines()
        assert told == [json.loads(line) for line in lines]


def test_a_file_that_was_rotated_is_left_though_the_configuration_is_broken(university: Site) -> None:
    """Or the old file, and what comes after in it, would be packed up and deleted."""
    user, path = university.staff(), university.folder / "rotated.jsonl"
    with (
        university.another("rotating.yaml", {"audit": {"file": path.name}}) as server,
        university.nas(server=server) as nas,
    ):
        nas.ask(user.name, user.password)
        path.rename(path.with_name("rotated.jsonl.1"))
        (university.folder / "rotating.yaml").write_text("contct: nobody")
        server.reload()
        server.wait_for("reload_refused")
        nas.ask(user.name, "wrong")
    assert university.outcomes(user.name, path.name) == ["reject wrong_password"]
    assert university.outcomes(user.name, "rotated.jsonl.1") == ["challenge challenged"]


def test_a_link_that_somebody_has_put_there_is_not_followed_by_a_reload_either(university: Site) -> None:
    """Who shares the folder, as the portal's user does, would choose where the audit goes."""
    user, shared = university.staff(), university.folder / "shared"
    shared.mkdir()
    shared.chmod(0o2770)
    path, elsewhere = shared / "audit.jsonl", university.folder / "elsewhere"
    with (
        university.another("shared.yaml", {"audit": {"file": str(path)}}) as server,
        university.nas(server=server) as nas,
    ):
        path.rename(shared / "audit.jsonl.1")
        path.symlink_to(elsewhere)
        os.chown(path, 4711, 4711, follow_symlinks=False)
        server.reload()
        server.wait_for("reload_refused")
        nas.ask(user.name, "wrong")
    assert "audit.jsonl: is a symbolic link, which is good from the start only" in server.said()
    assert university.outcomes(user.name, "shared/audit.jsonl.1") == ["reject wrong_password"]
    assert not elsewhere.exists()
