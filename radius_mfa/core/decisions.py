"""A decision as octets, so that whoever sends the identical answer again gets the identical decision.

Kept beside the spent State for as long as that could still be asked for; never read by anything else.
"""

from __future__ import annotations

import json

from radius_mfa.core.messages import Accept, Challenge, Decision, Message, Reject, ReplyAttribute
from radius_mfa.core.outcomes import Outcome


def pack(decision: Accept | Reject | Challenge) -> bytes:
    """The octets of a decision.  A Discard is none: the answer may be tried again."""
    held: dict[str, object] = {"outcome": decision.outcome}
    if isinstance(decision, Accept):
        held["attributes"] = [[each.name, each.value] for each in decision.attributes]
    else:
        message = decision.message
        held["message"] = [message.key, message.language, message.parameters]
    if isinstance(decision, Challenge):
        held["state"] = decision.state.hex()
    return json.dumps(held, separators=(",", ":")).encode()


def unpack(octets: bytes) -> Decision:
    """The decision `pack` was given; the store keeps what it is given, so anything else is a KeyError or worse."""
    held = json.loads(octets)
    outcome = Outcome(held["outcome"])
    if "attributes" in held:
        return Accept(outcome, tuple(ReplyAttribute(*each) for each in held["attributes"]))
    key, language, parameters = held["message"]
    message = Message(key, language, tuple((name, value) for name, value in parameters))
    if "state" in held:
        return Challenge(outcome, bytes.fromhex(held["state"]), message)
    return Reject(outcome, message)
