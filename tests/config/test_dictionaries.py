"""Dictionary files of the administrator's own, named in the YAML."""

from __future__ import annotations

import pytest

from radius_mfa.config.load import load, load_usable
from radius_mfa.config.snapshot import frozen, thawed
from radius_mfa.core.errors import ConfigurationError
from tests.config.support import DICTIONARY, SMALL, Folder, policy
from tests.wire.support import numbers

ACME = "VENDOR Acme 60000\nATTRIBUTE Acme-Role 1 string Acme\n"
OURS = "dictionaries: dictionary.acme\n"  # on line 15, behind a policy with a line more
RETURNED = policy("reply: {Acme-Role: staff}") + OURS


def test_what_is_in_them_can_be_returned(folder: Folder) -> None:
    assert folder.problems(policy("reply: {Acme-Role: staff}")) == [
        "14: policies[0].reply.Acme-Role: unknown attribute 'Acme-Role' (did you mean Framed-Route?)"
    ]
    folder.write("dictionary.acme", ACME)
    loaded = folder.load(RETURNED)
    assert loaded.dictionary is not None
    assert numbers(loaded.dictionary, "Acme-Role") == (60000, 1)


def test_without_them_the_dictionary_is_the_one_that_is_shipped(folder: Folder) -> None:
    assert folder.load(SMALL).dictionary is DICTIONARY
    assert load(folder.file, {}).dictionary is None


def test_a_slip_in_one_is_one_line_with_both_places(folder: Folder) -> None:
    """And what would have been in it is not told as missing besides."""
    folder.write("dictionary.acme", ACME.replace("string", "text"))
    assert folder.problems(RETURNED) == [f"15: dictionaries: {folder.path}/dictionary.acme:2: Illegal type: text"]


def test_one_that_is_not_there_is_told(folder: Folder) -> None:
    assert '15: dictionaries: "dictionary.acme" cannot be read: No such file or directory' in folder.problems(
        RETURNED
    )


def test_each_is_told_by_its_own_line(folder: Folder) -> None:
    folder.write("dictionary.acme", ACME)
    folder.write("dictionary.more", "ATRIBUTE Acme-Level 2 integer Acme\n")
    text = policy("reply: {Acme-Role: staff}") + "dictionaries:\n  - dictionary.acme\n  - dictionary.more\n"
    (problem,) = folder.problems(text)
    assert problem.startswith(
        f"17: dictionaries[1]: {folder.path}/dictionary.more:1: unknown statement 'ATRIBUTE'"
    )


@pytest.mark.parametrize("lines", [1, 3, 4, 40])
def test_a_secret_named_for_one_is_not_shown(folder: Folder, lines: int) -> None:
    folder.write("vpn.secret", "Xq9z3Rk2LmVpTb71aa\n" * lines)
    problems = folder.problems(RETURNED.replace("dictionary.acme", "vpn.secret"))
    assert "Xq9z" not in "".join(problems)
    if lines > 3:
        assert problems == [f"15: dictionaries: {folder.path}/vpn.secret: is no dictionary in FreeRADIUS's format"]
    else:
        assert len(problems) == lines


def test_what_is_not_served_is_warned_of(folder: Folder) -> None:
    folder.write(
        "dictionary.acme", ACME + "".join(f"ATTRIBUTE Acme-Flag-{n} {n} bool Acme\n" for n in range(2, 9))
    )
    assert folder.warnings(RETURNED) == [
        "15: dictionaries: has attributes of types or numbers that are not served, and left out: "
        "Acme-Flag-2, Acme-Flag-3, Acme-Flag-4, Acme-Flag-5, Acme-Flag-6, …"
    ]


def test_what_is_not_served_is_told_where_it_is_used(folder: Folder) -> None:
    folder.write("dictionary.acme", ACME + "ATTRIBUTE acme-flag 2 bool Acme\n")
    place = f"{folder.path}/dictionary.acme:3"
    assert folder.problems(RETURNED.replace("Acme-Role: staff", "Acme-Flag: 1")) == [
        f"14: policies[0].reply.Acme-Flag: 'Acme-Flag' is in {place}, but of a type or number that is not served"
    ]
    assert folder.problems(SMALL.replace("{client: vpn}", "{acme-flag: 1}") + OURS) == [
        f"13: policies[0].when.acme-flag: 'acme-flag' is in {place}, but of a type or number that is not served"
    ]


def test_another_process_reads_them_again(folder: Folder) -> None:
    folder.write("dictionary.acme", ACME)
    folder.write(folder.file.name, RETURNED)
    octets = frozen(load_usable(folder.file, {}, DICTIONARY))
    dictionary = thawed(octets, DICTIONARY).dictionary
    assert dictionary is not None
    assert numbers(dictionary, "Acme-Role") == (60000, 1)
    (folder.path / "dictionary.acme").unlink()
    with pytest.raises(ConfigurationError, match=r"dictionary\.acme"):
        thawed(octets, DICTIONARY)
