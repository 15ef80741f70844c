"""A first set-up in a real browser, and a real RADIUS login with what was set up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.cli.support import run_cli
from tests.end_to_end.nas import ACCEPT, CHALLENGE, REJECT
from tests.end_to_end.portal_pages import Visitor
from tests.end_to_end.portal_site import PortalSite
from tests.peers.chromium import Chromium, Person

CAMPUS = ["127.0.0.0/8"]


@contextmanager
def visitor(
    chromium: Chromium, url: str, language: str = "en", width: int = 1280, *, javascript: bool = True
) -> Iterator[Visitor]:
    with Person(chromium, url, language=language, width=width, javascript=javascript) as person:
        yield Visitor(person, language, width)
        assert person.complaints == []


@pytest.mark.parametrize(
    ("language", "width", "javascript"),
    [("en", 1280, True), ("ja", 360, False)],
    ids=["wide", "narrow, no script"],
)
def test_somebody_sets_everything_up_in_steps_and_logs_in_with_it(
    portal: PortalSite, chromium: Chromium, language: str, width: int, javascript: bool
) -> None:
    account = portal.newcomer()
    with (
        portal.also(enrolment={"networks": CAMPUS}) as campus,
        visitor(chromium, campus, language, width, javascript=javascript) as it,
    ):
        it.person.goes_to("/")
        it.looks("sign-in")
        it.gives_password(account)

        it.reads("set_up.clock_title")
        if javascript:
            it.person.waits_for(it.says("set_up.clock_right"))
        it.looks("set-up-clock")
        it.presses("set_up.clock_go")

        it.reads("set_up.app_title")
        it.looks("set-up-app")
        account = it.scans(account)
        it.types("tokens.code", "000000")
        it.presses("tokens.confirm")
        it.reads("tokens.result.wrong")
        it.looks("set-up-app-wrong")
        it.types("tokens.code", account.code())
        it.presses("tokens.confirm")

        it.reads("set_up.address_title")
        it.types("address.address", "somebody@example.org")
        it.presses("address.send")
        it.reads("address.result.blocked")
        it.looks("set-up-address")
        it.types("address.address", account.address)
        it.presses("address.send")
        it.looks("set-up-address-code")
        it.types("address.code", portal.mailbox(account).code())
        it.presses("address.confirm")

        it.reads("set_up.codes_title")
        it.presses("codes.make")
        it.looks("set-up-codes")
        (paper, *_) = it.makes_codes()
        it.follows("codes.kept")

        it.reads("set_up.done_title")
        it.looks("set-up-done")
        it.follows("set_up.to_overview")
        it.reads("home.title")
        it.looks("home")

    assert portal.logs_in(account, account.next_code()) == ACCEPT
    assert portal.logs_in(account, paper) == ACCEPT
    assert portal.logs_in(account, paper) in (REJECT, CHALLENGE)


def test_a_voucher_opens_the_set_up_by_the_keyboard_alone(portal: PortalSite, chromium: Chromium) -> None:
    account = portal.newcomer()
    shown = run_cli("--config", portal.site.config, "user", "voucher", account.name, "--json").json["voucher"]
    with visitor(chromium, portal.url) as it:
        it.person.goes_to("/sign-in")
        it.person.reaches(it.says("sign_in.username"))
        it.person.keys(account.name)
        it.person.reaches(it.says("sign_in.password"))
        it.person.keys(account.password)
        it.person.hits("Enter")

        it.reads("set_up.voucher_title")
        it.looks("set-up-voucher")
        it.person.reaches(it.says("set_up.voucher_code"))
        it.person.keys(shown.upper())
        it.person.hits("Enter")

        it.person.reaches(it.says("set_up.clock_go"))
        it.person.hits("Enter")
        account = it.scans(account)
        it.person.reaches(it.says("tokens.code"))
        it.person.keys(account.code())
        it.person.hits("Enter")
        it.reads("set_up.address_title")

    assert portal.logs_in(account, account.next_code()) == ACCEPT


def test_elsewhere_a_password_sets_nothing_up(portal: PortalSite, chromium: Chromium) -> None:
    account = portal.newcomer()
    with visitor(chromium, portal.url) as it:
        it.gives_password(account)
        it.types("set_up.voucher_code", "aaaa-bbbb-cccc")
        it.presses("set_up.voucher_go")
        it.reads("set_up.result.wrong")
        for path in ("/set-up/clock", "/set-up/app", "/set-up/address", "/tokens/new", "/tokens", "/desk"):
            it.person.goes_to(path)
            it.reads("set_up.voucher_title")

    assert portal.logs_in(account, "123456") == REJECT
