"""An authenticator app is added in the same way in the first set-up and later: what both have in common."""

from __future__ import annotations

from dataclasses import dataclass, field

import segno
from markupsafe import Markup

from radius_mfa.core import acting
from radius_mfa.core.messages import FactorKind
from radius_mfa.core.self_service import Result
from radius_mfa.factors.totp import base32, key_uri
from radius_mfa.portal.context import Context

_GROUP = 4


@dataclass(frozen=True, slots=True)
class App:
    """What is scanned or typed into an app.  `key`: in groups of four; `label`: what the user may call it."""

    qr: Markup = field(repr=False)
    key: str = field(repr=False)
    issuer: str
    account: str
    label: str


async def app_of(it: Context, label: str = "") -> App | None:
    """That of the seed the visit is setting up; None where it is setting up none."""
    if not it.here.pending:
        return None
    seed = await it.house.self_service.seed_for(it.here)
    if seed is None:
        return None
    issuer, account = it.house.settings.issuer, it.here.username
    code = segno.make(key_uri(seed, account, issuer), error="m", micro=False)
    qr = Markup(code.svg_inline(omitsize=True, border=2, svgclass=None, lineclass=None))  # noqa: S704  all digits
    key = base32(seed)
    groups = " ".join(key[at : at + _GROUP] for at in range(0, len(key), _GROUP))
    return App(qr, groups, issuer, account, label or await _new_label(it))


async def _new_label(it: Context) -> str:
    """What this app may be called, as no other of the user's is."""
    facts = await it.house.self_service.facts(it.here.user_id)
    taken = {token.label for token in facts.tokens}
    plain = str(it.t("tokens.label_default"))
    names = (plain, *(f"{plain} {number}" for number in range(2, len(taken) + 2)))
    return next(name for name in names if name not in taken)


def label_of(it: Context) -> str:
    """What was typed for a label, as it is kept."""
    return acting.label_of(it.form.get("label", ""))


async def add_app(it: Context) -> Result:
    """Add the token by the first code that was typed.

    Where it counts at once, and nothing as strong was shown in this visit, this was.  Else nothing is renewed, or
    whoever has got hold of a visit would make it last.
    """
    is_weaker = it.here.factor in (None, FactorKind.MAIL)
    label = label_of(it) or await _new_label(it)
    result = await it.house.self_service.add_token(it.here, label, it.form.get("code", ""), inside=it.is_inside)
    if result is Result.DONE and is_weaker and not await it.has_shown(FactorKind.TOTP):
        return Result.GONE
    return result
