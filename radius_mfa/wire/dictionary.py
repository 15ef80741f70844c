"""`dictionaries/` -> names and types: the text of the YAML into attributes, and attributes into text for people.

Whatever decides looks at numbers and octets; names are for those who write policies and read
packets.  They are found whatever their case, as are named values.  pyrad parses the files; its own
encoding by name is not used, since it reads meaning into octets.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from radius_mfa.core.messages import Attribute
from radius_mfa.data import DICTIONARIES
from radius_mfa.wire.dictionary_files import parse
from radius_mfa.wire.values import FORMATS, WIDTHS, hexadecimal
from radius_mfa.wire.walker import LONGEST_VALUE

VENDOR_HEADER = 6  # vendor id, type, length (RFC 2865 §5.26)
_LAST_TAG = 0x1F  # above it, the octet is the first of the value (RFC 2868 §3.3)
_REMEMBERED = 1024  # policies hold a few dozen constants; the rest is room for a directory's values

_NUMBER = re.compile(r"0x[0-9a-f]{1,16}|[0-9]{1,20}", re.ASCII | re.IGNORECASE)

# Written by the server itself; from a policy they would break the packet or the login.
_NOT_FROM_A_POLICY = frozenset(
    {
        Attribute.USER_PASSWORD,
        Attribute.CHAP_PASSWORD,
        Attribute.STATE,
        Attribute.PROXY_STATE,
        Attribute.EAP_MESSAGE,
        Attribute.MESSAGE_AUTHENTICATOR,
        Attribute.EAP_KEY_NAME,
    }
)

# Shown by their length alone, as everything encrypted is: a password, a key, or what one can be
# guessed from.  EAP-Message may hold a password in clear (EAP-GTC).
_SECRET = frozenset(
    {
        "ARAP-Password",
        "ARAP-Security-Data",
        "Aruba-AS-Credential-Hash",
        "Aruba-Network-SSO-Token",
        "ASA-WebVPN-Storage-Key",
        "CHAP-Password",
        "Cisco-Subscriber-Password",
        "EAP-Message",
        "Mikrotik-Wireless-Enc-Key",
        "Mikrotik-Wireless-MPKey",
        "Mikrotik-Wireless-PSK",
        "MS-CHAP-CPW-1",
        "MS-CHAP-CPW-2",
        "MS-CHAP-LM-Enc-PW",
        "MS-CHAP-NT-Enc-PW",
        "MS-CHAP-Response",
        "MS-CHAP2-CPW",
        "MS-CHAP2-Response",
        "MS-New-ARAP-Password",
        "MS-Old-ARAP-Password",
        "Ruckus-CP-Token",
        "Ruckus-Dpsk",
        "State",
    }
)

# Where a number is a VLAN's, one that no VLAN can have (IEEE 802.1Q; RFC 3580 §3.31) is a slip of
# the pen that the switch would refuse in silence.
_VLANS = {
    "Aruba-User-Vlan": range(1, 4095),
    "ASA-VLAN": range(4095),  # 0: none
    "Mikrotik-Wireless-VLANID": range(1, 4095),
    "Ruckus-VLAN-ID": range(1, 4095),
    "Tunnel-Private-Group-Id": range(1, 4095),
}


class DictionaryError(ValueError):
    """A name or value that makes no attribute; `str()` is one clear line, without the value of a secret."""


@dataclass(frozen=True, slots=True)
class Definition:
    """One attribute.

    `vendor`: the enterprise number, 0 for a standard attribute.  `kind`: the type as the files name
    it.  `tagged`: RFC 2868 §3.  `encrypted`: hidden in the packet by means of the shared secret.
    `secret`: shown by its length alone.
    `numbers`: the named values, by folded name; `names`: the name shown for a number.
    """

    name: str
    vendor: int
    number: int
    kind: str
    tagged: bool
    encrypted: bool
    secret: bool
    numbers: Mapping[str, int]
    names: Mapping[int, str]

    @property
    def width(self) -> int:
        """Octets of an integer; a tag takes the first one's place (RFC 2868 §3.1)."""
        return WIDTHS[self.kind] - self.tagged

    @property
    def is_the_servers(self) -> bool:
        """Whether it is for the server to write and to read, and for no policy."""
        return not self.vendor and self.number in _NOT_FROM_A_POLICY

    def parted(self, value: bytes) -> tuple[int, bytes]:
        """The tag, 0 for none, and the rest of a value as it came (RFC 2868 §3)."""
        if self.tagged and value and value[0] <= _LAST_TAG:
            return value[0], value[1:]
        return 0, value


class Dictionary:
    """The attributes of a dictionary, by name and by number.

    `files`: what it was read from.  `unserved`: by the file, the names of what was left out of an
    administrator's, each with its FILE:LINE.
    """

    def __init__(
        self, definitions: Iterable[Definition], files: Sequence[Path], unserved: Mapping[Path, Mapping[str, str]]
    ) -> None:
        self.unserved = unserved
        self._left_out = {name.casefold(): at for of in unserved.values() for name, at in of.items()}
        self._files = files
        self._by_name: dict[str, Definition] = {}
        self._by_number: dict[tuple[int, int], Definition] = {}
        for definition in definitions:
            self._by_name[definition.name.casefold()] = definition
            self._by_number.setdefault((definition.vendor, definition.number), definition)
        self._encoded = lru_cache(maxsize=_REMEMBERED)(self._encode)

    @classmethod
    @cache
    def shipped(cls) -> Dictionary:
        """The one that comes with the server, read once."""
        return cls.load(DICTIONARIES / "dictionary")

    @classmethod
    def load(cls, path: Path, more: Sequence[Path] = ()) -> Dictionary:
        """The dictionary whose top file is `path`, and what an administrator adds to it in `more` files.

        Raises ConfigurationError, FILE:LINE: what.
        """
        parsed = parse(path, more)
        # By number: one under a second name is as secret.
        secret = parsed.secret | {
            (vendor, each.code) for each, vendor in parsed.attributes if each.name in _SECRET
        }
        definitions = (
            _definition(each, vendor, secret=bool(each.encrypt) or (vendor, each.code) in secret)
            for each, vendor in parsed.attributes
        )
        return cls(definitions, (path, *more), parsed.unserved)

    def with_file(self, file: Path) -> Dictionary:
        """This dictionary, read anew, and what is in `file`.  Raises ConfigurationError, FILE:LINE: what."""
        top, *more = self._files
        return self.load(top, (*more, file))

    def encode(self, name: str, value: str) -> tuple[int, bytes]:
        """Number and octets (1-253) of a reply's attribute, from the text a policy has.

        A vendor's attribute is number 26 with vendor, type and length inside.  `name` may end in a
        tag, `Tunnel-Type:1`.  Integers are numbers, decimal or `0x…`, or named values; octets are
        `0x…` or text; times are ISO 8601 with their offset, or seconds since 1970.  Raises DictionaryError.
        """
        return self._encoded(name, value)

    def must_be_a_policys(self, name: str) -> None:
        """Raises DictionaryError where no policy can return the attribute `name`, which may end in a tag."""
        self._reply_attribute(name)

    def show(self, number: int, value: bytes) -> tuple[str, str]:
        """Name and readable text of an attribute as it came, whatever its octets.

        What is unknown or not of its type is `0x…`; of a secret there is only the length.
        """
        if number != Attribute.VENDOR_SPECIFIC:
            return self.show_one(0, number, value)
        vendor, inside = int.from_bytes(value[:4], "big"), _inside(value)
        if not vendor or not inside:
            return f"Attr-{number}", hexadecimal(value)
        if len(inside) == 1:
            return self.show_one(vendor, *inside[0])
        # Several in one are allowed, if rare (RFC 2865 §5.26).
        shown = (self.show_one(vendor, *each) for each in inside)
        return "Vendor-Specific", ", ".join(f"{name} = {text}" for name, text in shown)

    def has(self, name: str) -> bool:
        """Whether there is an attribute `name`, be it one that was left out."""
        return name.casefold() in self._by_name or name.casefold() in self._left_out

    def definition(self, name: str) -> Definition:
        """The attribute `name`.  Raises DictionaryError."""
        try:
            return self._by_name[name.casefold()]
        except KeyError:
            if place := self._left_out.get(name.casefold()):
                why = f"{_quoted(name)} is in {place}, but of a type or number that is not served"
                raise DictionaryError(why) from None
            names = {folded: definition.name for folded, definition in self._by_name.items()}
            raise DictionaryError(f"unknown attribute {_quoted(name)}{_hint(name, names)}") from None

    def _encode(self, name: str, value: str) -> tuple[int, bytes]:
        definition, tag = self._reply_attribute(name)
        octets = octets_of(definition, value)
        if definition.tagged:
            # The octet stands even where no tag is used: RFC 3580 §3.31 has it zero then.
            octets = bytes([tag]) + octets
        return attribute_of(definition, octets)

    def _reply_attribute(self, name: str) -> tuple[Definition, int]:
        """The attribute of a policy's reply, and its tag, 0 for none."""
        bare, colon, tag = name.partition(":")
        definition = self.definition(bare)
        _refuse_what_no_policy_sets(definition)
        if colon and not definition.tagged:
            raise DictionaryError(f"{_quoted(name)}: {definition.name} takes no tag (RFC 2868)")
        return definition, _tag(name, tag) if colon else 0

    def show_one(self, vendor: int, number: int, value: bytes) -> tuple[str, str]:
        """The same of a vendor's attribute, or with 0 a standard one, by itself."""
        definition = self._by_number.get((vendor, number))
        if definition is None:
            return f"Attr-26.{vendor}.{number}" if vendor else f"Attr-{number}", hexadecimal(value)
        if definition.secret:
            return definition.name, f"({len(value)} octets)"
        tag, rest = definition.parted(value)
        try:
            text = _text(definition, rest)
        except ValueError:
            return definition.name, hexadecimal(value)
        return f"{definition.name}:{tag}" if tag else definition.name, text


def attribute_of(definition: Definition, octets: bytes) -> tuple[int, bytes]:
    """Number and value as they stand in a packet.  Raises DictionaryError where that is too long."""
    room = LONGEST_VALUE - (VENDOR_HEADER if definition.vendor else 0)
    if len(octets) > room:
        raise DictionaryError(f"{definition.name}: {len(octets)} octets are too many: {room} fit in")
    return on_the_wire(definition.vendor, definition.number, octets)


def on_the_wire(vendor: int, number: int, octets: bytes) -> tuple[int, bytes]:
    """The same of an attribute by its numbers, a vendor's in the form that RFC 2865 §5.26 recommends."""
    if not vendor:
        return number, octets
    return int(Attribute.VENDOR_SPECIFIC), vendor.to_bytes(4, "big") + bytes([number, len(octets) + 2]) + octets


# --- what pyrad has parsed ----------------------------------------------------------------------


def _definition(attribute: Any, vendor: int, *, secret: bool) -> Definition:
    """Of pyrad's Attribute, whose named values are octets already."""
    named = attribute.values.forward.items() if attribute.type in WIDTHS else ()
    values = [(name, int.from_bytes(octets, "big")) for name, octets in named]
    return Definition(
        name=attribute.name,
        vendor=vendor,
        number=attribute.code,
        kind=attribute.type,
        tagged=attribute.has_tag,
        encrypted=bool(attribute.encrypt),
        secret=secret,
        numbers={name.casefold(): number for name, number in values},
        names={number: name for name, number in reversed(values)},  # so that the first of two stays
    )


# --- text to octets -----------------------------------------------------------------------------


def _refuse_what_no_policy_sets(definition: Definition) -> None:
    if definition.encrypted:
        raise DictionaryError(f"{definition.name} is sent encrypted and cannot come from a policy")
    if definition.is_the_servers:
        raise DictionaryError(f"{definition.name} belongs to the server itself and cannot come from a policy")


def _tag(name: str, text: str) -> int:
    if re.fullmatch("[0-9]{1,2}", text) is None or int(text) > _LAST_TAG:
        raise DictionaryError(f"{_quoted(name)}: a tag is a number up to {_LAST_TAG} (RFC 2868 §3.1)")
    return int(text)


def octets_of(definition: Definition, value: str) -> bytes:
    """The value alone, at least one octet of it, and no tag.  Raises DictionaryError."""
    if definition.kind in WIDTHS:
        octets = _integer(definition, value).to_bytes(definition.width, "big")
    else:
        form = FORMATS[definition.kind]
        try:
            octets = form.encode(value)
        except ValueError:
            given = "the value" if definition.secret else _quoted(value)
            raise DictionaryError(f"{definition.name}: {given} is not {form.expected}") from None
    if not octets:
        raise DictionaryError(f"{definition.name}: empty, and an attribute must not be (RFC 2865 §5)")
    _check_vlan(definition, octets)
    return octets


def _integer(definition: Definition, value: str) -> int:
    number = definition.numbers.get(value.casefold())
    if number is None:
        number = _number(definition, value)
    most = 256**definition.width - 1
    if number > most:
        raise DictionaryError(f"{definition.name}: {number} is too large: {most} is the most")
    return number


def _number(definition: Definition, value: str) -> int:
    if _NUMBER.fullmatch(value) is None:
        names = {folded: definition.names[number] for folded, number in definition.numbers.items()}
        what = "a number or one of its named values" if names else "a number"
        raise DictionaryError(f"{definition.name}: {_quoted(value)} is not {what}{_hint(value, names)}")
    return int(value, 16 if value[:2] in ("0x", "0X") else 10)


def _check_vlan(definition: Definition, octets: bytes) -> None:
    vlans = _VLANS.get(definition.name)
    if vlans is None:
        return
    text = _text(definition, octets)
    # A VLAN's name, where the attribute takes one, is anybody's choice.
    if re.fullmatch("[0-9]+", text) and (len(text) > 10 or int(text) not in vlans):
        raise DictionaryError(f"{definition.name}: VLAN {text[:10]} is not in {vlans.start}-{vlans[-1]}")


# --- octets to text -----------------------------------------------------------------------------


def _inside(value: bytes) -> list[tuple[int, bytes]]:
    """The attributes within a Vendor-Specific one; none unless they fill it (RFC 2865 §5.26)."""
    found, at = [], 4
    while at + 2 <= len(value) and value[at + 1] >= 2:
        found.append((value[at], value[at + 2 : at + value[at + 1]]))
        at += value[at + 1]
    return found if at == len(value) else []


def _text(definition: Definition, octets: bytes) -> str:
    """Raises ValueError for octets that are not of the type."""
    if definition.kind not in WIDTHS:
        return FORMATS[definition.kind].decode(octets)
    if len(octets) != definition.width:
        raise ValueError("not as long as such an integer")
    number = int.from_bytes(octets, "big")
    return definition.names.get(number, str(number))


# --- errors in words ----------------------------------------------------------------------------


def _quoted(value: str) -> str:
    return repr(value if len(value) <= 60 else value[:59] + "…")


def _hint(word: str, names: Mapping[str, str]) -> str:
    """The nearest name, by its folded spelling, or nothing."""
    nearest = difflib.get_close_matches(word.casefold(), names, n=1)
    return f" (did you mean {names[nearest[0]]}?)" if nearest else ""
