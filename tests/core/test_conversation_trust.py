"""A device that was trusted is asked for no code: there, for that user, for a time, and with the password."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from radius_mfa.core.errors import StoreError
from radius_mfa.core.kept import Device
from radius_mfa.core.messages import Accept, Attribute, FactorKind, Nas, Profile
from radius_mfa.core.policy import Policy, SecondFactor
from radius_mfa.core.returns import NOTHING
from tests.adapters import PASSWORD, PERIOD, Fuse, House, Visitor, heard, house

WEEK = 7 * 86400.0
TRUSTING = Policy("trusting", factors=frozenset(FactorKind), trust_device=True)
AP = Nas("ap", Profile("generic"), groups=frozenset({"wifi"}), station="mac")
OTHER_AP = replace(AP, name="other ap")
VPN = Nas("vpn", Profile("generic"), station="ip")
COMMA = Nas("comma", Profile("one field", suffix=","), groups=frozenset({"wifi"}), station="mac")
PHONE = b"02-00-00-00-00-01"
LAPTOP = b"02-00-00-00-00-02"


@pytest.fixture
def it() -> Iterator[House]:
    with house((TRUSTING,)) as it:
        it.enrol("alice")
        it.enrol("bob")
        yield it


def at(it: House, nas: Nas = AP, station: bytes | None = PHONE, user_name: str = "alice") -> tuple[Visitor, str]:
    """A visitor who has typed the password there, and what came of it."""
    login = it.login(user_name, nas)
    return login, login.says(PASSWORD, station=station)


def trusts(it: House, nas: Nas = AP, station: bytes | None = PHONE, user_name: str = "alice", **more: Any) -> str:
    """A login whose code asks to trust the device; what staff read of it."""
    it.clock.advance(PERIOD)
    login = it.login(user_name, nas)
    code = f"{it.code(user_name)} trust"
    if nas.profile.suffix:
        code = f"{PASSWORD},{code}"
    else:
        assert login.says(PASSWORD, station=station) == "challenge challenged"
    assert login.says(code, station=station, **more) == "accept accepted"
    return login.last.event.detail


def is_trusted(it: House, nas: Nas = AP, station: bytes | None = PHONE, user_name: str = "alice") -> bool:
    _, heard = at(it, nas, station, user_name)
    assert heard in {"accept accepted_by_device", "challenge challenged"}
    return heard.startswith("accept")


def devices(it: House, user_id: str | None = "u-alice") -> list[Device]:
    return list(it.run(it.store.devices(user_id, it.clock.wall())))


def test_a_trusted_device_needs_the_password_and_no_code(it: House) -> None:
    it.reload(policies=(replace(TRUSTING, reply=NOTHING),))
    assert not is_trusted(it)
    trusts(it)

    login, heard = at(it)
    assert heard == "accept accepted_by_device"
    assert isinstance(login.last.decision, Accept)
    assert it.login("alice", AP).says("wrong", station=PHONE) == "reject wrong_password"


def test_what_is_trusted_is_listed(it: House) -> None:
    trusts(it)

    (device,) = devices(it)
    now = it.clock.wall()
    assert (device.user_id, device.station, device.scope, device.client) == (
        "u-alice",
        "mac:020000000001",
        "group:wifi",
        "ap",
    )
    assert (device.created, device.expires) == (now, now + WEEK)


def test_a_code_alone_trusts_nothing(it: House) -> None:
    login, _ = at(it)
    assert login.says(it.code("alice"), station=PHONE) == "accept accepted"

    assert not is_trusted(it)


def test_a_wrong_code_trusts_nothing(it: House) -> None:
    login, _ = at(it)
    assert login.says(f"{it.wrong_code('alice')} trust", station=PHONE) == "challenge code_wrong"

    assert not is_trusted(it)
    assert devices(it) == []


def test_it_is_that_user_at_that_station_in_that_group(it: House) -> None:
    trusts(it)

    assert is_trusted(it, OTHER_AP)
    assert not is_trusted(it, station=LAPTOP)
    assert not is_trusted(it, station=None)
    assert not is_trusted(it, user_name="bob")
    assert not is_trusted(it, replace(AP, name="ap 3", groups=frozenset({"guests"})))
    assert not is_trusted(it, replace(AP, name="ap 4", groups=frozenset()))


def test_a_client_without_a_group_trusts_for_itself_only(it: House) -> None:
    alone = replace(AP, groups=frozenset())
    trusts(it, alone)

    assert is_trusted(it, alone)
    assert not is_trusted(it, AP)
    assert not is_trusted(it, replace(alone, name="ap 2"))


def test_it_ends_after_a_week_however_often_it_was_used(it: House) -> None:
    trusts(it)
    for _ in range(7):
        assert is_trusted(it)
        it.clock.advance(86400.0 - 1)

    it.clock.advance(6)
    assert is_trusted(it)
    it.clock.advance(1)
    assert not is_trusted(it)


def test_a_clock_that_was_set_back_trusts_nothing_from_the_future(it: House) -> None:
    trusts(it)
    it.clock.advance(-3600)

    assert not is_trusted(it)


def test_it_is_trusted_again_only_once_it_is_trusted_no_more(it: House) -> None:
    trusts(it, COMMA)
    it.clock.advance(WEEK - 60)
    line = f"{PASSWORD},{it.code('alice')} trust"
    assert it.login("alice", COMMA).says(line, station=PHONE) == "accept accepted_by_device"
    it.clock.advance(3600)
    assert at(it, COMMA)[1] == "reject code_missing"

    trusts(it, COMMA)
    assert at(it, COMMA)[1] == "accept accepted_by_device"
    assert len(devices(it)) == 1


@pytest.mark.parametrize(
    ("policy", "nas", "station"),
    [
        (replace(TRUSTING, trust_device=False), AP, PHONE),
        (TRUSTING, replace(AP, station="none"), PHONE),
        (TRUSTING, AP, None),
        (TRUSTING, AP, b"00-00-00-00-00-00"),
        (TRUSTING, VPN, PHONE),
        (TRUSTING, VPN, b"192.0.2.1"),  # the NAS's own
    ],
)
def test_where_nothing_can_be_trusted_the_wish_is_passed_over_and_the_login_goes_on(
    it: House, policy: Policy, nas: Nas, station: bytes | None
) -> None:
    it.reload(policies=(policy,))

    assert trusts(it, nas, station).startswith("not trusted: ")
    assert not is_trusted(it, nas, station)
    assert devices(it) == []


def test_a_policy_that_no_longer_allows_it_ends_it(it: House) -> None:
    trusts(it)
    it.reload(policies=(replace(TRUSTING, trust_device=False),))

    assert not is_trusted(it)


def test_a_station_that_others_log_in_from_is_no_device(it: House) -> None:
    """A NAS that sends the same Calling-Station-Id for everybody, or a network behind one address."""
    for number in range(4):
        other_at_station(it, number, AP)

    assert trusts(it) == "not trusted: others have logged in from this station"
    assert trusts(it, station=LAPTOP) == ""


@pytest.mark.parametrize("spelling", ["198.51.100.7", "198.51.100.7[{}]"])
def test_others_are_counted_whatever_the_nas_adds_to_the_station(it: House, spelling: str) -> None:
    """strongSwan adds the port, which is another one each time."""
    for number in range(4):
        other_at_station(it, number, VPN, spelling.format(4500 + number).encode())

    assert trusts(it, VPN, spelling.format(33333).encode()).startswith("not trusted: others")


def test_others_are_counted_at_every_client(it: House) -> None:
    for number in range(4):
        other_at_station(it, number, OTHER_AP)

    assert trusts(it, AP).startswith("not trusted: others")


def test_others_who_trust_it_are_counted_however_long_ago_that_was(it: House) -> None:
    it.trust_for(30 * 86400.0)
    for number in range(4):
        other_at_station(it, number, AP, answer="{} trust")
    it.clock.advance(WEEK + 60)

    assert trusts(it).startswith("not trusted: others")


def test_trust_by_a_mailed_code_is_no_trust_where_only_the_app_counts(it: House) -> None:
    it.register("alice")
    login, _ = at(it)
    assert login.says("mail", station=PHONE) == "challenge mail_sent"
    assert login.says(f"{it.mailed()} trust", station=PHONE) == "accept accepted"
    assert is_trusted(it)

    it.reload(policies=(replace(TRUSTING, factors=frozenset({FactorKind.TOTP})),))
    assert not is_trusted(it)


def test_the_device_of_a_lost_token_is_trusted_no_more(it: House) -> None:
    it.enrol("alice")
    trusts(it)
    token = it.facts("alice").tokens[0]
    it.run(it.enrolment.remove_token("u-alice", token.id))

    assert not is_trusted(it)


def test_after_a_reset_not_even_the_identical_answer_is_let_in(it: House) -> None:
    login, _ = at(it)
    answer = login.request(it.code("alice"), station=PHONE)
    assert heard(it.ask(answer)) == "accept accepted"
    assert heard(it.ask(answer)) == "accept accepted"
    it.run(it.enrolment.reset("u-alice"))

    assert heard(it.ask(answer)) == "reject state_spent"


def test_a_device_that_others_come_to_share_is_trusted_no_more(it: House) -> None:
    trusts(it)
    for number in range(3):
        other_at_station(it, number, AP)
    assert is_trusted(it)

    other_at_station(it, 3, AP)
    assert not is_trusted(it)
    it.clock.advance(WEEK)  # when they have not been there for a week, it may be one again
    assert trusts(it) == ""


def other_at_station(it: House, number: int, nas: Nas, station: bytes = PHONE, answer: str = "{}") -> None:
    """Somebody else logs in from the phone's station."""
    name = f"other{number}"
    it.directory.users[name] = replace(it.user("bob"), id=f"u-{name}", username=name)
    it.enrol(name, user_id=f"u-{name}")
    login, _ = at(it, nas, station, user_name=name)
    assert login.says(answer.format(it.code(name)), station=station) == "accept accepted"


def test_a_reset_ends_it(it: House) -> None:
    trusts(it)
    it.run(it.enrolment.reset("u-alice"))

    _, heard = at(it)
    assert heard == "reject unenrolled"
    assert devices(it, None) == []


def test_revoking_ends_it(it: House) -> None:
    trusts(it)
    trusts(it, station=LAPTOP)
    newest, oldest = devices(it)
    assert it.run(it.store.revoke_devices("u-alice", newest.id)) == 1

    assert is_trusted(it)
    assert not is_trusted(it, station=LAPTOP)
    assert it.run(it.store.revoke_devices("u-bob", oldest.id)) == 0
    assert it.run(it.store.revoke_devices("u-alice", None)) == 1
    assert not is_trusted(it)


def test_a_lock_is_no_trusted_devices_but_the_password_is_asked(it: House) -> None:
    """Whoever guesses elsewhere must not lock the user out at home."""
    trusts(it)
    for code in it.wrong_codes("alice", 10):
        login, _ = at(it, station=LAPTOP)
        login.says(code, station=LAPTOP)

    assert at(it, station=LAPTOP)[1] == "reject locked"
    assert is_trusted(it)


def test_in_one_field_a_code_that_came_along_is_not_looked_at_there(it: House) -> None:
    """Whoever has the password and the device need not give one: nothing is to be had by guessing."""
    trusts(it, COMMA)
    it.clock.advance(PERIOD)
    for code in ("", f",{it.wrong_code('alice')}", f",{it.code('alice')}"):
        assert it.login("alice", COMMA).says(PASSWORD + code, station=PHONE) == "accept accepted_by_device"

    assert it.login("alice", COMMA).says(f"{PASSWORD},mail", station=PHONE) != "accept accepted_by_device"
    assert it.counters("alice").failures == 0
    assert it.challenged("alice").says(it.code("alice")) == "accept accepted"  # it was not used up


def test_in_one_field_the_line_that_made_it_trusted_goes_on_being_enough(it: House) -> None:
    """A VPN that negotiates its keys anew, by the hour, sends the line again that it was given."""
    line = f"{PASSWORD},{it.code('alice')} trust"
    assert it.login("alice", COMMA).says(line, station=PHONE) == "accept accepted"
    assert it.login("alice", COMMA).says(line, station=LAPTOP) == "reject code_used"
    for _ in range(24):
        it.clock.advance(3600)
        assert it.login("alice", COMMA).says(line, station=PHONE) == "accept accepted_by_device"

    assert it.counters("alice").failures == 0
    it.clock.advance(WEEK)
    assert it.login("alice", COMMA).says(line, station=PHONE) == "reject code_used"


def test_a_policy_that_asks_for_no_code_trusts_nothing(it: House) -> None:
    it.reload(policies=(replace(TRUSTING, second_factor=SecondFactor.NEVER),))

    assert at(it)[1] == "accept accepted_by_password"


def test_the_same_answer_without_the_wish_is_another_answer(it: House) -> None:
    login, _ = at(it)
    state = login.state
    code = it.code("alice")
    assert login.says(code, station=PHONE) == "accept accepted"
    login.state = state

    assert login.says(f"{code} trust", station=PHONE) == "reject state_spent"
    assert not is_trusted(it)


@pytest.mark.parametrize("call", ["is_trusted", "others_at"])
def test_a_store_that_fails_trusts_nobody(it: House, call: str) -> None:
    trusts(it)
    it.wire(Fuse(0, StoreError, call))

    assert at(it)[1] == "reject store_failed"


def test_a_device_is_trusted_with_the_login_or_not_at_all(it: House) -> None:
    it.wire(Fuse(0, StoreError, "settle"))
    login, _ = at(it)
    assert login.says(f"{it.code('alice')} trust", station=PHONE) == "reject store_failed"
    it.wire(None)

    assert devices(it) == []
    assert login.says(f"{it.code('alice')} trust", station=PHONE) == "accept accepted"
    assert len(devices(it)) == 1


def test_other_attributes_do_not_make_it_another_device(it: House) -> None:
    trusts(it)

    login = it.login("alice", AP)
    extra = ((int(Attribute.NAS_PORT), b"\0\0\0\x07"),)
    assert login.says(PASSWORD, station=b"0200.0000.0001", extra=extra) == "accept accepted_by_device"
