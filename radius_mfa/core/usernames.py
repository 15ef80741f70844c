"""What was typed as the user's name, and what is looked up for it.

A name comes bare, as `user@realm` (RFC 7542 §2.2) or as `REALM\\user`, in any spelling.  What becomes of the
realm is settled per client before anybody is looked up; from then on it is the directory's own id that
everything is kept under, so that all spellings of a name share one lock-out and one used code.
"""

import unicodedata
from collections.abc import Mapping
from dataclasses import field

from radius_mfa.core.outcomes import Outcome
from radius_mfa.core.record import record


@record(frozen=True, slots=True)
class Naming:
    """What a client's `realms` and `realm_required` say.

    `realms`: None: any, and kept: `user@realm` is looked up with it, `REALM\\user` without its realm.
    Else, by its folded name, what each realm that is served becomes, "" for nothing; `ANY` stands
    for every realm.
    """

    realms: Mapping[str, str] | None = field(default=None, hash=False)
    required: bool = False


ANY = "*"
KEPT = Naming()


def read(octets: bytes | None) -> str | None:
    """The User-Name as text, outer white space removed; None when no account can be called that.

    It must be UTF-8 (RFC 2865 §5.1), have something in it, and no control characters.
    """
    try:
        name = (octets or b"").decode()
    except UnicodeDecodeError:
        return None
    if not name.isprintable() and any(unicodedata.category(each) == "Cc" for each in name):
        return None
    return name.strip() or None


def realm_of(typed: str, naming: Naming) -> str:
    """The realm of a name that policies may go by, folded; "" for none.

    It is one that the directory is asked for with the name, or that `realms` names.  What is merely dropped is
    whatever the user likes to type.
    """
    domain, rest = _parted(normal(typed))
    realm = fold(rest.rpartition("@")[2]) if "@" in rest else ""
    if naming.realms is None:
        return realm
    named = naming.realms.keys() - {ANY}
    return next((each for each in (realm, fold(domain)) if each in named), "")


def looked_up(typed: str, naming: Naming) -> str | Outcome:
    """The name to look up; NAME_UNREADABLE without a user in it, REALM_MISSING, REALM_NOT_SERVED.

    Compatibility forms are made one first (RFC 4518 §2.3): a full-width `＠` parts name and realm too.
    """
    name = normal(typed)
    if name and "@" not in name and "\\" not in name:
        return Outcome.REALM_MISSING if naming.required else name
    domain, rest = _parted(name)
    user, at, realm = rest.rpartition("@")
    if not at:
        user, realm = rest, ""
    user, realm = user.strip(), realm.strip()
    if not user or (at and not realm) or (rest != name and not domain):
        return Outcome.NAME_UNREADABLE
    if not (domain or realm):
        return Outcome.REALM_MISSING if naming.required else user
    if naming.realms is None:
        return f"{user}@{realm}" if at else user
    if "@" in user and ANY not in naming.realms:  # a realm within the name is nobody's
        return Outcome.REALM_NOT_SERVED
    becomes = {naming.realms.get(fold(each), naming.realms.get(ANY)) for each in (domain, realm) if each}
    if len(becomes) > 1 or None in becomes:  # two realms that are not the same, or one that is nobody's
        return Outcome.REALM_NOT_SERVED
    (becoming,) = becomes
    return f"{user}@{becoming}" if becoming else user


def _parted(name: str) -> tuple[str, str]:
    """The domain of `DOMAIN\\user` and the rest; none where there are more backslashes, which a name may have."""
    domain, parted, rest = name.partition("\\")
    return (domain.strip(), rest.strip()) if parted and "\\" not in rest else ("", name)


def normal(name: str) -> str:
    """The name in its one Unicode form, outer white space removed; case is the directory's business."""
    return unicodedata.normalize("NFKC", name).strip()


def fold(name: str) -> str:
    """One spelling for all that mean the same name: compatibility forms, case and outer space are nothing."""
    return normal(name).casefold().strip()
