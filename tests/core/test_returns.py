"""What a policy returns, and what it takes of a user to fill it in."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radius_mfa.core.messages import ReplyAttribute, User
from radius_mfa.core.returns import NOTHING, VLAN, Field, Returned, Returns, Template, digest_of

EVERYBODY = frozenset[str]()


def values(*written: str) -> tuple[Template, ...]:
    return tuple(map(Template.read, written))


def returning(*written: str, name: str = "Class") -> Returns:
    return Returns((Returned(name, otherwise=values(*written)),))


def user(groups: frozenset[str] = EVERYBODY, /, **attributes: tuple[str, ...]) -> User:
    return User("u-alice", "alice", "dn", groups=groups, attributes=attributes)


def filled(returns: Returns, who: User) -> list[tuple[str, str]] | str:
    """What that user gets, once what is known of them has been to State and back."""
    found = returns.filled(returns.known_of(who))
    return found if isinstance(found, str) else [(each.name, each.value) for each in found]


def texts(returns: Returns, who: User) -> list[str]:
    found = filled(returns, who)
    assert not isinstance(found, str)
    return [value for _, value in found]


class TestTemplate:
    @pytest.mark.parametrize(
        ("written", "parts"),
        [
            ("", ()),
            ("staff", ("staff",)),
            ("{mail}", (Field("mail"),)),
            ("{Mail}", (Field("mail"),)),
            ("cn={cn},{ou}", ("cn=", Field("cn"), ",", Field("ou"))),
            ("{vlanId|99}", (Field("vlanid", "99"),)),
            ("{vlanId|}", (Field("vlanid", ""),)),
            ("{vlanId|none | at all}", (Field("vlanid", "none | at all"),)),
            ("{description;lang-ja}", (Field("description;lang-ja"),)),
            ("{{mail}}", ("{", "mail", "}")),
            ("{{{mail}}}", ("{", Field("mail"), "}")),
            ("{{}}", ("{", "}")),
            ("山田{mail}\n", ("山田", Field("mail"), "\n")),
        ],
    )
    def test_has_texts_and_fields(self, written: str, parts: tuple[str | Field, ...]) -> None:
        assert Template.read(written).parts == parts

    @pytest.mark.parametrize(
        "written",
        ["{", "}", "{mail", "mail}", "{}", "{|x}", "{ma il}", "{-a}", "{mail|{x}}", "{{mail}", "{mail}}", "{ü}"],
    )
    def test_has_no_other_brace(self, written: str) -> None:
        with pytest.raises(ValueError, match="a brace itself is written twice"):
            Template.read(written)

    @given(st.text(st.sampled_from("{}|a.;-ü \n") | st.characters()))
    def test_is_read_or_is_a_value_error(self, written: str) -> None:
        try:
            template = Template.read(written)
        except ValueError:
            return
        assert all(each.attribute == each.attribute.lower() != "" for each in template.fields)

    @given(st.text())
    def test_with_its_braces_twice_is_that_text(self, text: str) -> None:
        template = Template.read(text.replace("{", "{{").replace("}", "}}"))

        assert template.fields == ()
        assert template.filled({}) == ([text] if text else [])

    @given(st.text(min_size=1))
    def test_takes_a_value_of_the_entry_as_it_is(self, value: str) -> None:
        """What is in an entry is never read as a template itself."""
        assert Template.read("<{cn}>").filled({"cn": (value,)}) == [f"<{value}>"]

    def test_takes_no_longer_for_endless_text(self) -> None:
        """A quadratic search would not come back in the time a test run has."""
        for endless in ("{" + "a" * 1_000_000, "{a|" + "b" * 1_000_000, "x" * 1_000_000 + "}"):
            with pytest.raises(ValueError, match="brace"):
                Template.read(endless)


class TestFilled:
    def test_with_what_the_entry_has(self) -> None:
        assert texts(returning("{departmentNumber}-{l}"), user(departmentnumber=("d7",), l=("Wien",))) == [
            "d7-Wien"
        ]

    def test_with_every_value_of_an_attribute_that_stands_alone(self) -> None:
        assert texts(returning("ou={ou}", "x"), user(ou=("a", "b"))) == ["ou=a", "ou=b", "x"]

    @pytest.mark.parametrize("written", ["{cn}{ou}", "{ou}{cn}", "{ou}/{ou}"])
    def test_not_with_several_values_beside_another(self, written: str) -> None:
        said = filled(returning(written), user(cn=("a",), ou=("a", "b")))

        assert said == ("Class: an attribute beside another must have one value, and the entry has several")

    @pytest.mark.parametrize("attributes", [{}, {"mail": ()}, {"mail": ("",)}])
    def test_not_without_an_attribute_that_must_be_there(self, attributes: dict[str, tuple[str, ...]]) -> None:
        assert filled(returning("{mail}"), user(**attributes)) == (
            "Class: the entry has no mail; {mail|…} says what instead"
        )

    @pytest.mark.parametrize("attributes", [{}, {"vlanid": ()}, {"vlanid": ("",)}])
    def test_with_what_stands_there_instead(self, attributes: dict[str, tuple[str, ...]]) -> None:
        assert texts(returning("v{vlanId|99}"), user(**attributes)) == ["v99"]

    def test_with_nothing_where_nothing_is_left_of_a_value(self) -> None:
        """RFC 2865 §5: an attribute is never empty."""
        assert texts(returning("{mail|}", "x"), user()) == ["x"]

    def test_of_one_attribute_that_cannot_be_nothing_is_returned_at_all(self) -> None:
        both = Returns((Returned("Class", otherwise=values("x")), Returned("Filter-Id", otherwise=values("{l}"))))

        assert filled(both, user()) == "Filter-Id: the entry has no l; {l|…} says what instead"

    def test_attributes_that_fit_no_packet_are_not_returned(self) -> None:
        def unfit(attributes: Sequence[ReplyAttribute]) -> str:
            return "too odd" if attributes[0].value == "odd" else ""

        odd = Returns((Returned("Class", otherwise=values("{cn}")),), unfit)

        assert filled(odd, user(cn=("odd",))) == "too odd"
        assert texts(odd, user(cn=("even",))) == ["even"]

    def test_nothing_is_nothing(self) -> None:
        assert filled(NOTHING, user(cn=("a",))) == []
        assert NOTHING.known_of(user(cn=("a",))) == ()

    def test_what_is_the_same_for_everybody_takes_nothing_of_anybody(self) -> None:
        same = returning("a {{b}}", "c")

        assert same.known_of(user(cn=("a",))) == ()
        assert same.is_known_by(())
        assert texts(same, user()) == ["a {b}", "c"]


class TestByGroup:
    BY_GROUP = Returns(
        (Returned("Class", (("staff", values("s")), ("all", values("{cn}", "a"))), values("guest")),),
    )

    @pytest.mark.parametrize(
        ("groups", "given_them"),
        [
            ({"staff"}, ["s"]),
            ({"all", "staff"}, ["s"]),  # the first that the user is in
            ({"all", "other"}, ["Alice", "a"]),
            ({"other"}, ["guest"]),
            (set(), ["guest"]),
        ],
    )
    def test_the_first_group_that_the_user_is_in_decides(self, groups: set[str], given_them: list[str]) -> None:
        assert texts(self.BY_GROUP, user(frozenset(groups), cn=("Alice",))) == given_them

    def test_who_is_in_none_may_be_returned_nothing(self) -> None:
        staff_only = Returns((Returned("Class", (("staff", values("s")),)),))

        assert texts(staff_only, user()) == []

    def test_what_another_groups_value_takes_may_be_missing(self) -> None:
        assert texts(self.BY_GROUP, user(frozenset({"staff"}))) == ["s"]

    def test_only_the_groups_that_are_asked_for_are_kept(self) -> None:
        many = user(frozenset({"staff", *(f"g{each}" for each in range(500))}))

        assert len(self.BY_GROUP.known_of(many)) == 3  # cn, one group, their end


class TestVlan:
    """RFC 3580 §3.31: what a switch wants are three attributes."""

    def test_is_three_attributes(self) -> None:
        assert filled(returning("{vlanId|99}", name=VLAN), user(vlanid=("7",))) == [
            ("Tunnel-Type", "VLAN"),
            ("Tunnel-Medium-Type", "IEEE-802"),
            ("Tunnel-Private-Group-Id", "7"),
        ]

    def test_is_one(self) -> None:
        assert filled(returning("{vlanId}", name=VLAN), user(vlanid=("7", "8"))) == (
            "vlan: the entry has several values, and a port has one VLAN"
        )

    def test_may_be_none(self) -> None:
        assert filled(returning("{vlanId|}", name=VLAN), user()) == []


class TestKnown:
    TAKES = Returns(
        (
            Returned("Class", (("staff", values("{cn}")), ("all", values("a"))), values("{L|nowhere}")),
            Returned(VLAN, otherwise=values("{vlanId|1}")),
        )
    )
    ALICE = user(frozenset({"all", "x"}), cn=("A", "", "B"), vlanid=("7",))

    def test_is_all_that_it_takes_and_no_more(self) -> None:
        assert self.TAKES.entry_attributes == {"cn", "l", "vlanid"}
        assert self.TAKES.groups == {"staff", "all"}
        *known, _ = self.TAKES.known_of(self.ALICE)
        assert known == [("cn", "A"), ("cn", "B"), ("l", ""), ("vlanid", "7"), ("", digest_of("all"))]

    def test_is_known_of_everybody(self) -> None:
        for who in (self.ALICE, user(), user(EVERYBODY, cn=("",))):
            assert self.TAKES.is_known_by(self.TAKES.known_of(who))

    def test_is_not_known_where_the_policy_asks_for_more_since(self) -> None:
        """Between two rounds of a login the configuration may have been loaded again."""
        for less in (NOTHING, returning("{cn}"), returning("{cn}{l}{vlanId}")):
            assert not self.TAKES.is_known_by(less.known_of(self.ALICE))
        assert returning("{cn}").is_known_by(self.TAKES.known_of(self.ALICE))
        assert NOTHING.is_known_by(self.TAKES.known_of(self.ALICE))

    def test_is_not_known_where_the_policy_asks_for_other_groups_since(self) -> None:
        """Whoever was not asked about would pass for somebody in none of them."""
        before = Returns((Returned("Class", (("staff", values("s")),), values("guest")),))
        since = Returns((Returned("Class", (("barred", values("b")), ("staff", values("s"))), values("guest")),))

        assert not since.is_known_by(before.known_of(user(frozenset({"barred"}))))
        assert not before.is_known_by(since.known_of(user(frozenset({"barred"}))))

    @given(
        st.lists(st.sampled_from(["staff", "all", "x"]), unique=True),
        st.dictionaries(
            st.sampled_from(["cn", "l", "vlanid", "mail"]), st.lists(st.text(), max_size=3).map(tuple)
        ),
    )
    def test_of_anybody_fills_it_or_says_why_not(
        self, groups: list[str], attributes: dict[str, tuple[str, ...]]
    ) -> None:
        who = user(frozenset(groups), **attributes)
        found = filled(self.TAKES, who)

        assert self.TAKES.is_known_by(self.TAKES.known_of(who))
        assert found
        if not isinstance(found, str):
            assert all(value for _, value in found)
            assert ("staff" in groups) <= any(attributes.get("cn", ()))
