"""The LDAP directory against a real Active Directory: samba's domain controller."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from radius_mfa.core import usernames
from radius_mfa.core.errors import DirectoryError
from radius_mfa.core.groups import fold_group
from radius_mfa.core.outcomes import Outcome
from radius_mfa.core.ports import Password
from radius_mfa.directories.ldap import LdapDirectory, LdapSettings
from radius_mfa.directories.ldap_groups import GroupSettings
from radius_mfa.directories.ldap_server import LdapAddress
from tests.cli.support import run_cli
from tests.directories.support import LoopClock, Run, found, groups_of, login, soon
from tests.peers.samba import ACCOUNTS, EMPLOYEES, SERVICE, STAFF, WORKGROUP, Samba


@pytest.fixture(scope="module")
def samba() -> Iterator[Samba]:
    with Samba() as running:
        yield running


@asynccontextmanager
async def domain(samba: Samba, **settings: Any) -> AsyncIterator[LdapDirectory]:
    """A directory of the accounts in `samba`."""
    usual: dict[str, Any] = {
        "servers": (LdapAddress(*samba.address, tls=True),),
        "ca_file": samba.ca_file,
        "bind_dn": samba.bind_dn,
        "bind_password": samba.bind_password.encode(),
        "base_dn": samba.base,
        "user_filter": "(|(sAMAccountName={username})(userPrincipalName={username}))",
        "id_attribute": "objectGUID",
    }
    under_test = LdapDirectory(LdapSettings(**{**usual, **settings}), LoopClock())
    try:
        yield under_test
    finally:
        await under_test.close()


@pytest.mark.parametrize(
    "service", [SERVICE.dn, SERVICE.upn, f"{WORKGROUP}\\{SERVICE.name}"], ids=["DN", "UPN", "domain"]
)
def test_the_service_binds_by_any_name_it_has(run: Run, samba: Samba, service: str) -> None:
    """[MS-ADTS] 5.1.1.1.1."""

    async def play() -> None:
        async with domain(samba, bind_dn=service) as under_test:
            assert await login(under_test, "plain", ACCOUNTS["plain"].password) is Password.RIGHT

    run(play)


def test_a_bind_without_tls_is_an_error_and_no_verdict(run: Run, samba: Samba) -> None:
    async def play() -> None:
        async with domain(samba, servers=(LdapAddress(*samba.address_without_tls),)) as under_test:
            with pytest.raises(DirectoryError, match=r"strongerAuthRequired \(8\)"):
                await under_test.find("plain", soon())

    run(play)


def test_start_tls_is_tls_enough(run: Run, samba: Samba) -> None:
    async def play() -> None:
        servers = (LdapAddress(*samba.address_without_tls),)
        async with domain(samba, servers=servers, start_tls=True) as under_test:
            assert await login(under_test, "plain", ACCOUNTS["plain"].password) is Password.RIGHT

    run(play)


@pytest.mark.parametrize("name", ["plain", "日本太郎"])
def test_an_account_is_found_by_both_of_its_names_in_any_case(run: Run, samba: Samba, name: str) -> None:
    account = ACCOUNTS[name]

    async def play() -> None:
        async with domain(samba) as under_test:
            for typed in (name, name.upper(), account.upn, account.upn.upper()):
                user = await found(under_test, typed)
                assert (user.username, user.handle, user.name) == (name, account.dn, f"Name of {name}")

    run(play)


@pytest.mark.parametrize("typed", ["{}\\plain", "{}\\PLAIN"])
def test_the_domain_before_a_name_is_left_out_of_the_search(run: Run, samba: Samba, typed: str) -> None:
    async def play() -> None:
        name = usernames.looked_up(typed.format(WORKGROUP), usernames.KEPT)
        assert isinstance(name, str)
        async with domain(samba) as under_test:
            assert await login(under_test, name, ACCOUNTS["plain"].password) is Password.RIGHT

    run(play)


def test_nobody_is_found_by_a_name_that_nobody_has(run: Run, samba: Samba) -> None:
    """The answer has references to other parts of the forest in it, which are not entries."""

    async def play() -> None:
        async with domain(samba) as under_test:
            assert await under_test.find("nobody", soon()) is Outcome.UNKNOWN_USER

    run(play)


@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        ("plain", Password.RIGHT),
        ("日本太郎", Password.RIGHT),
        ("change", Password.MUST_CHANGE),
        ("stale", Password.EXPIRED),
        ("disabled", Password.DISABLED),
        ("expired", Password.DISABLED),
        ("asleep", Password.RESTRICTED),
        ("elsewhere", Password.RESTRICTED),
    ],
)
def test_what_is_wrong_with_an_account_is_told_to_who_has_its_password(
    run: Run, samba: Samba, name: str, verdict: Password
) -> None:
    async def play() -> None:
        async with domain(samba) as under_test:
            assert await login(under_test, name, "wr0ng-Password") is Password.WRONG
            assert await login(under_test, name, ACCOUNTS[name].password) is verdict

    run(play)


@pytest.mark.parametrize("password", [ACCOUNTS["locked"].password, "wr0ng-Password"])
def test_a_locked_account_is_locked_whatever_the_password(run: Run, samba: Samba, password: str) -> None:
    async def play() -> None:
        async with domain(samba) as under_test:
            assert await login(under_test, "locked", password) is Password.LOCKED

    run(play)


def test_an_account_that_has_gone_since_it_was_found_is_wrong(run: Run, samba: Samba) -> None:
    async def play() -> None:
        async with domain(samba) as under_test:
            user = await found(under_test, "plain")
            gone = replace(user, handle=f"CN=Gone,{user.handle}")
            verdict = await under_test.check_password(gone, ACCOUNTS["plain"].password.encode(), soon())
            assert verdict is Password.WRONG

    run(play)


def test_an_object_guid_is_an_id_in_hexadecimal_that_stays(run: Run, samba: Samba) -> None:
    async def play() -> None:
        async with domain(samba) as under_test:
            first = await found(under_test, "plain")
            assert re.fullmatch("[0-9a-f]{32}", first.id)
            assert (await found(under_test, ACCOUNTS["plain"].upn)).id == first.id
            assert (await found(under_test, "stale")).id != first.id
        async with domain(samba) as another:
            assert (await found(another, "plain")).id == first.id

    run(play)


@pytest.mark.parametrize(
    ("groups", "names"),
    [
        (GroupSettings(), {STAFF}),
        (GroupSettings(nested=True), {STAFF, EMPLOYEES}),
        (GroupSettings(by="search", filter="(member={dn})"), {STAFF}),
        (GroupSettings(by="search", filter="(member={dn})", nested=True), {STAFF, EMPLOYEES}),
        # LDAP_MATCHING_RULE_TRANSITIVE_EVAL ([MS-ADTS] 3.1.1.3.4.4.3).
        (GroupSettings(by="in_chain"), {STAFF, EMPLOYEES}),
    ],
    ids=["attribute", "attribute nested", "search", "search nested", "in_chain"],
)
def test_groups_are_found_every_way(run: Run, samba: Samba, groups: GroupSettings, names: set[str]) -> None:
    async def play() -> None:
        async with domain(samba, groups=groups) as under_test:
            assert await groups_of(under_test, "plain") == set(map(fold_group, names))
            assert await groups_of(under_test, "stale") == frozenset()

    run(play)


@pytest.mark.parametrize("name", ["plain", f"{WORKGROUP}\\plain", ACCOUNTS["plain"].upn])
def test_what_init_proposes_lets_people_in_by_every_name_they_have(
    tmp_path: Path, samba: Samba, name: str
) -> None:
    config, answers = tmp_path / "radius-mfa.yaml", tmp_path / "answers.yaml"
    answers.touch(0o600)
    host, port = samba.address
    answers.write_text(
        f"""\
ldap_servers: ldaps://{host}:{port}
ldap_ca_file: {samba.ca_file}
ldap_bind_dn: {SERVICE.upn}
ldap_bind_password: {samba.bind_password}
try_user: '{name}'
try_password: {ACCOUNTS["plain"].password}
client_address: 192.0.2.10
listen: 127.0.0.1:1812
"""
    )
    ran = run_cli("init", "--answers", answers, "--config", config).worked()
    assert ran.out.startswith(f"It is Active Directory, and lets {SERVICE.upn} in.\nFound plain (")
    assert f"\n  1  {fold_group(EMPLOYEES)}\n  2  {fold_group(STAFF)}\n" in ran.out
    assert run_cli("check", "--probe", "--config", config).worked().err == ""
