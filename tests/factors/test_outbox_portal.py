"""What is mailed for the portal: links, what was done there, and codes to sign in with."""

from __future__ import annotations

import re
from email.message import EmailMessage

import pytest
import structlog.testing

from radius_mfa.config.messages import load_messages
from radius_mfa.core.links import link_id_of
from radius_mfa.core.stored import MailKind
from radius_mfa.core.visits import PORTAL
from radius_mfa.data import CONFIG
from radius_mfa.factors.outbox import Letter, Postponed, Refused, shown
from tests.factors.support import Post, post, run, smtp
from tests.peers.smtp import MailServer

URL = "https://mfa.example.org"
LANGUAGES = ("en", "ja")
TOLD = sorted(set(MailKind) - {MailKind.CODE, MailKind.ADDRESS, MailKind.SUSPENDED, MailKind.LINK})
WAITING = {MailKind.TOKEN_WAITING, MailKind.ADDRESS_WAITING}
TEXTS = load_messages(CONFIG / "messages")


async def delivered(it: Post, server: MailServer) -> EmailMessage:
    """The one mail that is in the outbox, as it came in."""
    it.outbox.wake()
    await it.heard.until("delivered")
    (mail,) = server.mails
    assert mail.recipients == ("alice@example.net",)
    return mail.message


def lines_of(message: EmailMessage) -> list[str]:
    return str(message.get_content()).splitlines()


# --- links ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_link_stands_whole_on_a_line_of_its_own_and_is_the_one_of_the_mail(language: str) -> None:
    async def play() -> None:
        with MailServer() as server, structlog.testing.capture_logs() as logged:
            async with post(smtp(server), portal=f"{URL}/") as it:
                notice = await it.give(MailKind.LINK, language, lasts=1800)
                message = await delivered(it, server)
                (link,) = [line for line in lines_of(message) if "/link/" in line]
                token = link.removeprefix(f"{URL}/link/")

                assert re.fullmatch("[A-Za-z0-9_-]{60,}", token)
                assert link_id_of(it.sealer, token) == notice.id
                assert message["Subject"] == TEXTS[language]["mail_link_subject"]
                assert message["Content-Language"] == language
                assert "2026-10-14 21:30 JST" in message.get_content()
                assert token[:16] not in str(logged)
                assert notice.id not in str(logged)

    run(play)


def test_a_link_that_expired_before_it_could_be_sent_is_not_sent() -> None:
    async def play() -> None:
        with MailServer() as server:
            async with post(smtp(server), portal=URL) as it:
                await it.give(MailKind.LINK, lasts=1800)
                it.later(1800)
                await it.heard.until("expired")
                assert await it.left() == []
            assert server.heard == []

    run(play)


def test_a_link_waits_for_a_node_that_knows_where_the_portal_is() -> None:
    async def play() -> None:
        with MailServer() as server, structlog.testing.capture_logs() as logged:
            async with post(smtp(server)) as it:
                await it.give(MailKind.LINK)
                it.outbox.wake()
                await it.heard.until("postponed")
                assert [each.kind for each in await it.left()] == [MailKind.LINK]
            assert server.heard == []
        assert [each["reason"] for each in logged] == ["there is no portal in this configuration"]

    run(play)


def test_a_link_that_a_server_quotes_is_not_logged() -> None:
    tokens: list[str] = []

    async def quoting(letter: Letter) -> Postponed | Refused | None:
        assert "/link/" not in repr(letter)
        tokens.extend(re.findall(r"/link/(\S+)", letter.body))
        return Refused(f"550 {URL}/link/{tokens[0]}, {tokens[0][:40]}... and {tokens[0].lower()} are spam")

    async def play() -> None:
        with structlog.testing.capture_logs() as logged:
            async with post(quoting, portal=URL) as it:
                await it.give(MailKind.LINK)
                it.outbox.wake()
                await it.heard.until("refused")
        assert logged[0]["reason"] == f"550 {URL}/link/…, …... and … are spam"

    run(play)


def test_of_a_token_no_more_is_shown_than_what_all_have() -> None:
    assert shown("x AbCd-fGhIjKlMnOp-Rst_v y", "", "", "AbCd-fGhIjKlMnOp-Rst_v") == "x … y"
    assert shown("x AbCd-f y", "", "", "AbCd-fGhIjKlMnOp-Rst_v") == "x AbCd-f y"


# --- what was done --------------------------------------------------------------------------------


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", TOLD)
def test_what_was_done_is_told_with_where_it_is_undone(kind: MailKind, language: str) -> None:
    async def play() -> None:
        with MailServer() as server:
            async with post(smtp(server), portal=URL) as it:
                await it.give(kind, language)
                message = await delivered(it, server)
                assert await it.left() == []

        body = message.get_content()
        assert message["Subject"] == TEXTS[language][f"mail_{kind}_subject"]
        assert message["Content-Language"] == language
        assert URL in lines_of(message)
        assert "alice" in body
        assert lines_of(message)[-1] == "ICT Support Center, extension 1234"
        assert ("change your password" in body.lower()) or "パスワードを変更" in body
        assert ("2026-10-15 21:00 JST" in body) == (kind in WAITING)
        assert "/link/" not in body
        assert re.search(r"\d{4} ?\d{4}", body) is None

    run(play)


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_two_mails_have_the_same_subject(language: str) -> None:
    subjects = [text for key, text in TEXTS[language].items() if key.endswith("_subject")]

    assert len(set(subjects)) == len(subjects)


def test_what_was_done_is_told_also_where_nobody_knows_the_portal_any_more() -> None:
    async def play() -> None:
        with MailServer() as server:
            async with post(smtp(server)) as it:
                await it.give(MailKind.TOKEN_ADDED)
                message = await delivered(it, server)
            assert "An authenticator app was added" in message.get_content()

    run(play)


# --- codes to sign in with ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("language", "subject"),
    [
        ("en", "Code to change your second factors: nobody asks you for it (ref {})"),
        ("ja", "多要素認証の設定変更用コード(照合番号 {})※お尋ねすることはありません"),
    ],
)
def test_a_code_for_the_portal_says_what_it_opens_and_that_nobody_asks_for_it(language: str, subject: str) -> None:
    async def play() -> None:
        with MailServer() as server:
            async with post(smtp(server), portal=URL) as it:
                new = await it.issue(language=language, client=PORTAL)
                message = await delivered(it, server)
                digits = it.issued[new.reference]

        assert message["Subject"] == subject.format(new.reference)
        assert f"{digits[:4]} {digits[4:]}" in message.get_content()
        assert digits[:4] not in message["Subject"]
        assert URL in lines_of(message)
        never = "We never ask for it by telephone" if language == "en" else "お尋ねすることはありません"
        assert never in message.get_content()

    run(play)


@pytest.mark.parametrize("client", ["vpn", "Portal", "portal 2", ""])
def test_a_code_for_any_other_client_is_one_for_a_login(client: str) -> None:
    async def play() -> None:
        with MailServer() as server:
            async with post(smtp(server), portal=URL) as it:
                new = await it.issue(client=client)
                message = await delivered(it, server)
        assert message["Subject"] == f"Your login code (ref {new.reference})"
        assert URL not in message.get_content()

    run(play)


# --- an address to confirm ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("language", "where"),
    [("en", "Type it where you have given this address"), ("ja", "アドレスを入力した画面に")],
)
def test_the_code_for_an_address_is_typed_in_the_portal_or_told_to_the_desk(language: str, where: str) -> None:
    assert where in TEXTS[language]["mail_address_body"]
