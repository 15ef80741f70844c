"""Recovery codes: letters on paper, each good once, for when the phone is gone and no mail can be read."""

from __future__ import annotations

import hmac

from radius_mfa.core.messages import FactorKind
from radius_mfa.core.outcomes import Outcome
from radius_mfa.core.ports import Sealer
from radius_mfa.core.stored import Facts, RecoveryCodeUse


class RecoveryFactor:
    """Judges recovery codes."""

    kind = FactorKind.RECOVERY_CODES

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer

    def usable(self, facts: Facts) -> bool:
        """Whether the user has one left."""
        return facts.recovery_left > 0

    def judge(self, facts: Facts, code: str, _now: float) -> RecoveryCodeUse | Outcome:
        """The code that it is; CODE_USED for one that was used.

        Every code is opened and compared, so that the time taken says nothing of which one fits.
        """
        opened = [
            (each, self._sealer.open(self.kind, each.code, each.user_id, each.id)) for each in facts.recovery_codes
        ]
        fits = [each for each, plain in opened if plain is not None and hmac.compare_digest(plain, code.encode())]
        for each in fits:
            return Outcome.CODE_USED if each.used else RecoveryCodeUse(each.id)
        # With one to compare with, it was a guess like any other.
        unreadable = opened and all(plain is None for _, plain in opened)
        return Outcome.SECRET_UNREADABLE if unreadable else Outcome.CODE_WRONG
