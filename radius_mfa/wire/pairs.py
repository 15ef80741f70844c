"""Attributes as FreeRADIUS gives and takes them, a name and a text, and the octets that those are.

It writes a value as its own dictionary says: integers by name where they have one, octets as `0x…`, texts as they
are.  What it is given it reads as if it stood between double quotes, where a backslash begins an escape.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from radius_mfa.core.messages import ReplyAttribute
from radius_mfa.wire.dictionary import (
    VENDOR_HEADER,
    Definition,
    Dictionary,
    attribute_of,
    octets_of,
    on_the_wire,
)
from radius_mfa.wire.packet import split_text
from radius_mfa.wire.values import FORMATS, WIDTHS
from radius_mfa.wire.walker import LONGEST_VALUE

Pair = tuple[str, str]
"""A name, which may end in a tag (`Tunnel-Type:1`, 0 for none), and a text."""

# What its dictionary does not have: Attr-241, Attr-26.311.16.  A vendor 0 would be a standard attribute.
_NAMELESS = re.compile(r"Attr-(?:26\.(?P<vendor>[1-9][0-9]{0,7})\.)?(?P<number>[0-9]{1,3})", re.ASCII)
_OCTETS = re.compile(r"0x(?P<digits>(?:[0-9a-f]{2})+)", re.ASCII | re.IGNORECASE)
_REMEMBERED = 4096  # most pairs are the same in each request of a NAS


@dataclass(frozen=True, slots=True)
class Given:
    """An attribute of a policy as FreeRADIUS is given it.

    `wire`: number and value in a packet, up to a NUL: no more of a text is given back by FreeRADIUS.
    """

    name: str
    text: str
    wire: tuple[int, bytes] = field(repr=False)


class Pairs:
    """Between FreeRADIUS and the octets of a packet, by the attributes of our dictionary."""

    def __init__(self, dictionary: Dictionary) -> None:
        self._dictionary = dictionary
        self._remembered = lru_cache(maxsize=_REMEMBERED)(self._octets)

    def octets(self, name: str, text: str) -> tuple[int, bytes] | None:
        """Number and value as in a packet (RFC 2865 §5), a vendor's inside of number 26.

        None where it is no attribute of ours, or its text is nothing that we can read: no policy looks at it then.
        """
        return self._remembered(name, text)

    def given(self, attribute: ReplyAttribute) -> Given:
        """What FreeRADIUS is to be given for an attribute of a policy.  Raises DictionaryError."""
        _, value = self._dictionary.encode(attribute.name, attribute.value)
        definition = self._dictionary.definition(attribute.name.partition(":")[0])
        value = value[VENDOR_HEADER:] if definition.vendor else value
        tag, rest = definition.parted(value)
        name = f"{definition.name}:{tag}" if tag else definition.name
        back = rest.partition(b"\0")[0] if definition.kind == "string" else rest
        wire = attribute_of(definition, value[: len(value) - len(rest)] + back)
        return Given(name, _text(definition, rest), wire)

    def reply_messages(self, text: str) -> list[Pair]:
        """What is said to a user, in as many attributes as it takes (RFC 2865 §5.18)."""
        return [("Reply-Message", _quoted(piece)) for piece in split_text(text)]

    def missing(self, wanted: Sequence[Given], there: Sequence[Pair]) -> Iterator[str]:
        """The names of what is wanted and not there: FreeRADIUS leaves out, and goes on, what it does not know."""
        for each in wanted:
            values = [self.octets(name, text) for name, text in there if _bare(name) == _bare(each.name)]
            # What cannot be read is not judged: its dictionary may have names for numbers that ours has not.
            if each.wire not in values and None not in values:
                yield each.name

    def _octets(self, name: str, text: str) -> tuple[int, bytes] | None:
        if nameless := _NAMELESS.fullmatch(name):
            return _of_nameless(int(nameless["vendor"] or 0), int(nameless["number"]), text)
        bare, _, tag = name.partition(":")
        if not self._dictionary.has(bare):
            return None
        try:
            definition = self._dictionary.definition(bare)
            value = octets_of(definition, text)
            if definition.tagged:  # RFC 2868 §3.1; 0 for none, as RFC 3580 §3.31 has it
                value = bytes([int(tag) if tag.isascii() and tag.isdecimal() else 0]) + value
            return attribute_of(definition, value)
        except ValueError:  # of which DictionaryError is one
            return None


def _of_nameless(vendor: int, number: int, text: str) -> tuple[int, bytes] | None:
    octets = _OCTETS.fullmatch(text)
    if octets is None or not 0 < number < 256:
        return None
    value = bytes.fromhex(octets["digits"])
    fits = len(value) <= LONGEST_VALUE - (VENDOR_HEADER if vendor else 0)
    return on_the_wire(vendor, number, value) if fits else None


def _bare(name: str) -> str:
    return name.partition(":")[0].casefold()


def _text(definition: Definition, octets: bytes) -> str:
    """The value as FreeRADIUS reads it: numbers and times in digits, whose names may be others there."""
    if definition.kind in WIDTHS or definition.kind == "date":
        return str(int.from_bytes(octets, "big"))
    if definition.kind == "string":
        return _quoted(octets)
    return FORMATS[definition.kind].decode(octets)


def _quoted(octets: bytes) -> str:
    """UTF-8 as a text that FreeRADIUS reads back as these octets."""
    return octets.decode().replace("\\", r"\\").replace("\0", r"\000")
