"""TOTP codes and seeds, against the RFC's own values and pyotp's reading."""

import hmac
from dataclasses import replace

import pyotp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from radius_mfa.core.guard import Counters
from radius_mfa.core.messages import FactorKind
from radius_mfa.core.outcomes import Outcome
from radius_mfa.core.ports import Facts, Token, TotpStep
from radius_mfa.factors.totp import PERIOD, SHORTEST, TotpFactor, base32, code_of, key_uri, read_base32
from tests.adapters import NOON, new_sealer

SEALER = new_sealer()
TOTP = TotpFactor(SEALER, window=1)
SEED = b"12345678901234567890"  # RFC 6238 appendix B, for SHA-1
NOW_STEP = int(NOON // PERIOD)


def token(
    seed: bytes = SEED, token_id: str = "t1", last_step: int = 0, drift: int = 0, confirmed: bool = True
) -> Token:
    sealed = SEALER.seal("totp", seed, "u-alice", token_id)
    return Token(token_id, "u-alice", "phone", sealed, last_step, drift, confirmed)


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
    assert TOTP.judge(facts(token()), code(steps=steps), NOON + into) == TotpStep("t1", NOW_STEP + steps, 0)


@pytest.mark.parametrize("steps", [-3, -2, 2, 3])
def test_a_code_outside_the_window_is_wrong(steps: int) -> None:
    assert TOTP.judge(facts(token()), code(steps=steps), NOON) is Outcome.CODE_WRONG


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

    assert TOTP.judge(drifting, code(steps=drift), NOON) == TotpStep("t1", NOW_STEP + drift, drift)
    assert TOTP.judge(drifting, code(), NOON) is Outcome.CODE_WRONG


@pytest.mark.parametrize("steps", [0, -1])
def test_the_accepted_step_and_those_before_are_used(steps: int) -> None:
    assert TOTP.judge(facts(token(last_step=NOW_STEP)), code(steps=steps), NOON) is Outcome.CODE_USED


def test_the_step_after_the_accepted_one_is_fresh() -> None:
    assert TOTP.judge(facts(token(last_step=NOW_STEP)), code(steps=1), NOON) == TotpStep("t1", NOW_STEP + 1, 0)


def test_a_used_code_out_of_the_window_is_merely_wrong() -> None:
    assert TOTP.judge(facts(token(last_step=NOW_STEP - 2)), code(steps=-2), NOON) is Outcome.CODE_WRONG


def test_a_code_that_fits_a_used_and_a_fresh_step_is_fresh() -> None:
    """One code in a million is the same a step later: this seed's at noon is."""
    seed = b"seed 000000000344878"
    assert code(seed) == code(seed, steps=1)

    assert TOTP.judge(facts(token(seed, last_step=NOW_STEP)), code(seed), NOON) == TotpStep("t1", NOW_STEP + 1, 0)
    assert TOTP.judge(facts(token(seed, last_step=NOW_STEP + 1)), code(seed), NOON) is Outcome.CODE_USED


OTHER = b"another seed of twenty octets"[:20]


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
    assert TOTP.step_of(unconfirmed, code(), NOON) == NOW_STEP


def test_a_wrong_first_code_is_no_step() -> None:
    assert TOTP.step_of(token(confirmed=False), code(OTHER), NOON) is None


def test_a_user_is_able_with_one_confirmed_token() -> None:
    assert TOTP.kind is FactorKind.TOTP
    assert not TOTP.usable(facts())
    assert TOTP.usable(facts(token(confirmed=False), token(OTHER, "t2")))


def test_a_seed_of_another_user_or_token_does_not_open() -> None:
    """A row that was copied to another user is worth nothing."""
    assert TOTP.judge(facts(replace(token(), user_id="u-eve")), code(), NOON) is Outcome.CODE_WRONG
    assert TOTP.judge(facts(replace(token(), id="t2")), code(), NOON) is Outcome.CODE_WRONG
    assert TOTP.judge(facts(replace(token(), seed=b"")), code(), NOON) is Outcome.CODE_WRONG


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
