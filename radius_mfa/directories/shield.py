"""The shield: wrong passwords stop here before the directory counts so many that it locks the account.

A directory that locks accounts lets anybody who can reach a gateway lock anybody out, of everything
the account is good for, with nothing but a name; and a phone that still has the old password does it
to its owner without meaning to.  So the shield stands between logins and one directory, and keeps two
things of each user: which passwords were wrong, and how many.

**A wrong password is not asked again** for 60 seconds: whoever resends it is told WRONG_AGAIN.  Asked
later and wrong once more it waits twice as long, and so on up to `within`.  A password that has
just become right works after a minute, and a phone that never gives up uses up one of a count, not all.
The last wrong password of a count is left to one that has not been tried (unless the limit is one):
however busy the phone, its owner can still log in with the new password.

**At most `limit` wrong passwords of a user reach the directory**; then it is TOO_MANY_WRONG, whatever
the password, so that it tells nothing about it.  The count begins anew once `within` has passed since
the last wrong one that reached the directory, which is how Active Directory counts; one that looks at
each failure's own age forgets sooner.  With a limit below the directory's threshold, and `within`
no shorter than the directory's own span, what comes through here never locks the account there.  The workers of
a server tell each other what they count, yet what is guessed at all of them at once may come through at each:
`limit` times as many as there are workers.  Every server counts for itself, and other services spend from the
same account: leave room for both.  A limit of 0 is none; then a wrong password is only not asked again.

What counts is what the directory would count:

- WRONG is a failure.
- RIGHT makes the directory forget its failures, and the shield its own: those answered before the right
  password was asked.  Of the ones that ran beside it nobody knows which came first.
- EXPIRED, MUST_CHANGE, DISABLED and RESTRICTED say that the password is right, but not every directory
  forgets its failures at that (slapd does; Samba's domain controller does not): they count
  nothing, and forget nothing but that this password was ever wrong.
- LOCKED says nothing about the password, and neither slapd nor Samba counts on while an account is locked:
  it counts nothing, so that the owner gets in as soon as the directory lets go.
- No answer counts nothing, or a directory that is down would use up everybody's limit.  One that counts a
  failure and then answers too late is ahead of us, by one for each such answer.

**A guess counts as wrong from before it is asked** until it is known not to be, so a thousand at once
gain nothing.  The same password of the same user is asked once, and all who sent it hear the verdict; if
whoever asked failed or went away, the next asks.  Other passwords wait while those being asked
could use up the limit: an owner who logs in from two devices is never refused because of guesses
that are not known to be wrong.

The table is bounded.  When it is full of users whose count runs, nothing is remembered of one more, who
has no shield then.  But only users whom the directory has found get in, each with a wrong password:
whoever wants to fill it must know `_MOST_USERS` names and guess at all of them within one span.

What is kept of a password once it was wrong is a digest under a key made at start; nothing derived from one
leaves this process.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from radius_mfa.core import usernames
from radius_mfa.core.errors import DirectoryError
from radius_mfa.core.messages import User
from radius_mfa.core.outcomes import Outcome
from radius_mfa.core.ports import Clock, Entropy, Password
from radius_mfa.directories.chain import OpenDirectory

_FIRST_SPAN = 60.0  # seconds in which a password found wrong is not asked again
_BETWEEN_LOOKS = 1.0  # seconds
_MOST_USERS = 20_000
_MOST_PASSWORDS = 16  # of one user; the one asked longest ago makes room

_RIGHT_BUT = frozenset({Password.EXPIRED, Password.MUST_CHANGE, Password.DISABLED, Password.RESTRICTED})

_Verdict = asyncio.Future[Password | None]

Tell = Callable[[str, bool, bool], None]
"""Lets the other workers know: the user's id, whether that is nobody's, whether the password was right."""


@dataclass(frozen=True, slots=True)
class WrongPasswords:
    """How many wrong passwords of a user may reach the directory, 0 for any number, `within` how many seconds."""

    limit: int
    within: float


@dataclass(frozen=True, slots=True)
class _Wrong:
    """A password that was wrong: not asked again before `until`, monotonic; `span`: how many seconds that was."""

    until: float
    span: float


@dataclass(slots=True)
class _Record:
    """What is kept of one user.

    `last`: monotonic seconds of the last wrong answer, before the first one of the first question.
    `answered`: wrong answers so far; `forgotten`: how many of them count no longer.  `asking`: guesses
    at the directory now, each with what those wait for who want its verdict, None where nobody does; no
    verdict comes out as None.  `known`: by their digests, the one asked longest ago first.
    `remembered`: it has its place in the table, full or not.
    """

    last: float
    answered: int = 0
    forgotten: int = 0
    asking: dict[bytes, _Verdict | None] = field(default_factory=dict, repr=False)
    known: dict[bytes, _Wrong] = field(default_factory=dict, repr=False)
    remembered: bool = False

    @property
    def wrong(self) -> int:
        return self.answered - self.forgotten


class _Nobodies:
    """Users who are not in `directory`: every password of theirs is wrong, at what that costs there."""

    def __init__(self, directory: OpenDirectory) -> None:
        self._directory = directory

    async def find(self, username: str, deadline: float) -> User | Outcome:
        return await self._directory.find(username, deadline)

    async def with_groups(self, user: User, deadline: float) -> User:
        return await self._directory.with_groups(user, deadline)

    async def check_password(self, user: User, password: bytes, deadline: float) -> Password:
        await self._directory.dummy_check(user.handle, password, deadline)
        return Password.WRONG

    async def dummy_check(self, username: str, password: bytes, deadline: float) -> None:
        await self._directory.dummy_check(username, password, deadline)

    def servers_up(self) -> Mapping[str, bool]:
        return self._directory.servers_up()

    @property
    def answered(self) -> int:
        return self._directory.answered

    async def close(self) -> None:
        await self._directory.close()


class ShieldedDirectory:
    """The `Directory` port over another one, which hears of few wrong passwords.  Belongs to one event loop."""

    def __init__(
        self,
        directory: OpenDirectory,
        clock: Clock,
        entropy: Entropy,
        limits: WrongPasswords,
        tell: Tell,
        *,
        of_nobody: bool = False,
    ) -> None:
        """`of_nobody`: of users who are not in the directory."""
        self._directory = directory
        self._tell = tell
        self._is_of_nobody = of_nobody
        self._clock = clock
        self._key = entropy.octets(32)
        self._keyed = _keyed(self._key)
        self._limit = limits.limit or math.inf
        self._within = limits.within
        self._longest_span = max(limits.within, _FIRST_SPAN)
        self._users: OrderedDict[str, _Record] = OrderedDict()  # by `last`
        self._of_nobody = partial(
            ShieldedDirectory, _Nobodies(directory), clock, entropy, limits, tell, of_nobody=True
        )
        self._looks_again = -math.inf  # monotonic seconds
        self._nobodies: ShieldedDirectory | None = None

    def take_over(self, before: ShieldedDirectory) -> None:
        """Remember what `before` did, which stood before the same directory under another configuration."""
        self._key = before._key
        self._keyed = before._keyed
        self._users = before._users
        if before._nobodies is not None:
            self._nobodies = self._of_nobody()
            self._nobodies.take_over(before._nobodies)

    def find(self, username: str, deadline: float) -> Coroutine[Any, Any, User | Outcome]:
        """What the directory finds."""
        return self._directory.find(username, deadline)

    def with_groups(self, user: User, deadline: float) -> Coroutine[Any, Any, User]:
        """As the directory has them."""
        return self._directory.with_groups(user, deadline)

    async def dummy_check(self, username: str, password: bytes, deadline: float) -> None:
        """What the directory does, for as few passwords as of somebody who is there: or the rest would tell."""
        if not password:  # which nobody is asked either
            return
        nobodies = self._shield_of_nobodies()
        nobody = User(id=usernames.fold(username), username=username, handle=username)
        await nobodies.check_password(nobody, password, deadline)

    def hear(self, user_id: str, *, nobody: bool, right: bool) -> None:
        """What another worker was told by the same directory; which password it was, it keeps to itself."""
        if nobody and not self._is_of_nobody:
            self._shield_of_nobodies().hear(user_id, nobody=True, right=right)
            return
        now = self._clock.monotonic()
        record = self._users.get(user_id) or _Record(now)
        if right:
            record.forgotten = record.answered
            record.known.clear()
        else:
            self._begin_anew(record, now)
            record.answered += 1
            record.last = now
            self._users[user_id] = record
            self._users.move_to_end(user_id)
        if user_id in self._users:
            self._keep(user_id, record)

    def _shield_of_nobodies(self) -> ShieldedDirectory:
        self._nobodies = self._nobodies or self._of_nobody()
        return self._nobodies

    def servers_up(self) -> Mapping[str, bool]:
        """The directory's."""
        return self._directory.servers_up()

    @property
    def answered(self) -> int:
        """By the directory's servers: what is said here without asking them does not count."""
        return self._directory.answered

    async def close(self) -> None:
        """Close the directory."""
        await self._directory.close()

    async def check_password(self, user: User, password: bytes, deadline: float) -> Password:
        """What the directory says, unless it had better not be asked: WRONG_AGAIN, TOO_MANY_WRONG.

        Raises DirectoryError, also when other guesses at this user are not decided by the deadline.
        """
        if not password:
            return await self._directory.check_password(user, password, deadline)  # which asks nobody
        now = self._clock.monotonic()
        if now >= self._looks_again:
            self._forget_old(now)
        record = self._users.get(user.id)
        if record is None:  # nothing was wrong, and nobody asks
            record = self._users[user.id] = _Record(now)
        else:  # which takes a coroutine more
            admitted = await self._admitted(user, password, deadline)
            if isinstance(admitted, Password):
                return admitted
            record = admitted
        record.asking[password] = None
        answered_before = record.answered
        verdict = None
        try:
            verdict = await self._directory.check_password(user, password, deadline)
            return verdict
        finally:
            self._decided(user, password, record, verdict, answered_before)

    async def _admitted(self, user: User, password: bytes, deadline: float) -> Password | _Record:
        """What is said without asking; the user's record where the directory is to be asked, now."""
        digest = self._digest(user, password)
        while True:
            now = self._clock.monotonic()
            record = self._users.setdefault(user.id, _Record(now))
            self._begin_anew(record, now)
            wrong_before = self._known(record, digest, now)
            refused = self._refusal(record, wrong_before, now)
            if refused is not None:
                return refused
            asked = password in record.asking
            if not asked and record.wrong + len(record.asking) < self._limit_for(wrong_before):
                return record
            verdicts = [_verdict_of(record, each) for each in ([password] if asked else record.asking)]
            await self._first_of(verdicts, deadline - now)
            verdict = verdicts[0].result() if asked else None
            if verdict is not None:
                return verdict

    def _begin_anew(self, record: _Record, now: float) -> None:
        """Count from nothing where the last wrong answer is too long ago."""
        if record.wrong and now - record.last >= self._within:
            record.forgotten = record.answered

    def _refusal(self, record: _Record, wrong_before: _Wrong | None, now: float) -> Password | None:
        """What is said without asking; None where it must be asked, now or when there is room."""
        if record.wrong >= self._limit:
            return Password.TOO_MANY_WRONG
        if wrong_before and (now < wrong_before.until or record.wrong >= self._limit_for(wrong_before)):
            return Password.WRONG_AGAIN
        return None

    def _limit_for(self, wrong_before: _Wrong | None) -> float:
        """How many guesses there may be; the last is not for a password that was wrong before."""
        return max(self._limit - 1, 1) if wrong_before else self._limit

    def _known(self, record: _Record, digest: bytes, now: float) -> _Wrong | None:
        """When this password was last found wrong, unless that is too long ago to matter."""
        known = record.known.get(digest)
        return known if known and now < known.until + self._longest_span else None

    async def _first_of(self, asking: list[_Verdict], seconds: float) -> None:
        """Wait until one of them is decided, or has failed."""
        ended, _ = await asyncio.wait(asking, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if not ended:
            raise DirectoryError("no time to check the password: others of the same user are still being checked")

    def _decided(
        self, user: User, password: bytes, record: _Record, verdict: Password | None, answered_before: int
    ) -> None:
        """What the directory has said of a password, None for nothing; and who waits for it hears the same."""
        ended = record.asking.pop(password)
        if verdict is Password.RIGHT:
            if record.answered:
                self._forgive(user.id, record, answered_before)
        elif verdict is Password.WRONG:
            self._count(user, record, self._digest(user, password))
            self._tell(user.id, self._is_of_nobody, False)
        elif verdict in _RIGHT_BUT:
            record.known.pop(self._digest(user, password), None)
        self._keep(user.id, record)
        if ended is not None:
            ended.set_result(verdict)

    def _forgive(self, user_id: str, record: _Record, answered_before: int) -> None:
        """Forget what was wrong before the right password was asked."""
        if record.wrong or record.known:
            self._tell(user_id, self._is_of_nobody, True)
        record.forgotten = max(record.forgotten, answered_before)
        record.known.clear()

    def _count(self, user: User, record: _Record, digest: bytes) -> None:
        """One more wrong answer, counted from when it came: never earlier than the directory counted it."""
        now = self._clock.monotonic()
        before = self._known(record, digest, now)
        span = min(before.span * 2, self._longest_span) if before else _FIRST_SPAN
        record.known.pop(digest, None)
        if len(record.known) >= _MOST_PASSWORDS:
            del record.known[next(iter(record.known))]
        record.known[digest] = _Wrong(now + span, span)
        record.answered += 1
        record.last = now
        self._users.move_to_end(user.id)

    def _keep(self, user_id: str, record: _Record) -> None:
        """Drop the record if nothing is known any more, or there is no room for somebody new."""
        if record.asking:
            return
        if record.answered and (record.wrong or record.known) and (record.remembered or self._room()):
            record.remembered = True
        else:
            del self._users[user_id]

    def _room(self) -> bool:
        """Whether the table is within its bound, with the user who was counted least lately dropped if need be."""
        if len(self._users) > _MOST_USERS:
            self._forget_oldest_if(self._clock.monotonic() - self._within)
        return len(self._users) <= _MOST_USERS

    def _forget_old(self, now: float) -> None:
        """Drop those whose last wrong password is asked anew like any other; nobody has to look all the time."""
        self._looks_again = now + _BETWEEN_LOOKS
        while self._forget_oldest_if(now - 2 * self._longest_span):
            pass

    def _forget_oldest_if(self, before: float) -> bool:
        """Drop the first in the table if its last wrong answer is no later than `before`."""
        user_id, oldest = next(iter(self._users.items()), ("", None))
        if oldest is None or oldest.last > before or oldest.asking:
            return False
        del self._users[user_id]
        return True

    def _digest(self, user: User, password: bytes) -> bytes:
        """The same for the same password of the same user, in this process."""
        digest = self._keyed.copy()
        digest.update(repr((user.id, password)).encode(errors="surrogatepass"))
        return digest.digest()


def _verdict_of(record: _Record, password: bytes) -> _Verdict:
    """Of a guess at the directory now: to be waited for."""
    verdict = record.asking[password]
    if verdict is None:
        verdict = record.asking[password] = asyncio.get_running_loop().create_future()
    return verdict


def _keyed(key: bytes) -> hashlib.blake2b:
    """A hash under that key, to be copied: the key is worked in once and not for every password."""
    return hashlib.blake2b(key=key, digest_size=16)
