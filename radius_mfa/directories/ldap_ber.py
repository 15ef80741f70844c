"""BER as LDAP has it (X.690, RFC 4511 §5.1): tags of one octet, definite lengths of four octets at most."""

from __future__ import annotations

_CONSTRUCTED = 0x20
_DEEPEST = 8  # the value of an attribute of an entry is at 6

Element = tuple[int, "bytes | list[Element]"]
"""A tag octet and what it holds: octets, or elements where it is constructed."""


class MalformedError(ValueError):
    """What the server sent is not LDAP; `str()` says how, and quotes nothing of it."""


def encoded(tag: int, value: bytes) -> bytes:
    return head(tag, len(value)) + value


def head(tag: int, length: int) -> bytes:
    """What comes before a value of `length` octets."""
    if length < 0x80:
        return bytes((tag, length))
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(octets))) + octets


def integer(octets: bytes) -> int:
    """An INTEGER or ENUMERATED: never none of the octets, and in LDAP never more than four."""
    if not 1 <= len(octets) <= 4:
        raise MalformedError("a number of no known size")
    return int.from_bytes(octets, "big", signed=True)


def decoded(octets: bytes, at: int, stop: int, depth: int = 0) -> list[Element]:
    """The elements that fill `octets` from `at` to `stop` exactly (X.690 §8.1, with RFC 4511 §5.1)."""
    if depth > _DEEPEST:
        raise MalformedError("elements nested too deeply")
    elements: list[Element] = []
    while at < stop:
        tag = octets[at]
        begin, end = within(octets, at, stop)
        if tag & _CONSTRUCTED:
            elements.append((tag, decoded(octets, begin, end, depth + 1)))
        else:
            elements.append((tag, octets[begin:end]))
        at = end
    return elements


def within(octets: bytes, at: int, stop: int) -> tuple[int, int]:
    span = span_of(octets, at)
    if span is None or span[1] > stop:
        raise MalformedError("an element that overruns what it is in")
    return span


def span_of(octets: bytes | bytearray, at: int) -> tuple[int, int] | None:
    """Where the value of the element at `at` begins and ends; None when the octets end before its length does.

    Tags are one octet and lengths definite (RFC 4511 §5.1), of four octets at most.
    """
    if len(octets) < at + 2:
        return None
    length = octets[at + 1]
    if length < 0x80:
        return at + 2, at + 2 + length
    more = length & 0x7F
    if not 1 <= more <= 4:
        raise MalformedError("a length of no known form")
    begin = at + 2 + more
    if len(octets) < begin:
        return None
    return begin, begin + int.from_bytes(octets[at + 2 : begin], "big")
