"""Every reason a request can end with, as a key.

The audit log has the key; staff read it.  What the *user* is told is another matter: until the
password was right there is one message for everything, so that nobody learns which accounts
exist (`told_to_user`); from then on the user is told what to do next.
"""

from enum import StrEnum


class Outcome(StrEnum):
    """Why a request was answered as it was: the value is what log, audit file and documents call it."""

    # The login went on, or ended well.
    ACCEPTED = "accepted"
    ACCEPTED_BY_PASSWORD = "accepted_by_password"  # the policy asks for no second factor here
    ACCEPTED_UNENROLLED = "accepted_unenrolled"  # the policy lets in who has no second factor yet, until a date
    ACCEPTED_BY_DEVICE = "accepted_by_device"  # a trusted device: the user gave a code from there some days ago
    ACCEPTED_BY_SESSION = "accepted_by_session"  # 802.1X: a TLS session taken up again, in which a code was given
    CHALLENGED = "challenged"
    MAIL_SENT = "mail_sent"  # a code is on its way, or was already: the event's `detail` is its reference

    # Nothing was looked up: the request itself cannot be served.
    METHOD_NOT_OFFERED = "method_not_offered"  # CHAP, MS-CHAP, EAP where it is not configured
    NO_PASSWORD = "no_password"  # no User-Password, or none that can be recovered (RFC 2865 §5.2)
    NAME_UNREADABLE = "name_unreadable"  # no User-Name, not UTF-8, with control characters, or no user in it
    REALM_MISSING = "realm_missing"  # the client demands one: `user@realm`, `REALM\user`
    REALM_NOT_SERVED = "realm_not_served"  # a realm that is not among the client's
    PASSWORD_UNREADABLE = "password_unreadable"  # not UTF-8 or control octets: is the shared secret right?

    # 802.1X: nobody got as far as a password.
    EAP_FAILED = "eap_failed"  # no EAP, no tunnel or none of the methods: the event's `detail` says which
    EAP_GONE = "eap_gone"  # a conversation that nobody here knows (any more): the supplicant begins anew

    # Before the password was found right.
    UNKNOWN_USER = "unknown_user"
    AMBIGUOUS_USER = "ambiguous_user"  # the directory has more than one entry for the name
    USER_ID_UNUSABLE = "user_id_unusable"  # `attributes.id` has no value, several, or too long a one
    NOT_ACTIVATED = "not_activated"
    NO_POLICY = "no_policy"  # looked for after the password, and told like one that is wrong
    WRONG_PASSWORD = "wrong_password"
    WRONG_PASSWORD_AGAIN = "wrong_password_again"  # the one that was wrong just now: the directory was not asked
    TOO_MANY_WRONG_PASSWORDS = "too_many_wrong_passwords"  # the directory was not asked, lest it lock the account

    # The directory says no to the account, whatever the password (ACCOUNT_LOCKED) or after a right one.
    PASSWORD_EXPIRED = "password_expired"
    PASSWORD_MUST_CHANGE = "password_must_change"
    ACCOUNT_DISABLED = "account_disabled"
    ACCOUNT_RESTRICTED = "account_restricted"  # not at this hour, or not from here
    ACCOUNT_LOCKED = "account_locked"

    # The password was right; the second factor cannot be asked for.
    REPLY_UNUSABLE = "reply_unusable"  # what the policy returns cannot be made of this user's entry
    UNENROLLED = "unenrolled"
    CODE_MISSING = "code_missing"  # one-field mode, and only a password in the field
    MAIL_LIMIT = "mail_limit"  # no more are mailed to this user today, or `mail` was typed too often
    LOCKED = "locked"
    SUSPENDED = "suspended"  # of TOTP: a code of another factor, or staff, lifts it
    OUTER_NAME_OF_ANOTHER = "outer_name_of_another"  # 802.1X: outside of the tunnel there is another user
    SESSION_OVER = "session_over"  # 802.1X: a TLS session that is worth nothing any more: log in anew

    # Round two: the State.
    STATE_UNREADABLE = "state_unreadable"  # forged, tampered with, cut, or sealed under a key we do not have
    STATE_EXPIRED = "state_expired"
    STATE_OF_ANOTHER_CLIENT = "state_of_another_client"
    STATE_OF_ANOTHER_USER = "state_of_another_user"
    STATE_SPENT = "state_spent"
    POLICY_GONE = "policy_gone"
    USER_GONE = "user_gone"  # the entry, looked at again for what the policy returns, is another or not activated

    # Round two: the answer.
    ANSWER_UNREADABLE = "answer_unreadable"  # neither a code nor a keyword
    FACTOR_NOT_ALLOWED = "factor_not_allowed"  # a code of a factor this policy or this user does not have
    CODE_WRONG = "code_wrong"
    CODE_WRONG_AGAIN = "code_wrong_again"  # one-field mode: the wrong code of before, resent: not counted
    CODE_USED = "code_used"
    CLOCK_WRONG = "clock_wrong"  # the code is of a time just outside what is accepted
    SECRET_UNREADABLE = "secret_unreadable"  # what is stored to judge it by opens under none of our keys

    # Something is broken.
    DIRECTORY_FAILED = "directory_failed"
    STORE_FAILED = "store_failed"
    INTERNAL_ERROR = "internal_error"


_BEFORE_THE_PASSWORD = frozenset(
    {
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
        # May depend on whose account it is: another server, another answer to a bind.
        Outcome.DIRECTORY_FAILED,
        Outcome.INTERNAL_ERROR,
        # Not proof of a right password: a State can be made up, and Active Directory
        # reports a locked account whatever the password was.
        Outcome.ACCOUNT_LOCKED,
        Outcome.STATE_UNREADABLE,
        Outcome.STATE_OF_ANOTHER_CLIENT,
        Outcome.STATE_OF_ANOTHER_USER,
    }
)

# To a user it is the same, and so is the text.
_THE_SAME = {
    Outcome.SECRET_UNREADABLE: Outcome.STORE_FAILED,
    Outcome.CODE_WRONG_AGAIN: Outcome.CODE_WRONG,
}

REFUSED = "refused"
ROUNDS_OVER = "rounds_over"  # told with the last wrong answer: there is no other prompt to type into
CODE_MISSING_ATTACHED = "code_missing_attached"  # in one-field mode without a separator
MAIL_SENT_LOG_IN_AGAIN = "mail_sent_log_in_again"  # in one-field mode, where nothing can be asked


def told_to_user(outcome: Outcome) -> str:
    """The key of the text the user sees for `outcome`: its own, or `refused` where it would tell too much."""
    outcome = _THE_SAME.get(outcome, outcome)
    return REFUSED if outcome in _BEFORE_THE_PASSWORD else outcome.value
