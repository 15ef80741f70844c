"""The life of a user's second factors: the one home of it, for the command line and the portal.

What staff do is done.  What users do for themselves has an order: which factor comes first is the
administrator's to say, and until then the other is out of order.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import Protocol

from radius_mfa.core import codes
from radius_mfa.core.addresses import is_below, readable_address
from radius_mfa.core.answers import CodeAnswer, read_answer
from radius_mfa.core.kept import NewRecoveryCode, NewToken, Proposal, Voucher
from radius_mfa.core.messages import FactorKind
from radius_mfa.core.ports import Clock, Entropy, Sealer
from radius_mfa.core.seeds import fingerprint_octets
from radius_mfa.core.store import LifeStore
from radius_mfa.core.stored import Facts, NearMiss, Token, TotpStep

SEED_OCTETS = 20  # 160 bits, the length of the hash (RFC 4226 §4, R6)
ADDRESS, VOUCHER = "address", "voucher"  # the purposes that their codes are sealed for
_EXPORT = "export"
PROPOSAL_LIFETIME = 86400.0  # seconds
VOUCHER_LIFETIME = 7 * 86400.0  # seconds
MOST_TRIES = 5  # at the code of an address or a voucher


class Totp(Protocol):
    """What enrolment asks of TOTP; `now` in wall seconds."""

    def first_code(self, token: Token, code: str, now: float) -> TotpStep | NearMiss | None:
        """The step a code is for, the token confirmed or not."""
        ...

    def resynced(self, token: Token, first: str, second: str, now: float) -> TotpStep | None:
        """The step of the second of two codes that follow each other."""
        ...


class Confirmation(Enum):
    """What became of a first code."""

    CONFIRMED = auto()
    WRONG = auto()
    CLOCK_WRONG = auto()  # right for another time, by minutes
    USED = auto()  # right, and accepted before
    NOTHING_OPEN = auto()  # every token of the user is confirmed, or there is none


class Resync(Enum):
    """Why nothing was learnt from two codes."""

    WRONG = auto()  # they do not follow each other in any token of the user, within an hour
    USED = auto()  # they do, but the second, or a later one, was accepted before
    NO_TOKEN = auto()


class AddressRefusal(Enum):
    """Why no code is mailed there."""

    UNREADABLE = auto()
    BLOCKED = auto()  # it is read with the password that the code is to back up
    OUT_OF_ORDER = auto()  # the user has another factor to set up first


@dataclass(frozen=True, slots=True)
class Seed:
    """A seed for one user's token, not sealed yet; `username` as the directory spells it.

    `last_step`, `drift`: what is known of a token that was used elsewhere, see `Token`.
    """

    user_id: str
    username: str
    octets: bytes = field(repr=False)
    label: str = ""
    last_step: int = 0
    drift: int = 0


@dataclass(frozen=True, slots=True)
class EnrolmentRules:
    """What the configuration fixes.

    `blocked_domains`: readable ones, at or below which no address is taken.  `first`: the factor that users set
    up before any other, None where there is only one.  `recovery_codes`: how many a user gets.
    """

    blocked_domains: Sequence[str] = ()
    first: FactorKind | None = None
    recovery_codes: int = 10


class Enrolment:
    """Adds, confirms and ends factors.  Until its first code was seen a token is never accepted at a login."""

    def __init__(
        self, store: LifeStore, sealer: Sealer, totp: Totp, clock: Clock, entropy: Entropy, rules: EnrolmentRules
    ) -> None:
        self._store = store
        self._sealer = sealer
        self._totp = totp
        self._clock = clock
        self._entropy = entropy
        self._rules = rules

    def is_out_of_order(self, facts: Facts, kind: FactorKind) -> bool:
        """Whether the user has to set up another factor before this one."""
        first = self._rules.first
        if first is None or kind is first:
            return False
        held = (
            bool(facts.mail_address) if first is FactorKind.MAIL else any(each.confirmed for each in facts.tokens)
        )
        return not held

    # --- tokens -------------------------------------------------------------------------------------

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
        digits, now = _digits(code), self._clock.wall()
        found = [self._totp.first_code(token, digits, now) for token in open_tokens]
        for step in found:
            if isinstance(step, TotpStep) and await self._store.confirm_token(
                step.token_id, step.step, step.drift
            ):
                return Confirmation.CONFIRMED
        if any(isinstance(each, NearMiss) for each in found):
            return Confirmation.CLOCK_WRONG
        return Confirmation.WRONG if open_tokens else Confirmation.NOTHING_OPEN

    async def resync(self, user_id: str, first: str, second: str, deadline: float) -> TotpStep | Resync:
        """Learn from two codes in a row how far the device's clock is off, up to an hour; both are used up.

        The step of the second, with the drift of its token from now on; else why not.
        """
        facts = await self._store.facts(user_id, deadline)
        tokens = [token for token in facts.tokens if token.confirmed]
        now = self._clock.wall()
        for token in tokens:
            step = self._totp.resynced(token, _digits(first), _digits(second), now)
            if step is not None:
                done = await self._store.resync_token(step.token_id, step.step, step.drift)
                return step if done else Resync.USED
        return Resync.WRONG if tokens else Resync.NO_TOKEN

    def first_step(self, seed: Seed, code: str) -> TotpStep | NearMiss | None:
        """The step a code of a seed is for that nobody keeps yet."""
        new = self._sealed(seed, confirmed=False)
        token = Token(new.id, new.user_id, new.label, new.seed, confirmed=False)
        return self._totp.first_code(token, _digits(code), self._clock.wall())

    def token_of(self, seed: Seed, step: TotpStep, good_from: float = 0.0) -> NewToken:
        """The token of a seed whose first code was seen; `good_from`: see `NewToken`."""
        new = replace(seed, last_step=step.step, drift=step.drift)
        return replace(self._sealed(new, confirmed=not good_from), good_from=good_from)

    async def try_token(self, facts: Facts, token_id: str, code: str) -> Confirmation:
        """Whether a code of a confirmed token is right, which is used up then; nothing is counted."""
        token = next((each for each in facts.tokens if each.id == token_id and each.confirmed), None)
        if token is None:
            return Confirmation.NOTHING_OPEN
        step = self._totp.first_code(token, _digits(code), self._clock.wall())
        if not isinstance(step, TotpStep):  # nor is it told of another time: that would be worth guessing for
            return Confirmation.WRONG
        used = step.step in token.told_steps or not await self._store.resync_token(*_said(step))
        return Confirmation.USED if used else Confirmation.CONFIRMED

    async def remove_token(self, user_id: str, token_id: str) -> bool:
        """End one token; False where the user has none of that id."""
        return await self._store.remove_token(user_id, token_id)

    def _sealed(self, seed: Seed, confirmed: bool) -> NewToken:
        token_id = self._new_id()
        key = fingerprint_octets(seed.octets)
        return NewToken(
            id=token_id,
            user_id=seed.user_id,
            username=seed.username,
            label=seed.label,
            seed=self._sealer.seal(FactorKind.TOTP, seed.octets, seed.user_id, token_id),
            fingerprint=self._sealer.digest("fingerprint", key),
            other_fingerprints=self._sealer.other_digests("fingerprint", key),
            confirmed=confirmed,
            last_step=seed.last_step,
            drift=seed.drift,
        )

    def exported(self, token: Token, said: Sequence[str]) -> bytes | None:
        """The seed of a token, sealed with all that is `said` of it beside; None where it does not open."""
        seed = self.seed_of(token)
        return None if seed is None else self._sealer.seal(_EXPORT, seed, *said)

    def imported(self, sealed: bytes, said: Sequence[str]) -> bytes | None:
        """The seed of what was exported; None for another key file, or where anything of it was changed."""
        return self._sealer.open(_EXPORT, sealed, *said)

    def seed_of(self, token: Token) -> bytes | None:
        """The seed of a token, or None where it does not open: another key, user or token."""
        return self._sealer.open(FactorKind.TOTP, token.seed, token.user_id, token.id)

    # --- addresses ----------------------------------------------------------------------------------

    async def set_address(self, user_id: str, username: str, address: str) -> str | AddressRefusal:
        """Keep an address that staff have verified: as it is kept.  Codes that were sent to another are void."""
        readable = self._taken(address)
        if isinstance(readable, str):
            await self._store.set_mail_address(user_id, username, readable)
        return readable

    async def propose_address(
        self, user_id: str, username: str, address: str, language: str, deadline: float
    ) -> Proposal | AddressRefusal:
        """Mail a code to an address, which counts once the user has shown the code: `confirm_address`."""
        readable = self._taken(address)
        if isinstance(readable, AddressRefusal):
            return readable
        facts = await self._store.facts(user_id, deadline)
        if self.is_out_of_order(facts, FactorKind.MAIL):
            return AddressRefusal.OUT_OF_ORDER
        proposal_id, now = self._new_id(), self._clock.wall()
        digits = codes.new_digits(self._entropy, 8)
        proposal = Proposal(
            id=proposal_id,
            user_id=user_id,
            address=readable,
            reference=codes.new_reference(self._entropy, {each.reference for each in facts.mail_codes}),
            code=self._sealer.seal(ADDRESS, digits.encode(), user_id, proposal_id),
            created=now,
            expires=now + PROPOSAL_LIFETIME,
        )
        await self._store.propose_address(proposal, username, language)
        return proposal

    async def confirm_address(self, user_id: str, code: str) -> str | None:
        """The address that the code was mailed to, which is the user's verified one now; else None."""
        proposal = await self.look_at_proposal(user_id, code)
        accepted = proposal is not None and await self._store.accept_proposal(proposal.id, user_id)
        return proposal.address if proposal is not None and accepted else None

    async def look_at_proposal(self, user_id: str, code: str) -> Proposal | None:
        """What the code was mailed for; a guess is counted, and nothing is accepted."""
        proposal = await self._store.try_proposal(user_id, self._clock.wall())
        return proposal if proposal is not None and self._fits(ADDRESS, proposal, codes.compact(code)) else None

    async def remove_address(self, user_id: str) -> None:
        """From now on no code is mailed to the user, and none that was is good."""
        await self._store.set_mail_address(user_id, "", "")

    def _taken(self, address: str) -> str | AddressRefusal:
        """The address as it is kept, or why it is not."""
        readable = readable_address(address)
        if readable is None:
            return AddressRefusal.UNREADABLE
        blocked = any(is_below(readable, domain) for domain in self._rules.blocked_domains)
        return AddressRefusal.BLOCKED if blocked else readable

    # --- recovery codes and vouchers ----------------------------------------------------------------

    async def new_recovery_codes(self, user_id: str, username: str) -> Sequence[str]:
        """Recovery codes in place of all the user had, as they are shown: now, and never again."""
        new = {self._new_id(): codes.new_letters(self._entropy) for _ in range(self._rules.recovery_codes)}
        sealed = [
            NewRecoveryCode(code_id, self._sealer.seal(FactorKind.RECOVERY_CODES, code.encode(), user_id, code_id))
            for code_id, code in new.items()
        ]
        await self._store.set_recovery_codes(user_id, username, sealed)
        return [codes.spelled(code) for code in new.values()]

    async def issue_voucher(self, user_id: str, username: str) -> tuple[str, float]:
        """A voucher in place of any other of the user, as it is shown, and until when it is good, wall seconds."""
        voucher_id, now = self._new_id(), self._clock.wall()
        letters = codes.new_letters(self._entropy)
        sealed = self._sealer.seal(VOUCHER, letters.encode(), user_id, voucher_id)
        voucher = Voucher(voucher_id, user_id, sealed, now, now + VOUCHER_LIFETIME)
        await self._store.set_voucher(voucher, username)
        return codes.spelled(letters), voucher.expires

    async def look_at_voucher(self, user_id: str, typed: str) -> str | None:
        """The id of the user's voucher, where it is that; a guess is counted, and nothing is used up."""
        voucher = await self._store.try_voucher(user_id, self._clock.wall())
        if voucher is None or not self._fits(VOUCHER, voucher, codes.compact(typed)):
            return None
        return voucher.id

    async def redeem_voucher(self, user_id: str, typed: str) -> bool:
        """Whether it was the user's voucher, which is used up now."""
        voucher_id = await self.look_at_voucher(user_id, typed)
        return voucher_id is not None and await self._store.use_voucher(voucher_id, user_id)

    def _fits(self, purpose: str, kept: Proposal | Voucher, typed: str) -> bool:
        """Whether it is the code, after a guess that was counted before it is looked at."""
        if kept.tries > MOST_TRIES:
            return False
        plain = self._sealer.open(purpose, kept.code, kept.user_id, kept.id)
        return plain is not None and hmac.compare_digest(plain, typed.encode(errors="replace"))

    # --- the end ------------------------------------------------------------------------------------

    async def reset(self, user_id: str) -> bool:
        """End every factor of the user, who is not let in until there is a new one; False for a stranger."""
        return await self._store.reset(user_id)

    async def forget(self, user_id: str) -> bool:
        """Delete all that is known of the user; False for a stranger."""
        return await self._store.forget(user_id)

    def _new_id(self) -> str:
        return self._entropy.octets(8).hex()


def _said(step: TotpStep) -> tuple[str, int, int]:
    return step.token_id, step.step, step.drift


def _digits(code: str) -> str:
    """The digits of a TOTP code as people type it; "" for anything else, which fits nothing."""
    answer = read_answer(code)
    return answer.code if isinstance(answer, CodeAnswer) and answer.kind is FactorKind.TOTP else ""
