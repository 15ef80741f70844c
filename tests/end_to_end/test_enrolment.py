"""The life of a user's second factors: the commands of staff, and what the running server makes of them."""

from __future__ import annotations

import asyncio
import base64
import re
from dataclasses import replace
from pathlib import Path

from tests.cli.support import Ran, run_cli
from tests.end_to_end.nas import ACCEPT, CHALLENGE, REJECT, ForeignNas
from tests.end_to_end.site import LENIENT, Account, Site, told
from tests.peers.smtp import Taken


def user(config: Path, *arguments: str) -> Ran:
    return run_cli("--config", config, "user", *arguments)


def log_in(nas: ForeignNas, account: Account, answer: str) -> str:
    """What the login ends with."""
    asked = nas.ask(account.name, account.password)
    return nas.ask(account.name, answer, asked.state).code if asked.code == CHALLENGE else asked.code


def enrolled(config: Path, account: Account, *arguments: str) -> Account:
    """The account with an app that has read the QR code, which nothing has confirmed."""
    shown = user(config, "enrol", account.name, *arguments, "--json").json
    return replace(account, seed=base64.b32decode(shown["secret"]))


def confirmed(config: Path, account: Account) -> Account:
    """The same, once the app's first code has been given back."""
    user(config, "enrol", account.name, "--confirm", account.code()).worked()
    return account


def mails(university: Site, account: Account, count: int) -> list[Taken]:
    """Their mails, once there are so many."""
    asyncio.run(university.mail_server.until(lambda: len(university.mails_to(account)) >= count))
    return university.mails_to(account)


def code_in(mail: Taken) -> str:
    found = re.search(r"\b\d{4} \d{4}\b", mail.message.get_content())
    assert found
    return found[0]


def test_a_token_from_its_enrolment_to_its_end(university: Site, foreign: ForeignNas) -> None:
    config, account = university.config, university.newcomer()
    assert log_in(foreign, account, "") == REJECT

    # Not before the first code has come back.
    phone = enrolled(config, account, "--label", "phone")
    assert log_in(foreign, phone, phone.code()) == REJECT
    confirmed(config, phone)
    tablet = confirmed(config, enrolled(config, account, "--label", "tablet"))
    assert log_in(foreign, phone, phone.next_code()) == ACCEPT

    # Then without the first.
    lost = next(token["id"] for token in university.show(account)["tokens"] if token["label"] == "phone")
    user(config, "reset", account.name, "--token", lost).worked()
    assert log_in(foreign, phone, phone.next_code()) == CHALLENGE
    assert university.outcomes(account.name)[-1] == "challenge code_wrong"
    assert log_in(foreign, tablet, tablet.next_code()) == ACCEPT


def test_who_was_reset_is_asked_until_a_new_factor_or_until_forgotten(
    university: Site, foreign: ForeignNas
) -> None:
    config, account = university.config, university.newcomer()
    with university.nas(LENIENT) as lenient:  # `when_enrolled`
        assert lenient.ask(account.name, account.password).code == ACCEPT
        app = confirmed(config, enrolled(config, account))
        assert lenient.ask(account.name, account.password).code == CHALLENGE

        # A lost phone is no way in by the password alone.
        user(config, "reset", account.name).worked()
        assert log_in(foreign, app, app.code()) == REJECT
        refused = lenient.ask(account.name, account.password)
        assert (refused.code, refused.message) == (REJECT, told("unenrolled"))

        # The help desk gives out a voucher, and the user has an app again.
        voucher = user(config, "voucher", account.name, "--json").json["voucher"]
        assert lenient.ask(account.name, account.password).code == REJECT
        app = enrolled(config, account, "--voucher", voucher)
        confirmed(config, app)
        assert log_in(foreign, app, app.next_code()) == ACCEPT
        assert user(config, "enrol", account.name, "--voucher", voucher).status == 1

        user(config, "forget", account.name).worked()
        assert log_in(foreign, app, app.code()) == REJECT
        assert lenient.ask(account.name, account.password).code == ACCEPT


def test_a_recovery_code_is_good_once_and_new_ones_void_the_others(university: Site, foreign: ForeignNas) -> None:
    config, account = university.config, university.staff()
    first, second, third, *_ = user(config, "recovery-codes", account.name, "--json").json["recovery_codes"]
    assert log_in(foreign, account, first.upper()) == ACCEPT
    assert university.show(account)["recovery_codes_left"] == 9
    assert log_in(foreign, account, first) == CHALLENGE
    assert log_in(foreign, account, second.replace("-", " ")) == ACCEPT
    new, *_ = user(config, "recovery-codes", account.name, "--json").json["recovery_codes"]
    assert log_in(foreign, account, third) == CHALLENGE
    assert log_in(foreign, account, new) == ACCEPT


def test_an_address_counts_once_its_mail_has_been_read(university: Site, foreign: ForeignNas) -> None:
    config, account = university.config, university.staff()
    said = user(config, "mail", account.name, account.address, "--verify", "--json").json
    (mail,) = mails(university, account, 1)
    assert str(mail.message["Subject"]) == told("mail_address_subject", reference=said["reference"])
    assert account.name in mail.message.get_content()

    # No code for a login goes there yet, and what was mailed is none.
    assert foreign.ask(account.name, account.password).message == told("challenged")
    assert log_in(foreign, account, code_in(mail)) == CHALLENGE
    out = user(config, "mail", account.name, "--confirm", code_in(mail)).worked().out
    assert out == f"{account.name}: {account.address}\n"
    asked = foreign.ask(account.name, account.password)
    assert asked.message == told("challenged_or_mail")
    sent = foreign.ask(account.name, "mail", asked.state)
    code = code_in(mails(university, account, 2)[-1])
    assert foreign.ask(account.name, code, sent.state).code == ACCEPT
    # The first code is used up.
    assert "there is no address to confirm" in user(config, "mail", account.name, "--confirm", code_in(mail)).err


def test_where_mail_comes_first_the_app_follows(university: Site) -> None:
    config = university.write("mail-first.yaml", {"enrolment": {"order": "mail-first"}})
    account = university.newcomer(student=True)  # who reads Japanese
    voucher = user(config, "voucher", account.name, "--json").json["voucher"]
    assert "a mail address comes first" in user(config, "enrol", account.name, "--voucher", voucher).line(1)
    user(config, "mail", account.name, account.address, "--verify").worked()
    (mail,) = mails(university, account, 1)
    assert mail.message["Content-Language"] == "ja"
    user(config, "mail", account.name, "--confirm", code_in(mail)).worked()
    app = confirmed(config, enrolled(config, account, "--voucher", voucher))
    with university.nas() as nas:
        asked = nas.ask(app.name, app.password)
        assert nas.ask(app.name, app.next_code(), state=asked.state).code == ACCEPT
