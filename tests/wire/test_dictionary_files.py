"""An administrator's own dictionary files: what is in them works, and a slip in them is one line."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from radius_mfa.core.errors import ConfigurationError
from radius_mfa.wire.dictionary import Dictionary, DictionaryError
from radius_mfa.wire.matching import sent
from tests.wire.support import numbers

FREERADIUS = Path("/usr/share/freeradius")  # Debian's freeradius-common
ACME = """\
# As vendors hand them out.
VENDOR          Acme    60000
BEGIN-VENDOR    Acme
ATTRIBUTE       Acme-Role       1       string
ATTRIBUTE       Acme-Level      2       integer
VALUE           Acme-Level      Low     1
VALUE           Acme-Level      High    2
END-VENDOR      Acme
"""


BEGIN = "is BEGIN-VENDOR missing? otherwise remove the line"
UNKNOWN = "1: unknown statement; here can stand ATTRIBUTE, VALUE, VENDOR, BEGIN-VENDOR, END-VENDOR, $INCLUDE"
ALREADY = "is another attribute already; remove the line, or take another name"


def extended(folder: Path, text: str) -> Dictionary:
    file = folder / "dictionary.acme"
    file.write_text(text)
    return Dictionary.shipped().with_file(file)


def problems(folder: Path, text: str) -> list[str]:
    """Each from the name of the file on."""
    with pytest.raises(ConfigurationError) as raised:
        extended(folder, text)
    return [each.replace(f"{folder}/", "") for each in raised.value.problems]


def test_what_is_in_it_is_written_and_shown_by_name(tmp_path: Path) -> None:
    """RFC 2865 §5.26"""
    found = extended(tmp_path, ACME)
    number, octets = found.encode("Acme-Level", "high")
    assert (number, octets.hex()) == (26, "0000ea60020600000002")
    assert found.show(number, octets) == ("Acme-Level", "High")
    assert found.encode("Class", "staff") == Dictionary.shipped().encode("Class", "staff")
    with pytest.raises(DictionaryError, match="unknown attribute"):
        Dictionary.shipped().encode("Acme-Level", "high")


def test_several_are_read_one_after_another(tmp_path: Path) -> None:
    first = extended(tmp_path, ACME)
    more = tmp_path / "dictionary.more"
    more.write_text("VALUE Acme-Level None 0\nATTRIBUTE Acme-Other 3 octets Acme\n")
    second = first.with_file(more)
    assert second.encode("Acme-Level", "none")[1][-1] == 0
    assert second.encode("Acme-Role", "x") == first.encode("Acme-Role", "x")
    assert numbers(second, "Acme-Other") == (60000, 3)


def test_it_is_read_anew_each_time(tmp_path: Path) -> None:
    before = extended(tmp_path, ACME)
    after = extended(tmp_path, ACME.replace("High    2", "High    7"))
    assert [each.encode("Acme-Level", "High")[1][-1] for each in (before, after)] == [2, 7]


def test_it_may_say_again_what_is_shipped(tmp_path: Path) -> None:
    found = extended(
        tmp_path, "VENDOR Cisco 9\nATTRIBUTE Class 25 octets\nATTRIBUTE Cisco-AVPair 1 string Cisco\n"
    )
    assert found.encode("Class", "staff") == (25, b"staff")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            ACME.replace("ATTRIBUTE       Acme-R", "ATRIBUTE Acme-R"),
            "4: unknown statement 'ATRIBUTE'; did you mean ATTRIBUTE?",
        ),
        (
            "{}\n",
            "1: unknown statement; here can stand ATTRIBUTE, VALUE, VENDOR, BEGIN-VENDOR, END-VENDOR, $INCLUDE",
        ),
        (ACME.replace("string", "text"), "4: Illegal type: text"),
        (ACME.replace("       1       string", "       one     string"), "4: Illegal attribute code: one"),
        (ACME.replace("       1       string", ""), "4: Incorrect number of tokens for attribute definition"),
        (
            ACME.replace("BEGIN-VENDOR    Acme", "BEGIN-VENDOR    Acne"),
            "3: Unknown vendor Acne in begin-vendor statement",
        ),
        (
            ACME.replace("Low     1", "Low     one"),
            "6: Illegal value one for attribute Acme-Level: invalid literal for int() with base 0: 'one'",
        ),
        (
            ACME.replace("Acme-Level      Low", "Acme-Lebel      Low"),
            "6: a value of Acme-Lebel, which is no attribute; did you mean Acme-Level?",
        ),
        ("VALUE Nothing-Like-It Low 1\n", "1: a value of Nothing-Like-It, which is no attribute"),
        (ACME.replace("60000", "sixty"), "2: Illegal vendor code: sixty"),
        (ACME.replace("60000", "0x1000000"), "2: the number of a vendor is from 1 to 16777215 (RFC 2865 §5.26)"),
        ("ATTRIBUT\n", "1: unknown statement 'ATTRIBUT'; did you mean ATTRIBUTE?"),
        ("Attribut\n", UNKNOWN),
        ("XQ-RKLMVPTB\n", UNKNOWN),
        ("VENDOR Acme 60000\nATTRIBUTE Acme-Role 1 string\n", f"2: number 1 is User-Name already; {BEGIN}"),
        ("ATTRIBUTE Acme-Role 0x1a octets\n", f"1: number 26 is Vendor-Specific already; {BEGIN}"),
        ("ATTRIBUTE Vendor-Specific 26 octets\n", f"1: Vendor-Specific {ALREADY}"),
        (
            "ATTRIBUTE Acme-Role 1 octets Cisco\n",
            "1: number 1 is Cisco-AVPair already, of another type; remove the line",
        ),
        (
            ACME.replace("Acme-Level      2", "Acme-Level      0o1"),
            "5: number 1 is Acme-Role already, of another type; remove one of the two",
        ),
        (ACME.replace("Level", "Role"), f"5: Acme-Role {ALREADY}"),
        (
            ACME.replace("ATTRIBUTE       Acme-Level", "ATTRIBUTE acme-role 3 string\nATTRIBUTE Acme-Level"),
            f"5: Acme-Role {ALREADY}",
        ),
        ("ATTRIBUTE Tunnel-Password 69 string has_tag\n", f"1: Tunnel-Password {ALREADY}"),
        ("VENDOR Cisco 60000\n", "1: vendor Cisco is 9 already; remove the line, or take another name"),
        ("ATTRIBUTE Class 224 octets\n", f"1: Class {ALREADY}"),
        ("ATTRIBUTE class 25 string\n", f"1: Class {ALREADY}"),
        ("ATTRIBUTE State 24 tlv\n", f"1: State {ALREADY}"),
        (
            "ATTRIBUTE Acme 224 tlv\nBEGIN-TLV Acme\nATTRIBUTE Acme-Inner 1 string\nEND-TLV Acme\n",
            "2: attributes within attributes are not served; remove all up to END-TLV",
        ),
        ("$INCLUDE dictionary.nowhere\n", "1: cannot be read: dictionary.nowhere: No such file or directory"),
        ("$INCLUDE dictionary.acme\n", "1: Recursive include of dictionary.acme"),
    ],
)
def test_a_slip_is_one_line_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    assert problems(tmp_path, text) == [f"dictionary.acme:{said}"]


def test_all_of_one_kind_are_told_at_once(tmp_path: Path) -> None:
    text = ACME.replace("VALUE ", "VALEU ")
    assert problems(tmp_path, text) == [
        f"dictionary.acme:{line}: unknown statement 'VALEU'; did you mean VALUE?" for line in (6, 7)
    ]


def test_a_file_of_something_else_is_one_line_without_a_word_of_it(tmp_path: Path) -> None:
    shadow = "root:$y$j9T$secret:19700::\n" * 4 + "VALEU\n"
    assert problems(tmp_path, shadow) == ["dictionary.acme: is no dictionary in FreeRADIUS's format"]


def test_a_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "included").write_text("\ufeff" + ACME)
    for text in (
        "\ufeff" + ACME,
        "\ufeff" + ACME.removeprefix("# As vendors hand them out.\n"),
        "$INCLUDE included\n",
    ):
        assert numbers(extended(tmp_path, text), "Acme-Role") == (60000, 1)


def test_what_is_shipped_keeps_its_named_values_when_it_is_said_again(tmp_path: Path) -> None:
    text = "ATTRIBUTE Service-Type 6 integer\nVALUE Service-Type Framed-User 2\nVALUE Service-Type Acme 99\n"
    found = extended(tmp_path, text)
    for name in ("Framed-User", "Administrative-User", "NAS-Prompt-User"):
        assert found.encode("Service-Type", name) == Dictionary.shipped().encode("Service-Type", name)
    assert found.encode("Service-Type", "Acme")[1][-1] == 99


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("VALUE Tunnel-Type VLAN 99\n", "1: VLAN of Tunnel-Type is 13 already; remove the line"),
        ("VALUE Tunnel-Type vlan 99\n", "1: vlan of Tunnel-Type is 13 already; remove the line"),
        ("VALUE prompt Echo 0\n", "1: Echo of Prompt is 1 already; remove the line"),
        (
            "ATTRIBUTE Service-Type 6 integer\nVALUE Service-Type Login-User 6\n",
            "2: Login-User of Service-Type is 1 already; remove the line",
        ),
    ],
)
def test_a_named_value_of_what_is_shipped_keeps_its_number(tmp_path: Path, text: str, said: str) -> None:
    assert problems(tmp_path, text) == [f"dictionary.acme:{said}"]


def test_a_number_that_is_shipped_may_have_a_second_name_and_is_shown_by_its_first(tmp_path: Path) -> None:
    found = extended(tmp_path, "ATTRIBUTE Tunnel-Type 64 integer has_tag\nVALUE Tunnel-Type Acme-VLAN 0x0d\n")
    number, octets = found.encode("Tunnel-Type", "Acme-VLAN")
    assert (number, octets) == Dictionary.shipped().encode("Tunnel-Type", "VLAN")
    assert found.show(number, octets) == ("Tunnel-Type", "VLAN")


def test_a_number_of_a_vendors_may_have_several_names_and_is_shown_by_its_first(tmp_path: Path) -> None:
    """Vendors rename, and keep the old name in their file."""
    found = extended(tmp_path, ACME + "ATTRIBUTE Acme-Rank 2 integer Acme\nATTRIBUTE Acme-Pair 1 string Cisco\n")
    number, octets = found.encode("Acme-Rank", "2")
    assert (number, octets) == found.encode("Acme-Level", "High")
    assert found.show(number, octets) == ("Acme-Level", "High")
    assert found.encode("Acme-Pair", "x") == found.encode("Cisco-AVPair", "x")


@pytest.mark.parametrize("more", ["has_tag", "encrypt=1"])
def test_a_second_name_that_stands_otherwise_in_a_packet_is_refused(tmp_path: Path, more: str) -> None:
    text = ACME.replace("END-", f"ATTRIBUTE Acme-Rank 2 integer {more}\nEND-")
    assert problems(tmp_path, text) == [
        "dictionary.acme:8: number 2 is Acme-Level already, of another type; remove one of the two"
    ]


def test_the_case_of_names_and_types_says_nothing(tmp_path: Path) -> None:
    text = (
        ACME.replace("VALUE           Acme-Level", "VALUE ACME-LEVEL")
        .replace("string", "String")
        .replace("BEGIN-VENDOR    Acme", "BEGIN-VENDOR acme")
        .replace("END-VENDOR      Acme", "END-VENDOR ACME")
    )
    found = extended(tmp_path, text + "ATTRIBUTE Acme-Other 3 OCTETS aCME\nATTRIBUTE class 25 octets\n")
    assert found.encode("Acme-Level", "High")[1][-1] == 2
    assert numbers(found, "Acme-Role") == (60000, 1)
    assert numbers(found, "Acme-Other") == (60000, 3)
    assert found.definition("class").name == "Class"
    assert problems(tmp_path, "VENDOR cisco 60000\n") == [
        "dictionary.acme:1: vendor Cisco is 9 already; remove the line, or take another name"
    ]


def test_what_is_inside_of_an_attribute_that_is_unknown_is_left_out(tmp_path: Path) -> None:
    """RFC 7499 §3: 241.1, and 241 (RFC 6929) is defined in a file of its own."""
    text = "ATTRIBUTE Acme-Status 241.1 integer\nVALUE Acme-Status More 1\nATTRIBUTE Acme-Deep 0xf1.2.3 tlv\n"
    (unserved,) = extended(tmp_path, ACME + text).unserved.values()
    assert list(unserved) == ["Acme-Deep", "Acme-Status"]


@pytest.mark.parametrize("flags", ["secret", "secret,encrypt=1"])
def test_what_is_flagged_as_secret_is_one(tmp_path: Path, flags: str) -> None:
    text = f"ATTRIBUTE Acme-Code 3 string {flags}\nEND-"
    found = extended(tmp_path, ACME.replace("END-", text))
    assert found.show_one(60000, 3, b"0815") == ("Acme-Code", "(4 octets)")
    with pytest.raises(DictionaryError, match="is nothing that a policy may look at"):
        sent(found, "Acme-Code", "0815")


def test_a_secret_is_one_by_all_its_names(tmp_path: Path) -> None:
    text = "ATTRIBUTE Acme-Code 3 octets\nATTRIBUTE Acme-Pin 3 octets secret\nEND-"
    found = extended(
        tmp_path,
        ACME.replace("END-", text)
        + "ATTRIBUTE Acme-Psk 16 string Mikrotik\nATTRIBUTE Acme-In 7.1 string secret\n",
    )
    assert [found.definition(f"Acme-{name}").secret for name in ("Code", "Pin", "Psk", "Role")] == [
        True, True, True, False,
    ]  # fmt: skip


def test_what_is_left_out_takes_no_number(tmp_path: Path) -> None:
    """Such as those of an attribute within others, or in a vendor's own format."""
    text = ACME + (
        "VENDOR Wide 60001 format=2,2\nATTRIBUTE Wide-Role 1 string Wide\n"
        "ATTRIBUTE Acme-Many 7 tlv Acme\nATTRIBUTE Acme-Inner 7.1 string Acme\nATTRIBUTE Vendor-Specific 26 vsa\n"
    )
    (unserved,) = extended(tmp_path, text).unserved.values()
    assert list(unserved) == ["Acme-Inner", "Acme-Many", "Vendor-Specific", "Wide-Role"]


def test_nothing_is_said_beside_it(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    logging.basicConfig(level=logging.WARNING, force=True)
    extended(tmp_path, ACME + "ATTRIBUTE Acme-Flag 4 bool Acme\n")
    logging.basicConfig(handlers=[logging.NullHandler()], force=True)
    assert capfd.readouterr() == ("", "")


def test_a_slip_in_a_file_that_it_includes_is_told_of_that_file(tmp_path: Path) -> None:
    (tmp_path / "vendors").mkdir()
    included = tmp_path / "vendors" / "dictionary.included"
    for text, said in (("ATTRIBUTE A 1 text\n", "Illegal type: text"), ("VALEU\n", "unknown statement 'VALEU'")):
        included.write_text(text)
        (problem,) = problems(tmp_path, "$INCLUDE vendors/dictionary.included\n")
        assert problem.startswith(f"vendors/dictionary.included:1: {said}")
    included.write_bytes(b"\xff")
    assert problems(tmp_path, "# first\n$INCLUDE vendors/dictionary.included\n") == [
        "dictionary.acme:2: cannot be read: not UTF-8"
    ]


def test_what_is_not_served_is_left_out_and_named(tmp_path: Path) -> None:
    """Vendors have types of their own, and whoever is given their file cannot mend it."""
    text = ACME + (
        "ATTRIBUTE Acme-Signed 3 signed Acme\nATTRIBUTE Acme-Flag 4 bool Acme\n"
        "ATTRIBUTE Acme-Wide 1000 string Acme\n"
        "VALUE Acme-Flag Yes 1\nVALUE Acme-Signed Minus -1\n"
    )
    found = extended(tmp_path, text)
    file = tmp_path / "dictionary.acme"
    assert found.unserved == {
        file: {"Acme-Flag": f"{file}:10", "Acme-Signed": f"{file}:9", "Acme-Wide": f"{file}:11"}
    }
    assert numbers(found, "Acme-Role") == (60000, 1)
    with pytest.raises(
        DictionaryError, match=f"'acme-wide' is in {file}:11, but of a type or number that is not served"
    ):
        found.encode("acme-wide", "x")


def test_a_named_value_that_does_not_fit_behind_a_tag_is_refused(tmp_path: Path) -> None:
    """RFC 2868 §3.1: three octets are left."""
    found = extended(tmp_path, "ATTRIBUTE Acme-Tagged 224 integer has_tag\nVALUE Acme-Tagged All 0xffffffff\n")
    with pytest.raises(DictionaryError, match="4294967295 is too large: 16777215 is the most"):
        found.encode("Acme-Tagged", "All")


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "dictionary.acme"
    with pytest.raises(ConfigurationError) as raised:
        Dictionary.shipped().with_file(file)
    assert raised.value.problems == (f"{file}: cannot be read: {file}: No such file or directory",)


def test_the_files_of_freeradius_are_read_or_refused_with_their_places() -> None:
    """What pyrad would say of them on stderr is said by us."""
    names = ("aruba", "ascend", "juniper", "paloalto", "rfc2865", "rfc7499", "wimax.wichorus", "zyxel")
    read, refused = [], []
    for name in names:
        file = FREERADIUS / f"dictionary.{name}"
        try:
            Dictionary.shipped().with_file(file)
        except ConfigurationError as wrong:
            refused += [each.partition(": ")[0].rpartition(":")[0] for each in wrong.problems]
        else:
            read.append(name)
    assert {"aruba", "juniper", "paloalto", "rfc2865", "rfc7499", "zyxel"} <= set(read)
    assert set(refused) <= {f"{FREERADIUS}/dictionary.{name}" for name in names}
