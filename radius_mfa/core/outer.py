"""The User-Name outside of the tunnel (RFC 5281 §7.3): what the NAS logs and accounts, whoever is inside.

Mostly it says nobody, `anonymous@realm` (RFC 7542 §2.4).  It must not say somebody else.
"""

from __future__ import annotations

import unicodedata

from radius_mfa.core import usernames
from radius_mfa.core.login import Login
from radius_mfa.core.outcomes import Outcome
from radius_mfa.core.ports import Directory

_NOBODY = frozenset({"anonymous", "anon"})  # what supplicants send for nobody; also nothing before the `@`


async def is_of_another(login: Login, directory: Directory, deadline: float) -> bool:
    """Whether the name outside is that of another user than the one inside, or may be read as such.

    Raises DirectoryError.  Nobody is asked where it is the same, none at all, or nobody's.
    """
    octets = login.request.outer_name
    if not octets or octets.startswith(b"@"):  # RFC 7542 §2.4
        return False
    outer = usernames.read(octets)
    if outer is None or any(unicodedata.category(each) == "Cf" for each in outer):
        return True  # who knows what a NAS makes of it
    naming = login.request.nas.naming
    name = usernames.looked_up(outer, naming)
    if name == usernames.looked_up(login.typed, naming):
        return False
    if isinstance(name, Outcome):
        return name is Outcome.NAME_UNREADABLE  # of a realm that is not served it is the name of none of ours
    if name.partition("@")[0].casefold() in _NOBODY:
        return False
    found = await directory.find(name, deadline)
    if isinstance(found, Outcome):
        return found is not Outcome.UNKNOWN_USER  # or there is somebody, and who is not to be told
    return found.id != login.user_id
