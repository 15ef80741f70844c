"""TOTP codes and seeds, against the RFC's own values and pyotp's reading."""

import hashlib
import hmac
import sys
from dataclasses import replace
from types import FrameType
from typing import Any

import pyotp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from radius_mfa.core.guard import Counters
from radius_mfa.core.messages import FactorKind
from radius_mfa.core.outcomes import Outcome
from radius_mfa.core.stored import Facts, NearMiss, Token, TotpStep
from radius_mfa.factors.totp import PERIOD, SHORTEST, TotpFactor, base32, code_of, key_uri, read_base32
from tests.adapters import NOON, new_sealer

SEALER = new_sealer()
TOTP = TotpFactor(SEALER, window=1)
SEED = b"12345678901234567890"  # RFC 6238 appendix B, for SHA-1
NOW_STEP = int(NOON // PERIOD)
OTHER = b"another seed of twenty octets"[:20]


def token(seed: bytes = SEED, token_id: str = "t1", last_step: int = 0, drift: int = 0, **more: Any) -> Token:
    sealed = SEALER.seal("totp", seed, "u-alice", token_id)
    return Token(token_id, "u-alice", "phone", sealed, last_step, drift, **more)


def facts(*tokens: Token) -> Facts:
    return Facts("u-alice", Counters(), tokens)


def code(seed: bytes = SEED, at: float = NOON, steps: int = 0) -> str:
    return pyotp.TOTP(base32(seed)).at(int(at) + steps * PERIOD)


@pytest.mark.parametrize(
    ("seconds", "eight_digits"),
    [
        (59, "94287082"),
        (1111111109, "07081804"),
        (1111111111, "14050471"),
        (1234567890, "89005924"),
        (2000000000, "69279037"),
        (20000000000, "65353130"),
    ],
)
def test_the_values_of_the_rfc(seconds: int, eight_digits: str) -> None:
    """RFC 6238 appendix B; 6 digits are the last 6 of 8 (RFC 4226 §5.3)."""
    expected = TotpStep("t1", seconds // PERIOD, 0)

    assert TOTP.judge(facts(token()), eight_digits[-6:], seconds) == expected


@pytest.mark.parametrize("steps", [-1, 0, 1])
@pytest.mark.parametrize("into", [0.0, 15.0, 29.999])
def test_a_code_within_the_window_fits_its_own_step(steps: int, into: float) -> None:
    """RFC 6238 §5.2."""
    judged = TOTP.judge(facts(token()), code(steps=steps), NOON + into)

    assert isinstance(judged, TotpStep)
    assert (judged.token_id, judged.step) == ("t1", NOW_STEP + steps)


@pytest.mark.parametrize(("steps", "seconds"), [(-5, -135), (-2, -45), (2, 75), (5, 165)])
def test_a_code_just_outside_the_window_says_how_far_the_clock_is_off(steps: int, seconds: float) -> None:
    """RFC 6238 §6.  From the middle of the step that the device shows."""
    near = NearMiss(TotpStep("t1", NOW_STEP + steps, 0), seconds)

    assert TOTP.judge(facts(token()), code(steps=steps), NOON) == near
    assert TOTP.first_code(token(confirmed=False), code(steps=steps), NOON) == near


@pytest.mark.parametrize("steps", [-6, 6, 1000])
def test_a_code_further_outside_is_wrong(steps: int) -> None:
    assert TOTP.judge(facts(token()), code(steps=steps), NOON) is Outcome.CODE_WRONG
    assert TOTP.first_code(token(confirmed=False), code(steps=steps), NOON) is None


def test_a_step_that_was_told_of_is_never_accepted() -> None:
    """Or a guesser would be told which code is going to be right, and had only to wait."""
    told = token(told_steps=frozenset({NOW_STEP + 2, NOW_STEP + 5}))

    assert TOTP.judge(facts(told), code(steps=2), NOON) is Outcome.CODE_USED
    assert TOTP.judge(facts(told), code(steps=2), NOON + 2 * PERIOD) is Outcome.CODE_USED
    assert TOTP.judge(facts(told), code(steps=5), NOON + 4 * PERIOD) is Outcome.CODE_USED
    assert isinstance(TOTP.judge(facts(told), code(steps=3), NOON + 2 * PERIOD), TotpStep)


@pytest.mark.parametrize(("now", "fits"), [(NOON - PERIOD, True), (NOON - PERIOD - 0.001, False)])
def test_the_window_opens_with_a_step(now: float, fits: bool) -> None:
    assert isinstance(TOTP.judge(facts(token()), code(), now), TotpStep) is fits


@pytest.mark.parametrize(("now", "fits"), [(NOON + 2 * PERIOD - 0.001, True), (NOON + 2 * PERIOD, False)])
def test_the_window_closes_with_a_step(now: float, fits: bool) -> None:
    assert isinstance(TOTP.judge(facts(token()), code(), now), TotpStep) is fits


@pytest.mark.parametrize(
    ("window", "steps", "fits"), [(0, 0, True), (0, 1, False), (0, -1, False), (3, -3, True), (3, 4, False)]
)
def test_the_window_is_as_wide_as_configured(window: int, steps: int, fits: bool) -> None:
    judged = TotpFactor(SEALER, window).judge(facts(token()), code(steps=steps), NOON)

    assert isinstance(judged, TotpStep) is fits


@pytest.mark.parametrize("drift", [-5, 4])
def test_a_device_whose_clock_drifts_is_followed(drift: int) -> None:
    """RFC 6238 §6."""
    drifting = facts(token(drift=drift))

    assert TOTP.judge(drifting, code(steps=drift), NOON + 5) == TotpStep("t1", NOW_STEP + drift, drift)
    assert isinstance(TOTP.judge(drifting, code(steps=drift + (3 if drift > 0 else -3)), NOON), NearMiss)


@pytest.mark.parametrize("drift", [2, 3, 4])
def test_one_late_code_of_a_device_that_is_ahead_does_not_shut_it_out(drift: int) -> None:
    """It looks like one of the true time, and is no proof of that."""
    late = TOTP.judge(facts(token(drift=drift)), code(steps=1), NOON + 15)
    assert isinstance(late, TotpStep)

    for number in range(1, 4):
        known = token(drift=late.drift, last_step=late.step)
        on_time = TOTP.judge(facts(known), code(steps=drift + 20 * number), NOON + 15 + 20 * PERIOD * number)
        assert isinstance(on_time, TotpStep)
        late = on_time
    assert late.drift in {drift, drift - 1}


@pytest.mark.parametrize("drift", [-10, -3, 3, 10, 100])
def test_whoever_sets_the_clock_right_is_not_shut_out_by_the_drift_that_was_learnt(drift: int) -> None:
    """RFC 6238 §6.  Our own advice is to do so."""
    for steps in (-1, 0, 1):
        judged = TOTP.judge(facts(token(drift=drift)), code(steps=steps), NOON + 15)
        assert judged == TotpStep("t1", NOW_STEP + steps, drift - (1 if drift > 0 else -1))
    assert not isinstance(TOTP.judge(facts(token(drift=drift)), code(steps=drift // 2), NOON), TotpStep) or (
        abs(drift) <= 3
    )


@pytest.mark.parametrize(
    ("steps", "into", "drift"),
    [
        (0, 0, 0),
        (0, 29, 0),
        (-1, 10, 0),  # typed slowly
        (-1, 15, 0),
        (-1, 16, -1),  # half a step late
        (1, 14, 1),  # half a step early
        (1, 15, 0),
        (1, 29, 0),
    ],
)
def test_drift_is_learnt_from_a_code_half_a_step_early_or_late(steps: int, into: float, drift: int) -> None:
    """RFC 6238 §6."""
    judged = TOTP.judge(facts(token()), code(steps=steps), NOON + into)

    assert judged == TotpStep("t1", NOW_STEP + steps, drift)


@pytest.mark.parametrize("ahead", [-200.0, -40.0, 0.0, 40.0, 200.0])
def test_a_clock_that_loses_or_gains_a_little_every_day_is_followed_and_never_refused(ahead: float) -> None:
    """A second a day from right; `ahead`: how far it is off in the end, in seconds."""
    known = token()
    for day in range(int(abs(ahead)) + 1):
        now = NOON + 86400.0 * day + 7.0 * (day % 5)
        off = day if ahead > 0 else -day
        judged = TOTP.judge(facts(known), code(at=now + off), now + 6)
        assert isinstance(judged, TotpStep), day
        known = replace(known, drift=judged.drift, last_step=judged.step)

    assert abs(known.drift * PERIOD - ahead) <= 1.5 * PERIOD


def test_drift_is_learnt_only_so_far_and_kept_where_staff_have_set_it_further() -> None:
    at_the_edge, beyond = token(drift=10), token(drift=40)

    assert TOTP.judge(facts(at_the_edge), code(steps=11), NOON) == TotpStep("t1", NOW_STEP + 11, 10)
    assert TOTP.judge(facts(beyond), code(steps=41), NOON) == TotpStep("t1", NOW_STEP + 41, 40)
    assert TOTP.judge(facts(beyond), code(steps=39), NOON + 29) == TotpStep("t1", NOW_STEP + 39, 39)


@pytest.mark.parametrize("off", [-119, -3, 0, 50, 119])
def test_two_codes_in_a_row_say_how_far_the_clock_is_off_up_to_an_hour(off: int) -> None:
    """RFC 6238 §6."""
    first, second = code(steps=off), code(steps=off + 1)

    assert TOTP.resynced(token(), first, second, NOON) == TotpStep("t1", NOW_STEP + off + 1, off + 1)


def test_two_codes_that_do_not_follow_each_other_say_nothing() -> None:
    for first, second in ((0, 2), (1, 0), (0, 0), (-122, -121), (121, 122)):
        assert TOTP.resynced(token(), code(steps=first), code(steps=second), NOON) is None
    assert TOTP.resynced(token(), code(), code(OTHER, steps=1), NOON) is None
    assert TOTP.resynced(replace(token(), id="t2"), code(), code(steps=1), NOON) is None


@pytest.mark.parametrize("steps", [0, -1])
def test_the_accepted_step_and_those_before_are_used(steps: int) -> None:
    assert TOTP.judge(facts(token(last_step=NOW_STEP)), code(steps=steps), NOON) is Outcome.CODE_USED


def test_the_step_after_the_accepted_one_is_fresh() -> None:
    judged = TOTP.judge(facts(token(last_step=NOW_STEP)), code(steps=1), NOON + 20)

    assert judged == TotpStep("t1", NOW_STEP + 1, 0)


def test_a_used_code_is_known_for_a_while_out_of_the_window() -> None:
    assert TOTP.judge(facts(token(last_step=NOW_STEP - 2)), code(steps=-2), NOON) is Outcome.CODE_USED
    assert TOTP.judge(facts(token(last_step=NOW_STEP - 6)), code(steps=-6), NOON) is Outcome.CODE_WRONG


def test_a_code_that_fits_a_used_and_a_fresh_step_is_fresh() -> None:
    """One code in a million is the same a step later: this seed's at noon is."""
    seed = b"seed 000000000344878"
    assert code(seed) == code(seed, steps=1)

    fresh, used = token(seed, last_step=NOW_STEP), token(seed, last_step=NOW_STEP + 1)
    assert TOTP.judge(facts(fresh), code(seed), NOON + 20) == TotpStep("t1", NOW_STEP + 1, 0)
    assert TOTP.judge(facts(used), code(seed), NOON + 20) is Outcome.CODE_USED


def test_of_two_steps_that_a_code_fits_the_later_is_accepted() -> None:
    """RFC 6238 §5.2: a code is good once.  Of the earlier one, the same code would still be good for the later."""
    seed = b"seed 000000000344878"
    assert code(seed) == code(seed, steps=1)

    assert TOTP.judge(facts(token(seed)), code(seed), NOON + 20) == TotpStep("t1", NOW_STEP + 1, 0)
    # The later one is that of the device's clock, the earlier that of the true time.
    ahead = TotpFactor(SEALER, window=0).judge(facts(token(seed, drift=1)), code(seed), NOON + 20)
    assert isinstance(ahead, TotpStep)
    assert ahead.step == NOW_STEP + 1


def computed(tokens: Facts, typed: str, window: int = 1) -> int:
    """How many codes are computed to judge what was typed at noon."""
    factor, digests = TotpFactor(SEALER, window), list[str]()

    def note(frame: FrameType, event: str, called: object) -> None:
        if event == "c_call" and called is hashlib.sha1:
            digests.append(event)

    sys.setprofile(note)
    try:
        factor.judge(tokens, typed, NOON)
    finally:
        sys.setprofile(None)
    return len(digests) // 2  # the inner and the outer one (RFC 2104 §2)


def test_a_wrong_code_costs_the_same_whatever_it_is_and_a_right_one_no_more_than_it_takes() -> None:
    """RFC 6238 §5.2: the window is what a wrong code is compared with, and five minutes of near ones."""
    both = facts(token(), token(OTHER, "t2"))
    wrong = [code(steps=100), code(OTHER, steps=-100), "000000", "999999", "", "1234567"]

    assert {computed(both, each) for each in wrong} == {2 * (3 + 8)}
    assert computed(facts(token(last_step=NOW_STEP + 1)), code()) == 3
    assert [computed(facts(token()), code(steps=steps)) for steps in (1, 0, -1)] == [1, 2, 3]


tokens = st.tuples(st.integers(-12, 12), st.integers(-3, 3), st.frozensets(st.integers(-3, 3), max_size=2))


@given(st.lists(tokens, min_size=1, max_size=3), st.integers(0, 2), st.integers(0, 2), st.integers(-14, 14))
def test_what_is_right_used_and_near_is_as_pyotp_has_it(
    known: list[tuple[int, int, frozenset[int]]], window: int, of: int, steps: int
) -> None:
    """RFC 6238 §5.2, §6: every step computed by another implementation, and looked at one by one."""
    seeds = [b"seed of 20 octets, %d." % number for number in range(len(known))]
    each = [
        token(seed, f"t{at}", NOW_STEP + last, drift, told_steps=frozenset(NOW_STEP + told for told in tolds))
        for at, (seed, (drift, last, tolds)) in enumerate(zip(seeds, known, strict=True))
    ]
    at = of % len(known)
    typed, (drift, last, tolds) = code(seeds[at], steps=steps), known[at]
    judged = TotpFactor(SEALER, window).judge(facts(*each), typed, NOON)

    fitting = [step for step in range(-14, 15) if code(seeds[at], steps=step) == typed]
    right = [step for step in fitting if min(abs(step - drift), abs(step)) <= window]
    fresh = [step for step in right if step > last and step not in tolds]
    if fresh:
        assert isinstance(judged, TotpStep)
        assert (judged.token_id, judged.step) == (f"t{at}", NOW_STEP + max(fresh))
    elif right:
        assert judged is Outcome.CODE_USED
    elif abs(steps - drift) <= window + 4:
        used = steps <= last or steps in tolds
        assert judged is Outcome.CODE_USED if used else isinstance(judged, NearMiss)
    else:
        assert judged is Outcome.CODE_WRONG


def test_the_code_says_which_of_several_tokens_it_is_of() -> None:
    both = facts(token(), token(OTHER, "t2"))

    assert TOTP.judge(both, code(), NOON) == TotpStep("t1", NOW_STEP, 0)
    assert TOTP.judge(both, code(OTHER), NOON) == TotpStep("t2", NOW_STEP, 0)


def test_each_token_has_its_own_used_steps() -> None:
    both = facts(token(last_step=NOW_STEP), token(OTHER, "t2"))

    assert TOTP.judge(both, code(), NOON) is Outcome.CODE_USED
    assert TOTP.judge(both, code(OTHER), NOON) == TotpStep("t2", NOW_STEP, 0)


def test_an_unconfirmed_token_is_never_accepted() -> None:
    unconfirmed = token(confirmed=False)

    assert not TOTP.usable(facts(unconfirmed))
    assert TOTP.judge(facts(unconfirmed), code(), NOON) is Outcome.CODE_WRONG
    assert TOTP.judge(facts(unconfirmed, token(OTHER, "t2")), code(), NOON) is Outcome.CODE_WRONG
    assert TOTP.first_code(unconfirmed, code(), NOON) == TotpStep("t1", NOW_STEP, 0)


def test_a_wrong_first_code_is_no_step() -> None:
    assert TOTP.first_code(token(confirmed=False), code(OTHER), NOON) is None
    assert TOTP.first_code(replace(token(), id="t2"), code(), NOON) is None


def test_a_user_is_able_with_one_confirmed_token() -> None:
    assert TOTP.kind is FactorKind.TOTP
    assert not TOTP.usable(facts())
    assert TOTP.usable(facts(token(confirmed=False), token(OTHER, "t2")))


def test_a_seed_of_another_user_or_token_does_not_open() -> None:
    """A row that was copied to another user is worth nothing, and is no one's wrong guess."""
    for moved in (replace(token(), user_id="u-eve"), replace(token(), id="t2"), replace(token(), seed=b"")):
        assert TOTP.judge(facts(moved), code(), NOON) is Outcome.SECRET_UNREADABLE
        # Else whoever can make one unreadable could guess at the others for ever.
        assert TOTP.judge(facts(moved, token(OTHER, "t3")), code(), NOON) is Outcome.CODE_WRONG


def test_a_token_that_does_not_open_stands_in_no_other_tokens_way() -> None:
    broken = replace(token(OTHER, "t2"), seed=b"?")

    assert TOTP.judge(facts(broken, token()), code(), NOON) == TotpStep("t1", NOW_STEP, 0)


def test_seeds_of_80_bits_work() -> None:
    """Many existing tokens have them, and pyotp refuses them.  The code is from RFC 4226 §5.3, by hand."""
    short = b"0123456789"
    digest = hmac.digest(short, NOW_STEP.to_bytes(8, "big"), "sha1")
    at = digest[-1] & 0xF
    shown = f"{(int.from_bytes(digest[at : at + 4], 'big') & 0x7FFFFFFF) % 1_000_000:06}"

    assert TOTP.judge(facts(token(short)), shown, NOON) == TotpStep("t1", NOW_STEP, 0)


@pytest.mark.parametrize("steps", [-1, 0, 1, 1000])
def test_the_code_an_app_shows(steps: int) -> None:
    assert code_of(SEED, NOON + 29, steps) == code(steps=steps)


@given(st.binary(min_size=14, max_size=80), st.integers(0, 2**40))
def test_a_code_is_that_of_another_implementation(seed: bytes, step: int) -> None:
    """RFC 4226 §5.3; a seed may be longer than a block of SHA-1 (RFC 2104 §2)."""
    assert code_of(seed, step * PERIOD) == pyotp.HOTP(base32(seed)).at(step)


@pytest.mark.parametrize("wrong", ["", "12345", "1234567", "abcdef"])
def test_what_is_no_code_is_wrong(wrong: str) -> None:
    assert TOTP.judge(facts(token()), wrong, NOON) is Outcome.CODE_WRONG


# --- seeds as people see them ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "issuer"), [("alice", "Example University"), ("ali ce@x", "大学"), ("a:b/c?d=e&f", "")]
)
def test_the_key_uri_is_read_back_as_it_was_meant(name: str, issuer: str) -> None:
    read = pyotp.parse_uri(key_uri(SEED, name, issuer))

    assert isinstance(read, pyotp.TOTP)
    assert (read.name, read.issuer or "") == (name, issuer)
    assert (read.digits, read.interval, read.digest().name) == (6, 30, "sha1")
    assert read.at(59) == "287082"


@given(st.binary(min_size=SHORTEST, max_size=64))
def test_a_seed_is_read_as_it_is_written(seed: bytes) -> None:
    assert read_base32(base32(seed)) == seed


@given(st.binary(min_size=SHORTEST, max_size=40))
def test_space_hyphens_case_and_padding_are_nothing(seed: bytes) -> None:
    """RFC 4648 §6; people copy seeds in groups of four."""
    text = base32(seed).lower()
    groups = [text[at : at + 4] for at in range(0, len(text), 4)]

    assert read_base32(" ".join(groups) + "\n") == seed
    assert read_base32("-".join(groups)) == seed
    assert read_base32(text + "=" * (-len(text) % 8)) == seed


@pytest.mark.parametrize(
    "text", ["", "A", "AAAAAAAAAAAAAAA", "MZXW6YTBOI======", "0189" * 4, "secret!!secret!!", "é" * 16]
)
def test_what_is_no_base32_or_under_80_bits_is_no_seed(text: str) -> None:
    assert read_base32(text) is None


@given(st.text(max_size=80))
def test_whatever_is_typed_is_a_seed_or_none(text: str) -> None:
    seed = read_base32(text)

    assert seed is None or len(seed) >= SHORTEST
