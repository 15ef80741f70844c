"""A decision as octets, so that whoever sends the identical answer again gets the identical decision.

Kept beside the spent State, with the time it was made, and sealed: the next State is in it, and whoever reads
the store must not go on with somebody's login.
"""

from __future__ import annotations

from struct import Struct

from radius_mfa.core.messages import Accept, Challenge, Decision, Message, Reject, ReplyAttribute
from radius_mfa.core.outcomes import Outcome
from radius_mfa.core.ports import Sealer
from radius_mfa.core.stored import Attempt

_PURPOSE = "decision"
_ACCEPT, _REJECT, _CHALLENGE = 1, 2, 3
_HEAD = Struct(">Bd")
_LENGTH = Struct(">H").pack


def seal(decision: Accept | Reject | Challenge, now: float, attempt: Attempt, sealer: Sealer) -> bytes:
    """A decision on the attempt, made at `now`, wall seconds, as it is kept."""
    return sealer.seal(_PURPOSE, pack(decision, now), *attempt.name)


def given_before(sealed: bytes, attempt: Attempt, sealer: Sealer, now: float) -> Decision | None:
    """The decision on an identical attempt, for as long as a NAS that lost it asks again."""
    packed = sealer.open(_PURPOSE, sealed, *attempt.name)
    if packed is None:
        return None
    try:
        decision, at = unpack(packed)
    except ValueError:  # of another release, which is being replaced
        return None
    in_time = abs(now - at) < attempt.window  # the clock may have been set back
    return decision if in_time else None


def pack(decision: Accept | Reject | Challenge, now: float) -> bytes:
    """The octets of a decision made at `now`, wall seconds.  A Discard is none: the answer may be tried again.

    The number of its kind, the time, and texts, each with its length before it.
    """
    texts: list[str] = [decision.outcome]
    if isinstance(decision, Accept):
        kind = _ACCEPT
        for each in decision.attributes:
            texts += (each.name, each.value)
    else:
        message = decision.message
        kind = _REJECT
        texts += (message.key, message.language, *(text for pair in message.parameters for text in pair))
        if isinstance(decision, Challenge):
            kind = _CHALLENGE
            texts.append(decision.state.hex())
    octets = _HEAD.pack(kind, now)
    for text in texts:
        part = text.encode()
        octets += _LENGTH(len(part)) + part
    return octets


def unpack(octets: bytes) -> tuple[Decision, float]:
    """The decision that `pack` was given, and when it was made.  Raises ValueError for anything else."""
    if len(octets) < _HEAD.size or octets[0] not in (_ACCEPT, _REJECT, _CHALLENGE):
        raise ValueError("no decision")
    kind, now = _HEAD.unpack_from(octets)
    texts, at = [], _HEAD.size
    while at < len(octets):
        end = at + 2 + int.from_bytes(octets[at : at + 2], "big")
        texts.append(octets[at + 2 : end].decode())
        at = end
    outcome = Outcome(texts[0])
    if kind == _ACCEPT:
        return Accept(outcome, tuple(map(ReplyAttribute, texts[1::2], texts[2::2]))), now
    state = texts.pop() if kind == _CHALLENGE else ""
    message = Message(texts[1], texts[2], tuple(zip(texts[3::2], texts[4::2], strict=True)))
    return Challenge(outcome, bytes.fromhex(state), message) if state else Reject(outcome, message), now
