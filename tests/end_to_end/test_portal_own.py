"""What people come back for: apps, devices, logins, recovery codes; and what a weaker factor may not do."""

from __future__ import annotations

from dataclasses import replace

from tests.end_to_end.nas import ACCEPT, CHALLENGE
from tests.end_to_end.portal_site import PortalSite
from tests.end_to_end.test_portal_set_up import visitor
from tests.peers.chromium import Chromium


def test_an_app_is_added_tested_renamed_and_removed(portal: PortalSite, chromium: Chromium) -> None:
    account = portal.with_address(portal.staff())
    with visitor(chromium, portal.url) as it:
        it.signs_in(account)
        it.follows("home.to_tokens")
        it.looks("tokens")
        it.follows("tokens.add")
        it.looks("token-new")
        it.presses("tokens.new_go")
        tablet = it.scans(account)
        it.types("tokens.code", tablet.code())
        it.types("tokens.label", "<b>Tablet & 電話</b>")
        it.presses("tokens.confirm")
        it.reads("tokens.said_done")
        portal.mailbox(account).next()  # they are told

        it.follows("tokens.manage_named", label="<b>Tablet & 電話</b>")
        it.looks("token")
        it.types("tokens.code", "000000")
        it.presses("tokens.test_go")
        it.reads("tokens.result.wrong")
        it.types("tokens.code", tablet.next_code())
        it.presses("tokens.test_go")
        it.reads("tokens.tested")
        it.follows("tokens.remove_ask")
        it.looks("token-remove")
        it.presses("tokens.remove_go")
        it.reads("tokens.said_removed")

    assert portal.logs_in(account, tablet.code()) == CHALLENGE
    assert portal.logs_in(account, account.next_code()) == ACCEPT


def test_a_login_that_was_not_theirs_is_told_to_the_desk(portal: PortalSite, chromium: Chromium) -> None:
    account = portal.staff()
    assert portal.logs_in(account, account.code()) == ACCEPT
    with visitor(chromium, portal.url, width=360) as it, visitor(chromium, portal.url) as elsewhere:
        elsewhere.signs_in(portal.another_app(account))
        it.signs_in(portal.another_app(replace(account, seed=account.seed[::-1])))
        it.person.goes_to("/devices")
        it.looks("devices")
        it.person.goes_to("/logins")
        it.looks("logins")
        it.person.follows(it.says("logins.not_me"), last=True)
        it.reads("logins.not_me_title")
        it.looks("login-not-me")
        it.presses("logins.not_me_go")
        it.reads("logins.disowned_title")
        it.looks("login-disowned")

        elsewhere.person.goes_to("/")
        elsewhere.reads("sign_in.title")

    desk = portal.desk()
    with visitor(chromium, portal.url) as it:
        it.signs_in(desk)
        it.follows("desk.short")
        it.reads("desk.case.disowned")
        assert it.person.sees(account.name)


def test_who_came_by_mail_adds_what_waits_and_makes_no_codes(portal: PortalSite, chromium: Chromium) -> None:
    account = portal.with_address(portal.staff())
    with visitor(chromium, portal.url) as it:
        it.gives_password(account)
        it.looks("code")
        it.presses("code.by_mail")
        it.looks("code-mailed")
        it.types("code.mail", portal.mailbox(account).code())
        it.presses("code.go")
        it.reads("home.weak")
        it.looks("home-weak")
        it.person.goes_to("/tokens/new")
        it.presses("tokens.new_go")
        other = it.scans(account)
        it.types("tokens.code", other.code())
        it.presses("tokens.confirm")
        it.reads("tokens.said_waiting")
        notice = portal.mailbox(account).next()
        assert account.name in notice.get_content()
        it.person.goes_to("/recovery-codes")
        it.reads("codes.result.needs_stronger")
        it.person.goes_to("/")
        it.reads("home.waiting_text")
        it.looks("home-waiting")

    assert portal.logs_in(account, other.code()) == CHALLENGE
    with visitor(chromium, portal.url) as owner:
        owner.signs_in(account)
        owner.presses("home.cancel")
        owner.person.goes_to("/tokens")
        assert not owner.person.sees(owner.says("tokens.waiting"))


def test_recovery_codes_are_made_and_let_somebody_in(portal: PortalSite, chromium: Chromium) -> None:
    account = portal.staff()
    with visitor(chromium, portal.url, language="ja") as it:
        it.signs_in(account)
        it.person.goes_to("/recovery-codes")
        it.looks("recovery-codes")
        it.presses("codes.make")
        (first, second, *_) = it.makes_codes()
        it.presses("frame.sign_out")
        it.gives_password(account)
        it.types("code.totp", first)  # whatever the field is called, a code says what it is
        it.presses("code.go")
        it.reads("home.title")

    assert portal.logs_in(account, second) == ACCEPT
