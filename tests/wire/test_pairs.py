"""Names and texts as FreeRADIUS has them, and octets: by hand, at random, and by FreeRADIUS's own dictionary."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import IPv6Network
from pathlib import Path

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from radius_mfa.core.messages import ReplyAttribute
from radius_mfa.data import DICTIONARIES
from radius_mfa.wire.dictionary import Dictionary, DictionaryError
from radius_mfa.wire.pairs import Pairs
from radius_mfa.wire.values import WIDTHS

FREERADIUS = Path("/usr/share/freeradius/dictionary")  # Debian's freeradius-common
OURS = Dictionary.shipped()
PAIRS = Pairs(OURS)

CISCO = (9).to_bytes(4, "big")
LINES = [line.split() for each in sorted(DICTIONARIES.iterdir()) for line in each.read_text().splitlines()]
NAMES = [words[1] for words in LINES if words[:1] == ["ATTRIBUTE"]]


def back(text: str) -> str:
    """What rlm_python3 gives of what it was given: escapes are undone, and no more is said behind a NUL."""
    return re.sub(r"\\(000|\\)", lambda each: "\0" if each[1] == "000" else "\\", text).partition("\0")[0]


class TestOctets:
    @pytest.mark.parametrize(
        ("name", "text", "number", "octets"),
        [
            ("User-Name", "alice", 1, b"alice"),
            ("user-name", "alice", 1, b"alice"),
            ("Calling-Station-Id", "0x4142", 31, b"0x4142"),  # of texts, none is hexadecimal
            ("Filter-Id", r"\n", 11, rb"\n"),
            ("Class", "0x00FF", 25, b"\0\xff"),
            ("NAS-Port", "7", 5, b"\0\0\0\7"),
            ("Service-Type", "Login-User", 6, b"\0\0\0\1"),
            ("Service-Type", "Sip-session", 6, b"\0\0\0\x0c"),
            ("NAS-Port-Type", "Wireless-802.16", 61, b"\0\0\0\x1b"),
            ("NAS-IP-Address", "192.0.2.1", 4, b"\xc0\0\2\1"),
            ("NAS-IPv6-Address", "::1", 95, bytes(15) + b"\1"),
            ("Framed-IPv6-Prefix", "2001:db8::/32", 97, bytes.fromhex("0020 20010db8") + bytes(12)),
            ("Framed-Interface-Id", "211:22ff:fe33:4455", 96, bytes.fromhex("021122fffe334455")),
            ("Tunnel-Type:1", "VLAN", 64, b"\1\0\0\x0d"),
            ("Tunnel-Type:0", "VLAN", 64, b"\0\0\0\x0d"),
            ("Tunnel-Type", "VLAN", 64, b"\0\0\0\x0d"),
            ("Tunnel-Private-Group-Id:31", "100", 81, b"\x1f100"),
            ("Cisco-AVPair", "a=b", 26, CISCO + b"\1\5a=b"),
            ("Attr-5", "0x0102", 5, b"\1\2"),
            ("Attr-26", "0x00", 26, b"\0"),
            ("Attr-26.9.199", "0xff", 26, CISCO + b"\xc7\3\xff"),
            ("Attr-26.16777215.255", "0xff", 26, b"\0\xff\xff\xff\xff\3\xff"),
            ("Attr-241", "0x" + "00" * 253, 241, bytes(253)),
            ("Attr-26.9.1", "0x" + "00" * 247, 26, CISCO + b"\1\xf9" + bytes(247)),
        ],
    )
    def test_a_pair_is_an_attribute_as_in_a_packet(self, name: str, text: str, number: int, octets: bytes) -> None:
        assert PAIRS.octets(name, text) == (number, octets)

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("Operator-Name", "1EXAMPLE"),  # FreeRADIUS's
            ("Stripped-User-Name", "alice"),
            ("", ""),
            ("User-Name", ""),
            ("NAS-Port", "seven"),
            ("NAS-Port", "4294967296"),
            ("Tunnel-Type:1", "16777216"),
            ("Tunnel-Type:256", "VLAN"),
            ("Event-Timestamp", "Nov 14 2023 22:13:20 UTC"),  # in local time, and about no login
            ("NAS-IP-Address", "192.0.2"),
            ("Framed-IPv6-Prefix", "2001:db8::"),
            ("User-Name", "x" * 254),
            ("Cisco-AVPair", "x" * 248),
            ("Class", "0x0"),
            ("User-Name", "\ud800"),
            ("Attr-0", "0x00"),
            ("Attr-256", "0x00"),
            ("Attr-26.0.1", "0x616c696365"),  # no vendor has 0: this would be User-Name
            ("Attr-26.9.256", "0x00"),
            ("Attr-26.9.0", "0x00"),
            ("Attr-26.9.1.2", "0x00"),
            ("Attr-5", "5"),
            ("Attr-5", "0x"),
            ("Attr-5", "0x0"),
            ("Attr-241", "0x" + "00" * 254),
            ("Attr-26.9.1", "0x" + "00" * 248),
            ("Attr-26.9.1", "0x" + "00" * 300),
        ],
    )
    def test_what_is_none_of_ours_or_unreadable_is_none(self, name: str, text: str) -> None:
        assert PAIRS.octets(name, text) is None

    def test_what_an_administrators_dictionary_leaves_out_is_none(self, tmp_path: Path) -> None:
        file = tmp_path / "dictionary.more"
        file.write_text("VENDOR More 64999\nBEGIN-VENDOR More\nATTRIBUTE More-Odd 1 signed\nEND-VENDOR More\n")
        pairs = Pairs(OURS.with_file(file))
        assert pairs.octets("More-Odd", "1") is None

    NAMES = st.one_of(
        st.sampled_from(NAMES),
        st.from_regex(r"\A[A-Za-z-]{1,20}:[0-9]{1,3}\Z"),
        st.from_regex(r"\AAttr-(26\.[0-9]{1,9}\.)?[0-9]{1,4}\Z"),
        st.text(max_size=40),
    )
    TEXTS = st.one_of(
        st.text(max_size=300),
        st.binary(max_size=300).map(lambda octets: f"0x{octets.hex()}"),
        st.integers(-1, 1 << 70).map(str),
        st.ip_addresses().map(str),
        st.datetimes(timezones=st.just(UTC)).map(datetime.isoformat),
        st.from_regex(r"\A[0-9a-f:./%]{0,40}\Z"),
    )

    @given(name=NAMES, text=TEXTS)
    @example(name="Attr-26.9.1", text="0x" + "00" * 254)
    @example(name="Event-Timestamp", text="0001-01-01T00:00:00+23:59")
    @example(name="NAS-Port", text="9" * 5000)
    def test_no_name_and_no_text_is_too_odd(self, name: str, text: str) -> None:
        found = PAIRS.octets(name, text)
        if found is not None:
            number, octets = found
            assert 0 < number < 256
            assert 0 < len(octets) < 254


class TestGiven:
    @pytest.mark.parametrize(
        ("name", "value", "text"),
        [
            ("Filter-Id", "staff", "staff"),
            ("filter-id", "staff", "staff"),
            ("Filter-Id", 'a\\b"\n\0z\u00fcrich', 'a\\\\b"\n\\000z\u00fcrich'),
            ("Class", "0x00ff", "0x00ff"),
            ("Class", "staff", "0x7374616666"),
            ("Session-Timeout", "3600", "3600"),
            ("Service-Type", "Login-User", "1"),  # whatever it is called there
            ("Event-Timestamp", "2030-01-31T12:00:00Z", "1896091200"),
            ("Framed-IP-Address", "192.0.2.1", "192.0.2.1"),
            ("Framed-IPv6-Prefix", "2001:db8::/32", "2001:db8::/32"),
            ("Tunnel-Type", "VLAN", "13"),
            ("Tunnel-Type:1", "VLAN", "13"),
            ("Tunnel-Private-Group-Id:2", "100", "100"),
            ("Cisco-AVPair", "a=b", "a=b"),
        ],
    )
    def test_freeradius_is_given_the_dictionarys_name_and_a_text_that_needs_no_names(
        self, name: str, value: str, text: str
    ) -> None:
        given = PAIRS.given(ReplyAttribute(name, value))
        assert (given.name.casefold(), given.text) == (name.casefold(), text)
        assert given.name.partition(":")[0] in NAMES

    def test_a_name_or_value_that_makes_no_attribute_is_an_error(self) -> None:
        for name, value in (("No-Such", "1"), ("Session-Timeout", "soon"), ("Filter-Id:1", "a")):
            with pytest.raises(DictionaryError):
                PAIRS.given(ReplyAttribute(name, value))

    def test_what_an_attribute_holds_is_not_shown_as_octets(self) -> None:
        assert "wire" not in repr(PAIRS.given(ReplyAttribute("Filter-Id", "staff")))

    @given(
        st.one_of(
            st.tuples(
                st.sampled_from(["Filter-Id", "Cisco-AVPair", "Tunnel-Private-Group-Id:3"]),
                st.text(st.characters(codec="utf-8"), min_size=1, max_size=60),
            ),
            st.tuples(st.just("Class"), st.binary(min_size=1, max_size=253).map(lambda o: f"0x{o.hex()}")),
            st.tuples(
                st.sampled_from(["Session-Timeout", "Aruba-AirGroup-Device-Type"]),
                st.integers(0, 2**32 - 1).map(str),
            ),
            st.tuples(st.sampled_from(["Tunnel-Type:9", "Tunnel-Type"]), st.integers(0, 2**24 - 1).map(str)),
            st.tuples(st.just("Framed-IP-Address"), st.ip_addresses(v=4).map(str)),
            st.tuples(st.just("NAS-IPv6-Address"), st.ip_addresses(v=6).map(str)),
            st.tuples(
                st.just("Framed-IPv6-Prefix"),
                st.tuples(st.ip_addresses(v=6), st.integers(0, 128)).map(
                    lambda each: str(IPv6Network(each, strict=False))
                ),
            ),
        )
    )
    def test_what_freeradius_makes_of_it_is_read_back(self, returned: tuple[str, str]) -> None:
        # A number of no VLAN is nothing that a policy may return.
        assume(
            not (returned[0].startswith("Tunnel-Private") and returned[1].isascii() and returned[1].isdecimal())
        )
        given = PAIRS.given(ReplyAttribute(*returned))
        there = (given.name, back(given.text))
        assert [*PAIRS.missing([given], [there])] == []
        if "\0" not in returned[1]:
            assert PAIRS.octets(*there) == given.wire == OURS.encode(*returned)

    def test_a_user_is_told_in_as_many_attributes_as_it_takes(self) -> None:
        """RFC 2865 §5.18: each of at most 253 octets, and no character is cut."""
        told = PAIRS.reply_messages("\u00fc" * 200 + "\\")
        assert told == [("Reply-Message", "\u00fc" * 126), ("Reply-Message", "\u00fc" * 74 + r"\\")]
        assert PAIRS.reply_messages("") == []


class TestMissing:
    WANTED = (ReplyAttribute("Filter-Id", "staff"), ReplyAttribute("Tunnel-Type:1", "VLAN"))

    @pytest.mark.parametrize(
        ("there", "missing"),
        [
            ([("Filter-Id", "staff"), ("Tunnel-Type:1", "VLAN")], []),
            ([("Filter-Id", "others"), ("filter-id", "staff"), ("Tunnel-Type:1", "13")], []),
            ([], ["Filter-Id", "Tunnel-Type:1"]),
            ([("Filter-Id", "others"), ("Tunnel-Type:1", "VLAN")], ["Filter-Id"]),
            ([("Filter-Id", "staff"), ("Tunnel-Type:2", "VLAN")], ["Tunnel-Type:1"]),
            ([("Filter-Id", "staff"), ("Tunnel-Type", "VLAN")], ["Tunnel-Type:1"]),
            ([("Class", "0x7374616666"), ("Tunnel-Type:1", "VLAN")], ["Filter-Id"]),
        ],
    )
    def test_what_is_wanted_and_not_there_is_named(self, there: list[tuple[str, str]], missing: list[str]) -> None:
        assert [*PAIRS.missing([PAIRS.given(each) for each in self.WANTED], there)] == missing

    def test_what_cannot_be_read_is_not_judged(self) -> None:
        """FreeRADIUS's dictionary may have a name for 13 that ours has not."""
        given = PAIRS.given(ReplyAttribute("Tunnel-Type:1", "VLAN"))
        assert [*PAIRS.missing([given], [("Tunnel-Type:1", "A-New-Kind")])] == []


# --- FreeRADIUS's own dictionary ----------------------------------------------------------------


@dataclass
class Theirs:
    """What FreeRADIUS knows, read without pyrad, in the order it reads it.

    `by_number`: of each attribute the name that it prints, which is the last, with type and flags.
    `by_name`: vendor and number.  `values`: each named value, of an attribute by its name.
    """

    vendors: dict[str, int] = field(default_factory=dict)
    formats: dict[int, str] = field(default_factory=dict)
    by_number: dict[tuple[int, int], tuple[str, str, str]] = field(default_factory=dict)
    by_name: dict[str, tuple[int, int]] = field(default_factory=dict)
    values: list[tuple[str, str, int]] = field(default_factory=list)

    def read(self, path: Path) -> None:
        vendor: int | None = 0  # None: inside of another attribute, whose numbers are not a packet's
        for line in path.read_text(encoding="utf-8").splitlines():
            match line.partition("#")[0].split():
                case ["$INCLUDE" | "$INCLUDE-", name] if (path.parent / name).exists():
                    self.read(path.parent / name)
                case ["VENDOR", name, number, *form]:
                    self.vendors[name] = int(number)
                    self.formats[int(number)] = "".join(form)
                case ["BEGIN-VENDOR", name, *parent]:
                    vendor = None if parent else self.vendors[name]
                case ["END-VENDOR" | "END-TLV", *_]:
                    vendor = 0
                case ["BEGIN-TLV", *_]:
                    vendor = None
                case ["ATTRIBUTE", name, number, kind, *flags] if vendor is not None and "." not in number:
                    self.by_name[name.casefold()] = vendor, int(number, 0)
                    self.by_number[vendor, int(number, 0)] = name, kind.partition("[")[0].lower(), "".join(flags)
                case ["VALUE", name, value, number]:
                    self.values.append((name, value, int(number, 0)))

    def printed(self) -> Iterator[tuple[tuple[int, int], str, int]]:
        """The name of each number of an attribute: by the attribute's own numbers, and the last of several."""
        names = {
            (self.by_name[name.casefold()], number): value
            for name, value, number in self.values
            if name.casefold() in self.by_name
        }
        return ((numbers, value, number) for (numbers, number), value in names.items())


THEIRS = Theirs()
THEIRS.read(FREERADIUS)
SERVED = {(each.vendor, each.number): each for each in map(OURS.definition, NAMES)}

# Attributes some of whose named values we do not know, which are not read then; with the reason.
VALUES_NOT_READ = {
    "Acct-Status-Type": "accounting's; in no Access-Request (RFC 2866 §5.13)",
    "Termination-Action": "in no Access-Request (RFC 2865 §5.44), and none of ours",
    "Mobility-Domain-Id": "an old Ascend's names for 0 to 7, and nobody's mobility domain",
    "ASA-SEP-Card-Assignment": "a policy's alone, and given in digits",
    "ASA-Tunneling-Protocols": "a policy's alone, and given in digits",
    "ASA-PPTP-Encryption": "a policy's alone, and given in digits",
    "ASA-L2TP-Encryption": "a policy's alone, and given in digits",
}


class TestFreeRadiusDictionary:
    def test_it_is_there_and_read(self) -> None:
        assert THEIRS.by_number[0, 1] == ("User-Name", "string", "")
        assert THEIRS.by_number[9, 1][:2] == ("Cisco-AVPair", "string")
        assert len(THEIRS.by_number) > 3000

    @pytest.mark.parametrize("numbers", SERVED, ids=lambda numbers: SERVED[numbers].name)
    def test_what_it_prints_is_the_same_attribute_in_ours(self, numbers: tuple[int, int]) -> None:
        """Octets that it has as such would be read as the letters of `0x…` by whoever has a text there."""
        name, kind, flags = THEIRS.by_number[numbers]
        ours = OURS.definition(name)
        assert (ours.vendor, ours.number) == numbers
        assert (ours.kind, ours.tagged, ours.encrypted) == (kind, "has_tag" in flags, "encrypt=" in flags)

    def test_no_name_of_ours_is_another_attribute_there(self) -> None:
        """Those above 255 too: they are its own, and come in no packet."""
        other = {name: THEIRS.by_name.get(name.casefold()) for name in NAMES}
        assert {name: numbers for name, numbers in other.items() if numbers not in SERVED} == {}
        assert all(
            OURS.definition(name) is not None and numbers == _numbers(name) for name, numbers in other.items()
        )

    def test_our_vendors_write_type_and_length_in_an_octet_each(self) -> None:
        """RFC 2865 §5.26; of others FreeRADIUS has a note."""
        vendors = {vendor for vendor, _ in SERVED if vendor}
        assert {THEIRS.formats[vendor] for vendor in vendors} == {""}

    def test_each_name_that_it_prints_for_a_number_is_that_number_in_ours(self) -> None:
        differ = {
            (THEIRS.by_number[numbers][0], value)
            for numbers, value, number in THEIRS.printed()
            if numbers in SERVED
            and SERVED[numbers].kind in WIDTHS
            and PAIRS.octets(THEIRS.by_number[numbers][0], value) != _octets(numbers, number)
        }
        assert {name for name, _ in differ} == VALUES_NOT_READ.keys()
        assert [PAIRS.octets(name, value) for name, value in differ] == [None] * len(differ)


def _numbers(name: str) -> tuple[int, int]:
    found = OURS.definition(name)
    return found.vendor, found.number


def _octets(numbers: tuple[int, int], number: int) -> tuple[int, bytes] | None:
    """The attribute of that number, as it is read where it has no name."""
    return PAIRS.octets(THEIRS.by_number[numbers][0], str(number))
