"""The dictionary: its files held to FreeRADIUS's, its octets to pyrad's decoder and to radclient's encoder."""

from __future__ import annotations

import logging
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyrad import dictionary as pyrad_dictionary
from pyrad.packet import Packet

from radius_mfa.core.errors import ConfigurationError
from radius_mfa.data import DICTIONARIES
from radius_mfa.wire import dictionary as module
from radius_mfa.wire.dictionary import Dictionary, DictionaryError
from tests.wire.support import numbers

TOP = DICTIONARIES / "dictionary"
FREERADIUS = Path("/usr/share/freeradius")  # Debian's freeradius-common
OURS = Dictionary.shipped()


@dataclass
class Facts:
    """What dictionary files say, read without pyrad.

    `attributes`: (vendor, number, name, type, flags); `values`: (vendor, attribute, name, number).
    """

    attributes: list[tuple[int, int, str, str, str]] = field(default_factory=list)
    values: list[tuple[int, str, str, int]] = field(default_factory=list)
    words: set[str] = field(default_factory=set)

    def read(self, path: Path) -> None:
        vendors, vendor = {"": 0}, 0
        for line in path.read_text(encoding="utf-8").splitlines():
            match line.partition("#")[0].split():
                case ["VENDOR", name, number, *_]:
                    vendors[name] = int(number)
                case ["BEGIN-VENDOR", name, *_]:
                    vendor = vendors.get(name, -1)  # -1: defined in another file, as none of ours is
                case ["END-VENDOR", _]:
                    vendor = 0
                case ["ATTRIBUTE", name, number, kind, *flags] if number.isdecimal():
                    plain = kind.partition("[")[0].lower()
                    self.attributes.append((vendor, int(number), name, plain, "".join(flags)))
                case ["VALUE", attribute, name, number]:
                    self.values.append((vendor, attribute, name, int(number, 0)))
                case [word, *_]:
                    self.words.add(word)


def facts(paths: Iterator[Path]) -> Facts:
    found = Facts()
    for path in paths:
        found.read(path)
    return found


SHIPPED = facts(iter(sorted(DICTIONARIES.iterdir())))
NAMES = [name for _, _, name, _, _ in SHIPPED.attributes]


class TestFiles:
    def test_each_vendor_and_rfc_has_its_file_and_the_top_includes_it_once(self) -> None:
        included = [line.split()[1] for line in TOP.read_text().splitlines() if line.startswith("$INCLUDE")]
        assert sorted(included) == sorted(path.name for path in DICTIONARIES.iterdir() if path != TOP)
        for vendor in (9, 66, 311, 2636, 3076, 3224, 12356, 14122, 14823, 14988, 25053, 25461):
            assert any(number == vendor for number, *_ in SHIPPED.attributes)

    def test_the_files_hold_statements_that_are_understood_and_nothing_else(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        assert SHIPPED.words == {"$INCLUDE"}
        assert all(path.read_bytes().isascii() for path in DICTIONARIES.iterdir())  # pyrad asks the locale
        with caplog.at_level(logging.DEBUG, logger="pyrad"):
            Dictionary.load(TOP)
        assert not caplog.records

    def test_no_name_stands_for_two_attributes_whatever_its_case(self) -> None:
        folded = [name.casefold() for name in NAMES]
        assert len(set(folded)) == len(folded)

    def test_two_names_of_one_attribute_agree_on_its_type(self) -> None:
        kinds = {(vendor, number): kind for vendor, number, _, kind, _ in SHIPPED.attributes}
        for vendor, number, _, kind, _ in SHIPPED.attributes:
            assert kinds[vendor, number] == kind

    def test_what_is_shipped_is_what_freeradius_has(self) -> None:
        theirs = facts(FREERADIUS.glob("dictionary.*"))
        assert set(SHIPPED.attributes) <= set(theirs.attributes)
        # The one name whose values FreeRADIUS gives to its twin alone.
        twins = {
            (vendor, "Mikrotik-Wireless-VLANID-Type", name, number)
            for vendor, attribute, name, number in theirs.values
            if attribute == "Mikrotik-Wireless-VLANIDtype"
        }
        # Vendors name numbers of standard attributes among their own.
        standard = {name for vendor, _, name, _, _ in SHIPPED.attributes if not vendor}
        theirs_too = {(0, *value) for _, *value in theirs.values if value[0] in standard}
        assert set(SHIPPED.values) <= set(theirs.values) | twins | theirs_too

    def test_what_the_files_say_is_what_is_looked_up(self) -> None:
        for vendor, number, name, kind, _ in SHIPPED.attributes:
            assert numbers(OURS, name) == (vendor, number)
            assert OURS.definition(name.upper()).kind == kind

    def test_every_name_the_code_knows_is_in_the_files(self) -> None:
        assert set(NAMES) >= module._SECRET | module._VLANS.keys()


class TestLoad:
    def written(self, directory: Path, text: str) -> Path:
        top = directory / "dictionary"
        top.write_text("ATTRIBUTE User-Name 1 string\n$INCLUDE dictionary.more\n")
        (directory / "dictionary.more").write_text(text)
        return top

    @pytest.mark.parametrize(
        ("text", "line", "problem"),
        [
            ("# a remark\nATTRIBUTE NAS-Port five integer\n", 2, "Illegal attribute code: five"),
            ("ATTRIBUTE NAS-Port 5 number\n", 1, "Illegal type: number"),
            ("ATTRIBUTE NAS-Port 5 integer\nVALUE NAS-Port one two\n", 2, "Illegal value two"),
            ("BEGIN-VENDOR Nobody\n", 1, "Unknown vendor Nobody"),
        ],
    )
    def test_a_line_that_is_wrong_is_named(self, tmp_path: Path, text: str, line: int, problem: str) -> None:
        with pytest.raises(ConfigurationError) as raised:
            Dictionary.load(self.written(tmp_path, text))
        assert str(raised.value).startswith(f"{tmp_path}/dictionary.more:{line}: {problem}")

    @pytest.mark.parametrize(
        "text",
        [
            "ATTRIBUTE Odd 200 tlv",
            "ATTRIBUTE Odd 200 signed",
            "ATTRIBUTE Odd 1000 string",
            "ATTRIBUTE Odd 26 vsa",
        ],
    )
    def test_a_type_or_number_that_is_not_served_is_named(self, tmp_path: Path, text: str) -> None:
        with pytest.raises(ConfigurationError, match="Odd: neither its type nor its number is served"):
            Dictionary.load(self.written(tmp_path, text))

    def test_a_file_that_is_not_there_or_no_text_is_one_line(self, tmp_path: Path) -> None:
        top = self.written(tmp_path, "")
        (tmp_path / "dictionary.more").write_bytes(b"\xff\xfe")
        with pytest.raises(ConfigurationError, match="cannot be read"):
            Dictionary.load(top)
        (tmp_path / "dictionary.more").unlink()
        with pytest.raises(ConfigurationError, match=r"cannot be read: .*dictionary\.more"):
            Dictionary.load(top)

    def test_the_rarer_widths_of_integers_are_served(self, tmp_path: Path) -> None:
        small = Dictionary.load(
            self.written(tmp_path, "ATTRIBUTE B 201 byte\nATTRIBUTE S 202 short\nATTRIBUTE L 203 integer64\n")
        )
        assert [small.encode(name, "7") for name in "BSL"] == [
            (201, b"\x07"),
            (202, b"\x00\x07"),
            (203, b"\x00\x00\x00\x00\x00\x00\x00\x07"),
        ]
        with pytest.raises(DictionaryError, match="256 is too large: 255 is the most"):
            small.encode("B", "256")


# What a policy says, and the octets it makes.  Tags: RFC 2868 §3; vendors: RFC 2865 §5.26.
ENCODED = [
    ("Reply-Message", "Grüße", 18, "4772c3bcc39f65"),
    ("Class", "staff", 25, "7374616666"),
    ("Class", "0x00ff", 25, "00ff"),
    ("Session-Timeout", "3600", 27, "00000e10"),
    ("Session-Timeout", "0x0E10", 27, "00000e10"),
    ("Service-Type", "Administrative-User", 6, "00000006"),
    ("service-type", "nas-prompt-user", 6, "00000007"),
    ("Framed-IP-Address", "192.0.2.7", 8, "c0000207"),
    ("Framed-IPv6-Prefix", "2001:db8::/32", 97, "002020010db8000000000000000000000000"),
    ("Framed-Interface-Id", "1:2:3:4", 96, "0001000200030004"),
    ("Login-IPv6-Host", "2001:db8::1", 98, "20010db8000000000000000000000001"),
    ("Event-Timestamp", "2030-01-31T12:00:00Z", 55, "71040e40"),
    ("Egress-VLANID", "0x31000064", 56, "31000064"),
    ("Tunnel-Type:1", "VLAN", 64, "0100000d"),
    ("Tunnel-Medium-Type:1", "IEEE-802", 65, "01000006"),
    ("Tunnel-Medium-Type", "IP", 65, "00000001"),
    ("Tunnel-Preference:31", "16777215", 83, "1fffffff"),
    ("Tunnel-Private-Group-Id:1", "100", 81, "01313030"),
    ("Tunnel-Private-Group-Id", "100", 81, "00313030"),  # RFC 3580 §3.31
    ("Tunnel-Private-Group-Id:1", "library", 81, "016c696272617279"),
    ("Fortinet-Group-Name", "staff", 26, "00003044 0107 7374616666"),
    ("ASA-Group-Policy", "vpn", 26, "00000c04 1905 76706e"),
    ("Chargeable-User-Identity", "alice", 89, "616c696365"),
    ("Chargeable-User-Identity", "0x616c696365", 89, "616c696365"),
    ("Aruba-User-Vlan", "100", 26, "000039e7 0206 00000064"),
    ("Fortinet-WirelessController-Device-MAC", "00:11:22:33:44:55", 26, "00003044 1708 001122334455"),
]


class TestEncode:
    @pytest.mark.parametrize(("name", "value", "number", "octets"), ENCODED)
    def test_text_becomes_octets(self, name: str, value: str, number: int, octets: str) -> None:
        assert OURS.encode(name, value) == (number, bytes.fromhex(octets))

    @pytest.mark.parametrize(("name", "value"), [(name, value) for name, value, _, _ in ENCODED])
    def test_pyrad_reads_the_same_value_back(self, name: str, value: str) -> None:
        number, octets = OURS.encode(name, value)
        attribute = bytes([number, len(octets) + 2]) + octets
        header = b"\x02\x01" + (20 + len(attribute)).to_bytes(2, "big") + bytes(16)
        packet = Packet(packet=header + attribute, dict=pyrad_dictionary.Dictionary(str(TOP)))
        bare = name.partition(":")[0]
        shown_name, shown = OURS.show(number, octets)
        [read] = packet[shown_name]
        assert shown_name.casefold() == name.casefold()
        if isinstance(read, bytes):
            read = "0x" + read.hex()
        elif OURS.definition(bare).kind == "date":
            shown = str(int.from_bytes(octets, "big"))
        # Of two names of a value pyrad reads the last; we show the first.
        assert str(read) == shown or (read, shown) == ("IP", "IPv4")

    def test_radclient_sends_the_same_octets(self) -> None:
        # Where no tag is used, FreeRADIUS leaves its octet away from text; and it reads dates its own way.
        said = [
            (name, value.replace("2030-01-31T12:00:00Z", "1896091200"))
            for name, value, _, _ in ENCODED
            if name != "Tunnel-Private-Group-Id"
        ]
        sent = radclient("\n".join(f'{name} = "{value}"' for name, value in said))
        for name, value in said:
            number, octets = OURS.encode(name, value)
            assert bytes([number, len(octets) + 2]) + octets in sent, name

    @pytest.mark.parametrize(
        ("name", "value", "problem"),
        [
            ("Tunnle-Type:1", "VLAN", "unknown attribute 'Tunnle-Type' (did you mean Tunnel-Type?)"),
            ("", "x", "unknown attribute ''"),
            ("Tunnel-Type", "VLNA", "'VLNA' is not a number or one of its named values (did you mean VLAN?)"),
            ("Session-Timeout", "an hour", "Session-Timeout: 'an hour' is not a number"),
            ("Session-Timeout", "-1", "'-1' is not a number"),
            ("Session-Timeout", "４２", "is not a number"),
            ("Session-Timeout", "4294967296", "4294967296 is too large: 4294967295 is the most"),
            ("Tunnel-Preference:1", "16777216", "16777216 is too large: 16777215 is the most"),
            ("Framed-IP-Address", "vpn", "Framed-IP-Address: 'vpn' is not an IPv4 address"),
            ("Framed-IP-Address", "9" * 80, "'" + "9" * 59 + "…' is not an IPv4 address"),
            ("Class", "0xabc", "Class: '0xabc' is not text, or 0x and pairs of hexadecimal digits"),
            ("Class", "0x", "Class: empty"),
            ("Filter-Id", "", "Filter-Id: empty"),
            ("Filter-Id", "x" * 254, "Filter-Id: 254 octets are too many: 253 fit in"),
            ("Fortinet-Group-Name", "é" * 124, "Fortinet-Group-Name: 248 octets are too many: 247 fit in"),
            ("Tunnel-Assignment-Id:2", "x" * 253, "254 octets are too many"),
            ("Filter-Id:1", "x", "'Filter-Id:1': Filter-Id takes no tag"),
            ("Tunnel-Type:32", "VLAN", "'Tunnel-Type:32': a tag is a number up to 31"),
            ("Tunnel-Type:", "VLAN", "'Tunnel-Type:': a tag is a number"),
            ("Tunnel-Type:one", "VLAN", "'Tunnel-Type:one': a tag is a number"),
            ("Tunnel-Private-Group-Id:1", "5000", "Tunnel-Private-Group-Id: VLAN 5000 is not in 1-4094"),
            ("Tunnel-Private-Group-Id", "9" * 200, "VLAN 9999999999 is not in 1-4094"),
            ("ASA-VLAN", "0x1388", "ASA-VLAN: VLAN 5000 is not in 0-4094"),
        ],
    )
    def test_what_makes_no_attribute_is_said_in_one_line(self, name: str, value: str, problem: str) -> None:
        with pytest.raises(DictionaryError) as raised:
            OURS.encode(name, value)
        assert problem in str(raised.value)
        assert "\n" not in str(raised.value)

    def test_there_is_no_hint_where_nothing_is_near(self) -> None:
        with pytest.raises(DictionaryError, match=r"^unknown attribute 'zzzzzz'$"):
            OURS.encode("zzzzzz", "1")

    @pytest.mark.parametrize(
        "name",
        [
            "User-Password",
            "Tunnel-Password:1",
            "MS-MPPE-Send-Key",
            "MS-MPPE-Recv-Key",
            "MS-CHAP-MPPE-Keys",
            "Aruba-MPSK-Passphrase",
        ],
    )
    def test_what_is_sent_encrypted_is_refused(self, name: str) -> None:
        with pytest.raises(DictionaryError, match="is sent encrypted and cannot come from a policy"):
            OURS.encode(name, "0x00")

    @pytest.mark.parametrize(
        "name",
        [
            "CHAP-Password",
            "State",
            "Proxy-State",
            "EAP-Message",
            "EAP-Key-Name",
            "Message-Authenticator",
            "message-authenticator",
        ],
    )
    def test_what_the_server_writes_itself_is_refused(self, name: str) -> None:
        with pytest.raises(DictionaryError, match="belongs to the server itself"):
            OURS.encode(name, "0x00")

    def test_the_value_of_a_secret_is_not_in_the_error(self) -> None:
        with pytest.raises(DictionaryError, match="the value is not text") as raised:
            OURS.encode("Mikrotik-Wireless-PSK", "hunter2\ud800")
        assert "hunter2" not in str(raised.value)

    def test_a_vlan_may_have_a_name_and_a_number_within_the_range(self) -> None:
        for value in ("1", "4094", "library", "5000a"):
            OURS.encode("Tunnel-Private-Group-Id:1", value)
        OURS.encode("ASA-VLAN", "0")

    def test_what_is_remembered_is_bounded(self) -> None:
        for number in range(3000):
            OURS.encode("Filter-Id", str(number))
        assert OURS._encoded.cache_info().currsize == module._REMEMBERED

    @given(name=st.sampled_from(NAMES), tag=st.sampled_from(["", ":1", ":31"]), value=st.text(max_size=300))
    def test_any_text_fits_a_packet_or_is_a_dictionary_error(self, name: str, tag: str, value: str) -> None:
        try:
            number, octets = OURS.encode(name + tag, value)
        except DictionaryError:
            return
        assert 1 <= number <= 255
        assert 1 <= len(octets) <= 253
        OURS.show(number, octets)

    @given(name=st.text(max_size=40))
    def test_any_text_for_a_name_is_a_dictionary_error(self, name: str) -> None:
        with pytest.raises(DictionaryError, match="unknown attribute"):
            OURS.encode("?" + name, "1")


def radclient(attributes: str) -> bytes:
    """The Access-Request that Debian's radclient makes of `attributes`, one a line."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.settimeout(10)
        port = listener.getsockname()[1]
        command = ["radclient", "-r", "1", "-t", "1", f"127.0.0.1:{port}", "auth", "a-shared-secret"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as peer:
            assert peer.stdin is not None
            peer.stdin.write(attributes + "\n")
            peer.stdin.close()
            try:
                return listener.recv(4096)
            finally:
                peer.kill()


class TestShow:
    @pytest.mark.parametrize(
        ("number", "octets", "name", "text"),
        [
            (1, "616c696365", "User-Name", "alice"),
            (1, "ff", "User-Name", "0xff"),
            (1, "", "User-Name", ""),
            (4, "c0000201", "NAS-IP-Address", "192.0.2.1"),
            (4, "c00002", "NAS-IP-Address", "0xc00002"),
            (5, "00000001", "NAS-Port", "1"),
            (5, "0001", "NAS-Port", "0x0001"),
            (6, "00000008", "Service-Type", "Authenticate-Only"),
            (6, "000000fe", "Service-Type", "254"),
            (12, "00000578", "Framed-MTU", "1400"),
            (18, "610a62", "Reply-Message", "a\\nb"),
            (55, "71040e40", "Event-Timestamp", "2030-01-31T12:00:00Z"),
            (61, "00000005", "NAS-Port-Type", "Virtual"),
            (61, "00000013", "NAS-Port-Type", "Wireless-802.11"),
            (89, "616c696365", "Chargeable-User-Identity", "0x616c696365"),
            (102, "0d01", "EAP-Key-Name", "0x0d01"),
            (64, "0100000d", "Tunnel-Type:1", "VLAN"),
            (64, "0000000d", "Tunnel-Type", "VLAN"),
            (64, "2000000d", "Tunnel-Type", "0x2000000d"),
            (64, "01000d", "Tunnel-Type", "0x01000d"),
            (64, "", "Tunnel-Type", "0x"),
            (81, "01313030", "Tunnel-Private-Group-Id:1", "100"),
            (81, "313030", "Tunnel-Private-Group-Id", "100"),
            (200, "00", "Attr-200", "0x00"),
            (0, "00", "Attr-0", "0x00"),
            (26, "00000c04 1905 76706e", "ASA-Group-Policy", "vpn"),
            (26, "00000009 fe03 78", "Attr-26.9.254", "0x78"),
            (26, "00ffffff 0103 78", "Attr-26.16777215.1", "0x78"),
            (26, "00000000 0103 78", "Attr-26", "0x00000000010378"),  # vendor 0 is nobody
            (26, "00000009 0109 78", "Attr-26", "0x00000009010978"),
            (26, "00000009 0101", "Attr-26", "0x000000090101"),
            (26, "00000009", "Attr-26", "0x00000009"),
            (26, "09", "Attr-26", "0x09"),
            # Several within one are allowed (RFC 2865 §5.26).
            (
                26,
                "000061f5 0706 31393230 0804 4f53",
                "Vendor-Specific",
                "Attr-26.25077.7 = 0x31393230, Attr-26.25077.8 = 0x4f53",
            ),
        ],
    )
    def test_octets_become_a_name_and_text(self, number: int, octets: str, name: str, text: str) -> None:
        assert OURS.show(number, bytes.fromhex(octets)) == (name, text)

    def test_the_first_of_two_names_is_shown(self) -> None:
        assert OURS.show(65, bytes.fromhex("00000001")) == ("Tunnel-Medium-Type", "IPv4")
        assert OURS.show(*OURS.encode("ASA-WebVPN-SVC-DTLS-Enable", "Enabled")) == ("ASA-SVC-DTLS", "TRUE")

    @pytest.mark.parametrize("number", [2, 3, 24, 79])
    def test_of_a_secret_there_is_only_the_length(self, number: int) -> None:
        assert OURS.show(number, b"very-secret-text")[1] == "(16 octets)"

    def test_of_a_vendors_secret_there_is_only_the_length(self) -> None:
        for send_or_receive in (16, 17):
            inside = bytes([send_or_receive, 10]) + b"8 octets"
            name, text = OURS.show(26, (311).to_bytes(4, "big") + inside)
            assert (name[:7], text) == ("MS-MPPE", "(8 octets)")

    @given(number=st.integers(0, 255), octets=st.binary(max_size=253))
    def test_any_octets_are_shown(self, number: int, octets: bytes) -> None:
        name, text = OURS.show(number, octets)
        assert name
        assert text.isascii() or text.encode()

    @given(
        attribute=st.sampled_from([(vendor, number) for vendor, number, *_ in SHIPPED.attributes if vendor]),
        octets=st.binary(max_size=247),
    )
    def test_any_octets_of_a_vendor_are_shown(self, attribute: tuple[int, int], octets: bytes) -> None:
        vendor, number = attribute
        name, _ = OURS.show(26, vendor.to_bytes(4, "big") + bytes([number, len(octets) + 2]) + octets)
        assert numbers(OURS, name) == attribute


class TestLookUp:
    def test_a_name_has_a_vendor_a_number_and_a_type(self) -> None:
        for name, vendor, number, kind in (("NAS-Port-Type", 0, 61, "integer"), ("cisco-avpair", 9, 1, "string")):
            found = OURS.definition(name)
            assert (found.vendor, found.number, found.kind) == (vendor, number, kind)

    def test_an_unknown_name_is_a_dictionary_error(self) -> None:
        with pytest.raises(DictionaryError, match="did you mean NAS-Port-Type"):
            OURS.definition("NAS-PortType")

    def test_a_definition_has_it_all_whatever_the_case_of_its_name(self) -> None:
        found = OURS.definition("tunnel-TYPE")
        assert (found.name, found.vendor, found.number, found.kind, found.width) == (
            "Tunnel-Type",
            0,
            64,
            "integer",
            3,
        )
        assert (found.tagged, found.secret, found.is_the_servers) == (True, False, False)
        with pytest.raises(DictionaryError, match="unknown attribute 'Tunnel-Type:1'"):
            OURS.definition("Tunnel-Type:1")

    def test_a_name_is_there_or_not(self) -> None:
        assert OURS.has("tunnel-TYPE")
        assert not OURS.has("Tunnel-Type:1")

    @pytest.mark.parametrize(
        ("name", "value", "tag", "rest"),
        [
            ("Tunnel-Type", b"\x01\0\0\x0d", 1, b"\0\0\x0d"),
            ("Tunnel-Type", b"\x1f", 31, b""),
            ("Tunnel-Type", b"\x20\0\0\x0d", 0, b"\x20\0\0\x0d"),
            ("Tunnel-Private-Group-Id", b"100", 0, b"100"),
            ("Tunnel-Private-Group-Id", b"", 0, b""),
            ("NAS-Port", b"\x01\0\0\x0d", 0, b"\x01\0\0\x0d"),
        ],
    )
    def test_a_value_is_parted_from_its_tag(self, name: str, value: bytes, tag: int, rest: bytes) -> None:
        """RFC 2868 §3: an octet up to 0x1F, in front of what may have one."""
        assert OURS.definition(name).parted(value) == (tag, rest)

    def test_the_servers_own_are_standard_attributes(self) -> None:
        """RFC 2865 §5.26: a vendor's have numbers of their own."""
        assert OURS.definition("Message-Authenticator").is_the_servers
        assert numbers(OURS, "Cisco-NAS-Port") == (9, 2)  # User-Password is 2
        assert not OURS.definition("Cisco-NAS-Port").is_the_servers

    def test_a_vendors_attribute_is_shown_by_itself(self) -> None:
        assert OURS.show_one(9, 1, b"a=b") == ("Cisco-AVPair", "a=b")
        assert OURS.show_one(9, 254, b"a") == ("Attr-26.9.254", "0x61")
        assert OURS.show_one(0, 61, bytes(3) + b"\5") == ("NAS-Port-Type", "Virtual")
        assert OURS.show_one(0, 24, b"sealed") == ("State", "(6 octets)")

    @pytest.mark.parametrize("name", ["Class", "tunnel-type:31", "Cisco-AVPair"])
    def test_a_policy_may_return_it_whatever_its_value(self, name: str) -> None:
        OURS.must_be_a_policys(name)

    @pytest.mark.parametrize(
        ("name", "problem"),
        [
            ("Clas", "unknown attribute"),
            ("State", "belongs to the server itself"),
            ("Tunnel-Password", "is sent encrypted"),
            ("Class:1", "takes no tag"),
            ("Tunnel-Type:32", "a tag is a number up to 31"),
        ],
    )
    def test_no_policy_may_return_it_whatever_its_value(self, name: str, problem: str) -> None:
        with pytest.raises(DictionaryError, match=problem):
            OURS.must_be_a_policys(name)
