"""The life of a user's second factors."""

import asyncio
import hashlib
from collections.abc import Iterator
from typing import Any

import pytest

from radius_mfa.core.enrolment import (
    SEED_OCTETS,
    AddressRefusal,
    Confirmation,
    Enrolment,
    EnrolmentRules,
    Resync,
    Seed,
)
from radius_mfa.core.guard import Counters
from radius_mfa.core.kept import NewToken, Proposal
from radius_mfa.core.messages import FactorKind
from radius_mfa.core.stored import Facts, MailKind, NearMiss, Token, TotpStep
from radius_mfa.factors.totp import code_of
from tests.adapters import MAIL_POLICY, NOON, PASSWORD, PERIOD, House, house, interleaved


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


def test_a_token_that_waits_is_confirmed_by_no_code_and_lets_in_from_its_time_on(it: House) -> None:
    it.enrol("alice", confirmed=False)
    (kept,) = it.facts("alice").tokens
    assert it.run(it.enrolment.remove_token("u-alice", kept.id))
    of_a_seed = (kept.id, kept.user_id, "alice", kept.label, kept.seed, b"fingerprint")
    assert it.run(it.store.add_tokens([NewToken(*of_a_seed, good_from=NOON + 60)])) == [True]

    assert confirm(it, it.code("alice")) is Confirmation.WRONG
    assert it.login("alice").says(PASSWORD) == "reject unenrolled"
    it.clock.advance(60.0)
    assert it.run(it.store.ripen(it.clock.wall())) == 1
    assert it.challenged("alice").says(it.code("alice")) == "accept accepted"


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
        rules = EnrolmentRules(blocked_domains=["example.org"])
        strict = Enrolment(it.store, it.sealer, it.totp, it.clock, it.entropy, rules)

        assert it.run(strict.set_address("u-alice", "alice", address)) is refusal
        assert it.facts("alice").mail_address == "alice@example.net"


# --- a clock that is wrong ------------------------------------------------------------------------


def test_a_first_code_of_another_time_names_the_clock_and_confirms_nothing(it: House) -> None:
    it.enrol("alice", confirmed=False)

    assert confirm(it, it.code("alice", 4)) is Confirmation.CLOCK_WRONG
    assert confirm(it, it.code("alice", 40)) is Confirmation.WRONG
    assert not it.facts("alice").tokens[0].confirmed


def test_nothing_is_learnt_of_the_clock_from_a_first_code_which_may_have_come_by_telephone(it: House) -> None:
    it.enrol("alice", confirmed=False)
    it.clock.advance(29)
    assert confirm(it, it.code("alice", -1)) is Confirmation.CONFIRMED

    assert it.facts("alice").tokens[0].drift == 0
    it.clock.advance(1)
    assert it.challenged().says(it.code("alice", 1)) == "accept accepted"


def resync(it: House, first: str, second: str) -> TotpStep | Resync:
    return it.run(it.enrolment.resync("u-alice", first, second, it.clock.monotonic() + 5))


@pytest.mark.parametrize("off", [-100, 3, 100])
def test_two_codes_in_a_row_bring_a_clock_that_is_far_off_back_in(it: House, off: int) -> None:
    """RFC 6238 §6."""
    it.enrol("alice")
    assert it.challenged().says(it.code("alice", off)) != "accept accepted"

    learnt = resync(it, it.code("alice", off), it.code("alice", off + 1))
    assert isinstance(learnt, TotpStep)
    assert learnt.drift == off + 1
    assert it.challenged().says(it.code("alice", off + 2)) == "accept accepted"


def test_both_codes_are_used_up_by_it(it: House) -> None:
    it.enrol("alice")
    resync(it, it.code("alice", 50), it.code("alice", 51))

    assert it.challenged().says(it.code("alice", 51)) == "challenge code_used"
    assert resync(it, it.code("alice", 50), it.code("alice", 51)) is Resync.USED


def test_what_does_not_follow_resynchronises_nothing(it: House) -> None:
    assert resync(it, "123456", "234567") is Resync.NO_TOKEN
    it.enrol("alice", confirmed=False)
    assert resync(it, it.code("alice", 50), it.code("alice", 51)) is Resync.NO_TOKEN
    confirm(it, it.code("alice"))

    for first, second in ((50, 52), (50, 50), (51, 50), (300, 301)):
        assert resync(it, it.code("alice", first), it.code("alice", second)) is Resync.WRONG
    assert resync(it, "mail", "") is Resync.WRONG


def test_the_codes_say_which_token_they_resynchronise(it: House) -> None:
    it.enrol("alice")
    it.enrol("alice")
    assert isinstance(resync(it, it.code("alice", 50, token=1), it.code("alice", 51, token=1)), TotpStep)

    drifts = {token.drift for token in it.facts("alice").tokens}
    assert drifts == {0, 51}


# --- tokens end -----------------------------------------------------------------------------------


def test_one_of_several_tokens_ends_and_the_others_go_on(it: House) -> None:
    it.enrol("alice")
    it.enrol("alice")
    first = next(token for token in it.facts("alice").tokens if opens(it, token, it.seeds["alice"][0]))

    assert not it.run(it.enrolment.remove_token("u-bob", first.id))
    assert it.run(it.enrolment.remove_token("u-alice", first.id))
    assert not it.run(it.enrolment.remove_token("u-alice", first.id))
    assert it.challenged().says(it.code("alice", token=0)) == "challenge code_wrong"
    assert it.challenged().says(it.code("alice", token=1)) == "accept accepted"


def opens(it: House, token: Token, seed: bytes) -> bool:
    return it.sealer.open("totp", token.seed, token.user_id, token.id) == seed


def test_a_reset_ends_everything_and_a_new_token_begins_anew(it: House) -> None:
    it.enrol("alice")
    it.register("alice")
    it.run(it.enrolment.new_recovery_codes("u-alice", "alice"))
    it.challenged().says(it.wrong_code("alice"))
    assert it.run(it.enrolment.reset("u-alice"))

    assert it.facts("alice") == Facts("u-alice", Counters(), username="alice", required=True, codes_since=NOON)
    assert not it.run(it.enrolment.reset("u-bob"))


# --- addresses that users confirm -----------------------------------------------------------------


def with_rules(it: House, **rules: Any) -> Enrolment:
    return Enrolment(it.store, it.sealer, it.totp, it.clock, it.entropy, EnrolmentRules(**rules))


def propose(
    it: House, address: str = "alice@example.net", life: Enrolment | None = None
) -> Proposal | AddressRefusal:
    life = life or it.enrolment
    return it.run(life.propose_address("u-alice", "alice", address, "ja", it.clock.monotonic() + 5))


def test_an_address_counts_once_the_code_that_was_mailed_there_was_shown(it: House) -> None:
    proposal = propose(it, "Alice@EXAMPLE.net")
    assert isinstance(proposal, Proposal)
    ((mail, code),) = it.mails()
    assert (mail.kind, mail.address, mail.language, mail.username) == (
        MailKind.ADDRESS,
        "Alice@example.net",
        "ja",
        "alice",
    )
    assert mail.reference == proposal.reference
    assert it.facts("alice").mail_address == ""

    assert it.run(it.enrolment.confirm_address("u-bob", code)) is None
    assert it.run(it.enrolment.confirm_address("u-alice", f"{code[:4]} {code[4:]}")) == "Alice@example.net"
    assert it.facts("alice").mail_address == "Alice@example.net"
    assert it.facts("alice").required
    assert it.run(it.enrolment.confirm_address("u-alice", code)) is None


def test_of_two_proposals_the_newer_counts(it: House) -> None:
    propose(it, "old@example.net")
    old = it.mails()[0][1]
    propose(it, "new@example.net")
    ((mail, new),) = it.mails()

    assert mail.address == "new@example.net"
    assert it.run(it.enrolment.confirm_address("u-alice", old)) is None
    assert it.run(it.enrolment.confirm_address("u-alice", new)) == "new@example.net"


def test_the_code_of_an_address_bears_five_guesses_and_a_day(it: House) -> None:
    propose(it)
    code = it.mails()[0][1]
    wrong = "00000000" if code != "00000000" else "11111111"
    for _ in range(5):
        assert it.run(it.enrolment.confirm_address("u-alice", wrong)) is None
    assert it.run(it.enrolment.confirm_address("u-alice", code)) is None

    propose(it)
    code = it.mails()[0][1]
    it.clock.advance(86400.0)
    assert it.run(it.enrolment.confirm_address("u-alice", code)) is None
    assert it.facts("alice").mail_address == ""


def test_the_code_of_an_address_is_no_login_code(it: House) -> None:
    with house((MAIL_POLICY,)) as it:
        it.enrol("alice")
        it.register("alice", "old@example.net")
        propose(it)
        code = it.mails()[0][1]

        assert it.challenged().says(code) == "challenge code_wrong"


def test_a_proposal_is_refused_as_an_address_is(it: House) -> None:
    strict = with_rules(it, blocked_domains=["example.org"])

    assert propose(it, "alice@example.org", strict) is AddressRefusal.BLOCKED
    assert propose(it, "a@example.net\nBcc: all@example.net", strict) is AddressRefusal.UNREADABLE
    assert it.mails() == []


def test_the_app_comes_first_where_it_is_to_be(it: House) -> None:
    totp_first = with_rules(it, first=FactorKind.TOTP)
    it.enrol("alice", confirmed=False)
    assert propose(it, life=totp_first) is AddressRefusal.OUT_OF_ORDER
    assert not totp_first.is_out_of_order(it.facts("alice"), FactorKind.TOTP)

    confirm(it, it.code("alice"))
    assert isinstance(propose(it, life=totp_first), Proposal)


def test_the_address_comes_first_where_it_is_to_be(it: House) -> None:
    mail_first = with_rules(it, first=FactorKind.MAIL)
    assert mail_first.is_out_of_order(it.facts("alice"), FactorKind.TOTP)
    assert isinstance(propose(it, life=mail_first), Proposal)

    it.register("alice")
    assert not mail_first.is_out_of_order(it.facts("alice"), FactorKind.TOTP)


# --- recovery codes and vouchers ------------------------------------------------------------------


def test_as_many_recovery_codes_are_made_as_is_configured(it: House) -> None:
    three = with_rules(it, recovery_codes=3)

    assert len(it.run(three.new_recovery_codes("u-alice", "alice"))) == 3
    assert it.facts("alice").recovery_left == 3
    assert it.facts("alice").required


def test_a_voucher_is_good_once_for_its_user_for_a_week(it: House) -> None:
    shown, until = it.run(it.enrolment.issue_voucher("u-alice", "alice"))
    assert until == it.clock.wall() + 7 * 86400

    assert not it.run(it.enrolment.redeem_voucher("u-bob", shown))
    assert it.run(it.enrolment.redeem_voucher("u-alice", shown.upper().replace("-", " ")))
    assert not it.run(it.enrolment.redeem_voucher("u-alice", shown))
    shown, _ = it.run(it.enrolment.issue_voucher("u-alice", "alice"))
    it.clock.advance(7 * 86400)
    assert not it.run(it.enrolment.redeem_voucher("u-alice", shown))


def test_a_new_voucher_takes_the_place_of_the_other(it: House) -> None:
    old, _ = it.run(it.enrolment.issue_voucher("u-alice", "alice"))
    new, _ = it.run(it.enrolment.issue_voucher("u-alice", "alice"))

    assert not it.run(it.enrolment.redeem_voucher("u-alice", old))
    assert it.run(it.enrolment.redeem_voucher("u-alice", new))


def test_a_voucher_bears_five_guesses(it: House) -> None:
    shown, _ = it.run(it.enrolment.issue_voucher("u-alice", "alice"))
    for _ in range(4):
        assert not it.run(it.enrolment.redeem_voucher("u-alice", "aaaa-aaaa-aaaa"))
    assert it.run(it.enrolment.redeem_voucher("u-alice", shown))

    shown, _ = it.run(it.enrolment.issue_voucher("u-alice", "alice"))
    for _ in range(5):
        assert not it.run(it.enrolment.redeem_voucher("u-alice", "aaaa-aaaa-aaaa"))
    assert not it.run(it.enrolment.redeem_voucher("u-alice", shown))


def test_of_two_who_show_one_voucher_or_confirm_one_address_at_once_one_does(it: House) -> None:
    life = Enrolment(interleaved(it.store), it.sealer, it.totp, it.clock, it.entropy, EnrolmentRules())
    shown, _ = it.run(it.enrolment.issue_voucher("u-alice", "alice"))
    propose(it)
    code = it.mails()[0][1]

    async def at_once() -> tuple[list[bool], list[str | None]]:
        vouchers = await asyncio.gather(*(life.redeem_voucher("u-alice", shown) for _ in range(4)))
        return vouchers, await asyncio.gather(*(life.confirm_address("u-alice", code) for _ in range(4)))

    vouchers, addresses = it.run(at_once())
    assert sorted(vouchers) == [False, False, False, True]
    assert sorted(map(str, addresses)) == ["None", "None", "None", "alice@example.net"]


def test_an_exported_seed_opens_only_with_all_that_was_said_of_it(it: House) -> None:
    it.enrol("alice")
    (token,) = it.facts("alice").tokens
    sealed = it.enrolment.exported(token, ("u-alice", "true", "7"))
    assert sealed is not None

    assert it.enrolment.imported(sealed, ("u-alice", "true", "7")) == it.seeds["alice"][0]
    assert it.enrolment.seed_of(token) == it.seeds["alice"][0]
    for said in (("u-bob", "true", "7"), ("u-alice", "true", "8"), ("u-alice", "true"), ("u-alicetrue", "7")):
        assert it.enrolment.imported(sealed, said) is None
    it.spoil_everything()
    assert it.enrolment.exported(token, ()) is None


# --- step by step, as the portal does it --------------------------------------------------------


def seed_and_code(it: House) -> tuple[Seed, str]:
    seed = Seed("u-alice", "alice", it.enrolment.new_seed(), "phone")
    return seed, code_of(seed.octets, it.clock.wall())


def test_the_first_code_of_a_seed_that_nobody_keeps_says_its_step(it: House) -> None:
    seed, code = seed_and_code(it)

    step = it.enrolment.first_step(seed, f" {code[:3]} {code[3:]} ")

    assert isinstance(step, TotpStep)
    assert step.step == NOON // PERIOD
    assert isinstance(it.enrolment.first_step(seed, code_of(seed.octets, it.clock.wall(), 4)), NearMiss)
    assert it.enrolment.first_step(seed, "hunter2") is None
    assert it.facts("alice").tokens == ()


@pytest.mark.parametrize("good_from", [0.0, NOON + 86400])
def test_the_token_of_such_a_seed_counts_at_once_or_after_a_while(it: House, good_from: float) -> None:
    seed, code = seed_and_code(it)
    step = it.enrolment.first_step(seed, code)
    assert isinstance(step, TotpStep)

    token = it.enrolment.token_of(seed, step, good_from)

    assert (token.confirmed, token.good_from, token.last_step) == (not good_from, good_from, step.step)
    assert (token.user_id, token.username, token.label) == ("u-alice", "alice", "phone")
    assert it.sealer.open("totp", token.seed, "u-alice", token.id) == seed.octets


def try_token(it: House, code: str, token_id: str = "") -> Confirmation:
    facts = it.facts("alice")
    return it.run(it.enrolment.try_token(facts, token_id or facts.tokens[0].id, code))


def test_a_code_that_is_tried_is_used_up_and_not_counted(it: House) -> None:
    it.enrol("alice")

    assert try_token(it, it.wrong_code("alice")) is Confirmation.WRONG
    assert try_token(it, it.code("alice", 4)) is Confirmation.WRONG  # of another time, which is not told
    assert try_token(it, it.code("alice")) is Confirmation.CONFIRMED
    assert try_token(it, it.code("alice")) is Confirmation.USED
    assert it.counters("alice") == Counters()
    assert it.challenged("alice").says(it.code("alice")) == "challenge code_used"


def test_a_code_that_was_answered_with_advice_is_not_right_when_it_is_tried(it: House) -> None:
    it.enrol("alice")
    assert it.challenged("alice").says(it.code("alice", 2)) == "challenge clock_wrong"
    it.clock.advance(PERIOD)

    assert try_token(it, it.code("alice", 1)) is Confirmation.USED


def test_only_a_confirmed_token_is_tried(it: House) -> None:
    it.enrol("alice", confirmed=False)

    assert try_token(it, it.code("alice")) is Confirmation.NOTHING_OPEN
    assert try_token(it, it.code("alice"), "another") is Confirmation.NOTHING_OPEN


def test_looking_at_a_voucher_counts_and_uses_nothing_up(it: House) -> None:
    voucher, _ = it.run(it.enrolment.issue_voucher("u-alice", "alice"))

    def look(typed: str, user_id: str = "u-alice") -> str | None:
        return it.run(it.enrolment.look_at_voucher(user_id, typed))

    voucher_id = look(voucher)
    assert voucher_id is not None
    assert look(voucher.upper()) == voucher_id
    assert look(voucher, "u-bob") is None
    assert [look("abcd-efgh-jkmn") for _ in range(3)] == [None] * 3
    assert look(voucher) is None  # the sixth guess


def test_looking_at_a_proposal_counts_and_accepts_nothing(it: House) -> None:
    soon = it.clock.monotonic() + 5
    proposal = it.run(it.enrolment.propose_address("u-alice", "alice", "a@example.net", "en", soon))
    assert isinstance(proposal, Proposal)
    ((_, code),) = it.mails()

    def look(typed: str) -> Proposal | None:
        return it.run(it.enrolment.look_at_proposal("u-alice", typed))

    assert [look("12345") for _ in range(4)] == [None] * 4
    found = look(code)
    assert found is not None
    assert (found.id, found.tries) == (proposal.id, 5)
    assert look(code) is None
    assert it.facts("alice").mail_address == ""
