"""The life of a user's second factors: the one home of it, for the command line and the portal."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Protocol

from radius_mfa.core.addresses import is_below, readable_address
from radius_mfa.core.answers import CodeAnswer, read_answer
from radius_mfa.core.ports import Clock, Entropy, NewToken, Sealer, Store, Token

SEED_OCTETS = 20  # 160 bits, the length of the hash (RFC 4226 §4, R6)


class StepOf(Protocol):
    """What enrolment asks of TOTP: the step a code is for, or None."""

    def step_of(self, token: Token, code: str, now: float) -> int | None: ...


class Confirmation(Enum):
    """What became of a first code."""

    CONFIRMED = auto()
    WRONG = auto()
    NOTHING_OPEN = auto()  # every token of the user is confirmed, or there is none


class AddressRefusal(Enum):
    """Why no code is mailed there."""

    UNREADABLE = auto()
    BLOCKED = auto()  # it is read with the password that the code is to back up


@dataclass(frozen=True, slots=True)
class Seed:
    """A seed for one user's token, not sealed yet; `username` as the directory spells it."""

    user_id: str
    username: str
    octets: bytes = field(repr=False)
    label: str = ""


class Enrolment:
    """Adds and confirms tokens, and keeps addresses.

    Until its first code was seen a token is never accepted at a login.  `blocked_domains`: readable
    ones, at or below which no address is taken.
    """

    def __init__(
        self,
        store: Store,
        sealer: Sealer,
        totp: StepOf,
        clock: Clock,
        entropy: Entropy,
        blocked_domains: Sequence[str] = (),
    ) -> None:
        self._store = store
        self._sealer = sealer
        self._totp = totp
        self._clock = clock
        self._entropy = entropy
        self._blocked_domains = blocked_domains

    def new_seed(self) -> bytes:
        """A seed nobody has yet."""
        return self._entropy.octets(SEED_OCTETS)

    async def add(self, seeds: Sequence[Seed], *, confirmed: bool) -> Sequence[bool]:
        """Add a token for each seed, all in one transaction; False where the user has that seed already."""
        return await self._store.add_tokens([self._sealed(seed, confirmed) for seed in seeds])

    async def confirm(self, user_id: str, code: str, deadline: float) -> Confirmation:
        """Complete the open token the code fits.  The code is used up: it is no login's code any more."""
        facts = await self._store.facts(user_id, deadline)
        open_tokens = [token for token in facts.tokens if not token.confirmed]
        answer = read_answer(code)
        digits = answer.code if isinstance(answer, CodeAnswer) else ""
        for token in open_tokens:
            step = self._totp.step_of(token, digits, self._clock.wall())
            if step is not None and await self._store.confirm_token(token.id, step):
                return Confirmation.CONFIRMED
        return Confirmation.WRONG if open_tokens else Confirmation.NOTHING_OPEN

    async def set_address(self, user_id: str, username: str, address: str) -> str | AddressRefusal:
        """Keep a verified address: as it is kept.  Codes that were sent to another one are void."""
        readable = readable_address(address)
        if readable is None:
            return AddressRefusal.UNREADABLE
        if any(is_below(readable, domain) for domain in self._blocked_domains):
            return AddressRefusal.BLOCKED
        await self._store.set_mail_address(user_id, username, readable)
        return readable

    async def remove_address(self, user_id: str) -> None:
        """From now on no code is mailed to the user, and none that was is good."""
        await self._store.set_mail_address(user_id, "", "")

    def _sealed(self, seed: Seed, confirmed: bool) -> NewToken:
        token_id = self._entropy.octets(8).hex()
        return NewToken(
            id=token_id,
            user_id=seed.user_id,
            username=seed.username,
            label=seed.label,
            seed=self._sealer.seal("totp", seed.octets, seed.user_id, token_id),
            fingerprint=self._sealer.digest("fingerprint", _as_key(seed.octets)),
            confirmed=confirmed,
        )


def _as_key(seed: bytes) -> bytes:
    """The seed as HMAC-SHA-1 takes it (RFC 2104 §2): two that come to the same key make the same codes."""
    return (hashlib.sha1(seed, usedforsecurity=False).digest() if len(seed) > 64 else seed).rstrip(b"\0")
