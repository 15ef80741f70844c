"""A decision as octets, so that whoever sends the identical answer again gets the identical decision.

Kept beside the spent State, with the time it was made, and sealed: the next State is in it, and whoever reads
the store must not go on with somebody's login.
"""

from __future__ import annotations

import json

from radius_mfa.core.messages import Accept, Challenge, Decision, Message, Reject, ReplyAttribute
from radius_mfa.core.outcomes import Outcome
from radius_mfa.core.ports import Sealer
from radius_mfa.core.stored import Attempt

_PURPOSE = "decision"


def seal(decision: Accept | Reject | Challenge, now: float, attempt: Attempt, sealer: Sealer) -> bytes:
    """A decision on the attempt, made at `now`, wall seconds, as it is kept."""
    return sealer.seal(_PURPOSE, pack(decision, now), *attempt.name)


def given_before(sealed: bytes, attempt: Attempt, sealer: Sealer, now: float) -> Decision | None:
    """The decision on an identical attempt, for as long as a NAS that lost it asks again."""
    packed = sealer.open(_PURPOSE, sealed, *attempt.name)
    if packed is None:
        return None
    decision, at = unpack(packed)
    in_time = abs(now - at) < attempt.window  # the clock may have been set back
    return decision if in_time else None


def pack(decision: Accept | Reject | Challenge, now: float) -> bytes:
    """The octets of a decision made at `now`, wall seconds.  A Discard is none: the answer may be tried again."""
    held: dict[str, object] = {"at": now, "outcome": decision.outcome}
    if isinstance(decision, Accept):
        held["attributes"] = [[each.name, each.value] for each in decision.attributes]
    else:
        message = decision.message
        held["message"] = [message.key, message.language, message.parameters]
    if isinstance(decision, Challenge):
        held["state"] = decision.state.hex()
    return json.dumps(held, separators=(",", ":")).encode()


def unpack(octets: bytes) -> tuple[Decision, float]:
    """The decision that `pack` was given, and when it was made."""
    held = json.loads(octets)
    outcome, at = Outcome(held["outcome"]), float(held["at"])
    if "attributes" in held:
        return Accept(outcome, tuple(ReplyAttribute(*each) for each in held["attributes"])), at
    key, language, parameters = held["message"]
    message = Message(key, language, tuple((name, value) for name, value in parameters))
    if "state" in held:
        return Challenge(outcome, bytes.fromhex(held["state"]), message), at
    return Reject(outcome, message), at
