"""Keys are replaced while logins go on: on one node in one go, and step by step where there are two."""

from __future__ import annotations

import asyncio
import csv
import re
import shutil
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Event
from typing import Any

from radius_mfa.stores.key_file import KeyFile, editing, read_key_file
from radius_mfa.stores.seal import AeadSealer, key_id_of
from tests.cli.support import Ran, run_cli, run_process
from tests.end_to_end.nas import ACCEPT, CHALLENGE
from tests.end_to_end.site import Account, Site
from tests.peers.server import Server
from tests.peers.slapd import Person
from tests.peers.smtp import MailServer, Taken

FIRST, LAST = 100, 399  # people of the directory; in these stores no other test has them
BESIDE = 1500  # tokens of nobody, so that sealing anew takes its time
EARLY = 6  # users whose logins begin before a rotation and end after it


def person(number: int) -> Account:
    return Account.of(Person(f"u{number}", f"pw{number}"))


class Node:
    """A server of its own store and key file, or of another's store."""

    def __init__(self, university: Site, name: str, changes: dict[str, Any]) -> None:
        self.university = university
        self.key = university.folder / f"{name}.key"
        # The site's own people have the same names, and tests that look for what became of them.
        its_own = {"key_file": self.key.name, "audit": {"file": f"{name}.jsonl"}}
        self.config = university.write(f"{name}.yaml", {**changes, **its_own})
        self.server = Server(self.config)

    def run(self, *arguments: str | Path) -> Ran:
        return run_cli("--config", self.config, *arguments)

    def keys(self, *arguments: str | Path) -> Ran:
        return self.run("keys", *arguments)

    def begin(self, who: Account) -> bytes:
        """The State of a login that is half done."""
        with self.university.nas(server=self.server) as nas:
            asked = nas.ask(who.name, who.password)
        assert asked.code == CHALLENGE
        return asked.state

    def says(self, who: Account, answer: str, state: bytes) -> str:
        with self.university.nas(server=self.server) as nas:
            return nas.ask(who.name, answer, state=state).code

    def lets_in(self, who: Account) -> bool:
        return self.says(who, who.code(), self.begin(who)) == ACCEPT

    def changed(self) -> None:
        """Wait until its server has taken other keys over."""
        self.server.wait_for("keys_changed")


@contextmanager
def one(
    university: Site, name: str, accounts: list[Account], beside: int = 0
) -> Iterator[tuple[Node, MailServer]]:
    """A node that is not running yet, with a mail server and a store in which these have their tokens."""
    with MailServer() as mails:
        node = Node(university, name, university.own_store(name, mails))
        node.keys("init").worked()
        node.run("token", "import", tokens(node, accounts)).worked()
        nobody = [Account(f"nobody{number}", "", number.to_bytes(20, "big")) for number in range(beside)]
        if nobody:
            node.run("token", "import", "--offline", tokens(node, nobody)).worked()
        yield node, mails


def tokens(node: Node, accounts: list[Account]) -> Path:
    path = node.config.with_suffix(".csv")
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["username", "secret"])
        rows.writerows((account.name, account.base32) for account in accounts)
    return path


def mail_to(mails: MailServer, who: Account) -> str:
    """The code they were sent, once it is there."""

    def found() -> list[Taken]:
        return [mail for mail in mails.mails if mail.recipients == (who.address,)]

    asyncio.run(mails.until(lambda: bool(found())))
    code = re.search(r"\b\d{4} \d{4}\b", found()[-1].message.get_content())
    assert code
    return code[0]


def sealed_in(university: Site, name: str) -> list[tuple[str, bytes, tuple[str, str]]]:
    """Everything sealed in the store: what for, the octets, and what it is bound to."""
    places = {"totp": "seed FROM totp_token", "mail": "code FROM mail_code"}
    with closing(sqlite3.connect(university.folder / f"{name}.db")) as store:
        return [
            (purpose, octets, (user, row))
            for purpose, place in places.items()
            for user, row, octets in store.execute(f"SELECT user_id, id, {place}")
        ]


def opens(keys: KeyFile, secrets: list[tuple[str, bytes, tuple[str, str]]]) -> int:
    sealer = AeadSealer(keys)
    return sum(sealer.open(purpose, octets, *bound_to) is not None for purpose, octets, bound_to in secrets)


def test_no_login_fails_while_all_is_sealed_anew(university: Site) -> None:
    people = [person(number) for number in range(FIRST, LAST)]
    with one(university, "rotated", people, BESIDE) as (node, mails):
        by_mail, by_app = people[:16], people[16:]
        for who in by_mail:
            node.run("user", "mail", who.name, who.address).worked()
        copy = read_key_file(node.key)
        with node.server:
            early = {who: node.begin(who) for who in by_app[:EARLY]}
            mailed = {who: asks_for_mail(node, who) for who in by_mail[:EARLY]}
            codes = {who: mail_to(mails, who) for who in mailed}

            over = Event()
            with ThreadPoolExecutor(3) as threads:
                apps = [threads.submit(goes_on, node, by_app[EARLY + n :: 2], over) for n in range(2)]
                posts = threads.submit(goes_on_by_mail, node, mails, by_mail[EARLY:], over)
                try:
                    rotated = run_process("--config", node.config, "keys", "rotate").worked()
                finally:
                    over.set()
                went = [each.result() for each in apps]
                went_by_mail = posts.result()

            assert "is the only one now" in rotated.out
            assert min(went) > 5
            assert went_by_mail > 0
            for who, state in early.items():
                assert node.says(who, who.code(), state) == ACCEPT
            for who, state in mailed.items():
                assert node.says(who, codes[who], state) == ACCEPT
            said = node.server.said()
        secrets = sealed_in(university, "rotated")
        assert len(secrets) > len(people) + BESIDE
        (new,) = read_key_file(node.key).ids
        assert {key_id_of(octets) for _, octets, _ in secrets} == {new}
        assert opens(copy, secrets) == 0
        assert opens(read_key_file(node.key), secrets) == len(secrets)
        assert '"error"' not in said


def asks_for_mail(node: Node, who: Account) -> bytes:
    with node.university.nas(server=node.server) as nas:
        asked = nas.ask(who.name, who.password)
        return nas.ask(who.name, "mail", state=asked.state).state


def goes_on(node: Node, people: list[Account], over: Event) -> int:
    """Log one after the other in, until that is over; how many."""
    done = 0
    for who in people:
        if over.is_set():
            break
        assert node.lets_in(who), who.name
        done += 1
    return done


def goes_on_by_mail(node: Node, mails: MailServer, people: list[Account], over: Event) -> int:
    done = 0
    for who in people:
        if over.is_set():
            break
        state = asks_for_mail(node, who)
        assert node.says(who, mail_to(mails, who), state) == ACCEPT, who.name
        done += 1
    return done


def test_step_by_step_where_two_nodes_have_key_files_of_their_own(university: Site) -> None:
    people = iter([person(number) for number in range(FIRST, FIRST + 20)])
    with one(university, "stepwise", [person(number) for number in range(FIRST, FIRST + 20)]) as (a, mails):
        b = Node(university, "stepwise-b", university.own_store("stepwise", mails))
        shutil.copy(a.key, b.key)
        stale = b.key.read_text()
        (old,) = (each.hex() for each in read_key_file(a.key).ids)
        with a.server, b.server:
            before = next(people)
            state = b.begin(before)
            a.keys("add").worked()
            a.changed()
            new = read_key_file(a.key).accepted[0].id.hex()
            assert f"key {new} is not on " in a.keys("promote").line(1)
            b.keys("add", "--from", a.key).worked()
            b.changed()
            a.keys("promote").worked()
            a.changed()
            # A seals with the new key, B with the old one, and each opens what the other seals.
            for first, second in ((a, b), (b, a)):
                who = next(people)
                assert second.says(who, who.code(), first.begin(who)) == ACCEPT

            assert f" still seals with key {old}: " in a.keys("retire", old).line(1)
            b.keys("promote", new).worked()
            b.changed()
            a.keys("retire", old).worked()
            a.changed()
            assert {key_id_of(octets).hex() for _, octets, _ in sealed_in(university, "stepwise")} == {new}
            b.keys("retire", old).worked()
            b.changed()
            assert read_key_file(a.key) == read_key_file(b.key)
            assert a.says(before, before.code(), state) == ACCEPT
            for node in (a, b):
                assert node.lets_in(next(people))
        b.key.write_text(stale)
        refused = run_process("--config", b.config, "serve")
        assert refused.status == 1
        assert refused.err.splitlines()[-1].startswith(f"radius-mfa: {b.key}: this key file lacks key {new}, ")


def test_a_server_goes_on_with_its_keys_where_the_file_cannot_be_used(university: Site) -> None:
    people = [person(number) for number in range(FIRST, FIRST + 3)]
    with one(university, "spoiled", people) as (node, _), node.server:
        node.key.chmod(0o644)
        refused = node.server.wait_for("key_file_refused")
        assert "chmod 600" in refused["error"]
        assert node.lets_in(people[0])
        node.key.chmod(0o600)
        node.keys("add").worked()
        node.changed()
        assert node.lets_in(people[1])


def test_a_key_that_seals_although_the_store_knows_nothing_of_it_is_said_at_once(university: Site) -> None:
    """Somebody changed the file by hand; the next start would be refused."""
    with one(university, "by-hand", [person(FIRST)]) as (node, _), node.server:
        node.keys("add").worked()
        node.changed()
        with editing(node.key) as file:
            file.replace(file.keys.sealing_with(file.keys.accepted[0]))
        node.changed()
        assert "which the store knows nothing of" in node.server.wait_for("key_file_wrong")["error"]
