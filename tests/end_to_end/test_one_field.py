"""Password and code in one field, for a NAS that cannot show a challenge."""

from __future__ import annotations

import pytest

from tests.end_to_end.nas import ACCEPT, ACCT_SESSION_ID, CALLING_STATION_ID, REJECT
from tests.end_to_end.site import COMMA, SIX, Account, Site, extra, told


def typed(user: Account, source: str, code: str) -> str:
    return user.password + ("," if source == COMMA else "") + code


@pytest.mark.parametrize("kind", ["radclient", "pyrad"])
@pytest.mark.parametrize("source", [COMMA, SIX])
def test_password_and_code_are_let_in_in_one_round(university: Site, source: str, kind: str) -> None:
    user, nas = university.staff(), university.foreign(kind, source)
    accept = nas.ask(user.name, typed(user, source, user.code()))
    assert accept.code == ACCEPT
    assert ("Class", "0x" + b"staff".hex()) in accept.values
    assert university.outcomes(user.name) == ["accept accepted"]


@pytest.mark.parametrize("source", [COMMA, SIX])
def test_a_code_works_once(university: Site, source: str) -> None:
    user, nas = university.staff(), university.foreign("pyrad", source)
    text = typed(user, source, user.code())
    assert nas.ask(user.name, text).code == ACCEPT
    assert nas.ask(user.name, text).code == REJECT
    assert university.outcomes(user.name)[-1] == "reject code_used"


@pytest.mark.parametrize("source", [COMMA, SIX])
def test_the_same_login_again_from_another_port_is_let_in_again(university: Site, source: str) -> None:
    """A NAS whose reply was lost (RFC 5080 §2.2.2); the session it is for says that it is the same."""
    user = university.staff()
    session = [(CALLING_STATION_ID, b"198.51.100.7"), (ACCT_SESSION_ID, b"42")]
    text = typed(user, source, user.code())
    with university.nas(source) as nas, university.nas(source) as other:
        assert nas.ask(user.name, text, *session).code == ACCEPT
        assert other.ask(user.name, text, *session).code == ACCEPT
        assert other.ask(user.name, text, session[0], (ACCT_SESSION_ID, b"43")).code == REJECT
    assert university.outcomes(user.name) == ["accept accepted", "reject code_used"]


@pytest.mark.parametrize("source", [COMMA, SIX])
def test_a_wrong_code_is_refused_at_once_and_counted(university: Site, source: str) -> None:
    user, nas = university.staff(), university.foreign("pyrad", source)
    reply = nas.ask(user.name, typed(user, source, user.wrong_code()))
    assert (reply.code, reply.state) == (REJECT, b"")
    assert university.show(user)["failures"] == 1


@pytest.mark.parametrize("source", [COMMA, SIX])
def test_a_wrong_password_is_refused_before_the_code_is_looked_at(university: Site, source: str) -> None:
    user, nas = university.staff(), university.foreign("pyrad", source)
    right = typed(user, source, user.code())
    assert nas.ask(user.name, "x" + right).code == REJECT
    assert university.show(user)["failures"] == 0
    assert nas.ask(user.name, right).code == ACCEPT


@pytest.mark.parametrize(("source", "text"), [(COMMA, "code_missing"), (SIX, "code_missing_attached")])
def test_the_password_alone_is_told_what_is_missing(university: Site, source: str, text: str) -> None:
    user, nas = university.staff(), university.foreign("pyrad", source)
    reply = nas.ask(user.name, user.password)
    assert (reply.code, reply.message) == (REJECT, told(text))
    assert university.outcomes(user.name) == ["reject code_missing"]
    assert nas.ask(user.name, "wrong").message == told("refused")


def test_the_last_comma_divides(university: Site) -> None:
    user, nas = extra("comma"), university.foreign("pyrad", COMMA)
    assert nas.ask(user.name, user.password).code == REJECT
    assert nas.ask(user.name, f"{user.password},{user.code()}").code == ACCEPT


def test_six_digits_are_taken_whatever_the_password_ends_in(university: Site) -> None:
    """Never both readings: a password that ends in six digits is not complete without the code."""
    user, nas = extra("digits"), university.foreign("pyrad", SIX)
    assert nas.ask(user.name, user.password).code == REJECT
    assert university.outcomes(user.name) == ["reject wrong_password"]
    assert nas.ask(user.name, user.password + user.code()).code == ACCEPT


def test_the_other_ones_form_is_not_understood(university: Site) -> None:
    user = university.staff()
    joined, divided = typed(user, SIX, user.code()), typed(user, COMMA, user.code())
    assert university.foreign("pyrad", COMMA).ask(user.name, joined).code == REJECT
    assert university.foreign("pyrad", SIX).ask(user.name, divided).code == REJECT
    assert university.foreign("pyrad").ask(user.name, divided).code == REJECT
    assert university.foreign("pyrad", COMMA).ask(user.name, divided).code == ACCEPT
