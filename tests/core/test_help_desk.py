"""What the help desk does for others: who may, what comes of it, and what is written down."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest

from radius_mfa.core.acts import Act
from radius_mfa.core.enrolment import Enrolment, EnrolmentRules
from radius_mfa.core.guard import Counters
from radius_mfa.core.help_desk import HelpDesk
from radius_mfa.core.messages import AuditEvent, FactorKind, User
from radius_mfa.core.outcomes import Outcome
from radius_mfa.core.portal_store import Case, CaseKind
from radius_mfa.core.self_service import Result
from radius_mfa.core.stored import MailKind
from radius_mfa.core.visits import FRESH_FOR, Visit
from radius_mfa.stores.sqlite import SqliteStore
from tests.adapters import NOON, PASSWORD, House, house, interleaved

BOB = Visit(
    "v-bob",
    "u-bob",
    "bob",
    "en",
    FactorKind.TOTP,
    desk=True,
    source="192.0.2.9:50000",
    begun=NOON,
    shown=NOON,
    seen=NOON,
    expires=NOON + 8 * 3600,
)
Helps = Callable[[HelpDesk, Visit, User], Coroutine[Any, Any, object]]
ACTS: dict[Act, Helps] = {
    Act.UNLOCKED: lambda desk, by, user: desk.unlock(by, user),
    Act.RESET: lambda desk, by, user: desk.reset(by, user),
    Act.VOUCHER_ISSUED: lambda desk, by, user: desk.issue_voucher(by, user),
    Act.ADDRESS_SET: lambda desk, by, user: desk.set_address(by, user, "new@example.net"),
}


@dataclass
class Place:
    """A house with a help desk."""

    house: House
    vouchers: bool
    audit: list[AuditEvent] = field(default_factory=list)

    @property
    def desk(self) -> HelpDesk:
        it = self.house
        rules = EnrolmentRules(("blocked.example",))
        enrolment = Enrolment(it.store, it.sealer, it.totp, it.clock, it.entropy, rules)
        ports = (enrolment, it.store, it.directory, it.clock, it.entropy, self.audit.append)
        return HelpDesk(*ports, vouchers=self.vouchers)

    def run(self, helps: Helps, by: Visit = BOB, username: str = "alice") -> object:
        return self.house.run(helps(self.desk, by, self.house.user(username)))

    def said(self) -> list[tuple[str, str, str, str, str]]:
        """What was written down: act, decision, whose account, by whom, detail."""
        return [(str(each.outcome), each.decision, each.user_id, each.by, each.detail) for each in self.audit]

    def told(self) -> set[tuple[MailKind, str, str]]:
        now = self.house.clock.wall()
        mails = self.house.run(self.house.store.claim_mails(now, now + 60, 100))
        return {(mail.kind, mail.address, mail.language) for mail in mails}

    def queue(self, *cases: Case) -> None:
        for case in cases:
            self.house.run(self.house.store.open_case(case))


@contextmanager
def place(*, vouchers: bool = True) -> Iterator[Place]:
    with house() as it:
        it.enrol("alice")
        it.register("alice")
        yield Place(it, vouchers)


@pytest.fixture
def it() -> Iterator[Place]:
    """Alice has an app and an address; bob is of the help desk."""
    with place() as made:
        yield made


# --- who may ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "by",
    [
        replace(BOB, desk=False),
        replace(BOB, factor=None),
        replace(BOB, factor=FactorKind.MAIL),  # one more password
    ],
)
def test_nobody_helps_without_a_factor_that_one_has(it: Place, by: Visit) -> None:
    everything: list[Helps] = [
        *ACTS.values(),
        lambda desk, by, user: desk.find(by, user.username),
        lambda desk, by, user: desk.account(by, user),
        lambda desk, by, user: desk.cases(by),
        lambda desk, by, user: desk.answer(by, "c1"),
    ]
    it.queue(Case("c1", "u-alice", "alice", CaseKind.LOST, "", "s", NOON))
    for helps in everything:
        with pytest.raises(PermissionError):
            it.run(helps, by)
    assert it.audit == []
    assert it.house.facts("alice").tokens


def test_a_recovery_code_is_something_that_one_has(it: Place) -> None:
    by = replace(BOB, factor=FactorKind.RECOVERY_CODES)
    assert it.run(ACTS[Act.UNLOCKED], by) is Result.DONE


@pytest.mark.parametrize("act", ACTS)
def test_nobody_helps_themselves(it: Place, act: Act) -> None:
    it.house.enrol("bob")
    before = it.house.facts("bob")
    assert it.run(ACTS[act], username="bob") is Result.OWN_ACCOUNT
    assert it.house.facts("bob") == before
    assert it.said() == [(act, "refused", "u-bob", "bob", "own_account")]


@pytest.mark.parametrize("act", ACTS)
def test_password_and_factor_were_shown_just_now(it: Place, act: Act) -> None:
    before = it.house.facts("alice")
    it.house.clock.advance(FRESH_FOR)
    assert it.run(ACTS[act]) is Result.AGAIN
    assert it.house.facts("alice") == before
    assert it.said() == [(act, "refused", "u-alice", "bob", "again")]


def test_nobody_takes_themselves_off_the_queue(it: Place) -> None:
    it.queue(Case("c1", "u-bob", "bob", CaseKind.LOST, "", "s", NOON))
    assert it.run(lambda desk, by, user: desk.answer(by, "c1")) is Result.OWN_ACCOUNT
    assert it.said() == [(Act.CASE_ANSWERED, "refused", "u-bob", "bob", "own_account; lost")]
    assert len(it.house.run(it.desk.cases(BOB))) == 1


# --- looking ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("ALICE", "u-alice"),
        ("DOMAIN\\alice", "u-alice"),
        ("carol", "u-carol"),  # who is not activated may want to know why
        ("nobody", Outcome.UNKNOWN_USER),
        ("", Outcome.NAME_UNREADABLE),
    ],
)
def test_whom_the_desk_means(it: Place, typed: str, found: str) -> None:
    user = it.house.run(it.desk.find(BOB, typed))
    assert (user.id if isinstance(user, User) else user) == found


def test_who_looks_at_an_account_is_written_down(it: Place) -> None:
    login = it.house.challenged()
    login.says(it.house.code("alice"))
    it.house.run(it.desk.issue_voucher(BOB, it.house.user("alice")))
    account = it.house.run(it.desk.account(BOB, it.house.user("alice")))
    assert account.facts.mail_address == "alice@example.net"
    assert len(account.tokens) == 1
    assert account.devices == []
    assert [login.outcome for login in account.logins] == ["accepted"]
    proposal, voucher = account.waiting
    assert proposal is None
    assert voucher is not None
    assert it.said()[-1] == (Act.LOOKED_AT, "done", "u-alice", "bob", "")


# --- acts -------------------------------------------------------------------------------------------


def test_unlocking_forgets_what_was_wrong(it: Place) -> None:
    for code in it.house.wrong_codes("alice", 10):
        it.house.challenged().says(code)
    assert it.house.login().says(PASSWORD) == "reject locked"
    assert it.run(ACTS[Act.UNLOCKED]) is Result.DONE
    assert it.house.counters("alice") == Counters()
    assert it.house.login().says(PASSWORD) == "challenge challenged"
    assert it.said() == [(Act.UNLOCKED, "done", "u-alice", "bob", "")]


def test_of_who_was_never_seen_there_is_nothing_to_unlock_or_reset(it: Place) -> None:
    it.house.directory.users["dora"] = User("u-dora", "dora", "uid=dora")
    for act in (Act.UNLOCKED, Act.RESET):
        assert it.run(ACTS[act], username="dora") is Result.GONE
    assert [decision for _, decision, *_ in it.said()] == ["refused", "refused"]
    assert it.told() == set()


def test_a_reset_is_told_to_the_address_that_was(it: Place) -> None:
    assert it.run(ACTS[Act.RESET]) is Result.DONE
    assert it.house.facts("alice").tokens == ()
    assert it.told() == {(MailKind.RESET, "alice@example.net", "en")}
    assert it.house.login().says(PASSWORD) == "reject unenrolled"


def test_a_reset_of_who_has_no_address_is_told_nowhere(it: Place) -> None:
    it.house.run(it.house.store.set_mail_address("u-alice", "alice", ""))
    assert it.run(ACTS[Act.RESET]) is Result.DONE
    assert it.told() == set()


def test_a_voucher_is_good_and_in_no_event(it: Place) -> None:
    issued = it.run(ACTS[Act.VOUCHER_ISSUED])
    assert isinstance(issued, tuple)
    voucher, expires = issued
    assert expires == NOON + 7 * 86400
    assert it.house.run(it.house.enrolment.redeem_voucher("u-alice", voucher))
    assert voucher not in repr(it.audit)
    assert it.said() == [(Act.VOUCHER_ISSUED, "done", "u-alice", "bob", "")]


def test_who_is_not_activated_gets_no_voucher(it: Place) -> None:
    assert it.run(ACTS[Act.VOUCHER_ISSUED], username="carol") is Result.NOT_ACTIVATED
    assert it.said() == [(Act.VOUCHER_ISSUED, "refused", "u-carol", "bob", "not_activated")]


def test_where_no_voucher_is_taken_none_is_issued() -> None:
    with place(vouchers=False) as it:
        assert it.run(ACTS[Act.VOUCHER_ISSUED]) is Result.NOT_SERVED


def test_both_addresses_hear_of_a_new_one(it: Place) -> None:
    assert it.run(ACTS[Act.ADDRESS_SET]) is Result.DONE
    assert it.house.facts("alice").mail_address == "new@example.net"
    kinds = {(MailKind.ADDRESS_SET, address, "en") for address in ("alice@example.net", "new@example.net")}
    assert it.told() == kinds


def test_the_same_address_hears_of_it_once(it: Place) -> None:
    it.run(lambda desk, by, user: desk.set_address(by, user, "alice@example.net"))
    assert it.told() == {(MailKind.ADDRESS_SET, "alice@example.net", "en")}


@pytest.mark.parametrize(
    ("address", "result"), [("nonsense", Result.UNREADABLE), ("a@blocked.example", Result.BLOCKED)]
)
def test_an_address_that_cannot_be_kept(it: Place, address: str, result: Result) -> None:
    assert it.run(lambda desk, by, user: desk.set_address(by, user, address)) is result
    assert it.house.facts("alice").mail_address == "alice@example.net"
    assert it.said() == [(Act.ADDRESS_SET, "refused", "u-alice", "bob", result.value)]
    assert it.told() == set()


# --- the queue --------------------------------------------------------------------------------------


def test_the_longest_waiting_is_first_and_is_answered_once(it: Place) -> None:
    it.queue(
        Case("c2", "u-alice", "alice", CaseKind.DISOWNED, "vpn", "s", NOON + 5),
        Case("c1", "u-alice", "alice", CaseKind.LOST, "", "s", NOON),
    )
    assert [case.id for case in it.house.run(it.desk.cases(BOB))] == ["c1", "c2"]
    results = [it.house.run(it.desk.answer(BOB, "c2")) for _ in range(2)]
    assert results == [Result.DONE, Result.GONE]
    assert it.said() == [(Act.CASE_ANSWERED, "done", "u-alice", "bob", "disowned vpn")]


def test_of_two_at_once_one_has_answered(it: Place) -> None:
    it.queue(Case("c1", "u-alice", "alice", CaseKind.LOST, "", "s", NOON))
    it.house.store = cast(SqliteStore, interleaved(it.house.store))
    desk, eve = it.desk, replace(BOB, username="eve")

    async def both() -> list[Result]:
        return await asyncio.gather(*(desk.answer(by, "c1") for by in (BOB, eve)))

    assert sorted(it.house.run(both())) == [Result.DONE, Result.GONE]
    assert [decision for _, decision, *_ in it.said()] in (["done", "refused"], ["refused", "done"])
