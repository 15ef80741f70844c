"""TOTP: the 6 digits of an authenticator app that change every 30 seconds (RFC 6238)."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha1
from hmac import compare_digest
from struct import Struct

import pyotp

from radius_mfa.core.messages import FactorKind
from radius_mfa.core.outcomes import Outcome
from radius_mfa.core.ports import Sealer
from radius_mfa.core.seeds import fingerprint_octets
from radius_mfa.core.stored import Facts, NearMiss, Token, TotpStep

PERIOD = 30
DIGITS = 6
_CODES = 10**DIGITS
_NUMBER = Struct(">I").unpack_from
_PURPOSE = FactorKind.TOTP.value
_BLOCK = 64  # octets that SHA-1 takes at a time
_INNER, _OUTER = (bytes(octet ^ pad for octet in range(256)) for pad in (0x36, 0x5C))  # RFC 2104 §2
NEAR = 4  # steps beyond the window: two minutes
MOST_DRIFT = 10  # steps that are learnt from logins; resynchronising goes further
_RESYNC = 120  # steps: an hour, as of a device in the next time zone
SHORTEST = 10  # octets; what many existing tokens have.  New seeds have 20 (RFC 4226 §4)


class TotpFactor:
    """Judges codes against the tokens of a user.

    `window`: steps before and after the current one that are accepted too: 1 bears a clock that is
    30 s off (RFC 6238 §5.2).  A code of the steps just around them is never accepted, but known, so that the
    user can be told of the clock.
    """

    kind = FactorKind.TOTP

    def __init__(self, sealer: Sealer, window: int) -> None:
        self._sealer = sealer
        self._window = window

    def usable(self, facts: Facts) -> bool:
        """Whether the user has a confirmed token."""
        return True in [token.confirmed for token in facts.tokens]

    def judge(self, facts: Facts, code: str, now: float) -> TotpStep | NearMiss | Outcome:
        """The step the code is for, of whichever confirmed token; CODE_USED for one that was accepted before.

        Of several steps that fit it is the latest one that is fresh: once that is used, the code is for none.  So
        the steps are tried from the latest back, and a right code ends it: what that took says no more than the
        Access-Accept does.  For a wrong one every step of every token is computed, so that the time taken says
        nothing of the code; those that are only near are looked at once none fits, which the answer says anyway.
        """
        readable: list[tuple[Token, bytes]] = []
        is_used = is_unreadable = False
        for token in reversed(facts.tokens):
            if not token.confirmed:
                continue
            seed = self._opened(token)
            if seed is None:
                is_unreadable = True
                continue
            readable.append((token, seed))
            for step in _matching(seed, code, self._accepted(token, now)):
                if step > token.last_step and step not in token.told_steps:
                    return _accepting(token, step, now, self._window)
                is_used = True
        if is_used:
            return Outcome.CODE_USED
        near = [miss for token, seed in reversed(readable) for miss in self._near(token, seed, code, now)]
        if near:
            return near[0]
        # With one to compare with, it was a guess like any other.
        return Outcome.SECRET_UNREADABLE if is_unreadable and not readable else Outcome.CODE_WRONG

    def first_code(self, token: Token, code: str, now: float) -> TotpStep | NearMiss | None:
        """The step of `code`, be the token confirmed or not: what a first code confirms it with.

        Nothing is learnt of the clock: a first code may have come by telephone, and late.
        """
        seed = self._opened(token)
        if seed is None:
            return None
        for step in _matching(seed, code, _around(_local(token, now), self._window)):
            return TotpStep(token.id, step, token.drift)
        near = self._near(token, seed, code, now)
        return near[0] if near and isinstance(near[0], NearMiss) else None

    def resynced(self, token: Token, first: str, second: str, now: float) -> TotpStep | None:
        """The step of `second` where the two codes follow each other, up to an hour away (RFC 6238 §6)."""
        seed = self._opened(token)
        if seed is None:
            return None
        current = int(now // PERIOD)
        for step in _matching(seed, first, _around(current, _RESYNC)):
            if list(_matching(seed, second, [step + 1])):
                return TotpStep(token.id, step + 1, step + 1 - current)
        return None

    def _near(self, token: Token, seed: bytes, code: str, now: float) -> list[NearMiss | Outcome]:
        """What a code comes to that is only near: of a used step CODE_USED, of another its distance."""
        accepted = self._accepted(token, now)
        steps = [step for step in _around(_local(token, now), self._window + NEAR) if step not in accepted]
        return [
            Outcome.CODE_USED
            if step <= token.last_step or step in token.told_steps
            else NearMiss(TotpStep(token.id, step, token.drift), _middle(step) - now)
            for step in _matching(seed, code, steps)
        ]

    def _accepted(self, token: Token, now: float) -> Sequence[int]:
        """The steps whose codes are right, the latest first: around what the device shows, and the true time.

        Whoever is told that their clock is wrong sets it right, and must not be shut out by that.
        """
        current, window = int(now // PERIOD), self._window
        if not token.drift:  # as of most
            return range(current + window, current - window - 1, -1)
        return sorted({*_around(current + token.drift, window), *_around(current, window)}, reverse=True)

    def _opened(self, token: Token) -> bytes | None:
        return self._sealer.open(_PURPOSE, token.seed, token.user_id, token.id)


def _local(token: Token, now: float) -> int:
    """The step that the token's device shows, as far as its clock is known."""
    return int(now // PERIOD) + token.drift


def _middle(step: int) -> float:
    return (step + 0.5) * PERIOD


def _around(step: int, reach: int) -> range:
    return range(step - reach, step + reach + 1)


def _matching(seed: bytes, code: str, steps: Iterable[int]) -> Iterator[int]:
    """Those of the steps that have this code, each computed when it is asked for."""
    inner, outer = _pads(seed)
    for step in steps:
        if compare_digest(_code(inner, outer, step), code):
            yield step


def _pads(seed: bytes) -> tuple[bytes, bytes]:
    """What HMAC puts before its inner and its outer text (RFC 2104 §2), the same for all codes of a seed."""
    block = fingerprint_octets(seed).ljust(_BLOCK, b"\0")
    return block.translate(_INNER), block.translate(_OUTER)


def _code(inner: bytes, outer: bytes, step: int) -> str:
    """The code of a step (RFC 6238 §4.2), of a seed's pads: `hmac.digest` takes twice as long, and pyotp more."""
    # Within HMAC SHA-1 is as good as ever (RFC 6194 §3.3).
    digest = sha1(inner + step.to_bytes(8, "big"), usedforsecurity=False).digest()
    octets = sha1(outer + digest, usedforsecurity=False).digest()
    (number,) = _NUMBER(octets, octets[-1] & 0xF)
    return str(_CODES + (number & 0x7FFFFFFF) % _CODES)[1:]  # RFC 4226 §5.3, with the zeros it begins with


def _accepting(token: Token, step: int, now: float, window: int) -> TotpStep:
    """Accept the step, and learn from it how far the device's clock is off.

    A code is shown for a whole step and takes some seconds to type, so one that is half a step
    late or early says nothing yet.  What is learnt goes a step at a time, and not beyond `MOST_DRIFT`.
    """
    shown = _local(token, now)
    if step == shown:  # as nearly always: less than half a step off
        return TotpStep(token.id, step, token.drift)
    off = _middle(step) - (now + token.drift * PERIOD)
    if abs(step - shown) > window:
        # Of the true time, then: the clock was set right, or a device that is ahead was read late.
        return TotpStep(token.id, step, token.drift - (1 if token.drift > 0 else -1))
    drift = token.drift + (1 if off > PERIOD else -1 if off < -PERIOD else 0)
    return TotpStep(token.id, step, drift if abs(drift) <= max(MOST_DRIFT, abs(token.drift)) else token.drift)


def code_of(seed: bytes, now: float, steps_ahead: int = 0) -> str:
    """What an app with this seed shows at `now`, or so many steps later."""
    return _code(*_pads(seed), int(now // PERIOD) + steps_ahead)


class _Generator(pyotp.TOTP):
    """pyotp over a seed's octets: it refuses the 80-bit seeds people have."""

    def __init__(self, seed: bytes) -> None:
        self._seed = seed
        super().__init__(base32(seed), digits=DIGITS, interval=PERIOD)

    def byte_secret(self) -> bytes:
        return self._seed


def key_uri(seed: bytes, username: str, issuer: str) -> str:
    """The `otpauth://` address that an authenticator app reads out of a QR code."""
    return _Generator(seed).provisioning_uri(name=username, issuer_name=issuer or None)


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
