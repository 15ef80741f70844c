"""A user's directory entry once more, in a later round: where State had no room for what the policy returns."""

from __future__ import annotations

from radius_mfa.core import usernames
from radius_mfa.core.login import Login
from radius_mfa.core.outcomes import Outcome
from radius_mfa.core.policy import Policy
from radius_mfa.core.ports import Directory
from radius_mfa.core.returns import Values


async def values_again(login: Login, policy: Policy, directory: Directory, deadline: float) -> Values | Outcome:
    """What the policy's reply takes; USER_GONE where the entry is another's by now.  Raises DirectoryError."""
    name = usernames.looked_up(login.typed, login.request.nas.naming)
    user = name if isinstance(name, Outcome) else await directory.find(name, deadline)
    if isinstance(user, Outcome) or user.id != login.user_id or not user.active:
        return Outcome.USER_GONE
    if user.lacks_groups:
        user = await directory.with_groups(user, deadline)
    return policy.reply.known_of(user)
