"""The address that is mailed to somebody: what it carries is sealed, and kept nowhere."""

from __future__ import annotations

import base64

from radius_mfa.core.ports import Sealer

_PURPOSE = "link"
_LONGEST = 256


def link_token(sealer: Sealer, link_id: str) -> str:
    """What stands at the end of the address of the link of that id."""
    sealed = sealer.seal(_PURPOSE, link_id.encode())
    return base64.urlsafe_b64encode(sealed).decode().rstrip("=")


def link_id_of(sealer: Sealer, token: str) -> str | None:
    """The id of the link that somebody has followed; None where we have not made it."""
    if len(token) > _LONGEST or not token.isascii():
        return None
    try:
        sealed = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except ValueError:
        return None
    plain = sealer.open(_PURPOSE, sealed)
    return None if plain is None else plain.decode()
