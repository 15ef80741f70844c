"""The life of a user's second factors."""

import hashlib
from collections.abc import Iterator

import pytest

from radius_mfa.core.enrolment import SEED_OCTETS, AddressRefusal, Confirmation, Enrolment, Seed
from tests.adapters import PASSWORD, PERIOD, House, house


@pytest.fixture
def it() -> Iterator[House]:
    with house() as it:
        yield it


def confirm(it: House, code: str) -> Confirmation:
    return it.run(it.enrolment.confirm("u-alice", code, it.clock.monotonic() + 5))


def add(it: House, *seeds: bytes, user_id: str = "u-alice") -> list[bool]:
    return list(it.run(it.enrolment.add([Seed(user_id, "alice", each) for each in seeds], confirmed=False)))


def test_a_new_seed_has_160_bits_and_is_nobody_elses(it: House) -> None:
    """RFC 4226 §4, R6."""
    seeds = {it.enrolment.new_seed() for _ in range(100)}

    assert len(seeds) == 100
    assert {len(seed) for seed in seeds} == {SEED_OCTETS} == {20}


def test_a_token_is_accepted_only_once_its_first_code_has_confirmed_it(it: House) -> None:
    it.enrol("alice", confirmed=False)
    assert it.login("alice").says(PASSWORD) == "reject unenrolled"

    assert confirm(it, it.code("alice")) is Confirmation.CONFIRMED
    it.clock.advance(PERIOD)
    assert it.challenged("alice").says(it.code("alice")) == "accept accepted"


def test_the_first_code_is_used_up_by_confirming(it: House) -> None:
    it.enrol("alice", confirmed=False)
    confirm(it, it.code("alice"))

    assert it.challenged("alice").says(it.code("alice")) == "challenge code_used"


@pytest.mark.parametrize("spelling", [" {0} {1} ", "{0}-{1}", "full width"])
def test_a_first_code_is_read_as_leniently_as_any(it: House, spelling: str) -> None:
    it.enrol("alice", confirmed=False)
    code = it.code("alice")
    wide = code.translate({ord(digit): ord(digit) - ord("0") + ord("０") for digit in "0123456789"})
    typed = wide if spelling == "full width" else spelling.format(code[:3], code[3:])

    assert confirm(it, typed) is Confirmation.CONFIRMED


@pytest.mark.parametrize("typed", ["", "mail", "12345678", "hunter2"])
def test_what_is_no_code_confirms_nothing(it: House, typed: str) -> None:
    it.enrol("alice", confirmed=False)

    assert confirm(it, typed) is Confirmation.WRONG


def test_a_wrong_first_code_confirms_nothing(it: House) -> None:
    it.enrol("alice", confirmed=False)

    assert confirm(it, it.wrong_code("alice")) is Confirmation.WRONG
    assert it.login("alice").says(PASSWORD) == "reject unenrolled"


def test_nothing_open_is_nothing_to_confirm(it: House) -> None:
    assert confirm(it, "123456") is Confirmation.NOTHING_OPEN
    it.enrol("alice")

    assert confirm(it, it.code("alice")) is Confirmation.NOTHING_OPEN


def test_the_code_says_which_open_token_it_confirms(it: House) -> None:
    it.enrol("alice")
    it.enrol("alice", confirmed=False)
    it.enrol("alice", confirmed=False)

    assert confirm(it, it.code("alice", token=2)) is Confirmation.CONFIRMED
    assert [token.confirmed for token in it.facts("alice").tokens].count(True) == 2


def test_one_seed_is_one_token_of_a_user(it: House) -> None:
    seed = it.enrolment.new_seed()

    assert add(it, seed) == [True]
    assert add(it, seed, it.enrolment.new_seed()) == [False, True]
    assert add(it, seed, user_id="u-bob") == [True]


def test_what_is_stored_of_a_seed_opens_only_for_its_own_user_and_token(it: House) -> None:
    it.enrol("alice")
    (token,) = it.facts("alice").tokens

    assert it.sealer.open("totp", token.seed, "u-alice", token.id) == it.seeds["alice"][0]
    assert it.sealer.open("totp", token.seed, "u-bob", token.id) is None
    assert it.sealer.open("totp", token.seed, "u-alice", "another") is None
    assert it.seeds["alice"][0] not in token.seed


def test_a_seed_is_not_in_a_repr(it: House) -> None:
    assert repr(b"0123456789") not in repr(Seed("u", "alice", b"0123456789"))


@pytest.mark.parametrize(
    ("seed", "same"), [(b"s" * 20, b"s" * 20 + bytes(5)), (b"l" * 65, hashlib.sha1(b"l" * 65).digest())]
)
def test_two_spellings_of_one_hmac_key_are_one_seed(it: House, seed: bytes, same: bytes) -> None:
    """RFC 2104 §2: a short key is padded with zeros, one longer than a block is hashed."""
    assert add(it, seed) == [True]
    assert add(it, same) == [False]


# --- addresses ----------------------------------------------------------------------------------


def test_an_address_is_kept_in_its_readable_form() -> None:
    with house() as it:
        kept = it.run(it.enrolment.set_address("u-alice", "alice", "Alice@EXAMPLE.net"))

        assert kept == it.facts("alice").mail_address == "Alice@example.net"
        it.run(it.enrolment.remove_address("u-alice"))
        assert (it.facts("alice").mail_address, it.facts("alice").username) == ("", "alice")


@pytest.mark.parametrize(
    ("address", "refusal"),
    [
        ("nobody", AddressRefusal.UNREADABLE),
        ("alice@example.org", AddressRefusal.BLOCKED),
        ("alice@mail.example.org", AddressRefusal.BLOCKED),
    ],
)
def test_an_address_that_is_refused_changes_nothing(address: str, refusal: AddressRefusal) -> None:
    with house() as it:
        it.register("alice")
        strict = Enrolment(it.store, it.sealer, it.totp, it.clock, it.entropy, ["example.org"])

        assert it.run(strict.set_address("u-alice", "alice", address)) is refusal
        assert it.facts("alice").mail_address == "alice@example.net"
