"""`radius-mfa check`."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

from radius_mfa.data import CONFIG
from radius_mfa.stores.key_file import create_key_file, read_key_file
from tests.cli.support import run_cli
from tests.peers.certificates import Authority
from tests.peers.ports import free_port
from tests.peers.slapd import Slapd
from tests.peers.smtp import MailServer


def changed(config: Path, old: str, new: str) -> Path:
    text = config.read_text()
    assert old in text
    config.write_text(text.replace(old, new))
    return config


def test_a_good_configuration_is_ok(config: Path) -> None:
    ran = run_cli("check", "--config", config).worked()
    assert (ran.out, ran.err) == (f"{config}: ok\n", "")


def test_warnings_are_told_and_it_is_ok(config: Path) -> None:
    changed(config, "a secret of twenty or so", "short")
    changed(config, "key_file: key", "key_file: key\nchallenge_lifetime: 10s")
    ran = run_cli("check", "--config", config).worked()
    assert ran.out == f"{config}: ok\n"
    warnings = ran.err.splitlines()
    assert len(warnings) >= 2
    assert all(line.startswith(f"warning: {config}:") for line in warnings)
    assert "short" not in ran.err.replace("shorter", "")


def test_errors_are_told_with_their_lines_all_at_once(config: Path) -> None:
    changed(config, '"[::1]:0"', "nowhere")
    changed(config, "second_factor: required", "second_factor: sometimes")
    changed(config, "name: here\n    address", "name: here\n    adress")
    ran = run_cli("check", "--config", config)
    assert (ran.status, ran.out) == (2, "")
    lines = ran.err.splitlines()
    assert len(lines) == 4  # a slip of the pen is an unknown key, and one that is missing
    assert all(line.startswith(f"{config}:") and line.split(":")[1].isdigit() for line in lines)
    assert [int(line.split(":")[1]) for line in lines] == sorted(int(line.split(":")[1]) for line in lines)


def test_files_that_do_not_fit_the_portal_are_an_error(config: Path) -> None:
    (config.parent / "own.pem").touch(0o600)
    portal = "{listen: 127.0.0.1:8443, url: 'https://mfa.example.org', certificate: own.pem, key: own.pem}"
    changed(config, "key_file: key", f"key_file: key\nportal: {portal}")
    assert 'portal.certificate: "own.pem" has no certificate' in run_cli("check", "--config", config).line(2)


def test_what_supplicants_are_to_pin_is_said(config: Path) -> None:
    authority = Authority(config.parent / "ours")
    own = authority.certify("radius.example.org", purpose="server", days=94)
    changed(config, "key_file: key", f"key_file: key\neap: {{certificate: {own}, key: {own}}}")
    ran = run_cli("check", "--config", config).worked()
    first, second = ran.out.splitlines()
    assert (first, ran.err) == (f"{config}: ok", "")
    doubt = " (your root, or else its certificate is missing in the file)"
    begins = f"eap: supplicants pin radius.example.org, issued by authority ours{doubt}; valid until "
    assert re.fullmatch(re.escape(begins) + r"\d{4}-\d\d-\d\d \(\d+ days\)", second)


def test_a_certificate_that_supplicants_refuse_is_an_error(config: Path) -> None:
    own = Authority(config.parent / "ours").certify("radius.example.org", purpose="server", expired=True)
    changed(config, "key_file: key", f"key_file: key\neap: {{certificate: {own}, key: {own}}}")
    said = r"^.*:\d+: eap\.certificate: .* expired on .*; supplicants refuse it$"
    assert re.search(said, run_cli("check", "--config", config).line(2))
    run_cli("user", "show", "alice", "--config", config).worked()  # a help desk has other worries


def test_the_schema_is_printed_without_a_configuration() -> None:
    ran = run_cli("check", "--schema", "--config", "/nowhere").worked()
    assert (ran.out, ran.err) == ((CONFIG / "schema.json").read_text(), "")


def test_a_number_that_no_machine_reads_is_one_line(config: Path) -> None:
    changed(config, "name: here\n    address", f"name: here\n    retries: {'9' * 5000}\n    address")
    assert "must be a whole number from 0 to 20" in run_cli("check", "--config", config).line(2)


def test_a_probe_of_static_accounts_whose_passwords_cannot_be_verified(config: Path) -> None:
    """Each of nine lanes wants 8 KiB (RFC 9106 §3.1)."""
    config.write_text(re.sub(r"\bm=\d+,t=(\d+),p=\d+", r"m=64,t=\1,p=9", config.read_text()))
    ran = run_cli("check", "--probe", "--config", config)
    assert ran.status == 1
    assert "directory: static user Alice: the password's argon2 hash: Memory cost is too small" in ran.err


def test_the_key_and_the_store_are_not_needed_unless_probed(config: Path) -> None:
    config.with_name("key").unlink()
    assert run_cli("check", "--config", config).status == 0
    ran = run_cli("check", "--probe", "--config", config)
    assert ran.status == 1
    assert "put its copy back, or for a new store run `radius-mfa keys init`" in ran.err


def test_a_probe_of_what_works(config: Path) -> None:
    def probed() -> list[str]:
        return run_cli("check", "--probe", "--config", config).worked().out.splitlines()

    good, key, store, directory = probed()
    assert (good, key, directory) == (f"{config}: ok", "key file: ok", "directory: ok")
    assert "is not there yet" in store
    run_cli("user", "show", "alice", "--config", config).worked()
    assert probed() == [good, key, "store: ok", directory]


def test_a_probe_of_an_audit_file(config: Path) -> None:
    """It makes nothing: the file would be whoever's it is that asks."""
    changed(config, "key_file: key", "key_file: key\naudit: {file: log/audit.jsonl}")
    folder = config.with_name("log")
    at = config.read_text()[: config.read_text().index("audit: ")].count("\n") + 1

    def missing() -> None:
        ran = run_cli("check", "--probe", "--config", config)
        said = f"{config}:{at}: audit.file: {folder}/audit.jsonl: its folder does not exist; make it"
        assert (ran.status, ran.err.splitlines()[0]) == (1, f"audit file: {said}")

    missing()
    folder.touch()  # a file is no folder either
    missing()
    folder.unlink()
    folder.mkdir()
    out = run_cli("check", "--probe", "--config", config).worked().out
    assert f"audit file: {folder}/audit.jsonl is not there yet; the server makes it" in out
    assert list(folder.iterdir()) == []
    folder.joinpath("audit.jsonl").touch()
    assert "audit file: ok" in run_cli("check", "--probe", "--config", config).worked().out.splitlines()


def test_a_probe_changes_nothing_in_a_store_of_an_older_version(config: Path) -> None:
    """The server that is running may be the older one."""
    path = config.with_name("state.db")
    with closing(sqlite3.connect(path)) as older:
        older.execute("CREATE TABLE alembic_version (version_num TEXT)")
        older.execute("INSERT INTO alembic_version VALUES ('0000')")
        older.commit()
    before = path.read_bytes()
    assert "store: ok; the server will bring it" in run_cli("check", "--probe", "--config", config).worked().out
    assert path.read_bytes() == before


def test_a_probe_tells_a_key_that_is_not_the_stores(config: Path) -> None:
    run_cli("user", "show", "alice", "--config", config).worked()
    key = config.with_name("key")
    (needed,) = read_key_file(key).ids
    create_key_file(config.with_name("another"))
    config.with_name("another").replace(key)
    ran = run_cli("check", "--probe", "--config", config)
    assert ran.status == 1
    assert ran.err.splitlines()[0].startswith(f"store: this key file lacks key {needed.hex()}, which the store")


def test_a_probe_of_a_directory(config: Path) -> None:
    text = config.read_text()
    static = text[text.index("  static:") : text.index("factors:")]

    def ldap(url: str, password: str) -> str:
        bind = f"bind_dn: '{Slapd.bind_dn}', bind_password: {password}, base_dn: '{Slapd.people}'"
        return f"  ldap: {{servers: ['{url}'], {bind}}}\n"

    with Slapd(users=1) as slapd:
        config.write_text(text.replace(static, ldap(slapd.url, slapd.bind_password)))
        assert run_cli("check", "--probe", "--config", config).status == 0
        config.write_text(text.replace(static, ldap(slapd.url, "wrong")))
        wrong = run_cli("check", "--probe", "--config", config)
    assert wrong.status == 1
    assert f"directory: {slapd.url}: bind as {slapd.bind_dn}" in wrong.err
    nowhere = f"ldap://127.0.0.1:{free_port()}"
    with Slapd(users=1) as slapd:
        config.write_text(text.replace(static, ldap(f"{slapd.url}', '{nowhere}", slapd.bind_password)))
        second = run_cli("check", "--probe", "--config", config)
        lost = "groups: {by: search, base_dn: 'ou=nowhere,dc=example,dc=org'}, bind_dn"
        config.write_text(text.replace(static, ldap(slapd.url, slapd.bind_password).replace("bind_dn", lost, 1)))
        groups = run_cli("check", "--probe", "--config", config)
    # The service may search below the base without being shown the base itself.
    with Slapd(users=1, access=f'access to dn.base="{Slapd.people}" by * search\n') as slapd:
        nested = "groups: {nested: true}, bind_dn"
        config.write_text(text.replace(static, ldap(slapd.url, slapd.bind_password).replace("bind_dn", nested, 1)))
        run_cli("check", "--probe", "--config", config).worked()
    assert (second.status, groups.status) == (1, 1)
    assert f"directory: {nowhere}: no connection" in second.err
    assert "noSuchObject (32)" in groups.err
    config.write_text(text.replace(static, ldap(nowhere, "any")))
    down = run_cli("check", "--probe", "--config", config)
    assert down.status == 1
    assert f"directory: {nowhere}: no connection" in down.err


def test_a_probe_of_a_mail_server(config: Path) -> None:
    text = config.read_text()
    with MailServer() as server:
        settings = f"smtp: smtp://127.0.0.1:{server.port}, start_tls: false, sender: mfa@example.org"
        mail = f"  mail: {{{settings}}}\nstorage:"
        config.write_text(text.replace("storage:", mail, 1))
        assert "mail: ok" in run_cli("check", "--probe", "--config", config).worked().out.splitlines()
        config.write_text(text.replace("storage:", mail.replace("start_tls: false", "start_tls: true"), 1))
        refused = run_cli("check", "--probe", "--config", config)
    assert (refused.status, refused.err.splitlines()[0][:6]) == (1, "mail: ")
    down = run_cli("check", "--probe", "--config", config)
    assert down.status == 1
    assert "mail: " in down.err
    assert server.mails == []
