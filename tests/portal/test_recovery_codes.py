"""Recovery codes: shown once, and made only by who has shown more than a mailed code."""

from tests.portal.browsing import portal


def test_new_codes_take_the_place_of_the_old_ones() -> None:
    with portal() as it:
        it.house.enrol("alice")
        browser = it.browser()
        browser.sign_in("alice", it.house.code("alice"))
        browser.open("/recovery-codes")
        assert "Codes left: 0" in browser.page.text
        browser.press("Make recovery codes")
        old = browser.page.codes
        assert len(old) == 10
        assert browser.page.header("cache-control") == "no-store"
        assert not set(old) & set(browser.open("/recovery-codes").text.split())
        browser.press("Make new recovery codes")
        new = browser.page.codes
        login = it.house.challenged("alice")
        assert login.says(old[0]) == "challenge code_wrong"
        assert login.says(new[0]) == "accept accepted"
        assert "Codes left: 9" in browser.open("/").text


def test_a_visit_by_a_recovery_code_makes_new_ones() -> None:
    with portal() as it:
        it.house.enrol("alice")
        codes = it.house.run(it.enrolment.new_recovery_codes(it.house.user("alice").id, "alice"))
        browser = it.browser()
        browser.sign_in("alice", codes[0])
        browser.open("/recovery-codes")
        browser.press("Make new recovery codes")
        assert len(browser.page.codes) == 10


def test_few_codes_are_pointed_out() -> None:
    with portal() as it:
        it.house.enrol("alice")
        codes = it.house.run(it.enrolment.new_recovery_codes(it.house.user("alice").id, "alice"))
        for code in codes[:7]:
            assert it.house.challenged("alice").says(code) == "accept accepted"
        browser = it.browser()
        browser.sign_in("alice", it.house.code("alice"))
        assert "Codes left: 3 Make new ones" in browser.page.text
        assert "few codes left" in browser.open("/recovery-codes").text


def test_a_visit_by_a_mailed_code_makes_none() -> None:
    with portal() as it:
        it.house.enrol("alice")
        it.house.register("alice")
        browser = it.browser()
        browser.sign_in_by_mail("alice")
        browser.open("/recovery-codes")
        assert "came in by a code from an e-mail" in browser.page.text
        assert "Make recovery codes" not in browser.page.text
        page = browser.post("/recovery-codes", {"csrf": browser.csrf()})
        assert (page.status, "came in by a code from an e-mail" in page.text) == (403, True)
        assert it.house.facts("alice").recovery_left == 0


def test_long_after_signing_in_both_are_asked_for_again() -> None:
    with portal() as it:
        it.house.enrol("alice")
        browser = it.browser()
        browser.sign_in("alice", it.house.code("alice"))
        browser.open("/recovery-codes")
        it.house.clock.advance(601)
        assert browser.press("Make recovery codes").path == "/again"
        browser.show_again(it.house.code("alice"))
        assert browser.page.path == "/recovery-codes"
        assert it.house.facts("alice").recovery_left == 0


def test_a_reload_makes_no_others_in_place_of_those_that_were_just_printed() -> None:
    with portal() as it:
        it.house.enrol("alice")
        browser = it.browser()
        browser.sign_in("alice", it.house.code("alice"))
        for path in ("/recovery-codes", "/set-up/codes"):
            browser.open(path)
            form = next(each for each in browser.page.forms if each.action == path)
            codes = browser.post(path, form.fields).codes
            assert len(codes) == 10
            page = browser.post(path, form.fields)
            assert (page.status, page.codes, "made already" in page.text) == (403, [], True)
            assert it.house.challenged("alice").says(codes[0]) == "accept accepted"
