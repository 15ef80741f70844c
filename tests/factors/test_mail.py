"""Mailed codes: when one is good, when there is a new one, and where they may be sent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

import pytest

from radius_mfa.core.answers import CodeAnswer, read_answer
from radius_mfa.core.guard import Counters
from radius_mfa.core.mailing import DAY
from radius_mfa.core.messages import FactorKind
from radius_mfa.core.outcomes import Outcome
from radius_mfa.core.stored import Facts, MailCode, MailCodeUse, NewMailCode
from radius_mfa.factors.mail import MailFactor, MailRules
from tests.adapters import NOON, SeededEntropy, new_sealer

SEALER = new_sealer()
HOUR = 3600.0
RULES = MailRules(lifetime=DAY, per_day=5, cooldown=60)
FACTOR = MailFactor(SEALER, SeededEntropy(), RULES)
PORTAL = MailFactor(SEALER, SeededEntropy(), RULES, "portal")
ADDRESS = "alice@example.net"
A_YEAR = 365 * DAY


def kept(
    digits: str = "12345678",
    code_id: str = "c1",
    *,
    age: float = HOUR,
    tries: int = 0,
    used: bool = False,
    client: str = "",
) -> MailCode:
    """A code mailed so many seconds ago."""
    sealed = SEALER.seal("mail", digits.encode(), "u-alice", code_id)
    created = NOON - age
    return MailCode(code_id, "u-alice", "K7", sealed, created, created + RULES.lifetime, tries, used, client)


def facts(*codes: MailCode, address: str = ADDRESS) -> Facts:
    return Facts("u-alice", Counters(), mail_address=address, mail_codes=codes)


def asked(known: Facts, now: float = NOON, factor: MailFactor = FACTOR) -> MailCode | NewMailCode | None:
    return factor.ask(known, "ja", "vpn", now)


def issued(known: Facts, now: float = NOON, factor: MailFactor = FACTOR) -> NewMailCode:
    new = asked(known, now, factor)
    assert isinstance(new, NewMailCode)
    return new


def as_kept(new: NewMailCode) -> MailCode:
    return MailCode(new.id, new.user_id, new.reference, new.code, new.created, new.expires)


def typed(new: NewMailCode) -> str:
    """The digits of a new code, as the mail has them."""
    plain = SEALER.open("mail", new.code, new.user_id, new.id)
    assert plain is not None
    return plain.decode()


def with_codes(known: Facts, *more: MailCode) -> Facts:
    """As the store would have them: in the order of issue, whatever the clock said."""
    return replace(known, mail_codes=(*known.mail_codes, *more))


# --- judging --------------------------------------------------------------------------------------


def test_a_code_that_was_mailed_is_good() -> None:
    known = facts(kept("11111111", "c1"), kept("22222222", "c2"))

    assert FACTOR.judge(known, "22222222", NOON) == MailCodeUse("c2")
    assert FACTOR.judge(known, "33333333", NOON) is Outcome.CODE_WRONG
    assert FACTOR.judge(facts(), "11111111", NOON) is Outcome.CODE_WRONG


def test_until_its_last_second() -> None:
    known = facts(kept())

    assert FACTOR.judge(known, "12345678", known.mail_codes[0].expires - 0.001) == MailCodeUse("c1")
    assert FACTOR.judge(known, "12345678", known.mail_codes[0].expires) is Outcome.CODE_WRONG


@pytest.mark.parametrize(
    ("tries", "verdict"), [(1, MailCodeUse("c1")), (3, MailCodeUse("c1")), (4, Outcome.CODE_WRONG)]
)
def test_the_fourth_guess_finds_it_void(tries: int, verdict: MailCodeUse | Outcome) -> None:
    """A guess is counted before it is looked at."""
    assert FACTOR.judge(facts(kept(tries=tries)), "12345678", NOON) == verdict


def test_a_code_that_was_used_is_told_apart_until_it_has_expired() -> None:
    known = facts(kept(used=True))

    assert FACTOR.judge(known, "12345678", NOON) is Outcome.CODE_USED
    assert FACTOR.judge(known, "12345678", NOON + DAY) is Outcome.CODE_WRONG
    assert FACTOR.judge(known, "87654321", NOON) is Outcome.CODE_WRONG


def test_of_two_codes_of_the_same_digits_the_one_that_is_good_counts() -> None:
    known = facts(kept(code_id="c1", used=True), kept(code_id="c2", tries=4), kept(code_id="c3"))

    assert FACTOR.judge(known, "12345678", NOON) == MailCodeUse("c3")


@pytest.mark.parametrize("moved", ["user", "id", "octets"])
def test_a_code_that_was_moved_does_not_open(moved: str) -> None:
    code = kept("", "c1") if moved == "octets" else kept()
    changed = {
        "user": replace(code, user_id="u-bob"),
        "id": replace(code, id="c2"),
        "octets": replace(code, code=b""),
    }[moved]

    for guess in ("12345678", ""):
        assert FACTOR.judge(facts(changed), guess, NOON) is Outcome.SECRET_UNREADABLE
        # Else whoever can make one unreadable could guess at the others for ever.
        assert FACTOR.judge(facts(changed, kept("87654321", "c9")), guess, NOON) is Outcome.CODE_WRONG


def test_only_who_has_a_verified_address_can_use_it() -> None:
    assert FACTOR.kind is FactorKind.MAIL
    assert FACTOR.usable(facts())
    assert not FACTOR.usable(facts(kept(), address=""))
    assert asked(facts(address="")) is None


# --- asking ---------------------------------------------------------------------------------------


def test_a_new_code_is_bound_to_its_user_and_known_to_nobody() -> None:
    new = issued(facts(kept("11111111", "c1", age=DAY), kept("22222222", "c2")))

    assert (new.user_id, new.address, new.language, new.client) == ("u-alice", ADDRESS, "ja", "vpn")
    assert (new.created, new.expires, new.after) == (NOON, NOON + RULES.lifetime, "c2")
    assert len(bytes.fromhex(new.id)) == 8
    assert FACTOR.judge(facts(as_kept(new)), typed(new), NOON) == MailCodeUse(new.id)
    assert typed(new) not in repr(new)
    assert issued(facts()).after == ""


def test_what_is_mailed_is_read_back_as_a_mailed_code() -> None:
    for _ in range(50):
        digits = typed(issued(facts()))
        assert read_answer(f"{digits[:4]} {digits[4:]}") == CodeAnswer(FactorKind.MAIL, digits)


class Octets:
    """Randomness that was thought of beforehand."""

    def __init__(self, draws: Iterable[int]) -> None:
        self.draws = iter(draws)

    def octets(self, count: int) -> bytes:
        return next(self.draws).to_bytes(count, "big")


def test_every_code_is_as_likely() -> None:
    """2³² is no multiple of 10⁸: what is left over is drawn again."""
    draws = Octets([7, 4_200_000_000, 2**32 - 1, 4_199_999_999, 0])

    assert typed(issued(facts(), factor=MailFactor(SEALER, draws, RULES))) == "99999999"


def test_leading_zeros_are_digits() -> None:
    assert typed(issued(facts(), factor=MailFactor(SEALER, Octets([7, 42, 0]), RULES))) == "00000042"


def test_references_are_not_mixed_up() -> None:
    references = Counter(issued(facts()).reference for _ in range(2000))

    assert all(each[0].isalpha() and each[1].isdigit() for each in references)
    assert not set("".join(references)) & set("IOQ01SBZGU")
    assert len(references) > 100


def test_a_reference_is_none_that_another_mail_has() -> None:
    known = facts()
    for _ in range(140):
        new = issued(known, factor=MailFactor(SEALER, SeededEntropy(), replace(RULES, per_day=1000, cooldown=0)))
        assert new.reference not in {each.reference for each in known.mail_codes}
        known = with_codes(known, as_kept(new))


def test_when_there_are_more_mails_than_references_one_comes_again() -> None:
    factor = MailFactor(SEALER, SeededEntropy(), replace(RULES, per_day=1000, cooldown=0))
    known = facts()
    for _ in range(200):
        known = with_codes(known, as_kept(issued(known, factor=factor)))
    assert len({each.reference for each in known.mail_codes}) < 200


def test_within_the_cooldown_the_code_on_its_way_will_do() -> None:
    young, old = kept(code_id="young", age=59), kept(code_id="old", age=60)

    assert asked(facts(young)) == young
    assert issued(facts(old)).after == "old"
    assert asked(facts(kept(code_id="younger", age=70), young)) == young


@pytest.mark.parametrize("spoilt", [kept(age=1, used=True), kept(age=1, tries=3)], ids=["used", "void"])
def test_a_code_that_is_no_good_any_more_is_not_waited_for(spoilt: MailCode) -> None:
    assert issued(facts(spoilt)).after == "c1"


def test_when_the_mails_of_the_day_are_used_up_the_newest_good_code_will_do() -> None:
    codes = [kept(code_id=f"c{number}", age=HOUR * (10 - number)) for number in range(5)]
    spoilt = replace(codes[4], tries=3)

    assert asked(facts(*codes)) == codes[4]
    assert asked(facts(*codes[:4], spoilt)) == codes[3]
    assert asked(facts(*(replace(each, used=True) for each in codes))) is None


def test_the_day_is_the_last_24_hours() -> None:
    codes = [kept(code_id=f"c{number}", age=DAY - number, used=True) for number in range(5)]

    assert issued(facts(*codes)).after == "c4"
    assert asked(facts(*(replace(each, created=each.created + 1) for each in codes))) is None


# --- where codes count only if they were asked for there ------------------------------------------


def test_a_code_that_was_asked_for_there_is_good_there_and_everywhere() -> None:
    known = facts(kept("11111111", "c1", client="portal"))

    assert PORTAL.judge(known, "11111111", NOON) == MailCodeUse("c1")
    assert FACTOR.judge(known, "11111111", NOON) == MailCodeUse("c1")


@pytest.mark.parametrize("client", ["vpn", "", "Portal", "portal "])
@pytest.mark.parametrize("used", [False, True])
def test_one_that_was_asked_for_elsewhere_is_like_one_that_there_never_was(client: str, used: bool) -> None:
    """Nor is it told that it was good somewhere."""
    known = facts(kept(client=client, used=used), kept("87654321", "c2", client="portal"))

    assert PORTAL.judge(known, "12345678", NOON) is PORTAL.judge(known, "00000000", NOON) is Outcome.CODE_WRONG
    assert PORTAL.judge(facts(*known.mail_codes[:1]), "12345678", NOON) is Outcome.CODE_WRONG
    assert PORTAL.judge(known, "87654321", NOON) == MailCodeUse("c2")


def test_of_two_codes_of_the_same_digits_the_one_that_was_asked_for_there_counts() -> None:
    known = facts(kept(code_id="c1", client="portal"), kept(code_id="c2", client="vpn", used=True))

    assert PORTAL.judge(known, "12345678", NOON) == MailCodeUse("c1")


def test_a_code_of_elsewhere_that_does_not_open_is_nobodys_trouble_there() -> None:
    spoilt = replace(kept(client="vpn"), code=b"")

    assert PORTAL.judge(facts(spoilt), "12345678", NOON) is Outcome.CODE_WRONG
    assert PORTAL.judge(facts(replace(spoilt, client="portal")), "12345678", NOON) is Outcome.SECRET_UNREADABLE


def test_a_young_code_of_elsewhere_will_not_do_there_but_one_of_there_will_do_elsewhere() -> None:
    at_vpn, at_portal = kept(code_id="c1", age=1, client="vpn"), kept(code_id="c2", age=1, client="portal")

    assert issued(facts(at_vpn), factor=PORTAL).after == "c1"
    assert asked(facts(at_vpn, at_portal), factor=PORTAL) == at_portal
    assert asked(facts(at_portal, at_vpn), factor=PORTAL) == at_portal
    assert asked(facts(at_portal)) == at_portal


def test_the_mails_of_the_day_are_those_of_all_clients() -> None:
    codes = [kept(code_id=f"c{number}", age=HOUR * (10 - number), client="vpn") for number in range(5)]

    assert asked(facts(*codes), factor=PORTAL) is None
    assert asked(facts(*codes)) == codes[4]
    mine = replace(codes[1], client="portal")
    assert asked(facts(codes[0], mine, *codes[2:]), factor=PORTAL) == mine


def test_a_reference_is_none_that_a_mail_of_another_client_has() -> None:
    factor = MailFactor(SEALER, SeededEntropy(), replace(RULES, per_day=1000, cooldown=0), "portal")
    known = facts()
    for _ in range(140):
        new = issued(known, factor=factor)
        assert new.reference not in {each.reference for each in known.mail_codes}
        known = with_codes(known, replace(as_kept(new), client="vpn"))


# --- a clock that was set back --------------------------------------------------------------------


@pytest.mark.parametrize("back", [1.0, 59.0, HOUR, DAY - HOUR])
def test_a_clock_set_back_sends_no_second_mail(back: float) -> None:
    code = kept(age=0)

    assert asked(facts(code), NOON - back) == code
    assert FACTOR.judge(facts(code), "12345678", NOON - back) == MailCodeUse("c1")


@pytest.mark.parametrize("back", [1.0, HOUR, A_YEAR])
def test_after_it_was_set_back_the_limits_hold_as_before(back: float) -> None:
    now = NOON - back
    known = facts(kept(age=0, used=True))
    mails = 0
    for second in range(1000):
        new = asked(known, now + second)
        if isinstance(new, NewMailCode):
            mails += 1
            known = with_codes(known, as_kept(new))
    assert mails <= RULES.per_day


def test_a_code_of_a_year_that_has_not_come_is_not_good_for_a_year() -> None:
    code = kept(age=0)

    assert FACTOR.judge(facts(code), "12345678", NOON - A_YEAR) is Outcome.CODE_WRONG
    assert issued(facts(code), NOON - A_YEAR).expires == NOON - A_YEAR + RULES.lifetime


def test_mails_of_a_year_that_has_not_come_are_not_those_of_today() -> None:
    codes = [kept(code_id=f"c{number}", age=-A_YEAR, used=True) for number in range(9)]

    assert issued(facts(*codes))
