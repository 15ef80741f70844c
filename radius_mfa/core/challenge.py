"""What a State holds, and when it may be honoured.

A State is not a row somewhere: it carries the login itself, sealed, so that round two may reach any
worker or node that has the key.  It is opaque to the NAS (RFC 2865 §5.24) and at most 253 octets;
the seal takes 33 of them, and what is here is packed for the rest:

    octets  what
    1       kind of content, 1: a login
    16      login id, the same in every round, since (id, round) is what is spent: milliseconds since 1970 in
            6 octets, so that what is spent at one time lies together in the store, and 10 random ones
    6       when it expires, milliseconds since 1970
    1       round: how many answers this State's answer makes
    1       factors that may answer, a bit each
    1       flags; 2 and 4: mails asked for, 0 to 3
    12      digest of the client's name
    12      digest of the User-Name
    1 + n   user id, then policy, language, and pairs of values, each with its length before it; no pair where
            they do not all fit: then the user is looked up again
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from functools import lru_cache
from struct import Struct

from radius_mfa.core.messages import FactorKind
from radius_mfa.core.outcomes import Outcome
from radius_mfa.core.ports import Entropy
from radius_mfa.core.record import record

LONGEST = 253 - 33
_KIND = 1
_FIXED = Struct(">B16s6s3B12s12s")  # the table above until the user id
_NAME = hashlib.blake2b(b"name\0", digest_size=12)
_LANGUAGE = re.compile(r"\s*([A-Za-z]{2,8})(?![A-Za-z])")
_MAILS, MOST_MAILS = 1, 3  # where the flags have their number, and the largest
_KINDS = tuple(FactorKind)
_ALL_BITS = (1 << len(_KINDS)) - 1
_FACTORS = [frozenset(kind for bit, kind in enumerate(_KINDS) if bits >> bit & 1) for bits in range(_ALL_BITS + 1)]
_BITS = {factors: bits for bits, factors in enumerate(_FACTORS)}


@record(frozen=True, slots=True)
class Content:
    """The content of a State.  `expires`: wall seconds, to the millisecond; `client`, `name`: digests.

    `values`: what the policy's reply takes of the directory entry, none where it did not fit.  `mails`: how
    many of the answers so far have asked for a code by mail, 3 at most.
    """

    login: bytes
    expires: float
    round: int
    factors: frozenset[FactorKind]
    client: bytes
    name: bytes
    user_id: str
    policy: str
    language: str = ""
    values: tuple[tuple[str, str], ...] = ()
    mails: int = 0


def new_login_id(now: float, entropy: Entropy) -> bytes:
    """The id of a login that begins at `now`, wall seconds."""
    return round(now * 1000).to_bytes(6, "big") + entropy.octets(10)


@lru_cache(maxsize=4096)
def client_digest(name: str) -> bytes:
    """What a State says of the client it was issued to."""
    return hashlib.blake2b(b"client\0" + name.encode(), digest_size=12).digest()


def name_digest(user_name: bytes) -> bytes:
    """What a State says of the User-Name it was issued for.

    To the octet: a NAS repeats it, and two names that only look alike may be two accounts.
    """
    digest = _NAME.copy()
    digest.update(user_name)
    return digest.digest()


def primary_language(tag: str) -> str:
    """The language of `preferredLanguage` (RFC 2798 §2.7) without region or quality: `ja-JP;q=1` is `ja`."""
    found = _LANGUAGE.match(tag) if tag else None
    return found[1].lower() if found else ""


def pack(content: Content) -> bytes:
    """The octets of a State before it is sealed, at most `LONGEST`; values that do not fit are left out."""
    fixed = _FIXED.pack(
        _KIND,
        content.login,
        round(content.expires * 1000).to_bytes(6, "big"),
        content.round,
        _BITS[content.factors],
        content.mails << _MAILS,
        content.client,
        content.name,
    )
    user_id, policy, language = content.user_id.encode(), content.policy.encode(), content.language.encode()
    lengths = len(user_id), len(policy), len(language)
    packed = b"%b%c%b%c%b%c%b" % (fixed, lengths[0], user_id, lengths[1], policy, lengths[2], language)
    return packed + _packed(content.values, LONGEST - len(packed)) if content.values else packed


def _packed(values: tuple[tuple[str, str], ...], room: int) -> bytes:
    """The pairs, or nothing where they do not all fit."""
    flat = [text for pair in values for text in pair]
    packed = b"" if any(len(text.encode()) > 255 for text in flat) else _strings(flat)
    return packed if len(packed) <= room else b""


def unpack(octets: bytes) -> Content | None:
    """The content of an opened State; None for a kind of content that is not a login's."""
    if len(octets) < _FIXED.size or octets[0] != _KIND:
        return None
    _, login, expires, round_, factors, flags, client, name = _FIXED.unpack_from(octets)
    texts = _texts(octets, _FIXED.size)
    if texts is None or len(texts) < 3 or len(texts) % 2 == 0:
        return None
    user_id, policy, language, *values = texts
    return Content(
        login,
        int.from_bytes(expires, "big") / 1000,
        round_,
        _FACTORS[factors & _ALL_BITS],
        client,
        name,
        user_id,
        policy,
        language,
        tuple(zip(values[::2], values[1::2], strict=True)) if values else (),
        flags >> _MAILS & MOST_MAILS,
    )


def refusal(content: Content, client: str, user_name: bytes, now: float) -> Outcome | None:
    """Why this State may not be honoured in this request, or None when it may.

    It is bound to the client and the User-Name it was issued for, and good until it expires.
    """
    if content.client != client_digest(client):
        return Outcome.STATE_OF_ANOTHER_CLIENT
    if content.name != name_digest(user_name):
        return Outcome.STATE_OF_ANOTHER_USER
    if now >= content.expires:
        return Outcome.STATE_EXPIRED
    return None


def _strings(texts: Iterable[str]) -> bytes:
    packed = bytearray()
    for text in texts:
        octets = text.encode()
        packed.append(len(octets))
        packed += octets
    return bytes(packed)


def _texts(octets: bytes, at: int) -> list[str] | None:
    """The texts from there to the end, which they fill exactly; None where they do not."""
    texts, end = [], len(octets)
    try:
        while at < end:
            begin = at + 1
            at = begin + octets[at]
            texts.append(octets[begin:at].decode())
    except UnicodeDecodeError:
        return None
    return texts if at == end else None
