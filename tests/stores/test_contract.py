"""The contract of `core.store.Store`, held by every engine there is: another one joins `ENGINES`."""

import asyncio
import itertools
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from radius_mfa.core.errors import StoreError
from radius_mfa.core.guard import Counters, Guard, cleared
from radius_mfa.core.kept import NewToken
from radius_mfa.core.messages import FactorKind
from radius_mfa.core.outcomes import Outcome
from radius_mfa.core.ports import Clock
from radius_mfa.core.store import Judge, Store
from radius_mfa.core.stored import (
    WRONG_FOR,
    AnsweredBefore,
    Attempt,
    Facts,
    NewDevice,
    Refusal,
    Reserved,
    Settled,
    Settlement,
    Token,
    TotpStep,
)
from radius_mfa.stores.postgresql import PostgresqlStore
from radius_mfa.stores.sqlite import SqliteStore
from tests.adapters import NOON, FixedClock
from tests.stores.postgresql import new_url
from tests.stores.support import (
    ALICE,
    BOB,
    GIVEN,
    GUARD,
    Asked,
    asked,
    attempt,
    count,
    new_token,
    settlement,
)

# How to open a new store of each engine; `folder` is empty and the test's own.
ENGINES: dict[str, Callable[[Path, Clock], Store | Coroutine[Any, Any, Store]]] = {
    "sqlite in memory": lambda _, clock: SqliteStore.open("sqlite://", clock),
    "sqlite file": lambda folder, clock: SqliteStore.open(f"sqlite:///{folder}/state.db", clock),
    "postgresql": lambda _, clock: PostgresqlStore.open(new_url(), None, clock),
}


@pytest.fixture(params=ENGINES)
def it(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Asked]:
    with asked(lambda clock: ENGINES[request.param](tmp_path, clock)) as it:
        yield it


def refuse(_: Counters) -> None:
    """A rule that bars everybody."""


def unchanged(counters: Counters) -> Counters:
    return counters


# --- facts --------------------------------------------------------------------------------------


def test_a_user_never_seen_has_no_failures_and_no_tokens(it: Asked) -> None:
    assert it.facts("nobody") == Facts("nobody", Counters())


def test_facts_have_every_token_of_the_user_and_of_nobody_else(it: Asked) -> None:
    it.add(new_token(1), new_token(2, confirmed=False), new_token(3, user_id=BOB, last_step=5))

    assert it.facts(ALICE).tokens == (
        Token("t1", ALICE, "phone 1", b"sealed seed 1", confirmed=True),
        Token("t2", ALICE, "phone 2", b"sealed seed 2", confirmed=False),
    )
    assert it.facts(BOB).tokens == (Token("t3", BOB, "phone 3", b"sealed seed 3", last_step=5),)


def test_counters_come_back_as_they_went_in(it: Asked) -> None:
    counters = Counters(3, 44, 2, 1_792_000_000.123456, True)
    it.spend(attempt(), lambda _: counters)

    assert it.counters() == counters
    assert [type(value) for value in vars_of(it.counters())] == [type(value) for value in vars_of(counters)]


def vars_of(counters: Counters) -> list[object]:
    return [getattr(counters, each.name) for each in fields(counters)]


# --- spend --------------------------------------------------------------------------------------


def test_a_fresh_state_is_reserved_with_the_failure_counted(it: Asked) -> None:
    it.add(new_token())

    assert it.spend(attempt()) == Reserved(it.facts())
    assert it.counters() == Counters(failures=1, since_success=1)


def test_the_identical_answer_is_reserved_again_and_not_counted_again(it: Asked) -> None:
    it.add(new_token())
    first = it.spend(attempt())

    assert it.spend(attempt()) == first
    assert it.counters() == Counters(1, 1)


def test_the_identical_answer_is_reserved_again_even_if_its_own_failure_was_the_locking_one(it: Asked) -> None:
    it.spend(attempt(), lambda _: Counters(10, 10, 1, NOON + 900))

    assert isinstance(it.spend(attempt(), refuse), Reserved)


def test_the_identical_answer_again_is_told_as_well_that_it_has_suspended(it: Asked) -> None:
    """Or its user would not be told, or a used code that is resent would suspend for good."""
    guard = Guard(suspend_after=1)
    rule = partial(guard.reserve, now=NOON, kind=FactorKind.TOTP)
    for _ in range(2):
        spent = it.spend(attempt(), rule)
        assert isinstance(spent, Reserved)
        assert spent.has_suspended


def test_another_answer_to_a_spent_state_is_refused(it: Asked) -> None:
    it.spend(attempt())

    assert it.spend(attempt(answer=b"second answer")) is Refusal.SPENT
    assert it.counters() == Counters(1, 1)


def test_another_answer_is_refused_after_the_decision_too(it: Asked) -> None:
    it.spend(attempt())
    it.settle(settlement(attempt()))

    assert it.spend(attempt(answer=b"second answer")) is Refusal.SPENT


def test_rounds_and_logins_are_spent_each_on_its_own(it: Asked) -> None:
    for each in (attempt(1), attempt(1, round=2), attempt(2)):
        assert isinstance(it.spend(each), Reserved)

    assert it.counters() == Counters(3, 3)


def test_a_barred_user_spends_nothing(it: Asked) -> None:
    assert it.spend(attempt(), refuse) is Refusal.BARRED
    assert it.facts() == Facts(ALICE, Counters())
    assert it.spend(attempt(answer=b"second answer")) == Reserved(Facts(ALICE, Counters(1, 1)))


def test_a_rule_that_counts_nothing_still_spends_the_state(it: Asked) -> None:
    assert it.spend(attempt(), unchanged) == Reserved(Facts(ALICE, Counters()))
    assert it.spend(attempt(answer=b"second answer")) is Refusal.SPENT


def test_a_rule_that_breaks_leaves_nothing_behind(it: Asked) -> None:
    def broken(_: Counters) -> Counters:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        it.spend(attempt(), broken)

    assert it.spend(attempt()) == Reserved(Facts(ALICE, Counters(1, 1)))


def test_of_many_answers_at_once_one_is_reserved(it: Asked) -> None:
    async def many() -> list[object]:
        answers = (attempt(answer=b"answer %d" % number) for number in range(200))
        return await asyncio.gather(*(it.store.spend(each, count, it.soon()) for each in answers))

    spent = it.run(many())

    assert len([each for each in spent if isinstance(each, Reserved)]) == 1
    assert spent.count(Refusal.SPENT) == 199
    assert it.counters() == Counters(1, 1)


# --- settle -------------------------------------------------------------------------------------


def test_the_identical_answer_gets_the_decision_once_there_is_one(it: Asked) -> None:
    it.spend(attempt())
    assert it.settle(settlement(attempt(), octets=b"no")) is Settled.DONE

    assert it.spend(attempt()) == AnsweredBefore(b"no")
    assert it.counters() == Counters(1, 1)


def test_whoever_settles_second_gets_the_first_decision(it: Asked) -> None:
    it.add(new_token())
    it.spend(attempt())
    it.settle(settlement(attempt(), octets=b"no"))

    assert it.settle(settlement(attempt(), TotpStep("t1", 7, 0), cleared, b"yes")) == AnsweredBefore(b"no")
    assert it.last_step() == 0
    assert it.counters() == Counters(1, 1)


def test_a_right_code_is_used_up_and_clears_the_counters(it: Asked) -> None:
    it.add(new_token())
    it.spend(attempt())

    assert it.settle(settlement(attempt(), TotpStep("t1", 7, -1), cleared)) is Settled.DONE
    (token,) = it.facts().tokens
    assert (token.last_step, token.drift) == (7, -1)
    assert it.counters() == Counters()


@pytest.mark.parametrize("step", [6, 7])
def test_a_used_code_settles_nothing(it: Asked, step: int) -> None:
    """RFC 6238 §5.2: the second attempt of an OTP is not accepted after the successful first."""
    it.add(new_token(last_step=7))
    it.spend(attempt())

    assert it.settle(settlement(attempt(), TotpStep("t1", step, 3), cleared, b"yes")) is Settled.CODE_USED
    (token,) = it.facts().tokens
    assert (token.last_step, token.drift) == (7, 0)
    assert it.counters() == Counters(1, 1)
    assert isinstance(it.spend(attempt()), Reserved)
    # The attempt is still open, and ends as what it is.
    assert (
        it.settle(settlement(attempt(), adjust=partial(GUARD.given_back, has_suspended=False), octets=b"no"))
        is Settled.DONE
    )
    assert it.counters() == Counters()
    assert it.spend(attempt()) == AnsweredBefore(b"no")


@pytest.mark.parametrize("token", [new_token(confirmed=False), new_token(user_id=BOB), new_token(2)])
def test_a_token_unconfirmed_or_of_another_user_or_gone_is_never_used(it: Asked, token: NewToken) -> None:
    it.add(token)
    it.spend(attempt())

    assert it.settle(settlement(attempt(), TotpStep("t1", 7, 0), cleared)) is Settled.CODE_USED


def test_a_later_code_is_accepted_after_an_earlier_one(it: Asked) -> None:
    it.add(new_token())
    for login, step in enumerate((7, 8, 20)):
        it.spend(attempt(login))
        assert it.settle(settlement(attempt(login), TotpStep("t1", step, 0), cleared)) is Settled.DONE

    assert it.last_step() == 20


def test_a_step_of_any_size_a_clock_may_say_is_kept(it: Asked) -> None:
    it.add(new_token())
    it.spend(attempt())
    it.settle(settlement(attempt(), TotpStep("t1", 2**40, 0), cleared))

    assert it.last_step() == 2**40


def test_a_rule_for_the_counters_that_breaks_leaves_nothing_behind(it: Asked) -> None:
    def broken(_: Counters) -> Counters:
        raise ZeroDivisionError

    it.add(new_token())
    it.spend(attempt())
    with pytest.raises(ZeroDivisionError):
        it.settle(settlement(attempt(), TotpStep("t1", 7, 0), broken))

    assert it.last_step() == 0
    assert isinstance(it.spend(attempt()), Reserved)


@pytest.mark.parametrize("never", [attempt(2), attempt(round=2), attempt(answer=b"second answer")])
def test_what_was_never_spent_cannot_be_settled(it: Asked, never: Attempt) -> None:
    it.spend(attempt())

    with pytest.raises(StoreError):
        it.settle(settlement(never))
    assert isinstance(it.spend(attempt()), Reserved)


def test_one_code_in_many_logins_at_once_is_good_for_one(it: Asked) -> None:
    it.add(new_token())

    async def login(number: int) -> object:
        await it.store.spend(attempt(number), unchanged, it.soon())
        return await it.store.settle(settlement(attempt(number), TotpStep("t1", 7, 0), cleared), it.soon())

    async def many() -> list[object]:
        return await asyncio.gather(*map(login, range(100)))

    settled = it.run(many())

    assert (settled.count(Settled.DONE), settled.count(Settled.CODE_USED)) == (1, 99)


# --- codes that a supplicant may keep ----------------------------------------------------------------

CODE, CODE_UNDER_ANOTHER_KEY, OTHER_CODE = (bytes([octet]) * 16 for octet in b"abc")


FRESH = itertools.count(1000)


def sent_before(it: Asked, *digests: bytes, user_id: str = ALICE, time: float = NOON) -> Settled | AnsweredBefore:
    """What is known of a code with these digests: nothing where it is DONE."""
    number = next(FRESH)
    of = attempt(number, user_id=user_id)
    it.spend(of, unchanged)
    return it.settle(wrong(of, number.to_bytes(16, "big"), *digests, time=time))


def wrong(of: Attempt, *codes: bytes, time: float = NOON) -> Settlement:
    refused = settlement(of, time=time, outcome=Outcome.CODE_WRONG, decision="reject")
    return replace(refused, codes=codes)


def with_code(of: Attempt, step: int, *codes: bytes) -> Settlement:
    return replace(settlement(of, TotpStep("t1", step, 0), cleared), codes=codes)


@pytest.mark.parametrize("at_once", [False, True])
def test_a_code_that_was_accepted_is_known_by_the_first_of_its_digests(it: Asked, at_once: bool) -> None:
    it.add(new_token())
    end = with_code(attempt(), 7, CODE, CODE_UNDER_ANOTHER_KEY)
    if at_once:
        assert isinstance(it.spend(attempt(), judge=lambda _: end), Settlement)
    else:
        it.spend(attempt())
        assert it.settle(end) is Settled.DONE

    assert sent_before(it, CODE) is Settled.CODE_USED
    assert sent_before(it, OTHER_CODE, CODE) is Settled.CODE_USED
    assert sent_before(it, CODE_UNDER_ANOTHER_KEY, OTHER_CODE) is Settled.DONE
    assert sent_before(it, CODE, user_id=BOB) is Settled.DONE


@pytest.mark.parametrize("at_once", [False, True])
def test_a_code_that_was_wrong_is_known_by_the_first_of_its_digests(it: Asked, at_once: bool) -> None:
    """It is counted, and so it is when it is judged: later nothing is written of it."""
    end = wrong(attempt(), CODE, CODE_UNDER_ANOTHER_KEY)
    if at_once:
        assert isinstance(it.spend(attempt(), judge=saying(end)), Settlement)
    else:
        it.spend(attempt())
        assert it.settle(end) is Settled.DONE
    assert it.counters() == Counters(1, 1)
    again = wrong(attempt(2), OTHER_CODE, CODE)
    assert isinstance(it.spend(attempt(2), judge=saying(again) if at_once else None), Reserved)
    assert it.settle(again) is Settled.CODE_WRONG_AGAIN
    back = partial(GUARD.given_back, has_suspended=False)
    assert it.settle(settlement(attempt(2), adjust=back, decision="reject")) is Settled.DONE

    assert it.counters() == Counters(1, 1)
    assert sent_before(it, OTHER_CODE, CODE) is Settled.CODE_WRONG_AGAIN
    assert sent_before(it, CODE_UNDER_ANOTHER_KEY, OTHER_CODE) is Settled.DONE
    assert sent_before(it, CODE, user_id=BOB) is Settled.DONE


@pytest.mark.parametrize("at_once", [False, True])
def test_a_code_that_was_wrong_is_not_accepted_when_it_is_right(it: Asked, at_once: bool) -> None:
    it.add(new_token())
    it.spend(attempt(1), judge=lambda _: wrong(attempt(1), CODE))
    end = with_code(attempt(2), 8, OTHER_CODE, CODE)

    assert isinstance(it.spend(attempt(2), judge=saying(end) if at_once else None), Reserved)
    assert it.settle(end) is Settled.CODE_WRONG_AGAIN
    assert it.last_step() == 0
    assert it.settle(with_code(attempt(2), 8, OTHER_CODE)) is Settled.DONE


def test_a_wrong_code_is_known_for_seven_days_and_a_used_one_as_long_as_its_login(it: Asked) -> None:
    it.add(new_token())
    it.spend(attempt(1), judge=lambda _: wrong(attempt(1), CODE))
    it.spend(attempt(2), judge=lambda _: with_code(attempt(2), 7, OTHER_CODE))

    assert sent_before(it, CODE, time=NOON + WRONG_FOR - 1) is Settled.CODE_WRONG_AGAIN
    assert sent_before(it, CODE, time=NOON + WRONG_FOR) is Settled.DONE
    assert sent_before(it, OTHER_CODE, time=NOON + 10 * WRONG_FOR) is Settled.CODE_USED


def test_a_code_that_was_wrong_and_later_right_was_used(it: Asked) -> None:
    it.add(new_token())
    it.spend(attempt(1), judge=lambda _: wrong(attempt(1), CODE, time=NOON - WRONG_FOR))
    it.spend(attempt(2), judge=lambda _: with_code(attempt(2), 7, CODE))

    assert sent_before(it, CODE, time=NOON - 1) is Settled.CODE_USED


@pytest.mark.parametrize("at_once", [False, True])
def test_a_code_that_is_known_is_not_accepted_again_for_another_step(it: Asked, at_once: bool) -> None:
    """Every code comes again, some day; whoever sends a used one all the time must not be let in then."""
    it.add(new_token())
    it.spend(attempt(1), judge=lambda _: with_code(attempt(1), 7, CODE))
    end = with_code(attempt(2), 8, OTHER_CODE, CODE)  # sealed under another key by now

    assert isinstance(it.spend(attempt(2), judge=(lambda _: end) if at_once else None), Reserved)
    assert it.settle(end) is Settled.CODE_USED
    assert it.last_step() == 7
    assert it.settle(with_code(attempt(2), 8, OTHER_CODE)) is Settled.DONE


def test_of_logins_without_a_digest_nothing_is_known(it: Asked) -> None:
    it.add(new_token())
    it.spend(attempt(), judge=lambda _: with_code(attempt(), 7))

    assert sent_before(it, b"", CODE) is Settled.DONE


def test_a_code_is_known_for_as_long_as_its_login(it: Asked) -> None:
    it.add(new_token(), new_token(2, user_id=BOB))
    it.spend(attempt(), judge=lambda _: with_code(attempt(), 7, CODE))
    assert it.purge(NOON, NOON) == 0
    assert sent_before(it, CODE) is Settled.CODE_USED
    assert it.purge(NOON, NOON + 1) > 0
    assert sent_before(it, CODE) is Settled.DONE

    it.spend(attempt(2), judge=lambda _: with_code(attempt(2), 8, CODE))
    assert it.run(it.store.forget(ALICE))
    assert sent_before(it, CODE) is Settled.DONE


def test_of_many_users_at_once_each_has_their_own_codes(it: Asked) -> None:
    users = [f"u-{number}" for number in range(20)]
    it.add(*(new_token(number, user_id=user) for number, user in enumerate(users)))

    def end(number: int, step: int) -> Settlement:
        of = attempt(100 * step + number, user_id=users[number])
        return replace(settlement(of, TotpStep(f"t{number}", step, 0)), codes=(CODE,) if number % 2 else ())

    async def all_of_them(step: int) -> list[object]:
        ends = [end(number, step) for number in range(len(users))]
        spending = (it.store.spend(each.attempt, count, it.soon(), saying(each)) for each in ends)
        return await asyncio.gather(*spending)

    assert {type(each) for each in it.run(all_of_them(7))} == {Settlement}
    known = [sent_before(it, CODE, user_id=user) for user in users]
    assert known == [Settled.DONE, Settled.CODE_USED] * 10
    assert [type(each) for each in it.run(all_of_them(8))] == [Settlement, Reserved] * 10


# --- from when on codes count --------------------------------------------------------------------------


def since(it: Asked, user_id: str = ALICE) -> float:
    return it.facts(user_id).codes_since


@pytest.mark.parametrize("how", ["token", "guess", "address"])
def test_codes_count_from_when_the_user_became_known(it: Asked, how: str) -> None:
    """Who is forgotten and enrols anew is somebody else, as far as anybody knows."""
    assert since(it) == 0.0
    if how == "token":
        it.add(new_token())
    elif how == "guess":
        it.spend(attempt())
    else:
        it.run(it.store.set_mail_address(ALICE, "alice", "alice@example.net"))
    assert since(it) == NOON

    later(it)
    it.spend(attempt(2))
    it.add(new_token(2))
    it.run(it.store.unlock(ALICE))
    assert since(it) == NOON
    it.run(it.store.forget(ALICE))
    it.add(new_token())
    assert since(it) == NOON + 60


def later(it: Asked) -> None:
    assert isinstance(it.clock, FixedClock)
    it.clock.advance(60)


def test_codes_from_before_a_reset_or_of_a_token_that_is_gone_count_no_more(it: Asked) -> None:
    it.add(new_token(1), new_token(2, user_id=BOB))
    later(it)
    assert not it.run(it.store.remove_token(ALICE, "t2"))
    assert not it.run(it.store.remove_token(BOB, "t1"))
    assert (since(it), since(it, BOB)) == (NOON, NOON)

    assert it.run(it.store.remove_token(ALICE, "t1"))
    assert (since(it), since(it, BOB)) == (NOON + 60, NOON)
    later(it)
    assert it.run(it.store.reset(ALICE))
    assert not it.run(it.store.reset("u-nobody"))
    assert (since(it), since(it, BOB)) == (NOON + 120, NOON)


def test_codes_from_before_a_device_was_revoked_count_no_more(it: Asked) -> None:
    """Whichever it was: nobody tells which session is on a device that was lost."""
    it.add(new_token(1), new_token(2, user_id=BOB))
    device = NewDevice("d1", ALICE, "mac:020000000001", ("a", "b"), "ap", FactorKind.TOTP, NOON, NOON + 9e5)
    it.spend(attempt())
    it.settle(replace(settlement(attempt()), trust=device))
    later(it)
    assert it.run(it.store.revoke_devices(ALICE, "d9")) == 0
    assert it.run(it.store.revoke_devices(BOB, "d1")) == 0
    assert (since(it), since(it, BOB)) == (NOON, NOON)

    assert it.run(it.store.revoke_devices(ALICE, "d1")) == 1
    assert (since(it), since(it, BOB)) == (NOON + 60, NOON)
    later(it)
    assert it.run(it.store.revoke_devices(ALICE, "d1")) == 0
    assert since(it) == NOON + 60


def test_codes_from_before_the_address_was_another_count_no_more(it: Asked) -> None:
    """Who reads the old mailbox may have had one of them; the first address is nobody's loss."""
    it.add(new_token(1))
    for address, expected in (("a@example.net", 0), ("a@example.net", 0), ("b@example.net", 180), ("", 240)):
        later(it)
        it.run(it.store.set_mail_address(ALICE, "alice", address))
        assert since(it) == NOON + expected


def test_codes_from_before_all_devices_were_revoked_count_no_more_though_there_were_none(it: Asked) -> None:
    """A TLS session spares the code as well, of who never asked to be trusted."""
    it.add(new_token(1), new_token(2, user_id=BOB))
    later(it)
    assert it.run(it.store.revoke_devices(ALICE, None)) == 0
    assert (since(it), since(it, BOB)) == (NOON + 60, NOON)


# --- judged in the transaction that spends ------------------------------------------------------------


def accepting(of: Attempt, step: int = 7) -> Callable[[Reserved], Settlement]:
    return lambda _: settlement(of, TotpStep("t1", step, 1), cleared, b"accepted", username="alice")


def refusing(of: Attempt) -> Callable[[Reserved], Settlement]:
    return lambda _: settlement(of, octets=b"refused", decision="challenge")


def test_a_right_code_is_judged_and_settled_in_one_go(it: Asked) -> None:
    it.add(new_token())
    judge = accepting(attempt())

    settled = it.spend(attempt(), judge=judge)

    assert isinstance(settled, Settlement)
    assert (settled.decision, settled.given) == (b"accepted", GIVEN)
    (token,) = it.facts().tokens
    assert (token.last_step, token.drift, it.counters(), it.facts().username) == (7, 1, Counters(), "alice")
    assert it.spend(attempt(), judge=judge) == AnsweredBefore(b"accepted")
    assert it.spend(attempt(answer=b"another"), judge=judge) is Refusal.SPENT
    assert it.counters() == Counters()
    assert it.purge(NOON, NOON + 1) == 1  # the login's row


def saying(end: Settlement) -> Judge:
    return lambda _: end


def last_success(it: Asked) -> float | None:
    (user,) = it.run(it.store.users("", 10))
    return user.last_success


def test_the_last_success_is_known_however_somebody_was_let_in(it: Asked) -> None:
    it.add(new_token())
    assert last_success(it) is None

    for number, (how, time, known) in enumerate(
        [
            ("at once", NOON + 1, NOON + 1),
            ("without a token", NOON + 2, NOON + 2),
            ("settled", NOON + 3, NOON + 3),
            ("refused", NOON + 4, NOON + 3),
            ("at once", NOON + 5, NOON + 5),
        ]
    ):
        mine = attempt(number)
        decision = "reject" if how == "refused" else "accept"
        step = None if how == "without a token" else TotpStep("t1", number + 1, 0)
        end = settlement(mine, step, cleared, time=time, decision=decision)
        if how in ("at once", "refused"):
            assert isinstance(it.spend(mine, judge=saying(end)), Settlement)
        else:
            it.spend(mine)
            assert it.settle(end) is Settled.DONE
        assert last_success(it) == known


@pytest.mark.parametrize("how", ["removed", "reset"])
def test_the_last_success_is_known_after_the_token_is_gone(it: Asked, how: str) -> None:
    it.add(new_token())
    it.spend(attempt(), judge=accepting(attempt()))

    gone = it.store.remove_token(ALICE, "t1") if how == "removed" else it.store.reset(ALICE)
    assert it.run(gone)

    assert last_success(it) == NOON
    assert it.facts().tokens == ()


def test_who_is_let_in_at_once_has_the_name_that_was_heard_last(it: Asked) -> None:
    it.add(new_token())

    for number, (heard, known) in enumerate([("alice", "alice"), ("", "alice"), ("alice2", "alice2")]):
        mine = attempt(number)
        end = settlement(mine, TotpStep("t1", number + 1, 0), cleared, username=heard)
        it.spend(mine, judge=saying(end))
        assert it.facts().username == known


def test_a_wrong_code_that_is_judged_at_once_stays_counted(it: Asked) -> None:
    it.add(new_token())

    assert isinstance(it.spend(attempt(), judge=refusing(attempt())), Settlement)
    assert it.counters() == Counters(1, 1)
    assert it.spend(attempt(), judge=accepting(attempt())) == AnsweredBefore(b"refused")
    assert it.counters() == Counters(1, 1)


def test_who_is_advised_of_a_clock_at_once_is_not_let_in_by_that_step(it: Asked) -> None:
    it.add(new_token())
    advised = replace(refusing(attempt())(Reserved(Facts(ALICE, Counters()))), told=TotpStep("t1", 12, 0))

    assert isinstance(it.spend(attempt(), judge=lambda _: advised), Settlement)
    (token,) = it.facts().tokens
    assert token.told_steps == {12}


def test_the_judge_is_shown_what_was_reserved(it: Asked) -> None:
    it.add(new_token())
    shown = []

    def judge(reserved: Reserved) -> Settlement:
        shown.append(reserved)
        return refusing(attempt())(reserved)

    it.spend(attempt(), judge=judge)

    assert set(map(str, shown)) == {str(Reserved(it.facts()))}


def test_nobody_judges_at_once_where_a_lock_or_suspension_has_to_be_on_the_disk_before(it: Asked) -> None:
    it.add(new_token())
    locked = Counters(2, 2, 1, NOON + 60.0)

    assert it.spend(attempt(), lambda _: locked, accepting(attempt())) == Reserved(replace(it.facts()))
    assert it.counters() == locked
    assert it.spend(attempt(2), refuse, accepting(attempt(2))) is Refusal.BARRED


def test_a_code_that_another_login_has_used_is_left_to_be_settled(it: Asked) -> None:
    """RFC 6238 §5.2: not accepted a second time."""
    it.add(new_token(last_step=7))
    spent = it.spend(attempt(), judge=accepting(attempt(), step=7))

    assert spent == Reserved(it.facts())
    assert it.counters() == Counters(1, 1)
    assert it.spend(attempt()) == spent
    assert it.settle(settlement(attempt(), octets=b"used")) is Settled.DONE


def test_a_judge_that_breaks_leaves_nothing_behind(it: Asked) -> None:
    it.add(new_token())

    def broken(_: Reserved) -> Settlement:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        it.spend(attempt(), judge=broken)

    assert it.counters() == Counters()
    assert isinstance(it.spend(attempt(), judge=accepting(attempt())), Settlement)


def test_one_that_fails_harms_none_of_those_beside_it(it: Asked) -> None:
    it.add(new_token(), new_token(2, user_id=BOB))

    def broken(_: Reserved) -> Settlement:
        raise ZeroDivisionError

    async def three() -> list[object]:
        fine, bad, other = attempt(1), attempt(2, user_id="u-carol"), attempt(3, user_id=BOB)
        calls = [(fine, accepting(fine)), (bad, broken), (other, refusing(other))]
        spending = (it.store.spend(each, count, it.soon(), judge) for each, judge in calls)
        return await asyncio.gather(*spending, return_exceptions=True)

    kinds = [type(each) for each in it.run(three())]

    assert kinds == [Settlement, ZeroDivisionError, Settlement]
    assert (it.counters(), it.counters("u-carol"), it.counters(BOB)) == (Counters(), Counters(), Counters(1, 1))


def test_of_many_logins_at_once_that_are_judged_at_once_one_has_the_code(it: Asked) -> None:
    it.add(new_token())

    def judge(of: Attempt, reserved: Reserved) -> Settlement:
        fresh = reserved.facts.tokens[0].last_step < 7
        return (accepting(of) if fresh else refusing(of))(reserved)

    async def many() -> list[object]:
        attempts = list(map(attempt, range(100)))
        spending = (it.store.spend(each, unchanged, it.soon(), partial(judge, each)) for each in attempts)
        return await asyncio.gather(*spending)

    decisions = [each.decision for each in it.run(many()) if isinstance(each, Settlement)]

    assert (decisions.count(b"accepted"), decisions.count(b"refused")) == (1, 99)


def test_of_many_users_at_once_each_has_what_would_be_theirs_alone(it: Asked) -> None:
    """A right code; a code that another login has used since; a State that two users answer at the same time."""
    people = [f"u-{number}" for number in range(16)]
    it.add(*(new_token(number, user_id=each) for number, each in enumerate(people)))
    # Two by two they answer one State, as no two users ever should, in words of their own.
    attempts = [attempt(number, user_id=each) for number, each in enumerate(people[:8])]
    attempts += [
        attempt(8 + number // 2, user_id=each, answer=each.encode()) for number, each in enumerate(people[8:])
    ]

    def judge(number: int) -> Judge:
        step = 0 if number in range(4, 8) else 8  # none is before it, whatever the facts have said
        return saying(settlement(attempts[number], TotpStep(f"t{number}", step, 0), cleared))

    async def many() -> list[object]:
        spending = (it.store.spend(each, count, it.soon(), judge(number)) for number, each in enumerate(attempts))
        return await asyncio.gather(*spending)

    found = it.run(many())

    assert [type(each) for each in found[:8]] == [Settlement] * 4 + [Reserved] * 4
    assert [it.last_step(each) for each in people[:8]] == [8] * 4 + [0] * 4
    assert [it.counters(each).failures for each in people[:8]] == [0] * 4 + [1] * 4
    for first in range(8, 16, 2):
        assert {type(each) for each in found[first : first + 2]} == {Settlement, Refusal}
        assert {it.last_step(each) for each in people[first : first + 2]} == {0, 8}


ANSWERS = st.tuples(
    st.sampled_from(["wrong", "right", "resent", "unjudged"]),
    st.sampled_from([ALICE, BOB]),
    st.sampled_from([0.0, 30.0, 61.0, 130.0]),  # seconds since the answer before
    st.booleans(),  # whether it is judged in the transaction that spends, where that may be
)


def test_the_counters_are_those_of_the_rules_whatever_happens_in_whatever_order(it: Asked) -> None:
    """The store against `core.guard` alone, with small limits so that locks and suspension do come."""
    guard = Guard(failures=2, durations=(60.0, 120.0), suspend_after=7)
    logins = iter(range(10**9))

    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(ANSWERS, max_size=20))
    def agree(story: list[tuple[str, str, float, bool]]) -> None:
        chapter = next(logins)  # users of its own
        model: dict[str, Counters] = {}
        now = NOON
        for what, who, later, at_once in story:
            now += later
            user = f"{who} {chapter}"
            expected = guard.reserve(model.get(user, Counters()), now, FactorKind.TOTP)
            mine = attempt(next(logins), user_id=user)
            before = model.get(user, Counters())
            has_suspended = expected is not None and expected.suspended and not before.suspended
            given_back = partial(guard.given_back, has_suspended=has_suspended)
            adjusts: dict[str, Callable[[Counters], Counters]] = {"right": cleared, "resent": given_back}
            adjust = adjusts.get(what)
            end = settlement(mine, adjust=adjust)
            judge = (lambda _, end=end: end) if at_once and what != "unjudged" else None
            spent = it.spend(mine, partial(guard.reserve, now=now, kind=FactorKind.TOTP), judge)
            assert (spent is Refusal.BARRED) == (expected is None)
            if expected is not None:
                bars = (expected.locked_until, expected.suspended) != (before.locked_until, before.suspended)
                assert isinstance(spent, Reserved if bars or judge is None else Settlement)
                assert not isinstance(spent, Reserved) or spent.has_suspended == has_suspended
                model[user] = adjust(expected) if adjust else expected
                if what != "unjudged" and isinstance(spent, Reserved):
                    assert it.settle(end) is Settled.DONE
            assert it.counters(user) == model.get(user, Counters())

    agree()


# --- tokens -------------------------------------------------------------------------------------


def test_one_seed_is_one_token_of_a_user(it: Asked) -> None:
    assert it.add(new_token(1)) == [True]
    again = new_token(2, fingerprint=new_token(1).fingerprint)

    assert it.add(again, new_token(3)) == [False, True]
    assert [token.id for token in it.facts().tokens] == ["t1", "t3"]


def test_one_seed_twice_in_one_go_is_one_token(it: Asked) -> None:
    assert it.add(new_token(1), new_token(2, fingerprint=new_token(1).fingerprint)) == [True, False]


def test_two_users_may_have_one_seed(it: Asked) -> None:
    """As a shared device does; what it is worth is the administrator's to judge."""
    shared = new_token(2, user_id=BOB, fingerprint=new_token(1).fingerprint)

    assert it.add(new_token(1), shared) == [True, True]


def test_tokens_are_added_all_or_none(it: Asked) -> None:
    it.add(new_token(1))

    with pytest.raises(StoreError):
        it.add(new_token(2), new_token(3, id="t1"))
    assert [token.id for token in it.facts().tokens] == ["t1"]


def test_no_token_at_all_may_be_added(it: Asked) -> None:
    assert it.add() == []


def test_adding_a_token_leaves_the_counters_alone(it: Asked) -> None:
    it.spend(attempt())
    it.add(new_token())

    assert it.counters() == Counters(1, 1)


def test_a_token_is_confirmed_once_and_its_code_is_used_by_that(it: Asked) -> None:
    it.add(new_token(confirmed=False))

    assert it.run(it.store.confirm_token("t1", 7, 0)) is True
    assert it.facts().tokens == (replace(Token("t1", ALICE, "phone 1", b"sealed seed 1"), last_step=7),)
    assert it.run(it.store.confirm_token("t1", 9, 0)) is False
    assert it.last_step() == 7
    assert it.run(it.store.confirm_token("unknown", 7, 0)) is False


def test_confirming_never_takes_the_last_step_back(it: Asked) -> None:
    it.add(new_token(confirmed=False, last_step=9))

    assert it.run(it.store.confirm_token("t1", 7, 0)) is True
    assert it.last_step() == 9


# --- the rest -----------------------------------------------------------------------------------


def test_unlocking_clears_the_counters_and_leaves_the_tokens(it: Asked) -> None:
    it.add(new_token())
    for number in range(GUARD.failures):
        it.spend(attempt(number))
    assert GUARD.barred(it.counters(), it.clock.wall(), frozenset({FactorKind.TOTP}))

    assert it.run(it.store.unlock(ALICE))
    assert it.counters() == Counters()
    assert len(it.facts().tokens) == 1
    assert not it.run(it.store.unlock(BOB))


def test_a_spent_state_is_remembered_until_it_expires(it: Asked) -> None:
    it.spend(attempt(1, expires=NOON))
    it.spend(attempt(2, expires=NOON + 1))

    assert it.purge(NOON) == 0
    assert it.purge(NOON + 0.5) == 1
    assert isinstance(it.spend(attempt(1, answer=b"second answer")), Reserved)
    assert it.spend(attempt(2, answer=b"second answer")) is Refusal.SPENT


def test_what_is_settled_after_it_was_purged_is_an_error(it: Asked) -> None:
    it.add(new_token())
    it.spend(attempt())
    it.purge(NOON + 1)

    with pytest.raises(StoreError):
        it.settle(settlement(attempt(), TotpStep("t1", 7, 0), cleared))
    assert it.last_step() == 0


def test_old_logins_are_purged_and_counters_and_tokens_are_not(it: Asked) -> None:
    it.add(new_token())
    for login, when in enumerate((NOON, NOON + 1, NOON + 2)):
        it.spend(attempt(login, expires=NOON + 100))
        it.settle(settlement(attempt(login, expires=NOON + 100), time=when))

    assert it.purge(NOON, NOON + 2) == 2
    assert it.purge(NOON, NOON + 3) == 1
    assert it.counters() == Counters(3, 3)
    assert len(it.facts().tokens) == 1


def test_more_is_purged_than_one_transaction_takes(it: Asked) -> None:
    for login in range(1200):
        it.spend(attempt(login), unchanged)

    assert it.purge(NOON + 1) == 1200
    assert it.purge(NOON + 1) == 0


def test_nothing_is_done_after_the_deadline(it: Asked) -> None:
    late = it.clock.monotonic()

    with pytest.raises(StoreError):
        it.run(it.store.facts(ALICE, late))
    with pytest.raises(StoreError):
        it.run(it.store.spend(attempt(), count, late))
    assert it.counters() == Counters()
    it.spend(attempt())
    with pytest.raises(StoreError):
        it.run(it.store.settle(settlement(attempt()), late))
    assert isinstance(it.spend(attempt()), Reserved)


def test_a_closed_store_says_so_and_may_be_closed_again(it: Asked) -> None:
    it.run(it.store.close())

    with pytest.raises(StoreError):
        it.facts()
    with pytest.raises(StoreError):
        it.add(new_token())
