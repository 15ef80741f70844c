"""What the user is told of each outcome."""

from pathlib import Path

import pytest
import yaml

from radius_mfa.core.login import PUT_OTHERWISE
from radius_mfa.core.outcomes import (
    CODE_MISSING_ATTACHED,
    MAIL_SENT_LOG_IN_AGAIN,
    REFUSED,
    ROUNDS_OVER,
    Outcome,
    told_to_user,
)
from radius_mfa.core.stored import MailKind
from radius_mfa.data import CONFIG

# No reply with words: accepted, or asked without a text of its own.
SILENT = {
    Outcome.ACCEPTED_BY_SESSION,
    Outcome.ACCEPTED,
    Outcome.ACCEPTED_BY_PASSWORD,
    Outcome.ACCEPTED_BY_DEVICE,
    Outcome.ACCEPTED_UNENROLLED,
}
TELL_NOTHING = {
    Outcome.METHOD_NOT_OFFERED,
    Outcome.NO_PASSWORD,
    Outcome.NAME_UNREADABLE,
    Outcome.REALM_MISSING,
    Outcome.REALM_NOT_SERVED,
    Outcome.PASSWORD_UNREADABLE,
    Outcome.EAP_FAILED,
    Outcome.EAP_GONE,
    Outcome.SESSION_OVER,
    Outcome.OUTER_NAME_OF_ANOTHER,
    Outcome.UNKNOWN_USER,
    Outcome.AMBIGUOUS_USER,
    Outcome.USER_ID_UNUSABLE,
    Outcome.NOT_ACTIVATED,
    Outcome.NO_POLICY,
    Outcome.WRONG_PASSWORD,
    Outcome.WRONG_PASSWORD_AGAIN,
    Outcome.TOO_MANY_WRONG_PASSWORDS,
    Outcome.DIRECTORY_FAILED,
    Outcome.INTERNAL_ERROR,
    Outcome.ACCOUNT_LOCKED,
    Outcome.STATE_UNREADABLE,
    Outcome.STATE_OF_ANOTHER_CLIENT,
    Outcome.STATE_OF_ANOTHER_USER,
}
LIKE_ANOTHER = {Outcome.SECRET_UNREADABLE, Outcome.CODE_WRONG_AGAIN}


@pytest.mark.parametrize("outcome", sorted(TELL_NOTHING))
def test_before_the_password_was_right_there_is_one_text(outcome: Outcome) -> None:
    assert told_to_user(outcome) == REFUSED


@pytest.mark.parametrize("outcome", sorted(set(Outcome) - TELL_NOTHING - LIKE_ANOTHER))
def test_afterwards_each_reason_has_its_own(outcome: Outcome) -> None:
    assert told_to_user(outcome) == outcome.value


def test_what_is_the_same_to_a_user_is_told_in_the_same_words() -> None:
    assert told_to_user(Outcome.SECRET_UNREADABLE) == Outcome.STORE_FAILED.value
    assert told_to_user(Outcome.CODE_WRONG_AGAIN) == Outcome.CODE_WRONG.value


@pytest.mark.parametrize("path", sorted((CONFIG / "messages").glob("*.yaml")), ids=lambda path: str(path.stem))
def test_every_text_a_user_may_be_told_exists_in_every_language(path: Path) -> None:
    texts = yaml.safe_load(path.read_text())

    otherwise = {key + suffix for key, suffixes in PUT_OTHERWISE.items() for suffix in suffixes}
    beside = {
        ROUNDS_OVER,
        CODE_MISSING_ATTACHED,
        MAIL_SENT_LOG_IN_AGAIN,
        "change_password",
        "mail_subject",
        "mail_body",
        "mail_portal_subject",
        "mail_portal_body",
    } | {f"mail_{kind}_{part}" for kind in set(MailKind) - {MailKind.CODE} for part in ("subject", "body")}
    assert {told_to_user(outcome) for outcome in set(Outcome) - SILENT} | otherwise | beside == set(texts)
