"""Logins through PAM, as a machine with Debian's pam_radius has them.

It sends no Message-Authenticator, and shows nobody the text of a refusal.
"""

from __future__ import annotations

import re

from tests.end_to_end.site import PAM, PAM_SECRET, Site, told
from tests.peers.pam import PamLogin, pam_login


def log_in(university: Site, user: str, *answers: str) -> PamLogin:
    return pam_login(university.server.port, PAM_SECRET, user, answers, source=PAM)


def test_the_password_and_then_the_code_log_in(university: Site) -> None:
    user = university.staff()
    login = log_in(university, user.name, user.password, user.code())
    assert login.ok, login.output
    assert login.prompts == ("Password: ", told("challenged"))
    assert university.outcomes(user.name) == ["challenge challenged", "accept accepted"]


def test_a_wrong_code_is_asked_for_again_and_then_refused(university: Site) -> None:
    user = university.staff()
    wrong = user.wrong_codes()
    login = log_in(university, user.name, user.password, next(wrong), next(wrong), next(wrong))
    assert not login.ok
    assert login.prompts == ("Password: ", told("challenged"), told("code_wrong"), told("code_wrong"))
    ended = ["challenge challenged", "challenge code_wrong", "challenge code_wrong", "reject code_wrong"]
    assert university.outcomes(user.name) == ended


def test_the_right_code_after_a_wrong_one_logs_in(university: Site) -> None:
    user = university.staff()
    login = log_in(university, user.name, user.password, user.wrong_code(), user.code())
    assert login.ok, login.output
    assert login.prompts == ("Password: ", told("challenged"), told("code_wrong"))


def test_a_wrong_password_is_refused_without_being_asked_for_a_code(university: Site) -> None:
    user = university.staff()
    login = log_in(university, user.name, "wrong", user.code())
    assert not login.ok
    assert login.prompts == ("Password: ",)
    assert university.outcomes(user.name) == ["reject wrong_password"]


def test_the_password_and_then_a_mailed_code_log_in(university: Site) -> None:
    """`mail` at the first prompt, the code that came at the second."""
    user = university.with_address(university.staff())

    def mailed_code() -> str:
        found = re.search(r"\b\d{4} \d{4}\b", university.mail_to(user).message.get_content())
        assert found
        return found[0]

    answers = (user.password, "mail", mailed_code)
    login = pam_login(university.server.port, PAM_SECRET, user.name, answers, source=PAM)
    assert login.ok, login.output
    assert login.prompts[:2] == ("Password: ", told("challenged_or_mail"))
    assert university.outcomes(user.name) == ["challenge challenged", "challenge mail_sent", "accept accepted"]
