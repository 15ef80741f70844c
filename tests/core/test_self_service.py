"""What people do about their own second factors, and what they may not."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from radius_mfa.core.acting import LONGEST_LABEL, label_of
from radius_mfa.core.acts import Act
from radius_mfa.core.enrolment import Seed
from radius_mfa.core.links import link_token
from radius_mfa.core.messages import FactorKind
from radius_mfa.core.policy import Policy
from radius_mfa.core.portal_store import CaseKind, PastLogin
from radius_mfa.core.self_service import MOST_TOKENS, AllStore, Result
from radius_mfa.core.stored import Mail, MailKind
from radius_mfa.core.visits import FRESH_FOR, Visit
from radius_mfa.factors.totp import code_of
from tests.adapters import PASSWORD, PERIOD, House, house

EVERYWHERE = Policy("everywhere", factors=frozenset(FactorKind))
TOTP, MAIL, RECOVERY = FactorKind.TOTP, FactorKind.MAIL, FactorKind.RECOVERY_CODES
DAY = 86400.0


@pytest.fixture
def it() -> Iterator[House]:
    with house((EVERYWHERE,)) as it:
        yield it


def confirmed(it: House) -> list[bool]:
    """Of each of alice's tokens, whether it counts."""
    return sorted(token.confirmed for token in it.facts("alice").tokens)


def newest(it: House, before: set[str]) -> str:
    """The id of the one token that was not there before."""
    (new,) = {token.id for token in it.facts("alice").tokens} - before
    return new


def with_seed(it: House, visit: Visit) -> tuple[Visit, str]:
    """The visit once it was shown a seed, and the first code of that."""
    seed = it.run(it.self_service.seed_for(visit))
    assert seed is not None
    now = it.again(visit)
    assert now is not None
    return now, code_of(seed, it.clock.wall())


def add_token(it: House, visit: Visit, *, inside: bool = False, label: str = "phone") -> Result:
    visit, code = with_seed(it, visit)
    return it.run(it.self_service.add_token(visit, label, code, inside=inside))


def set_address(it: House, visit: Visit, address: str = "new@example.net", *, inside: bool = False) -> Result:
    """As far as it gets."""
    said = it.run(it.self_service.propose_address(visit, address, inside=inside))
    if said is not Result.SENT:
        return said
    ((_, code),) = it.mails()
    return it.run(it.self_service.confirm_address(visit, code, inside=inside))


def told(it: House) -> list[tuple[MailKind, str]]:
    return sorted((mail.kind, mail.address) for mail, _ in it.mails())


def acts(it: House) -> list[str]:
    return [f"{each.decision} {each.outcome} {each.detail}".strip() for each in it.audit]


def voucher(it: House, username: str = "alice") -> str:
    return it.run(it.enrolment.issue_voucher(f"u-{username}", username))[0]


def shown(it: House, visit: Visit, typed: str) -> Visit:
    assert it.run(it.self_service.show_voucher(visit, typed)) is Result.DONE
    now = it.again(visit)
    assert now is not None
    return now


class Meddled:
    """The house's store; something else happens just before one of its calls."""

    def __init__(self, it: House, call: str, meddle: Any) -> None:
        self._store, self._call, self._meddle = it.store, call, meddle

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._store, name)
        if name != self._call:
            return real

        async def call(*arguments: Any) -> Any:
            await self._meddle()
            return await real(*arguments)

        return call


def meddled(it: House, call: str, meddle: Any) -> AllStore:
    store: Any = Meddled(it, call, meddle)
    return store  # type: ignore[no-any-return]


# --- a first factor -----------------------------------------------------------------------------


def test_a_first_token_is_added_from_within(it: House) -> None:
    visit = it.visit(factor=None)

    assert add_token(it, visit, inside=True) is Result.DONE
    (token,) = it.facts("alice").tokens
    assert (token.confirmed, token.label) == (True, "phone")
    assert acts(it) == ["done token_added phone"]
    assert told(it) == []  # nobody knows an address


def test_its_first_code_is_used_up(it: House) -> None:
    visit, code = with_seed(it, it.visit(factor=None))
    it.run(it.self_service.add_token(visit, "", code, inside=True))

    assert it.challenged("alice").says(code) == "challenge code_used"


def test_a_password_alone_sets_up_nothing_from_elsewhere(it: House) -> None:
    visit = it.visit(factor=None)

    assert add_token(it, visit) is Result.NOT_ADMITTED
    assert set_address(it, visit) is Result.NOT_ADMITTED
    assert it.facts("alice").tokens == ()
    assert acts(it) == ["refused token_added not_admitted", "refused address_proposed not_admitted"]


def test_a_voucher_lets_in_from_elsewhere_and_is_used_up(it: House) -> None:
    typed = voucher(it)
    visit = shown(it, it.visit(factor=None), typed)

    assert add_token(it, visit) is Result.DONE
    assert it.run(it.store.waiting("u-alice", it.clock.wall()))[1] is None
    assert acts(it) == ["done voucher_shown", "done token_added phone"]
    assert typed not in repr(it.audit)


def test_a_wrong_voucher_lets_nobody_in(it: House) -> None:
    voucher(it)
    visit = it.visit(factor=None)

    assert it.run(it.self_service.show_voucher(visit, "abcd-efgh-jkmn")) is Result.WRONG
    assert add_token(it, visit) is Result.NOT_ADMITTED
    assert acts(it)[0] == "refused voucher_shown wrong"


def test_whoever_holds_a_factor_needs_no_voucher(it: House) -> None:
    typed = voucher(it)

    assert it.run(it.self_service.show_voucher(it.visit(), typed)) is Result.ALREADY
    assert acts(it) == ["refused voucher_shown already"]


def test_a_voucher_is_not_kept_in_a_visit_that_is_gone(it: House) -> None:
    typed, visit = voucher(it), it.visit(factor=None)
    it.run(it.store.end_visit(visit.id))

    assert it.run(it.self_service.show_voucher(visit, typed)) is Result.GONE
    assert it.run(it.self_service.seed_for(visit)) is None


def test_two_visits_with_one_voucher_set_up_one_token(it: House) -> None:
    typed = voucher(it)
    visits = [with_seed(it, shown(it, it.visit(factor=None), typed)) for _ in range(2)]

    async def both() -> Sequence[Result]:
        service = it.self_service
        return await asyncio.gather(*(service.add_token(each, "", code, inside=False) for each, code in visits))

    assert sorted(it.run(both())) == [Result.DONE, Result.NOT_ADMITTED]
    assert len(it.facts("alice").tokens) == 1


def test_a_voucher_that_was_shown_and_is_not_there_any_more_sets_up_no_address(it: House) -> None:
    it.serve_themselves(first=MAIL)
    visit = shown(it, it.visit(factor=None), voucher(it))
    it.run(it.self_service.propose_address(visit, "a@example.net", inside=False))
    ((_, code),) = it.mails()
    voucher(it)  # another, in its place

    assert it.run(it.self_service.confirm_address(visit, code, inside=False)) is Result.NOT_ADMITTED
    assert it.facts("alice").mail_address == ""


def test_a_factor_that_has_appeared_meanwhile_has_to_be_shown(it: House) -> None:
    visit = it.visit(factor=None)
    it.enrol("alice")

    assert add_token(it, visit, inside=True) is Result.SIGN_IN_ANEW
    assert set_address(it, visit, inside=True) is Result.SIGN_IN_ANEW


def test_of_two_first_tokens_at_the_same_time_none_is_left_that_nobody_noticed(it: House) -> None:
    visit = it.visit(factor=None)

    async def meddle() -> None:
        await it.enrolment.add([seed_of(it)], confirmed=True)

    it.serve_themselves(store=meddled(it, "add_tokens", meddle))

    assert add_token(it, visit, inside=True) is Result.SIGN_IN_ANEW
    assert len(it.facts("alice").tokens) == 1
    assert acts(it) == ["refused token_added sign_in_anew; phone"]


def test_nor_is_an_address(it: House) -> None:
    async def meddle() -> None:
        await it.enrolment.add([seed_of(it)], confirmed=True)

    it.serve_themselves(store=meddled(it, "accept_proposal", meddle), first=MAIL)

    assert set_address(it, it.visit(factor=None), inside=True) is Result.SIGN_IN_ANEW
    assert it.facts("alice").mail_address == ""


def seed_of(it: House) -> Seed:
    return Seed("u-alice", "alice", it.enrolment.new_seed())


@pytest.mark.parametrize("first", [TOTP, MAIL])
def test_the_administrators_order_is_kept(it: House, first: FactorKind) -> None:
    it.serve_themselves(first=first)
    visit = it.visit(factor=None)
    if first is TOTP:
        assert set_address(it, visit, inside=True) is Result.OUT_OF_ORDER
        assert add_token(it, visit, inside=True) is Result.DONE
        assert set_address(it, it.visit()) is Result.DONE
    else:
        assert add_token(it, visit, inside=True) is Result.OUT_OF_ORDER
        assert set_address(it, visit, inside=True) is Result.DONE
        assert add_token(it, it.visit(factor=MAIL)) is Result.DONE


# --- a factor more ------------------------------------------------------------------------------


@pytest.mark.parametrize("factor", [TOTP, RECOVERY])
def test_by_something_one_has_a_factor_is_added_at_once(it: House, factor: FactorKind) -> None:
    it.enrol("alice")
    it.register("alice", "old@example.net")
    visit = it.visit(factor=factor)

    assert add_token(it, visit) is Result.DONE
    assert told(it) == [(MailKind.TOKEN_ADDED, "old@example.net")]
    assert set_address(it, visit) is Result.DONE
    assert it.facts("alice").mail_address == "new@example.net"
    assert told(it) == [(MailKind.ADDRESS_SET, "new@example.net"), (MailKind.ADDRESS_SET, "old@example.net")]
    assert acts(it) == ["done token_added phone", "done address_proposed sent", "done address_set"]


def test_by_a_mailed_code_a_token_waits_and_all_are_told(it: House) -> None:
    it.enrol("alice")
    it.register("alice", "old@example.net")

    assert add_token(it, it.visit(factor=MAIL)) is Result.WAITING
    assert confirmed(it) == [False, True]
    ((mail, _),) = it.mails()
    assert (mail.kind, mail.address, mail.expires) == (
        MailKind.TOKEN_WAITING,
        "old@example.net",
        it.clock.wall() + DAY,
    )
    assert acts(it) == ["done token_added waiting; phone"]

    assert it.run(it.store.ripen(it.clock.wall() + DAY - 1)) == 0
    assert it.run(it.store.ripen(it.clock.wall() + DAY)) == 1
    assert confirmed(it) == [True, True]


def test_by_a_mailed_code_an_address_waits_and_both_are_told(it: House) -> None:
    it.enrol("alice")
    it.register("alice", "old@example.net")
    visit = it.visit(factor=MAIL)

    assert set_address(it, visit) is Result.WAITING
    assert it.facts("alice").mail_address == "old@example.net"
    waiting = [(MailKind.ADDRESS_WAITING, "new@example.net"), (MailKind.ADDRESS_WAITING, "old@example.net")]
    assert told(it) == waiting

    # And the one that waits hears of what is done next.
    assert add_token(it, visit) is Result.WAITING
    assert {address for _, address in told(it)} == {"new@example.net", "old@example.net"}
    it.run(it.store.ripen(it.clock.wall() + DAY))
    assert it.facts("alice").mail_address == "new@example.net"


def test_where_nothing_waits_a_mailed_code_does(it: House) -> None:
    it.serve_themselves(wait=0.0)
    it.enrol("alice")

    assert add_token(it, it.visit(factor=MAIL)) is Result.DONE
    assert all(token.confirmed for token in it.facts("alice").tokens)


def test_a_mailbox_does_not_become_a_help_desk(it: House) -> None:
    """Who may help others adds nothing at once by a mailed code, even where nothing else is held."""
    it.register("alice")

    assert add_token(it, it.visit(factor=MAIL)) is Result.DONE
    it.register("bob")
    assert add_token(it, it.visit("bob", factor=MAIL, desk=True)) is Result.WAITING


def test_nobody_has_more_tokens_than_anybody_needs(it: House) -> None:
    visit = it.visit()
    for number in range(MOST_TOKENS):
        assert add_token(it, visit, label=f"phone {number}") is Result.DONE

    assert add_token(it, visit) is Result.FULL
    assert len(it.facts("alice").tokens) == MOST_TOKENS


def test_what_was_shown_too_long_ago_is_shown_again(it: House) -> None:
    it.enrol("alice")
    visit, code = with_seed(it, it.visit())
    it.clock.advance(FRESH_FOR)
    inside = {"inside": True}

    assert it.run(it.self_service.add_token(visit, "", code, **inside)) is Result.AGAIN
    assert it.run(it.self_service.propose_address(visit, "a@example.net", **inside)) is Result.AGAIN
    assert it.run(it.self_service.confirm_address(visit, "12345678", **inside)) is Result.AGAIN
    assert it.run(it.self_service.test_token(visit, "t", code)) is Result.AGAIN
    assert it.run(it.self_service.new_recovery_codes(visit)) is Result.AGAIN
    (token,) = it.facts("alice").tokens
    assert it.run(it.self_service.remove_token(visit, token.id)) is Result.AGAIN
    assert [each.decision for each in it.audit] == ["refused"] * 6


def test_a_wrong_first_code_adds_nothing(it: House) -> None:
    visit, code = with_seed(it, it.visit())
    seed = it.run(it.self_service.seed_for(visit))
    assert seed is not None
    early, wrong = code_of(seed, it.clock.wall(), 4), "000000" if code != "000000" else "000001"

    assert it.run(it.self_service.add_token(visit, "", wrong, inside=False)) is Result.WRONG
    assert it.run(it.self_service.add_token(visit, "", early, inside=False)) is Result.CLOCK_WRONG
    assert it.facts("alice").tokens == ()
    assert not {wrong, early} & {word for act in acts(it) for word in act.split()}


def test_a_seed_is_the_same_until_its_token_is_there_and_then_another(it: House) -> None:
    visit = it.visit()
    now, code = with_seed(it, visit)
    seed = it.run(it.self_service.seed_for(now))
    assert seed is not None
    assert code_of(seed, it.clock.wall()) == code
    assert seed not in now.pending

    assert it.run(it.self_service.add_token(now, "", code, inside=False)) is Result.DONE
    assert it.run(it.self_service.add_token(now, "", code, inside=False)) is Result.ALREADY
    after = it.again(visit)
    assert after is not None
    assert it.run(it.self_service.seed_for(after)) != seed


def test_without_a_seed_that_was_shown_nothing_is_added(it: House) -> None:
    assert it.run(it.self_service.add_token(it.visit(), "", "123456", inside=False)) is Result.GONE


def test_a_seed_is_of_its_visit_alone(it: House) -> None:
    visit, code = with_seed(it, it.visit())
    other = replace(it.visit(), pending=visit.pending)

    assert it.run(it.self_service.add_token(other, "", code, inside=False)) is Result.GONE


def test_what_a_visit_adds_while_all_is_reset_does_not_stay(it: House) -> None:
    it.enrol("alice")
    visit, code = with_seed(it, it.visit())

    async def meddle() -> None:
        await it.enrolment.reset("u-alice")

    it.serve_themselves(store=meddled(it, "add_tokens", meddle))

    assert it.run(it.self_service.add_token(visit, "", code, inside=False)) is Result.GONE
    assert it.facts("alice").tokens == ()


@pytest.mark.parametrize(("typed", "kept"), [("  my\tphone\r\n2 ", "my phone 2"), ("x" * 99, "x" * LONGEST_LABEL)])
def test_a_label_is_one_line_of_some_length(it: House, typed: str, kept: str) -> None:
    visit = it.visit()
    assert label_of(typed) == kept

    add_token(it, visit, label=typed)
    (token,) = it.facts("alice").tokens
    assert token.label == kept
    assert it.run(it.self_service.rename_token(visit, token.id, f"{typed}\n")) is Result.DONE
    assert it.audit[-1].detail == kept


# --- tokens that there are ----------------------------------------------------------------------


def test_a_token_is_renamed_only_by_who_has_shown_a_factor(it: House) -> None:
    it.enrol("alice")
    (token,) = it.facts("alice").tokens

    assert it.run(it.self_service.rename_token(it.visit(factor=None), token.id, "x")) is Result.GONE
    assert it.run(it.self_service.rename_token(it.visit("bob"), token.id, "x")) is Result.GONE
    assert it.facts("alice").tokens[0].label == ""


def test_a_token_is_tested_by_a_code_that_is_used_up(it: House) -> None:
    it.enrol("alice")
    (token,) = it.facts("alice").tokens
    visit, code = it.visit(), it.code("alice")

    def test(token_id: str, code: str) -> Result:
        return it.run(it.self_service.test_token(visit, token_id, code))

    assert test(token.id, it.wrong_code("alice")) is Result.WRONG
    assert test(token.id, code) is Result.DONE
    assert test(token.id, code) is Result.USED
    assert test("another", code) is Result.GONE
    assert it.run(it.self_service.test_token(it.visit(factor=None), token.id, code)) is Result.AGAIN
    assert acts(it)[1] == "done token_tested"


def test_a_token_is_removed_and_whoever_has_the_phone_is_out(it: House) -> None:
    it.enrol("alice")
    it.enrol("alice")
    one, two = it.facts("alice").tokens
    visit, other = it.visit(), it.visit()

    assert it.run(it.self_service.remove_token(visit, one.id)) is Result.DONE
    assert [token.id for token in it.facts("alice").tokens] == [two.id]
    assert it.again(visit) is not None
    assert it.again(other) is None


def test_the_last_factor_stays(it: House) -> None:
    it.enrol("alice")
    (token,) = it.facts("alice").tokens

    assert it.run(it.self_service.remove_token(it.visit(), token.id)) is Result.LAST_FACTOR
    it.register("alice")
    it.serve_themselves(served={TOTP})
    assert it.run(it.self_service.remove_token(it.visit(), token.id)) is Result.LAST_FACTOR
    it.serve_themselves()
    assert it.run(it.self_service.remove_token(it.visit(), token.id)) is Result.DONE


def test_a_mailed_code_removes_no_token(it: House) -> None:
    it.enrol("alice")
    it.register("alice")
    (token,) = it.facts("alice").tokens

    assert it.run(it.self_service.remove_token(it.visit(factor=MAIL), token.id)) is Result.NEEDS_STRONGER
    assert it.run(it.self_service.remove_token(it.visit(factor=None), token.id)) is Result.GONE
    assert it.run(it.self_service.remove_token(it.visit("bob"), token.id)) is Result.GONE
    assert len(it.facts("alice").tokens) == 1


def test_a_token_that_waits_is_cancelled_whenever(it: House) -> None:
    it.enrol("alice")
    before = {token.id for token in it.facts("alice").tokens}
    visit = it.visit(factor=MAIL)
    add_token(it, visit)
    waits = newest(it, before)
    it.clock.advance(FRESH_FOR)

    assert it.run(it.self_service.remove_token(visit, waits)) is Result.DONE
    assert acts(it)[-1] == "done waiting_cancelled phone"


@pytest.mark.parametrize("is_confirmed", [True, False])
def test_what_is_removed_twice_at_once_is_gone(it: House, is_confirmed: bool) -> None:
    it.enrol("alice")
    before = {token.id for token in it.facts("alice").tokens}
    it.enrol("alice", confirmed=is_confirmed)
    token_id = newest(it, before)

    async def meddle() -> None:
        await it.enrolment.remove_token("u-alice", token_id)

    it.serve_themselves(store=meddled(it, "remove_token", meddle))

    assert it.run(it.self_service.remove_token(it.visit(), token_id)) is Result.GONE


# --- the address --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "result"),
    [("no address", Result.UNREADABLE), ("alice@blocked.example", Result.BLOCKED), ("a@example.net", Result.SENT)],
)
def test_an_address_has_to_be_one(it: House, address: str, result: Result) -> None:
    assert it.run(it.self_service.propose_address(it.visit(), address, inside=False)) is result
    assert address not in repr(it.audit)


def test_a_wrong_code_sets_no_address(it: House) -> None:
    visit = it.visit()
    it.run(it.self_service.propose_address(visit, "a@example.net", inside=False))
    ((_, code),) = it.mails()

    assert it.run(it.self_service.confirm_address(visit, "x" + code, inside=False)) is Result.WRONG
    assert code not in repr(it.audit)
    assert it.run(it.self_service.confirm_address(visit, code, inside=False)) is Result.DONE
    assert it.run(it.self_service.confirm_address(visit, code, inside=False)) is Result.WRONG


def test_an_address_that_is_gone_by_now_is_not_set(it: House) -> None:
    async def meddle() -> None:
        await it.store.drop_proposal("u-alice")

    it.serve_themselves(store=meddled(it, "accept_proposal", meddle))

    assert set_address(it, it.visit()) is Result.GONE


def test_an_address_that_waits_is_cancelled(it: House) -> None:
    it.enrol("alice")
    visit = it.visit(factor=MAIL)
    assert set_address(it, visit) is Result.WAITING

    assert it.run(it.self_service.cancel_address(it.visit(factor=None))) is Result.GONE
    assert it.run(it.self_service.cancel_address(visit)) is Result.DONE
    assert it.run(it.self_service.cancel_address(visit)) is Result.GONE
    it.run(it.store.ripen(it.clock.wall() + DAY))
    assert it.facts("alice").mail_address == ""


def test_what_is_not_served_is_not_set_up(it: House) -> None:
    it.serve_themselves(served={TOTP})
    visit = it.visit()
    assert set_address(it, visit) is Result.NOT_SERVED
    assert it.run(it.self_service.confirm_address(visit, "12345678", inside=False)) is Result.NOT_SERVED
    assert it.run(it.self_service.new_recovery_codes(visit)) is Result.NOT_SERVED

    it.serve_themselves(served={MAIL})
    assert add_token(it, visit) is Result.NOT_SERVED


# --- recovery codes, devices, logins ------------------------------------------------------------


def test_recovery_codes_take_the_place_of_all_there_were(it: House) -> None:
    it.enrol("alice")
    it.register("alice")
    visit, other = it.visit(), it.visit()
    old = it.run(it.self_service.new_recovery_codes(visit))
    new = it.run(it.self_service.new_recovery_codes(visit))
    assert isinstance(old, list)
    assert isinstance(new, list)

    assert not set(old) & set(new)
    assert it.facts("alice").recovery_left == len(new) == 10
    assert told(it) == [(MailKind.RECOVERY_CODES_MADE, "alice@example.net")] * 2
    assert acts(it) == ["done recovery_codes_made"] * 2
    assert not any(code in repr(it.audit) for code in new)
    assert it.again(other) is None


def test_a_mailed_code_makes_no_recovery_codes_where_more_is_held(it: House) -> None:
    it.enrol("alice")

    assert it.run(it.self_service.new_recovery_codes(it.visit(factor=MAIL))) is Result.NEEDS_STRONGER
    assert it.run(it.self_service.new_recovery_codes(it.visit(factor=None))) is Result.AGAIN


def test_recovery_codes_that_a_reset_overtakes_do_not_stay(it: House) -> None:
    it.enrol("alice")
    visit = it.visit()

    async def meddle() -> None:
        await it.enrolment.reset("u-alice")

    it.serve_themselves(store=meddled(it, "visit", meddle))
    assert it.run(it.self_service.new_recovery_codes(visit)) is Result.GONE
    assert it.facts("alice").recovery_left == 0
    assert acts(it)[-1] == "refused recovery_codes_made gone"


def test_devices_are_revoked_by_who_has_shown_a_factor(it: House) -> None:
    visit = it.visit(factor=MAIL)

    assert it.run(it.self_service.revoke_devices(it.visit(factor=None), None)) is Result.AGAIN
    assert it.run(it.self_service.revoke_devices(visit, "no such")) is Result.GONE
    assert it.run(it.self_service.revoke_devices(visit, None)) is Result.DONE


LOGIN = PastLogin(0.0, "ab" * 16, 2, "vpn", "02:00", "198.51.100.7:1", "staff", "totp", "accepted", "accept")


def test_a_login_that_was_not_theirs_ends_all_that_came_of_it(it: House) -> None:
    it.enrol("alice")
    it.register("alice")
    visit, other, bobs = it.visit(factor=MAIL), it.visit(), it.visit("bob")
    since = it.facts("alice").codes_since
    it.clock.advance(PERIOD)

    assert it.run(it.self_service.disown(visit, LOGIN)) is Result.DONE
    assert it.again(visit) is not None
    assert it.again(other) is None
    assert it.again(bobs) is not None
    assert it.facts("alice").codes_since > since
    (case,) = it.run(it.store.cases(10))
    assert (case.kind, case.user_id) == (CaseKind.DISOWNED, "u-alice")
    assert case.detail == f"vpn, accepted, totp, from 02:00, login {'ab' * 16}"
    assert told(it) == [(MailKind.LOGIN_DISOWNED, "alice@example.net")]
    assert acts(it) == [f"done login_disowned {case.detail}"]


def test_a_login_disowned_again_is_no_news(it: House) -> None:
    it.register("alice")
    for _ in range(2):
        assert it.run(it.self_service.disown(it.visit(factor=MAIL), LOGIN)) is Result.DONE

    assert len(it.run(it.store.cases(10))) == 1
    assert told(it) == [(MailKind.LOGIN_DISOWNED, "alice@example.net")]


def test_of_a_login_without_a_factor_or_a_device_that_is_said(it: House) -> None:
    it.run(it.self_service.disown(it.visit(), replace(LOGIN, station="", factor="")))

    assert "no factor, from 198.51.100.7:1," in it.audit[-1].detail
    assert it.run(it.self_service.disown(it.visit(factor=None), LOGIN)) is Result.AGAIN


# --- starting anew ------------------------------------------------------------------------------


def ask_for_link(it: House, username: str = "alice") -> Result:
    return it.run(it.self_service.ask_for_link(it.user(username), "en", "192.0.2.9:1"))


def token_of(it: House, mail: Mail) -> str:
    return link_token(it.sealer, mail.id)


@pytest.mark.parametrize("rules", [{"initialise": False}, {"served": {MAIL}}, {"served": {TOTP}}])
def test_where_nobody_starts_anew_by_mail_the_help_desk_is_asked(it: House, rules: dict[str, Any]) -> None:
    it.enrol("alice")
    it.register("alice")
    ask_for_link(it)
    ((mail, _),) = it.mails()
    link = it.run(it.self_service.link(token_of(it, mail)))
    assert link is not None
    it.serve_themselves(**rules)

    assert ask_for_link(it) is Result.QUEUED
    if rules != {"served": {TOTP}}:
        assert it.run(it.self_service.use_link(link, "")) is Result.GONE


def test_starting_anew_ends_all_there_was_with_the_new_token(it: House) -> None:
    it.enrol("alice")
    it.register("alice", "old@example.net")
    it.run(it.enrolment.new_recovery_codes("u-alice", "alice"))
    assert set_address(it, it.visit(factor=MAIL)) is Result.WAITING
    it.mails()
    visit, other = it.visit(factor=None, anew=True), it.visit()
    (old,) = it.facts("alice").tokens

    assert set_address(it, visit) is Result.OUT_OF_ORDER
    assert it.run(it.self_service.confirm_address(visit, "12345678", inside=False)) is Result.OUT_OF_ORDER
    assert it.facts("alice").tokens == (old,)
    assert add_token(it, visit) is Result.DONE

    facts = it.facts("alice")
    (token,) = facts.tokens
    assert token.id != old.id
    assert (token.confirmed, facts.mail_address, facts.recovery_left) == (True, "", 0)
    after = it.again(visit)
    assert after is not None
    assert (after.factor, after.anew, after.pending) == (TOTP, False, b"")
    assert it.again(other) is None
    assert told(it) == [(MailKind.STARTED_ANEW, "new@example.net"), (MailKind.STARTED_ANEW, "old@example.net")]
    assert acts(it)[-1] == "done started_anew phone"


def test_a_visit_starts_anew_once(it: House) -> None:
    it.enrol("alice")
    visit, code = with_seed(it, it.visit(factor=None, anew=True))
    assert it.run(it.self_service.add_token(visit, "", code, inside=False)) is Result.DONE

    assert it.run(it.self_service.add_token(visit, "", code, inside=False)) is Result.GONE
    assert len(it.facts("alice").tokens) == 1


# --- the audit file -----------------------------------------------------------------------------


def test_signing_in_and_out_are_acts(it: House) -> None:
    it.self_service.signed(it.visit(), Act.SIGNED_IN)
    it.self_service.signed(it.visit(factor=None), Act.SIGNED_OUT)

    assert acts(it) == ["done signed_in by totp", "done signed_out by password alone"]


def test_an_act_says_who_and_from_where(it: House) -> None:
    it.self_service.signed(it.visit(source="[2001:db8::1]:7"), Act.SIGNED_IN)
    (event,) = it.audit

    said = (event.client, event.source, event.user_name, event.user_id, event.username, event.by)
    assert said == ("portal", "[2001:db8::1]:7", "alice", "u-alice", "alice", "")
    assert PASSWORD not in repr(event)
