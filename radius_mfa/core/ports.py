"""What the conversation asks of the world.  Everything here is a Protocol or a value that crosses one.

Every call that may wait takes `deadline`, in the monotonic seconds of `Clock`: the implementation
gives up by then with a `BackendError` of its own kind.  Refusals come back as values.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Protocol

from radius_mfa.core.guard import Counters
from radius_mfa.core.messages import AuditEvent, FactorKind, User
from radius_mfa.core.outcomes import Outcome


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

    def observe(self, name: str, seconds: float, **labels: str) -> None: ...


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


# --- the directory ------------------------------------------------------------------------------


class Password(Enum):
    """What a directory says about a password."""

    RIGHT = auto()
    WRONG = auto()
    EXPIRED = auto()
    MUST_CHANGE = auto()
    LOCKED = auto()  # whatever the password was
    DISABLED = auto()
    RESTRICTED = auto()  # right, but not at this hour or from here
    WRONG_AGAIN = auto()  # known to be wrong: nobody was asked
    TOO_MANY_WRONG = auto()  # the user's wrong passwords are used up: nobody was asked


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


@dataclass(frozen=True, slots=True)
class Token:
    """A TOTP token as the store has it.  `seed` is sealed, bound to user and token id.

    `last_step`: the last step accepted, 0 when none.  `drift`: how many steps the device's clock
    is ahead.  `confirmed`: a first code was seen; until then it is never accepted at a login.
    """

    id: str
    user_id: str
    label: str
    seed: bytes = field(repr=False)
    last_step: int = 0
    drift: int = 0
    confirmed: bool = True


@dataclass(frozen=True, slots=True)
class MailCode:
    """A mailed code as the store has it.  `code` is sealed, bound to user and code id.

    `reference`: what prompt and mail both show.  `created`, `expires`: wall seconds.  `tries`: guesses
    made until it was used or expired, counted before they were looked at.
    """

    id: str
    user_id: str
    reference: str
    code: bytes = field(repr=False)
    created: float
    expires: float
    tries: int = 0
    used: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """What the store knows of one user, read in one go.  `username`: as the directory last gave it to us.

    `mail_address`: verified, or empty.  `mail_codes`: of the last 24 hours and all that have not
    expired, used ones too, in the order they were issued.
    """

    user_id: str
    counters: Counters
    tokens: tuple[Token, ...] = ()
    username: str = ""
    mail_address: str = ""
    mail_codes: tuple[MailCode, ...] = ()


@dataclass(frozen=True, slots=True)
class TotpStep:
    """A code that fits: accept `step` of `token_id`, unless that or a later one was accepted before."""

    token_id: str
    step: int
    drift: int


@dataclass(frozen=True, slots=True)
class MailCodeUse:
    """A mailed code that fits: accept it, unless it was used before."""

    code_id: str


# What a right code uses up.  Recovery codes join as an alternative.
Consumption = TotpStep | MailCodeUse


@dataclass(frozen=True, slots=True)
class NewMailCode:
    """A code to be mailed.  `after`: the id of the user's latest code when it was decided on, or empty.

    `code` is sealed, bound to user and code id.  `client`: where the user is logging in.
    """

    id: str
    user_id: str
    reference: str
    code: bytes = field(repr=False)
    created: float
    expires: float
    address: str
    language: str
    client: str
    after: str


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail in the outbox, with the sealed code it carries.  `attempts`: tries so far, this one too."""

    id: str
    user_id: str
    username: str
    address: str
    language: str
    client: str
    reference: str
    code: bytes = field(repr=False)
    created: float
    expires: float
    attempts: int


class Mailer(Protocol):
    """Who delivers what is in the outbox."""

    def wake(self) -> None: ...


class Factor(Protocol):
    """One kind of second factor."""

    kind: FactorKind

    def usable(self, facts: Facts) -> bool:
        """Whether this user could answer with it now."""
        ...

    def judge(self, facts: Facts, code: str, now: float) -> Consumption | Outcome:
        """What the code would use up, else CODE_WRONG or CODE_USED.  `now`: wall seconds."""
        ...


class MailedFactor(Factor, Protocol):
    """The second factor that has to be asked for."""

    def ask(self, facts: Facts, language: str, client: str, now: float) -> MailCode | NewMailCode | None:
        """The code to type: one that is on its way already, or a new one to issue; None: no more for today."""
        ...


# --- the store ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Attempt:
    """An answer to a State, before it is looked at.

    `login` and `round` name the State; `digest` (keyed) tells this answer from another to the same
    State; `expires`: wall seconds until which the spent State must be remembered.  `guess`: the
    factor whose code it is, None for what is no guess.
    """

    login: bytes
    round: int
    user_id: str
    digest: bytes
    expires: float
    guess: FactorKind | None = None


@dataclass(frozen=True, slots=True)
class Reserved:
    """The State was fresh and is spent now, or the same answer is being judged: go on.

    `facts` were read in the same transaction, after the reservation.  `tried`: ids of the mailed codes
    that this reservation counted a try of; none where it was made before.
    """

    facts: Facts
    tried: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AnsweredBefore:
    """The identical answer was decided already: `decision` is what `settle` was given."""

    decision: bytes


class Refusal(Enum):
    """Why an attempt was not reserved."""

    SPENT = auto()  # another answer has used this State
    BARRED = auto()  # `reserve` said no: locked or suspended


@dataclass(frozen=True, slots=True)
class Settlement:
    """How an attempt ended, written in one transaction.

    `decision`: octets to give to whoever sends the identical answer again.  `consume`: what a
    right code uses up.  `adjust`: what becomes of the counters.  `untried`: ids of the mailed codes
    whose try is taken back.  `event`: the login's row.
    """

    attempt: Attempt
    decision: bytes
    event: AuditEvent
    consume: Consumption | None = None
    adjust: Callable[[Counters], Counters] | None = None
    untried: tuple[str, ...] = ()


class Settled(Enum):
    """What `settle` did, when it did not find a decision already there."""

    DONE = auto()
    CODE_USED = auto()  # nothing was written: another login consumed the code first


@dataclass(frozen=True, slots=True)
class NewToken:
    """A TOTP token to add.  `fingerprint`: keyed digest of the seed: one seed is one token."""

    id: str
    user_id: str
    username: str
    label: str
    seed: bytes = field(repr=False)
    fingerprint: bytes = field(repr=False)
    confirmed: bool = False
    last_step: int = 0


class Store(Protocol):
    """What outlives a request.  Everything that must be decided once is one transaction."""

    async def facts(self, user_id: str, deadline: float) -> Facts:
        """What is known of the user; empty facts for one never seen.  Raises StoreError."""
        ...

    async def spend(
        self, attempt: Attempt, reserve: Callable[[Counters], Counters | None], deadline: float
    ) -> Reserved | AnsweredBefore | Refusal:
        """Spend a State and count a failure in advance, in one transaction.

        `reserve` is a pure rule over the counters; None from it refuses (and spends nothing).  Where
        the guess is a mailed code, each code that has not expired or been used counts a try as well.
        The identical attempt again: its decision if there is one, else Reserved once more,
        counted once.  Raises StoreError.
        """
        ...

    async def settle(self, settlement: Settlement, deadline: float) -> Settled | AnsweredBefore:
        """Write the end of an attempt: consume, counters, login row and decision, all or nothing.

        Whoever comes second with the same attempt gets the first one's decision.  Raises StoreError.
        """
        ...

    async def issue_mail_code(self, code: NewMailCode, deadline: float) -> bool:
        """Keep a code and put its mail into the outbox, in one transaction.

        False, and nothing written, where `after` or `address` is not the user's any more.  Raises StoreError.
        """
        ...

    async def claim_mails(self, now: float, until: float, most: int) -> Sequence[Mail]:
        """Mails that are due, the oldest first, nobody else's until `until` (wall seconds).  Raises StoreError."""
        ...

    async def postpone_mail(self, mail_id: str, due: float) -> None:
        """Let the mail be claimed again from `due` on, wall seconds."""
        ...

    async def drop_mail(self, mail_id: str) -> None:
        """Take the mail out of the outbox: it was delivered, or never will be."""
        ...

    async def set_mail_address(self, user_id: str, username: str, address: str) -> None:
        """Keep the user's verified address durably, "" for none; codes sent to another one are void."""
        ...

    async def add_tokens(self, tokens: Sequence[NewToken]) -> Sequence[bool]:
        """Add tokens durably, in one transaction; False for each whose seed the user already has."""
        ...

    async def confirm_token(self, token_id: str, step: int) -> bool:
        """Mark a token confirmed by the code of `step`, durably; False when it was confirmed before."""
        ...

    async def unlock(self, user_id: str) -> bool:
        """Clear a user's counters durably, lock and suspension included; False for one never seen."""
        ...

    async def seen_message_authenticator(self) -> frozenset[tuple[str, str]]:
        """The (client, source address) pairs known to send Message-Authenticator."""
        ...

    async def note_message_authenticator(self, client: str, source: str) -> None:
        """Remember that this source sends it: from now on it must."""
        ...

    async def purge(self, now: float, logins_before: float) -> int:
        """Delete States, mailed codes and mails past their time, and logins before `logins_before`; how many."""
        ...

    async def close(self) -> None: ...
