"""What the conversation asks of the world, but for the store: `core.store`.

Every call that may wait takes `deadline`, in the monotonic seconds of `Clock`: the implementation
gives up by then with a `BackendError` of its own kind.  Refusals come back as values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping
from enum import Enum
from typing import Protocol

from radius_mfa.core.messages import FactorKind, User
from radius_mfa.core.outcomes import Outcome
from radius_mfa.core.stored import Consumption, Facts, MailCode, NearMiss, NewMailCode


class Clock(Protocol):
    """Two clocks: what time it is, and how much of it has passed."""

    def wall(self) -> float:
        """Seconds since 1970, UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back; the event loop's own."""
        ...


class Entropy(Protocol):
    """The operating system's randomness."""

    def octets(self, count: int) -> bytes: ...


class Meter(Protocol):
    """Counts what happens.  `labels` are few and bounded: never a user, never an address."""

    def count(self, name: str, amount: int = 1, /, **labels: str) -> None: ...

    # For what happens in every login, by the labels' values in their order.

    def counter(self, name: str) -> MutableMapping[tuple[str, ...], int]:
        """`count` of one name: `[values] += 1`."""
        ...

    def timer(self, name: str) -> Mapping[tuple[str, ...], Callable[[float], None]]:
        """Times what goes by one name: `[values](seconds)`."""
        ...


class Sealer(Protocol):
    """Encrypts and authenticates what leaves the process; one derived key a purpose.

    `bound_to` is authenticated with it: a sealed value moved to another user or row does not open.
    """

    def seal(self, purpose: str, plain: bytes, *bound_to: str) -> bytes: ...

    def open(self, purpose: str, sealed: bytes, *bound_to: str) -> bytes | None:
        """The plain octets, or None when it was not sealed by us for this purpose and these names."""
        ...

    def digest(self, purpose: str, *parts: bytes) -> bytes:
        """A keyed digest of 16 octets over the parts, each with its length."""
        ...

    def other_digests(self, purpose: str, *parts: bytes) -> tuple[bytes, ...]:
        """The same under the keys that seal no more, or not yet: what another node may have made."""
        ...


# --- the directory ------------------------------------------------------------------------------


class Password(Enum):
    """What a directory says about a password; the value is the outcome of a login with it, "" for right."""

    RIGHT = ""
    WRONG = Outcome.WRONG_PASSWORD
    EXPIRED = Outcome.PASSWORD_EXPIRED
    MUST_CHANGE = Outcome.PASSWORD_MUST_CHANGE
    LOCKED = Outcome.ACCOUNT_LOCKED  # whatever the password was
    DISABLED = Outcome.ACCOUNT_DISABLED
    RESTRICTED = Outcome.ACCOUNT_RESTRICTED  # right, but not at this hour or from here
    WRONG_AGAIN = Outcome.WRONG_PASSWORD_AGAIN  # known to be wrong: nobody was asked
    TOO_MANY_WRONG = Outcome.TOO_MANY_WRONG_PASSWORDS  # the user's are used up: nobody was asked

    @property
    def outcome(self) -> Outcome:
        """Why it is a refusal; nothing is asked of RIGHT."""
        return Outcome(self.value)


class Directory(Protocol):
    """Accounts and their passwords."""

    async def find(self, username: str, deadline: float) -> User | Outcome:
        """The one entry of that name, activated or not; perhaps without groups, see `with_groups`.

        Else UNKNOWN_USER, AMBIGUOUS_USER or USER_ID_UNUSABLE.  Raises DirectoryError.
        """
        ...

    async def with_groups(self, user: User, deadline: float) -> User:
        """The user with all their groups; `find` leaves out those that take more asking.

        Raises DirectoryError, also where only some are to be had.
        """
        ...

    async def check_password(self, user: User, password: bytes, deadline: float) -> Password:
        """Whether `password` is `user`'s.  An empty one is WRONG without being asked.  Raises DirectoryError."""
        ...

    async def dummy_check(self, username: str, password: bytes, deadline: float) -> None:
        """The work `check_password` would have been, where there is nobody to check: no timing tells."""
        ...


# --- the second factors -------------------------------------------------------------------------


class Mailer(Protocol):
    """Who delivers what is in the outbox."""

    def wake(self) -> None: ...


class Factor(Protocol):
    """One kind of second factor."""

    kind: FactorKind

    def usable(self, facts: Facts) -> bool:
        """Whether this user could answer with it now."""
        ...

    def judge(self, facts: Facts, code: str, now: float) -> Consumption | NearMiss | Outcome:
        """What the code would use up, else CODE_WRONG, CODE_USED or SECRET_UNREADABLE.  `now`: wall seconds."""
        ...


class MailedFactor(Factor, Protocol):
    """The second factor that has to be asked for."""

    def ask(self, facts: Facts, language: str, client: str, now: float) -> MailCode | NewMailCode | None:
        """The code to type: one that is on its way already, or a new one to issue; None: no more for today."""
        ...
