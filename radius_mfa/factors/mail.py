"""The code that is mailed: 8 digits, good once, for a time, and for three guesses."""

from __future__ import annotations

import hmac
from dataclasses import dataclass

from radius_mfa.core.codes import new_digits, new_reference
from radius_mfa.core.mailing import DAY
from radius_mfa.core.messages import FactorKind
from radius_mfa.core.outcomes import Outcome
from radius_mfa.core.ports import Entropy, Sealer
from radius_mfa.core.stored import Facts, MailCode, MailCodeUse, NewMailCode

PURPOSE = "mail"  # what codes are sealed for
DIGITS = 8
MOST_TRIES = 3


@dataclass(frozen=True, slots=True)
class MailRules:
    """`lifetime`: of a code; `cooldown`: for which a good one is not followed by another; both in seconds.

    `per_day`: mails to one user.
    """

    lifetime: float
    per_day: int
    cooldown: float


class MailFactor:
    """Judges mailed codes, and says when there is a new one to mail.

    `client`: the only one whose codes count, which are those that were asked for there; None: all do.  A code of
    another client is then like one that there never was, be it used or not.  The mails of the day are counted over
    all clients, and no two of them have the same reference.

    A clock that was set back makes codes look as if they came from the future.  They are as young as
    can be, so that nobody is sent another; but from further than a lifetime ahead none is good.
    """

    kind = FactorKind.MAIL

    def __init__(self, sealer: Sealer, entropy: Entropy, rules: MailRules, client: str | None = None) -> None:
        self._sealer = sealer
        self._entropy = entropy
        self._rules = rules
        self._client = client

    def usable(self, facts: Facts) -> bool:
        """Whether the user has a verified address."""
        return bool(facts.mail_address)

    def judge(self, facts: Facts, code: str, now: float) -> MailCodeUse | Outcome:
        """The good code that `code` is; CODE_USED for one that was good and is used.

        The guess has been counted, so a third one is still looked at.  Every code that counts here is opened
        and compared, so that the time taken says nothing of which one fits.
        """
        opened = [
            (each, self._sealer.open(PURPOSE, each.code, each.user_id, each.id))
            for each in facts.mail_codes
            if self._counts(each)
        ]
        fits = [each for each, plain in opened if plain is not None and hmac.compare_digest(plain, code.encode())]
        current = [each for each in fits if self._current(each, now)]
        for each in current:
            if not each.used and each.tries <= MOST_TRIES:
                return MailCodeUse(each.id)
        if any(each.used for each in current):
            return Outcome.CODE_USED
        # With one to compare with, it was a guess like any other.
        unreadable = opened and all(plain is None for _, plain in opened)
        return Outcome.SECRET_UNREADABLE if unreadable else Outcome.CODE_WRONG

    def ask(self, facts: Facts, language: str, client: str, now: float) -> MailCode | NewMailCode | None:
        """The code to type: a good one younger than the cooldown, else a new one, else whichever is good.

        None where the mails of the day are used up, or the address is gone.
        """
        if not self.usable(facts):
            return None
        good = [
            each
            for each in facts.mail_codes
            if self._counts(each) and self._current(each, now) and not each.used and each.tries < MOST_TRIES
        ]
        young = [each for each in good if now - each.created < self._rules.cooldown]
        if young:
            return young[-1]
        # A day ahead, as after a clock that was years wrong, is no mail of today either.
        today = sum(abs(now - each.created) < DAY for each in facts.mail_codes)
        if today < self._rules.per_day:
            return self._new(facts, language, client, now)
        return good[-1] if good else None

    def _counts(self, code: MailCode) -> bool:
        return self._client is None or code.client == self._client

    def _current(self, code: MailCode, now: float) -> bool:
        return code.created - self._rules.lifetime <= now < code.expires

    def _new(self, facts: Facts, language: str, client: str, now: float) -> NewMailCode:
        code_id = self._entropy.octets(8).hex()
        digits = new_digits(self._entropy, DIGITS)
        return NewMailCode(
            id=code_id,
            user_id=facts.user_id,
            reference=new_reference(self._entropy, {each.reference for each in facts.mail_codes}),
            code=self._sealer.seal(PURPOSE, digits.encode(), facts.user_id, code_id),
            created=now,
            expires=now + self._rules.lifetime,
            address=facts.mail_address,
            language=language,
            client=client,
            after=facts.mail_codes[-1].id if facts.mail_codes else "",
        )
