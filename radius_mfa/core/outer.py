"""The User-Name outside of the tunnel (RFC 5281 §7.3): what the NAS logs and accounts, whoever is inside.

Mostly it says nobody, `anonymous@realm` (RFC 7542 §2.4).  It must not say somebody else.
"""

from __future__ import annotations

from radius_mfa.core import usernames
from radius_mfa.core.login import Login
from radius_mfa.core.outcomes import Outcome
from radius_mfa.core.ports import Directory

_NOBODY = "anon"  # how the names begin that supplicants send for nobody


async def is_of_another(login: Login, directory: Directory, deadline: float) -> bool:
    """Whether the name outside is that of another user than the one inside.  Raises DirectoryError.

    Nobody is asked where it is the same, none at all, or nobody's.
    """
    outer = usernames.read(login.request.outer_name)
    if outer is None:
        return False
    naming = login.request.nas.naming
    name = usernames.looked_up(outer, naming)
    # One without a user in it, or of a realm that is not served, is the name of none of ours.
    if isinstance(name, Outcome) or name == usernames.looked_up(login.typed, naming):
        return False
    if name.casefold().startswith(_NOBODY):
        return False
    found = await directory.find(name, deadline)
    if isinstance(found, Outcome):
        return found is not Outcome.UNKNOWN_USER  # or there is somebody, and who is not to be told
    return found.id != login.user_id
