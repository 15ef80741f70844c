"""Small configurations to explain, and what comes of it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from radius_mfa.assembly.explaining import Explainer, Explanation, Question
from radius_mfa.assembly.explaining_ports import Described, People
from radius_mfa.assembly.rules import nas_of
from radius_mfa.config.load import Loaded, load
from radius_mfa.core.messages import Nas
from tests.adapters import NOON
from tests.config.support import DICTIONARY, HASH

PATIENCE = 1e6  # the clock of a house stands at any number of seconds
PHONE = "02-00-00-00-00-01"
ALL_FACTORS = {
    "totp": {},
    "mail": {"smtp": "smtp://127.0.0.1:9", "sender": "mfa@example.org"},
    "recovery_codes": {},
}
VPN = {"name": "vpn", "address": "192.0.2.1", "secret": "a secret of twenty or so"}
STAFF = {"name": "staff", "when": {"client": "vpn", "group": "staff"}, "reply": {"Class": "staff"}}


def loaded(folder: Path, *policies: dict[str, Any], client: dict[str, Any] | None = None, **more: Any) -> Loaded:
    """A configuration of one client and these policies."""
    path = folder / "radius-mfa.yaml"
    configuration = {
        "listen": [{"udp": "127.0.0.1:0"}],
        "clients": [VPN | (client or {})],
        "directory": {"static": {"users": [{"username": "alice", "password": HASH}]}},
        "factors": ALL_FACTORS,
        "policies": list(policies),
        "contact": "Ask at the counter",
        **more,
    }
    path.write_text(json.dumps(configuration))  # JSON is YAML
    return load(path, {}, DICTIONARY)


def described(*groups: str, **attributes: str) -> People:
    return People(
        Described(frozenset(groups), {name.lower(): (value,) for name, value in attributes.items()}), PATIENCE
    )


def explained(explainer: Explainer, user: str = "alice", client: str = "vpn", **more: Any) -> Explanation:
    return asyncio.run(explainer.explained(Question(user, client, NOON, **more)))


def nas_in(configuration: Loaded) -> Nas:
    (client,) = configuration.configuration.clients
    return nas_of(client, configuration.configuration.gateway_of(client))
