"""Attributes in and out of a real FreeRADIUS: read as they are in the packet, and written so."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from radius_mfa.core.messages import ReplyAttribute
from radius_mfa.wire.dictionary import Dictionary
from radius_mfa.wire.pairs import Pair, Pairs
from tests.end_to_end.nas import ACCEPT, CODES, REJECT, RawNas, RawReply, raw_nas
from tests.end_to_end.site import SECRET
from tests.peers.freeradius_inside import FreeRadiusInside

CISCO, MICROSOFT, NOBODY = 9, 311, 99_999  # the last is in FreeRADIUS's dictionary as little as in ours
DICTIONARY = Dictionary.shipped()
PAIRS = Pairs(DICTIONARY)

# What a text may have in it that somebody on the way could take for something else.
TEXTS = (
    "plain",
    " ",
    "\\",
    r"a\b\\c",
    r"\n\x41\101\"",
    "z\u00fcrich \u65e5\u672c \U0001f511",
    "\"double\" and 'single' `back`",
    "two\nlines\r\n\tand a bell\a\x1b[31m",
    "0x414243",
    "%{User-Name} %%",
    " around ",
    "=:,;#",
    "12",
    "x" * 253,
    "\u00fc" * 126,
)
SIGNED = ("Message-Authenticator", ":=", "0x00")


def vendors(vendor: int, number: int, value: bytes) -> tuple[int, bytes]:
    """A vendor's attribute (RFC 2865 §5.26)."""
    return 26, vendor.to_bytes(4, "big") + bytes((number, len(value) + 2)) + value


class Recorder:
    """FreeRADIUS with a module inside that writes down."""

    def __init__(self, folder: Path, nas: RawNas) -> None:
        self._folder = folder
        self._nas = nas
        self.replies()

    def replies(self, *updates: Sequence[str]) -> None:
        (self._folder / "reply.json").write_text(json.dumps([SIGNED, *updates]))

    def exchange(self, *attributes: tuple[int, bytes]) -> RawReply:
        return self._nas.exchange(self._nas.packet(b"alice", b"sesame", *attributes))

    def refuses(self, *attributes: tuple[int, bytes]) -> bool:
        """Whether FreeRADIUS does so by itself, and leaves the reply unsigned."""
        self._nas.socket.send(self._nas.packet(b"alice", b"sesame", *attributes))
        return CODES[self._nas.socket.recv(4096)[0]] == REJECT

    def given(self, *attributes: tuple[int, bytes]) -> list[Pair]:
        """What comes in of a packet with these."""
        assert self.exchange(*attributes).code == ACCEPT
        return _pairs(self._folder / "request.json")

    def read(self, *attributes: tuple[int, bytes]) -> list[tuple[int, bytes] | None]:
        """The same as we read it."""
        return [PAIRS.octets(name, text) for name, text in self.given(*attributes)]

    def sent(self, *wanted: ReplyAttribute) -> list[tuple[int, bytes]]:
        """The octets of a reply that is to have these, without what signs it."""
        given = [PAIRS.given(each) for each in wanted]
        self.replies(*((each.name, "+=", each.text) for each in given))
        reply = self.exchange()
        assert [*PAIRS.missing(given, self.in_reply())] == []
        return [*reply.attributes[1:]]

    def in_reply(self) -> list[Pair]:
        """What `post_auth` was last told of the reply."""
        return _pairs(self._folder / "sent.json")


def _pairs(file: Path) -> list[Pair]:
    return [(name, text) for name, text in json.loads(file.read_text())]


@pytest.fixture(scope="module")
def recorder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorder]:
    folder = tmp_path_factory.mktemp("recorder")
    changes = {r"^\tmodule = .*": "\tmodule = tests.peers.freeradius_recorder"}
    inside = FreeRadiusInside(
        folder / "none.yaml", {"vpn": "127.0.0.1"}, SECRET, changes=changes, threads=1, debugs=False
    )
    with inside as freeradius, raw_nas(freeradius.port, SECRET) as nas:
        yield Recorder(folder, nas)


IN = {
    **{f"text {text[:10]!r}": (30, text.encode()) for text in TEXTS},
    "octets": (25, b'\0\xff\\"ABC'),
    "octets of full length": (25, bytes(range(253))),
    "octets that look like a number": (24, b"0x41"),
    "integer": (5, bytes(4)),
    "largest integer": (5, b"\xff" * 4),
    "named integer": (6, (1).to_bytes(4, "big")),
    "integer that IANA names": (6, (18).to_bytes(4, "big")),
    "integer that IANA and a vendor name": (6, (12).to_bytes(4, "big")),
    "integer that a vendor names": (7, (17825794).to_bytes(4, "big")),
    "integer without a name": (6, (250).to_bytes(4, "big")),
    "port of WiMAX": (61, (27).to_bytes(4, "big")),
    "integer of another length": (5, b"\x01\x02"),
    "ipaddr": (4, bytes((192, 0, 2, 1))),
    "ipaddr of another length": (4, bytes((192, 0, 2))),
    "ipv6addr": (95, bytes.fromhex("20010db8000000000000000000000001")),
    "ipv6addr of an IPv4 one": (95, bytes.fromhex("00000000000000000000ffffc0000201")),
    "ipv6prefix": (97, bytes.fromhex("004020010db8000000000000000000000000")),
    "ifid": (96, bytes.fromhex("021122fffe334455")),
    "tagged integer": (64, bytes.fromhex("0100000d")),
    "tagged integer, tag 0": (64, bytes.fromhex("0000000d")),
    "tagged text": (81, b"\x01100"),
    "tagged text, tag 0": (81, b"\x00100"),
    "largest tag": (81, b"\x1f\\100"),
    "vendor's text": vendors(CISCO, 1, b'shell:priv-lvl="15" \\'),
    "vendor's octets": vendors(MICROSOFT, 11, bytes(range(16))),
    "vendor's integer": vendors(12356, 13, bytes(4)),
    "unknown vendor's": vendors(NOBODY, 7, b"\0\xff"),
    "unknown of a vendor": vendors(CISCO, 199, b"\x01a"),
    "longest of an unknown vendor": vendors(NOBODY, 7, b"\xff" * 247),
    "vendor's, and none fits in": (26, CISCO.to_bytes(4, "big") + b"\x01\x09a"),
    "no vendor's at all": (26, b"\0"),
}


@pytest.mark.parametrize("attribute", IN.values(), ids=IN)
def test_what_comes_in_is_read_as_the_octets_of_the_packet(
    recorder: Recorder, attribute: tuple[int, bytes]
) -> None:
    assert attribute in recorder.read(attribute)


@settings(max_examples=200)
@given(text=st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1, max_size=63))
def test_any_text_comes_in_as_it_is(recorder: Recorder, text: str) -> None:
    assert (30, text.encode()) in recorder.read((30, text.encode()))


def test_the_same_attribute_twice_comes_in_twice_and_in_order(recorder: Recorder) -> None:
    both = [vendors(CISCO, 1, b"second"), vendors(CISCO, 1, b"first"), (25, b"b"), (25, b"a"), (25, b"b")]

    assert [each for each in recorder.read(*both) if each in both] == both


def test_several_in_one_vendor_specific_come_in_one_by_one(recorder: Recorder) -> None:
    """RFC 2865 §5.26 has them so, or together."""
    number, one = vendors(CISCO, 1, b"one")
    _, two = vendors(CISCO, 2, b"two")

    read = recorder.read((number, one + two[4:]))
    assert (number, one) in read
    assert (number, two) in read


@pytest.mark.parametrize(
    ("attribute", "name"),
    [
        ((126, b"1EXAMPLE"), "Operator-Name"),
        ((55, (1_700_000_000).to_bytes(4, "big")), "Event-Timestamp"),  # in local time, and about no login
        ((64, b"\x20\0\0\x0d"), "Tunnel-Type:0"),  # too large for RFC 2868 §3.1
        ((177, bytes((0, 0, 0, 1))), "Mobility-Domain-Id"),  # RFC 7268 §2.8; named by another vendor
    ],
    ids=str,
)
def test_what_cannot_be_read_is_read_as_nothing_else(
    recorder: Recorder, attribute: tuple[int, bytes], name: str
) -> None:
    """No policy looks at it then."""
    texts = [text for each, text in recorder.given(attribute) if each == name]
    assert [PAIRS.octets(name, text) for text in texts] in ([None], [attribute])
    assert {number for number, _ in filter(None, recorder.read(attribute))} <= {1, 2, 4, 80, attribute[0]}


def test_what_is_read_otherwise_has_the_same_meaning(recorder: Recorder) -> None:
    """A prefix in as few octets as it needs (RFC 3162 §2.3), a text without a tag (RFC 2868 §3.3), in full."""
    short, full = bytes.fromhex("004020010db800000000"), bytes.fromhex("004020010db8000000000000000000000000")
    assert (97, full) in recorder.read((97, short))
    assert (81, b"\x00100") in recorder.read((81, b"100"))


def test_freeradius_takes_the_attributes_of_vendor_0_for_standard_ones(recorder: Recorder) -> None:
    """Nothing that we are given says that it was inside of a Vendor-Specific.  The first of a number counts."""
    assert recorder.read((25, b"first"), vendors(0, 25, b"second")).count((25, b"second")) == 1


def test_a_text_ends_at_its_first_nul(recorder: Recorder) -> None:
    """FreeRADIUS gives no more of it; who can send the one could have sent the other."""
    assert (30, b"before") in recorder.read((30, b"before\0behind"))


def test_a_text_that_is_no_utf_8_is_refused_before_anybody_is_asked(recorder: Recorder) -> None:
    assert recorder.refuses((30, b"\xff"))


OUT = {
    **{f"text {text[:10]!r}": ("Filter-Id", text) for text in TEXTS},
    "text with NUL": ("Filter-Id", "a\0b\0001"),
    "vendor's text with NUL": ("Cisco-AVPair", "a\0b"),
    "tagged text with NUL": ("Tunnel-Private-Group-Id:1", "a\0b"),
    "octets": ("Class", "0x00ff5c22"),
    "octets of full length": ("Class", "0x" + "00" * 253),
    "text as octets": ("Class", 'group "staff" \\ \u00fc'),
    "integer": ("Session-Timeout", "3600"),
    "largest integer": ("Session-Timeout", "4294967295"),
    "integer in hexadecimal": ("Session-Timeout", "0x10"),
    "named integer": ("Service-Type", "Administrative-User"),
    "integer that IANA names": ("Service-Type", "Framed-Management"),
    "ipaddr": ("Framed-IP-Address", "192.0.2.1"),
    "ipv6addr": ("NAS-IPv6-Address", "2001:db8::1"),
    "ipv6prefix": ("Framed-IPv6-Prefix", "2001:db8::/32"),
    "ipv6prefix of all": ("Framed-IPv6-Prefix", "::/0"),
    "ifid": ("Framed-Interface-Id", "211:22ff:fe33:4455"),
    "date": ("Event-Timestamp", "2030-01-31T12:00:00Z"),
    "first date": ("Event-Timestamp", "0"),
    "last date": ("Event-Timestamp", "4294967295"),
    "tagged integer": ("Tunnel-Type:1", "VLAN"),
    "untagged integer": ("Tunnel-Type", "VLAN"),
    "largest tag": ("Tunnel-Medium-Type:31", "IEEE-802"),
    "tagged text": ("Tunnel-Private-Group-Id:1", "100"),
    "tagged text with backslash": ("Tunnel-Private-Group-Id:2", r"a\b"),
    "vendor's text": ("Cisco-AVPair", r'shell:priv-lvl="15" \n'),
    "vendor's octets": ("MS-CHAP-Challenge", "0x000102ff"),
    "vendor's integer": ("Aruba-User-Vlan", "100"),
    "vendor's address": ("MS-Primary-DNS-Server", "192.0.2.53"),
}


@pytest.mark.parametrize(("name", "value"), OUT.values(), ids=OUT)
def test_what_a_policy_returns_leaves_as_the_octets_that_our_own_server_sends(
    recorder: Recorder, name: str, value: str
) -> None:
    assert recorder.sent(ReplyAttribute(name, value)) == [DICTIONARY.encode(name, value)]


@settings(max_examples=200)
@given(text=st.text(st.characters(codec="utf-8"), min_size=1, max_size=63))
@example("\0")
@example("\\\0007")
def test_any_text_leaves_as_it_is(recorder: Recorder, text: str) -> None:
    assert recorder.sent(ReplyAttribute("Filter-Id", text)) == [(11, text.encode())]


def test_the_same_attribute_several_times_leaves_so(recorder: Recorder) -> None:
    values = [ReplyAttribute("Cisco-AVPair", each) for each in ("b", "a", "b")]

    assert recorder.sent(*values) == [DICTIONARY.encode(each.name, each.value) for each in values]


def test_a_text_without_a_tag_leaves_without_its_octet(recorder: Recorder) -> None:
    """RFC 2868 §3.3, §3.6 leave that open: above 0x1F the first octet is of the text.  Ours has a 0 there."""
    assert recorder.sent(ReplyAttribute("Tunnel-Private-Group-Id", "100")) == [(81, b"100")]


def test_tags_stand_beside_each_other(recorder: Recorder) -> None:
    values = [ReplyAttribute(f"Tunnel-Type:{tag}", "VLAN") for tag in (1, 2)]

    assert recorder.sent(*values) == [DICTIONARY.encode(each.name, each.value) for each in values]


@pytest.mark.parametrize("message", [*TEXTS, "\u00fc" * 300, "a\0b"], ids=ascii)
def test_what_a_user_is_told_arrives(recorder: Recorder, message: str) -> None:
    recorder.replies(*((name, "+=", text) for name, text in PAIRS.reply_messages(message)))

    told = [value for number, value in recorder.exchange().attributes if number == 18]
    assert b"".join(told) == message.encode()


def test_what_freeradius_does_not_know_is_missed(recorder: Recorder) -> None:
    """It leaves it out, says so in its log alone, and sends the rest."""
    given = PAIRS.given(ReplyAttribute("Filter-Id", "staff"))
    recorder.replies(["No-Such-Attribute", "+=", "staff"], ["Session-Timeout", "+=", "60"])

    reply = recorder.exchange()
    assert [number for number, _ in reply.attributes] == [80, 27]
    assert [*PAIRS.missing([given], recorder.in_reply())] == ["Filter-Id"]
