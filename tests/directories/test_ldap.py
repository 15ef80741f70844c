"""The LDAP directory against a real OpenLDAP, and against servers that fail."""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radius_mfa.core.errors import ConfigurationError, DirectoryError
from radius_mfa.core.messages import User
from radius_mfa.core.outcomes import Outcome
from radius_mfa.core.ports import Password
from radius_mfa.directories.ldap import LdapDirectory, LdapSettings
from radius_mfa.directories.ldap_server import LdapAddress
from tests.directories.support import (
    BIND_RESPONSE,
    DONE,
    EXTENDED,
    INTERMEDIATE,
    REFERENCE,
    Answering,
    LoopClock,
    Run,
    always,
    directory,
    entry,
    found,
    has_successful_bind,
    login,
    message,
    nobodies,
    peer,
    result,
    silence,
    soon,
    tlv,
    welcoming,
)
from tests.peers.ports import free_port
from tests.peers.slapd import ODD_PEOPLE, PEOPLE, STAFF, Person, Slapd
from tests.peers.slapd import entry as ldif_entry

ACTIVE = "(employeeType=active)"
ALICE = User("id", "alice", "uid=alice,dc=example,dc=org")


# --- names and passwords --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("username", "password", "verdict"),
    [
        ("u1", "pw1", Password.RIGHT),
        ("u1", "pw2", Password.WRONG),
        ("u1", "PW1", Password.WRONG),
        ("u1", "", Password.WRONG),
        ("u1", "pw1 ", Password.WRONG),
        ("u1", "pw1\0", Password.WRONG),
        ("u1", "p" * 1024, Password.WRONG),
        ("nopassword", "any", Password.WRONG),
        ("nobody", "pw1", Outcome.UNKNOWN_USER),
    ],
)
def test_a_name_and_a_password(
    run: Run, slapd: Slapd, username: str, password: str, verdict: Password | Outcome
) -> None:
    async def play() -> None:
        async with directory(slapd) as under_test:
            assert await login(under_test, username, password) is verdict

    run(play)


@pytest.mark.parametrize("uid", [uid for uid, person in ODD_PEOPLE.items() if person.password])
def test_odd_names_and_passwords_are_taken_to_the_octet(run: Run, slapd: Slapd, uid: str) -> None:
    async def play() -> None:
        person = ODD_PEOPLE[uid]
        password = person.password if isinstance(person.password, bytes) else person.password.encode()
        async with directory(slapd) as under_test:
            user = await found(under_test, uid)
            assert user.username == uid
            assert await under_test.check_password(user, password, soon()) is Password.RIGHT
            for other in (password[:-1], password + b"!", password + b"\0", b"\0" + password, b"\0", b"\xff"):
                assert await under_test.check_password(user, other, soon()) is Password.WRONG

    run(play)


@pytest.mark.parametrize(
    "username",
    [
        "",
        " ",
        "\0",
        "u1\0",
        "u*",
        "**",
        "(uid=u1)",
        "u1)(uid=u1",
        "*)(objectClass=*",
        "\\75\\31",
        "u1\\",
        "{username}",
        "\N{OBJECT REPLACEMENT CHARACTER}",
        "\udcff",
        "z" * 5000,
    ],
)
def test_a_name_is_a_value_and_never_a_filter(run: Run, slapd: Slapd, username: str) -> None:
    """RFC 4515 §3."""

    async def play() -> None:
        async with directory(slapd, active_filter=ACTIVE) as under_test:
            assert await under_test.find(username, soon()) is Outcome.UNKNOWN_USER

    run(play)


@pytest.mark.parametrize("typed", ["u5", "U5", "u5 ", " u5"])
def test_spellings_of_a_name_are_one_user(run: Run, slapd: Slapd, typed: str) -> None:
    async def play() -> None:
        async with directory(slapd) as under_test:
            user = await found(under_test, typed)
            assert (user.username, user.id) == ("u5", (await found(under_test, "u5")).id)

    run(play)


# --- what an entry becomes ------------------------------------------------------------------------


def test_an_entry_becomes_a_user(run: Run, slapd: Slapd) -> None:
    async def play() -> None:
        async with directory(slapd, active_filter=ACTIVE, extra_attributes=("mail", "title")) as under_test:
            user = await found(under_test, "u1")
        assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", user.id)
        assert user == User(
            id=user.id,
            username="u1",
            handle=f"uid=u1,{PEOPLE}",
            name="User 1",
            active=True,
            groups=frozenset({"cn=students,ou=groups,dc=example,dc=org"}),
            language="ja-JP",
            attributes={"mail": ("u1@example.org",), "title": ()},
        )

    run(play)


def test_attributes_may_be_named_in_any_case(run: Run, slapd: Slapd) -> None:
    """RFC 4512 §2.5."""

    async def play() -> None:
        async with directory(slapd, user_filter="(UID={username})", groups_attribute="MEMBEROF") as under_test:
            user = await found(under_test, "U0")
            assert user.username == "u0"
            assert user.groups == {"cn=staff,ou=groups,dc=example,dc=org"}

    run(play)


def test_who_is_not_activated_is_told_from_who_is_unknown(run: Run, slapd: Slapd) -> None:
    async def play() -> None:
        async with directory(slapd, active_filter=ACTIVE) as under_test:
            assert (await found(under_test, "u1")).active
            assert not (await found(under_test, "inactive")).active
            assert await under_test.find("nobody", soon()) is Outcome.UNKNOWN_USER
        async with directory(slapd) as under_test:
            assert (await found(under_test, "inactive")).active

    run(play)


@pytest.mark.parametrize("active_filter", [ACTIVE, None, "(employeeType=nothing)"])
def test_a_name_of_two_entries_is_ambiguous(run: Run, slapd: Slapd, active_filter: str | None) -> None:
    async def play() -> None:
        names = "(|(uid={username})(mail={username}))"
        async with directory(slapd, user_filter=names, active_filter=active_filter) as under_test:
            assert await under_test.find("twin@example.org", soon()) is Outcome.AMBIGUOUS_USER
            assert (await found(under_test, "twin1")).username == "twin1"
            assert (await found(under_test, "u1@example.org")).username == "u1"

    run(play)


def test_a_name_of_hundreds_of_entries_is_ambiguous(run: Run, slapd: Slapd) -> None:
    """The size limit is exceeded (RFC 4511 §4.5.1.4)."""

    async def play() -> None:
        async with directory(slapd, user_filter="(employeeType={username})") as under_test:
            assert await under_test.find("active", soon()) is Outcome.AMBIGUOUS_USER

    run(play)


def test_one_entry_of_a_server_that_gives_only_one_is_ambiguous(run: Run) -> None:
    """The limit may be the server's own (RFC 4511 §4.5.1.4): there may be another entry."""

    async def play() -> None:
        with Slapd(users=1, options="sizelimit 1\n") as small:
            async with directory(small, user_filter="(mail={username})") as under_test:
                assert await under_test.find("twin@example.org", soon()) is Outcome.AMBIGUOUS_USER

    run(play)


def test_of_several_names_the_one_that_was_typed_counts(run: Run, slapd: Slapd) -> None:
    async def play() -> None:
        async with directory(slapd) as under_test:
            first, second = await found(under_test, "first"), await found(under_test, "second")
            assert (first.username, second.username) == ("first", "Second")
            assert first.id == second.id
        async with directory(slapd, user_filter="(mail={username}@example.org)") as under_test:
            assert (await found(under_test, "U7")).username == "U7"  # no attribute has just that

    run(play)


@pytest.mark.parametrize(
    ("attribute", "username", "identity"),
    [
        ("departmentNumber", "u1", None),
        ("departmentNumber", "twoids", None),
        ("departmentNumber", "longid", None),
        ("departmentNumber", "longestid", "d" * 64),
        ("audio", "binaryid", bytes(range(0x80, 0x90)).hex()),
        ("audio", "controlid", bytes(range(0x10, 0x20)).hex()),
        ("DEPARTMENTNUMBER", "longestid", "d" * 64),
        ("departmentNumber", "borrowedid", None),  # the static directory's own, and the break-glass account's
    ],
)
def test_an_id_is_exactly_one_value_of_1_to_64_octets(
    run: Run, slapd: Slapd, attribute: str, username: str, identity: str | None
) -> None:
    async def play() -> None:
        async with directory(slapd, id_attribute=attribute) as under_test:
            user = await under_test.find(username, soon())
            assert (user.id if isinstance(user, User) else user) == (identity or Outcome.USER_ID_UNUSABLE)

    run(play)


def test_groups_and_references_as_they_change(run: Run) -> None:
    """References to other servers are never followed (RFC 4511 §4.5.3)."""
    reference = {"objectClass": ("referral", "extensibleObject"), "ou": "away"}
    away = ldif_entry(f"ou=away,{PEOPLE}", {**reference, "ref": f"ldap://127.0.0.1:{free_port()}/{PEOPLE}"})

    async def play() -> None:
        with Slapd(users=4, ldif=away) as slapd:
            async with directory(slapd) as under_test:
                assert (await found(under_test, "müller")).groups == frozenset()
                dn = ODD_PEOPLE["müller"].dn
                slapd.modify(f"dn: {STAFF}\nchangetype: modify\nadd: member\nmember: {dn}\n")
                user = await found(under_test, "müller")
                assert user.groups == {"cn=staff,ou=groups,dc=example,dc=org"}

                slapd.modify(f"dn: {dn}\nchangetype: delete\n")
                assert await under_test.check_password(user, "pässwörd".encode(), soon()) is Password.WRONG
                assert await under_test.find("müller", soon()) is Outcome.UNKNOWN_USER
                slapd.modify(Person("müller", "another").ldif())
                assert (await found(under_test, "müller")).id != user.id

    run(play)


# --- many, and again ------------------------------------------------------------------------------


def test_200_logins_at_once_each_get_their_own_answer(run: Run, slapd: Slapd) -> None:
    async def play() -> None:
        async with directory(slapd, active_filter=ACTIVE, bind_connections=4) as under_test:
            passwords = [f"pw{number if number % 3 else number + 1}" for number in range(200)]
            verdicts = await asyncio.gather(
                *(login(under_test, f"u{number}", password) for number, password in enumerate(passwords))
            )
        assert verdicts == [Password.RIGHT if number % 3 else Password.WRONG for number in range(200)]

    run(play)


def test_a_server_that_was_restarted_is_not_even_noticed(run: Run) -> None:
    async def play() -> None:
        with Slapd(users=3) as slapd:
            async with directory(slapd) as under_test:
                assert await login(under_test, "u1", "pw1") is Password.RIGHT
                slapd.stop()
                slapd.start()  # the loop stood still: our ends of the connections look as good as ever
                assert await login(under_test, "u1", "pw1") is Password.RIGHT
                slapd.kill()
                slapd.start()
                assert await login(under_test, "u1", "pw2") is Password.WRONG

    run(play)


def test_a_server_that_comes_back_is_used_again(run: Run) -> None:
    async def play() -> None:
        with Slapd(users=3) as slapd:
            async with directory(slapd) as under_test:
                user = await found(under_test, "u1")
                slapd.kill()
                for _ in range(2):
                    with pytest.raises(DirectoryError, match=f"ldap://127.0.0.1:{slapd.port}: no connection"):
                        await under_test.find("u1", soon())
                    with pytest.raises(DirectoryError, match="no connection"):
                        await under_test.check_password(user, b"pw1", soon())
                slapd.start()
                assert await login(under_test, "u1", "pw1") is Password.RIGHT

    run(play)


def test_logins_in_flight_while_the_server_dies_all_end(run: Run) -> None:
    async def play() -> None:
        with Slapd(users=50) as slapd:
            async with directory(slapd) as under_test:
                logins = [asyncio.ensure_future(login(under_test, f"u{n}", f"pw{n}")) for n in range(50)]
                await asyncio.wait(logins, return_when=asyncio.FIRST_COMPLETED)
                slapd.kill()
                ended = await asyncio.gather(*logins, return_exceptions=True)
                assert {type(each) for each in ended} == {Password, DirectoryError}
                assert {each for each in ended if isinstance(each, Password)} == {Password.RIGHT}

    run(play)


# --- servers that fail ----------------------------------------------------------------------------


def test_a_dead_server_is_passed_over(run: Run, slapd: Slapd) -> None:
    async def play() -> None:
        async with directory(("127.0.0.1", free_port()), slapd) as under_test:
            assert await login(under_test, "u1", "pw1") is Password.RIGHT
            assert await login(under_test, "u1", "pw2") is Password.WRONG

    run(play)


def test_a_server_that_never_answers_gets_its_share_of_the_time_only(run: Run, slapd: Slapd) -> None:
    async def play() -> None:
        async with peer(silence) as silent, directory(silent.address, *nobodies(), slapd) as under_test:
            user = await under_test.find("u1", soon(4))
            assert isinstance(user, User)
            assert await under_test.check_password(user, b"pw1", soon(80)) is Password.RIGHT
            await silent.until(lambda it: it.connections > 0)

    run(play)


def test_when_no_server_answers_the_error_names_them_all(run: Run) -> None:
    async def play() -> None:
        nobody = ("127.0.0.1", free_port())
        async with peer(silence) as silent, directory(silent.address, nobody) as under_test:
            started = asyncio.get_running_loop().time()
            with pytest.raises(DirectoryError) as failure:
                await under_test.find("u1", soon(1))
            assert asyncio.get_running_loop().time() - started < 5
        first, second = str(failure.value).split("; ")
        assert first == f"ldap://127.0.0.1:{silent.address[1]}: no answer in time"
        assert second.startswith(f"ldap://127.0.0.1:{nobody[1]}: no connection: ")

    run(play)


@pytest.mark.parametrize("answering", [silence, welcoming(silence)], ids=["from the start", "after the bind"])
def test_a_server_that_never_answers_is_given_up_by_the_deadline(run: Run, answering: Answering) -> None:
    async def play() -> None:
        async with peer(answering) as silent, directory(silent.address) as under_test:
            started = asyncio.get_running_loop().time()
            waiting = [under_test.find("u1", soon(0.3)), under_test.check_password(ALICE, b"pw", soon(0.3))]
            ended = await asyncio.gather(*waiting, return_exceptions=True)
            assert [type(each) for each in ended] == [DirectoryError, DirectoryError]
            assert asyncio.get_running_loop().time() - started < 5
            await silent.until(lambda it: it.open == 0)

    run(play)


def test_a_deadline_that_has_passed_is_an_error_at_once(run: Run, slapd: Slapd) -> None:
    async def play() -> None:
        async with directory(slapd) as under_test:
            user = await found(under_test, "u1")
            with pytest.raises(DirectoryError):
                await under_test.check_password(user, b"pw1", soon(-1))
            assert await login(under_test, "u1", "pw1") is Password.RIGHT

    run(play)


def test_what_a_server_refuses_is_an_error_that_says_so(run: Run, slapd: Slapd) -> None:
    async def play() -> None:
        async with directory(slapd, bind_password=b"not this one") as under_test:
            with pytest.raises(DirectoryError) as failure:
                await under_test.find("u1", soon())
            assert str(failure.value).endswith(f"bind as {slapd.bind_dn}: invalidCredentials (49)")
        async with directory(slapd, base_dn="ou=nowhere,dc=example,dc=org") as under_test:
            with pytest.raises(DirectoryError, match=r"search below ou=nowhere,\S+: noSuchObject \(32\)"):
                await under_test.find("u1", soon())

    run(play)


@pytest.mark.parametrize(("code", "verdict"), [(0, Password.RIGHT), (49, Password.WRONG), (51, None), (80, None)])
def test_what_a_result_of_a_bind_says_of_the_password(run: Run, code: int, verdict: Password | None) -> None:
    """RFC 4511 §4.1.9, appendix A; all that is not about the name or the password is a failure."""

    async def play() -> None:
        answering = always(lambda number: result(number, BIND_RESPONSE, code, b"so\r\nit is"))
        async with peer(answering) as server, directory(server.address) as under_test:
            if verdict is not None:
                assert await under_test.check_password(ALICE, b"pw", soon()) is verdict
                return
            with pytest.raises(DirectoryError, match=rf"^ldap://\S+: bind as a user: .*\({code}\): so it is$"):
                await under_test.check_password(ALICE, b"pw", soon())

    run(play)


def test_an_empty_name_or_password_never_leaves_the_house(run: Run) -> None:
    """It would be an unauthenticated bind, which succeeds (RFC 4513 §5.1)."""

    async def play() -> None:
        answering = always(lambda number: result(number, BIND_RESPONSE))
        async with peer(answering) as server, directory(server.address) as under_test:
            assert await under_test.check_password(ALICE, b"", soon()) is Password.WRONG
            assert await under_test.check_password(User("id", "alice", ""), b"pw", soon()) is Password.WRONG
            assert await under_test.find("", soon()) is Outcome.UNKNOWN_USER
            await under_test.dummy_check("nobody", b"pw", soon())
            assert not server.connections

    run(play)


def test_what_comes_beside_the_entry_is_passed_over(run: Run) -> None:
    """RFC 4511 §4.5.2, §4.13."""

    def answer(number: int) -> bytes:
        return b"".join(
            (
                message(number, REFERENCE, tlv(0x04, b"ldap://127.0.0.1:1/")),
                message(number, INTERMEDIATE, tlv(0x80, b"1.2.3")),
                entry(number + 1, "uid=other", entryUUID=b"other"),
                entry(number, "uid=alice", entryUUID=b"id", **{"uid;lang-en": b"Alice"}),
                result(number, DONE),
            )
        )

    async def play() -> None:
        async with peer(welcoming(always(answer))) as server, directory(server.address) as under_test:
            assert await found(under_test, "alice") == User("id", "alice", "uid=alice", attributes={})

    run(play)


@pytest.mark.parametrize("operation", [BIND_RESPONSE, EXTENDED])
def test_a_search_that_is_answered_by_something_else_is_an_error(run: Run, operation: int) -> None:
    async def play() -> None:
        answering = welcoming(always(lambda number: result(number, operation)))
        async with peer(answering) as server, directory(server.address) as under_test:
            with pytest.raises(DirectoryError, match="an answer to something else"):
                await under_test.find("alice", soon())

    run(play)


@settings(deadline=None, max_examples=100)
@given(st.sampled_from(["bind", "search"]), st.data())
def test_a_mutated_answer_is_an_error_at_worst_and_never_a_right_password(what: str, data: st.DataObject) -> None:
    answer = result(1, BIND_RESPONSE, 49, b"no")
    if what == "search":
        answer = entry(2, "uid=alice", entryUUID=b"id", cn=b"Alice") + result(2, DONE)
    octets = bytearray(answer)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(octets) - 1))
        octets[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
        octets = octets or bytearray(b"0")

    async def play() -> None:
        answering = always(lambda _: bytes(octets))
        if what == "search":
            async with peer(welcoming(answering)) as server, directory(server.address) as under_test:
                with suppress(DirectoryError):
                    await under_test.find("alice", soon(0.02))
            return
        async with peer(answering, curt=True) as server, directory(server.address) as under_test:
            with suppress(DirectoryError):
                verdict = await under_test.check_password(ALICE, b"secret", soon())
                assert verdict is Password.WRONG or has_successful_bind(octets, 1)

    asyncio.run(play())


# --- settings -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {"bind_dn": ""},
        {"bind_password": b""},
        {"user_filter": "(uid=u1)"},
        {"user_filter": "({username}=u1)"},
        {"user_filter": "(&(uid=x)({username}:caseExactMatch:=u1))"},
        {"user_filter": "uid={username}"},
        {"user_filter": "(uid={username}"},
        {"user_filter": "(&(uid={username})(!))"},
        {"active_filter": "active"},
        {"active_filter": "(a=b)(c=d"},
        {"active_filter": ""},
    ],
)
def test_settings_that_cannot_work_are_refused(wrong: dict[str, Any]) -> None:
    right: dict[str, Any] = {"bind_dn": "cn=radius", "bind_password": b"secret", "base_dn": "dc=example"}
    with pytest.raises(ConfigurationError):
        LdapDirectory(LdapSettings(servers=(LdapAddress("127.0.0.1", 389),), **{**right, **wrong}), LoopClock())


def test_no_password_is_ever_shown() -> None:
    settings = LdapSettings((LdapAddress("127.0.0.1", 389),), "cn=radius", b"very secret", "dc=example")
    assert "very secret" not in repr(settings)
