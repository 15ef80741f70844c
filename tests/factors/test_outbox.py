"""The outbox delivers: a real store, a real mail server, and what may go wrong between them."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import structlog.testing

from radius_mfa.config.messages import load_messages
from radius_mfa.core.errors import StoreError
from radius_mfa.core.stored import Facts, MailCodeUse, MailKind, Notice
from radius_mfa.data import CONFIG
from radius_mfa.factors.mail import MailFactor, MailRules
from radius_mfa.factors.outbox import Letter, Outbox, Ports, Postponed, Refused, one_line, shown
from radius_mfa.stores.sqlite import SqliteStore
from tests.adapters import NOON, FixedClock, Fuse, SeededEntropy, new_sealer
from tests.factors.support import (
    LEASE,
    PATIENCE,
    POLL,
    TEXTS,
    TIME_LIMIT,
    TOKYO,
    Down,
    Heard,
    Looks,
    post,
    run,
    smtp,
)
from tests.peers.smtp import MailServer

# --- delivered ------------------------------------------------------------------------------------


def test_a_code_that_was_asked_for_is_mailed_once() -> None:
    async def play() -> None:
        with MailServer() as server:
            async with post(smtp(server)) as it:
                new = await it.issue()
                it.outbox.wake()
                await it.heard.until("delivered")
                it.later(LEASE)
                assert await it.left() == []

            (mail,) = server.mails
            assert mail.recipients == ("alice@example.net",)
            digits = it.issued[new.reference]
            assert f"{digits[:4]} {digits[4:]}" in mail.message.get_content()

    run(play)


def test_a_user_whose_app_is_suspended_is_told_without_a_code() -> None:
    async def play() -> None:
        with MailServer() as server:
            async with post(smtp(server)) as it:
                await it.store.set_mail_address("u-alice", "alice", "alice@example.net")
                where = ("alice@example.net", "en", "vpn")
                notice = Notice("n1", "u-alice", MailKind.SUSPENDED, *where, NOON, NOON + 86400)
                await it.settle_with(notice)
                it.outbox.wake()
                await it.heard.until("delivered")
                it.later(LEASE)
                assert await it.left() == []

            (mail,) = server.mails
            body = mail.message.get_content()
            assert mail.message["Subject"] == "Your authenticator app is suspended"
            assert "User name: alice\r\n" in body
            assert "The last one at: vpn\r\n" in body
            assert re.search(r"\d{4} ?\d{4}", body) is None

    run(play)


def test_the_mail_says_what_it_is_for_and_what_to_do() -> None:
    async def play() -> None:
        with MailServer() as server:
            async with post(smtp(server)) as it:
                new = await it.issue(client="vpn")
                it.outbox.wake()
                await it.heard.until("delivered")

            message = server.mails[0].message
            digits = it.issued[new.reference]
            body = message.get_content()
            assert message["Subject"] == f"Your login code (ref {new.reference})"
            assert f"{digits[:4]} {digits[4:]} (ref {new.reference})" in body
            assert "User name: alice\r\n" in body
            assert "Login to: vpn\r\n" in body
            assert "Good until: 2026-10-15 21:00 JST" in body
            assert "change it now" in body
            assert "ICT Support Center, extension 1234" in body
            assert message["Content-Language"] == "en"

    run(play)


def test_the_mail_is_in_the_users_language() -> None:
    async def play() -> None:
        with MailServer() as server:
            async with post(smtp(server)) as it:
                new = await it.issue(language="ja")
                it.outbox.wake()
                await it.heard.until("delivered")

            message = server.mails[0].message
            digits = it.issued[new.reference]
            assert message["Subject"] == f"ログイン用コードのお知らせ(照合番号 {new.reference})"
            assert (
                f"ログイン用コード: {digits[:4]} {digits[4:]}(照合番号 {new.reference})" in message.get_content()
            )
            assert message["Content-Language"] == "ja"

    run(play)


def test_in_a_language_without_words_the_mail_says_that_it_is_english() -> None:
    async def play() -> None:
        with MailServer() as server:
            async with post(smtp(server)) as it:
                await it.issue(language="fr")
                it.outbox.wake()
                await it.heard.until("delivered")

            message = server.mails[0].message
            assert message["Subject"].startswith("Your login code")
            assert message["Content-Language"] == "en"

    run(play)


def test_no_language_has_the_code_in_the_subject() -> None:
    """A locked screen shows it."""
    for texts in load_messages(CONFIG / "messages").values():
        assert "{reference}" in texts["mail_subject"]
        assert "{code}" not in texts["mail_subject"]
        for parameter in ("code", "reference", "username", "client", "until", "contact"):
            assert f"{{{parameter}}}" in texts["mail_body"]


def test_names_that_are_hostile_stay_on_their_line() -> None:
    async def play() -> None:
        with MailServer() as server:
            async with post(smtp(server)) as it:
                await it.issue(client="vpn\r\nBcc: eve@example.com\u2028\u202e{code}")
                it.outbox.wake()
                await it.heard.until("delivered")

            (mail,) = server.mails
            assert mail.recipients == ("alice@example.net",)
            assert "Bcc" not in mail.message
            assert "Login to: vpn  Bcc: eve@example.com  {code}\r\n" in mail.message.get_content()

    run(play)


def test_many_mails_are_delivered_a_few_at_once() -> None:
    at_once: list[int] = []
    now = 0

    async def play() -> None:
        with MailServer() as server:
            deliver = smtp(server)

            async def send(letter: Letter) -> Any:
                nonlocal now
                now += 1
                at_once.append(now)
                try:
                    return await deliver(letter)
                finally:
                    now -= 1

            async with post(send) as it:
                for number in range(30):
                    await it.issue(f"u{number}")
                it.outbox.wake()
                await it.heard.until("delivered", 30)
                assert await it.left() == []
            assert len({mail.recipients for mail in server.mails}) == 30
            assert max(at_once) == 4

    run(play)


def test_what_another_node_left_behind_is_found_without_being_woken() -> None:
    async def play() -> None:
        looks = Looks()
        with MailServer() as server:
            async with post(smtp(server), fuse=looks, poll=POLL) as it:
                await looks.seen.wait()
                await it.issue()
                await it.heard.until("delivered")

    run(play)


# --- not delivered --------------------------------------------------------------------------------


def test_a_recipient_that_is_refused_is_dropped_with_one_line() -> None:
    async def play() -> None:
        with MailServer() as server, structlog.testing.capture_logs() as logged:
            server.says["RCPT"] = "550 5.1.1 <alice@example.net>: no such user"
            async with post(smtp(server)) as it:
                new = await it.issue()
                it.outbox.wake()
                await it.heard.until("refused")
                assert await it.left() == []

        assert logged == [
            {
                "event": "mail_refused",
                "log_level": "warning",
                "user_id": "u-alice",
                "reference": new.reference,
                "domain": "example.net",
                "attempts": 1,
                "reason": "550 5.1.1 <…@example.net>: no such user",
            }
        ]

    run(play)


def test_neither_code_nor_name_is_ever_logged() -> None:
    async def play() -> None:
        with MailServer() as server, structlog.testing.capture_logs() as logged:
            async with post(smtp(server)) as it:
                new = await it.issue()
                digits = it.issued[new.reference]
                server.says["MESSAGE"] = f"450 spam: {digits[:4]} {digits[4:]}, {digits} for ALICE@example.net"
                it.outbox.wake()
                await it.heard.until("postponed")
                server.says["MESSAGE"] = server.says["MESSAGE"].replace("450", "550")
                it.later(5)
                await it.heard.until("refused")

        assert [each["event"] for each in logged] == ["mail_postponed", "mail_refused"]
        assert digits not in str(logged)
        assert f"{digits[:4]} {digits[4:]}" not in str(logged)
        assert "alice@" not in str(logged).lower()

    run(play)


def test_a_mail_is_tried_again_ever_more_seldom() -> None:
    async def play() -> None:
        with MailServer() as server:
            server.says["RCPT"] = "451 4.3.0 later"
            async with post(smtp(server)) as it:
                await it.issue()
                it.outbox.wake()
                for times, pause in enumerate((5, 15, 60, 300, 300, 300), 1):
                    await it.heard.until("postponed", times)
                    at_the_door = server.heard.count("RCPT")
                    now = it.clock.wall()
                    assert await it.store.claim_mails(now + pause - 0.5, now, 9) == []
                    assert server.heard.count("RCPT") == at_the_door == times
                    it.later(pause)
                await it.heard.until("postponed", 7)
                server.says.clear()
                it.later(300)
                await it.heard.until("delivered")
            assert len(server.mails) == 1

    run(play)


def test_a_server_that_is_down_gets_the_mail_when_it_is_back() -> None:
    async def play() -> None:
        with MailServer() as server:
            async with post(smtp(server)) as it:
                server.stop()
                await it.delivers_once(server, mended_by=server.start)

    run(play)


def test_a_slow_server_gets_the_mail_later() -> None:
    async def play() -> None:
        with MailServer() as server:
            server.holds.add("RCPT")
            senders = iter((smtp(server, timeout=0.3), smtp(server)))  # impatient only once

            async def send(letter: Letter) -> Postponed | Refused | None:
                return await next(senders)(letter)

            async with post(send) as it:
                await it.delivers_once(server, mended_by=server.release)

    run(play)


def test_a_server_that_hangs_up_in_the_middle_gets_the_mail_again() -> None:
    async def play() -> None:
        with MailServer() as server:
            server.hangs_up.add("DATA")
            async with post(smtp(server)) as it:
                await it.delivers_once(server, mended_by=server.hangs_up.clear)

    run(play)


def test_one_that_fails_holds_up_nobody() -> None:
    async def play() -> None:
        with MailServer() as server:
            deliver = smtp(server)
            stuck, freed = asyncio.Event(), asyncio.Event()

            async def send(letter: Letter) -> Any:
                if letter.address.startswith("slow"):
                    stuck.set()
                    await freed.wait()
                if letter.address.startswith("bad"):
                    raise RuntimeError(letter.body)
                return await deliver(letter)

            async with post(send) as it:
                for name in ("slow", "bad"):
                    await it.issue(name)
                it.outbox.wake()
                await stuck.wait()
                for number in range(8):
                    await it.issue(f"u{number}")
                it.outbox.wake()
                await it.heard.until("delivered", 8)
                freed.set()
                await it.heard.until("delivered", 9)
                assert [each.user_id for each in await it.left()] == ["u-bad"]

    run(play)


def test_after_the_code_has_expired_nothing_is_sent() -> None:
    async def play() -> None:
        with MailServer() as server, structlog.testing.capture_logs() as logged:
            async with post(smtp(server), lifetime=60) as it:
                await it.issue()
                it.later(60)
                await it.heard.until("expired")
                assert await it.left() == []
            assert server.heard == []
        assert [(each["event"], each["reason"]) for each in logged] == [("mail_expired", "it has expired")]

    run(play)


def test_a_try_that_would_come_after_the_code_has_expired_is_not_waited_for() -> None:
    async def play() -> None:
        with MailServer() as server, structlog.testing.capture_logs() as logged:
            server.says["RCPT"] = "451 4.3.0 later"
            async with post(smtp(server), lifetime=60) as it:
                await it.issue()
                for times, pause in enumerate((0, 5, 15), 1):
                    it.later(pause)
                    await it.heard.until("postponed", times) if times < 3 else await it.heard.until("expired")
                assert await it.left() == []
        assert [each["event"] for each in logged] == ["mail_postponed", "mail_postponed", "mail_expired"]
        assert logged[-1]["reason"] == "451 4.3.0 later"

    run(play)


def test_a_code_that_does_not_open_is_dropped() -> None:
    async def play() -> None:
        with MailServer() as server, structlog.testing.capture_logs() as logged:
            async with post(smtp(server)) as it:
                it.sealer = new_sealer()
                it.factor = MailFactor(it.sealer, SeededEntropy(), MailRules(60, 9, 0))
                await it.issue()
                it.outbox.wake()
                await it.heard.until("unreadable")
                assert await it.left() == []
            assert server.heard == []
        assert [each["event"] for each in logged] == ["mail_unreadable"]

    run(play)


# --- what breaks ----------------------------------------------------------------------------------


def test_a_store_that_fails_is_asked_again_and_complained_of_once() -> None:
    async def play() -> None:
        with MailServer() as server, structlog.testing.capture_logs() as logged:
            async with post(smtp(server), fuse=Down(), poll=POLL) as it:
                await it.issue()
                await it.heard.until("delivered")
        assert [each["event"] for each in logged] == ["outbox_unreadable", "mail_delivered"]
        assert logged[0]["error"] == "away"

    run(play)


def test_what_the_store_was_not_told_of_is_done_again_when_the_claim_has_run_out() -> None:
    async def play() -> None:
        for call in ("drop_mail", "postpone_mail"):
            with MailServer() as server:
                if call == "postpone_mail":
                    server.says["RCPT"] = "451 4.3.0 later"
                async with post(smtp(server), fuse=Fuse(0, StoreError, call)) as it:
                    await it.issue()
                    it.outbox.wake()
                    await it.heard.until("failed")
                    server.says.clear()
                    it.later(LEASE)
                    await it.heard.until("delivered")
                    assert await it.left() == []
                assert len({mail.message["Message-ID"] for mail in server.mails}) == 1

    run(play)


def test_an_error_that_nobody_expected_tells_no_secret() -> None:
    async def play() -> None:
        async def send(letter: Letter) -> Any:
            raise RuntimeError(letter.body)

        with structlog.testing.capture_logs() as logged:
            async with post(send) as it:
                new = await it.issue()
                it.outbox.wake()
                await it.heard.until("failed")
        (line,) = logged
        assert (line["event"], line["error"]) == ("mail_failed", "RuntimeError")
        assert it.issued[new.reference][:4] not in str(logged)

    run(play)


def test_whoever_dies_with_a_mail_leaves_it_to_another(tmp_path: Path) -> None:
    """The first is never heard of again between its claim and the end of its try."""

    async def play() -> None:
        url = f"sqlite:///{tmp_path / 'state.db'}"
        with MailServer() as server:
            async with post(smtp(server), url=url, started=False) as it:
                await it.issue()
                other = SqliteStore.open(url, it.clock)
                (claimed,) = await other.claim_mails(it.clock.wall(), it.clock.wall() + LEASE, 9)
                await other.close()
                it.outbox.start()
                it.later(LEASE - 1)
                await it.issue("bob")
                it.outbox.wake()
                await it.heard.until("delivered")
                assert [mail.recipients for mail in server.mails] == [("bob@example.net",)]
                it.later(1)
                await it.heard.until("delivered", 2)
            assert server.mails[1].recipients == (claimed.address,)

    run(play)


def test_two_nodes_do_not_send_one_mail_twice(tmp_path: Path) -> None:
    async def play() -> None:
        url = f"sqlite:///{tmp_path / 'state.db'}"
        with MailServer() as server:
            async with post(smtp(server), url=url) as it:
                store = SqliteStore.open(url, it.clock)
                heard = Heard()
                ports = Ports(store, it.sealer, smtp(server), TEXTS.words, it.clock, heard)
                other = Outbox(ports, TIME_LIMIT, TOKYO)
                for number in range(20):
                    await it.issue(f"u{number}")
                other.start()
                for each in (it.outbox, other):
                    each.wake()
                await server.taken(20)
                await other.close(PATIENCE)
                await store.close()
                await it.outbox.close(PATIENCE)
                assert await it.left() == []
            assert len(server.mails) == len({mail.recipients for mail in server.mails}) == 20

    run(play)


# --- the end --------------------------------------------------------------------------------------


def test_closing_lets_what_is_being_sent_end() -> None:
    async def play() -> None:
        with MailServer() as server:
            server.holds.add("MESSAGE")
            async with post(smtp(server)) as it:
                await it.issue()
                it.outbox.wake()
                await server.until(lambda: "MESSAGE" in server.heard)
                closing = asyncio.ensure_future(it.outbox.close(PATIENCE))
                await it.issue("bob")  # nothing new is begun
                it.outbox.wake()
                server.release()
                await closing
                assert it.heard.outcomes == {"delivered": 1}
                assert [each.user_id for each in await it.left()] == ["u-bob"]

    run(play)


def test_closing_does_not_wait_for_ever() -> None:
    async def play() -> None:
        with MailServer() as server:
            server.holds.add("MESSAGE")
            async with post(smtp(server)) as it:
                await it.issue()
                it.outbox.wake()
                await server.until(lambda: "MESSAGE" in server.heard)
                await it.outbox.close(0.1)
                assert it.heard.outcomes == {}
                assert [each.user_id for each in await it.left()] == ["u-alice"]
                await it.outbox.close(0.1)
            server.release()

    run(play)


def test_an_outbox_that_was_never_started_closes() -> None:
    async def play() -> None:
        async def send(letter: Letter) -> Any:
            return Postponed("")

        clock = FixedClock()
        store = SqliteStore.open("sqlite://", clock)
        await Outbox(Ports(store, new_sealer(), send, TEXTS.words, clock, Heard()), 1, TOKYO).close(1)
        await store.close()

    run(play)


# --- words of others ------------------------------------------------------------------------------


def test_one_line_is_one_line() -> None:
    assert one_line(" a\r\nb\x00\x1b[m\u2028c\u202ed\ud800 ") == "a  b  [m c d"


def test_what_a_server_said_is_shown_without_secrets() -> None:
    code = "12345678"
    assert shown("1234 5678 1234-5678 12345678", "a@x.org", code) == "… … …"
    assert shown("a for a@x.org at data", "a@x.org", code) == "… for …@x.org at data"
    assert shown("for A.B@x.org and a.b", "a.b@x.org", code) == "for …@x.org and …"
    assert shown("no", "", code) == "no"
    assert len(shown("x" * 500, "a@x.org", code)) == 200


def test_the_facts_that_a_delivered_code_is_judged_by_stay() -> None:
    """Delivery drops the mail, never its code."""

    async def play() -> None:
        with MailServer() as server:
            async with post(smtp(server)) as it:
                new = await it.issue()
                it.outbox.wake()
                await it.heard.until("delivered")
                facts: Facts = await it.store.facts("u-alice", it.clock.monotonic() + 5)
                assert it.factor.judge(facts, it.issued[new.reference], NOON) == MailCodeUse(new.id)

    run(play)


def test_a_mail_that_may_have_been_delivered_is_not_sent_for_a_day() -> None:
    """A server that takes the mail over and says so too late would else send a copy every five minutes."""
    sent = []

    async def never_sure(letter: Letter) -> Postponed | Refused | None:
        sent.append(letter.id)
        return Postponed("not done within 60 s", perhaps=True)

    async def play() -> None:
        async with post(never_sure) as it:
            await it.issue()
            it.outbox.wake()
            for times in range(1, 5):
                await it.heard.until("postponed", times)
                it.later(300)
            await it.heard.until("uncertain")
            assert not await it.left()

    run(play)
    assert len(sent) == 5
