"""Nothing secret is in what a server says of itself, whatever is done to it, at the most talkative level."""

from __future__ import annotations

import asyncio
import base64
import re
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.cli.support import run_cli
from tests.end_to_end.nas import CALLING_STATION_ID, STATE, USER_NAME, USER_PASSWORD, RawNas
from tests.end_to_end.site import COMMA, OFF, SECRET, USERS, Account, Site, mail_section
from tests.end_to_end.test_mail import code_in
from tests.peers.server import Server
from tests.peers.slapd import Slapd
from tests.peers.smtp import MailServer
from tests.wire.support import hide

SMTP_PASSWORD = "smtp-password-of-nobody"
WRONG_PASSWORD = "a password somebody mistyped"
RUBBISH = "x" * 40


class Told:
    """All the secrets that were used, and what must not be found of them."""

    def __init__(self) -> None:
        self._secrets: dict[str, bytes] = {}

    def add(self, what: str, secret: str | bytes) -> None:
        self._secrets[f"{what} {len(self._secrets)}"] = secret if isinstance(secret, bytes) else secret.encode()

    def found_in(self, text: str) -> list[str]:
        """Which are in there, in any of the ways that octets are commonly written."""
        folded = text.lower()
        return [
            what for what, secret in self._secrets.items() if any(each in folded for each in spellings(secret))
        ]


def spellings(secret: bytes) -> Iterator[str]:
    yield repr(secret)[2:-1].lower()
    yield secret.hex()
    yield base64.b64encode(secret).decode().rstrip("=").lower()
    yield base64.b32encode(secret).decode().rstrip("=").lower()
    with suppress(UnicodeDecodeError):
        yield secret.decode().lower()


def everything_that_may_go_wrong(
    site: Site, server: Server, mail_server: MailServer, user: Account, told: Told
) -> None:
    with site.nas(server=server) as nas:

        def ask(name: str, text: str, state: bytes = b"") -> bytes:
            if text != "mail":
                told.add("typed", text)
            reply = nas.ask(name, text, (CALLING_STATION_ID, b"198.51.100.7"), state=state)
            if reply.state:
                told.add("State", reply.state)
            return reply.state

        ask(user.name, WRONG_PASSWORD)
        ask(WRONG_PASSWORD, user.password)  # typed into the wrong field: masked
        state = ask(user.name, user.password)
        state = ask(user.name, user.wrong_code(), state)
        ask(user.name, user.code(), state)
        ask(user.name, user.code(), state)
        state = ask(user.name, user.password)
        tampered = state[:-1] + bytes([state[-1] ^ 1])
        told.add("State", tampered)
        ask(user.name, "123456", tampered)
        state = ask(user.name, user.password)
        state = ask(user.name, "mail", state)
        asyncio.run(mail_server.until(lambda: bool(mail_server.mails)))
        mailed = code_in(mail_server.mails[0])
        ask(user.name, mailed, state)
        ask(user.name, "ABCD-EFGH-JKLM", ask(user.name, user.password))
        site.unanswered(nas, nas.packet(user.name.encode(), b"unsigned password", sign=False), server=server)
        told.add("typed", "unsigned password")
    with site.nas(COMMA, server) as nas:
        line = f"{user.password},{user.wrong_code()}"
        told.add("line", line)
        nas.ask(user.name, line)
    with site.nas(OFF, server) as off:
        salt = bytes(range(16))
        rubbish = hide(RUBBISH.encode(), b"another secret altogether", salt)
        told.add("rubbish", RUBBISH)
        off.exchange(off.raw([(USER_NAME, user.name.encode()), (USER_PASSWORD, rubbish)], salt=salt, sign=False))
        off.exchange(off.raw([(USER_NAME, user.name.encode()), (STATE, b"made up"), (3, bytes(17))]))


def ask_without_directory(site: Site, slapd: Slapd, nas: RawNas, user: Account) -> None:
    slapd.stop()
    try:
        nas.ask(user.name, user.password)
    finally:
        slapd.start()


@pytest.fixture
def talkative(university: Site) -> Iterator[tuple[Server, Slapd, MailServer]]:
    """A server that logs all it can, at a directory and a mail server of its own."""
    with Slapd(users=USERS) as slapd, MailServer(credentials=("mfa", SMTP_PASSWORD)) as mail_server:
        changes = university.usual()
        changes["directory"]["ldap"] |= {"servers": slapd.url, "bind_password": slapd.bind_password}
        changes["factors"]["mail"] = {
            **mail_section(mail_server),
            "username": "mfa",
            "password": SMTP_PASSWORD,
        }
        changes |= {
            "log": {"level": "debug"},
            "metrics": {"listen": "127.0.0.1:0"},
            "audit": {"file": "told.jsonl"},
        }
        with university.another("talkative.yaml", changes) as server:
            yield server, slapd, mail_server


def test_nothing_secret_is_in_log_audit_file_or_metrics(
    university: Site, talkative: tuple[Server, Slapd, MailServer]
) -> None:
    server, slapd, mail_server = talkative
    # In that directory they have another id, and so nothing yet.
    user, told, config = university.staff(), Told(), university.folder / "talkative.yaml"
    rows = university.folder / "talkative.csv"
    rows.write_text(f"username,secret\n{user.name},{user.base32}\n")
    run_cli("--config", config, "token", "import", rows).worked()
    university.with_address(user, config)
    everything_that_may_go_wrong(university, server, mail_server, user, told)
    with university.nas(server=server) as nas:
        ask_without_directory(university, slapd, nas, user)
    host, port = server.log[-1]["metrics"]
    with urllib.request.urlopen(f"http://{host}:{port}/metrics", timeout=30) as answer:
        # Without the numbers: six digits in a row are a code now and then.
        metrics = re.sub(r" \S+$", "", answer.read().decode(), flags=re.MULTILINE)
    config.write_text(config.read_text().replace('"timeout": "300ms"', '"timeout": "no time"'))
    server.reload()
    server.wait_for("reload_refused")

    told.add("shared secret", SECRET)
    told.add("bind password", slapd.bind_password)
    told.add("SMTP password", SMTP_PASSWORD)
    told.add("seed", user.seed)
    told.add("seed", user.base32)
    keys = re.findall("[A-Za-z0-9+/]{43}=", (university.folder / "key").read_text())
    for key in keys:
        told.add("key", base64.b64decode(key))
    assert keys
    said = server.said()
    audit = (university.folder / "told.jsonl").read_text()
    assert all(each in audit for each in ("code_wrong", "state_unreadable", "password_unreadable", "mail_sent"))
    assert told.found_in(said) == []
    assert told.found_in(audit) == []
    assert told.found_in(metrics) == []
    assert "Traceback" not in said


def test_the_search_for_secrets_finds_them() -> None:
    told = Told()
    for number, secret in enumerate((b"\x00\x01\xff state", b"a password")):
        told.add(f"secret {number}", secret)
        for spelt in spellings(secret):
            assert told.found_in(f"log: {spelt.upper()} ...")
    assert told.found_in("nothing of the kind") == []


def test_what_a_problem_shows_of_a_file_is_what_stands_there_and_never_a_secret(tmp_path: Path) -> None:
    """A value in the wrong place is shown; one that is a secret's is not."""
    path = tmp_path / "radius-mfa.yaml"
    path.touch(0o600)
    path.write_text('clients:\n  - {name: vpn, address: 192.0.2.1, secret: {hidden: "sesame open"}}\n')
    said = run_cli("--config", path, "check").err
    assert "clients[0].secret" in said
    assert "sesame" not in said
