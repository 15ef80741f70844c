"""Records: values by their fields, which the type checker lets nobody change."""

from __future__ import annotations

from dataclasses import field, fields, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mypy import api

from radius_mfa.core.record import once, record

TEXTS = st.text(max_size=2)


@record(frozen=True, slots=True)
class Code:
    """As those of `core.stored` are made."""

    id: str
    octets: bytes = field(repr=False)
    used: bool = False


@record(frozen=True, slots=True)
class OtherCode:
    """The same fields, and something else."""

    id: str
    octets: bytes
    used: bool = False


CODES = st.builds(Code, TEXTS, st.binary(max_size=1), st.booleans())


@given(CODES, CODES)
def test_records_are_compared_and_hashed_by_their_fields(one: Code, other: Code) -> None:
    same = (one.id, one.octets, one.used) == (other.id, other.octets, other.used)

    assert (one == other) is same
    assert len({one, other}) == (1 if same else 2)
    assert hash(one) == hash(replace(one))
    something_else: object = OtherCode(one.id, one.octets, one.used)
    assert one != something_else


def test_a_record_is_a_dataclass_with_slots() -> None:
    code = Code("c1", b"sealed")

    assert [each.name for each in fields(Code)] == ["id", "octets", "used"]
    assert repr(code) == "Code(id='c1', used=False)"
    assert replace(code, used=True) == Code("c1", b"sealed", True)
    assert not hasattr(code, "__dict__")


@record(frozen=True, slots=False)
class Text:
    """Something is to be worked out of it."""

    octets: bytes
    read: list[bytes] = field(default_factory=list, compare=False)

    @once
    def text(self) -> str:
        self.read.append(self.octets)
        return self.octets.decode()


def test_what_is_worked_out_once_is_of_one_record_and_makes_no_other_of_it() -> None:
    one, other = Text(b"one"), Text(b"other")

    assert [one.text, other.text, one.text, one.text] == ["one", "other", "one", "one"]
    assert (one.read, other.read) == ([b"one"], [b"other"])
    assert one == Text(b"one")
    assert hash(one) == hash(Text(b"one"))
    with pytest.raises(UnicodeDecodeError):
        assert Text(b"\xff").text


def test_one_that_is_to_be_changed_is_no_record() -> None:
    with pytest.raises(AssertionError):
        record(frozen=False, slots=True)


CHANGES = """
from dataclasses import field
from radius_mfa.core.record import record

@record(frozen=True, slots=True)
class Code:
    id: str
    octets: bytes = field(repr=False)

code = Code("c1", b"sealed")
print(code.id)
{change}
"""


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ("", ""),
        ('code.id = "c2"', 'Property "id" defined in "Code" is read-only'),
        ('code.octets += b"more"', 'Property "octets" defined in "Code" is read-only'),
    ],
)
def test_the_type_checker_lets_nobody_assign_to_one(tmp_path: Path, change: str, complaint: str) -> None:
    file = tmp_path / "changes.py"
    file.write_text(CHANGES.format(change=change))

    said, wrong, status = api.run(["--strict", "--config-file=", f"--cache-dir={tmp_path / 'cache'}", str(file)])

    assert (complaint in said, wrong, status) == (True, "", 1 if complaint else 0), said
