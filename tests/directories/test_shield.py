"""What reaches a directory behind the shield: counted by a directory that takes everything down, and by slapd."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radius_mfa.core.errors import DirectoryError
from radius_mfa.core.messages import User
from radius_mfa.core.ports import Password
from radius_mfa.directories import shield
from radius_mfa.directories.shield import ShieldedDirectory, WrongPasswords
from radius_mfa.directories.static import StaticDirectory, StaticUser, hash_password
from tests.adapters import PASSWORD, USERS, Accounts, FixedClock, SeededEntropy, user_named
from tests.directories.support import LoopClock, directory, found, soon
from tests.peers.slapd import BASE, PEOPLE, Slapd, entry

ALICE, BOB = user_named("alice"), user_named("bob")
LIMIT, WITHIN = 5, 900.0
PATIENCE = 30.0

RIGHT, WRONG = Password.RIGHT, Password.WRONG
WRONG_AGAIN, TOO_MANY_WRONG = Password.WRONG_AGAIN, Password.TOO_MANY_WRONG


class Counting(Accounts):
    """Accounts that take down what they were asked and what they said; while they are `shut` the answers wait."""

    def __init__(self) -> None:
        super().__init__({user.username: user for user in USERS})
        self.reached: list[tuple[str, str]] = []
        self.said: list[Password] = []
        self.failing = 0
        self._answers: list[asyncio.Future[None]] = []
        self.shut = False
        self.closed = False

    def passwords(self, user: User = ALICE) -> list[str]:
        return [password for username, password in self.reached if username == user.username]

    async def check_password(self, user: User, password: bytes, deadline: float) -> Password:
        self.reached.append((user.username, password.decode()))
        await asyncio.sleep(0)
        if self.shut:
            self._answers.append(asyncio.get_running_loop().create_future())
            await self._answers[-1]
        if self.failing:
            self.failing -= 1
            raise DirectoryError("the directory is down")
        self.said.append(await super().check_password(user, password, deadline))
        return self.said[-1]

    @property
    def waiting(self) -> list[asyncio.Future[None]]:
        return [answer for answer in self._answers if not answer.done()]

    async def answers(self, which: int = 0) -> None:
        """Let the guess that has waited longest, or another, have its answer, and hear it."""
        self.waiting[which].set_result(None)
        await turns()

    def servers_up(self) -> Mapping[str, bool]:
        return {"counting": not self.closed}

    @property
    def answered(self) -> int:
        return len(self.asked)

    async def close(self) -> None:
        self.closed = True


async def turns() -> None:
    """Let everybody go on as far as they can."""
    for _ in range(10):
        await asyncio.sleep(0)


@dataclass
class Site:
    """A shield before `Counting`, and a clock that is set."""

    limit: int = LIMIT
    within: float = WITHIN
    clock: FixedClock = field(default_factory=FixedClock)
    accounts: Counting = field(default_factory=Counting)

    def __post_init__(self) -> None:
        limits = WrongPasswords(self.limit, self.within)
        self.told: list[tuple[str, bool, bool]] = []
        self.shield = ShieldedDirectory(self.accounts, self.clock, SeededEntropy(), limits, self.tell)

    def tell(self, user_id: str, nobody: bool, right: bool) -> None:
        self.told.append((user_id, nobody, right))

    async def guess(self, password: str, user: User = ALICE, patience: float = PATIENCE) -> Password:
        return await self.shield.check_password(user, password.encode(), self.clock.monotonic() + patience)

    def guesses(self, password: str, user: User = ALICE, patience: float = PATIENCE) -> asyncio.Task[Password]:
        return asyncio.create_task(self.guess(password, user, patience))

    def says(self, *passwords: str, user: User = ALICE) -> list[Password]:
        """One after the other."""

        async def play() -> list[Password]:
            return [await self.guess(password, user) for password in passwords]

        return asyncio.run(play())

    def uses_up(self, user: User = ALICE) -> None:
        assert self.says(*distinct(self.limit), user=user) == [WRONG] * self.limit


def distinct(count: int) -> list[str]:
    return [f"guess {number}" for number in range(count)]


def played(play: Callable[[Site], Coroutine[None, None, None]], limit: int = LIMIT) -> None:
    async def in_time() -> None:
        async with asyncio.timeout(PATIENCE):
            await play(Site(limit))

    asyncio.run(in_time())


# --- the same wrong password ------------------------------------------------------------------------


def test_a_wrong_password_is_not_asked_again_for_a_minute() -> None:
    site = Site()
    assert site.says("old", "old", "old") == [WRONG, WRONG_AGAIN, WRONG_AGAIN]
    site.clock.advance(59.9)
    assert site.says("old") == [WRONG_AGAIN]
    assert site.accounts.passwords() == ["old"]

    site.clock.advance(0.1)
    assert site.says("old") == [WRONG]


def test_a_password_that_has_just_become_right_works_after_a_minute() -> None:
    site = Site()
    assert site.says("new") == [WRONG]
    site.accounts.password = b"new"
    assert site.says("new") == [WRONG_AGAIN]

    site.clock.advance(60)
    assert site.says("new", "new") == [RIGHT, RIGHT]


def test_each_time_it_is_wrong_again_it_waits_twice_as_long_up_to_the_span() -> None:
    site, asked = Site(), []
    for second in range(0, 3600, 10):
        if site.says("old") == [WRONG]:
            asked.append(second)
        site.clock.advance(10)

    assert asked == [0, 60, 180, 420, 1320, 2220, 3120]


def test_without_a_limit_it_waits_just_as_long() -> None:
    site, asked = Site(limit=0), []
    for second in range(0, 3600, 10):
        if site.says("old") == [WRONG]:
            asked.append(second)
        site.clock.advance(10)

    assert asked == [0, 60, 180, 420, 900, 1800, 2700]


def test_a_password_wrong_long_ago_is_like_any_other() -> None:
    site = Site()
    site.says("old")
    site.clock.advance(60)
    site.says("old")
    site.clock.advance(120 + WITHIN)
    assert site.says("another", "old") == [WRONG, WRONG]
    site.clock.advance(60)

    assert site.says("old") == [WRONG]


@pytest.mark.parametrize("minutes", [1, 2, 5, 8, 14, 15, 16, 30, 59])
@pytest.mark.parametrize("limit", [2, LIMIT])
def test_a_phone_with_the_old_password_never_keeps_its_owner_out(limit: int, minutes: int) -> None:
    site = Site(limit)
    for _ in range(minutes * 6):
        site.says("old")
        site.clock.advance(10)

    assert site.says(PASSWORD) == [RIGHT]


def test_what_is_wrong_for_one_user_is_asked_for_another() -> None:
    site = Site()
    assert site.says("old") == [WRONG]
    assert site.says("old", user=BOB) == [WRONG]


# --- different wrong passwords ------------------------------------------------------------------------


def test_so_many_wrong_passwords_reach_the_directory_and_no_more() -> None:
    site = Site()
    site.uses_up()

    assert site.says("one more", "guess 0", PASSWORD, "one more") == [TOO_MANY_WRONG] * 4
    assert site.accounts.passwords() == distinct(LIMIT)
    assert site.says(PASSWORD, user=BOB) == [RIGHT]


def test_the_count_begins_anew_a_span_after_the_last_that_was_asked() -> None:
    site = Site()
    for guess in distinct(LIMIT):
        assert site.says(guess) == [WRONG]
        site.clock.advance(WITHIN - 1)
    assert site.says(PASSWORD) == [TOO_MANY_WRONG]  # which does not make it any longer

    site.clock.advance(1)
    assert site.says("one more", PASSWORD) == [WRONG, RIGHT]


def test_the_right_password_clears_everything() -> None:
    site = Site()
    for _ in range(3):
        assert site.says(*distinct(LIMIT - 1), PASSWORD) == [WRONG] * (LIMIT - 1) + [RIGHT]


@pytest.mark.parametrize(
    "verdict", [Password.EXPIRED, Password.MUST_CHANGE, Password.DISABLED, Password.RESTRICTED, Password.LOCKED]
)
def test_what_the_directory_neither_counts_nor_takes_for_a_login_changes_no_count(verdict: Password) -> None:
    site = Site()
    site.accounts.verdicts["alice"] = verdict
    assert site.says(*[PASSWORD] * 2 * LIMIT) == [verdict] * 2 * LIMIT
    assert site.says(*distinct(LIMIT - 1)) == [WRONG] * (LIMIT - 1)
    assert site.says(PASSWORD, "guess 0", "the last") == [verdict, WRONG_AGAIN, WRONG]
    assert site.says(PASSWORD) == [TOO_MANY_WRONG]


def test_a_password_that_has_become_right_but_expired_is_no_longer_known_to_be_wrong() -> None:
    site = Site()
    assert site.says("new") == [WRONG]
    site.clock.advance(60)
    site.accounts.password, site.accounts.verdicts["alice"] = b"new", Password.EXPIRED

    assert site.says("new", "new") == [Password.EXPIRED, Password.EXPIRED]
    site.accounts.password = b"newer"
    assert site.says("new") == [WRONG]
    site.clock.advance(60)
    assert site.says("new") == [WRONG]


def test_a_limit_of_one_leaves_one() -> None:
    site = Site(limit=1)
    assert site.says("old", "old", PASSWORD) == [WRONG, TOO_MANY_WRONG, TOO_MANY_WRONG]

    site.clock.advance(WITHIN)
    assert site.says("old") == [WRONG]


def test_without_a_limit_every_new_password_is_asked() -> None:
    site = Site(limit=0)

    assert site.says(*distinct(100), PASSWORD) == [WRONG] * 100 + [RIGHT]


def test_an_empty_password_is_no_guess() -> None:
    site = Site(limit=1)

    assert site.says("", "", "", PASSWORD) == [WRONG, WRONG, WRONG, RIGHT]


@settings(deadline=None, max_examples=300)
@given(
    limit=st.integers(0, 4),
    within=st.sampled_from([30.0, 60.0, 300.0, 900.0]),
    story=st.lists(
        st.one_of(
            st.tuples(st.just("guess"), st.integers(0, 5)),
            st.tuples(st.just("change"), st.integers(0, 5)),
            st.tuples(st.just("wait"), st.sampled_from([1, 29, 30, 59, 60, 61, 120, 299, 300, 899, 900, 2000])),
        ),
        max_size=60,
    ),
)
def test_it_counts_as_the_rule_says(limit: int, within: float, story: list[tuple[str, int]]) -> None:
    site, rule = Site(limit, within), Rule(limit, within)
    site.accounts.password = b"0"
    for what, number in story:
        now = site.clock.monotonic()
        match what:
            case "wait":
                site.clock.advance(number)
            case "change":
                site.accounts.password = str(number).encode()
            case _:
                reached = len(site.accounts.reached)
                expected = rule.refusal(str(number), now)
                (said,) = site.says(str(number))
                assert (said in {WRONG_AGAIN, TOO_MANY_WRONG}, said) == (expected is not None, expected or said)
                assert len(site.accounts.reached) - reached == (expected is None)
                if expected is None:
                    rule.heard.append((now, str(number), said))
        assert not limit or rule.wrong(site.clock.monotonic()) <= limit


@dataclass
class Rule:
    """The rule as one would look it up in everything the directory has ever answered."""

    limit: int
    within: float
    heard: list[tuple[float, str, Password]] = field(default_factory=list)

    def since_right(self) -> list[tuple[float, str]]:
        rights = [at for at, (_, _, verdict) in enumerate(self.heard) if verdict is RIGHT]
        return [(time, password) for time, password, _ in self.heard[rights[-1] + 1 if rights else 0 :]]

    def wrong(self, now: float) -> int:
        """Wrong answers without a gap between them, or before now."""
        count = 0
        for time, _ in reversed(self.since_right()):
            if now - time >= self.within:
                break
            count, now = count + 1, time
        return count

    def refusal(self, password: str, now: float) -> Password | None:
        wrong, longest = self.wrong(now), max(self.within, 60.0)
        if self.limit and wrong >= self.limit:
            return TOO_MANY_WRONG
        span = until = 0.0
        for time in (time for time, each in self.since_right() if each == password):
            span = min(span * 2, longest) if span and time < until + longest else 60.0
            until = time + span
        if now < until or (span and now < until + longest and 1 < self.limit == wrong + 1):
            return WRONG_AGAIN
        return None


# --- at once ------------------------------------------------------------------------------------------


def test_a_thousand_guesses_at_once_gain_nothing() -> None:
    async def play(site: Site) -> None:
        site.accounts.shut = True
        thousand = [site.guesses(guess) for guess in distinct(1000)]
        await turns()
        assert site.accounts.passwords() == distinct(LIMIT)
        while site.accounts.waiting:
            await site.accounts.answers()
        said = await asyncio.gather(*thousand)
        assert (said.count(WRONG), said.count(TOO_MANY_WRONG)) == (LIMIT, 1000 - LIMIT)
        assert site.accounts.passwords() == distinct(LIMIT)

    played(play)


@pytest.mark.parametrize(("password", "verdict"), [(PASSWORD, RIGHT), ("old", WRONG)])
def test_the_same_password_at_once_is_asked_once(password: str, verdict: Password) -> None:
    async def play(site: Site) -> None:
        said = await asyncio.gather(*(site.guess(password) for _ in range(100)))
        assert said == [verdict] * 100
        assert site.accounts.passwords() == [password]

    played(play)


def test_the_same_password_of_two_users_is_asked_for_each() -> None:
    async def play(site: Site) -> None:
        await asyncio.gather(site.guess(PASSWORD), site.guess(PASSWORD, BOB))
        assert sorted(site.accounts.reached) == [("alice", PASSWORD), ("bob", PASSWORD)]

    played(play)


@pytest.mark.parametrize("limit", [1, 2])
def test_the_right_password_waits_for_guesses_that_are_not_decided_yet(limit: int) -> None:
    """One of them may be right as well: the owner's other device."""

    async def play(site: Site) -> None:
        site.accounts.shut = True
        before = ["wrong"] * (limit - 1) + ["also right"]
        others = [site.guesses(each) for each in before]
        await turns()
        owner = site.guesses(PASSWORD)
        await turns()
        assert site.accounts.passwords() == before
        site.accounts.password = b"also right"
        await site.accounts.answers(-1)
        site.accounts.password = PASSWORD.encode()
        await site.accounts.answers(-1)
        assert await owner is RIGHT
        while site.accounts.waiting:
            await site.accounts.answers()
        assert await asyncio.gather(*others) == [*[WRONG] * (limit - 1), RIGHT]

    played(play, limit)


def test_who_waits_for_others_waits_no_longer_than_there_is_time() -> None:
    async def play(site: Site) -> None:
        site.accounts.shut = True
        first = site.guesses(PASSWORD)
        await turns()
        for password in (PASSWORD, "another"):
            with pytest.raises(DirectoryError, match="no time to check the password") as failure:
                await site.guess(password, patience=0.01)
            assert password not in str(failure.value)
        await site.accounts.answers()
        assert await first is RIGHT
        assert site.accounts.passwords() == [PASSWORD]

    played(play, limit=1)


def test_who_waited_for_one_that_failed_asks_again() -> None:
    async def play(site: Site) -> None:
        site.accounts.shut, site.accounts.failing = True, 1
        first, second, third = site.guesses(PASSWORD), site.guesses(PASSWORD), site.guesses(PASSWORD)
        await turns()
        await site.accounts.answers()
        with pytest.raises(DirectoryError, match="the directory is down"):
            await first
        await site.accounts.answers()
        assert (await second, await third) == (RIGHT, RIGHT)
        assert site.accounts.passwords() == [PASSWORD] * 2

    played(play)


def test_who_goes_away_takes_nobody_along() -> None:
    async def play(site: Site) -> None:
        site.accounts.shut = True
        asking, waiting, staying = site.guesses(PASSWORD), site.guesses(PASSWORD), site.guesses(PASSWORD)
        await turns()
        waiting.cancel()
        await turns()
        asking.cancel()
        await turns()
        await site.accounts.answers(-1)
        assert await staying is RIGHT
        assert asking.cancelled()
        assert waiting.cancelled()
        assert site.accounts.passwords() == [PASSWORD] * 2

    played(play)


def test_a_directory_that_is_down_uses_up_nobodys_limit() -> None:
    async def play(site: Site) -> None:
        site.accounts.failing = 100
        failed = await asyncio.gather(*map(site.guess, distinct(100)), return_exceptions=True)
        assert {str(each) for each in failed} == {"the directory is down"}
        assert await site.guess(PASSWORD) is RIGHT

    played(play)


def test_of_a_wrong_password_that_ran_beside_the_right_one_nobody_knows_which_came_first() -> None:
    async def play(site: Site) -> None:
        assert await site.guess("before") is WRONG
        site.accounts.shut = True
        right, beside = site.guesses(PASSWORD), site.guesses("beside")
        await turns()
        await site.accounts.answers(-1)
        assert await beside is WRONG
        await site.accounts.answers()
        assert await right is RIGHT
        site.accounts.shut = False
        assert [await site.guess(guess) for guess in distinct(LIMIT)] == [WRONG] * (LIMIT - 1) + [TOO_MANY_WRONG]

    played(play)


@settings(deadline=None, max_examples=200)
@given(
    limit=st.integers(1, 4),
    story=st.lists(
        st.tuples(st.sampled_from(["guess", "answer", "fail", "leave"]), st.integers(0, 9)), max_size=50
    ),
)
def test_however_guesses_mix_no_more_wrong_answers_are_given(limit: int, story: list[tuple[str, int]]) -> None:
    async def play(site: Site) -> None:
        accounts, tasks = site.accounts, list[asyncio.Task[Password]]()
        accounts.shut = True
        for what, number in story:
            if what == "guess":
                tasks.append(site.guesses(f"guess {number}"))
            elif what == "leave" and tasks:
                tasks[number % len(tasks)].cancel()
            elif accounts.waiting:
                accounts.failing = what == "fail"
                await accounts.answers(number % len(accounts.waiting))
            await turns()
        while accounts.waiting:
            await accounts.answers()
        heard = await asyncio.gather(*tasks, return_exceptions=True)
        assert accounts.said.count(WRONG) <= limit
        assert TOO_MANY_WRONG not in heard or accounts.said.count(WRONG) == limit
        assert RIGHT not in heard

    played(play, limit)


# --- what is kept -------------------------------------------------------------------------------------


def test_nothing_is_kept_of_who_types_the_right_password() -> None:
    site = Site()
    for user in (ALICE, BOB):
        site.says("old", PASSWORD, user=user)
        site.says(PASSWORD, user=user)

    assert not site.shield._users


def test_who_was_wrong_long_ago_is_forgotten_when_others_log_in() -> None:
    site = Site()
    for _ in range(3):
        site.says("old")
        site.clock.advance(2 * WITHIN)
        site.says(PASSWORD, user=BOB)
        assert not site.shield._users


def test_the_table_is_bounded_until_a_count_is_over() -> None:
    site = Site()
    everybody = [User(f"u-{number}", "bob", "uid=bob") for number in range(shield._MOST_USERS)]

    async def fill() -> None:
        for user in everybody:
            await site.guess("old", user)

    asyncio.run(fill())
    one_more = User("u-more", "bob", "uid=bob")

    async def beside() -> None:
        site.accounts.shut = True
        new = site.guesses("old", one_more)
        await turns()
        site.accounts.shut = False
        assert await site.guess("older", everybody[0]) is WRONG
        await site.accounts.answers()
        assert await new is WRONG

    asyncio.run(beside())
    assert site.says("old", "old", user=one_more) == [WRONG, WRONG]
    assert site.says("old", "older", *distinct(LIMIT - 1), user=everybody[0]) == [
        *[WRONG_AGAIN] * 2,
        *[WRONG] * (LIMIT - 2),
        TOO_MANY_WRONG,
    ]
    assert len(site.shield._users) == shield._MOST_USERS

    site.clock.advance(WITHIN)
    assert site.says("old", "old", user=one_more) == [WRONG, WRONG_AGAIN]
    assert len(site.shield._users) == shield._MOST_USERS

    site.clock.advance(2 * WITHIN)
    assert site.says(PASSWORD) == [RIGHT]
    assert not site.shield._users


def test_a_few_passwords_of_each_user_are_kept_and_the_one_asked_longest_ago_makes_room() -> None:
    site = Site(limit=0)
    guesses = distinct(shield._MOST_PASSWORDS)
    site.says(*guesses)
    assert site.says(*guesses) == [WRONG_AGAIN] * shield._MOST_PASSWORDS

    assert site.says("one more", guesses[-1], guesses[0]) == [WRONG, WRONG_AGAIN, WRONG]


def test_a_password_that_is_known_makes_nobody_make_room() -> None:
    site = Site(limit=0)
    guesses = distinct(shield._MOST_PASSWORDS)
    site.says(*guesses)
    site.clock.advance(60)
    assert site.says(guesses[1], guesses[0]) == [WRONG, WRONG]
    site.clock.advance(60)
    assert site.says(guesses[1], guesses[0]) == [WRONG_AGAIN, WRONG_AGAIN]


def test_who_was_wrong_least_lately_is_forgotten_first() -> None:
    site = Site()
    site.says("old")
    site.says("old", user=BOB)
    site.clock.advance(WITHIN)
    site.says("old")
    site.clock.advance(WITHIN)
    assert site.says(PASSWORD, user=User("u-dave", "dave", "uid=dave")) == [RIGHT]

    assert list(site.shield._users) == [ALICE.id]


def test_an_answer_that_comes_very_late_is_counted_all_the_same() -> None:
    async def play(site: Site) -> None:
        site.accounts.shut = True
        late = site.guesses("old")
        await turns()
        site.clock.advance(3 * WITHIN)
        site.accounts.shut = False
        assert await site.guess(PASSWORD, BOB) is RIGHT
        await site.accounts.answers()
        assert await late is WRONG
        assert await site.guess("old") is WRONG_AGAIN

    played(play)


def test_nothing_made_from_a_password_is_shown() -> None:
    site = Site()
    site.says("old")
    record = site.shield._users[ALICE.id]
    (digest,) = record.known

    assert repr(digest) not in repr(record)
    assert repr(site.shield._key) not in repr(site.shield)


def test_the_same_password_has_another_digest_in_another_process_and_for_another_user() -> None:
    limits = WrongPasswords(LIMIT, WITHIN)
    shields = [
        ShieldedDirectory(Counting(), FixedClock(), SeededEntropy(seed), limits, tell_nobody) for seed in (1, 2)
    ]

    assert len({each._digest(user, b"old") for each in shields for user in (ALICE, BOB)}) == 4


def test_everything_else_is_the_directorys_own() -> None:
    site = Site()

    async def play() -> None:
        assert await site.shield.find("alice", 0) == replace(ALICE, lacks_groups=True)
        await site.shield.dummy_check("nobody", b"anything", 0)
        await site.shield.close()

    asyncio.run(play())
    assert site.accounts.asked == [("find", "alice"), ("dummy", "anything")]
    assert site.accounts.closed


# --- real directories -----------------------------------------------------------------------------------


def test_static_accounts_are_locked_after_as_many_wrong_passwords_and_open_again() -> None:
    clock = Later()

    async def play() -> None:
        static = StaticDirectory([StaticUser("glass", hash_password("break me"))])
        shielded = ShieldedDirectory(static, clock, SeededEntropy(), WrongPasswords(LIMIT, WITHIN), tell_nobody)
        try:
            user = await static.find("glass", soon())
            assert isinstance(user, User)
            guesses = [shielded.check_password(user, guess.encode(), soon()) for guess in distinct(50)]
            said = await asyncio.gather(*guesses)
            assert (said.count(WRONG), said.count(TOO_MANY_WRONG)) == (LIMIT, 50 - LIMIT)
            assert await shielded.check_password(user, b"break me", soon()) is TOO_MANY_WRONG
            clock.late = WITHIN
            assert await shielded.check_password(user, b"break me", soon() + WITHIN) is RIGHT
        finally:
            await shielded.close()

    asyncio.run(play())


class Later(LoopClock):
    """The loop's clock, and `late` seconds more."""

    late = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.late


POLICY = f"cn=policy,{BASE}"
LOCKING = entry(
    POLICY,
    {
        "objectClass": ("organizationalRole", "pwdPolicy"),
        "cn": "policy",
        "pwdAttribute": "userPassword",
        "pwdLockout": "TRUE",
        "pwdMaxFailure": str(LIMIT + 1),
        "pwdFailureCountInterval": str(round(WITHIN)),
    },
)


def failures_at(slapd: Slapd, uid: str) -> int:
    """How many failures the directory itself holds against somebody (draft-behera-ldap-password-policy §5.3.3)."""
    service = ("-x", "-H", slapd.url, "-D", slapd.bind_dn, "-w", slapd.bind_password)
    command = ("ldapsearch", "-LLL", *service, "-b", PEOPLE, f"(uid={uid})", "pwdFailureTime")
    return subprocess.run(command, capture_output=True, check=True).stdout.count(b"pwdFailureTime:")


def lets_in(slapd: Slapd, uid: str, password: str) -> bool:
    """Whether another service would."""
    command = ("ldapwhoami", "-x", "-H", slapd.url, "-D", f"uid={uid},{PEOPLE}", "-w", password)
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_a_directory_that_locks_accounts_locks_none_behind_the_shield() -> None:
    options = f'\nmoduleload ppolicy\noverlay ppolicy\nppolicy_default "{POLICY}"\n'

    async def play(slapd: Slapd) -> None:
        async with directory(slapd) as ldap:
            shielded = ShieldedDirectory(
                ldap, LoopClock(), SeededEntropy(), WrongPasswords(LIMIT, WITHIN), tell_nobody
            )
            u0, u1 = await found(ldap, "u0"), await found(ldap, "u1")
            await asyncio.gather(*(shielded.check_password(u0, guess.encode(), soon()) for guess in distinct(50)))
            assert failures_at(slapd, "u0") == LIMIT
            assert lets_in(slapd, "u0", "pw0")
            for guess in distinct(LIMIT + 1):
                await ldap.check_password(u1, guess.encode(), soon())
            assert not lets_in(slapd, "u1", "pw1")

    with Slapd(users=2, ldif=LOCKING, options=options) as slapd:
        asyncio.run(play(slapd))


# --- several workers --------------------------------------------------------------------------------


def tell_nobody(_user_id: str, _nobody: bool, _right: bool) -> None:
    """There is no other worker."""


NEIGHBOUR_SAYS_WRONG, NEIGHBOUR_SAYS_RIGHT = {"nobody": False, "right": False}, {"nobody": False, "right": True}
MAX = User("u-max", "max", "uid=max")


def nobody_asks(site: Site, *passwords: str, name: str = "nobody") -> list[str]:
    """A login of somebody who is not in the directory; which passwords were taken there."""

    async def play() -> None:
        for password in passwords:
            await site.shield.dummy_check(name, password.encode(), site.clock.monotonic() + PATIENCE)

    before = len(site.accounts.asked)
    asyncio.run(play())
    return [password for what, password in site.accounts.asked[before:] if what == "dummy"]


def test_each_wrong_password_that_the_directory_heard_is_told_once() -> None:
    site = Site()
    site.says("old", "old", "other")
    assert site.told == [(ALICE.id, False, False)] * 2


def test_what_is_refused_here_is_not_told() -> None:
    site = Site()
    site.uses_up()
    site.told.clear()
    assert site.says("one more", "guess 0", PASSWORD) == [TOO_MANY_WRONG] * 3
    assert site.told == []


def test_a_right_password_is_told_where_there_was_something_to_forget() -> None:
    site = Site()
    site.says(PASSWORD, PASSWORD)
    assert site.told == []
    site.says("old", PASSWORD, PASSWORD)
    assert site.told == [(ALICE.id, False, False), (ALICE.id, False, True)]


def test_a_right_password_is_told_where_only_others_had_wrong_ones() -> None:
    site = Site()
    site.shield.hear(ALICE.id, **NEIGHBOUR_SAYS_WRONG)
    site.says(PASSWORD)
    assert site.told == [(ALICE.id, False, True)]


@pytest.mark.parametrize(
    "verdict", [Password.EXPIRED, Password.MUST_CHANGE, Password.DISABLED, Password.RESTRICTED, Password.LOCKED]
)
def test_what_counts_nothing_is_not_told(verdict: Password) -> None:
    site = Site()
    site.accounts.verdicts["alice"] = verdict
    site.says(PASSWORD, PASSWORD)
    assert site.told == []


def test_a_directory_that_does_not_answer_is_nothing_to_tell() -> None:
    site = Site()
    site.accounts.failing = 1
    with pytest.raises(DirectoryError):
        site.says("old")
    assert site.told == []


def test_the_wrong_passwords_of_somebody_who_is_not_there_are_told_as_such() -> None:
    site = Site()
    nobody_asks(site, "old", "old", "other", name="Nobody")
    assert site.told == [("nobody", True, False)] * 2


def test_what_others_heard_counts_as_if_it_had_been_asked_here() -> None:
    site = Site()
    assert site.says("old", "other") == [WRONG] * 2
    for _ in range(LIMIT - 2):
        site.shield.hear(ALICE.id, **NEIGHBOUR_SAYS_WRONG)
    assert site.says("one more", PASSWORD) == [TOO_MANY_WRONG] * 2
    assert site.says(PASSWORD, user=BOB) == [RIGHT]
    assert site.accounts.passwords() == ["old", "other"]


def test_what_is_told_is_not_told_on() -> None:
    site = Site()
    for told in (NEIGHBOUR_SAYS_WRONG, NEIGHBOUR_SAYS_RIGHT):
        site.shield.hear(ALICE.id, **told)
    assert site.told == []


def test_the_last_of_a_count_is_left_to_a_password_not_tried_here() -> None:
    site = Site()
    site.says("old")
    for _ in range(LIMIT - 2):
        site.shield.hear(ALICE.id, **NEIGHBOUR_SAYS_WRONG)
    site.clock.advance(60)
    assert site.says("old") == [WRONG_AGAIN]
    assert site.says(PASSWORD) == [RIGHT]


def test_what_others_heard_is_forgotten_a_span_after_the_last_of_it() -> None:
    site = Site()
    for _ in range(LIMIT):
        site.shield.hear(ALICE.id, **NEIGHBOUR_SAYS_WRONG)
        site.clock.advance(WITHIN - 1)
    assert site.says(PASSWORD) == [TOO_MANY_WRONG]
    site.clock.advance(1)
    assert site.says("one more", PASSWORD) == [WRONG, RIGHT]


def test_a_count_that_is_over_begins_anew_with_what_others_hear() -> None:
    site = Site()
    site.uses_up()
    site.clock.advance(WITHIN)
    site.shield.hear(ALICE.id, **NEIGHBOUR_SAYS_WRONG)
    assert site.says(*(f"new {guess}" for guess in distinct(LIMIT - 1))) == [WRONG] * (LIMIT - 1)
    assert site.says(PASSWORD) == [TOO_MANY_WRONG]


def test_right_elsewhere_clears_everything_here() -> None:
    site = Site()
    site.uses_up()
    site.shield.hear(ALICE.id, **NEIGHBOUR_SAYS_RIGHT)
    assert not site.shield._users
    assert site.says("guess 0", PASSWORD) == [WRONG, RIGHT]


def test_right_elsewhere_of_somebody_of_whom_nothing_is_known_is_nothing() -> None:
    site = Site()
    site.shield.hear(ALICE.id, **NEIGHBOUR_SAYS_RIGHT)
    assert not site.shield._users


def test_what_others_hear_while_one_is_asked_here_makes_the_next_wait_or_refuses_it() -> None:
    async def play(site: Site) -> None:
        site.accounts.shut = True
        asked = site.guesses("old")
        await turns()
        for _ in range(LIMIT - 1):
            site.shield.hear(ALICE.id, **NEIGHBOUR_SAYS_WRONG)
        waiting = site.guesses("other")
        await turns()
        assert site.accounts.passwords() == ["old"]
        await site.accounts.answers()
        assert await asked is WRONG
        assert await waiting is TOO_MANY_WRONG

    played(play)


def test_right_elsewhere_while_one_is_asked_here_leaves_that_one_to_count() -> None:
    async def play(site: Site) -> None:
        site.shield.hear(ALICE.id, **NEIGHBOUR_SAYS_WRONG)
        site.accounts.shut = True
        asked = site.guesses("old")
        await turns()
        site.shield.hear(ALICE.id, **NEIGHBOUR_SAYS_RIGHT)
        await site.accounts.answers()
        assert await asked is WRONG
        site.accounts.shut = False
        for guess in distinct(LIMIT - 1):
            assert await site.guess(guess) is WRONG
        assert await site.guess(PASSWORD) is TOO_MANY_WRONG

    played(play)


def test_what_others_heard_of_nobody_is_kept_apart_from_whoever_has_that_id() -> None:
    site = Site()
    for _ in range(LIMIT):
        site.shield.hear("nobody", nobody=True, right=False)
    assert nobody_asks(site, "old", "other") == []
    assert nobody_asks(site, "old", name="someone else") == ["old"]
    assert site.says(PASSWORD, user=User("nobody", "nobody", "uid=nobody")) == [RIGHT]
    assert not site.shield._users


def test_with_no_limit_others_change_nothing() -> None:
    site = Site(limit=0)
    for _ in range(100):
        site.shield.hear(ALICE.id, **NEIGHBOUR_SAYS_WRONG)
    assert site.says(*distinct(10), PASSWORD) == [WRONG] * 10 + [RIGHT]


def test_the_table_is_bounded_whatever_others_tell() -> None:
    site = Site()
    for number in range(shield._MOST_USERS + 10):
        site.shield.hear(f"u{number}", **NEIGHBOUR_SAYS_WRONG)
    assert len(site.shield._users) == shield._MOST_USERS
    assert "u0" in site.shield._users, "whose count runs"
    site.clock.advance(WITHIN)
    site.shield.hear(MAX.id, **NEIGHBOUR_SAYS_WRONG)
    assert len(site.shield._users) == shield._MOST_USERS
    assert MAX.id in site.shield._users
    assert "u0" not in site.shield._users, "whose count was over"


def test_it_survives_a_reload() -> None:
    site = Site()
    for _ in range(LIMIT):
        site.shield.hear(ALICE.id, **NEIGHBOUR_SAYS_WRONG)
        site.shield.hear("nobody", nobody=True, right=False)
    limits = WrongPasswords(LIMIT, WITHIN)
    after = ShieldedDirectory(site.accounts, site.clock, SeededEntropy(2), limits, site.tell)
    after.take_over(site.shield)
    site.shield = after
    assert site.says(PASSWORD) == [TOO_MANY_WRONG]
    assert nobody_asks(site, "old") == []


@settings(deadline=None, max_examples=100)
@given(
    limit=st.integers(0, 4),
    story=st.lists(
        st.one_of(
            st.tuples(st.integers(0, 2), st.integers(0, 9)),
            st.tuples(st.just(-1), st.sampled_from([1, 59, 60, 899, 900])),
        ),
        max_size=50,
    ),
)
def test_of_all_workers_together_no_more_wrong_ones_reach_the_directory(
    limit: int, story: list[tuple[int, int]]
) -> None:
    """One after the other: of what is asked at once, each worker may ask one more before it hears of the last."""
    clock, accounts = FixedClock(), Counting()
    workers = [Site(limit, WITHIN, clock, accounts) for _ in range(3)]
    for number, site in enumerate(workers):
        site.shield = ShieldedDirectory(
            accounts, clock, SeededEntropy(), WrongPasswords(limit, WITHIN), telling(workers, number)
        )
    rule = Rule(limit, WITHIN)
    accounts.password = b"0"
    for worker, number in story:
        if worker < 0:
            clock.advance(number)
            continue
        reached = len(accounts.reached)
        (said,) = workers[worker].says(str(number))
        if len(accounts.reached) > reached:
            rule.heard.append((clock.monotonic(), str(number), said))
        assert not limit or rule.wrong(clock.monotonic()) <= limit


def telling(workers: list[Site], number: int) -> Callable[[str, bool, bool], None]:
    """What tells all workers but that one."""

    def tell(user_id: str, nobody: bool, right: bool) -> None:
        for other, site in enumerate(workers):
            if other != number:
                site.shield.hear(user_id, nobody=nobody, right=right)

    return tell
