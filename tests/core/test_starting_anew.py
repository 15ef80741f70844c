"""Starting anew, of who can show no factor any more: the mailed link, the queue, and the end of all that was."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar, cast

import pyotp
import pytest

from radius_mfa.core.acts import Act
from radius_mfa.core.links import link_token
from radius_mfa.core.messages import AuditEvent, FactorKind
from radius_mfa.core.portal_store import Link
from radius_mfa.core.self_service import Result, SelfService, SelfServiceRules
from radius_mfa.core.starting_anew import LINK_LIFETIME
from radius_mfa.core.stored import Mail, MailKind
from radius_mfa.core.visits import Visit
from radius_mfa.factors.totp import base32
from radius_mfa.stores.sqlite import SqliteStore
from tests.adapters import NOON, PASSWORD, House, house, interleaved

T = TypeVar("T")
SOURCE = "192.0.2.9:50000"
ALL = frozenset(FactorKind)
ANEW = Visit(
    "v-anew",
    "u-alice",
    "alice",
    "en",
    None,
    desk=False,
    source=SOURCE,
    begun=NOON,
    shown=NOON,
    seen=NOON,
    expires=NOON + 1800,
    anew=True,
)


@dataclass
class Place:
    """A house where people help themselves."""

    house: House
    rules: SelfServiceRules
    audit: list[AuditEvent] = field(default_factory=list)

    @property
    def own(self) -> SelfService:
        it = self.house
        ports = (it.enrolment, it.store, it.sealer, it.clock, it.entropy, self.audit.append, self.rules)
        return SelfService(*ports)

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        return self.house.run(main)

    def ask(self, username: str = "alice", language: str = "en") -> Result:
        return self.run(self.own.ask_for_link(self.house.user(username), language, SOURCE))

    def mails(self) -> list[Mail]:
        now = self.house.clock.wall()
        mails = self.run(self.house.store.claim_mails(now, now + 60, 100))
        for mail in mails:
            self.run(self.house.store.drop_mail(mail.id))
        return list(mails)

    def link(self) -> Link:
        """What alice asks for, and follows."""
        assert self.ask() is Result.SENT
        found = self.run(self.own.link(self.token()))
        assert found is not None
        return found

    def token(self) -> str:
        (mail,) = self.mails()
        return link_token(self.house.sealer, mail.id)

    def begin(self, visit: Visit = ANEW) -> Visit:
        assert self.run(self.house.store.begin_visit(visit))
        return visit

    def now(self, visit: Visit) -> Visit | None:
        return self.run(self.house.store.visit(visit.id, self.house.clock.wall()))

    def with_seed(self, visit: Visit) -> tuple[Visit, pyotp.TOTP]:
        """The visit once it was shown a seed, and the app that has it."""
        seed = self.run(self.own.seed_for(visit))
        kept = self.now(visit)
        assert seed is not None
        assert kept is not None
        return kept, pyotp.TOTP(base32(seed))

    def code(self, app: pyotp.TOTP) -> str:
        return app.at(int(self.house.clock.wall()))

    def queue(self) -> list[tuple[str, str, str]]:
        return [(case.username, case.kind, case.source) for case in self.run(self.house.store.cases(10))]

    def said(self) -> list[tuple[str, str, str]]:
        return [(str(each.outcome), each.decision, each.detail) for each in self.audit]


@contextmanager
def place(**rules: Any) -> Iterator[Place]:
    with house() as it:
        it.enrol("alice")
        it.register("alice")
        yield Place(it, SelfServiceRules(**{"served": ALL, **rules}))


@pytest.fixture
def it() -> Iterator[Place]:
    """Alice has an app and an address; bob has nothing."""
    with place() as made:
        yield made


# --- asking -----------------------------------------------------------------------------------------


def test_a_link_is_mailed_to_the_address_that_is_verified(it: Place) -> None:
    assert it.ask(language="ja") is Result.SENT
    (mail,) = it.mails()
    assert (mail.kind, mail.address, mail.language) == (MailKind.LINK, "alice@example.net", "ja")
    assert (mail.expires, mail.code) == (NOON + LINK_LIFETIME, b"")
    assert it.said() == [(Act.LINK_ASKED, "done", "sent")]
    assert it.queue() == []


def test_three_a_day_and_used_ones_count(it: Place) -> None:
    link = it.link()
    assert it.run(it.own.use_link(link, SOURCE)) is Result.DONE
    assert [it.ask() for _ in range(3)] == [Result.SENT, Result.SENT, Result.TOO_MANY]
    assert it.said()[-1] == (Act.LINK_ASKED, "refused", "too_many")
    assert len(it.mails()) == 2
    it.house.clock.advance(86401)
    assert it.ask() is Result.SENT


@pytest.mark.parametrize("why", ["no address", "mail is not served", "links are switched off"])
def test_without_a_link_it_is_the_help_desks(why: str) -> None:
    rules: dict[str, dict[str, Any]] = {
        "mail is not served": {"served": frozenset({FactorKind.TOTP})},
        "links are switched off": {"initialise": False},
    }
    with place(**rules.get(why, {})) as it:
        if why == "no address":
            it.run(it.house.store.set_mail_address("u-alice", "alice", ""))
        assert [it.ask(), it.ask()] == [Result.QUEUED] * 2
        assert it.queue() == [("alice", "lost", SOURCE)]  # once
        assert it.said() == [(Act.HELP_ASKED, "done", "queued")] * 2
        assert it.mails() == []


def test_who_has_set_up_nothing_has_nothing_to_start_anew(it: Place) -> None:
    assert it.ask("bob") is Result.NOT_ADMITTED
    assert it.said() == [(Act.LINK_ASKED, "refused", "not_admitted")]
    assert (it.mails(), it.queue()) == ([], [])


def test_who_was_reset_is_the_help_desks(it: Place) -> None:
    it.run(it.house.store.reset("u-alice"))
    assert it.ask() is Result.QUEUED


# --- following --------------------------------------------------------------------------------------


def test_following_uses_nothing_up_and_using_does_once(it: Place) -> None:
    assert it.ask() is Result.SENT
    token = it.token()
    links = [it.run(it.own.link(token)) for _ in range(3)]
    assert links[0] is not None
    assert links == [links[0]] * 3
    assert [it.run(it.own.use_link(links[0], SOURCE)) for _ in range(2)] == [Result.DONE, Result.GONE]
    assert it.run(it.own.link(token)) is None
    assert it.said()[1:] == [(Act.LINK_USED, "done", ""), (Act.LINK_USED, "refused", "gone")]


def test_of_two_at_once_one_uses_it(it: Place) -> None:
    link = it.link()
    it.house.store = cast(SqliteStore, interleaved(it.house.store))
    own = it.own

    async def both() -> list[Result]:
        return await asyncio.gather(*(own.use_link(link, SOURCE) for _ in range(5)))

    assert sorted(it.run(both())) == [Result.DONE, *[Result.GONE] * 4]


def test_a_link_ends(it: Place) -> None:
    assert it.ask() is Result.SENT
    token = it.token()
    link = it.run(it.own.link(token))
    assert link is not None
    it.house.clock.advance(LINK_LIFETIME)
    assert it.run(it.own.link(token)) is None
    assert it.run(it.own.use_link(link, SOURCE)) is Result.GONE


def test_what_we_have_not_made_is_no_link(it: Place) -> None:
    assert it.run(it.own.link("made up")) is None


def test_once_links_are_switched_off_none_is_good() -> None:
    with place() as it:
        link = it.link()
        it.rules = replace(it.rules, initialise=False)
        assert it.run(it.own.use_link(link, SOURCE)) is Result.GONE


@pytest.mark.parametrize("by", ["reset", "another address"])
def test_what_changes_the_account_ends_its_links(it: Place, by: str) -> None:
    assert it.ask() is Result.SENT
    token = it.token()
    store = it.house.store
    if by == "reset":
        it.run(store.reset("u-alice"))
    else:
        it.run(store.set_mail_address("u-alice", "alice", "alice@other.example"))
    assert it.run(it.own.link(token)) is None


# --- the end of all that was ------------------------------------------------------------------------


def test_with_the_first_right_code_everything_else_is_gone_and_not_before(it: Place) -> None:
    it.run(it.house.enrolment.new_recovery_codes("u-alice", "alice"))
    other = it.begin(replace(ANEW, id="v-other", factor=FactorKind.TOTP, anew=False))
    visit, app = it.with_seed(it.begin())
    before = it.house.facts("alice")
    wrong = "000000" if it.code(app) != "000000" else "000001"
    assert it.run(it.own.add_token(visit, "new", wrong, inside=False)) is Result.WRONG
    assert it.house.facts("alice") == before
    assert it.run(it.own.add_token(visit, "new", it.code(app), inside=False)) is Result.DONE

    facts = it.house.facts("alice")
    assert [(token.label, token.confirmed) for token in facts.tokens] == [("new", True)]
    assert (facts.mail_address, facts.recovery_left, facts.required) == ("", 0, True)
    assert it.now(other) is None
    after = it.now(visit)
    assert after is not None
    assert (after.factor, after.anew, after.pending) == (FactorKind.TOTP, False, b"")
    told = [(mail.kind, mail.address) for mail in it.mails()]
    assert told == [(MailKind.STARTED_ANEW, "alice@example.net")]  # that was hers
    assert it.said() == [(Act.TOKEN_ADDED, "refused", "wrong"), (Act.STARTED_ANEW, "done", "new")]


def test_the_new_app_logs_in_and_the_old_one_does_not(it: Place) -> None:
    visit, app = it.with_seed(it.begin())
    assert it.run(it.own.add_token(visit, "", it.code(app), inside=False)) is Result.DONE
    it.house.clock.advance(30)
    assert it.house.challenged().says(it.house.code("alice")) == "challenge code_wrong"
    assert it.house.challenged().says(it.code(app)) == "accept accepted"


def test_parallel_confirmations_add_one_app(it: Place) -> None:
    visit, app = it.with_seed(it.begin())
    code = it.code(app)
    it.house.store = cast(SqliteStore, interleaved(it.house.store))
    own = it.own

    async def both() -> list[Result]:
        return await asyncio.gather(*(own.add_token(visit, "", code, inside=False) for _ in range(4)))

    assert sorted(it.run(both())) == [Result.DONE, *[Result.GONE] * 3]
    assert len(it.run(it.house.store.token_details("u-alice"))) == 1


def test_a_visit_that_was_ended_starts_nothing_anew(it: Place) -> None:
    visit, app = it.with_seed(it.begin())
    before = it.house.facts("alice")
    it.run(it.house.store.end_visits("u-alice"))
    assert it.run(it.own.add_token(visit, "", it.code(app), inside=False)) is Result.GONE
    assert it.house.facts("alice") == before
    assert it.said() == [(Act.STARTED_ANEW, "refused", "gone")]


def test_a_visit_that_starts_anew_does_nothing_else(it: Place) -> None:
    visit = it.begin()
    own, before = it.own, it.house.facts("alice")
    (token,) = before.tokens
    refused = [
        it.run(own.propose_address(visit, "evil@example.net", inside=True)),
        it.run(own.confirm_address(visit, "12345678", inside=True)),
        it.run(own.cancel_address(visit)),
        it.run(own.remove_token(visit, token.id)),
        it.run(own.rename_token(visit, token.id, "x")),
        it.run(own.test_token(visit, token.id, it.house.code("alice"))),
        it.run(own.new_recovery_codes(visit)),
        it.run(own.revoke_devices(visit, None)),
    ]
    assert refused == [
        Result.OUT_OF_ORDER,
        Result.OUT_OF_ORDER,
        Result.GONE,
        Result.GONE,
        Result.GONE,
        Result.AGAIN,
        Result.AGAIN,
        Result.AGAIN,
    ]
    assert it.house.facts("alice") == before
    assert it.mails() == []


def test_the_right_password_alone_starts_nothing_anew(it: Place) -> None:
    assert it.house.login().says(PASSWORD) == "challenge challenged"
    visit = it.begin(replace(ANEW, anew=False))
    visit, app = it.with_seed(visit)
    assert it.run(it.own.add_token(visit, "", it.code(app), inside=True)) is Result.SIGN_IN_ANEW
    assert len(it.house.facts("alice").tokens) == 1
