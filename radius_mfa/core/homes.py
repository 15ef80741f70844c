"""Which worker of a server a request belongs to, where that matters.

Most logins are at home everywhere: a State is sealed and what must be shared is in the store.  (The same login
sent again may be given another challenge elsewhere; either is good.)  Three are not.  A conversation that lives in
the memory of the worker that began it, such as EAP's, gives out States that name this worker.  A new one of EAP's
belongs to its device's worker, which remembers the TLS session that it may take up again.  (Where nothing is said
of the device, any worker will do.)  And in one-field mode the reply is all there is: the same line again, under
another Request Authenticator, is one login only to the worker that remembers the first.
"""

from __future__ import annotations

import zlib

from radius_mfa.core.messages import SESSION, AccessRequest, Attribute
from radius_mfa.core.ports import Entropy
from radius_mfa.core.stations import read

_HERE = b"\x00h"  # what no sealed State begins with (`stores.seal`): those have their version there
_UNGUESSABLE = 16  # octets (RFC 2865 §5.24 asks for nothing; a State of ours has 128 bits at least)
_LENGTH = len(_HERE) + 1 + _UNGUESSABLE


def state_of(worker: int, entropy: Entropy) -> bytes:
    """A new State of a conversation that cannot leave that worker, 0 to 255."""
    return _HERE + bytes([worker]) + entropy.octets(_UNGUESSABLE)


def home_of(request: AccessRequest, workers: int) -> int | None:
    """The number of the worker that has to answer; None where any may.

    Whoever makes a State or a device up can choose who answers, and nothing else.
    """
    state = request.first(Attribute.STATE)
    if state is not None:
        return _named_in(state, workers)
    if request.first(Attribute.EAP_MESSAGE) is not None:
        return _of_device(request.first(Attribute.CALLING_STATION_ID), workers)
    if request.nas.profile.suffix is None or not request.has_any(SESSION):
        return None
    said = [value for value in request.attributes if value[0] == Attribute.USER_NAME or value[0] in SESSION]
    return zlib.crc32(repr((request.nas.name, said)).encode()) % workers


def _of_device(said: bytes | None, workers: int) -> int | None:
    """The same for all NASes that the device may come to next, however they write its address."""
    return zlib.crc32(repr(read(said) or said).encode()) % workers if said else None


def _named_in(state: bytes, workers: int) -> int | None:
    if len(state) != _LENGTH or not state.startswith(_HERE):
        return None
    worker = state[len(_HERE)]
    return worker if worker < workers else None
