"""Which groups a user is in: by the entry, by a search, by the chain."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from radius_mfa.core.errors import ConfigurationError, DirectoryError
from radius_mfa.core.groups import fold_group
from radius_mfa.core.messages import User
from radius_mfa.directories.ldap_groups import GroupSettings
from tests.directories.support import (
    BIND,
    BIND_RESPONSE,
    DONE,
    Asked,
    Run,
    directory,
    entry,
    found,
    groups_of,
    peer,
    result,
    soon,
)
from tests.peers.slapd import BASE, BIND_DN, PEOPLE, STAFF, Slapd
from tests.peers.slapd import entry as ldif

GROUPS = f"ou=groups,{BASE}"
EMPLOYEES, EVERYBODY, CIRCLE = (f"cn={name},{GROUPS}" for name in ("employees", r"every\, body", "circle"))


@pytest.fixture(scope="module")
def nested() -> Iterator[Slapd]:
    """u0 is staff, who are employees, who are everybody, who are in a circle, which is in everybody."""
    groups = {EMPLOYEES: "employees", EVERYBODY: "every, body", CIRCLE: "circle"}
    empty = (
        ldif(dn, {"objectClass": "groupOfNames", "cn": name, "member": BIND_DN}) for dn, name in groups.items()
    )
    with Slapd(users=4, ldif="\n".join(empty)) as running:
        for group, member in (
            (EMPLOYEES, STAFF),
            (EVERYBODY, EMPLOYEES),
            (EVERYBODY, CIRCLE),
            (CIRCLE, EVERYBODY),
        ):  # while it runs, so that its overlay keeps `memberOf`
            running.modify(f"dn: {group}\nchangetype: modify\nadd: member\nmember: {member}\n")
        yield running


def names(groups: frozenset[str]) -> set[str]:
    return {re.sub(r"^cn=(.*?),ou=.*", r"\1", each).replace("\\2c", ",").replace("\\,", ",") for each in groups}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (GroupSettings(), {"staff"}),
        (GroupSettings(nested=True), {"staff", "employees", "every, body", "circle"}),
        (GroupSettings("search", GROUPS), {"staff"}),
        (GroupSettings("search"), set()),  # below the people there are no groups
        (GroupSettings("search", GROUPS, nested=True), {"staff", "employees", "every, body", "circle"}),
        (GroupSettings("search", GROUPS, "(&(member={dn})(cn=employees))", nested=True), set()),
    ],
)
def test_direct_and_nested_groups_of_openldap(
    run: Run, nested: Slapd, settings: GroupSettings, expected: set[str]
) -> None:
    """Escaped commas and circles are in it (RFC 4514 §2.4)."""

    async def play() -> None:
        async with directory(nested, groups=settings) as under_test:
            assert names(await groups_of(under_test, "u0")) == expected

    run(play)


def test_a_group_is_folded_as_policies_write_it(run: Run, nested: Slapd) -> None:
    async def play() -> None:
        async with directory(nested, groups=GroupSettings("search", GROUPS)) as under_test:
            assert await groups_of(under_test, "u0") == {fold_group(STAFF)}

    run(play)


def test_an_odd_name_is_a_value_of_the_filter_and_nothing_else(run: Run, nested: Slapd) -> None:
    async def play() -> None:
        async with directory(nested, groups=GroupSettings("search", GROUPS)) as under_test:
            for uid in ("*)(uid=*", "back\\slash \\2a", "a, b + c = #d"):
                assert isinstance(await groups_of(under_test, uid), frozenset)

    run(play)


# --- by hand ----------------------------------------------------------------------------------------


def answering(*dns: str, code: int = 0) -> Any:
    """The user `alice`, and for every other search these groups."""

    async def answer(asked: Asked) -> bytes:
        if asked.operation == BIND:
            return result(asked.number, BIND_RESPONSE)
        if b"entryUUID" in asked.octets:
            return entry(asked.number, f"uid=alice,{PEOPLE}", entryUUID=b"1") + result(asked.number, DONE)
        return b"".join(entry(asked.number, dn) for dn in dns) + result(asked.number, DONE, code)

    return answer


def test_in_chain_is_active_directorys_matching_rule_in_one_search(run: Run) -> None:
    """[MS-ADTS] 3.1.1.3.4.4.3: extensibleMatch (RFC 4511 §4.5.1.7.7) with the user's DN, and no attributes."""

    async def play() -> None:
        async with (
            peer(answering("cn=a", "cn=B, dc=x")) as server,
            directory(server.address, groups=GroupSettings("in_chain", GROUPS)) as under_test,
        ):
            assert await groups_of(under_test, "alice") == {"cn=a", "cn=b,dc=x"}
        (search,) = [asked.octets for asked in server.asked if b"1.2.840.113556.1.4.1941" in asked.octets]
        assert GROUPS.encode() in search
        assert b"\x81\x171.2.840.113556.1.4.1941\x82\x06member" in search
        assert f"uid=alice,{PEOPLE}".encode() in search
        assert search.endswith(b"\x30\x05\x04\x031.1")
        assert len(server.asked) == 3  # a bind, the user, the groups

    run(play)


@pytest.mark.parametrize("code", [1, 51, 50])
def test_groups_that_cannot_be_searched_are_an_error_and_never_no_groups(run: Run, code: int) -> None:
    """A policy that asks for a group would else be passed over."""

    async def play() -> None:
        async with (
            peer(answering("cn=a", code=code)) as server,
            directory(server.address, groups=GroupSettings("search")) as under_test,
        ):
            with pytest.raises(DirectoryError, match=rf"\({code}\)"):
                await groups_of(under_test, "alice")

    run(play)


def test_an_end_at_the_servers_own_limit_is_an_error(run: Run) -> None:
    """sizeLimitExceeded (RFC 4511 §4.5.1.4): there are more groups, and nobody knows which."""

    async def play() -> None:
        async with (
            peer(answering("cn=a", code=4)) as server,
            directory(server.address, groups=GroupSettings("search")) as under_test,
        ):
            with pytest.raises(DirectoryError, match="in more groups than 1000, or than the server gives"):
                await groups_of(under_test, "alice")

    run(play)


def test_groups_of_groups_are_asked_for_together_on_one_connection_and_not_all_at_once(run: Run) -> None:
    """Sixteen in flight: a server has limits of its own."""

    async def play() -> None:
        waiting: list[int] = []

        async def answer(asked: Asked) -> bytes:
            if asked.operation == BIND:
                return result(asked.number, BIND_RESPONSE)
            if b"entryUUID" in asked.octets:
                return entry(asked.number, f"uid=alice,{PEOPLE}", entryUUID=b"1") + result(asked.number, DONE)
            if b"uid=alice" in asked.octets:
                groups = b"".join(entry(asked.number, f"cn=g{n}") for n in range(32))
                return groups + result(asked.number, DONE)
            waiting.append(asked.number)
            if len(waiting) < 16:
                return b""
            together, waiting[:] = waiting[:], []
            return b"".join(result(number, DONE) for number in together)

        async with (
            peer(answer) as server,
            directory(server.address, groups=GroupSettings("search", nested=True)) as under_test,
        ):
            assert len(await groups_of(under_test, "alice")) == 32
            assert server.connections == 1
            assert waiting == []

    run(play)


def test_the_search_for_groups_ends_with_the_deadline(run: Run) -> None:
    async def play() -> None:
        silent = answering("cn=a")

        async def answer(asked: Asked) -> bytes:
            known = asked.operation == BIND or b"entryUUID" in asked.octets
            octets: bytes = await silent(asked) if known else b""
            return octets

        async with (
            peer(answer) as server,
            directory(server.address, groups=GroupSettings("search", nested=True)) as under_test,
        ):
            user = await found(under_test, "alice")
            with pytest.raises(DirectoryError, match="no answer in time"):
                await under_test.with_groups(user, soon(0.3))
            await server.until(lambda it: it.open == 0)

    run(play)


@pytest.mark.parametrize("by", ["search", "in_chain"])
def test_an_entry_is_not_asked_for_groups_that_are_searched(run: Run, by: Any) -> None:
    async def play() -> None:
        async with (
            peer(answering("cn=a")) as server,
            directory(server.address, groups=GroupSettings(by)) as under_test,
        ):
            await groups_of(under_test, "alice")
        assert not [asked for asked in server.asked if b"memberOf" in asked.octets]

    run(play)


def test_more_groups_than_anybody_has_are_an_error(run: Run) -> None:
    async def play() -> None:
        many = answering(*(f"cn=g{number}" for number in range(1001)))
        async with (
            peer(many) as server,
            directory(server.address, groups=GroupSettings("search")) as under_test,
        ):
            with pytest.raises(DirectoryError, match="more than 1000 groups"):
                await groups_of(under_test, "alice")

    run(play)


@pytest.mark.parametrize("steps", [10, 11])
def test_a_ladder_is_climbed_ten_steps_and_no_part_of_a_longer_one(run: Run, steps: int) -> None:
    """A policy decides by all groups of a user or it decides wrongly."""

    async def answer(asked: Asked) -> bytes:
        if asked.operation == BIND:
            return result(asked.number, BIND_RESPONSE)
        step = re.search(rb"cn=g(\d+),", asked.octets)
        if step and int(step[1]) == steps:
            return result(asked.number, DONE)
        if step:
            return entry(asked.number, f"cn=g{int(step[1]) + 1},dc=x") + result(asked.number, DONE)
        dn = f"uid=alice,{PEOPLE}" if b"entryUUID" in asked.octets else "cn=g1,dc=x"
        return entry(asked.number, dn, entryUUID=b"1") + result(asked.number, DONE)

    async def play() -> None:
        async with (
            peer(answer) as server,
            directory(server.address, groups=GroupSettings("search", nested=True)) as under_test,
        ):
            if steps == 10:
                assert len(await groups_of(under_test, "alice")) == 10
                return
            with pytest.raises(DirectoryError, match="in groups nested deeper than 10"):
                await groups_of(under_test, "alice")

    run(play)


def test_a_group_that_is_gone_has_no_groups(run: Run) -> None:
    """noSuchObject for an entry that `memberOf` still names."""

    async def answer(asked: Asked) -> bytes:
        if asked.operation == BIND:
            return result(asked.number, BIND_RESPONSE)
        if b"uid" in asked.octets:
            who = entry(asked.number, f"uid=alice,{PEOPLE}", entryUUID=b"1", memberOf=b"cn=gone")
            return who + result(asked.number, DONE)
        return result(asked.number, DONE, 32)

    async def play() -> None:
        async with (
            peer(answer) as server,
            directory(server.address, groups=GroupSettings(nested=True)) as under_test,
        ):
            assert await groups_of(under_test, "alice") == {"cn=gone"}

    run(play)


@pytest.mark.parametrize("code", [0, 10, 32])
def test_a_user_whose_entry_is_gone_since_it_was_found_is_an_error(run: Run, code: int) -> None:
    """Asked at a replica that lags, it would be somebody of no groups, whom a laxer policy may be for."""

    dn = f"uid=alice,{PEOPLE}"
    searched = count()

    async def answer(asked: Asked) -> bytes:
        if asked.operation == BIND:
            return result(asked.number, BIND_RESPONSE)
        if next(searched):
            return result(asked.number, DONE, code)
        return entry(asked.number, dn, entryUUID=b"1", memberOf=b"cn=admins") + result(asked.number, DONE)

    async def play() -> None:
        async with (
            peer(answer) as server,
            directory(server.address, groups=GroupSettings(nested=True)) as under_test,
        ):
            with pytest.raises(DirectoryError, match=f"{dn} is not there to name its groups"):
                await groups_of(under_test, "alice")

    run(play)


@pytest.mark.parametrize("filter_", ["(cn=x)", "(member={dn}", "({dn}=x)"])
def test_a_filter_that_cannot_work_is_refused_at_once(run: Run, slapd: Slapd, filter_: str) -> None:
    async def play() -> None:
        with pytest.raises(ConfigurationError, match=r"^groups\.filter: "):
            async with directory(slapd, groups=GroupSettings("search", filter=filter_)):
                pass

    run(play)


def test_groups_of_which_only_some_are_shown_are_an_error(run: Run) -> None:
    """Active Directory's ranges ([MS-ADTS] 3.1.1.3.1.3.3): with the rest a policy would be gone."""

    async def answer(asked: Asked) -> bytes:
        if asked.operation == BIND:
            return result(asked.number, BIND_RESPONSE)
        ranged = {"entryUUID": b"1", "memberOf;range=0-1499": b"cn=one"}
        return entry(asked.number, f"uid=alice,{PEOPLE}", **ranged) + result(asked.number, DONE)

    async def play() -> None:
        async with peer(answer) as server, directory(server.address) as under_test:
            with pytest.raises(DirectoryError, match="take by: in_chain"):
                await under_test.find("alice", soon())

    run(play)


@pytest.mark.parametrize("name", ["xmemberOf;range=0-1499", "memberOf;lang-ja", "memberOf;rangefinder"])
def test_an_attribute_that_is_only_called_alike_hides_no_groups(run: Run, name: str) -> None:
    async def answer(asked: Asked) -> bytes:
        if asked.operation == BIND:
            return result(asked.number, BIND_RESPONSE)
        alike = {"entryUUID": b"1", name: b"cn=one", "memberOf": b"cn=two"}
        return entry(asked.number, f"uid=alice,{PEOPLE}", **alike) + result(asked.number, DONE)

    async def play() -> None:
        async with peer(answer) as server, directory(server.address) as under_test:
            found = await under_test.find("alice", soon())
            assert isinstance(found, User)
            assert found.groups == {"cn=two"}

    run(play)


def test_a_group_with_an_ideographic_space_is_a_group(run: Run) -> None:
    async def play() -> None:
        async with (
            peer(answering("cn=教職員　全員,ou=groups")) as server,
            directory(server.address, groups=GroupSettings("search")) as under_test,
        ):
            assert await groups_of(under_test, "alice") == {fold_group("cn=教職員 全員, ou=groups")}

    run(play)
