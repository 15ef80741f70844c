"""What servers usually answer to a login, an entry and a result without words, read in one go.

`ldap_messages.read` makes elements of the whole message before it looks what they are, which costs more than
all else that is done with an answer.  Here a cursor goes through the octets once.  Whatever is not quite as
expected is None, and for `read` to judge; what is not None is what `read` would say.

Lengths are looked at in place: most are short, and a call for each would cost as much as all the rest.
"""

from __future__ import annotations

from functools import lru_cache

from radius_mfa.directories.ldap_ber import MalformedError, encoded, head, span_of, within
from radius_mfa.directories.ldap_messages import (
    BIND_RESPONSE,
    LONGEST,
    POLICY_CONTENT,
    SEARCH_DONE,
    SEARCH_ENTRY,
    SUCCESS,
    Entry,
    Result,
)

_SEQUENCE, _SET, _INTEGER, _OCTETS = 0x30, 0x31, 0x02, 0x04
_TWO_OCTETS = b"\x82"  # has the length that follows
_LONG = 0x80  # from here on the octet is the length of a length (X.690 §8.1.3.5)
_MOST_BEGINNINGS = 1024

Usual = tuple[int, int, Result | Entry, int]
"""A message's number, operation and content, and where it ends."""

_Start = tuple[slice, int, int]
"""Of a message, counted from its first octet: its number, where the rest begins, and where it ends."""

_FoundStart = tuple[slice, int, bytes, int, bytes]
"""Of a message with an entry, written with as few octets as can be.

Where its number is, and where that ends; the entry's tag and length and the tag of its name, as they must be; how
many octets it has in all; and how the success behind it begins, up to its number.
"""


def _start(before: int, digits: int, size: int) -> _Start:
    """`before`: octets before the number, which has `digits`; `size`: octets in all."""
    return slice(before, before + digits), before + digits, size


# How messages of less than 256 octets begin, up to the number.
_STARTS = {
    bytes((_SEQUENCE, size, _INTEGER, digits)): _start(4, digits, 2 + size)
    for digits in range(1, 5)
    for size in range(2 + digits, _LONG)
} | {
    bytes((_SEQUENCE, 0x81, size, _INTEGER, digits)): _start(5, digits, 3 + size)
    for digits in range(1, 5)
    for size in range(2 + digits, 0x100)
}
# LDAPResults with neither matchedDN nor diagnosticMessage (RFC 4511 §4.1.9), as all that follows the number.
_PLAIN_RESULTS = {
    encoded(operation, b"\x0a\x01" + bytes((code,)) + b"\x04\x00\x04\x00") + control: (operation, Result(code))
    for operation, control in ((SEARCH_DONE, b""), (BIND_RESPONSE, b""), (BIND_RESPONSE, POLICY_CONTENT))
    for code in range(0x80)
}
# How attributes with one short value began so far, up to the value: to their name and how long the value is.
# A server has few names, and values of few lengths; what is in the values is never in here.
_BEGINNINGS: dict[bytes, tuple[str, int]] = {}


_SUCCEEDED = b"\x0a\x01" + bytes((SUCCESS,)) + b"\x04\x00\x04\x00"
_SUCCESS = encoded(SEARCH_DONE, _SUCCEEDED)
# The responses to binds numbered so that say nothing but success (RFC 4511 §4.2.2); none is numbered 0.
BIND_SUCCESSES = tuple(
    encoded(_SEQUENCE, encoded(_INTEGER, bytes((number,))) + encoded(BIND_RESPONSE, _SUCCEEDED)) if number else b""
    for number in range(0x80)
)


def _head_filling(tag: int, size: int) -> bytes | None:
    """The head of an element that has `size` octets with it, its length in as few as can be; None for none."""
    for own in (2, 3, 4):
        written = head(tag, max(size - own, 0))
        if len(written) == own <= size:
            return written
    return None


@lru_cache(4096)
def _list_head(size: int) -> bytes | None:
    """The head of a list that has `size` octets with it."""
    return _head_filling(_SEQUENCE, size)


@lru_cache(1024)
def _found_start(begin: bytes) -> _FoundStart | None:
    """Of a message that begins with these six octets; None where they are not its head and its number's."""
    span = span_of(begin, 0)
    if span is None or len(begin) < span[0] + 2 or begin[0] != _SEQUENCE or begin[span[0]] != _INTEGER:
        return None
    size, operation = span[1], span[0] + 2 + begin[span[0] + 1]
    entry = _head_filling(SEARCH_ENTRY, size - operation)
    if entry is None or not span[0] + 3 <= operation <= span[0] + 6 or size > LONGEST:
        return None
    number = slice(span[0] + 2, operation)
    success = head(_SEQUENCE, number.stop - number.start + 2 + len(_SUCCESS)) + begin[span[0] : span[0] + 2]
    return number, operation, entry + bytes((_OCTETS,)), size, success


# How messages of 128 to 255 octets begin, as most entries do, up to their number.
_FOUND_STARTS = {
    bytes((_SEQUENCE, 0x81, size, _INTEGER, digits)): _found_start(
        bytes((_SEQUENCE, 0x81, size, _INTEGER, digits))
    )
    for digits in range(1, 5)
    for size in range(_LONG, 0x100)
}

_start_of, _plain_result, _beginning = _STARTS.get, _PLAIN_RESULTS.get, _BEGINNINGS.get
_found_start_of = _FOUND_STARTS.get


def read_found(octets: bytes, at: int) -> tuple[int, Entry, int] | None:
    """One entry whose message begins at `at`, and right behind it that the search has succeeded.

    The number that both have, the entry, and where that ends; None for anything else, and for what is written
    with more octets than it needs.
    """
    start = _found_start_of(octets[at : at + 5])
    if start is None:
        if octets[at + 1 : at + 2] != _TWO_OCTETS:
            return None
        start = _found_start(octets[at : at + 6])
        if start is None:
            return None
    digits, operation, entry, size, success = start
    stop = at + size
    message = octets[at:stop]
    number = message[digits]
    success = success + number + _SUCCESS
    if not message.startswith(entry, operation) or not octets.startswith(success, stop):
        return None
    name = operation + len(entry) + 1
    length = message[name - 1]
    named = name + length
    listed = _list_head(size - named)
    if length >= _LONG or listed is None or not message.startswith(listed, named):
        return None
    try:
        attributes = _attributes(message, named + len(listed), size)
        if attributes is None:
            return None
        found = Entry(message[name:named].decode(), attributes)
    except (IndexError, ValueError):  # as in `read_usual`
        return None
    return int.from_bytes(number, "big", signed=True), found, stop + len(success)


def read_usual(octets: bytes, at: int) -> Usual | None:
    """The message that begins at `at`; None where it is not all there, too long, or not what is usual."""
    try:
        number, operation, size = (
            _start_of(octets[at : at + 4]) or _start_of(octets[at : at + 5]) or _long_start(octets, at)
        )
        stop = at + size
        message = octets[at:stop]
        if len(message) != size:
            return None
        plain = _plain_result(message[operation:])
        if plain:
            return int.from_bytes(message[number], "big", signed=True), plain[0], plain[1], stop
        entry = _entry(message, operation, size)
        if entry:
            return int.from_bytes(message[number], "big", signed=True), SEARCH_ENTRY, entry, stop
    except (IndexError, ValueError):  # the octets end before it does, no length, no UTF-8
        pass
    return None


def _long_start(octets: bytes, at: int) -> _Start:
    """The same as `_STARTS` have, of any message that is there; ValueError for what is none, or too long."""
    begin, stop = within(octets, at, len(octets))
    digits = octets[begin + 1]
    if octets[at] != _SEQUENCE or octets[begin] != _INTEGER or not 1 <= digits <= 4 or stop - at > LONGEST:
        raise MalformedError("a message without number or operation")
    return _start(begin + 2 - at, digits, stop - at)


def _entry(octets: bytes, at: int, stop: int) -> Entry | None:
    """SearchResultEntry (RFC 4511 §4.5.2), all parts of which end where it does, at `stop`."""
    size = octets[at + 1]
    begin, end = (at + 2, at + 2 + size) if size < _LONG else _span(octets, at)
    size = octets[begin + 1]
    name, named = (begin + 2, begin + 2 + size) if size < _LONG else _span(octets, begin)
    size = octets[named + 1]
    listed, end_of_list = (named + 2, named + 2 + size) if size < _LONG else _span(octets, named)
    if (
        not end_of_list == end == stop
        or octets[at] != SEARCH_ENTRY
        or octets[begin] != _OCTETS
        or octets[named] != _SEQUENCE
    ):
        return None
    attributes = _attributes(octets, listed, stop)
    return None if attributes is None else Entry(octets[name:named].decode(), attributes)


def _attributes(octets: bytes, at: int, stop: int) -> dict[str, tuple[bytes, ...]] | None:
    """PartialAttributeList.  Nothing overruns what it is in: each last one must end where that ends."""
    attributes: dict[str, tuple[bytes, ...]] = {}
    while at < stop:
        value = at + 8 + octets[at + 3]  # where all lengths are short, and so is there a value
        usual = _beginning(octets[at:value])
        if usual:
            name, size = usual
            at = value + size
            attributes[name] = (octets[value:at],)
            continue
        attribute = _attribute(octets, at, stop)
        if attribute is None:
            return None
        name, values, end = attribute
        attributes[name] = values
        if len(values) == 1 and end == value + len(values[0]) and len(_BEGINNINGS) < _MOST_BEGINNINGS:
            _BEGINNINGS[octets[at:value]] = name, end - value
        at = end
    return attributes if at == stop else None


def _attribute(octets: bytes, at: int, stop: int) -> tuple[str, tuple[bytes, ...], int] | None:
    """PartialAttribute (RFC 4511 §4.1.7): description, values, and where it ends."""
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
    return octets[begin + 2 : named].decode().lower(), tuple(values), end


def _span(octets: bytes, at: int) -> tuple[int, int]:
    """Where the value of the element at `at` begins and ends, its length being long: most often one octet more."""
    if octets[at + 1] == 0x81:
        begin = at + 3
        return begin, begin + octets[at + 2]
    return within(octets, at, len(octets))
