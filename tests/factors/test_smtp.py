"""Mails handed over to a real mail server, on both event loops, with what may go wrong on the way."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st

from radius_mfa.core.errors import ConfigurationError
from radius_mfa.factors.outbox import Letter, Postponed, Refused
from radius_mfa.factors.smtp import SmtpSender, SmtpSettings, compose, may_tell_password, our_name
from tests.adapters import NOON
from tests.peers.certificates import Authority
from tests.peers.smtp import MailServer

Run = Callable[[Coroutine[Any, Any, None]], None]

SENDER, ALICE = "mfa@example.org", "alice@example.net"
JAPANESE = "ログイン用コード: 1234 5678(照合番号 K7)\n\n有効期限: 2026-10-15 21:00 JST\n"
LETTER = Letter("0123456789abcdef", ALICE, "ja", "ログイン用コード(照合番号 K7)", JAPANESE, NOON)
CREDENTIALS = ("mfa", "mail password")
NAME, PASSWORD = CREDENTIALS


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    factory = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop

    def run_in_loop(play: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(asyncio.wait_for(play, 30))

    return run_in_loop


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authorities") / "ours")


@pytest.fixture
def server() -> Iterator[MailServer]:
    with MailServer() as it:
        yield it


def sender_to(server: MailServer, **differently: Any) -> SmtpSender:
    host, port = server.address
    settings = SmtpSettings(host, port, SENDER, start_tls=server.certificate is not None and not server.implicit)
    return SmtpSender(replace(settings, **differently))


async def postponed(sender: SmtpSender, letter: Letter = LETTER) -> str:
    said = await sender(letter)
    assert isinstance(said, Postponed), said
    assert "\n" not in said.reason
    return said.reason


# --- taken over -----------------------------------------------------------------------------------


def test_a_japanese_mail_arrives_as_it_was_written(run: Run, server: MailServer) -> None:
    async def play() -> None:
        assert await sender_to(server)(LETTER) is None

        (mail,) = await server.taken()
        assert (mail.sender, mail.recipients) == (SENDER, (ALICE,))
        assert mail.octets.isascii()
        message = mail.message
        assert message["Subject"] == LETTER.subject
        assert message.get_content().replace("\r\n", "\n") == JAPANESE
        assert message.defects == []

    run(play())


def test_its_headers_say_what_it_is(run: Run, server: MailServer) -> None:
    """RFC 5322 §3.6, RFC 3834 §5, RFC 3282 §2."""

    async def play() -> None:
        await sender_to(server)(LETTER)

        headers = dict((await server.taken())[0].message.items())
        assert (headers["From"], headers["To"]) == (SENDER, ALICE)
        assert headers["Date"] == "Wed, 14 Oct 2026 12:00:00 +0000"
        assert re.fullmatch(r"<[0-9a-f]{32}@example\.org>", headers["Message-ID"])
        assert headers["Auto-Submitted"] == "auto-generated"
        assert headers["Content-Language"] == "ja"
        assert headers["Content-Type"] == 'text/plain; charset="utf-8"'

    run(play())


def test_a_second_delivery_can_be_told_by_its_message_id(run: Run, server: MailServer) -> None:
    async def play() -> None:
        sender = sender_to(server)
        await sender(LETTER)
        await sender(LETTER)

        await sender(replace(LETTER, id="another"))
        first, again, other = await server.taken(3)
        assert first.octets == again.octets
        assert first.message["Message-ID"] != other.message["Message-ID"]

    run(play())


def test_a_line_of_one_dot_does_not_end_the_mail(run: Run, server: MailServer) -> None:
    """RFC 5321 §4.5.2."""

    async def play() -> None:
        await sender_to(server)(replace(LETTER, body="before\n.\n..\nafter\n"))

        (mail,) = await server.taken()
        assert mail.message.get_content().splitlines() == ["before", ".", "..", "after"]

    run(play())


def test_a_server_that_does_not_say_goodbye_has_the_mail_all_the_same(run: Run, server: MailServer) -> None:
    async def play() -> None:
        server.hangs_up.add("QUIT")
        assert await sender_to(server)(LETTER) is None
        assert len(server.mails) == 1

    run(play())


# --- not taken over -------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["RCPT", "DATA", "MESSAGE"])
def test_a_mail_that_is_not_wanted_is_refused_for_good(run: Run, server: MailServer, command: str) -> None:
    async def play() -> None:
        server.says[command] = "550 5.1.1 no such user"
        assert await sender_to(server)(LETTER) == Refused("550 5.1.1 no such user")
        assert server.mails == []
        assert server.heard[-1] == "QUIT"

    run(play())


@pytest.mark.parametrize("command", ["GREETING", "EHLO", "MAIL", "RCPT", "DATA", "MESSAGE"])
def test_what_is_busy_now_may_be_asked_again(run: Run, server: MailServer, command: str) -> None:
    async def play() -> None:
        server.says[command] = "451 4.3.0 later"
        assert await postponed(sender_to(server)) == "451 4.3.0 later"

        server.says.clear()
        assert await sender_to(server)(LETTER) is None

    run(play())


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("GREETING", "554 5.7.1 your address is not welcome"),
        ("MAIL", "550 5.7.1 sender not allowed"),
        ("RCPT", "530 5.7.0 Authentication required"),
        ("RCPT", "999 what?"),
    ],
)
def test_a_no_that_is_not_about_this_mail_is_the_administrators(
    run: Run, server: MailServer, command: str, answer: str
) -> None:
    async def play() -> None:
        server.says[command] = answer
        assert await postponed(sender_to(server)) == answer

    run(play())


def test_an_answer_of_many_lines_is_told_in_one(run: Run, server: MailServer) -> None:
    async def play() -> None:
        server.says["RCPT"] = "550-no\r\n550-such \x1b[31m\r\n550 user"
        assert await sender_to(server)(LETTER) == Refused("550 no such  [31m user")

    run(play())


@pytest.mark.parametrize("command", ["EHLO", "MAIL", "DATA", "MESSAGE"])
def test_a_server_that_hangs_up_may_be_asked_again(run: Run, server: MailServer, command: str) -> None:
    async def play() -> None:
        server.hangs_up.add(command)
        await postponed(sender_to(server))
        assert server.mails == []

    run(play())


@pytest.mark.parametrize("command", ["GREETING", "EHLO", "MAIL", "RCPT", "DATA", "MESSAGE"])
def test_one_time_limit_is_for_the_whole_mail(run: Run, server: MailServer, command: str) -> None:
    async def play() -> None:
        server.holds.add(command)
        assert await postponed(sender_to(server, timeout=0.3)) == "not done within 0.3 s"
        server.release()

    run(play())


@pytest.mark.parametrize(("command", "perhaps"), [("RCPT", False), ("MESSAGE", True)])
def test_only_a_server_that_had_the_mail_may_have_taken_it_over(
    run: Run, server: MailServer, command: str, perhaps: bool
) -> None:
    """RFC 5321 §4.5.3.2.6: the answer may come late, or get lost."""

    async def play() -> None:
        server.holds.add(command)
        for _ in range(10):
            said = await sender_to(server, timeout=0.3)(LETTER)
            if command in server.heard:  # at once, unless the machine is late for that
                break
        assert said == Postponed("not done within 0.3 s", perhaps)
        server.release()

    run(play())


@pytest.mark.parametrize("answer", ["251 queued elsewhere", "200 ok", "354 go on", "hello there"])
def test_an_answer_that_is_neither_yes_nor_no_may_have_been_a_yes(
    run: Run, server: MailServer, answer: str
) -> None:
    """RFC 5321 §4.3.2: to the message there is 250, 4yz or 5yz."""

    async def play() -> None:
        server.says["MESSAGE"] = answer
        said = await sender_to(server)(LETTER)
        assert isinstance(said, Postponed)
        assert said.perhaps

    run(play())


@pytest.mark.parametrize("command", ["EHLO", "MAIL", "RCPT"])
def test_an_odd_answer_before_the_message_was_no_yes(run: Run, server: MailServer, command: str) -> None:
    async def play() -> None:
        server.says[command] = "299 what?"
        said = await sender_to(server)(LETTER)
        assert isinstance(said, Postponed)
        assert not said.perhaps

    run(play())


def test_a_server_that_is_down_may_be_asked_again(run: Run, server: MailServer) -> None:
    async def play() -> None:
        server.stop()
        assert "Connect call failed" in (said := await postponed(sender_to(server))) or "refused" in said

        server.start()
        assert await sender_to(server)(LETTER) is None

    run(play())


def test_a_host_that_nobody_knows_may_be_known_later(run: Run, server: MailServer) -> None:
    async def play() -> None:
        assert "no-such-host.invalid" in await postponed(sender_to(server, host="no-such-host.invalid"))
        await postponed(sender_to(server, host="not..a host"))

    run(play())


# --- TLS ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("implicit", [False, True])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_over_tls_with_a_certificate_that_proves_the_server(
    run: Run, authority: Authority, host: str, implicit: bool
) -> None:
    """RFC 3207, and TLS from the first octet on, RFC 8314 §3.3."""

    async def play() -> None:
        with MailServer(authority.certify(host), implicit) as server:
            sender = sender_to(server, host=host, tls=implicit, ca_file=authority.ca_file)
            assert await sender(LETTER) is None
            assert len(server.mails) == 1
            assert ("STARTTLS" in server.heard) is not implicit

    run(play())


@pytest.mark.parametrize("implicit", [False, True])
@pytest.mark.parametrize("wrong", ["authority", "name", "system"])
def test_a_certificate_that_proves_nothing_ends_it(
    run: Run, authority: Authority, tmp_path: Path, wrong: str, implicit: bool
) -> None:
    other = Authority(tmp_path / "other")
    ca_file = {"authority": other.ca_file, "name": authority.ca_file, "system": None}[wrong]
    host = "mail.example.org" if wrong == "name" else "127.0.0.1"

    async def play() -> None:
        with MailServer(authority.certify(host), implicit, CREDENTIALS) as server:
            sender = sender_to(server, tls=implicit, ca_file=ca_file, username=NAME, password=PASSWORD)
            assert "CERTIFICATE_VERIFY_FAILED" in await postponed(sender)
            assert {"AUTH", "MAIL"} & set(server.heard) == set()

    run(play())


@pytest.mark.parametrize("answer", [None, "454 4.7.0 not now", "502 what?"])
def test_without_starttls_nothing_is_said_in_the_clear(run: Run, authority: Authority, answer: str | None) -> None:
    """RFC 3207 §6: whoever is in between may have taken the offer away."""

    async def play() -> None:
        with MailServer(authority.certify("127.0.0.1") if answer else None, False, CREDENTIALS) as server:
            if answer:
                server.says["STARTTLS"] = answer
            sender = sender_to(server, start_tls=True, ca_file=authority.ca_file, username=NAME, password=PASSWORD)
            await postponed(sender)
            assert {"AUTH", "MAIL"} & set(server.heard) == set()

    run(play())


def test_a_server_that_speaks_no_tls_is_not_spoken_to(run: Run, server: MailServer) -> None:
    async def play() -> None:
        await postponed(sender_to(server, tls=True))
        assert server.mails == []

    run(play())


def test_an_unreadable_ca_file_is_the_configurations_fault(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").touch()
    for name in ("none.pem", "empty.pem"):
        with pytest.raises(ConfigurationError, match=f"ca_file: .*{name}"):
            SmtpSender(SmtpSettings("mail.example.org", 587, SENDER, ca_file=tmp_path / name))


# --- AUTH -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("implicit", [False, True])
def test_the_right_credentials_open(run: Run, authority: Authority, implicit: bool) -> None:
    async def play() -> None:
        with MailServer(authority.certify("127.0.0.1"), implicit, CREDENTIALS) as server:
            sender = sender_to(server, tls=implicit, ca_file=authority.ca_file, username=NAME, password=PASSWORD)
            assert await sender(LETTER) is None
            assert len(server.mails) == 1

    run(play())


@pytest.mark.parametrize("password", ["wrong", "ば密"])
def test_wrong_credentials_are_the_administrators_to_mend(run: Run, authority: Authority, password: str) -> None:
    async def play() -> None:
        with MailServer(authority.certify("127.0.0.1"), False, CREDENTIALS) as server:
            sender = sender_to(server, ca_file=authority.ca_file, username=NAME, password=password)
            said = await postponed(sender)
            assert said.startswith("535 ")
            assert password not in said
            assert "MAIL" not in server.heard

    run(play())


def test_credentials_that_are_missing_are_the_administrators_to_mend(run: Run, authority: Authority) -> None:
    async def play() -> None:
        with MailServer(authority.certify("127.0.0.1"), False, CREDENTIALS) as server:
            assert "530" in await postponed(sender_to(server, ca_file=authority.ca_file))

    run(play())


def test_without_tls_a_password_stays_on_the_machine(run: Run) -> None:
    async def play() -> None:
        with MailServer(credentials=CREDENTIALS) as server:
            assert await sender_to(server, username=NAME, password=PASSWORD)(LETTER) is None

    run(play())


@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8::1", "fe80::1%eth0", "0.0.0.0"])
def test_without_tls_a_password_does_not_leave_the_machine(address: str) -> None:
    clear = SmtpSettings("mail.example.org", 25, SENDER, start_tls=False, username=NAME, password=PASSWORD)

    assert not may_tell_password(clear, address)
    assert may_tell_password(replace(clear, start_tls=True), address)
    assert may_tell_password(replace(clear, tls=True), address)


def test_the_password_is_not_shown() -> None:
    assert PASSWORD not in repr(SmtpSettings("h", 25, SENDER, username=NAME, password=PASSWORD))


# --- trying it out --------------------------------------------------------------------------------


def test_a_probe_goes_as_far_as_being_let_in(run: Run, authority: Authority) -> None:
    async def play() -> None:
        with MailServer(authority.certify("127.0.0.1"), False, CREDENTIALS) as server:
            settings = {"ca_file": authority.ca_file, "username": NAME}
            assert await sender_to(server, password=PASSWORD, **settings).probe() is None
            assert server.heard[-1] == "QUIT"
            assert "MAIL" not in server.heard
            said = await sender_to(server, password="wrong", **settings).probe()
            assert isinstance(said, Postponed)

    run(play())


def test_a_probe_as_the_sender_begins_a_mail_and_lets_it_be(run: Run, server: MailServer) -> None:
    async def play() -> None:
        assert await sender_to(server).probe(as_sender=True) is None
        assert server.heard[-3:] == ["MAIL", "RSET", "QUIT"]
        server.says["MAIL"] = "550 5.7.1 not from there"
        said = await sender_to(server).probe(as_sender=True)
        assert isinstance(said, Postponed)
        assert said.reason == "550 5.7.1 not from there"
        assert server.mails == []

    run(play())


# --- nothing breaks out ---------------------------------------------------------------------------

HOSTILE = "K7\r\nBcc: eve@example.com\r\n\r\nhello\x00\x0b\x0c\x1c\x85\u2028\u202e"


@pytest.mark.parametrize(
    "address",
    ["a@example.net\r\nBcc: eve@example.com", "a@example.net, eve@example.com", "<a@example.net>", "a", ""],
)
def test_to_an_address_that_is_none_nothing_is_sent(run: Run, server: MailServer, address: str) -> None:
    async def play() -> None:
        said = await sender_to(server)(replace(LETTER, address=address))
        assert said == Refused("not an address that can be mailed to")
        assert server.heard == []

    run(play())


def test_a_hostile_letter_adds_neither_header_nor_recipient(run: Run, server: MailServer) -> None:
    letter = replace(LETTER, subject=HOSTILE, language=HOSTILE, id=HOSTILE, body=HOSTILE)

    async def play() -> None:
        assert await sender_to(server)(letter) is None

        (mail,) = await server.taken()
        assert mail.recipients == (ALICE,)
        assert set(mail.message) <= EXPECTED
        assert len(mail.message.get_all("Subject", [])) == 1

    run(play())


EXPECTED = {
    "From",
    "To",
    "Subject",
    "Date",
    "Message-ID",
    "Auto-Submitted",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
    "Content-Language",
}
anything = st.text(st.characters(codec="utf-8"), max_size=120) | st.text("\r\n:ab \t\x00\x85\u2028=?", max_size=60)


@given(anything, anything, anything, anything)
def test_whatever_a_letter_holds_the_headers_are_ours(subject: str, language: str, name: str, body: str) -> None:
    message = compose(Letter(name, ALICE, language, subject, body, NOON), SENDER, ALICE)

    octets = message.as_bytes()
    head = octets.partition(b"\r\n\r\n")[0]
    lines = re.sub(rb"\r\n[ \t]+", b" ", head).split(b"\r\n")
    assert {line.partition(b":")[0].decode() for line in lines} <= EXPECTED
    assert not re.search(rb"[\x00-\x08\x0b-\x1f\x7f-\xff]", head.replace(b"\r\n", b""))
    read = message_from_bytes(octets, policy=policy.default)
    assert set(read) <= EXPECTED
    assert (read["From"], read["To"]) == (SENDER, ALICE)


def test_a_sender_that_is_no_address_is_the_configurations_fault() -> None:
    with pytest.raises(ConfigurationError, match=r"factors\.mail\.sender"):
        SmtpSender(SmtpSettings("mail.example.org", 587, "mfa@example.org>\r\nDATA"))


@pytest.mark.parametrize(
    ("host_name", "address", "name"),
    [
        ("radius.example.org", "192.0.2.1", "radius.example.org"),
        ("radius", "192.0.2.1", "[192.0.2.1]"),
        ("radius", "2001:db8::1", "[IPv6:2001:db8::1]"),
        ("rädius.example.org", "192.0.2.1", "[192.0.2.1]"),
        ("radius.example.org\r\nMAIL", "192.0.2.1", "[192.0.2.1]"),
    ],
)
def test_what_we_call_ourselves_needs_no_looking_up(host_name: str, address: str, name: str) -> None:
    """RFC 5321 §4.1.4."""
    assert our_name(host_name, address) == name
