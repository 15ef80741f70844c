"""Addresses, mailed codes and the outbox: the part of `core.store.Store` that is about mail, for every engine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from radius_mfa.core.errors import StoreError
from radius_mfa.core.guard import Counters, cleared
from radius_mfa.core.messages import FactorKind
from radius_mfa.core.stored import Mail, MailCode, MailCodeUse, NewMailCode, Refusal, Reserved, Settled
from tests.adapters import NOON
from tests.stores.support import ALICE, BOB, Asked, asked, attempt, count, settlement
from tests.stores.test_contract import ENGINES

ADDRESS = "alice@example.net"
DAY = 86400.0


@pytest.fixture(params=ENGINES)
def it(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Asked]:
    """A store in which alice has an address."""
    with asked(lambda clock: ENGINES[request.param](tmp_path, clock)) as it:
        address(it, ALICE, ADDRESS)
        yield it


def address(it: Asked, user_id: str, address: str) -> None:
    it.run(it.store.set_mail_address(user_id, user_id.removeprefix("u-"), address))


def new_code(number: int = 1, after: int = 0, **differently: Any) -> NewMailCode:
    said = {
        "id": f"c{number}",
        "user_id": ALICE,
        "reference": f"K{number}",
        "code": b"sealed code %d" % number,
        "created": NOON + number,
        "expires": NOON + number + DAY,
        "address": ADDRESS,
        "language": "ja",
        "client": "vpn",
        "after": f"c{after}" if after else "",
    }
    return NewMailCode(**{**said, **differently})


def issue(it: Asked, code: NewMailCode) -> bool:
    return it.run(it.store.issue_mail_code(code, it.soon()))


def codes(it: Asked, user_id: str = ALICE) -> list[MailCode]:
    return list(it.facts(user_id).mail_codes)


def claim(it: Asked, now: float = NOON + 10, until: float = NOON + 70, most: int = 10) -> list[Mail]:
    return list(it.run(it.store.claim_mails(now, until, most)))


def guess(it: Asked, login: int = 1) -> Reserved | Any:
    return it.spend(replace(attempt(login), guess=FactorKind.MAIL))


# --- codes --------------------------------------------------------------------------------------


def test_an_address_is_among_the_facts_with_the_name(it: Asked) -> None:
    facts = it.facts()

    assert (facts.mail_address, facts.username, facts.mail_codes) == (ADDRESS, "alice", ())
    assert it.facts(BOB).mail_address == ""


def test_an_issued_code_is_among_the_facts_and_its_mail_in_the_outbox(it: Asked) -> None:
    assert issue(it, new_code())

    assert codes(it) == [MailCode("c1", ALICE, "K1", b"sealed code 1", NOON + 1, NOON + 1 + DAY, client="vpn")]
    assert claim(it) == [
        Mail("c1", ALICE, "alice", ADDRESS, "ja", "vpn", "K1", b"sealed code 1", NOON + 1, NOON + 1 + DAY, 1)
    ]


def test_of_two_that_issue_after_the_same_code_one_does(it: Asked) -> None:
    assert issue(it, new_code(1))
    assert not issue(it, new_code(2))
    assert issue(it, new_code(2, after=1))
    assert not issue(it, new_code(3, after=1))

    assert [code.id for code in codes(it)] == ["c1", "c2"]
    assert [mail.id for mail in claim(it)] == ["c1", "c2"]


def test_codes_are_the_users_own(it: Asked) -> None:
    address(it, BOB, "bob@example.net")
    issue(it, new_code())

    assert issue(it, new_code(2, user_id=BOB, address="bob@example.net"))
    assert [code.id for code in codes(it, BOB)] == ["c2"]


def test_a_code_for_an_address_that_has_changed_meanwhile_is_not_issued(it: Asked) -> None:
    address(it, ALICE, "alice@elsewhere.example")

    assert not issue(it, new_code())
    address(it, ALICE, "")
    assert not issue(it, new_code())
    assert (codes(it), claim(it)) == ([], [])


def test_the_order_of_codes_is_that_of_their_issue_whatever_the_clock_said(it: Asked) -> None:
    """Else, after a clock was set back, everybody who asks at once would find the same newest code."""
    assert issue(it, new_code(1))
    assert issue(it, new_code(2, after=1, created=NOON - DAY, expires=NOON + DAY))
    assert not issue(it, new_code(3, after=1, created=NOON - DAY))

    assert [code.id for code in codes(it)] == ["c1", "c2"]


# --- tries and use --------------------------------------------------------------------------------


def test_a_guess_is_a_try_of_every_code_it_might_be(it: Asked) -> None:
    issue(it, new_code(1))
    issue(it, new_code(2, after=1))
    issue(it, new_code(3, after=2, expires=NOON))

    reserved = guess(it)

    assert isinstance(reserved, Reserved)
    assert [code.tries for code in reserved.facts.mail_codes] == [1, 1, 0]
    assert reserved.tried == ("c1", "c2")
    assert reserved.facts.mail_codes == it.facts().mail_codes
    assert reserved.facts.counters == Counters(1, 1)


def test_no_other_guess_is_a_try(it: Asked) -> None:
    issue(it, new_code())
    it.spend(replace(attempt(1), guess=FactorKind.TOTP))
    it.spend(attempt(2))

    assert [code.tries for code in codes(it)] == [0]


def test_a_guess_that_is_barred_is_no_try(it: Asked) -> None:
    issue(it, new_code())

    assert it.spend(replace(attempt(), guess=FactorKind.MAIL), lambda _: None) is Refusal.BARRED
    assert [code.tries for code in codes(it)] == [0]


def test_the_identical_guess_again_is_no_further_try(it: Asked) -> None:
    issue(it, new_code())
    guess(it)
    again = guess(it)

    assert isinstance(again, Reserved)
    assert [code.tries for code in again.facts.mail_codes] == [1]
    assert again.tried == ()  # so that nobody takes back what this one did not count


def test_a_code_is_used_once(it: Asked) -> None:
    issue(it, new_code())
    ended = []
    for login in (1, 2):
        guess(it, login)
        ended.append(it.settle(settlement(attempt(login), MailCodeUse("c1"), cleared)))

    assert ended == [Settled.DONE, Settled.CODE_USED]
    assert [code.used for code in codes(it)] == [True]
    assert it.counters() == Counters(1, 1)  # of the second, which nothing was written of


def test_the_mail_of_a_code_that_was_used_need_not_leave_any_more(it: Asked) -> None:
    issue(it, new_code())
    guess(it)
    it.settle(settlement(attempt(), MailCodeUse("c1"), cleared))

    assert claim(it) == []


def test_a_used_code_counts_no_further_tries(it: Asked) -> None:
    issue(it, new_code())
    guess(it)
    it.settle(settlement(attempt(), MailCodeUse("c1"), cleared))
    guess(it, 2)

    assert [code.tries for code in codes(it)] == [1]


def test_tries_are_taken_back_of_the_codes_that_are_named(it: Asked) -> None:
    issue(it, new_code(1))
    issue(it, new_code(2, after=1))
    guess(it)
    taken_back = replace(settlement(attempt(), adjust=cleared), untried=("c2", "c9"))
    it.settle(taken_back)

    assert [code.tries for code in codes(it)] == [1, 0]


def test_somebody_elses_code_is_never_used(it: Asked) -> None:
    address(it, BOB, "bob@example.net")
    issue(it, new_code())
    it.spend(attempt(1, user_id=BOB), count)

    assert it.settle(settlement(attempt(1, user_id=BOB), MailCodeUse("c1"))) is Settled.CODE_USED
    assert [code.used for code in codes(it)] == [False]
    assert [mail.id for mail in claim(it)] == ["c1"]


def test_using_a_code_ends_by_the_deadline(it: Asked) -> None:
    issue(it, new_code())
    guess(it)
    late = settlement(attempt(), MailCodeUse("c1"), cleared)

    with pytest.raises(StoreError, match="in time"):
        it.run(it.store.settle(late, it.clock.monotonic() - 1))
    # What was late may be done all the same, and is found by whoever sends the same again.
    assert it.settle(late) is not Settled.CODE_USED


# --- the outbox -----------------------------------------------------------------------------------


def test_a_claimed_mail_is_nobody_elses_until_the_claim_runs_out(it: Asked) -> None:
    issue(it, new_code())

    assert [mail.attempts for mail in claim(it, NOON + 10, NOON + 70)] == [1]
    assert claim(it, NOON + 69, NOON + 129) == []
    assert [mail.attempts for mail in claim(it, NOON + 70, NOON + 130)] == [2]


def test_a_mail_is_not_due_before_it_was_written_and_not_while_it_is_postponed(it: Asked) -> None:
    issue(it, new_code())
    assert claim(it, NOON) == []
    claim(it)
    it.run(it.store.postpone_mail("c1", NOON + 500))

    assert claim(it, NOON + 499) == []
    assert [mail.id for mail in claim(it, NOON + 500, NOON + 560)] == ["c1"]


def test_a_mail_from_before_the_clock_was_set_back_is_due(it: Asked) -> None:
    issue(it, new_code())

    assert [mail.id for mail in claim(it, NOON - DAY, NOON - DAY + 60)] == ["c1"]
    assert claim(it, NOON - DAY, NOON - DAY + 60) == []


def test_a_dropped_mail_is_gone_and_its_code_is_not(it: Asked) -> None:
    issue(it, new_code())
    it.run(it.store.drop_mail("c1"))

    assert claim(it) == []
    assert [code.id for code in codes(it)] == ["c1"]


def test_the_oldest_are_claimed_first_and_no_more_than_asked_for(it: Asked) -> None:
    for number in range(1, 6):
        assert issue(it, new_code(number, after=number - 1))

    assert [mail.id for mail in claim(it, most=2)] == ["c1", "c2"]
    assert [mail.id for mail in claim(it, most=2)] == ["c3", "c4"]


def test_what_waits_is_counted_claimed_or_not_until_it_is_dropped(it: Asked) -> None:
    assert it.run(it.store.waiting_mails()) == (0, 0.0)
    assert issue(it, new_code())
    assert issue(it, new_code(2, after=1))
    assert [mail.id for mail in claim(it, most=1)] == ["c1"]
    assert it.run(it.store.waiting_mails()) == (2, NOON + 1)
    it.run(it.store.drop_mail("c1"))

    assert it.run(it.store.waiting_mails()) == (1, NOON + 2)


# --- addresses ------------------------------------------------------------------------------------


def test_another_address_makes_what_was_sent_to_the_old_one_void(it: Asked) -> None:
    address(it, BOB, "bob@example.net")
    issue(it, new_code())
    issue(it, new_code(2, user_id=BOB, address="bob@example.net"))
    address(it, ALICE, "alice@elsewhere.example")

    assert it.facts().mail_address == "alice@elsewhere.example"
    assert codes(it) == []
    assert [mail.id for mail in claim(it)] == ["c2"]


def test_the_same_address_again_changes_nothing(it: Asked) -> None:
    issue(it, new_code())
    address(it, ALICE, ADDRESS)

    assert [code.id for code in codes(it)] == ["c1"]


def test_no_address_is_no_address(it: Asked) -> None:
    issue(it, new_code())
    address(it, ALICE, "")

    facts = it.facts()
    assert (facts.mail_address, facts.mail_codes) == ("", ())
    assert claim(it) == []


# --- purging --------------------------------------------------------------------------------------


def test_codes_go_when_they_have_expired_and_count_for_no_day_any_more(it: Asked) -> None:
    issue(it, new_code(1, expires=NOON + 61))
    issue(it, new_code(2, after=1, expires=NOON + 2 * DAY))

    for mail in claim(it):
        it.run(it.store.drop_mail(mail.id))

    assert it.purge(NOON + DAY) == 0
    assert it.purge(NOON + DAY + 2) == 1
    assert [code.id for code in codes(it)] == ["c2"]
    assert it.purge(NOON + 2 * DAY + 1) == 1


def test_a_mail_whose_code_is_gone_goes_too(it: Asked) -> None:
    issue(it, new_code(1, expires=NOON + 61))
    assert it.purge(NOON + DAY + 2) == 2
    assert claim(it, NOON + 2 * DAY, NOON + 3 * DAY) == []
