"""What somebody tries who has stolen something: a cookie, a phone, a password, a mailbox; and what is under way.

What happens at the same moment is made to: the store is the real one, and just before it is asked something else
is done in it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from typing import Any, cast

import pytest

from radius_mfa.core.self_service import MOST_TOKENS
from radius_mfa.core.stored import MailKind
from radius_mfa.stores.sqlite import SqliteStore
from tests.adapters import PASSWORD
from tests.portal.browsing import CAMPUS, HELP_DESK, Browser, Portal, portal

ALICE, OWNERS = "u-alice", "203.0.113.5"


@pytest.fixture
def it() -> Iterator[Portal]:
    with portal() as portal_:
        portal_.house.enrol("alice")
        portal_.house.register("alice")
        yield portal_


class _Before:
    """A store in which something happens just before it is asked that for the first time."""

    def __init__(self, store: SqliteStore, call: str, meddle: Callable[[], Awaitable[object]]) -> None:
        self._store = store
        self._call = call
        self._meddle: Callable[[], Awaitable[object]] | None = meddle

    def __getattr__(self, name: str) -> Any:
        asked = getattr(self._store, name)
        if name != self._call or self._meddle is None:
            return asked
        meddle, self._meddle = self._meddle, None

        async def after(*arguments: Any, **named: Any) -> Any:
            await meddle()
            return await asked(*arguments, **named)

        return after


def reset_before(it: Portal, call: str) -> None:
    """The help desk resets alice a moment before the store is asked that."""
    store = it.house.store

    async def reset() -> None:
        it.house.clock.advance(0.01)
        await store.reset(ALICE)

    it.house.store = cast(SqliteStore, _Before(store, call, reset))
    it.open_again()


def app_of(it: Portal, browser: Browser, path: str) -> None:
    """Enter the first code of the app that the page shows the key of."""
    it.knows("alice", browser.page.codes[0])
    browser.submit(path, code=it.house.code("alice", token=-1))


def adds_app(it: Portal, browser: Browser) -> None:
    browser.open("/tokens/new")
    browser.submit("/tokens/new")
    app_of(it, browser, "/tokens/new/app")


def owner(it: Portal) -> Browser:
    browser = it.browser(OWNERS)
    browser.sign_in("alice", it.next_code("alice"))
    return browser


def disowns(it: Portal, browser: Browser) -> None:
    login = it.house.run(it.house.store.logins(ALICE, 0, 10))[0].login
    browser.open(f"/logins/{login}")
    browser.submit(f"/logins/{login}")


def follows_link(it: Portal, browser: Browser) -> str:
    """The path of the link that was mailed, which was followed, and the password shown."""
    it.mails()
    browser.open("/lost")
    browser.submit("/lost", username="alice", password=PASSWORD)
    (letter,) = it.mails()
    return f"/link/{letter.carried}"


def of_desk(it: Portal) -> None:
    it.house.directory.users["alice"] = replace(it.house.user("alice"), groups=frozenset({HELP_DESK}))


# --- the same answer again ------------------------------------------------------------------------


@pytest.mark.parametrize("ended", ["removed", "disowned", "signed out"])
def test_an_answer_sent_again_begins_no_visit_after_the_visits_were_ended(it: Portal, ended: str) -> None:
    """A gateway is given that again whose reply was lost (RFC 5080 §2.2.2); a browser is not."""
    it.house.enrol("alice")
    mine = it.browser(OWNERS)
    mine.sign_in("alice", it.house.code("alice", token=1))
    thief = it.browser()
    thief.open("/sign-in")
    thief.submit(username="alice", password=PASSWORD)
    form = next(each.fields for each in thief.page.forms if "state" in each.fields)
    form["code"] = it.house.code("alice", token=0)
    before = dict(thief.cookies)
    thief.post("/sign-in/code", form)
    assert thief.open("/tokens").path == "/tokens"

    it.house.clock.advance(1)
    if ended == "removed":
        path = f"/tokens/{it.house.facts('alice').tokens[0].id}/remove"
        mine.open(path)
        mine.submit(path)
    elif ended == "disowned":
        disowns(it, mine)
    else:
        thief.submit("/sign-out")
    thief.cookies = before
    thief.post("/sign-in/code", form)

    assert thief.page.status == 403
    assert thief.open("/tokens").path == "/sign-in"


# --- what is under way while all is reset -----------------------------------------------------------


def test_recovery_codes_that_are_made_while_all_is_reset_do_not_stay(it: Portal) -> None:
    thief = it.browser()
    thief.sign_in("alice", it.house.code("alice"))
    thief.open("/recovery-codes")
    reset_before(it, "set_recovery_codes")
    thief.submit("/recovery-codes")

    assert thief.page.codes == []
    assert it.house.facts("alice").recovery_left == 0
    assert it.acts()[-1] == "refused recovery_codes_made"


def test_a_sign_in_that_a_reset_overtakes_begins_no_visit(it: Portal) -> None:
    thief = it.browser()
    thief.open("/sign-in")
    thief.submit(username="alice", password=PASSWORD)
    reset_before(it, "begin_visit")
    thief.submit(code=it.house.code("alice"))

    assert thief.open("/tokens").path == "/sign-in"


def test_a_link_that_was_just_used_does_not_outlive_a_reset(it: Portal) -> None:
    thief = it.browser()
    thief.open(follows_link(it, thief))
    reset_before(it, "begin_visit")
    thief.submit(password=PASSWORD)

    assert thief.open("/set-up").path == "/sign-in"


# --- it was not me ----------------------------------------------------------------------------------


def test_who_says_it_was_not_me_ends_what_waits(it: Portal) -> None:
    thief = it.browser()
    thief.sign_in_by_mail("alice")
    adds_app(it, thief)
    assert len(it.house.facts("alice").tokens) == 2
    it.house.seeds["alice"].pop()

    disowns(it, owner(it))

    assert len(it.house.facts("alice").tokens) == 1


def test_who_says_it_was_not_me_ends_a_link(it: Portal) -> None:
    thief = it.browser()
    path = follows_link(it, thief)
    assert thief.open(path).status == 200

    disowns(it, owner(it))

    assert thief.open(path).status == 404


def test_who_says_so_again_and_again_is_told_once(it: Portal) -> None:
    mine = owner(it)
    it.mails()
    for _ in range(5):
        disowns(it, mine)

    assert [letter.mail.kind for letter in it.mails()] == [MailKind.LOGIN_DISOWNED]


def test_another_address_ends_a_visit_that_starts_anew(it: Portal) -> None:
    thief = it.browser()
    thief.open(follows_link(it, thief))
    thief.submit(password=PASSWORD)
    assert thief.page.path.startswith("/set-up")
    mine = owner(it)
    mine.open("/address/new")
    it.mails()
    mine.submit("/address/new", address="alice@other.example")
    (letter,) = it.mails()
    mine.submit("/address/code", code=letter.carried)

    assert thief.open("/set-up").path == "/sign-in"


# --- a mailbox, and the help desk -------------------------------------------------------------------


def test_by_a_mailed_link_nobody_becomes_the_help_desk(it: Portal) -> None:
    of_desk(it)
    thief = it.browser()
    thief.open("/lost")
    thief.submit("/lost", username="alice", password=PASSWORD)

    assert it.mails() == []
    assert it.acts()[-1] == "done help_asked"


def test_nor_by_a_link_from_before_they_were_of_it(it: Portal) -> None:
    thief = it.browser()
    path = follows_link(it, thief)
    of_desk(it)
    thief.open(path)

    assert thief.submit(password=PASSWORD).status == 404


@pytest.mark.parametrize("wait", [86400.0, 0.0], ids=["a day", "not at all"])
def test_a_mailbox_makes_nobody_of_the_help_desk_who_has_no_app(wait: float) -> None:
    """However long others wait."""
    with portal(wait=wait) as it:
        it.house.register("alice")
        of_desk(it)
        thief = it.browser()
        thief.sign_in_by_mail("alice")
        adds_app(it, thief)

        (token,) = it.house.facts("alice").tokens
        assert not token.confirmed
        assert thief.open("/desk").status == 404


def test_a_password_from_within_makes_nobody_of_the_help_desk() -> None:
    with portal() as it:
        of_desk(it)
        thief = it.browser(CAMPUS)
        thief.sign_in("alice")
        thief.open("/set-up/clock")

        assert thief.page.path == "/set-up"
        assert it.house.facts("alice").tokens == ()


def test_a_voucher_makes_an_app_and_the_help_desk_takes_a_sign_in_with_it() -> None:
    with portal() as it:
        of_desk(it)
        mine = it.browser()
        mine.sign_in("alice")
        mine.submit("/set-up", code=it.voucher_for("alice"))
        mine.open("/set-up/clock")
        mine.submit("/set-up/clock")
        app_of(it, mine, "/set-up/app")
        assert mine.open("/desk").status == 404

        mine.submit("/sign-out")
        mine.sign_in("alice", it.next_code("alice"))
        assert mine.open("/desk").status == 200


# --- as many as somebody likes ----------------------------------------------------------------------


def test_nobody_has_more_apps_than_some(it: Portal) -> None:
    """Every one of them is judged at a login, within the store's transaction, and may be what a guess hits."""
    mine = owner(it)
    for _ in range(MOST_TOKENS):
        adds_app(it, mine)

    assert "ten apps already" in mine.page.text
    assert len(it.house.facts("alice").tokens) == MOST_TOKENS
