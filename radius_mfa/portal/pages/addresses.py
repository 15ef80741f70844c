"""An address is given and confirmed in the same way in the first set-up and later: what both have in common."""

from __future__ import annotations

from radius_mfa.core.kept import Proposal
from radius_mfa.core.messages import FactorKind
from radius_mfa.core.self_service import Result
from radius_mfa.portal.context import Context


async def waiting(it: Context) -> Proposal | None:
    """The address that is to be confirmed, or that was and has to wait (`good_from`)."""
    proposal, _ = await it.house.store.waiting(it.here.user_id, it.house.clock.wall())
    return proposal


async def unconfirmed(it: Context) -> Proposal | None:
    """The address whose code is still to be typed."""
    proposal = await waiting(it)
    return None if proposal is None or proposal.good_from else proposal


async def propose(it: Context, address: str) -> Result:
    """Mail a code there, but not to many: nobody is to be annoyed by way of this page."""
    mails, user_id = it.house.limits.mails, it.here.user_id
    if mails.wait(user_id):
        return Result.TOO_MANY
    mails.count(user_id)
    result = await it.house.self_service.propose_address(it.here, address, inside=it.is_inside)
    if result is not Result.SENT:
        mails.give_back(user_id)
    return result


async def propose_again(it: Context) -> Result:
    """Another code to the same address, in place of the one before."""
    proposal = await unconfirmed(it)
    return Result.GONE if proposal is None else await propose(it, proposal.address)


async def confirm(it: Context) -> Result:
    """The code that was typed.  Where it is the first factor, it was shown in this visit, too."""
    was_first = it.here.factor is None
    result = await it.house.self_service.confirm_address(it.here, it.form.get("code", ""), inside=it.is_inside)
    if result is Result.DONE and was_first and not await it.has_shown(FactorKind.MAIL):
        return Result.GONE
    return result
