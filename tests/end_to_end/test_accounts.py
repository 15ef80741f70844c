"""What a user is told of an account that may not log in: over LDAPS, from a directory with password policies."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.end_to_end.nas import CHALLENGE, REJECT
from tests.end_to_end.site import CONTACT, Account, Site, told
from tests.peers.certificates import Authority
from tests.peers.server import Server
from tests.peers.slapd import Person, strict_slapd

URL = "https://account.example.org"


@pytest.fixture(scope="module")
def strict(university: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    authority = Authority(tmp_path_factory.mktemp("accounts") / "ours")
    with strict_slapd(authority.certify("127.0.0.1")) as slapd:
        ldap = {
            **university.usual()["directory"]["ldap"],
            "servers": slapd.tls_url,
            "ca_file": str(authority.ca_file),
            "bind_password": slapd.bind_password,
            "password_url": URL,
        }
        changes = {**university.own_store("accounts", university.mail_server), "directory": {"ldap": ldap}}
        with university.another("accounts.yaml", changes) as server:
            yield server


@pytest.mark.parametrize(
    ("uid", "outcome", "text"),
    [
        ("u1", "password_expired", "password_expired"),
        ("u3", "password_must_change", "password_must_change"),
        ("u4", "account_locked", "refused"),
    ],
)
def test_why_the_account_may_not_log_in_is_told_after_a_right_password_only(
    university: Site, strict: Server, uid: str, outcome: str, text: str
) -> None:
    user = Account.of(Person(uid, f"pw{uid[1:]}"))
    with university.nas(server=strict) as nas:
        right, wrong = nas.ask(user.name, user.password), nas.ask(user.name, "wrong")
    english = uid not in ("u1", "u3")
    assert (right.code, wrong.code) == (REJECT, REJECT)
    if english:
        assert right.message == told(text)
    else:  # the odd ones read Japanese
        assert URL in right.message
        assert CONTACT in right.message
    assert wrong.message == told("refused")
    assert university.outcomes(user.name)[-2].endswith(outcome)


def test_an_expired_password_with_logins_to_spare_logs_in(university: Site, strict: Server) -> None:
    config = university.folder / "accounts.yaml"
    user = university.with_address(Account.of(Person("u2", "pw2")), config)
    with university.nas(server=strict) as nas:
        assert nas.ask(user.name, user.password).code == CHALLENGE
