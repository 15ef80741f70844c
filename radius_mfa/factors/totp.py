"""TOTP: the 6 digits of an authenticator app that change every 30 seconds (RFC 6238)."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Iterator

import pyotp

from radius_mfa.core.messages import FactorKind
from radius_mfa.core.outcomes import Outcome
from radius_mfa.core.ports import Facts, Sealer, Token, TotpStep

PERIOD = 30
DIGITS = 6
SHORTEST = 10  # octets; what many existing tokens have.  New seeds have 20 (RFC 4226 §4)


class TotpFactor:
    """Judges codes against the tokens of a user.

    `window`: steps before and after the current one that are accepted too: 1 bears a clock that is
    30 s off (RFC 6238 §5.2).
    """

    kind = FactorKind.TOTP

    def __init__(self, sealer: Sealer, window: int) -> None:
        self._sealer = sealer
        self._window = window

    def usable(self, facts: Facts) -> bool:
        """Whether the user has a confirmed token."""
        return any(token.confirmed for token in facts.tokens)

    def judge(self, facts: Facts, code: str, now: float) -> TotpStep | Outcome:
        """The step the code is for, of whichever confirmed token; CODE_USED for one that was accepted before.

        Every step of every token is computed, so that the time taken says nothing of which one fits.
        """
        fits = [
            TotpStep(token.id, step, token.drift)
            for token in facts.tokens
            if token.confirmed
            for step in self._steps_of(token, code, now)
        ]
        last = {token.id: token.last_step for token in facts.tokens}
        fresh = [each for each in fits if each.step > last[each.token_id]]
        if fresh:
            return fresh[-1]
        return Outcome.CODE_USED if fits else Outcome.CODE_WRONG

    def step_of(self, token: Token, code: str, now: float) -> int | None:
        """The step of `code`, confirmed or not: what a first code confirms a token with."""
        return next(self._steps_of(token, code, now), None)

    def _steps_of(self, token: Token, code: str, now: float) -> Iterator[int]:
        seed = self._sealer.open("totp", token.seed, token.user_id, token.id)
        if seed is None:
            return
        generator = _Generator(seed)
        current = int(now // PERIOD) + token.drift
        for step in range(current - self._window, current + self._window + 1):
            if hmac.compare_digest(generator.generate_otp(step), code):
                yield step


class _Generator(pyotp.TOTP):
    """pyotp over a seed's octets: it decodes base32 for every code, and refuses the 80-bit seeds people have."""

    def __init__(self, seed: bytes) -> None:
        self._seed = seed
        super().__init__("", digits=DIGITS, interval=PERIOD)

    def byte_secret(self) -> bytes:
        return self._seed


def code_of(seed: bytes, now: float, steps_ahead: int = 0) -> str:
    """What an app with this seed shows at `now`, or so many steps later."""
    return _Generator(seed).generate_otp(int(now // PERIOD) + steps_ahead)


def key_uri(seed: bytes, username: str, issuer: str) -> str:
    """The `otpauth://` address that an authenticator app reads out of a QR code."""
    generator = _Generator(seed)
    generator.secret = base32(seed)
    return generator.provisioning_uri(name=username, issuer_name=issuer or None)


def base32(seed: bytes) -> str:
    """The seed as people type it (RFC 4648 §6), without padding."""
    return base64.b32encode(seed).decode().rstrip("=")


def read_base32(text: str) -> bytes | None:
    """The seed that was typed; spaces, hyphens, case and padding are nothing.  None: not base32, or < 80 bits."""
    plain = "".join(text.split()).replace("-", "").rstrip("=").upper()
    try:
        seed = base64.b32decode(plain + "=" * (-len(plain) % 8))
    except ValueError:
        return None
    return seed if len(seed) >= SHORTEST else None
