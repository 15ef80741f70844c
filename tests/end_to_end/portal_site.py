"""A university that has the server and the portal running, and people who come as a test needs them.

with portal_site(folder) as university:
    user = university.newcomer()
    with Person(chromium, university.url) as person:
        person.goes_to("/")
    university.mailbox(user).link()
    assert university.logs_in(user, user.code()) == ACCEPT
"""

from __future__ import annotations

import asyncio
import base64
import csv
import hashlib
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from email.message import EmailMessage
from itertools import count
from pathlib import Path
from time import monotonic
from typing import Any

from tests.cli.support import run_cli
from tests.end_to_end.nas import CHALLENGE
from tests.end_to_end.site import PEOPLE, VPN, Account, Site
from tests.peers.clock import other_clock
from tests.peers.portal_process import PortalProcess
from tests.peers.ports import free_port
from tests.peers.slapd import BASE, BIND_DN, STAFF, STUDENTS, Person, Slapd, entry
from tests.peers.smtp import MailServer

HELP_DESK = f"cn=Help desk,ou=groups,{BASE}"

_PATIENCE = 10.0  # seconds until an audit line must be there

_CODE = re.compile(r"\b\d{4} \d{4}\b")
_LINK = re.compile(r"https?://\S+")


class Mailbox:
    """What comes to an address, read mail by mail, each once; what is not there yet is waited for."""

    def __init__(self, server: MailServer, address: str) -> None:
        self._server = server
        self._address = address
        self._read = 0

    def all(self) -> list[EmailMessage]:
        """What has come so far, read or not."""
        return [mail.message for mail in self._server.mails if self._address in mail.recipients]

    def next(self) -> EmailMessage:
        asyncio.run(self._server.until(lambda: len(self.all()) > self._read))
        self._read += 1
        return self.all()[self._read - 1]

    def code(self) -> str:
        """The code in the next mail that has one."""
        return self._next(_CODE)

    def link(self) -> str:
        """The address in the next mail that has one."""
        return self._next(_LINK)

    def _next(self, what: re.Pattern[str]) -> str:
        while True:
            found = what.search(self.next().get_content())
            if found:
                return found[0]


class PortalSite:
    """`site`: whose server runs; `portal`: the process of the portal, which runs too, at `url`."""

    def __init__(self, site: Site, url: str) -> None:
        self.site = site
        self.url = url
        self.portal = PortalProcess(site.config)
        self._numbers = count(1)
        self._mailboxes: dict[str, Mailbox] = {}

    # --- who is there ---------------------------------------------------------------------------

    def newcomer(self, *groups: str, student: bool = False, name: str = "") -> Account:
        """Somebody new in the directory, without a second factor: of the staff, or a student, who reads Japanese.

        `groups`: others they are in.  `name`: theirs, where it is to be seen.
        """
        language: dict[str, str] = {"preferredLanguage": "ja-JP"} if student else {}
        name = name or f"new{next(self._numbers)}"
        person = Person(name, f"pw of {name}", (), {"cn": f"Newcomer {name}", "memberOf": (), **language})
        self.site.slapd.modify(person.ldif())
        for group in (STUDENTS if student else STAFF, *groups):
            join = f"changetype: modify\nadd: member\nmember: {person.dn}\n"
            self.site.slapd.modify(f"dn: {group}\n{join}")
        return Account.of(person)

    def staff(self, *groups: str) -> Account:
        """The same, with a token, whose codes are `Account.code`, all of them still to be used."""
        return self.with_token(self.newcomer(*groups))

    def desk(self) -> Account:
        """Somebody of the help desk, with a token."""
        return self.staff(HELP_DESK)

    def with_token(self, account: Account) -> Account:
        path = self.site.folder / f"token-{account.name}-{next(self._numbers)}.csv"
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([("username", "secret"), (account.name, account.base32)])
        run_cli("--config", self.site.config, "token", "import", path).worked()
        return account

    def another_app(self, account: Account) -> Account:
        """The same, with one more token, whose codes it has: no code is good twice, and a step takes 30 s."""
        seed = hashlib.sha1(account.seed).digest()
        return self.with_token(replace(account, seed=seed))

    def with_address(self, account: Account) -> Account:
        """The same, with an address, verified by the administrator."""
        return self.site.with_address(account)

    # --- what comes and goes --------------------------------------------------------------------

    def mailbox(self, account: Account) -> Mailbox:
        """That of their address; the same one each time."""
        return self._mailboxes.setdefault(account.name, Mailbox(self.site.mail_server, account.address))

    def logs_in(self, account: Account, answer: str, source: str = VPN) -> str:
        """What a login by RADIUS ends with, at a NAS that none of us wrote."""
        nas = self.site.foreign("radclient", source)
        asked = nas.ask(account.name, account.password)
        return nas.ask(account.name, answer, asked.state).code if asked.code == CHALLENGE else asked.code

    def acts(self, account: Account, *, least: int = 0) -> list[dict[str, Any]]:
        """What the audit file says was done in the portal, or refused there, about somebody.

        `least` are waited for: a page may come first.
        """
        end = monotonic() + _PATIENCE
        while True:
            acts = [each for each in self.site.audit(account.name) if each["decision"] in ("done", "refused")]
            if len(acts) >= least:
                return acts
            assert monotonic() < end, (acts, least)

    @contextmanager
    def also(self, **changes: Any) -> Iterator[str]:
        """The address of another portal over the same store, with other words in its configuration."""
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        section = {**self.site.usual()["portal"], "listen": f"127.0.0.1:{port}", "url": url}
        config = self.site.write(f"portal-{port}.yaml", {"portal": section, **changes})
        with PortalProcess(config):
            yield url

    @contextmanager
    def later(self, time: str) -> Iterator[str]:
        """The address of another portal over the same store, whose clock is ahead by `time`, as `+25h`."""
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        section = {**self.site.usual()["portal"], "listen": f"127.0.0.1:{port}", "url": url}
        config = self.site.write(f"portal-{port}.yaml", {"portal": section})
        with PortalProcess(config, other_clock(time)):
            yield url


def with_app(account: Account, shown: str) -> Account:
    """The same, whose app has been given the key that a page shows as text, in groups or not."""
    key = "".join(shown.split()).upper()
    return replace(account, seed=base64.b32decode(key + "=" * (-len(key) % 8)))


@contextmanager
def portal_site(folder: Path, portal: Mapping[str, Any] | None = None, **changes: Any) -> Iterator[PortalSite]:
    """`portal`: changes to that section; `changes`: to the other ones, as in `site`."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    section = {"listen": f"127.0.0.1:{port}", "url": url, "help_desk": [HELP_DESK], **(portal or {})}
    group = entry(HELP_DESK, {"objectClass": "groupOfNames", "member": BIND_DN})
    ldif = "\n".join([*(person.ldif() for person in PEOPLE), group])
    with Slapd(users=2, ldif=ldif) as slapd, MailServer() as mail_server:
        site = Site(folder, slapd, mail_server, {**changes, "portal": section}, enrolled=2)
        site.prepare()
        running = PortalSite(site, section["url"])
        with site.server, running.portal:
            yield running
