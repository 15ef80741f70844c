"""Several processes at one store, and processes that die: what must be decided once is."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from radius_mfa.core.guard import Counters
from radius_mfa.core.kept import NewRecoveryCode
from radius_mfa.core.stored import Reserved, Settled
from radius_mfa.stores.sqlite import SqliteStore
from tests.adapters import NOON
from tests.stores.portal import FAR, case, link, link_mail, visit
from tests.stores.postgresql import new_url
from tests.stores.schemas import NOTHING, opening
from tests.stores.support import (
    ALICE,
    Asked,
    Contender,
    SystemClock,
    asked,
    at_once,
    attempt,
    count,
    new_token,
    settlement,
)
from tests.stores.test_mail import ADDRESS, new_code


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Of a store that is new."""
    return file(tmp_path) if request.param == "sqlite" else new_url()


def file(folder: Path) -> str:
    return f"sqlite:///{folder}/state.db"


@pytest.fixture
def it(url: str) -> Iterator[Asked]:
    with asked(opening(url, upgrade=False), SystemClock()) as it:
        yield it


def together(*results: dict[str, int]) -> dict[str, int]:
    return dict(sum(map(Counter, results), Counter[str]()))


def test_of_a_thousand_answers_to_one_state_one_is_reserved_and_one_failure_counted(url: str, it: Asked) -> None:
    with Contender("spend", url, "a", 500) as one, Contender("spend", url, "b", 500) as other:
        assert together(*at_once(one, other)) == {"Reserved": 1, "SPENT": 999}

    assert it.counters() == Counters(1, 1)


@pytest.mark.parametrize("what", ["totp", "mail", "recovery"])
def test_one_code_sent_in_a_hundred_logins_lets_one_in(url: str, it: Asked, what: str) -> None:
    it.add(new_token())
    it.run(it.store.set_mail_address(ALICE, "alice", ADDRESS))
    it.run(it.store.issue_mail_code(new_code(), it.soon()))
    it.run(it.store.set_recovery_codes(ALICE, "alice", [NewRecoveryCode("r1", b"sealed")]))

    with Contender("settle", url, what, 1, 50) as one, Contender("settle", url, what, 2, 50) as other:
        assert together(*at_once(one, other)) == {"DONE": 1, "CODE_USED": 99}

    used = (it.last_step() == 7, it.facts().mail_codes[0].used, it.facts().recovery_left == 0)
    assert used == tuple(each == what for each in ("totp", "mail", "recovery"))


def test_of_a_hundred_failures_at_once_every_one_is_counted(url: str, it: Asked) -> None:
    with Contender("fail", url, 1, 50) as one, Contender("fail", url, 2, 50) as other:
        assert together(*at_once(one, other)) == {"Reserved": 100}

    assert it.counters() == Counters(100)


def test_one_seed_added_by_two_processes_is_one_token(url: str, it: Asked) -> None:
    with Contender("add", url, "a", 20) as one, Contender("add", url, "b", 20) as other:
        assert together(*at_once(one, other)) == {"type": 1, "NoneType": 39}

    assert len(it.facts().tokens) == 1


@pytest.mark.parametrize(
    ("what", "often"),
    [("begin", 1), ("use", 1), ("anew", 1), ("answer", 1), ("open", 1), ("ripen", 1), ("post", 3)],
)
def test_what_may_be_done_once_in_the_portal_or_so_often_is(url: str, it: Asked, what: str, often: int) -> None:
    """A visit in place of another, a link used, a start anew, a case opened and answered, links mailed."""
    it.run(it.store.set_mail_address(ALICE, "alice", ADDRESS))
    it.run(it.store.begin_visit(visit(anew=True, shown=FAR - 1, expires=FAR)))
    it.add(new_token(9, confirmed=False, good_from=NOON + 1))
    if what == "use":
        it.run(it.store.post_link(link(), link_mail(), NOON, 3))
    if what == "answer":
        it.run(it.store.open_case(case()))

    with Contender("portal", url, what, "a", 20) as one, Contender("portal", url, what, "b", 20) as other:
        assert together(*at_once(one, other)) == {"type": often, "NoneType": 40 - often}

    assert it.run(it.store.end_visits(ALICE)) == 1
    assert [token.confirmed for token in it.facts().tokens] == [what in ("anew", "ripen")]
    assert len(it.run(it.store.claim_mails(NOON, NOON + 60, 100))) == (3 if what == "post" else 0)


@pytest.mark.parametrize("engine", NOTHING)
def test_a_new_store_opened_by_several_processes_at_once_is_made_once(engine: str, tmp_path: Path) -> None:
    url = NOTHING[engine](tmp_path)
    contenders = [Contender("open", url) for _ in range(4)]
    try:
        assert at_once(*contenders) == [{"Facts": 1}] * 4
    finally:
        for each in contenders:
            each.kill()


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_what_is_written_beside_a_process_that_comes_and_goes_is_seen_by_the_next(url: str, it: Asked) -> None:
    """A process that closes any descriptor of a file loses its locks on all of it (POSIX.1, fcntl).

    SQLite's own locks are such: without them, the next process to leave takes the log away from under us.
    """
    for number in range(1, 4):
        with Contender("open", url) as contender:
            assert at_once(contender) == [{"Facts": 1}]
        it.spend(attempt(number))
        with asked(lambda clock: SqliteStore.open(url, clock)) as same_process:
            assert same_process.counters() == Counters(number, number)
        with Contender("counters", url) as contender:
            assert at_once(contender) == [{"failures": number}]


def test_an_attempt_whose_judge_was_killed_is_reserved_again_and_counted_once(url: str, it: Asked) -> None:
    with Contender("spend-and-hang", url) as contender:
        contender.hear("spent")
        contender.kill()

    assert it.counters() == Counters(1, 1)
    assert isinstance(it.spend(attempt()), Reserved)
    assert it.counters() == Counters(1, 1)
    assert it.settle(settlement(attempt())) is Settled.DONE


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_a_full_disk_is_an_error_and_over_when_there_is_room_again(url: str, it: Asked) -> None:
    with Contender("fill", url) as contender:
        assert at_once(contender) == [{"StoreError": 2, "Facts": 1, "Reserved": 1}]

    assert it.counters() == Counters(1, 1)


def test_purging_and_writing_durably_lets_logins_through(url: str, it: Asked) -> None:
    async def logins(first: int) -> list[object]:
        some = range(first, first + 100)
        return [await it.store.spend(attempt(each, expires=0.0), count, it.soon()) for each in some]

    async def all_at_once() -> int:
        deleted, *_ = await asyncio.gather(
            it.store.purge(1.0, 0.0),
            it.store.add_tokens([new_token(number) for number in range(1000)]),
            logins(10_000),
            logins(20_000),
        )
        return deleted

    for login in range(1500):
        it.spend(attempt(login, expires=0.0), lambda counters: counters)

    assert it.run(all_at_once()) >= 1500
    assert len(it.facts().tokens) == 1000
