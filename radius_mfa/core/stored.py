"""What is remembered of users for a login: the values that cross `core.store`.  The others are in `core.kept`.

Times are wall seconds.  What is sealed is bound to the user's id and its own, under the purpose named with it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field
from enum import Enum, StrEnum, auto

from radius_mfa.core.guard import Counters
from radius_mfa.core.messages import Accept, AuditEvent, Challenge, FactorKind, Reject
from radius_mfa.core.record import record

# --- what is known of one user ------------------------------------------------------------------


@record(frozen=True, slots=True)
class Token:
    """A TOTP token as the store has it.  `seed` is sealed for `totp`.

    `last_step`: the last step accepted, 0 when none.  `drift`: how many steps the device's clock
    is ahead.  `confirmed`: a first code was seen; until then it is never accepted at a login.
    `told_steps`: those not to be accepted any more, since their codes were answered with advice.
    """

    id: str
    user_id: str
    label: str
    seed: bytes = field(repr=False)
    last_step: int = 0
    drift: int = 0
    confirmed: bool = True
    told_steps: frozenset[int] = frozenset()


@record(frozen=True, slots=True)
class MailCode:
    """A mailed code as the store has it.  `code` is sealed for `mail`.

    `reference`: what prompt and mail both show.  `client`: where it was asked for.  `tries`: guesses made until it
    was used or expired, counted before they were looked at.
    """

    id: str
    user_id: str
    reference: str
    code: bytes = field(repr=False)
    created: float
    expires: float
    tries: int = 0
    used: bool = False
    client: str = ""


@record(frozen=True, slots=True)
class RecoveryCode:
    """A recovery code as the store has it.  `code` is sealed for `recovery_codes`."""

    id: str
    user_id: str
    code: bytes = field(repr=False)
    used: bool = False


@record(frozen=True, slots=True)
class Facts:
    """What the store knows of one user, read in one go.  `username`: as the directory last gave it to us.

    `required`: some factor was set up once, or all were reset, so that the user is not let in without one.
    `mail_address`: verified, or empty.  `mail_codes`: of the last 24 hours and all that have not
    expired, used ones too, in the order they were issued.  `recovery_left`: how many are not used;
    `recovery_codes`: the codes themselves, used ones too, only where one is about to be judged.
    `codes_since`: no code that was given before counts any more for being let in without one.
    """

    user_id: str
    counters: Counters
    tokens: tuple[Token, ...] = ()
    username: str = ""
    mail_address: str = ""
    mail_codes: tuple[MailCode, ...] = ()
    required: bool = False
    recovery_left: int = 0
    recovery_codes: tuple[RecoveryCode, ...] = ()
    codes_since: float = 0.0


# --- a right code -------------------------------------------------------------------------------


@record(frozen=True, slots=True)
class TotpStep:
    """A code that fits: accept `step` of `token_id`, unless that or a later one was accepted before.

    `drift`: what the token's becomes with it.
    """

    token_id: str
    step: int
    drift: int


@record(frozen=True, slots=True)
class MailCodeUse:
    """A mailed code that fits: accept it, unless it was used before."""

    code_id: str


@record(frozen=True, slots=True)
class RecoveryCodeUse:
    """A recovery code that fits: accept it, unless it was used before."""

    code_id: str


@record(frozen=True, slots=True)
class NearMiss:
    """A code that would fit at another time: the device's clock is `seconds` ahead, or behind if negative.

    Nobody is told so twice of one `step`, and it is never accepted: what a guesser learns must be worth nothing.
    """

    step: TotpStep
    seconds: float


# What a right code uses up.
Consumption = TotpStep | MailCodeUse | RecoveryCodeUse


# --- mail ---------------------------------------------------------------------------------------


class MailKind(StrEnum):
    """What a mail is about."""

    CODE = "code"  # to log in with
    ADDRESS = "address"  # a code that shows whose address it is
    SUSPENDED = "suspended"  # too many wrong codes: the user should know
    LINK = "link"  # to start anew with, where no factor can be shown any more
    # What was done, or is about to count (`Mail.expires`), in the portal: the user should know.
    TOKEN_ADDED = "token_added"
    TOKEN_WAITING = "token_waiting"
    ADDRESS_SET = "address_set"
    ADDRESS_WAITING = "address_waiting"
    RECOVERY_CODES_MADE = "recovery_codes_made"
    STARTED_ANEW = "started_anew"
    LOGIN_DISOWNED = "login_disowned"
    RESET = "reset"  # by the help desk


@record(frozen=True, slots=True)
class NewMailCode:
    """A code to be mailed.  `after`: the id of the user's latest code when it was decided on, or empty.

    `code` is sealed for `mail`.  `client`: where the user is logging in.
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


@record(frozen=True, slots=True)
class Notice:
    """A mail without a code, to the user's verified address as it was just now."""

    id: str
    user_id: str
    kind: MailKind
    address: str
    language: str
    client: str
    created: float
    expires: float


@record(frozen=True, slots=True)
class Mail:
    """A mail in the outbox.  `attempts`: tries so far, this one too.

    `reference` and `code` are of what it carries, the code sealed as that is (`mail`, `address`); both
    empty for a mail without one.  `client`: where the user was logging in, empty where nowhere.
    """

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
    kind: MailKind = MailKind.CODE


# --- an answer to a State -----------------------------------------------------------------------

# Seconds for which a wrong code is known again: not for ever, lest whoever guesses makes many codes unusable.
WRONG_FOR = 7 * 86400.0


@record(frozen=True, slots=True)
class Attempt:
    """An answer to a State, before it is looked at.

    `login` and `round` name the State, or what stands for it; `digest` (keyed) tells this answer from another,
    `other_digests` are the same under keys that others may still use; `expires`: until when it must be known to
    be spent; `window`: seconds for which a NAS asks again.  `guess`: the factor whose code it is, if it is one.
    """

    login: bytes
    round: int
    user_id: str
    digest: bytes
    expires: float
    window: float = 0.0
    guess: FactorKind | None = None
    other_digests: tuple[bytes, ...] = ()

    @property
    def name(self) -> tuple[str, str]:
        """Login and round, as what its decision is bound to."""
        return self.login.hex(), str(self.round)

    def is_digest(self, digest: bytes) -> bool:
        """Whether that is this very answer's."""
        return digest == self.digest or digest in self.other_digests


@record(frozen=True, slots=True)
class Reserved:
    """The State was fresh and is spent now, or the same answer is being judged: go on.

    `facts` were read in the same transaction, after the reservation.  `tried`: ids of the mailed codes
    that this reservation counted a try of, none where it was made before; `has_suspended`: it led to the
    suspension.
    """

    facts: Facts
    tried: tuple[str, ...] = ()
    has_suspended: bool = False


@record(frozen=True, slots=True)
class AnsweredBefore:
    """The identical answer was decided already: `decision` is what `settle` was given."""

    decision: bytes = field(repr=False)


class Refusal(Enum):
    """Why an attempt was not reserved."""

    SPENT = auto()  # another answer has used this State
    BARRED = auto()  # `reserve` said no: locked or suspended


@record(frozen=True, slots=True)
class NewDevice:
    """A device to trust.  `station`: as `core.trust` spells it; `scopes`: where it is trusted, a row each.

    `client`: where the user asked for it.  `factor`: by which kind of code.
    """

    id: str
    user_id: str
    station: str
    scopes: tuple[str, ...]
    client: str
    factor: FactorKind
    created: float
    expires: float


@record(frozen=True, slots=True)
class Settlement:
    """How an attempt ended, written in one transaction.

    `given`: the decision; `decision`: its octets, to give to whoever sends the identical answer again.
    `consume`: what a right code uses up.  `adjust`: what becomes of the counters.  `untried`: ids of the mailed
    codes whose try is taken back.  `event`: the login's row; `station`: the device it was at, as `core.trust`
    spells it, empty for one that is not known.  `told`: a step that is not accepted any more
    (`Token.told_steps`).  `trust`: a device to trust from now on, in place of what was known of that
    station.  `notice`: a mail to the user.  `codes`: digests of a code, right or wrong, where it is to be known
    again: the first is written, and nothing at all where a login of the user has any of them already
    (`Settled`), be it one that was let in, or one that was refused in the `WRONG_FOR` before this one.
    """

    attempt: Attempt
    given: Accept | Reject | Challenge
    decision: bytes = field(repr=False)
    event: AuditEvent
    consume: Consumption | None = None
    adjust: Callable[[Counters], Counters] | None = None
    untried: tuple[str, ...] = ()
    told: TotpStep | None = None
    trust: NewDevice | None = None
    notice: Notice | None = None
    station: str = ""
    codes: tuple[bytes, ...] = field(default=(), repr=False)


class Settled(Enum):
    """What `settle` did, when it did not find a decision already there."""

    DONE = auto()
    CODE_USED = auto()  # nothing was written: another login consumed the code first
    CODE_WRONG_AGAIN = auto()  # nothing was written: the code was wrong in another login
