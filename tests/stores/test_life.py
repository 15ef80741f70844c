"""The life of a user's factors: `core.store.LifeStore` and trusted devices, for every engine."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from radius_mfa.core.errors import StoreError
from radius_mfa.core.guard import Counters, cleared
from radius_mfa.core.kept import Device, KnownUser, NewRecoveryCode, Proposal, TokenRecord, Voucher
from radius_mfa.core.messages import FactorKind
from radius_mfa.core.stored import (
    Consumption,
    Facts,
    Mail,
    MailCodeUse,
    MailKind,
    NewDevice,
    NewMailCode,
    Notice,
    RecoveryCode,
    RecoveryCodeUse,
    Refusal,
    Reserved,
    Settled,
    TotpStep,
)
from tests.adapters import NOON
from tests.stores.support import ALICE, BOB, Asked, asked, attempt, count, new_token, settlement
from tests.stores.test_contract import ENGINES

ADDRESS = "alice@example.net"
STATION = "02-00-00-00-00-01"
DAY = 86400.0


@pytest.fixture(params=ENGINES)
def it(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Asked]:
    with asked(lambda clock: ENGINES[request.param](tmp_path, clock)) as it:
        yield it


def settled(
    it: Asked, login: int = 1, consume: Consumption | None = None, user_id: str = ALICE, **about: Any
) -> object:
    """A login from its State to its end; `about`: other fields of the settlement."""
    mine = attempt(login, user_id=user_id)
    it.spend(mine)
    return it.settle(replace(settlement(mine, consume, cleared), **about))


def address(it: Asked, user_id: str = ALICE, address: str = ADDRESS) -> None:
    it.run(it.store.set_mail_address(user_id, user_id.removeprefix("u-"), address))


def recovery_codes(it: Asked, *ids: str, user_id: str = ALICE) -> None:
    codes = [NewRecoveryCode(each, b"sealed " + each.encode()) for each in ids]
    it.run(it.store.set_recovery_codes(user_id, user_id.removeprefix("u-"), codes))


def voucher(number: int = 1, **differently: Any) -> Voucher:
    said = {
        "id": f"v{number}",
        "user_id": ALICE,
        "code": b"sealed voucher %d" % number,
        "created": NOON,
        "expires": NOON + DAY,
    }
    return Voucher(**{**said, **differently})


def proposal(number: int = 1, **differently: Any) -> Proposal:
    said = {
        "id": f"p{number}",
        "user_id": ALICE,
        "address": ADDRESS,
        "reference": f"K{number}",
        "code": b"sealed address %d" % number,
        "created": NOON,
        "expires": NOON + DAY,
    }
    return Proposal(**{**said, **differently})


def propose(it: Asked, what: Proposal) -> None:
    it.run(it.store.propose_address(what, what.user_id.removeprefix("u-"), "ja"))


def notice(number: int = 1, **differently: Any) -> Notice:
    said = {
        "id": f"n{number}",
        "user_id": ALICE,
        "kind": MailKind.SUSPENDED,
        "address": ADDRESS,
        "language": "ja",
        "client": "vpn",
        "created": NOON,
        "expires": NOON + DAY,
    }
    return Notice(**{**said, **differently})


def device(number: int = 1, *scopes: str, **differently: Any) -> NewDevice:
    said = {
        "id": f"d{number}",
        "user_id": ALICE,
        "station": STATION,
        "scopes": scopes or ("vpns",),
        "client": "vpn",
        "factor": FactorKind.TOTP,
        "created": NOON,
        "expires": NOON + 7 * DAY,
    }
    return NewDevice(**{**said, **differently})


def trust(it: Asked, login: int, what: NewDevice) -> object:
    return settled(it, login, user_id=what.user_id, trust=what)


def trusted(
    it: Asked,
    *scopes: str,
    now: float = NOON,
    user_id: str = ALICE,
    station: str = STATION,
    factors: Collection[FactorKind] = frozenset(FactorKind),
) -> bool:
    return it.run(it.store.is_trusted(user_id, station, scopes or ("vpns",), factors, now, it.soon()))


def devices(it: Asked, user_id: str | None = ALICE, now: float = NOON) -> list[Device]:
    return list(it.run(it.store.devices(user_id, now)))


def revoke(it: Asked, user_id: str = ALICE, device_id: str | None = None) -> int:
    return it.run(it.store.revoke_devices(user_id, device_id))


def waiting(it: Asked, user_id: str = ALICE, now: float = NOON) -> tuple[Proposal | None, Voucher | None]:
    return it.run(it.store.waiting(user_id, now))


def claim(it: Asked, now: float = NOON + 10) -> list[Mail]:
    return list(it.run(it.store.claim_mails(now, now + 60, 100)))


def users(it: Asked, after: str = "", most: int = 100) -> list[KnownUser]:
    return list(it.run(it.store.users(after, most)))


def issue(it: Asked, user_id: str = ALICE, at: str = ADDRESS) -> bool:
    times = (NOON, NOON + DAY)
    code = NewMailCode(f"c-{user_id}", user_id, "KM", b"sealed code", *times, at, "ja", "vpn", "")
    return it.run(it.store.issue_mail_code(code, it.soon()))


# --- tokens -------------------------------------------------------------------------------------


def test_a_seed_is_known_again_under_keys_that_others_may_still_use(it: Asked) -> None:
    it.add(new_token(1, fingerprint=b"under the old key"))
    again = new_token(2, fingerprint=b"under the new", other_fingerprints=(b"of nobody", b"under the old key"))
    other = replace(again, id="t3", user_id=BOB, username="bob")

    assert it.add(again, other) == [False, True]
    assert [token.id for token in it.facts().tokens] == ["t1"]


def test_whoever_has_a_factor_that_can_be_used_is_required(it: Asked) -> None:
    it.add(new_token(1, confirmed=False))
    assert not it.facts().required
    it.run(it.store.confirm_token("t1", 7, 0))
    assert it.facts().required

    it.add(new_token(2, user_id=BOB))
    assert it.facts(BOB).required
    address(it, "u-carol")
    assert it.facts("u-carol").required
    recovery_codes(it, "r1", user_id="u-dave")
    assert it.facts("u-dave").required


def test_confirming_a_token_makes_nobody_else_required(it: Asked) -> None:
    it.add(new_token(1, confirmed=False), new_token(2, user_id=BOB, confirmed=False))
    it.run(it.store.confirm_token("t1", 7, 0))

    assert not it.facts(BOB).required


def test_what_is_not_yet_a_factor_requires_nothing(it: Asked) -> None:
    it.add(new_token(confirmed=False))
    it.run(it.store.set_voucher(voucher(), "alice"))
    propose(it, proposal())
    address(it, address="")
    recovery_codes(it)

    assert not it.facts().required


def test_confirming_keeps_the_drift(it: Asked) -> None:
    it.add(new_token(confirmed=False))
    it.run(it.store.confirm_token("t1", 7, -2))

    (token,) = it.facts().tokens
    assert (token.confirmed, token.last_step, token.drift) == (True, 7, -2)


def test_of_many_that_confirm_a_token_at_once_one_does(it: Asked) -> None:
    it.add(new_token(confirmed=False))

    async def many() -> list[bool]:
        return await asyncio.gather(*(it.store.confirm_token("t1", step, 0) for step in range(1, 21)))

    assert it.run(many()).count(True) == 1


def test_a_token_is_resynced_only_by_a_later_code(it: Asked) -> None:
    it.add(new_token(last_step=7))

    assert not it.run(it.store.resync_token("t1", 7, 3))
    assert not it.run(it.store.resync_token("unknown", 9, 3))
    assert it.run(it.store.resync_token("t1", 8, 3))
    (token,) = it.facts().tokens
    assert (token.last_step, token.drift) == (8, 3)
    assert settled(it, 1, TotpStep("t1", 8, 3)) is Settled.CODE_USED


def test_a_token_is_removed_of_its_own_user_only_and_the_user_stays_required(it: Asked) -> None:
    it.add(new_token(1), new_token(2))

    assert not it.run(it.store.remove_token(BOB, "t1"))
    assert it.run(it.store.remove_token(ALICE, "t1"))
    assert not it.run(it.store.remove_token(ALICE, "t1"))
    assert [token.id for token in it.facts().tokens] == ["t2"]
    assert it.run(it.store.remove_token(ALICE, "t2"))
    assert it.facts() == Facts(ALICE, Counters(), username="alice", required=True, codes_since=NOON)


def test_what_was_trusted_goes_with_a_token(it: Asked) -> None:
    it.add(new_token(1), new_token(2, user_id=BOB))
    trust(it, 1, device(1))
    trust(it, 2, device(2, user_id=BOB))
    it.run(it.store.remove_token(ALICE, "t2"))
    assert trusted(it)

    it.run(it.store.remove_token(ALICE, "t1"))
    assert not trusted(it)
    assert trusted(it, user_id=BOB)


def test_trust_is_worth_the_factor_it_was_given_by(it: Asked) -> None:
    trust(it, 1, device(1, factor=FactorKind.MAIL))

    assert trusted(it, factors={FactorKind.MAIL, FactorKind.TOTP})
    assert not trusted(it, factors={FactorKind.TOTP})
    assert not trusted(it, factors=())


def test_an_answer_from_before_a_reset_has_no_decision_any_more(it: Asked) -> None:
    it.spend(attempt(1))
    it.settle(settlement(attempt(1)))
    it.spend(attempt(2))
    it.run(it.store.reset(ALICE))

    assert it.spend(attempt(1)) is Refusal.SPENT
    # What is still being judged ends as it ends, with nothing left to be right.
    assert it.settle(settlement(attempt(2), TotpStep("t1", 7, 0))) is Settled.CODE_USED
    assert it.settle(settlement(attempt(2))) is Settled.DONE


def test_a_clock_that_was_set_back_deletes_nothing_that_is_trusted(it: Asked) -> None:
    trust(it, 1, device(1))
    it.purge(NOON - 365 * DAY)

    assert trusted(it)


def test_what_was_trusted_by_a_mailed_code_goes_with_the_address(it: Asked) -> None:
    address(it)
    trust(it, 1, device(1, factor=FactorKind.MAIL))
    trust(it, 2, device(2, station="mac:020000000002"))
    address(it)
    assert trusted(it)

    it.run(it.store.set_mail_address(ALICE, "alice", ""))
    assert not trusted(it)
    assert trusted(it, station="mac:020000000002")


def test_a_removed_seed_may_be_added_again(it: Asked) -> None:
    it.add(new_token(1))
    it.run(it.store.remove_token(ALICE, "t1"))

    assert it.add(new_token(2, fingerprint=new_token(1).fingerprint)) == [True]


def test_a_step_that_was_answered_with_advice_is_accepted_no_more(it: Asked) -> None:
    it.add(new_token(1), new_token(2))
    settled(it, 1, told=TotpStep("t1", 12, 0))

    settled(it, 6, told=TotpStep("t1", 9, 0))
    settled(it, 7, told=TotpStep("t1", 112, 0))
    assert [token.told_steps for token in it.facts().tokens] == [{9, 12, 112}, frozenset()]
    assert settled(it, 2, TotpStep("t1", 12, 0)) is Settled.CODE_USED
    assert settled(it, 3, TotpStep("t2", 12, 0)) is Settled.DONE
    assert settled(it, 4, TotpStep("t1", 11, 0)) is Settled.DONE
    assert settled(it, 5, TotpStep("t1", 13, 0)) is Settled.DONE
    assert settled(it, 8, TotpStep("t1", 112, 0)) is Settled.CODE_USED


def test_of_all_that_was_told_the_newest_are_kept(it: Asked) -> None:
    it.add(new_token(1))
    for step in range(1, 51):
        settled(it, step, told=TotpStep("t1", step, 0))

    (token,) = it.facts().tokens
    assert token.told_steps == set(range(11, 51))


def test_nobody_elses_step_is_told(it: Asked) -> None:
    it.add(new_token(1, user_id=BOB))
    settled(it, 1, told=TotpStep("t1", 12, 0))

    assert [token.told_steps for token in it.facts(BOB).tokens] == [frozenset()]


def test_an_empty_name_leaves_the_one_that_is_known(it: Asked) -> None:
    it.add(new_token(1))
    it.add(new_token(2, username=""))
    it.run(it.store.set_mail_address(ALICE, "", ADDRESS))
    it.run(it.store.set_voucher(voucher(), ""))
    assert it.facts().username == "alice"
    it.run(it.store.set_recovery_codes(ALICE, "alice2", []))

    assert it.facts().username == "alice2"


# --- recovery codes -----------------------------------------------------------------------------


def guess(it: Asked, login: int = 1, kind: FactorKind = FactorKind.RECOVERY_CODES) -> Facts:
    reserved = it.spend(replace(attempt(login), guess=kind))
    assert isinstance(reserved, Reserved)
    return reserved.facts


def test_recovery_codes_are_read_only_where_one_is_guessed(it: Asked) -> None:
    recovery_codes(it, "r1", "r2")

    assert (it.facts().recovery_left, it.facts().recovery_codes) == (2, ())
    assert guess(it, 1, FactorKind.TOTP).recovery_codes == ()
    assert guess(it, 2).recovery_codes == (
        RecoveryCode("r1", ALICE, b"sealed r1"),
        RecoveryCode("r2", ALICE, b"sealed r2"),
    )
    assert guess(it, 2).recovery_codes == guess(it, 3).recovery_codes


def test_a_recovery_code_is_used_once_and_known_again(it: Asked) -> None:
    recovery_codes(it, "r1", "r2")
    guess(it, 1)

    assert it.settle(settlement(attempt(1), RecoveryCodeUse("r1"), cleared)) is Settled.DONE
    facts = guess(it, 2)
    assert facts.recovery_left == 1
    assert [(code.id, code.used) for code in facts.recovery_codes] == [("r1", True), ("r2", False)]
    assert it.settle(settlement(attempt(2), RecoveryCodeUse("r1"), cleared)) is Settled.CODE_USED
    assert it.counters() == Counters(1, 1)  # of the second, which nothing was written of


def test_one_recovery_code_in_many_logins_at_once_is_good_for_one(it: Asked) -> None:
    recovery_codes(it, "r1")

    async def login(number: int) -> object:
        await it.store.spend(attempt(number), lambda counters: counters, it.soon())
        return await it.store.settle(settlement(attempt(number), RecoveryCodeUse("r1"), cleared), it.soon())

    async def many() -> list[object]:
        return await asyncio.gather(*map(login, range(30)))

    ended = it.run(many())

    assert (ended.count(Settled.DONE), ended.count(Settled.CODE_USED)) == (1, 29)


def test_somebody_elses_recovery_code_is_never_used(it: Asked) -> None:
    recovery_codes(it, "r1")

    assert settled(it, 1, RecoveryCodeUse("r1"), BOB) is Settled.CODE_USED
    assert it.facts().recovery_left == 1


def test_new_recovery_codes_are_in_place_of_all_others(it: Asked) -> None:
    recovery_codes(it, "r1", "r2")
    recovery_codes(it, "b1", user_id=BOB)
    settled(it, 1, RecoveryCodeUse("r1"))
    guess(it, 2)
    recovery_codes(it, "r3")

    # One that was being judged meanwhile is none any more.
    assert it.settle(settlement(attempt(2), RecoveryCodeUse("r2"), cleared)) is Settled.CODE_USED
    assert [code.id for code in guess(it, 3).recovery_codes] == ["r3"]
    assert it.facts(BOB).recovery_left == 1
    recovery_codes(it)
    assert it.facts().recovery_left == 0


def test_recovery_codes_are_replaced_all_or_not(it: Asked) -> None:
    recovery_codes(it, "r1")

    with pytest.raises(StoreError):
        recovery_codes(it, "r2", "r2")
    assert [code.id for code in guess(it).recovery_codes] == ["r1"]


# --- vouchers -----------------------------------------------------------------------------------


def test_a_voucher_is_tried_and_each_try_is_counted(it: Asked) -> None:
    it.run(it.store.set_voucher(voucher(), "alice"))

    assert it.run(it.store.try_voucher(ALICE, NOON)) == voucher(tries=1)
    assert it.run(it.store.try_voucher(ALICE, NOON)) == voucher(tries=2)
    assert it.run(it.store.try_voucher(BOB, NOON)) is None
    assert waiting(it) == (None, voucher(tries=2))
    assert waiting(it) == (None, voucher(tries=2))


def test_of_many_tries_at_once_none_is_lost(it: Asked) -> None:
    it.run(it.store.set_voucher(voucher(), "alice"))
    propose(it, proposal())

    async def many() -> list[Voucher | Proposal | None]:
        vouchers = [it.store.try_voucher(ALICE, NOON) for _ in range(20)]
        proposals = [it.store.try_proposal(ALICE, NOON) for _ in range(20)]
        return await asyncio.gather(*vouchers, *proposals)

    tries = [each.tries for each in it.run(many()) if each is not None]

    assert sorted(tries[:20]) == sorted(tries[20:]) == list(range(1, 21))


def test_a_voucher_is_good_until_it_expires(it: Asked) -> None:
    it.run(it.store.set_voucher(voucher(), "alice"))

    assert waiting(it, now=NOON + DAY - 1)[1]
    assert waiting(it, now=NOON + DAY) == (None, None)
    assert it.run(it.store.try_voucher(ALICE, NOON + DAY)) is None


def test_a_voucher_is_used_once_and_by_its_user_only(it: Asked) -> None:
    it.run(it.store.set_voucher(voucher(), "alice"))

    assert not it.run(it.store.use_voucher("v1", BOB))
    assert it.run(it.store.use_voucher("v1", ALICE))
    assert not it.run(it.store.use_voucher("v1", ALICE))
    assert it.run(it.store.try_voucher(ALICE, NOON)) is None


def test_a_new_voucher_is_in_place_of_the_other_and_was_never_tried(it: Asked) -> None:
    it.run(it.store.set_voucher(voucher(1), "alice"))
    it.run(it.store.try_voucher(ALICE, NOON))
    it.run(it.store.set_voucher(voucher(2), "alice"))

    assert not it.run(it.store.use_voucher("v1", ALICE))
    assert waiting(it) == (None, voucher(2))


# --- proposals ----------------------------------------------------------------------------------


def test_a_proposed_address_waits_and_its_mail_is_in_the_outbox(it: Asked) -> None:
    propose(it, proposal())

    assert waiting(it) == (proposal(), None)
    assert it.facts().mail_address == ""
    assert claim(it) == [
        Mail(
            *("p1", ALICE, "alice", ADDRESS, "ja", "", "K1", b"sealed address 1", NOON, NOON + DAY, 1),
            kind=MailKind.ADDRESS,
        )
    ]


def test_an_accepted_address_is_verified_and_required_and_the_rest_is_gone(it: Asked) -> None:
    address(it, address="alice@old.example")
    issue(it, at="alice@old.example")
    propose(it, proposal())

    assert it.run(it.store.accept_proposal("p1", ALICE))
    facts = it.facts()
    assert (facts.mail_address, facts.mail_codes, facts.required) == (ADDRESS, (), True)
    assert waiting(it) == (None, None)
    assert claim(it) == []
    assert not it.run(it.store.accept_proposal("p1", ALICE))


def test_accepting_is_what_makes_required_where_nothing_was(it: Asked) -> None:
    propose(it, proposal())
    it.run(it.store.accept_proposal("p1", ALICE))

    assert it.facts().required


def test_a_proposal_is_accepted_of_its_own_user_only(it: Asked) -> None:
    propose(it, proposal())

    assert not it.run(it.store.accept_proposal("p1", BOB))
    assert it.facts(BOB).mail_address == ""
    assert waiting(it) == (proposal(), None)


def test_a_newer_proposal_is_in_place_of_the_older_and_so_is_its_mail(it: Asked) -> None:
    propose(it, proposal(1))
    it.run(it.store.try_proposal(ALICE, NOON))
    propose(it, proposal(9, user_id=BOB))
    newer = proposal(2, address="alice@new.example")
    propose(it, newer)

    assert not it.run(it.store.accept_proposal("p1", ALICE))
    assert it.facts().mail_address == ""
    assert waiting(it) == (newer, None)
    assert [mail.id for mail in claim(it)] == ["p2", "p9"]
    assert it.run(it.store.accept_proposal("p2", ALICE))
    assert it.facts().mail_address == "alice@new.example"


def test_a_try_of_a_proposal_is_counted_and_an_expired_one_is_none(it: Asked) -> None:
    propose(it, proposal())

    assert it.run(it.store.try_proposal(ALICE, NOON)) == proposal(tries=1)
    assert it.run(it.store.try_proposal(ALICE, NOON + DAY - 1)) == proposal(tries=2)
    assert it.run(it.store.try_proposal(ALICE, NOON + DAY)) is None
    assert it.run(it.store.try_proposal(BOB, NOON)) is None


@pytest.mark.parametrize("instead", [ADDRESS, "alice@elsewhere.example", ""])
def test_an_address_set_by_others_ends_what_was_proposed(it: Asked, instead: str) -> None:
    propose(it, proposal())
    address(it, address=instead)

    assert waiting(it) == (None, None)
    assert claim(it) == []
    assert not it.run(it.store.accept_proposal("p1", ALICE))
    assert it.facts().mail_address == instead


# --- notices ------------------------------------------------------------------------------------


def test_a_notice_is_a_mail_without_a_code(it: Asked) -> None:
    address(it)
    settled(it, 1, notice=notice())

    assert claim(it) == [
        Mail(
            *("n1", ALICE, "alice", ADDRESS, "ja", "vpn", "", b"", NOON, NOON + DAY, 1),
            kind=MailKind.SUSPENDED,
        )
    ]


def test_a_notice_outlives_unlocking_but_not_its_address(it: Asked) -> None:
    address(it)
    settled(it, 1, notice=notice())
    it.run(it.store.unlock(ALICE))
    address(it)
    assert [mail.id for mail in claim(it)] == ["n1"]
    address(it, address="alice@elsewhere.example")

    assert claim(it, NOON + 100) == []


@pytest.mark.parametrize("meanwhile", ["alice@elsewhere.example", ""])
def test_a_notice_never_goes_to_an_address_that_has_changed_meanwhile(it: Asked, meanwhile: str) -> None:
    address(it)
    it.spend(attempt())
    address(it, address=meanwhile)

    assert it.settle(replace(settlement(attempt()), notice=notice())) is Settled.DONE
    assert claim(it) == []


def test_a_notice_does_not_leave_for_what_was_settled_otherwise(it: Asked) -> None:
    address(it)

    assert settled(it, 1, TotpStep("unknown", 7, 0), notice=notice()) is Settled.CODE_USED
    assert claim(it) == []


# --- trusted devices ----------------------------------------------------------------------------


def test_a_device_is_trusted_by_its_user_from_its_station_where_it_was_said(it: Asked) -> None:
    it.add(new_token(1))
    assert not trusted(it)
    assert settled(it, 1, TotpStep("t1", 7, 0), trust=device()) is Settled.DONE

    assert trusted(it)
    assert trusted(it, "others", "vpns")
    assert not trusted(it, "others")
    assert not trusted(it, user_id=BOB)
    assert not trusted(it, station="02-00-00-00-00-02")
    assert not it.run(it.store.is_trusted(ALICE, STATION, (), frozenset(FactorKind), NOON, it.soon()))


def test_a_device_is_trusted_for_its_time_and_not_from_the_future(it: Asked) -> None:
    """A clock that is set back must not make seven days longer."""
    trust(it, 1, device())

    assert trusted(it, now=NOON + 7 * DAY - 1)
    assert not trusted(it, now=NOON + 7 * DAY)
    assert not trusted(it, now=NOON - 1)


def test_whether_a_device_is_trusted_is_asked_by_a_deadline(it: Asked) -> None:
    trust(it, 1, device())

    with pytest.raises(StoreError):
        it.run(it.store.is_trusted(ALICE, STATION, ("vpns",), (), NOON, it.clock.monotonic()))
    with pytest.raises(StoreError):
        it.run(it.store.others_at(ALICE, STATION, NOON, NOON, 9, it.clock.monotonic()))


def test_a_used_code_trusts_nothing(it: Asked) -> None:
    it.add(new_token(1, last_step=7))

    assert settled(it, 1, TotpStep("t1", 7, 0), trust=device()) is Settled.CODE_USED
    assert not trusted(it)


def test_a_login_whose_user_is_reset_meanwhile_trusts_nothing(it: Asked) -> None:
    it.add(new_token(1))
    recovery_codes(it, "r1")
    address(it)
    issue(it)
    for login in (1, 2, 3):
        it.spend(attempt(login))
    it.run(it.store.reset(ALICE))

    codes: list[Consumption] = [TotpStep("t1", 7, 0), RecoveryCodeUse("r1"), MailCodeUse("c-u-alice")]
    for login, consume in enumerate(codes, 1):
        ended = it.settle(replace(settlement(attempt(login), consume, cleared), trust=device(login)))
        assert ended is Settled.CODE_USED
    assert not trusted(it)


def test_devices_are_listed_the_newest_first_a_line_for_each_scope(it: Asked) -> None:
    it.add(new_token(1), new_token(2, user_id=BOB))
    trust(it, 1, device(1, "b", "a"))
    trust(it, 2, device(2, station="198.51.100.7", created=NOON + 5))
    trust(it, 3, device(3, user_id=BOB, created=NOON + 3))

    def line(number: int, user_id: str, station: str, scope: str, created: float) -> Device:
        name = user_id.removeprefix("u-")
        return Device(f"d{number}", user_id, name, station, scope, "vpn", "totp", created, NOON + 7 * DAY)

    first, second = line(1, ALICE, STATION, "a", NOON), line(1, ALICE, STATION, "b", NOON)
    newest = line(2, ALICE, "198.51.100.7", "vpns", NOON + 5)
    assert devices(it) == [newest, first, second]
    assert devices(it, None) == [newest, line(3, BOB, STATION, "vpns", NOON + 3), first, second]
    assert devices(it, "nobody") == []
    assert devices(it, None, NOON + 7 * DAY) == []


def test_a_station_trusted_again_is_one_device_and_its_time_is_the_new(it: Asked) -> None:
    trust(it, 1, device(1, "a", "b"))
    trust(it, 2, device(2, "b", created=NOON + 60, expires=NOON + 60 + 7 * DAY))

    assert [(each.id, each.scope, each.created) for each in devices(it)] == [
        ("d2", "b", NOON + 60),
        ("d1", "a", NOON),
    ]


def test_a_revoked_device_is_trusted_nowhere_and_the_others_still_are(it: Asked) -> None:
    trust(it, 1, device(1, "a", "b"))
    trust(it, 2, device(2, station="198.51.100.7"))

    assert revoke(it, BOB, "d1") == 0
    assert revoke(it, ALICE, "d9") == 0
    assert trusted(it, "a")
    assert revoke(it, ALICE, "d1") == 1
    assert not trusted(it, "a", "b")
    assert trusted(it, station="198.51.100.7")


def test_all_devices_of_a_user_are_revoked_at_once_and_counted(it: Asked) -> None:
    trust(it, 1, device(1, "a", "b"))
    trust(it, 2, device(2, station="198.51.100.7"))
    trust(it, 3, device(3, user_id=BOB))

    assert revoke(it) == 2
    assert revoke(it) == 0
    assert [each.user_id for each in devices(it, None)] == [BOB]


def test_other_users_at_a_station_are_counted_once_each_where_they_were_let_in(it: Asked) -> None:
    logins: list[tuple[str, dict[str, Any]]] = [
        (ALICE, {}),
        (BOB, {}),
        (BOB, {}),
        ("u-carol", {}),
        ("u-dave", {"decision": "reject"}),
        ("u-erin", {"client": "wifi"}),
        ("u-frank", {"station": "02-00-00-00-00-09"}),
        ("u-grace", {"time": NOON - 1}),
    ]
    for login, (user_id, about) in enumerate(logins):
        it.spend(attempt(login, user_id=user_id))
        ended = settlement(attempt(login, user_id=user_id), **about)
        it.settle(replace(ended, station=about.get("station", STATION)))

    def others(user_id: str, since: float = NOON, most: int = 9, now: float = NOON) -> int:
        return it.run(it.store.others_at(user_id, STATION, since, now, most, it.soon()))

    assert others(ALICE) == 3
    assert others("u-nobody") == 4
    assert others(ALICE, since=NOON - 1) == 4
    assert others(ALICE, most=1) == 1
    assert others(ALICE, since=NOON + 1) == 0

    # Nor has anybody who trusts it need to have been there of late.
    trust(it, 90, device(1, user_id="u-heidi"))
    trust(it, 91, device(2, "a", "b", user_id=BOB))
    assert others(ALICE) == 4
    assert others(ALICE, since=NOON + 1) == 2
    assert others(ALICE, since=NOON + 1, now=NOON + 7 * DAY) == 0


def test_who_was_at_a_station_is_kept_for_a_week_and_only_where_it_is_worth_something(it: Asked) -> None:
    it.spend(attempt(1))
    it.settle(replace(settlement(attempt(1), station="02-00-5E-00-53-01"), station="mac:02005e005301"))
    it.spend(attempt(2))
    it.settle(settlement(attempt(2), station="02-00-5E-00-53-02"))

    def others(station: str) -> int:
        return it.run(it.store.others_at(BOB, station, NOON, NOON, 9, it.soon()))

    assert others("mac:02005e005301") == 1
    assert [others(station) for station in ("02-00-5E-00-53-01", "02-00-5E-00-53-02", "")] == [0, 0, 0]
    it.purge(NOON + 7 * DAY)
    assert others("mac:02005e005301") == 1
    it.purge(NOON + 7 * DAY + 1)
    assert others("mac:02005e005301") == 0


# --- the end of factors ---------------------------------------------------------------------------


def everything(it: Asked, user_id: str, login: int) -> None:
    """All that a store can know of a user."""
    of: dict[str, Any] = {"user_id": user_id}
    it.add(new_token(login, **of), new_token(login + 1, confirmed=False, **of))
    address(it, user_id)
    issue(it, user_id)
    recovery_codes(it, f"r{login}", user_id=user_id)
    propose(it, proposal(login, **of))
    it.run(it.store.set_voucher(voucher(login, **of), user_id.removeprefix("u-")))
    settled(it, login, user_id=user_id, trust=device(login, **of), notice=notice(login, **of))
    it.spend(attempt(login + 1, user_id=user_id))


def known(it: Asked, user_id: str) -> list[object]:
    """What of it there is, factors and what belongs to them; nothing is claimed or counted by that."""
    facts = it.facts(user_id)
    return [
        *(token.id for token in facts.tokens),
        *(code.id for code in facts.mail_codes),
        *([facts.mail_address] if facts.mail_address else []),
        *(["recovery"] * facts.recovery_left),
        *(each.id for each in waiting(it, user_id) if each),
        *(each.id for each in devices(it, user_id)),
    ]


def test_a_reset_user_has_no_factor_left_and_stays_required(it: Asked) -> None:
    everything(it, ALICE, 10)
    everything(it, BOB, 20)
    before = known(it, BOB)
    assert len(before) == len(known(it, ALICE)) == 8

    assert it.run(it.store.reset(ALICE))
    assert it.facts() == Facts(ALICE, Counters(), username="alice", required=True, codes_since=NOON)
    assert known(it, ALICE) == []
    assert not trusted(it)
    assert known(it, BOB) == before
    assert it.counters(BOB) == Counters(1, 1)
    assert {mail.user_id for mail in claim(it)} == {BOB}
    assert not it.run(it.store.accept_proposal("p10", ALICE))
    assert not it.run(it.store.use_voucher("v10", ALICE))


def test_a_reset_user_is_required_even_if_nothing_was_ever_set_up(it: Asked) -> None:
    """Who is reset is not let in until there is a new factor (`core.enrolment`)."""
    it.run(it.store.set_voucher(voucher(), "alice"))
    it.run(it.store.reset(ALICE))

    assert it.facts().required


def test_a_reset_lifts_lock_and_suspension(it: Asked) -> None:
    it.add(new_token())
    it.spend(attempt(), lambda _: Counters(10, 50, 3, NOON + DAY, True))

    assert it.run(it.store.reset(ALICE))
    assert it.counters() == Counters()


def test_what_was_spent_stays_spent_when_its_user_is_reset(it: Asked) -> None:
    it.add(new_token())
    it.spend(attempt())
    it.run(it.store.reset(ALICE))

    assert it.spend(attempt(answer=b"second answer")) is Refusal.SPENT


def test_a_user_never_seen_cannot_be_reset_and_is_not_made_by_it(it: Asked) -> None:
    assert not it.run(it.store.reset("nobody"))
    assert not it.run(it.store.forget("nobody"))
    assert users(it) == []


def test_a_reset_user_may_be_enrolled_with_the_same_seed(it: Asked) -> None:
    it.add(new_token())
    it.run(it.store.reset(ALICE))

    assert it.add(new_token()) == [True]


def test_of_a_forgotten_user_nothing_is_known(it: Asked) -> None:
    everything(it, ALICE, 10)
    everything(it, BOB, 20)
    before = known(it, BOB)

    assert it.run(it.store.forget(ALICE))
    assert it.facts() == Facts(ALICE, Counters())
    assert known(it, ALICE) == []
    assert [user.user_id for user in users(it)] == [BOB]
    assert {record.token.user_id for record in it.run(it.store.tokens("", 10))} == {BOB}
    assert {mail.user_id for mail in claim(it)} == {BOB}
    # The login's row is gone too, and Bob's is not.
    assert it.run(it.store.others_at("u-nobody", STATION, NOON, NOON, 9, it.soon())) == 1
    assert known(it, BOB) == before
    assert not it.run(it.store.forget(ALICE))
    # Had a secret stayed behind, it would be found once the user is known again.
    it.add(new_token(99, confirmed=False))
    assert known(it, ALICE) == ["t99"]


def test_one_state_under_the_names_of_many_at_once_is_spent_by_one(it: Asked) -> None:
    """They wait for nobody, since each is a user of its own."""

    async def many() -> list[object]:
        answers = (attempt(user_id=f"u-{number}", answer=b"answer %d" % number) for number in range(30))
        return await asyncio.gather(*(it.store.spend(each, count, it.soon()) for each in answers))

    spent = it.run(many())

    assert spent.count(Refusal.SPENT) == 29
    assert [user.counters.failures for user in users(it)] == [1]


def test_a_state_stays_spent_when_its_user_is_forgotten(it: Asked) -> None:
    """A State never completes two logins, and it is good for some minutes more."""
    it.add(new_token())
    settled(it, 1, TotpStep("t1", 7, 0))
    it.spend(attempt(2))
    it.run(it.store.forget(ALICE))

    for login in (1, 2):
        assert it.spend(attempt(login)) is Refusal.SPENT
        assert it.spend(attempt(login, answer=b"second answer")) is Refusal.SPENT
    with pytest.raises(StoreError):
        it.settle(settlement(attempt(2)))
    assert it.purge(NOON + 1) == 2


def test_a_token_always_has_a_user_that_is_known(it: Asked) -> None:
    """Were one forgotten in the middle of an import, nobody would ever find the token again."""

    async def race(number: int) -> None:
        imported = [new_token(2 * number, user_id=BOB), new_token(2 * number + 1)]
        await asyncio.gather(it.store.add_tokens(imported), it.store.forget(ALICE))

    for number in range(20):
        it.run(race(number))
        owners = {record.token.user_id for record in it.run(it.store.tokens("", 100))}
        assert owners <= {user.user_id for user in users(it)}


# --- lists --------------------------------------------------------------------------------------


def test_users_are_listed_with_what_is_known_of_them(it: Asked) -> None:
    it.add(new_token(1), new_token(2, confirmed=False))
    address(it)
    recovery_codes(it, "r1", "r2")
    settled(it, 1, RecoveryCodeUse("r1"))
    it.spend(attempt(2, user_id=BOB), lambda _: Counters(3, 50, 2, NOON + 900, True))

    assert users(it) == [
        KnownUser(ALICE, "alice", Counters(), True, 1, ADDRESS, 1, NOON, NOON),
        KnownUser(BOB, "", Counters(3, 50, 2, NOON + 900, True), False, 0, "", 0, NOON, None),
    ]


def test_what_the_directory_calls_the_users_is_known_by_id(it: Asked) -> None:
    it.add(new_token(1))
    it.spend(attempt(2, user_id=BOB))
    assert it.run(it.store.usernames()) == {ALICE: "alice", BOB: ""}


def test_users_come_by_the_page_each_once(it: Asked) -> None:
    ids = sorted(f"u-{number:02}" for number in range(25))
    it.add(*(new_token(number, user_id=user_id) for number, user_id in enumerate(ids)))
    found: list[str] = []
    while page := users(it, found[-1] if found else "", 10):
        assert len(page) <= 10
        found += [user.user_id for user in page]

    assert found == ids


def test_tokens_come_by_the_page_each_once_with_their_users_names(it: Asked) -> None:
    it.add(*(new_token(number, id=f"t{number:02}") for number in range(13)))
    it.add(new_token(90, user_id=BOB, confirmed=False, last_step=5, drift=-1))
    found: list[TokenRecord] = []
    while page := it.run(it.store.tokens(found[-1].token.id if found else "", 5)):
        assert len(page) <= 5
        found += page

    assert [record.token.id for record in found] == [*(f"t{number:02}" for number in range(13)), "t90"]
    assert [record.username for record in found] == ["alice"] * 13 + ["bob"]
    assert [record.token for record in found] == [*it.facts().tokens, *it.facts(BOB).tokens]


# --- purging ------------------------------------------------------------------------------------


def test_what_is_past_its_time_is_purged_and_nothing_else(it: Asked) -> None:
    address(it)
    settled(it, 1, trust=device(1, "a", "b", expires=NOON + 100), notice=notice(expires=NOON + 100))
    propose(it, proposal(expires=NOON + 100))
    it.run(it.store.set_voucher(voucher(expires=NOON + 100), "alice"))
    for each in (1, 2, 3):  # of bob all stays
        trust(it, 10 + each, device(10 + each, user_id=BOB, station=f"198.51.100.{each}"))
    propose(it, proposal(9, user_id=BOB))
    it.run(it.store.set_voucher(voucher(9, user_id=BOB), "bob"))
    assert it.purge(NOON + 1) == 4  # the spent States

    assert it.purge(NOON + 100) == 0
    # Two scopes, a proposal, a voucher, and the mails of proposal and notice.
    assert it.purge(NOON + 100.5) == 6
    assert it.purge(NOON + 100.5) == 0
    assert waiting(it) == (None, None)
    assert devices(it) == []
    assert waiting(it, BOB) == (proposal(9, user_id=BOB), voucher(9, user_id=BOB))
    assert len(devices(it, BOB)) == 3
    assert [mail.id for mail in claim(it, NOON + 200)] == ["p9"]


def test_a_used_recovery_code_is_never_purged(it: Asked) -> None:
    """It would be a wrong code then, and count as a guess."""
    recovery_codes(it, "r1")
    settled(it, 1, RecoveryCodeUse("r1"))
    it.purge(NOON + 1000 * DAY, NOON + 1000 * DAY)

    assert [code.used for code in guess(it, 2).recovery_codes] == [True]


def test_a_settlement_that_breaks_leaves_nothing_behind(it: Asked) -> None:
    def broken(_: Counters) -> Counters:
        raise ZeroDivisionError

    it.spend(attempt())
    address(it)
    with pytest.raises(ZeroDivisionError):
        it.settle(replace(settlement(attempt(), adjust=broken), trust=device(), notice=notice()))

    assert (devices(it), claim(it)) == ([], [])
    assert isinstance(it.spend(attempt()), Reserved)
