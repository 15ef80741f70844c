"""A code by e-mail: a login at the running server, with a real directory and a real mail server."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator

import pytest

from tests.cli.support import run_cli
from tests.end_to_end.nas import ACCEPT, ACCT_SESSION_ID, CHALLENGE, REJECT, ForeignNas
from tests.end_to_end.site import COMMA, SECOND, SIX, SLOW, Site, told
from tests.peers.clock import other_clock
from tests.peers.smtp import MailServer, Taken


@pytest.fixture
def mails(university: Site) -> Iterator[MailServer]:
    """The site's mail server, as kind as ever when a test has ended."""
    yield university.mail_server
    university.mail_server.says.clear()
    university.mail_server.release()


def code_in(mail: Taken) -> str:
    found = re.search(r"\b\d{4} \d{4}\b", mail.message.get_content())
    assert found
    return found[0]


def reference_in(text: str) -> str:
    found = re.search(r"\b[A-Z]\d\b", text)
    assert found
    return found[0]


def test_mail_is_typed_and_the_code_that_comes_is_let_in(university: Site, foreign: ForeignNas) -> None:
    user = university.with_address(university.staff())
    asked = foreign.ask(user.name, user.password)
    assert asked.message == told("challenged_or_mail")

    sent = foreign.ask(user.name, "mail", asked.state)
    mail = university.mail_to(user)
    reference = reference_in(str(mail.message["Subject"]))
    assert (sent.code, sent.message) == (CHALLENGE, told("mail_sent", reference=reference))
    accept = foreign.ask(user.name, code_in(mail), sent.state)
    assert (accept.code, accept.values[1]) == (ACCEPT, ("Class", "0x" + b"staff".hex()))
    assert university.outcomes(user.name) == ["challenge challenged", "challenge mail_sent", "accept accepted"]


def test_who_has_only_an_address_gets_the_code_with_the_challenge_and_in_their_language(university: Site) -> None:
    user = university.with_address(university.newcomer(student=True))
    with university.nas() as nas:
        asked = nas.ask(user.name, user.password)
        mail = university.mail_to(user)
        assert mail.message["Content-Language"] == "ja"
        assert "コード" in str(mail.message["Subject"])
        assert "コード" in mail.message.get_content()
        assert reference_in(str(mail.message["Subject"])) in asked.message
        assert nas.ask(user.name, code_in(mail), state=asked.state).code == ACCEPT


def test_the_answer_never_waits_for_the_mail_server(university: Site, mails: MailServer) -> None:
    user = university.with_address(university.staff())
    mails.holds.add("GREETING")
    with university.nas() as nas:
        asked = nas.ask(user.name, user.password)
        sent = nas.ask(user.name, "mail", state=asked.state)
        assert sent.code == CHALLENGE
        assert university.audit(user.name)[-1]["duration"] < 5
        mails.release()
        assert nas.ask(user.name, code_in(university.mail_to(user)), state=sent.state).code == ACCEPT


def test_a_gateway_that_timed_out_costs_nothing_the_code_is_good_at_the_next_challenge(university: Site) -> None:
    user = university.with_address(university.staff())
    with university.nas() as first, university.nas(SECOND) as second:
        asked = first.ask(user.name, user.password)
        first.ask(user.name, "mail", state=asked.state)
        code = code_in(university.mail_to(user))
        again = second.ask(user.name, user.password)
        assert second.ask(user.name, code, state=again.state).code == ACCEPT
        # ... and at no third.
        again = first.ask(user.name, user.password)
        assert first.ask(user.name, code, state=again.state).message == told("code_used_mail")


def test_two_nodes_that_share_the_store_send_one_mail(university: Site) -> None:
    user = university.with_address(university.newcomer())
    with university.another() as server, university.nas() as here, university.nas(server=server) as there:
        asked = here.ask(user.name, user.password)
        elsewhere = there.ask(user.name, user.password)
        assert asked.message == elsewhere.message
        code = code_in(university.mail_to(user))
        assert there.ask(user.name, code, state=elsewhere.state).code == ACCEPT
        assert here.ask(user.name, code, state=asked.state).message == told("code_used_mail")
    assert len(university.mails_to(user)) == 1


@pytest.mark.parametrize("source", [COMMA, SIX], ids=["comma", "six digits"])
def test_in_one_field_the_code_is_asked_for_and_typed_after_a_comma(university: Site, source: str) -> None:
    user = university.with_address(university.staff())
    with university.nas(source) as nas:
        refused = nas.ask(user.name, f"{user.password},mail")
        mail = university.mail_to(user)
        reference = reference_in(str(mail.message["Subject"]))
        assert (refused.code, refused.message) == (REJECT, told("mail_sent_log_in_again", reference=reference))
        code = code_in(mail).replace(" ", "")
        assert nas.ask(user.name, f"{user.password},{code}").code == ACCEPT


def test_three_wrong_codes_void_the_mailed_one(university: Site) -> None:
    user = university.with_address(university.staff())
    with university.nas(SLOW) as nas:
        state = nas.ask(user.name, user.password).state
        state = nas.ask(user.name, "mail", state=state).state
        code = code_in(university.mail_to(user)).replace(" ", "")
        wrong = f"{(int(code) + 1) % 10**8:08}"
        for _ in range(3):
            reply = nas.ask(user.name, wrong, state=state)
            state = reply.state
        assert (reply.code, reply.message) == (REJECT, told("rounds_over_mail"))
        state = nas.ask(user.name, user.password).state
        assert nas.ask(user.name, code, state=state).message == told("code_wrong_mail")


def test_a_recipient_that_is_refused_is_one_line_of_the_log_without_code_or_name(
    university: Site, mails: MailServer
) -> None:
    user = university.with_address(university.newcomer())
    mails.says["RCPT"] = f"550 5.1.1 {user.address} is nobody here"
    with university.another() as server, university.nas(server=server) as nas:
        assert nas.ask(user.name, user.password).code == CHALLENGE
        # Whichever of the two nodes has claimed it.
        asyncio.run(mails.until(lambda: mails.heard.count("RCPT") >= 1))
        mails.says.clear()
    said = server.said()
    assert user.address not in said


def test_a_mail_outlives_a_dead_mail_server_and_a_killed_server(university: Site) -> None:
    user = university.newcomer()
    with MailServer() as dead:
        changes = university.own_store("outlives", dead)
        config = university.write("outlives.yaml", changes)
        run_cli("--config", config, "user", "mail", user.name, "someone@example.net").worked()
        dead.stop()
        with university.another("outlives.yaml", changes) as server, university.nas(server=server) as nas:
            asked = nas.ask(user.name, user.password)
            assert asked.code == CHALLENGE
            assert server.wait_for("mail_postponed")["attempts"] == 1
            server.kill()
        dead.start()
        # Two minutes later, by its own clock.
        with university.another("outlives.yaml", changes, other_clock("+2m")) as server:
            (mail,) = asyncio.run(dead.taken())
            with university.nas(server=server) as nas:
                assert nas.ask(user.name, code_in(mail), state=asked.state).code == ACCEPT


def test_a_server_killed_while_it_hands_the_mail_over_loses_nothing(university: Site) -> None:
    user = university.newcomer()
    with MailServer() as holding:
        holding.holds.add("MESSAGE")
        changes = university.own_store("killed", holding)
        config = university.write("killed.yaml", changes)
        run_cli("--config", config, "user", "mail", user.name, "someone@example.net").worked()
        with university.another("killed.yaml", changes) as server, university.nas(server=server) as nas:
            asked = nas.ask(user.name, user.password)
            asyncio.run(holding.until(lambda: "MESSAGE" in holding.heard))
            server.kill()
        holding.release()
        with university.another("killed.yaml", changes, other_clock("+2m")) as server:
            taken = asyncio.run(holding.taken())
            with university.nas(server=server) as nas:
                assert nas.ask(user.name, code_in(taken[-1]), state=asked.state).code == ACCEPT


def test_no_code_and_no_address_is_in_log_audit_or_store(university: Site) -> None:
    user = university.with_address(university.staff())
    with university.another() as server, university.nas(server=server) as nas:
        asked = nas.ask(user.name, user.password)
        sent = nas.ask(user.name, "mail", state=asked.state)
        code = code_in(university.mail_to(user))
        assert nas.ask(user.name, code, state=sent.state).code == ACCEPT
    written = server.said() + json.dumps(university.audit(user.name))
    store = b"".join(path.read_bytes() for path in university.folder.glob("state.db*"))
    for form in (code, code.replace(" ", "")):
        assert form not in written
        assert form.encode() not in store
    assert user.address not in written


def test_whoever_is_suspended_is_told_by_mail_and_gets_in_by_another(university: Site) -> None:
    """Also where the limit was lowered below what is counted already."""
    user = university.with_address(university.staff())
    codes = user.wrong_codes()
    with university.nas() as nas:
        for _ in range(3):
            state = nas.ask(user.name, user.password).state
            nas.ask(user.name, next(codes), state=state)
    strict = {"lockout": {"failures": 2, "durations": ["15m"], "suspend_after": 3}}
    with university.another("strict.yaml", strict) as server, university.nas(server=server) as nas:
        state = nas.ask(user.name, user.password).state
        assert nas.ask(user.name, next(codes), state=state).code == CHALLENGE
        told_by = university.mail_to(user)
        assert told_by.message["Subject"] == "Your authenticator app is suspended"

        asked = nas.ask(user.name, user.password, (ACCT_SESSION_ID, b"2"))
        assert asked.code == CHALLENGE
        asyncio.run(university.mail_server.until(lambda: len(university.mails_to(user)) == 2))
        code = code_in(university.mails_to(user)[-1])
        assert nas.ask(user.name, code, state=asked.state).code == ACCEPT
    assert not university.show(user)["suspended"]
