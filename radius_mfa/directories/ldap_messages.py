"""LDAP messages (RFC 4511 §4): searches that ldap3 builds and encodes once, answers read strictly.

ldap3 takes 200 to 400 µs to encode a search, nearly all of it the same work each time.  So it encodes
each kind of search once, with holes in it, and a name is put into the holes: octets of an assertion
value in a filter that has been parsed already, where nothing is left to be escaped (RFC 4515 §3).
What stands between the holes is the same for all names of one length.

Answers are not read by ldap3's fast decoder: it takes an ENUMERATED of no octets for 0, which is
*success*, is busy for minutes with an INTEGER of 1 MiB, and reads past the end of what it is in.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from struct import Struct
from typing import NamedTuple

from ldap3 import DEREF_NEVER, SUBTREE
from ldap3.core.exceptions import LDAPExceptionError
from ldap3.core.results import RESULT_CODES
from ldap3.operation.search import search_operation
from ldap3.utils.asn1 import customTagMap, customTypeMap
from pyasn1.codec.ber.encoder import Encoder

from radius_mfa.core.record import record
from radius_mfa.directories.ldap_ber import (
    Element,
    MalformedError,
    decoded,
    encoded,
    head,
    integer,
    span_of,
    within,
)
from radius_mfa.directories.ldap_text import text_of

# A large entry has some 100 KiB.  A longer message, which somebody may have put there to be in the way, is
# passed over: only what asked for it fails.  One that is longer still is no message of a directory.
LONGEST = 256 * 1024
LARGEST = 64 * 1024 * 1024
# A thousand entries that have only a name come to some 200 KiB.
LONGEST_ANSWER = 4 * 1024 * 1024
# The largest message id (RFC 4511 §4.1.1).
LAST_ID = 2**31 - 1
# Entries that a search asks for: two are as ambiguous as a thousand.
MOST_ENTRIES = 2
# Of names up to this length what stands around them is kept: a User-Name has 253 octets at most (RFC 2865 §5.1).
_USUAL_NAME = 256

BIND_RESPONSE, SEARCH_ENTRY, SEARCH_DONE, SEARCH_REFERENCE = 0x61, 0x64, 0x65, 0x73
EXTENDED_RESPONSE, INTERMEDIATE_RESPONSE = 0x78, 0x79

SUCCESS, SIZE_LIMIT_EXCEEDED, REFERRAL, BUSY, UNAVAILABLE = 0, 4, 10, 51, 52
NO_SUCH_OBJECT, INVALID_DN_SYNTAX, INAPPROPRIATE_AUTHENTICATION, INVALID_CREDENTIALS = 32, 34, 48, 49

_SEQUENCE, _INTEGER, _OCTETS = 0x30, 0x02, 0x04
_BIND_REQUEST, _UNBIND_REQUEST, _SIMPLE = 0x60, b"\x42\x00", 0x80
_EXTENDED_REQUEST, _REQUEST_NAME, _CONTROLS = 0x77, 0x80, 0xA0
_SEARCH_REQUEST, _PRESENT = 0x63, 0x87
# Scope baseObject, aliases never followed, no limits of size and time, values too.
_ITSELF = b"\x0a\x01\x00\x0a\x01\x00\x02\x01\x00\x02\x01\x00\x01\x01\x00"
_START_TLS_NAME = b"1.3.6.1.4.1.1466.20037"
_PASSWORD_POLICY = b"1.3.6.1.4.1.42.2.27.8.5.1"
_VERSION_3 = b"\x02\x01\x03"
_bind_begin = Struct(">BBHBBB3sBB").pack  # of a message with a bind, up to the name
_SIMPLE_HEADS = tuple(head(_SIMPLE, size) for size in range(0x80))
_CONSTRUCTED = 0x20
_RESULTS = frozenset({BIND_RESPONSE, SEARCH_DONE, EXTENDED_RESPONSE})
_LONGEST_TEXT = 120
_SHORT = 0x80  # below it a length is one octet (X.690 §8.1.3.4)

# Stands for a hole while ldap3 encodes: U+FFFC is in nobody's filter.
HOLE = "\N{OBJECT REPLACEMENT CHARACTER}"
_HOLE = HOLE.encode()

# With ldap3's maps, by which TRUE is 0xFF (RFC 4511 §5.1).
_encode: Callable[[object], bytes] = Encoder(customTagMap, customTypeMap)
_search_operation: Callable[..., object] = search_operation

_Part = bytes | tuple[int, "_Parts"] | None
_Parts = tuple[_Part, ...]
"""Of a request: octets that stay, elements whose length changes, and None for a hole."""


@dataclass(frozen=True, slots=True)
class Result:
    """LDAPResult (RFC 4511 §4.1.9): its code, and what the server says about it.

    `policy`: the error in a password policy control that came with it, None for none.
    """

    code: int
    text: str = ""
    policy: int | None = None

    def __str__(self) -> str:
        said = f"{RESULT_CODES.get(self.code, 'result code')} ({self.code})"
        return f"{said}: {self.text}" if self.text else said


@record(frozen=True, slots=True)
class Entry:
    """An entry that was found.  `attributes`: values by description in lower case."""

    dn: str
    attributes: Mapping[str, tuple[bytes, ...]] = field(repr=False)

    def values(self, attribute: str) -> tuple[str, ...]:
        """The values as text, in whatever case the attribute is named; hexadecimal where one is none."""
        return self.texts(attribute.lower())

    def texts(self, attribute: str) -> tuple[str, ...]:
        """The same for an attribute named in lower case."""
        values = self.attributes.get(attribute)
        if not values:
            return ()
        return (text_of(values[0]),) if len(values) == 1 else tuple(map(text_of, values))


class Message(NamedTuple):
    """One answer.  `operation`: its tag; `content`: None where nothing in it matters to us."""

    id: int
    operation: int
    content: Result | Entry | None


# --- what we send ---------------------------------------------------------------------------------


class Search:
    """A search for a name below `base`; `filter_` has a `HOLE` wherever the name goes.

    Only `attributes` are asked for, of at most `most` entries (0: any number), and aliases are not
    followed.  Raises ValueError for what is no filter.
    """

    def __init__(self, base: str, filter_: str, attributes: Sequence[str], most: int = MOST_ENTRIES) -> None:
        self.most = most
        self._around: dict[int, list[bytes]] = {}  # names, by their length
        scope = (SUBTREE, DEREF_NEVER, list(attributes), most, 0, False)
        try:
            self._parts = _cut(_encode(_search_operation(base, filter_, *scope, False, False)))
        except LDAPExceptionError as error:
            raise ValueError(str(error)) from error

    def request(self, name: bytes) -> bytes:
        """SearchRequest (RFC 4511 §4.5.1), encoded."""
        size = len(name)
        around = self._around.get(size)
        if around is None:
            around = _around(self._parts, size)
            if size <= _USUAL_NAME:
                self._around[size] = around
        return name.join(around)


def has_place(filter_: str, placeholder: str) -> bool:
    """Whether a filter compares something with `placeholder`, and has it nowhere but as a value."""
    return placeholder in filter_ and not re.search(rf"\([^()=]*{re.escape(placeholder)}", filter_)


def bind_message(number: int, dn: str, password: bytes, controls: bytes = b"") -> bytes:
    """A message with BindRequest and simple authentication (RFC 4511 §4.2), encoded; `controls` as they follow it.

    An empty name or password would ask to be nobody, and that succeeds (RFC 4513 §5.1): ValueError.
    """
    if not dn or not password:
        raise ValueError("a bind wants a name and a password")
    name = dn.encode()
    named, size = len(name), len(password)
    request = named + size + 7
    whole = request + 5 + len(controls)
    if whole < _SHORT and number < _SHORT:  # so number and lengths are of one octet each, as nearly always
        begin = _bind_begin(_SEQUENCE, whole, 0x0201, number, _BIND_REQUEST, request, _VERSION_3, _OCTETS, named)
        return begin + name + _SIMPLE_HEADS[size] + password + controls
    bind = b"".join((_VERSION_3, head(_OCTETS, named), name, head(_SIMPLE, size), password))
    return message(number, encoded(_BIND_REQUEST, bind) + controls)


def start_tls_request() -> bytes:
    """ExtendedRequest for StartTLS (RFC 4511 §4.14.1), encoded."""
    return encoded(_EXTENDED_REQUEST, encoded(_REQUEST_NAME, _START_TLS_NAME))


def read_entry_request(dn: bytes, attributes: Sequence[str]) -> bytes:
    """SearchRequest (RFC 4511 §4.5.1) for the one entry `dn` itself, whatever it is, encoded."""
    present = encoded(_PRESENT, b"objectClass")
    listed = b"".join(encoded(_OCTETS, name.encode()) for name in attributes)
    return encoded(_SEARCH_REQUEST, encoded(_OCTETS, dn) + _ITSELF + present + encoded(_SEQUENCE, listed))


def message(number: int, request: bytes) -> bytes:
    """LDAPMessage (RFC 4511 §4.1.1): a request, which its controls follow, under its number."""
    digits = number.bit_length() // 8 + 1
    return _before_number(digits, len(request)) + number.to_bytes(digits, "big") + request


@lru_cache(1024)
def _before_number(digits: int, size: int) -> bytes:
    """How a message begins with a number of `digits` octets and `size` more behind it."""
    number = head(_INTEGER, digits)
    return head(_SEQUENCE, len(number) + digits + size) + number


def unbind(number: int) -> bytes:
    """The message that ends a connection (RFC 4511 §4.3)."""
    return message(number, _UNBIND_REQUEST)


def _cut(octets: bytes) -> _Parts:
    """Encoded elements as parts; only what has a hole in it is taken apart."""
    parts: list[_Part] = []
    at = 0
    while at < len(octets):
        begin, end = within(octets, at, len(octets))
        value = octets[begin:end]
        if _HOLE not in value:
            parts.append(octets[at:end])
        elif octets[at] & _CONSTRUCTED:
            parts.append((octets[at], _cut(value)))
        else:
            pieces: list[_Part] = [each for piece in value.split(_HOLE) for each in (piece, None)]
            parts.append((octets[at], tuple(pieces[:-1])))
        at = end
    return tuple(parts)


def _around(parts: _Parts, size: int) -> list[bytes]:
    """What stands before, between and after the holes when what is put into them has `size` octets."""
    pieces = [b""]
    for part in parts:
        if part is None:
            pieces.append(b"")
        elif isinstance(part, bytes):
            pieces[-1] += part
        else:
            first, *others = _around(part[1], size)
            length = len(first) + sum(size + len(each) for each in others)
            pieces[-1] += head(part[0], length) + first
            pieces += others
    return pieces


# Asks for what a password policy has to say (draft-behera-ldap-password-policy-10 §6.1); not critical.
POLICY_WANTED = encoded(_CONTROLS, encoded(_SEQUENCE, encoded(_OCTETS, _PASSWORD_POLICY)))
# And what it has to say where all is well: neither warning nor error (§6.2).
POLICY_CONTENT = encoded(
    _CONTROLS,
    encoded(_SEQUENCE, encoded(_OCTETS, _PASSWORD_POLICY) + encoded(_OCTETS, encoded(_SEQUENCE, b""))),
)


# --- what we receive --------------------------------------------------------------------------------


def size_of_first(octets: bytes | bytearray) -> int | None:
    """How many octets the message at the start of `octets` has; None while too few of them are there to tell.

    Raises MalformedError.
    """
    if octets and octets[0] != _SEQUENCE:
        raise MalformedError("something that is no LDAP message")
    span = span_of(octets, 0)
    if span is not None and span[1] > LARGEST:
        raise MalformedError(f"a message of more than {LARGEST} octets")
    return None if span is None else span[1]


def number_of_first(octets: bytes | bytearray) -> int | None:
    """The number of the message at the start of `octets`, None while it is not there.  Raises MalformedError."""
    span = span_of(octets, 0)
    inner = span and span_of(octets, span[0])
    if not span or not inner:
        return None
    if octets[span[0]] != _INTEGER or inner[1] - inner[0] > 4:
        raise MalformedError("a message without number or operation")
    return integer(bytes(octets[inner[0] : inner[1]])) if len(octets) >= inner[1] else None


def read(octets: bytes) -> Message:
    """The one message that `octets` are.  Raises MalformedError."""
    match decoded(octets, 0, len(octets)):
        case [(0x30, [(0x02, bytes(number)), (int(operation), list(content)), *further])]:
            return Message(integer(number), operation, _content(operation, content, further))
    raise MalformedError("a message without number or operation")


def _content(operation: int, content: list[Element], further: list[Element]) -> Result | Entry | None:
    if operation == BIND_RESPONSE and further:
        return replace(_result(content), policy=_policy_error(further))
    if operation in _RESULTS:
        return _result(content)
    return _entry(content) if operation == SEARCH_ENTRY else None


def _policy_error(further: list[Element]) -> int | None:
    """The error in the password policy control, None for none, of what follows a bind's response.

    Whatever there is malformed is so as a whole: it must not go for a success without reservation.
    """
    values = [value for name, value in _controls(further) if name == _PASSWORD_POLICY]
    match values:
        case []:
            return None
        case [bytes(value)]:
            return _error_in(value)
    raise MalformedError("a password policy that is none")


def _controls(further: list[Element]) -> Iterator[tuple[bytes, bytes | None]]:
    """Names and values (RFC 4511 §4.1.11); what later versions may add beside them is passed over."""
    for tag, listed in further:
        if tag | _CONSTRUCTED == _CONTROLS:
            if not isinstance(listed, list):
                raise MalformedError("controls that are none")
            yield from map(_control, listed)


def _control(element: Element) -> tuple[bytes, bytes | None]:
    match element:
        case (0x30, [(0x04, bytes(name))] | [(0x04, bytes(name)), (0x01, bytes())]):
            return name, None
        case (0x30, [(0x04, bytes(name)), (0x04, bytes(value))]):
            return name, value
        case (0x30, [(0x04, bytes(name)), (0x01, bytes()), (0x04, bytes(value))]):
            return name, value
    raise MalformedError("a control that is none")


def _error_in(value: bytes) -> int | None:
    """PasswordPolicyResponseValue (draft-behera-ldap-password-policy-10 §6.2): its error, None for none."""
    match decoded(value, 0, len(value)):
        case [(0x30, [(0xA0, [(0x80 | 0x81, bytes(warning))]), *rest])]:
            integer(warning)
        case [(0x30, list(rest))]:
            pass
        case _:
            raise MalformedError("a password policy that is none")
    match rest:
        case []:
            return None
        case [(0x81, bytes(error))]:
            return integer(error)
    raise MalformedError("a password policy that is none")


def _result(content: list[Element]) -> Result:
    match content:
        case [(0x0A, bytes(code)), (0x04, bytes()), (0x04, bytes(text)), *_]:
            return Result(integer(code), _shown(text) if text else "")
    raise MalformedError("a result that is none")


def _entry(content: list[Element]) -> Entry:
    match content:
        case [(0x04, bytes(dn)), (0x30, list(attributes))]:
            try:
                return Entry(dn.decode(), dict(map(_attribute, attributes)))
            except UnicodeDecodeError as error:
                raise MalformedError("a name that is no UTF-8") from error
    raise MalformedError("an entry that is none")


def _attribute(element: Element) -> tuple[str, tuple[bytes, ...]]:
    match element:
        case (0x30, [(0x04, bytes(description)), (0x31, list(values))]):
            return description.decode().lower(), tuple(map(_value, values))
    raise MalformedError("an attribute that is none")


def _value(element: Element) -> bytes:
    match element:
        case (0x04, bytes(value)):
            return value
    raise MalformedError("a value that is none")


def _shown(text: bytes) -> str:
    """What a server says, fit for one line of a log."""
    line = " ".join(text[:_LONGEST_TEXT].decode(errors="replace").split())
    return "".join(each if each.isprintable() else "?" for each in line)
