"""Values of the portal to store."""

from __future__ import annotations

from typing import Any

from radius_mfa.core.messages import FactorKind
from radius_mfa.core.portal_store import Case, CaseKind, Link
from radius_mfa.core.stored import MailKind, Notice
from radius_mfa.core.visits import Visit
from tests.adapters import NOON
from tests.stores.support import ALICE

ADDRESS = "alice@example.net"
HOUR, DAY = 3600.0, 86400.0
FAR = NOON + 10_000 * DAY  # for the machine's own clock too


def visit(number: int = 1, **differently: Any) -> Visit:
    said = {
        "id": f"v{number}",
        "user_id": ALICE,
        "username": "alice",
        "language": "ja",
        "factor": FactorKind.TOTP,
        "desk": False,
        "source": "198.51.100.7",
        "begun": NOON,
        "shown": NOON,
        "seen": NOON,
        "expires": NOON + 8 * HOUR,
    }
    return Visit(**{**said, **differently})


def link(id: str = "l1", **differently: Any) -> Link:
    said = {"user_id": ALICE, "username": "alice", "created": NOON, "expires": NOON + 1800.0}
    return Link(id, **{**said, **differently})


def link_mail(id: str = "l1", **differently: Any) -> Notice:
    said = {
        "user_id": ALICE,
        "kind": MailKind.LINK,
        "address": ADDRESS,
        "language": "ja",
        "client": "portal",
        "created": NOON,
        "expires": NOON + 1800.0,
    }
    return Notice(id, **{**said, **differently})


def case(id: str = "c1", **differently: Any) -> Case:
    said = {
        "user_id": ALICE,
        "username": "alice",
        "kind": CaseKind.LOST,
        "detail": "the phone fell into the lake",
        "source": "198.51.100.7",
        "created": NOON,
    }
    return Case(id, **{**said, **differently})
