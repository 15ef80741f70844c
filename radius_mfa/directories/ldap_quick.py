"""What servers usually answer to a login, an entry and a result without words, read in one go.

`ldap_messages.read` makes elements of the whole message before it looks what they are, which costs more than
all else that is done with an answer.  Here a cursor goes through the octets once.  Whatever is not quite as
expected is None, and for `read` to judge; what is not None is what `read` would say.

Lengths are looked at in place: most are short, and a call for each would cost as much as all the rest.
"""

from __future__ import annotations

from radius_mfa.directories.ldap_ber import encoded, within
from radius_mfa.directories.ldap_messages import (
    BIND_RESPONSE,
    LONGEST,
    POLICY_CONTENT,
    SEARCH_DONE,
    SEARCH_ENTRY,
    Entry,
    Result,
)

_SEQUENCE, _SET, _INTEGER, _OCTETS = 0x30, 0x31, 0x02, 0x04
_LONG = 0x80  # from here on the octet is the length of a length (X.690 §8.1.3.5)

Usual = tuple[int, int, Result | Entry, int]
"""A message's number, operation and content, and where it ends."""

# LDAPResults with neither matchedDN nor diagnosticMessage (RFC 4511 §4.1.9), as all that follows the number.
_PLAIN_RESULTS = {
    encoded(operation, b"\x0a\x01" + bytes((code,)) + b"\x04\x00\x04\x00") + control: (operation, Result(code))
    for operation, control in ((SEARCH_DONE, b""), (BIND_RESPONSE, b""), (BIND_RESPONSE, POLICY_CONTENT))
    for code in range(0x80)
}
_LONGEST_PLAIN = max(map(len, _PLAIN_RESULTS))


def read_usual(octets: bytes, at: int) -> Usual | None:
    """The message that begins at `at`; None where it is not all there, too long, or not what is usual."""
    try:
        size = octets[at + 1]
        begin, stop = (at + 2, at + 2 + size) if size < _LONG else within(octets, at, len(octets))
        operation = begin + 2 + octets[begin + 1]
        if (
            octets[at] != _SEQUENCE
            or stop > len(octets)
            or stop - at > LONGEST
            or octets[begin] != _INTEGER
            or not 1 <= operation - begin - 2 <= 4
        ):
            return None
        number = int.from_bytes(octets[begin + 2 : operation], "big", signed=True)
        if octets[operation] == SEARCH_ENTRY:
            entry = _entry(octets, operation, stop)
            return None if entry is None else (number, SEARCH_ENTRY, entry, stop)
        if stop - operation <= _LONGEST_PLAIN:
            plain = _PLAIN_RESULTS.get(octets[operation:stop])
            return None if plain is None else (number, plain[0], plain[1], stop)
    except (IndexError, ValueError):  # the octets end before it does, no length, no UTF-8
        pass
    return None


def _entry(octets: bytes, at: int, stop: int) -> Entry | None:
    """SearchResultEntry (RFC 4511 §4.5.2), the whole of which goes from `at` to `stop`."""
    size = octets[at + 1]
    at, end = (at + 2, at + 2 + size) if size < _LONG else within(octets, at, stop)
    size = octets[at + 1]
    begin, named = (at + 2, at + 2 + size) if size < _LONG else within(octets, at, stop)
    size = octets[named + 1]
    listed, end_of_list = (named + 2, named + 2 + size) if size < _LONG else within(octets, named, stop)
    if not end_of_list == end == stop or octets[at] != _OCTETS or octets[named] != _SEQUENCE:
        return None
    attributes = _attributes(octets, listed, stop)
    return None if attributes is None else Entry(octets[begin:named].decode(), attributes)


def _attributes(octets: bytes, at: int, stop: int) -> dict[str, tuple[bytes, ...]] | None:
    """PartialAttributeList.  Nothing overruns what it is in: each last one must end where that ends."""
    attributes = {}
    while at < stop:
        size = octets[at + 1]
        begin, end = (at + 2, at + 2 + size) if size < _LONG else within(octets, at, stop)
        size = octets[begin + 1]
        named = begin + 2 + size
        if size >= _LONG or octets[at] != _SEQUENCE or octets[begin] != _OCTETS or octets[named] != _SET:
            return None
        size = octets[named + 1]
        at, end_of_set = (named + 2, named + 2 + size) if size < _LONG else within(octets, named, stop)
        if end_of_set != end:
            return None
        values = []
        while at < end:
            if octets[at] != _OCTETS:
                return None
            size = octets[at + 1]
            value, at = (at + 2, at + 2 + size) if size < _LONG else within(octets, at, stop)
            values.append(octets[value:at])
        if at != end:
            return None
        attributes[octets[begin + 2 : named].decode().lower()] = tuple(values)
    return attributes if at == stop else None
