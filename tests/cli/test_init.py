"""`radius-mfa init`: against a real directory and a real mail server, by a file of answers and at a terminal."""

from __future__ import annotations

import os
import pwd
import re
import shlex
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from radius_mfa.cli.init_talk import WrittenAnswers
from radius_mfa.core.errors import ConfigurationError
from radius_mfa.factors.totp import PERIOD, code_of, read_base32
from tests.cli.support import Ran, run_cli, run_process
from tests.peers.certificates import Authority
from tests.peers.ports import free_port
from tests.peers.server import Server
from tests.peers.slapd import BASE, ODD_PEOPLE, PEOPLE, STAFF, Slapd, entry
from tests.peers.smtp import MailServer
from tests.peers.terminal import CTRL_C, CTRL_D, Terminal

_VPN, _UNIQUE = f"cn=VPN users,ou=groups,{BASE}", f"cn=Unique,ou=groups,{BASE}"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authorities") / "ours")


@pytest.fixture(scope="module")
def slapd(authority: Authority) -> Iterator[Slapd]:
    """One with two groups that their members' entries do not name, as where there is no memberof overlay."""
    groups = (
        entry(_VPN, {"objectClass": "groupOfNames", "member": ODD_PEOPLE["x"].dn}),
        entry(_UNIQUE, {"objectClass": "groupOfUniqueNames", "uniqueMember": ODD_PEOPLE["müller"].dn}),
    )
    certificate = authority.certify("127.0.0.1")
    with Slapd(users=2, ldif="\n".join(groups), certificate=certificate) as running:
        yield running


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Where it is to be; the folder is not there yet."""
    return tmp_path / "etc" / "radius-mfa.yaml"


def answered(config: Path, slapd: Slapd, **differently: str | None) -> Ran:
    """`init` with a file of answers; None: not among them."""
    usual: dict[str, str | None] = {
        "ldap_servers": slapd.url,
        "ldap_start_tls": "no",
        "ldap_bind_dn": slapd.bind_dn,
        "ldap_bind_password": slapd.bind_password,
        "client_address": "192.0.2.10",
        "listen": f"127.0.0.1:{free_port()}",
    }
    answers = {name: text for name, text in {**usual, **differently}.items() if text is not None}
    file = config.parent.with_name("answers.yaml")
    file.touch(0o600)
    file.write_text("".join(f"{name}: '{text}'\n" for name, text in answers.items()))
    return run_cli("init", "--answers", file, "--config", config)


def left(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Octets and times of every file below it but for the answers."""
    return {
        str(path): (path.read_bytes() if path.is_file() else b"", path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.name != "answers.yaml"
    }


# --- what is made ---------------------------------------------------------------------------------


def test_what_it_writes_is_what_check_passes_and_nobody_else_may_read(config: Path, slapd: Slapd) -> None:
    ran = answered(config, slapd, try_user="u0", try_password="pw0", group="1", client_profile="forti").worked()
    assert ran.err == ""
    checked = run_cli("check", "--probe", "--config", config).worked()
    assert (checked.out.splitlines()[0], checked.err) == (f"{config}: ok", "")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in config.parent.rglob("*")}
    files = {"radius-mfa.yaml": 0o640, "key": 0o600, "ldap": 0o600, "client-vpn": 0o600, "secrets": 0o750}
    assert modes == files
    assert f'group: "{STAFF.lower()}"' in config.read_text()
    secret = (config.parent / "secrets" / "client-vpn").read_text().strip()
    assert len(secret) == 32
    assert ran.out.count(secret) == 1
    for password in (slapd.bind_password, "pw0"):
        assert password not in ran.out + config.read_text()


def test_what_was_found_is_shown(config: Path, slapd: Slapd) -> None:
    out = answered(config, slapd, try_user="u0", try_password="pw0").worked().out
    assert "It is OpenLDAP, and lets cn=radius,dc=example,dc=org in.\n" in out
    assert re.search(rf"Found u0 \(User 0\): uid=u0,{PEOPLE}\n  entryUUID: [0-9a-f-]{{36}}\n  mail: u0@", out)
    assert f"The password is right.\n  1  {STAFF.lower()}\n" in out


@pytest.mark.parametrize(
    ("name", "group", "unique"), [("x", _VPN, False), ("müller", _UNIQUE, True)], ids=["member", "uniqueMember"]
)
def test_groups_that_no_entry_names_are_searched(
    config: Path, slapd: Slapd, name: str, group: str, unique: bool
) -> None:
    ran = answered(config, slapd, ldap_base_dn=PEOPLE, try_user=name, group="1").worked()
    assert f"  1  {group.lower()}\n" in ran.out
    text = config.read_text()
    assert f'groups:\n      by: search\n      base_dn: "{BASE}"\n' in text
    assert ("uniqueMember={dn}" in text) is unique
    explained = run_cli("explain", name, "--client", "vpn", "--config", config).worked().out
    assert '"vpn" decides: client is vpn; group ' in explained


@pytest.mark.parametrize("how", ["StartTLS", "LDAPS"])
def test_a_directory_over_tls(config: Path, slapd: Slapd, authority: Authority, how: str) -> None:
    url = slapd.tls_url if how == "LDAPS" else slapd.url
    answered(
        config, slapd, ldap_servers=url, ldap_start_tls="yes", ldap_ca_file=str(authority.ca_file), try_user="u0"
    ).worked()
    assert run_cli("check", "--probe", "--config", config).worked().err == ""


def test_the_authoritys_certificate_is_copied_so_that_the_server_can_read_it(
    config: Path, slapd: Slapd, authority: Authority
) -> None:
    answered(config, slapd, ldap_servers=slapd.tls_url, ldap_ca_file=str(authority.ca_file)).worked()
    assert config.with_name("ldap-ca.pem").read_bytes() == authority.ca_file.read_bytes()
    assert "    ca_file: ldap-ca.pem\n" in config.read_text()


def test_what_to_type_into_the_gateway_is_said(config: Path, slapd: Slapd) -> None:
    out = answered(
        config,
        slapd,
        client_address="127.0.0.2",
        client_profile="pfsense",
        listen=f"0.0.0.0:{free_port()}",
        client_secret="typed one",
    ).worked()
    assert "Type into the gateway (pfSense; docs/gateways says where):\n  server    127.0.0.1\n" in out.out
    assert "\n  secret    the one you gave\n  timeout   5 s, 2 retries; " in out.out
    assert "typed behind the password: password,123456, in the one field there is" in out.out
    assert re.search(r"^warning: .*: clients\[0\]\.secret: ", out.err)


def test_mail_is_tried_with_a_mail(config: Path, slapd: Slapd, authority: Authority) -> None:
    with MailServer(authority.certify("127.0.0.1"), credentials=("mfa", "of mail")) as mail:
        given: dict[str, str | None] = {
            "smtp": f"smtp://127.0.0.1:{mail.port}",
            "smtp_ca_file": str(authority.ca_file),
            "smtp_username": "mfa",
            "smtp_password": "of mail",
            "smtp_sender": "mfa@example.org",
        }
        ran = answered(config, slapd, **given, smtp_try="admin@example.org").worked()
        assert "the server has taken a mail to admin@example.org" in ran.out
        (taken,) = mail.mails
        assert (taken.sender, taken.recipients) == ("mfa@example.org", ("admin@example.org",))
        assert "of mail" not in ran.out + config.read_text()
        assert "mail: ok" in run_cli("check", "--probe", "--config", config).worked().out


def test_an_existing_key_is_left_as_it_is(config: Path, slapd: Slapd) -> None:
    answered(config, slapd).worked()
    key = config.with_name("key")
    before = key.read_bytes()
    config.unlink()
    for secret in config.with_name("secrets").iterdir():
        secret.unlink()
    answered(config, slapd).worked()
    assert key.read_bytes() == before


def test_as_root_the_files_are_for_the_user_of_the_server(config: Path, slapd: Slapd, tmp_path: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    state, audit = tmp_path / "lib", tmp_path / "log" / "audit.jsonl"
    answered(config, slapd, user="nobody", state_folder=str(state), audit_file=str(audit)).worked()
    for path in (state, audit.parent):
        assert (path.stat().st_uid, path.stat().st_gid) == (nobody.pw_uid, nobody.pw_gid), path
    key = config.with_name("key")
    run_cli("keys", "rotate", "--config", config).worked()  # which leaves owner and mode as they are
    for path in (config.parent, config, key, config.with_name("secrets"), config.with_name("secrets") / "ldap"):
        assert (path.stat().st_uid, path.stat().st_gid) == (0, nobody.pw_gid), path
        assert path.stat().st_mode & (stat.S_IRGRP | stat.S_IWGRP) == stat.S_IRGRP, path


def test_a_store_below_the_audit_files_folder_leaves_both_the_servers(
    config: Path, slapd: Slapd, tmp_path: Path
) -> None:
    audit, state = tmp_path / "data" / "rmfa" / "audit.jsonl", tmp_path / "data" / "rmfa" / "state"
    answered(config, slapd, user="nobody", state_folder=str(state), audit_file=str(audit)).worked()
    owner = pwd.getpwnam("nobody").pw_uid
    assert [path.stat().st_uid for path in (audit.parent.parent, audit.parent, state)] == [0, owner, owner]


def test_a_key_that_is_there_and_none_is_refused(config: Path, slapd: Slapd) -> None:
    config.parent.mkdir()
    config.with_name("key").touch(0o600)
    assert (
        answered(config, slapd)
        .line(1)
        .endswith("key: has no primary keys; it needs exactly one; nothing was written")
    )


def test_a_listener_that_the_gateway_cannot_reach_is_told(config: Path, slapd: Slapd) -> None:
    port = free_port()
    out = answered(config, slapd, listen=f"127.0.0.1:{port}").worked().out
    assert f"127.0.0.1:{port} is reached from this machine alone: the gateway at 192.0.2.10 cannot.\n" in out


def test_answers_with_secrets_that_everybody_may_read_are_warned_of(config: Path, slapd: Slapd) -> None:
    file = config.parent.with_name("answers.yaml")
    file.touch()
    file.chmod(0o644)
    ran = answered(config, slapd).worked()
    assert ran.err.startswith(f"warning: {file}:4: ldap_bind_password: stands in a file that everyone")


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("differently", "why"),
    [
        ({"ldap_bind_password": "wrong"}, r": bind as .*: invalidCredentials \(49\)"),
        ({"ldap_base_dn": "dc=nowhere"}, r": base DN dc=nowhere: noSuchObject \(32\)"),
        ({"try_user": "nobody"}, r"nobody: \(uid=\{username\}\) finds nobody below dc=example,dc=org"),
        ({"try_user": "u0", "ldap_id": "mailbox"}, "u0: the entry has not exactly one mailbox"),
        ({"try_user": "u0", "try_password": "wrong"}, "u0: password wrong"),
        ({"smtp": "smtp://127.0.0.1:1", "smtp_sender": "a@example.org"}, "[Cc]onnect"),
        ({"user": "nobody-at-all"}, "useradd --system --no-create-home --shell /usr/sbin/nologin nobody-at-all"),
        ({"listen": "192.0.2.1:1812"}, "cannot listen on 192.0.2.1:1812: Cannot assign requested address"),
        ({"client_address": "2001:db8::1"}, "takes IPv4 only, and the gateway is at 2001:db8::1: take 0.0.0.0"),
        ({"state_folder": "/dev/null/state"}, "/dev/null is not a folder"),
        ({"audit_file": "/usr/share"}, "/usr/share is a folder: name a file"),
        ({"audit_file": "{etc}/radius-mfa.yaml"}, "is to be something else already: name another audit file"),
        ({"audit_file": "{etc}/../etc/key"}, "is to be something else already: name another audit file"),
        ({"audit_file": "{etc}/state.db"}, "is to be something else already: name another audit file"),
        (
            {"user": "nobody", "audit_file": "/usr/audit.jsonl"},
            "/usr is there and not nobody's: name one in it, such as /usr/radius-mfa; nothing was written$",
        ),
        ({"user": "nobody", "state_folder": "{etc}"}, "is to write in .*, and not where the YAML is"),
        ({"user": "nobody", "state_folder": "{etc}/secrets"}, "is to write in .*, and not where the YAML is"),
    ],
)
def test_what_does_not_work_is_one_line_and_nothing_is_written(
    config: Path, slapd: Slapd, differently: dict[str, str], why: str
) -> None:
    there = {name: text.replace("{etc}", str(config.parent)) for name, text in differently.items()}
    line = answered(config, slapd, **there).line(1)
    assert re.search(why, line), line
    assert line.endswith("; nothing was written")
    assert left(config.parent.parent) == {}


def test_a_certificate_that_is_not_trusted_is_shown(config: Path, slapd: Slapd) -> None:
    ran = answered(config, slapd, ldap_servers=slapd.tls_url)
    assert "its certificate is not trusted" in ran.line(1)
    assert re.search(r"shows the certificate of 127\.0\.0\.1, signed by authority ours, valid until .*\n", ran.out)
    assert re.search(r"  SHA-256 ([0-9A-F]{2}:){31}[0-9A-F]{2}\n", ran.out)


def test_a_configuration_that_is_there_is_left_alone_before_anything_is_asked(config: Path) -> None:
    config.parent.mkdir()
    config.write_text("mine")
    before = left(config.parent)
    ran = run_cli("init", "--answers", "/no/such/file", "--config", config)
    assert ran.line(1) == f"radius-mfa: {config}: is there already, and was left as it is"
    assert left(config.parent) == before


@pytest.mark.parametrize("name", ["ldap", "client-vpn"])
def test_a_secret_that_is_there_is_left_alone_and_nothing_else_is_made(
    config: Path, slapd: Slapd, name: str
) -> None:
    there = config.parent / "secrets" / name
    there.parent.mkdir(parents=True)
    there.write_text("mine")
    os.utime(there, (1, 1))
    before = {str(there): left(config.parent)[str(there)]}
    assert (
        answered(config, slapd)
        .line(1)
        .endswith(f"{name}: is there already, and was left as it is; nothing was written")
    )
    assert {path: what for path, what in left(config.parent).items() if Path(path).is_file()} == before


def test_a_store_without_its_key_is_no_place_for_a_new_one(config: Path, slapd: Slapd) -> None:
    config.parent.mkdir()
    config.with_name("state.db").write_bytes(b"sealed")
    assert "was sealed with another key" in answered(config, slapd).line(1)
    assert sorted(path.name for path in config.parent.iterdir()) == ["state.db"]


def test_what_check_refuses_in_the_end_is_told_with_its_lines(tmp_path: Path) -> None:
    file = tmp_path / "answers.yaml"
    with pytest.raises(ConfigurationError) as refused:
        WrittenAnswers(file, {}).anew(ConfigurationError("x.yaml:1: listen: is taken"))
    assert refused.value.problems == ("x.yaml:1: listen: is taken", f"{file}: nothing was written")


def test_a_ca_file_that_nothing_would_be_verified_with_is_left_out(
    config: Path, slapd: Slapd, authority: Authority
) -> None:
    answered(config, slapd, ldap_start_tls="no", ldap_ca_file=str(authority.ca_file)).worked()
    assert "    ca_file:" not in config.read_text()


def test_in_somebody_elses_folder_root_makes_nothing_for_the_server(
    config: Path, slapd: Slapd, tmp_path: Path
) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    os.chown(theirs, 4711, 4711)
    for folder in ("state_folder", "audit_file"):
        line = answered(config, slapd, user="nobody", **{folder: str(theirs / "x" / "y")}).line(1)
        assert f"{theirs}: others than root may write there: name another" in line
    line = answered(theirs / "etc" / "radius-mfa.yaml", slapd, user="nobody").line(1)
    assert f"{theirs}: others than root may write there: name another" in line
    assert list(theirs.iterdir()) == [theirs / "answers.yaml"]


def test_answers_that_are_missing_or_wrong_are_told_with_their_lines(config: Path, slapd: Slapd) -> None:
    ran = answered(config, slapd, ldap_bind_dn=None, client_address="vpn", nonsense="1")
    assert ran.status == 2
    assert re.search(r"answers.yaml:\d+: client_address: must be an IP address or a prefix", ran.err)
    assert re.search(r"answers.yaml:\d+: nonsense: is no question of init", ran.err)
    ran = answered(config, slapd, ldap_bind_dn=None)
    assert re.search(r"answers.yaml:1: ldap_bind_dn: is missing: The account that", ran.line(2))
    assert (
        run_cli("init", "--answers", "/no/such", "--config", config).line(2).startswith("/no/such: cannot be read")
    )


def test_a_group_that_was_not_shown_is_none(config: Path, slapd: Slapd) -> None:
    line = answered(config, slapd, try_user="u0", group="2").line(2)
    assert line.endswith('answers.yaml: group: "2" is the number of no group that was shown')
    assert left(config.parent.parent) == {}


def test_without_a_terminal_and_answers_that_is_said(config: Path) -> None:
    ran = run_process("init", "--config", config)
    assert "there is no terminal to ask at; give --answers FILE" in ran.line(2)
    assert not config.parent.exists()


def test_the_questions_are_printed_to_be_filled_in(config: Path) -> None:
    ran = run_cli("init", "--questions", "--config", config).worked()
    assert "\nldap_servers:\n" in ran.out
    assert not config.parent.exists()


def test_secrets_may_stand_elsewhere(config: Path, slapd: Slapd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_SECRET", "as long as a secret is to be")
    file = config.parent.with_name("bind.secret")
    file.touch(0o600)
    file.write_text(f"{slapd.bind_password}\n")
    given: dict[str, Any] = {"ldap_bind_password": None, "ldap_bind_password_file": "bind.secret"}
    answered(config, slapd, **given, client_secret="${GATEWAY_SECRET}").worked()
    assert (config.parent / "secrets" / "client-vpn").read_text() == "as long as a secret is to be\n"


# --- at a terminal --------------------------------------------------------------------------------


def at_terminal(*arguments: str | Path) -> Terminal:
    return Terminal([sys.executable, "-m", "radius_mfa", *arguments])


@pytest.mark.parametrize("key", [CTRL_C, CTRL_D], ids=["Ctrl-C", "Ctrl-D"])
def test_whoever_ends_it_leaves_nothing(config: Path, slapd: Slapd, key: str) -> None:
    with at_terminal("init", "--config", config) as terminal:
        terminal.answers("LDAP servers", slapd.url)
        terminal.asks("StartTLS [yes]: ")
        terminal.types(f"{key}\r")  # Enter for a signal that came before it began to read
        assert terminal.ends() == 1
        assert terminal.shown.rstrip().endswith("init: ended; nothing was written")
    assert not config.parent.exists()


def test_what_is_in_the_way_in_the_end_is_told_and_every_answer_kept(config: Path, slapd: Slapd) -> None:
    """The second time round another name is given, and Enter is typed for the rest."""
    there = config.parent / "secrets" / "client-vpn"
    there.parent.mkdir(parents=True)
    there.write_text("mine")
    prompts = {
        "LDAP servers": slapd.url,
        "StartTLS": "no",
        "Bind DN": slapd.bind_dn,
        "Its password": slapd.bind_password,
        **dict.fromkeys(("Base DN", "User filter", "the user's id", "A user to try", "Group that may"), ""),
        "Make of the gateway": "",
        "Name of the gateway": "vpn",
        "Its address": "127.0.0.1",
        **dict.fromkeys(("Shared secret", "Mail server", "Issuer", "Contact"), ""),
        "Listen on": f"127.0.0.1:{free_port()}",
        "User of the server": "",
        "Folder of the": "",
        "Audit": "",
    }
    with at_terminal("init", "--config", config) as terminal:
        for prompt, answer in prompts.items():
            terminal.answers(prompt, answer)
        terminal.answers("Go through the answers again?")
        assert f"Nothing was written: {there}: is there already, and was left as it is" in terminal.shown
        assert [path for path in config.parent.rglob("*") if path.is_file()] == [there]
        for prompt in prompts:
            terminal.answers(prompt, "other" if prompt == "Name of the gateway" else "")
        assert terminal.ends() == 0, terminal.shown
        (secret,) = re.findall(r"^  secret    (\S{32})\r?$", terminal.shown, re.MULTILINE)  # made the first time
    assert (config.parent / "secrets" / "client-other").read_text() == f"{secret}\n"


def test_the_first_hour(config: Path, slapd: Slapd, authority: Authority) -> None:
    """From nothing to a login: slips on the way, then the printed commands as they are printed."""
    port = free_port()
    with at_terminal("init", "--config", config) as terminal:
        terminal.answers("LDAP servers", "ldap.example.org")  # no URL
        terminal.answers("LDAP servers", slapd.tls_url)
        terminal.answers("Bind DN", slapd.bind_dn)
        terminal.answers("Its password", slapd.bind_password)
        terminal.answers("Answer again?")  # nobody vouches for the certificate
        terminal.answers("LDAP servers")
        terminal.answers("CA file", str(authority.ca_file))
        terminal.answers("Bind DN")
        terminal.answers("Its password")
        for prompt in ("Base DN", "User filter", "the user's id"):
            terminal.answers(prompt)
        terminal.answers("A user to try", "u0")
        terminal.answers("Their password", "pw1")
        terminal.answers("Answer again?")
        terminal.answers("Their password", "pw0")
        terminal.answers("Group that may log in", "1")
        terminal.answers("Make of the gateway", "sense")  # two of them
        terminal.answers("Make of the gateway", "palo")
        terminal.answers("Name of the gateway")
        terminal.answers("Its address", "192.0.2.10")
        terminal.answers("Shared secret")
        terminal.answers("Mail server")
        terminal.answers("Issuer", "Example")
        terminal.answers("Contact")
        terminal.answers("Listen on", f"127.0.0.1:{port}")
        for prompt in ("User of the server", "Folder of the store", "Audit file"):
            terminal.answers(prompt)
        assert terminal.ends() == 0, terminal.shown
        shown = terminal.shown
    assert slapd.bind_password not in shown
    enrol, serve = (shlex.split(line) for line in re.findall(r"^  (radius-mfa .*)$", shown, re.MULTILINE))
    (login,) = (shlex.split(each) for each in re.findall(r"packet by packet: (.*)$", shown, re.MULTILINE))

    with at_terminal(*enrol[1:]) as terminal:
        terminal.asks("secret: ")
        terminal.asks("Enter: later): ")
        seed = read_base32(re.findall(r"^secret: (\w+)$", terminal.shown, re.MULTILINE)[0])
        assert seed is not None
        now = time.time()
        terminal.types(f"{code_of(seed, now)}\r")
        assert terminal.ends() == 0, terminal.shown
        assert terminal.shown.rstrip().endswith("u0: enrolled")

    assert serve == ["radius-mfa", "--config", str(config), "serve"]
    with Server(config) as server:
        assert server.port == port
        ran = run_cli(*login[1:], "--password", "pw0", "--answer", code_of(seed, now + PERIOD)).worked()
    assert "← Access-Accept" in ran.out
