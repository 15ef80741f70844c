"""Password and code in one field, for a NAS that cannot show a challenge."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from operator import add
from socket import SHUT_WR, create_connection, socket
from socketserver import BaseRequestHandler, ThreadingTCPServer
from threading import Thread

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from radius_mfa.core.answers import CodeAnswer, split
from tests.end_to_end.nas import ACCEPT, ACCT_SESSION_ID, CALLING_STATION_ID, REJECT
from tests.end_to_end.site import COMMA, SIX, Account, Site, extra, now, told
from tests.peers.clock import other_clock
from tests.peers.server import Server
from tests.peers.slapd import PEOPLE, salted

# Passwords that end as answers do, or in parts of them.
ENDINGS = ("", "1", "123456", ",", ",,", ",12", ",123456", ",12345678", ",mail")
PASSWORDS = st.builds(add, st.text("ab12,", min_size=1, max_size=6), st.sampled_from(ENDINGS))
TYPED = ("", "{code}", ",{code}", ",,{code}", ",12{code}", "{wrong}", ",{wrong}")


class Overhearing(ThreadingTCPServer):
    """A way to a directory that speaks no TLS, on which the passwords of its users are heard."""

    daemon_threads = True

    def __init__(self, to: tuple[str, int]) -> None:
        super().__init__(("127.0.0.1", 0), _Overheard)
        self.to = to
        self._octets: list[bytes] = []

    @property
    def url(self) -> str:
        return "ldap://{}:{}".format(*self.socket.getsockname())

    def hears(self, octets: bytes) -> None:
        self._octets.append(octets)

    def passwords(self, user: Account) -> list[str]:
        """What was tried as theirs: simple binds of their entry (RFC 4511 §4.2), of short lengths."""
        name = f"uid={user.name},{PEOPLE}".encode()
        bind = rb"\x02\x01\x03\x04" + re.escape(bytes([len(name)]) + name) + rb"\x80(.)"
        said = b"".join(self._octets)
        return [said[at.end() : at.end() + at[1][0]].decode() for at in re.finditer(bind, said, re.DOTALL)]


class _Overheard(BaseRequestHandler):
    server: Overhearing

    def handle(self) -> None:
        with create_connection(self.server.to) as there:
            back = Thread(target=_copy, args=(there, self.request), daemon=True)
            back.start()
            while octets := self.request.recv(65536):
                self.server.hears(octets)
                there.sendall(octets)
            there.shutdown(SHUT_WR)
            back.join()


def _copy(there: socket, here: socket) -> None:
    with suppress(OSError):  # whoever has asked may be gone
        while octets := there.recv(65536):
            here.sendall(octets)


@pytest.fixture(scope="module")
def overhearing(university: Site) -> Iterator[Overhearing]:
    with Overhearing(university.slapd.address) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def overheard(university: Site, overhearing: Overhearing) -> Iterator[Server]:
    """A server that asks its directory that way."""
    ldap = {**university.usual()["directory"]["ldap"], "servers": overhearing.url}
    with university.another("overheard.yaml", {"directory": {"ldap": ldap}}) as server:
        yield server


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
def test_a_line_that_a_supplicant_has_kept_for_an_hour_locks_nobody_out(university: Site, source: str) -> None:
    """It sends it at every session, while its user logs in elsewhere with newer codes."""
    user = university.staff()
    line = typed(user, source, user.code(now() - 120))
    with university.another(environment=other_clock("-1h")) as earlier, university.nas(source, earlier) as nas:
        assert nas.ask(user.name, line).code == ACCEPT
    with university.nas() as nas:
        for code in (user.code(), user.next_code()):
            state = nas.ask(user.name, user.password).state
            assert nas.ask(user.name, code, state=state).code == ACCEPT

    with university.nas(source) as nas:
        sessions = [(ACCT_SESSION_ID, b"%d" % number) for number in range(12)]
        assert {nas.ask(user.name, line, session).code for session in sessions} == {REJECT}
        assert university.outcomes(user.name)[-12:] == ["reject code_used"] * 12
        assert university.show(user)["failures"] == 0
        assert nas.ask(user.name, typed(user, source, user.wrong_code())).code == REJECT
    assert university.show(user)["failures"] == 1


@pytest.mark.parametrize("source", [COMMA, SIX])
def test_a_wrong_line_that_a_supplicant_has_kept_counts_once(university: Site, source: str) -> None:
    """More often than a lock takes: its user still logs in, there and elsewhere."""
    user = university.staff()
    line = typed(user, source, user.wrong_code())
    with university.nas(source) as nas:
        sessions = [(ACCT_SESSION_ID, b"%d" % number) for number in range(12)]
        replies = [nas.ask(user.name, line, session) for session in sessions]
        assert {(reply.code, reply.message) for reply in replies} == {(REJECT, told("rounds_over"))}
        assert university.outcomes(user.name) == ["reject code_wrong"] + ["reject code_wrong_again"] * 11
        assert university.show(user)["failures"] == 1
        assert nas.ask(user.name, typed(user, source, user.code())).code == ACCEPT


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


@settings(max_examples=20, deadline=None)
@given(PASSWORDS, st.sampled_from(TYPED), st.sampled_from([COMMA, SIX]))
@example("pass,12", "{code}", SIX)
@example("pass,123456", "", COMMA)
@example("pass123456", "", SIX)
@example("pass,", ",{code}", COMMA)
@example(",", "{code}", COMMA)
@example("pass,", "{code}", SIX)
def test_the_directory_is_asked_one_password_and_no_other_reading_is_let_in(
    university: Site, overhearing: Overhearing, overheard: Server, password: str, typed: str, source: str
) -> None:
    """The one that the client's rule says, once, whatever the user's password ends in."""
    user = replace(university.changeable(), password=password)
    changed = f"changetype: modify\nreplace: userPassword\nuserPassword: {salted(password)}\n"
    university.slapd.modify(f"dn: uid={user.name},{PEOPLE}\n{changed}")
    code = user.code()
    text = password + typed.format(code=code, wrong=user.wrong_code())
    said, answer = split(text, "," if source == COMMA else 6)

    reply = university.foreign("radclient", source, server=overheard).ask(user.name, text)

    assert overhearing.passwords(user) == ([said] if said else [])  # an empty one is nobody's (RFC 4513 §5.1.2)
    right = said == password and isinstance(answer, CodeAnswer) and answer.code == code
    assert (reply.code == ACCEPT) is right
