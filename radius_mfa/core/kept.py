"""What is kept of a user's factors over their life: the values that cross `core.store`, but for those of a login.

Times are wall seconds.  What is sealed is bound to the user's id and its own, under the purpose named with it.
"""

from __future__ import annotations

from dataclasses import field

from radius_mfa.core.guard import Counters
from radius_mfa.core.record import record
from radius_mfa.core.stored import Token


@record(frozen=True, slots=True)
class NewToken:
    """A TOTP token to add.  `fingerprint`: keyed digest of the seed: one seed is one token of a user.

    `other_fingerprints`: the same under keys that others may still use.  `good_from`: of one whose first code was
    seen and which is to count only then; it is not `confirmed` until that.  0: it waits for no time.
    """

    id: str
    user_id: str
    username: str
    label: str
    seed: bytes = field(repr=False)
    fingerprint: bytes = field(repr=False)
    confirmed: bool = False
    last_step: int = 0
    drift: int = 0
    good_from: float = 0.0
    other_fingerprints: tuple[bytes, ...] = field(default=(), repr=False)


@record(frozen=True, slots=True)
class NewRecoveryCode:
    """A recovery code to keep.  `code` is sealed for `recovery_codes`."""

    id: str
    code: bytes = field(repr=False)


@record(frozen=True, slots=True)
class Proposal:
    """An address that nobody has confirmed yet, one a user.  `code` is sealed for `address`.

    `tries`: guesses at the code, this one too.  `good_from`: of one whose code was seen and which is to count only
    then; 0: its code was not seen.
    """

    id: str
    user_id: str
    address: str
    reference: str
    code: bytes = field(repr=False)
    created: float
    expires: float
    tries: int = 0
    good_from: float = 0.0


@record(frozen=True, slots=True)
class Voucher:
    """What the help desk lets a user enrol with, once; one a user.  `code` is sealed for `voucher`.

    `tries`: guesses at the code, this one too.
    """

    id: str
    user_id: str
    code: bytes = field(repr=False)
    created: float
    expires: float
    tries: int = 0


@record(frozen=True, slots=True)
class Device:
    """A trusted device as the store has it, in one scope of those it is trusted in."""

    id: str
    user_id: str
    username: str
    station: str
    scope: str
    client: str
    factor: str
    created: float
    expires: float


@record(frozen=True, slots=True)
class KnownUser:
    """One line of the list of all users.  `tokens`: confirmed ones; `last_success`: None for never."""

    user_id: str
    username: str
    counters: Counters
    required: bool
    tokens: int
    mail_address: str
    recovery_left: int
    created: float
    last_success: float | None


@record(frozen=True, slots=True)
class TokenRecord:
    """A token with its user's name, as an export has it."""

    token: Token
    username: str
