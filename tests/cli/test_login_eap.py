"""`radius-mfa login --eap`: whole 802.1X logins (RFC 3579), against Debian's FreeRADIUS."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.cli.support import Ran, run_cli, run_process
from tests.peers import asking_eapol
from tests.peers.certificates import Authority, self_signed
from tests.peers.freeradius_eap import PROMPT, FreeRadiusEap
from tests.peers.ports import free_port

NAME = "radius.example.org"
METHODS = ["ttls-pap", "ttls-gtc", "peap-gtc"]
ODD = {
    "quotes": '"it\'s" #1',
    "backslash": "\\n\\",
    "beyond ascii": "ü€パス",
    "spaces": " in the middle ",
    "long": "0123456789" * 10,
    "percent": "%{User-Name}",
    "comma": "sesame,492039",
}
NOWHERE = ("--server", "127.0.0.1:1", "--secret", "s", "--password", "se same")
ACCEPT = "RADIUS message: code=2 (Access-Accept) identifier=0 length=20\n"
USERS = {"alice": "sesame", 'o"dd näme': "sesame", **ODD}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("trust") / "authority")


@pytest.fixture(scope="module")
def server(authority: Authority) -> Iterator[FreeRadiusEap]:
    with FreeRadiusEap(authority.certify(NAME), USERS) as server:
        yield server


@pytest.fixture(autouse=True)
def nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whatever the login came to: no file in the folder for temporary ones, no process."""
    before = children()
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        monkeypatch.setenv("TMPDIR", folder)
        yield
        assert not list(Path(folder).glob("radius-mfa-*"))
        assert children() == before


def children() -> set[str]:
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())


def login(server: FreeRadiusEap, method: str, name: str, *more: str | Path) -> Ran:
    where = ("--server", f"127.0.0.1:{server.port}", "--secret", server.secret)
    return run_cli("login", name, "--eap", method, *where, *more)


def verified(authority: Authority) -> tuple[str | Path, ...]:
    return "--ca", authority.ca_file, "--server-name", NAME


@pytest.mark.parametrize("method", METHODS)
def test_a_whole_login_is_shown(server: FreeRadiusEap, authority: Authority, method: str) -> None:
    ran = login(server, method, "alice", "--password", "sesame", *verified(authority)).worked()
    lines = ran.out.splitlines()
    assert lines[0] == f"The server's certificate: /CN={NAME}"
    assert lines.count(f"← EAP-GTC: {PROMPT}") == (method != "ttls-pap")
    assert any(re.fullmatch(r"TLSv1\.2, [0-9]+ Access-Requests", line) for line in lines)
    assert lines.index("The MS-MPPE keys are the same on both sides.") < lines.index("← Access-Accept")
    for shown in ("Session-Timeout = 28800", "Reply-Message = Welcome, 02-00-00-00-00-01", "Class = 0x3031"):
        assert f"    {shown}" in lines
    assert "    Filter-Id = (5 octets)" in lines  # eapol_test does not know it
    assert ran.err == ""
    assert "sesame" not in ran.out
    assert server.secret not in ran.out


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("password", ["wrong", ""])
def test_a_wrong_password_is_1(server: FreeRadiusEap, method: str, password: str) -> None:
    ran = login(server, method, "alice", "--password", password)
    assert (ran.status, ran.err) == (1, "")
    assert "← Access-Reject" in ran.out.splitlines()
    assert "keys" not in ran.out


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", [*ODD, 'o"dd näme'])
def test_passwords_and_names_of_any_characters(server: FreeRadiusEap, method: str, name: str) -> None:
    login(server, method, name, "--password", USERS[name]).worked()
    assert login(server, method, name, "--password", f"{USERS[name]}.").status == 1


@pytest.mark.parametrize("answer", ["\n", "a\n    priority=1\n}", "}", '"', "#"])
def test_nothing_breaks_out_of_the_configuration(server: FreeRadiusEap, answer: str) -> None:
    assert "← Access-Reject" in login(server, "ttls-pap", "alice", "--password", answer).out
    assert "← Access-Reject" in login(server, "ttls-pap", answer, "--password", "sesame").out


@pytest.mark.parametrize("method", METHODS)
def test_a_password_that_is_not_given_is_asked_for(server: FreeRadiusEap, method: str) -> None:
    where = ("--server", f"127.0.0.1:{server.port}", "--secret", server.secret)
    ran = run_process("login", "alice", "--eap", method, *where, typed="sesame\n")
    assert ran.status == 0, ran
    assert ran.err.strip() == "Password:"


def test_pap_has_password_and_answer_in_one_field(server: FreeRadiusEap) -> None:
    for typed in (("sesame", "492039"), ("sesame,492039", "492039")):
        login(server, "ttls-pap", "comma", "--password", typed[0], "--answer", typed[1]).worked()
    assert login(server, "ttls-pap", "comma", "--password", "sesame", "--answer", "1").status == 1


@pytest.mark.parametrize("method", METHODS)
def test_the_outer_name_is_all_that_is_seen_outside(server: FreeRadiusEap, method: str) -> None:
    outer = "anonymous@example.org"
    ran = login(server, method, "alice", "--password", "sesame", "--outer-name", outer).worked()
    assert f"    User-Name = {outer}" in ran.out.splitlines()


@pytest.mark.parametrize("mac", ["00:00:5e:00:53:01", "00-00-5E-00-53-01", "0000.5E00.5301", "00005e005301"])
def test_the_station_is_the_calling_station_id(server: FreeRadiusEap, mac: str) -> None:
    ran = login(server, "ttls-pap", "alice", "--password", "sesame", "--station", mac).worked()
    assert "    Reply-Message = Welcome, 00-00-5E-00-53-01" in ran.out.splitlines()


def test_without_ca_a_line_says_that_nothing_is_verified(server: FreeRadiusEap) -> None:
    ran = login(server, "peap-gtc", "alice", "--password", "sesame").worked()
    assert ran.out.splitlines()[0].startswith("The server's certificate is not verified: --ca")


def test_a_certificate_that_several_checks_find_fault_with_is_shown_once(tmp_path: Path) -> None:
    with FreeRadiusEap(self_signed(tmp_path, NAME), USERS) as server:
        ran = login(server, "ttls-gtc", "alice", "--password", "sesame").worked()
    assert ran.out.count("The server's certificate: ") == 1


def test_a_server_that_another_ca_has_signed_hears_no_password(server: FreeRadiusEap, tmp_path: Path) -> None:
    other = Authority(tmp_path / "other")
    ran = login(server, "ttls-pap", "alice", "--password", "sesame", "--ca", other.ca_file)
    assert "its certificate is not trusted: " in ran.line(1)
    assert ran.line(1).endswith("; --ca names the CA")
    assert "Accept" not in ran.out


def test_a_server_of_another_name_hears_no_password(server: FreeRadiusEap, authority: Authority) -> None:
    names = ("--ca", authority.ca_file, "--server-name", "other.example.org")
    ran = login(server, "ttls-gtc", "alice", "--password", "sesame", *names)
    assert ran.line(1).endswith("its certificate is not trusted: Domain mismatch; --server-name names the server")
    assert PROMPT not in ran.out


def test_a_wrong_secret_is_no_reply(server: FreeRadiusEap) -> None:
    where = ("--server", f"127.0.0.1:{server.port}", "--secret", "wrong", "--timeout", "0.2")
    line = run_cli("login", "alice", "--eap", "ttls-pap", "--password", "x", *where).line(1)
    assert "no reply in 0.6 s" in line
    assert "the secret the same on both sides?" in line


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_a_port_where_nobody_listens_is_1(host: str) -> None:
    where = ("--server", f"{host}:{free_port()}", "--secret", "s", "--timeout", "0.2")
    line = run_cli("login", "alice", "--eap", "peap-gtc", "--password", "x", *where).line(1)
    assert line.endswith(": Connection refused")


def test_a_host_there_is_not_is_one_line() -> None:
    where = ("--server", "no.such.host.invalid:1812", "--secret", "s")
    line = run_cli("login", "alice", "--eap", "peap-gtc", "--password", "x", *where).line(1)
    assert line.startswith("radius-mfa: no.such.host.invalid:1812: ")


def test_without_eapol_test_a_line_says_where_it_is_to_be_had(tmp_path: Path) -> None:
    ran = run_process("login", "alice", "--eap", "ttls-pap", *NOWHERE, environment={"PATH": str(tmp_path)})
    assert ran.line(2) == "eapol_test is not installed: apt-get install eapoltest"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--radsec",), "--eap and --radsec do not go together"),
        (("--certificate", "x"), "--eap and --certificate do not go together"),
        (("--key", "x"), "--eap and --key do not go together"),
        (("--psk", "x"), "--eap and --psk do not go together"),
        (("--server-name", "x"), "--server-name needs --ca"),
        (("--station", "02:00"), "--station 02:00: write a MAC"),
        (("--station", "192.0.2.1"), "--station 192.0.2.1: write a MAC"),
        (("--outer-name", ""), "--outer-name: a name has 1 to 253 octets"),
        (("--outer-name", "\udcff"), "--outer-name: a name has 1 to 253 octets"),
        (("--answer", "1", "--answer", "2"), "takes one --answer at most"),
        (("--answer", "\udcff"), "what is typed may have 1024 octets"),
        (("--answer", "x" * 1025), "what is typed may have 1024 octets"),
    ],
)
def test_what_does_not_go_together_is_2(options: tuple[str, ...], told: str) -> None:
    assert told in run_cli("login", "alice", "--eap", "ttls-pap", *NOWHERE, *options).line(2)


@pytest.mark.parametrize("name", ["", "x" * 254, "\udcff"])
def test_a_name_that_no_packet_can_hold_is_2(name: str) -> None:
    assert "USER: a name has 1 to 253 octets" in run_cli("login", name, "--eap", "peap-gtc", *NOWHERE).line(2)


@pytest.mark.parametrize("option", ["--outer-name", "--station"])
def test_what_is_for_eap_alone_is_2_without_it(option: str) -> None:
    assert f"{option} belongs to --eap." in run_cli("login", "alice", option, "x").line(2)
    assert "--ca belongs to --radsec or --eap." in run_cli("login", "alice", "--ca", "x").line(2)


def test_a_ca_that_is_no_file_of_certificates_is_1(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    for file, told in (("none", "No such file or directory"), ("empty", "no certificate in PEM")):
        line = run_cli("login", "alice", "--eap", "ttls-pap", *NOWHERE, "--ca", tmp_path / file).line(1)
        assert line == f"radius-mfa: --ca {tmp_path / file}: {told}"


# --- what FreeRADIUS does not do ----------------------------------------------------------------


@pytest.fixture
def asking(tmp_path: Path) -> dict[str, str]:
    """An environment in which another eapol_test is found, which asks three times."""
    program = tmp_path / "eapol_test"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{asking_eapol.__file__}" "$@"\n')
    program.chmod(0o755)
    questions = ("PASSWORD-0:Password", "OTP-0:[Code [6 digits]: ]", "OTP-0:[Once more ✉]", "OTP-0:[And again]")
    return {
        "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}",
        "TOLD": "\n".join(f"CTRL-REQ-{each} needed for SSID " for each in questions),
        "HEARD": str(tmp_path / "heard"),
        "PRINTED": f"{ACCEPT}MPPE keys OK: 1  mismatch: 0",
    }


def test_every_question_gets_the_next_answer_and_then_what_is_typed(asking: dict[str, str]) -> None:
    """RFC 3748 §5.6: a server may ask with GTC as often as it likes."""
    answers = ("--answer", "1", "--answer", "2")
    ran = run_process("login", "u", "--eap", "peap-gtc", *NOWHERE, *answers, typed="drei\n", environment=asking)
    assert ran.status == 0, ran
    heard = Path(asking["HEARD"]).read_text().splitlines()
    expected = ["PASSWORD-0:se same", "OTP-0:1", "OTP-0:2", "OTP-0:drei"]
    assert heard == ["ATTACH", *(f"CTRL-RSP-{each}" for each in expected)]
    asked = [line for line in ran.out.splitlines() if "EAP-GTC" in line]
    prompts = ["Password", "Code [6 digits]: ", "Once more ✉", "And again"]
    assert asked == [f"← EAP-GTC: {prompt}" for prompt in prompts]
    assert ran.err.startswith("And again")


def test_an_access_accept_without_the_same_keys_is_1(asking: dict[str, str]) -> None:
    """RFC 2548 §2.4: without them the access point and the device cannot speak with each other."""
    for keys in ("MPPE keys OK: 0  mismatch: 1", "MPPE keys OK: 0  mismatch: 0", ""):
        environment = {**asking, "TOLD": "", "PRINTED": ACCEPT + keys}
        ran = run_process("login", "u", "--eap", "ttls-pap", *NOWHERE, environment=environment)
        assert (ran.status, ran.err) == (1, "")
        assert ran.out.splitlines()[-2:] == ["The MS-MPPE keys are not the same on both sides.", "← Access-Accept"]


def test_where_eapol_test_gives_up_it_is_said(asking: dict[str, str]) -> None:
    """As it does a minute after a question that nobody has answered."""
    challenge = ACCEPT.replace("code=2 (Access-Accept)", "code=11 (Access-Challenge)")
    environment = {**asking, "TOLD": "CTRL-EVENT-EAP-FAILURE EAP authentication failed", "PRINTED": challenge}
    line = run_process("login", "u", "--eap", "ttls-gtc", *NOWHERE, environment=environment).line(1)
    assert line == "radius-mfa: 127.0.0.1:1: eapol_test has given up in the midst of the login"


def test_an_eapol_test_that_does_not_start_is_1(asking: dict[str, str]) -> None:
    environment = {key: value for key, value in asking.items() if key != "TOLD"}
    Path(asking["HEARD"]).with_name("eapol_test").write_text("#!/bin/sh\nexit 1\n")
    line = run_process("login", "u", "--eap", "ttls-gtc", *NOWHERE, environment=environment).line(1)
    assert line == "radius-mfa: eapol_test does not start"


def test_where_nothing_more_is_typed_it_ends(asking: dict[str, str]) -> None:
    ran = run_process("login", "u", "--eap", "ttls-gtc", *NOWHERE, environment=asking)
    assert ran.status == 1
    assert "Traceback" not in ran.err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_who_is_told_to_end_leaves_nothing(asking: dict[str, str], number: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "radius_mfa", "login", "u", "--eap", "ttls-gtc", *NOWHERE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **asking, "PYTHONUNBUFFERED": "1"},
    ) as process:
        assert process.stderr is not None
        assert process.stderr.read(4) == b"Code"
        started = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        told = 0
        while process.poll() is None and told < 30:
            process.send_signal(number)  # Python may be about to read, and then only sees the next one
            told += 1
            with suppress(subprocess.TimeoutExpired):
                process.wait(1)
        assert process.returncode == 1
    assert started
    assert not [each for each in started if Path(f"/proc/{each}").exists()]
