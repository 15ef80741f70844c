"""802.1X through the server as it is run, by eapol_test: every method, whatever becomes of the login."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.cli.support import run_cli
from tests.end_to_end.nas import ACCEPT, CHALLENGE, REJECT
from tests.end_to_end.site import COMMA, SECOND, SECRET, Account, Site, odd
from tests.end_to_end.test_mail import code_in
from tests.end_to_end.wireless import METHODS, NAME, VLAN, Wireless, new_mac, wireless

TUNNEL_PRIVATE_GROUP_ID = 81  # RFC 2868 §3.6
USER_NAME, CHARGEABLE_USER_IDENTITY, EAP_KEY_NAME = 1, 89, 102


@pytest.fixture(scope="module")
def wifi(university: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wireless]:
    with wireless(university, tmp_path_factory.mktemp("wireless") / "authority") as it:
        yield it


@pytest.fixture(scope="module")
def locked(university: Site) -> Account:
    """Somebody whose codes were wrong too often."""
    user = university.staff()
    with university.nas(SECOND) as nas:
        for code, _ in zip(user.wrong_codes(), range(5), strict=False):
            challenge = nas.ask(user.name, user.password)
            assert challenge.code in (CHALLENGE, REJECT)
            nas.ask(user.name, code, state=challenge.state)
    assert university.show(user)["failures"] == 5
    return user


@dataclass(frozen=True)
class Case:
    """Who types which code, and how that ends: the audit file's last event."""

    who: Callable[[Wireless], Account]
    code: Callable[[Account], str | None]
    ends: str
    otherwise: Mapping[str, str] = field(default_factory=dict)  # by method
    password: str | None = None


def _staff(wifi: Wireless) -> Account:
    return wifi.site.staff()


def _with_a_stale_code(wifi: Wireless) -> Account:
    """Whose present code was used, at a gateway."""
    user = wifi.site.staff()
    assert wifi.site.foreign("pyrad", COMMA).ask(user.name, f"{user.password},{user.code()}").code == ACCEPT
    return user


CASES = {
    "right": Case(_staff, Account.code, "accept accepted"),
    "wrong password": Case(_staff, Account.code, "reject wrong_password", password="wrong"),
    "wrong code": Case(_staff, Account.wrong_code, "reject code_wrong", {"peap-gtc": "challenge code_wrong"}),
    "stale code": Case(_with_a_stale_code, Account.code, "reject code_used", {"peap-gtc": "challenge code_used"}),
    "unenrolled": Case(lambda wifi: wifi.site.unenrolled(), Account.code, "reject unenrolled"),
    "not activated": Case(lambda _: odd("inactive"), Account.code, "reject not_activated"),
}
TLS = {"TLSv1.2": False, "TLSv1.3": True}
PIECES = (500, 1400)


@pytest.mark.parametrize("octets", PIECES)
@pytest.mark.parametrize("version", TLS)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("case", CASES)
def test_a_login_ends_as_by_pap(wifi: Wireless, case: str, method: str, version: str, octets: int) -> None:
    """RFC 5281, [MS-PEAP], RFC 9427; RFC 3579 §2.4: pieces go through what the NAS says it can carry."""
    of = CASES[case]
    user = of.who(wifi)

    outcome = wifi.log_in(
        method,
        user,
        of.code(user),
        password=of.password,
        tls13=TLS[version],
        fragment=octets,
        mtu=octets,
    )

    assert wifi.outcomes(user)[-1] == of.otherwise.get(method, of.ends), outcome.output
    assert (outcome.accepted, outcome.keys_match) == (case == "right", case == "right")
    assert outcome.tls == version
    if case == "right":
        assert outcome.first(TUNNEL_PRIVATE_GROUP_ID) == b"\0" + VLAN.encode()  # no tag


@pytest.mark.parametrize("octets", PIECES)
@pytest.mark.parametrize("version", TLS)
@pytest.mark.parametrize("method", METHODS)
def test_who_is_locked_is_not_let_in_by_a_right_code(
    wifi: Wireless, locked: Account, method: str, version: str, octets: int
) -> None:
    outcome = wifi.log_in(method, locked, locked.next_code(), tls13=TLS[version], fragment=octets, mtu=octets)
    assert (outcome.accepted, wifi.outcomes(locked)[-1]) == (False, "reject locked")


@pytest.mark.parametrize("octets", PIECES)
@pytest.mark.parametrize("version", TLS)
@pytest.mark.parametrize("method", METHODS)
def test_a_trusted_device_needs_no_code(wifi: Wireless, method: str, version: str, octets: int) -> None:
    user, mac = wifi.site.staff(), new_mac()
    how = {"mac": mac, "tls13": TLS[version], "fragment": octets, "mtu": octets}
    assert wifi.log_in(method, user, f"{user.code()} trust", **how).accepted

    again = wifi.log_in(method, user, None, **how)

    assert (again.accepted, again.keys_match) == (True, True)
    assert wifi.outcomes(user)[-1] == "accept accepted_by_device"
    assert not wifi.log_in(method, user, None, **{**how, "mac": new_mac()}).accepted
    assert not wifi.log_in(method, user, None, password="wrong", **how).accepted


def test_gtc_asks_again_after_a_wrong_code_as_often_as_the_profile_says(wifi: Wireless) -> None:
    """RFC 3748 §5.6: what is asked is the prompt of the Access-Challenge.

    In TTLS wpa_supplicant 2.10 takes two texts and no more.
    """
    user = wifi.site.staff()
    wrong = user.wrong_codes()
    typed = [user.password, next(wrong), next(wrong), user.code()]

    outcome = wifi.supplicant.log_in("peap-gtc", user.name, typed, mac=new_mac())

    assert outcome.accepted
    assert wifi.outcomes(user) == [
        "challenge challenged",
        "challenge code_wrong",
        "challenge code_wrong",
        "accept accepted",
    ]
    assert len(outcome.prompts) == 4


def test_a_stored_password_that_is_sent_in_place_of_the_code_is_no_guess(wifi: Wireless) -> None:
    user = wifi.site.staff()
    outcome = wifi.supplicant.log_in("peap-gtc", user.name, [user.password] * 4, mac=new_mac())
    assert not outcome.accepted
    assert wifi.outcomes(user)[-1] == "reject answer_unreadable"
    assert wifi.site.show(user)["failures"] == 0


@pytest.mark.parametrize("method", METHODS)
def test_a_code_comes_by_mail_where_it_is_asked_for(wifi: Wireless, method: str) -> None:
    user = wifi.site.with_address(wifi.site.staff())
    assert not wifi.log_in(method, user, "mail").accepted
    code = code_in(wifi.site.mail_to(user))
    assert wifi.log_in(method, user, code).accepted
    assert wifi.outcomes(user)[-1] == "accept accepted"


@pytest.mark.parametrize("version", TLS)
@pytest.mark.parametrize("method", METHODS)
def test_a_tls_session_is_taken_up_again_without_password_and_code(
    wifi: Wireless, method: str, version: str
) -> None:
    """RFC 5281 §7.5, RFC 9427 §4: once in full, twice more in the same process."""
    user = wifi.site.staff()
    outcome = wifi.log_in(method, user, user.code(), tls13=TLS[version], reauth=2)
    assert (outcome.accepted, outcome.keys_match) == (True, True), outcome.output
    assert outcome.handshakes == (False, True, True)
    assert wifi.outcomes(user)[-2:] == ["accept accepted_by_session"] * 2


def test_the_outer_name_is_nobodys_business(wifi: Wireless) -> None:
    """RFC 5281 §7.3: a policy, a lock and the audit file go by the name within the tunnel."""
    user = wifi.site.staff()
    assert wifi.log_in("ttls-pap", user, user.code(), anonymous="anonymous@somewhere.example").accepted
    event = wifi.site.audit(user.name, "wireless.jsonl")[-1]
    assert (event["user_name"], event["decision"]) == (user.name, "accept")
    assert event["detail"] == "EAP-TTLS/PAP; outer name anonymous@somewhere.example"


def test_the_outer_name_may_not_be_somebody_elses(wifi: Wireless) -> None:
    """It is what the NAS accounts for."""
    user, other = wifi.site.staff(), wifi.site.staff()
    assert not wifi.log_in("ttls-pap", user, user.code(), anonymous=other.name).accepted
    assert wifi.outcomes(user)[-1] == "reject outer_name_of_another"


def test_the_name_of_the_keys_is_told_to_a_nas_that_asks_for_it(wifi: Wireless) -> None:
    """IEEE 802.1X asks with an empty EAP-Key-Name; what is told is the Session-Id (RFC 5247 §1.4)."""
    user, other = wifi.site.staff(), wifi.site.staff()
    asked = wifi.log_in("ttls-pap", user, user.code(), attributes=[f"{EAP_KEY_NAME}:x:00"])
    told = [each.length for each in asked.last.attributes if each.number == EAP_KEY_NAME]
    assert told == [1 + 32 + 32]
    unasked = wifi.log_in("ttls-pap", other, other.code())
    assert [each for each in unasked.last.attributes if each.number == EAP_KEY_NAME] == []


@pytest.mark.parametrize("identity", ["none", "user-name", "chargeable-user-identity"])
def test_the_access_accept_has_the_name_that_is_configured(
    university: Site, tmp_path: Path, identity: str
) -> None:
    """RFC 3579 §3.1; RFC 4372 §2.1: the second only for a NAS that asks for it, and the same each time."""
    with wireless(university, tmp_path / "authority", {"identity": identity}, name=identity) as named:
        user, mac = university.staff(), new_mac()
        first = named.log_in("ttls-pap", user, f"{user.code()} trust", mac=mac)
        asked = [f"{CHARGEABLE_USER_IDENTITY}:x:00"]
        second, third = (named.log_in("ttls-pap", user, None, mac=mac, attributes=asked) for _ in range(2))
    assert first.accepted
    assert first.first(USER_NAME) == (user.name.encode() if identity == "user-name" else None)
    assert first.first(CHARGEABLE_USER_IDENTITY) is None
    aliases = [each.first(CHARGEABLE_USER_IDENTITY) for each in (second, third)]
    assert aliases[0] == aliases[1]
    assert (aliases[0] is not None) == (identity == "chargeable-user-identity")


@pytest.mark.parametrize("method", METHODS)
def test_our_own_client_logs_in_with_each_method(wifi: Wireless, method: str) -> None:
    """`radius-mfa login --eap`, as docs/eap.md has it."""
    user = wifi.site.staff()
    server = ("--server", f"127.0.0.1:{wifi.server.port}", "--secret", SECRET)
    known = ("--ca", str(wifi.authority.ca_file), "--server-name", NAME, "--outer-name", "anonymous@example.org")
    typed = ("--password", user.password, "--answer", user.code())
    ran = run_cli("login", user.name, "--eap", method, *server, *known, *typed).worked()
    assert ran.out.splitlines()[-1].startswith(("Access-Accept", "    "))
    assert "Access-Accept" in ran.out
    assert user.password not in ran.out + ran.err
