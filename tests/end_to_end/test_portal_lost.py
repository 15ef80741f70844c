"""The phone is gone: a link by mail, the password again, and everything anew; or the help desk."""

from __future__ import annotations

from tests.end_to_end.nas import ACCEPT, CHALLENGE, REJECT
from tests.end_to_end.portal_pages import Visitor
from tests.end_to_end.portal_site import PortalSite
from tests.end_to_end.site import Account
from tests.end_to_end.test_portal_set_up import visitor
from tests.peers.chromium import Chromium


def test_who_can_show_no_code_starts_anew_by_a_mailed_link(portal: PortalSite, chromium: Chromium) -> None:
    account = portal.with_address(portal.staff())
    with visitor(chromium, portal.url) as it:
        _asks(it, account)
        it.reads("lost.sent.title")
        it.looks("lost-sent")
        link = portal.mailbox(account).link()

        it.person.goes_to(link.removeprefix(portal.url))
        it.reads("lost.link.title")
        it.looks("link")
        it.types("sign_in.password", "not the password")
        it.presses("lost.link.go")
        it.types("sign_in.password", account.password)
        it.presses("lost.link.go")
        it.reads("set_up.anew")
        it.presses("set_up.clock_go")
        new = it.scans(account)
        # Until the first code of the new app was seen, all is as it was.
        assert portal.logs_in(account, account.code()) == ACCEPT
        it.types("tokens.code", new.code())
        it.presses("tokens.confirm")
        it.reads("set_up.address_title")

        it.person.goes_to(link.removeprefix(portal.url))
        it.reads("lost.gone.title")
        it.looks("link-gone")

    assert portal.logs_in(account, account.code()) == CHALLENGE
    assert portal.logs_in(new, new.next_code()) == ACCEPT


def test_who_has_no_address_is_queued_at_the_help_desk_and_helped(portal: PortalSite, chromium: Chromium) -> None:
    account, desk = portal.staff(), portal.desk()
    with visitor(chromium, portal.url) as it:
        it.person.goes_to("/lost")
        it.looks("lost")
        _asks(it, account)
        it.reads("lost.queued.title")

    with visitor(chromium, portal.url) as it:
        it.signs_in(desk)
        it.follows("desk.short")
        it.looks("desk")
        it.follows("desk.open", name=account.name)
        it.looks("desk-account")
        it.follows("desk.act_reset")
        it.looks("desk-reset")
        it.person.ticks(it.says("desk.card", name=account.name))
        it.presses("desk.reset.go", name=account.name)
        it.reads("desk.said_reset")
        it.presses("desk.act_voucher")
        it.looks("desk-voucher")
        voucher = it.person.does(lambda page: page.locator(".secret").inner_text())
        it.person.goes_to("/desk")
        it.presses("desk.answered", name=account.name)
        it.reads("desk.said_answered")

    assert portal.logs_in(account, account.code()) == REJECT
    with visitor(chromium, portal.url) as it:
        it.gives_password(account)
        it.types("set_up.voucher_code", voucher)
        it.presses("set_up.voucher_go")
        it.presses("set_up.clock_go")
        new = it.scans(account)
        it.types("tokens.code", new.code())
        it.presses("tokens.confirm")
    assert portal.logs_in(new, new.next_code()) == ACCEPT

    done = [
        ("help_asked", ""),
        ("looked_at", desk.name),
        ("reset", desk.name),
        ("looked_at", desk.name),
        ("voucher_issued", desk.name),
        ("case_answered", desk.name),
        ("signed_in", ""),
        ("voucher_shown", ""),
        ("token_added", ""),
    ]
    acts = portal.acts(account, least=len(done))
    assert [(each["outcome"], each.get("by", "")) for each in acts if each["decision"] == "done"] == done


def _asks(it: Visitor, account: Account) -> None:
    it.person.goes_to("/lost")
    it.types("sign_in.username", account.name)
    it.types("sign_in.password", account.password)
    it.presses("lost.go")
