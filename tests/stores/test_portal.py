"""What the portal keeps: `core.portal_store.PortalStore`, for every engine."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from radius_mfa.core.guard import Counters, cleared
from radius_mfa.core.kept import NewRecoveryCode, Proposal
from radius_mfa.core.messages import FactorKind
from radius_mfa.core.outcomes import Outcome
from radius_mfa.core.portal_store import Case, CaseKind, PastLogin, TokenDetails
from radius_mfa.core.stored import MailKind, Settled, TotpStep
from radius_mfa.core.visits import Visit
from radius_mfa.stores import life_work, portal_work
from radius_mfa.stores.key_work import PURPOSES
from radius_mfa.stores.schema import metadata
from radius_mfa.stores.sqlite import SqliteStore
from radius_mfa.stores.work import Rows, Step
from tests.adapters import NOON, FixedClock
from tests.stores.portal import ADDRESS, DAY, case, link, link_mail, visit
from tests.stores.support import ALICE, BOB, Asked, asked, attempt, new_token, settlement
from tests.stores.test_contract import ENGINES
from tests.stores.test_life import address, claim, devices, issue, notice, proposal, propose, waiting

NEW = "alice@new.example"
LATER = NOON + DAY  # when what has to wait counts


class Clocked(Asked):
    """A store whose clock the test moves."""

    clock: FixedClock


@pytest.fixture(params=ENGINES)
def it(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Clocked]:
    it = Clocked(lambda clock: ENGINES[request.param](tmp_path, clock), FixedClock())
    try:
        yield it
    finally:
        it.close()


def begin(it: Asked, *visits: Visit, instead_of: str = "") -> bool:
    return all(it.run(it.store.begin_visit(each, instead_of)) for each in visits)


def found(it: Asked, visit_id: str = "v1", now: float = NOON) -> Visit | None:
    return it.run(it.store.visit(visit_id, now))


def there(it: Asked, numbers: range) -> list[int]:
    """Which of the visits there are."""
    return [number for number in numbers if found(it, f"v{number}")]


def post_link(it: Asked, id: str = "l1", since: float = NOON - DAY, most: int = 3, **of_mail: Any) -> bool:
    return it.run(it.store.post_link(link(id), link_mail(id, **of_mail), since, most))


def good(it: Asked, link_id: str = "l1", now: float = NOON) -> bool:
    return it.run(it.store.link(link_id, now)) is not None


def cases(it: Asked, most: int = 100) -> list[Case]:
    return list(it.run(it.store.cases(most)))


def open_case(it: Asked, *all_: Case) -> list[bool]:
    return [it.run(it.store.open_case(each)) for each in all_]


def details(it: Asked, user_id: str = ALICE) -> list[TokenDetails]:
    return list(it.run(it.store.token_details(user_id)))


def ripen(it: Asked, now: float) -> int:
    return it.run(it.store.ripen(now))


def confirmed(it: Asked, user_id: str = ALICE) -> list[str]:
    return [token.id for token in it.facts(user_id).tokens if token.confirmed]


# --- visits -------------------------------------------------------------------------------------


@pytest.mark.parametrize("factor", [None, *FactorKind])
def test_a_visit_is_kept_as_it_began(it: Asked, factor: FactorKind | None) -> None:
    more = {"desk": True, "voucher": "vo1", "anew": True, "pending": b"sealed \x00 seed"}
    mine, other = visit(1, factor=factor, **more), visit(2, factor=factor, user_id=BOB)

    assert begin(it, mine, other)
    assert (found(it, "v1"), found(it, "v2"), found(it, "v3")) == (mine, other, None)


def test_a_visit_is_found_until_it_expires(it: Asked) -> None:
    begin(it, visit(expires=NOON + 10))

    assert found(it, now=NOON + 9)
    assert not found(it, now=NOON + 10)


def test_a_visit_begins_instead_of_another_once(it: Asked) -> None:
    """Whoever signs in again, or has a visit's id in two windows, goes on with one visit."""
    begin(it, visit(1))

    assert begin(it, visit(2), instead_of="v1")
    assert not begin(it, visit(3), instead_of="v1")
    assert there(it, range(1, 4)) == [2]


def test_a_visit_does_not_begin_instead_of_one_that_has_expired(it: Clocked) -> None:
    begin(it, visit(1, expires=NOON + 10))
    it.clock.advance(10.0)

    assert not begin(it, visit(2), instead_of="v1")
    assert there(it, range(1, 3)) == [1]


def test_no_visit_begins_by_what_was_shown_before_a_reset(it: Clocked) -> None:
    """An answer that was under way has not heard of it."""
    it.add(new_token(1))
    it.clock.advance(60.0)
    it.run(it.store.reset(ALICE))

    assert not begin(it, visit(1, shown=NOON + 59))
    assert begin(it, visit(2, shown=NOON + 60), visit(3, user_id=BOB))
    assert there(it, range(1, 4)) == [2, 3]


def test_a_reset_of_the_future_keeps_nobody_out(it: Clocked) -> None:
    """A clock was set back."""
    it.clock.advance(3600.0)
    it.add(new_token(1))
    it.clock.advance(-3600.0)

    assert begin(it, visit(1))


def test_who_signs_in_as_somebody_else_leaves_no_visit_behind(it: Asked) -> None:
    begin(it, visit(1))

    assert begin(it, visit(2, user_id=BOB), instead_of="v1")
    assert there(it, range(1, 3)) == [2]


def test_of_a_users_visits_the_ten_seen_last_are_kept(it: Asked) -> None:
    begin(it, visit(99, user_id=BOB, seen=NOON - 1000))
    begin(it, *(visit(number, seen=NOON + number) for number in range(10)))
    it.run(it.store.see_visit("v0", NOON + 100))

    begin(it, visit(10, seen=NOON - 1000))
    assert there(it, range(11)) == [0, *range(2, 11)]
    begin(it, visit(11, seen=NOON + 200))  # and now it is the one that was seen longest ago
    assert there(it, range(12)) == [0, *range(2, 10), 11]
    assert there(it, range(99, 100)) == [99]


@pytest.mark.parametrize(("after", "seen"), [(29, 0), (30, 30), (500, 500), (-29, 0), (-30, -30)])
def test_what_somebody_did_last_is_written_down_twice_a_minute(it: Asked, after: float, seen: float) -> None:
    """By a clock that was set back as well, or the visit would be idle for longer than it may."""
    begin(it, visit(1), visit(2))
    it.run(it.store.see_visit("v1", NOON + after))

    assert found(it, "v1") == visit(1, seen=NOON + seen)
    assert found(it, "v2") == visit(2)


def test_what_is_being_set_up_is_kept_in_a_visit_with_the_voucher(it: Asked) -> None:
    begin(it, visit(1), visit(2))

    assert it.run(it.store.keep_pending("v1", b"sealed", "vo1"))
    assert found(it) == visit(1, pending=b"sealed", voucher="vo1")
    assert found(it, "v2") == visit(2)


def test_nothing_is_kept_in_a_visit_that_is_gone(it: Clocked) -> None:
    begin(it, visit(expires=NOON + 10))
    it.clock.advance(10.0)
    for gone in ("v1", "unknown"):
        assert not it.run(it.store.keep_pending(gone, b"sealed", "vo1"))
        assert not it.run(it.store.start_anew(new_token(), gone))

    assert found(it) == visit(expires=NOON + 10)


def test_a_visit_is_ended_once(it: Asked) -> None:
    begin(it, visit(1), visit(2))

    assert it.run(it.store.end_visit("v1"))
    assert not it.run(it.store.end_visit("v1"))
    assert there(it, range(1, 3)) == [2]


def test_all_visits_of_a_user_are_ended_but_one(it: Asked) -> None:
    begin(it, visit(1), visit(2), visit(3), visit(4, user_id=BOB))

    assert it.run(it.store.end_visits(ALICE, but="v2")) == 2
    assert there(it, range(1, 5)) == [2, 4]
    assert it.run(it.store.end_visits(ALICE)) == 1
    assert there(it, range(1, 5)) == [4]


# --- links --------------------------------------------------------------------------------------


def test_a_link_is_mailed_by_its_id_and_the_store_has_no_secret_of_it(it: Asked) -> None:
    address(it)

    assert post_link(it)
    (mail,) = claim(it)
    assert (mail.id, mail.kind, mail.address, mail.code, mail.reference) == ("l1", MailKind.LINK, ADDRESS, b"", "")
    assert (mail.username, mail.expires) == ("alice", NOON + 1800.0)


def test_a_link_is_good_until_it_expires_and_asking_uses_nothing_up(it: Asked) -> None:
    address(it)
    post_link(it)

    assert [it.run(it.store.link("l1", NOON + 1799.0)) for _ in range(2)] == [link(), link()]
    assert not good(it, now=NOON + 1800.0)
    assert not good(it, "unknown")
    assert not it.run(it.store.use_link("l1", NOON + 1800.0))


def test_a_link_is_used_once_and_its_mail_need_not_leave_any_more(it: Asked) -> None:
    address(it)
    post_link(it, "l1")
    post_link(it, "l2")

    assert it.run(it.store.use_link("l1", NOON))
    assert not it.run(it.store.use_link("l1", NOON))
    assert (good(it, "l1"), good(it, "l2")) == (False, True)
    assert [mail.id for mail in claim(it)] == ["l2"]


def test_so_many_links_are_mailed_to_a_user_used_ones_too(it: Asked) -> None:
    address(it)
    address(it, BOB, "bob@example.net")
    assert [post_link(it, f"l{number}") for number in range(3)] == [True] * 3
    it.run(it.store.use_link("l0", NOON))

    assert not post_link(it, "l3")
    assert not good(it, "l3")
    assert len(claim(it)) == 2
    assert not post_link(it, "l3", since=NOON)
    assert post_link(it, "l3", since=NOON + 1)  # who had none since then
    bobs = link("l9", user_id=BOB), link_mail("l9", user_id=BOB, address="bob@example.net")
    assert it.run(it.store.post_link(*bobs, NOON - DAY, 3))


@pytest.mark.parametrize("verified", ["alice@elsewhere.example", ""])
def test_no_link_is_mailed_to_what_is_not_the_users_address_any_more(it: Asked, verified: str) -> None:
    address(it, address=verified)

    assert not post_link(it)
    assert not good(it)
    assert claim(it) == []


@pytest.mark.parametrize("instead", [NEW, ""])
def test_a_link_that_was_mailed_elsewhere_is_good_for_nothing_and_counts(it: Asked, instead: str) -> None:
    address(it)
    post_link(it)
    address(it)
    assert good(it)

    begin(it, visit(1), visit(2, anew=True))
    address(it, address=ADDRESS)
    assert there(it, range(1, 3)) == [1, 2]
    address(it, address=instead)
    assert not good(it)
    assert there(it, range(1, 3)) == [1]  # nor does who came by one start anew
    assert not it.run(it.store.use_link("l1", NOON))
    assert claim(it) == []
    assert not post_link(it, "l2", most=1, address=instead)


# --- notices ------------------------------------------------------------------------------------


def test_notices_are_mailed_to_whoevers_address_it_is(it: Asked) -> None:
    address(it)
    told = [notice(1, kind=MailKind.ADDRESS_SET), notice(2, kind=MailKind.ADDRESS_WAITING, address=NEW)]
    it.run(it.store.post(told))
    it.run(it.store.post([]))

    assert [(mail.id, mail.address, mail.kind, mail.code) for mail in claim(it)] == [
        ("n1", ADDRESS, MailKind.ADDRESS_SET, b""),
        ("n2", NEW, MailKind.ADDRESS_WAITING, b""),
    ]


def test_what_tells_of_a_change_leaves_for_the_address_that_was(it: Asked) -> None:
    """Whoever has just replaced an address must not stop the mail that says so."""
    address(it)
    kinds = [MailKind.ADDRESS_SET, MailKind.ADDRESS_WAITING, MailKind.TOKEN_ADDED, MailKind.SUSPENDED]
    it.run(it.store.post([notice(number, kind=kind) for number, kind in enumerate(kinds)]))
    post_link(it)
    issue(it)
    address(it, address=NEW)

    assert [mail.kind for mail in claim(it)] == kinds[:3]


# --- what waits ---------------------------------------------------------------------------------


def waiting_token(number: int = 1, **differently: Any) -> Any:
    return new_token(number, confirmed=False, good_from=LATER, last_step=7, **differently)


def test_a_token_that_waits_is_no_factor_until_its_time(it: Asked) -> None:
    assert it.add(waiting_token(), waiting_token(2, user_id=BOB)) == [True, True]

    assert not it.facts().required
    assert confirmed(it) == []
    assert ripen(it, LATER - 1) == 0
    assert confirmed(it) == []
    assert ripen(it, LATER) == 2
    assert (confirmed(it), it.facts().required, it.last_step()) == (["t1"], True, 7)
    assert (confirmed(it, BOB), it.facts(BOB).required) == (["t2"], True)
    assert ripen(it, LATER) == 0


def test_a_token_that_waits_is_not_confirmed_even_where_it_says_so(it: Asked) -> None:
    it.add(replace(waiting_token(), confirmed=True))

    assert (confirmed(it), it.facts().required) == ([], False)


def test_a_token_that_waits_is_not_confirmed_sooner_by_another_code(it: Asked) -> None:
    it.add(waiting_token(1), new_token(2, confirmed=False))

    assert not it.run(it.store.confirm_token("t1", 8, 0))
    assert it.run(it.store.confirm_token("t2", 8, 0))
    assert confirmed(it) == ["t2"]
    assert ripen(it, LATER) == 1
    assert not it.run(it.store.confirm_token("t1", 9, 0))


def test_a_code_of_a_token_that_waits_lets_nobody_in(it: Asked) -> None:
    it.add(waiting_token())
    for login, settled in ((1, Settled.CODE_USED), (2, Settled.DONE)):
        mine = attempt(login)
        it.spend(mine)
        assert it.settle(settlement(mine, TotpStep("t1", 70, 0), cleared)) is settled
        ripen(it, LATER)


def test_what_was_only_added_never_ripens(it: Asked) -> None:
    it.add(new_token(confirmed=False))
    propose(it, proposal())

    assert ripen(it, NOON + 1000 * DAY) == 0
    assert (confirmed(it), it.facts().mail_address, it.facts().required) == ([], "", False)


@pytest.mark.parametrize("meanwhile", ["remove_token", "reset", "forget"])
def test_a_token_that_is_gone_does_not_ripen(it: Asked, meanwhile: str) -> None:
    it.add(waiting_token())
    arguments = (ALICE, "t1") if meanwhile == "remove_token" else (ALICE,)
    assert it.run(getattr(it.store, meanwhile)(*arguments))

    assert ripen(it, LATER) == 0
    assert details(it) == []


def let_wait(it: Asked, good_from: float = LATER, user_id: str = ALICE) -> bool:
    return it.run(it.store.accept_proposal_from("p1", user_id, good_from))


def test_an_address_that_waits_is_the_verified_one_from_its_time_on(it: Asked) -> None:
    address(it)
    issue(it)
    propose(it, proposal(address=NEW))

    assert let_wait(it)
    waits = proposal(address=NEW, good_from=LATER, expires=LATER + DAY)
    assert waiting(it, now=LATER + DAY - 1) == (waits, None)
    assert [mail.kind for mail in claim(it)] == [MailKind.CODE]  # nothing is asked of it any more
    assert ripen(it, LATER - 1) == 0
    assert it.facts().mail_address == ADDRESS
    assert ripen(it, LATER) == 1
    facts = it.facts()
    assert (facts.mail_address, facts.mail_codes, facts.required) == (NEW, (), True)
    assert waiting(it) == (None, None)
    assert ripen(it, LATER) == 0


def test_an_address_makes_required_when_its_time_has_come(it: Asked) -> None:
    propose(it, proposal())
    let_wait(it)
    assert not it.facts().required

    assert ripen(it, LATER) == 1
    assert it.facts().required


def test_at_an_address_that_waits_nothing_is_guessed_or_accepted(it: Asked) -> None:
    propose(it, proposal())
    let_wait(it)

    assert it.run(it.store.try_proposal(ALICE, NOON)) is None
    assert not it.run(it.store.accept_proposal("p1", ALICE))
    assert not let_wait(it, NOON + 1)
    assert waiting(it) == (proposal(good_from=LATER, expires=LATER + DAY), None)
    assert it.facts().mail_address == ""


def test_an_address_is_let_wait_of_its_own_user_only(it: Asked) -> None:
    propose(it, proposal())

    assert not let_wait(it, user_id=BOB)
    assert not it.run(it.store.accept_proposal_from("unknown", ALICE, LATER))
    assert waiting(it) == (proposal(), None)


def test_a_newer_proposal_is_in_place_of_one_that_waits(it: Asked) -> None:
    propose(it, proposal(1, address=NEW))
    let_wait(it)
    newer = proposal(2)
    propose(it, newer)

    assert waiting(it) == (newer, None)
    assert ripen(it, LATER) == 0
    assert it.run(it.store.try_proposal(ALICE, NOON)) == replace(newer, tries=1)


def test_an_address_set_by_others_ends_one_that_waits(it: Asked) -> None:
    propose(it, proposal(address=NEW))
    let_wait(it)
    address(it)

    assert ripen(it, LATER) == 0
    assert it.facts().mail_address == ADDRESS


@pytest.mark.parametrize("waits", [False, True])
def test_a_proposal_is_dropped_with_its_mail(it: Asked, waits: bool) -> None:
    propose(it, proposal())
    if waits:
        let_wait(it)

    assert not it.run(it.store.drop_proposal(BOB))
    assert it.run(it.store.drop_proposal(ALICE))
    assert not it.run(it.store.drop_proposal(ALICE))
    assert (waiting(it), claim(it), ripen(it, LATER)) == ((None, None), [], 0)


def test_whatever_waits_ripens_however_many_there_are(it: Asked) -> None:
    it.add(*(waiting_token(number, user_id=f"u-{number}") for number in range(1100)))
    it.add(waiting_token(1100))
    propose(it, proposal())
    let_wait(it)

    assert ripen(it, LATER) == 1102
    assert it.facts().mail_address == ADDRESS
    assert it.facts("u-999").required


# --- starting anew ------------------------------------------------------------------------------


def everything(it: Asked, user_id: str, number: int) -> None:
    """Of a user, all that starting anew is about."""
    it.add(new_token(number, user_id=user_id), waiting_token(number + 1, user_id=user_id))
    address(it, user_id)
    issue(it, user_id)
    it.run(it.store.set_recovery_codes(user_id, "", [NewRecoveryCode(f"r{number}", b"sealed")]))
    propose(it, proposal(number, user_id=user_id))
    it.run(
        it.store.post_link(link(f"l{number}", user_id=user_id), link_mail(f"l{number}", user_id=user_id), 0.0, 9)
    )
    open_case(it, case(f"c{number}", user_id=user_id))
    begin(it, visit(number, user_id=user_id, anew=True, pending=b"sealed"), visit(number + 1, user_id=user_id))


def left(it: Asked, user_id: str, number: int) -> tuple[object, ...]:
    facts = it.facts(user_id)
    return (
        [token.id for token in facts.tokens],
        (facts.mail_address, len(facts.mail_codes), facts.recovery_left),
        [each.id for each in waiting(it, user_id) if each],
        good(it, f"l{number}"),
        there(it, range(number, number + 2)),
        [each.id for each in cases(it) if each.user_id == user_id],
    )


def test_who_starts_anew_has_the_new_token_and_nothing_of_what_was(it: Clocked) -> None:
    everything(it, ALICE, 10)
    everything(it, BOB, 20)
    of_bob = left(it, BOB, 20)
    assert of_bob == (["t20", "t21"], (ADDRESS, 1, 1), ["p20"], True, [20, 21], ["c20"])
    it.spend(attempt(1), lambda _: Counters(10, 50, 3, NOON + DAY, True))
    it.clock.advance(60.0)

    assert it.run(it.store.start_anew(new_token(1, last_step=7), "v10"))
    assert left(it, ALICE, 10) == (["t1"], ("", 0, 0), [], False, [10], ["c10"])
    assert found(it, "v10") == visit(10)
    facts = it.facts()
    assert (facts.counters, facts.required, facts.codes_since) == (Counters(), True, NOON + 60)
    assert (confirmed(it), it.last_step()) == (["t1"], 7)
    assert {mail.user_id for mail in claim(it)} == {BOB}
    assert left(it, BOB, 20) == of_bob


def test_one_starts_anew_once_and_with_the_very_seed_that_was(it: Asked) -> None:
    it.add(new_token(1))
    begin(it, visit(anew=True))

    assert it.run(it.store.start_anew(new_token(1, id="again"), "v1"))
    assert not it.run(it.store.start_anew(new_token(2), "v1"))
    assert confirmed(it) == ["again"]


@pytest.mark.parametrize("of", [{"user_id": BOB, "anew": True}, {"anew": False}])
def test_nobody_starts_anew_in_a_visit_that_is_not_for_it(it: Asked, of: dict[str, Any]) -> None:
    it.add(new_token(1))
    begin(it, visit(1, **of), visit(2))

    assert not it.run(it.store.start_anew(new_token(2), "v1"))
    assert confirmed(it) == ["t1"]
    assert there(it, range(1, 3)) == [1, 2]


def test_who_was_never_seen_may_start_anew(it: Asked) -> None:
    begin(it, visit(anew=True))

    assert it.run(it.store.start_anew(new_token(1), "v1"))
    assert (confirmed(it), it.facts().username) == (["t1"], "alice")


def test_who_has_disowned_a_login_has_nothing_going_on_but_one_visit(it: Clocked) -> None:
    everything(it, ALICE, 10)
    everything(it, BOB, 20)
    of_bob = left(it, BOB, 20)
    it.add(new_token(3, confirmed=False, good_from=LATER))
    it.clock.advance(60.0)

    it.run(it.store.disown(ALICE, "v10"))

    assert confirmed(it) == ["t10"]
    assert [each.id for each in details(it) if each.good_from] == []
    assert not good(it, "l10")
    assert there(it, range(10, 12)) == [10]
    assert it.facts().codes_since == NOON + 60
    assert it.facts().mail_address == ADDRESS
    assert left(it, BOB, 20) == of_bob


def test_a_reset_ends_visits_and_links_and_answers_no_case(it: Asked) -> None:
    everything(it, ALICE, 10)
    everything(it, BOB, 20)
    of_bob = left(it, BOB, 20)

    assert it.run(it.store.reset(ALICE))
    assert left(it, ALICE, 10) == ([], ("", 0, 0), [], False, [], ["c10"])
    assert left(it, BOB, 20) == of_bob


def test_of_a_forgotten_user_there_is_no_visit_link_or_case(it: Asked) -> None:
    everything(it, ALICE, 10)
    everything(it, BOB, 20)
    of_bob = left(it, BOB, 20)
    open_case(it, case("c12", kind=CaseKind.DISOWNED))
    it.run(it.store.answer_case("c12", "dan", NOON))

    assert it.run(it.store.forget(ALICE))
    assert left(it, ALICE, 10) == ([], ("", 0, 0), [], False, [], [])
    assert left(it, BOB, 20) == of_bob
    assert it.purge(NOON + 91 * DAY) > 0
    assert cases(it) == [case("c20", user_id=BOB)]


def test_revoking_devices_ends_no_visit(it: Asked) -> None:
    begin(it, visit())
    it.run(it.store.revoke_devices(ALICE, None))

    assert found(it) == visit()
    assert devices(it) == []


# --- the help desk's queue ----------------------------------------------------------------------


def test_somebody_is_in_the_queue_once_for_each_reason_until_answered(it: Asked) -> None:
    disowned = case("c2", kind=CaseKind.DISOWNED)

    assert open_case(it, case(), case("again", detail="?"), disowned) == [True, False, True]
    assert cases(it) == [case(), disowned]
    it.run(it.store.answer_case("c1", "dan", NOON + 60))
    assert cases(it) == [disowned]
    assert open_case(it, case("c3")) == [True]


def test_the_queue_begins_with_who_has_waited_longest(it: Asked) -> None:
    late, early = case("a", user_id=BOB, created=NOON + 5), case("b", created=NOON)
    open_case(it, late, early)

    assert cases(it) == [early, late]
    assert cases(it, most=1) == [early]


def test_a_case_is_answered_once_by_one(it: Asked) -> None:
    open_case(it, case())

    assert it.run(it.store.answer_case("c1", "dan", NOON + 60)) == case(answered=NOON + 60, by="dan")
    assert it.run(it.store.answer_case("c1", "eve", NOON + 61)) is None
    assert it.run(it.store.answer_case("unknown", "eve", NOON)) is None


# --- what people are shown ----------------------------------------------------------------------


def test_tokens_are_shown_in_the_order_they_were_added_with_what_became_of_them(it: Clocked) -> None:
    it.add(new_token(9))
    it.clock.advance(10.0)
    it.add(waiting_token(5), new_token(6, confirmed=False), new_token(7, user_id=BOB))
    mine = attempt()
    it.spend(mine)
    it.settle(settlement(mine, TotpStep("t9", 7, 0), cleared))

    assert details(it) == [
        TokenDetails("t9", "phone 9", True, NOON, NOON, 0.0),
        TokenDetails("t5", "phone 5", False, NOON + 10, None, LATER),
        TokenDetails("t6", "phone 6", False, NOON + 10, None, 0.0),
    ]
    assert details(it, "u-nobody") == []


def test_a_token_is_renamed_by_its_own_user_only(it: Asked) -> None:
    it.add(new_token(1), new_token(2))

    assert it.run(it.store.label_token(ALICE, "t1", "携帯"))
    assert not it.run(it.store.label_token(BOB, "t1", "mine"))
    assert not it.run(it.store.label_token(ALICE, "unknown", "mine"))
    assert [each.label for each in details(it)] == ["携帯", "phone 2"]


def test_a_users_latest_logins_are_shown_the_newest_first(it: Asked) -> None:
    for number, user_id in ((1, ALICE), (2, ALICE), (3, BOB), (4, ALICE)):
        mine = attempt(number, user_id=user_id)
        about: dict[str, Any] = {
            "time": NOON + number,
            "username": "x",
            "outcome": Outcome.CODE_WRONG,
            "decision": "reject",
        }
        it.spend(mine)
        it.settle(settlement(mine, **about))

    shown = it.run(it.store.logins(ALICE, NOON + 2, 10))
    how = ("192.0.2.1:1645", "staff", "totp", Outcome.CODE_WRONG.value, "reject")
    assert shown[0] == PastLogin(NOON + 4, attempt(4).login.hex(), 1, "vpn", "02-00-00-00-00-01", *how)
    assert [each.time for each in shown] == [NOON + 4, NOON + 2]
    assert [each.time for each in it.run(it.store.logins(ALICE, 0.0, 1))] == [NOON + 4]
    assert it.run(it.store.logins("u-nobody", 0.0, 9)) == []


def test_it_is_known_where_a_mailed_code_was_asked_for(it: Asked) -> None:
    address(it)
    issue(it)

    assert [code.client for code in it.facts().mail_codes] == ["vpn"]


# --- purging ------------------------------------------------------------------------------------


def test_visits_links_and_cases_are_purged_when_nobody_asks_for_them(it: Asked) -> None:
    address(it)
    begin(it, visit(1, expires=NOON + 100), visit(2))
    post_link(it)
    open_case(it, case(), case("c2", kind=CaseKind.DISOWNED))
    it.run(it.store.answer_case("c1", "dan", NOON + 50))

    assert it.purge(NOON + 100) == 0
    assert it.purge(NOON + 101) == 1  # the first visit
    assert it.purge(NOON + 1800.0 + DAY) == 2  # the other, and the link's mail
    assert not post_link(it, "l2", most=1)
    assert it.purge(NOON + 1801.0 + DAY) == 1  # the link
    assert post_link(it, "l2", most=1)
    assert it.purge(NOON + 50 + 90 * DAY) == 2  # that one, and its mail
    assert it.purge(NOON + 51 + 90 * DAY) == 1
    assert it.purge(NOON + 1000 * DAY) == 0
    assert cases(it) == [case("c2", kind=CaseKind.DISOWNED)]


def test_an_address_that_waits_outlives_its_code_and_is_purged_a_day_after_its_time(it: Asked) -> None:
    propose(it, proposal(expires=NOON + 60))
    let_wait(it)

    assert it.purge(LATER + DAY) == 0
    assert isinstance(waiting(it, now=LATER)[0], Proposal)
    assert it.purge(LATER + DAY + 1) == 1


# --- keys, races, plans -------------------------------------------------------------------------


def test_what_is_being_set_up_hinders_no_key_from_being_retired(it: Asked) -> None:
    """It ends with its visit, within hours, so that it is not sealed anew, and lost with its key."""
    begin(it, visit(pending=b"\x01oldkey sealed"))

    assert [it.run(it.store.sealed_otherwise(purpose, b"new!", "", 10)) for purpose in PURPOSES] == [[]] * 5


def test_resetting_waits_for_nobody_who_uses_a_link_or_begins_a_visit(it: Asked) -> None:
    """In whatever order they come, each of them ends, and no visit or link outlives the last reset."""

    async def race(number: int) -> None:
        mine, other = f"l{number}", f"v{number}"
        await it.store.set_mail_address(ALICE, "alice", ADDRESS)
        await it.store.post_link(link(mine), link_mail(mine), 0.0, 9)
        await it.store.begin_visit(visit(number, anew=True))
        await asyncio.gather(
            it.store.use_link(mine, NOON),
            it.store.reset(ALICE),
            it.store.begin_visit(visit(1000 + number), other),
            it.store.start_anew(new_token(number), other),
            it.store.set_mail_address(ALICE, "alice", NEW),
            it.store.see_visit(other, NOON + 60),
            it.store.claim_mails(NOON, NOON + 60, 10),
            it.store.ripen(LATER),
        )

    for number in range(20):
        it.run(race(number))
    it.run(it.store.reset(ALICE))

    assert (there(it, range(20)), there(it, range(1000, 1020))) == ([], [])
    assert not any(good(it, f"l{number}") for number in range(20))


def steps_of(work: Any, *answers: Rows) -> list[Step]:
    """All that it asks, where it gets these answers, and no rows to what follows."""
    asked_: list[Step] = []
    given = iter(answers)
    with suppress(StopIteration):
        asked_.append(next(work))
        while True:
            asked_.append(work.send(next(given, [])))
    return asked_


ASKED: dict[str, list[Step]] = {
    "begin": steps_of(portal_work.begin_visit(visit(), "v2", NOON), [(1,)]),
    "visit": steps_of(portal_work.visit("v1", NOON)),
    "see": steps_of(portal_work.see_visit("v1", NOON)),
    "keep": steps_of(portal_work.keep_pending("v1", b"", "", NOON)),
    "end": steps_of(portal_work.end_visit("v1")),
    "disown": steps_of(portal_work.disown(ALICE, "v1", NOON)),
    "end all": steps_of(portal_work.end_visits(ALICE, "")),
    "post": steps_of(portal_work.post_link(link(), link_mail(), NOON, 3), [], [(ADDRESS,)]),
    "link": steps_of(portal_work.link("l1", NOON)),
    "use": steps_of(portal_work.use_link("l1", NOON), [(1,)]),
    "anew": steps_of(portal_work.start_anew(new_token(), "v1", NOON), [(1,)]),
    "open": steps_of(portal_work.open_case(case())),
    "cases": steps_of(portal_work.cases(10)),
    "answer": steps_of(portal_work.answer_case("c1", "dan", NOON)),
    "details": steps_of(portal_work.token_details(ALICE)),
    "label": steps_of(portal_work.label_token(ALICE, "t1", "x")),
    "ripe": steps_of(portal_work.ripe(NOON, 10)),
    "ripen": steps_of(life_work.ripen(ALICE, NOON), [], [(1,)], [(ADDRESS,)]),
    "logins": steps_of(portal_work.logins(ALICE, NOON, 10)),
    "forget": steps_of(life_work.forget(ALICE)),
    "purge": [(each, (NOON, 10)) for each in (portal_work.PURGE_VISITS, portal_work.PURGE_LINKS)],
    "purge cases": [(portal_work.PURGE_CASES, (NOON, 10))],
}


# Those that only a reset or forgetting goes through: an index would be written by every login.
_SCANNED = {"spent_state", "station_user"}


@pytest.mark.parametrize("what", ASKED)
def test_nothing_that_is_asked_goes_through_a_whole_table(what: str, tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    with asked(lambda clock: SqliteStore.open(f"sqlite:///{path}", clock)):
        pass

    with closing(sqlite3.connect(path)) as database:
        plans = [database.execute(f"EXPLAIN QUERY PLAN {sql.sqlite}", given) for sql, given in ASKED[what]]
        scanned = {text.split()[1] for plan in plans for *_, text in plan if text.startswith("SCAN ")}
    assert scanned & {*metadata.tables} <= _SCANNED
